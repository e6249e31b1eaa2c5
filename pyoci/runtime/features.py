"""`pyoci features`: what this runtime can do, as one JSON object."""

from pyoci.config.json_text import dump_pretty
from pyoci.criu.process import is_found
from pyoci.features import make_features

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call


def main(call: "Call") -> int:
    """Print the document; on one host the same bytes whoever asks, from wherever."""
    call.write(dump_pretty(make_features(checkpoint=is_found()), "    ") + "\n")
    return 0
