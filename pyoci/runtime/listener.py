"""A seccomp listener goes to its agent: one message with the state and the descriptor, one connection.

runtime-spec config-linux.md, `listenerPath` and "The Container Process State".
"""

import os

from pyoci.config.json_text import dump
from pyoci.config.rules_seccomp import scheduler_faults
from pyoci.errors import ConfigError, OperationError, errno_text
from pyoci.init.executor import Executor
from pyoci.runtime.hand_over import hand_over, not_taken
from pyoci.seccomp.split import split
from pyoci.tables.seccomp import listener_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.fault import Fault
    from pyoci.config.types import Config, Process
    from pyoci.init.job import ExecJob, Job
    from pyoci.seccomp import Filter


def prepare_listener(job: "Job | ExecJob", whole: "Filter", process: "Process") -> None:
    """Give `job` the filter in two parts: the first to the thread that is to install it."""
    found: list[Fault] = []
    scheduler_faults(process, found)  # exec may bring a process of its own
    for fault in found:
        raise ConfigError(fault.message, where=fault.path, fix=fault.fix)
    listening, rest = split(whole)
    job.executor = Executor(listening)
    job.filter_program, job.filter_flags = rest.bpf, rest.flags


def send_listener(config: "Config", bundle: str, fd: int, pid: int, state: "dict[str, object]") -> None:
    """Send `fd`, the listener of process `pid`, to the agent, and close it.  OperationError when that fails.

    A path that does not begin with / counts from the bundle, which `exec` has as well.
    """
    path, where = listener_of(config)
    message: dict[str, object] = {"ociVersion": state["ociVersion"], "fds": ["seccompFd"], "pid": pid}
    metadata = config["linux"]["seccomp"].get("listenerMetadata")
    if metadata is not None:
        message["metadata"] = metadata
    message["state"] = state
    try:
        hand_over(os.path.join(bundle, path), dump(message).encode(), fd)
    except OSError as error:
        failure = OperationError("seccomp agent at %s: %s" % (path, errno_text(error.errno or 0)), where=where)
        failure.cause = not_taken(error)
        if not failure.cause:
            failure.cause = "SCMP_ACT_NOTIFY needs an agent that answers for the calls, and nobody listens there"
            failure.fix = "start the agent first, or name its unix stream socket"
        raise failure from None
    finally:
        os.close(fd)
