"""Limits as unit properties, and names of units."""

import pytest

from pyoci.errors import ConfigError
from pyoci.systemd.names import expand_slice, split_path
from pyoci.systemd.properties import INFINITY, bit_mask, device_properties, per_second, properties_of, rounded


def made(resources, *, unified=True, version=252, at_start=True):
    found = properties_of(resources, lambda: version, unified=unified, at_start=at_start)
    return {name: value for name, (_, value) in found}


def test_version_2_gets_its_own_properties():
    assert made(
        {
            "memory": {"limit": 100, "swap": 300, "reservation": 50},
            "cpu": {"shares": 1024, "quota": 50000, "period": 200000, "cpus": "0-1,8", "mems": "0"},
            "pids": {"limit": 7},
            "blockIO": {"weight": 500},
        }
    ) == {
        "MemoryMax": 100, "MemorySwapMax": 200, "MemoryLow": 50, "CPUWeight": 100, "CPUQuotaPerSecUSec": 250000,
        "CPUQuotaPeriodUSec": 200000, "AllowedCPUs": b"\x03\x01", "AllowedMemoryNodes": b"\x01", "TasksMax": 7,
    }  # fmt: skip


def test_version_1_gets_its_own_properties():
    resources = {"memory": {"limit": 100, "swap": 300}, "cpu": {"shares": 512}, "blockIO": {"weight": 500}}
    assert made(resources, unified=False) == {"MemoryLimit": 100, "CPUShares": 512, "BlockIOWeight": 500}


def test_no_limit_is_infinity_and_nothing_is_nothing():
    assert made({"memory": {"limit": -1}, "pids": {"limit": -1}, "cpu": {"quota": -1}}) == {
        "MemoryMax": INFINITY, "MemorySwapMax": INFINITY, "TasksMax": INFINITY, "CPUQuotaPerSecUSec": INFINITY,
    }  # fmt: skip
    assert made({"memory": {}, "cpu": {"quota": 0}, "pids": {}}) == {}
    assert made({"pids": {"limit": 0}}) == {"TasksMax": 1}


@pytest.mark.parametrize(
    ("resources", "since", "name"),
    [
        ({"cpu": {"period": 50000, "quota": 5000}}, 242, "CPUQuotaPeriodUSec"),
        ({"cpu": {"cpus": "0"}}, 244, "AllowedCPUs"),
        ({"cpu": {"mems": "0"}}, 244, "AllowedMemoryNodes"),
        ({"cpu": {"idle": 1}}, 252, "CPUWeight"),
        ({"unified": {"cpu.idle": "1"}}, 252, "CPUWeight"),
        ({"unified": {"memory.oom.group": "1"}}, 253, "OOMPolicy"),
    ],
)
def test_an_older_systemd_is_not_told_what_it_does_not_know(resources, since, name):
    assert name in made(resources, version=since)
    assert name not in made(resources, version=since - 1)


def test_the_version_is_asked_for_only_where_it_matters():
    def never():
        raise AssertionError

    resources = {"memory": {"limit": 5}, "cpu": {"shares": 2, "quota": 1000}, "pids": {"limit": 5}}
    assert properties_of(resources, never, unified=True, at_start=True)


def test_keys_of_unified_have_properties_too():
    unified = {
        "cpu.max": "20000 100000", "cpu.weight": "50", "memory.max": "max", "memory.high": "5", "memory.low": "4",
        "memory.min": "3", "memory.swap.max": "0", "pids.max": "9", "cpuset.cpus": "1", "memory.oom.group": "1",
        "hugetlb.2MB.max": "0", "memory.zswap.max": "1",
    }  # fmt: skip
    assert made({"unified": unified}, version=255) == {
        "CPUQuotaPerSecUSec": 200000, "CPUQuotaPeriodUSec": 100000, "CPUWeight": 50, "MemoryMax": INFINITY,
        "MemoryHigh": 5, "MemoryLow": 4, "MemoryMin": 3, "MemorySwapMax": 0, "TasksMax": 9,
        "AllowedCPUs": b"\x02", "OOMPolicy": "kill",
    }  # fmt: skip
    assert made({"unified": {"memory.oom.group": "0"}}, version=255) == {"OOMPolicy": "continue"}
    assert made({"unified": {"memory.oom.group": "1"}}, version=255, at_start=False) == {}


