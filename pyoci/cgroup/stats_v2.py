"""Statistics from a version 2 cgroup (kernel documentation: admin-guide/cgroup-v2), in version 1's words."""

import os

from pyoci.cgroup import tree
from pyoci.cgroup.stat_files import (
    UNLIMITED,
    flat,
    given,
    huge_page_sizes,
    memory_entry,
    nested,
    number,
    pressure,
    text_of,
    transfer,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_US = 1000
# What version 2 has no file for.
_CPUSET = (
    "cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab",
    "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
)  # fmt: skip
# (where in the statistics, the file of its pressure)
_PRESSURE = (("cpu", "cpu.pressure"), ("memory", "memory.pressure"), ("blkio", "io.pressure"))
# key of the statistics: [(what the kernel calls it, what version 1 called it)]
_IO = {
    "ioServiceBytesRecursive": (("rbytes", "Read"), ("wbytes", "Write")),
    "ioServicedRecursive": (("rios", "Read"), ("wios", "Write")),
}


def statistics(path: str) -> "dict[str, Any]":
    """What the cgroup at `path` counts, in the form of `events`; a controller that is off counts nothing."""
    return {
        "cpu": _cpu(flat(text_of(path + "/cpu.stat"))),
        "cpuset": dict.fromkeys(_CPUSET, 0),
        "memory": _memory(path),
        "pids": _pids(path),
        "blkio": _io(path),
        "hugetlb": _hugetlb(path),
    }


def add_pressure(path: str, found: "dict[str, Any]") -> None:
    """Add `psi` (Linux 4.20) where the cgroup has it; on a hybrid host that is the version 2 directory."""
    for key, file in _PRESSURE:
        values = pressure(text_of(path + "/" + file))
        if values is not None:
            found[key]["psi"] = values


def _cpu(found: "dict[str, int]") -> "dict[str, Any]":
    usage = given({"total": found.get("usage_usec", 0) * _US})
    usage["kernel"] = found.get("system_usec", 0) * _US
    usage["user"] = found.get("user_usec", 0) * _US
    throttling = {
        "periods": found.get("nr_periods"),
        "throttledPeriods": found.get("nr_throttled"),
        "throttledTime": found.get("throttled_usec", 0) * _US,
    }
    return {"usage": usage, "throttling": given(throttling)}


def _memory(path: str) -> "dict[str, Any]":
    """`swap` is memory and swap together, as in version 1; `events` is memory.events as it stands."""
    raw = flat(text_of(path + "/memory.stat"))
    usage, limit = (number(text_of("%s/memory.%s" % (path, name))) for name in ("current", "max"))
    swap, swap_limit = (number(text_of("%s/memory.swap.%s" % (path, name))) for name in ("current", "max"))
    together = memory_entry(UNLIMITED if UNLIMITED in (limit, swap_limit) else limit + swap_limit, usage + swap)
    return {
        **given({"cache": raw.get("file")}),
        "usage": memory_entry(limit, usage, number(text_of(path + "/memory.peak"))),
        "swap": together,
        "kernel": memory_entry(),
        "kernelTCP": memory_entry(),
        **given({"raw": dict(sorted(raw.items())), "events": flat(text_of(path + "/memory.events"))}),
    }


def _pids(path: str) -> "dict[str, int]":
    current = text_of(path + "/pids.current")
    if not current:  # the controller is off
        return given({"current": len(tree.processes(path))})
    limit = number(text_of(path + "/pids.max"))
    return given({"current": number(current), "limit": 0 if limit == UNLIMITED else limit})


def _io(path: str) -> "dict[str, Any]":
    devices = nested(text_of(path + "/io.stat"))
    found: dict[str, Any] = {}
    for key, names in _IO.items():
        found[key] = [
            transfer(major, minor, operation, values[name])
            for major, minor, values in devices
            for name, operation in names
            if name in values
        ]
    return given(found)


def _hugetlb(path: str) -> "dict[str, Any]":
    found: dict[str, Any] = {}
    if not os.path.isdir(path):
        return found
    names = os.listdir(path)
    for size in huge_page_sizes(names, "current"):
        prefix = "%s/hugetlb.%s." % (path, size)
        reserved = prefix + "rsvd.current" if "hugetlb.%s.rsvd.current" % size in names else prefix + "current"
        failures = flat(text_of(prefix + "events")).get("max", 0)
        found[size] = {**given({"usage": number(text_of(reserved))}), "failcnt": failures}
    return found
