"""Making a container: what `create` and `run` share, seen from the runtime's side.

The order: read and check everything; claim the id; write the record; only then make cgroups and processes.
Whatever fails undoes what was done, newest first, so that the id can be used again at once.
"""

import os
from errno import ENOENT, ENOSPC

from pyoci.config.fault import member
from pyoci.config.json_text import dump
from pyoci.errors import HostError, OperationError, PyociError, StateError, SyscallError, errno_text
from pyoci.init.channel import (
    CGROUP,
    CONSOLE,
    FAILED,
    GO_ON,
    INIT_PID,
    LISTENER,
    MAP_ME,
    MAPPED,
    NETWORK,
    OPEN,
    READY,
    RELEASE,
    ROOTFS_DONE,
    channel_pair,
    listen,
)
from pyoci.init.enter import spawn
from pyoci.init.job import Job
from pyoci.kernel.process import CLOSE_RANGE_CLOEXEC, close_range
from pyoci.protection import require_protection
from pyoci.runtime import interrupts
from pyoci.runtime.attend import hear, kill_and_collect, run_hooks, status_of_the_dead, take_console
from pyoci.runtime.bundle import open_bundle
from pyoci.runtime.container import CONFIG, SECCOMP_CACHE, START_SOCKET, Record, check_id, make_directory
from pyoci.runtime.delete import destroy
from pyoci.runtime.explain import died, explain
from pyoci.runtime.host import check_kernel, lacks_power
from pyoci.runtime.idmap import check_joined_maps, write_maps
from pyoci.runtime.inherited import (
    activation_sockets,
    announce_sockets,
    check_terminal,
    inherited_descriptors,
)
from pyoci.runtime.namespaces import name_exhausted, open_namespaces
from pyoci.runtime.new_record import link_cgroup, new_record
from pyoci.runtime.outside import set_from_outside
from pyoci.runtime.pid_file import remove_pid_file, send_pidfd, write_pid_file
from pyoci.runtime.planned import planned
from pyoci.runtime.status import CREATING, hook_state, start_time
from pyoci.runtime.taken import Taken
from pyoci.tables.annotations import HOOKS_STDERR, HOOKS_STDOUT, PIDFD_RECEIVER

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
    config = bundle.config
    if os.geteuid() != 0:
        from pyoci.config.unprivileged import unprivileged_faults

        for fault in unprivileged_faults(config):
            raise HostError(fault.message, where=fault.path, fix=fault.fix)
    notifies = bool(os.environ.get("NOTIFY_SOCKET"))
    if notifies:
        from pyoci.runtime.notify import with_notify

        config = with_notify(config, "%s/%s" % (call.root, container_id))
    plan = planned(
        call,
        bundle,
        config,
        container_id,
        in_user_namespace=lacks_power(call.rootless),
        keyring=not options["no_new_keyring"],
    )
    sockets = activation_sockets()
    if plan.process is not None and sockets:
        plan.process.env = announce_sockets(plan.process.env, sockets, pid=1)
    for warning in plan.warnings + plan.cgroup.warnings:
        call.log.warning(warning)
    for note in plan.process.notes if plan.process is not None else ():
        call.log.info(note)
    making = Making(call, bundle, plan, inherited)
    if plan.has_labels:
        from pyoci.runtime.labels import labels_of, require_modules

        require_modules(config)
        making.job.labels = labels_of(plan.process)
    making.notifies = notifies
    making.prepare()
    try:
        making.run(waits_for_start=waits_for_start)
    except BaseException as error:
        making.undo(error)
        raise
    return making


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
        "taken",
    )

    def __init__(self, call: "Call", bundle: "Bundle", plan: "Plan", inherited: int) -> None:
        self.call = call
        self.bundle = bundle
        self.plan = plan
        self.init_pid = 0
        self.init_pidfd = -1
        self.console_fd = -1
        self.notifies = False
        self.taken = Taken(plan)
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
        self.taken.find()
        interrupts.hold()
        self.directory = make_directory(self.call.root, self.plan.container_id)
        try:
            annotations = self.plan.config.get("annotations", {})
            if self.plan.hooks and (HOOKS_STDOUT in annotations or HOOKS_STDERR in annotations):
                from pyoci.runtime.hook_outputs import open_outputs

                self.job.hook_outputs = open_outputs(annotations)
            if self.plan.seccomp is not None:
                self._load_filter(self.plan.seccomp)
            self.record = new_record(self.plan, self.bundle, self.job.last_fd)
            link_cgroup(self.directory, self.plan.cgroup)
            self.taken.note(self.record, self.directory)
            self.record.save(self.directory)
            self.directory.write(CONFIG, self.bundle.data)
            if self.notifies:
                from pyoci.runtime.notify import make_place

                make_place(self.directory)
            if self.plan.idmaps:
                from pyoci.runtime.mount_maps import open_user_namespaces

                self.job.idmaps = open_user_namespaces(self.plan.idmaps)
        except BaseException as error:
            self._close_handles()
            self.directory.remove()
            if isinstance(error, OSError) and not isinstance(error, SyscallError):
                raise _state_error(self.directory, error) from None
            raise

    def _load_filter(self, profile: "Seccomp") -> None:
        from pyoci.seccomp import load_filter

        annotations = self.plan.config.get("annotations", {})
        loaded = load_filter(profile, self.call.root + "/" + SECCOMP_CACHE, annotations)
        self.job.filter_program = loaded.bpf
        self.job.filter_flags = loaded.flags
        if loaded.notify and self.plan.process is not None:
            from pyoci.runtime.listener import prepare_listener

            prepare_listener(self.job, loaded, self.bundle.config["process"])

    # ---- making it ----------------------------------------------------------------------------------------

    def run(self, *, waits_for_start: bool) -> None:
        """From the first cgroup to the child's READY and the record of a made container."""
        cgroup = self.plan.cgroup
        self.job.state = hook_state(self.record, CREATING)
        if waits_for_start:
            self.job.start_socket = listen("/proc/self/fd/%d/%s" % (self.directory.fd, START_SOCKET))
        cgroup.create()
        if cgroup.mode == "none" and not self.plan.namespaces.has("pid"):
            self.call.log.warning(
                "no cgroup and no pid namespace: only the container's first process can be killed"
            )
        self.record.values["cgroup"] = cgroup.to_record()
        if self.plan.delegate_to is not None:
            cgroup.delegate(self.plan.delegate_to)
        self.taken.make(self.record, self.directory)
        self.record.save(self.directory)  # from here on what is in the cgroup is ours, and may be killed
        self._spawn()
        self.taken.join(self.init_pid)
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
        receiver = self.plan.config.get("annotations", {}).get(PIDFD_RECEIVER)
        if receiver:
            send_pidfd(receiver, self.init_pidfd, b"standard", where=member(".annotations", PIDFD_RECEIVER))

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
        if self.plan.namespaces.joins("user"):
            check_joined_maps(self.init_pid, *self.plan.namespaces.joined_maps)

    def _send_cgroup(self) -> None:
        cgroup = self.plan.cgroup
        with interrupts.interruptible():
            adopted = cgroup.adopt(self.init_pid)
        if adopted:
            self.record.values["cgroup"] = cgroup.to_record()
            self.record.save(self.directory)
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
            name, payload, fds = hear(self.channel, explain, self._death)
            if name == READY:
                return
            if name == ROOTFS_DONE:
                self._run_hooks("prestart")
                self._run_hooks("createRuntime")
                self.channel.send(GO_ON)
            elif name == NETWORK:
                self.taken.move_net_devices(fds[0], self.channel)
            elif name == CONSOLE:
                self.console_fd = take_console(self.call.options["console_socket"], fds[0])
            elif name == LISTENER:
                self._take_listener(fds[0])
            elif name == OPEN:
                from pyoci.runtime.sources import send_sources

                send_sources(self.job, payload["places"], fds, self.channel)

    def _take_listener(self, fd: int) -> None:
        from pyoci.runtime.listener import send_listener

        state = dict(self.job.state, pid=self.init_pid)
        send_listener(self.bundle.config, self.bundle.path, fd, self.init_pid, state)

    def _receive(self, wanted: bytes) -> "dict[str, Any]":
        name, payload, _ = hear(self.channel, explain, self._death)
        if name == wanted:
            return payload
        raise self._death()

    def _death(self) -> PyociError:
        """The child ended without a word: the kernel's OOM killer is the usual reason."""
        if self.plan.cgroup.oom_kill_count() > 0:
            return OperationError(
                "container init was OOM-killed (memory limit too low?)",
                where=".linux.resources.memory.limit",
                fix="raise the limit",
            )
        pid, self.init_pid = self.init_pid, 0
        return died(status_of_the_dead(pid))

    def _run_hooks(self, kind: str) -> None:
        state = dump(dict(self.job.state, pid=self.init_pid)).encode()
        run_hooks(self.job.hooks(kind), kind, state, cwd=self.bundle.path, outputs=self.job.hook_outputs)

    def _save_made(self) -> None:
        values = self.record.values
        values.update(stage="made", pid=self.init_pid, startTime=start_time(self.init_pid))
        del values["maker"]
        self.taken.finish(self.record, self.directory)
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
        joined = [fd for fd, _, _ in self.job.joined]
        _close_all([self.init_pidfd, self.console_fd, self.job.proc_fd, *self.job.hook_outputs, *joined])
        _close_all([*{*self.job.idmaps.values()}])
        self.job.hook_outputs = (-1, -1)
        self.init_pidfd = self.console_fd = self.job.proc_fd = -1
        self.job.joined = []
        self.job.idmaps = {}

    def undo(self, error: BaseException) -> None:
        """Take back everything; what cannot be taken back is added to the error's cause and stays on record."""
        interrupts.ignore()
        if self.init_pidfd >= 0 and self.init_pid:
            kill_and_collect(self.init_pidfd, self.init_pid)
        self.taken.give_back(error)
        self._close_handles()
        self.record.values["pid"] = 0
        self.record.values["cgroup"] = self.plan.cgroup.to_record()
        pid_file = self.call.options["pid_file"]
        try:
            if pid_file and self.record.values["stage"] != CREATING:
                remove_pid_file(pid_file)
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
