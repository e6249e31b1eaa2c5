"""Rules about cgroup paths and limits that no schema can say (`.linux.resources`, and what update reads)."""

from pyoci.config.fault import Fault, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Resources

# The kernel's bounds for a CFS period and the least quota, in microseconds (measured on 6.18, v1 and v2).
MIN_CPU_TIME, MAX_PERIOD = 1000, 1000000


def _devices(resources: "Resources", at: str, update: bool, found: list[Fault]) -> None:
    for number, rule in enumerate(resources.get("devices", ())):
        if not rule.get("access"):
            message = "device access at %d field cannot be empty" % number
            found.append(Fault("%s.devices[%d]" % (at, number), message, "access: some of the letters rwm"))


def _memory(resources: "Resources", at: str, update: bool, found: list[Fault]) -> None:
    memory = resources.get("memory")
    if not memory:
        return
    at += ".memory"
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    if swap > 0 and limit == 0 and not update:
        message = "unable to set swap limit without memory limit"
        found.append(Fault(at + ".swap", message, "set limit as well; swap counts memory and swap together"))
    elif swap > 0 and limit > swap:
        message = "memory+swap limit should be >= memory limit"
        found.append(
            Fault(at + ".swap", message, "at least %d, because swap counts memory and swap together" % limit)
        )
    for key in ("kernel", "kernelTCP"):
        if key in memory:
            message = "%s is deprecated: kernels ignore it, and so is it here" % key
            found.append(Fault("%s.%s" % (at, key), message, "remove it", "warning"))


def _cpu(resources: "Resources", at: str, update: bool, found: list[Fault]) -> None:
    cpu = resources.get("cpu")
    if not cpu:
        return
    at += ".cpu"
    quota, burst, period = cpu.get("quota", 0), cpu.get("burst", 0), cpu.get("period", 0)
    if 0 < quota < burst:
        found.append(
            Fault(at + ".burst", "burst %d is above quota %d" % (burst, quota), "a burst of at most the quota")
        )
    if period and not MIN_CPU_TIME <= period <= MAX_PERIOD:
        message = "period %d is not between %d and %d" % (period, MIN_CPU_TIME, MAX_PERIOD)
        found.append(Fault(at + ".period", message, "microseconds; 100000 is the usual value"))
    if 0 < quota < MIN_CPU_TIME:
        message = "quota %d is less than the kernel's least, %d" % (quota, MIN_CPU_TIME)
        found.append(Fault(at + ".quota", message, "microseconds per period"))


RULES = (_devices, _memory, _cpu)


def resource_faults(resources: "Resources", at: str, found: list[Fault], *, update: bool = False) -> None:
    """Append what is wrong with the limits that stand at the jq path `at` ("" for update).

    With `update` a field may lean on a value that was set before.
    """
    for rule in RULES:
        rule(resources, at, update, found)


def cgroups_path_faults(path: str, found: list[Fault]) -> None:
    """Append what is wrong with `.linux.cgroupsPath` for the file driver."""
    if ".." in path.split("/"):
        message = "cgroupsPath %s holds .." % quoted(path)
        found.append(Fault(".linux.cgroupsPath", message, "a path without .. parts"))
