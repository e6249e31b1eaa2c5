"""A plan as text: what `pyoci plan` prints, and the golden files of the tests."""

from pyoci.config.fault import member
from pyoci.tables.annotations import SECCOMP_BPF_DATA
from pyoci.tables.capabilities import NAMES as CAPABILITY_NAMES
from pyoci.tables.hooks import KINDS
from pyoci.tables.seccomp import listener_of, notified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Hook
    from pyoci.ops.context import Operation
    from pyoci.plan.records import Plan, ProcessSetup

LAST_LINE = (
    "The plan promises order, arguments and defaults.  It does not promise that the kernel agrees, which of two "
    "named ways is taken, or where a symlink in the image leads."
)


def render(plan: "Plan") -> str:
    """The plan, one step a line: phase, step, and behind `#` its place in config.json."""
    lines = ["prepare (runtime)"]
    lines.extend(_line(text, where) for text, where in plan.cgroup.steps())
    for limit in plan.cgroup.limits:
        lines.append(_line(limit.describe(), limit.where))
    if plan.delegate_to is not None:
        lines.append(_line("the cgroup is given to host uid %d" % plan.delegate_to, "default:delegation"))
    if plan.intel_rdt is not None:
        lines.extend(_line(text, where) for text, where in plan.intel_rdt.describe())
    lines.append("enter (runtime and init)")
    lines.extend(_namespaces(plan))
    lines.append("rootfs (init)")
    lines.extend(_operations(plan.rootfs))
    lines.extend(_hooks(plan, KINDS[:3], "before the root changes"))
    lines.append("jail (init)")
    lines.extend(_operations(plan.jail))
    if plan.process is None:
        lines.append("no process: start will be refused")
    else:
        lines.append("identity (init)")
        lines.extend(_identity(plan.process))
        lines.extend(_listener(plan))
        lines.append("border: the container is created; wait for start")
        lines.extend(_hooks(plan, KINDS[3:4], "in the container, at start"))
        lines.append("seal (init)")
        lines.extend(_seal(plan, plan.process))
    lines.extend(_hooks(plan, KINDS[4:], "by start and by delete"))
    lines.append("")
    lines.append(LAST_LINE)
    return "\n".join(lines) + "\n"


def _line(text: str, where: str) -> str:
    return "  %-72s # %s" % (text, where)


def _operations(operations: "list[Operation]") -> list[str]:
    return [_line(operation.describe(), operation.where) for operation in operations]


def _namespaces(plan: "Plan") -> list[str]:
    namespaces = plan.namespaces
    lines = [_line("join the %s namespace %s" % (item.kind, item.path), item.where) for item in namespaces.joined]
    if namespaces.new:
        lines.append(_line("new namespaces: %s" % " ".join(sorted(namespaces.new)), ".linux.namespaces"))
    for name, text in (("uid", namespaces.uid_map), ("gid", namespaces.gid_map)):
        for entry in text.splitlines():
            lines.append(_line("%s_map %s" % (name, entry), ".linux.%sMappings" % name))
    for entry in namespaces.offsets.splitlines():
        lines.append(_line("clock offset %s" % entry, ".linux.timeOffsets"))
    lines.extend(_line(device.describe(), device.where) for device in plan.net_devices)
    return lines


def _hooks(plan: "Plan", kinds: tuple[str, ...], when: str) -> list[str]:
    lines = []
    for kind in kinds:
        hooks: list[Hook] = plan.hooks.get(kind, [])  # type: ignore[assignment]
        for index, hook in enumerate(hooks):
            text = "hook %s: %s" % (kind, " ".join(hook.get("args", [hook["path"]])))
            lines.append(_line("%s (%s)" % (text, when), ".hooks.%s[%d]" % (kind, index)))
    return lines


def capability_names(mask: int) -> str:
    """`CAP_CHOWN CAP_KILL` for a bit mask; `none` for 0."""
    return " ".join(name for bit, name in enumerate(CAPABILITY_NAMES) if mask >> bit & 1) or "none"


def _identity(process: "ProcessSetup") -> list[str]:
    place = ".process."
    lines = [_line("rlimit %s %d:%d" % (x.name, x.soft, x.hard), x.where) for x in process.rlimits if not x.late]
    if process.oom_score_adj is not None:
        lines.append(_line("oom_score_adj %d" % process.oom_score_adj, place + "oomScoreAdj"))
    if process.apparmor:
        text = "execve will change to AppArmor profile %s" % process.apparmor
        lines.append(_line(text, place + "apparmorProfile"))
    if process.selinux:
        text = "execve will change to SELinux context %s" % process.selinux
        lines.append(_line(text, place + "selinuxLabel"))
    if process.keyring:
        label = ", labelled %s" % process.selinux if process.selinux else ""
        lines.append(_line("session keyring %s%s" % (process.keyring, label), "default:keyring"))
    if process.scheduler is not None:
        lines.append(
            _line(
                "scheduler policy %d, flags %d, nice %d, priority %d, %s" % process.scheduler, place + "scheduler"
            )
        )
    if process.io_priority is not None:
        lines.append(_line("io priority 0x%x" % process.io_priority, place + "ioPriority"))
    if process.memory_policy is not None:
        lines.append(_line("memory policy 0x%x" % process.memory_policy[0], ".linux.memoryPolicy"))
    if process.personality is not None:
        lines.append(_line("personality 0x%x" % process.personality, ".linux.personality"))
    if process.no_new_privileges:
        lines.append(_line("no_new_privs", place + "noNewPrivileges"))
    lines.append(_line("umask %03o" % process.umask, place + "user.umask"))
    groups = "as they are" if process.groups is None else " ".join(map(str, process.groups)) or "none"
    lines.append(_line("uid %d, gid %d, further groups: %s" % (process.uid, process.gid, groups), place + "user"))
    for name in ("bounding", "permitted", "effective", "inheritable", "ambient"):
        lines.append(
            _line("%s: %s" % (name, capability_names(getattr(process, name))), place + "capabilities." + name)
        )
    lines.append(_line("working directory %s" % process.cwd, place + "cwd"))
    return lines


def _listener(plan: "Plan") -> list[str]:
    names = notified(plan.seccomp) if plan.seccomp is not None else []
    if not names:
        return []
    path, where = listener_of(plan.config)
    return [
        _line("seccomp filter that notifies a listener of %s" % " ".join(names), ".linux.seccomp"),
        _line("the listener goes to the agent at %s" % path, where),
    ]


def _seal(plan: "Plan", process: "ProcessSetup") -> list[str]:
    lines = [_line("rlimit %s %d:%d" % (x.name, x.soft, x.hard), x.where) for x in process.rlimits if x.late]
    lines.append(_line("every descriptor above the preserved ones is closed", "default:descriptors"))
    raw = plan.config.get("annotations", {}).get(SECCOMP_BPF_DATA)
    if raw is not None:
        text = "seccomp filter of %d instructions" % (len(raw.rstrip("=")) * 3 // 4 // 8)
        lines.append(_line(text, member(".annotations", SECCOMP_BPF_DATA)))
    elif plan.seccomp is not None:
        rest = " (the rest of it)" if notified(plan.seccomp) else ""
        text = "seccomp filter%s, default %s" % (rest, plan.seccomp["defaultAction"])
        lines.append(_line(text, ".linux.seccomp"))
    lines.append(_line("execve %s" % " ".join(process.args), ".process.args"))
    return lines
