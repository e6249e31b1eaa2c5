"""What cgroup hierarchies this host has, where they are mounted and where this process sits in them.

Everything comes from /proc/self/mountinfo and /proc/self/cgroup (cgroups(7)), one read each, and never from
directory names: controllers may be co-mounted in either order, and inside another container the visible root
of a hierarchy is not its real one.  Nothing is written here.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    Mode = Literal["unified", "legacy", "hybrid", "none"]

TOP = "/sys/fs/cgroup"

# The order in which the hierarchies of version 1 are worked through: cpuset first because attaching to an
# unfilled one fails, devices early so that nothing runs unrestricted; what only counts or names comes last.
_ORDER = (
    "cpuset", "devices", "memory", "cpu", "cpuacct", "pids", "blkio", "hugetlb", "net_cls", "net_prio",
    "perf_event", "freezer", "rdma", "name=systemd", "misc",
)  # fmt: skip


class Hierarchy:
    """One mounted hierarchy.

    controllers  ("cpu", "cpuacct"), ("name=systemd",); empty for version 2
    mountpoint   where it is mounted on the host
    own          this process's cgroup as a path below `mountpoint`: "/" or "/a/b"
    unified      version 2
    noprefix     version 1 cpuset whose files are called `cpus` and `mems`
    """

    __slots__ = ("controllers", "mountpoint", "noprefix", "own", "unified")

    def __init__(
        self,
        controllers: "tuple[str, ...]",
        mountpoint: str,
        own: str = "/",
        *,
        unified: bool = False,
        noprefix: bool = False,
    ) -> None:
        self.controllers = controllers
        self.mountpoint = mountpoint
        self.own = own
        self.unified = unified
        self.noprefix = noprefix

    @property
    def options(self) -> str:
        """What mount(2) takes as data to mount this hierarchy of version 1 again: `cpu,cpuacct`."""
        return ",".join(self.controllers)

    @property
    def name(self) -> str:
        """The directory's name below /sys/fs/cgroup: `cpu,cpuacct`, `systemd`, `unified`; "" for the top itself."""
        if self.mountpoint == TOP:
            return ""
        if os.path.dirname(self.mountpoint) == TOP:
            return os.path.basename(self.mountpoint)
        return self.options.removeprefix("name=") or "unified"

    @property
    def links(self) -> "list[str]":
        """Symlinks beside the directory that lead to it: [`cpu`, `cpuacct`]; [] for a single controller."""
        if len(self.controllers) < 2:
            return []
        return [controller for controller in self.controllers if controller != self.name]

    def __repr__(self) -> str:
        return "Hierarchy(%r, %r, own=%r)" % (self.options or "unified", self.mountpoint, self.own)


class Layout:
    """The hierarchies of a host.

    mode         "unified" (version 2 only), "legacy" (version 1 only), "hybrid" (version 1 holds the
                 controllers, a version 2 tree stands beside it), "none"
    hierarchies  those of version 1, in the order of work
    unified      the version 2 tree, or None
    controllers  what the version 2 tree's root offers (its cgroup.controllers); empty unless the mode is unified
    """

    __slots__ = ("controllers", "hierarchies", "mode", "unified")

    def __init__(
        self,
        mode: "Mode",
        hierarchies: "list[Hierarchy]",
        unified: "Hierarchy | None",
        controllers: "tuple[str, ...]" = (),
    ) -> None:
        self.mode = mode
        self.hierarchies = hierarchies
        self.unified = unified
        self.controllers = controllers


NO_CGROUPS = Layout("none", [], None)


def detect() -> Layout:
    """The layout as this process sees it now; mode "none" when nothing is mounted or /proc is missing."""
    try:
        layout = parse_layout(_read("/proc/self/mountinfo"), _read("/proc/self/cgroup"))
    except FileNotFoundError:
        return NO_CGROUPS
    if layout.mode == "unified" and layout.unified is not None:
        layout.controllers = tuple(_read(layout.unified.mountpoint + "/cgroup.controllers").split())
    return layout


def parse_layout(mountinfo: str, own: str) -> Layout:
    """The layout that the texts of /proc/self/mountinfo and /proc/self/cgroup describe; reads nothing."""
    membership = _membership(own)
    found: dict[tuple[str, ...], Hierarchy] = {}
    unified: Hierarchy | None = None
    top_is_unified = False
    for root, mountpoint, kind, options in _cgroup_mounts(mountinfo):
        if kind == "cgroup2":
            if unified is None or _better(mountpoint, unified.mountpoint):
                own_path = _below(membership.get("", ((), "/"))[1], root)
                unified = Hierarchy((), mountpoint, own_path, unified=True)
            top_is_unified = top_is_unified or mountpoint == TOP
            continue
        words = options.split(",")
        for word in words:
            if word in membership:
                controllers, path = membership[word]
                old = found.get(controllers)
                if old is None or _better(mountpoint, old.mountpoint):
                    noprefix = "noprefix" in words
                    found[controllers] = Hierarchy(controllers, mountpoint, _below(path, root), noprefix=noprefix)
                break
    hierarchies = sorted(found.values(), key=_rank)
    if unified is not None and (top_is_unified or not hierarchies):
        # A named hierarchy beside a unified tree is somebody's private affair (old systemd in a container).
        return Layout("unified", [], unified)
    if not hierarchies:
        return NO_CGROUPS
    return Layout("legacy" if unified is None else "hybrid", hierarchies, unified)


def _membership(own: str) -> "dict[str, tuple[tuple[str, ...], str]]":
    """/proc/self/cgroup by controller: {"cpu": (("cpu", "cpuacct"), "/a")}; version 2 under ""."""
    result = {}
    for line in own.splitlines():
        _, names, path = line.split(":", 2)
        controllers = tuple(names.split(",")) if names else ()
        for controller in controllers or ("",):
            result[controller] = (controllers, path)
    return result


def _cgroup_mounts(mountinfo: str) -> "Iterator[tuple[str, str, str, str]]":
    """(root, mount point, file system, super options) of every cgroup mount, in the order of mounting."""
    for line in mountinfo.splitlines():
        if " - cgroup" not in line:
            continue
        left, _, right = line.partition(" - ")
        kind, _, rest = right.partition(" ")
        if kind in ("cgroup", "cgroup2"):
            fields = left.split(" ")
            yield unescape(fields[3]), unescape(fields[4]), kind, rest.rpartition(" ")[2]


def _better(new: str, old: str) -> bool:
    """Whether the later mount is the one to use: below /sys/fs/cgroup, or on top of the earlier one.

    Other containers' mounts of the same hierarchy may be visible below their root file systems.
    """
    return new == old or (_in_top(new) and not _in_top(old))


def _in_top(path: str) -> bool:
    return path == TOP or path.startswith(TOP + "/")


def _below(path: str, root: str) -> str:
    """A cgroup's path as seen below a mount whose root is `root`; "/" when it is not visible there.

    In a container without a cgroup namespace both are `/docker/ID`; for a process outside the namespace's
    root the kernel writes `/../other`.
    """
    if path.startswith("/.."):
        return "/"
    if root == "/":
        return path
    if path.startswith(root + "/"):
        return path[len(root) :]
    return "/"


def _rank(hierarchy: Hierarchy) -> int:
    ranks = [_ORDER.index(name) for name in hierarchy.controllers if name in _ORDER]
    return min(ranks, default=len(_ORDER))


def unescape(text: str) -> str:
    """Undo mountinfo's octal escapes of space, tab, newline and backslash."""
    if "\\" not in text:
        return text
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
    finally:
        os.close(fd)
    return os.fsdecode(b"".join(parts))
