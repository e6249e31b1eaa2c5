"""A container's class of service: a directory of resctrl, found or made, written to, joined and removed.

Who makes or changes directories holds the lock that the kernel's documentation of resctrl asks for: flock of its
root.  Otherwise of two containers that ask for the same class at once one would find it half written.

    find()       before anything exists: is it there, will we make it?  Takes the lock
    make()       the directories, compared or written
    join()       the process; lets go of the lock
    remove()     from the record: what is ours
"""

import os
import time
from errno import EEXIST, EINVAL, ENODEV, ENOENT, ENOSPC, ENOTDIR, ESRCH
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

from pyoci.errors import HostError, OperationError, errno_text
from pyoci.resctrl import mounted
from pyoci.resctrl.schemata import differs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.plan.records import IntelRdt

_AT = ".linux.intelRdt"
_LOCK_SECONDS = 10
_FAILED = "unable to apply Intel RDT configuration: "
_GONE = (ENOENT, ENODEV, ENOTDIR)


class Group:
    """See the module.  `record` is what the state record keeps of it.

    Its keys: root (of resctrl), path, monitor (both directories, "" for none), made (path was not there before),
    keeps (closID is set: path outlives the container), sure (what is to be made exists; before that somebody
    else may have made it), finished (the container was made).
    """

    __slots__ = ("_lock_fd", "_mounted", "plan", "record")

    def __init__(self, plan: "IntelRdt", found: mounted.Mounted) -> None:
        self.plan = plan
        self._mounted = found
        self._lock_fd = _lock(found.path)
        path = found.path + "/" + plan.name if plan.name else found.path
        self.record: dict[str, Any] = {
            "root": found.path,
            "path": path,
            "monitor": "%s/mon_groups/%s" % (path, plan.monitor) if plan.monitor else "",
            "made": not os.path.exists(path),
            "keeps": plan.is_named,
            "sure": False,
            "finished": False,
        }

    @classmethod
    def find(cls, plan: "IntelRdt") -> "Group":
        """The group of a plan.  HostError without resctrl, OperationError without a class that has to exist."""
        found = mounted.find()
        if found is None:
            raise HostError(
                _FAILED + "no resctrl file system is mounted",
                where=_AT,
                cause="/proc/self/mountinfo has no mount of type resctrl",
                fix="mount -t resctrl resctrl /sys/fs/resctrl (a processor with RDT), or remove .linux.intelRdt",
            )
        self = cls(plan, found)
        if self.record["made"] and plan.must_exist:
            self.unlock()
            raise OperationError(
                _FAILED + "no such file or directory: %s" % self.record["path"],
                where=_AT + ".closID",
                cause="closID without any schema names a class of service that exists already",
                fix="make it, or add schemata for it",
            )
        return self

    # ---- making and joining ---------------------------------------------------------------------------------

    def make(self) -> None:
        """Make what is missing and write the lines.  Raises OperationError."""
        path = self.record["path"]
        if self.record["made"]:
            self._mkdir(path, _AT + ".closID" if self.plan.is_named else _AT)
        elif not os.path.isfile(path + "/tasks"):
            raise OperationError(
                _FAILED + "%s is no class of service" % path,
                where=_AT + ".closID" if self.plan.is_named else _AT,
                fix="give another closID",
            )
        else:
            self._compare()
        for where, line in self.plan.lines:
            self._write(path + "/schemata", line + "\n", where, "schemata " + line)
        if self.record["monitor"]:
            self._mkdir(self.record["monitor"], _AT + ".enableMonitoring")
        self.record["sure"] = True

    def join(self, pid: int) -> None:
        """Put a process in; its children will be there too.  Raises OperationError."""
        for path in filter(None, (self.record["path"], self.record["monitor"])):
            self._write(path + "/tasks", "%d" % pid, _AT, "process %d into %s" % (pid, path))
        self.unlock()

    def unlock(self) -> None:
        """Let others go on.  Closing is not enough: a child has the descriptor too until it executes."""
        if self._lock_fd >= 0:
            flock(self._lock_fd, LOCK_UN)
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _compare(self) -> None:
        mismatch = mismatch_of(self.plan, self._mounted)
        if mismatch:
            where, line, difference = mismatch
            raise OperationError(
                _FAILED + "class of service %s exists with other schemata than %s" % (self.plan.name or "/", line),
                where=where,
                cause=difference,
                fix="the same schemata, or another closID",
            )

    def _mkdir(self, path: str, where: str) -> None:
        try:
            os.mkdir(path, 0o755)
        except OSError as error:
            number = error.errno or 0
            if number == EEXIST:  # somebody else's: not ours to remove
                self.record.update({"made": False} if path == self.record["path"] else {"monitor": ""})
            raise failure("mkdir %s" % path, where, number, self.record["root"]) from None

    def _write(self, path: str, text: str, where: str, what: str) -> None:
        try:
            write(path, text)
        except OSError as error:
            raise failure(what, where, error.errno or 0, self.record["root"]) from None


