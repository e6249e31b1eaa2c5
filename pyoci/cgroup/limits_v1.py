"""`linux.resources` for cgroup version 1: which files, which text, in which order.

Pure: nothing is read or written until a record's `apply`.  The kernel keeps two invariants that make the
order matter: memory limit <= memory+swap limit, and burst <= quota.
"""

import errno

from pyoci.cgroup.device_rules import device_list
from pyoci.cgroup.limit import (
    WHERE,
    FirstFile,
    Limit,
    block_weight,
    cpuset_limits,
    hugepage_limits,
    pids_limits,
    rdma_limits,
    swap_is_possible,
    unavailable,
)
from pyoci.errors import ConfigError, OperationError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from typing import Any

    from pyoci.cgroup.limit import Place, Resources

_SHARES = (2, 262144)  # the kernel clamps to these without a word
_MEMORY, _MEMORY_SWAP = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
_QUOTA, _PERIOD, _BURST = "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us"
_RT_PERIOD, _RT_RUNTIME = "cpu.rt_period_us", "cpu.rt_runtime_us"


def make_limits(resources: "Resources", controllers: "Container[str]", *, devices: bool) -> "list[Limit]":
    """The records for `resources` on a host with these `controllers`, in the order in which to apply them.

    With `devices` the device rules (and the defaults) are among them.  Raises ConfigError for values that
    make no sense and HostError for fields whose controller is missing.
    """
    if resources.get("unified"):
        raise ConfigError(
            "invalid configuration: cannot use unified on cgroup v1",
            where=WHERE + ".unified",
            fix="use the named fields of .linux.resources",
        )
    limits = cpuset_limits(resources, early=True)
    if devices:
        limits.append(device_list(resources.get("devices") or []))
    limits += _memory(resources.get("memory") or {})
    limits += _cpu(resources.get("cpu") or {})
    limits += pids_limits(resources)
    limits += _block_io(resources.get("blockIO") or {})
    limits += hugepage_limits(resources, "hugetlb.%s.limit_in_bytes", "hugetlb.%s.rsvd.limit_in_bytes")
    limits += _network(resources.get("network") or {})
    limits += rdma_limits(resources)
    for limit in limits:
        if limit.controller not in controllers:
            where = limit.where[len(WHERE) :]
            raise unavailable(limit.controller, where, "the %s hierarchy is not mounted" % limit.controller)
    return limits


def _memory(memory: "Mapping[str, Any]") -> "list[Limit]":
    swap_is_possible(memory)
    limits: list[Limit] = []
    limit, swap = memory.get("limit") or 0, memory.get("swap") or 0
    if limit == -1 and swap > 0:
        raise ConfigError("memory+swap limit should be >= memory limit", where=WHERE + ".memory.swap")
    if limit or swap:
        limits.append(MemoryLimit(limit, swap))
    if memory.get("reservation"):
        limits.append(Limit("memory", "memory.soft_limit_in_bytes", memory["reservation"], ".memory.reservation"))
    if memory.get("useHierarchy") is not None:
        # Since 5.11 every hierarchy counts its children: 1 is accepted, 0 is EINVAL.
        value = int(memory["useHierarchy"])
        limits.append(Limit("memory", "memory.use_hierarchy", value, ".memory.useHierarchy"))
    if memory.get("disableOOMKiller"):
        limits.append(Limit("memory", "memory.oom_control", 1, ".memory.disableOOMKiller"))
    swappiness = memory.get("swappiness")
    if swappiness is not None:
        if not 0 <= swappiness <= 100:  # the kernel takes up to 200 since 5.8, the specification does not
            raise ConfigError("memory swappiness %d is not between 0 and 100" % swappiness,
                              where=WHERE + ".memory.swappiness")  # fmt: skip
        limits.append(Limit("memory", "memory.swappiness", swappiness, ".memory.swappiness"))
    return limits


