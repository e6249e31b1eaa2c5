"""update: what the cgroup files say afterwards (requirements L)."""

import json
import os
import shutil
import subprocess

import pytest

from . import host
from .host import read, write
from .runtime import Runtime

SLEEP = ["/bin/sleep", "1000"]
MIB = 1 << 20
HUGE = {"pageSize": "3MB", "limit": 1}
DISK = {"major": 999, "minor": 9, "rate": 5}
BASE = {
    "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
    "pids": {"limit": 30},
}


@pytest.fixture
def one(container):
    host.requires("cgroup1")
    return container({"linux": {"resources": BASE}}, args=SLEEP).create().start()


@pytest.fixture
def value(cgroup_dir):
    """value(container, "memory.limit_in_bytes") -> text."""

    def get(container, file):
        controller = {"cpuset": "cpuset", "pids": "pids", "blkio": "blkio"}.get(
            file.split(".")[0], file.split(".")[0]
        )
        return read("%s/%s" % (cgroup_dir(container.pid, controller), file)).strip()

    return get


FILES = (
    "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "cpu.shares",
    "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpuset.cpus", "pids.max",
)  # fmt: skip


def snapshot(value, container):
    return {file: value(container, file) for file in FILES}


@pytest.mark.parametrize(
    ("flags", "file", "text"),
    [
        (["--memory", "80M"], "memory.limit_in_bytes", 80 * MIB),
        (["--memory", "32m"], "memory.limit_in_bytes", 32 * MIB),
        (["--memory-swap", "100m"], "memory.memsw.limit_in_bytes", 100 * MIB),
        (["--memory", "1g", "--memory-swap", "2g"], "memory.limit_in_bytes", 1024 * MIB),
        (["--memory", "8m", "--memory-swap", "8m"], "memory.memsw.limit_in_bytes", 8 * MIB),
        (["--memory-reservation", "16m"], "memory.soft_limit_in_bytes", 16 * MIB),
        (["--cpu-share", "256"], "cpu.shares", 256),
        (["--cpu-quota", "20000"], "cpu.cfs_quota_us", 20000),
        (["--cpu-quota", "-1"], "cpu.cfs_quota_us", -1),
        (["--cpu-period", "200000"], "cpu.cfs_period_us", 200000),
        (["--cpu-burst", "1000"], "cpu.cfs_burst_us", 1000),
        (["--cpuset-cpus", "0-1"], "cpuset.cpus", "0-1"),
        (["--cpuset-mems", "0"], "cpuset.mems", "0"),
        (["--pids-limit", "77"], "pids.max", 77),
        (["--pids-limit", "-1"], "pids.max", "max"),
        (["--cpu-idle", "1"], "cpu.idle", 1),
    ],
)
def test_each_flag_reaches_its_file(one, pyoci, value, flags, file, text):
    """R-127; and nothing else changes."""
    if "0-1" in flags:
        host.requires("two_cpus")
    before = snapshot(value, one)
    pyoci("update", *flags, one.id).ok()
    assert value(one, file) == str(text)
    after = snapshot(value, one)
    changed = {name for name in FILES if before[name] != after[name]}
    allowed = {file} | ({"memory.memsw.limit_in_bytes", "memory.limit_in_bytes"} if "memory" in flags[0] else set())
    if "--cpu-idle" in flags:
        allowed.add("cpu.shares")
    assert changed <= allowed
    assert one.status() == "running"


def test_a_burst_is_kept_and_taken_back(one, pyoci, value):
    """A later update of something else keeps it; 0 is a value of it like any other, as with runc."""
    pyoci("update", "--cpu-period", "900000", "--cpu-quota", "600000", "--cpu-burst", "500000", one.id).ok()
    pyoci("update", "--cpu-quota", "700000", one.id).ok()
    assert value(one, "cpu.cfs_burst_us") == "500000"
    pyoci("update", "--cpu-period", "800000", "--cpu-burst", "0", one.id).ok()
    assert value(one, "cpu.cfs_burst_us") == "0"
    pyoci("update", "--cpu-quota", "600000", one.id).ok()
    assert value(one, "cpu.cfs_burst_us") == "0"


