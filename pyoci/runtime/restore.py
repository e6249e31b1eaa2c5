"""`pyoci restore ID`: bring a saved container back, by way of criu."""

from pyoci.kernel.process import PR_SET_CHILD_SUBREAPER, prctl
from pyoci.runtime import interrupts
from pyoci.runtime.delete import destroy
from pyoci.runtime.foreground import forward_signals, wait_for
from pyoci.runtime.pid_file import write_pid_file
from pyoci.runtime.restoring import restored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call
    from pyoci.runtime.restoring import Restoring
    from pyoci.runtime.terminal import Relay


def main(call: "Call") -> int:
    """As `run`: the program's exit status, or with --detach 0 as soon as it runs."""
    options = call.options
    detach = bool(options["detach"])
    if not detach and not options["no_subreaper"]:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    relay = None
    restoring = restored(call)
    try:
        if options["pid_file"]:
            write_pid_file(options["pid_file"], restoring.init_pid)
            restoring.pid_file = options["pid_file"]
        if detach:
            call.log.release()
            return 0
        relay = _relay(restoring)
        forward_signals(restoring.init_pidfd)
        interrupts.release()
        call.log.release()
        if relay is not None:
            relay.until_end_of(restoring.init_pidfd)
    except BaseException as error:
        if relay is not None:
            relay.close()
        restoring.undo(error)
        raise
    status = wait_for(restoring.init_pid)
    if relay is not None:
        relay.close()
    destroy(restoring.directory, restoring.record, call.log)
    return status


def _relay(restoring: "Restoring") -> "Relay | None":
    """Between the caller's terminal and the container's, where criu made one that no console socket took."""
    if restoring.console_fd < 0:
        return None
    from pyoci.runtime.terminal import Relay

    relay = Relay()
    relay.open(restoring.console_fd)
    return relay
