"""Being told when the kernel runs out of memory for a container.

Version 2: the text of memory.events changes, which poll(2) reports on the open file as POLLPRI.  Version 1: an
eventfd is registered with memory.oom_control through cgroup.event_control; it counts also when
`disableOOMKiller` lets the processes wait instead of killing one.
"""

import os
import select

from pyoci.cgroup.stat_files import flat
from pyoci.errors import HostError, OperationError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.driver import Cgroup


class OomWatch:
    """`fd` is to be polled for `mask`; `happened()` then says whether it was what we wait for."""

    __slots__ = ("_counted", "_place", "fd", "mask")

    def __init__(self, place: str, *, unified: bool) -> None:
        """`place`: the container's directory with the memory controller.  Raises OperationError."""
        self._place = place
        self._counted = -1
        try:
            if unified:
                self.fd = os.open(place + "/memory.events", os.O_RDONLY | os.O_CLOEXEC)
                self.mask = select.POLLPRI
                self._counted = self._kills()
            else:
                self.fd = _register(place)
                self.mask = select.POLLIN
        except OSError as error:
            raise OperationError(
                "cannot watch for lack of memory: %s" % errno_text(error.errno or 0), cause=place
            ) from None

    def happened(self) -> bool:
        """Whether the kernel ran out of memory for the container since the last call; does not wait."""
        try:
            if self._counted < 0:
                os.eventfd_read(self.fd)
                # Removing the cgroup counts as an event, too.
                return os.path.exists(self._place + "/cgroup.event_control")
            before, self._counted = self._counted, self._kills()
        except OSError:  # nothing to read, or the cgroup is gone
            return False
        return self._counted > before

    def _kills(self) -> int:
        """How many processes were killed; reading from the start also tells the kernel what we have seen."""
        return flat(os.pread(self.fd, 4096, 0).decode()).get("oom_kill", 0)


def _register(place: str) -> int:
    """An eventfd for memory.oom_control.  Raises OSError."""
    event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        control = os.open(place + "/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        try:
            file = os.open(place + "/cgroup.event_control", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(file, b"%d %d" % (event, control))
            finally:
                os.close(file)
        finally:
            os.close(control)  # the kernel holds its own
    except OSError:
        os.close(event)
        raise
    return event


def watch(cgroup: "Cgroup") -> OomWatch:
    """Watch the container's memory.  Raises HostError where nothing counts it, OperationError."""
    for directory in cgroup.directories:
        if "memory" in directory.controllers:
            return OomWatch(directory.path, unified=False)
        if cgroup.mode == "unified" and os.path.exists(directory.path + "/memory.events"):
            return OomWatch(directory.path, unified=True)
    raise HostError("memory controller missing", cause="the container's cgroup does not count memory")
