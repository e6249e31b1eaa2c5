"""What a container would take of this host, as `pyoci check` sees it: network devices, a class of service."""

import os

from pyoci.config.fault import Fault, member, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Linux

_AT = ".linux.intelRdt"


def network_device_faults(linux: "Linux", found: list[Fault]) -> None:
    """Append devices that are not here, and what keeps all from being moved."""
    devices = linux.get("netDevices")
    if not devices:
        return
    if os.geteuid() != 0:
        message = "network devices are not supported in rootless containers"
        found.append(Fault(".linux.netDevices", message, "call pyoci as root"))
    for number, space in enumerate(linux.get("namespaces", ())):
        path = space.get("path", "")
        if space["type"] == "network" and path and _is_our_own(path):
            message = "the network namespace of pyoci itself, in which the devices of .linux.netDevices are already"
            found.append(Fault(".linux.namespaces[%d].path" % number, message, "that of another namespace"))
    import socket

    for name in devices:
        try:
            socket.if_nametoindex(name)
        except OSError:
            message = "no network device %s in this network namespace" % quoted(name)
            found.append(Fault(member(".linux.netDevices", name), message, "`ip link` lists those it has"))


def _is_our_own(path: str) -> bool:
    try:
        return os.path.samefile(path, "/proc/self/ns/net")
    except OSError:
        return False


def intel_rdt_faults(linux: "Linux", found: list[Fault]) -> None:
    """Append what resctrl of this host lacks."""
    given = linux.get("intelRdt")
    if given is None:
        return
    from pyoci.plan.intel_rdt import make_intel_rdt
    from pyoci.resctrl import mounted
    from pyoci.resctrl.group import mismatch_of

    host = mounted.find()
    plan = make_intel_rdt(linux, "ID")
    if host is None:
        fix = "mount -t resctrl resctrl /sys/fs/resctrl (a processor with RDT), or remove it"
        found.append(Fault(_AT, "no resctrl file system is mounted", fix))
    elif plan is not None:
        directory = (host.path + "/" + plan.name).rstrip("/")
        if plan.must_exist and not os.path.isdir(directory):
            message = "no class of service %s in %s, and no schemata to make one" % (quoted(plan.name), host.path)
            found.append(Fault(_AT + ".closID", message, "make it, or add schemata"))
        mismatch = mismatch_of(plan, host) if plan.is_named and os.path.isdir(directory) else None
        if mismatch:
            where, line, difference = mismatch
            message = "class of service %s exists with other schemata than %s: %s" % (plan.name, line, difference)
            found.append(Fault(where, message, "the same schemata, or another closID"))
        for where, line in plan.lines:
            resource = line.partition(":")[0]
            if not os.path.isdir(host.path + "/info/" + resource):
                known = sorted(os.listdir(host.path + "/info")) if os.path.isdir(host.path + "/info") else []
                names = ", ".join(name for name in known if name.isupper() and not name.endswith("_MON"))
                message = "this processor shares out no %s by resctrl" % quoted(resource)
                found.append(Fault(where, message, "one of %s" % (names or "those in info/")))
        if plan.monitor and not os.path.isdir(host.path + "/mon_groups"):
            found.append(Fault(_AT + ".enableMonitoring", "this processor has no monitoring by resctrl", "false"))
