"""What a verb is given."""

import os
from pathlib import Path

import pytest

from pyoci.cli import call
from pyoci.cli.call import Call, checked_root, default_root
from pyoci.cli.parse import read
from pyoci.errors import PyociError, UsageError
from pyoci.log import Log


def make(line: str) -> Call:
    return Call(read(line.split()), Log())


def test_every_option_is_there_with_its_default() -> None:
    options = make("create c1").options
    assert options == {
        "bundle": ".",
        "config": "",
        "console_socket": "",
        "pidfd_socket": "",
        "pid_file": "",
        "no_pivot": False,
        "no_new_keyring": False,
        "no_subreaper": False,
        "preserve_fds": 0,
    }


@pytest.mark.parametrize(
    ("flags", "manager"),
    [
        ("", "cgroupfs"),
        ("--systemd-cgroup", "systemd"),
        ("--systemd-cgroup=false", "cgroupfs"),
        ("--cgroup-manager systemd", "systemd"),
        ("--cgroup-manager disabled", "disabled"),
        ("--systemd-cgroup --cgroup-manager disabled", "disabled"),
    ],
)
def test_the_cgroup_manager_is_the_one_that_was_named(flags: str, manager: str) -> None:
    made = make(flags + " state c1")
    assert (made.cgroup_manager, made.systemd_cgroup) == (manager, manager == "systemd")


@pytest.mark.parametrize(("word", "value"), [("true", True), ("false", False), ("auto", None), ("AUTO", None)])
def test_rootless_is_yes_no_or_find_out(word: str, value: bool | None) -> None:
    assert make("--rootless=%s state c1" % word).rootless is value


@pytest.mark.parametrize("given", ["", "/", "//", "/..", "/usr/..", "/./", "/proc/self/root"])
def test_the_root_directory_is_no_state_root(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_root(given)
    assert given in caught.value.message


@pytest.mark.parametrize(
    ("given", "root"), [("/a//b/../c/", "/a/c"), ("//a", "/a"), ("/nonexistent", "/nonexistent")]
)
def test_the_state_root_is_cleaned(given: str, root: str) -> None:
    assert checked_root(given) == root


def test_a_relative_state_root_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked_root("r") == str(tmp_path / "r")


def test_real_root_keeps_its_state_in_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert default_root("state") == "/run/pyoci"
    assert make("state c1").root_is_default


@pytest.mark.parametrize(("command", "made"), [("create", True), ("run", True), ("state", False), ("list", False)])
def test_without_privileges_the_state_is_in_the_users_runtime_directory(
    command: str, made: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_root(command) == str(tmp_path / "pyoci")
    assert (tmp_path / "pyoci").is_dir() is made
    if made:
        assert (tmp_path / "pyoci").stat().st_mode & 0o7777 == 0o1700


@pytest.mark.parametrize(
    ("euid", "user", "uid_map", "without"),
    [
        (0, None, "0 0 4294967295", False),
        (0, "joe", "0 0 4294967295", False),
        (0, "joe", "0 1000 1", True),
        (0, None, "0 1000 1", True),
        (0, "root", "0 1000 1", False),
        (1000, "root", "0 0 4294967295", True),
    ],
)
def test_root_of_somebody_elses_user_namespace_counts_as_a_user(
    euid: int, user: str | None, uid_map: str, without: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uid_map").write_text("%10s %10s %10s\n" % tuple(uid_map.split()))
    monkeypatch.setattr(call, "_UID_MAP", str(tmp_path / "uid_map"))
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    if user is None:
        monkeypatch.delenv("USER", raising=False)
    else:
        monkeypatch.setenv("USER", user)
    assert call._without_privileges() is without


def test_write_gives_back_the_bytes_that_came_in(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    make("state c1").write("ü/\udcff\n")
    assert capfdbinary.readouterr().out == b"\xc3\xbc/\xff\n"


def test_writing_to_a_closed_standard_output_is_an_error() -> None:
    with pytest.raises(PyociError) as caught:
        Call(read(["state", "c1"]), Log(), stdout_closed=True).write("x")
    assert caught.value.message == "write standard output: bad file descriptor"