def mismatch_of(plan: "IntelRdt", found: mounted.Mounted) -> "tuple[str, str, str] | None":
    """(place, line, difference) of the first line that a class of service which exists has otherwise.

    Those of `schemata` are not compared but written, as the specification has it.
    """
    present = read((found.path + "/" + plan.name).rstrip("/") + "/schemata")
    text = read(found.path + "/info/MB/bandwidth_gran").strip()
    step = int(text) if text.isdigit() and not found.in_mbps else 0
    for where, line in plan.lines:
        if where.endswith("Schema"):
            difference = differs(line, present, step)
            if difference:
                return where, line, difference
    return None


def join_again(record: "dict[str, Any]", pid: int) -> None:
    """Put one more process (of `exec`) into the groups of a container.  Raises OperationError.

    Groups that somebody removed are passed over: the kernel has moved the container's processes to the root's
    class then, in which a new one is anyhow; so is a process that has ended.
    """
    for path in filter(None, (record["path"], record["monitor"])):
        try:
            write(path + "/tasks", "%d" % pid)
        except OSError as error:
            if error.errno not in (*_GONE, ESRCH):
                raise OperationError(
                    _FAILED + "process %d into %s: %s" % (pid, path, errno_text(error.errno or 0)), where=_AT
                ) from None


def rewrite(record: "dict[str, Any]", lines: "list[tuple[str, str]]") -> "Callable[[], None]":
    """Write other lines, as (place, line), into the container's class; a function that takes it back.

    Raises OperationError when one is refused, with those before it taken back.
    """
    path = record["path"] + "/schemata"
    lock_fd = _lock(record["root"])
    before = read(path)

    def undo() -> None:
        for line in before.splitlines():
            try:
                write(path, line.strip() + "\n")
            except OSError:
                continue

    try:
        for where, line in lines:
            try:
                write(path, line + "\n")
            except OSError as error:
                refusal = failure("schemata " + line, where, error.errno or 0, record["root"])
                undo()
                raise refusal from None
    finally:
        os.close(lock_fd)
    return undo


def failure(what: str, where: str, number: int, root: str) -> OperationError:
    """The error for what resctrl refused; it keeps its reason for the last refusal in a file."""
    reason = read(root + "/info/last_cmd_status").strip()
    cause = "resctrl says: %s" % reason.replace("\n", "; ") if reason not in ("", "ok") else ""
    fix = ""
    if number == EINVAL:
        fix = "see info/ of resctrl for what this processor takes"
    elif number == ENOSPC:
        fix = "remove groups that nobody uses: the processor has few"
    return OperationError(_FAILED + "%s: %s" % (what, errno_text(number)), where=where, cause=cause, fix=fix)


def remove(record: "dict[str, Any]") -> None:
    """Remove the groups that are the container's own.  What is gone is fine.  Raises OperationError.

    One of which it is not sure that we made it goes only while it is empty; so does the class of a closID, which
    is ours only until the container is made: another container may have joined it.
    """
    ours = bool(record["made"]) and not (record["keeps"] and record["finished"])
    if not ours and not record["monitor"]:
        return
    try:
        lock_fd = _lock(record["root"])
    except OperationError:
        if os.path.exists(record["root"]):
            raise
        return
    try:
        if record["monitor"]:
            _rmdir(record["monitor"], only_empty=not record["sure"])
        if ours:
            _rmdir(record["path"], only_empty=record["keeps"] or not record["sure"])
    finally:
        os.close(lock_fd)


def _rmdir(path: str, *, only_empty: bool) -> None:
    if only_empty and (read(path + "/tasks").strip() or _monitors(path)):
        return
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno not in _GONE:
            raise OperationError(
                "unable to remove container's class of service: %s" % errno_text(error.errno or 0),
                cause="rmdir %s" % path,
            ) from None


def _monitors(path: str) -> "list[str]":
    try:
        return os.listdir(path + "/mon_groups")
    except OSError:
        return []


def _lock(root: str) -> int:
    """The root, locked: waits for others a while only, since whoever may open it may hold the lock for ever."""
    fd = -1
    end = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            if fd < 0:
                fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            flock(fd, LOCK_EX | LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() < end:
                time.sleep(0.01)
                continue
            cause = "another process has held the lock for %d seconds" % _LOCK_SECONDS
            os.close(fd)
            raise OperationError(_FAILED + "lock %s: connection timed out" % root, where=_AT, cause=cause) from None
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            raise OperationError(
                _FAILED + "lock %s: %s" % (root, errno_text(error.errno or 0)), where=_AT
            ) from None


def read(path: str) -> str:
    """The text of a file of resctrl; "" when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
    except OSError:
        return ""
    finally:
        os.close(fd)
    return b"".join(parts).decode(errors="replace")


def write(path: str, text: str) -> None:
    """One write(2) to a file of resctrl.  Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
