"""config-linux.md#control-groups: paths and every resource, on cgroup v1 and v2; values are read on the host."""

import os

from suite import cgroups
from suite.case import case
from suite.context import Context


def resources(t: Context, **fields) -> None:
    t.config["linux"]["resources"].update(fields)


def v1(t: Context, controller: str) -> None:
    t.need(controller in cgroups.hierarchies(), f"this host has no {controller} hierarchy of cgroup v1")


def v2(t: Context, controller: str) -> None:
    t.need(cgroups.unified(), "this host does not use cgroup v2 alone")
    with open(f"{cgroups.ROOT}/cgroup.controllers", encoding="utf-8") as file:
        t.need(controller in file.read().split(), f"this host's cgroup v2 has no {controller} controller")


# ---- paths ----


@case(
    "cgroups/absolute-path",
    "config-linux.md#cgroups-path: an absolute path is relative to the mount point",
    "R-250",
    "R-308",
)
def absolute(t: Context) -> None:
    t.config["linux"]["cgroupsPath"] = f"/{t.token}/below/{t.token}-leaf"
    container = t.container().create()
    try:
        for controller, path in cgroups.of_process(container.pid).items():
            if controller and not controller.startswith("systemd"):
                t.check(path.endswith(f"/{t.token}/below/{t.token}-leaf"), f"{controller}: {path}")
    finally:
        t.works(container.delete("--force"), "delete")
        for path in cgroups.named(t.token):
            t.check("leaf" not in path.rsplit("/", 1)[-1], f"{path} is left")
            cgroups.remove(path)


@case(
    "cgroups/same-path-same-place",
    "config-linux.md#cgroups-path: MUST consistently attach to the same place",
    "R-250",
)
def consistent(t: Context) -> None:
    t.config["linux"]["cgroupsPath"] = f"{t.token}-relative"
    places = []
    for _ in range(2):
        container = t.container().create()
        places.append({k: v for k, v in cgroups.of_process(container.pid).items() if k})
        t.works(container.delete("--force"), "delete")
    t.equal(places[0], places[1], "second place")
    t.check(
        not places[0] or any(t.token in path for path in places[0].values()), "the path has nothing of cgroupsPath"
    )


@case("cgroups/relative-path", "config-linux.md#cgroups-path: MUST be either absolute or relative", "R-250")
def relative(t: Context) -> None:
    t.config["linux"]["cgroupsPath"] = f"{t.token}-relative"
    t.go()


@case("cgroups/no-path", "config-linux.md#cgroups-path: OPTIONAL", "R-250")
def no_path(t: Context) -> None:
    del t.config["linux"]["cgroupsPath"]
    t.go()


@case(
    "cgroups/joined-before-the-program-runs",
    "config-linux.md#control-groups: the container's processes are in its cgroup",
    "R-151",
    "R-308",
)
def joined(t: Context) -> None:
    lines = t.go("--only", "cgroup")["cgroup"]
    v = [
        line
        for line in lines
        if line.split(":")[1] in ("memory", "pids", "cpu") or (cgroups.unified() and line.startswith("0::"))
    ]
    t.check(v, "no cgroup is shown")
    for line in v:
        t.check(line.endswith(t.token), line)


@case(
    "cgroups/dotdot-stays-below-the-root",
    "config-linux.md#cgroups-path: relative to the mount point",
    "R-250",
    level="common",
)
def dotdot(t: Context) -> None:
    t.config["linux"]["cgroupsPath"] = f"/../../../{t.token}-up"
    container = t.container()
    if container.try_create().status == 0:
        places = cgroups.of_process(container.pid)
        t.check(all("/../" not in path for path in places.values()), f"{places}")


@case("cgroups/sub-cgroups-are-removed", "runtime.md#delete: MUST delete what create made", "R-082", "R-088")
def sub_cgroups(t: Context) -> None:
    container = t.container().create()
    places = [
        p for k, p in cgroups.of_process(container.pid).items() if t.token in p and k in ("pids", "memory", "")
    ]
    t.check(places, "the container has no cgroup of its own")
    os.makedirs(f"{places[0]}/sub/sub")
    container.start().wait()
    t.works(container.delete(), "delete")
    t.check(not os.path.exists(places[0]), "the cgroup is left")


