"""The fence: the only place where Python reaches libc's syscall(2).

Why `_ctypes` and not `ctypes`: the public package costs about 7 ms of CPU to import (it builds every C type
there is), the private extension module under it about 0.2 ms, and one function with seven arguments is all
that is needed.  Where the private names have changed, the public package does the same (docs/adr/0002).
"""

import os
import sys
from errno import EINTR

from pyoci.errors import SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Binding = tuple[Callable[..., int], Callable[[], int], Callable[[int], Any], Callable[[Any], int]]

# Numbers below 424 differ between architectures; those from 424 on are the same everywhere.
_X86_64 = {
    "close": 3, "ioctl": 16, "ptrace": 101, "capget": 125, "capset": 126, "pivot_root": 155, "prctl": 157,
    "chroot": 161, "mount": 165, "umount2": 166, "sethostname": 170, "setdomainname": 171, "setgroups": 116,
    "setresuid": 117, "setresgid": 119, "execve": 59, "fcntl": 72, "personality": 135, "sched_setaffinity": 203,
    "set_mempolicy": 238, "get_mempolicy": 239, "add_key": 248, "request_key": 249, "keyctl": 250,
    "ioprio_set": 251, "ioprio_get": 252, "unshare": 272, "prlimit64": 302, "setns": 308, "finit_module": 313,
    "sched_setattr": 314, "sched_getattr": 315, "seccomp": 317, "memfd_create": 319, "bpf": 321, "execveat": 322,
    "statx": 332, "fchownat": 260, "getpid": 39, "gettid": 186, "kill": 62, "exit_group": 231, "fstatfs": 138,
    "rt_sigaction": 13,
}  # fmt: skip
_AARCH64 = {
    "close": 57, "ioctl": 29, "ptrace": 117, "capget": 90, "capset": 91, "pivot_root": 41, "prctl": 167,
    "chroot": 51, "mount": 40, "umount2": 39, "sethostname": 161, "setdomainname": 162, "setgroups": 159,
    "setresuid": 147, "setresgid": 149, "execve": 221, "fcntl": 25, "personality": 92, "sched_setaffinity": 122,
    "set_mempolicy": 237, "get_mempolicy": 236, "add_key": 217, "request_key": 218, "keyctl": 219,
    "ioprio_set": 30, "ioprio_get": 31, "unshare": 97, "prlimit64": 261, "setns": 268, "finit_module": 273,
    "sched_setattr": 274, "sched_getattr": 275, "seccomp": 277, "memfd_create": 279, "bpf": 280, "execveat": 281,
    "statx": 291, "fchownat": 54, "getpid": 172, "gettid": 178, "kill": 129, "exit_group": 94, "fstatfs": 44,
    "rt_sigaction": 134,
}  # fmt: skip
_EVERYWHERE = {
    "pidfd_send_signal": 424, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "pidfd_open": 434, "clone3": 435, "close_range": 436, "openat2": 437, "pidfd_getfd": 438,
    "mount_setattr": 442, "set_mempolicy_home_node": 450,
}  # fmt: skip

MACHINE = os.uname().machine
NUMBERS: dict[str, int] = {**{"x86_64": _X86_64, "aarch64": _AARCH64}.get(MACHINE, {}), **_EVERYWHERE}


def _bind_own() -> "Binding":
    """The same in the interpreter that pyoci brings along: launcher/interpreter.c has the one function built in."""
    import _pyoci

    class Buffer(bytearray):
        """Zeroed storage that the kernel writes to; `raw` are its bytes, as with ctypes."""

        __slots__ = ()

        @property
        def raw(self) -> bytes:
            return bytes(self)

        @raw.setter
        def raw(self, value: bytes) -> None:
            self[: len(value)] = value

    return _pyoci.syscall, _pyoci.errno, Buffer, _pyoci.address


def _bind_private() -> "Binding":
    """syscall(2) over the private `_ctypes`: the function, errno of the last call, make a buffer, its address."""
    import _ctypes

    class Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "l"

    class Pointer(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "P"

    class Byte(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "c"

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
        _restype_ = Long

    handle = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]
    function = Function(_ctypes.dlsym(handle, "syscall"))
    function.argtypes = (Long, Pointer, Pointer, Pointer, Pointer, Pointer, Pointer)
    return function, _ctypes.get_errno, lambda size: (Byte * size)(), _ctypes.addressof


def _bind_public() -> "Binding":
    """The same over the public `ctypes`, for an interpreter whose private module looks different."""
    import ctypes

    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    function.argtypes = (ctypes.c_long, *[ctypes.c_void_p] * 6)
    return function, ctypes.get_errno, lambda size: (ctypes.c_char * size)(), ctypes.addressof


try:
    _bound = _bind_own() if "_pyoci" in sys.builtin_module_names else _bind_private()
except (ImportError, AttributeError, TypeError):
    _bound = _bind_public()
_syscall, _errno, buffer, _address = _bound


def call(
    name: str, a: object = 0, b: object = 0, c: object = 0, d: object = 0, e: object = 0, f: object = 0, /,
    *, detail: str = "",
) -> int:  # fmt: skip
    """Call the system call `name`; ints, bytes, None (NULL) and buffers from `buffer()` are its arguments.

    Interrupted calls are repeated (PEP 475 does not reach here).  Raises SyscallError, which carries `name`
    and `detail`.
    """
    number = NUMBERS[name]
    while True:
        result = _syscall(number, a, b, c, d, e, f)
        if result != -1:
            return result
        error = _errno()
        if error != EINTR:
            raise SyscallError(error, name, detail)


def address_of(value: bytes) -> int:
    """The address of the bytes' storage, for a pointer inside a packed structure.

    The caller keeps `value` alive for as long as the kernel may read it.
    """
    return id(value) + _BYTES_HEADER


_BYTES_HEADER = bytes.__basicsize__ - 1


def address_of_buffer(value: object) -> int:
    """The address of a buffer's storage, for a pointer inside a packed structure."""
    return _address(value)
