"""A container's directory in one hierarchy, and making it fit to be joined."""

import errno
import os

from pyoci.cgroup import freezer, tree
from pyoci.errors import OperationError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pyoci.cgroup.layout import Hierarchy

_DOMAIN_CONTROLLERS = ("cpu", "hugetlb", "io", "memory")


class Directory:
    """The container's directory in one hierarchy; `controllers` is empty for version 2.

    `root` is the hierarchy's mount point, above which nothing of ours is ever touched.
    """

    __slots__ = ("controllers", "noprefix", "path", "root")

    def __init__(self, controllers: "tuple[str, ...]", root: str, path: str, *, noprefix: bool = False) -> None:
        self.controllers = controllers
        self.root = root
        self.path = path
        self.noprefix = noprefix

    @classmethod
    def of(cls, hierarchy: "Hierarchy", path: str) -> "Directory":
        """`path` in `hierarchy`."""
        return cls(hierarchy.controllers, hierarchy.mountpoint, path, noprefix=hierarchy.noprefix)

    @property
    def unified(self) -> bool:
        """Version 2."""
        return not self.controllers

    @property
    def optional(self) -> bool:
        """Whether failing to join is no harm, on a version 1 or hybrid host: nothing is limited through it."""
        return all(name == "misc" or name.startswith("name=") for name in self.controllers)

    def to_record(self) -> "dict[str, Any]":
        """As JSON values."""
        record: dict[str, Any] = {"controllers": ",".join(self.controllers), "root": self.root, "path": self.path}
        if self.noprefix:
            record["noprefix"] = True
        return record

    @classmethod
    def from_record(cls, record: "dict[str, Any]") -> "Directory":
        """The opposite of `to_record`."""
        controllers = tuple(record["controllers"].split(",")) if record["controllers"] else ()
        return cls(controllers, record["root"], record["path"], noprefix=record.get("noprefix", False))

    def __repr__(self) -> str:
        return "Directory(%r, %r)" % (",".join(self.controllers) or "unified", self.path)


def shortened(record: "dict[str, Any]") -> "dict[str, Any]":
    """A driver's record with what all paths have in common said once: a symlink's target holds 4095 bytes.

    Fourteen hierarchies with a pod's long names are more than that.
    """
    places = {entry["path"].removeprefix(entry["root"]) for entry in record["directories"]}
    if len(places) != 1:
        return record
    short = [{key: value for key, value in entry.items() if key != "path"} for entry in record["directories"]]
    return {**record, "place": places.pop(), "directories": short}


def lengthened(record: "dict[str, Any]") -> "dict[str, Any]":
    """The opposite of `shortened`."""
    place = record.get("place", "")
    long = [{**entry, "path": entry.get("path", entry["root"] + place)} for entry in record["directories"]]
    return {**record, "directories": long}


def may_make(path: str) -> bool:
    """Whether we may make the directory: write where its nearest ancestor is."""
    parent = os.path.dirname(path)
    while not os.path.isdir(parent) and parent != "/":
        parent = os.path.dirname(parent)
    return os.access(parent, os.W_OK, effective_ids=True)


def make(path: str, made: "list[str]") -> None:
    """Make the directory and its parents, noting each one made.

    Raises FileExistsError when the last one was there before, OSError.
    """
    try:
        os.mkdir(path, 0o755)
    except FileNotFoundError:
        try:
            make(os.path.dirname(path), made)
        except FileExistsError:
            pass  # another container's create was faster
        os.mkdir(path, 0o755)
    made.append(path)


def make_unified(directory: Directory, controllers: "tuple[str, ...]", made: "list[str]") -> None:
    """Make a version 2 directory; every level hands all of the root's `controllers` down to the next.

    Raises as `make`.
    """
    existed = False
    try:
        os.mkdir(directory.path, 0o755)
        made.append(directory.path)
    except FileExistsError:
        existed = True
    except FileNotFoundError:
        pass
    else:
        # The parent may hand everything down already: the second container in /pods/web.
        if set(tree.read(directory.path + "/cgroup.controllers").split()) >= set(controllers):
            return
    words = ["+" + name for name in controllers]
    level = directory.root
    for name in directory.path[len(directory.root) + 1 :].split("/"):
        _hand_down(level, words)
        level += "/" + name
        try:
            os.mkdir(level, 0o755)
            made.append(level)
        except FileExistsError:
            pass
    if existed:
        raise FileExistsError(errno.EEXIST, "the cgroup exists")


