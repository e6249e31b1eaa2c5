"""Making a container: what `create` and `run` share, seen from the runtime's side.

The order: read and check everything; claim the id; write the record; only then make cgroups and processes.
Whatever fails undoes what was done, newest first, so that the id can be used again at once.
"""

import _signal
import os
from errno import ENOENT, ENOSPC

from pyoci.cgroup.driver import Cgroup
from pyoci.config.json_text import dump
from pyoci.errors import OperationError, PyociError, StateError, SyscallError, errno_text
from pyoci.hooks import run_hook
from pyoci.init.channel import (
    CGROUP,
    CLOSED,
    CONSOLE,
    FAILED,
    GO_ON,
    INIT_PID,
    MAP_ME,
    MAPPED,
    READY,
    RELEASE,
    ROOTFS_DONE,
    channel_pair,
    listen,
)
from pyoci.init.enter import spawn
from pyoci.init.job import Job
from pyoci.kernel.process import CLOSE_RANGE_CLOEXEC, close_range
from pyoci.plan.make import make_plan
from pyoci.protection import require_protection
from pyoci.runtime import interrupts
from pyoci.runtime.bundle import open_bundle
from pyoci.runtime.container import (
    CGROUP as CGROUP_LINK,
)
from pyoci.runtime.container import (
    CONFIG,
    SECCOMP_CACHE,
    START_SOCKET,
    Record,
    boot_id,
    check_id,
    make_directory,
    timestamp,
)
from pyoci.runtime.delete import destroy
from pyoci.runtime.explain import died, explain
from pyoci.runtime.host import check_kernel, lacks_power, read_facts
from pyoci.runtime.idmap import write_maps
from pyoci.runtime.inherited import (
    activation_sockets,
    announce_sockets,
    check_terminal,
    describe_streams,
    inherited_descriptors,
)
from pyoci.runtime.namespaces import name_exhausted, open_namespaces
from pyoci.runtime.outside import set_from_outside
from pyoci.runtime.pid_file import send_pidfd, write_pid_file
from pyoci.runtime.status import CREATING, hook_state, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.cli.call import Call
    from pyoci.config.types import Seccomp
    from pyoci.plan.records import Plan
    from pyoci.runtime.bundle import Bundle
    from pyoci.runtime.container import Directory


def make(call: "Call", *, waits_for_start: bool) -> "Making":
    """Make the container up to READY.  With `waits_for_start` init will wait on its start socket."""
    options = call.options
    container_id = check_id(call.arguments[0])  # before it makes a cgroup's name, or the error blames that
    inherited = inherited_descriptors(options)  # before anything is opened that could fill a missing one
    check_kernel()
    require_protection()
    bundle = open_bundle(
        options["bundle"],
        call.log.warning,
        name=options.get("config") or "config.json",
        systemd=call.systemd_cgroup,
    )
    terminal = bundle.config.get("process", {}).get("terminal", False)
    check_terminal(terminal, options, detached=waits_for_start or bool(options.get("detach")))
    facts = read_facts()
    config = bundle.config
    notifies = bool(os.environ.get("NOTIFY_SOCKET"))
    if notifies:
        from pyoci.runtime.notify import with_notify

        config = with_notify(config, "%s/%s" % (call.root, container_id))
    linux = config.get("linux", {})
    cgroup = Cgroup.for_container(
        facts.layout,
        linux.get("cgroupsPath"),
        container_id,
        linux.get("resources"),
        in_user_namespace=lacks_power(call.rootless),
        manager=call.cgroup_manager,
    )
    plan = make_plan(
        config,
        facts,
        cgroup,
        container_id=container_id,
        bundle=bundle.path,
        rootfs=bundle.rootfs,
        no_pivot=bool(options["no_pivot"]),
        keyring=not options["no_new_keyring"],
    )
    sockets = activation_sockets()
    if plan.process is not None and sockets:
        plan.process.env = announce_sockets(plan.process.env, sockets, pid=1)
    for warning in plan.warnings + cgroup.warnings:
        call.log.warning(warning)
    for note in plan.process.notes if plan.process is not None else ():
        call.log.info(note)
    making = Making(call, bundle, plan, inherited)
    making.notifies = notifies
    making.prepare()
    try:
        making.run(waits_for_start=waits_for_start)
    except BaseException as error:
        making.undo(error)
        raise
    return making


def new_record(plan: "Plan", bundle: "Bundle", last_fd: int) -> Record:
    """The record of a container that this process is about to make, given our descriptors to `last_fd`."""
    config = bundle.config
    hooks = config.get("hooks", {})
    return Record(
        {
            "id": plan.container_id,
            "bundle": bundle.path,
            "rootfs": bundle.rootfs,
            "created": timestamp(),
            "bootId": boot_id(),
            "stage": CREATING,
            "maker": [os.getpid(), start_time(os.getpid())],
            "pid": 0,
            "startTime": 0,
            "annotations": config.get("annotations", {}),
            "cgroup": plan.cgroup.to_record(),
            "hooks": {kind: hooks[kind] for kind in ("poststart", "poststop") if kind in hooks},
            "hasProcess": "process" in config,
            "privatePidNamespace": "pid" in plan.namespaces.new,
            "streams": [] if plan.has_terminal else describe_streams(last_fd),
        }
    )


