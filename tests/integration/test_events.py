"""events (requirements, part L): statistics, against the kernel's files and runc's; lack of memory; the end."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from pyoci.cgroup.driver import Cgroup
from pyoci.cgroup.layout import detect
from pyoci.cgroup.statistics import statistics

from . import host
from .bundles import namespaces
from .host import read, requires, until
from .test_pause import SLEEP, frozen

MIB = 1 << 20
LIMITS = {"linux": {"resources": {"memory": {"limit": 64 * MIB, "swap": 64 * MIB}, "pids": {"limit": 30}}}}
HUNGRY = ["/bin/probe", "--only", "none", "--alloc", "200", "--pause"]
HOST_PID = {"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount")}}


@pytest.fixture
def running(container):
    def make(*edits, args=SLEEP):
        return container(*edits, args=args).create().start()

    return make


def stats(pyoci, one):
    """The one event of `events --stats`, its frame checked."""
    lines = pyoci("events", "--stats", one.id).ok().out.splitlines()
    assert len(lines) == 1
    event = json.loads(lines[0])
    assert list(event) == ["type", "id", "data"]
    assert (event["type"], event["id"]) == ("stats", one.id)
    return event["data"]


def events_in(path):
    return [json.loads(line) for line in read(path).splitlines(True) if line.endswith("\n")]


def kinds(stream):
    return [event["type"] for event in events_in(stream.out_path)]


def differences(one, other, path=""):
    """Where two documents differ: [(jq path, value, value)]."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return [] if one == other else [(path, one, other)]
    found = []
    for key in sorted(set(one) | set(other)):
        found += differences(one.get(key, "missing"), other.get(key, "missing"), path + "." + key)
    return found


# ---- statistics ----


def test_the_numbers_are_those_of_the_cgroup(running, pyoci):
    """R-121, R-122."""
    one = running(LIMITS, args=["/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait"])
    folder = host.cgroup_of(one.pid, "pids")
    until(lambda: len(read(folder + "/cgroup.procs").split()) == 3)
    pyoci("pause", one.id).ok()
    found = stats(pyoci, one)
    assert found["pids"] == {"current": 3, "limit": 30}
    assert found["memory"]["usage"]["limit"] == 64 * MIB
    assert found["memory"]["usage"]["usage"] > 0
    assert found["cpu"]["usage"]["total"] > 0
    memory = host.cgroup_of(one.pid, "memory")
    wanted = dict(line.split() for line in read(memory + "/memory.stat").splitlines())
    assert set(found["memory"]["raw"]) == set(wanted)
    if host.is_cgroup2():
        lines = read(memory + "/memory.events").splitlines()
        assert found["memory"]["events"] == {key: int(value) for key, value in map(str.split, lines)}
        usec = dict(map(str.split, read(memory + "/cpu.stat").splitlines()))["usage_usec"]
        assert found["cpu"]["usage"]["total"] == int(usec) * 1000
    else:
        total = int(read(host.cgroup_of(one.pid, "cpuacct") + "/cpuacct.usage"))
        assert found["cpu"]["usage"]["total"] == total
    assert found["intel_rdt"] == {}
    assert found["network_interfaces"] is None


def test_pressure_where_the_kernel_keeps_it(running, pyoci):
    """R-122."""
    if "unified" not in host.hierarchies():
        pytest.skip("no version 2 hierarchy")
    one = running()
    if not os.path.exists(host.cgroup_of(one.pid, "unified") + "/memory.pressure"):
        pytest.skip("the kernel keeps no pressure")
    found = stats(pyoci, one)
    for key in ("cpu", "memory", "blkio"):
        assert list(found[key]["psi"]) == ["some", "full"]
        assert list(found[key]["psi"]["some"]) == ["avg10", "avg60", "avg300", "total"]


