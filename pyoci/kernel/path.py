"""Paths inside a tree that is not ours to trust.

The image and every process in the container may swap a directory for a symlink while we work.  So no path
below the rootfs is ever joined to a string and handed to the kernel: each lookup starts at a descriptor of
the rootfs and is resolved by openat2(2) as if that were `/`, without magic links; what is missing is made one
component at a time from the descriptor of its parent (CVE-2024-45310, CVE-2021-30465, CVE-2026-41579).
"""

import os
from _struct import pack
from errno import EAGAIN, EEXIST, ELOOP, ENOENT, ENOTDIR

from pyoci.errors import SyscallError
from pyoci.kernel.mount import filesystem_magic
from pyoci.kernel.syscall import call

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

_IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
_RACES = 128  # EAGAIN means that a rename raced with the lookup: openat2(2) asks callers to try again
_MAX_LINKS = 40  # as the kernel's own limit

O_PATH = os.O_PATH
O_DIRECTORY = os.O_DIRECTORY
O_NOFOLLOW = os.O_NOFOLLOW
O_CLOEXEC = os.O_CLOEXEC

_FILE_TYPE = 0o170000
_SYMLINK = 0o120000
_AT_EMPTY_PATH = 0x1000
_PROC_SUPER_MAGIC = 0x9FA0


