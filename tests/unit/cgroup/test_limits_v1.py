"""linux.resources to the files of version 1."""

import pytest

from pyoci.cgroup.limits_v1 import make_limits
from pyoci.errors import ConfigError, HostError

ALL = (
    "cpuset", "devices", "memory", "cpu", "cpuacct", "pids", "blkio", "hugetlb", "net_cls", "net_prio", "rdma",
)  # fmt: skip


def lines(resources, controllers=ALL):
    return [limit.describe() for limit in make_limits(resources, controllers, devices=False)]


def test_nothing_set_writes_nothing():
    assert lines({}) == []
    assert lines({"memory": {}, "cpu": {}, "pids": {}, "blockIO": {}, "network": {}, "hugepageLimits": []}) == []


def test_zero_is_unset_where_the_peers_say_so():
    resources = {
        "memory": {"limit": 0, "swap": 0, "reservation": 0, "disableOOMKiller": False},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "realtimePeriod": 0, "realtimeRuntime": 0, "cpus": ""},
        "blockIO": {"weight": 0},
        "network": {"classID": 0},
    }
    assert lines(resources) == []


def test_the_order_is_that_of_the_hierarchies():
    resources = {
        "pids": {"limit": 5}, "cpu": {"shares": 512, "cpus": "0-1", "mems": "0"}, "memory": {"limit": 4096},
        "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "hfi1": {"hcaObjects": 7}},
        "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 3000000}],
    }  # fmt: skip
    assert lines(resources) == [
        "cpuset.cpus = 0-1",
        "cpuset.mems = 0",
        "memory.limit_in_bytes = 4096",
        "cpu.shares = 512",
        "pids.max = 5",
        "hugetlb.2MB.limit_in_bytes, hugetlb.2MB.rsvd.limit_in_bytes = 3000000",
        "net_cls.classid = 1048577",
        "net_prio.ifpriomap = eth0 500",
        "rdma.max = mlx5_1 hca_handle=3 hca_object=10000",
        "rdma.max = hfi1 hca_object=7",
    ]


def test_cpuset_and_realtime_are_written_before_anyone_joins():
    resources = {"cpu": {"cpus": "0", "realtimeRuntime": 950000, "realtimePeriod": 1000000, "shares": 2}}
    early = {limit.describe(): limit.early for limit in make_limits(resources, ALL, devices=False)}
    assert early == {
        "cpuset.cpus = 0": True,
        "cpu.rt_period_us = 1000000, cpu.rt_runtime_us = 950000": True,
        "cpu.shares = 2": False,
    }


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ({"limit": 100}, ["memory.limit_in_bytes = 100"]),
        ({"limit": -1}, ["memory.limit_in_bytes = -1"]),
        ({"limit": 100, "swap": 200}, ["memory.limit_in_bytes = 100, memory.memsw.limit_in_bytes = 200"]),
        ({"limit": 100, "swap": -1}, ["memory.limit_in_bytes = 100, memory.memsw.limit_in_bytes = -1"]),
        ({"swap": 200}, ["memory.memsw.limit_in_bytes = 200"]),
        ({"reservation": 50}, ["memory.soft_limit_in_bytes = 50"]),
        ({"kernel": 5, "kernelTCP": 6}, []),
        ({"swappiness": 0}, ["memory.swappiness = 0"]),
        ({"disableOOMKiller": True}, ["memory.oom_control = 1"]),
        ({"useHierarchy": True}, ["memory.use_hierarchy = 1"]),
    ],
)
def test_memory(memory, expected):
    assert lines({"memory": memory}) == expected


