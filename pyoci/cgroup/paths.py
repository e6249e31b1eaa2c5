"""From `linux.cgroupsPath` to directories.  Pure: text in, text out."""

import os

from pyoci.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.layout import Hierarchy, Layout

_WHERE = ".linux.cgroupsPath"


def clean(cgroups_path: str) -> str:
    """The path without `.`, `..` and doubled slashes; `..` stops at the root.  Absolute stays absolute.

    >>> clean("/a/../../b"), clean("../a//b"), clean("system.slice:pyoci:x")
    ('/b', 'a/b', 'system.slice:pyoci:x')

    Raises ConfigError when nothing is left (the root belongs to the host) or the name is impossible.
    """
    if "\0" in cgroups_path or "\n" in cgroups_path:
        raise ConfigError("cgroupsPath contains a character that no cgroup's name can have", where=_WHERE)
    absolute = cgroups_path.startswith("/")
    inside = os.path.normpath("/" + cgroups_path.lstrip("/"))
    if inside == "/":
        raise ConfigError(
            "cgroupsPath %r is the root of the cgroup tree" % cgroups_path,
            where=_WHERE,
            fix="name a cgroup of the container's own, such as /containers/web1",
        )
    return inside if absolute else inside[1:]


def container_path(hierarchy: "Hierarchy", cleaned: str, mode: str) -> str:
    """The container's directory in one hierarchy, for a path from `clean`.

    An absolute path starts at the mount point.  A relative one starts at our own cgroup, except on a unified
    host: there it starts at our own cgroup's parent, since a cgroup with processes cannot hand controllers
    down.  A path in systemd's form `slice:prefix:name` is a relative path like any other to this driver.
    """
    if cleaned.startswith("/"):
        return hierarchy.mountpoint + cleaned
    base = os.path.dirname(hierarchy.own) if mode == "unified" else hierarchy.own
    if base == "/":
        base = ""
    return hierarchy.mountpoint + base + "/" + cleaned


def container_paths(
    layout: "Layout", cgroups_path: "str | None", container_id: str
) -> "list[tuple[Hierarchy, str]]":
    """(hierarchy, directory) of a container, in the order of work; the version 2 tree last.

    Without a cgroupsPath (None or "") the container's id serves as a relative path.
    """
    cleaned = clean(cgroups_path or container_id)
    every = list(layout.hierarchies)
    if layout.unified is not None:
        every.append(layout.unified)
    return [(hierarchy, container_path(hierarchy, cleaned, layout.mode)) for hierarchy in every]
