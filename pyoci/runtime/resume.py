"""`pyoci resume ID`: let a paused container run on."""

from pyoci.errors import StateError
from pyoci.runtime.container import load_record, open_directory
from pyoci.runtime.kill import cgroup_of
from pyoci.runtime.status import PAUSED, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call


def main(call: "Call") -> int:
    """Refused unless the container is paused."""
    directory = open_directory(call.root, call.arguments[0])
    record = load_record(directory)
    status = status_of(directory, record, sure=False)
    if status != PAUSED:
        raise StateError("container not paused", cause="its status is %s" % status)
    cgroup_of(record).thaw()
    return 0