def test_no_memory_limit_means_no_swap_limit(one, pyoci, value):
    """R-128."""
    pyoci("update", "--memory", "-1", one.id).ok()
    assert int(value(one, "memory.limit_in_bytes")) > 1 << 60
    assert int(value(one, "memory.memsw.limit_in_bytes")) > 1 << 60


@pytest.mark.parametrize("source", ["file", "pipe", "="])
def test_a_document_of_resources(one, pyoci, value, work, source):
    """R-126: with it the other flags do not count; the engines' ways of handing it over."""
    document = {"pids": {"limit": 40}, "memory": {"limit": 70 * MIB}, "unknown": 5, "cpu": {"shares": 100}}
    path = work + "/resources.json"
    write(path, json.dumps(document))
    if source == "file":
        pyoci("update", "--resources", path, "--pids-limit", "9", one.id).ok()
    else:
        flags = ["-r", "-"] if source == "pipe" else ["--resources=-"]
        with open(path, "rb") as file:
            stdin = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
            pyoci("update", *flags, one.id, stdin=stdin.stdout).ok()
            stdin.stdout.close()
            from .runtime import Children

            Children.wait(stdin.pid, 5)
            stdin.returncode = 0
    assert value(one, "pids.max") == "40"
    assert value(one, "cpu.shares") == "100"
    assert value(one, "memory.limit_in_bytes") == str(70 * MIB)


def test_device_rules_are_not_touched(one, pyoci, work, cgroup_dir):
    """R-128: containerd's CRI plugin sends them along."""
    path = work + "/resources.json"
    write(path, json.dumps({"devices": [{"allow": False, "access": "rwm"}], "pids": {"limit": 41}}))
    devices = cgroup_dir(one.pid, "devices") + "/devices.list"
    before = read(devices)
    pyoci("update", "-r", path, one.id).ok()
    assert read(devices) == before


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"pids": {"limit": 40}, "cpu": {"shares": 100, "cpus": "999"}}, ["cpuset.cpus", ".cpu.cpus"]),
        ({"memory": {"limit": 200 * MIB, "swap": 300 * MIB}, "hugepageLimits": [HUGE]}, ["3MB"]),
        ({"memory": {"limit": 32 * MIB}, "cpu": {"quota": 60000, "burst": 10, "mems": "77"}}, [".cpu.mems"]),
        ({"cpu": {"shares": 100}, "unified": {"memory.high": "1"}}, ["unified", "cgroup v1"]),
        ({"pids": {"limit": 5}, "blockIO": {"throttleReadBpsDevice": [DISK]}}, ["no such device"]),
        ({"memory": {"limit": 200 * MIB}}, ["memory+swap limit should be >= memory limit"]),
        ({"memory": {"limit": "lots"}}, [".memory.limit"]),
        ({"cpu": {"period": 1}}, [".cpu.period"]),
    ],
)  # fmt: skip
def test_a_refused_value_sets_everything_back(one, pyoci, value, work, document, words):
    """R-129, R-131: nothing half-applied, on disk neither."""
    path = work + "/resources.json"
    write(path, json.dumps(document))
    before = snapshot(value, one)
    record = read(os.path.join(pyoci.root, one.id, "state.json"))
    pyoci("update", "--resources", path, one.id).failed(*words)
    assert snapshot(value, one) == before
    assert read(os.path.join(pyoci.root, one.id, "state.json")) == record
    assert one.status() == "running"


def test_a_limit_below_the_usage_is_refused_and_says_the_usage(container, pyoci, value):
    """Version 1 answers EBUSY; nobody is killed for it."""
    host.requires("cgroup1")
    edits = {"linux": {"resources": {"memory": {"limit": 64 * MIB}}}}
    busy = container(edits, args=["/bin/probe", "--only", "none", "--print", "--alloc", "30", "--pause"])
    busy.create().start()
    host.until(lambda: int(value(busy, "memory.usage_in_bytes")) > 30 * MIB)
    result = pyoci("update", "--memory", "8m", busy.id)
    if result.code == 0:  # reclaimed to swap
        return
    result.failed("unable to set memory limit to %d (current usage: " % (8 * MIB))
    assert value(busy, "memory.limit_in_bytes") == str(64 * MIB)
    assert busy.status() == "running"