@pytest.fixture
def runc(work, bundle, fresh_id):
    """A paused container of runc with limits: (id, cgroups path, run a command)."""
    if shutil.which("runc") is None:
        pytest.skip("runc is not installed")
    name = fresh_id()
    root = os.path.join(work, "runc")
    # runc 1.1 takes every mount's options literally; its own default config is near enough to ours.
    where = bundle(LIMITS, args=["/bin/sh", "-c", "cat /bin/probe >/dev/null; sleep 1000 & while :; do :; done"])

    def go(*words):
        with open(os.path.join(work, "runc.out"), "w+b") as out:
            done = subprocess.Popen(
                ["runc", "--root", root, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
            code = until(lambda: done.poll() is not None and [done.returncode])[0]
            out.seek(0)
            text = out.read().decode()
        assert code == 0, text
        return text

    go("run", "--detach", "--bundle", where.path, name)
    time.sleep(0.3)
    go("pause", name)
    yield name, where.config["linux"]["cgroupsPath"], go
    go("delete", "--force", name)


def test_the_document_is_runcs(runc):
    """R-122: of one paused container, field by field; what moves on its own gets some tries."""
    name, path, go = runc
    cgroup = Cgroup.for_container(detect(), path, name, None)
    found = []
    for _ in range(20):
        theirs = json.loads(go("events", "--stats", name))["data"]
        ours = json.loads(json.dumps(statistics(cgroup)))
        for key in ("cpu", "memory", "blkio"):
            if "psi" not in theirs[key]:  # since runc 1.2, and on version 2 only
                ours[key].pop("psi", None)
        ours["memory"].pop("events", None)  # never
        if "max" not in theirs["memory"]["usage"]:  # on version 2 since runc 1.2
            ours["memory"]["usage"].pop("max", None)
        for raw in (ours["memory"]["raw"], theirs["memory"]["raw"]):
            for key in [key for key in raw if "mapped" in key]:
                del raw[key]  # pages of runc's own file, which runc has mapped while it looks
        found = differences(ours, theirs)
        if not found:
            return
        time.sleep(0.1)
    assert found == []


@pytest.mark.parametrize("status", ["created", "paused"])
def test_statistics_of_a_container_that_does_not_run(container, pyoci, status):
    one = container(args=SLEEP).create()
    if status == "paused":
        one.start()
        pyoci("pause", one.id).ok()
    assert stats(pyoci, one)["pids"]["current"] == 1


def test_wrong_states_and_intervals_are_refused(container, pyoci):
    """R-121, R-035."""
    one = container(args=SLEEP).create().start()
    for text in ("0", "0s", "-5s"):
        pyoci("events", "--interval=" + text, one.id).failed("duration interval must be greater than 0")
        pyoci("events", "--stats", "--interval=" + text, one.id).failed("duration interval must be greater than 0")
    for text in ("5", "x", "5 s", ""):
        assert pyoci("events", "--interval=" + text, one.id).code == 1
    one.end()
    for flags in ([], ["--stats"]):
        result = pyoci("events", *flags, one.id).failed("container with id %s is not running" % one.id)
        assert result.out == ""
    pyoci("events", "nope").failed("container does not exist")


# ---- the stream ----


def test_statistics_come_at_the_interval_until_the_container_ends(running, pyoci):
    """R-121: a Go duration; the first comes after one interval."""
    one = running()
    stream = pyoci.spawn("events", "--interval", "200ms", one.id)
    until(lambda: len(kinds(stream)) >= 3)
    elapsed = time.monotonic() - stream.started
    one.end()
    result = stream.wait(timeout=5).ok()
    assert set(kinds(stream)) == {"stats"}
    assert elapsed >= 0.6
    assert result.err == ""
    assert result.out.endswith("}\n")


def test_the_default_interval_is_long(running, pyoci):
    one = running()
    stream = pyoci.spawn("events", one.id)
    time.sleep(1)
    assert kinds(stream) == []
    one.end()
    stream.wait(timeout=5).ok()


@pytest.mark.parametrize("edit", [{}, HOST_PID], ids=["private", "host"])
def test_a_killed_process_gives_an_oom_event(running, pyoci, edit):
    """R-121, R-123: also when it was init, and the container ends of it."""
    one = running(
        LIMITS,
        edit,
        args=["/bin/sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.05; done; exec " + " ".join(HUNGRY)],
    )
    stream = pyoci.spawn("events", "--interval", "1h", one.id)
    wait_for_watch(stream)
    write_go(one)
    until(lambda: "oom" in kinds(stream))
    assert events_in(stream.out_path)[0] == {"type": "oom", "id": one.id}
    one.wait()
    stream.wait(timeout=5).ok()


def test_an_oom_event_does_not_end_the_stream(running, pyoci):
    """R-123: a child is killed, init lives on; each notice counts once."""
    script = "while [ ! -e /tmp/go ]; do sleep 0.05; done; %s; exec sleep 1000" % " ".join(HUNGRY)
    one = running(LIMITS, args=["/bin/sh", "-c", script])
    stream = pyoci.spawn("events", "--interval", "100ms", one.id)
    wait_for_watch(stream)
    write_go(one)
    until(lambda: "oom" in kinds(stream))
    before = len(kinds(stream))
    until(lambda: len(kinds(stream)) > before + 3)
    assert kinds(stream).count("oom") <= 2
    one.end()
    stream.wait(timeout=5).ok()


def write_go(one):
    one.bundle.file("/tmp/go")


def wait_for_watch(stream):
    """Until events has its descriptors: an eventfd, or memory.events."""

    def watching():
        try:
            targets = [
                os.readlink("/proc/%d/fd/%s" % (stream.pid, fd)) for fd in os.listdir("/proc/%d/fd" % stream.pid)
            ]
        except FileNotFoundError:
            return False
        pidfd = any("pidfd" in target for target in targets)
        return pidfd and any("eventfd" in target or target.endswith("/memory.events") for target in targets)

    until(watching, what="events to watch")


def test_the_stream_ends_with_the_last_process_not_with_init(running, pyoci):
    """R-121: init's child outlives it where the pid namespace is shared."""
    one = running(HOST_PID, args=["/bin/probe", "--child", "--print", "--exit", "0"])
    child = one.report()["actions"][0]["pid"]
    stopped = one.wait()
    assert stopped == 0
    pyoci("events", one.id).failed("is not running")
    os.kill(child, signal.SIGKILL)
    two = running(HOST_PID, args=["/bin/probe", "--child", "--sleep", "1", "--exit", "0"])
    child = two.report()["actions"][0]["pid"]
    stream = pyoci.spawn("events", "--interval", "100ms", two.id)
    two.wait()
    before = len(kinds(stream))
    until(lambda: len(kinds(stream)) > before + 2, what="statistics after the end of init")
    os.kill(child, signal.SIGKILL)
    stream.wait(timeout=5).ok()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_stream_quietly(running, pyoci, number):
    one = running()
    stream = pyoci.spawn("events", "--interval", "50ms", one.id)
    until(lambda: kinds(stream))
    stream.signal(number)
    result = stream.wait(timeout=5)
    assert (result.code, result.err) == (128 + number, "")
    assert result.out.endswith("}\n")
    assert one.status() == "running"


@pytest.mark.parametrize("interval", ["1h", "20ms"])
def test_the_stream_ends_quietly_when_nobody_reads(running, pyoci, interval):
    one = running()
    reader, writer = os.pipe()
    stream = pyoci.spawn("events", "--interval", interval, one.id, stdout=writer)
    os.close(writer)
    time.sleep(0.5)
    assert stream.running()
    os.close(reader)
    result = stream.wait(timeout=5)
    assert result.code in (0, 128 + signal.SIGPIPE)
    assert result.err == ""


def test_a_deleted_container_ends_the_stream(running, pyoci):
    one = running()
    stream = pyoci.spawn("events", "--interval", "20ms", one.id)
    until(lambda: kinds(stream))
    one.delete("--force").ok()
    result = stream.wait(timeout=5).ok()
    assert result.err == ""
    assert set(kinds(stream)) == {"stats"}


def test_a_paused_container_does_not_end_the_stream(running, pyoci):
    one = running()
    stream = pyoci.spawn("events", "--interval", "20ms", one.id)
    pyoci("pause", one.id).ok()
    assert frozen(one.pid)
    before = len(kinds(stream))
    until(lambda: len(kinds(stream)) > before + 3)
    pyoci("resume", one.id).ok()
    one.end()
    stream.wait(timeout=5).ok()


def test_without_a_killer_the_lack_of_memory_is_told_too(running, pyoci):
    """R-123: memory.disableOOMKiller of version 1 lets the process wait."""
    requires("cgroup1")
    edit = {"linux": {"resources": {"memory": {"disableOOMKiller": True}}}}
    script = "while [ ! -e /tmp/go ]; do sleep 0.05; done; exec " + " ".join(HUNGRY)
    one = running(LIMITS, edit, args=["/bin/sh", "-c", script])
    stream = pyoci.spawn("events", "--interval", "1h", one.id)
    wait_for_watch(stream)
    write_go(one)
    until(lambda: "oom" in kinds(stream))
    assert host.alive(one.pid)
    one.end()
    stream.wait(timeout=5).ok()
