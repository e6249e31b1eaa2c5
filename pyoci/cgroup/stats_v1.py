"""Statistics from the hierarchies of version 1 (kernel documentation: admin-guide/cgroup-v1)."""

import os

from pyoci.cgroup.stat_files import (
    UNLIMITED,
    flat,
    given,
    huge_page_sizes,
    members,
    memory_entry,
    modes,
    number,
    numbers,
    text_of,
    transfers,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.cgroup.directory import Directory

_TICKS = os.sysconf("SC_CLK_TCK")
_NS = 10**9
# key of the statistics: file of cpuset
_CPUSET = (
    ("cpu_exclusive", "cpu_exclusive"),
    ("mem_hardwall", "mem_hardwall"),
    ("mem_exclusive", "mem_exclusive"),
    ("memory_migrate", "memory_migrate"),
    ("memory_spread_page", "memory_spread_page"),
    ("memory_spread_slab", "memory_spread_slab"),
    ("memory_pressure", "memory_pressure"),
    ("sched_load_balance", "sched_load_balance"),
    ("sched_relax_domain_level", "sched_relax_domain_level"),
)
# The I/O schedulers that count, the one that knows most first: (prefix of the files, [(key, file)]).  The first of
# them whose first file has a line is the one in use; bfq's full set needs CONFIG_BFQ_CGROUP_DEBUG.
_BYTES_AND_NUMBER = (
    ("ioServicedRecursive", "io_serviced_recursive"),
    ("ioServiceBytesRecursive", "io_service_bytes_recursive"),
)
_ALL_OF_IT = (
    ("sectorsRecursive", "sectors_recursive"),
    ("ioServiceTimeRecursive", "io_service_time_recursive"),
    ("ioWaitTimeRecursive", "io_wait_time_recursive"),
    ("ioMergedRecursive", "io_merged_recursive"),
    ("ioQueueRecursive", "io_queued_recursive"),
    ("ioTimeRecursive", "time_recursive"),
    *_BYTES_AND_NUMBER,
)
_SCHEDULERS = (
    ("blkio.bfq.", _ALL_OF_IT),
    ("blkio.bfq.", _BYTES_AND_NUMBER),
    ("blkio.", _ALL_OF_IT),
    ("blkio.throttle.", _BYTES_AND_NUMBER),
    ("blkio.throttle.", (("ioServicedRecursive", "io_serviced"), ("ioServiceBytesRecursive", "io_service_bytes"))),
)


def statistics(directories: "list[Directory]") -> "dict[str, Any]":
    """What each hierarchy counts, in the form of `events`; a hierarchy that is missing counts nothing."""
    places = {name: directory for directory in directories for name in directory.controllers}

    def file(controller: str, name: str) -> str:
        return text_of(places[controller].path + "/" + name) if controller in places else ""

    return {
        "cpu": {"usage": _cpu_usage(file), "throttling": _throttling(file)},
        "cpuset": _cpuset(places.get("cpuset")),
        "memory": _memory(file),
        "pids": _pids(file),
        "blkio": _blkio(file),
        "hugetlb": _hugetlb(places.get("hugetlb")),
    }


def _cpu_usage(file: "Any") -> "dict[str, Any]":
    kernel, user = modes(file("cpuacct", "cpuacct.usage_all"))
    usage = given(
        {
            "total": number(file("cpuacct", "cpuacct.usage")),
            "percpu": numbers(file("cpuacct", "cpuacct.usage_percpu")),
            "percpu_kernel": kernel,
            "percpu_user": user,
        }
    )
    ticks = flat(file("cpuacct", "cpuacct.stat"))
    usage["kernel"] = ticks.get("system", 0) * _NS // _TICKS
    usage["user"] = ticks.get("user", 0) * _NS // _TICKS
    return usage


def _throttling(file: "Any") -> "dict[str, int]":
    found = flat(file("cpu", "cpu.stat"))
    return given(
        {
            "periods": found.get("nr_periods"),
            "throttledPeriods": found.get("nr_throttled"),
            "throttledTime": found.get("throttled_time"),
        }
    )


def _cpuset(directory: "Directory | None") -> "dict[str, Any]":
    prefix = ""
    if directory is not None:
        prefix = directory.path + ("/" if directory.noprefix else "/cpuset.")
    found = {key: number(text_of(prefix + name)) if prefix else 0 for key, name in _CPUSET}
    lists = {key: members(text_of(prefix + key)) if prefix else [] for key in ("cpus", "mems")}
    return {**given(lists), **found}


def _memory(file: "Any") -> "dict[str, Any]":
    raw = flat(file("memory", "memory.stat"))

    def account(name: str) -> "dict[str, int]":
        usage = file("memory", name + ".usage_in_bytes")
        if not usage:  # no accounting of swap or of the kernel's memory
            return memory_entry()
        return memory_entry(
            number(file("memory", name + ".limit_in_bytes")),
            number(usage),
            number(file("memory", name + ".max_usage_in_bytes")),
            number(file("memory", name + ".failcnt")),
        )

    return {
        **given({"cache": raw.get("cache")}),
        "usage": account("memory"),
        "swap": account("memory.memsw"),
        "kernel": account("memory.kmem"),
        "kernelTCP": account("memory.kmem.tcp"),
        **given({"raw": dict(sorted(raw.items()))}),
    }


def _pids(file: "Any") -> "dict[str, int]":
    limit = number(file("pids", "pids.max"))
    return given({"current": number(file("pids", "pids.current")), "limit": 0 if limit == UNLIMITED else limit})


def _blkio(file: "Any") -> "dict[str, Any]":
    for prefix, files in _SCHEDULERS:
        if not transfers(file("blkio", prefix + files[0][1])):
            continue
        return given({key: transfers(file("blkio", prefix + name)) for key, name in files})
    return {}


def _hugetlb(directory: "Directory | None") -> "dict[str, Any]":
    """By page size: the reservations where the kernel counts them (5.7), else the pages."""
    found: dict[str, Any] = {}
    if directory is None or not os.path.isdir(directory.path):
        return found
    names = os.listdir(directory.path)
    for size in huge_page_sizes(names, "usage_in_bytes"):
        prefix = "%s/hugetlb.%s." % (directory.path, size)
        if "hugetlb.%s.rsvd.usage_in_bytes" % size in names:
            prefix += "rsvd."
        usage = number(text_of(prefix + "usage_in_bytes"))
        most = number(text_of(prefix + "max_usage_in_bytes"))
        found[size] = {**given({"usage": usage, "max": most}), "failcnt": number(text_of(prefix + "failcnt"))}
    return found
