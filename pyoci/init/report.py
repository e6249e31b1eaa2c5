"""How a failure in a child reaches the runtime: as fields, not as text."""

import os

from pyoci.errors import PyociError, SyscallError
from pyoci.init.channel import FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import NoReturn

    from pyoci.init.channel import Channel


class failing:  # noqa: N801  (reads as a statement: `with failing("jail", ...)`)
    """Name what is being done, for the report of an error that happens meanwhile."""

    __slots__ = ("attempt", "phase", "where")

    def __init__(self, phase: str, attempt: str, where: str = "") -> None:
        self.phase = phase
        self.attempt = attempt
        self.where = where

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        """Attach the names, unless something further in has done so."""
        if error is not None and not hasattr(error, "attempt"):
            error.attempt = self.attempt  # type: ignore[attr-defined]
            error.phase = self.phase  # type: ignore[attr-defined]
            error.place = self.where  # type: ignore[attr-defined]


def make_report(error: BaseException) -> dict[str, object]:
    """The fields of an error: everything that the runtime needs to say what happened."""
    report: dict[str, object] = {
        "phase": getattr(error, "phase", ""),
        "attempt": getattr(error, "attempt", ""),
        "where": getattr(error, "place", ""),
        "kind": type(error).__name__,
    }
    if isinstance(error, PyociError):
        report["message"] = error.message
        report.update(error.details())
    elif isinstance(error, SyscallError):
        report["call"] = error.call
        report["detail"] = error.detail
        report["errno"] = error.errno
    elif isinstance(error, OSError) and error.errno is not None:
        report["call"] = ""
        report["detail"] = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        report["errno"] = error.errno
    else:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = "" if trace is None else "%s:%d" % (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        report["message"] = "internal error: %s: %s %s" % (type(error).__name__, error, place)
    return report


def report_and_exit(channel: "Channel", error: BaseException) -> "NoReturn":
    """Send the report and end, without running anything else of the interpreter."""
    try:
        channel.send(FAILED, make_report(error))
    except BaseException:
        pass
    finally:
        os._exit(1)