@case(
    "cgroups/foreign-cgroup-is-kept",
    "runtime.md#delete: resources that create did not make MUST NOT be deleted",
    "R-087",
)
def foreign(t: Context) -> None:
    t.config["linux"]["cgroupsPath"] = f"/{t.token}-parent/{t.token}-child"
    base = next((cgroups.hierarchies()[c] for c in ("pids", "memory", "") if c in cgroups.hierarchies()), None)
    t.need(base, "this host has no cgroups")
    parent = f"{base}/{t.token}-parent"
    os.mkdir(parent)
    try:
        t.go()
        t.check(os.path.isdir(parent), "the parent, which was there before, is gone")
    finally:
        for path in cgroups.named(t.token):
            cgroups.remove(path)


# ---- resources: (field path, value, v1 controller, v1 file, v1 text, v2 file, v2 text) ----

MIB = 1 << 20
NUMBERS = {
    "memory-limit": (
        {"memory": {"limit": 64 * MIB}},
        "memory",
        "memory.limit_in_bytes",
        str(64 * MIB),
        "memory.max",
        str(64 * MIB),
    ),
    "memory-limit-unlimited": (
        {"memory": {"limit": -1}},
        "memory",
        "memory.limit_in_bytes",
        "9223372036854771712",
        "memory.max",
        "max",
    ),
    "memory-reservation": (
        {"memory": {"reservation": 32 * MIB}},
        "memory",
        "memory.soft_limit_in_bytes",
        str(32 * MIB),
        "memory.low",
        str(32 * MIB),
    ),
    "memory-swap": (
        {"memory": {"limit": 64 * MIB, "swap": 96 * MIB}},
        "memory",
        "memory.memsw.limit_in_bytes",
        str(96 * MIB),
        "memory.swap.max",
        str(32 * MIB),
    ),
    "memory-swap-equal": (
        {"memory": {"limit": 64 * MIB, "swap": 64 * MIB}},
        "memory",
        "memory.memsw.limit_in_bytes",
        str(64 * MIB),
        "memory.swap.max",
        "0",
    ),
    "memory-swappiness": ({"memory": {"swappiness": 33}}, "memory", "memory.swappiness", "33", None, None),
    "cpu-shares": ({"cpu": {"shares": 512}}, "cpu", "cpu.shares", "512", "cpu.weight", None),
    "cpu-quota": (
        {"cpu": {"quota": 20000, "period": 50000}},
        "cpu",
        "cpu.cfs_quota_us",
        "20000",
        "cpu.max",
        "20000 50000",
    ),
    "cpu-quota-unlimited": ({"cpu": {"quota": -1}}, "cpu", "cpu.cfs_quota_us", "-1", "cpu.max", "max 100000"),
    "cpu-period": (
        {"cpu": {"quota": 20000, "period": 50000}},
        "cpu",
        "cpu.cfs_period_us",
        "50000",
        "cpu.max",
        "20000 50000",
    ),
    "cpu-burst": (
        {"cpu": {"quota": 20000, "period": 50000, "burst": 10000}},
        "cpu",
        "cpu.cfs_burst_us",
        "10000",
        "cpu.max.burst",
        "10000",
    ),
    "cpu-idle": ({"cpu": {"idle": 1}}, "cpu", "cpu.idle", "1", "cpu.idle", "1"),
    "cpu-realtime-runtime": (
        {"cpu": {"realtimePeriod": 1000000, "realtimeRuntime": 10000}},
        "cpu",
        "cpu.rt_runtime_us",
        "10000",
        None,
        None,
    ),
    "cpu-realtime-period": (
        {"cpu": {"realtimePeriod": 500000, "realtimeRuntime": 5000}},
        "cpu",
        "cpu.rt_period_us",
        "500000",
        None,
        None,
    ),
    "cpu-cpus": ({"cpu": {"cpus": "0"}}, "cpuset", "cpuset.cpus", "0", "cpuset.cpus", "0"),
    "cpu-mems": ({"cpu": {"mems": "0"}}, "cpuset", "cpuset.mems", "0", "cpuset.mems", "0"),
    "pids-limit": ({"pids": {"limit": 17}}, "pids", "pids.max", "17", "pids.max", "17"),
    "pids-limit-unlimited": ({"pids": {"limit": -1}}, "pids", "pids.max", "max", "pids.max", "max"),
    "hugepages-2MB": (
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]},
        "hugetlb",
        "hugetlb.2MB.limit_in_bytes",
        str(4 * MIB),
        "hugetlb.2MB.max",
        str(4 * MIB),
    ),
    "hugepages-2MB-reservation": (
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]},
        "hugetlb",
        "hugetlb.2MB.rsvd.limit_in_bytes",
        str(4 * MIB),
        "hugetlb.2MB.rsvd.max",
        str(4 * MIB),
    ),
    "network-class": ({"network": {"classID": 1048577}}, "net_cls", "net_cls.classid", "1048577", None, None),
    "block-weight": (
        {"blockIO": {"weight": 300}},
        "blkio",
        "blkio.bfq.weight",
        "300",
        "io.bfq.weight",
        "default 300",
    ),
}

