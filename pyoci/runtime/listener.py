"""A seccomp listener goes to its agent: one message with the state and the descriptor, one connection.

runtime-spec config-linux.md, `listenerPath` and "The Container Process State".
"""

import _socket
import os
from _struct import pack
from errno import ENAMETOOLONG

from pyoci.config.json_text import dump
from pyoci.config.rules_seccomp import scheduler_faults
from pyoci.errors import ConfigError, OperationError, errno_text
from pyoci.init.executor import Executor
from pyoci.runtime import interrupts
from pyoci.seccomp.split import split
from pyoci.tables.seccomp import listener_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.fault import Fault
    from pyoci.config.types import Config, Process
    from pyoci.init.job import ExecJob, Job
    from pyoci.seccomp import Filter

_SECONDS = 10  # an agent whose queue is full this long does not serve


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

    The socket is reached through its directory's descriptor, so the path may be longer than sun_path's 107 bytes;
    one that does not begin with / counts from the bundle, which `exec` has as well.
    """
    path, where = listener_of(config)
    message: dict[str, object] = {"ociVersion": state["ociVersion"], "fds": ["seccompFd"], "pid": pid}
    metadata = config["linux"]["seccomp"].get("listenerMetadata")
    if metadata is not None:
        message["metadata"] = metadata
    message["state"] = state
    text = dump(message).encode()
    directory, name = os.path.split(os.path.join(bundle, path))
    client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0)
    try:
        client.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, pack("@ll", _SECONDS, 0))
        dir_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with interrupts.interruptible():
                client.connect("/proc/self/fd/%d/%s" % (dir_fd, name))
                sent = client.sendmsg([text], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack("=i", fd))])
        finally:
            os.close(dir_fd)
        if sent != len(text):
            raise BlockingIOError
    except BlockingIOError:
        raise OperationError(
            "seccomp agent at %s: connection timed out" % path,
            where=where,
            cause="it has not taken the listener within %d seconds" % _SECONDS,
        ) from None
    except OSError as error:
        # a name that is too long for the address has no number
        raise OperationError(
            "seccomp agent at %s: %s" % (path, errno_text(error.errno or ENAMETOOLONG)),
            where=where,
            cause="SCMP_ACT_NOTIFY needs an agent that answers for the calls, and nobody listens there",
            fix="start the agent first, or name its unix stream socket",
        ) from None
    finally:
        client.close()
        os.close(fd)
