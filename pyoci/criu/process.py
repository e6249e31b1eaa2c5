"""One criu process (`criu swrk`) and the socket that requests, notifications and answers go over."""

import _signal
import _socket
import os
from _struct import pack, unpack_from
from errno import ENOENT
from fcntl import F_DUPFD_CLOEXEC, fcntl

from pyoci.criu.log_file import errors_in
from pyoci.criu.messages import ANSWER, FEATURE_CHECK, REQUEST, TYPE_NAMES, VERSION
from pyoci.criu.wire import decode, encode
from pyoci.errors import HostError, OperationError, SyscallError, errno_text
from pyoci.kernel.process import reset_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

PROGRAM = "criu"
OLDEST = (3, 15)  # the first with external pid namespaces and the status-ready notification

# Where the system has its programs; engines call runtimes with short search paths.
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SOCKET = 3  # the socket's number in criu
FIRST_INHERITED = 4
_ABOVE = 64
_LARGEST = 1 << 16
_INT = 4  # bytes


class Criu:
    """A running criu: `pid`, and what it says; `close` ends it."""

    __slots__ = ("pid", "socket", "version")

    def __init__(
        self,
        *,
        streams: "list[int] | None" = None,
        inherit: "list[int] | None" = None,
        enter: "Callable[[], list[int]] | None" = None,
    ) -> None:
        """Start it.

        `streams`: descriptors that become its 0, 1 and 2, the null device without.  Those of `inherit`, and after
        them those that `enter` returns, become FIRST_INHERITED and up; `enter` is called in the child before it
        turns into criu.  HostError without criu, OperationError when it cannot be started.
        """
        path = find_criu()
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC, 0)
        null_fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            _become(path, streams or [null_fd] * 3, inherit or [], enter, theirs)
        theirs.close()
        os.close(null_fd)
        fds: list[int] = []
        failure, fds = _receive(ours)
        if fds:
            self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fds[0])
            failure, _ = _receive(ours)
        ours.close()
        if failure or not fds:
            if fds:
                self.socket.close()
            self.wait()
            text = failure.decode("utf-8", "backslashreplace") or "it ended without a word"
            raise OperationError("start %s: %s" % (path, text))

    def send(self, request: "dict[str, Any]") -> None:
        """Send one request.  OperationError when criu is gone."""
        try:
            self.socket.send(encode(request, REQUEST))
        except OSError as error:
            raise OperationError("send to criu: %s" % errno_text(error.errno or 0)) from None

    def receive(self) -> "tuple[dict[str, Any], list[int]]":
        """The next answer or notification, and the descriptors that came with it.  OperationError at the end."""
        packet, fds = _receive(self.socket)
        if not packet:
            raise OperationError("criu ended without an answer")
        try:
            return decode(packet, ANSWER), fds
        except ValueError as error:
            raise OperationError("criu's answer cannot be read: %s" % error) from None

    def ask(self, request: "dict[str, Any]") -> "dict[str, Any]":
        """Send a request that has one answer, and return that.  OperationError when criu says no."""
        self.send(request)
        answer, _ = self.receive()
        if not answer.get("success"):
            raise refusal(answer)
        return answer

    def end_of_requests(self) -> None:
        """Nothing more will be asked: criu ends when it is done."""
        try:
            self.socket.shutdown(_socket.SHUT_WR)
        except OSError:
            pass

    def wait(self) -> int:
        """Its exit status, negative for a signal."""
        pid, self.pid = self.pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def close(self, *, kill: bool = False) -> None:
        """Hang up, which makes it undo what it has begun, and wait for its end; with `kill` it is not asked."""
        self.socket.close()
        if self.pid:
            if kill:
                os.kill(self.pid, _signal.SIGKILL)  # our own child, not yet waited for
            self.wait()


def find_criu() -> str:
    """The path of the program.  HostError when there is none.

    For root the caller's PATH comes last: sudo and the like may let a user set it.
    """
    named = os.environ.get("PATH", os.defpath)
    search = ":".join((_SYSTEM, named) if os.geteuid() == 0 else (named, _SYSTEM))
    for directory in search.split(":"):
        path = os.path.join(directory, PROGRAM)
        if directory.startswith("/") and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise HostError(
        "criu is not installed: %s" % errno_text(ENOENT),
        cause="checkpoint and restore are the work of the program criu; looked for in %s" % search,
        fix="install criu %d.%d or later" % OLDEST,
    )


