"""`pyoci start ID`: let a created container's program run, then the poststart hooks."""

import os
import select

from pyoci.config.json_text import dump
from pyoci.errors import HookError, StateError
from pyoci.hooks import run_hook
from pyoci.init.channel import ACCEPTED, FAILED, START, connect
from pyoci.runtime.container import START_SOCKET, load_record, open_directory
from pyoci.runtime.explain import explain
from pyoci.runtime.status import CREATED, PAUSED, RUNNING, STOPPED, hook_state, open_init, status_of

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
    release(directory, record)
    run_poststart(directory, record)
    return 0


def _check_status(status: str) -> None:
    if status == CREATED:
        return
    if status == STOPPED:
        raise StateError("cannot start a container that has stopped")
    if status in (RUNNING, PAUSED):
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


def run_poststart(directory: "Directory", record: "Record") -> None:
    """The poststart hooks; the first that fails stops the container (runtime-spec 1.3.0, lifecycle step 9)."""
    for index, hook in enumerate(record.values.get("hooks", {}).get("poststart", [])):
        state = dump(hook_state(record, RUNNING)).encode()
        try:
            run_hook(hook, "poststart", index, state, cwd=bundle_or_root(record))
        except HookError:
            from pyoci.runtime.kill import kill_container

            kill_container(record)
            raise


def bundle_or_root(record: "Record") -> str:
    """The directory that hooks of the runtime run in: the bundle, or `/` when it is gone."""
    bundle: str = record.values["bundle"]
    return bundle if os.path.isdir(bundle) else "/"
