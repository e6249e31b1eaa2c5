"""Mount system calls, by descriptor (Linux 5.2 and 5.12).

Detached mounts and descriptors instead of paths: what was checked is what is mounted (CVE-2021-30465).
Every descriptor returned is close-on-exec and belongs to the caller.
"""

from _struct import pack

from pyoci.kernel.syscall import buffer, call

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = 0o2000000

MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40

FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSCONFIG_CMD_RECONFIGURE = 7

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR__ATIME = 0x70
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

MS_RDONLY = 0x1
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000

MNT_DETACH = 2


def open_tree(dirfd: int, path: bytes, flags: int, *, detail: str = "") -> int:
    """Open, or with OPEN_TREE_CLONE copy as a detached tree, the mount at `path` (open_tree(2), Linux 5.2).

    ENOENT when the path is missing, EINVAL for a clone of a mount that is unbindable or of another mount
    namespace.
    """
    return call("open_tree", dirfd, path, flags | OPEN_TREE_CLOEXEC, detail=detail or _text(path))


def move_mount(from_fd: int, to_fd: int, *, detail: str = "") -> None:
    """Attach the detached mount `from_fd` on top of the object `to_fd` refers to (move_mount(2), Linux 5.2).

    Both are fds, so no path is looked up.  EINVAL when `from_fd` is not a mount or one side is a directory
    and the other a file, ENOENT when the mountpoint has been unlinked.
    """
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    call("move_mount", from_fd, b"", to_fd, b"", flags, detail=detail)


def mount_setattr(
    fd: int,
    attr_set: int,
    attr_clear: int,
    *,
    propagation: int = 0,
    user_namespace: int = 0,
    recursive: bool = False,
    detail: str = "",
) -> None:
    """Change the attributes of the mount `fd` refers to (mount_setattr(2), Linux 5.12).

    `user_namespace` is the descriptor whose maps MOUNT_ATTR_IDMAP takes.  EPERM when an attribute is locked by a
    more privileged mount namespace.
    """
    attributes = pack("=QQQQ", attr_set, attr_clear, propagation, user_namespace)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    call("mount_setattr", fd, b"", flags, attributes, len(attributes), detail=detail)


def fsopen(filesystem: bytes) -> int:
    """Open a context for a new instance of a filesystem (fsopen(2)); ENODEV when the kernel does not know it."""
    return call("fsopen", filesystem, FSOPEN_CLOEXEC, detail=_text(filesystem))


def fsconfig_string(fs_fd: int, key: bytes, value: bytes) -> None:
    """Set `key=value` on a filesystem context."""
    call("fsconfig", fs_fd, FSCONFIG_SET_STRING, key, value, 0, detail=_text(key + b"=" + value))


def fsconfig_flag(fs_fd: int, key: bytes) -> None:
    """Set the flag `key` on a filesystem context."""
    call("fsconfig", fs_fd, FSCONFIG_SET_FLAG, key, None, 0, detail=_text(key))


def fsconfig_create(fs_fd: int) -> None:
    """Make the superblock."""
    call("fsconfig", fs_fd, FSCONFIG_CMD_CREATE, None, None, 0, detail="create")


def fsmount(fs_fd: int, attributes: int) -> int:
    """A detached mount of the context's superblock, with MOUNT_ATTR_ attributes (fsmount(2))."""
    return call("fsmount", fs_fd, FSMOUNT_CLOEXEC, attributes)


def mount(source: bytes | None, target: bytes, filesystem: bytes | None, flags: int, data: bytes | None) -> None:
    """mount(2), for the few things the new interface has no word for."""
    call("mount", source, target, filesystem, flags, data, detail=_text(target))


def umount2(target: bytes, flags: int) -> None:
    """umount2(2)."""
    call("umount2", target, flags, detail=_text(target))


def pivot_root(new_root: bytes, put_old: bytes) -> None:
    """pivot_root(2); EINVAL when the present root is on the initial ramfs or new_root is not a mount."""
    call("pivot_root", new_root, put_old, detail=_text(new_root))


def filesystem_magic(fd: int) -> int:
    """The f_type of the filesystem that `fd` is on (fstatfs(2), statfs.h)."""
    result = buffer(120)
    call("fstatfs", fd, result)
    return int.from_bytes(result.raw[:8], "little")


def path_argument(path: str) -> bytes:
    """A path as the kernel takes it."""
    return path.encode("utf-8", "surrogateescape")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
