"""Instructions before the filter: what the profile's author could not know of fails with ENOSYS.

A profile is a list of what is allowed, so a system call newer than the profile gets the default action, as a
rule EPERM.  libc and language runtimes fall back to an older call on ENOSYS only, and break on EPERM (clone3
and faccessat2 were such cases).  Hence: a call with a number above every call that the profile names is
answered ENOSYS.  Where the default lets calls through, or a tracer decides, nothing of the kind is needed.

Calls of a kind of number that does not grow (x32 without x32 in the profile, Arm's private calls) are left to
the filter itself.
"""

from _struct import pack

from pyoci.tables.seccomp import ACTIONS, ARCHITECTURES, X32_SYSCALL_BIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    # code, jump if true, jump if false, constant; a jump is a count of instructions or a label
    Instruction = tuple[int, int | str, int | str, int]

# A call not named is let through, or reported to somebody who knows better.
LENIENT_ACTIONS = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"})

# BPF opcodes (linux/bpf_common.h)
_LOAD_WORD = 0x20
_JUMP = 0x05
_JUMP_IF_EQUAL = 0x15
_JUMP_IF_GREATER = 0x25
_JUMP_IF_AT_LEAST = 0x35
_RETURN = 0x06

# Offsets in struct seccomp_data
_NUMBER = 0
_ARCHITECTURE = 4

_ENOSYS = 38
_NO_END = 1 << 32

# Numbers of an architecture's ordinary calls end here.  Arm's own calls (set_tls and others) lie above.
_ENDS = {"SCMP_ARCH_X86_64": X32_SYSCALL_BIT, "SCMP_ARCH_ARM": 0xF0000}


def stub(newest: "dict[str, int | None]") -> bytes:
    """The instructions for {architecture: the highest number the profile names, None for no call at all}.

    They fall through into what is put behind them.
    """
    windows: dict[int, list[tuple[int, int]]] = {}
    for name, number in newest.items():
        if number is None:
            continue
        reported_as = ARCHITECTURES["SCMP_ARCH_X86_64" if name == "SCMP_ARCH_X32" else name]
        end = _ENDS.get(name, _NO_END)
        if number < end:
            windows.setdefault(reported_as, []).append((number, end))
    if not windows:
        return b""
    program: list[Instruction] = [(_LOAD_WORD, 0, 0, _ARCHITECTURE)]
    for architecture, numbers in windows.items():
        section = _section(sorted(numbers))
        program.append((_JUMP_IF_EQUAL, 0, len(section), architecture))
        program += section
    program.append((_JUMP, 0, 0, 1))
    program.append((_RETURN, 0, 0, ACTIONS["SCMP_ACT_ERRNO"] | _ENOSYS))
    return _assemble(program)


def _section(windows: "list[tuple[int, int]]") -> "list[Instruction]":
    """For each (newest, end), lowest first: above newest and below end -> ENOSYS, up to newest -> the filter."""
    section: list[Instruction] = [(_LOAD_WORD, 0, 0, _NUMBER)]
    for newest, end in windows:
        if end == _NO_END:
            section.append((_JUMP_IF_GREATER, "enosys", "filter", newest))
        else:
            section.append((_JUMP_IF_AT_LEAST, 1, 0, end))
            section.append((_JUMP_IF_GREATER, "enosys", "filter", newest))
    if windows[-1][1] != _NO_END:
        section.append((_JUMP, 0, 0, "filter"))  # type: ignore[arg-type]
    return section


def _assemble(program: "list[Instruction]") -> bytes:
    """Put numbers for the labels: `enosys` is the last instruction, `filter` what comes after it.

    Conditional jumps reach 255 instructions; with two architectures at most the stub has under twenty.
    """
    code = b""
    for index, (operation, if_true, if_false, constant) in enumerate(program):
        labels = {"enosys": len(program) - 2 - index, "filter": len(program) - 1 - index}
        fields = [labels.get(field, field) for field in (if_true, if_false, constant)]  # type: ignore[arg-type]
        code += pack("=HBBI", operation, *fields)
    return code
