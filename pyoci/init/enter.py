"""Into the namespaces: straight where clone3 can do it at once, over a bridge process where it cannot."""

import os
import select

from pyoci.init import init
from pyoci.init.channel import INIT_PID, MAP_ME, MAPPED
from pyoci.init.freeze import freeze_imports
from pyoci.init.report import failing, report_and_exit
from pyoci.kernel.process import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_PARENT,
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    clone3,
    prctl,
    setns,
    unshare,
)
from pyoci.tables.namespaces import CLONE_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.init.job import ExecJob, Job

SIGKILL = 9


def spawn(job: "Job", *, cgroup_fd: int = -1) -> tuple[int, int]:
    """Start the child: (pid, pidfd) of the init process, or of the bridge when the plan needs one.

    `cgroup_fd` is a cgroup v2 directory that the child is born in, or -1.  Only the parent returns.
    """
    namespaces = job.plan.namespaces
    if namespaces.needs_bridge:
        pid, pidfd = clone3(0, cgroup_fd=cgroup_fd)
        if pid == 0:
            _bridge(job)
        return pid, pidfd
    flags = 0
    for kind in namespaces.new:
        flags |= CLONE_FLAGS[kind]
    pid, pidfd = clone3(flags & ~_made_later(flags), cgroup_fd=cgroup_fd)
    if pid == 0:
        _direct(job, new_user=bool(flags & CLONE_NEWUSER))
    return pid, pidfd


def _direct(job: "Job", *, new_user: bool) -> None:
    """The child is already in its new namespaces: join the others, then be init."""
    try:
        start_child(job)
        with failing("enter", "joining namespaces"):
            if new_user:
                job.channel.expect(MAPPED)
            join(job, [flag for _, flag, _ in job.joined])
        init.run(job, new_user=new_user)
    except BaseException as error:
        report_and_exit(job.channel, error)


def _made_later(flags: int) -> int:
    """Namespaces that init makes itself.

    A cgroup namespace's root is where the process is at that moment, so it waits for the cgroup.  The root of
    the message queues belongs to whoever makes the IPC namespace: that must be the user namespace's root.
    """
    return CLONE_NEWCGROUP | (CLONE_NEWIPC if flags & CLONE_NEWUSER else 0)


def start_child(job: "Job | ExecJob") -> None:
    """The first things any child does: no more imports, die with the runtime, not traceable (CVE-2016-9962)."""
    freeze_imports()
    prctl(PR_SET_PDEATHSIG, SIGKILL)
    prctl(PR_SET_DUMPABLE, 0)
    job.runtime_channel.close()
    if _orphaned(job):
        os._exit(1)


def _orphaned(job: "Job | ExecJob") -> bool:
    """Whether the runtime ended before PR_SET_PDEATHSIG took effect: its end of the channel is closed then."""
    poller = select.poll()
    poller.register(job.channel.fileno(), 0)
    return bool(poller.poll(0))


def join(job: "Job", kinds: list[int]) -> None:
    """Join the namespaces whose clone flag is in `kinds`, in the order of config.json; close their descriptors."""
    for fd, flag, where in job.joined:
        if flag in kinds:
            setns(fd, flag, detail=where)
            os.close(fd)
    job.joined = [entry for entry in job.joined if entry[1] not in kinds]


def _bridge(job: "Job") -> None:
    """Stand between the runtime and init: join, unshare, and start init as the runtime's own child.

    The order: joined namespaces first, while the host's rights hold; then the user namespace, in which the
    rest is made, so that it belongs to it.
    """
    try:
        start_child(job)
        namespaces = job.plan.namespaces
        with failing("enter", "joining namespaces"):
            join(job, [flag for _, flag, _ in job.joined if flag != CLONE_NEWUSER])
            if "user" in namespaces.new:
                unshare(CLONE_NEWUSER)
            if "time" in namespaces.new:
                unshare(CLONE_NEWTIME)
            job.channel.send(MAP_ME)
            job.channel.expect(MAPPED)
            join(job, [CLONE_NEWUSER])
        flags = 0
        for kind in namespaces.new:
            flags |= CLONE_FLAGS[kind]
        in_user = namespaces.has("user")
        flags &= ~(CLONE_NEWUSER | CLONE_NEWTIME | _made_later(CLONE_NEWUSER if in_user else 0))
        with failing("enter", "making namespaces"):
            pid, _ = clone3(CLONE_PARENT | flags & CLONE_NEWPID)
            if pid:
                job.channel.send(INIT_PID, {"pid": pid})
                os._exit(0)
            prctl(PR_SET_PDEATHSIG, SIGKILL)
            unshare(flags & ~CLONE_NEWPID)
        init.run(job, new_user=in_user)
    except BaseException as error:
        report_and_exit(job.channel, error)
