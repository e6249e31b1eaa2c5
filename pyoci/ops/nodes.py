"""Devices, links, directories and the paths that are hidden or read-only."""

import os
from errno import EACCES, EEXIST, ENOENT, ENOTDIR, EPERM
from stat import S_IFBLK, S_IFCHR, S_IFIFO, S_IFMT, S_ISCHR, S_ISDIR

from pyoci.errors import OperationError, SyscallError
from pyoci.kernel.mount import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    OPEN_TREE_CLONE,
    mount_setattr,
    move_mount,
    open_tree,
    path_argument,
)
from pyoci.kernel.path import (
    RESOLVE_BENEATH,
    RESOLVE_NO_SYMLINKS,
    clean,
    ensure_directory,
    give,
    open_in_root,
    open_parent,
    openat2,
)
from pyoci.ops.mounts import make_filesystem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyoci.ops.context import Context

NULL_DEVICE = os.makedev(1, 3)
_TYPES = {"c": S_IFCHR, "u": S_IFCHR, "b": S_IFBLK, "p": S_IFIFO}


class MakeDevice:
    """A device node (mknod), or in a user namespace the host's own node bound over an empty file."""

    __slots__ = ("gid", "kind", "major", "minor", "mode", "path", "uid", "where")

    def __init__(
        self, where: str, path: str, kind: str, major: int, minor: int, mode: int, uid: int, gid: int
    ) -> None:
        self.where = where
        self.path = path
        self.kind = kind
        self.major = major
        self.minor = minor
        self.mode = mode
        self.uid = uid
        self.gid = gid

    def describe(self) -> str:
        """As `mknod /dev/null c 1:3 0666 0:0 (else bind the host's)`."""
        numbers = "" if self.kind == "p" else " %d:%d" % (self.major, self.minor)
        text = "mknod %s %s%s %04o %d:%d" % (self.path, self.kind, numbers, self.mode, self.uid, self.gid)
        return text + " (where that is not permitted: bind the host's)"

    def apply(self, ctx: "Context") -> None:
        """The umask is 0 here, so the mode given is the mode made."""
        parent_fd, name = open_parent(ctx.root_fd, self.path)
        try:
            if ctx.in_user_namespace and self.kind != "p":
                self._bind(parent_fd, name)
            else:
                self._make(parent_fd, name)
        finally:
            os.close(parent_fd)

    def _type(self) -> int:
        return _TYPES[self.kind]

    def _number(self) -> int:
        return 0 if self.kind == "p" else os.makedev(self.major, self.minor)

    def _make(self, parent_fd: int, name: str) -> None:
        try:
            os.mknod(name, self._type() | self.mode, self._number(), dir_fd=parent_fd)
        except FileExistsError:
            self._check_existing(parent_fd, name)
            return
        except PermissionError:
            self._bind(parent_fd, name)
            return
        except OSError as error:
            raise SyscallError(error.errno or 0, "mknodat", self.path) from None
        if self.uid or self.gid:
            self._give(parent_fd, name)

    def _give(self, parent_fd: int, name: str) -> None:
        """Change the owner of the node that was made, not of what somebody has put in its place."""
        node_fd = openat2(parent_fd, name, os.O_PATH | os.O_NOFOLLOW, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
        try:
            found = os.fstat(node_fd)
            if S_IFMT(found.st_mode) != self._type() or found.st_rdev != self._number():
                raise SyscallError(EEXIST, "mknodat", self.path)
            give(node_fd, self.uid, self.gid, detail=self.path)
        finally:
            os.close(node_fd)

    def _check_existing(self, parent_fd: int, name: str) -> None:
        """What is there must be the device asked for: anything else is an error, not `already there`."""
        found = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
        if S_IFMT(found.st_mode) != self._type() or found.st_rdev != self._number():
            raise OperationError(
                "device %s: file exists" % self.path,
                cause="something else stands at %s (mode %o): from the image, a mount or an earlier device"
                % (self.path, found.st_mode),
                fix="remove it, or the device from the config",
            )

    def _bind(self, parent_fd: int, name: str) -> None:
        try:
            tree_fd = open_tree(AT_FDCWD, path_argument(self.path), OPEN_TREE_CLONE)
        except SyscallError as error:
            raise OperationError(
                "device %s: mknod: operation not permitted" % self.path,
                cause="device nodes cannot be made here, and the host has no %s to bind (%s)" % (self.path, error),
            ) from None
        try:
            node = os.fstat(tree_fd)
            if S_IFMT(node.st_mode) != self._type() or node.st_rdev != self._number():
                raise OperationError(
                    "device %s: the host's node is another device: operation not permitted" % self.path,
                    cause="device nodes cannot be made here, and the host's %s is %d:%d"
                    % (self.path, os.major(node.st_rdev), os.minor(node.st_rdev)),
                )
            target_fd = _empty_file(parent_fd, name)
            mount_setattr(tree_fd, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, detail=self.path)
            move_mount(tree_fd, target_fd, detail=self.path)
            os.close(target_fd)
        finally:
            os.close(tree_fd)


class MakeSymlink:
    """A symlink; one that is already there stays, or is replaced when `replace` says so."""

    __slots__ = ("path", "replace", "target", "where")

    def __init__(self, where: str, path: str, target: str, *, replace: bool = False) -> None:
        self.where = where
        self.path = path
        self.target = target
        self.replace = replace

    def describe(self) -> str:
        """As `link /dev/fd -> /proc/self/fd`."""
        return "link %s -> %s%s" % (self.path, self.target, " (replacing)" if self.replace else "")

    def apply(self, ctx: "Context") -> None:
        """In the parent directory that was opened inside the root."""
        parent_fd, name = open_parent(ctx.root_fd, self.path)
        try:
            try:
                os.symlink(self.target, name, dir_fd=parent_fd)
            except FileExistsError:
                if self.replace:
                    os.unlink(name, dir_fd=parent_fd)
                    os.symlink(self.target, name, dir_fd=parent_fd)
        except OSError as error:
            raise SyscallError(error.errno or 0, "symlinkat", self.path) from None
        finally:
            os.close(parent_fd)


class MakeDirectory:
    """A directory with its parents, where missing."""

    __slots__ = ("mode", "path", "where")

    def __init__(self, where: str, path: str, mode: int = 0o755) -> None:
        self.where = where
        self.path = path
        self.mode = mode

    def describe(self) -> str:
        """As `directory /work 0755, if missing`."""
        return "directory %s %04o, if missing" % (self.path, self.mode)

    def apply(self, ctx: "Context") -> None:
        """Inside the root."""
        os.close(ensure_directory(ctx.root_fd, self.path, mode=self.mode))


class MaskPath:
    """Hide a path, if it is there: a file under the null device, a directory under an empty read-only tmpfs."""

    __slots__ = ("label", "path", "where")

    def __init__(self, where: str, path: str, label: str = "") -> None:
        self.where = where
        self.path = path
        self.label = label  # as `context=LABEL`, for the empty directory

    def describe(self) -> str:
        """As `mask /proc/kcore, if there`."""
        return "mask %s, if there%s" % (self.path, " (a directory with %s)" % self.label if self.label else "")

    def apply(self, ctx: "Context") -> None:
        """The host's null device is bound and checked, never one the image could have swapped (CVE-2025-31133)."""
        for turn, fd in enumerate(_find(ctx, self.path)):
            if turn == 0 or not self._is_mask(ctx, fd):
                self._cover(ctx, fd)
            os.close(fd)

    def _cover(self, ctx: "Context", fd: int) -> None:
        mask_fd = self._empty_directory(ctx) if S_ISDIR(os.fstat(fd).st_mode) else _null_device()
        move_mount(mask_fd, fd, detail=self.path)
        if mask_fd != ctx.mask_fd:
            os.close(mask_fd)

    def _is_mask(self, ctx: "Context", fd: int) -> bool:
        node = os.fstat(fd)
        if S_ISDIR(node.st_mode):
            return ctx.mask_fd >= 0 and os.fstat(ctx.mask_fd).st_dev == node.st_dev
        return S_ISCHR(node.st_mode) and node.st_rdev == NULL_DEVICE

    def _empty_directory(self, ctx: "Context") -> int:
        if ctx.mask_fd >= 0:
            return open_tree(ctx.mask_fd, b"", OPEN_TREE_CLONE | AT_EMPTY_PATH)
        attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
        words = ["nr_inodes=2", "nr_blocks=1", "mode=755"]
        if self.label:
            words.append(self.label)
        ctx.mask_fd = make_filesystem("tmpfs", "tmpfs", tuple(words), attributes)
        return ctx.mask_fd


class ReadonlyPath:
    """Make a path read-only by binding it on itself; a missing one is skipped."""

    __slots__ = ("path", "where")

    def __init__(self, where: str, path: str) -> None:
        self.where = where
        self.path = path

    def describe(self) -> str:
        """As `/proc/sys becomes read-only, if there`."""
        return "%s becomes read-only, if there" % self.path

    def apply(self, ctx: "Context") -> None:
        """Only the read-only attribute is added: nosuid, nodev and noexec stay as they are."""
        for turn, fd in enumerate(_find(ctx, self.path)):
            if turn == 0 or not os.fstatvfs(fd).f_flag & os.ST_RDONLY:
                self._seal(fd)
            os.close(fd)

    def _seal(self, fd: int) -> None:
        tree_fd = open_tree(fd, b"", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH, detail=self.path)
        mount_setattr(tree_fd, MOUNT_ATTR_RDONLY, 0, recursive=True, detail=self.path)
        move_mount(tree_fd, fd, detail=self.path)
        os.close(tree_fd)


def _find(ctx: "Context", path: str) -> "Iterator[int]":
    """Descriptors of what is at `path`: below the procfs or sysfs mount that the path names, then by name.

    The two differ when something was mounted on top, or when a hostile process moves directories of the image
    about.  The second is looked up when the first has been dealt with.
    """
    wanted = clean(path)
    for destination, mount_fd in ctx.kernel_mounts.items():
        if wanted.startswith(destination + "/"):
            fd = _open_existing(mount_fd, wanted[len(destination) :])
            if fd >= 0:
                yield fd
    fd = _open_existing(ctx.root_fd, path)
    if fd >= 0:
        yield fd


def _open_existing(root_fd: int, path: str) -> int:
    """An O_PATH descriptor, or -1 when nothing is there."""
    try:
        return open_in_root(root_fd, path)
    except SyscallError as error:
        if error.errno in (ENOENT, ENOTDIR):
            return -1
        if error.errno == EACCES:
            # In a user namespace a directory may be closed to the container's root: then it is closed to
            # the container too.
            return -1
        raise


def _null_device() -> int:
    fd = open_tree(AT_FDCWD, b"/dev/null", OPEN_TREE_CLONE)
    node = os.fstat(fd)
    if not S_ISCHR(node.st_mode) or node.st_rdev != NULL_DEVICE:
        os.close(fd)
        raise OperationError(
            "the host's /dev/null is not the null device: operation not permitted",
            cause="masked files are covered by the null device, character device 1:3",
            fix="repair /dev/null: mknod -m 0666 /dev/null c 1 3",
        )
    return fd


def _empty_file(parent_fd: int, name: str) -> int:
    """An O_PATH descriptor of a file to mount on; an existing one must not be a symlink."""
    try:
        os.close(
            os.open(
                name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=parent_fd
            )
        )
    except OSError as error:
        if error.errno not in (EEXIST, EPERM):
            raise SyscallError(error.errno or 0, "openat", name) from None
    return openat2(parent_fd, name, os.O_PATH | os.O_NOFOLLOW, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
