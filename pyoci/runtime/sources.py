"""Open the sources of bind mounts for a container in a user namespace, whose root may not (docs/adr/0009).

Id-mapping a mount takes CAP_SYS_ADMIN in the user namespace that owns the filesystem, and a directory on the way
may be closed to the container's root.  So a process of the runtime's rights goes into the container's mount
namespace, where what the host's owner locked (read-only mounts) is locked in the copies too, opens there, and ends.
"""

import _signal
import os

from pyoci.init.channel import FAILED, MOST_DESCRIPTORS, OPENED, Channel, channel_pair
from pyoci.init.freeze import freeze_imports
from pyoci.init.report import failing, report_and_exit
from pyoci.kernel.process import CLONE_NEWNS, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, clone3, prctl, setns
from pyoci.runtime import interrupts
from pyoci.runtime.explain import died, explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.init.job import Job
    from pyoci.ops.mounts import AttachTree


def send_sources(job: "Job", places: list[str], handles: list[int], init: Channel) -> None:
    """Open the sources of the mounts at `places` and send them to init in OPENED messages.

    handles: init's mount namespace, its user namespace, its root directory; they are closed.  Raises the
    PyociError of the first source that fails; the process that opens is gone then, too.
    """
    operations: dict[str, AttachTree] = {item.where: item for item in job.plan.rootfs}  # type: ignore[misc]
    wanted = [operations[place] for place in places]
    ours, theirs = channel_pair()
    runtime = os.getpid()
    pid, pidfd = clone3(0)
    if pid == 0:
        _open(wanted, handles, job.idmaps, theirs, runtime)
    theirs.close()
    for fd in handles:
        os.close(fd)
    try:
        _pass_on(ours, init)
    finally:
        _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)
        ours.close()


def _pass_on(opener: Channel, init: Channel) -> None:
    left = True
    while left:
        with interrupts.interruptible():
            name, payload, fds = opener.receive()
        if name == FAILED:
            raise explain(payload)
        if name != OPENED:
            raise died(None, "process that opens sources")
        left = payload.pop("more")
        try:
            init.send(OPENED, payload, fds)
        except OSError:
            left = False  # it is dead: what it said of it is read by our caller
        for fd in fds:
            os.close(fd)


def _open(
    wanted: "list[AttachTree]", handles: list[int], idmaps: dict[str, int], channel: Channel, runtime: int
) -> None:
    """The opener's life; never returns."""
    try:
        freeze_imports()
        prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)
        prctl(PR_SET_DUMPABLE, 0)
        if os.getppid() != runtime:
            os._exit(1)
        mount_namespace, user_namespace, root_fd = handles
        with failing("rootfs", "entering the container's mount namespace", ".linux.namespaces"):
            setns(mount_namespace, CLONE_NEWNS)
            os.fchdir(root_fd)
            os.chroot(".")  # setns leaves us at the root of the namespace, which a runtime in a chroot has not
        for first in range(0, len(wanted), MOST_DESCRIPTORS):
            part = wanted[first : first + MOST_DESCRIPTORS]
            fds = []
            for operation in part:
                with failing("rootfs", operation.describe(), operation.where):
                    fds.append(operation.open_source(idmaps.get(operation.where, user_namespace)))
            more = first + MOST_DESCRIPTORS < len(wanted)
            channel.send(OPENED, {"places": [operation.where for operation in part], "more": more}, fds)
            for fd in fds:
                os.close(fd)
        os._exit(0)
    except BaseException as error:
        report_and_exit(channel, error)
