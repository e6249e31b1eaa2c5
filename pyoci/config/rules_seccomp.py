"""Rules about `.linux.seccomp` that no schema can say."""

from pyoci.config.fault import Fault
from pyoci.tables.annotations import SECCOMP_RECEIVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config, Process

_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
NOTIFY = "SCMP_ACT_NOTIFY"

# Calls that no agent can be asked about -> why.
_NOT_NOTIFIED = {
    "write": "a failing execve is told with it, and other runtimes hand the listener over with it",
    "futex": "the process under the filter waits with it until the agent has the listener",
}


def seccomp_faults(config: "Config", found: list[Fault]) -> None:
    """Append what is wrong with the filter of a configuration that has one."""
    at = ".linux.seccomp"
    seccomp = config["linux"]["seccomp"]
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
            for index, name in enumerate(rule["names"]):
                if name in _NOT_NOTIFIED:
                    path = "%s.syscalls[%d].names[%d]" % (at, number, index)
                    message = "SCMP_ACT_NOTIFY cannot be used for the %s syscall" % name
                    found.append(Fault(path, message, "remove it: " + _NOT_NOTIFIED[name]))
    if "listenerMetadata" in seccomp and not seccomp.get("listenerPath"):
        message = "listenerMetadata without listenerPath"
        found.append(Fault(at + ".listenerMetadata", message, "set listenerPath, or remove listenerMetadata"))
    receiver = seccomp.get("listenerPath") or config.get("annotations", {}).get(SECCOMP_RECEIVER)
    if notifies and not receiver:
        found.append(Fault(at, "SCMP_ACT_NOTIFY without listenerPath", "set listenerPath to the agent's socket"))
    if notifies and "process" in config:
        scheduler_faults(config["process"], found)


def scheduler_faults(process: "Process", found: list[Fault]) -> None:
    """Append what the kernel does not hand on to a thread: with a listener the program begins as one."""
    scheduler = process.get("scheduler", {})
    what = ""
    if scheduler.get("policy") == "SCHED_DEADLINE":
        what = ".policy"
    elif "SCHED_FLAG_RESET_ON_FORK" in scheduler.get("flags", ()):
        what = ".flags"
    if what:
        message = "SCHED_DEADLINE and SCHED_FLAG_RESET_ON_FORK cannot be combined with SCMP_ACT_NOTIFY"
        found.append(Fault(".process.scheduler" + what, message, "remove it, or set it in the program"))


def _no_errno(path: str, action: str, found: list[Fault]) -> None:
    message = "%s returns no errno" % action
    found.append(Fault(path, message, "only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do; remove it"))
