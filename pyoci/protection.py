"""Is the file behind /proc/self/exe safe from the containers that we make (CVE-2019-5736)?

Asked of the kernel each time; no variable and no option can claim it.  Making it so is the work of the launcher
and of protect.py.
"""

import os
import sys

from pyoci.errors import HostError

EXECUTABLE = "/proc/self/exe"
_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # F_SEAL_SEAL, SHRINK, GROW, WRITE
_F_GET_SEALS = 1034


def protection() -> str:
    """How the interpreter's file is kept from being overwritten: `read-only`, `sealed`, `foreign` or ``.

    `foreign` means that neither this user nor its capabilities may write the file, so that no container of
    this user can.
    """
    try:
        if os.statvfs(EXECUTABLE).f_flag & os.ST_RDONLY:
            return "read-only"
        if os.stat(EXECUTABLE).st_uid != os.geteuid() and not os.access(EXECUTABLE, os.W_OK, effective_ids=True):
            return "foreign"
        return "sealed" if _is_sealed() else ""
    except OSError:
        return ""


def require_protection() -> None:
    """Refuse to put a process into a container while the interpreter's file could be overwritten from there."""
    if not protection():
        raise HostError(
            "the interpreter's executable file is writable from a container",
            where=sys.executable,
            cause="neither a read-only clone of its mount nor a sealed copy of it could be made, or pyoci "
            "was not started by its own command",
            fix="start the installed command `pyoci`; pyoci needs /proc, and CAP_SYS_ADMIN or memfd_create(2)",
        )


def _is_sealed() -> bool:
    from fcntl import fcntl

    fd = os.open(EXECUTABLE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fcntl(fd, _F_GET_SEALS) & _SEALS == _SEALS
    except OSError:  # EINVAL: not a memfd
        return False
    finally:
        os.close(fd)
