"""linux.resources and linux.cgroupsPath: the files that the kernel shows (config-linux.md#control-groups)."""

import os

import pytest

from . import host
from .host import cgroup_of, hierarchies, is_cgroup2, read, requires

MIB = 1 << 20


def resources(**more):
    return {"linux": {"resources": more}}


@pytest.fixture
def value(container):
    """value(resources, controller, file) -> the file's text in the cgroup of a created container."""

    def get(edit, controller, *names):
        one = container(edit).create()
        path = cgroup_of(one.pid, controller)
        texts = [read(path + "/" + n).strip() for n in names]
        one.delete("--force").ok()
        return texts[0] if len(texts) == 1 else texts

    return get


V1 = [
    ("memory", {"limit": 64 * MIB}, "memory.limit_in_bytes", str(64 * MIB)),
    ("memory", {"limit": 64 * MIB, "swap": 96 * MIB}, "memory.memsw.limit_in_bytes", str(96 * MIB)),
    ("memory", {"limit": 64 * MIB, "swap": 64 * MIB}, "memory.memsw.limit_in_bytes", str(64 * MIB)),
    ("memory", {"limit": 64 * MIB, "swap": -1}, "memory.memsw.limit_in_bytes", "9223372036854771712"),
    ("memory", {"limit": -1}, "memory.limit_in_bytes", "9223372036854771712"),
    ("memory", {"reservation": 32 * MIB}, "memory.soft_limit_in_bytes", str(32 * MIB)),
    ("memory", {"swappiness": 7}, "memory.swappiness", "7"),
    ("memory", {"swappiness": 0}, "memory.swappiness", "0"),
    ("cpu", {"shares": 512}, "cpu.shares", "512"),
    ("cpu", {"quota": 25000, "period": 50000}, "cpu.cfs_quota_us", "25000"),
    ("cpu", {"quota": 25000, "period": 50000}, "cpu.cfs_period_us", "50000"),
    ("cpu", {"quota": 2000, "period": 10000}, "cpu.cfs_quota_us", "2000"),
    ("cpu", {"quota": -1}, "cpu.cfs_quota_us", "-1"),
    ("cpu", {"quota": 50000, "burst": 20000}, "cpu.cfs_burst_us", "20000"),
    ("cpu", {"idle": 1}, "cpu.idle", "1"),
    ("cpuset", {"cpus": "0"}, "cpuset.cpus", "0"),
    ("cpuset", {"mems": "0"}, "cpuset.mems", "0"),
    ("pids", {"limit": 12}, "pids.max", "12"),
    ("pids", {"limit": -1}, "pids.max", "max"),
]


@pytest.mark.parametrize(("controller", "given", "name", "expected"), V1)
def test_v1_values(value, controller, given, name, expected):
    requires("cgroup1", "v1:" + controller)
    field = "cpu" if controller == "cpuset" else controller
    assert value(resources(**{field: given}), controller, name) == expected


def test_v1_oom_killer_can_be_switched_off(value):
    requires("cgroup1")
    text = value(resources(memory={"limit": 64 * MIB, "disableOOMKiller": True}), "memory", "memory.oom_control")
    assert "oom_kill_disable 1" in text


def test_v1_huge_pages(value):
    requires("v1:hugetlb")
    size = next(n.split(".")[1] for n in os.listdir(hierarchies()["hugetlb"]) if n.startswith("hugetlb.2M"))
    edit = resources(hugepageLimits=[{"pageSize": size, "limit": 4 * MIB}])
    names = ["hugetlb.%s.limit_in_bytes" % size, "hugetlb.%s.rsvd.limit_in_bytes" % size]
    assert value(edit, "hugetlb", *names) == [str(4 * MIB)] * 2


def test_v1_block_io_throttle(value):
    requires("v1:blkio")
    device = os.stat(
        next(m for m in (os.path.join("/dev", n) for n in ("vda", "sda", "loop0")) if os.path.exists(m))
    )
    numbers = {"major": os.major(device.st_rdev), "minor": os.minor(device.st_rdev)}
    edit = resources(
        blockIO={
            "throttleReadBpsDevice": [{**numbers, "rate": 1048576}],
            "throttleWriteBpsDevice": [{**numbers, "rate": 2097152}],
            "throttleReadIOPSDevice": [{**numbers, "rate": 300}],
            "throttleWriteIOPSDevice": [{**numbers, "rate": 400}],
        }
    )
    names = [
        "blkio.throttle." + n
        for n in ("read_bps_device", "write_bps_device", "read_iops_device", "write_iops_device")
    ]
    place = "%(major)d:%(minor)d " % numbers
    assert value(edit, "blkio", *names) == [place + n for n in ("1048576", "2097152", "300", "400")]


