"""Start the interpreter once more from a file that containers cannot write: launcher.c, in Python.

Used when pyoci was installed without a C compiler or was not started by its launcher.  It costs one more start
of the interpreter.
"""

import _signal
import os
import sys
from _struct import pack

from pyoci.errors import SyscallError
from pyoci.kernel.mount import AT_EMPTY_PATH, AT_FDCWD, MOUNT_ATTR_RDONLY, OPEN_TREE_CLONE, mount_setattr, open_tree
from pyoci.kernel.syscall import address_of, call
from pyoci.protection import protection
from pyoci.startup import KEPT, LAUNCHED

_MFD_CLOEXEC, _MFD_ALLOW_SEALING, _MFD_EXEC = 1, 2, 16
_F_ADD_SEALS, _ALL_SEALS = 1033, 0xF
_RENAMED = (b"LC_ALL=", b"GLIBC_TUNABLES=")


def start_again() -> None:
    """Execute the same command on a protected interpreter; returns when nothing could be executed."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGINT,))  # boot.py lets it through again
    interpreter = os.fsencode(sys.executable)
    script = os.fsencode(os.path.abspath(sys.argv[0]))
    arguments = [interpreter, b"-I", b"-S", b"-X" + LAUNCHED.encode(), script]
    arguments += [os.fsencode(argument) for argument in sys.argv[1:]]
    environment = fixed_environment(interpreter)
    if protection() != "foreign":
        for make_image in (read_only_clone, sealed_copy):
            try:
                execute(make_image(interpreter), arguments, environment)
            except OSError:  # the next way; protection.require_protection reports it when there is none
                continue
    try:
        call("execve", interpreter, *_vectors(arguments, environment))
    except SyscallError:
        return


def fixed_environment(interpreter: bytes) -> list[bytes]:
    """The environment with LC_ALL=C and with everything renamed that would choose libraries or locale."""
    fixed = [b"LC_ALL=C"]
    directory = os.path.dirname(os.path.realpath(interpreter))
    if directory != b"/usr/bin":  # builds that look for libpython in $ORIGIN/../lib: a clone has no $ORIGIN
        fixed.append(b"LD_LIBRARY_PATH=" + directory + b"/../lib")
    if LAUNCHED in sys._xoptions:  # launcher.sh has renamed, and set LC_ALL
        return fixed + [entry for entry in _entries() if not entry.startswith(b"LC_ALL=")]
    return fixed + [
        KEPT.encode() + entry if entry.startswith((b"LD_", *_RENAMED)) else entry for entry in _entries()
    ]


def read_only_clone(interpreter: bytes) -> int:
    """A descriptor of the interpreter's file on a detached, read-only clone of its mount."""
    fd = open_tree(AT_FDCWD, interpreter, OPEN_TREE_CLONE)
    mount_setattr(fd, MOUNT_ATTR_RDONLY, 0)
    return fd


def sealed_copy(interpreter: bytes) -> int:
    """A descriptor of a copy in memory that nobody can change."""
    from fcntl import fcntl

    try:
        copy = call("memfd_create", b"pyoci", _MFD_CLOEXEC | _MFD_ALLOW_SEALING | _MFD_EXEC)
    except SyscallError:  # before Linux 6.3
        copy = call("memfd_create", b"pyoci", _MFD_CLOEXEC | _MFD_ALLOW_SEALING)
    source = os.open(interpreter, os.O_RDONLY)
    while os.sendfile(copy, source, None, 1 << 24):
        pass
    os.close(source)
    fcntl(copy, _F_ADD_SEALS, _ALL_SEALS)
    return copy


def execute(image_fd: int, arguments: list[bytes], environment: list[bytes]) -> None:
    """execveat(2) of an open file; argv[0] stays the interpreter's path, from which Python finds its library."""
    call("execveat", image_fd, b"", *_vectors(arguments, environment), AT_EMPTY_PATH)


def _entries() -> list[bytes]:
    return [name + b"=" + value for name, value in os.environb.items()]


_alive: list[bytes] = []  # what the vectors point to


def _vectors(arguments: list[bytes], environment: list[bytes]) -> tuple[bytes, bytes]:
    """Both lists as NULL-terminated arrays of pointers."""
    _alive.extend(arguments + environment)
    return _pointers(arguments), _pointers(environment)


def _pointers(texts: list[bytes]) -> bytes:
    return pack("=%dQ" % (len(texts) + 1), *[address_of(text) for text in texts], 0)