@pytest.mark.parametrize(("quota", "period", "quotient", "written"), [
    (50000, 100000, 500000, 50000), (33333, 100000, 340000, 34000), (1000, 1000000, 10000, 10000),
    (10001, 10000, 1010000, 10100), (250001, 100000, 2510000, 251000),
])  # fmt: skip
def test_a_quota_is_a_whole_percentage_for_systemd_and_the_files(quota, period, quotient, written):
    assert per_second(quota, period) == quotient
    resources = {"cpu": {"quota": quota, "period": period, "shares": 2}, "pids": {"limit": 1}}
    assert rounded(resources) == {**resources, "cpu": {"quota": written, "period": period, "shares": 2}}
    assert resources["cpu"]["quota"] == quota


def test_no_quota_stays_none():
    for resources in ({}, {"cpu": {"quota": -1}}, {"cpu": {"period": 5000}}, {"cpu": {}}):
        assert rounded(resources) == resources


@pytest.mark.parametrize(("text", "mask"), [
    ("0", b"\x01"), ("0-7", b"\xff"), ("8", b"\x00\x01"), ("1,3,9", b"\x0a\x02"), ("0-31:2/8", b"\x03" * 4),
    ("0-3,", b"\x0f"),
])  # fmt: skip
def test_lists_are_bits(text, mask):
    assert bit_mask(text, ".x") == mask


@pytest.mark.parametrize("text", ["a", "3-1", "-1", "0-99999999999", "0-7:3/2", "0-7:0/2", "1-2-3"])
def test_lists_that_are_none_are_refused_by_name(text):
    with pytest.raises(ConfigError) as caught:
        bit_mask(text, ".linux.resources.cpu.cpus")
    assert caught.value.where == ".linux.resources.cpu.cpus"


def test_device_rules_of_a_list_that_denies():
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "b", "major": 8, "minor": 1, "access": "rw"},
        {"allow": True, "type": "c", "major": 99, "minor": 9, "access": "rwm"},
        {"allow": False, "type": "c", "major": 99, "minor": 9, "access": "w"},
    ]
    properties = dict(device_properties({"devices": rules}))
    assert properties["DevicePolicy"] == ("s", "strict")
    allowed = dict(properties["DeviceAllow"][1])
    assert allowed["/dev/block/8:1"] == "rw"
    assert allowed["/dev/char/99:9"] == "rm"
    assert allowed["char-*"] == "m"
    assert allowed["/dev/char/1:3"] == "rwm"
    assert allowed["char-pts"] == "rwm"


def test_device_rules_of_a_list_that_allows():
    assert device_properties({"devices": [{"allow": True, "access": "rwm"}]}) == [("DevicePolicy", ("s", "auto"))]


@pytest.mark.parametrize(("path", "user", "wanted"), [
    ("a-b.slice:crio:web", False, ("a-b.slice", "crio-web.scope")),
    (":p:n", False, ("system.slice", "p-n.scope")),
    (":p:n", True, ("user.slice", "p-n.scope")),
    ("-:p:n", True, ("-.slice", "p-n.scope")),
    ("-.slice:p:n", False, ("-.slice", "p-n.scope")),
    ("a.slice:p:a-n.slice", False, ("a.slice", "a-n.slice")),
    (None, False, ("system.slice", "pyoci-id.scope")),
    ("", True, ("user.slice", "pyoci-id.scope")),
])  # fmt: skip
def test_a_path_is_a_slice_and_a_unit(path, user, wanted):
    assert split_path(path, "id", user=user) == wanted


@pytest.mark.parametrize(
    "path", ["/a/b", "a:b", "a:b:c:d", "a.slice:b:", "a:b:c", "a.slice:b:c d", "a--b.slice:p:n", ".slice:p:n"]
)
def test_other_paths_are_refused(path):
    with pytest.raises(ConfigError) as caught:
        split_path(path, "id", user=False)
    assert caught.value.where == ".linux.cgroupsPath"


def test_a_path_that_is_none_is_refused_in_the_words_of_runc():
    with pytest.raises(ConfigError) as caught:
        split_path("/a/b", "id", user=False)
    assert (
        caught.value.message
        == 'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/a/b" instead'
    )


def test_an_id_that_no_unit_can_have_is_an_error():
    with pytest.raises(ConfigError, match=r"contains '\+'"):
        split_path(None, "a+b", user=False)


def test_slices_lie_in_each_other():
    assert expand_slice("a-b-c.slice") == "/a.slice/a-b.slice/a-b-c.slice"
    assert expand_slice("-.slice") == ""
