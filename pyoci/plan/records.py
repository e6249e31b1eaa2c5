"""What a plan consists of: three lists of operations and two records."""

from pyoci.tables.annotations import SECCOMP_BPF_DATA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.driver import Cgroup
    from pyoci.config.types import Config, Hooks, Seccomp
    from pyoci.ops.context import Operation


class JoinedNamespace:
    """A namespace given by path: its type, the path, and its place in config.json."""

    __slots__ = ("kind", "path", "where")

    def __init__(self, kind: str, path: str, where: str) -> None:
        self.kind = kind
        self.path = path
        self.where = where


class Namespaces:
    """Which namespaces are made and joined.

    new: types without a path; joined: those with one; uid_map, gid_map: the text for /proc/PID/uid_map (empty
    when nothing is to be written); offsets: the text for /proc/PID/timens_offsets.
    """

    __slots__ = ("gid_map", "joined", "new", "offsets", "uid_map")

    def __init__(
        self, new: list[str], joined: list[JoinedNamespace], uid_map: str = "", gid_map: str = "", offsets: str = ""
    ) -> None:
        self.new = new
        self.joined = joined
        self.uid_map = uid_map
        self.gid_map = gid_map
        self.offsets = offsets

    def has(self, kind: str) -> bool:
        """Whether the container has a namespace of this type of its own, new or joined."""
        return kind in self.new or any(joined.kind == kind for joined in self.joined)

    def joins(self, kind: str) -> bool:
        """Whether a namespace of this type is joined by path."""
        return any(joined.kind == kind for joined in self.joined)

    @property
    def needs_bridge(self) -> bool:
        """Whether a process must stand between the runtime and the init process.

        pid and time namespaces take effect for children only; a joined namespace of the host must be entered
        before the user namespace takes away the right to.
        """
        if self.joins("user") or self.joins("pid") or "time" in self.new:
            return True
        return "user" in self.new and bool(self.joined)


class Rlimit:
    """One resource limit: `late` ones are so small that the waiting init process could not live with them."""

    __slots__ = ("hard", "late", "name", "number", "soft", "where")

    def __init__(self, where: str, name: str, number: int, soft: int, hard: int, *, late: bool) -> None:
        self.where = where
        self.name = name
        self.number = number
        self.soft = soft
        self.hard = hard
        self.late = late


class ProcessSetup:
    """The identity and limits of the container's process: what `init.identity` applies from top to bottom.

    Capability sets are bit masks.  scheduler is (policy, flags, nice, priority, (runtime, deadline, period));
    io_priority the value for ioprio_set(2); memory_policy (mode, node mask, bits).  None: leave as it is.
    notes: what is left out without harm, for who asks for more than warnings.
    apparmor, selinux: the profile and the context that execve changes to; empty: none.
    affinity: the CPUs before and after joining the cgroup, for `exec`; empty: not set.
    """

    __slots__ = (
        "affinity", "ambient", "apparmor", "args", "bounding", "cwd", "effective", "env", "gid", "groups",
        "inheritable", "io_priority", "keyring", "memory_policy", "no_new_privileges", "notes", "oom_score_adj",
        "permitted", "personality", "rlimits", "scheduler", "selinux", "uid", "umask",
    )  # fmt: skip

    def __init__(self) -> None:
        self.args: list[str] = []
        self.env: list[str] = []
        self.cwd = "/"
        self.uid = 0
        self.gid = 0
        self.groups: list[int] | None = []
        self.umask = 0o022
        self.bounding = 0
        self.effective = 0
        self.permitted = 0
        self.inheritable = 0
        self.ambient = 0
        self.no_new_privileges = False
        self.oom_score_adj: int | None = None
        self.rlimits: list[Rlimit] = []
        self.scheduler: tuple[int, int, int, int, tuple[int, int, int]] | None = None
        self.io_priority: int | None = None
        self.memory_policy: tuple[int, bytes, int] | None = None
        self.personality: int | None = None
        self.keyring = ""
        self.apparmor = ""
        self.selinux = ""
        self.notes: list[str] = []
        self.affinity: tuple[list[range], list[range]] = ([], [])


class Plan:
    """Everything that `create` does to make a container, in order.

    rootfs: operations before the hooks of the runtime; jail: those between the hooks and the change of
    identity.  join_index: how many operations of rootfs come before init must be in its cgroup.  process is
    None when config.json has no `process`.  delegate_to: the host uid that gets the cgroup, None for nobody.
    warnings: what the user should hear.
    """

    __slots__ = (
        "cgroup", "config", "container_id", "delegate_to", "hooks", "jail", "join_index", "namespaces", "process",
        "rootfs", "seccomp", "warnings",
    )  # fmt: skip

    def __init__(self, config: "Config", container_id: str, namespaces: Namespaces, cgroup: "Cgroup") -> None:
        self.config = config
        self.container_id = container_id
        self.namespaces = namespaces
        self.cgroup = cgroup
        self.rootfs: list[Operation] = []
        self.jail: list[Operation] = []
        self.join_index = 0
        self.delegate_to: int | None = None
        self.process: ProcessSetup | None = None
        self.hooks: Hooks = config.get("hooks", {})
        self.seccomp = seccomp_of(config)
        self.warnings: list[str] = []

    @property
    def has_labels(self) -> bool:
        """Whether a security module has to be told of the process or of its mounts."""
        process = self.process
        named = process is not None and (process.apparmor or process.selinux)
        return bool(named or self.config.get("linux", {}).get("mountLabel"))

    @property
    def has_terminal(self) -> bool:
        """Whether the program gets a pty of its own instead of the caller's streams."""
        return bool(self.config.get("process", {}).get("terminal", False))


def seccomp_of(config: "Config") -> "Seccomp | None":
    """The profile; one that allows all stands for the instructions of the annotation where there is no other."""
    profile = config.get("linux", {}).get("seccomp")
    if profile is None and SECCOMP_BPF_DATA in config.get("annotations", {}):
        return {"defaultAction": "SCMP_ACT_ALLOW"}
    return profile
