"""The cgroup file driver against the kernel, on whatever hierarchies this host has.

Every test has a cgroup tree of its own, /pyoci-test-PID-N, and fails when anything of it is left.
"""

import itertools
import os
import signal
import stat
import time

import pytest

from pyoci.cgroup import device_bpf, tree
from pyoci.cgroup.driver import Cgroup
from pyoci.cgroup.layout import Layout, detect
from pyoci.errors import HostError, OperationError
from pyoci.kernel.process import clone3

from .host import patience

LAYOUT = detect()
NUMBERS = itertools.count()
V2 = LAYOUT.mode == "unified"
V1 = LAYOUT.mode in ("legacy", "hybrid")
MIB = 1 << 20
ALL = {"allow": True, "access": "rwm"}

pytestmark = pytest.mark.skipif(LAYOUT.mode == "none", reason="no cgroup file system is mounted")
only_v1 = pytest.mark.skipif(not V1, reason="this host has no cgroup v1 hierarchies")
only_v2 = pytest.mark.skipif(not V2, reason="this host is not pure cgroup v2")
CONTROLLERS = set(LAYOUT.controllers) | {name for h in LAYOUT.hierarchies for name in h.controllers}


def needs(controller):
    """Skip with the reason when the host lacks a controller (io and blkio are the same thing)."""
    name = {"io": "blkio", "blkio": "io"}.get(controller)
    return pytest.mark.skipif(
        controller not in CONTROLLERS and name not in CONTROLLERS, reason="no %s controller" % controller
    )


@pytest.fixture
def name():
    """An absolute cgroupsPath; whatever is below it in any hierarchy afterwards is a failure."""
    top = "/pyoci-test-%d-%d" % (os.getpid(), next(NUMBERS))
    yield top + "/c"
    mounts = [h.mountpoint for h in LAYOUT.hierarchies] + ([LAYOUT.unified.mountpoint] if LAYOUT.unified else [])
    left = []
    for mount in mounts:
        path = mount + top
        if os.path.isdir(path):
            left += [found for found in [path, *tree.children(path)] if found != path or tree.processes(path)]
            for pid in tree.processes(path):
                os.kill(pid, signal.SIGKILL)
            tree.remove([path])
    assert left == []


@pytest.fixture
def make(name):
    """make(resources) -> Cgroup with its directories made; emptied and removed at the end."""
    made = []

    def build(resources=None, *, create=True, path=None, layout=LAYOUT):
        cgroup = Cgroup.for_container(layout, path or name, "id", {"devices": [ALL], **(resources or {})})
        if create:
            cgroup.create()
            made.append(cgroup)
        return cgroup

    yield build
    for cgroup in made:
        cgroup.kill()
        reap()
        cgroup.remove()


@pytest.fixture
def inside():
    """inside(cgroup, action) -> pid of a child in the cgroup that runs `action` and exits with its result."""
    pids = []

    def start(cgroup, action=lambda: time.sleep(1000)):
        tasks = cgroup.join_fds()
        target = cgroup.clone_fd()
        ready, tell = os.pipe()
        pid, pidfd = clone3(0, cgroup_fd=target)
        if pid == 0:
            status = 99
            try:
                for _, fd in tasks:
                    os.write(fd, b"0")
                os.write(tell, b".")
                status = action() or 0
            except OSError as error:
                status = error.errno
            finally:
                os._exit(status)
        os.close(pidfd)
        os.close(tell)
        for fd in [fd for _, fd in tasks] + ([target] if target >= 0 else []):
            os.close(fd)
        assert os.read(ready, 1) == b"."
        os.close(ready)
        pids.append(pid)
        return pid

    yield start
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    reap()


def reap():
    """Collect every child that has ended or is about to (all of ours were killed)."""
    deadline = time.monotonic() + patience(20)
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(0.005)


def result(pid):
    """The exit status of a child; minus the signal's number if one killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def value(cgroup, controller, file):
    """The text of a file in the container's directory."""
    for directory in cgroup.directories:
        if controller in directory.controllers or (V2 and directory.unified):
            return tree.read(directory.path + "/" + file).strip()
    raise AssertionError("no directory for " + controller)


def disk():
    """MAJ:MIN of a real disk."""
    for entry in sorted(os.listdir("/sys/block")):
        if not entry.startswith(("loop", "ram", "zram", "fd", "sr")):
            with open("/sys/block/%s/dev" % entry) as file:
                return file.read().strip()
    pytest.skip("no disk")


def limited(make, resources):
    cgroup = make(resources)
    cgroup.apply_limits()
    return cgroup


# ---- directories ----


def test_create_makes_a_directory_in_every_hierarchy_and_remove_leaves_only_the_parents(make):
    cgroup = make()
    assert len(cgroup.directories) == len(LAYOUT.hierarchies) + (LAYOUT.unified is not None)
    for directory in cgroup.directories:
        assert stat.S_IMODE(os.stat(directory.path).st_mode) == 0o755
    assert cgroup.exists()
    cgroup.remove()
    assert not cgroup.exists()
    for directory in cgroup.directories:
        assert os.path.isdir(os.path.dirname(directory.path))
    cgroup.remove()


