"""Rules about namespaces, id maps, devices and the like that no schema can say."""

from pyoci.config.fault import Fault, member, quoted
from pyoci.config.rules_mappings import is_mapped, mapping_faults
from pyoci.config.rules_mounts import clean
from pyoci.config.sysctl import dotted, namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config, IDMapping, Linux

MAX_HOSTNAME = 64  # bytes, __NEW_UTS_LEN
MAX_NODES = 1024  # MAX_NUMNODES with the highest NODES_SHIFT of all architectures


def _spaces(linux: "Linux") -> dict[str, str]:
    """Namespace type -> path to join, "" for a new one."""
    return {space["type"]: space.get("path", "") for space in linux.get("namespaces", ())}


def _namespaces(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    seen: dict[str, int] = {}
    for number, space in enumerate(linux.get("namespaces", ())):
        kind = space["type"]
        if kind in seen:
            message = "namespace %s is listed twice, first at .linux.namespaces[%d]" % (kind, seen[kind])
            found.append(Fault(".linux.namespaces[%d]" % number, message, "keep one entry"))
        seen.setdefault(kind, number)


def _names(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    has_uts = "uts" in _spaces(linux)
    fix = 'add {"type": "uts"} to .linux.namespaces'
    for key in ("hostname", "domainname"):
        name = config.get(key)
        if not name:
            continue
        if not has_uts:
            found.append(Fault("." + key, "unable to set %s without a private UTS namespace" % key, fix))
        size = len(name.encode())  # type: ignore[attr-defined]
        if size > MAX_HOSTNAME:
            message = "%s of %d bytes: the kernel holds %d" % (key, size, MAX_HOSTNAME)
            found.append(Fault("." + key, message, "shorten it"))


def _mount_namespace(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    if "mount" in _spaces(linux):
        return
    fix = 'add {"type": "mount"} to .linux.namespaces'
    for key in ("maskedPaths", "readonlyPaths"):
        if linux.get(key):
            message = "unable to restrict sys entries without a private MNT namespace"
            found.append(Fault(".linux." + key, message, fix))
    if config.get("mounts"):
        found.append(Fault(".mounts", "unable to mount without a private MNT namespace", fix))
    if config.get("root", {}).get("readonly"):
        found.append(
            Fault(".root.readonly", "unable to make the root read-only without a private MNT namespace", fix)
        )
    if linux.get("devices"):
        found.append(Fault(".linux.devices", "unable to make devices without a private MNT namespace", fix))
    if config.get("process", {}).get("terminal"):
        message = "unable to give a terminal without a private MNT namespace"
        found.append(Fault(".process.terminal", message, fix))
    if linux.get("rootfsPropagation"):
        message = "unable to set the root's propagation without a private MNT namespace"
        found.append(Fault(".linux.rootfsPropagation", message, fix))


def _restricted_paths(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    for key in ("maskedPaths", "readonlyPaths"):
        paths = linux.get(key, ())
        for number, path in enumerate(paths):  # type: ignore[arg-type, var-annotated]
            if len(path) < 4 and clean(path) == "/":
                fix = "set .root.readonly" if key == "readonlyPaths" else "remove it"
                found.append(Fault(".linux.%s[%d]" % (key, number), "%s cannot hold the root itself" % key, fix))


def _user_namespace(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    spaces = _spaces(linux)
    if "user" not in spaces:
        for key in ("uidMappings", "gidMappings"):
            if linux.get(key):
                message = "%s without a user namespace" % key
                found.append(Fault(".linux." + key, message, 'add {"type": "user"} to .linux.namespaces'))
        return
    for key in ("uidMappings", "gidMappings"):
        lines: list[IDMapping] = linux.get(key, [])  # type: ignore[assignment]
        if not lines and not spaces["user"]:
            fix = "map at least one id; %s is a list of {containerID, hostID, size}" % key
            found.append(Fault(".linux", "a new user namespace without %s" % key, fix))
        mapping_faults(lines, ".linux." + key, found)
    if not spaces["user"]:
        _user_mapped(config, linux, found)


def _user_mapped(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    user = config.get("process", {}).get("user", {})
    wanted = [("uid", user.get("uid", 0), "uidMappings"), ("gid", user.get("gid", 0), "gidMappings")]
    wanted += [
        ("additionalGids[%d]" % number, gid, "gidMappings")
        for number, gid in enumerate(user.get("additionalGids", ()))
    ]
    for key, value, mappings in wanted:
        lines: list[IDMapping] = linux.get(mappings, [])  # type: ignore[assignment]
        if "process" in config and lines and not is_mapped(value, lines):
            kind = "uid" if key == "uid" else "gid"
            message = "cannot set%s to unmapped %s %d in user namespace" % (kind, kind, value)
            found.append(Fault(".process.user." + key, message, "map it in .linux.%s" % mappings))


def _time_namespace(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    offsets = linux.get("timeOffsets")
    if not offsets:
        return
    spaces = _spaces(linux)
    if "time" not in spaces:
        fix = 'add {"type": "time"} to .linux.namespaces'
        found.append(Fault(".linux.timeOffsets", "timeOffsets without a time namespace", fix))
    elif spaces["time"]:
        message = "timeOffsets with a time namespace that is joined, which has its own"
        found.append(Fault(".linux.timeOffsets", message, "remove timeOffsets or the namespace's path"))


def _sysctl(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    names = linux.get("sysctl")
    if not names:
        return
    spaces = _spaces(linux)
    for name in names:
        at = member(".linux.sysctl", name)
        owner = namespace(name)
        if dotted(name) == "kernel.hostname":
            found.append(Fault(at, "sysctl kernel.hostname is not allowed", "use .hostname"))
        elif not owner:
            message = "sysctl %s is not in a separate kernel namespace" % quoted(name)
            found.append(Fault(at, message, "set it on the host: it would change the whole host"))
        elif owner not in spaces:
            message = "sysctl %s is not allowed in the host's %s namespace" % (quoted(name), owner)
            found.append(Fault(at, message, 'add {"type": "%s"} to .linux.namespaces' % owner))
        elif dotted(name) == "kernel.domainname" and config.get("domainname") not in (None, "", names[name]):
            message = "sysctl kernel.domainname is %s, and .domainname is %s" % (
                quoted(names[name]),
                quoted(config["domainname"]),
            )
            found.append(Fault(at, message, "keep one of the two"))


def _devices(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    for number, device in enumerate(linux.get("devices", ())):
        if clean(device["path"]) == "/":
            found.append(
                Fault(".linux.devices[%d].path" % number, "a device cannot stand at /", "a path such as /dev/x")
            )


def _network_devices(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    devices = linux.get("netDevices")
    if not devices:
        return
    if "network" not in _spaces(linux):
        fix = 'add {"type": "network"} to .linux.namespaces'
        found.append(Fault(".linux.netDevices", "unable to move network devices without a network namespace", fix))
    names: dict[str, str] = {}
    for old, device in devices.items():
        at = member(".linux.netDevices", old)
        new = device.get("name") or old
        at_name = at + ".name" if device.get("name") else at
        if old == "lo":
            message = "every network namespace has an interface lo of its own, which cannot be moved"
            found.append(Fault(at, message, "remove it"))
        elif new == "lo":
            found.append(Fault(at_name, "the container has an interface lo already", "another name"))
        elif "%" in new and (new.count("%") > 1 or "%d" not in new):
            message = "interface name %s: %% stands only in one %%d, for a number" % quoted(new)
            found.append(Fault(at_name, message, "such as eth%d"))
        elif new in names and "%d" not in new:
            message = "interfaces %s and %s would both be named %s" % (names[new], old, new)
            found.append(Fault(at, message, "another name"))
        names.setdefault(new, old)


def _memory_policy(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    policy = linux.get("memoryPolicy")
    if not policy:
        return
    mode, nodes, flags = policy["mode"], policy.get("nodes", ""), policy.get("flags", ())
    at = ".linux.memoryPolicy"
    if mode in ("MPOL_DEFAULT", "MPOL_LOCAL"):
        if nodes:
            found.append(Fault(at + ".nodes", "%s takes no nodes" % mode, "leave nodes out"))
        if flags:
            found.append(Fault(at + ".flags", "%s takes no flags" % mode, "leave flags out"))
    elif mode != "MPOL_PREFERRED" and not nodes:
        found.append(Fault(at, "%s needs at least one node" % mode, "nodes such as 0 or 0-1"))
    highest = max((int(number) for number in nodes.replace("-", ",").split(",") if number.strip()), default=0)
    if highest >= MAX_NODES:
        found.append(Fault(at + ".nodes", "no kernel has a node %d" % highest, "nodes below %d" % MAX_NODES))
    if "MPOL_F_STATIC_NODES" in flags and "MPOL_F_RELATIVE_NODES" in flags:
        found.append(Fault(at + ".flags", "static and relative nodes exclude each other", "keep one of the two"))


def _personality(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    if linux.get("personality", {}).get("flags"):
        found.append(Fault(".linux.personality.flags", "no personality flags are defined", "remove flags"))


# What else is in the root of resctrl, and what no directory can be called.
_NO_CLASS = (
    "",
    ".",
    "..",
    "info",
    "mon_data",
    "mon_groups",
    "cpus",
    "cpus_list",
    "mode",
    "schemata",
    "size",
    "tasks",
)


def _intel_rdt(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    rdt = linux.get("intelRdt")
    if not rdt:
        return
    name = rdt.get("closID", "/")
    if name != "/" and ("/" in name or name in _NO_CLASS):
        fix = "the name of a directory, or / for the root class"
        found.append(Fault(".linux.intelRdt.closID", "%s is no class of service" % quoted(name), fix))
    if not rdt.get("l3CacheSchema", "L3:").startswith("L3"):
        message = "l3CacheSchema should begin with L3:"
        found.append(Fault(".linux.intelRdt.l3CacheSchema", message, "", "warning"))


RULES = (
    _namespaces, _names, _mount_namespace, _restricted_paths, _user_namespace, _time_namespace, _sysctl, _devices,
    _network_devices, _memory_policy, _personality, _intel_rdt,
)  # fmt: skip
# Those that ask which namespaces there are: mute in a report while .linux.namespaces itself is faulty.
ASK_NAMESPACES = (_names, _mount_namespace, _user_namespace, _time_namespace, _sysctl, _network_devices)
