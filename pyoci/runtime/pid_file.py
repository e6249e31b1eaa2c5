"""How callers learn of the process: the pid file, digits and nothing else, and the pidfd socket."""

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


def remove_pid_file(path: str) -> None:
    """Of a container that failed; quietly, since that is what its user has to hear of."""
    try:
        os.unlink(path)
    except OSError:
        pass


def send_pidfd(path: str, pidfd: int, payload: bytes, *, where: str = "--pidfd-socket") -> None:
    """Send the pidfd over the stream socket at `path`, in one message.  PyociError when that fails."""
    from pyoci.runtime.hand_over import hand_over, not_taken

    try:
        hand_over(path, payload, pidfd)
    except OSError as error:
        raise PyociError(
            "pidfd socket %s: %s" % (path, errno_text(error.errno or 0)),
            where=where,
            cause=not_taken(error),
            fix="name a unix stream socket that somebody listens on",
        ) from None