ANCHOR = {
    "memory": "memory",
    "cpu": "cpu",
    "pids": "pids",
    "hugepageLimits": "huge-page-limits",
    "network": "network",
    "blockIO": "block-io",
}
NUMBER_OF = {"memory": "R-251", "cpu": "R-251", "pids": "R-251"}

for name, (fields, controller, file1, text1, file2, text2) in NUMBERS.items():

    @case(
        f"cgroups/{name}",
        f"config-linux.md#{ANCHOR[next(iter(fields))]}: the limit is set before the program runs",
        "R-251",
    )
    def _number(
        t: Context,
        fields: dict = fields,
        controller: str = controller,
        file1: str = file1,
        text1: str = text1,
        file2: str | None = file2,
        text2: str | None = text2,
    ) -> None:
        mounted = cgroups.hierarchies()
        if controller in mounted:
            t.need(
                os.path.exists(f"{mounted[controller]}/{file1}") or has_child_file(mounted[controller], file1),
                f"this kernel has no {file1}",
            )
            want = text1
        else:
            t.need(file2 and text2, f"this host has no {controller} hierarchy of cgroup v1")
            v2(t, {"cpuset": "cpuset", "blkio": "io"}.get(controller, controller))
            t.need(
                file2 != "io.bfq.weight" or has_child_file(cgroups.ROOT, "io.bfq.weight"), "no io.bfq.weight here"
            )
            want = str(text2)
        resources(t, **fields)
        container = t.container().create()
        t.equal(
            t.cgroup_file(container, controller, file1, file2), want, file1 if controller in mounted else str(file2)
        )


def has_child_file(directory: str, name: str) -> bool:
    """A file that root cgroups do not have: look in a new child."""
    child = f"{directory}/cf-look-{os.getpid()}"
    try:
        os.mkdir(child)
        return os.path.exists(f"{child}/{name}")
    except OSError:
        return False
    finally:
        if os.path.isdir(child):
            os.rmdir(child)


@case("cgroups/cpu-shares-weight", "config-linux.md#cpu: shares, as cgroup v2's weight", "R-251")
def shares_weight(t: Context) -> None:
    v2(t, "cpu")
    resources(t, cpu={"shares": 262144})
    t.equal(t.cgroup_file(t.container().create(), "cpu", "cpu.shares", "cpu.weight"), "10000", "cpu.weight")


@case("cgroups/memory-disable-oom-killer", "config-linux.md#memory: disableOOMKiller", "R-251")
def oom_killer(t: Context) -> None:
    v1(t, "memory")
    resources(t, memory={"disableOOMKiller": True})
    text = t.cgroup_file(t.container().create(), "memory", "memory.oom_control")
    t.check("oom_kill_disable 1" in text, text)


