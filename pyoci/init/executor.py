"""The thread that becomes the program when a seccomp listener watches it; loaded only then.

The filter whose calls an agent answers is installed before `create` returns, and from then on the agent is asked
about calls of whoever is under it.  A thread's filter is its own: this one goes under it and does nothing but
wait, on a futex, while the main thread talks to the runtime, waits for `start` and runs hooks, free of it.  At
the end this thread executes the program; the kernel ends the other one and gives this one its process id.

It is started last of all, when ids, capabilities, limits and labels are set: it inherits them.
"""

import _signal
import _thread

from pyoci.errors import OperationError
from pyoci.init.report import failing
from pyoci.kernel.seccomp import install, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from pyoci.seccomp import Filter


class Executor:
    """Made by the runtime for the child, which can load nothing; started by the child."""

    __slots__ = ("_answer", "_failure", "_fd", "_flags", "_prepared", "_task", "_turn")

    def __init__(self, listening: "Filter") -> None:
        self._fd = -1
        self._prepared = prepare(listening.bpf)
        self._flags = listening.flags
        self._failure: BaseException | None = None
        self._task: Callable[[], NoReturn] | None = None
        self._turn = _thread.allocate_lock()
        self._turn.acquire()
        self._answer = _thread.allocate_lock()
        self._answer.acquire()

    def start(self) -> int:
        """Start the thread and let it install the filter; the listener, for the caller to pass on and close."""
        # What the thread starts with, the program has: no signal blocked.  The kernel prefers the main thread.
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:
            raise OperationError(
                "starting a thread for the seccomp listener: resource temporarily unavailable",
                where=".linux.seccomp.listenerPath",
                cause="a limit on processes is reached, and until `start` there is one more than the program's",
                fix="raise .linux.resources.pids.limit, or RLIMIT_NPROC in .process.rlimits",
            ) from None
        self._wait()
        return self._fd

    def _run(self) -> None:
        try:
            with failing("seal", "installing the seccomp filter with a listener", ".linux.seccomp"):
                self._fd = install(self._prepared, self._flags)
            self._answer.release()
            self._turn.acquire()
            if self._task is not None:
                self._task()
        except BaseException as error:
            self._failure = error
            self._answer.release()

    def _wait(self) -> None:
        self._answer.acquire()
        if self._failure is not None:
            raise self._failure

    def run(self, task: "Callable[[], NoReturn]") -> "NoReturn":
        """Let the thread do `task`, the last of all; raises what it raises."""
        self._task = task
        self._turn.release()
        self._wait()
        raise AssertionError("the program was not executed")
