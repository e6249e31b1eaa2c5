"""`pyoci delete ID`: remove what create made, then run the poststop hooks."""

import os

from pyoci.errors import PyociError, StateError
from pyoci.runtime.container import (
    ANCHOR,
    CGROUP,
    DOES_NOT_EXIST,
    RESCTRL,
    STATE,
    Record,
    load_record,
    open_directory,
)
from pyoci.runtime.kill import cgroup_of, kill_container
from pyoci.runtime.status import CREATED, CREATING, STOPPED, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.cli.call import Call
    from pyoci.log import Log
    from pyoci.runtime.container import Directory


def main(call: "Call") -> int:
    """Delete a stopped or created container; with --force one in any state, and a missing one silently."""
    force = bool(call.options.get("force"))
    container_id = call.arguments[0]
    try:
        directory = open_directory(call.root, container_id)
    except StateError as error:
        if force and error.message == DOES_NOT_EXIST:
            return 0
        raise
    try:
        record = load_record(directory)
    except StateError:
        if force or not directory.exists(STATE):
            _delete_without_record(directory)
            if force:
                return 0
        raise
    status = status_of(directory, record)
    if status == CREATING and not force and _is_being_made(record):
        raise StateError("cannot delete container %s that is not stopped: %s" % (container_id, status))
    if status not in (STOPPED, CREATED, CREATING) and not force:
        raise StateError(
            "cannot delete container %s that is not stopped: %s" % (container_id, status),
            fix="stop it first, or add --force",
        )
    destroy(directory, record, call.log)
    return 0


def _is_being_made(record: Record) -> bool:
    """Whether the process that writes this record is still at work."""
    from pyoci.runtime.status import start_time

    maker = record.values.get("maker", [0, 0])
    return bool(maker[0] > 0 and start_time(maker[0]) == maker[1])


def destroy(directory: "Directory", record: Record, log: "Log") -> None:
    """Kill what lives, remove cgroup and directory, run the poststop hooks.

    The record goes last of all resources: if removing a cgroup fails it stays, and a later delete goes on.
    """
    kill_container(record)
    cgroup = cgroup_of(record)
    if not record.values.get("privatePidNamespace", False):
        cgroup.kill()
    cgroup.remove()
    _remove_class_of_service(record)
    directory.remove()
    directory.close()
    run_poststop(record, log)


def _remove_class_of_service(record: Record) -> None:
    if record.values.get("intelRdt"):
        from pyoci.resctrl.group import remove

        remove(record.values["intelRdt"])


def run_poststop(record: Record, log: "Log") -> None:
    """The poststop hooks; one that fails is warned of and the others still run."""
    if record.values.get("hooks", {}).get("poststop"):
        from pyoci.runtime.host_hooks import run_host_hooks

        run_host_hooks(record, "poststop", STOPPED, log.warning)


def _delete_without_record(directory: "Directory") -> None:
    """Clean up from the symlinks beside a lost or damaged record."""
    pid, _, started = directory.read_link(ANCHOR).partition(":")
    values = {"pid": 0, "startTime": 0, "bootId": "", "cgroup": None, "id": directory.container_id}
    if pid.isascii() and pid.isdigit() and started.isascii() and started.isdigit():
        from pyoci.runtime.container import boot_id

        values.update(pid=int(pid), startTime=int(started), bootId=boot_id())
    found = _read_link(directory, CGROUP)
    if found is not None:
        from pyoci.cgroup.directory import lengthened

        found = lengthened(found)
    values["cgroup"] = found
    values["intelRdt"] = _read_link(directory, RESCTRL)
    if values["cgroup"] is None:
        from pyoci.cgroup.driver import Cgroup

        values["cgroup"] = Cgroup("none", []).to_record()
    record = Record(values)
    kill_container(record)
    cgroup = cgroup_of(record)
    cgroup.kill()
    cgroup.remove()
    _remove_class_of_service(record)
    directory.remove()
    directory.close()


def _read_link(directory: "Directory", name: str) -> "Any":
    """What a symlink keeps of a driver's record; None when there is none that can be read."""
    text = directory.read_link(name)
    if not text:
        return None
    from pyoci.config.json_text import parse

    try:
        return parse(os.fsencode(text), name, ours=True)
    except PyociError:
        return None
