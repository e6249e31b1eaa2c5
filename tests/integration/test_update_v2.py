"""update on cgroup version 2: what its files say afterwards (requirements L); version 1 is in test_update."""

import json
import os

import pytest

from . import host
from .host import read, write
from .test_update import BASE, DISK, HUGE, MIB, SLEEP, updated_by_runc

FILES = ("memory.max", "memory.swap.max", "memory.low", "cpu.weight", "cpu.max", "cpuset.cpus", "pids.max")


@pytest.fixture
def one(container):
    host.requires("cgroup2", "swap")
    return container({"linux": {"resources": BASE}}, args=SLEEP).create().start()


def value(container, file):
    return read(host.cgroup_of(container.pid) + "/" + file).strip()


def snapshot(container):
    return {file: value(container, file) for file in FILES}


@pytest.mark.parametrize(
    ("flags", "file", "text", "others"),
    [
        (["--memory", "80M"], "memory.max", 80 * MIB, {"memory.swap.max"}),  # their sum stays
        (["--memory", "32m"], "memory.max", 32 * MIB, {"memory.swap.max"}),
        (["--memory-swap", "100m"], "memory.swap.max", 36 * MIB, ()),
        (["--memory-swap", "-1"], "memory.swap.max", "max", ()),
        (["--memory", "1g", "--memory-swap", "3g"], "memory.swap.max", 2048 * MIB, {"memory.max"}),
        (["--memory", "8m", "--memory-swap", "8m"], "memory.swap.max", 0, {"memory.max"}),
        (["--memory", "-1"], "memory.max", "max", {"memory.swap.max"}),
        (["--memory-reservation", "16m"], "memory.low", 16 * MIB, ()),
        (["--cpu-share", "1024"], "cpu.weight", 100, ()),
        (["--cpu-quota", "20000"], "cpu.max", "20000 100000", ()),
        (["--cpu-quota", "-1"], "cpu.max", "max 100000", ()),
        (["--cpu-period", "200000"], "cpu.max", "50000 200000", ()),
        (["--cpu-burst", "1000"], "cpu.max.burst", 1000, ()),
        (["--cpuset-cpus", "0-1"], "cpuset.cpus", "0-1", ()),
        (["--cpuset-mems", "0"], "cpuset.mems", "0", ()),
        (["--pids-limit", "77"], "pids.max", 77, ()),
        (["--pids-limit", "-1"], "pids.max", "max", ()),
        (["--cpu-idle", "1"], "cpu.idle", 1, {"cpu.weight"}),
    ],
)
def test_each_flag_reaches_its_file(one, pyoci, flags, file, text, others):
    """R-127; and nothing else changes."""
    if "0-1" in flags:
        host.requires("two_cpus")
    before = snapshot(one)
    pyoci("update", *flags, one.id).ok()
    assert value(one, file) == str(text)
    after = snapshot(one)
    assert {name for name in FILES if before[name] != after[name]} <= {file, *others}
    assert one.status() == "running"


def test_no_memory_limit_means_no_swap_limit(one, pyoci):
    """R-128."""
    pyoci("update", "--memory", "-1", one.id).ok()
    assert value(one, "memory.max") == value(one, "memory.swap.max") == "max"


def test_device_rules_are_not_touched(one, pyoci, work):
    """R-128: containerd's CRI plugin sends them along; here they are a program in the kernel."""
    write(work + "/r", json.dumps({"devices": [{"allow": False, "access": "rwm"}], "pids": {"limit": 41}}))
    pyoci("update", "-r", work + "/r", one.id).ok()
    assert value(one, "pids.max") == "41"
    pyoci("exec", one.id, "/bin/sh", "-c", "echo x > /dev/null").ok()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"pids": {"limit": 40}, "cpu": {"shares": 100, "cpus": "99999"}}, ["cpuset.cpus", ".cpu.cpus"]),
        ({"memory": {"limit": 200 * MIB, "swap": 300 * MIB}, "hugepageLimits": [HUGE]}, ["3MB"]),
        ({"memory": {"limit": 32 * MIB}, "cpu": {"quota": 60000, "realtimeRuntime": 5}}, ["realtimeRuntime"]),
        ({"pids": {"limit": 9}, "memory": {"swappiness": 50}}, ["swappiness"]),
        ({"pids": {"limit": 5}, "blockIO": {"throttleReadBpsDevice": [DISK]}}, ["no such device"]),
        ({"memory": {"limit": 200 * MIB}}, ["memory+swap limit should be >= memory limit"]),
        ({"memory": {"limit": "lots"}}, [".memory.limit"]),
        ({"cpu": {"period": 1}}, [".cpu.period"]),
        ({"memory": {"limit": 70 * MIB}, "unified": {"pids.max": "nonsense"}}, ["pids.max"]),
    ],
)
def test_a_refused_value_sets_everything_back(one, pyoci, work, document, words):
    """R-129, R-131: nothing half-applied, on disk neither."""
    write(work + "/r", json.dumps(document))
    before = snapshot(one)
    record = read(os.path.join(pyoci.root, one.id, "state.json"))
    pyoci("update", "--resources", work + "/r", one.id).failed(*words)
    assert snapshot(one) == before
    assert read(os.path.join(pyoci.root, one.id, "state.json")) == record
    assert one.status() == "running"


