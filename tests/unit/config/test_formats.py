import random
import re

import pytest

from pyoci.config.compile_schema import load_schema
from pyoci.config.formats import PREDICATES

# Examples on the edge of each format, and letters to build random ones of.
EXAMPLES = {
    "text": (["", "a", "a\nb", "é"], ["\0", "a\0"], "a\0\n/"),
    "nonempty-text": (["a", "\n"], ["", "\0", "a\0"], "a\0\n"),
    "absolute-path": (["/", "/a", "//", "/\n"], ["", "a", "a/", "/\0", "\n/"], "/a.\0\n"),
    "one-line": (["", "a\rb"], ["\n", "a\n", "\0"], "a\r\n\0"),
    "memory-bandwidth": (["MB:", "MB:0=20;1=70"], ["", "L3:", "mb:", "MB:\n", " MB:"], "MB:0\n"),
    "cpu-list": (
        ["", "0", "0-3,7", "0 - 3 , 7", "3-1", " 1 "],
        [",", "1,", "-1", "1-", "1--2", "a", "1 2", " ", "1\n", "٣", "1-2-3"],
        "01,- \n",
    ),
    "hugepage-size": (
        ["2MB", "1GB", "64KB"],
        ["", "MB", "0MB", "02MB", "2mB", "2M", "2TB", "2MB\n", "-2MB", "²MB"],
        "02KMGB\n",
    ),
    "interface-name": (
        ["eth0", "a", "veth%d", "abcdefghijklmno", "...", "a.b"],
        ["", ".", "..", "abcdefghijklmnop", "a b", "a/b", "a:b", "a\n", "é", "\x7f"],
        "a.:/% \n",
    ),
    "cgroup-file": (
        ["memory.high", "a..b", "cgroup.procs", "a.b.c"],
        ["", "memory", ".high", "a.", "a/b.c", "a.b/c"],
        "a./\0",
    ),
    "device-access": (["r", "rwm", "mwr"], ["", "x", "rwmr", "r ", "rw\n", "R"], "rwmx\n"),
    "capability": (["CAP_KILL", "CAP__"], ["", "CAP_", "cap_kill", "CAP_KILL\n", "CAP_K1"], "CAP_KILLk"),
    "semver": (
        ["0.0.0", "1.3.0", "1.0.0-rc1", "1.0.0-0a.1", "1.0.0--", "1.3.0+dev", "1.3.0-rc.1+b.01", "1.0.0+0-0"],
        ["", "1", "1.0", "01.0.0", "1.0.0.0", "v1.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "1.0.0-a..b",
         "1.0.0\n", "1.0.x", "1.0.0-é"],
        "01.-+a\n",
    ),
}  # fmt: skip


def patterns() -> dict[str, str]:
    found: dict[str, str] = {}

    def walk(node):
        if isinstance(node, dict):
            if isinstance(node.get("format"), str):
                assert found.setdefault(node["format"], node["pattern"]) == node["pattern"]
            for below in node.values():
                walk(below)
        elif isinstance(node, list):
            for below in node:
                walk(below)

    for name in ("config", "state", "features"):
        walk(load_schema(name))
    return found


def test_every_format_of_the_schemas_has_a_predicate_and_examples():
    assert patterns().keys() == PREDICATES.keys() == EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_predicate_and_pattern_agree(name):
    good, bad, letters = EXAMPLES[name]
    # In the schemas' dialect $ is the very end; Python's also matches before a last line break.
    pattern = re.compile(patterns()[name].removesuffix("$") + r"\Z")
    predicate = PREDICATES[name]
    for value in good:
        assert predicate(value), value
    for value in bad:
        assert not predicate(value), value
    chance = random.Random(name)
    samples = [*good, *bad]
    samples += ["".join(chance.choices(letters, k=chance.randint(0, 6))) for _ in range(5000)]
    samples += [_mutilated(chance, chance.choice(samples), letters) for _ in range(5000)]
    for value in samples:
        assert predicate(value) == bool(pattern.search(value)), value


def _mutilated(chance, value, letters):
    at = chance.randint(0, len(value))
    return value[:at] + chance.choice(letters) + value[at + chance.randint(0, 1) :]