def _hand_down(path: str, words: "list[str]") -> None:
    """Enable controllers for a cgroup's children: all at once, else each by itself, as far as that goes.

    What is missing then shows when a limit needs it: one controller that is refused (a realtime process
    for cpu, another owner) must not cost the others.
    """
    file = path + "/cgroup.subtree_control"
    try:
        tree.write(file, " ".join(words))
    except OSError as error:
        if error.errno == errno.EBUSY:
            # It holds processes. Most controllers are impossible then, and the few others would make it a
            # threaded domain, in which the new cgroup could take no process at all.
            return
        for word in words:
            try:
                tree.write(file, word)
            except OSError:
                pass


def refuse_if_used(directory: Directory) -> None:
    """A cgroup that was there before is taken over only when it is empty: its limits become ours.

    Raises OperationError.
    """
    pids = tree.processes(directory.path)
    if pids:
        raise OperationError(
            "container's cgroup is not empty: %d process(es) found" % len(pids),
            where=".linux.cgroupsPath",
            cause="%s holds process %s" % (directory.path, ", ".join(str(pid) for pid in pids[:10])),
            fix="give each container a cgroup of its own",
        )
    freezable = directory.unified or "freezer" in directory.controllers
    if freezable and freezer.is_frozen(directory.path, unified=directory.unified):
        raise OperationError(
            "container's cgroup unexpectedly frozen", where=".linux.cgroupsPath", cause=directory.path
        )


def ready_for(directory: Directory, limited: "Iterable[str]") -> None:
    """Check that a version 2 directory can take processes, with limits of the controllers `limited`.

    A group below a threaded one cannot; made threaded itself it can, but without most controllers.
    Raises OperationError.
    """
    kind = tree.read(directory.path + "/cgroup.type").strip()
    if kind == "domain":
        return
    needed = sorted(set(limited) & set(_DOMAIN_CONTROLLERS))
    if needed:
        raise OperationError(
            "cannot enter cgroup %s: it is of type %r" % (directory.path, kind),
            where=".linux.cgroupsPath",
            cause="the %s controller is needed and works in domain cgroups only" % ", ".join(needed),
            fix="choose a cgroupsPath that is not below a threaded cgroup",
        )
    if kind == "domain invalid":
        try:
            tree.write(directory.path + "/cgroup.type", "threaded")
        except OSError as error:
            raise OperationError(
                "cannot make cgroup %s threaded: %s" % (directory.path, errno_text(error.errno or 0)),
                where=".linux.cgroupsPath",
            ) from None


def fill_cpuset(directory: Directory, configured: "Iterable[str]") -> None:
    """Version 1: a new cpuset is empty and nothing may join it (ENOSPC) until it has CPUs and nodes.

    Every level below the root gets its parent's, where it has none; the container's own directory only for
    those of cpuset.cpus and cpuset.mems that are not `configured`.  Raises OperationError.
    """
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = name.partition(".")[2] if directory.noprefix else name
        start = os.path.dirname(directory.path) if name in configured else directory.path
        try:
            _filled(start, directory.root, file)
        except OSError as error:
            raise OperationError(
                "cannot fill %s: %s" % (name, errno_text(error.errno or 0)), cause=directory.path
            ) from None


def _filled(path: str, root: str, file: str) -> str:
    """The cpuset's CPUs or nodes, copied from its parent if it has none yet.  Raises OSError."""
    value = tree.read(path + "/" + file).strip()
    if not value and path != root:
        value = _filled(os.path.dirname(path), root, file)
        tree.write(path + "/" + file, value)
    return value
