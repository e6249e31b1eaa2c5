"""`pyoci exec ID COMMAND`: run one more process in a container."""

import os
import select
from errno import EACCES, EBUSY, EINVAL, ENODEV, ENOENT, ENOMEM, EOPNOTSUPP, ESRCH

from pyoci.cgroup.driver import Cgroup
from pyoci.config.json_text import parse
from pyoci.errors import OperationError, PyociError, StateError, SyscallError, errno_text
from pyoci.init.channel import (
    CGROUP,
    CONSOLE,
    FAILED,
    GO_ON,
    INIT_PID,
    LISTENER,
    READY,
    RELEASE,
    channel_pair,
)
from pyoci.init.exec import spawn
from pyoci.init.job import ExecJob
from pyoci.kernel.process import CLOSE_RANGE_CLOEXEC, close_range
from pyoci.plan.process import make_process
from pyoci.plan.records import seccomp_of
from pyoci.protection import require_protection
from pyoci.runtime import interrupts
from pyoci.runtime.attend import hear, kill_and_collect, status_of_the_dead, take_console
from pyoci.runtime.container import CONFIG, SECCOMP_CACHE, load_record, open_directory
from pyoci.runtime.exec_process import process_document
from pyoci.runtime.explain import died, explain
from pyoci.runtime.foreground import forward_signals, wait_for
from pyoci.runtime.host import bounding_set
from pyoci.runtime.inherited import activation_sockets, announce_sockets, check_terminal, inherited_descriptors
from pyoci.runtime.outside import set_from_outside
from pyoci.runtime.pid_file import send_pidfd, write_pid_file
from pyoci.runtime.status import CREATING, PAUSED, STOPPED, hook_state, is_alive, open_init, status_of
from pyoci.tables.namespaces import CLONE_FLAGS, PROC_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.cli.call import Call
    from pyoci.config.types import Config
    from pyoci.runtime.container import Directory, Record

# What joining the namespaces of a dying init gives, and forking in its pid namespace.
_OF_THE_DYING = (ESRCH, EINVAL, ENOMEM)
_DYING_MS = 1000
_NOT_INTO_CGROUP = (EACCES, EBUSY, EOPNOTSUPP, ENOENT, ENODEV)


def main(call: "Call") -> int:
    """The process's exit status, 128+N when signal N ended it; with --detach 0 as soon as it runs."""
    options = call.options
    inherited = inherited_descriptors(options)  # before anything is opened that could fill a missing one
    directory = open_directory(call.root, call.arguments[0])
    record = load_record(directory)
    _check_status(status_of(directory, record, sure=False), ignore_paused=options["ignore_paused"])
    require_protection()
    config: Config = parse(directory.read(CONFIG), CONFIG, ours=True)  # type: ignore[assignment]
    process = process_document(call, config)
    check_terminal(process.get("terminal", False), options, detached=bool(options["detach"]))
    execution = Execution(call, directory, record, {**config, "process": process}, inherited)
    try:
        try:
            execution.run()
        except (BrokenPipeError, ConnectionResetError):  # the process ended before it heard everything
            raise execution.death() from None
    except BaseException as error:
        execution.undo()
        if options["process"] and isinstance(error, PyociError):
            error.where = error.where.removeprefix(".process")
        raise
    return 0 if options["detach"] else execution.wait()


def _check_status(status: str, *, ignore_paused: bool) -> None:
    if status == STOPPED:
        raise StateError("cannot exec in a stopped container")
    if status == PAUSED and not ignore_paused:
        raise StateError("cannot exec in a paused container (use --ignore-paused to override)")
    if status == CREATING:
        raise StateError("cannot exec in a container that is being created")


