"""`pyoci state ID`: the container's state as one JSON object."""

from pyoci.config.json_text import dump_pretty
from pyoci.runtime.container import load_record, open_directory
from pyoci.runtime.status import state_document, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call


def main(call: "Call") -> int:
    """Print the state; takes no lock, so it works while another command is at work on the same container."""
    directory = open_directory(call.root, call.arguments[0])
    record = load_record(directory)
    call.write(dump_pretty(state_document(record, status_of(directory, record))) + "\n")
    return 0
