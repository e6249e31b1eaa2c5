"""What other suites say of pyoci: each failure has a kind and a reason, and the text counts what the file has."""

import json
import os

import pytest

ROOM = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))), "conformance")
KINDS = {"suite", "known-conflict", "host", "not-carried-out", "deliberate"}
FILES = {
    "runtime-tools.json": ("programs",),
    "crun-tests.json": ("tests", "tests of 1.8.1"),
    "runc-bats.json": ("tests",),
}


def load(name):
    with open(os.path.join(ROOM, "results", name), encoding="utf-8") as file:
        return json.load(file)


@pytest.mark.parametrize(("name", "section"), [(name, part) for name, parts in FILES.items() for part in parts])
def test_each_failure_of_ours_has_a_reason(name, section):
    rows = load(name)[section]
    assert len(rows) > 50
    for test, row in rows.items():
        peers = {key: value for key, value in row.items() if key not in {"kind", "reason", "runc_reason"}}
        assert row["pyoci"] in {"pass", "fail", "skip"}, test
        assert set(peers.values()) <= {"pass", "fail", "skip", "absent"}, test
        assert len(peers) > 1 or row["pyoci"] != "fail", test
        if row["pyoci"] == "fail":
            assert row["kind"] in KINDS, test
            assert len(row["reason"]) > 10, test
        if row["pyoci"] == "pass":
            assert "kind" not in row, test


def test_the_numbers_of_runcs_tests_in_the_text():
    rows = load("runc-bats.json")["tests"].values()
    with open(os.path.join(ROOM, "README.md"), encoding="utf-8") as file:
        text = " ".join(file.read().split())
    passed = {name: sum(row.get(name) == "pass" for row in rows) for name in ("pyoci", "runc 1.5", "runc 1.1.5")}
    told = "of %d pyoci passes %d, runc 1.5 %d and runc 1.1.5 %d." % (len(rows), *passed.values())
    assert told in text
    for kind in ("host", "suite", "deliberate"):
        number = sum(row.get("kind") == kind for row in rows)
        start = text.index("`%s`" % kind, text.index("`results/runc-bats.json`"))
        assert ", %d" % number in text[start : start + 140], kind
