"""The import budget: the commands that engines call many times load nothing heavy.

Each command is run in a child process with -X importtime, and every module it loads must be one of pyoci's, one
that a bare interpreter has loaded anyway, or one of the few on the list.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pyoci

SOURCE = str(Path(pyoci.__file__).parent.parent)
# C extension modules and what they are wrapped in: some microseconds each.
ALLOWED = {"os", "stat", "posixpath", "genericpath", "abc", "_abc", "_collections_abc", "_stat"}
ALLOWED |= {"sys", "errno", "fcntl", "select", "time", "gc", "_struct", "_signal", "_socket", "_json", "_ctypes"}
ALLOWED |= {"_sha256", "_sha2"}
ALSO = {"list": {"pwd"}}  # the owner's name
# Our own modules that only answers to people need.
FOR_PEOPLE = {"pyoci.cli.human", "pyoci.cli.click_reader", "pyoci.cli.version"}
HOT = {
    "create": ["create", "--bundle", "BUNDLE", "c1"],
    "run": ["run", "--bundle", "BUNDLE", "c1"],
    "start": ["start", "c1"],
    "state": ["state", "c1"],
    "kill": ["kill", "c1", "9"],
    "delete": ["delete", "c1"],
    "delete --force": ["delete", "--force", "c1"],
    "list": ["list", "--format", "json"],
    "exec": ["exec", "--process", "/nonexistent", "c1"],
    "pause": ["pause", "c1"],
    "resume": ["resume", "c1"],
    "ps": ["ps", "--format", "json", "c1"],
    "events": ["events", "--stats", "c1"],
    "a failure with a json log": ["--log", "BUNDLE/log", "--log-format", "json", "state", "c1"],
}


def imports_of(code: str, *argv: str) -> set[str]:
    """The modules that a child loads after the interpreter is up and `code` runs."""
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-X", "importtime", "-c", code, *argv]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env={"PATH": os.defpath}
    )
    rows = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {row[2].strip() for row in rows[1:]}


BARE = imports_of("pass")


def test_the_child_tells_what_it_imports() -> None:
    assert "json.decoder" in imports_of("import json")
    assert "encodings.utf_8" in BARE


@pytest.mark.parametrize("command", HOT)
def test_a_hot_command_imports_nothing_heavy(command: str, tmp_path: Path) -> None:
    code = "import sys; sys.path.append(%r); from pyoci.cli.main import main; main(sys.argv[1:])" % SOURCE
    argv = [word.replace("BUNDLE", str(tmp_path)) for word in HOT[command]]
    loaded = imports_of(code, "--root", str(tmp_path / "root"), *argv)
    assert "pyoci.cli.main" in loaded
    ours = {name for name in loaded if name.partition(".")[0] == "pyoci"}
    assert sorted(loaded - ours - BARE - ALLOWED - ALSO.get(command, set())) == []
    assert sorted(ours & FOR_PEOPLE) == []
