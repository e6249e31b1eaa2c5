"""The last steps: late limits, descriptors, signals, the filter, execve.

Between the filter and execve there is no system call and no allocation: the filter may forbid any of them.
"""

import _signal
import os

from pyoci.errors import SyscallError, errno_text
from pyoci.init.channel import FAILED
from pyoci.init.diagnose import missing_part
from pyoci.init.report import failing
from pyoci.kernel.process import CLOSE_RANGE_CLOEXEC, PreparedExec, close_range, prlimit, reset_signals
from pyoci.kernel.seccomp import install, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from pyoci.init.channel import Channel
    from pyoci.init.executor import Executor
    from pyoci.plan.records import ProcessSetup

EXIT_NOT_EXECUTED = 255


def become(
    process: "ProcessSetup",
    path: str,
    program: bytes | None,
    flags: int,
    *,
    last_fd: int,
    reports: "Channel | None" = None,
    executor: "Executor | None" = None,
) -> "NoReturn":
    """Become the container's program; where a seccomp listener watches it, in the thread that is watched.

    When execve fails the status is 255, and its words go over the channel `reports`, where the filter lets them,
    else to standard error.
    """
    ready = PreparedExec(
        os.fsencode(path), [os.fsencode(word) for word in process.args], [os.fsencode(word) for word in process.env]
    )
    complaint = b"exec " + os.fsencode(path) + b": "
    for limit in process.rlimits:
        if limit.late:
            with failing("seal", "setting %s" % limit.name, limit.where):
                prlimit(0, limit.number, limit.soft, limit.hard)
    reset_signals()
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    close_range(last_fd + 1, 0xFFFFFFFF, CLOSE_RANGE_CLOEXEC)
    prepared = None if program is None else prepare(program)

    def execute() -> "NoReturn":
        if prepared is not None:
            with failing("seal", "installing the seccomp filter", ".linux.seccomp"):
                install(prepared, flags)
        try:
            ready.run()
        except SyscallError as error:
            number = error.errno or 0
            if reports is not None:
                try:
                    text = (complaint + errno_text(number).encode() + missing_part(path, number)).decode(
                        "utf-8", "replace"
                    )
                    reports.write(FAILED, {"message": text, "where": ".process.args[0]"})
                    os._exit(EXIT_NOT_EXECUTED)
                except OSError:
                    pass
            os.write(2, complaint + errno_text(number).encode() + missing_part(path, number) + b"\n")
        os._exit(EXIT_NOT_EXECUTED)

    if executor is None:
        execute()
    executor.run(execute)


def end_on_signals() -> None:
    """A waiting init ends on the signals that end a program: as pid 1 it would otherwise ignore them."""

    def end(number: int, frame: object) -> None:
        os._exit(128 + number)

    for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGQUIT):
        _signal.signal(number, end)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
