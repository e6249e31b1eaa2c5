"""The loopback device of a restored container: criu makes its network namespace anew, and leaves it down."""

import os

from pyoci.errors import OperationError
from pyoci.kernel.process import CLONE_NEWNET, setns
from pyoci.ops.context import Context
from pyoci.ops.settings import RaiseLoopback


def raise_loopback(pid: int) -> None:
    """Bring up `lo` in the network namespace of `pid`, from a process that ends afterwards.  OperationError."""
    namespace_fd = os.open("/proc/%d/ns/net" % pid, os.O_RDONLY | os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            setns(namespace_fd, CLONE_NEWNET)
            RaiseLoopback("default:lo").apply(Context(-1, in_user_namespace=False))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(namespace_fd)
    if os.waitpid(child, 0)[1]:
        raise OperationError("cannot bring up lo in the restored network namespace", where=".linux.namespaces")
