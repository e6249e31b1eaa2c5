"""`linux.resources` for cgroup version 2: which files, which text, in which order.

Pure: nothing is read or written until a record's `apply`.
"""

import errno

from pyoci.cgroup.device_bpf import DeviceFilter
from pyoci.cgroup.limit import (
    WHERE,
    FirstFile,
    Limit,
    block_weight,
    cpuset_limits,
    hugepage_limits,
    not_in_version_2,
    pids_limits,
    rdma_limits,
    swap_is_possible,
    unavailable,
)
from pyoci.errors import ConfigError, HostError, OperationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from typing import Any

    from pyoci.cgroup.limit import Place, Resources

_BURST = "cpu.max.burst"
_NO_CONTROLLER = ("cgroup", "irq")  # prefixes of files that belong to no controller


def make_limits(resources: "Resources", controllers: "Container[str]", *, devices: bool) -> "list[Limit]":
    """The records for `resources` on a host with these `controllers`, in the order in which to apply them.

    With `devices` the device rules (and the defaults) are among them.  Raises ConfigError for values that
    make no sense and HostError for fields that this host or this version cannot carry out.
    """
    limits = pids_limits(resources)
    limits += _memory(resources.get("memory") or {})
    limits += _block_io(resources.get("blockIO") or {})
    limits += _cpu(resources.get("cpu") or {})
    if devices:
        limits.append(DeviceFilter(resources.get("devices") or []))
    limits += cpuset_limits(resources, early=False)
    limits += hugepage_limits(resources, "hugetlb.%s.max", "hugetlb.%s.rsvd.max")
    limits += rdma_limits(resources)
    _refuse_network(resources.get("network") or {})
    for limit in limits:
        if limit.controller not in controllers and limit.controller != "devices":
            where = limit.where[len(WHERE) :]
            cause = "the root's cgroup.controllers does not name %s" % limit.controller
            raise unavailable(limit.controller, where, cause)
    limits += _unified(resources.get("unified") or {}, controllers)
    return limits


def swap_max(limit: int, swap: int) -> str:
    """What memory.swap.max has to say for OCI's `limit` and `swap` (their sum), "" for nothing.

    Never write the empty text: the kernel reads it as 0.  Raises ConfigError.

    >>> swap_max(100, 300), swap_max(100, 100), swap_max(-1, 0), swap_max(100, 0)
    ('200', '0', 'max', '')
    """
    swap_is_possible({"limit": limit, "swap": swap})
    if swap == -1 or (limit == -1 and not swap):
        return "max"
    if not swap:
        return ""
    if limit == -1:
        return str(swap)
    if not limit:
        raise ConfigError(
            "unable to set swap limit without memory limit",
            where=WHERE + ".memory.swap",
            fix="set .linux.resources.memory.limit too",
        )
    return str(swap - limit)


def _memory(memory: "Mapping[str, Any]") -> "list[Limit]":
    if memory.get("useHierarchy") is False:
        raise not_in_version_2("memory useHierarchy false", ".memory.useHierarchy")
    if memory.get("disableOOMKiller"):
        raise not_in_version_2("memory disableOOMKiller", ".memory.disableOOMKiller")
    if memory.get("swappiness") is not None:
        raise not_in_version_2("memory swappiness", ".memory.swappiness", "set sysctl vm.swappiness on the host")
    limits: list[Limit] = []
    limit, swap = memory.get("limit") or 0, memory.get("swap") or 0
    check = bool(memory.get("checkBeforeUpdate"))
    swap_text = swap_max(limit, swap)
    if swap_text:
        limits.append(SwapLimit(swap_text, swap if check else 0))
    if limit:
        limits.append(MemoryLimit(limit, check=check))
    if memory.get("reservation"):
        value = _or_max(memory["reservation"])
        limits.append(Limit("memory", "memory.low", value, ".memory.reservation"))
    return limits


class SwapLimit(Limit):
    """memory.swap.max; where swap is not accounted the file is missing, which only matters for a real limit."""

    __slots__ = ("sum_to_check",)

    def __init__(self, value: str, sum_to_check: int) -> None:
        super().__init__("memory", "memory.swap.max", value, ".memory.swap")
        self.sum_to_check = sum_to_check

    def apply(self, place: "Place") -> None:
        """Write it.  Raises OperationError."""
        if self.sum_to_check > 0:
            _refuse_below_usage(place, self.sum_to_check, "memory+swap", self.where)
        try:
            place.write(self.file, self.value)
        except FileNotFoundError as error:
            if self.value not in ("max", "0"):
                raise self.failure(place, error, self.file, self.value) from None
        except OSError as error:
            raise self.failure(place, error, self.file, self.value) from None


