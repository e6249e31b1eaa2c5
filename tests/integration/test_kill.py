"""kill: spellings of signals, whom they reach, and in which status (runtime.md#kill)."""

import os
import signal

import pytest

from .bundles import namespaces
from .host import alive, cgroup_of, is_cgroup2, read, requires, until, write

RW = {"root": {"readonly": False}}
HOST_PID = {"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount")}}
TRAPS = ["/bin/probe", "--trap", "10", "/data/init", "--child-trap", "10", "/data/child", "--pause"]
SPELLINGS = [
    ("TERM", 15),
    ("term", 15),
    ("SIGTERM", 15),
    ("sigterm", 15),
    ("SigTerm", 15),
    ("15", 15),
    ("9", 9),
    ("KILL", 9),
    ("USR1", 10),
    ("sigusr2", 12),
    ("HUP", 1),
    ("WINCH", 28),
    ("34", 34),
    ("64", 64),
    ("CHLD", 17),
    ("PWR", 30),
    ("RTMIN+1", 35),
    ("SIGRTMIN", 34),
    ("RTMAX-2", 62),
    ("SIGRTMAX", 64),
    ("IO", 29),
    ("POLL", 29),
    ("SYS", 31),
]


@pytest.mark.parametrize(("text", "number"), SPELLINGS)
def test_spellings_of_signals(container, text, number):
    """R-074."""
    if number == 9:
        one = container().create().start()
    else:
        one = container(args=["/bin/probe", "--exit-on", str(number), "77", "--pause"]).create().start()
        one.report()
    one.kill(text).ok()
    assert one.wait() == (137 if number == 9 else 77)
    one.delete().ok()


def test_the_default_is_term(container):
    one = container(args=["/bin/probe", "--exit-on", "15", "33", "--pause"]).create().start()
    one.report()
    one.kill().ok()
    assert one.wait() == 33
    one.delete().ok()


def test_an_empty_signal_is_the_default(container):
    """As in runc and crun: a caller without a signal of its own hands on an empty word."""
    one = container(args=["/bin/probe", "--exit-on", "15", "33", "--pause"]).create().start()
    one.report()
    one.kill("").ok()
    assert one.wait() == 33
    one.delete().ok()


@pytest.mark.parametrize("text", ["0", "EXIT"][:1])
def test_signal_nought_asks_whether_the_container_lives(container, text):
    one = container().create().start()
    one.kill(text).ok()
    assert one.status() == "running"
    one.end()
    one.kill(text).failed("container not running")
    one.delete().ok()


@pytest.mark.parametrize("text", ["NOPE", "SIG", "-1", "65", "1000", "TERM ", "1 5", "SIGSIGTERM", "9x", "٩"])
def test_unknown_signals_are_refused(container, text):
    one = container().create().start()
    words = ["--", one.id, text] if text.startswith("-") else [one.id, text]
    result = one.runtime("kill", *words)
    assert result.code == 1, result
    assert "Traceback" not in result.text
    assert one.status() == "running"
    one.end()
    one.delete().ok()


def test_the_message_names_an_unknown_signal(container):
    one = container().create()
    one.kill("NOPE").failed('unknown signal "NOPE"')
    one.delete("--force").ok()


def test_signal_as_an_option(container):
    """R-074: the runtime command-line draft says --signal."""
    one = container().create().start()
    one.runtime("kill", "--signal", "KILL", one.id).ok()
    assert one.wait() == 137
    one.delete().ok()


def test_kill_of_a_stopped_or_unknown_container_fails(container, pyoci):
    """R-028, R-029, R-075."""
    one = container().create().start()
    one.end()
    one.kill("TERM").failed("container not running")
    one.delete().ok()
    one.kill("TERM").failed("does not exist")


@pytest.mark.parametrize("text", ["KILL", "TERM", "INT", "HUP"])
def test_kill_ends_a_created_container(container, text):
    """R-080, R-156: process 1 of a pid namespace would ignore TERM."""
    one = container().create()
    one.kill(text).ok()
    one.wait(timeout=5)
    assert one.status() == "stopped"
    one.delete().ok()


