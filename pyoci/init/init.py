"""The init process, phase by phase: rootfs, hooks, jail, identity, wait, seal."""

import os
from errno import EACCES

from pyoci.config.json_text import dump
from pyoci.errors import SyscallError
from pyoci.hooks import run_hook
from pyoci.init import identity, seal
from pyoci.init.channel import (
    ACCEPTED,
    CGROUP,
    CONSOLE,
    DEVICES_MOVED,
    FAILED,
    GO_ON,
    LISTENER,
    NETWORK,
    OPEN,
    OPENED,
    READY,
    RELEASE,
    ROOTFS_DONE,
    START,
    Channel,
    accept,
)
from pyoci.init.home import home_of, with_home
from pyoci.init.lookup import find_program
from pyoci.init.report import failing, make_report, report_and_exit
from pyoci.init.stdio import adopt_standard_streams
from pyoci.kernel.process import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    PR_SET_PDEATHSIG,
    keep_only,
    prctl,
    setresgid,
    setresuid,
    unshare,
)
from pyoci.ops.context import Context
from pyoci.ops.mounts import AttachTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyoci.init.job import ExecJob, Job
    from pyoci.ops.context import Operation

    Message = tuple[dict[str, Any], list[int]]

SIGKILL = 9
_NAMESPACES = ("self/ns/mnt", "self/ns/user")


def run(job: "Job", *, new_user: bool) -> None:
    """Everything from the new namespaces to execve; never returns."""
    plan = job.plan
    os.setsid()  # a session of its own: the caller's terminal is nobody's to type into (TIOCSTI)
    os.umask(0)  # modes are given in full below
    ctx = Context(job.proc_fd, in_user_namespace=plan.namespaces.has("user"))
    ctx.user_namespaces = job.idmaps
    if job.labels is not None:
        job.labels.open(job.proc_fd)
    cgroup: Message | None = None
    if new_user:
        cgroup = _open_sources(ctx, job)
        with failing("enter", "becoming root of the user namespace", ".linux.uidMappings"):
            setresgid(0)
            setresuid(0)
            if plan.process is None or plan.process.groups is not None:
                identity.drop_groups()  # else an annotation asks to keep those of the caller
            prctl(PR_SET_PDEATHSIG, SIGKILL)  # a change of ids clears it
            if "ipc" in plan.namespaces.new:
                unshare(CLONE_NEWIPC)
    join_at = plan.join_index
    _carry_out(plan.rootfs[:join_at], "rootfs", ctx)
    with failing("rootfs", "joining the cgroup", ".linux.cgroupsPath"):
        memory_fd = _join_cgroup(job, cgroup or job.channel.expect(CGROUP))
    if plan.net_devices:
        with failing("rootfs", "handing over the network namespace", ".linux.netDevices"):
            _offer_network(job)
    _carry_out(plan.rootfs[join_at:], "rootfs", ctx)
    if memory_fd >= 0:
        with failing("rootfs", "joining the memory cgroup", ".linux.cgroupsPath"):
            _write_and_close(memory_fd)
    if plan.net_devices:
        job.channel.expect(DEVICES_MOVED)
    _hooks_before_the_root_changes(job, ctx)
    home = _home(job, ctx)
    if not plan.has_terminal:
        with failing("jail", "standard streams", ".process.user"):
            adopt_standard_streams(ctx.root_fd, plan.process.uid if plan.process is not None else 0)
    _carry_out(plan.jail, "jail", ctx)
    if ctx.console_fd >= 0:
        job.channel.send(CONSOLE, None, [ctx.console_fd])
    _drop_handles(job, ctx)
    path = ""
    if plan.process is not None:
        identity.assume(plan.process, keep_admin=_filter_needs_admin(job), labels=job.labels)
        prctl(PR_SET_PDEATHSIG, SIGKILL)
        plan.process.env = with_home(plan.process.env, home)
        with failing("identity", "looking up the program", ".process.args[0]"):
            path = find_program(plan.process.args[0], plan.process.env)
        start_listening(job)
    job.channel.send(READY)
    job.channel.expect(RELEASE)
    prctl(PR_SET_PDEATHSIG, 0)
    _finish(job, path)


def start_listening(job: "Job | ExecJob") -> None:
    """Install what a seccomp agent is to be asked about, in a thread of its own, and hand the listener out."""
    if job.executor is not None:
        fd = job.executor.start()
        job.channel.send(LISTENER, None, [fd])
        os.close(fd)


def _open_sources(ctx: Context, job: "Job") -> "Message | None":
    """Open bind sources while this process still owns what the host's root owns: the container's root may not.

    What is closed to root without its capabilities, and what is to be id-mapped, is asked of the runtime.
    """
    closed: list[str] = []
    for operation in job.plan.rootfs:
        if not isinstance(operation, AttachTree) or not operation.early:
            continue
        if operation.idmap is not None:
            closed.append(operation.where)
            continue
        try:
            ctx.sources[operation.where] = operation.open_source()
        except BaseException as error:
            if isinstance(error, SyscallError) and error.errno == EACCES and not job.unprivileged:
                closed.append(operation.where)
                continue
            with failing("rootfs", operation.describe(), operation.where):
                raise error
    return _ask_for_sources(ctx, job, closed) if closed else None