def refusal(answer: "dict[str, Any]") -> OperationError:
    """What a negative answer means, in the words of other runtimes, since callers search for them."""
    kind = TYPE_NAMES.get(answer.get("type", 0), str(answer.get("type", 0)))
    number = answer.get("cr_errno", 0)
    message = "criu failed: type %s errno %d" % (kind, number)
    said = answer.get("cr_errmsg", "").strip()
    if number:
        message += " (%s)" % errno_text(number)
    return OperationError(message, cause=said)


def version() -> tuple[int, int, int]:
    """Which criu this is.  HostError when it is missing or older than OLDEST."""
    criu = Criu()
    try:
        said = criu.ask({"type": VERSION}).get("version", {})
    finally:
        criu.close()
    found = (said.get("major_number", 0), said.get("minor_number", 0), said.get("sublevel", 0))
    if found[:2] < OLDEST:
        raise HostError("criu %d.%d.%d is too old" % found, fix="install criu %d.%d or later" % OLDEST)
    return found


def require_features(**features: bool) -> None:
    """HostError unless criu and the kernel can do every one of `features` (mem_track, lazy_pages)."""
    criu = Criu()
    try:
        found = criu.ask({"type": FEATURE_CHECK, "features": features}).get("features", {})
    finally:
        criu.close()
    missing = [name for name in features if not found.get(name)]
    if missing:
        raise HostError(
            "criu is missing features: %s" % ", ".join(missing),
            cause="criu asked the kernel, which does not have what they need",
            fix="criu check --feature %s tells more" % missing[0],
        )


def require_usable() -> None:
    """HostError unless criu is there and finds nothing missing on this host.

    Asked by `criu check`: over the socket, 3.17 says no to the same question even where all is well.
    """
    import subprocess

    version()
    done = subprocess.run([find_criu(), "check"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        text = (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
        raise HostError(
            "criu does not work on this host",
            cause="; ".join(errors_in(text)) or "criu check: exit status %d" % done.returncode,
            fix="criu check tells what is missing: a kernel feature, or a criu that knows this kernel",
        )


def _receive(connection: "_socket.socket") -> tuple[bytes, list[int]]:
    """The next packet and the descriptors that came with it; nothing at the end."""
    fds: list[int] = []
    try:
        room = _socket.CMSG_SPACE(4 * _INT)
        packet, ancillary, _, _ = connection.recvmsg(_LARGEST, room, _socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return b"", fds
    for level, kind, data in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds.extend(unpack_from("=%di" % (len(data) // _INT), data))
    return packet, fds


def _become(
    path: str,
    streams: list[int],
    inherit: list[int],
    enter: "Callable[[], list[int]] | None",
    control: "_socket.socket",
) -> "NoReturn":
    """The child's side of the fork: the socket, descriptors in their places, then execve.

    criu looks for the descriptors that a request names in the process that made its socket.  That has to be criu
    itself: it cannot mount on a directory that came from another mount namespace.
    """
    try:
        entered = enter() if enter is not None else []
        theirs, own = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC, 0)
        control.sendmsg([b"socket"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack("=i", theirs.fileno()))])
        theirs.close()
        wanted = [*streams, own.fileno(), *inherit, *entered]
        above = max(_ABOVE, len(wanted) + 1)
        copies = [fcntl(fd, F_DUPFD_CLOEXEC, above) for fd in wanted]
        if control.fileno() < above:
            control = _socket.socket(
                _socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fcntl(control.fileno(), F_DUPFD_CLOEXEC, above)
            )
        for number, fd in enumerate(copies):
            os.dup2(fd, number)
        reset_signals()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        os.execv(path, [path, "swrk", str(_SOCKET)])
    except BaseException as error:
        bare = isinstance(error, OSError) and not isinstance(error, SyscallError)
        text = errno_text(error.errno or 0) if bare else str(error)  # type: ignore[attr-defined]
        control.send(text.encode("utf-8", "backslashreplace"))
    finally:
        os._exit(127)
