"""What cgroup files held before an update, so that one that fails half-way can be taken back.

Most files hold one value.  Some hold a line for each device or interface, written as `8:0 1048576`: of those
only the line that is written is kept, and a device without one gets the word that removes it.
"""

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_ROUNDS = 4
# file -> what stands for "no limit" behind the device's number
_REMOVED = {
    "io.max": "rbps=max wbps=max riops=max wiops=max",
    "io.weight": "default",
    "io.bfq.weight": "default",
    "net_prio.ifpriomap": "0",
    "rdma.max": "hca_handle=max hca_object=max",
}


class Journal:
    """The old values, in the order of writing."""

    __slots__ = ("_entries", "_seen")

    def __init__(self) -> None:
        self._entries: list[tuple[str, str, Callable[[str], None]]] = []
        self._seen: set[tuple[str, str]] = set()

    def note(self, path: str, file: str, value: str, old: str, write: "Callable[[str], None]") -> None:
        """`file` in the directory `path` holds `old` and is about to be written; `write` writes it at any time."""
        key = _key(value)
        if (path + "/" + file, key) not in self._seen:
            self._seen.add((path + "/" + file, key))
            self._entries.append((file, restoring(file, key, old), write))

    def undo(self) -> list[str]:
        """Write the old values, newest first; the files that did not take them.

        The kernel holds some files to each other (limit <= memory+swap, burst <= quota): what it refuses is
        tried again after the rest.
        """
        left = list(reversed(self._entries))
        for _ in range(_ROUNDS):
            refused = []
            for file, old, write in left:
                try:
                    write(old)
                except OSError as error:
                    if error.errno != errno.ENOENT:
                        refused.append((file, old, write))
            if not refused:
                return []
            left = refused
        return [file for file, _, _ in left]


def _key(value: str) -> str:
    """The device or interface that a line is about; empty for a file of one value."""
    word, space, _ = value.partition(" ")
    return word if space and not word.isdigit() and word != "max" else ""


def restoring(file: str, key: str, old: str) -> str:
    r"""The text that brings `file` back to `old`, as far as `key` is concerned.

    >>> restoring("memory.max", "", "max\n"), restoring("rdma.max", "mlx", "mlx hca_handle=2 hca_object=max\n")
    ('max', 'mlx hca_handle=2 hca_object=max')
    >>> restoring("blkio.throttle.read_bps_device", "8:0", ""), restoring("io.weight", "", "default 5\n8:0 7\n")
    ('8:0 0', 'default 5')
    """
    lines = [line.strip() for line in old.splitlines() if line.strip()]
    if key:
        for line in lines:
            if line.startswith(key + " "):
                return line
        return "%s %s" % (key, _REMOVED.get(file, "0"))
    if file == "memory.oom_control":
        return lines[0].split()[1] if lines else "0"
    for line in lines:
        if line.startswith("default "):
            return line
    return lines[0] if lines else "\n"
