"""`pyoci checkpoint ID`: save a running container to disk, by way of criu."""

import fcntl
import os
from stat import S_ISCHR

from pyoci.config.json_text import parse
from pyoci.config.load import meant
from pyoci.criu import streams
from pyoci.criu.conversation import carry_out, with_log
from pyoci.criu.messages import DUMP, PRE_DUMP
from pyoci.criu.mounts import freer, read_table, saved_names, swapped
from pyoci.criu.options import dump_options
from pyoci.criu.process import FIRST_INHERITED, Criu, require_features, require_usable, version
from pyoci.errors import OperationError, StateError, SyscallError, UsageError, errno_text
from pyoci.kernel.path import open_in_root
from pyoci.ops.nodes import NULL_DEVICE
from pyoci.plan.namespaces import make_namespaces
from pyoci.runtime import interrupts
from pyoci.runtime.container import CONFIG, NOTIFY, load_record, open_directory
from pyoci.runtime.delete import destroy
from pyoci.runtime.host import lacks_power, read_facts
from pyoci.runtime.images import Images, check_parent
from pyoci.runtime.saved import (
    device_paths,
    external_namespaces,
    host_trees,
    planned_mounts,
    refuse_units,
    refuse_what_would_be_lost,
    restrictions,
)
from pyoci.runtime.status import PAUSED, RUNNING, is_alive, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.cli.call import Call
    from pyoci.config.types import Config
    from pyoci.runtime.container import Directory, Record


def main(call: "Call") -> int:
    """Refused unless the container is running or paused; afterwards it is gone, unless it was to run on."""
    options = call.options
    directory = open_directory(call.root, call.arguments[0])
    record = load_record(directory)
    status = status_of(directory, record)
    if status not in (RUNNING, PAUSED):
        raise StateError("Container cannot be checkpointed in %s state" % status)
    if record.values["cgroup"].get("unit") and not options["leave_running"]:
        refuse_units("checkpoint of a container with --systemd-cgroup and without --leave-running")
    if lacks_power(call.rootless):
        call.log.warning("checkpoint is untested with rootless containers")
    config: Config = meant(parse(directory.read(CONFIG), CONFIG, ours=True))  # type: ignore[arg-type]
    refuse_what_would_be_lost(config)
    wanted = dump_options(options, config, version())
    if options["status_fd"] is not None:
        _check_status_fd(options["status_fd"])
    images = Images(options, make=True)
    if options["parent_path"]:
        check_parent(images, options["parent_path"])
    _check_features(options)
    wanted.update(_of_the_container(directory, record, config, images, save=not options["pre_dump"]))
    _dump(wanted, images, options, lambda: _check_names(directory, record, config, wanted))
    if not options["pre_dump"] and not options["leave_running"]:
        destroy(directory, record, call.log)
    call.log.release()
    return 0


def probe() -> None:
    """HostError unless a checkpoint could work here: podman asks by the exit status of `checkpoint --help`."""
    require_usable()


def _check_features(options: "dict[str, Any]") -> None:
    if options["pre_dump"] or options["parent_path"]:
        require_features(mem_track=True)
    if options["lazy_pages"]:
        require_features(lazy_pages=True)


def _check_status_fd(fd: int) -> None:
    try:
        mode = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    except (OSError, OverflowError, ValueError) as error:
        text = errno_text(error.errno or 0) if isinstance(error, OSError) else "bad file descriptor"
        raise UsageError("invalid --status-fd argument %d: %s" % (fd, text)) from None
    if mode == os.O_RDONLY:
        raise UsageError("invalid --status-fd argument %d: not writable" % fd)


def _of_the_container(
    directory: "Directory", record: "Record", config: "Config", images: Images, *, save: bool
) -> "dict[str, Any]":
    """The options that depend on the container; with `save`, what a restore needs besides goes to the images."""
    values = record.values
    pid: int = values["pid"]
    wanted: dict[str, Any] = {"pid": pid, "root": values["rootfs"]}
    place = _freezer(record)
    if place:
        wanted["freeze_cgroup"] = place
    namespaces = make_namespaces(config.get("linux", {}))
    wanted["external"] = external_namespaces(pid, namespaces)
    if not save:
        return wanted
    with open("/proc/%d/mountinfo" % pid, "rb") as file:
        table = read_table(file.read())
    if namespaces.has("mount"):
        wanted["ext_mnt"] = _mounts(directory, config, table, values)
    described = streams.describe(pid, values.get("streams"), {mount.number for mount in table})
    wanted["external"] += streams.externals(described)
    if not is_alive(record):  # all of the above was asked of a number
        raise StateError("Container cannot be checkpointed in stopped state", cause="it ended just now")
    streams.save(images.fd, described)
    return wanted


def _freezer(record: "Record") -> str:
    """The cgroup that criu freezes; without one it stops the processes one by one."""
    from pyoci.cgroup.freezer import place_in

    place = place_in(record.values["cgroup"])
    return place[0] if place is not None else ""


