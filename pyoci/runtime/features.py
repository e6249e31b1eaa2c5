"""`pyoci features`: what this runtime can do, as one JSON object."""

from pyoci.config.json_text import dump_pretty
from pyoci.features import make_features

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call


def main(call: "Call") -> int:
    """Print the document: the same whoever asks, from wherever, but for what criu can do for him."""
    from pyoci.criu.process import is_usable

    call.write(dump_pretty(make_features(checkpoint=is_usable()), "    ") + "\n")
    return 0
