"""One more process in a container: into its cgroup and namespaces, then the same last steps as init.

Two processes do it.  The joiner is still the host's: it moves itself into the cgroups, joins every namespace in
one call, and lets go of all that it holds of the host.  Only then it starts the process that the container can
see, which therefore never had a way out for anyone to take (CVE-2016-9962, CVE-2024-21626).
"""

import os

from pyoci.init import identity, seal
from pyoci.init.channel import CGROUP, CONSOLE, GO_ON, INIT_PID, READY, RELEASE
from pyoci.init.enter import start_child
from pyoci.init.home import home_of, with_home
from pyoci.init.init import reset_affinity, start_listening
from pyoci.init.lookup import find_program
from pyoci.init.report import failing, report_and_exit
from pyoci.init.stdio import adopt_standard_streams
from pyoci.kernel.process import (
    CLONE_NEWUSER,
    CLONE_PARENT,
    PR_SET_PDEATHSIG,
    clone3,
    keep_only,
    prctl,
    setns,
    setresgid,
    setresuid,
)
from pyoci.ops.console import adopt_terminal, open_pty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from pyoci.init.job import ExecJob

SIGKILL = 9


def spawn(job: "ExecJob", *, cgroup_fd: int = -1) -> tuple[int, int]:
    """Start the joiner: its (pid, pidfd).  `cgroup_fd` is a version 2 directory to be born in, or -1."""
    pid, pidfd = clone3(0, cgroup_fd=cgroup_fd)
    if pid == 0:
        _join(job)
    return pid, pidfd


def _join(job: "ExecJob") -> "NoReturn":
    try:
        start_child(job)
        initial, final = job.process.affinity
        with failing("enter", "setting the CPU affinity", ".process.execCPUAffinity.initial"):
            _set_affinity(initial)
        with failing("enter", "joining the cgroup", ".linux.cgroupsPath"):
            memory_fd = _join_cgroups(job)
        with failing("enter", "setting the CPU affinity", ".process.execCPUAffinity.final"):
            _set_affinity(final)
        if not initial and not final:
            reset_affinity()
        with failing("enter", "joining namespaces"):
            if job.kinds:
                setns(job.init_pidfd, job.kinds)
            if job.root_fd >= 0:
                os.fchdir(job.root_fd)
                os.chroot(".")
        kept = [*range(job.last_fd + 1), job.channel.fileno(), *(fd for fd in (memory_fd, _procfs(job)) if fd >= 0)]
        keep_only(kept)
        with failing("enter", "starting the process"):
            pid, _ = clone3(CLONE_PARENT)
        if pid:
            job.channel.send(INIT_PID, {"pid": pid})
            os._exit(0)
        prctl(PR_SET_PDEATHSIG, SIGKILL)
        _become(job, memory_fd)
    except BaseException as error:
        report_and_exit(job.channel, error)


def _set_affinity(ranges: list[range]) -> None:
    if ranges:
        os.sched_setaffinity(0, [number for part in ranges for number in part])


def _join_cgroups(job: "ExecJob") -> int:
    """Move into every hierarchy that the runtime opened but that of memory, whose descriptor is returned, or -1.

    That one waits until the last moment: a small limit should be there for the program, not for us.
    """
    payload, fds = job.channel.expect(CGROUP)
    memory_fd = -1
    for controllers, fd in zip(payload.get("controllers", []), fds, strict=True):
        if "memory" in controllers.split(","):
            memory_fd = fd
        else:
            os.write(fd, b"0")
            os.close(fd)
    return memory_fd


def _procfs(job: "ExecJob") -> int:
    """The host's procfs where the process may take it along to open its labels, else -1.

    Into a user namespace it may: nobody in there has the right to look at a process that the host's namespace
    started and that is not dumpable.  Elsewhere it makes a procfs of its own, which it can only do there.
    """
    if job.labels is None or not job.kinds & CLONE_NEWUSER:
        job.proc_fd = -1
    return job.proc_fd


def _open_labels(job: "ExecJob") -> None:
    """In the process itself, and before anything of the container is touched."""
    labels = job.labels
    if labels is None:
        return
    proc_fd = job.proc_fd if job.proc_fd >= 0 else labels.private_procfs()
    if proc_fd < 0:
        # Without the right to: the container's own, if it stands the test.
        with failing("identity", "opening /proc for the labels", ".process"):
            proc_fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    labels.open(proc_fd)
    os.close(proc_fd)
    job.proc_fd = -1


def _become(job: "ExecJob", memory_fd: int) -> "NoReturn":
    process = job.process
    _open_labels(job)
    job.channel.expect(GO_ON)
    os.setsid()  # no terminal of the caller's to type into (TIOCSTI)
    os.umask(0)
    if job.kinds & CLONE_NEWUSER:
        with failing("enter", "becoming root of the user namespace", ".linux.uidMappings"):
            setresgid(0)
            setresuid(0)
            if process.groups is not None:
                identity.drop_groups()
            prctl(PR_SET_PDEATHSIG, SIGKILL)  # a change of ids clears it
    root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    home = home_of(root_fd, process.uid)
    if job.terminal:
        _make_terminal(job, root_fd)
    else:
        with failing("jail", "standard streams", ".process.user"):
            adopt_standard_streams(root_fd, process.uid)
    os.close(root_fd)
    keep_admin = job.filter_program is not None and not process.no_new_privileges
    identity.assume(process, keep_admin=keep_admin, labels=job.labels)
    prctl(PR_SET_PDEATHSIG, SIGKILL)
    process.env = with_home(process.env, home)
    if job.sockets:
        process.env = [entry for entry in process.env if not entry.startswith("LISTEN_PID=")]
        process.env.append("LISTEN_PID=%d" % os.getpid())
    with failing("identity", "looking up the program", ".process.args[0]"):
        path = find_program(process.args[0], process.env)
    if memory_fd >= 0:
        with failing("identity", "joining the memory cgroup", ".linux.cgroupsPath"):
            os.write(memory_fd, b"0")
            os.close(memory_fd)
    start_listening(job)
    job.channel.send(READY)
    job.channel.expect(RELEASE)
    prctl(PR_SET_PDEATHSIG, 0)
    seal.become(
        process,
        path,
        job.filter_program,
        job.filter_flags,
        last_fd=job.last_fd,
        reports=job.channel,
        executor=job.executor,
    )


def _make_terminal(job: "ExecJob", root_fd: int) -> None:
    with failing("jail", "pty from /dev/pts/ptmx for uid %d" % job.process.uid, ".process.terminal"):
        pty_fd, peer_fd = open_pty(root_fd, job.process.uid, job.size)
        job.channel.send(CONSOLE, None, [pty_fd])
        os.close(pty_fd)
        adopt_terminal(peer_fd)