def _mounts(
    directory: "Directory", config: "Config", table: "list[Any]", values: "dict[str, Any]"
) -> "list[dict[str, str]]":
    steps = planned_mounts(config, read_facts(), values["id"], values["bundle"])
    trees = host_trees(steps, make_namespaces(config.get("linux", {})))
    binds = [(destination, recursive) for destination, _, recursive in trees]
    if directory.exists(NOTIFY):
        binds.append(("/run/notify", False))
    linux = config.get("linux", {})
    destinations = {destination for destination, _ in binds}
    asked = [entry for entry in restrictions(steps) if entry[0] in destinations]
    root_fd = os.open("/proc/%d/root" % values["pid"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        masks = [path for path in linux.get("maskedPaths", []) if _is_masked_file(root_fd, path)]
        others = [mount["destination"] for mount in config.get("mounts", [])]
        others += [*linux.get("maskedPaths", []), *linux.get("readonlyPaths", [])]
        destination, option = freer(table, asked, lambda path: _locate(root_fd, path))
        if option:
            raise OperationError(
                "the mount at %s is not %s, as config.json asks: operation not permitted" % (destination, option),
                cause="the container has changed it, or put another in its place",
                fix="undo that, or do without a checkpoint",
            )
        _check_sources(root_fd, [(destination, source) for destination, source, _ in trees])
        return saved_names(
            table,
            binds,
            lambda path: _locate(root_fd, path),
            others=others,
            masks=masks,
            devices=device_paths(config),
        )
    finally:
        os.close(root_fd)


def _check_sources(root_fd: int, sources: "list[tuple[str, str]]") -> None:
    """OperationError where a mount of the host has got the place of another one.

    A container cannot rename a mount point, but directories on the way to it: the restored one would have each
    other's content.
    """
    found, meant = {}, {}
    for destination, source in sources:
        try:
            here = os.stat(source)
            fd = open_in_root(root_fd, destination)
        except OSError:
            continue  # gone from the host, or from the container
        there = os.fstat(fd)
        os.close(fd)
        meant[destination] = (here.st_dev, here.st_ino)
        found[destination] = (there.st_dev, there.st_ino)
    destination, other = swapped(found, meant)
    if destination:
        raise OperationError(
            "the mount at %s is the one that config.json has at %s: operation not permitted" % (destination, other),
            cause="the container has moved directories on the way to its mounts",
            fix="undo that, or do without a checkpoint",
        )


def _check_names(directory: "Directory", record: "Record", config: "Config", wanted: "dict[str, Any]") -> None:
    """Once all processes are stopped: OperationError where they have moved mounts since these were named."""
    if "ext_mnt" in wanted:
        with open("/proc/%d/mountinfo" % record.values["pid"], "rb") as file:
            table = read_table(file.read())
        if _mounts(directory, config, table, record.values) != wanted["ext_mnt"]:
            raise OperationError(
                "the container has moved its mounts while it was saved: operation not permitted",
                fix="try again",
            )


def _locate(root_fd: int, path: str) -> str:
    """Where a path of the container leads, as its mountinfo would name it; "" when nowhere."""
    try:
        fd = open_in_root(root_fd, path)
    except SyscallError:
        return ""
    try:
        return os.readlink("/proc/self/fd/%d" % fd)
    finally:
        os.close(fd)


def _is_masked_file(root_fd: int, path: str) -> bool:
    try:
        fd = open_in_root(root_fd, path)
    except SyscallError:
        return False
    try:
        node = os.fstat(fd)
        return S_ISCHR(node.st_mode) and node.st_rdev == NULL_DEVICE
    finally:
        os.close(fd)


def _leave_session() -> list[int]:
    """A ^C is for us alone: criu, hit in the middle, would leave the container frozen."""
    os.setsid()
    return []


def _dump(wanted: "dict[str, Any]", images: Images, options: "dict[str, Any]", check: "Callable[[], None]") -> None:
    """Let criu do it; when it fails or we are interrupted, criu lets the container run on.

    `check` may refuse what was saved, while the processes are still stopped.
    """
    log_path = images.log_path + "/" + wanted["log_file"]
    pre_dump = options["pre_dump"]
    status_fd = options["status_fd"]

    def listen(script: str, pid: int, fds: list[int]) -> None:
        nonlocal status_fd
        for fd in fds:
            os.close(fd)
        if script == "status-ready" and status_fd is not None:
            os.write(status_fd, b"\0")
            os.close(status_fd)
            status_fd = None
        if script == "post-dump":
            check()

    interrupts.hold()
    inherit = images.descriptors()
    wanted.update(images.options(FIRST_INHERITED))
    criu = Criu(inherit=inherit, enter=None if options["shell_job"] else _leave_session)
    try:
        carry_out(criu, {"type": PRE_DUMP if pre_dump else DUMP, "opts": wanted}, listen, interrupts.interruptible)
        criu.end_of_requests()
        code = criu.wait()
    except OperationError as error:
        criu.close()
        raise with_log(error, log_path) from None
    except BaseException:
        criu.close()
        raise
    criu.close()
    if code and not pre_dump:  # after a pre-dump criu waits for a dump, which never comes
        raise with_log(OperationError("criu failed: exit status %d" % code), log_path)
