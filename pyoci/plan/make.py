"""make_plan: the one function from a checked config and the host's facts to a plan."""

from pyoci.config.fault import member
from pyoci.config.sysctl import below_proc_sys
from pyoci.errors import ConfigError
from pyoci.ops.console import MakeConsole
from pyoci.ops.nodes import MakeDirectory
from pyoci.ops.root import BindRoot, ChangeRoot, MoveRoot, OpenRoot, PivotRoot, SealRoot, SetPropagation
from pyoci.ops.settings import RaiseLoopback, SetDomainname, SetHostname, WriteSysctl
from pyoci.plan.intel_rdt import make_intel_rdt
from pyoci.plan.mounts import make_mounts
from pyoci.plan.namespaces import host_uid_of_delegation, make_namespaces, make_net_devices
from pyoci.plan.process import make_process
from pyoci.plan.records import Plan
from pyoci.plan.rootfs import make_devices, make_restrictions
from pyoci.tables.mount_options import MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE, PROPAGATIONS
from pyoci.tables.rootfs import PTMX_LINK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.driver import Cgroup
    from pyoci.cgroup.layout import Hierarchy
    from pyoci.config.types import Config
    from pyoci.ops.context import Operation
    from pyoci.plan.facts import Facts


def make_plan(
    config: "Config",
    facts: "Facts",
    cgroup: "Cgroup",
    *,
    container_id: str,
    bundle: str,
    rootfs: str,
    no_pivot: bool = False,
    keyring: bool = True,
) -> Plan:
    """The plan for one container.  Pure: no path is looked at; `bundle` and `rootfs` are absolute."""
    linux = config.get("linux", {})
    plan = Plan(config, container_id, make_namespaces(linux), cgroup)
    if plan.namespaces.has("mount"):
        _with_mount_namespace(plan, facts, bundle, rootfs, no_pivot=no_pivot)
    else:
        _without_mount_namespace(plan, rootfs)
    plan.join_index = _join_index(plan)
    plan.net_devices = make_net_devices(linux)
    plan.intel_rdt = make_intel_rdt(linux, container_id)
    plan.delegate_to = host_uid_of_delegation(config, facts.layout.mode, plan.namespaces)
    for index, device in enumerate(linux.get("devices", [])):
        if device["path"] == PTMX_LINK[0]:
            plan.warnings.append(".linux.devices[%d]: /dev/ptmx is always a link to pts/ptmx" % index)
    if "process" in config:
        plan.process, warnings = make_process(config, facts.capabilities, container_id)
        plan.warnings.extend(warnings)
        if not keyring:
            plan.process.keyring = ""
    return plan


def _with_mount_namespace(plan: Plan, facts: "Facts", bundle: str, rootfs: str, *, no_pivot: bool) -> None:
    config = plan.config
    word = config.get("linux", {}).get("rootfsPropagation", "")
    flags = PROPAGATIONS.get(word, 0)
    if no_pivot and flags & MS_PRIVATE:
        raise ConfigError(
            "rootfsPropagation %s is not safe with --no-pivot" % word,
            where=".linux.rootfsPropagation",
            cause="the host's mounts stay below the root, and private ones would outlive their unmount on the host",
            fix="use rslave, or leave --no-pivot out",
        )
    attach, seal = make_mounts(config, facts, plan.namespaces, bundle, _cgroup_directories(plan, facts))
    plan.rootfs = [
        *_names(plan),
        SetPropagation(".linux.rootfsPropagation" if flags else "default:propagation", flags or MS_SLAVE | MS_REC),
        BindRoot(".root.path", rootfs, MS_SLAVE if flags & MS_SLAVE else MS_PRIVATE),
        *attach,
        *make_devices(config, facts),
        *_working_directory(config),
    ]
    plan.jail = [
        *_console(config),
        *_sysctls(config),
        *seal,
        *make_restrictions(config),
    ]
    if config["root"].get("readonly", False):
        plan.jail.append(SealRoot(".root.readonly"))
    plan.jail.append(MoveRoot("--no-pivot", rootfs) if no_pivot else PivotRoot("default:pivot_root"))
    if flags & (MS_SHARED | MS_UNBINDABLE):
        # pivot_root cleared it
        plan.jail.append(SetPropagation(".linux.rootfsPropagation", flags))


def _cgroup_directories(plan: Plan, facts: "Facts") -> "list[tuple[Hierarchy, str]]":
    """What the container sees of each hierarchy: its own directory, or where it has none the caller's."""
    own = {directory.root: directory.path for directory in plan.cgroup.directories}
    layout = facts.layout
    every = [*layout.hierarchies, *([layout.unified] if layout.unified is not None else [])]
    return [(x, own.get(x.mountpoint, x.mountpoint + x.own.rstrip("/"))) for x in every]


def _without_mount_namespace(plan: Plan, rootfs: str) -> None:
    plan.rootfs = [*_names(plan), OpenRoot(".root.path", rootfs), *_working_directory(plan.config)]
    plan.jail = [*_sysctls(plan.config), ChangeRoot(".root.path", rootfs)]


def _join_index(plan: Plan) -> int:
    """The first mount of the cgroup filesystem needs the container's cgroup; else joining comes last."""
    places = {
        ".mounts[%d]" % index
        for index, mount in enumerate(plan.config.get("mounts", []))
        if mount.get("type") in ("cgroup", "cgroup2")
    }
    for index, operation in enumerate(plan.rootfs):
        if operation.where in places:
            return index
    return len(plan.rootfs)


def _names(plan: Plan) -> "list[Operation]":
    """What is set in the new namespaces before there is a root."""
    steps: list[Operation] = []
    if "network" in plan.namespaces.new:
        steps.append(RaiseLoopback("default:lo"))
    if "hostname" in plan.config:
        steps.append(SetHostname(".hostname", plan.config["hostname"]))
    if "domainname" in plan.config:
        steps.append(SetDomainname(".domainname", plan.config["domainname"]))
    return steps


def _working_directory(config: "Config") -> "list[Operation]":
    """A missing working directory is made, as every peer does."""
    cwd = config["process"]["cwd"] if "process" in config else "/"
    return [] if cwd == "/" else [MakeDirectory(".process.cwd", cwd)]


def _console(config: "Config") -> "list[Operation]":
    process = config.get("process", {})
    if not process.get("terminal", False):
        return []
    size = process.get("consoleSize")
    rows_and_columns = None if size is None else (size["height"], size["width"])
    return [MakeConsole(".process.terminal", process.get("user", {}).get("uid", 0), rows_and_columns)]


def _sysctls(config: "Config") -> "list[Operation]":
    return [
        WriteSysctl(member(".linux.sysctl", key), below_proc_sys(key), value)
        for key, value in config.get("linux", {}).get("sysctl", {}).items()
    ]
