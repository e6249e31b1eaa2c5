"""Looking into cgroup directories, and removing them: what both versions have in common."""

import errno
import os
from time import monotonic, sleep

from pyoci.errors import OperationError, errno_text

_GONE = (errno.ENOENT, errno.ENODEV)


def processes(path: str) -> "list[int]":
    """The processes in the cgroup and all below it; [] when it is gone.

    Processes that our pid namespace cannot see read as 0 and are left out: kill(2) takes 0 for ourselves.
    """
    found = _members(path)
    for child in children(path):
        found += processes(child)
    return found


def children(path: str) -> "list[str]":
    """The sub-cgroups' directories; [] when it is gone."""
    try:
        # The kernel counts sub-cgroups in the link count, which spares reading some 40 names.
        if os.stat(path).st_nlink <= 2:
            return []
        with os.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in _GONE:
            return []
        raise


def _members(path: str) -> "list[int]":
    try:
        text = read(path + "/cgroup.procs")
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # threaded: its threads belong to processes listed further up
            return []
        if error.errno in _GONE:
            return []
        raise
    return [int(word) for word in text.split() if word != "0"]


def read(path: str) -> str:
    """The whole text of a cgroup file.  Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = part = os.read(fd, 8192)
        while part:
            part = os.read(fd, 65536)
            text += part
    finally:
        os.close(fd)
    return text.decode()


def write(path: str, value: str) -> None:
    """Write a cgroup file in one write(2).  Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def remove(paths: "list[str]", *, deep: bool = True, patience_s: float = 5.0) -> None:
    """Remove the cgroups and (`deep`) all below them; what is gone already is fine.

    A cgroup stays busy for a moment after its last process was reaped: tried again with growing pauses.
    Raises OperationError when one stays busy or cannot be removed at all.
    """
    left = [path for path in paths if not _removed(path, deep=deep)]
    pause = 0.001
    deadline = monotonic() + patience_s
    while left:
        if monotonic() + pause > deadline:
            raise busy(left)
        sleep(pause)
        pause = min(pause * 2, 0.25)
        left = [path for path in left if not _removed(path, deep=deep)]


def _removed(path: str, *, deep: bool) -> bool:
    """Try once, depth first; False when something is busy."""
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno in _GONE:
            return True
        if error.errno == errno.EROFS and not os.path.exists(path):
            return True
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise OperationError(
                "unable to remove container's cgroup: %s" % errno_text(error.errno or 0), cause="rmdir %s" % path
            ) from None
    else:
        return True
    below = children(path) if deep else []
    if not below:
        return False
    # All of them, even after one that is busy: no `all()` over a generator.
    return not sum(not _removed(child, deep=True) for child in below) and _removed(path, deep=True)


def busy(paths: "list[str]") -> OperationError:
    """The error for cgroups that cannot be removed, with who is in them."""
    pids = sorted({pid for path in paths for pid in processes(path)})
    some = ", ".join(str(pid) for pid in pids[:10])
    return OperationError(
        "unable to remove container's cgroup: %s" % errno_text(errno.EBUSY),
        cause="%s %s" % (paths[0], "holds process %s" % some if pids else "is in use"),
        fix="end those processes, then delete again" if pids else "",
    )
