"""`process` and the parts of `linux` that belong to the process itself, as one record."""

from pyoci.plan.records import ProcessSetup, Rlimit
from pyoci.tables.annotations import KEEP_GROUPS
from pyoci.tables.capabilities import NUMBERS as CAPABILITIES
from pyoci.tables.process import (
    IOPRIO_CLASS_SHIFT,
    IOPRIO_CLASSES,
    MEMORY_POLICIES,
    MEMORY_POLICY_FLAGS,
    PERSONALITIES,
    SCHEDULER_FLAGS,
    SCHEDULER_POLICIES,
)
from pyoci.tables.rlimits import NUMBERS as RLIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config, MemoryPolicy, Process, Scheduler

# Below these the interpreter that waits for `start` would fail itself: applied in the last step before execve.
_LATE_BELOW = {"RLIMIT_NOFILE": 32, "RLIMIT_AS": 1 << 30, "RLIMIT_DATA": 1 << 28, "RLIMIT_STACK": 1 << 20}


def make_process(config: "Config", known_capabilities: int, container_id: str) -> tuple[ProcessSetup, list[str]]:
    """(the record, warnings) for a config that has a `process`."""
    process = config["process"]
    setup = ProcessSetup()
    warnings: list[str] = []
    setup.args = process.get("args", [])
    setup.env = _environment(process.get("env", []))
    setup.cwd = process["cwd"]
    user = process.get("user", {})
    setup.uid = user.get("uid", 0)
    setup.gid = user.get("gid", 0)
    setup.umask = user.get("umask", 0o022)
    setup.groups = user.get("additionalGids", [])
    if config.get("annotations", {}).get(KEEP_GROUPS) == "1":
        setup.groups = None
    setup.no_new_privileges = process.get("noNewPrivileges", False)
    setup.oom_score_adj = process.get("oomScoreAdj")
    setup.rlimits = _rlimits(process)
    setup.keyring = "_ses." + container_id
    setup.apparmor = process.get("apparmorProfile", "")
    setup.selinux = process.get("selinuxLabel", "")
    _capabilities(setup, process, known_capabilities, warnings)
    if "scheduler" in process:
        setup.scheduler = _scheduler(process["scheduler"])
    if "ioPriority" in process:
        priority = process["ioPriority"]
        setup.io_priority = IOPRIO_CLASSES[priority["class"]] << IOPRIO_CLASS_SHIFT | priority.get("priority", 0)
    affinity = process.get("execCPUAffinity", {})
    setup.affinity = _cpus(affinity.get("initial", "")), _cpus(affinity.get("final", ""))
    linux = config.get("linux", {})
    if "memoryPolicy" in linux:
        setup.memory_policy = _memory_policy(linux["memoryPolicy"])
    if "personality" in linux:
        setup.personality = PERSONALITIES[linux["personality"]["domain"]]
    return setup, warnings


def _environment(entries: list[str]) -> list[str]:
    """As given; of two entries with one name the last wins."""
    by_name = {entry.partition("=")[0]: entry for entry in entries}
    return list(by_name.values()) if len(by_name) != len(entries) else entries


def _rlimits(process: "Process") -> list[Rlimit]:
    limits = []
    for index, entry in enumerate(process.get("rlimits", [])):
        name = entry["type"]
        late = entry["soft"] < _LATE_BELOW.get(name, 0)
        where = ".process.rlimits[%d]" % index
        limits.append(Rlimit(where, name, RLIMITS[name], entry["soft"], entry["hard"], late=late))
    return limits


def _capabilities(setup: ProcessSetup, process: "Process", known: int, warnings: list[str]) -> None:
    """The five sets as bit masks; no `capabilities` means none at all, whatever the uid (S-18)."""
    sets = process.get("capabilities", {})
    unavailable: list[str] = []

    def mask(names: list[str]) -> int:
        result = 0
        for name in names:
            bit = 1 << CAPABILITIES[name] if name in CAPABILITIES else 0
            if bit & known:
                result |= bit
            elif name not in unavailable:
                unavailable.append(name)
        return result

    setup.bounding = mask(sets.get("bounding", []))
    setup.effective = mask(sets.get("effective", []))
    setup.permitted = mask(sets.get("permitted", []))
    setup.inheritable = mask(sets.get("inheritable", []))
    setup.ambient = mask(sets.get("ambient", []))
    if unavailable:
        warnings.append("ignoring unknown or unavailable capabilities: [%s]" % " ".join(unavailable))
    refused = setup.ambient & ~(setup.permitted & setup.inheritable)
    if refused:
        names = [name for name in sets["ambient"] if refused >> CAPABILITIES.get(name, 63) & 1]
        # Engines ask for them by habit (buildah for all of them): said only to who wants to know.
        setup.notes.append(
            "ignoring ambient capabilities not both permitted and inheritable: [%s]" % " ".join(names)
        )


def _scheduler(scheduler: "Scheduler") -> tuple[int, int, int, int, tuple[int, int, int]]:
    flags = 0
    for name in scheduler.get("flags", []):
        flags |= SCHEDULER_FLAGS[name]
    return (
        SCHEDULER_POLICIES[scheduler["policy"]],
        flags,
        scheduler.get("nice", 0),
        scheduler.get("priority", 0),
        (scheduler.get("runtime", 0), scheduler.get("deadline", 0), scheduler.get("period", 0)),
    )


def _cpus(text: str) -> list[range]:
    """The ranges of a list such as `0-3,7`."""
    ranges = []
    for part in text.split(","):
        if part.strip():
            first, _, last = part.partition("-")
            ranges.append(range(int(first), int(last or first) + 1))
    return ranges


def _memory_policy(policy: "MemoryPolicy") -> tuple[int, bytes, int]:
    """(mode with flags, node mask, number of bits) as set_mempolicy(2) takes them."""
    mode = MEMORY_POLICIES[policy["mode"]]
    for name in policy.get("flags", []):
        mode |= MEMORY_POLICY_FLAGS[name]
    nodes = 0
    for part in policy.get("nodes", "").split(","):
        if part.strip():
            first, _, last = part.strip().partition("-")
            for node in range(int(first), int(last or first) + 1):
                nodes |= 1 << node
    if not nodes:
        return mode, b"", 0
    words = nodes.bit_length() // 64 + 1
    # The kernel reads one bit less than it is told (set_mempolicy(2), maxnode).
    return mode, nodes.to_bytes(words * 8, "little"), words * 64 + 1
