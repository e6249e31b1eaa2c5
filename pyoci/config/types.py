"""The shapes of the documents, for the type checker only: import this module under TYPE_CHECKING.

At run time a checked document is a plain dict with exactly the keys of config.json; null-valued keys are
gone.  The names follow the runtime-spec, tests/unit/config/test_types.py holds them against schemas/.
"""

from typing import Any, Literal, NotRequired, Required, TypedDict

NamespaceType = Literal["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"]
HookKind = Literal["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
Status = Literal["creating", "created", "running", "stopped", "paused"]


class Root(TypedDict):
    """`.root`: the container's root file system; `path` is absolute or relative to the bundle."""

    path: str
    readonly: NotRequired[bool]


class IDMapping(TypedDict):
    """One line of uid_map or gid_map: `size` ids from `containerID` are `hostID` and up outside."""

    containerID: int
    hostID: int
    size: int


class Mount(TypedDict, total=False):
    """`.mounts[]`."""

    destination: Required[str]
    type: str
    source: str
    options: list[str]
    uidMappings: list[IDMapping]
    gidMappings: list[IDMapping]


class ConsoleSize(TypedDict):
    """`.process.consoleSize`, in characters."""

    height: int
    width: int


class User(TypedDict, total=False):
    """`.process.user`: numeric ids inside the container."""

    uid: Required[int]
    gid: Required[int]
    umask: int
    additionalGids: list[int]
    username: str


class Capabilities(TypedDict, total=False):
    """`.process.capabilities`: names such as CAP_CHOWN; unknown ones are only warned of."""

    effective: list[str]
    bounding: list[str]
    inheritable: list[str]
    permitted: list[str]
    ambient: list[str]


class Rlimit(TypedDict):
    """`.process.rlimits[]`: 2**64-1 stands for no limit."""

    type: str
    soft: int
    hard: int


class Scheduler(TypedDict, total=False):
    """`.process.scheduler`; `runtime`, `deadline` and `period` are nanoseconds."""

    policy: Required[str]
    nice: int
    priority: int
    flags: list[str]
    runtime: int
    deadline: int
    period: int


IOPriority = TypedDict("IOPriority", {"class": str, "priority": int})


class ExecCPUAffinity(TypedDict, total=False):
    """`.process.execCPUAffinity`: CPU lists such as `0-3,7`."""

    initial: str
    final: str


class Process(TypedDict, total=False):
    """`.process`, and the whole document of `exec --process`."""

    terminal: bool
    consoleSize: ConsoleSize
    user: User
    args: list[str]
    commandLine: str
    env: list[str]
    cwd: Required[str]
    capabilities: Capabilities
    rlimits: list[Rlimit]
    noNewPrivileges: bool
    apparmorProfile: str
    oomScoreAdj: int
    scheduler: Scheduler
    selinuxLabel: str
    ioPriority: IOPriority
    execCPUAffinity: ExecCPUAffinity


class Hook(TypedDict, total=False):
    """`.hooks.KIND[]`; `timeout` is seconds."""

    path: Required[str]
    args: list[str]
    env: list[str]
    timeout: int


class Hooks(TypedDict, total=False):
    """`.hooks`."""

    prestart: list[Hook]
    createRuntime: list[Hook]
    createContainer: list[Hook]
    startContainer: list[Hook]
    poststart: list[Hook]
    poststop: list[Hook]


class Namespace(TypedDict, total=False):
    """`.linux.namespaces[]`: without `path` a new one is made."""

    type: Required[NamespaceType]
    path: str


class Device(TypedDict, total=False):
    """`.linux.devices[]`; `fileMode` is the number itself (438 is 0666)."""

    type: Required[Literal["c", "b", "u", "p"]]
    path: Required[str]
    major: int
    minor: int
    fileMode: int
    uid: int
    gid: int


class NetDevice(TypedDict, total=False):
    """`.linux.netDevices.NAME`."""

    name: str


class DeviceRule(TypedDict, total=False):
    """`.linux.resources.devices[]`."""

    allow: Required[bool]
    type: str
    major: int
    minor: int
    access: str


class Memory(TypedDict, total=False):
    """`.linux.resources.memory`: bytes, -1 is no limit; `swap` is memory and swap together."""

    limit: int
    reservation: int
    swap: int
    kernel: int
    kernelTCP: int
    swappiness: int
    disableOOMKiller: bool
    useHierarchy: bool
    checkBeforeUpdate: bool


class CPU(TypedDict, total=False):
    """`.linux.resources.cpu`: times in microseconds, `cpus` and `mems` lists such as `0-3,7`."""

    shares: int
    quota: int
    burst: int
    period: int
    realtimeRuntime: int
    realtimePeriod: int
    cpus: str
    mems: str
    idle: int


class Pids(TypedDict, total=False):
    """`.linux.resources.pids`: -1 is no limit."""

    limit: int


class WeightDevice(TypedDict, total=False):
    """`.linux.resources.blockIO.weightDevice[]`."""

    major: Required[int]
    minor: Required[int]
    weight: int
    leafWeight: int


class ThrottleDevice(TypedDict):
    """`.linux.resources.blockIO.throttle*Device[]`: bytes or operations per second."""

    major: int
    minor: int
    rate: int


class BlockIO(TypedDict, total=False):
    """`.linux.resources.blockIO`."""

    weight: int
    leafWeight: int
    weightDevice: list[WeightDevice]
    throttleReadBpsDevice: list[ThrottleDevice]
    throttleWriteBpsDevice: list[ThrottleDevice]
    throttleReadIOPSDevice: list[ThrottleDevice]
    throttleWriteIOPSDevice: list[ThrottleDevice]


class HugepageLimit(TypedDict):
    """`.linux.resources.hugepageLimits[]`: `pageSize` as in `2MB`, `limit` in bytes."""

    pageSize: str
    limit: int


class InterfacePriority(TypedDict):
    """`.linux.resources.network.priorities[]`."""

    name: str
    priority: int


class Network(TypedDict, total=False):
    """`.linux.resources.network`."""

    classID: int
    priorities: list[InterfacePriority]


class Rdma(TypedDict, total=False):
    """`.linux.resources.rdma.DEVICE`."""

    hcaHandles: int
    hcaObjects: int


class Resources(TypedDict, total=False):
    """`.linux.resources`, and the whole document of `update --resources`."""

    devices: list[DeviceRule]
    memory: Memory
    cpu: CPU
    pids: Pids
    blockIO: BlockIO
    hugepageLimits: list[HugepageLimit]
    network: Network
    rdma: dict[str, Rdma]
    unified: dict[str, str]


class IntelRdt(TypedDict, total=False):
    """`.linux.intelRdt`."""

    closID: str
    l3CacheSchema: str
    memBwSchema: str
    schemata: list[str]
    enableMonitoring: bool


class MemoryPolicy(TypedDict, total=False):
    """`.linux.memoryPolicy`: `nodes` is a list such as `0-3,7`."""

    mode: Required[str]
    nodes: str
    flags: list[str]


class SeccompArg(TypedDict, total=False):
    """`.linux.seccomp.syscalls[].args[]`."""

    index: Required[int]
    value: Required[int]
    valueTwo: int
    op: Required[str]


class SeccompSyscall(TypedDict, total=False):
    """`.linux.seccomp.syscalls[]`."""

    names: Required[list[str]]
    action: Required[str]
    errnoRet: int
    args: list[SeccompArg]


class Seccomp(TypedDict, total=False):
    """`.linux.seccomp`."""

    defaultAction: Required[str]
    defaultErrnoRet: int
    architectures: list[str]
    flags: list[str]
    listenerPath: str
    listenerMetadata: str
    syscalls: list[SeccompSyscall]


class Personality(TypedDict, total=False):
    """`.linux.personality`."""

    domain: Required[Literal["LINUX", "LINUX32"]]
    flags: list[str]


class TimeOffset(TypedDict, total=False):
    """`.linux.timeOffsets.CLOCK`."""

    secs: int
    nanosecs: int


class TimeOffsets(TypedDict, total=False):
    """`.linux.timeOffsets`."""

    monotonic: TimeOffset
    boottime: TimeOffset


class Linux(TypedDict, total=False):
    """`.linux`."""

    namespaces: list[Namespace]
    uidMappings: list[IDMapping]
    gidMappings: list[IDMapping]
    timeOffsets: TimeOffsets
    devices: list[Device]
    netDevices: dict[str, NetDevice]
    cgroupsPath: str
    resources: Resources
    intelRdt: IntelRdt
    memoryPolicy: MemoryPolicy
    sysctl: dict[str, str]
    seccomp: Seccomp
    rootfsPropagation: str
    maskedPaths: list[str]
    readonlyPaths: list[str]
    mountLabel: str
    personality: Personality


class Config(TypedDict, total=False):
    """The whole of config.json; the blocks of other platforms are accepted and ignored."""

    ociVersion: Required[str]
    root: Required[Root]
    mounts: list[Mount]
    process: Process
    hostname: str
    domainname: str
    hooks: Hooks
    linux: Linux
    annotations: dict[str, str]
    windows: dict[str, Any]
    solaris: dict[str, Any]
    vm: dict[str, Any]
    zos: dict[str, Any]
    freebsd: dict[str, Any]


class State(TypedDict, total=False):
    """What `state` prints and hooks read (runtime.md, State); `pid` is absent or 0 when stopped."""

    ociVersion: Required[str]
    id: Required[str]
    status: Required[Status]
    pid: int
    bundle: Required[str]
    annotations: dict[str, str]
