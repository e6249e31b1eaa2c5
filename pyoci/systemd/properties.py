"""`linux.resources` as properties of a systemd unit (systemd.resource-control(5)).

The same limits are also written to the cgroup's files, which can say more.  They are told to systemd so that it
does not undo them when it writes those files again, as it does after any change of a neighbouring property.
"""

from pyoci.cgroup.device_rules import ANY, MKNOD, READ, WRITE, exceptions, parse_rules
from pyoci.cgroup.limits_v2 import swap_max, weight_from_shares
from pyoci.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pyoci.cgroup.limit import Resources
    from pyoci.systemd.unit import Property

INFINITY = (1 << 64) - 1
_DEFAULT_PERIOD = 100000
_STEP = 10000  # systemd counts a quota in whole percents of a processor
_MOST_CPUS = 1 << 16
_WHERE = ".linux.resources"
# What came when: a property that systemd does not know is an error, and it does without these.
_CPU_PERIOD, _CPUSET, _IDLE, _OOM_POLICY = 242, 244, 252, 253


def properties_of(
    resources: "Resources", version: "Callable[[], int]", *, unified: bool, at_start: bool
) -> "list[Property]":
    """The limits; `version` asks for systemd's major version.  `at_start`: the unit is being made.

    Raises ConfigError for a list of CPUs that is none.
    """
    found: list[Property] = []
    memory, cpu = resources.get("memory") or {}, resources.get("cpu") or {}
    if unified:
        _memory(found, memory)
    elif memory.get("limit"):
        found.append(_number("MemoryLimit", memory["limit"]))
    _cpu(found, cpu, version, unified=unified)
    _cpuset(found, cpu.get("cpus"), cpu.get("mems"), version)
    pids = (resources.get("pids") or {}).get("limit")
    if pids is not None:
        found.append(_number("TasksMax", pids if pids < 0 else max(pids, 1)))
    weight = (resources.get("blockIO") or {}).get("weight")
    if weight and not unified:
        found.append(("BlockIOWeight", ("t", weight)))
    for key, text in (resources.get("unified") or {}).items():
        _unified(found, key, text.strip(), version, at_start=at_start)
    return found