@case("cgroups/memory-limit-is-in-force", "config-linux.md#memory: limit of memory usage", "R-251")
def memory_force(t: Context) -> None:
    resources(t, memory={"limit": 16 * MIB, "swap": 16 * MIB})
    t.args("--alloc", "64")
    container = t.container().create().start()
    t.equal(container.wait(20), 137, "exit status of a program that needs 64 MiB in 16 MiB")


@case(
    "cgroups/memory-limit-of-6-MiB",
    "config-linux.md#memory: limit; the smallest that engines accept",
    "R-287",
    level="common",
)
def memory_small(t: Context) -> None:
    resources(t, memory={"limit": 6 * MIB, "swap": 6 * MIB})
    t.go("--only", "none")


@case(
    "cgroups/memory-swap-below-limit",
    "runtime.md#create: a property that cannot be applied MUST be an error",
    "R-251",
)
def swap_below(t: Context) -> None:
    resources(t, memory={"limit": 64 * MIB, "swap": 32 * MIB})
    t.refused()


for field in ("kernel", "kernelTCP"):

    @case(
        f"cgroups/memory-{field}-is-no-failure",
        "config-linux.md#memory: NOT RECOMMENDED, deprecated kernel interfaces",
        "R-251",
        level="common",
    )
    def _kernel(t: Context, field: str = field) -> None:
        resources(t, memory={field: 32 * MIB})
        t.go()


@case("cgroups/pids-limit-is-in-force", "config-linux.md#pids: the maximum number of tasks", "R-251", "R-288")
def pids_force(t: Context) -> None:
    resources(t, pids={"limit": 1})
    nr = "57" if os.uname().machine == "x86_64" else "220"
    t.equal(
        t.go("--only", "none", "--syscall", nr, "0x11", "0", "0", "0", "0").action("syscall").get("errno"),
        "EAGAIN",
        "fork over the limit",
    )


@case(
    "cgroups/pids-limit-0",
    "config-linux.md#pids: 0 is a valid limit and SHOULD be treated as such",
    "R-251",
    level="SHOULD",
)
def pids_zero(t: Context) -> None:
    t.config["ociVersion"] = "1.3.0"  # before, the sentence was not there
    resources(t, pids={"limit": 0})
    nr = "57" if os.uname().machine == "x86_64" else "220"
    t.equal(
        t.go("--only", "none", "--syscall", nr, "0x11", "0", "0", "0", "0").action("syscall").get("errno"),
        "EAGAIN",
        "fork",
    )


for name, fields in {
    "cpuset-out-of-range": {"cpu": {"cpus": "9000"}},
    "cpuset-not-a-list": {"cpu": {"cpus": "zero"}},
    "mems-out-of-range": {"cpu": {"mems": "900"}},
    "quota-too-small": {"cpu": {"quota": 1, "period": 1}},
    "burst-over-quota": {"cpu": {"quota": 20000, "period": 50000, "burst": 40000}},
    "hugepage-size-unknown": {"hugepageLimits": [{"pageSize": "3MB", "limit": 3 * MIB}]},
    "network-priority-of-no-interface": {"network": {"priorities": [{"name": "none0", "priority": 1}]}},
    "rdma-of-no-device": {"rdma": {"none_0": {"hcaHandles": 3}}},
}.items():

    @case(
        f"cgroups/impossible-{name}",
        "config-linux.md#control-groups: a limit that cannot be set MUST be an error",
        "R-251",
        "R-037",
    )
    def _impossible(t: Context, fields: dict = fields) -> None:
        resources(t, **fields)
        t.refused()


BLOCK = {
    "throttleReadBpsDevice": ("blkio.throttle.read_bps_device", "rbps"),
    "throttleWriteBpsDevice": ("blkio.throttle.write_bps_device", "wbps"),
    "throttleReadIOPSDevice": ("blkio.throttle.read_iops_device", "riops"),
    "throttleWriteIOPSDevice": ("blkio.throttle.write_iops_device", "wiops"),
}  # fmt: skip