class MemoryLimit(Limit):
    """`memory.limit` and `memory.swap` (memory+swap): one record, since their order depends on what is set now.

    Bytes; -1 unlimited, 0 unset.  Lifting the memory limit alone lifts the sum too, which has to stay above.
    """

    __slots__ = ("limit", "swap")

    def __init__(self, limit: int, swap: int) -> None:
        super().__init__("memory", _MEMORY, limit, ".memory.limit")
        self.limit = limit
        self.swap = swap
        if not limit:
            self.where = WHERE + ".memory.swap"

    def describe(self) -> str:
        """`memory.limit_in_bytes = 67108864, memory.memsw.limit_in_bytes = -1`."""
        parts = [(_MEMORY, self.limit), (_MEMORY_SWAP, self.swap)]
        return ", ".join("%s = %d" % part for part in parts if part[1])

    def apply(self, place: "Place") -> None:
        """Limit, then sum; when the kernel refuses that order (a smaller sum is in force), sum, then limit."""
        if self.limit == -1:
            self._write_sum(place, -1, optional=True)
            self._write_limit(place)
            return
        if not self.limit:
            self._write_sum(place, self.swap, optional=self.swap == -1)
            return
        if not self.swap:
            self._write_limit(place)
            return
        # Without swap accounting the file is missing; that matters only when swap is to be limited.
        optional = self.swap in (-1, self.limit)
        try:
            place.write(_MEMORY, str(self.limit))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise self._limit_failure(place, error) from None
            self._write_sum(place, self.swap, optional=optional)
            self._write_limit(place)
            return
        self._write_sum(place, self.swap, optional=optional)

    def _write_limit(self, place: "Place") -> None:
        try:
            place.write(_MEMORY, str(self.limit))
        except OSError as error:
            raise self._limit_failure(place, error) from None

    def _write_sum(self, place: "Place", value: int, *, optional: bool) -> None:
        try:
            place.write(_MEMORY_SWAP, str(value))
        except FileNotFoundError as error:
            if not optional:
                failure = self.failure(place, error, _MEMORY_SWAP, str(value), WHERE + ".memory.swap")
                failure.fix = "boot with swapaccount=1, or leave swap out"
                raise failure from None
        except OSError as error:
            raise self.failure(place, error, _MEMORY_SWAP, str(value), WHERE + ".memory.swap") from None

    def _limit_failure(self, place: "Place", error: OSError) -> OperationError:
        if error.errno != errno.EBUSY:
            return self.failure(place, error, _MEMORY, str(self.limit))
        return OperationError(
            "unable to set memory limit to %d (current usage: %s, peak usage: %s): %s"
            % (self.limit, place.read_or_empty("memory.usage_in_bytes"),
               place.read_or_empty("memory.max_usage_in_bytes"), errno_text(errno.EBUSY)),
            where=self.where,
            cause="in %s" % place.path,
            fix="the container needs more than that already: choose a larger limit",
        )  # fmt: skip


def _cpu(cpu: "Mapping[str, Any]") -> "list[Limit]":
    limits: list[Limit] = []
    rt_period, rt_runtime = cpu.get("realtimePeriod") or 0, cpu.get("realtimeRuntime") or 0
    if rt_period or rt_runtime:
        limits.append(RealtimeLimit(rt_period, rt_runtime))
    idle = cpu.get("idle")
    if idle is not None:
        limits.append(Limit("cpu", "cpu.idle", int(idle), ".cpu.idle"))
    shares = cpu.get("shares")
    if shares and idle != 1:  # an idle group has no shares: EINVAL
        low, high = _SHARES
        if not low <= shares <= high:
            word, bound = ("minimum", low) if shares < low else ("maximum", high)
            raise ConfigError("the %s allowed cpu-shares is %d" % (word, bound), where=WHERE + ".cpu.shares")
        limits.append(Limit("cpu", "cpu.shares", shares, ".cpu.shares"))
    quota, period, burst = cpu.get("quota") or 0, cpu.get("period") or 0, cpu.get("burst")
    if quota or period or burst is not None:
        limits.append(BandwidthLimit(quota, period, burst))
    return limits


class BandwidthLimit(Limit):
    """`cpu.quota`, `cpu.period` and `cpu.burst`, microseconds; quota -1 unlimited; 0 (burst: None) unset."""

    __slots__ = ("burst", "period", "quota")

    def __init__(self, quota: int, period: int, burst: "int | None") -> None:
        super().__init__("cpu", _QUOTA, quota, ".cpu.quota")
        self.quota = quota
        self.period = period
        self.burst = burst

    def describe(self) -> str:
        """`cpu.cfs_period_us = 100000, cpu.cfs_quota_us = 50000`."""
        return ", ".join("%s = %s" % (file, value) for file, value, _ in self._parts())

    def apply(self, place: "Place") -> None:
        """Period, burst, quota; what the kernel refuses before the quota is in place is tried again after it."""
        refused = []
        for file, value, where in self._parts():
            try:
                place.write(file, value)
            except OSError as error:
                if file == _QUOTA or error.errno != errno.EINVAL or not self.quota:
                    raise self.failure(place, error, file, value, where) from None
                refused.append((file, value, where))
        for file, value, where in refused:
            self.write(place, file, value, where)

    def _parts(self) -> "list[tuple[str, str, str]]":
        parts = []
        if self.period:
            parts.append((_PERIOD, str(self.period), WHERE + ".cpu.period"))
        if self.burst is not None:
            parts.append((_BURST, str(self.burst), WHERE + ".cpu.burst"))
        if self.quota:
            parts.append((_QUOTA, str(self.quota), WHERE + ".cpu.quota"))
        return parts


