"""User namespaces that exist only for their maps: what mount_setattr(2) takes for an id-mapped mount."""

import _signal
import os
from errno import ENOSPC

from pyoci.errors import OperationError, SyscallError, errno_text
from pyoci.init.channel import Channel, channel_pair
from pyoci.init.freeze import freeze_imports
from pyoci.kernel.process import CLONE_NEWUSER, PR_SET_PDEATHSIG, clone3, prctl
from pyoci.runtime.idmap import write_map
from pyoci.runtime.namespaces import name_exhausted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.ops.idmap import IdMap

_NAMESPACE = b"namespace"


def open_user_namespaces(idmaps: "dict[str, IdMap]") -> dict[str, int]:
    """A descriptor of a user namespace for each mount with maps of its own, by the mount's place.

    Mounts with equal maps share one.  The process that makes a namespace is gone before the next one starts: the
    descriptor keeps the namespace.
    """
    opened: dict[tuple[str, str], int] = {}
    found: dict[str, int] = {}
    try:
        for where, idmap in idmaps.items():
            if idmap.is_own:
                continue
            maps = (idmap.uid_map, idmap.gid_map)
            if maps not in opened:
                opened[maps] = _make(*maps, where)
            found[where] = opened[maps]
    except BaseException:
        for fd in opened.values():
            os.close(fd)
        raise
    return found


def _make(uid_map: str, gid_map: str, where: str) -> int:
    ours, theirs = channel_pair()
    try:
        pid, pidfd = clone3(CLONE_NEWUSER)
    except SyscallError as error:
        words = "making a user namespace for the mount's id map: %s" % errno_text(error.errno or 0)
        failure = OperationError(words, where=where)
        if error.errno == ENOSPC:
            name_exhausted(failure, ["user"])
        raise failure from None
    if pid == 0:
        _hold(ours, theirs)
    theirs.close()
    fd = -1
    try:
        fds = ours.expect(_NAMESPACE)[1]
        fd = fds[0]
        write_map(pid, "uid_map", uid_map, where + ".uidMappings")
        write_map(pid, "gid_map", gid_map, where + ".gidMappings")
    except BaseException:
        if fd >= 0:
            os.close(fd)
        raise
    finally:
        ours.close()
        _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)
    return fd


def _hold(theirs: Channel, channel: Channel) -> None:
    """The new process: hand out its user namespace and wait for the end; never returns."""
    try:
        freeze_imports()
        prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)
        theirs.close()
        channel.send(_NAMESPACE, None, [os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC)])
        channel.receive()  # the end, when the runtime has written the maps or is gone
    finally:
        os._exit(0)
