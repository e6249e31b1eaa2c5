"""The pid file: digits and nothing else, put in place in one step (callers parse its raw bytes)."""

import os

from pyoci.errors import PyociError, errno_text


def write_pid_file(path: str, pid: int) -> None:
    """Write `pid` to `path` by way of a temporary file beside it.  PyociError when that fails."""
    directory, name = os.path.split(os.path.abspath(path))
    temporary = "%s/.%s.%d" % (directory, name, os.getpid())
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            os.write(fd, b"%d" % pid)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError as error:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise PyociError(
            "pid file %s: %s" % (path, errno_text(error.errno or 0)),
            where="--pid-file",
            fix="name a writable place",
        ) from None
