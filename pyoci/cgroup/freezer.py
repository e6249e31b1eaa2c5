"""Stopping every process of a cgroup at once (kernel documentation: freezer-subsystem, cgroup-v2).

Version 1 has the freezer hierarchy, version 2 the file cgroup.freeze (Linux 5.2).  A cgroup counts as frozen
when it was frozen itself, not because an ancestor is.
"""

import errno
import os
from time import monotonic, sleep

from pyoci.cgroup.tree import children, read, write
from pyoci.errors import HostError, OperationError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_GONE = (errno.ENOENT, errno.ENODEV)
_WAITS = "a process in %s waits in the kernel and cannot be stopped"


def freeze(path: str, *, unified: bool, patience_s: float = 10.0) -> None:
    """Freeze and wait until all are; on failure or interruption everything runs on.

    Raises OperationError, HostError.
    """
    try:
        if unified:
            _freeze_v2(path, patience_s)
        else:
            _freeze_v1(path, patience_s)
    except OSError as error:
        thaw(path, unified=unified)
        if unified and error.errno in _GONE and os.path.exists(path):
            raise HostError(
                "unable to freeze: this cgroup has no cgroup.freeze", cause=path, fix="Linux 5.2 or later has it"
            ) from None
        raise OperationError("unable to freeze: %s" % errno_text(error.errno or 0), cause=path) from None
    except BaseException:
        thaw(path, unified=unified)
        raise


def _freeze_v1(path: str, patience_s: float) -> None:
    state = path + "/freezer.state"
    deadline = monotonic() + patience_s
    attempt = 0
    while monotonic() <= deadline:
        # A process that forks while being frozen leaves the state at FREEZING: writing again takes the child
        # in.  When that does not end, some progress in between helps (a parent in vfork, a full pipe).
        attempt += 1
        if attempt % 50 == 0:
            write(state, "THAWED")
            sleep(0.01)
        write(state, "FROZEN")
        if read(state).strip() == "FROZEN":
            return
        if attempt > 10:
            sleep(min(0.00001 * attempt, 0.01))
    raise OperationError("unable to freeze: the cgroup stays in state FREEZING", cause=_WAITS % path)


def _freeze_v2(path: str, patience_s: float) -> None:
    write(path + "/cgroup.freeze", "1")
    deadline = monotonic() + patience_s
    pause = 0.0002
    while "frozen 1" not in read(path + "/cgroup.events"):
        if monotonic() > deadline:
            raise OperationError(
                "unable to freeze: the kernel does not report the cgroup as frozen", cause=_WAITS % path
            )
        sleep(pause)
        pause = min(pause * 2, 0.02)


def thaw(path: str, *, unified: bool) -> None:
    """Let all run on; nothing happens when the cgroup is gone or was not frozen.  Raises OperationError."""
    try:
        if unified:
            write(path + "/cgroup.freeze", "0")
        else:
            write(path + "/freezer.state", "THAWED")
    except OSError as error:
        if error.errno not in _GONE:
            raise OperationError("unable to thaw: %s" % errno_text(error.errno or 0), cause=path) from None


def thaw_all(path: str, *, unified: bool) -> None:
    """Thaw whatever is frozen, also what the container itself froze below, for all to die.  Raises OperationError.

    On version 2 a frozen process dies of SIGKILL, so that sub-cgroups are left as they are.
    """
    if is_asked_for(path, unified=unified):
        thaw(path, unified=unified)
    if not unified:
        for child in children(path):
            thaw_all(child, unified=False)


def is_asked_for(path: str, *, unified: bool) -> bool:
    """Whether the cgroup itself is frozen or on its way; False when it is gone or cannot be frozen at all."""
    try:
        return read(path + ("/cgroup.freeze" if unified else "/freezer.self_freezing")).strip() == "1"
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise


def is_frozen(path: str, *, unified: bool) -> bool:
    """Whether the cgroup itself is frozen; False when it is gone or cannot be frozen at all.

    Version 1's FREEZING is on its way and counts as not yet.
    """
    try:
        if not unified and read(path + "/freezer.state").strip() != "FROZEN":
            return False
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise
    return is_asked_for(path, unified=unified)


def place_in(record: "dict[str, Any]") -> "tuple[str, bool] | None":
    """(the directory to freeze, whether it is version 2) of a driver's record; None without a freezer.

    Knows the record's form, so that `state` and `kill` need not load the whole driver for one file.
    """
    found = None
    for directory in record["directories"]:
        if not directory["controllers"]:
            found = (directory["path"], True)
        elif "freezer" in directory["controllers"].split(","):
            return directory["path"], False
    return found
