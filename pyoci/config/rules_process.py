"""Rules about a process document that no schema can say: `.process`, and what exec reads."""

from pyoci.config.fault import Fault, quoted
from pyoci.tables.capabilities import NUMBERS as CAPABILITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Process

MAX_GROUPS = 65536  # NGROUPS_MAX of Linux
CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
MAX_TERMINAL = 65535  # struct winsize holds unsigned shorts
MAX_CPU = 65535


def _environment(process: "Process", at: str, found: list[Fault]) -> None:
    for number, entry in enumerate(process.get("env", ())):
        name, equals, _ = entry.partition("=")
        if equals and name:
            continue
        # The entry may be a secret: of one without a name, nothing is shown.
        what = "has no =: %s" % quoted(entry) if not equals else "has no name before the ="
        found.append(Fault("%s.env[%d]" % (at, number), "environment entry " + what, "write NAME=VALUE"))


def _rlimits(process: "Process", at: str, found: list[Fault]) -> None:
    seen: dict[str, int] = {}
    for number, limit in enumerate(process.get("rlimits", ())):
        path = "%s.rlimits[%d]" % (at, number)
        kind, soft, hard = limit["type"], limit["soft"], limit["hard"]
        if kind in seen:
            message = "%s is listed twice, first at %s.rlimits[%d]" % (kind, at, seen[kind])
            found.append(Fault(path + ".type", message, "keep one entry"))
        seen.setdefault(kind, number)
        if soft > hard:
            message = "soft limit %d of %s is above its hard limit %d" % (soft, kind, hard)
            found.append(Fault(path + ".soft", message, "a soft limit of at most %d" % hard))


def _capabilities(process: "Process", at: str, found: list[Fault]) -> None:
    sets = process.get("capabilities")
    if not sets:
        return
    unknown = set()
    for kind in CAPABILITY_SETS:
        names: list[str] = sets.get(kind, [])  # type: ignore[assignment]
        if CAPABILITIES.keys() >= set(names):
            continue
        for number, name in enumerate(names):
            if name not in CAPABILITIES and name not in unknown:
                unknown.add(name)
                path = "%s.capabilities.%s[%d]" % (at, kind, number)
                found.append(Fault(path, "unknown capability %s" % quoted(name), "see capabilities(7)", "warning"))


def _scheduler(process: "Process", at: str, found: list[Fault]) -> None:
    scheduler = process.get("scheduler")
    if not scheduler:
        return
    at += ".scheduler"
    policy, priority = scheduler["policy"], scheduler.get("priority", 0)
    if policy in ("SCHED_FIFO", "SCHED_RR"):
        if not priority:
            found.append(Fault(at, "%s needs a priority" % policy, "a priority from 1 to 99"))
    elif priority:
        found.append(Fault(at + ".priority", "%s has no priority" % policy, "leave priority out"))
    nice = scheduler.get("nice", 0)
    if nice and policy not in ("SCHED_OTHER", "SCHED_BATCH"):
        message = "%s has no nice value: the kernel takes it and makes nothing of it" % policy
        found.append(Fault(at + ".nice", message, "leave nice out", "warning"))
    budget, deadline, period = (scheduler.get(key, 0) for key in ("runtime", "deadline", "period"))
    if policy != "SCHED_DEADLINE":
        for key in ("runtime", "deadline", "period"):
            if scheduler.get(key):
                found.append(Fault("%s.%s" % (at, key), "%s has no %s" % (policy, key), "leave %s out" % key))
    elif not 0 < budget <= deadline or (period and deadline > period):  # type: ignore[operator]
        message = "SCHED_DEADLINE needs 0 < runtime <= deadline <= period"
        found.append(Fault(at, message, "all three in nanoseconds; period may be 0"))


def _terminal(process: "Process", at: str, found: list[Fault]) -> None:
    size = process.get("consoleSize")
    if size and process.get("terminal") and max(size["height"], size["width"]) > MAX_TERMINAL:
        found.append(Fault(at + ".consoleSize", "no terminal is this large", "at most %d" % MAX_TERMINAL))


def _groups(process: "Process", at: str, found: list[Fault]) -> None:
    groups = process.get("user", {}).get("additionalGids", ())
    if len(groups) > MAX_GROUPS:
        message = "%d supplementary groups are more than the kernel holds" % len(groups)
        found.append(Fault(at + ".user.additionalGids", message, "at most %d" % MAX_GROUPS))


def _affinity(process: "Process", at: str, found: list[Fault]) -> None:
    affinity = process.get("execCPUAffinity")
    if not affinity:
        return
    for key in ("initial", "final"):
        path = "%s.execCPUAffinity.%s" % (at, key)
        text: str = affinity.get(key, "")  # type: ignore[assignment]
        for part in text.split(",") if text.strip() else ():
            first, _, last = part.partition("-")
            low, high = int(first), int(last or first)
            if high < low:
                found.append(Fault(path, "CPU range %s ends before it begins" % quoted(part.strip()), "as 0-3"))
            elif high > MAX_CPU:
                found.append(Fault(path, "no machine has a CPU %d" % high, "at most %d" % MAX_CPU))


RULES = (_environment, _rlimits, _capabilities, _scheduler, _terminal, _groups, _affinity)


def process_faults(process: "Process", at: str, found: list[Fault]) -> None:
    """Append what is wrong with the process document that stands at the jq path `at` ("" for exec)."""
    for rule in RULES:
        rule(process, at, found)
