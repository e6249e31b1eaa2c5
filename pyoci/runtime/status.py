"""A container's status, derived from the kernel at every question and never read from disk.

creating   the record's stage says so: `create` is at work, or was killed
created    init lives and listens on start.sock
running    init lives
paused     init lives and its own cgroup is frozen
stopped    init is gone, a zombie, or another process has its pid
"""

import os

from pyoci.runtime.container import START_SOCKET, boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.runtime.container import Directory, Record

CREATING = "creating"
CREATED = "created"
RUNNING = "running"
PAUSED = "paused"
STOPPED = "stopped"


def start_time(pid: int) -> int:
    """When `pid` was started, in ticks since boot (field 22 of proc_pid_stat(5)); 0 when it is dead or a zombie."""
    try:
        fd = os.open("/proc/%d/stat" % pid, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        text = os.read(fd, 4096)
    except OSError:
        return 0
    finally:
        os.close(fd)
    # The command's name may hold spaces and brackets: count from the last bracket.
    fields = text[text.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X", b"x"):
        return 0
    return int(fields[19])


def is_alive(record: "Record") -> bool:
    """Whether the very init process of the record lives: pid, start time and boot must agree."""
    values = record.values
    if values["pid"] <= 0 or start_time(values["pid"]) != values["startTime"]:
        return False
    return bool(values["bootId"] == boot_id())


def status_of(directory: "Directory", record: "Record", *, sure: bool = True) -> str:
    """The status as the kernel shows it now.

    A `start` that was killed leaves the socket's file behind.  With `sure` the socket itself is asked; without,
    `created` may be `running`.
    """
    if record.values["stage"] == CREATING:
        return CREATING
    if not is_alive(record):
        return STOPPED
    if is_paused(record):
        return PAUSED
    if not directory.exists(START_SOCKET):
        return RUNNING
    if sure:
        from pyoci.init.channel import is_listening

        return CREATED if is_listening(directory.name_of(START_SOCKET)) else RUNNING
    return CREATED


def is_paused(record: "Record") -> bool:
    """Whether the container's own cgroup is frozen."""
    from pyoci.cgroup.freezer import is_frozen, place_in

    place = place_in(record.values["cgroup"])
    return place is not None and is_frozen(place[0], unified=place[1])


def open_init(record: "Record") -> int:
    """A pidfd of init, or -1 when it is gone; the start time is compared after opening: it cannot be another's."""
    try:
        pidfd = os.pidfd_open(record.values["pid"])
    except (OSError, OverflowError):
        return -1
    if not is_alive(record):
        os.close(pidfd)
        return -1
    return pidfd


def state_document(record: "Record", status: str) -> "dict[str, object]":
    """The state of the specification (runtime.md, State) with the keys that callers read besides."""
    values = record.values
    return {
        "ociVersion": "1.3.0",
        "id": values["id"],
        "pid": 0 if status in (STOPPED, CREATING) else values["pid"],
        "status": status,
        "bundle": values["bundle"],
        "rootfs": values.get("rootfs", ""),
        "created": values.get("created", ""),
        "annotations": values.get("annotations", {}),
        "owner": "",
    }


def hook_state(record: "Record", status: str) -> "dict[str, object]":
    """The state as hooks get it: only what the specification names."""
    values = record.values
    state: dict[str, object] = {
        "ociVersion": "1.3.0",
        "id": values["id"],
        "status": status,
        "bundle": values["bundle"],
    }
    if status != STOPPED:
        state["pid"] = values["pid"]
    if values.get("annotations"):
        state["annotations"] = values["annotations"]
    if values.get("rootfs"):
        state["root"] = values["rootfs"]
    return state
