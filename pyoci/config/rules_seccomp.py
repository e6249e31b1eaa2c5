"""Rules about `.linux.seccomp` that no schema can say."""

from pyoci.config.fault import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Seccomp

_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
NOTIFY = "SCMP_ACT_NOTIFY"


def seccomp_faults(seccomp: "Seccomp", found: list[Fault]) -> None:
    """Append what is wrong with the filter."""
    at = ".linux.seccomp"
    default = seccomp["defaultAction"]
    notifies = default == NOTIFY
    if "defaultErrnoRet" in seccomp and default not in _WITH_ERRNO:
        _no_errno(at + ".defaultErrnoRet", default, found)
    if default == NOTIFY:
        # The listener has to be handed over by a process under the filter: it would wait for itself.
        message = "SCMP_ACT_NOTIFY cannot be the default action"
        found.append(Fault(at + ".defaultAction", message, "use it for single system calls"))
    for number, rule in enumerate(seccomp.get("syscalls", ())):
        action = rule["action"]
        if "errnoRet" in rule and action not in _WITH_ERRNO:
            _no_errno("%s.syscalls[%d].errnoRet" % (at, number), action, found)
        if action == NOTIFY:
            notifies = True
            if "write" in rule["names"]:
                path = "%s.syscalls[%d].names[%d]" % (at, number, rule["names"].index("write"))
                message = "SCMP_ACT_NOTIFY cannot be used for the write syscall"
                found.append(Fault(path, message, "the runtime itself writes under the filter"))
    if "listenerMetadata" in seccomp and not seccomp.get("listenerPath"):
        message = "listenerMetadata without listenerPath"
        found.append(Fault(at + ".listenerMetadata", message, "set listenerPath, or remove listenerMetadata"))
    if notifies and not seccomp.get("listenerPath"):
        found.append(Fault(at, "SCMP_ACT_NOTIFY without listenerPath", "set listenerPath to the agent's socket"))


def _no_errno(path: str, action: str, found: list[Fault]) -> None:
    message = "%s returns no errno" % action
    found.append(Fault(path, message, "only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do; remove it"))
