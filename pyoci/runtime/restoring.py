"""Restoring a container: everything is checked, the id claimed and the record written before criu is started.

criu makes the processes as our own children.  From its first word of them on, the record names init, so a kill -9
of the runtime leaves something that `delete --force` finds.
"""

import os

from pyoci.config.json_text import dump
from pyoci.criu import streams
from pyoci.criu.conversation import carry_out, with_log
from pyoci.criu.messages import RESTORE
from pyoci.criu.mounts import places, read_table
from pyoci.criu.options import restore_options
from pyoci.criu.process import FIRST_INHERITED, Criu, require_features, version
from pyoci.errors import OperationError, PyociError, errno_text
from pyoci.init.stdio import give_stream
from pyoci.kernel.process import CLOSE_RANGE_CLOEXEC, close_range
from pyoci.runtime import interrupts
from pyoci.runtime.attend import kill_and_collect, run_hooks, take_console
from pyoci.runtime.bundle import open_bundle
from pyoci.runtime.container import CONFIG, NOTIFY, check_id, make_directory
from pyoci.runtime.delete import destroy
from pyoci.runtime.host import check_kernel, lacks_power
from pyoci.runtime.images import Images, open_to
from pyoci.runtime.inherited import check_terminal, inherited_descriptors
from pyoci.runtime.loopback import raise_loopback
from pyoci.runtime.new_record import link_cgroup, new_record
from pyoci.runtime.notify import make_place
from pyoci.runtime.pid_file import remove_pid_file
from pyoci.runtime.planned import planned
from pyoci.runtime.restore_root import enter_with_root, make_mount_points
from pyoci.runtime.saved import (
    device_paths,
    host_trees,
    namespaces_to_join,
    refuse_units,
    refuse_what_would_be_lost,
    warnings_of_labels,
)
from pyoci.runtime.status import CREATING, hook_state, start_time
from pyoci.tables.annotations import HOOKS_STDERR, HOOKS_STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.cli.call import Call
    from pyoci.config.types import Hook, IDMapping
    from pyoci.plan.records import Plan
    from pyoci.runtime.bundle import Bundle
    from pyoci.runtime.container import Directory, Record

_ROOT = "criu-root"  # a directory in the container's, on which criu finds the rootfs mounted


def restored(call: "Call") -> "Restoring":
    """The container, running again; whatever fails undoes what was done."""
    options = call.options
    container_id = check_id(call.arguments[0])
    if call.systemd_cgroup:
        refuse_units("restore --systemd-cgroup")
    inherited = inherited_descriptors(options)
    check_kernel()
    bundle = open_bundle(options["bundle"], call.log.warning, systemd=call.systemd_cgroup)
    config = bundle.config
    terminal = config.get("process", {}).get("terminal", False)
    check_terminal(terminal, options, detached=bool(options["detach"]))
    refuse_what_would_be_lost(config)
    wanted = restore_options(options, config, version())
    if options["lazy_pages"]:
        require_features(lazy_pages=True)
    images = Images(options, make=False)
    described = streams.load(images.fd, images.path)
    pairs, handed = streams.replacements(described, last=2 + inherited, first_inherited=FIRST_INHERITED)
    rootless = lacks_power(call.rootless)
    if rootless:
        call.log.warning("restore is untested with rootless containers")
    plan = planned(call, bundle, config, container_id, in_user_namespace=rootless)
    for warning in plan.warnings + plan.cgroup.warnings + warnings_of_labels(config):
        call.log.warning(warning)
    wanted["inherit_fd"] = pairs
    restoring = Restoring(call, bundle, plan, images)
    restoring.prepare(2 + inherited)
    try:
        restoring.run(wanted, handed)
    except BaseException as error:
        restoring.undo(error)
        raise
    return restoring


