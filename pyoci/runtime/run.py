"""`pyoci run ID`: create, start, wait and delete in one."""

import _signal
import os

from pyoci.errors import PyociError
from pyoci.init.channel import FAILED
from pyoci.kernel.process import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, prctl
from pyoci.runtime import interrupts
from pyoci.runtime.delete import destroy
from pyoci.runtime.explain import explain
from pyoci.runtime.foreground import forward_signals, wait_for
from pyoci.runtime.making import make
from pyoci.runtime.start import run_poststart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call
    from pyoci.runtime.making import Making
    from pyoci.runtime.notify import Relay


def main(call: "Call") -> int:
    """The program's exit status, 128+N when signal N ended it; with --detach 0 as soon as it runs."""
    detach = bool(call.options["detach"])
    if not detach and not call.options["no_subreaper"]:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    relay = None
    making = make(call, waits_for_start=False)
    try:
        if not detach:
            forward_signals(making.init_pidfd)
        if making.console_fd >= 0:
            from pyoci.runtime.terminal import Relay

            relay = Relay()
            relay.open(making.console_fd)
        notifier = _notifier(making)
        making.release()
        with interrupts.interruptible():
            name, report, _ = making.channel.receive()  # the end of file comes with execve
        if name == FAILED:
            raise explain(report)
        if making.plan.process is None:
            raise PyociError("process property must not be empty", where=".process")
        with interrupts.interruptible():
            run_poststart(making.record)
        making.taken.leave()
        if notifier is not None:
            _notify(notifier, making, detach=detach)
        if detach:
            return 0
        interrupts.release()
        call.log.release()  # what there is to warn of should not wait for the program's end
        if relay is not None:
            relay.until_end_of(making.init_pidfd)
    except BaseException as error:
        if relay is not None:
            relay.close()
        making.undo(error)
        raise
    status = wait_for(making.init_pid)
    if relay is not None:
        relay.close()
    if not call.options["keep"]:
        destroy(making.directory, making.record, call.log)
    return status


def _notifier(making: "Making") -> "Relay | None":
    if not making.notifies:
        return None
    from pyoci.runtime.notify import Relay

    return Relay(making.directory)


def _notify(notifier: "Relay", making: "Making", *, detach: bool) -> None:
    """Pass READY= on: detached before we return, else by a process of its own, since we serve the program."""
    if detach:
        with interrupts.interruptible():
            notifier.until_ready(making.init_pid, making.init_pidfd)
    elif os.fork() == 0:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())  # one of us passes them on
        prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)
        try:
            notifier.until_ready(making.init_pid, making.init_pidfd)
        finally:
            os._exit(0)
