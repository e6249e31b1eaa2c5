"""pause, resume and ps (requirements K, L), as the freezer and the cgroup's lists show them."""

import json
import os
import subprocess
import time

import pytest

from . import host
from .bundles import namespaces
from .host import read, until, write

SLEEP = ["/bin/sleep", "1000"]
FORKS = ["/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait"]


@pytest.fixture
def running(container):
    def make(*edits, args=SLEEP):
        return container(*edits, args=args).create().start()

    return make


def frozen(pid):
    """What the kernel says of the cgroup of `pid`."""
    if host.is_cgroup2():
        return "frozen 1" in read(host.cgroup_of(pid) + "/cgroup.events")
    return read(host.cgroup_of(pid, "freezer") + "/freezer.state").strip() == "FROZEN"


def test_pause_stops_every_process_and_resume_lets_them_run(running, pyoci):
    """R-124."""
    one = running(args=["/bin/sh", "-c", "while :; do echo x; sleep 0.01; done"])
    until(one.out)
    pyoci("pause", one.id).ok()
    assert frozen(one.pid)
    assert one.status() == "paused"
    before = one.out()
    time.sleep(0.1)
    assert one.out() == before
    pyoci("resume", one.id).ok()
    assert not frozen(one.pid)
    assert one.status() == "running"
    until(lambda: len(one.out()) > len(before))


def test_wrong_states_are_refused(container, pyoci):
    """R-124, R-035."""
    one = container(args=SLEEP).create().start()
    pyoci("resume", one.id).failed("container not paused")
    pyoci("pause", one.id).ok()
    pyoci("pause", one.id).failed("container not running")
    assert one.status() == "paused"
    pyoci("resume", one.id).ok()
    pyoci("resume", one.id).failed("container not paused")
    one.end()
    pyoci("pause", one.id).failed("container not running")
    pyoci("resume", one.id).failed("container not paused")
    for command in ("pause", "resume", "ps"):
        pyoci(command, "nope").failed("container does not exist")


def test_a_created_container_can_be_paused(container, pyoci):
    """R-124, R-125."""
    one = container(args=SLEEP).create()
    pyoci("pause", one.id).ok()
    assert one.status() == "paused"
    pyoci("start", one.id).failed("cannot start")
    pyoci("resume", one.id).ok()
    assert one.status() == "created"
    one.start()
    assert one.status() == "running"


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize(
    "command", [["kill", "{}", "KILL"], ["delete", "--force", "{}"], ["kill", "--all", "{}", "9"]]
)
def test_a_paused_container_can_be_killed(running, pyoci, command, private):
    """R-124, S-38: frozen processes of version 1 die only when thawed."""
    types = ["network", "ipc", "uts", "mount", *(["pid"] if private else [])]
    one = running({"linux": {"namespaces": namespaces(*types)}}, args=FORKS)
    pyoci("pause", one.id).ok()
    pid = one.pid
    pyoci(*[word.format(one.id) for word in command]).ok()
    until(lambda: not host.alive(pid))
    one.gone = command[0] == "delete"


def test_processes_that_fork_are_all_caught(running, pyoci):
    script = "while :; do for i in 1 2 3 4 5 6 7 8; do true & done; wait; done"
    one = running(args=["/bin/sh", "-c", script])
    for _ in range(5):
        pyoci("pause", one.id).ok()
        assert frozen(one.pid)
        pids = pyoci("ps", "--format", "json", one.id).ok().json()
        assert pyoci("ps", "-f", "json", one.id).ok().json() == pids
        pyoci("resume", one.id).ok()


# ---- ps ----


def in_cgroup(one):
    return sorted(int(pid) for pid in read(host.cgroup_of(one.pid, "devices") + "/cgroup.procs").split())


def test_ps_prints_the_pids_of_the_cgroup(running, pyoci):
    """R-115."""
    one = running(args=FORKS)
    until(lambda: len(in_cgroup(one)) == 3)
    assert (
        pyoci("ps", "--format", "json", one.id).ok().out == json.dumps(in_cgroup(one), separators=(",", ":")) + "\n"
    )


def test_ps_counts_sub_cgroups(running, pyoci):
    """R-115."""
    one = running(args=FORKS)
    until(lambda: len(in_cgroup(one)) == 3)
    pids = in_cgroup(one)
    sub = host.cgroup_of(one.pid, "devices") + "/sub"
    os.mkdir(sub)
    write(sub + "/cgroup.procs", str(pids[-1]))
    assert pyoci("ps", "-f", "json", one.id).ok().json() == pids


def test_ps_prints_the_hosts_table(running, pyoci):
    """R-116."""
    one = running(args=FORKS)
    until(lambda: len(in_cgroup(one)) == 3)
    lines = pyoci("ps", one.id).ok().out.splitlines()
    header = subprocess.run(["ps", "-ef"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    assert lines[0].split() == header.split()
    assert sorted(int(line.split()[1]) for line in lines[1:]) == in_cgroup(one)
    lines = pyoci("ps", one.id, "-o", "pid,comm", "-e").ok().out.splitlines()
    assert lines[0].split() == ["PID", "COMMAND"]
    assert sorted(int(line.split()[0]) for line in lines[1:]) == in_cgroup(one)
    pyoci("ps", one.id, "-e", "-o", "comm").failed("PID")
    pyoci("ps", one.id, "--nonsense").failed("ps: exit status")
    pyoci("ps", "--format", "xml", one.id).failed("xml")


def test_ps_of_created_paused_and_stopped_containers(container, pyoci):
    """R-117, R-115."""
    one = container(args=SLEEP).create()
    assert pyoci("ps", "-f", "json", one.id).ok().json() == [one.pid]
    one.start()
    pyoci("pause", one.id).ok()
    assert pyoci("ps", "-f", "json", one.id).ok().json() == [one.pid]
    pyoci("resume", one.id).ok()
    one.end()
    assert pyoci("ps", "-f", "json", one.id).ok().out == "null\n"
    assert len(pyoci("ps", one.id).ok().out.splitlines()) == 1
