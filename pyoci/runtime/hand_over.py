"""Send one descriptor to whoever listens on a unix stream socket: a terminal, a pidfd, a seccomp listener."""

import _socket
import os
from _struct import pack
from errno import ENAMETOOLONG, ETIMEDOUT

from pyoci.runtime import interrupts

SECONDS = 10  # a listener whose queue is full this long does not serve


def hand_over(path: str, data: bytes, fd: int) -> None:
    """Connect to the socket at `path` and send `data` with `fd` beside it, in one message.

    It is reached through its directory's descriptor, so the path may be longer than sun_path's 107 bytes.  Raises
    OSError with a number: ETIMEDOUT when nobody takes it within SECONDS.  Signals that are held interrupt the wait.
    """
    directory, name = os.path.split(os.path.abspath(path))
    client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0)
    try:
        client.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, pack("@ll", SECONDS, 0))
        dir_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with interrupts.interruptible():
                client.connect(b"/proc/self/fd/%d/%s" % (dir_fd, os.fsencode(name)))
                sent = client.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack("=i", fd))])
        finally:
            os.close(dir_fd)
        if sent != len(data):
            raise BlockingIOError
    except BlockingIOError:
        raise OSError(ETIMEDOUT, os.strerror(ETIMEDOUT)) from None
    except OSError as error:
        if error.errno is None:  # a name that is too long for the address has no number
            raise OSError(ENAMETOOLONG, os.strerror(ENAMETOOLONG)) from None
        raise
    finally:
        client.close()


def not_taken(error: OSError) -> str:
    """The cause of an error that says ETIMEDOUT; "" for another one."""
    return "nobody has taken it within %d seconds" % SECONDS if error.errno == ETIMEDOUT else ""
