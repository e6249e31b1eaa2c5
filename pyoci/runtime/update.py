"""`pyoci update ID`: change the limits of a container that is there."""

import fcntl

from pyoci.config.json_text import dump, parse
from pyoci.config.load import is_before_1_3, load_resources
from pyoci.config.read import read_descriptor, read_document
from pyoci.errors import HostError, PyociError, StateError, UsageError
from pyoci.runtime.container import CONFIG, load_record, open_directory
from pyoci.runtime.kill import NOT_RUNNING, cgroup_of
from pyoci.runtime.status import CREATING, STOPPED, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.cli.call import Call
    from pyoci.config.types import Resources
    from pyoci.runtime.container import Record

_PREFIX = ".linux.resources"
# option -> where its value stands in a resources document
_OPTIONS = {
    "blkio_weight": ("blockIO", "weight"),
    "cpu_period": ("cpu", "period"),
    "cpu_quota": ("cpu", "quota"),
    "cpu_burst": ("cpu", "burst"),
    "cpu_share": ("cpu", "shares"),
    "cpu_rt_period": ("cpu", "realtimePeriod"),
    "cpu_rt_runtime": ("cpu", "realtimeRuntime"),
    "cpuset_cpus": ("cpu", "cpus"),
    "cpuset_mems": ("cpu", "mems"),
    "cpu_idle": ("cpu", "idle"),
    "memory": ("memory", "limit"),
    "memory_reservation": ("memory", "reservation"),
    "memory_swap": ("memory", "swap"),
    "kernel_memory": ("memory", "kernel"),
    "kernel_memory_tcp": ("memory", "kernelTCP"),
    "pids_limit": ("pids", "limit"),
}
# Keys whose files the kernel holds to each other: when one changes, all are written.
_TOGETHER = {"memory": ("limit", "swap", "checkBeforeUpdate"), "cpu": ("quota", "period", "burst")}


def main(call: "Call") -> int:
    """All of it or nothing: a value that is refused sets back what was written before it."""
    directory = open_directory(call.root, call.arguments[0])
    record = load_record(directory)
    changes, name, schemata = _changes(call)
    fcntl.flock(directory.fd, fcntl.LOCK_EX)  # of two at once, the second adds to what the first did
    record = load_record(directory)
    status = status_of(directory, record, sure=False)
    if status in (STOPPED, CREATING):
        raise StateError(NOT_RUNNING, cause="its status is %s" % status)
    config: Any = parse(directory.read(CONFIG), CONFIG, ours=True)
    saved = record.values.get("resources")
    if saved is None:  # the limits in force are those of the configuration
        saved = config.get("linux", {}).get("resources", {})
    if changes.get("pids", {}).get("limit") == 0 and is_before_1_3(config):
        del changes["pids"]  # it meant nothing then
    cgroup = cgroup_of(record)
    if cgroup.mode == "none" and changes:
        raise HostError("cannot update: the container has no cgroup", cause="cgroups are disabled")
    undo = _update_class_of_service(record, schemata) if schemata else None
    try:
        if changes:
            cgroup.update(to_write(saved, changes))
    except PyociError as error:
        if undo is not None:
            undo()
        error.where = error.where.replace(_PREFIX, name + ": ", 1) if name else error.where
        raise
    record.values["resources"] = merged(saved, changes)
    record.save(directory)
    return 0


def _update_class_of_service(record: "Record", schemata: "list[tuple[str, str]]") -> "Callable[[], None]":
    """Write lines of resctrl's schemata; the function that takes it back."""
    group = record.values.get("intelRdt")
    if not group:
        raise StateError(
            "cannot update Intel RDT: the container has no class of service",
            where=schemata[0][0],
            fix="create it with .linux.intelRdt",
        )
    from pyoci.resctrl.group import rewrite

    return rewrite(group, schemata)


def _schemata(call: "Call") -> "list[tuple[str, str]]":
    """(option, line) in the order in which they are written."""
    lines = []
    for option, prefix in (("l3_cache_schema", "L3"), ("mem_bw_schema", "MB:")):
        line = call.options[option]
        if line:
            name = "--" + option.replace("_", "-")
            if not line.startswith(prefix) or "\n" in line:
                raise UsageError("%s: %s is no line that begins with %s" % (name, ascii(line), prefix), where=name)
            lines.append((name, line))
    return lines


def _changes(call: "Call") -> "tuple[Resources, str, list[tuple[str, str]]]":
    """The document of --resources (then no other option counts, as with runc), or the one the options make.

    With it the name of the document, and lines for resctrl's schemata.
    """
    path = call.options["resources"]
    if path:
        name = "standard input" if path == "-" else path
        data = read_descriptor(0, name) if path == "-" else read_document(path, regular=False)
        return load_resources(data, call.log.warning, name), name, []
    schemata = _schemata(call)
    changes: dict[str, dict[str, Any]] = {}
    for option, (section, key) in _OPTIONS.items():
        value = call.options[option]
        if value is not None and value != "":
            changes.setdefault(section, {})[key] = value
    if not changes and not schemata:
        raise UsageError("nothing to update", fix="name a limit, or give a document with --resources")
    return load_resources(dump(changes).encode(), call.log.warning, "command line"), "", schemata


def to_write(saved: "Resources", changes: "Resources") -> "Resources":
    """What has to be written for `changes`, with the saved values that the kernel holds to the new ones."""
    result: dict[str, Any] = {}
    for section, new in changes.items():
        if section == "devices":
            continue  # the rules of a container stay; engines send those they know
        together = _TOGETHER.get(section)
        if together is None or not isinstance(new, dict):
            result[section] = new
            continue
        values = dict(new)
        if any(values.get(key) for key in together):
            old: dict[str, Any] = saved.get(section, {})  # type: ignore[assignment]
            for key in together:
                if not values.get(key) and old.get(key) and not _is_set(key, values):
                    values[key] = old[key]
        if section == "memory":
            _lift_swap(values, new)
        result[section] = values
    return result  # type: ignore[return-value]


def _is_set(key: str, values: "dict[str, Any]") -> bool:
    """Whether the key is there and its 0 means 0: of all but burst it means "as it is"."""
    return key == "burst" and key in values


def _lift_swap(values: "dict[str, Any]", new: "dict[str, Any]") -> None:
    """No limit on memory means none on memory and swap together, unless one is asked for."""
    if new.get("limit") == -1 and not new.get("swap"):
        values["swap"] = -1


def merged(saved: "Resources", changes: "Resources") -> "Resources":
    """The limits in force after `changes`."""
    result: dict[str, Any] = dict(saved)
    for section, new in changes.items():
        if section == "devices":
            continue
        old = result.get(section)
        if isinstance(new, dict) and isinstance(old, dict):
            values = {**old, **{key: value for key, value in new.items() if value not in (0, "") or key == "burst"}}
        else:
            values = new  # type: ignore[assignment]
        if section == "memory":
            _lift_swap(values, new)  # type: ignore[arg-type]
        result[section] = values
    return result  # type: ignore[return-value]
