"""The attr files of security modules, opened and written; what the kernel makes of them is for test_apparmor."""

import os
import re

import pytest

from pyoci.errors import OperationError
from pyoci.init.labels import APPARMOR, SELINUX, Attribute, Labels

PODMAN = re.compile(r"`/proc/[a-z0-9-].+/attr.*`")


@pytest.fixture
def directory():
    """directory(path) -> an O_PATH descriptor."""
    opened = []

    def make(path):
        opened.append(os.open(path, os.O_PATH | os.O_DIRECTORY))
        return opened[-1]

    yield make
    for fd in opened:
        os.close(fd)


@pytest.mark.parametrize("kind", [APPARMOR, SELINUX], ids=lambda kind: kind[1])
@pytest.mark.parametrize("place", ["tmp", "/proc/self", "/sys"])
def test_only_the_root_of_a_procfs_will_do(directory, tmp_path, place, kind):
    """CVE-2019-19921: a directory of the image that looks like one takes the label and confines nothing."""
    if place == "tmp":
        place = str(tmp_path)
        os.makedirs(place + "/thread-self/attr/apparmor")
        for name in ("exec", "keycreate", "apparmor/exec"):
            (tmp_path / "thread-self/attr" / name).touch()
    labels = Labels("p", "") if kind is APPARMOR else Labels("", "l")
    with pytest.raises(OperationError, match="not the root of a procfs") as caught:
        labels.open(directory(place))
    assert caught.value.where == kind[0]
    assert labels.descriptors() == []


@pytest.mark.parametrize("kind", [APPARMOR, SELINUX], ids=lambda kind: kind[1])
def test_a_refusal_of_the_kernel_names_file_field_and_cause(directory, kind):
    """R-033: on any kernel, since no module knows these names."""
    name = "no-such-label-of-pyoci"
    labels = Labels(name, "") if kind is APPARMOR else Labels("", name)
    labels.open(directory("/proc"))
    with pytest.raises(OperationError) as caught:
        labels.apply()
    for fd in labels.descriptors():
        os.close(fd)
    error = caught.value
    assert PODMAN.search(error.message).group().endswith("/exec`")
    assert name in error.message
    assert error.where == kind[0]
    assert error.cause


def test_keys_are_labelled_and_then_no_more():
    """R-229: a line end alone puts the usual label back."""
    read_fd, write_fd = os.pipe()
    labels = Labels("", "a:b:c:s0")
    labels.keycreate = Attribute(SELINUX, "keycreate", write_fd)
    labels.label_keys(on=True)
    assert os.read(read_fd, 100) == b"a:b:c:s0"
    labels.label_keys(on=False)
    assert os.read(read_fd, 100) == b"\n"
    assert os.read(read_fd, 100) == b"", "the file is closed"
    os.close(read_fd)
    assert labels.descriptors() == []
    labels.label_keys(on=True)


def test_what_apparmor_and_selinux_are_told():
    ends = [os.pipe() for _ in range(2)]
    labels = Labels("profile", "context")
    labels.ready = [
        (Attribute(APPARMOR, "apparmor/exec", ends[0][1]), "exec profile", "profile"),
        (Attribute(SELINUX, "exec", ends[1][1]), "context", "context"),
    ]
    labels.apply()
    assert [os.read(end, 100) for end, _ in ends] == [b"exec profile", b"context"]
    for end, _ in ends:
        assert os.read(end, 100) == b""
        os.close(end)


def test_a_label_that_the_kernel_would_cut_is_an_error():
    read_fd, write_fd = os.pipe2(os.O_NONBLOCK)
    attribute = Attribute(SELINUX, "exec", write_fd)
    with pytest.raises(OperationError, match="invalid argument"):
        attribute.write("x" * (1 << 20), "x")
    os.close(read_fd)
    os.close(write_fd)


def test_without_the_right_to_mount_there_is_no_private_procfs():
    if os.geteuid() == 0:
        fd = Labels("p", "").private_procfs()
        assert fd == -1 or os.listdir("/proc/self/fd/%d" % fd)
        if fd >= 0:
            os.close(fd)
    else:
        assert Labels("p", "").private_procfs() == -1