for field, (file1, key2) in BLOCK.items():

    @case(f"cgroups/block-{field}", "config-linux.md#block-io: the rate limit of the device", "R-251")
    def _throttle(t: Context, field: str = field, file1: str = file1, key2: str = key2) -> None:
        device = a_disk()
        t.need(device, "this host has no disk")
        major, minor = device
        if not cgroups.unified():
            v1(t, "blkio")
            t.need(has_child_file(cgroups.hierarchies()["blkio"], file1), f"this kernel has no {file1}")
        else:
            v2(t, "io")
        resources(t, blockIO={field: [{"major": major, "minor": minor, "rate": 7000}]})
        text = t.cgroup_file(t.container().create(), "blkio", file1, "io.max")
        want = f"{key2}=7000" if cgroups.unified() else f"{major}:{minor} 7000"
        t.check(want in text, f"{text!r} has no {want!r}")


def a_disk() -> tuple[int, int] | None:
    for name in sorted(os.listdir("/sys/block")):
        if not name.startswith(("loop", "ram", "zram", "dm-", "md", "sr")):
            with open(f"/sys/block/{name}/dev", encoding="ascii") as file:
                major, minor = file.read().split(":")
                return int(major), int(minor)
    return None


@case("cgroups/cpu-cpus-are-seen-inside", "config-linux.md#cpu: the CPUs the container will run on", "R-251")
def cpus_inside(t: Context) -> None:
    t.need(len(os.sched_getaffinity(0)) > 1, "this host has one processor")
    resources(t, cpu={"cpus": "1"})
    t.equal(t.go("--only", "sched")["sched"]["affinity"], [1], "processors")


@case("cgroups/resources-absent", "config-linux.md#control-groups: OPTIONAL", "R-251")
def absent(t: Context) -> None:
    del t.config["linux"]["resources"]
    t.go()


@case("cgroups/empty-resources", "config-linux.md#control-groups: every part is OPTIONAL", "R-251")
def empty(t: Context) -> None:
    t.config["linux"]["resources"] = {
        "memory": {},
        "cpu": {},
        "pids": {},
        "blockIO": {},
        "hugepageLimits": [],
        "network": {},
        "devices": [],
    }
    t.go()


# ---- unified ----


@case(
    "cgroups/unified-on-v1", "config-linux.md#unified: a controller that is not present MUST be an error", "R-253"
)
def unified_v1(t: Context) -> None:
    t.need(not cgroups.unified(), "this host uses cgroup v2")
    resources(t, unified={"memory.high": "100000000"})
    t.refused()


@case("cgroups/unified-value", "config-linux.md#unified: key is the file, value is written to it", "R-253")
def unified_value(t: Context) -> None:
    v2(t, "memory")
    resources(t, unified={"memory.high": str(64 * MIB), "pids.max": "55"})
    container = t.container().create()
    t.equal(t.cgroup_file(container, "none", "none", "memory.high"), str(64 * MIB), "memory.high")
    t.equal(t.cgroup_file(container, "none", "none", "pids.max"), "55", "pids.max")


@case("cgroups/unified-overrides", "config-linux.md#unified: allows parameters to be set and modified", "R-253")
def unified_overrides(t: Context) -> None:
    v2(t, "memory")
    resources(t, memory={"limit": 64 * MIB}, unified={"memory.max": str(32 * MIB)})
    t.equal(t.cgroup_file(t.container().create(), "none", "none", "memory.max"), str(32 * MIB), "memory.max")


@case(
    "cgroups/unified-unknown-controller",
    "config-linux.md#unified: a controller that is not present MUST be an error",
    "R-253",
)
def unified_unknown(t: Context) -> None:
    resources(t, unified={"nosuch.limit": "1"})
    t.refused()


@case("cgroups/unified-with-a-slash", "config-linux.md#unified: the key is a file of the cgroup", "R-253")
def unified_slash(t: Context) -> None:
    resources(t, unified={"../memory.max": "100000000"})
    t.refused()


# ---- device access ----

