"""kill and delete against containers that resist (R-074 to R-092): frozen parts, shared pids, kernel waits."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from . import host
from .bundles import PROBE_SOURCE, bind, namespaces
from .host import alive, patience, read, requires, until, write
from .runtime import Children

SLEEP = ["/bin/sleep", "1000"]
HOST_PID = {"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount")}}
PRIVATE = {}
# A shell that starts others which ignore what can be ignored, in sessions of their own.
STUBBORN = """
trap '' TERM INT HUP USR1
for i in 1 2 3; do (trap '' TERM INT HUP USR1; while :; do sleep 1000; done) & done
while :; do sleep 1000; done
"""


@pytest.fixture
def running(container):
    def make(*edits, args=SLEEP):
        return container(*edits, args=args).create().start()

    return make


def members(one, controller="devices"):
    """The processes of the container, sub-cgroups included."""
    found = []
    for folder, _, _ in os.walk(host.cgroup_of(one.pid, controller)):
        found += map(int, read(folder + "/cgroup.procs").split())
    return sorted(found)


def end(pyoci, one, how):
    """Kill or delete in the way named; it must not take long."""
    words = {
        "kill": ["kill", one.id, "KILL"],
        "all": ["kill", "--all", one.id, "KILL"],
        "delete": ["delete", "--force", one.id],
    }[how]
    process = pyoci.spawn(*words)
    while process.running():
        time.sleep(0.005)
    result = process.wait(timeout=8).ok()
    one.gone = how == "delete"
    assert result.text == ""
    assert result.seconds < patience(5)


HOWS = pytest.mark.parametrize("how", ["kill", "all", "delete"])
SHARING = pytest.mark.parametrize("pids", [PRIVATE, HOST_PID], ids=["private-pids", "host-pids"])


def freeze_part(one, pid):
    """Move a process into a frozen sub-cgroup of the container, as one with writable cgroups can."""
    if host.is_cgroup2():
        top = host.cgroup_of(one.pid)
        part = top + "/part"
        os.mkdir(part)
        write(part + "/cgroup.procs", str(pid))
        write(part + "/cgroup.freeze", "1")
        until(lambda: "frozen 1" in read(part + "/cgroup.events"))
        return part
    requires("v1:freezer")
    part = host.cgroup_of(one.pid, "freezer") + "/part"
    os.makedirs(part + "/deep")
    write(part + "/deep/cgroup.procs", str(pid))
    write(part + "/deep/freezer.state", "FROZEN")
    until(lambda: read(part + "/deep/freezer.state").strip() == "FROZEN")
    return part


@HOWS
@SHARING
@pytest.mark.parametrize("whom", ["init", "child"])
def test_a_part_that_the_container_froze_itself_dies_too(running, pyoci, how, pids, whom):
    """R-079, R-085: version 1's frozen processes die only thawed, and init waits for all of its namespace."""
    one = running(pids, args=["/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait"])
    until(lambda: len(members(one)) == 3)
    everybody = members(one)
    victim = one.pid if whom == "init" else next(pid for pid in everybody if pid != one.pid)
    freeze_part(one, victim)
    assert one.status() == "running"
    end(pyoci, one, how)
    until(lambda: not any(map(alive, everybody)), timeout=5, what="the end of all")
    if how != "delete":
        one.delete().ok()


@HOWS
@SHARING
@pytest.mark.parametrize("paused", [False, True])
def test_what_ignores_signals_goes_with_kill(running, pyoci, how, pids, paused):
    """R-078, R-085."""
    one = running(pids, args=["/bin/sh", "-c", STUBBORN])
    until(lambda: len(members(one)) >= 8)
    one.kill("TERM").ok()
    one.kill("--all", "TERM").ok()  # ends the sleeps, which do not ignore it; new ones come
    until(lambda: len(members(one)) >= 8)
    if paused:
        pyoci("pause", one.id).ok()
    everybody = members(one)
    assert one.pid in everybody
    end(pyoci, one, how)
    until(lambda: not any(map(alive, everybody)), timeout=5, what="the end of all")
    if how != "delete":
        one.delete().ok()


@HOWS
@SHARING
def test_a_paused_created_container_ends(container, pyoci, how, pids):
    """R-080, R-084, R-085."""
    one = container(pids, args=SLEEP).create()
    pyoci("pause", one.id).ok()
    one.delete().failed("cannot delete container %s that is not stopped: paused" % one.id)
    pyoci("start", one.id).failed("cannot start a container in the paused state")
    pid = one.pid
    end(pyoci, one, how)
    until(lambda: not alive(pid), timeout=5)
    if how != "delete":
        assert one.status() == "stopped"
        one.delete().ok()


@HOWS
def test_a_fork_storm_without_a_pid_namespace_ends(running, pyoci, how):
    """R-078, S-27: whoever is forked meanwhile is found as well."""
    storm = "f() { while :; do (sleep 0.001 & true & wait) & true & wait; done; }; f & f & f & f & f & wait"
    one = running(HOST_PID, args=["/bin/sh", "-c", storm])
    until(lambda: len(members(one)) > 8)
    cgroups = host.cgroup_dirs(one.bundle.config["linux"]["cgroupsPath"])
    end(pyoci, one, how)
    until(lambda: not any(read(c + "/cgroup.procs") for c in cgroups if os.path.exists(c)), timeout=5)
    if how != "delete":
        one.delete().ok()


