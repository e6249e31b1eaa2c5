"""The outer end of a container's terminal: handed to a console socket, or relayed to the caller's own terminal."""

import _signal
import os
import select
import termios
from fcntl import ioctl

from pyoci.errors import PyociError, UsageError, errno_text
from pyoci.runtime.hand_over import hand_over, not_taken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CHUNK = 65536
_RAW_INPUT = (
    termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR
    | termios.ICRNL | termios.IXON
)  # fmt: skip
_RAW_LOCAL = termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN


def send_console(path: str, pty_fd: int) -> None:
    """Send the pty over the stream socket at `path`: one message, the name as data, the descriptor beside it."""
    try:
        hand_over(path, b"/dev/pts/0", pty_fd)
    except OSError as error:
        raise PyociError(
            "console socket %s: %s" % (path, errno_text(error.errno or 0)),
            where="--console-socket",
            cause=not_taken(error),
            fix="name a unix stream socket that somebody listens on",
        ) from None


def plain_lines(pty_fd: int) -> None:
    """Let a line end as the program ended it: a file or a pipe that takes the output wants no carriage returns.

    A terminal does want them, and gets them from this pty, as the caller's own terminal is raw.
    """
    settings = termios.tcgetattr(pty_fd)
    settings[1] &= ~termios.ONLCR
    termios.tcsetattr(pty_fd, termios.TCSANOW, settings)


class Relay:
    """Bytes between the caller's terminal, which is put in raw mode, and the container's pty."""

    __slots__ = ("pty_fd", "saved", "terminal_fd")

    def __init__(self) -> None:
        self.pty_fd = -1
        self.terminal_fd = _own_terminal()
        self.saved: list[Any] = []

    def open(self, pty_fd: int) -> None:
        """Take the pty; from here to `close` the caller's terminal is raw."""
        self.pty_fd = pty_fd
        os.set_blocking(pty_fd, False)
        if not os.isatty(1):
            plain_lines(pty_fd)
        self.resize()
        _signal.signal(_signal.SIGWINCH, lambda number, frame: self.resize())
        self.saved = termios.tcgetattr(self.terminal_fd)
        raw = termios.tcgetattr(self.terminal_fd)
        raw[0] &= ~_RAW_INPUT
        raw[1] &= ~termios.OPOST
        raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        raw[3] &= ~_RAW_LOCAL
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self.terminal_fd, termios.TCSANOW, raw)

    def resize(self) -> None:
        """The pty gets the window size of the caller's terminal."""
        try:
            size = ioctl(self.terminal_fd, termios.TIOCGWINSZ, b"\0" * 8)
            if any(size):
                ioctl(self.pty_fd, termios.TIOCSWINSZ, size)
        except OSError:
            pass  # a terminal without a size

    def until_end_of(self, init_pidfd: int) -> None:
        """Copy both ways until the process behind `init_pidfd` has ended, then what is left of its output."""
        poller = select.poll()
        poller.register(self.pty_fd, select.POLLIN)
        poller.register(init_pidfd, select.POLLIN)
        poller.register(0, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if self.pty_fd in ready and not self._copy_out():
                poller.unregister(self.pty_fd)  # nobody holds the other end any more
            if 0 in ready and not self._copy_in():
                poller.unregister(0)
            if init_pidfd in ready:
                while self._copy_out():
                    continue
                return

    def _copy_out(self) -> bool:
        try:
            data = os.read(self.pty_fd, _CHUNK)
        except OSError:
            return False  # EIO: the last holder closed it; EAGAIN: nothing left
        _write_all(1, data)
        return bool(data)

    def _copy_in(self) -> bool:
        try:
            data = os.read(0, _CHUNK)
        except OSError:
            return False
        if data:
            _write_all(self.pty_fd, data)
        return bool(data)

    def close(self) -> None:
        """Give the caller's terminal back as it was."""
        if self.saved:
            termios.tcsetattr(self.terminal_fd, termios.TCSADRAIN, self.saved)
            self.saved = []


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            poller = select.poll()
            poller.register(fd, select.POLLOUT)
            poller.poll(1000)
        except OSError:
            return


def _own_terminal() -> int:
    """The caller's terminal: standard error, else output, else input, else /dev/tty."""
    for fd in (2, 1, 0):
        if os.isatty(fd):
            return fd
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise UsageError(
            "cannot use a terminal: /dev/tty: %s" % errno_text(error.errno or 0),
            where=".process.terminal",
            cause="none of the caller's streams is a terminal",
            fix="call pyoci from a terminal, use --detach with --console-socket, or set .process.terminal to false",
        ) from None
