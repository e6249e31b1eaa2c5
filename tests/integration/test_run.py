"""run: exit status, signals, detach, keep (requirements I)."""

import os
import signal
import time

import pytest

from .bundles import namespaces
from .host import alive, children, patience, requires, until


@pytest.mark.parametrize("code", [0, 1, 7, 126, 127, 255])
def test_exit_status_is_the_programs(run, code):
    """R-026, R-093."""
    assert run(args=["sh", "-c", "exit %d" % code]).code == code


@pytest.mark.parametrize("number", [9, 15, 11, 6])
def test_death_by_signal_is_128_and_its_number(run, number):
    """R-027.  Process 1 of a pid namespace could not kill itself, hence the host's."""
    edit = {"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount")}}
    assert run(edit, args=["sh", "-c", "kill -%d $$" % number]).code == 128 + number


def test_the_container_is_gone_after_run(run, pyoci):
    run(name="once-only").ok()
    pyoci("state", "once-only").failed("does not exist")


def test_output_and_input_of_run_are_the_callers(run, work):
    """R-095."""
    path = os.path.join(work, "input")
    with open(path, "w+b") as file:
        file.write(b"some words\n")
        file.seek(0)
        result = run(args=["/bin/cat"], stdin=file).ok()
    assert result.out == "some words\n"
    result = run(args=["sh", "-c", "echo out; echo err >&2"]).ok()
    assert result.out == "out\n"
    assert result.err == "err\n"


@pytest.mark.parametrize("number", [1, 2, 3, 10, 12, 15, 18, 30, 34])
def test_run_forwards_signals(pyoci, bundle, fresh_id, number):
    """R-094."""
    here = bundle(args=["/bin/probe", "--exit-on", str(number), "55", "--pause"])
    process = pyoci.spawn("run", "--bundle", here.path, fresh_id())
    until(lambda: os.path.getsize(process.out_path), what="the program's start")
    process.signal(number)
    assert process.wait().code == 55


def test_a_second_signal_does_not_disturb(pyoci, bundle, fresh_id):
    here = bundle(args=["/bin/probe", "--ignore", "15", "--exit-on", "10", "5", "--pause"])
    process = pyoci.spawn("run", "--bundle", here.path, fresh_id())
    until(lambda: os.path.getsize(process.out_path), what="the program's start")
    for _ in range(5):
        process.signal(signal.SIGTERM)
    process.signal(signal.SIGUSR1)
    assert process.wait().code == 5


def test_run_ends_when_the_container_is_killed_from_elsewhere(pyoci, bundle, fresh_id):
    """R-097, R-305."""
    here, name = bundle(args=["/bin/probe", "--pause"]), fresh_id()
    process = pyoci.spawn("run", "--bundle", here.path, name)
    until(lambda: os.path.getsize(process.out_path))
    pyoci("kill", name, "9").ok()
    assert process.wait().code == 137
    pyoci("state", name).failed("does not exist")


@pytest.mark.parametrize("flag", ["-d", "--detach"])
def test_detached_run_returns_once_the_program_runs(container, flag):
    """R-098."""
    one = container()
    one.process = one.runtime.spawn("run", flag, "--bundle", one.bundle.path, "--pid-file", one.pid_file, one.id)
    one.process.wait().ok()
    assert one.status() == "running"
    assert list(children()) == [one.pid]
    assert one.report()["pid"] == 1
    one.end()
    one.delete().ok()


def test_keep_leaves_a_stopped_container(container):
    """R-100."""
    requires("root")
    one = container(args=["sh", "-c", "exit 3"])
    result = one.runtime("run", "--keep", "--bundle", one.bundle.path, one.id)
    assert result.code == 3, result
    assert one.status() == "stopped"
    one.delete().ok()


def test_without_keep_even_a_crash_leaves_nothing(run, pyoci):
    assert run(args=["/nope"]).code == 1
    assert pyoci.left() == []


def test_orphans_in_the_container_die_with_it(run, work):
    """The pid namespace ends with init; run waits for it alone."""
    started = time.monotonic()
    assert run(args=["sh", "-c", "sleep 60 & exit 4"]).code == 4
    assert time.monotonic() - started < patience(10)
    assert not [c for c in children() if alive(c)]


def test_the_pid_file_of_run_names_init(pyoci, bundle, fresh_id, work):
    here, name = bundle(args=["/bin/probe", "--pause"]), fresh_id()
    path = os.path.join(work, "run.pid")
    process = pyoci.spawn("run", "--bundle", here.path, "--pid-file", path, name)
    until(lambda: os.path.getsize(process.out_path))
    with open(path) as file:
        pid = int(file.read())
    assert pyoci.state(name)["pid"] == pid
    os.kill(pid, 9)
    assert process.wait().code == 137


def test_run_works_when_the_caller_ignores_child_signals(run):
    """SIGCHLD ignored by the caller must not lose the exit status."""
    result = run(args=["sh", "-c", "exit 9"], preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert result.code == 9


def test_run_works_with_every_signal_blocked(run):
    result = run(
        args=["sh", "-c", "exit 9"],
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()),
    )
    assert result.code == 9
