"""Descriptors that are not saved, and what takes their places."""

import os

import pytest

from pyoci.criu.streams import NAME, describe, externals, load, replacements, save
from pyoci.errors import OperationError


def test_files_pipes_and_devices_are_told_apart(tmp_path):
    reader, writer = os.pipe()
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    given = [""] * (max(reader, writer, file) + 1)
    for fd in (reader, writer, file):
        given[fd] = os.readlink("/proc/self/fd/%d" % fd)
    found = describe(os.getpid(), given, set())
    assert found[reader] == found[writer] == "pipe:[%d]" % os.fstat(reader).st_ino
    assert found[file].startswith("file[")
    assert found[file].endswith(":%x]" % os.fstat(file).st_ino)
    mount = int(found[file][5:].partition(":")[0], 16)
    assert describe(os.getpid(), given, {mount})[file] == str(tmp_path / "file")
    for fd in (reader, writer, file):
        os.close(fd)


def test_a_terminal_of_the_host(tmp_path):
    master, slave = os.openpty()
    given = [os.readlink("/proc/self/fd/%d" % fd) if fd == slave else "" for fd in range(slave + 1)]
    node = os.fstat(slave)
    assert describe(os.getpid(), given, set())[slave] == "tty[%x:%x]" % (node.st_rdev, node.st_dev)
    os.close(master)
    os.close(slave)


def test_what_was_given_counts_and_not_what_is_there_now():
    """A program may have put a pipe of its own in the place of its output."""
    assert describe(os.getpid(), ["pipe:[1]"], set()) == ["pipe:[1]"]
    assert len(describe(os.getpid(), None, set())) == 3
    assert describe(os.getpid(), [], set()) == []


def test_criu_is_told_of_files_and_terminals_once():
    assert externals(["pipe:[1]", "file[1:2]", "file[1:2]", "tty[8:1]", "/x"]) == ["file[1:2]", "tty[8:1]"]


def test_the_list_is_written_for_the_owner_only_and_read_again(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    save(fd, ["pipe:[1]", "/x"])
    assert load(fd, "") == ["pipe:[1]", "/x"]
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    os.close(fd)


@pytest.mark.parametrize("text", [None, "", "{", "{}", "[1]", "null"])
def test_a_list_that_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / NAME).write_text(text)
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(OperationError, match=r"/images/descriptors\.json: "):
        load(fd, "/images")
    os.close(fd)


def test_each_gets_the_callers_descriptor_of_its_number():
    described = ["pipe:[1]", "/x", "file[1:2]", "pipe:[9]", "tty[8:1]"]
    pairs, handed = replacements(described, last=4, first_inherited=4)
    assert handed == [3, 4]
    assert pairs == [
        {"key": "pipe:[1]", "fd": 0},
        {"key": "file[1:2]", "fd": 2},
        {"key": "pipe:[9]", "fd": 4},
        {"key": "tty[8:1]", "fd": 5},
    ]


def test_one_file_with_two_numbers_is_named_once():
    pairs, _ = replacements(["", "pipe:[1]", "pipe:[1]"], last=2, first_inherited=4)
    assert pairs == [{"key": "pipe:[1]", "fd": 1}]


def test_a_missing_descriptor_is_named():
    with pytest.raises(OperationError, match="descriptor 4") as caught:
        replacements(["", "", "", "/x", "pipe:[1]"], last=3, first_inherited=4)
    assert caught.value.fix == "pass it with --preserve-fds 2"