@pytest.mark.parametrize(
    ("resources", "where", "text"),
    [
        ({"memory": {"limit": 200, "swap": 100}}, ".memory.swap", r"memory\+swap limit should be >= memory limit"),
        ({"memory": {"limit": -1, "swap": 100}}, ".memory.swap", r"memory\+swap limit should be >= memory limit"),
        ({"memory": {"swap": -2}}, ".memory.swap", "invalid memory"),
        ({"memory": {"limit": -5}}, ".memory.limit", "invalid memory limit"),
        ({"memory": {"swappiness": 101}}, ".memory.swappiness", "swappiness 101"),
        ({"cpu": {"shares": 1}}, ".cpu.shares", "the minimum allowed cpu-shares is 2"),
        ({"cpu": {"shares": 262145}}, ".cpu.shares", "the maximum allowed cpu-shares is 262144"),
        ({"blockIO": {"weight": 5}}, ".blockIO.weight", "between 10 and 1000"),
        ({"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}, ".blockIO.weightDevice[0]", "needs weight"),
        ({"unified": {"memory.high": "1"}}, ".unified", "cannot use unified on cgroup v1"),
        ({"hugepageLimits": [{"pageSize": "../2MB", "limit": 1}]}, ".hugepageLimits[0].pageSize", "huge page size"),
        ({"hugepageLimits": [{"pageSize": "02MB", "limit": 1}]}, ".hugepageLimits[0].pageSize", "huge page size"),
        ({"hugepageLimits": [{"pageSize": "2TB", "limit": 1}]}, ".hugepageLimits[0].pageSize", "huge page size"),
    ],
)
def test_values_without_sense_are_errors_with_their_place(resources, where, text):
    with pytest.raises(ConfigError, match=text) as caught:
        lines(resources)
    assert caught.value.where == ".linux.resources" + where


def test_a_field_whose_controller_is_not_mounted_is_an_error_and_an_absent_field_is_not():
    assert lines({"memory": {"limit": 1}}, ("memory",)) == ["memory.limit_in_bytes = 1"]
    with pytest.raises(HostError) as caught:
        lines({"pids": {"limit": 1}}, ("memory",))
    assert caught.value.message == "cannot set pids limit: container could not join or create cgroup"
    assert caught.value.where == ".linux.resources.pids.limit"


def test_devices_need_their_hierarchy():
    with pytest.raises(HostError, match="cannot set devices limit"):
        make_limits({}, ("memory",), devices=True)


def test_an_idle_group_gets_no_shares():
    assert lines({"cpu": {"idle": 1, "shares": 512}}) == ["cpu.idle = 1"]
    assert lines({"cpu": {"idle": 0, "shares": 512}}) == ["cpu.idle = 0", "cpu.shares = 512"]


def test_bandwidth():
    assert lines({"cpu": {"quota": -1}}) == ["cpu.cfs_quota_us = -1"]
    assert lines({"cpu": {"quota": 50000, "period": 100000, "burst": 0}}) == [
        "cpu.cfs_period_us = 100000, cpu.cfs_burst_us = 0, cpu.cfs_quota_us = 50000"
    ]


@pytest.mark.parametrize(("limit", "text"), [(-1, "max"), (-7, "max"), (0, "1"), (1, "1"), (42, "42")])
def test_pids(limit, text):
    assert lines({"pids": {"limit": limit}}) == ["pids.max = " + text]


def test_block_io():
    block = {
        "weight": 500,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 300, "leafWeight": 200}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
        "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 0}],
        "throttleReadIOPSDevice": [{"major": 8, "minor": 16, "rate": 1}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 18446744073709551615}],
    }
    assert lines({"blockIO": block}) == [
        "blkio.weight = 500 (or blkio.bfq.weight = 500)",
        "blkio.weight_device = 8:0 300 (or blkio.bfq.weight_device = 8:0 300)",
        "blkio.leaf_weight_device = 8:0 200",
        "blkio.throttle.read_bps_device = 8:0 600",
        "blkio.throttle.write_bps_device = 8:0 0",
        "blkio.throttle.read_iops_device = 8:16 1",
        "blkio.throttle.write_iops_device = 8:16 18446744073709551615",
    ]
