"""Where resctrl is mounted."""

import os

from pyoci.cgroup.layout import unescape

RESCTRL = "resctrl"


class Mounted:
    """A mounted resctrl: its directory; in_mbps: bandwidths in MB/s, not percent (mount option mba_MBps)."""

    __slots__ = ("in_mbps", "path")

    def __init__(self, path: str, *, in_mbps: bool = False) -> None:
        self.path = path
        self.in_mbps = in_mbps


def find() -> Mounted | None:
    """The resctrl of our mount namespace; None where there is none.

    No option and no variable says it.  Everyone asks here, by `mounted.find()`, so that a test's own program may
    put its own function in this one's place and work on a tree that behaves like resctrl.
    """
    fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
    finally:
        os.close(fd)
    return parse(os.fsdecode(b"".join(parts)))


def parse(mountinfo: str) -> Mounted | None:
    """The first mount of the whole of resctrl that a text of /proc/self/mountinfo shows."""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, rest = right.partition(" ")
        fields = left.split(" ")
        if kind == RESCTRL and fields[3] == "/":
            return Mounted(unescape(fields[4]), in_mbps="mba_MBps" in rest.rpartition(" ")[2].split(","))
    return None
