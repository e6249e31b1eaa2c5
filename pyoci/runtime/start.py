"""`pyoci start ID`: let a created container's program run, then the poststart hooks."""

import os
import select

from pyoci.errors import HookError, PyociError, StateError
from pyoci.init.channel import ACCEPTED, FAILED, START, connect
from pyoci.runtime.container import NOTIFY, START_SOCKET, load_record, open_directory
from pyoci.runtime.status import CREATED, RUNNING, STOPPED, open_init, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call
    from pyoci.runtime.container import Directory, Record


def main(call: "Call") -> int:
    """Start the container; refused unless it is `created`."""
    directory = open_directory(call.root, call.arguments[0])
    record = load_record(directory)
    _check_status(status_of(directory, record, sure=False))  # release() finds out
    if not record.values.get("hasProcess", True):
        raise StateError("process property must not be empty", where=".process", cause="config.json had no process")
    relay = None
    if os.environ.get("NOTIFY_SOCKET") and directory.exists(NOTIFY):
        from pyoci.runtime.notify import Relay

        relay = Relay(directory)
    release(directory, record)
    try:
        run_poststart(record)
    except HookError as error:
        _destroy(directory, record, call, error)
        raise
    if relay is not None:
        pidfd = open_init(record)
        if pidfd >= 0:
            relay.until_ready(record.values["pid"], pidfd)
    return 0


def _destroy(directory: "Directory", record: "Record", call: "Call", error: HookError) -> None:
    """Lifecycle steps 12 and 13, which follow a failed poststart hook; what stays behind is added to its cause."""
    from pyoci.runtime.delete import destroy

    try:
        destroy(directory, record, call.log)
    except (PyociError, OSError) as failure:
        error.cause = "; ".join(filter(None, (error.cause, "and cleaning up failed: %s" % failure)))


def _check_status(status: str) -> None:
    if status == CREATED:
        return
    if status == STOPPED:
        raise StateError("cannot start a container that has stopped")
    if status == RUNNING:
        raise StateError("cannot start an already running container")
    raise StateError("cannot start a container in the %s state" % status)


def release(directory: "Directory", record: "Record") -> None:
    """Hand init over to its program: it accepts one caller, whoever else is waiting is told no."""
    try:
        connection = connect(directory.name_of(START_SOCKET))
    except (FileNotFoundError, ConnectionRefusedError):
        raise _lost(record) from None
    try:
        connection.send(START)
        name, _, _ = connection.receive()
    except OSError:
        name = b""
    if name != ACCEPTED:
        raise _lost(record)
    directory.remove_file(START_SOCKET)
    name, report, _ = connection.receive()
    connection.close()
    if name == FAILED:
        from pyoci.runtime.explain import explain

        _wait_for_end(record)
        raise explain(report)


def _lost(record: "Record") -> StateError:
    pidfd = open_init(record)
    if pidfd < 0:
        return StateError("cannot start a container that has stopped")
    os.close(pidfd)
    return StateError("cannot start an already running container")


def _wait_for_end(record: "Record") -> None:
    pidfd = open_init(record)
    if pidfd >= 0:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.poll(10000)
        os.close(pidfd)


def run_poststart(record: "Record") -> None:
    """The poststart hooks; the first that fails stops the container (runtime-spec 1.3.0, lifecycle step 9)."""
    if not record.values.get("hooks", {}).get("poststart"):
        return
    from pyoci.runtime.host_hooks import run_host_hooks

    try:
        run_host_hooks(record, "poststart", RUNNING)
    except HookError:
        from pyoci.runtime.kill import kill_container

        kill_container(record)
        raise