def test_signals_go_to_init_alone(container):
    """R-076."""
    one = container(
        RW, args=["/bin/probe", "--trap", "10", "/data/init", "--child-trap", "10", "/data/child", "--pause"]
    )
    one.create().start()
    one.report()
    one.kill("USR1").ok()
    until(lambda: os.path.exists(one.bundle.inside("/data/init")))
    assert not os.path.exists(one.bundle.inside("/data/child"))
    one.end()
    one.delete().ok()


def test_all_reaches_every_process_of_the_container(container):
    """R-077."""
    one = container(
        RW, args=["/bin/probe", "--trap", "10", "/data/init", "--child-trap", "10", "/data/child", "--pause"]
    )
    one.create().start()
    one.report()
    one.kill("--all", "USR1").ok()
    until(lambda: os.path.exists(one.bundle.inside("/data/child")), what="the child's mark")
    one.end()
    one.delete().ok()


@pytest.mark.parametrize("flag", ["--all", "-a"])
def test_all_on_a_stopped_container_succeeds(container, flag):
    """R-077, R-298."""
    one = container().create().start()
    one.end()
    one.kill(flag, "9").ok()
    one.delete().ok()


def test_kill_takes_the_whole_cgroup_without_a_private_pid_namespace(container):
    """R-078."""
    one = container(HOST_PID, args=["/bin/probe", "--child", "--child", "--pause"]).create().start()
    report = one.report()
    pids = [action["pid"] for action in report["actions"] if action["do"] == "child"]
    assert len(pids) == 2
    assert all(map(alive, pids))
    one.kill("KILL").ok()
    until(lambda: not any(map(alive, [*pids, one.pid])), what="the end of all")
    one.delete().ok()


def test_delete_kills_what_init_left_without_a_private_pid_namespace(container):
    """R-089."""
    one = container(HOST_PID, args=["/bin/probe", "--child", "--print", "--exit", "0"]).create().start()
    child = one.report()["actions"][0]["pid"]
    one.wait()
    assert alive(child)
    one.delete("--force").ok()
    until(lambda: not alive(child), what="the child's end")


def freeze(one):
    if is_cgroup2():
        path = cgroup_of(one.pid)
        write(path + "/cgroup.freeze", "1")
        until(lambda: "frozen 1" in read(path + "/cgroup.events"))
    else:
        requires("v1:freezer")
        path = cgroup_of(one.pid, "freezer")
        write(path + "/freezer.state", "FROZEN")
        until(lambda: read(path + "/freezer.state").strip() == "FROZEN")


def test_a_frozen_container_is_paused_and_dies_of_kill(container):
    """R-068, R-079."""
    one = container().create().start()
    freeze(one)
    assert one.status() == "paused"
    one.kill("KILL").ok()
    assert one.wait() == 137
    assert one.status() == "stopped"
    one.delete().ok()


def test_a_frozen_container_goes_with_delete_force(container):
    """R-085, R-26."""
    one = container().create().start()
    freeze(one)
    one.delete("--force").ok()
    assert not alive(one.pid)


def test_kill_leaves_a_process_with_a_reused_pid_alone(container, pyoci):
    """R-068, S-39: the record's start time differs from the process's."""
    one = container().create().start()
    real = one.pid
    forge_start_time(pyoci, one.id, real)
    assert one.status() == "stopped"
    one.kill("KILL").failed("container not running")
    assert alive(real)
    os.kill(real, signal.SIGKILL)
    one.delete("--force").ok()


def forge_start_time(runtime, name, pid):
    """Change the saved start time of init in every record that holds it; fails when there is none."""
    text = read("/proc/%d/stat" % pid)
    started = text[text.rindex(")") + 2 :].split()[19]
    done = 0
    base = os.path.join(runtime.root, name)
    for entry in os.listdir(base):
        path = os.path.join(base, entry)
        if os.path.islink(path):
            target = os.readlink(path)
            if started in target:
                os.unlink(path)
                os.symlink(target.replace(started, "%d" % (int(started) - 1)), path)
                done += 1
        elif os.path.isfile(path):
            with open(path, "rb") as file:
                data = file.read()
            if started.encode() in data:
                with open(path, "wb") as file:
                    file.write(data.replace(started.encode(), b"%d" % (int(started) - 1)))
                done += 1
    assert done, "no record of the start time %s in %s" % (started, os.listdir(base))
