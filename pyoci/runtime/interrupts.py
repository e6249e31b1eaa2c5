"""SIGTERM, SIGINT and SIGHUP while a container is made: they undo it, but only where that is safe.

From `hold` on they wait.  They are let through where the runtime itself waits (for its child, for a hook), and
raise Interrupted there: an exception at any other line could fall between making a thing and noting that it
was made.
"""

import _signal

from pyoci.errors import PyociError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_SIGNALS = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP)


class Interrupted(PyociError):
    """One of the signals arrived."""


def hold() -> None:
    """Hold the signals back; one that the caller ignores stays ignored."""

    def interrupt(number: int, frame: object) -> None:
        raise Interrupted("interrupted by signal %d" % number)

    _signal.pthread_sigmask(_signal.SIG_BLOCK, _SIGNALS)
    for number in _SIGNALS:
        if _signal.getsignal(number) is not _signal.SIG_IGN:
            _signal.signal(number, interrupt)


class interruptible:  # noqa: N801  (reads as a statement: `with interruptible():`)
    """Let the signals through for the length of a wait."""

    __slots__ = ()

    def __enter__(self) -> None:
        """One that has been waiting raises here."""
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _SIGNALS)

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        """Hold them back again."""
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _SIGNALS)


def release() -> None:
    """Let them through for good: what they do now is set elsewhere."""
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _SIGNALS)


def ignore() -> None:
    """Nothing interrupts cleaning up."""
    for number in _SIGNALS:
        _signal.signal(number, _signal.SIG_IGN)
