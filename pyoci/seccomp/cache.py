"""Compiled filters on disk, one file each, believed only if nobody else can have written them.

Layout of a file: MAGIC, the length of the filter (4 bytes, big endian), SHA-256 over key and filter, the filter.
The key is in the hash, so a file under another file's name is refused; a half-written file fails its length or
its hash.  The hash guards against accidents; against people guards who may write: the directory must be the
caller's own with mode 0700, the file the caller's own and writable for nobody else.  Whatever is not as it
should be counts as a miss, and the filter is compiled again: a cache that fails costs time, nothing else.
"""

import os
from stat import S_ISREG

try:
    from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:  # Python 3.12 and later
    try:
        from _sha2 import sha256  # type: ignore[import-not-found, no-redef, unused-ignore]
    except ImportError:
        from hashlib import sha256

MAGIC = b"pyoci filter 1\n\0"
MAX_FILES = 64

_HASH_SIZE = 32
_HEADER_SIZE = len(MAGIC) + 4 + _HASH_SIZE
_MAX_FILTER = 4096 * 8  # BPF_MAXINSNS instructions


def digest(data: bytes) -> bytes:
    """SHA-256 of `data`: 32 bytes."""
    result: bytes = sha256(data).digest()
    return result


def load(directory: str, key: bytes) -> bytes | None:
    """The filter stored under `key`, or None where there is none that can be trusted."""
    try:
        directory_fd = _open_directory(directory)
        try:
            fd = os.open(key.hex(), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory_fd)
        finally:
            os.close(directory_fd)
        try:
            status = os.fstat(fd)
            if not S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
                return None
            data = os.read(fd, _HEADER_SIZE + _MAX_FILTER + 1)
        finally:
            os.close(fd)
    except OSError:
        return None
    body = data[_HEADER_SIZE:]
    return body if body and data[:_HEADER_SIZE] == _header(key, body) else None


def store(directory: str, key: bytes, body: bytes) -> None:
    """Keep `body` under `key`, atomically, and throw out the oldest files beyond MAX_FILES.

    A disk that is full or read-only is no reason to fail the container: the next one compiles again.
    """
    temporary = "tmp.%d" % os.getpid()
    try:
        try:
            directory_fd = _open_directory(directory)
        except FileNotFoundError:
            os.mkdir(directory, 0o700)
            directory_fd = _open_directory(directory)
        try:
            try:
                _write(directory_fd, temporary, _header(key, body) + body)
                os.rename(temporary, key.hex(), src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
            except OSError:
                _remove(directory_fd, temporary)
            _prune(directory_fd)
        finally:
            os.close(directory_fd)
    except OSError:
        return


def _open_directory(directory: str) -> int:
    """An fd of the directory; OSError unless it is the caller's own and closed to everybody else."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(fd)
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        os.close(fd)
        raise PermissionError(directory)
    return fd


def _header(key: bytes, body: bytes) -> bytes:
    return MAGIC + len(body).to_bytes(4, "big") + digest(key + body)


def _write(directory_fd: int, name: str, data: bytes) -> None:
    # A name left over from a killed process with our pid is in the way: nobody else can be using it now.
    _remove(directory_fd, name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=directory_fd)
    try:
        if os.write(fd, data) != len(data):
            raise OSError("short write")
    finally:
        os.close(fd)


def _prune(directory_fd: int) -> None:
    """Keep the MAX_FILES newest files; leftovers of killed writers grow old and go the same way."""
    names = os.listdir(directory_fd)
    if len(names) <= MAX_FILES:
        return
    ages = []
    for name in names:
        try:
            ages.append((os.stat(name, dir_fd=directory_fd, follow_symlinks=False).st_mtime_ns, name))
        except OSError:  # another process was faster
            continue
    ages.sort(reverse=True)
    for _, name in ages[MAX_FILES:]:
        _remove(directory_fd, name)


def _remove(directory_fd: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory_fd)
    except OSError:
        return
