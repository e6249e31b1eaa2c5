"""What a container has used, as `events` prints it: runc's document, which engines decode, and two keys more.

Times are in nanoseconds, sizes in bytes.  Beyond that document: `memory.events` on version 2 (runc has no place for
it), and `psi` also on hybrid hosts, where the container's version 2 directory keeps it.
"""

from pyoci.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.cgroup.driver import Cgroup


def statistics(cgroup: "Cgroup") -> "dict[str, Any]":
    """The numbers of now.  Raises HostError without cgroups, OperationError when a file cannot be read."""
    from pyoci.cgroup import stats_v2

    if not cgroup.directories:
        raise HostError(
            "cannot read statistics: the container has no cgroup",
            cause="it was made with cgroups disabled or without the right to make one",
        )
    unified = next((directory for directory in cgroup.directories if directory.unified), None)
    if cgroup.mode == "unified" and unified is not None:
        found = stats_v2.statistics(unified.path)
    else:
        from pyoci.cgroup import stats_v1

        found = stats_v1.statistics(cgroup.directories)
    if unified is not None:
        stats_v2.add_pressure(unified.path, found)
    found["intel_rdt"] = {}
    found["network_interfaces"] = None
    return found