ACCESS = {
    "default-devices-usable": ([{"allow": False, "access": "rwm"}], "/dev/null", None),
    "others-denied": ([{"allow": False, "access": "rwm"}], "/dev/made", "EPERM"),
    "allowed-by-number": (
        [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 237, "access": "rw"},
        ],
        "/dev/made",
        None,
    ),
    "allowed-by-wildcard": (
        [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "access": "rw"}],
        "/dev/made",
        None,
    ),
    "last-entry-wins": (
        [
            {"allow": True, "access": "rwm"},
            {"allow": False, "type": "c", "major": 10, "minor": 237, "access": "rw"},
        ],
        "/dev/made",
        "EPERM",
    ),
    "type-all": (
        [{"allow": False, "access": "rwm"}, {"allow": True, "type": "a", "access": "rwm"}],
        "/dev/made",
        None,
    ),
}

for name, (rules, path, errno) in ACCESS.items():

    @case(
        f"cgroups/devices-{name}",
        "config-linux.md#allowed-device-list: entries MUST be applied in the listed order",
        "R-251",
    )
    def _access(
        t: Context, name: str = name, rules: list = rules, path: str = path, errno: str | None = errno
    ) -> None:
        if name == "last-entry-wins":
            t.need(cgroups.unified(), "a deny-list after allow-all has other default entries on cgroup v1")
        resources(t, devices=rules)
        t.config["linux"]["devices"] = [{"path": "/dev/made", "type": "c", "major": 10, "minor": 237}]
        got = t.go("--only", "none", "--open", path).action("open").get("errno")
        t.equal("EPERM" if got == "EPERM" else None, errno, f"opening {path}")


@case("cgroups/devices-read-only", "config-linux.md#allowed-device-list: access r, w, m", "R-251")
def device_read(t: Context) -> None:
    resources(
        t,
        devices=[
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 237, "access": "r"},
        ],
    )
    t.config["linux"]["devices"] = [{"path": "/dev/made", "type": "c", "major": 10, "minor": 237}]
    out = t.go("--only", "none", "--open", "/dev/made", "--openrw", "/dev/made")
    t.equal(
        [a.get("errno") == "EPERM" for a in out["actions"]], [False, True], "open refused for reading, for writing"
    )


@case("cgroups/devices-block-denied", "config-linux.md#allowed-device-list", "R-251")
def device_block(t: Context) -> None:
    disk = a_disk()
    t.need(disk, "this host has no disk")
    t.config["linux"]["devices"] = [{"path": "/dev/disk", "type": "b", "major": disk[0], "minor": disk[1]}]
    t.equal(t.go("--only", "none", "--open", "/dev/disk").action("open").get("errno"), "EPERM", "opening the disk")


@case("cgroups/devices-unknown-type", "config.md#valid-values: unsupported values MUST be an error", "R-251")
def device_unknown(t: Context) -> None:
    resources(t, devices=[{"allow": False, "access": "rwm"}, {"allow": True, "type": "z", "access": "rwm"}])
    t.refused()


@case("cgroups/devices-unknown-access", "config.md#valid-values: unsupported values MUST be an error", "R-251")
def device_access(t: Context) -> None:
    resources(
        t,
        devices=[
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 237, "access": "xyz"},
        ],
    )
    t.refused()


# ---- not the cgroup's, but among them ----


@case("cgroups/intel-rdt-without-resctrl", "config-linux.md#intelrdt: no mounted resctrl MUST be an error", "R-254")
def rdt(t: Context) -> None:
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        t.need(" resctrl " not in file.read(), "resctrl is mounted here")
    t.config["linux"]["intelRdt"] = {"closID": "conformance", "l3CacheSchema": "L3:0=f"}
    t.refused()


@case("cgroups/intel-rdt-newline", "config-linux.md#intelrdt: schemas MUST NOT contain newlines", "R-254")
def rdt_newline(t: Context) -> None:
    t.config["linux"]["intelRdt"] = {"closID": "conformance", "memBwSchema": "MB:0=50\nL3:0=f"}
    t.refused()