V2 = [
    ({"memory": {"limit": 64 * MIB}}, "memory.max", str(64 * MIB)),
    ({"memory": {"limit": -1}}, "memory.max", "max"),
    ({"memory": {"reservation": 32 * MIB}}, "memory.low", str(32 * MIB)),
    ({"memory": {"limit": 64 * MIB, "swap": 96 * MIB}}, "memory.swap.max", str(32 * MIB)),
    ({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}}, "memory.swap.max", "0"),
    ({"memory": {"limit": 64 * MIB, "swap": -1}}, "memory.swap.max", "max"),
    ({"cpu": {"shares": 1024}}, "cpu.weight", "100"),
    ({"cpu": {"shares": 512}}, "cpu.weight", "59"),
    ({"cpu": {"quota": 25000, "period": 50000}}, "cpu.max", "25000 50000"),
    ({"cpu": {"quota": -1}}, "cpu.max", "max 100000"),
    ({"cpu": {"quota": 50000, "burst": 20000}}, "cpu.max.burst", "20000"),
    ({"cpu": {"idle": 1}}, "cpu.idle", "1"),
    ({"cpu": {"cpus": "0"}}, "cpuset.cpus", "0"),
    ({"pids": {"limit": 12}}, "pids.max", "12"),
    ({"pids": {"limit": -1}}, "pids.max", "max"),
    ({"unified": {"memory.high": "12345344"}}, "memory.high", "12345344"),
    ({"pids": {"limit": 9}, "unified": {"pids.max": "11"}}, "pids.max", "11"),
]


@pytest.mark.parametrize(("given", "name", "expected"), V2)
def test_v2_values(value, given, name, expected):
    requires("cgroup2")
    assert value(resources(**given), "memory", name) == expected


@pytest.mark.parametrize("key", ["foo.bar", "a/b", "../memory.max", "memory.nope", ""])
def test_bad_unified_keys_are_refused(run, key):
    """R-253."""
    run(resources(unified={key: "1"})).failed("unified")


def test_unified_is_an_error_on_v1(run):
    """R-253."""
    requires("cgroup1")
    run(resources(unified={"pids.max": "5"})).failed("unified")