class Execution:
    """One process while it is being started in a container."""

    __slots__ = ("call", "channel", "config", "directory", "job", "pid", "pidfd", "record", "relay")

    def __init__(
        self, call: "Call", directory: "Directory", record: "Record", config: "Config", inherited: int
    ) -> None:
        self.call = call
        self.config = config
        self.directory = directory
        self.record = record
        self.pid = 0
        self.pidfd = -1
        self.relay: Any = None
        setup, warnings = make_process(config, bounding_set(), record.values["id"])
        for warning in warnings:
            call.log.warning(warning)
        for note in setup.notes:
            call.log.info(note)
        sockets = activation_sockets()
        if sockets:
            setup.env = announce_sockets(setup.env, sockets, pid=0)
        close_range(3 + inherited, 0xFFFFFFFF, CLOSE_RANGE_CLOEXEC)
        init_pidfd = open_init(record)
        if init_pidfd < 0:
            raise StateError("cannot exec in a stopped container")
        kinds = _namespaces_of(record)
        self.channel, child_channel = channel_pair()
        self.job = ExecJob(setup, child_channel, self.channel, init_pidfd, kinds)
        self.job.last_fd = 2 + inherited
        self.job.sockets = sockets
        if not kinds & CLONE_FLAGS["mount"]:
            self.job.root_fd = _root_of(record)
        self._terminal(config)
        if setup.apparmor or setup.selinux:
            from pyoci.runtime.labels import labels_of, require_modules

            require_modules(config, at="" if call.options["process"] else ".process", mounts=False)
            self.job.labels = labels_of(setup)
            self.job.proc_fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        profile = seccomp_of(config)
        if profile is not None:
            from pyoci.seccomp import load_filter

            loaded = load_filter(profile, call.root + "/" + SECCOMP_CACHE, config.get("annotations"))
            self.job.filter_program = loaded.bpf
            self.job.filter_flags = loaded.flags
            if loaded.notify:
                from pyoci.runtime.listener import prepare_listener

                prepare_listener(self.job, loaded, config["process"])

    def _terminal(self, config: "Config") -> None:
        process = config["process"]
        if not process.get("terminal", False):
            return
        self.job.terminal = True
        size = process.get("consoleSize")
        if size is not None:
            self.job.size = (size["height"], size["width"])

    # ---- starting it --------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until the program runs, and whoever asked knows its pid."""
        options = self.call.options
        interrupts.hold()
        self._spawn()
        set_from_outside(self.pid, self.job.process)
        if self.record.values.get("intelRdt"):
            from pyoci.resctrl.group import join_again

            join_again(self.record.values["intelRdt"], self.pid)
        self.channel.send(GO_ON)
        self._converse()
        if not options["detach"]:
            forward_signals(self.pidfd)
        self.channel.send(RELEASE)
        with interrupts.interruptible():
            name, report, _ = self.channel.receive()  # the end of file comes with execve
        if name == FAILED:
            raise self._explain(report)
        if options["pid_file"]:  # conmon takes its absence for a failure of the runtime, so not a moment before
            write_pid_file(options["pid_file"], self.pid)
        if options["pidfd_socket"]:
            send_pidfd(options["pidfd_socket"], self.pidfd, b"setns")

    def _spawn(self) -> None:
        cgroup, chosen = self._cgroup()
        joiner, joiner_pidfd, born_inside = self._start_joiner(cgroup)
        self.pid, self.pidfd = joiner, joiner_pidfd
        self.job.channel.close()
        if cgroup.mode == "unified" and not born_inside:
            # Its sub-cgroups have controllers, as below a systemd: to where init is.
            cgroup.join(joiner, init_pid=0 if chosen else self.record.values["pid"])
        handles = cgroup.join_fds()
        try:
            self.channel.send(CGROUP, {"controllers": [names for names, _ in handles]}, [fd for _, fd in handles])
        except OSError:
            pass  # it is dead; what it said of it is read below
        for _, fd in handles:
            os.close(fd)
        self.pid = self._receive(INIT_PID)["pid"]
        os.waitpid(joiner, 0)
        os.close(joiner_pidfd)
        self.pidfd = os.pidfd_open(self.pid)

    def _cgroup(self) -> "tuple[Cgroup, bool]":
        """The cgroup to join, and whether --cgroup chose it."""
        cgroup = Cgroup.from_record(self.record.values["cgroup"])
        chosen = self.call.options["cgroup"] or ()
        for text in chosen:
            controllers, colon, path = text.rpartition(":")
            cgroup = cgroup.below(path, tuple(controllers.split(",")) if colon else ())
        return cgroup, bool(chosen)

    def _start_joiner(self, cgroup: Cgroup) -> tuple[int, int, bool]:
        """(pid, pidfd, whether it was born in the version 2 cgroup)."""
        try:
            directory_fd = cgroup.clone_fd()
        except OSError:
            directory_fd = -1  # it is gone
        if directory_fd < 0:
            return *spawn(self.job), False
        try:
            return *spawn(self.job, cgroup_fd=directory_fd), True
        except SyscallError as error:
            if error.errno not in _NOT_INTO_CGROUP:
                raise
            return *spawn(self.job), False
        finally:
            os.close(directory_fd)

    def _converse(self) -> None:
        """Answer the process until it is READY."""
        while True:
            name, _, fds = hear(self.channel, self._explain, self.death)
            if name == READY:
                return
            if name == CONSOLE:
                self._take_console(fds[0])
            elif name == LISTENER:
                self._take_listener(fds[0])

    def _take_console(self, pty_fd: int) -> None:
        kept_fd = take_console(self.call.options["console_socket"], pty_fd)
        if kept_fd >= 0:
            from pyoci.runtime.terminal import Relay

            self.relay = Relay()
            self.relay.open(kept_fd)

    def _take_listener(self, fd: int) -> None:
        from pyoci.runtime.listener import send_listener

        state = hook_state(self.record, status_of(self.directory, self.record))
        send_listener(self.config, self.record.values["bundle"], fd, self.pid, state)

    def _receive(self, wanted: bytes) -> "dict[str, Any]":
        name, payload, _ = hear(self.channel, self._explain, self.death)
        if name == wanted:
            return payload
        raise self.death()

    def _explain(self, report: "dict[str, Any]") -> PyociError:
        """A container that ends meanwhile is the usual reason for a namespace that cannot be joined."""
        if not is_alive(self.record) or (report.get("errno") in _OF_THE_DYING and _ends(self.record)):
            return StateError("cannot exec in a stopped container", cause="it stopped meanwhile")
        return explain(report)

    def death(self) -> PyociError:
        """Why the process is gone without a word."""
        if not is_alive(self.record):
            return StateError("cannot exec in a stopped container", cause="it stopped meanwhile")
        pid, self.pid = self.pid, 0
        status = status_of_the_dead(pid)
        if status is not None and os.WIFSIGNALED(status) and _ends(self.record):
            return StateError("cannot exec in a stopped container", cause="it stopped meanwhile")
        return died(status, "process")

    # ---- the two ends -------------------------------------------------------------------------------------

    def wait(self) -> int:
        """The exit status of the process, its terminal relayed until then."""
        interrupts.release()
        self.call.log.release()  # what there is to warn of should not wait for the program's end
        try:
            if self.relay is not None:
                self.relay.until_end_of(self.pidfd)
            return wait_for(self.pid)
        finally:
            if self.relay is not None:
                self.relay.close()

    def undo(self) -> None:
        """Kill what was started."""
        interrupts.ignore()
        if self.relay is not None:
            self.relay.close()
        if self.pidfd >= 0 and self.pid:
            kill_and_collect(self.pidfd, self.pid)


