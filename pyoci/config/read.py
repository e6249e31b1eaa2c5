"""Read a document's bytes: bounded, and never waiting for a FIFO or a device that poses as a file."""

import os
import stat
from errno import ENOENT

from pyoci.config.json_text import MAX_BYTES
from pyoci.errors import ConfigError, errno_text

_KINDS = {
    stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device", stat.S_IFBLK: "a block device",
}  # fmt: skip


def read_document(path: str, *, dir_fd: int | None = None, name: str = "", regular: bool = True) -> bytes:
    """All bytes of the file `path` (relative to the directory `dir_fd` when given).

    `name` is what messages call it (default: `path`).  With `regular` anything but a regular file is refused;
    without it pipes are read to their end as well.  Raises ConfigError.
    """
    name = name or path
    try:
        fd = os.open(
            path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | (os.O_NONBLOCK if regular else 0), dir_fd=dir_fd
        )
    except OSError as error:
        fix = "go to the bundle or name it with --bundle; `pyoci spec` writes a config.json to start from"
        raise ConfigError(
            "open %s: %s" % (name, errno_text(error.errno or 0)),
            where=name,
            fix=fix if name == "config.json" and error.errno == ENOENT else "",
        ) from None
    except ValueError:
        raise ConfigError("open %s: the path holds a NUL character" % ascii(name)) from None
    try:
        return read_descriptor(fd, name, regular=regular)
    finally:
        os.close(fd)


def read_descriptor(fd: int, name: str, *, regular: bool = False) -> bytes:
    """All bytes from the open descriptor `fd`; it stays open."""
    try:
        kind = stat.S_IFMT(os.fstat(fd).st_mode)
        if kind == stat.S_IFDIR or (regular and kind != stat.S_IFREG):
            what = _KINDS.get(kind, "no file")
            reason = errno_text(21) if kind == stat.S_IFDIR else "not a regular file"
            raise ConfigError("read %s: %s" % (name, reason), where=name, cause="it is %s" % what)
        return _read_all(fd, name)
    except OSError as error:
        raise ConfigError("read %s: %s" % (name, errno_text(error.errno or 0)), where=name) from None


def _read_all(fd: int, name: str) -> bytes:
    chunks = []
    total = 0
    while chunk := os.read(fd, 1 << 18):
        chunks.append(chunk)
        total += len(chunk)
        if total > MAX_BYTES:
            raise ConfigError(
                "read %s: file too large" % name, where=name, cause="it has more than %d bytes" % MAX_BYTES
            )
    return b"".join(chunks)
