"""`tmpcopyup`: fill a new tmpfs with what it is about to hide.

The tree that is read belongs to the image, so each name is opened from its directory's descriptor, without
following links and without waiting for a FIFO.
"""

import os
from errno import ENOTSUP, EPERM
from stat import S_IMODE, S_ISDIR, S_ISLNK, S_ISREG, S_ISSOCK

from pyoci.errors import OperationError, SyscallError

_DEEPEST = 200
_CHUNK = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def copy_up(from_fd: int, to_fd: int) -> None:
    """Copy the directory `from_fd` into the directory `to_fd` with all attributes."""
    source_fd = os.open(".", _READ | os.O_DIRECTORY, dir_fd=from_fd)
    target_fd = os.open(".", _READ | os.O_DIRECTORY, dir_fd=to_fd)
    try:
        _copy_directory(source_fd, target_fd, 0)
    except SyscallError:
        raise
    except OSError as error:
        raise SyscallError(error.errno or 0, "copying up", os.fsdecode(error.filename or "")) from None
    finally:
        os.close(source_fd)
        os.close(target_fd)


def _copy_directory(source_fd: int, target_fd: int, depth: int) -> None:
    if depth > _DEEPEST:
        raise OperationError("tmpcopyup: more than %d directories below each other: file name too long" % _DEEPEST)
    for name in os.listdir(source_fd):
        _copy_entry(source_fd, target_fd, name, depth)
    _copy_attributes(source_fd, target_fd)


def _copy_entry(source_fd: int, target_fd: int, name: str, depth: int) -> None:
    found = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
    mode = found.st_mode
    if S_ISDIR(mode):
        os.mkdir(name, 0o700, dir_fd=target_fd)
        below_source = os.open(name, _READ | os.O_DIRECTORY, dir_fd=source_fd)
        below_target = os.open(name, _READ | os.O_DIRECTORY, dir_fd=target_fd)
        try:
            _copy_directory(below_source, below_target, depth + 1)
        finally:
            os.close(below_source)
            os.close(below_target)
    elif S_ISREG(mode):
        _copy_file(source_fd, target_fd, name)
    elif S_ISLNK(mode):
        os.symlink(os.readlink(name, dir_fd=source_fd), name, dir_fd=target_fd)
        os.chown(name, found.st_uid, found.st_gid, dir_fd=target_fd, follow_symlinks=False)
    elif not S_ISSOCK(mode):
        os.mknod(name, mode, found.st_rdev, dir_fd=target_fd)
        os.chown(name, found.st_uid, found.st_gid, dir_fd=target_fd, follow_symlinks=False)


def _copy_file(source_fd: int, target_fd: int, name: str) -> None:
    read_fd = os.open(name, _READ, dir_fd=source_fd)
    write_fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target_fd)
    try:
        if S_ISREG(os.fstat(read_fd).st_mode):
            while os.sendfile(write_fd, read_fd, None, _CHUNK):
                continue
        _copy_attributes(read_fd, write_fd)
    finally:
        os.close(read_fd)
        os.close(write_fd)


def _copy_attributes(source_fd: int, target_fd: int) -> None:
    """Owner first: changing it clears the set-id bits of the mode."""
    found = os.fstat(source_fd)
    os.fchown(target_fd, found.st_uid, found.st_gid)
    os.fchmod(target_fd, S_IMODE(found.st_mode))
    try:
        for name in os.listxattr(source_fd):
            os.setxattr(target_fd, name, os.getxattr(source_fd, name))
    except OSError as error:
        if error.errno not in (ENOTSUP, EPERM):  # tmpfs has no user attributes before Linux 6.6
            raise
    os.utime(target_fd, ns=(found.st_atime_ns, found.st_mtime_ns))