def rounded(resources: "Resources") -> "Resources":
    """The resources with the CPU quota that systemd makes of it, for the files to say the same."""
    cpu = resources.get("cpu") or {}
    quota, period = cpu.get("quota") or 0, cpu.get("period") or _DEFAULT_PERIOD
    if quota <= 0:
        return resources
    return {**resources, "cpu": {**cpu, "quota": max(quota, per_second(quota, period) * period // 1000000)}}


def per_second(quota: int, period: int) -> int:
    """Microseconds of CPU time a second, rounded up to whole percents.

    >>> per_second(50000, 100000), per_second(33333, 100000)
    (500000, 340000)
    """
    return -(-(quota * 1000000 // period) // _STEP) * _STEP


def _number(name: str, value: int) -> "Property":
    return name, ("t", INFINITY if value < 0 else value)


def _memory(found: "list[Property]", memory: "Mapping[str, Any]") -> None:
    limit = memory.get("limit") or 0
    if limit:
        found.append(_number("MemoryMax", limit))
    if memory.get("reservation"):
        found.append(_number("MemoryLow", memory["reservation"]))
    swap = swap_max(limit, memory.get("swap") or 0)
    if swap:
        found.append(_number("MemorySwapMax", -1 if swap == "max" else int(swap)))


def _cpu(found: "list[Property]", cpu: "Mapping[str, Any]", version: "Callable[[], int]", *, unified: bool) -> None:
    shares = cpu.get("shares")
    if cpu.get("idle") == 1:
        if unified and version() >= _IDLE:
            found.append(("CPUWeight", ("t", 0)))
    elif shares:
        found.append(("CPUWeight", ("t", weight_from_shares(shares))) if unified else ("CPUShares", ("t", shares)))
    quota, period = cpu.get("quota") or 0, cpu.get("period") or 0
    if quota or period:
        _bandwidth(found, quota, period, version)


def _bandwidth(found: "list[Property]", quota: int, period: int, version: "Callable[[], int]") -> None:
    if period and version() >= _CPU_PERIOD:
        found.append(("CPUQuotaPeriodUSec", ("t", period)))
    value = per_second(quota, period or _DEFAULT_PERIOD) if quota > 0 else INFINITY
    found.append(("CPUQuotaPerSecUSec", ("t", value)))


def _cpuset(
    found: "list[Property]", cpus: "str | None", mems: "str | None", version: "Callable[[], int]", at: str = ".cpu."
) -> None:
    for name, key, text in (("AllowedCPUs", "cpus", cpus), ("AllowedMemoryNodes", "mems", mems)):
        if text and version() >= _CPUSET:
            found.append((name, ("ay", bit_mask(text, _WHERE + at + key))))


def bit_mask(text: str, where: str) -> bytes:
    r"""A list of CPUs or memory nodes as bits, the least in the first byte.  Raises ConfigError.

    >>> bit_mask("0-2,9", ".x"), bit_mask("0-7:1/4", ".x")
    (b'\x07\x02', b'\x11')
    """
    mask = 0
    try:
        for part in text.split(","):
            if not part.strip():
                continue
            numbers, _, stride = part.strip().partition(":")
            first, dash, last = numbers.partition("-")
            used, _, group = stride.partition("/")
            low, high = int(first), int(last if dash else first)
            taken, step = (int(used), int(group)) if stride else (1, 1)
            if not 0 <= low <= high < _MOST_CPUS or not 0 < taken <= step:
                raise ValueError
            for number in range(low, high + 1):
                if (number - low) % step < taken:
                    mask |= 1 << number
    except ValueError:
        raise ConfigError("%r is no list such as 0-3,8" % text, where=where) from None
    return mask.to_bytes((mask.bit_length() + 7) // 8 or 1, "little")


# key of `unified` -> property with a number of its own
_NUMBERS = {
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.max": "MemoryMax",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
    "cpu.weight": "CPUWeight",
}


def _unified(found: "list[Property]", key: str, text: str, version: "Callable[[], int]", *, at_start: bool) -> None:
    """What systemd has a property for; a value that is none is left for the kernel to refuse."""
    if key in _NUMBERS:
        if text == "max" or text.isdigit():
            found.append(_number(_NUMBERS[key], -1 if text == "max" else int(text)))
    elif key == "cpu.max":
        quota, _, period = text.partition(" ")
        if (quota == "max" or quota.isdigit()) and (not period or period.isdigit()):
            _bandwidth(found, 0 if quota == "max" else int(quota), int(period or 0), version)
    elif key == "cpu.idle":
        if text == "1" and version() >= _IDLE:
            found.append(("CPUWeight", ("t", 0)))
    elif key in ("cpuset.cpus", "cpuset.mems"):
        cpus, mems = (text, None) if key == "cpuset.cpus" else (None, text)
        _cpuset(found, cpus, mems, version, '.unified["cpuset."].')
    elif key == "memory.oom.group" and at_start and version() >= _OOM_POLICY:
        found.append(("OOMPolicy", ("s", "kill" if text == "1" else "continue")))


def device_properties(resources: "Resources") -> "list[Property]":
    """The device rules, for version 1: systemd writes its own list again when it likes, or `a` without one.

    It can only allow: a list that denies some and allows the rest it cannot be told.  On version 2 our program
    alone decides, and systemd never touches that.  Raises ConfigError, HostError.
    """
    default, rules = parse_rules(resources.get("devices") or [])
    if default:
        return [("DevicePolicy", ("s", "auto"))]
    allowed: list[tuple[str, str]] = []
    for key, bits in exceptions(default, rules).items():
        path = _device(*key)
        letters = "".join(letter for letter, bit in (("r", READ), ("w", WRITE), ("m", MKNOD)) if bits & bit)
        if path:
            allowed.append((path, letters))
    return [("DevicePolicy", ("s", "strict")), ("DeviceAllow", ("a(ss)", allowed))]


def _device(kind: str, major: int, minor: int) -> str:
    """What DeviceAllow= calls it; "" when it has no name for it."""
    long = "block" if kind == "b" else "char"
    if major == ANY:
        return long + "-*" if minor == ANY else ""
    if minor != ANY:
        return "/dev/%s/%d:%d" % (long, major, minor)
    name = _driver(long, major)
    return "%s-%s" % (long, name) if name else ""


def _driver(long: str, major: int) -> str:
    """The name that /proc/devices has for a major number."""
    try:
        with open("/proc/devices", encoding="utf-8") as file:
            _, _, text = file.read().partition("Block devices:" if long == "block" else "Character devices:")
    except OSError:
        return ""
    for line in text.strip().split("\n\n", 1)[0].splitlines():
        number, _, name = line.strip().partition(" ")
        if number == str(major):
            return name
    return ""
