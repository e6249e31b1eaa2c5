"""A runtime that stays in the foreground: signals go on to the process, and its end ends the runtime."""

import _signal
import os
from errno import ESRCH

_NOT_FORWARDED = frozenset((_signal.SIGCHLD, _signal.SIGURG, _signal.SIGKILL, _signal.SIGSTOP, _signal.SIGPIPE))


def forward_signals(pidfd: int) -> None:
    """Every signal that a program can catch goes on to the process behind `pidfd`."""

    def forward(number: int, frame: object) -> None:
        try:
            _signal.pidfd_send_signal(pidfd, number)
        except OSError as error:
            if error.errno != ESRCH:
                raise

    for number in range(1, 65):
        if number not in _NOT_FORWARDED:
            try:
                _signal.signal(number, forward)
            except (OSError, ValueError):
                continue  # the two that the C library keeps for itself


def wait_for(wanted: int) -> int:
    """Reap whatever falls to us until `wanted` has ended; its exit status as a shell gives it."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == wanted:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