def test_updates_add_up_and_are_kept(one, pyoci, value):
    """R-128, R-129: a later update finds what an earlier one set."""
    pyoci("update", "--memory", "40m", "--memory-swap", "50m", one.id).ok()
    pyoci("update", "--memory", "45m", one.id).ok()
    assert value(one, "memory.memsw.limit_in_bytes") == str(50 * MIB)
    pyoci("update", "--memory", "60m", one.id).failed("memory+swap limit should be >= memory limit")
    assert value(one, "memory.limit_in_bytes") == str(45 * MIB)


def test_two_at_once_both_count(one, pyoci, value):
    processes = [
        pyoci.spawn("update", "--memory", "40m", one.id),
        pyoci.spawn("update", "--pids-limit", "9", one.id),
    ]
    for process in processes:
        process.wait().ok()
    assert value(one, "memory.limit_in_bytes") == str(40 * MIB)
    assert value(one, "pids.max") == "9"
    resources = json.loads(read(os.path.join(pyoci.root, one.id, "state.json")))["resources"]
    assert resources["memory"]["limit"] == 40 * MIB
    assert resources["pids"]["limit"] == 9


def test_states(container, pyoci, cgroup_dir):
    """R-129."""
    host.requires("cgroup1")
    pyoci("update", "--pids-limit", "5", "nope").failed("container does not exist")
    one = container(args=SLEEP).create()
    pyoci("update", "--pids-limit", "50", one.id).ok()
    assert read(cgroup_dir(one.pid, "pids") + "/pids.max").strip() == "50"
    one.start()
    pyoci("pause", one.id).ok()
    pyoci("update", "--pids-limit", "51", one.id).ok()
    assert read(cgroup_dir(one.pid, "pids") + "/pids.max").strip() == "51"
    pyoci("resume", one.id).ok()
    one.end()
    pyoci("update", "--pids-limit", "5", one.id).failed("container not running")


def test_mistakes_of_a_person(one, pyoci, work):
    pyoci("update", one.id).failed("nothing to update")
    pyoci("update", "--memory", "many", one.id).failed("many")
    pyoci("update", "-r", work + "/nothing", one.id).failed("no such file or directory")
    write(work + "/bad", "{")
    pyoci("update", "-r", work + "/bad", one.id).failed("line 1")
    pyoci("update", "--kernel-memory", "5m", one.id).ok()


def updated_by_runc(pyoci, container, flags):
    """A container like `one`, by runc."""
    runc = shutil.which("runc") or "/usr/sbin/runc"
    if not os.path.exists(runc):
        pytest.skip("runc is not installed")
    other = container({"linux": {"resources": BASE}}, args=SLEEP)
    other.runtime = Runtime(pyoci.work, [runc])
    other.runtime.root = pyoci.work + "/runc-state"
    other.create().start()
    other.runtime("update", *flags, other.id).ok()
    return other


@pytest.mark.parametrize(
    "flags",
    [
        ["--memory", "32m"],
        ["--memory", "-1"],
        ["--memory", "80m", "--memory-swap", "90m"],
        ["--cpu-quota", "30000"],
        ["--cpu-period", "50000"],
        ["--cpu-quota", "-1"],
        ["--cpu-share", "77"],
        ["--pids-limit", "-1"],
        ["--pids-limit", "12", "--cpuset-cpus", "0"],
    ],
)
def test_the_files_are_as_after_runc(one, pyoci, value, container, flags):
    """Differential: the same bundle, the same update, the same files."""
    pyoci("update", *flags, one.id).ok()
    ours = snapshot(value, one)
    other = updated_by_runc(pyoci, container, flags)
    assert snapshot(value, other) == ours
    other.end()
    other.delete().ok()
