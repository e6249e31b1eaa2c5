"""What the runtime does beside a process that is being made, by create, run and restore and by exec alike."""

import _signal
import os

from pyoci.hooks import run_hook
from pyoci.init.channel import CLOSED, FAILED
from pyoci.runtime import interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.config.types import Hook
    from pyoci.errors import PyociError
    from pyoci.init.channel import Channel


def hear(
    channel: "Channel", explain: "Callable[[dict[str, Any]], PyociError]", death: "Callable[[], PyociError]"
) -> "tuple[bytes, dict[str, Any], list[int]]":
    """The next message of the child.  Raises what `explain` makes of its report of failure, or `death()`."""
    with interrupts.interruptible():
        name, payload, fds = channel.receive()
    if name == FAILED:
        raise explain(payload)
    if name == CLOSED:
        raise death()
    return name, payload, fds


def status_of_the_dead(pid: int) -> int | None:
    """The wait status of a child that has closed its channel; None where somebody else has collected it."""
    try:
        return os.waitpid(pid, 0)[1] if pid else None
    except ChildProcessError:
        return None


def kill_and_collect(pidfd: int, pid: int) -> None:
    """End a child that may have ended already."""
    try:
        _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def run_hooks(hooks: "list[Hook]", kind: str, state: bytes, *, cwd: str, outputs: tuple[int, int]) -> None:
    """The hooks of one kind in order, in the namespaces of the runtime.  Signals that are held interrupt them."""
    for index, hook in enumerate(hooks):
        with interrupts.interruptible():
            run_hook(hook, kind, index, state, cwd=cwd, outputs=outputs)


def take_console(path: str, pty_fd: int) -> int:
    """The outer end of the terminal goes to the socket at `path`: -1; without one it stays with us."""
    if not path:
        return pty_fd
    from pyoci.runtime.terminal import send_console

    try:
        send_console(path, pty_fd)
    finally:
        os.close(pty_fd)
    return -1
