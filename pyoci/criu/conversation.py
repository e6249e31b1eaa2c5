"""A request that criu answers only after it has told of its progress: dump, pre-dump and restore."""

from pyoci.criu.log_file import last_errors
from pyoci.criu.messages import NOTIFY
from pyoci.criu.process import refusal
from pyoci.errors import OperationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any

    from pyoci.criu.process import Criu

    Listener = Callable[[str, int, list[int]], None]


def carry_out(
    criu: "Criu",
    request: "dict[str, Any]",
    listen: "Listener",
    waiting: "Callable[[], AbstractContextManager[None]]",
) -> "dict[str, Any]":
    """Send the request and return criu's final answer.

    `listen` is called with the name, the process and the descriptors of each notification; criu goes on when it
    returns.  Answers are waited for inside `waiting()`.  OperationError when criu says no.
    """
    criu.send(request)
    while True:
        with waiting():
            answer, fds = criu.receive()
        if not answer.get("success"):
            raise refusal(answer)
        if answer.get("type") != NOTIFY:
            return answer
        notify = answer.get("notify", {})
        listen(notify.get("script", ""), notify.get("pid", 0), fds)
        criu.send({"type": NOTIFY, "notify_success": True})


def with_log(error: OperationError, path: str) -> OperationError:
    """The error with what criu's log says of it, and the place of the log."""
    said = last_errors(path)
    error.cause = "; ".join(text for text in (error.cause, said) if text)
    error.where = error.where or path
    error.fix = error.fix or "read criu's log: " + path
    return error
