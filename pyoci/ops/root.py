"""The root itself: its propagation, its own mount, the change into it."""

import os
from errno import EPERM

from pyoci.errors import SyscallError
from pyoci.kernel.mount import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    MNT_DETACH,
    MOUNT_ATTR_RDONLY,
    MS_MOVE,
    MS_PRIVATE,
    MS_REC,
    MS_SLAVE,
    OPEN_TREE_CLONE,
    mount,
    mount_setattr,
    move_mount,
    open_tree,
    path_argument,
    pivot_root,
    umount2,
)
from pyoci.kernel.path import openat2
from pyoci.tables.mount_options import flag_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.ops.context import Context


class SetPropagation:
    """Set the propagation of `/` of the present mount namespace (shared subtrees, mount_namespaces(7))."""

    __slots__ = ("flags", "where")

    def __init__(self, where: str, flags: int) -> None:
        self.where = where
        self.flags = flags

    def describe(self) -> str:
        """As `propagation of / becomes MS_SLAVE|MS_REC`."""
        return "propagation of / becomes %s" % flag_text(self.flags)

    def apply(self, ctx: "Context") -> None:
        """Set it."""
        mount(None, b"/", None, self.flags, None)


class BindRoot:
    """Copy the rootfs as a mount of its own and attach it over itself; a shared parent mount becomes private.

    The parent must not be shared: else the mounts below it would appear on the host (and pivot_root refuses).
    """

    __slots__ = ("parent_flags", "path", "where")

    def __init__(self, where: str, path: str, parent_flags: int = MS_PRIVATE) -> None:
        self.where = where
        self.path = path
        self.parent_flags = parent_flags

    def describe(self) -> str:
        """As `bind /b/rootfs on itself`."""
        text = "bind %s on itself, with all that is mounted below it" % self.path
        return text + "; its parent mount becomes a slave" if self.parent_flags == MS_SLAVE else text

    def apply(self, ctx: "Context") -> None:
        """Open the rootfs once, for good."""
        path = path_argument(self.path)
        target_fd = openat2(AT_FDCWD, self.path, os.O_PATH | os.O_DIRECTORY)
        make_parent_unshared(target_fd, self.parent_flags)
        ctx.root_fd = open_tree(target_fd, b"", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH, detail=self.path)
        move_mount(ctx.root_fd, target_fd, detail=path.decode("utf-8", "backslashreplace"))
        os.close(target_fd)


def make_parent_unshared(fd: int, flags: int) -> None:
    """Change the propagation of the mount that `fd` lies on if it is shared or unbindable (found in mountinfo).

    One that is merely a slave stays so: the container's root inherits that.
    """
    wanted = b""
    for line in _read(b"/proc/self/fdinfo/%d" % fd).splitlines():
        if line.startswith(b"mnt_id:"):
            wanted = line.split()[1]
    for line in _read(b"/proc/self/mountinfo").splitlines():
        fields = line.split(b" ")
        if fields[0] == wanted:
            marks = fields[6 : fields.index(b"-")]
            if any(mark.startswith(b"shared:") or mark == b"unbindable" for mark in marks):
                mount(None, unescape(fields[4]), None, flags, None)
            return


def _read(path: bytes) -> bytes:
    """A whole file of procfs, without the text layer, which would import a codec."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    parts = []
    while part := os.read(fd, 65536):
        parts.append(part)
    os.close(fd)
    return b"".join(parts)


def unescape(field: bytes) -> bytes:
    r"""A path field of mountinfo without its octal escapes (`\040` and the like)."""
    if b"\\" not in field:
        return field
    parts = field.split(b"\\")
    return parts[0] + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in parts[1:])


class SealRoot:
    """Make the root mount read-only, after everything in it has been made."""

    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        self.where = where

    def describe(self) -> str:
        """As `the root becomes read-only`."""
        return "the root becomes read-only"

    def apply(self, ctx: "Context") -> None:
        """Only the read-only attribute is set, so that no locked one is touched."""
        mount_setattr(ctx.root_fd, MOUNT_ATTR_RDONLY, 0, detail="/")


class PivotRoot:
    """Make the rootfs `/` and let go of the host's root (pivot_root(2))."""

    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        self.where = where

    def describe(self) -> str:
        """As `pivot_root into the rootfs, the host's root is detached`."""
        return "pivot_root into the rootfs; the host's root is detached"

    def apply(self, ctx: "Context") -> None:
        """With `.` for both, the old root is stacked on the new one and can be detached without a directory.

        Afterwards `.` is the new root to mount(2) and the old one to umount2(2): the old root is entered by
        its descriptor, so that both mean it.
        """
        old_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fchdir(ctx.root_fd)
        pivot_root(b".", b".")
        os.fchdir(old_fd)
        os.close(old_fd)
        mount(None, b".", None, MS_SLAVE | MS_REC, None)  # the unmount must not reach the host
        umount2(b".", MNT_DETACH)
        os.chdir("/")


class MoveRoot:
    """Without pivot_root (`--no-pivot`, for a root on the initial ramfs): move the rootfs over `/` and chroot."""

    __slots__ = ("path", "where")

    def __init__(self, where: str, path: str) -> None:
        self.where = where
        self.path = path

    def describe(self) -> str:
        """As `move the rootfs over / and chroot`."""
        return "move the rootfs over / and chroot; the host's proc and sysfs mounts are detached first"

    def apply(self, ctx: "Context") -> None:
        """A fully visible proc or sysfs left behind would let a user namespace inside mount its own."""
        inside = path_argument(self.path) + b"/"
        for mountpoint in _mountpoints_of((b"proc", b"sysfs")):
            if not mountpoint.startswith(inside):
                _detach(mountpoint)
        os.fchdir(ctx.root_fd)
        mount(b".", b"/", None, MS_MOVE, None)
        os.chroot(".")
        os.chdir("/")


class ChangeRoot:
    """chroot(2), for a container without a mount namespace of its own."""

    __slots__ = ("path", "where")

    def __init__(self, where: str, path: str) -> None:
        self.where = where
        self.path = path

    def describe(self) -> str:
        """As `chroot to /b/rootfs`."""
        return "chroot to %s (no mount namespace)" % self.path

    def apply(self, ctx: "Context") -> None:
        """Change root and directory."""
        os.fchdir(ctx.root_fd)
        os.chroot(".")
        os.chdir("/")


class OpenRoot:
    """Open the rootfs where it lies, for a container without a mount namespace of its own."""

    __slots__ = ("path", "where")

    def __init__(self, where: str, path: str) -> None:
        self.where = where
        self.path = path

    def describe(self) -> str:
        """As `open /b/rootfs`."""
        return "open %s" % self.path

    def apply(self, ctx: "Context") -> None:
        """Take the one handle of the rootfs."""
        ctx.root_fd = openat2(AT_FDCWD, self.path, os.O_PATH | os.O_DIRECTORY)


def _mountpoints_of(filesystems: tuple[bytes, ...]) -> list[bytes]:
    found = []
    for line in _read(b"/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(b" - ")
        if after.split(b" ", 1)[0] in filesystems:
            found.append(unescape(before.split(b" ")[4]))
    return found


def _detach(mountpoint: bytes) -> None:
    try:
        umount2(mountpoint, MNT_DETACH)
    except SyscallError as error:
        if error.errno != EPERM:
            raise
        # Locked by a more privileged namespace: cover it instead.
        mount(b"tmpfs", mountpoint, b"tmpfs", 0, b"size=0k")
