"""`pyoci run ID`: create, start, wait and delete in one."""

import _signal
import os
from errno import ESRCH

from pyoci.errors import PyociError
from pyoci.init.channel import FAILED
from pyoci.kernel.process import PR_SET_CHILD_SUBREAPER, prctl
from pyoci.runtime import interrupts
from pyoci.runtime.delete import destroy
from pyoci.runtime.explain import explain
from pyoci.runtime.making import make
from pyoci.runtime.start import run_poststart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call
    from pyoci.runtime.making import Making

_NOT_FORWARDED = frozenset((_signal.SIGCHLD, _signal.SIGURG, _signal.SIGKILL, _signal.SIGSTOP, _signal.SIGPIPE))


def main(call: "Call") -> int:
    """The program's exit status, 128+N when signal N ended it; with --detach 0 as soon as it runs."""
    detach = bool(call.options["detach"])
    if not detach and not call.options["no_subreaper"]:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    relay = None
    making = make(call, waits_for_start=False)
    try:
        if not detach:
            _forward_signals(making)
        if making.console_fd >= 0:
            from pyoci.runtime.terminal import Relay

            relay = Relay()
            relay.open(making.console_fd)
        making.release()
        with interrupts.interruptible():
            name, report, _ = making.channel.receive()  # the end of file comes with execve
        if name == FAILED:
            raise explain(report)
        if making.plan.process is None:
            raise PyociError("process property must not be empty", where=".process")
        with interrupts.interruptible():
            run_poststart(making.record)
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
    status = _wait(making.init_pid)
    if relay is not None:
        relay.close()
    if not call.options["keep"]:
        destroy(making.directory, making.record, call.log)
    return status


def _forward_signals(making: "Making") -> None:
    """Every signal that a program can catch goes on to init."""

    def forward(number: int, frame: object) -> None:
        try:
            _signal.pidfd_send_signal(making.init_pidfd, number)
        except OSError as error:
            if error.errno != ESRCH:
                raise

    for number in range(1, 65):
        if number not in _NOT_FORWARDED:
            try:
                _signal.signal(number, forward)
            except (OSError, ValueError):
                continue  # the two that the C library keeps for itself


def _wait(init_pid: int) -> int:
    """Reap whatever falls to us until init has ended; its exit status as a shell gives it."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == init_pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
