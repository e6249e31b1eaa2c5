"""What criu needs of the root filesystem: every mount point in it, and a mount of its own to take as the root.

Both are done in mount namespaces that end with their process, so a killed runtime leaves no mount on the host.
"""

import _signal
import os

from pyoci.init.channel import CLOSED, READY, channel_pair
from pyoci.init.report import failing, report_and_exit
from pyoci.kernel.mount import (
    AT_FDCWD,
    AT_RECURSIVE,
    MS_REC,
    MS_SLAVE,
    OPEN_TREE_CLONE,
    mount,
    move_mount,
    open_tree,
    path_argument,
)
from pyoci.kernel.path import clean
from pyoci.kernel.process import CLONE_NEWNS, PR_SET_PDEATHSIG, prctl, unshare
from pyoci.ops.context import Context
from pyoci.ops.mounts import AttachCgroupTree, AttachFilesystem, AttachTree
from pyoci.ops.nodes import MakeDevice, MakeDirectory, MakeSymlink
from pyoci.ops.root import BindRoot, SetPropagation
from pyoci.runtime.explain import died, explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from pyoci.init.channel import Channel
    from pyoci.ops.context import Operation
    from pyoci.plan.records import Plan

# criu mounts what was mounted, but on mount points that have to be there.  Nothing that changes what is mounted:
# this process is in the host's other namespaces, where a remount of sysfs would be one of the host's /sys.
_REPEATED = (SetPropagation, BindRoot, AttachFilesystem, AttachTree, MakeDevice, MakeDirectory, MakeSymlink)
# Filesystems of which there is one in a namespace or on the host, so a mount here would be one of the host's.
_SHARED = frozenset(
    ("cgroup", "cgroup2", "configfs", "debugfs", "devtmpfs", "mqueue", "proc", "pstore", "securityfs", "sysfs",
     "tracefs")
)  # fmt: skip


def make_mount_points(plan: "Plan") -> None:
    """Build the root as `create` does and throw it away: what stays are the mount points.  Raises OperationError.

    A mount point may lie in another mount, so nothing less than mounting tells where it has to be made.
    """
    ours, theirs = channel_pair()
    runtime = os.getpid()
    pid = os.fork()
    if pid == 0:
        _build_and_exit(plan, theirs, runtime)
    theirs.close()
    try:
        name, payload, _ = ours.receive()
    finally:
        ours.close()
        status = os.waitpid(pid, 0)[1]
    if name == CLOSED:
        raise died(status, "process that makes the mount points")
    if name != READY:
        raise explain(payload)


def _build_and_exit(plan: "Plan", channel: "Channel", runtime: int) -> "NoReturn":
    try:
        prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)
        if os.getppid() != runtime:
            os._exit(1)
        os.umask(0)
        with failing("restore", "a mount namespace for the mount points"):
            unshare(CLONE_NEWNS)
            proc_fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        ctx = Context(proc_fd, in_user_namespace=plan.namespaces.has("user"))
        for step in repeated(plan.rootfs):
            with failing("restore", step.describe(), step.where):
                step.apply(ctx)
        channel.send(READY)
        os._exit(0)
    except BaseException as error:
        report_and_exit(channel, error)


def repeated(steps: "list[Operation]") -> "list[Operation]":
    """Of the steps that build a root those that make mount points, as far as they leave the host as it is.

    In place of a filesystem that would be the host's its mount point alone is made, and nothing below: what criu
    mounts there has it.
    """
    result: list[Operation] = []
    left_out: set[str] = set()
    for step in steps:
        if not isinstance(step, (*_REPEATED, AttachCgroupTree)):  # not what changes names, which are the host's
            continue
        place = clean(getattr(step, "destination", "") or getattr(step, "path", "") or "/")
        if any(place.startswith(path + "/") for path in left_out):
            continue
        if isinstance(step, AttachCgroupTree) or (
            isinstance(step, AttachFilesystem) and step.filesystem in _SHARED
        ):
            left_out.add(place)
            result.append(MakeDirectory(step.where, place))
            continue
        if isinstance(step, (AttachFilesystem, AttachTree)):
            left_out.discard(place)  # it covers what was left out
        result.append(_empty(step) if isinstance(step, AttachFilesystem) else step)
    return result


def _empty(step: AttachFilesystem) -> AttachFilesystem:
    """The same filesystem, without what the container's has in it and labels that only a container needs."""
    return AttachFilesystem(
        step.where,
        step.destination,
        step.filesystem,
        step.source,
        data=step.data,
        superblock=step.superblock,
        attributes=step.attributes,
    )


def enter_with_root(rootfs: str, place: str) -> None:
    """In the process that becomes criu: a mount namespace with the rootfs, as a mount of its own, at `place`.

    criu wants its root to be a mount whose parent is not hidden by another one.
    """
    unshare(CLONE_NEWNS)
    mount(None, b"/", None, MS_SLAVE | MS_REC, None)
    tree_fd = open_tree(AT_FDCWD, path_argument(rootfs), OPEN_TREE_CLONE | AT_RECURSIVE)
    target_fd = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    move_mount(tree_fd, target_fd, detail=place)
    os.close(tree_fd)
    os.close(target_fd)