class MemoryLimit(Limit):
    """memory.max; the kernel of version 2 kills to enforce a limit below the usage, unless asked to check."""

    __slots__ = ("check",)

    def __init__(self, limit: int, *, check: bool) -> None:
        super().__init__("memory", "memory.max", _or_max(limit), ".memory.limit")
        self.check = check

    def apply(self, place: "Place") -> None:
        """Write it.  Raises OperationError."""
        if self.check and self.value != "max":
            _refuse_below_usage(place, int(self.value), "memory", self.where)
        super().apply(place)


def _refuse_below_usage(place: "Place", limit: int, what: str, where: str) -> None:
    """`checkBeforeUpdate`: an error rather than an OOM kill."""
    usage = int(place.read_or_empty("memory.current") or 0)
    if what != "memory":
        usage += int(place.read_or_empty("memory.swap.current") or 0)
    if limit <= usage:
        raise OperationError(
            "%s limit %d is not above the current usage %d" % (what, limit, usage),
            where=where,
            cause="checkBeforeUpdate asks to refuse that",
            fix="choose a larger limit, or leave checkBeforeUpdate out to have the container killed",
        )


def _cpu(cpu: "Mapping[str, Any]") -> "list[Limit]":
    for key in ("realtimePeriod", "realtimeRuntime"):
        if cpu.get(key):
            raise not_in_version_2("cpu " + key, ".cpu." + key)
    limits: list[Limit] = []
    idle = cpu.get("idle")
    if idle is not None:
        limits.append(Limit("cpu", "cpu.idle", int(idle), ".cpu.idle"))
    if cpu.get("shares") and idle != 1:  # an idle group has no weight: EINVAL
        limits.append(Limit("cpu", "cpu.weight", weight_from_shares(cpu["shares"]), ".cpu.shares"))
    quota, period, burst = cpu.get("quota") or 0, cpu.get("period") or 0, cpu.get("burst")
    if quota or period or burst is not None:
        limits.append(BandwidthLimit(quota, period, burst))
    return limits


class BandwidthLimit(Limit):
    """`cpu.quota`, `cpu.period` and `cpu.burst`, microseconds; quota -1 unlimited; 0 (burst: None) unset."""

    __slots__ = ("burst", "period", "quota")

    def __init__(self, quota: int, period: int, burst: "int | None") -> None:
        super().__init__("cpu", "cpu.max", "", ".cpu.quota" if quota else ".cpu.period")
        self.quota = quota
        self.period = period
        self.burst = burst

    def describe(self) -> str:
        """`cpu.max = 50000 100000, cpu.max.burst = 10000`."""
        parts = []
        if self.quota or self.period:
            parts.append("cpu.max = " + self._text("max"))
        if self.burst is not None:
            parts.append("%s = %d" % (_BURST, self.burst))
        return ", ".join(parts)

    def apply(self, place: "Place") -> None:
        """Burst, then quota and period in one write; a burst above the quota in force is tried again after it."""
        refused = self.burst is not None and not self._write_burst(place)
        if self.quota or self.period:
            unset = "max" if self.quota else place.read_or_empty("cpu.max").split(" ", 1)[0] or "max"
            self.write(place, "cpu.max", self._text(unset))
        if refused:
            self.write(place, _BURST, str(self.burst), WHERE + ".cpu.burst")

    def _text(self, unset: str) -> str:
        """`50000 100000`; without a period the one in force (at first 100000) stays."""
        quota = unset if not self.quota else "max" if self.quota < 0 else str(self.quota)
        return "%s %d" % (quota, self.period) if self.period else quota

    def _write_burst(self, place: "Place") -> bool:
        try:
            place.write(_BURST, str(self.burst))
        except OSError as error:
            if error.errno != errno.EINVAL or not (self.quota or self.period):
                raise self.failure(place, error, _BURST, str(self.burst), WHERE + ".cpu.burst") from None
            return False
        return True


