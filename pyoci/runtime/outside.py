"""What is set on a process from outside: it needs the host's rights even when there is a user namespace."""

import os

from pyoci.errors import OperationError, SyscallError, errno_text
from pyoci.kernel.process import prlimit
from pyoci.runtime.explain import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.records import ProcessSetup


def set_from_outside(pid: int, process: "ProcessSetup") -> None:
    """The OOM score and the resource limits of `pid`; the late limits it sets itself.  Raises OperationError."""
    if process.oom_score_adj is not None:
        _write_oom_score(pid, process.oom_score_adj)
    for limit in process.rlimits:
        if not limit.late:
            try:
                prlimit(pid, limit.number, limit.soft, limit.hard, detail=limit.name)
            except SyscallError as error:
                raise explain(
                    {
                        "attempt": "setting " + limit.name,
                        "where": limit.where,
                        "call": error.call,
                        "detail": error.detail,
                        "errno": error.errno,
                    }
                ) from None


def _write_oom_score(pid: int, value: int) -> None:
    try:
        fd = os.open("/proc/%d/oom_score_adj" % pid, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"%d" % value)
        finally:
            os.close(fd)
    except OSError as error:
        raise OperationError(
            "setting oom_score_adj to %d: %s" % (value, errno_text(error.errno or 0)),
            where=".process.oomScoreAdj",
            fix="a value below the caller's own needs CAP_SYS_RESOURCE",
        ) from None
