"""What checkpoint and restore have to agree on: which mounts, namespaces and devices come from the host."""

import os

from pyoci.cgroup.paths import container_paths
from pyoci.errors import ConfigError, HostError
from pyoci.kernel.path import clean
from pyoci.ops.mounts import AttachCgroupTree, AttachFilesystem, AttachTree
from pyoci.plan.mounts import make_mounts
from pyoci.plan.namespaces import make_namespaces
from pyoci.tables.mount_options import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
)
from pyoci.tables.namespaces import PROC_NAMES
from pyoci.tables.rootfs import DEVICES
from pyoci.tables.seccomp import notified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pyoci.config.types import Config
    from pyoci.ops.context import Operation
    from pyoci.plan.facts import Facts
    from pyoci.plan.records import Namespaces

# Namespaces by path that criu leaves alone altogether, and the names under which it is handed them again.
_LEFT_ALONE = {"network": ("net", "extRootNetNS"), "pid": ("pid", "extRootPidNS")}
# Those that it joins at the restore, in its own words.
_JOINED = {"ipc": "ipc", "uts": "uts", "time": "time", "user": "user"}
_RESTRICTIONS = (
    (MOUNT_ATTR_RDONLY, "ro"),
    (MOUNT_ATTR_NOSUID, "nosuid"),
    (MOUNT_ATTR_NODEV, "nodev"),
    (MOUNT_ATTR_NOEXEC, "noexec"),
)
# Options of mounts that criu knows nothing of: ids seen as others, and symlinks that are mounted themselves.
_LOST = frozenset(("idmap", "ridmap", "src-nofollow", "dest-nofollow", "copy-symlink"))


def refuse_what_would_be_lost(config: "Config") -> None:
    """ConfigError for what criu knows nothing of and a restored container would silently lack."""
    found = ""
    for index, mount in enumerate(config.get("mounts", [])):
        if mount.get("uidMappings") or mount.get("gidMappings") or not _LOST.isdisjoint(mount.get("options", [])):
            found = ".mounts[%d]" % index
    linux = config.get("linux", {})
    if "seccomp" in linux and notified(linux["seccomp"]):
        found = ".linux.seccomp"
    for key in ("netDevices", "intelRdt"):
        if linux.get(key):
            found = ".linux." + key
    if found:
        raise ConfigError(
            "checkpoint and restore cannot keep %s: operation not supported" % found,
            where=found,
            cause="criu saves no id-mapped mount, bound symlink or seccomp listener, and nothing of the host's",
        )


def warnings_of_labels(config: "Config") -> list[str]:
    """For a restore, of what names a security profile or label: criu sets those that it saved."""
    process = config.get("process", {})
    linux = config.get("linux", {})
    named = [".process." + key for key in ("apparmorProfile", "selinuxLabel") if process.get(key)]
    if linux.get("mountLabel"):
        named.append(".linux.mountLabel")
    text = "%s: what the images hold counts; --lsm-profile and --lsm-mount-context name others"
    return [text % where for where in named]


def refuse_units(asked_by: str) -> None:
    """HostError: a unit is made around a first process that is there already, and criu makes it with all others."""
    raise HostError(
        "%s: operation not supported" % asked_by,
        cause="restore cannot have systemd make the cgroup of a container",
        fix="use the cgroupfs driver for containers that are to be saved",
    )


def planned_mounts(config: "Config", facts: "Facts", container_id: str, bundle: str) -> "list[Operation]":
    """The mounts of a container, from the plan's own making of them."""
    linux = config.get("linux", {})
    cgroups = container_paths(facts.layout, linux.get("cgroupsPath"), container_id)
    return make_mounts(config, facts, make_namespaces(linux), bundle, cgroups)[0]


def host_trees(steps: "Iterable[Operation]", namespaces: "Namespaces") -> list[tuple[str, str, bool]]:
    """(destination, place on the host, whether what is mounted below comes along) of all that is bound.

    Those of config.json, and what a user namespace gets of the host because it may not mount its own.
    """
    in_user_namespace = namespaces.has("user")
    no_cgroup = in_user_namespace and "cgroup" not in namespaces.new
    no_sysfs = in_user_namespace and "network" not in namespaces.new
    trees = []
    for step in steps:
        if isinstance(step, AttachTree):
            trees.append((step.destination, step.source, step.recursive))
        elif no_cgroup and isinstance(step, AttachCgroupTree):
            trees.append((step.destination, step.bound, True))
        elif no_sysfs and isinstance(step, AttachFilesystem) and step.filesystem == "sysfs":
            trees.append((step.destination, "/sys", True))
    return trees


def restrictions(steps: "Iterable[Operation]") -> list[tuple[str, list[str]]]:
    """(destination, the options that restrict it, as mountinfo has them) of every mount.

    Of mounts at one destination the last counts, as it covers the others.
    """
    found = {}
    for step in steps:
        if isinstance(step, (AttachTree, AttachCgroupTree, AttachFilesystem)):
            asked = step.attributes
            attributes = asked.set & ~asked.recursive_clear | asked.recursive_set
            words = [word for bit, word in _RESTRICTIONS if attributes & bit]
            found[clean(step.destination)] = (step.destination, words)
    return [*found.values()]


def device_paths(config: "Config") -> list[str]:
    """Every device node that may be a bind mount of the host's."""
    return [path for path, _, _ in DEVICES] + [
        device["path"] for device in config.get("linux", {}).get("devices", [])
    ]


def external_namespaces(pid: int, namespaces: "Namespaces") -> list[str]:
    """The namespaces of init that are somebody else's, for the checkpoint."""
    result = []
    for joined in namespaces.joined:
        if joined.kind in _LEFT_ALONE:
            name, key = _LEFT_ALONE[joined.kind]
            inode = os.stat("/proc/%d/ns/%s" % (pid, PROC_NAMES[joined.kind])).st_ino
            result.append("%s[%d]:%s" % (name, inode, key))
    return result


def namespaces_to_join(namespaces: "Namespaces") -> "tuple[list[dict[str, Any]], list[tuple[str, int]]]":
    """For the restore: (what criu joins by path, (key, descriptor) of what it is handed).

    ConfigError for a kind that criu cannot put anybody into, or a path that leads nowhere.
    """
    by_path: list[dict[str, Any]] = []
    handed: list[tuple[str, int]] = []
    for joined in namespaces.joined:
        if joined.kind in _LEFT_ALONE:
            try:
                fd = os.open(joined.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise ConfigError(
                    "%s namespace %s: %s" % (joined.kind, joined.path, os.strerror(error.errno or 0).lower()),
                    where=joined.where + ".path",
                    cause="a namespace by path is not saved: it must be there again at the restore",
                ) from None
            handed.append((_LEFT_ALONE[joined.kind][1], fd))
        elif joined.kind in _JOINED:
            by_path.append({"ns": _JOINED[joined.kind], "ns_file": joined.path})
        else:
            raise ConfigError(
                "cannot restore into a %s namespace by path: operation not supported" % joined.kind,
                where=joined.where,
                cause="criu joins network, pid, ipc, uts, time and user namespaces only",
            )
    return by_path, handed
