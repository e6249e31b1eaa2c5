"""`pyoci resume ID`: let a paused container run on."""

from pyoci.cgroup import freezer
from pyoci.errors import StateError
from pyoci.runtime.container import load_record, open_directory
from pyoci.runtime.status import CREATING, STOPPED, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call


def main(call: "Call") -> int:
    """Refused unless the container is paused, or half paused by a `pause` that was killed."""
    directory = open_directory(call.root, call.arguments[0])
    record = load_record(directory)
    status = status_of(directory, record, sure=False)
    place = None if status in (STOPPED, CREATING) else freezer.place_in(record.values["cgroup"])
    if place is None or not freezer.is_asked_for(place[0], unified=place[1]):
        raise StateError("container not paused", cause="its status is %s" % status)
    freezer.thaw(place[0], unified=place[1])
    return 0
