"""The matrix of requirements names tests that exist and that can run."""

import ast
import json
import os
import subprocess
import sys

import pytest

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LEVELS = {"MUST": 102, "SHOULD": 3, "MAY": 2, "CALLER": 73, "peer": 129}
STATUSES = {"carried-out", "later", "not-applicable"}


def read(name):
    with open(f"{PROJECT}/conformance/{name}", encoding="utf-8") as file:
        return json.load(file)


ROWS = read("matrix.json")


@pytest.fixture(scope="module")
def cases():
    """The names of the conformance cases."""
    done = subprocess.run(
        [sys.executable, f"{PROJECT}/conformance/run", "--list"], capture_output=True, text=True, check=True
    )
    return {f"conformance/{line.split()[0]}" for line in done.stdout.splitlines() if "/" in line.split()[0]}


def is_skip(node):
    """True for `pytest.skip(...)`, `pytest.mark.skip` and `pytest.mark.skip(...)`; skipif is a condition."""
    call = node.func if isinstance(node, ast.Call) else node
    return isinstance(call, ast.Attribute) and call.attr == "skip" and "pytest" in ast.unparse(call)


def is_always_skipped(function):
    """Whether a decorator skips the test, or its first statement does."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    first = body[0] if body else None
    return any(is_skip(d) for d in function.decorator_list) or (
        isinstance(first, ast.Expr) and is_skip(first.value)
    )


def functions(path, seen={}):  # noqa: B006
    """Name -> definition of the tests of a file; empty when there is no such file or all of it is skipped."""
    if path not in seen:
        seen[path] = {}
        if os.path.isfile(f"{PROJECT}/{path}"):
            with open(f"{PROJECT}/{path}", encoding="utf-8") as file:
                tree = ast.parse(file.read())
            marks = [
                n.value
                for n in tree.body
                if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "pytestmark"
            ]
            whole = [m for mark in marks for m in (mark.elts if isinstance(mark, ast.List) else [mark])]
            whole += [n.value for n in tree.body if isinstance(n, ast.Expr)]
            if not any(is_skip(m) for m in whole):
                seen[path] = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    return seen[path]


def test_every_requirement_has_one_row():
    assert [row["requirement"] for row in ROWS] == [f"R-{number:03}" for number in range(1, 310)]
    assert {level: sum(row["level"] == level for row in ROWS) for level in LEVELS} == LEVELS


@pytest.mark.parametrize("row", ROWS, ids=[row["requirement"] for row in ROWS])
def test_a_row_says_what_it_is_and_why(row):
    assert row["text"] and row["status"] in STATUSES
    if row["status"] == "carried-out":
        assert row["tests"], f"{row['requirement']} is carried out, and no test shows it"
    else:
        assert row["reason"], f"{row['requirement']} is {row['status']} without a reason"


@pytest.mark.parametrize("row", ROWS, ids=[row["requirement"] for row in ROWS])
def test_named_tests_exist_and_are_not_always_skipped(row, cases):
    for name in row["tests"]:
        if name.startswith("conformance/"):
            assert name in cases, f"{row['requirement']}: no case {name}"
        else:
            path, _, function = name.partition("::")
            assert function in functions(path), f"{row['requirement']}: no test {name} (or its file is skipped)"
            assert not is_always_skipped(functions(path)[function]), (
                f"{row['requirement']}: {name} is always skipped"
            )


def test_what_is_carried_out_passes_in_the_kept_results():
    """The last kept run of the conformance suite; a known failure has its reason in expected.json."""
    results, expected = read("results/pyoci.json")["cases"], read("expected.json").get("pyoci", {})
    for row in ROWS:
        if row["status"] == "carried-out":
            for name in row["tests"]:
                case = name.removeprefix("conformance/")
                if case in results and case not in expected:
                    assert results[case]["result"] != "fail", f"{row['requirement']}: {name} fails"


def test_every_expected_failure_is_a_case_with_a_reason(cases):
    for name, reason in read("expected.json").get("pyoci", {}).items():
        assert f"conformance/{name}" in cases and len(reason) > 20, name


def test_a_test_that_is_skipped_by_its_first_line_counts_as_none():
    (function,) = ast.parse("def test_x():\n    'why'\n    pytest.skip('never')\n    assert True").body
    (other,) = ast.parse("def test_y():\n    if True:\n        pytest.skip('no')\n    assert 1").body
    assert is_always_skipped(function) and not is_always_skipped(other)
