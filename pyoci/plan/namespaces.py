"""linux.namespaces, the id mappings, the clocks and the network devices."""

from pyoci.config.fault import member
from pyoci.plan.records import JoinedNamespace, Namespaces, NetDevice
from pyoci.tables.process import TIME_CLOCKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config, IDMapping, Linux, TimeOffset


def make_namespaces(linux: "Linux") -> Namespaces:
    """The namespaces of a checked config."""
    new: list[str] = []
    joined: list[JoinedNamespace] = []
    for index, namespace in enumerate(linux.get("namespaces", [])):
        path = namespace.get("path", "")
        if path:
            joined.append(JoinedNamespace(namespace["type"], path, ".linux.namespaces[%d]" % index))
        else:
            new.append(namespace["type"])
    result = Namespaces(new, joined)
    maps = (map_text(linux.get("uidMappings", [])), map_text(linux.get("gidMappings", [])))
    if "user" in new:
        result.uid_map, result.gid_map = maps
    else:
        result.joined_maps = maps
    offsets = linux.get("timeOffsets", {})
    for clock in TIME_CLOCKS:
        offset: TimeOffset | None = offsets.get(clock)  # type: ignore[assignment]
        if offset is not None:
            result.offsets += "%s %d %d\n" % (clock, offset.get("secs", 0), offset.get("nanosecs", 0))
    return result


def map_text(mappings: "list[IDMapping]") -> str:
    """Lines `inside outside count` (user_namespaces(7))."""
    return "".join("%d %d %d\n" % (entry["containerID"], entry["hostID"], entry["size"]) for entry in mappings)


def make_net_devices(linux: "Linux") -> list[NetDevice]:
    """The network devices that move into the container, in the order of config.json."""
    result = []
    for old, device in (linux.get("netDevices") or {}).items():
        where = member(".linux.netDevices", old)
        new = device.get("name", "")
        result.append(NetDevice(where, old, new or old, where + ".name" if new else where))
    return result


def host_uid_of_delegation(config: "Config", cgroup_mode: str, namespaces: Namespaces) -> int | None:
    """The host's uid of the process's user when the container may manage its own cgroup, else None.

    That is so on cgroup v2 with a new cgroup namespace and /sys/fs/cgroup mounted writable
    (runtime-spec config-linux.md, Cgroup ownership).
    """
    if cgroup_mode != "unified" or "cgroup" not in namespaces.new or "process" not in config:
        return None
    for mount in config.get("mounts", []):
        is_tree = mount["destination"].rstrip("/") == "/sys/fs/cgroup" and mount.get("type") in (
            "cgroup",
            "cgroup2",
        )
        if is_tree and mount.get("source") == "cgroup" and "ro" not in mount.get("options", []):
            uid = config["process"].get("user", {}).get("uid", 0)
            if not namespaces.has("user"):
                return uid
            # A joined user namespace whose mappings are not repeated here is not known: nobody gets the cgroup.
            for entry in config.get("linux", {}).get("uidMappings", []):
                if entry["containerID"] <= uid < entry["containerID"] + entry["size"]:
                    return entry["hostID"] + uid - entry["containerID"]
    return None
