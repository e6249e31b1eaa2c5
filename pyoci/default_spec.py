"""The config.json that `pyoci spec` writes: a shell on a terminal, with few rights, to be edited by hand."""

from pyoci.features import OCI_VERSION_MAX
from pyoci.tables.capabilities import DEFAULT
from pyoci.tables.rootfs import MASKED_PATHS, READONLY_PATHS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def make_default_spec(*, unified_cgroups: bool) -> "dict[str, Any]":
    """A config for root.  `unified_cgroups`: the host has cgroup v2 only, so a cgroup namespace is worth it."""
    return {
        "ociVersion": OCI_VERSION_MAX,
        "process": _process(),
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "pyoci",
        "mounts": _mounts(),
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [
                {"type": name}
                for name in ("pid", "network", "ipc", "uts", "mount", *(["cgroup"] if unified_cgroups else []))
            ],
            "maskedPaths": list(MASKED_PATHS),
            "readonlyPaths": list(READONLY_PATHS),
        },
    }


def make_rootless_spec(*, unified_cgroups: bool, host_uid: int, host_gid: int) -> "dict[str, Any]":
    """The same for a user without privileges, whose ids become the container's root.

    No network namespace (nobody could configure it), no limits (no cgroup to set them in), no mount option that
    names an id (only one is mapped), and the host's /sys, since sysfs belongs to the network namespace.
    """
    spec = make_default_spec(unified_cgroups=unified_cgroups)
    linux = spec["linux"]
    del linux["resources"]
    linux["namespaces"] = [entry for entry in linux["namespaces"] if entry["type"] != "network"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = [{"containerID": 0, "hostID": host_uid, "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": host_gid, "size": 1}]
    spec["mounts"] = [_rootless_mount(mount) for mount in spec["mounts"]]
    return spec


def _rootless_mount(mount: "dict[str, Any]") -> "dict[str, Any]":
    if mount["destination"] == "/sys":
        return {
            "destination": "/sys",
            "type": "none",
            "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
        }
    if "options" not in mount:
        return mount
    options = [word for word in mount["options"] if not word.startswith(("uid=", "gid="))]
    return {**mount, "options": options}


def _process() -> "dict[str, Any]":
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {name: list(DEFAULT) for name in ("bounding", "effective", "permitted")},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def _mounts() -> "list[dict[str, Any]]":
    rows = (
        ("/proc", "proc", "proc", ""),
        ("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
        ("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
        ("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"),
        ("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
        ("/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"),
        ("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid noexec nodev relatime ro"),
    )
    mounts: list[dict[str, Any]] = []
    for destination, kind, source, options in rows:
        mount: dict[str, Any] = {"destination": destination, "type": kind, "source": source}
        if options:
            mount["options"] = options.split()
        mounts.append(mount)
    return mounts
