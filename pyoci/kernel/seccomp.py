"""seccomp(2): install a filter, ask which flags the kernel knows.

The filter goes in between the last preparations and execve(2), under a profile that may forbid nearly
everything: so all that allocates or looks up is in `prepare`, and `install` is one system call.
"""

from _struct import pack
from errno import EFAULT

from pyoci.errors import SyscallError
from pyoci.kernel.syscall import address_of, call

_SET_MODE_FILTER = 1
_INSTRUCTION_SIZE = 8


class Prepared:
    """A `struct sock_fprog` and the instructions it points to, kept alive together."""

    __slots__ = ("bpf", "program")

    def __init__(self, bpf: bytes) -> None:
        self.bpf = bpf
        self.program = pack("@HP", len(bpf) // _INSTRUCTION_SIZE, address_of(bpf))


def prepare(bpf: bytes) -> Prepared:
    """Make the argument of seccomp(2) from an array of `struct sock_filter` (8 bytes each, host byte order)."""
    return Prepared(bpf)


def install(prepared: Prepared, flags: int) -> int:
    """Put the calling thread under the filter, for good; children and programs executed inherit it.

    Returns 0, or with SECCOMP_FILTER_FLAG_NEW_LISTENER a file descriptor that the caller owns.
    Raises SyscallError: EACCES without CAP_SYS_ADMIN and without no_new_privs, EINVAL for a wrong program or an
    unknown flag, EBUSY when a listener exists already, ENOMEM when the filters together are too long.
    """
    return call("seccomp", _SET_MODE_FILTER, flags, prepared.program)


def set_mode_filter(bpf: bytes, flags: int) -> int:
    """`prepare` and `install` in one."""
    return install(prepare(bpf), flags)


def flags_supported(flags: int) -> bool:
    """Does this kernel know all of `flags`?  Asked with a program at NULL, so nothing is installed."""
    try:
        call("seccomp", _SET_MODE_FILTER, flags, None)
    except SyscallError as error:
        return error.errno == EFAULT
    return False
