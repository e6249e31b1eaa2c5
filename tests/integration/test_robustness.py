"""Faults that the life cycle must survive: afterwards `delete --force` leaves nothing (security.md, table R).

The runtime is killed at a moment given by a delay; the delays sweep over the time that the command takes, so that
every stage is hit.  PYOCI_TEST_MOMENTS sets their number (default 12).
"""

import os
import signal
import time

import pytest

from . import host
from .bundles import namespaces
from .host import alive, cgroup_dirs, cgroup_of, children, hierarchies, read, requires, until, write
from .runtime import Children, Container
from .test_kill import forge_start_time

MOMENTS = int(os.environ.get("PYOCI_TEST_MOMENTS", "12"))
RW = {"root": {"readonly": False}}
RICH = {
    "linux": {"resources": {"pids": {"limit": 50}, "memory": {"limit": 64 << 20}, "cpu": {"shares": 512}}},
    "hooks": {"createRuntime": [{"path": "/bin/true"}]},
}


@pytest.fixture
def sweep(pyoci):
    """sweep(make, number) runs a command over and over and sends it the signal a bit later each time.

    make() gives (Container, arguments).  After each blow `delete --force` must succeed and leave nothing; a command
    that was quicker than the signal ends the sweep's meaning for that moment, no more.
    """

    def go(make, number, group=False):
        one, arguments = make()
        took = pyoci(*arguments).seconds
        finish(pyoci, one)
        hits = 0
        for turn in range(MOMENTS):
            one, arguments = make()
            process = pyoci.spawn(*arguments, start_new_session=True)
            time.sleep(took * (turn + 0.5) / MOMENTS)
            if process.running():
                hits += 1
                (os.killpg if group else os.kill)(process.pid, number)
            process.wait()
            assert "Traceback" not in read(process.out_path) + read(process.err_path), read(process.err_path)
            finish(pyoci, one)
        assert hits, "the command was never caught: %g s" % took

    return go


def finish(pyoci, one):
    """What an engine does after a crash; then nothing of the container may be there."""
    result = pyoci("delete", "--force", one.id)
    assert result.code == 0, result
    one.gone = True
    assert one.id not in pyoci.left()
    wanted = one.bundle.config["linux"]["cgroupsPath"]
    assert [c for c in cgroup_dirs(wanted) if c.endswith(wanted)] == [], "after delete --force"
    until(lambda: not [p for p in living() if p != os.getpid()], timeout=5, what="the end of %s" % living())


def living():
    Children.collect()
    return [pid for pid in children() if alive(pid)]


def create_arguments(one):
    return ["create", "--bundle", one.bundle.path, "--pid-file", one.pid_file, one.id]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=["kill", "term", "int"])
def test_create_may_die_at_any_moment(container, sweep, number):
    """R-01, R-05, R-158, R-286."""

    def make():
        one = container(RICH)
        return one, create_arguments(one)

    sweep(make, number)


@pytest.mark.slow
def test_create_and_its_whole_group_may_die_at_any_moment(container, sweep):
    def make():
        one = container(RICH)
        return one, create_arguments(one)

    sweep(make, signal.SIGTERM, group=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_run_may_die_at_any_moment(container, sweep, number):
    def make():
        one = container(RICH, args=["/bin/true"])
        return one, ["run", "--bundle", one.bundle.path, one.id]

    sweep(make, number)


@pytest.mark.slow
def test_start_may_die_at_any_moment(container, sweep):
    """R-02."""

    def make():
        one = container(RICH).create()
        return one, ["start", one.id]

    sweep(make, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("status", ["created", "running", "stopped"])
def test_delete_may_die_at_any_moment(container, sweep, status):
    """R-03."""

    def make():
        one = container(RICH).create()
        if status != "created":
            one.start()
        if status == "stopped":
            one.end()
        return one, ["delete", "--force", one.id]

    sweep(make, signal.SIGKILL)


def test_after_a_crash_the_id_is_usable_again(container, pyoci):
    """R-01: also without `delete --force` a new create says what is there, and after it all is well."""
    one = container(RICH, {"hooks": {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "30"]}]}})
    process = pyoci.spawn(*create_arguments(one))
    until(lambda: pyoci.left() == [one.id], what="the state directory")
    time.sleep(0.2)
    process.signal(signal.SIGKILL)
    process.wait()
    assert pyoci("state", one.id).code in (0, 1)
    finish_hook_children()
    finish(pyoci, one)
    one.gone = False
    one.bundle.edit({"hooks": {"createRuntime": []}})
    one.create()
    one.delete("--force").ok()