def _ask_for_sources(ctx: Context, job: "Job", places: list[str]) -> "Message":
    """Have the runtime open sources for us; the CGROUP message, which comes in before they do.

    Nothing is asked before that message: until then the runtime may be listening to the bridge.
    """
    with failing("rootfs", "opening the sources of mounts", ".mounts"):
        cgroup = job.channel.expect(CGROUP)
        handles = [os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=ctx.proc_fd) for name in _NAMESPACES]
        handles.append(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        job.channel.send(OPEN, {"places": places}, handles)
        for fd in handles:
            os.close(fd)
        while len(places) > 0:
            payload, fds = job.channel.expect(OPENED)
            ctx.sources.update(zip(payload["places"], fds, strict=True))
            places = places[len(fds) :]
    return cgroup


def _carry_out(operations: "Sequence[Operation]", phase: str, ctx: Context) -> None:
    for operation in operations:
        try:
            operation.apply(ctx)
        except BaseException as error:
            with failing(phase, operation.describe(), operation.where):
                raise error


def _join_cgroup(job: "Job", message: "Message") -> int:
    """Write ourselves into every hierarchy the runtime opened; the memory one is left for later, its fd returned.

    A process that moves itself does not wait for an RCU grace period; and what we touch before we join the
    memory cgroup is not charged to the container.
    """
    payload, fds = message
    own_namespace = "cgroup" in job.plan.namespaces.new
    memory_fd = -1
    for controller, fd in zip(payload.get("controllers", []), fds, strict=True):
        if "memory" in controller and not own_namespace:
            memory_fd = fd
        else:
            _write_and_close(fd)
    if own_namespace:
        unshare(CLONE_NEWCGROUP)
    reset_affinity()
    return memory_fd


def reset_affinity() -> None:
    """All processors of the new cpuset, not those the caller was bound to."""
    try:
        os.sched_setaffinity(0, range(1024))
    except OSError:
        pass  # a kernel with another idea of the largest number; the inherited mask stays


def _write_and_close(fd: int) -> None:
    os.write(fd, b"0")
    os.close(fd)


def _offer_network(job: "Job") -> None:
    """Have the runtime move devices in, which it does while we go on; they have to be there for the hooks."""
    fd = os.open("self/ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=job.proc_fd)
    job.channel.send(NETWORK, None, [fd])
    os.close(fd)


def _hooks_before_the_root_changes(job: "Job", ctx: Context) -> None:
    if job.hooks("prestart") or job.hooks("createRuntime"):
        job.channel.send(ROOTFS_DONE)
        job.channel.expect(GO_ON)
    for index, hook in enumerate(job.hooks("createContainer")):
        state = dict(job.state, status="creating", pid=os.getpid())
        with failing("hooks", "createContainer hook", ".hooks.createContainer[%d]" % index):
            run_hook(
                hook, "createContainer", index, dump(state).encode(), cwd=ctx.root_fd, outputs=job.hook_outputs
            )


def _home(job: "Job", ctx: Context) -> str:
    process = job.plan.process
    return home_of(ctx.root_fd, process.uid) if process is not None else ""


def _drop_handles(job: "Job", ctx: Context) -> None:
    """Nothing of the host stays open: what a waiting init holds, a container could reach (CVE-2024-21626)."""
    keep = [*range(job.last_fd + 1), job.channel.fileno()]
    if job.start_socket is not None:
        keep.append(job.start_socket.fileno())
    if job.labels is not None:
        keep.extend(job.labels.descriptors())
    if job.hooks("startContainer"):
        keep.extend(fd for fd in job.hook_outputs if fd >= 0)
    keep_only(keep)
    ctx.root_fd = ctx.proc_fd = ctx.mask_fd = -1


def _filter_needs_admin(job: "Job") -> bool:
    process = job.plan.process
    return job.filter_program is not None and process is not None and not process.no_new_privileges


def _finish(job: "Job", path: str) -> None:
    """Wait for `start` (after `create`) or go on at once (`run`); then become the program."""
    process = job.plan.process
    connection: Channel | None = None
    if job.start_socket is not None:
        job.channel.close()
        connection = _wait_for_start(job.start_socket)
    try:
        if process is None:
            os._exit(1)  # `start` refuses before it gets here
        for index, hook in enumerate(job.hooks("startContainer")):
            state = dict(job.state, status="created", pid=os.getpid())
            environment = {}
            for entry in process.env:
                key, _, value = entry.partition("=")
                environment[os.fsencode(key)] = os.fsencode(value)
            with failing("start", "startContainer hook", ".hooks.startContainer[%d]" % index):
                run_hook(
                    hook,
                    "startContainer",
                    index,
                    dump(state).encode(),
                    cwd=process.cwd,
                    env=environment,
                    outputs=job.hook_outputs,
                    seccomp_filter=None if job.filter_program is None else (job.filter_program, job.filter_flags),
                )
        seal.become(process, path, job.filter_program, job.filter_flags, last_fd=job.last_fd, executor=job.executor)
    except BaseException as error:
        if connection is None:
            report_and_exit(job.channel, error)
        try:
            connection.send(FAILED, make_report(error))
        finally:
            os._exit(1)


def _wait_for_start(server: Channel) -> Channel:
    seal.end_on_signals()
    while True:
        connection = accept(server)
        name, _, _ = connection.receive()
        if name == START:
            try:
                connection.send(ACCEPTED)
                return connection
            except OSError:  # killed in between: as if it had never asked
                pass
        connection.close()