def test_modes_do_not_depend_on_the_umask(make):
    old = os.umask(0o077)
    try:
        cgroup = make()
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(cgroup.directories[0].path).st_mode) == 0o755


def test_an_empty_cgroup_that_was_there_before_is_taken_over(make):
    make()
    make({"pids": {"limit": 7}}).apply_limits()


def test_a_cgroup_with_a_process_is_refused_and_left_alone(make, inside):
    pid = inside(make())
    with pytest.raises(OperationError) as caught:
        make(create=True)
    assert caught.value.message == "container's cgroup is not empty: 1 process(es) found"
    assert str(pid) in caught.value.cause
    assert make(create=False).processes() == [pid]


def test_a_process_in_a_sub_cgroup_counts_too(make, inside, name):
    make()
    inside(make(path=name + "/sub"))
    with pytest.raises(OperationError, match="is not empty: 1 process"):
        make()


def test_a_frozen_cgroup_is_refused(make):
    cgroup = make()
    cgroup.freeze()
    with pytest.raises(OperationError, match="container's cgroup unexpectedly frozen"):
        make()
    cgroup.thaw()


def test_a_failed_create_removes_what_it_made(make, name, inside):
    blocker = make()
    inside(blocker)
    outer = make(path=os.path.dirname(name) + "/d/e/f", create=False)
    paths = [os.path.dirname(os.path.dirname(d.path)) for d in outer.directories]
    outer.directories.append(blocker.directories[0])
    with pytest.raises(OperationError, match="is not empty"):
        outer.create()
    assert not any(os.path.exists(path) for path in paths)
    assert not outer.created
    assert outer.to_record()["directories"] == []


def test_removing_after_a_refused_create_touches_nothing(make, inside, name):
    """Cleaning up after `container's cgroup is not empty` must not take the other container's sub-cgroups."""
    other = make()
    inside(other)
    make(path=name + "/empty")
    refused = make(create=False)
    record = refused.to_record()
    with pytest.raises(OperationError, match="is not empty"):
        refused.create()
    refused.kill()
    started = time.monotonic()
    refused.remove()
    assert time.monotonic() - started < patience(1)
    Cgroup.from_record(record).remove()
    assert len(other.processes()) == 1
    assert all(os.path.isdir(d.path + "/empty") for d in other.directories)


def test_a_record_from_before_create_is_enough_to_remove_what_create_made(make):
    cgroup = make(create=False)
    record = cgroup.to_record()
    cgroup.create()
    Cgroup.from_record(record).remove()
    assert not cgroup.exists()


@only_v1
def test_an_impossible_cpuset_fails_in_create_and_leaves_nothing(make):
    cgroup = make({"cpu": {"cpus": "4000"}}, create=False)
    with pytest.raises(OperationError) as caught:
        cgroup.create()
    assert caught.value.where == ".linux.resources.cpu.cpus"
    assert "the parent cgroup has" in caught.value.fix
    assert not cgroup.exists()


@only_v1
def test_a_new_cpuset_is_filled_at_every_level(make, name):
    cgroup = make(path=name + "/a/b")
    path = next(d.path for d in cgroup.directories if "cpuset" in d.controllers)
    for _ in range(4):
        assert tree.read(path + "/cpuset.cpus").strip()
        assert tree.read(path + "/cpuset.mems").strip()
        path = os.path.dirname(path)
    cgroup.remove()
    tree.remove([os.path.dirname(d.path) for d in cgroup.directories])
    make()


@only_v1
@needs("cpuset")
def test_a_configured_cpuset_is_written_before_joining_and_only_the_other_half_is_copied(make):
    cgroup = make({"cpu": {"cpus": "0"}})
    assert value(cgroup, "cpuset", "cpuset.cpus") == "0"
    assert value(cgroup, "cpuset", "cpuset.mems")


@only_v2
def test_every_level_hands_all_controllers_down(make, name):
    cgroup = make(path=name + "/a/b")
    path = cgroup.directories[0].path
    assert set(tree.read(path + "/cgroup.controllers").split()) == set(LAYOUT.controllers)
    assert tree.read(path + "/cgroup.subtree_control").split() == []
    cgroup.remove()
    tree.remove([os.path.dirname(path)])
    make()


@only_v2
def test_a_controller_that_an_ancestor_keeps_is_named_in_the_error(make, name, inside):
    outer = make()
    inside(outer)  # its process forbids handing controllers down
    inner = make({"memory": {"limit": 64 * MIB}}, path=name + "/inner")
    with pytest.raises(OperationError) as caught:
        inner.apply_limits()
    assert "memory.max" in caught.value.message
    assert (
        "c does not hand the memory controller down: write +memory to its cgroup.subtree_control"
        in caught.value.fix
    )


