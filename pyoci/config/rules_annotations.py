"""Rules about the annotations that change what the runtime does; all others are nobody's business here."""

from pyoci.config.fault import Fault, member, quoted
from pyoci.tables.annotations import (
    CONTEXT_TYPE,
    CONTEXT_TYPES,
    FAIL_UNKNOWN_SYSCALL,
    HOOKS_STDERR,
    HOOKS_STDOUT,
    IDLE,
    KEEP_GROUPS,
    PIDFD_RECEIVER,
    PREFIX,
    SECCOMP_BPF_DATA,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config

_UNIT_PROPERTY = "org.systemd.property."
_SWITCHES = (KEEP_GROUPS, FAIL_UNKNOWN_SYSCALL)
_PATHS = (HOOKS_STDOUT, HOOKS_STDERR, PIDFD_RECEIVER)
_INSTRUCTION_SIZE = 8
_MAX_INSTRUCTIONS = 4096


def annotation_faults(config: "Config", systemd: bool, found: list[Fault]) -> None:
    """Append what is wrong with the values of our annotations, or idle without the systemd cgroup driver."""
    for name, value in config.get("annotations", {}).items():
        at = member(".annotations", name)
        if name.startswith(_UNIT_PROPERTY) and not systemd:
            message = "annotation %s has no effect without --systemd-cgroup" % quoted(name)
            found.append(Fault(at, message, "", "warning"))
        if not name.startswith(PREFIX):
            continue
        if name in _SWITCHES and value not in ("0", "1"):
            message = "%s is neither 1 nor 0, and has no effect" % quoted(value)
            found.append(Fault(at, message, "write 1, or remove it", "warning"))
        elif name in _PATHS and not value.startswith("/"):
            found.append(Fault(at, "not an absolute path: %s" % quoted(value), "begin it with /"))
        elif name == CONTEXT_TYPE and value not in CONTEXT_TYPES:
            message = "no kind of context: %s" % quoted(value)
            found.append(Fault(at, message, "one of " + ", ".join(CONTEXT_TYPES)))
        elif name in IDLE:
            message = "annotation %s is not carried out, and has no effect" % quoted(name)
            found.append(Fault(at, message, "remove it", "warning"))
        elif name == SECCOMP_BPF_DATA:
            _filter(value, at, found)


def _filter(text: str, at: str, found: list[Fault]) -> None:
    from binascii import a2b_base64

    try:
        data = a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:
        found.append(Fault(at, "not base64", "the base64 of an array of struct sock_filter"))
        return
    if not data or len(data) % _INSTRUCTION_SIZE or len(data) > _MAX_INSTRUCTIONS * _INSTRUCTION_SIZE:
        message = "%d bytes are no seccomp filter" % len(data)
        fix = "1 to %d instructions of %d bytes each" % (_MAX_INSTRUCTIONS, _INSTRUCTION_SIZE)
        found.append(Fault(at, message, fix))
