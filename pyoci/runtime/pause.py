"""`pyoci pause ID`: stop every process of a container where it is."""

from pyoci.cgroup import freezer
from pyoci.errors import HostError, OperationError, StateError
from pyoci.runtime.container import load_record, open_directory
from pyoci.runtime.interrupts import Interrupted, hold, interruptible
from pyoci.runtime.kill import NOT_RUNNING
from pyoci.runtime.status import CREATED, RUNNING, is_alive, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call
    from pyoci.runtime.container import Record


def main(call: "Call") -> int:
    """Refused unless the container is created or running; returns when all have stopped, or runs on as before."""
    directory = open_directory(call.root, call.arguments[0])
    record = load_record(directory)
    status = status_of(directory, record, sure=False)
    if status not in (CREATED, RUNNING):
        raise StateError(NOT_RUNNING, cause="its status is %s" % status)
    place = freezer.place_in(record.values["cgroup"])
    if place is None:
        raise HostError(
            "cannot pause: the container has no freezer cgroup",
            fix="mount the freezer hierarchy; without privileges, have a cgroup delegated to you",
        )
    hold()
    _freeze(record, *place)
    return 0


def _freeze(record: "Record", path: str, unified: bool) -> None:
    try:
        with interruptible():
            freezer.freeze(path, unified=unified)
    except Interrupted:
        freezer.thaw(path, unified=unified)
        raise
    except (HostError, OperationError):
        if is_alive(record):
            raise
    if not is_alive(record):  # it ended meanwhile
        freezer.thaw(path, unified=unified)
        raise StateError(NOT_RUNNING)