@pytest.mark.parametrize("how", [["kill", "KILL"], ["kill", "--all", "KILL"], ["delete"], ["delete", "--force"]])
def test_what_outlives_init_is_found_in_sub_cgroups_too(running, pyoci, how):
    """R-078, R-082, R-088, R-089: init is gone, its child sits three levels below in every hierarchy."""
    one = running(HOST_PID, args=["/bin/probe", "--child", "--wait", "/tmp/go", "--exit", "0"])
    child = one.report()["actions"][0]["pid"]
    folders = {host.cgroup_of(one.pid, name) for name in host.hierarchies()}
    for folder in folders:
        os.makedirs(folder + "/a/b/c")
        os.mkdir(folder + "/empty")
        if "cpuset" in folder:
            for level in ("", "/b", "/b/c"):
                for file in ("cpuset.cpus", "cpuset.mems"):
                    write(folder + "/a" + level + "/" + file, read(folder + "/" + file))
        write(folder + "/a/b/c/cgroup.procs", str(child))
    one.bundle.file("/tmp/go")
    assert one.wait() == 0
    assert one.status() == "stopped"
    assert alive(child)
    if how[0] == "delete":
        assert one.delete(*how[1:]).code == 0
    else:
        one.kill(*how[1:]).ok()
        until(lambda: not alive(child), timeout=5)
        one.delete().ok()
    until(lambda: not alive(child), timeout=5)
    assert [folder for folder in folders if os.path.exists(folder)] == []


def test_kill_of_another_signal_does_not_reach_what_outlived_init(running):
    """R-075: the container is stopped."""
    one = running(HOST_PID, args=["/bin/probe", "--child", "--print", "--exit", "0"])
    child = one.report()["actions"][0]["pid"]
    one.wait()
    one.kill("TERM").failed("container not running")
    assert alive(child)
    one.delete().ok()
    until(lambda: not alive(child))


def test_threaded_sub_cgroups_are_emptied_and_removed(running, pyoci):
    """R-078, R-088: their cgroup.procs cannot be read."""
    requires("cgroup2")
    one = running(HOST_PID, args=["/bin/sh", "-c", "sleep 1000 & wait"])
    until(lambda: len(members(one)) == 2)
    top = host.cgroup_of(one.pid)
    os.mkdir(top + "/threads")
    write(top + "/threads/cgroup.type", "threaded")
    everybody = members_flat(top)
    for pid in everybody:
        write(top + "/threads/cgroup.threads", str(pid))
    end(pyoci, one, "delete")
    until(lambda: not any(map(alive, everybody)), timeout=5)
    assert not os.path.exists(top)


def members_flat(folder):
    return [int(pid) for pid in read(folder + "/cgroup.procs").split()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_delete_that_is_killed_is_finished_by_the_next(running, pyoci, number):
    """R-085: at any moment of it."""
    for delay in (0, 0.004, 0.008, 0.012, 0.016, 0.02, 0.03):
        one = running(HOST_PID, args=["/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait"])
        pid = one.pid
        process = pyoci.spawn("delete", "--force", one.id)
        time.sleep(delay)
        process.signal(number)
        process.wait()
        one.delete("--force").ok()
        until(lambda pid=pid: not alive(pid))
        assert pyoci.left() == []


def test_two_kills_and_deletes_at_once_agree(running, pyoci):
    """R-085: each succeeds or says in its own words that the container is gone."""
    one = running(HOST_PID, args=["/bin/sh", "-c", STUBBORN])
    words = [["kill", one.id, "KILL"], ["kill", "--all", one.id, "KILL"], *[["delete", "--force", one.id]] * 3]
    processes = [pyoci.spawn(*line) for line in words]
    results = [process.wait() for process in processes]
    for result in results:
        assert result.code == 0 or any(
            text in result.err for text in ("does not exist", "container not running")
        ), result
    one.delete("--force").ok()
    assert pyoci.left() == []
    one.gone = True


def test_mounts_and_sockets_of_the_container_go_with_it(running, pyoci):
    """R-082: a container whose mounts reach the host (a shared bind), and its state directory."""
    one = running(PRIVATE)
    before = host.mount_table()
    end(pyoci, one, "delete")
    assert host.mount_table() == before
    assert pyoci.left() == []


def test_a_process_that_joined_from_outside_goes_with_the_cgroup(running):
    """As with crun: a cgroup that may not be removed would keep delete from ever succeeding."""
    one = running(PRIVATE)
    foreign = subprocess.Popen(["/bin/sleep", "1000"], stdin=subprocess.DEVNULL)
    write(host.cgroup_of(one.pid, "devices") + "/cgroup.procs", str(foreign.pid))
    one.end()
    one.delete().ok()
    foreign.returncode = Children.wait(foreign.pid, 5)
    assert foreign.returncode == 128 + signal.SIGKILL


# ---- processes that wait in the kernel ----


@pytest.fixture
def stuck(work, running):
    """A running container whose second process cannot be frozen (tests/probe/stuck.c)."""
    program = os.path.join(work, "stuck")
    if shutil.which("gcc") is None:
        pytest.skip("no compiler")
    source = os.path.join(os.path.dirname(PROBE_SOURCE), "stuck.c")
    subprocess.run(["gcc", "-O1", "-static", "-o", program, source], check=True)
    requires("cgroup2") if host.is_cgroup2() else requires("v1:freezer")
    caps = ["CAP_SYS_PTRACE"]
    edit = {
        "mounts+": [bind("/data", work, "rbind", "ro")],
        "process": {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), caps)},
    }
    one = running(edit, args=["/bin/sh", "-c", "/data/stuck & wait"])
    until(lambda: one.out() or one.err())
    if "stuck" not in one.out():
        pytest.skip("no userfaultfd: " + one.err().strip())
    time.sleep(0.1)
    return one


