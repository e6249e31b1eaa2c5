"""`pyoci create ID`: make a container from a bundle, up to the point where its program waits for `start`."""

from pyoci.runtime.making import make

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call


def main(call: "Call") -> int:
    """Return when the container is `created`; whatever fails before that leaves nothing behind."""
    making = make(call, waits_for_start=True)
    making.finish()
    return 0
