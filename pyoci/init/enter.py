"""Into the namespaces: straight where clone3 can do it at once, over a bridge process where it cannot."""

import os
import select
from errno import EPERM

from pyoci.errors import SyscallError
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
        start_child(job, traceable=_maps_need_owner(job))
        with failing("enter", "joining namespaces"):
            if new_user:
                job.channel.expect(MAPPED)
                prctl(PR_SET_DUMPABLE, 0)
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


def _maps_need_owner(job: "Job") -> bool:
    """Whether the files of the child in /proc must be the caller's until its maps are written.

    Those of an untraceable process are root's, and newuidmap refuses them.  No process of another user namespace
    can trace the child even so: the owner's rights stand above those of what he made.
    """
    return job.unprivileged and "user" in job.plan.namespaces.new


def start_child(job: "Job | ExecJob", *, traceable: bool = False) -> None:
    """The first things any child does: no more imports, die with the runtime, not traceable (CVE-2016-9962).

    `traceable`: not that last one yet.
    """
    freeze_imports()
    prctl(PR_SET_PDEATHSIG, SIGKILL)
    prctl(PR_SET_DUMPABLE, int(traceable))
    job.runtime_channel.close()
    if _orphaned(job):
        os._exit(1)


def _orphaned(job: "Job | ExecJob") -> bool:
    """Whether the runtime ended before PR_SET_PDEATHSIG took effect: its end of the channel is closed then."""
    poller = select.poll()
    poller.register(job.channel.fileno(), 0)
    return bool(poller.poll(0))


def join(job: "Job", kinds: list[int], *, may_wait: bool = False) -> None:
    """Join the namespaces whose clone flag is in `kinds`, in the order of config.json; close their descriptors.

    `may_wait`: those that are not permitted stay in job.joined, to be tried again.
    """
    left = []
    for fd, flag, where in job.joined:
        try:
            if flag in kinds:
                setns(fd, flag, detail=where)
        except SyscallError as error:
            if error.errno != EPERM or not may_wait:
                raise
            left.append((fd, flag, where))
            continue
        if flag in kinds:
            os.close(fd)
        else:
            left.append((fd, flag, where))
    job.joined = left


def _bridge(job: "Job") -> None:
    """Stand between the runtime and init: join, unshare, and start init as the runtime's own child.

    The order: joined namespaces first, while the host's rights hold; then the user namespace, in which the
    rest is made, so that it belongs to it.  A caller without privileges may join only what belongs to a user
    namespace that is joined, and so after that.
    """
    try:
        start_child(job, traceable=_maps_need_owner(job))
        namespaces = job.plan.namespaces
        joins_user = namespaces.joins("user")
        with failing("enter", "joining namespaces"):
            join(job, [flag for _, flag, _ in job.joined if flag != CLONE_NEWUSER], may_wait=joins_user)
            if "user" in namespaces.new:
                unshare(CLONE_NEWUSER)
            if "time" in namespaces.new:
                unshare(CLONE_NEWTIME)
            job.channel.send(MAP_ME)
            job.channel.expect(MAPPED)
            prctl(PR_SET_DUMPABLE, 0)
            join(job, [CLONE_NEWUSER])
            join(job, [flag for _, flag, _ in job.joined])
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
