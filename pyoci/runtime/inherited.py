"""What the program gets of the caller's descriptors: preserved ones, activation sockets, standard streams."""

import os

from pyoci.errors import UsageError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def check_terminal(terminal: bool, options: "dict[str, Any]", *, detached: bool) -> None:
    """UsageError when `.process.terminal` and --console-socket do not fit together."""
    socket = options["console_socket"]
    if terminal and detached and not socket:
        raise UsageError(
            "cannot allocate tty if pyoci will detach without setting console socket",
            fix="pass --console-socket, or set .process.terminal to false",
        )
    if socket and not (terminal and detached):
        raise UsageError(
            "cannot use console socket if pyoci will not detach or allocate tty",
            fix="drop --console-socket, or set .process.terminal to true",
        )


def inherited_descriptors(options: "dict[str, Any]") -> int:
    """How many descriptors above 2 the program inherits.  UsageError when one of them is not open."""
    count = int(options["preserve_fds"] or 0) + activation_sockets()
    for fd in range(3, 3 + count):
        try:
            os.fstat(fd)
        except OSError as error:
            raise UsageError(
                "unable to stat preserved-fd %d (of %d): %s" % (fd, count, errno_text(error.errno or 0)),
                where="--preserve-fds",
            ) from None
    return count


def activation_sockets() -> int:
    """How many sockets systemd passes to us for the program (sd_listen_fds(3)); they come first."""
    number = os.environ.get("LISTEN_FDS", "")
    if not number.isascii() or not number.isdigit() or os.environ.get("LISTEN_PID") != str(os.getpid()):
        return 0
    return int(number)


def announce_sockets(env: list[str], sockets: int, *, pid: int) -> list[str]:
    """`env` with the two variables of sd_listen_fds(3); configured ones would be read first, so they go."""
    given = [entry for entry in env if not entry.startswith(("LISTEN_FDS=", "LISTEN_PID="))]
    return [*given, "LISTEN_FDS=%d" % sockets, "LISTEN_PID=%d" % pid]


def describe_streams(last_fd: int) -> list[str]:
    """What the program's descriptors 0 to `last_fd` are, for a checkpoint: later it may have put others there."""
    return [os.readlink("/proc/self/fd/%d" % fd) for fd in range(last_fd + 1)]
