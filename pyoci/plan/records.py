"""What a plan consists of: three lists of operations and two records."""

from pyoci.tables.annotations import SECCOMP_BPF_DATA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.driver import Cgroup
    from pyoci.config.types import Config, Hooks, Seccomp
    from pyoci.ops.context import Operation
    from pyoci.ops.idmap import IdMap


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
    when nothing is to be written); offsets: the text for /proc/PID/timens_offsets; joined_maps: uid and gid map
    that a user namespace given by path must have (empty: any).
    """

    __slots__ = ("gid_map", "joined", "joined_maps", "new", "offsets", "uid_map")

    def __init__(
        self, new: list[str], joined: list[JoinedNamespace], uid_map: str = "", gid_map: str = "", offsets: str = ""
    ) -> None:
        self.new = new
        self.joined = joined
        self.uid_map = uid_map
        self.gid_map = gid_map
        self.offsets = offsets
        self.joined_maps = ("", "")

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


class NetDevice:
    """A network device that moves into the container: its name here, and there (perhaps with `%d`)."""

    __slots__ = ("new", "old", "where", "where_name")

    def __init__(self, where: str, old: str, new: str, where_name: str) -> None:
        self.where = where
        self.old = old
        self.new = new
        self.where_name = where_name

    def describe(self) -> str:
        """As `network device eth0 moves in as web0, keeps its permanent global addresses, up`."""
        name = "" if self.new == self.old else " as %s" % self.new
        return "network device %s moves in%s, keeps its permanent global addresses, up" % (self.old, name)


class IntelRdt:
    """A class of service of resctrl: its directory's name, "" for the root's; lines: (place, line of schemata).

    monitor: the name of a monitoring group in it, "" for none.  is_named: by closID, not after the container.
    """

    __slots__ = ("is_named", "lines", "monitor", "name")

    def __init__(self, name: str, lines: list[tuple[str, str]], monitor: str, *, is_named: bool) -> None:
        self.name = name
        self.lines = lines
        self.monitor = monitor
        self.is_named = is_named

    @property
    def must_exist(self) -> bool:
        """A class that is named and given nothing has to be there already."""
        return self.is_named and not self.lines

    def describe(self) -> list[tuple[str, str]]:
        """(step, place) of each step, in order."""
        at = ".linux.intelRdt"
        if not self.name:
            steps = [("class of service: the root's of resctrl", at + ".closID")]
        elif self.must_exist:
            steps = [("class of service %s of resctrl, which must exist" % self.name, at + ".closID")]
        elif self.is_named:
            steps = [("class of service %s of resctrl, made where it is missing" % self.name, at + ".closID")]
        else:
            steps = [("class of service %s of resctrl, made, and removed with the container" % self.name, at)]
        steps += [("schemata %s" % line, where) for where, line in self.lines]
        if self.monitor:
            steps.append(("monitoring group %s of the class of service" % self.monitor, at + ".enableMonitoring"))
        return steps


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
    net_devices: moved by the runtime before the hooks.  intel_rdt: None without resctrl.
    warnings: what the user should hear.
    """

    __slots__ = (
        "cgroup", "config", "container_id", "delegate_to", "hooks", "intel_rdt", "jail", "join_index", "namespaces",
        "net_devices", "process", "rootfs", "seccomp", "warnings",
    )  # fmt: skip

    def __init__(self, config: "Config", container_id: str, namespaces: Namespaces, cgroup: "Cgroup") -> None:
        self.config = config
        self.container_id = container_id
        self.namespaces = namespaces
        self.cgroup = cgroup
        self.rootfs: list[Operation] = []
        self.jail: list[Operation] = []
        self.join_index = 0
        self.net_devices: list[NetDevice] = []
        self.intel_rdt: IntelRdt | None = None
        self.delegate_to: int | None = None
        self.process: ProcessSetup | None = None
        self.hooks: Hooks = config.get("hooks", {})
        self.seccomp = seccomp_of(config)
        self.warnings: list[str] = []

    @property
    def idmaps(self) -> "dict[str, IdMap]":
        """The id maps of bind mounts, by their place in config.json."""
        found = {}
        for operation in self.rootfs:
            idmap = getattr(operation, "idmap", None)
            if idmap is not None:
                found[operation.where] = idmap
        return found

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
