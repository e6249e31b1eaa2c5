"""The three standard streams as the program should find them."""

import os
import stat
from errno import EINVAL, EPERM, EROFS

from pyoci.errors import SyscallError
from pyoci.kernel.path import open_in_root

NULL_DEVICE = os.makedev(1, 3)


def adopt_standard_streams(root_fd: int, uid: int) -> None:
    """Swap the host's null device for the container's own, and give the other streams to the program's user.

    The type and number of both are compared: an image whose /dev/null is a symlink or a plain file keeps the
    host's (CVE-2026-88265).  A null device is never given away: runc 1.1.1 to 1.1.4 changed the host's.
    """
    null_fd = -1
    for fd in range(3):
        node = os.fstat(fd)
        if _is_null(node):
            if null_fd < 0:
                null_fd = _container_null(root_fd)
            if null_fd >= 0:
                os.dup2(null_fd, fd)
        elif node.st_uid != uid and not stat.S_ISCHR(node.st_mode) and not stat.S_ISBLK(node.st_mode):
            _give_to(fd, uid)
    if null_fd > 2:
        os.close(null_fd)


def _is_null(node: os.stat_result) -> bool:
    return stat.S_ISCHR(node.st_mode) and node.st_rdev == NULL_DEVICE


def _container_null(root_fd: int) -> int:
    try:
        fd = open_in_root(root_fd, "/dev/null", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except SyscallError:
        return -1
    if not _is_null(os.fstat(fd)):
        os.close(fd)
        return -1
    os.set_blocking(fd, True)
    return fd


def _give_to(fd: int, uid: int) -> None:
    try:
        os.fchown(fd, uid, -1)
    except OSError as error:
        if error.errno not in (EPERM, EROFS, EINVAL):
            raise SyscallError(error.errno or 0, "fchown", "descriptor %d" % fd) from None
