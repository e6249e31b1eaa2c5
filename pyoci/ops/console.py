"""The container's terminal: a pty of its own devpts, as standard streams and as /dev/console."""

import os
from _struct import pack
from errno import EEXIST, ENOENT, ENOTDIR
from fcntl import ioctl
from stat import S_ISCHR

from pyoci.errors import OperationError, SyscallError
from pyoci.kernel.mount import AT_EMPTY_PATH, OPEN_TREE_CLONE, filesystem_magic, move_mount, open_tree
from pyoci.kernel.path import (
    RESOLVE_BENEATH,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    open_in_root,
    open_parent,
    openat2,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.ops.context import Context

DEVPTS_SUPER_MAGIC = 0x1CD1
PTMX_DEVICE = os.makedev(5, 2)
TIOCSPTLCK = 0x40045431
TIOCGPTPEER = 0x5441
TIOCSWINSZ = 0x5414
TIOCSCTTY = 0x540E


class MakeConsole:
    """Open a pty in the container's devpts, bind it on /dev/console, make it the three standard streams."""

    __slots__ = ("size", "uid", "where")

    def __init__(self, where: str, uid: int, size: tuple[int, int] | None) -> None:
        self.where = where
        self.uid = uid
        self.size = size

    def describe(self) -> str:
        """As `pty from /dev/pts/ptmx for uid 0, bound on /dev/console, size 80x24`."""
        size = "" if self.size is None else ", %d rows of %d columns" % self.size
        return "pty from /dev/pts/ptmx for uid %d, on /dev/console and as standard streams%s" % (self.uid, size)

    def apply(self, ctx: "Context") -> None:
        """Everything by descriptor: names under /dev may be swapped meanwhile (CVE-2025-52565)."""
        pty_fd, peer_fd = open_pty(ctx.root_fd, self.uid, self.size)
        _bind_console(ctx.root_fd, peer_fd)
        adopt_terminal(peer_fd)
        ctx.console_fd = pty_fd


def open_pty(root_fd: int, uid: int, size: tuple[int, int] | None) -> tuple[int, int]:
    """A new pty of the devpts at /dev/pts in the root: (outer end, end for `uid`), of `size` (rows, columns)."""
    pty_fd = _open_ptmx(root_fd)
    ioctl(pty_fd, TIOCSPTLCK, pack("=i", 0))
    peer_fd = ioctl(pty_fd, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if size is not None:
        ioctl(pty_fd, TIOCSWINSZ, pack("=HHHH", *size, 0, 0))
    os.fchown(peer_fd, uid, -1)
    return pty_fd, peer_fd


def adopt_terminal(peer_fd: int) -> None:
    """Make it the controlling terminal of this session and the three standard streams; closes `peer_fd`."""
    ioctl(peer_fd, TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(peer_fd, fd)
    os.close(peer_fd)


def _open_ptmx(root_fd: int) -> int:
    """The multiplexer of the container's devpts: a name that only the kernel makes there, with nothing on top.

    Without a way through /proc, which for `exec` is the container's own.
    """
    try:
        directory_fd = open_in_root(root_fd, "/dev/pts", os.O_PATH | os.O_DIRECTORY)
    except SyscallError as error:
        if error.errno not in (ENOENT, ENOTDIR):
            raise
        raise _no_devpts() from None
    try:
        if filesystem_magic(directory_fd) != DEVPTS_SUPER_MAGIC:
            raise _no_devpts()
        resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
        fd = openat2(directory_fd, "ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NOFOLLOW, resolve=resolve)
    finally:
        os.close(directory_fd)
    node = os.fstat(fd)
    if not S_ISCHR(node.st_mode) or node.st_rdev != PTMX_DEVICE:
        os.close(fd)
        raise OperationError("/dev/pts/ptmx is no pty multiplexer: operation not permitted")
    return fd


def _no_devpts() -> OperationError:
    return OperationError(
        "open /dev/pts/ptmx: no such file or directory",
        cause="a terminal needs a devpts of the container's own",
        fix="mount devpts on /dev/pts in .mounts, with the option newinstance",
    )


def _bind_console(root_fd: int, peer_fd: int) -> None:
    parent_fd, name = open_parent(root_fd, "/dev/console")
    try:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            os.close(os.open(name, flags, 0o600, dir_fd=parent_fd))
        except OSError as error:
            if error.errno != EEXIST:
                raise SyscallError(error.errno or 0, "openat", "/dev/console") from None
        target_fd = openat2(
            parent_fd, name, os.O_PATH | os.O_NOFOLLOW, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
        )
        tree_fd = open_tree(peer_fd, b"", OPEN_TREE_CLONE | AT_EMPTY_PATH, detail="the pty")
        move_mount(tree_fd, target_fd, detail="/dev/console")
        os.close(tree_fd)
        os.close(target_fd)
    finally:
        os.close(parent_fd)
