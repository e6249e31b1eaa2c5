"""Seccomp's words in config.json and their numbers (seccomp(2), linux/seccomp.h, linux/audit.h).

Actions and operators have the same values in libseccomp; so do architectures, whose tokens are the kernel's
AUDIT_ARCH_ numbers, except X32: the kernel reports x86-64 for it.
"""

from pyoci.tables.annotations import SECCOMP_RECEIVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config, Seccomp

NOTIFY = "SCMP_ACT_NOTIFY"

ACTIONS = {
    "SCMP_ACT_ALLOW": 0x7FFF0000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_TRAP": 0x00030000,
}

# These carry 16 bits of data: the errno, or the tracer's message.
ACTIONS_WITH_ERRNO = frozenset({"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"})

OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}

ARCHITECTURES = {
    "SCMP_ARCH_AARCH64": 0xC00000B7,
    "SCMP_ARCH_ARM": 0x40000028,
    "SCMP_ARCH_LOONGARCH64": 0xC0000102,
    "SCMP_ARCH_M68K": 0x00000004,
    "SCMP_ARCH_MIPS": 0x00000008,
    "SCMP_ARCH_MIPS64": 0x80000008,
    "SCMP_ARCH_MIPS64N32": 0xA0000008,
    "SCMP_ARCH_MIPSEL": 0x40000008,
    "SCMP_ARCH_MIPSEL64": 0xC0000008,
    "SCMP_ARCH_MIPSEL64N32": 0xE0000008,
    "SCMP_ARCH_PARISC": 0x0000000F,
    "SCMP_ARCH_PARISC64": 0x8000000F,
    "SCMP_ARCH_PPC": 0x00000014,
    "SCMP_ARCH_PPC64": 0x80000015,
    "SCMP_ARCH_PPC64LE": 0xC0000015,
    "SCMP_ARCH_RISCV64": 0xC00000F3,
    "SCMP_ARCH_S390": 0x00000016,
    "SCMP_ARCH_S390X": 0x80000016,
    "SCMP_ARCH_SH": 0x4000002A,
    "SCMP_ARCH_SHEB": 0x0000002A,
    "SCMP_ARCH_X32": 0x4000003E,
    "SCMP_ARCH_X86": 0x40000003,
    "SCMP_ARCH_X86_64": 0xC000003E,
}

# uname -m -> the architectures whose programs that machine can run, its own first.
RUNNABLE = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}

# Added to the system call's number by programs of the x32 ABI; their AUDIT_ARCH_ is x86-64's.
X32_SYSCALL_BIT = 0x40000000

FLAGS = {
    "SECCOMP_FILTER_FLAG_LOG": 0x2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 0x4,
    "SECCOMP_FILTER_FLAG_TSYNC": 0x1,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 0x20,
}
FLAG_NEW_LISTENER = 0x8


def notified(profile: "Seccomp") -> list[str]:
    """The names of the calls that a listener is asked about."""
    return [name for rule in profile.get("syscalls", ()) if rule["action"] == NOTIFY for name in rule["names"]]


def listener_of(config: "Config") -> tuple[str, str]:
    """(path of the agent's socket, its place in the configuration); the path is empty when none is named."""
    path = config.get("linux", {}).get("seccomp", {}).get("listenerPath", "")
    if path:
        return path, ".linux.seccomp.listenerPath"
    return config.get("annotations", {}).get(SECCOMP_RECEIVER, ""), '.annotations["%s"]' % SECCOMP_RECEIVER
