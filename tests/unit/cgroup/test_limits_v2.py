"""linux.resources to the files of version 2."""

import pytest

from pyoci.cgroup.limits_v2 import io_weight, make_limits, swap_max, weight_from_shares
from pyoci.errors import ConfigError, HostError

ALL = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc")


def lines(resources, controllers=ALL):
    return [limit.describe() for limit in make_limits(resources, controllers, devices=False)]


@pytest.mark.parametrize(
    ("shares", "weight"),
    [
        (2, 1), (10, 4), (102, 17), (256, 35), (512, 59), (1000, 99), (1024, 100), (2048, 174), (4096, 303),
        (10240, 639), (102400, 4429), (262144, 10000), (1, 1), (300000, 10000),
    ],
)  # fmt: skip
def test_weight_from_shares(shares, weight):
    assert weight_from_shares(shares) == weight


def test_weight_never_falls_as_shares_grow_and_agrees_with_the_logarithm_of_the_library():
    import math

    last = 0
    for shares in range(2, 262145, 97):
        log = math.log2(shares)
        exact = 10 ** ((log * log + 125 * log) / 612 - 7 / 34)
        weight = weight_from_shares(shares)
        assert weight >= last
        assert weight == 1 or weight - 1 < exact + 1e-6 <= weight + 1e-5
        last = weight


@pytest.mark.parametrize(("weight", "expected"), [(10, 1), (500, 4950), (1000, 10000), (11, 11)])
def test_io_weight(weight, expected):
    assert io_weight(weight) == expected


@pytest.mark.parametrize(
    ("limit", "swap", "expected"),
    [
        (-1, 0, "max"), (100, -1, "max"), (0, -1, "max"), (-1, -1, "max"), (100, 0, ""), (0, 0, ""),
        (-1, 300, "300"), (100, 100, "0"), (100, 300, "200"),
    ],
)  # fmt: skip
def test_swap_max(limit, swap, expected):
    assert swap_max(limit, swap) == expected


@pytest.mark.parametrize(
    ("limit", "swap", "text"),
    [
        (0, 100, "unable to set swap limit without memory limit"),
        (200, 100, r"memory\+swap limit should be >= memory limit"),
        (-2, 100, "invalid memory limit -2"),
        (100, -2, r"invalid memory\+swap limit -2"),
    ],
)
def test_swap_max_refuses(limit, swap, text):
    with pytest.raises(ConfigError, match=text):
        swap_max(limit, swap)


def test_memory_swap_comes_before_the_limit():
    assert lines({"memory": {"limit": 100, "swap": 300, "reservation": -1, "kernel": 3}}) == [
        "memory.swap.max = 200",
        "memory.max = 100",
        "memory.low = max",
    ]
    assert lines({"memory": {"limit": -1}}) == ["memory.swap.max = max", "memory.max = max"]
    assert lines({"memory": {"limit": 0, "swap": 0, "useHierarchy": True, "disableOOMKiller": False}}) == []


def test_cpu():
    assert lines({"cpu": {"quota": 50000, "period": 100000}}) == ["cpu.max = 50000 100000"]
    assert lines({"cpu": {"quota": -1, "period": 100000}}) == ["cpu.max = max 100000"]
    assert lines({"cpu": {"quota": 50000}}) == ["cpu.max = 50000"]
    assert lines({"cpu": {"period": 20000}}) == ["cpu.max = max 20000"]
    assert lines({"cpu": {"burst": 1000}}) == ["cpu.max.burst = 1000"]
    assert lines({"cpu": {"shares": 1024}}) == ["cpu.weight = 100"]
    assert lines({"cpu": {"shares": 1024, "idle": 1}}) == ["cpu.idle = 1"]
    assert lines({"cpu": {"cpus": "0-1", "mems": "0"}}) == ["cpuset.cpus = 0-1", "cpuset.mems = 0"]


def test_block_io():
    block = {
        "weight": 500,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 1000}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}],
    }
    assert lines({"blockIO": block}) == [
        "io.bfq.weight = 500 (or io.weight = 4950)",
        "io.bfq.weight = 8:0 1000 (or io.weight = 8:0 10000)",
        "io.max = 8:0 rbps=600",
        "io.max = 8:16 wiops=max",
    ]


@pytest.mark.parametrize(
    ("resources", "where"),
    [
        ({"memory": {"swappiness": 0}}, ".memory.swappiness"),
        ({"memory": {"disableOOMKiller": True}}, ".memory.disableOOMKiller"),
        ({"memory": {"useHierarchy": False}}, ".memory.useHierarchy"),
        ({"cpu": {"realtimeRuntime": 1}}, ".cpu.realtimeRuntime"),
        ({"cpu": {"realtimePeriod": 1}}, ".cpu.realtimePeriod"),
        ({"network": {"classID": 1}}, ".network.classID"),
        ({"network": {"priorities": [{"name": "lo", "priority": 1}]}}, ".network.priorities"),
        ({"blockIO": {"leafWeight": 100}}, ".blockIO.leafWeight"),
    ],
)
def test_what_only_version_1_has_is_an_error_not_silence(resources, where):
    with pytest.raises(HostError, match="on cgroup v2") as caught:
        lines(resources)
    assert caught.value.where == ".linux.resources" + where


def test_unified_comes_last_line_by_line():
    resources = {"unified": {"io.max": "8:0 rbps=1\n8:16 rbps=2\n", "memory.high": "", "cgroup.max.depth": "3"},
                 "hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}  # fmt: skip
    assert lines(resources) == [
        "hugetlb.2MB.max, hugetlb.2MB.rsvd.max = 1",
        "io.max = 8:0 rbps=1",
        "io.max = 8:16 rbps=2",
        "cgroup.max.depth = 3",
    ]


@pytest.mark.parametrize("key", ["a/b.c", "../memory.max", "memory", ".max", "", "a\0.b"])
def test_unified_keys_that_are_no_file_names_are_refused(key):
    with pytest.raises(ConfigError, match="is not the name of a cgroup file"):
        lines({"unified": {key: "1"}})


def test_an_unknown_controller_is_named():
    with pytest.raises(HostError, match='controller "foo" not available') as caught:
        lines({"unified": {"foo.bar": "1"}})
    assert caught.value.where == '.linux.resources.unified["foo.bar"]'


def test_a_controller_that_the_host_lacks_is_an_error_only_when_needed():
    assert lines({"memory": {"limit": 5}}, ("memory",)) == ["memory.max = 5"]
    with pytest.raises(HostError, match="cannot set pids limit: container could not join or create cgroup"):
        lines({"pids": {"limit": 5}}, ("memory",))