def test_updates_add_up_and_are_kept(one, pyoci):
    """R-128, R-129: the file has the difference, so the sum must be remembered."""
    pyoci("update", "--memory", "40m", "--memory-swap", "50m", one.id).ok()
    pyoci("update", "--memory", "45m", one.id).ok()
    assert value(one, "memory.swap.max") == str(5 * MIB)
    pyoci("update", "--memory", "60m", one.id).failed("memory+swap limit should be >= memory limit")
    assert value(one, "memory.max") == str(45 * MIB)


def test_two_at_once_both_count(one, pyoci):
    flags = (["--memory", "40m"], ["--pids-limit", "9"])
    for process in [pyoci.spawn("update", *words, one.id) for words in flags]:
        process.wait().ok()
    assert (value(one, "memory.max"), value(one, "pids.max")) == (str(40 * MIB), "9")
    resources = json.loads(read(os.path.join(pyoci.root, one.id, "state.json")))["resources"]
    assert (resources["memory"]["limit"], resources["pids"]["limit"]) == (40 * MIB, 9)


def test_states(container, pyoci):
    """R-129; a frozen cgroup takes limits."""
    host.requires("cgroup2")
    one = container(args=SLEEP).create()
    pyoci("update", "--pids-limit", "50", one.id).ok()
    assert value(one, "pids.max") == "50"
    one.start()
    pyoci("pause", one.id).ok()
    pyoci("update", "--pids-limit", "51", one.id).ok()
    assert value(one, "pids.max") == "51"
    pyoci("resume", one.id).ok()
    one.end()
    pyoci("update", "--pids-limit", "5", one.id).failed("container not running")


@pytest.mark.parametrize(
    "flags",
    [
        ["--memory", "-1"],
        ["--memory", "80m", "--memory-swap", "90m"],
        ["--memory-reservation", "16m"],
        ["--cpu-quota", "30000"],
        ["--cpu-period", "50000"],
        ["--cpu-quota", "-1"],
        ["--pids-limit", "-1"],
        ["--pids-limit", "12", "--cpuset-cpus", "0"],
    ],
)
def test_the_files_are_as_after_runc(one, pyoci, container, flags):
    """Differential, but for cpu.weight: runc before 1.3 computes it in another way."""
    pyoci("update", *flags, one.id).ok()
    other = updated_by_runc(pyoci, container, flags)
    assert {**snapshot(other), "cpu.weight": ""} == {**snapshot(one), "cpu.weight": ""}
    other.end()
    other.delete().ok()


@pytest.fixture
def on_version_2(container):
    host.requires("cgroup2")
    edits = {"linux": {"resources": {"memory": {"limit": 64 * MIB}, "pids": {"limit": 30}}}}
    return (
        container(edits, args=["/bin/probe", "--only", "none", "--print", "--alloc", "20", "--pause"])
        .create()
        .start()
    )


def test_files_of_version_2(on_version_2, pyoci):
    """R-127, R-128."""
    place = host.cgroup_of(on_version_2.pid)
    flags = ["--memory", "80m", "--memory-swap", "90m", "--pids-limit", "9", "--cpu-share", "1024"]
    pyoci("update", *flags, "--cpu-quota", "20000", on_version_2.id).ok()
    expected = {"memory.max": 80 * MIB, "memory.swap.max": 10 * MIB, "pids.max": 9, "cpu.weight": 100}
    for file, number in expected.items():
        if os.path.exists(place + "/" + file):
            assert read(place + "/" + file).strip() == str(number), file
    assert read(place + "/cpu.max").split() == ["20000", "100000"]


def test_a_limit_below_the_usage_is_refused_when_asked_for(on_version_2, pyoci, work):
    """R-130."""
    place = host.cgroup_of(on_version_2.pid)
    host.until(lambda: int(read(place + "/memory.current")) > 20 * MIB)
    write(work + "/r", json.dumps({"memory": {"limit": 8 * MIB, "checkBeforeUpdate": True}, "pids": {"limit": 7}}))
    pyoci("update", "-r", work + "/r", on_version_2.id).failed("usage")
    assert read(place + "/memory.max").strip() == str(64 * MIB)
    assert read(place + "/pids.max").strip() == "30"
    assert on_version_2.status() == "running"


def test_unified_keys(on_version_2, pyoci, work):
    """R-131; on version 1 they are refused (test_a_refused_value_sets_everything_back)."""
    place = host.cgroup_of(on_version_2.pid)
    write(work + "/r", json.dumps({"unified": {"memory.high": str(50 * MIB), "pids.max": "21"}}))
    pyoci("update", "-r", work + "/r", on_version_2.id).ok()
    assert read(place + "/memory.high").strip() == str(50 * MIB)
    assert read(place + "/pids.max").strip() == "21"
    write(work + "/r", json.dumps({"unified": {"memory.high": "max", "pids.max": "nonsense"}}))
    pyoci("update", "-r", work + "/r", on_version_2.id).failed("pids.max")
    assert read(place + "/memory.high").strip() == str(50 * MIB), "set back"