def _namespaces_of(record: "Record") -> int:
    """The clone flags of the namespaces in which init is and we are not."""
    kinds = 0
    for kind, name in PROC_NAMES.items():
        try:
            ours = os.stat("/proc/self/ns/" + name)
        except FileNotFoundError:
            continue  # a kernel without this type
        try:
            theirs = os.stat("/proc/%d/ns/%s" % (record.values["pid"], name))
        except OSError as error:  # ENOENT too: init is ending, and skipping it would leave the process outside
            raise _unreachable(record, error) from None
        if (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino):
            kinds |= CLONE_FLAGS[kind]
    return kinds


def _root_of(record: "Record") -> int:
    try:
        return os.open("/proc/%d/root" % record.values["pid"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreachable(record, error) from None


def _unreachable(record: "Record", error: OSError) -> PyociError:
    if not is_alive(record) or (error.errno == ENOENT and _ends(record)):
        return StateError("cannot exec in a stopped container")
    return OperationError(
        "namespaces of the container: %s" % errno_text(error.errno or 0),
        cause="an init that waits for start, or whose program may not be read, shows them only to the host's root",
        fix="start the container, or call pyoci as root",
    )


def _ends(record: "Record") -> bool:
    """Whether init is about to end: it kills all in its pid namespace first, and waits for them."""
    pidfd = open_init(record)
    if pidfd < 0:
        return True
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    ends = bool(poller.poll(_DYING_MS))
    os.close(pidfd)
    return ends