@pytest.mark.parametrize(
    "given",
    [
        {"memory": {"limit": "64M"}},
        {"memory": {"limit": 1.5}},
        {"memory": {"limit": 64 * MIB, "swap": 32 * MIB}},
        {"memory": {"swappiness": 101}},
        {"cpu": {"cpus": "0-99999"}},
        {"cpu": {"cpus": "x"}},
        {"cpu": {"quota": 5}},
        {"cpu": {"period": 10}},
        {"cpu": {"quota": 50000, "burst": 60000}},
        {"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]},
        {"hugepageLimits": [{"pageSize": "../2MB", "limit": 1}]},
        {"network": {"classID": -1}},
        {"pids": {"limit": "5"}},
        {"devices": [{"allow": True, "type": "x", "access": "r"}]},
        {"devices": [{"allow": True, "type": "c", "access": "q"}]},
    ],
    ids=str,
)
def test_impossible_limits_are_refused_and_nothing_stays(run, given):
    """R-251."""
    run(resources(**given)).failed()


def test_the_program_may_need_very_little(inspect):
    """R-287, R-288: dockerd accepts 6 MiB; one process is enough."""
    report = inspect(resources(memory={"limit": 6 * MIB}, pids={"limit": 1}))
    assert report["pid"] == 1


@pytest.mark.parametrize("limit", [0, 1])
def test_a_pids_limit_forbids_forks_and_not_the_program(run, limit):
    """cgroups.md: 0 is a real limit, since 1.3.0."""
    edits = {"ociVersion": "1.3.0", **resources(pids={"limit": limit})}
    result = run(edits, args=["sh", "-c", "(echo forked); echo alive"])
    assert "forked" not in result.out, result
    assert run(edits, args=["/bin/true"]).code == 0


def test_a_program_over_its_memory_is_killed(run):
    limit = (
        {"limit": 16 * MIB, "swap": 16 * MIB} if host.read("/proc/swaps").count("\n") > 1 else {"limit": 16 * MIB}
    )
    assert run(resources(memory=limit), args=["/bin/probe", "--only", "none", "--alloc", "64"]).code == 137


def test_a_tiny_memory_limit_is_explained(run):
    """R-036."""
    result = run(resources(memory={"limit": 4096 * 4}))
    result.failed("memory")
    assert "Traceback" not in result.text


def test_an_absolute_path_is_below_the_root_of_each_hierarchy(container):
    """R-250."""
    one = container().create()
    wanted = one.bundle.config["linux"]["cgroupsPath"]
    for line in read("/proc/%d/cgroup" % one.pid).splitlines():
        assert line.split(":", 2)[2] == wanted, line
    one.delete("--force").ok()


def test_dots_in_a_path_do_not_leave_the_hierarchy(container):
    """S-25."""
    one = container()
    wanted = one.bundle.config["linux"]["cgroupsPath"]
    one.bundle.edit({"linux": {"cgroupsPath": "/../.." + wanted + "/x/.."}})
    result = one.try_create()
    if result.code:
        one.gone = True
        result.failed("cgroupsPath")
    else:
        assert all(line.split(":", 2)[2] == wanted for line in read("/proc/%d/cgroup" % one.pid).splitlines())
        one.delete("--force").ok()


@pytest.mark.parametrize("path", [None, "relative/%s"])
def test_relative_and_absent_paths_are_the_same_place_each_time(container, fresh_id, path):
    """R-250."""
    name = fresh_id()
    seen = []
    for _ in range(2):
        one = container(name=name)
        where = path and path % name
        one.bundle.edit({"linux": {"cgroupsPath": where}})
        one.create()
        seen.append(cgroup_of(one.pid, "pids"))
        one.delete("--force").ok()
        assert not os.path.exists(seen[-1])
    assert seen[0] == seen[1]
    assert name in seen[0]
    if path:
        folder = os.path.dirname(seen[0])
        for point in set(hierarchies().values()):
            for base in (point, os.path.dirname(folder)):
                place = os.path.join(base, "relative")
                if os.path.isdir(place) and not [n for n in os.listdir(place) if os.path.isdir(place + "/" + n)]:
                    os.rmdir(place)


def test_without_resources_there_are_no_limits(value):
    edit = {"linux": {"resources": None}}
    if is_cgroup2():
        assert value(edit, "memory", "memory.max", "pids.max") == ["max", "max"]
    else:
        assert value(edit, "pids", "pids.max") == "max"


def test_the_manager_can_be_disabled(container, pyoci):
    """R-023."""
    one = container({"linux": {"resources": None, "cgroupsPath": None}})
    options = ["--cgroup-manager", "disabled"]
    pyoci("create", "--bundle", one.bundle.path, "--pid-file", one.pid_file, one.id, options=options).ok()
    assert read("/proc/%d/cgroup" % one.pid) == read("/proc/self/cgroup")
    pyoci("delete", "--force", one.id, options=options).ok()


def test_limits_without_a_manager_are_an_error(run):
    run(resources(pids={"limit": 5}), options=["--cgroup-manager", "disabled"]).failed()


def test_systemd_is_asked_for_where_there_is_none(run):
    """R-282."""
    requires("no_systemd")
    result = run({"linux": {"cgroupsPath": "system.slice:pyoci:x"}}, options=["--systemd-cgroup"])
    result.failed("systemd")
    assert len(result.err.splitlines()) <= 4


@pytest.mark.parametrize(("options", "owner"), [(["rw"], 1000), (["ro"], 0)], ids=["rw", "ro"])
def test_a_writable_cgroup_mount_gives_the_cgroup_to_the_user(container, options, owner):
    """R-252: cgroup v2, a new cgroup namespace, /sys/fs/cgroup writable."""
    requires("cgroup2")
    mounts = [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options}]
    one = container(
        {
            "process": {"user": {"uid": 1000, "gid": 1000}},
            "mounts+": mounts,  # the default config for such a host has the namespace
        }
    ).create()
    path = cgroup_of(one.pid, "unified")
    assert os.stat(path).st_uid == owner
    assert os.stat(path + "/cgroup.procs").st_uid == owner
    assert os.stat(path + "/cgroup.type").st_uid == 0
    one.delete("--force").ok()


def test_a_failed_create_takes_back_the_levels_it_made(container, pyoci, fresh_id):
    """R-037: also those above the container's own cgroup."""
    top = "/" + fresh_id()
    one = container({"process": {"args": ["/no/such/program"]}, "linux": {"cgroupsPath": top + "/deeper/still"}})
    one.gone = True
    pyoci("create", "--bundle", one.bundle.path, one.id).failed("no such file or directory")
    assert [path for path in host.cgroup_dirs(top) if top in path] == []


@pytest.mark.parametrize(("version", "text"), [("1.0.2-dev", "max"), ("1.2.1", "max"), ("1.3.0", "1")])
def test_no_processes_at_all_is_a_limit_only_since_1_3(container, cgroup_dir, version, text):
    """Before it, 0 said nothing: podman 4 writes it for `--pids-limit -1`."""
    host.requires("cgroup1")
    edits = {"ociVersion": version, "linux": {"resources": {"pids": {"limit": 0}}}}
    one = container(edits, args=["/bin/sleep", "100"]).create()
    assert host.read(cgroup_dir(one.pid, "pids") + "/pids.max").strip() == text
