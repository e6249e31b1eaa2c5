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
        else:
            give_stream(fd, node, uid)
    if null_fd > 2:
        os.close(null_fd)


def _is_null(node: os.stat_result) -> bool:
    return stat.S_ISCHR(node.st_mode) and node.st_rdev == NULL_DEVICE


def _container_null(root_fd: int) -> int:
    """The container's null device, or -1; looked at before it is opened: opening alone can set off a device."""
    try:
        path_fd = open_in_root(root_fd, "/dev/null", os.O_PATH | os.O_NOFOLLOW)
    except SyscallError:
        return -1
    try:
        if not _is_null(os.fstat(path_fd)):
            return -1
        fd = os.open("/proc/self/fd/%d" % path_fd, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not _is_null(os.fstat(fd)):  # a joined mount namespace has a /proc of its own
            os.close(fd)
            return -1
        os.set_blocking(fd, True)
        return fd
    except OSError:
        return -1
    finally:
        os.close(path_fd)


def give_stream(fd: int, node: os.stat_result, uid: int) -> None:
    """Give a stream, unless it is a device, to a user: the program may open it again by its name in /proc."""
    if node.st_uid == uid or stat.S_ISCHR(node.st_mode) or stat.S_ISBLK(node.st_mode):
        return
    try:
        os.fchown(fd, uid, -1)
    except OSError as error:
        if error.errno not in (EPERM, EROFS, EINVAL):
            raise SyscallError(error.errno or 0, "fchown", "descriptor %d" % fd) from None
