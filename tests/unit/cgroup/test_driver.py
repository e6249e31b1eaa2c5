"""The pure half of the driver: what is planned, and what goes into the record."""

import json

import pytest

from pyoci.cgroup.directory import lengthened, shortened
from pyoci.cgroup.driver import Cgroup
from pyoci.cgroup.layout import NO_CGROUPS, Hierarchy, Layout
from pyoci.errors import ConfigError, HostError

HYBRID = Layout(
    "hybrid",
    [
        Hierarchy(("cpuset",), "/sys/fs/cgroup/cpuset", noprefix=True),
        Hierarchy(("devices",), "/sys/fs/cgroup/devices"),
        Hierarchy(("memory",), "/sys/fs/cgroup/memory"),
        Hierarchy(("cpu", "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct"),
        Hierarchy(("name=systemd",), "/sys/fs/cgroup/systemd"),
    ],
    Hierarchy((), "/sys/fs/cgroup/unified", unified=True),
)
UNIFIED = Layout("unified", [], Hierarchy((), "/sys/fs/cgroup", "/a/b", unified=True), ("memory", "pids"))
DENY_ALL = {"allow": False, "access": "rwm"}


def test_a_record_survives_json_and_gives_the_same_cgroup():
    cgroup = Cgroup.for_container(HYBRID, "/x/y", "id", {"memory": {"limit": 4096}})
    record = json.loads(json.dumps(cgroup.to_record()))
    again = Cgroup.from_record(record)
    assert again.to_record() == cgroup.to_record()
    assert [d.path for d in again.directories] == [d.path for d in cgroup.directories]
    assert again.directories[0].noprefix
    assert not again.created


def test_limits_are_planned_in_the_order_of_writing_with_their_places():
    cgroup = Cgroup.for_container(
        HYBRID, None, "id", {"cpu": {"shares": 2}, "memory": {"limit": 4096, "kernel": 1}}
    )
    assert [(limit.where, limit.describe().split(",")[0]) for limit in cgroup.limits] == [
        (".linux.resources.devices", "devices: deny all"),
        (".linux.resources.memory.limit", "memory.limit_in_bytes = 4096"),
        (".linux.resources.cpu.shares", "cpu.shares = 2"),
    ]
    assert cgroup.warnings == [
        ".linux.resources.memory.kernel is deprecated and ignored: the kernel no longer has that limit"
    ]


def test_a_user_namespace_gets_no_device_rules():
    assert Cgroup.for_container(UNIFIED, None, "id", {"devices": [DENY_ALL]}, in_user_namespace=True).limits == []
    assert len(Cgroup.for_container(UNIFIED, None, "id", None).limits) == 1


def test_a_hybrid_host_without_the_devices_hierarchy_filters_in_its_version_2_tree():
    layout = Layout("hybrid", [HYBRID.hierarchies[2]], HYBRID.unified)
    (limit,) = Cgroup.for_container(layout, "/x", "id", {}).limits
    assert limit.file == "BPF_CGROUP_DEVICE"


@pytest.mark.parametrize(("layout", "manager"), [(NO_CGROUPS, "cgroupfs"), (HYBRID, "disabled")])
def test_without_cgroups_limits_are_errors_and_no_limits_are_fine(layout, manager):
    harmless = {"devices": [{"allow": True, "access": "rwm"}], "memory": {}, "cpu": {"shares": None}}
    cgroup = Cgroup.for_container(layout, "/x", "id", harmless, manager=manager)
    assert (cgroup.directories, cgroup.limits, cgroup.mode) == ([], [], "none")
    cgroup.create()
    cgroup.apply_limits()
    assert (cgroup.clone_fd(), cgroup.join_fds(), cgroup.processes()) == (-1, [], [])
    assert not cgroup.exists()
    cgroup.kill()
    cgroup.remove()
    for resources in ({"pids": {"limit": 1}}, {"devices": [DENY_ALL]}):
        with pytest.raises(HostError, match="cannot set limits without cgroups"):
            Cgroup.for_container(layout, "/x", "id", resources, manager=manager)


def test_the_root_cannot_be_a_containers_cgroup():
    with pytest.raises(ConfigError, match="root of the cgroup tree"):
        Cgroup.for_container(HYBRID, "/..", "id", None)


def test_what_was_not_created_is_not_killed(tmp_path):
    """A record from before create() may name a cgroup that belongs to somebody else."""
    (tmp_path / "cgroup.procs").write_text("1\n")
    record = {"mode": "unified", "created": False,
              "directories": [{"controllers": "", "root": "/", "path": str(tmp_path)}]}  # fmt: skip
    Cgroup.from_record(record).kill()
    assert (tmp_path / "cgroup.procs").read_text() == "1\n"


def test_the_record_of_a_pods_container_fits_into_a_symlink():
    """On a version 1 host with all of its hierarchies, below the names that a kubelet gives."""
    names = ("cpuset", "devices", "memory", "cpu,cpuacct", "pids", "blkio", "hugetlb", "net_cls,net_prio",
             "perf_event", "freezer", "rdma", "name=systemd", "misc")  # fmt: skip
    hierarchies = [Hierarchy(tuple(name.split(",")), "/sys/fs/cgroup/" + name) for name in names]
    layout = Layout("hybrid", hierarchies, HYBRID.unified)
    slice_ = "kubepods-burstable-pod%s.slice" % ("1" * 36)
    path = "%s:cri-containerd:%s" % (slice_, "a" * 64)
    cgroup = Cgroup.for_container(layout, path, "id", None, manager="systemd")
    record = cgroup.to_record()
    assert len(json.dumps(record)) > 4095
    text = json.dumps(shortened(record), separators=(",", ":"))
    assert len(text) < 4095
    assert lengthened(json.loads(text)) == {**record, "place": record["directories"][0]["path"][21:]}


def test_paths_that_differ_are_not_shortened():
    directories = [{"root": "/a", "path": "/a/x"}, {"root": "/b", "path": "/b/y"}]
    record = {"mode": "legacy", "directories": directories}
    assert shortened(record) == record
    assert lengthened(record) == record
