"""The mounts that criu is not to save: those whose content belongs to the host.

At the checkpoint each one's mount point in the container gets a name, which is its destination in config.json; at
the restore the name is given a place on the host.  What is mounted where is asked of the kernel, since an image
may have symlinks on the way.  Names and form are those of runc: an image can be restored by either.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Pair = dict[str, str]
    Identity = tuple[int, int]

NULL = "/dev/null"


class MountPoint:
    """A line of mountinfo (proc_pid_mountinfo(5)): the mount's number, its parent's, its place and options."""

    __slots__ = ("number", "options", "parent", "path")

    def __init__(self, number: int, parent: int, path: str, options: frozenset[str]) -> None:
        self.number = number
        self.parent = parent
        self.path = path
        self.options = options


def read_table(text: bytes) -> list[MountPoint]:
    """The mounts of a mountinfo file, in its order."""
    table = []
    for line in text.splitlines():
        fields = line.split(b" ")
        options = frozenset(fields[5].decode("ascii", "replace").split(","))
        table.append(MountPoint(int(fields[0]), int(fields[1]), _unescape(fields[4]), options))
    return table


def _unescape(field: bytes) -> str:
    r"""A path without its octal escapes (`\040` and the like)."""
    parts = field.split(b"\\")
    text = parts[0] + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in parts[1:])
    return text.decode("utf-8", "surrogateescape")


def saved_names(
    table: list[MountPoint],
    binds: "Iterable[tuple[str, bool]]",
    locate: "Callable[[str], str]",
    *,
    others: "Iterable[str]",
    masks: "Iterable[str]",
    devices: "Iterable[str]",
) -> "list[Pair]":
    """Mount point and name of every mount of the host in a container, for the checkpoint.

    binds: destinations of bind mounts, and whether what was mounted below the source came along; others: paths
    that have mounts of the container itself; masks: files under the null device; devices: nodes that may be bound.
    `locate` gives the real path of a destination, "" where there is none.
    """
    by_path = {mount.path: mount for mount in table}  # of mounts on top of each other the last
    pairs: dict[str, str] = {}
    tops: list[tuple[MountPoint, str]] = []
    for destination, recursive in binds:
        mount = by_path.get(locate(destination))
        if mount is not None:
            pairs[mount.path] = destination
            if recursive:
                tops.append((mount, destination))
    for path in masks:
        point = locate(path)
        if point in by_path:
            pairs.setdefault(point, NULL)
    for path in devices:
        point = locate(path)
        if point in by_path:
            pairs.setdefault(point, path)
    own = {locate(path) for path in others}
    for top, name in tops:
        for mount in _below(table, top):
            if mount.path not in own:
                pairs.setdefault(mount.path, name + mount.path[len(top.path) :])
    return [{"key": point, "val": name} for point, name in pairs.items()]


def freer(
    table: list[MountPoint], asked: "Iterable[tuple[str, Iterable[str]]]", locate: "Callable[[str], str]"
) -> tuple[str, str]:
    """(destination, option) of a bind mount whose mount lacks an option (ro, nosuid, ...) it was asked to have.

    ("", "") when there is none.  A container that moves the directories of mount points and puts symlinks in their
    place could otherwise have the name of a read-only mount given to one that can be written to.
    """
    by_path = {mount.path: mount for mount in table}
    for destination, options in asked:
        mount = by_path.get(locate(destination))
        if mount is not None:
            for option in options:
                if option not in mount.options:
                    return destination, option
    return "", ""


def swapped(found: "dict[str, Identity]", meant: "dict[str, Identity]") -> tuple[str, str]:
    """(destination, the destination of another mount that is there in its stead); ("", "") when there is none.

    found, meant: device and inode of what is at each destination, and of its source on the host.  What is neither
    the source nor another's was replaced on the host since, which the container is not to blame for.
    """
    for destination, identity in found.items():
        if identity != meant.get(destination, identity):
            for other, source in meant.items():
                if source == identity:
                    return destination, other
    return "", ""


def places(
    table: list[MountPoint], binds: "Iterable[tuple[str, str, bool]]", devices: "Iterable[str]"
) -> "list[Pair]":
    """Name and place on the host of every such mount, for the restore.

    binds: destination, resolved source, and whether what is mounted below the source comes along.
    """
    pairs: dict[str, str] = {NULL: NULL}
    for path in devices:
        pairs[path] = path
    for destination, source, recursive in binds:
        pairs[destination] = source
        if recursive:
            for mount in table:
                if mount.path.startswith(source.rstrip("/") + "/"):
                    pairs.setdefault(destination + mount.path[len(source.rstrip("/")) :], mount.path)
    return [{"key": name, "val": place} for name, place in pairs.items()]


def _below(table: list[MountPoint], top: MountPoint) -> list[MountPoint]:
    """The mounts on the mount `top`, those on them, and so on."""
    found = {top.number}
    result = []
    for mount in table:  # a parent's line comes before its children's
        if mount.parent in found:
            found.add(mount.number)
            result.append(mount)
    return result
