"""Ways of a process into a container's cgroups, beside clone3's CLONE_INTO_CGROUP."""

import errno
import os
from time import sleep

from pyoci.cgroup import tree
from pyoci.cgroup.directory import Directory
from pyoci.errors import OperationError, errno_text

_GONE = (errno.ENOENT, errno.ENODEV)


def open_tasks(directories: "list[Directory]") -> "list[tuple[str, int]]":
    """(controllers, descriptor of `tasks`) of each version 1 directory, memory last.  Raises OperationError."""
    result: list[tuple[str, int]] = []
    memory: list[Directory] = []
    try:
        for directory in directories:
            if "memory" in directory.controllers:
                memory.append(directory)
            elif not directory.unified:
                _open_tasks(directory, result)
        for directory in memory:
            _open_tasks(directory, result)
    except BaseException:
        for _, fd in result:
            os.close(fd)
        raise
    return result


def _open_tasks(directory: Directory, result: "list[tuple[str, int]]") -> None:
    try:
        fd = os.open(directory.path + "/tasks", os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        if directory.optional:
            return
        raise _failure(directory.path, os.getpid(), error) from None
    result.append((",".join(directory.controllers), fd))


def move(directories: "list[Directory]", pid: int) -> None:
    """Move a process into every directory of a version 1 or hybrid host.  Raises OperationError."""
    for directory in directories:
        try:
            _write_pid(directory.path, pid)
        except OSError as error:
            if error.errno not in _GONE and not directory.optional:
                raise _failure(directory.path, pid, error) from None


def move_unified(directory: Directory, pid: int, init_pid: int) -> None:
    """Move a process into the version 2 directory, or to where `init_pid` is now, if that is below.

    The latter when the container has sub-cgroups with controllers (EBUSY: systemd inside), or none any more.
    Raises OperationError.
    """
    try:
        _write_pid(directory.path, pid)
    except OSError as error:
        path = ""
        if init_pid and error.errno in (errno.EBUSY, errno.EOPNOTSUPP, *_GONE):
            path = _below(directory, init_pid)
        if not path:
            raise _failure(directory.path, pid, error) from None
        try:
            _write_pid(path, pid)
        except OSError as again:
            raise _failure(path, pid, again) from None


def _below(directory: Directory, pid: int) -> str:
    """The version 2 cgroup of `pid` as a directory, if it is below `directory`; else "".

    /proc shows the path from the root of our own cgroup namespace, which is what `root` mounts.
    """
    try:
        lines = tree.read("/proc/%d/cgroup" % pid).splitlines()
    except OSError:
        return ""
    for line in lines:
        path = directory.root + line.partition("::")[2]
        if line.startswith("0::") and path.startswith(directory.path + "/") and "/../" not in path + "/":
            return path
    return ""


def _write_pid(path: str, pid: int) -> None:
    """Move a process; a version 2 cgroup may answer EINVAL while the process is still being made."""
    for attempt in range(5):
        try:
            tree.write(path + "/cgroup.procs", str(pid))
        except OSError as error:
            if error.errno != errno.EINVAL or attempt == 4:
                raise
            sleep(0.03)
        else:
            return


def _failure(path: str, pid: int, error: OSError) -> OperationError:
    number = error.errno or 0
    return OperationError(
        "cannot join cgroup: %s" % errno_text(number),
        cause="process %d into %s" % (pid, path),
        fix="its cpuset has no CPUs or memory nodes" if number == errno.ENOSPC else "",
    )