def finish_hook_children():
    for pid, line in children().items():
        if "sleep" in line:
            os.kill(pid, signal.SIGKILL)
    Children.collect()


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_the_runtime_may_die_while_a_hook_runs(container, pyoci, work, kind):
    """R-06: the container's parts do not stay."""
    mark = work + "/mark"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo > %s; exec sleep 20" % mark]}
    one = container(RICH, {"hooks": {"createRuntime": None}}, {"hooks": {kind: [hook]}})
    process = pyoci.spawn(*create_arguments(one))
    until(lambda: os.path.exists(mark))
    process.signal(signal.SIGKILL)
    process.wait()
    finish_hook_children()
    finish(pyoci, one)


def test_a_hook_that_is_killed_is_a_failed_hook(container, pyoci, work):
    mark = work + "/mark"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo $$ > %s; exec sleep 20" % mark]}
    one = container({"hooks": {"createRuntime": [hook]}})
    process = pyoci.spawn(*create_arguments(one))
    until(lambda: os.path.exists(mark) and read(mark).endswith("\n"))
    os.kill(int(read(mark)), signal.SIGKILL)
    process.wait().failed("createRuntime")
    one.gone = True
    assert pyoci.left() == []


# ---- the record ----


DAMAGES = {
    "empty": b"",
    "garbage": b"\x00\xff not json",
    "null": b"null",
    "list": b"[]",
    "other": b'{"a": 1}',
    "number": b"5",
    "deep": b"[" * 100000,
}


