"""A connection to a D-Bus message bus or straight to systemd, for as long as one command needs it.

Who we are is not said: the other side takes it from the socket (SASL EXTERNAL without an identity), which is right
in a user namespace too, where our number is not the one it sees.  Nothing waits longer than it was told to.
"""

import _socket
import os
from time import monotonic

from pyoci.errors import HostError, errno_text
from pyoci.systemd.message import (
    ERROR,
    HEAD,
    METHOD_RETURN,
    SIGNAL,
    Malformed,
    length_of,
    method_call,
    read_message,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyoci.systemd.message import Message

_SYSTEM = "/run/dbus/system_bus_socket"
_SYSTEM_PRIVATE = "/run/systemd/private"
_HELLO = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"
_PATIENCE_S = 30.0
DBUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


class BusError(Exception):
    """The answer to a call is an error: its name (`org.freedesktop.systemd1.UnitExists`) and its words."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text or name)
        self.name = name


class Bus:
    """A connection.  Calls are collected and go out together with the first wait."""

    __slots__ = ("_buffer", "_out", "_serial", "_signals", "_socket", "is_daemon")

    def __init__(self, connection: "_socket.socket", *, is_daemon: bool) -> None:
        self._socket = connection
        self._buffer = b""
        self._out = bytearray(_HELLO)
        self._serial = 0
        self._signals: list[Message] = []
        self.is_daemon = is_daemon

    def authenticate(self) -> None:
        """Introduce ourselves.  Raises HostError."""
        if self.is_daemon:
            self.call(DBUS, "Hello")
        deadline = monotonic() + _PATIENCE_S
        while True:
            line, separator, rest = self._buffer.partition(b"\r\n")
            if not separator:
                self._fill(deadline)
                continue
            self._buffer = rest
            if line.startswith(b"OK "):
                return
            if not line.startswith(b"DATA"):
                raise _trouble("it does not let us in (%s)" % line.decode("ascii", "replace")[:80])

    def call(
        self, to: "tuple[str, str, str]", member: str, signature: str = "", values: "Sequence[Any]" = ()
    ) -> int:
        """Queue a call to (destination, path, interface); what `answer` needs to find the reply."""
        self._serial += 1
        self._out += method_call(self._serial, *to, member, signature, values)
        return self._serial

    def answer(self, serial: int) -> "list[Any]":
        """What a call returned.  Raises BusError, HostError."""
        deadline = monotonic() + _PATIENCE_S
        while True:
            message = self._next(deadline)
            if message.kind == SIGNAL:
                self._signals.append(message)
            elif message.reply_to == serial and message.kind == METHOD_RETURN:
                return message.values
            elif message.reply_to == serial and message.kind == ERROR:
                text = message.values[0] if message.values and type(message.values[0]) is str else ""
                raise BusError(message.error, text)

    def signal(self, wanted: "Callable[[Message], bool]") -> "Message":
        """The first signal that is `wanted`, of those that came before too.  Raises HostError, TimeoutError."""
        deadline = monotonic() + _PATIENCE_S
        for message in self._signals:
            if wanted(message):
                return message
        while True:
            message = self._next(deadline, patient=False)
            if message.kind == SIGNAL and wanted(message):
                return message

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _next(self, deadline: float, *, patient: bool = True) -> "Message":
        try:
            while len(self._buffer) < HEAD or len(self._buffer) < length_of(self._buffer):
                self._fill(deadline, patient=patient)
            length = length_of(self._buffer)
            message = read_message(self._buffer[:length])
        except Malformed as error:
            raise _trouble("it sent what is no D-Bus message: %s" % error) from None
        self._buffer = self._buffer[length:]
        return message

    def _fill(self, deadline: float, *, patient: bool = True) -> None:
        try:
            self._socket.settimeout(max(deadline - monotonic(), 0.001))
            if self._out:
                self._socket.sendall(self._out)
                self._out.clear()
            part = self._socket.recv(65536)
        except TimeoutError:
            if not patient:
                raise
            raise _trouble("no answer for %d s" % _PATIENCE_S) from None
        except OSError as error:
            raise _trouble(errno_text(error.errno or 0)) from None
        if not part:
            raise _trouble("it closed the connection")
        self._buffer += part


def _trouble(cause: str) -> HostError:
    return HostError("the systemd cgroup driver cannot talk to systemd", cause="D-Bus: " + cause)


def open_bus(*, user: bool) -> Bus:
    """A connection over which systemd (`user`: the caller's own) can be called.  Raises HostError."""
    tried = []
    for address, is_daemon in addresses(user=user):
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0)
        try:
            connection.connect(os.fsencode(address))  # bytes: an encoding may stop at the NUL of an abstract name
        except OSError as error:
            connection.close()
            tried.append("%s: %s" % (address.replace("\0", "@"), errno_text(error.errno or 0)))
            continue
        bus = Bus(connection, is_daemon=is_daemon)
        try:
            bus.authenticate()
        except BaseException:
            connection.close()
            raise
        return bus
    raise unreachable(user=user, cause="; ".join(tried))


def unreachable(*, user: bool, cause: str = "") -> HostError:
    """The error for a host without systemd, or a caller without a service manager of his own."""
    if user:
        return HostError(
            "the systemd cgroup driver needs the systemd of this user, and it cannot be reached",
            cause=cause or "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR names its bus",
            fix="log in with a session (pam_systemd) and set XDG_RUNTIME_DIR, or use the cgroupfs driver",
        )
    return HostError(
        "the systemd cgroup driver needs systemd, and it cannot be reached",
        cause=cause or "neither %s nor %s is there" % (_SYSTEM, _SYSTEM_PRIVATE),
        fix="use the cgroupfs driver: leave --systemd-cgroup out, and set the engine's driver to cgroupfs",
    )


def may_be_reached(*, user: bool) -> bool:
    """Whether there is anything to connect to; asked before the container's first process."""
    return any(address[:1] == "\0" or os.path.exists(address) for address, _ in addresses(user=user))


def addresses(*, user: bool) -> "list[tuple[str, bool]]":
    """(socket, whether a message bus is behind it), in the order to try; the last is systemd's own socket."""
    if not user:
        # As secure_getenv(3): not where somebody else may have set it for rights that we have and he has not.
        ours = os.getuid() == os.geteuid() and os.getgid() == os.getegid()
        given = parse_address(os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", "") if ours else "") or [_SYSTEM]
        return [*((path, True) for path in given), (_SYSTEM_PRIVATE, False)]
    found = [(path, True) for path in parse_address(os.environ.get("DBUS_SESSION_BUS_ADDRESS", ""))]
    directory = os.environ.get("XDG_RUNTIME_DIR", "")
    if directory.startswith("/"):
        if (directory + "/bus", True) not in found:
            found.append((directory + "/bus", True))
        found.append((directory + "/systemd/private", False))
    return found


def parse_address(text: str) -> "list[str]":
    r"""The unix sockets of a D-Bus address; an abstract one begins with a NUL.

    >>> parse_address("unix:path=/run/user/1000/bus,guid=0a;tcp:host=x;unix:abstract=/tmp/a%20b")
    ['/run/user/1000/bus', '\x00/tmp/a b']
    """
    found = []
    for entry in text.split(";"):
        transport, _, rest = entry.partition(":")
        keys = dict(pair.partition("=")[::2] for pair in rest.split(","))
        if transport != "unix":
            continue
        if keys.get("path"):
            found.append(_unescaped(keys["path"]))
        elif keys.get("abstract"):
            found.append("\0" + _unescaped(keys["abstract"]))
    return found


def _unescaped(text: str) -> str:
    first, *rest = text.split("%")
    try:
        return first + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest)
    except ValueError:
        return text