class RealtimeLimit(Limit):
    """`cpu.realtimePeriod` and `cpu.realtimeRuntime`, microseconds, 0 unset.

    Before the first process joins: the kernel refuses a realtime process in a group without runtime.
    """

    __slots__ = ("period", "runtime")

    def __init__(self, period: int, runtime: int) -> None:
        super().__init__("cpu", _RT_RUNTIME, runtime, ".cpu.realtimeRuntime", early=True)
        self.period = period
        self.runtime = runtime

    def describe(self) -> str:
        """`cpu.rt_period_us = 1000000, cpu.rt_runtime_us = 950000`."""
        parts = [(_RT_PERIOD, self.period), (_RT_RUNTIME, self.runtime)]
        return ", ".join("%s = %d" % part for part in parts if part[1])

    def apply(self, place: "Place") -> None:
        """Period, then runtime; the other way round when the runtime in force does not fit the new period."""
        where = WHERE + ".cpu.realtimePeriod"
        again = False
        if self.period:
            try:
                place.write(_RT_PERIOD, str(self.period))
            except OSError as error:
                if error.errno != errno.EINVAL or not self.runtime:
                    raise self.failure(place, error, _RT_PERIOD, str(self.period), where) from None
                again = True
        if self.runtime:
            self.write(place, _RT_RUNTIME, str(self.runtime))
        if again:
            self.write(place, _RT_PERIOD, str(self.period), where)


def _block_io(block: "Mapping[str, Any]") -> "list[Limit]":
    limits: list[Limit] = []
    if block.get("weight"):
        weight = str(block_weight(block["weight"], ".blockIO.weight"))
        choices = [("blkio.weight", weight), ("blkio.bfq.weight", weight)]
        limits.append(FirstFile("blkio", choices, ".blockIO.weight"))
    if block.get("leafWeight"):
        weight = str(block_weight(block["leafWeight"], ".blockIO.leafWeight"))
        limits.append(Limit("blkio", "blkio.leaf_weight", weight, ".blockIO.leafWeight"))
    for index, entry in enumerate(block.get("weightDevice") or ()):
        limits += _weight_device(entry, ".blockIO.weightDevice[%d]" % index)
    for key, file in (
        ("throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
        ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
        ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
        ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
    ):
        for index, entry in enumerate(block.get(key) or ()):
            value = "%d:%d %d" % (entry["major"], entry["minor"], entry.get("rate", 0))
            limits.append(Limit("blkio", file, value, ".blockIO.%s[%d]" % (key, index)))
    return limits


def _weight_device(entry: "Mapping[str, Any]", where: str) -> "list[Limit]":
    weight, leaf = entry.get("weight"), entry.get("leafWeight")
    if not weight and not leaf:
        raise ConfigError("a block io device needs weight or leafWeight", where=WHERE + where)
    device = "%d:%d " % (entry["major"], entry["minor"])
    limits: list[Limit] = []
    if weight:
        value = device + str(block_weight(weight, where + ".weight"))
        choices = [("blkio.weight_device", value), ("blkio.bfq.weight_device", value)]
        limits.append(FirstFile("blkio", choices, where + ".weight"))
    if leaf:
        value = device + str(block_weight(leaf, where + ".leafWeight"))
        choices = [("blkio.leaf_weight_device", value)]
        # Gone with the CFQ scheduler in 5.0; meaningless without it.
        limits.append(FirstFile("blkio", choices, where + ".leafWeight", optional=True))
    return limits


def _network(network: "Mapping[str, Any]") -> "list[Limit]":
    limits = []
    if network.get("classID"):
        limits.append(Limit("net_cls", "net_cls.classid", network["classID"], ".network.classID"))
    for index, entry in enumerate(network.get("priorities") or ()):
        value = "%s %d" % (entry["name"], entry["priority"])
        limits.append(Limit("net_prio", "net_prio.ifpriomap", value, ".network.priorities[%d]" % index))
    return limits