def weight_from_shares(shares: int) -> int:
    """cpu.weight (1 to 10000) for cpu.shares (2 to 262144), such that both ends and 1024 = 100 meet.

    The curve is the one that runc (since 1.3.2), crun (since 1.23) and the kubelet agreed on; the straight
    line before it made the default of 1024 shares a weight of 39 beside everybody else's 100.

    >>> [weight_from_shares(shares) for shares in (2, 512, 1024, 4096, 262144)]
    [1, 59, 100, 303, 10000]
    """
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    log = _log2(shares)
    weight = 10 ** ((log * log + 125 * log) / 612 - 7 / 34)
    # Round up, but not what differs from a whole number only by the way it was calculated (1024).
    return int(-((1e-9 - weight) // 1))


def _log2(number: int) -> float:
    """The base-2 logarithm, to about 1e-14; `math` is not among the modules of the hot path.

    Squaring the mantissa doubles its logarithm: each step yields one binary digit.
    """
    whole = number.bit_length() - 1
    mantissa = number / (1 << whole)
    if mantissa == 1.0:
        return float(whole)
    result, digit = float(whole), 0.5
    for _ in range(48):
        mantissa *= mantissa
        if mantissa >= 2.0:
            mantissa /= 2.0
            result += digit
        digit /= 2
    return result


def io_weight(weight: int) -> int:
    """io.weight (1 to 10000) for a block io weight (10 to 1000), on a straight line.

    >>> io_weight(10), io_weight(500), io_weight(1000)
    (1, 4950, 10000)
    """
    return 1 + (weight - 10) * 9999 // 990


def _block_io(block: "Mapping[str, Any]") -> "list[Limit]":
    if block.get("leafWeight"):
        raise not_in_version_2("block io leafWeight", ".blockIO.leafWeight", "use weight")
    limits: list[Limit] = []
    if block.get("weight"):
        weight = block_weight(block["weight"], ".blockIO.weight")
        limits.append(_io_weight("", weight, ".blockIO.weight"))
    for index, entry in enumerate(block.get("weightDevice") or ()):
        where = ".blockIO.weightDevice[%d]" % index
        if entry.get("weight"):
            weight = block_weight(entry["weight"], where + ".weight")
            limits.append(_io_weight("%d:%d " % (entry["major"], entry["minor"]), weight, where + ".weight"))
        elif not entry.get("leafWeight"):
            raise ConfigError("a block io device needs weight or leafWeight", where=WHERE + where)
    for key, word in (
        ("throttleReadBpsDevice", "rbps"),
        ("throttleWriteBpsDevice", "wbps"),
        ("throttleReadIOPSDevice", "riops"),
        ("throttleWriteIOPSDevice", "wiops"),
    ):
        for index, entry in enumerate(block.get(key) or ()):
            value = "%d:%d %s=%s" % (entry["major"], entry["minor"], word, entry.get("rate") or "max")
            limits.append(Limit("io", "io.max", value, ".blockIO.%s[%d]" % (key, index)))
    return limits


def _io_weight(device: str, weight: int, where: str) -> Limit:
    """BFQ takes the number as it is, the cost model of io.weight on its own scale."""
    choices = [("io.bfq.weight", "%s%d" % (device, weight)), ("io.weight", "%s%d" % (device, io_weight(weight)))]
    return FirstFile("io", choices, where)


def _refuse_network(network: "Mapping[str, Any]") -> None:
    fix = "mark packets with a netfilter cgroup match instead"
    if network.get("classID"):
        raise not_in_version_2("network classID", ".network.classID", fix)
    if network.get("priorities"):
        raise not_in_version_2("network priorities", ".network.priorities", fix)


def _unified(unified: "Mapping[str, str]", controllers: "Container[str]") -> "list[Limit]":
    limits: list[Limit] = []
    for key, text in unified.items():
        where = '.unified["%s"]' % key
        controller, dot, _ = key.partition(".")
        if "/" in key or "\0" in key or not dot or not controller:
            raise ConfigError(
                "%r is not the name of a cgroup file" % key,
                where=WHERE + where,
                fix="use a name such as memory.high, without any directory",
            )
        if controller not in controllers and controller not in _NO_CONTROLLER:
            raise HostError('cannot set %s: controller "%s" not available' % (key, controller), where=WHERE + where)
        limits += [Limit(controller, key, line, where) for line in text.split("\n") if line]
    return limits


def _or_max(number: int) -> str:
    return "max" if number < 0 else str(number)