@pytest.mark.parametrize("how", [*DAMAGES, "cut", "missing", "folder", "fifo", "dangling"])
@pytest.mark.parametrize("status", ["created", "running"])
def test_a_damaged_record_can_be_deleted_with_the_process(container, pyoci, how, status):
    """R-19: list shows the others, delete --force ends the process and removes the directory."""
    other = container().create()
    one = container().create()
    if status == "running":
        one.start()
    pid = one.pid
    damaged = [n for n in os.listdir(os.path.join(pyoci.root, one.id)) if n.endswith(".json")]
    assert damaged, os.listdir(os.path.join(pyoci.root, one.id))
    for name in damaged:
        path = os.path.join(pyoci.root, one.id, name)
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        if how == "folder":
            os.mkdir(path)
        elif how == "fifo":
            os.mkfifo(path)
        elif how == "dangling":
            os.symlink("/no/such/file", path)
        elif how != "missing":
            with open(path, "wb") as file:
                file.write(data[: len(data) // 2] if how == "cut" else DAMAGES[how])
    for verb in ("state", "start", "kill"):
        result = pyoci(verb, one.id, timeout=10)
        assert result.code == 1, result
        assert "Traceback" not in result.text
    listed = pyoci("list", "-q", timeout=10).ok()
    assert other.id in listed.out
    assert "Traceback" not in listed.err
    pyoci("delete", "--force", one.id, timeout=15).ok()
    one.gone = True
    until(lambda: not alive(pid), timeout=3, what="the end of the container's process")
    assert one.id not in pyoci.left()
    other.delete("--force").ok()


def test_a_reused_pid_is_not_the_container(container, pyoci):
    """R-17: stopped; nothing touches the foreign process."""
    one = container().create().start()
    real = one.pid
    forge_start_time(pyoci, one.id, real)
    assert one.status() == "stopped"
    assert one.runtime("start", one.id).code == 1
    one.kill("TERM").failed("container not running")
    one.kill("--all", "0")
    assert alive(real)
    os.kill(real, signal.SIGKILL)
    Children.wait(real, 5)
    one.delete("--force").ok()


def test_after_a_reboot_the_container_is_stopped(container, pyoci):
    """R-18: the process and its cgroups are gone, the record stays."""
    one = container({"hooks": {"poststop": [{"path": "/bin/touch", "args": ["touch", pyoci.work + "/poststop"]}]}})
    one.create().start()
    pid = one.pid
    paths = {cgroup_of(pid, c) for c in hierarchies() if c != "name=systemd"}
    os.kill(pid, signal.SIGKILL)
    one.wait()
    host.remove_cgroups(paths)
    assert one.status() == "stopped"
    one.kill("KILL").failed("container not running")
    one.delete().ok()
    assert os.path.exists(pyoci.work + "/poststop")


def test_a_busy_cgroup_keeps_the_record(container, pyoci):
    """R-25: a foreign process in the cgroup: the delete that cannot finish says so; a later one does."""
    requires("v1:pids")
    one = container().create().start()
    path = cgroup_of(one.pid, "pids")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    one.end()
    write(path + "/cgroup.procs", str(pid))
    result = pyoci("delete", one.id, timeout=25)
    if result.code:
        assert "Traceback" not in result.text
        assert one.id in pyoci.left()
        assert alive(pid)
        os.close(writer)
        Children.wait(pid, 5)
        pyoci("delete", "--force", one.id).ok()
    else:
        assert not os.path.exists(path), "success, but the cgroup is there"
        os.close(writer)
        Children.wait(pid, 5)
    one.gone = True


# ---- signals and stops ----


def test_harmless_signals_do_not_disturb(container, pyoci):
    """R-29, P-09: a storm of SIGCHLD, SIGWINCH, SIGURG and of stops and continues."""
    one = container(RICH)
    process = pyoci.spawn(*create_arguments(one))
    while process.running():
        for number in (signal.SIGWINCH, signal.SIGURG, signal.SIGCHLD, signal.SIGSTOP, signal.SIGCONT):
            process.signal(number)
        time.sleep(0.001)
    process.wait().ok()
    one.start()
    one.end()
    one.delete().ok()


def test_created_started_and_deleted_by_different_parents(container, pyoci):
    """R-30: nothing depends on who the parent is."""
    one = container()
    pyoci(*create_arguments(one), wrap=["setsid", "--wait"]).ok()
    pyoci("start", one.id, wrap=["setsid", "--wait"]).ok()
    assert pyoci("state", one.id, wrap=["setsid", "--wait"]).json()["status"] == "running"
    pyoci("kill", one.id, "KILL", wrap=["setsid", "--wait"]).ok()
    pyoci("delete", "--force", one.id, wrap=["setsid", "--wait"]).ok()
    one.gone = True


def test_nobody_reads_the_output(container, pyoci):
    """R-32."""
    reader, writer = os.pipe()
    one = container(args=["sh", "-c", "while :; do echo 0123456789012345678901234567890123456789; done"])
    one.create(stdout=writer)
    os.close(writer)
    one.start()
    time.sleep(0.2)
    assert one.status() == "running"
    one.delete("--force").ok()
    os.close(reader)


def test_a_fork_storm_dies(container, pyoci):
    """R-27: without a private pid namespace."""
    script = "f() { while :; do sleep 100 & sleep 0.01; done; }; f & f & f & wait"
    edit = {
        "linux": {"namespaces": namespaces("network", "ipc", "uts", "mount"), "resources": {"pids": {"limit": 200}}}
    }
    one = container(edit, args=["sh", "-c", script]).create().start()
    time.sleep(0.5)
    one.delete("--force").ok()
    until(lambda: not living(), timeout=5, what="the end of all")


def test_stray_things_in_the_state_root(container, pyoci):
    """R-33: a file, a folder, a FIFO, a dangling link; delete --force follows no link."""
    one = container().create()
    victim = pyoci.work + "/victim"
    os.mkdir(victim)
    write(victim + "/file", "keep")
    base = pyoci.root + "/"
    write(base + "file", "x")
    os.mkdir(base + "folder")
    os.mkfifo(base + "fifo")
    os.symlink("/no/such", base + "dangling")
    os.symlink(victim, base + "link")
    listed = pyoci("list", "-q", timeout=10).ok()
    assert one.id in listed.out.split()
    for name in ("file", "folder", "fifo", "dangling", "link"):
        result = pyoci("delete", "--force", name, timeout=10)
        assert "Traceback" not in result.text
        assert read(victim + "/file") == "keep"
    for name in ("file", "fifo", "dangling", "link"):
        if os.path.lexists(base + name):
            os.unlink(base + name)
    if os.path.isdir(base + "folder"):
        os.rmdir(base + "folder")
    assert one.status() == "created"
    one.delete("--force").ok()


LATE = [
    ("pid file", {}, ["--pid-file", "/no/such/folder/pid"]),
    ("program", {"process": {"args": ["/nope"]}}, []),
    (
        "last mount",
        {"mounts+": [{"destination": "/data", "type": "bind", "source": "/nope", "options": ["bind"]}]},
        [],
    ),
    ("cgroup value", {"linux": {"resources": {"cpu": {"cpus": "9999"}}}}, []),
    ("sysctl", {"linux": {"sysctl": {"net.ipv4.ip_forward": "x"}}}, []),
    ("device", {"linux": {"devices": [{"path": "/bin/probe/x", "type": "c", "major": 1, "minor": 3}]}}, []),
    ("hook", {"hooks": {"createContainer": [{"path": "/bin/false"}]}}, []),
]


@pytest.mark.parametrize(("edit", "flags"), [x[1:] for x in LATE], ids=[x[0] for x in LATE])
def test_late_failures_of_create_are_rolled_back(container, pyoci, edit, flags):
    """R-28, R-037: and the id is usable at once."""
    one = container(RICH, edit)
    result = pyoci("create", "--bundle", one.bundle.path, *flags, one.id)
    assert result.code == 1, result
    assert pyoci.left() == []
    assert not living()
    wanted = one.bundle.config["linux"]["cgroupsPath"]
    assert not [c for c in cgroup_dirs(wanted) if c.endswith(wanted)]
    again = Container(pyoci, container(RICH).bundle, one.id)
    again.create()
    again.delete("--force").ok()
    one.gone = True