def openat2(dirfd: int, path: str, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """Open `path` from `dirfd` under the restrictions of `resolve` (openat2(2), Linux 5.6).

    The descriptor returned is close-on-exec.  ELOOP when a forbidden link is met, EXDEV when a forbidden
    border is crossed.
    """
    how = pack("=QQQ", flags | O_CLOEXEC, mode, resolve)
    raw = path.encode("utf-8", "surrogateescape")
    for _ in range(_RACES):
        try:
            return call("openat2", dirfd, raw, how, len(how), detail=path)
        except SyscallError as error:
            if error.errno != EAGAIN:
                raise
    raise SyscallError(EAGAIN, "openat2", path)


def open_in_root(root_fd: int, path: str, flags: int = O_PATH, *, symlinks: bool = True) -> int:
    """Open `path` with the tree of `root_fd` as `/`; without `symlinks` any symlink on the way is ELOOP."""
    resolve = _IN_ROOT if symlinks else _IN_ROOT | RESOLVE_NO_SYMLINKS
    return openat2(root_fd, path, flags, resolve=resolve)


def exists_in_root(root_fd: int, path: str) -> bool:
    """Whether `path` can be reached inside the tree."""
    try:
        os.close(open_in_root(root_fd, path))
    except SyscallError as error:
        if error.errno in (ENOENT, ENOTDIR):
            return False
        raise
    return True


def ensure_directory(root_fd: int, path: str, *, mode: int = 0o755) -> int:
    """An O_PATH descriptor of the directory `path` in the tree, made with its parents where missing.

    Symlinks are followed inside the tree; the target of a dangling one is made inside the tree.  ENOTDIR when
    something else is in the way.
    """
    try:
        return open_in_root(root_fd, path, O_PATH | O_DIRECTORY)
    except SyscallError as error:
        if error.errno != ENOENT:
            raise
    made = _make_last(root_fd, path, mode)
    if made >= 0:
        return made
    resolved = _make_components(root_fd, _components(path), mode)
    return open_in_root(root_fd, resolved, O_PATH | O_DIRECTORY, symlinks=False)


def _make_last(root_fd: int, path: str, mode: int) -> int:
    """The usual case, in four calls: only the last component is missing.  -1 when it is not that simple."""
    parent, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        return -1
    try:
        parent_fd = open_in_root(root_fd, parent or "/", O_PATH | O_DIRECTORY)
    except SyscallError:
        return -1
    try:
        os.mkdir(name, mode, dir_fd=parent_fd)
        return openat2(parent_fd, name, O_PATH | O_DIRECTORY, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    except OSError:
        return -1  # a dangling symlink stands there, or somebody is faster: step by step, then
    finally:
        os.close(parent_fd)


def ensure_file(root_fd: int, path: str, *, mode: int = 0o644) -> int:
    """An O_PATH descriptor of the file `path` in the tree; an empty one is made where it is missing.

    An existing file of any type but a symlink is returned as it is, never truncated.
    """
    try:
        return open_in_root(root_fd, path)
    except SyscallError as error:
        if error.errno != ENOENT:
            raise
    parent_fd, name = _open_parent_of_target(root_fd, path)
    try:
        made = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode, dir_fd=parent_fd)
        os.close(made)
    except FileExistsError:
        pass  # a parallel creator was faster; what it made is checked by the open below
    except OSError as error:
        raise SyscallError(error.errno or 0, "openat", path) from None
    try:
        return openat2(parent_fd, name, O_PATH | O_NOFOLLOW, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    finally:
        os.close(parent_fd)


def open_parent(root_fd: int, path: str) -> tuple[int, str]:
    """The directory that holds `path` (made where missing) as an O_PATH descriptor, and the last component."""
    parent, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        raise SyscallError(ENOENT, "openat2", path)
    return ensure_directory(root_fd, parent or "/"), name


def read_link(fd: int) -> str:
    """Where the symlink behind an O_PATH|O_NOFOLLOW descriptor points (readlinkat(2) with an empty path)."""
    return os.readlink("", dir_fd=fd)


def give(fd: int, uid: int, gid: int, *, detail: str = "") -> None:
    """Change the owner of what an O_PATH descriptor refers to (fchownat(2) with an empty path)."""
    call("fchownat", fd, b"", uid, gid, _AT_EMPTY_PATH, detail=detail)


def is_symlink(fd: int) -> bool:
    """Whether an O_PATH descriptor refers to a symlink itself."""
    return os.fstat(fd).st_mode & _FILE_TYPE == _SYMLINK


def clean(path: str) -> str:
    """`path` made absolute and rid of `.`, `..` and double slashes as text; `..` never leaves `/`."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if kept:
                kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    return "/" + "/".join(kept)


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _open_parent_of_target(root_fd: int, path: str) -> tuple[int, str]:
    """As open_parent, but a dangling symlink in the last place is followed to where its target would be."""
    for _ in range(_MAX_LINKS):
        parent_fd, name = open_parent(root_fd, path)
        try:
            target = _target_of(parent_fd, name)
        except SyscallError as error:
            if error.errno == ENOENT:
                return parent_fd, name
            os.close(parent_fd)
            raise
        if target is None:
            return parent_fd, name
        os.close(parent_fd)
        path = target if target.startswith("/") else path.rstrip("/").rpartition("/")[0] + "/" + target
    raise SyscallError(ELOOP, "openat2", path)


def _make_components(root_fd: int, pending: list[str], mode: int) -> str:
    """Walk and make `pending` one by one; the path returned has no symlink in it."""
    resolved: list[str] = []
    links = 0
    while pending:
        name = pending.pop(0)
        if name == "..":
            if resolved:
                resolved.pop()
            continue
        here = "/" + "/".join(resolved)
        parent_fd = open_in_root(root_fd, here, O_PATH | O_DIRECTORY, symlinks=False)
        try:
            target = _step(parent_fd, name, mode)
        finally:
            os.close(parent_fd)
        if target is None:
            resolved.append(name)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise SyscallError(ELOOP, "openat2", here + "/" + name)
        if target.startswith("/"):
            resolved = []
        pending = _components(target) + pending
    return "/" + "/".join(resolved)


def _step(parent_fd: int, name: str, mode: int) -> str | None:
    """Make the directory `name` unless it is there; the target when it is a symlink, else None."""
    try:
        os.mkdir(name, mode, dir_fd=parent_fd)
        return None
    except OSError as error:
        if error.errno != EEXIST:
            raise SyscallError(error.errno or 0, "mkdirat", name) from None
    return _target_of(parent_fd, name)


def _target_of(parent_fd: int, name: str) -> str | None:
    """Where the symlink `name` points; None when it is none.

    ELOOP for a magic link of procfs: its text is a path of the host, which is not meant to be walked here.
    """
    fd = openat2(parent_fd, name, O_PATH | O_NOFOLLOW, resolve=RESOLVE_BENEATH)
    try:
        if not is_symlink(fd):
            return None
        if filesystem_magic(fd) == _PROC_SUPER_MAGIC:
            os.close(openat2(parent_fd, name, O_PATH, resolve=RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS))
        return read_link(fd)
    finally:
        os.close(fd)
