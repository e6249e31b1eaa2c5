"""Everything that the runtime and its children say to each other while a container is made.

One SOCK_SEQPACKET pair, one packet a message: a name, a NUL, a JSON payload; descriptors ride along.

    runtime                                   bridge (only where needed)            init
       |  <------------- MAP_ME --------------------|                                  |
       |  (writes uid_map, gid_map, timens_offsets) |                                  |
       |  -------------- MAPPED ------------------->|   (or straight to init)          |
       |  <------------- INIT_PID {pid} ------------|  (and ends)                      |
       |  ------------------------------- CGROUP {controllers} + fds ----------------->|
       |  <------------------------------ NETWORK + fd (only with network devices) ----|
       |  (moves the devices into the namespace behind the descriptor)
       |  ------------------------------- DEVICES_MOVED ------------------------------>|
       |  <------------------------------ OPEN {places} + fds (only for sources that init may not open or map)
       |  (opens them in init's mount namespace, with the host's rights)               |
       |  ------------------------------- OPENED {places} + fds, until all are there ->|
       |  <------------------------------ ROOTFS_DONE (only when hooks wait for it) ---|
       |  (prestart, createRuntime hooks)                                              |
       |  ------------------------------- GO_ON -------------------------------------->|
       |                                              (createContainer hooks, new root, identity)
       |  <------------------------------ CONSOLE + fd (only with a terminal) ---------|
       |  <------------------------------ LISTENER + fd (only with SCMP_ACT_NOTIFY) ---|
       |  (sends it to the seccomp agent)                                              |
       |  <------------------------------ READY ---------------------------------------|
       |  (saves the state, writes the pid file)                                       |
       |  ------------------------------- RELEASE ------------------------------------>|
       |                        create: init leaves the channel and waits on its start socket
       |                        run:    init goes on to execve, which closes the channel
       |  <------------------------------ FAILED {report}  at any time, then the end --|

`exec` uses the same words between the runtime, a process that joins the container (in the bridge's place) and
the process that it starts there:

    runtime                                   joiner                                exec'ed process
       |  -------------- CGROUP {controllers} + fds ----------->|                          |
       |  <------------- INIT_PID {pid} ------------------------|  (and ends)              |
       |  (sets the OOM score and the limits)                                              |
       |  -------------- GO_ON --------------------------------------------------------->  |
       |  <------------- CONSOLE + fd (only with a terminal) ----------------------------  |
       |  <------------- LISTENER + fd (only with SCMP_ACT_NOTIFY) ----------------------  |
       |  <------------- READY ----------------------------------------------------------  |
       |  -------------- RELEASE ------------------------------------------------------->  |
       |  <------------- FAILED {report}, or end of file at execve ----------------------  |

End of file without FAILED means that the child died.  The start socket speaks the same form:

    start                                                                            init
       |  ------------------------------- START ------------------------------------->|
       |  <------------------------------ ACCEPTED ------------------------------------|
       |                                              (startContainer hooks)
       |  <------------------------------ FAILED {report}, or end of file at execve ---|
"""

import _socket
import os
from _struct import pack, unpack_from

from pyoci.config.json_text import dump, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAP_ME = b"map-me"
MAPPED = b"mapped"
INIT_PID = b"init-pid"
CGROUP = b"cgroup"
NETWORK = b"network"
DEVICES_MOVED = b"devices-moved"
OPEN = b"open"
OPENED = b"opened"
ROOTFS_DONE = b"rootfs-done"
GO_ON = b"go-on"
CONSOLE = b"console"
LISTENER = b"listener"
READY = b"ready"
RELEASE = b"release"
FAILED = b"failed"
START = b"start"
ACCEPTED = b"accepted"
CLOSED = b""

_LARGEST = 65536
MOST_DESCRIPTORS = 32
_INT = 4  # bytes


class Channel:
    """One end of a connection."""

    __slots__ = ("socket",)

    def __init__(self, socket: "_socket.socket") -> None:
        self.socket = socket

    def fileno(self) -> int:
        """The descriptor of this end."""
        return self.socket.fileno()

    def send(self, name: bytes, payload: "dict[str, Any] | None" = None, fds: "list[int] | None" = None) -> None:
        """Send one message; OSError when the other side is gone."""
        text = dump(payload).encode() if payload else b""
        packet = (name + b"\0" + text)[:_LARGEST]
        if fds:
            rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack("=%di" % len(fds), *fds))
            self.socket.sendmsg([packet], [rights])
        else:
            self.socket.send(packet)

    def write(self, name: bytes, payload: "dict[str, Any]") -> None:
        """As `send`, by write(2): a seccomp filter that refuses sendto(2) seldom refuses that."""
        os.write(self.socket.fileno(), name + b"\0" + dump(payload).encode())

    def receive(self) -> "tuple[bytes, dict[str, Any], list[int]]":
        """The next message as (name, payload, descriptors); (CLOSED, {}, []) at the end."""
        room = _socket.CMSG_SPACE(MOST_DESCRIPTORS * _INT)
        try:
            try:
                packet, ancillary, _, _ = self.socket.recvmsg(_LARGEST, room, _socket.MSG_CMSG_CLOEXEC)
            except ConnectionResetError:
                # The other side ended without reading all that we sent.  The kernel says so once and before it
                # hands out what was sent to us: a report of failure may still be there.
                packet, ancillary, _, _ = self.socket.recvmsg(_LARGEST, room, _socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return CLOSED, {}, []
        fds: list[int] = []
        for level, kind, data in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                fds.extend(unpack_from("=%di" % (len(data) // _INT), data))
        if not packet:
            return CLOSED, {}, fds
        name, _, text = packet.partition(b"\0")
        payload = parse(text, "message", ours=True) if text else {}
        return name, payload, fds  # type: ignore[return-value]

    def expect(self, wanted: bytes) -> "tuple[dict[str, Any], list[int]]":
        """The payload of the next message, which must be `wanted`; ConnectionError otherwise."""
        name, payload, fds = self.receive()
        if name != wanted:
            raise ConnectionError("expected %s, got %s" % (wanted.decode(), name.decode() or "the end"))
        return payload, fds

    def close(self) -> None:
        """Close this end."""
        self.socket.close()


def channel_pair() -> tuple[Channel, Channel]:
    """Two connected ends, close-on-exec."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC, 0)
    return Channel(ours), Channel(theirs)


def listen(path: str) -> Channel:
    """A listening socket at `path`, which the caller keeps short (sun_path holds 108 bytes)."""
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC, 0)
    server.bind(path)
    server.listen(64)
    return Channel(server)


def connect(path: str) -> Channel:
    """A connection to the socket at `path`; ConnectionRefusedError when nobody listens any more."""
    client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC, 0)
    client.connect(path)
    return Channel(client)


def is_listening(path: str) -> bool:
    """Whether somebody listens on the socket at `path`; asked without ever waiting, even for a full queue."""
    client = _socket.socket(
        _socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK, 0
    )
    try:
        client.connect(path)
    except BlockingIOError:
        return True
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    finally:
        client.close()
    return True


def accept(server: Channel) -> Channel:
    """The next connection to a listening socket."""
    fd, _ = server.socket._accept()  # type: ignore[attr-defined]
    return Channel(_socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd))
