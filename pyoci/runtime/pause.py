"""`pyoci pause ID`: stop every process of a container where it is."""

from pyoci.errors import StateError
from pyoci.runtime.container import load_record, open_directory
from pyoci.runtime.kill import NOT_RUNNING, cgroup_of
from pyoci.runtime.status import CREATED, RUNNING, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call


def main(call: "Call") -> int:
    """Refused unless the container is created or running; returns when all have stopped, or runs on as before."""
    directory = open_directory(call.root, call.arguments[0])
    record = load_record(directory)
    status = status_of(directory, record, sure=False)
    if status not in (CREATED, RUNNING):
        raise StateError(NOT_RUNNING, cause="its status is %s" % status)
    cgroup_of(record).freeze()
    return 0