class Making:
    """One container while it is being made."""

    __slots__ = (
        "bundle",
        "call",
        "channel",
        "console_fd",
        "directory",
        "init_pid",
        "init_pidfd",
        "job",
        "notifies",
        "plan",
        "record",
    )

    def __init__(self, call: "Call", bundle: "Bundle", plan: "Plan", inherited: int) -> None:
        self.call = call
        self.bundle = bundle
        self.plan = plan
        self.init_pid = 0
        self.init_pidfd = -1
        self.console_fd = -1
        self.notifies = False
        self.channel, child_channel = channel_pair()
        proc_fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.job = Job(plan, child_channel, self.channel, proc_fd)
        self.job.last_fd = 2 + inherited
        self.directory: Directory
        self.record: Record

    # ---- before anything exists ---------------------------------------------------------------------------

    def prepare(self) -> None:
        """Everything that can fail without leaving more than the container's directory; then the record."""
        close_range(self.job.last_fd + 1, 0xFFFFFFFF, CLOSE_RANGE_CLOEXEC)
        self.job.joined = open_namespaces(self.plan.namespaces)
        interrupts.hold()
        self.directory = make_directory(self.call.root, self.plan.container_id)
        try:
            if self.plan.seccomp is not None:
                self._load_filter(self.plan.seccomp)
            self.record = new_record(self.plan, self.bundle, self.job.last_fd)
            self.directory.link(CGROUP_LINK, dump(self.plan.cgroup.to_record()))
            self.record.save(self.directory)
            self.directory.write(CONFIG, self.bundle.data)
            if self.notifies:
                from pyoci.runtime.notify import make_place

                make_place(self.directory)
        except BaseException as error:
            self._close_handles()
            self.directory.remove()
            if isinstance(error, OSError) and not isinstance(error, SyscallError):
                raise _state_error(self.directory, error) from None
            raise

    def _load_filter(self, profile: "Seccomp") -> None:
        from pyoci.seccomp import load_filter

        loaded = load_filter(profile, self.call.root + "/" + SECCOMP_CACHE)
        self.job.filter_program = loaded.bpf
        self.job.filter_flags = loaded.flags

    # ---- making it ----------------------------------------------------------------------------------------

    def run(self, *, waits_for_start: bool) -> None:
        """From the first cgroup to the child's READY and the record of a made container."""
        cgroup = self.plan.cgroup
        self.job.state = hook_state(self.record, CREATING)
        if waits_for_start:
            self.job.start_socket = listen("/proc/self/fd/%d/%s" % (self.directory.fd, START_SOCKET))
        cgroup.create()
        self.record.values["cgroup"] = cgroup.to_record()
        if self.plan.delegate_to is not None:
            cgroup.delegate(self.plan.delegate_to)
        self.record.save(self.directory)  # from here on what is in the cgroup is ours, and may be killed
        self._spawn()
        if self.plan.process is not None:
            set_from_outside(
                self.init_pid, self.plan.process
            )  # while the child waits for its cgroup: later it may have other ids
        self._send_cgroup()
        self._converse()
        self._save_made()
        options = self.call.options
        if options["pid_file"]:
            write_pid_file(options["pid_file"], self.init_pid)
        if options["pidfd_socket"]:
            send_pidfd(options["pidfd_socket"], self.init_pidfd, b"standard")

    def _spawn(self) -> None:
        cgroup_fd = self.plan.cgroup.clone_fd()
        try:
            pid, pidfd = spawn(self.job, cgroup_fd=cgroup_fd)
        except SyscallError as error:
            report = {"attempt": "making namespaces", "where": ".linux.namespaces", **_fields(error)}
            failure = explain(report)
            if error.errno == ENOSPC:
                name_exhausted(failure, self.plan.namespaces.new)
            raise failure from None
        finally:
            if cgroup_fd >= 0:
                os.close(cgroup_fd)
        self.init_pid, self.init_pidfd = pid, pidfd
        self.job.channel.close()
        namespaces = self.plan.namespaces
        if namespaces.needs_bridge:
            self._take_over_from_bridge(pid)
        elif "user" in namespaces.new:
            write_maps(pid, namespaces)
            self.channel.send(MAPPED)

    def _take_over_from_bridge(self, bridge_pid: int) -> None:
        self._receive(MAP_ME)
        write_maps(bridge_pid, self.plan.namespaces)
        self.channel.send(MAPPED)
        payload = self._receive(INIT_PID)
        os.waitpid(bridge_pid, 0)
        os.close(self.init_pidfd)
        self.init_pid = payload["pid"]
        self.init_pidfd = os.pidfd_open(self.init_pid)

    def _send_cgroup(self) -> None:
        cgroup = self.plan.cgroup
        cgroup.apply_limits()
        handles = cgroup.join_fds()
        names = [controllers for controllers, _ in handles]
        fds = [fd for _, fd in handles]
        try:
            self.channel.send(CGROUP, {"controllers": names}, fds)
        except OSError:
            pass  # the child is dead; what it said of it is read below
        for fd in fds:
            os.close(fd)

    def _converse(self) -> None:
        """Answer the child until it is READY."""
        while True:
            with interrupts.interruptible():
                name, payload, fds = self.channel.receive()
            if name == READY:
                return
            if name == ROOTFS_DONE:
                self._run_hooks("prestart")
                self._run_hooks("createRuntime")
                self.channel.send(GO_ON)
            elif name == CONSOLE:
                self._take_console(fds[0])
            elif name == FAILED:
                raise explain(payload)
            elif name == CLOSED:
                raise self._death()

    def _take_console(self, pty_fd: int) -> None:
        """The outer end of the terminal goes to the console socket, or stays with us to be relayed."""
        path = self.call.options["console_socket"]
        if not path:
            self.console_fd = pty_fd
            return
        from pyoci.runtime.terminal import send_console

        try:
            send_console(path, pty_fd)
        finally:
            os.close(pty_fd)

    def _receive(self, wanted: bytes) -> "dict[str, Any]":
        with interrupts.interruptible():
            name, payload, _ = self.channel.receive()
        if name == wanted:
            return payload
        if name == FAILED:
            raise explain(payload)
        raise self._death()

    def _death(self) -> PyociError:
        """The child ended without a word: the kernel's OOM killer is the usual reason."""
        if self.plan.cgroup.oom_kill_count() > 0:
            return OperationError(
                "container init was OOM-killed (memory limit too low?)",
                where=".linux.resources.memory.limit",
                fix="raise the limit",
            )
        status = None
        if self.init_pid:
            try:
                status = os.waitpid(self.init_pid, 0)[1]
            except ChildProcessError:
                status = None
        self.init_pid = 0
        return died(status)

    def _run_hooks(self, kind: str) -> None:
        state = dump(dict(self.job.state, pid=self.init_pid)).encode()
        for index, hook in enumerate(self.job.hooks(kind)):
            with interrupts.interruptible():
                run_hook(hook, kind, index, state, cwd=self.bundle.path)

    def _save_made(self) -> None:
        values = self.record.values
        values.update(stage="made", pid=self.init_pid, startTime=start_time(self.init_pid))
        del values["maker"]
        self.record.save(self.directory)

    # ---- the two ends -------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Let go of init: it stays, waiting for `start`, as a child of whoever adopts it."""
        try:
            self.release()
            name, payload, _ = self.channel.receive()  # the end: init has left the channel
            if name == FAILED:
                raise explain(payload)
        except BaseException as error:
            self.undo(error)
            raise

    def release(self) -> None:
        """Tell init to go on by itself."""
        try:
            self.channel.send(RELEASE)
        except OSError:
            raise self._death() from None

    def _close_handles(self) -> None:
        """Free the descriptors: cleaning up needs some, and the lack of them may be what failed."""
        self.channel.close()
        self.job.channel.close()
        if self.job.start_socket is not None:
            self.job.start_socket.close()
        _close_all([self.init_pidfd, self.console_fd, self.job.proc_fd, *(fd for fd, _, _ in self.job.joined)])
        self.init_pidfd = self.console_fd = self.job.proc_fd = -1
        self.job.joined = []

    def undo(self, error: BaseException) -> None:
        """Take back everything; what cannot be taken back is added to the error's cause and stays on record."""
        interrupts.ignore()
        if self.init_pidfd >= 0 and self.init_pid:
            try:
                _signal.pidfd_send_signal(self.init_pidfd, _signal.SIGKILL)
                os.waitpid(self.init_pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        self._close_handles()
        self.record.values["pid"] = 0
        self.record.values["cgroup"] = self.plan.cgroup.to_record()
        pid_file = self.call.options["pid_file"]
        try:
            if pid_file and self.record.values["stage"] != CREATING:
                _remove_quietly(pid_file)
            destroy(self.directory, self.record, self.call.log)
            self.plan.cgroup.remove_levels_made()
        except (PyociError, OSError) as failure:
            if isinstance(error, PyociError):
                error.cause = "; ".join(filter(None, (error.cause, "and cleaning up failed: %s" % failure)))


def _close_all(descriptors: list[int]) -> None:
    for fd in descriptors:
        if fd >= 0:
            os.close(fd)


def _fields(error: SyscallError) -> "dict[str, object]":
    return {"call": error.call, "detail": error.detail, "errno": error.errno}


def _state_error(directory: "Directory", error: OSError) -> StateError:
    return StateError("state directory %s: %s" % (directory.path, errno_text(error.errno or ENOENT)))


def _remove_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
