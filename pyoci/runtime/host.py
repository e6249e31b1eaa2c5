"""The host's facts that a plan needs, read when they are needed."""

import os

from pyoci.cgroup.layout import detect
from pyoci.errors import HostError
from pyoci.plan.facts import Facts

_MOST_CAPABILITIES = 63


def read_facts() -> Facts:
    """The facts of this host as this process sees it."""
    return Facts(detect(), bounding_set(), kcore=os.path.exists("/proc/kcore"))


def bounding_set() -> int:
    """The capabilities that the kernel knows and that this process may pass on, as a bit mask."""
    fd = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    text = b""
    try:
        while part := os.read(fd, 65536):  # a long line of groups may stand before it
            text += part
    finally:
        os.close(fd)
    return int(text[text.index(b"\nCapBnd:") + 8 :].split(None, 1)[0], 16)


def lacks_power(rootless: bool | None) -> bool:
    """Whether we have no power over the host's cgroups: not root, or root of a user namespace only.

    `rootless` is what --rootless says of it, None when we are to find out.
    """
    if rootless is not None:
        return rootless
    if os.geteuid() != 0:
        return True
    fd = os.open("/proc/self/uid_map", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096).split() != [b"0", b"0", b"4294967295"]
    finally:
        os.close(fd)


def check_kernel() -> None:
    """HostError on a kernel older than 5.12, the first with openat2, move_mount and mount_setattr."""
    release = os.uname().release
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0]
    if major.isdigit() and minor.isdigit() and (int(major), int(minor)) < (5, 12):
        raise HostError(
            "Linux %s is too old: function not implemented" % release,
            cause="pyoci resolves paths with openat2 and mounts by descriptor (openat2, move_mount, mount_setattr)",
            fix="boot Linux 5.12 or newer",
        )