@only_v2
def test_below_a_threaded_cgroup_limits_of_domain_controllers_are_refused(make, name):
    outer = LAYOUT.unified.mountpoint + name
    os.makedirs(outer)
    tree.write(outer + "/cgroup.type", "threaded")
    with pytest.raises(OperationError, match="it is of type"):
        make({"memory": {"limit": 64 * MIB}}, path=name + "/inner")
    inner = make(path=name + "/inner")
    assert value(inner, "", "cgroup.type") == "threaded"
    inner.remove()
    os.rmdir(outer)


# ---- values ----

FILES = [
    # resources, version 1 {controller/file: text}, version 2 {file: text}
    ({"memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB}},
     {"memory/memory.limit_in_bytes": 64 * MIB, "memory/memory.memsw.limit_in_bytes": 96 * MIB,
      "memory/memory.soft_limit_in_bytes": 32 * MIB},
     {"memory.max": 64 * MIB, "memory.swap.max": 32 * MIB, "memory.low": 32 * MIB}),
    ({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}},
     {"memory/memory.memsw.limit_in_bytes": 64 * MIB}, {"memory.max": 64 * MIB, "memory.swap.max": 0}),
    ({"memory": {"limit": 64 * MIB, "swap": -1}},
     {"memory/memory.limit_in_bytes": 64 * MIB}, {"memory.max": 64 * MIB, "memory.swap.max": "max"}),
    ({"memory": {"limit": -1, "reservation": -1}}, {}, {"memory.max": "max", "memory.low": "max"}),
    ({"memory": {"kernel": 32 * MIB, "kernelTCP": 32 * MIB}}, {}, {}),
    ({"cpu": {"shares": 512}}, {"cpu/cpu.shares": 512}, {"cpu.weight": 59}),
    ({"cpu": {"shares": 1024}}, {"cpu/cpu.shares": 1024}, {"cpu.weight": 100}),
    ({"cpu": {"idle": 1, "shares": 512}}, {"cpu/cpu.idle": 1}, {"cpu.idle": 1}),
    ({"cpu": {"idle": 0, "shares": 512}}, {"cpu/cpu.idle": 0, "cpu/cpu.shares": 512},
     {"cpu.idle": 0, "cpu.weight": 59}),
    ({"cpu": {"quota": 50000}}, {"cpu/cpu.cfs_quota_us": 50000, "cpu/cpu.cfs_period_us": 100000},
     {"cpu.max": "50000 100000"}),
    ({"cpu": {"quota": 50000, "period": 20000}}, {"cpu/cpu.cfs_quota_us": 50000, "cpu/cpu.cfs_period_us": 20000},
     {"cpu.max": "50000 20000"}),
    ({"cpu": {"quota": -1, "period": 20000}}, {"cpu/cpu.cfs_quota_us": -1}, {"cpu.max": "max 20000"}),
    ({"cpu": {"quota": 50000, "period": 100000, "burst": 20000}}, {"cpu/cpu.cfs_burst_us": 20000},
     {"cpu.max.burst": 20000, "cpu.max": "50000 100000"}),
    ({"cpu": {"cpus": "0", "mems": "0"}}, {"cpuset/cpuset.cpus": 0, "cpuset/cpuset.mems": 0},
     {"cpuset.cpus": 0, "cpuset.mems": 0}),
    ({"pids": {"limit": 42}}, {"pids/pids.max": 42}, {"pids.max": 42}),
    ({"pids": {"limit": -1}}, {"pids/pids.max": "max"}, {"pids.max": "max"}),
    ({"pids": {"limit": 0}}, {"pids/pids.max": 1}, {"pids.max": 1}),
    ({"hugepageLimits": [{"pageSize": "2MB", "limit": 3000000}]},
     {"hugetlb/hugetlb.2MB.limit_in_bytes": 2 * MIB, "hugetlb/hugetlb.2MB.rsvd.limit_in_bytes": 2 * MIB},
     {"hugetlb.2MB.max": 2 * MIB, "hugetlb.2MB.rsvd.max": 2 * MIB}),
    ({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]},
     {"hugetlb/hugetlb.2MB.limit_in_bytes": 0}, {"hugetlb.2MB.max": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("resources", "v1", "v2"), FILES, ids=[str(case[0]) for case in FILES])
def test_a_value_reaches_its_file(make, resources, v1, v2):
    try:
        cgroup = limited(make, resources)
    except HostError as error:
        assert error.message.endswith("container could not join or create cgroup")
        pytest.skip("%s (%s)" % (error.message, error.cause))
    if V2:
        expected = {("", file): str(text) for file, text in v2.items()}
    else:
        expected = {tuple(file.split("/")): str(text) for file, text in v1.items()}
    assert {key: value(cgroup, *key) for key in expected} == expected


@only_v1
@needs("memory")
def test_version_1_memory_switches(make):
    cgroup = limited(make, {"memory": {"swappiness": 17, "disableOOMKiller": True, "useHierarchy": True}})
    assert value(cgroup, "memory", "memory.swappiness") == "17"
    assert "oom_kill_disable 1" in value(cgroup, "memory", "memory.oom_control")


@only_v1
@needs("memory")
def test_version_1_without_hierarchy_is_refused_by_the_kernel(make):
    with pytest.raises(OperationError, match="invalid argument") as caught:
        limited(make, {"memory": {"useHierarchy": False}})
    assert caught.value.where == ".linux.resources.memory.useHierarchy"


@only_v1
@needs("cpu")
def test_version_1_realtime_is_set_before_joining(make):
    cgroup = make(create=False)
    path = next(d.root for d in cgroup.directories if "cpu" in d.controllers)
    if not os.path.exists(path + "/cpu.rt_runtime_us"):
        pytest.skip("the kernel has no realtime group scheduling")
    top = make()
    parent = next(os.path.dirname(d.path) for d in top.directories if "cpu" in d.controllers)
    tree.write(parent + "/cpu.rt_runtime_us", "20000")
    top.remove()
    cgroup = make({"cpu": {"realtimePeriod": 500000, "realtimeRuntime": 5000}})
    assert value(cgroup, "cpu", "cpu.rt_runtime_us") == "5000"
    assert value(cgroup, "cpu", "cpu.rt_period_us") == "500000"


@needs("io")
def test_throttling(make):
    device = disk()
    major, minor = map(int, device.split(":"))
    entry = {"major": major, "minor": minor}
    cgroup = limited(make, {"blockIO": {
        "throttleReadBpsDevice": [{**entry, "rate": 1048576}],
        "throttleWriteBpsDevice": [{**entry, "rate": 2097152}],
        "throttleReadIOPSDevice": [{**entry, "rate": 100}],
        "throttleWriteIOPSDevice": [{**entry, "rate": 200}],
    }})  # fmt: skip
    if V2:
        assert value(cgroup, "", "io.max") == "%s rbps=1048576 wbps=2097152 riops=100 wiops=200" % device
    else:
        assert value(cgroup, "blkio", "blkio.throttle.read_bps_device") == device + " 1048576"
        assert value(cgroup, "blkio", "blkio.throttle.write_bps_device") == device + " 2097152"
        assert value(cgroup, "blkio", "blkio.throttle.read_iops_device") == device + " 100"
        assert value(cgroup, "blkio", "blkio.throttle.write_iops_device") == device + " 200"
    cgroup.update({"blockIO": {"throttleReadBpsDevice": [{**entry, "rate": 0}]}})
    if V2:
        assert value(cgroup, "", "io.max") == "%s rbps=max wbps=2097152 riops=100 wiops=200" % device
    else:
        assert value(cgroup, "blkio", "blkio.throttle.read_bps_device") == ""


@needs("io")
def test_weights_reach_the_file_that_the_kernel_has(make):
    cgroup = make()
    path = next(d.path for d in cgroup.directories if "blkio" in d.controllers or V2)
    have = [file for file in ("blkio.weight", "blkio.bfq.weight", "io.bfq.weight", "io.weight")
            if os.path.exists(path + "/" + file)]  # fmt: skip
    cgroup = make({"blockIO": {"weight": 500}})
    if not have:
        with pytest.raises(OperationError, match="no such file or directory") as caught:
            cgroup.apply_limits()
        assert caught.value.where == ".linux.resources.blockIO.weight"
        return
    cgroup.apply_limits()
    expected = "4950" if have[0] == "io.weight" else "500"
    assert tree.read(path + "/" + have[0]).split() in ([expected], ["default", expected])


@needs("hugetlb")
def test_a_huge_page_size_that_the_kernel_lacks_is_named_beside_those_it_has(make):
    with pytest.raises(OperationError) as caught:
        limited(make, {"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]})
    assert "this kernel has no huge pages of that size; it has " in caught.value.cause
    assert caught.value.where == ".linux.resources.hugepageLimits[0].limit"


@only_v2
def test_unified_overrides_the_named_fields_and_takes_several_lines(make):
    device = disk()
    cgroup = limited(make, {"memory": {"limit": 64 * MIB}, "unified": {
        "memory.high": "%d" % (32 * MIB), "memory.max": "%d" % (48 * MIB), "cgroup.max.depth": "3",
        "io.max": "%s rbps=1000000\n%s wiops=50\n" % (device, device),
    }})  # fmt: skip
    assert value(cgroup, "", "memory.high") == str(32 * MIB)
    assert value(cgroup, "", "memory.max") == str(48 * MIB)
    assert value(cgroup, "", "cgroup.max.depth") == "3"
    assert value(cgroup, "", "io.max") == "%s rbps=1000000 wbps=max riops=max wiops=50" % device


@only_v2
def test_an_unknown_unified_file_is_an_error_with_its_place(make):
    with pytest.raises(OperationError, match="no such file or directory") as caught:
        limited(make, {"unified": {"memory.nonsense": "1"}})
    assert caught.value.where == '.linux.resources.unified["memory.nonsense"]'


@only_v1
@pytest.mark.parametrize(
    ("resources", "controller", "file", "text"),
    [
        ({"network": {"classID": 1048577}}, "net_cls", "net_cls.classid", "1048577"),
        ({"network": {"priorities": [{"name": "lo", "priority": 7}]}}, "net_prio", "net_prio.ifpriomap", "lo 7"),
    ],
)
def test_network(make, resources, controller, file, text):
    if controller not in CONTROLLERS:
        with pytest.raises(HostError, match="cannot set %s limit" % controller):
            make(resources)
        return
    assert text in value(limited(make, resources), controller, file).splitlines()


@needs("pids")
def test_the_kernels_refusal_names_file_value_and_place(make):
    cgroup = make({"cpu": {"quota": 500}})
    with pytest.raises(OperationError) as caught:
        cgroup.apply_limits()
    file = "cpu.max" if V2 else "cpu.cfs_quota_us"
    assert caught.value.message == "cannot write '500' to %s: invalid argument" % file
    assert caught.value.where == ".linux.resources.cpu.quota"
    assert "at least 1000" in caught.value.fix


# ---- updates: the order hazards ----


@needs("memory")
def test_memory_and_swap_can_be_moved_in_every_direction(make):
    cgroup = limited(make, {"memory": {"limit": 64 * MIB, "swap": 64 * MIB}})
    for limit, swap in ((256, 512), (128, 128), (32, 64), (64, 64), (256, 256)):
        cgroup.update({"memory": {"limit": limit * MIB, "swap": swap * MIB}})
        if V2:
            assert value(cgroup, "", "memory.max") == str(limit * MIB)
            assert value(cgroup, "", "memory.swap.max") == str((swap - limit) * MIB)
        else:
            assert value(cgroup, "memory", "memory.limit_in_bytes") == str(limit * MIB)
            assert value(cgroup, "memory", "memory.memsw.limit_in_bytes") == str(swap * MIB)
    cgroup.update({"memory": {"limit": -1}})
    unlimited = value(cgroup, "memory", "memory.max" if V2 else "memory.limit_in_bytes")
    assert unlimited == "max" or int(unlimited) > 1 << 60


@only_v1
@needs("memory")
def test_a_sum_below_the_limit_in_force_is_explained(make):
    cgroup = limited(make, {"memory": {"limit": 64 * MIB}})
    with pytest.raises(OperationError, match=r"memory.memsw.limit_in_bytes: invalid argument") as caught:
        cgroup.update({"memory": {"swap": 32 * MIB}})
    assert "set both" in caught.value.fix


@needs("cpu")
def test_bandwidth_can_be_moved_in_every_direction(make):
    cgroup = limited(make, {"cpu": {"quota": 50000, "period": 100000, "burst": 50000}})
    for quota, period, burst in ((200000, 100000, 150000), (20000, 20000, 10000), (100000, 50000, 0)):
        cgroup.update({"cpu": {"quota": quota, "period": period, "burst": burst}})
        if V2:
            assert value(cgroup, "", "cpu.max") == "%d %d" % (quota, period)
            assert value(cgroup, "", "cpu.max.burst") == str(burst)
        else:
            assert value(cgroup, "cpu", "cpu.cfs_quota_us") == str(quota)
            assert value(cgroup, "cpu", "cpu.cfs_period_us") == str(period)
            assert value(cgroup, "cpu", "cpu.cfs_burst_us") == str(burst)
    cgroup.update({"cpu": {"quota": 30000}})
    cgroup.update({"cpu": {"period": 60000}})
    if V2:
        assert value(cgroup, "", "cpu.max") == "30000 60000"
    else:
        assert value(cgroup, "cpu", "cpu.cfs_quota_us") == "30000"
        assert value(cgroup, "cpu", "cpu.cfs_period_us") == "60000"


@needs("cpu")
def test_idle_can_be_left_again_with_new_shares(make):
    cgroup = limited(make, {"cpu": {"idle": 1}})
    cgroup.update({"cpu": {"idle": 0, "shares": 2048}})
    assert value(cgroup, "cpu", "cpu.weight" if V2 else "cpu.shares") == ("174" if V2 else "2048")


@only_v1
@needs("memory")
def test_a_memory_limit_below_the_usage_reports_usage_and_peak(make, inside):
    cgroup = limited(make, {"memory": {"limit": 64 * MIB, "swap": 64 * MIB, "swappiness": 0}})

    def fill():
        block = bytearray(24 * MIB)
        for i in range(0, len(block), 4096):
            block[i] = 1
        time.sleep(1000)

    inside(cgroup, fill)
    for _ in range(500):
        if int(value(cgroup, "memory", "memory.usage_in_bytes")) > 24 * MIB:
            break
        time.sleep(0.01)
    with pytest.raises(OperationError) as caught:
        cgroup.update({"memory": {"limit": MIB}})
    assert caught.value.message.startswith("unable to set memory limit to 1048576 (current usage: ")
    assert ", peak usage: " in caught.value.message
    assert caught.value.message.endswith("device or resource busy")


@only_v2
@needs("memory")
def test_check_before_update_refuses_a_limit_below_the_usage_instead_of_killing(make, inside):
    cgroup = limited(make, {"memory": {"limit": 64 * MIB}})
    pid = inside(cgroup)
    with pytest.raises(OperationError, match="memory limit 4096 is not above the current usage"):
        cgroup.update({"memory": {"limit": 4096, "checkBeforeUpdate": True}})
    assert cgroup.processes() == [pid]


# ---- joining ----


def test_a_child_joins_every_hierarchy_by_itself(make, inside):
    cgroup = make()
    pid = inside(cgroup)
    text = tree.read("/proc/%d/cgroup" % pid)
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        mount = next(
            (d for d in cgroup.directories if ",".join(d.controllers) == names), None
        )  # a hierarchy may exist without being mounted
        if mount is not None:
            assert mount.root + path == mount.path
    assert cgroup.processes() == [pid]


@only_v1
def test_memory_is_the_last_to_be_joined(make):
    fds = make().join_fds()
    try:
        assert fds[-1][0] == "memory"
        assert all(not os.get_inheritable(fd) for _, fd in fds)
    finally:
        for _, fd in fds:
            os.close(fd)


def test_clone_fd_is_the_version_2_directory_or_nothing(make):
    fd = make().clone_fd()
    if LAYOUT.unified is None:
        assert fd == -1
        return
    try:
        assert os.readlink("/proc/self/fd/%d" % fd).startswith(LAYOUT.unified.mountpoint + "/pyoci-test-")
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def test_another_process_can_be_moved_in(make):
    cgroup = make()
    pid = os.fork()
    if pid == 0:
        time.sleep(1000)
    try:
        cgroup.join(pid)
        assert cgroup.processes() == [pid]
        assert ":/pyoci-test-" in tree.read("/proc/%d/cgroup" % pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@only_v2
def test_exec_follows_init_into_its_sub_cgroup(make, inside):
    cgroup = make()
    init = inside(cgroup)
    path = cgroup.directories[0].path
    os.mkdir(path + "/init")
    tree.write(path + "/init/cgroup.procs", str(init))
    tree.write(path + "/cgroup.subtree_control", "+memory")
    other = os.fork()
    if other == 0:
        time.sleep(1000)
    try:
        with pytest.raises(OperationError, match="cannot join cgroup: device or resource busy"):
            cgroup.join(other)
        cgroup.join(other, init_pid=init)
        assert tree.read("/proc/%d/cgroup" % other).strip().endswith("/c/init")
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)


def test_sub_cgroups_for_exec_stay_below_the_container(make):
    cgroup = make()
    for directory in cgroup.directories:
        os.mkdir(directory.path + "/sub")
        if "cpuset" in directory.controllers:
            for file in ("cpuset.cpus", "cpuset.mems"):
                tree.write(directory.path + "/sub/" + file, tree.read(directory.path + "/" + file))
    for outside in ("..", "../../sub", "/../sub", "sub/../.."):
        with pytest.raises(OperationError, match="is not a sub cgroup path"):
            cgroup.below(outside)
    sub = cgroup.below("sub/../sub")
    assert [d.path for d in sub.directories] == [d.path + "/sub" for d in cgroup.directories]
    assert cgroup.below("/") is cgroup
    with pytest.raises(OperationError, match="no such file or directory"):
        cgroup.below("missing")
    if V1:
        one = cgroup.below("sub", ("memory",))
        assert [d.path for d in one.directories if d.path.endswith("/sub")] == [
            d.path + "/sub" for d in cgroup.directories if "memory" in d.controllers
        ]
        with pytest.raises(OperationError, match="unknown controller nonsense"):
            cgroup.below("sub", ("nonsense",))


@only_v2
def test_delegation_gives_away_what_the_kernel_lists_and_nothing_else(make):
    cgroup = make()
    cgroup.delegate(4711)
    path = cgroup.directories[0].path
    owned = {file for file in os.listdir(path) if os.stat(path + "/" + file).st_uid == 4711}
    assert owned == set(tree.read("/sys/kernel/cgroup/delegate").split()) & set(os.listdir(path))
    assert os.stat(path).st_uid == 4711


# ---- devices ----


def device_action(number, flags):
    """Open a new node of that number: 0, or the errno."""
    path = "/tmp/pyoci-test-device-%d" % os.getpid()
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(*number))
    try:
        os.close(os.open(path, flags))
    finally:
        os.unlink(path)


@pytest.mark.parametrize("where", ["the container's cgroup", "the version 2 tree of a hybrid host"])
def test_device_rules_are_enforced(make, inside, where):
    layout = LAYOUT
    if where != "the container's cgroup":
        if LAYOUT.mode != "hybrid":
            pytest.skip("not a hybrid host")
        layout = Layout("hybrid", [h for h in LAYOUT.hierarchies if "devices" not in h.controllers], LAYOUT.unified)
    kmsg = {"type": "c", "major": 1, "minor": 11}
    cgroup = make({"devices": [
        {"allow": False, "access": "rwm"}, {**kmsg, "allow": True, "access": "rw"},
        {**kmsg, "allow": False, "access": "w"},
    ]}, layout=layout)  # fmt: skip
    cgroup.apply_limits()

    def opens(number, flags):
        return result(inside(cgroup, lambda: device_action(number, flags)))

    assert opens((1, 3), os.O_RDWR) == 0  # null
    assert opens((1, 11), os.O_RDONLY | os.O_NONBLOCK) == 0
    assert opens((1, 11), os.O_WRONLY) == 1  # EPERM
    assert opens((1, 11), os.O_RDWR) == 1
    assert opens((1, 1), os.O_RDONLY) == 1  # mem


def test_without_rules_everything_but_the_defaults_is_denied(make, inside, name):
    cgroup = Cgroup.for_container(LAYOUT, name, "id", None)
    cgroup.create()
    try:
        cgroup.apply_limits()
        assert result(inside(cgroup, lambda: device_action((1, 5), os.O_RDONLY))) == 0
        assert result(inside(cgroup, lambda: device_action((1, 11), os.O_RDONLY | os.O_NONBLOCK))) == 1
    finally:
        cgroup.remove()


def test_allow_all_allows_all(make, inside):
    cgroup = limited(make, {})
    assert result(inside(cgroup, lambda: device_action((1, 11), os.O_RDONLY | os.O_NONBLOCK))) == 0


@only_v1
def test_the_list_is_what_version_1_shows(make):
    cgroup = limited(make, {"devices": [{"allow": False, "access": "rwm"},
                                        {"allow": True, "type": "b", "major": 8, "access": "r"}]})  # fmt: skip
    assert value(cgroup, "devices", "devices.list").splitlines() == [
        "b 8:* r", "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",
        "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm", "c 10:200 rwm",
    ]  # fmt: skip


@pytest.mark.skipif(LAYOUT.unified is None, reason="no cgroup v2 tree")
def test_a_new_device_program_replaces_old_ones(make):
    cgroup = make()
    fd = cgroup.clone_fd()
    try:
        seen = set()
        for default in (False, True, False):
            program = device_bpf.load(device_bpf.assemble(default, []))
            device_bpf.attach(fd, program)
            os.close(program)
            (now,) = device_bpf.attached(fd)
            assert now not in seen
            seen.add(now)
    finally:
        os.close(fd)


@pytest.mark.skipif(LAYOUT.unified is None, reason="no cgroup v2 tree")
def test_the_kernel_takes_a_program_of_a_thousand_rules():
    rules = [(bool(n % 3), "bc"[n % 2], n, -1 if n % 5 else n, n % 7 + 1) for n in range(1000)]
    os.close(device_bpf.load(device_bpf.assemble(False, rules)))


# ---- freezing and killing ----


def test_freezing_stops_and_thawing_continues(make, inside):
    cgroup = make()
    assert not cgroup.is_frozen()
    ready, tell = os.pipe()

    def tick():
        while True:
            os.write(tell, b".")
            time.sleep(0.001)

    inside(cgroup, tick)
    os.close(tell)
    assert os.read(ready, 1)
    cgroup.freeze()
    assert cgroup.is_frozen()
    os.set_blocking(ready, False)
    try:
        while os.read(ready, 4096):
            pass
    except BlockingIOError:
        pass
    time.sleep(0.05)
    with pytest.raises(BlockingIOError):
        os.read(ready, 1)
    cgroup.thaw()
    assert not cgroup.is_frozen()
    os.set_blocking(ready, True)
    assert os.read(ready, 1)
    os.close(ready)


def test_frozen_by_an_ancestor_is_not_paused(make, name):
    outer = make()
    inner = make(path=name + "/inner")
    outer.freeze()
    assert outer.is_frozen()
    assert not inner.is_frozen()
    outer.thaw()
    inner.remove()


def test_a_cgroup_that_is_gone_is_not_frozen_and_has_no_processes(make):
    cgroup = make()
    cgroup.remove()
    assert not cgroup.is_frozen()
    assert cgroup.processes() == []
    assert cgroup.oom_kill_count() == 0
    cgroup.thaw()
    cgroup.kill()


def test_kill_ends_all_also_in_sub_cgroups_and_while_paused(make, inside, name):
    cgroup = make()
    inside(cgroup)
    inside(make(path=name + "/sub"))
    cgroup.freeze()
    started = time.monotonic()
    cgroup.kill()
    assert cgroup.processes() == []
    assert not cgroup.is_frozen()
    assert time.monotonic() - started < patience(5)


def test_kill_ends_a_fork_storm(make, inside):
    cgroup = limited(make, {"pids": {"limit": 200}})

    def storm():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            try:
                if os.fork() == 0:
                    continue
            except OSError:
                time.sleep(0.001)

    inside(cgroup, storm)
    for _ in range(1000):
        if len(cgroup.processes()) > 50:
            break
        time.sleep(0.005)
    assert len(cgroup.processes()) > 50
    Cgroup.from_record(cgroup.to_record()).kill()
    assert cgroup.processes() == []


@only_v1
def test_kill_ends_all_without_the_version_2_tree_too(make, inside):
    cgroup = make()
    one, two = inside(cgroup), inside(cgroup)
    record = cgroup.to_record()
    record["directories"] = [entry for entry in record["directories"] if entry["controllers"]]
    Cgroup.from_record(record).kill()
    assert (result(one), result(two)) == (-9, -9)


# ---- removing ----


def test_remove_takes_sub_cgroups_depth_first(make):
    cgroup = make()
    for directory in cgroup.directories:
        os.makedirs(directory.path + "/a/b/c")
        os.makedirs(directory.path + "/d")
    cgroup.remove()
    assert not cgroup.exists()


def test_remove_waits_for_the_last_process_to_go(make, inside):
    cgroup = make()
    pid = inside(cgroup, lambda: time.sleep(0.1))
    cgroup.remove()
    assert not cgroup.exists()
    assert result(pid) == 0


def test_remove_says_who_holds_a_busy_cgroup(make, inside):
    cgroup = make()
    pid = inside(cgroup)
    with pytest.raises(OperationError) as caught:
        tree.remove([directory.path for directory in cgroup.directories], patience_s=0.2)
    assert caught.value.message == "unable to remove container's cgroup: device or resource busy"
    assert "holds process %d" % pid in caught.value.cause


def test_the_record_alone_is_enough_to_kill_and_remove(make, inside):
    cgroup = make()
    before = make(create=False).to_record()
    inside(cgroup)
    Cgroup.from_record(before).kill()
    assert len(cgroup.processes()) == 1, "a record from before create() must not kill"
    again = Cgroup.from_record(cgroup.to_record())
    again.kill()
    reap()
    again.remove()
    assert not cgroup.exists()


# ---- out of memory ----


@needs("memory")
def test_oom_kills_are_counted(make, inside):
    cgroup = limited(make, {"memory": {"limit": 8 * MIB, "swap": 8 * MIB}})
    assert cgroup.oom_kill_count() == 0

    def hog():
        blocks = []
        while True:
            blocks.append(bytearray(b"x") * MIB)

    assert result(inside(cgroup, hog)) == -signal.SIGKILL
    assert cgroup.oom_kill_count() == 1


# ---- the layout ----


def test_a_relative_path_starts_where_this_process_is(make):
    name = "pyoci-test-%d-%d" % (os.getpid(), next(NUMBERS))
    cgroup = Cgroup.for_container(LAYOUT, name, "id", {"devices": [ALL]})
    for directory in cgroup.directories:
        assert directory.path.endswith("/" + name)
    cgroup.create()
    cgroup.remove()
    assert not cgroup.exists()


def test_the_layout_of_this_host_is_true():
    for hierarchy in LAYOUT.hierarchies:
        with open(hierarchy.mountpoint + hierarchy.own.rstrip("/") + "/cgroup.procs") as file:
            assert str(os.getpid()) in file.read().split()
    if LAYOUT.unified is not None:
        path = LAYOUT.unified.mountpoint + LAYOUT.unified.own.rstrip("/")
        assert str(os.getpid()) in tree.read(path + "/cgroup.procs").split()


# ---- without permission ----


def as_nobody(action):
    """The exit status of `action` run by a user without any rights."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            status = action()
        finally:
            os._exit(status)
    return result(pid)


def nobodys(path, resources):
    return Cgroup.for_container(LAYOUT, path, "pyoci-test-nobody", resources, in_user_namespace=True)


def test_without_permission_and_without_wishes_a_container_does_without_cgroups():
    def act():
        cgroup = nobodys(None, {})
        cgroup.create()
        cgroup.apply_limits()
        ok = cgroup.directories == [] and cgroup.join_fds() == [] and cgroup.clone_fd() == -1
        cgroup.kill()
        cgroup.remove()
        return 0 if ok else 1

    assert as_nobody(act) == 0


@needs("pids")
@pytest.mark.parametrize(
    ("path", "resources", "text"),
    [
        (None, {"pids": {"limit": 5}}, "rootless needs no limits + no cgrouppath when no permission is granted"),
        ("/pyoci-test-nobody", {}, "cannot create cgroup: permission denied"),
    ],
)
def test_without_permission_wishes_are_errors(path, resources, text):
    def act():
        try:
            nobodys(path, resources).create()
        except OperationError as error:
            return 0 if error.message.startswith(text) else 1
        return 2

    assert as_nobody(act) == 0
