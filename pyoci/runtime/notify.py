"""NOTIFY_SOCKET: a service manager learns from the runtime that the container's program is ready (sd_notify(3)).

The manager's own socket is never shown to the container.  It gets one of its own, in a directory of the state
root that is bound read-only at /run/notify; the first READY= that arrives there goes on, with the pid that the
manager should watch, and nothing else does.
"""

import _socket
import os
import select
import time

from pyoci.errors import PyociError, errno_text
from pyoci.runtime.container import NOTIFY, NOTIFY_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config
    from pyoci.runtime.container import Directory

VARIABLE = "NOTIFY_SOCKET"
_INSIDE = "/run/notify"
_BARRIER_MS = 30000


def asked_for() -> str:
    """The manager's socket, empty for none."""
    return os.environ.get(VARIABLE, "")


def with_notify(config: "Config", directory: str) -> "Config":
    """`config` with the socket's directory (in the state directory `directory`) and the variable that names it."""
    changed: Config = {**config}
    options = ["bind", "ro", "nosuid", "nodev", "noexec"]
    mount = {"destination": _INSIDE, "type": "bind", "source": "%s/%s" % (directory, NOTIFY), "options": options}
    changed["mounts"] = [*config.get("mounts", []), mount]  # type: ignore[list-item]
    if "process" in config:
        env = [entry for entry in config["process"].get("env", []) if not entry.startswith(VARIABLE + "=")]
        changed["process"] = {**config["process"], "env": [*env, "%s=%s/%s" % (VARIABLE, _INSIDE, NOTIFY_SOCKET)]}
    return changed


def make_place(directory: "Directory") -> None:
    """Make the directory that the container will see."""
    os.mkdir(NOTIFY, 0o755, dir_fd=directory.fd)


class Relay:
    """The container's notification socket, between its making and the first READY=."""

    __slots__ = ("server", "target")

    def __init__(self, directory: "Directory") -> None:
        """Listen, before the program starts.  PyociError when that cannot be."""
        self.target = asked_for()
        self.server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC, 0)
        name = "%s/%s" % (NOTIFY, NOTIFY_SOCKET)
        try:
            directory.remove_file(name)
            self.server.bind(directory.name_of(name))
            os.chmod(directory.name_of(name), 0o777)
        except OSError as error:
            raise PyociError("notify socket: %s" % errno_text(error.errno or 0), where=VARIABLE) from None

    def until_ready(self, init_pid: int, init_pidfd: int) -> None:
        """Wait for READY= and pass it on; return as well when init ends without a word."""
        poller = select.poll()
        poller.register(self.server.fileno(), select.POLLIN)
        poller.register(init_pidfd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if self.server.fileno() in ready:
                for line in self.server.recv(4096).split(b"\n"):
                    if line.startswith(b"READY="):
                        self._pass_on(line, init_pid)
                        return
            elif init_pidfd in ready:
                return

    def _pass_on(self, line: bytes, init_pid: int) -> None:
        target = "\0" + self.target[1:] if self.target.startswith("@") else self.target
        client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC, 0)
        try:
            client.connect(os.fsencode(target))  # bytes: an encoding may stop at the NUL of an abstract name
            client.send(line + b"\nMAINPID=%d" % init_pid)
            _barrier(client)
        except OSError as error:
            raise PyociError("%s %s: %s" % (VARIABLE, self.target, errno_text(error.errno or 0))) from None
        finally:
            client.close()


def _barrier(client: "_socket.socket") -> None:
    """Wait until the manager has read what was sent: it closes the pipe's end that comes along (sd_notify(3))."""
    reader, writer = os.pipe()
    try:
        from _struct import pack

        client.sendmsg([b"BARRIER=1"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack("=i", writer))])
        os.close(writer)
        poller = select.poll()
        poller.register(reader, 0)
        end = time.monotonic() + _BARRIER_MS / 1000
        while not poller.poll(max(0, end - time.monotonic()) * 1000) and time.monotonic() < end:
            continue
    finally:
        os.close(reader)