def half_frozen(one):
    if host.is_cgroup2():
        folder = host.cgroup_of(one.pid)
        return read(folder + "/cgroup.freeze").strip() == "1" and "frozen 0" in read(folder + "/cgroup.events")
    return read(host.cgroup_of(one.pid, "freezer") + "/freezer.state").strip() == "FREEZING"


def thawed(one):
    if host.is_cgroup2():
        return read(host.cgroup_of(one.pid) + "/cgroup.freeze").strip() == "0"
    return read(host.cgroup_of(one.pid, "freezer") + "/freezer.state").strip() == "THAWED"


@pytest.mark.slow
def test_a_pause_that_cannot_be_completed_is_undone(stuck, pyoci):
    """R-124: a clear error after ten seconds, and everything runs on."""
    result = pyoci("pause", stuck.id, timeout=60).failed("unable to freeze")
    assert "waits in the kernel" in result.err
    assert 9 < result.seconds < patience(40)
    assert thawed(stuck)
    assert stuck.status() == "running"
    stuck.end()
    stuck.delete().ok()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_pause_is_undone(stuck, pyoci, number):
    process = pyoci.spawn("pause", stuck.id)
    until(lambda: half_frozen(stuck))
    process.signal(number)
    process.wait(timeout=10).failed("interrupted")
    assert thawed(stuck)
    stuck.end()
    stuck.delete().ok()


@pytest.mark.parametrize("then", ["resume", "kill", "delete"])
def test_a_killed_pause_leaves_a_container_that_can_be_resumed_and_killed(stuck, pyoci, then):
    process = pyoci.spawn("pause", stuck.id)
    until(lambda: half_frozen(stuck))
    process.signal(signal.SIGKILL)
    process.wait(timeout=10)
    until(lambda: half_frozen(stuck))
    if then == "resume":
        pyoci("resume", stuck.id).ok()
        assert thawed(stuck)
        assert stuck.status() == "running"
        then = "delete"
    end(pyoci, stuck, then)
    if then == "kill":
        until(lambda: not alive(stuck.pid))
        stuck.delete().ok()


def test_an_init_that_waits_for_others_to_be_reaped_still_counts_as_running(container, pyoci):
    """R-309: its namespace holds a dead process whose parent, outside, has not waited for it."""
    one = container(args=SLEEP).create().start()
    inside = pyoci.spawn("exec", "--detach", "--pid-file", one.pid_file + ".2", one.id, "/bin/sleep", "1000")
    os.waitid(os.P_PID, inside.pid, os.WEXITED | os.WNOWAIT)
    second = int(read(one.pid_file + ".2"))
    result = pyoci.spawn("kill", one.id, "KILL")
    os.waitid(os.P_PID, result.pid, os.WEXITED | os.WNOWAIT)
    os.waitid(os.P_PID, second, os.WEXITED | os.WNOWAIT)  # dead, ours to reap, and not reaped
    state = pyoci.spawn("state", one.id)
    os.waitid(os.P_PID, state.pid, os.WEXITED | os.WNOWAIT)
    assert '"status": "running"' in read(state.out_path)
    for process in (inside, result, state):
        process.wait().ok()
    until(lambda: one.status() == "stopped")
    one.delete().ok()


@pytest.mark.slow
def test_delete_says_what_an_init_that_does_not_end_waits_for(container, pyoci):
    """R-085, R-309: after ten seconds; reaping the dead helps, and the next delete finishes."""
    one = container(args=SLEEP).create().start()
    inside = pyoci.spawn("exec", "--detach", "--pid-file", one.pid_file + ".2", one.id, "/bin/sleep", "1000")
    os.waitid(os.P_PID, inside.pid, os.WEXITED | os.WNOWAIT)
    delete = pyoci.spawn("delete", "--force", one.id)
    os.waitid(os.P_PID, delete.pid, os.WEXITED | os.WNOWAIT)
    inside.wait().ok()
    delete.wait().failed("container init still running", "have not reaped them")
    until(lambda: one.status() == "stopped")
    one.delete().ok()