class Restoring:
    """One container while it is being restored."""

    __slots__ = (
        "bundle", "call", "console_fd", "criu", "directory", "hook_outputs", "images", "init_pid", "init_pidfd",
        "pid_file", "plan", "record",
    )  # fmt: skip

    def __init__(self, call: "Call", bundle: "Bundle", plan: "Plan", images: Images) -> None:
        self.call = call
        self.bundle = bundle
        self.plan = plan
        self.images = images
        self.init_pid = 0
        self.init_pidfd = -1
        self.console_fd = -1
        self.hook_outputs = (-1, -1)
        self.pid_file = ""  # once it is written
        self.criu: Criu | None = None
        self.directory: Directory
        self.record: Record

    def prepare(self, last_fd: int) -> None:
        """Claim the id and write the record: nothing else exists yet."""
        close_range(last_fd + 1, 0xFFFFFFFF, CLOSE_RANGE_CLOEXEC)
        interrupts.hold()
        self.directory = make_directory(self.call.root, self.plan.container_id)
        try:
            self._open_hook_outputs()
            self.record = new_record(self.plan, self.bundle, last_fd)
            link_cgroup(self.directory, self.plan.cgroup)
            self.record.save(self.directory)
            self.directory.write(CONFIG, self.bundle.data)
            os.mkdir(_ROOT, 0o700, dir_fd=self.directory.fd)
            make_place(self.directory)
        except BaseException as error:
            self.directory.remove()
            if isinstance(error, OSError):
                text = "state directory %s: %s" % (self.directory.path, errno_text(error.errno or 0))
                raise OperationError(text) from None
            raise

    def _open_hook_outputs(self) -> None:
        annotations = self.plan.config.get("annotations", {})
        if self.plan.hooks and (HOOKS_STDOUT in annotations or HOOKS_STDERR in annotations):
            from pyoci.runtime.hook_outputs import open_outputs

            self.hook_outputs = open_outputs(annotations)

    def run(self, wanted: "dict[str, Any]", handed: list[int]) -> None:
        """From the first cgroup to the record of a running container."""
        cgroup = self.plan.cgroup
        cgroup.create()
        self.record.values["cgroup"] = cgroup.to_record()
        if self.plan.delegate_to is not None:
            cgroup.delegate(self.plan.delegate_to)
        self.record.save(self.directory)
        wanted["root"] = self.bundle.rootfs
        if self.plan.namespaces.has("mount"):
            make_mount_points(self.plan)
            wanted["root"] = self.directory.path + "/" + _ROOT
            wanted["ext_mnt"] = self._places()
        wanted["join_ns"], left_alone = namespaces_to_join(self.plan.namespaces)
        for key, fd in left_alone:
            wanted["inherit_fd"].append({"key": key, "fd": FIRST_INHERITED + len(handed)})
            handed.append(fd)
        self._restore(wanted, handed)
        for _, fd in left_alone:
            os.close(fd)
        self.directory.remove_directory(_ROOT)

    def _places(self) -> "list[dict[str, str]]":
        trees = host_trees(self.plan.rootfs, self.plan.namespaces)
        binds = [(destination, os.path.realpath(place), recursive) for destination, place, recursive in trees]
        binds.append(("/run/notify", self.directory.path + "/" + NOTIFY, False))
        with open("/proc/self/mountinfo", "rb") as file:
            return places(read_table(file.read()), binds, device_paths(self.plan.config))

    def _restore(self, wanted: "dict[str, Any]", handed: list[int]) -> None:
        log_path = self.images.log_path + "/" + wanted["log_file"]
        if self.plan.process is not None:
            self._give_streams(self.plan.process.uid)
        wanted.update(self.images.options(FIRST_INHERITED + len(handed)))
        try:
            self.criu = Criu(streams=[0, 1, 2], inherit=handed, enter=self._enter)
            self.plan.cgroup.join(self.criu.pid)  # what it makes is born there, and confined from the start
            self.plan.cgroup.apply_limits()
            wanted["cg_root"] = _cgroup_roots(self.criu.pid)
            request = {"type": RESTORE, "opts": wanted}
            with open_to(self.images, self._host_id("gidMappings", 0)):
                answer = carry_out(self.criu, request, self._listen, interrupts.interruptible)
            self._note_init(answer.get("restore", {}).get("pid", 0))
            self.criu.end_of_requests()
            code = self.criu.wait()
            self.criu.close()
            if code:
                raise OperationError("criu failed: exit status %d" % code)
        except OperationError as error:
            raise with_log(error, log_path) from None

    def _host_id(self, mappings: str, inside: int) -> int | None:
        """The host's number of an id of the container's own user namespace; None where it has none."""
        if "user" not in self.plan.namespaces.new:
            return None
        entries: list[IDMapping] = self.plan.config.get("linux", {}).get(mappings, [])  # type: ignore[assignment]
        for entry in entries:
            if entry["containerID"] <= inside < entry["containerID"] + entry["size"]:
                return entry["hostID"] + inside - entry["containerID"]
        return None

    def _give_streams(self, uid: int) -> None:
        """As `create` does; criu opens them again in the container's user namespace."""
        host_uid = self._host_id("uidMappings", uid)
        for fd in range(3):
            give_stream(fd, os.fstat(fd), uid if host_uid is None else host_uid)

    def _enter(self) -> list[int]:
        """In the child that becomes criu: its session, its mount namespace, and the directories of the images."""
        if not self.call.options["shell_job"]:
            os.setsid()
        if self.plan.namespaces.has("mount"):
            enter_with_root(self.bundle.rootfs, self.directory.path + "/" + _ROOT)
        return self.images.reopened()

    def _listen(self, script: str, pid: int, fds: list[int]) -> None:
        """What criu notifies of; `pid` is init as we see it."""
        if script == "setup-namespaces":
            self._note_init(pid)
            self.record.save(self.directory)
            if "network" in self.plan.namespaces.new:
                raise_loopback(pid)
            self._run_hooks("prestart")
            self._run_hooks("createRuntime")
        elif script == "post-restore":
            self._note_init(pid)
            self.record.values["stage"] = "made"
            self.record.values.pop("maker", None)
            self.record.save(self.directory)
        elif script == "orphan-pts-master" and fds and self.console_fd < 0:
            self.console_fd = take_console(self.call.options["console_socket"], fds.pop(0))
        for fd in fds:
            os.close(fd)

    def _note_init(self, pid: int) -> None:
        if pid > 0 and pid != self.init_pid:
            self.init_pid = pid
            if self.init_pidfd >= 0:
                os.close(self.init_pidfd)
            self.init_pidfd = os.pidfd_open(pid)
            self.record.values.update(pid=pid, startTime=start_time(pid))

    def _run_hooks(self, kind: str) -> None:
        state = dump(hook_state(self.record, CREATING)).encode()
        hooks: list[Hook] = self.plan.hooks.get(kind, [])  # type: ignore[assignment]
        run_hooks(hooks, kind, state, cwd=self.bundle.path, outputs=self.hook_outputs)

    def undo(self, error: BaseException) -> None:
        """Take back everything; what cannot be taken back is added to the error's cause and stays on record."""
        interrupts.ignore()
        if self.criu is not None:
            self.criu.close(kill=True)
        if self.pid_file:
            remove_pid_file(self.pid_file)
        try:
            self.plan.cgroup.kill()
            if self.init_pidfd >= 0:
                self._end_init()
            self.record.values["cgroup"] = self.plan.cgroup.to_record()
            destroy(self.directory, self.record, self.call.log)
            self.plan.cgroup.remove_levels_made()
        except (PyociError, OSError) as failure:
            if isinstance(error, PyociError):
                error.cause = "; ".join(filter(None, (error.cause, "and cleaning up failed: %s" % failure)))

    def _end_init(self) -> None:
        kill_and_collect(self.init_pidfd, self.init_pid)
        os.close(self.init_pidfd)
        self.init_pidfd = -1
        self.record.values["pid"] = 0


def _cgroup_roots(pid: int) -> "list[dict[str, str]]":
    """Where the saved cgroup is to be now, controller by controller: criu's own, which is the container's."""
    roots = []
    with open("/proc/%d/cgroup" % pid, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            roots += [{"ctrl": name, "path": path} for name in controllers.split(",")]
    return roots
