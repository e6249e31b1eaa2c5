"""What a careless caller hands down, and what happens when the runtime is stopped in the middle."""

import os
import signal
import time

import pytest

from . import host
from .bundles import namespaces

RW = {"root": {"readonly": False}}
MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
USERNS = {
    "linux": {
        "namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "user"),
        "uidMappings": MAPS,
        "gidMappings": MAPS,
    }
}


@pytest.mark.parametrize(
    "edit", [{}, USERNS, {"process": {"user": {"uid": 5, "gid": 6}}}], ids=["", "userns", "uid"]
)
def test_groups_of_the_caller_are_dropped(inspect, edit):
    """S-23: a group of the caller would open the host's files to the container, or close them."""
    report = inspect(RW, edit, wrap=["setpriv", "--groups", "4,24,27"])
    assert report["groups"] == []


@pytest.mark.parametrize("edit", [{}, USERNS], ids=["", "userns"])
def test_groups_of_the_caller_stay_when_the_annotation_says_so(inspect, edit):
    """R-277: what the user namespace does not map is seen as the overflow group."""
    kept = {"annotations": {"run.oci.keep_original_groups": "1"}}
    groups = inspect(RW, edit, kept, wrap=["setpriv", "--groups", "4,24,27"])["groups"]
    assert groups == [4, 24, 27] if not edit else len(groups) == 3


def test_capabilities_of_the_caller_are_not_inherited(inspect):
    """CVE-2022-29162, S-17: inheritable and ambient sets pass execve."""
    caps = "+chown,+net_raw,+sys_admin"
    report = inspect(RW, wrap=["setpriv", "--inh-caps", caps, "--ambient-caps", caps])
    assert report["caps"]["inheritable"] == 0
    assert report["caps"]["ambient"] == 0
    assert report["caps"]["bounding"] == report["caps"]["permitted"]


def test_a_bounding_set_of_the_caller_is_not_exceeded_and_said(run):
    """S-19: what cannot be granted is warned of, never replaced by another capability."""
    result = run(RW, wrap=["setpriv", "--bounding-set", "-kill"], args=["/bin/probe", "--only", "status"]).ok()
    assert "CAP_KILL" in result.err
    assert int(result.json()["status"]["CapBnd"], 16) == 1 << 29 | 1 << 10


def test_ignored_and_blocked_signals_of_the_caller_do_not_arrive(inspect):
    """P-08: SIG_IGN and the mask survive execve."""

    def ignore():
        for number in (1, 2, 3, 13, 15, 17, 25, 34, 40):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {1, 10, 12, 15, 17, 35})

    report = inspect(RW, preexec_fn=ignore)
    assert (report["signals_ignored"], report["signals_blocked"]) == ([], [])


def test_a_caller_in_a_removed_directory_is_served(run, bundle, work):
    os.mkdir(work + "/gone")
    image = bundle(RW)

    def leave():
        os.chdir(work + "/gone")
        os.rmdir(work + "/gone")

    run(of=image, preexec_fn=leave).ok()


def test_the_terminal_of_the_caller_is_not_the_containers(inspect):
    """S-31, CVE-2016-10124: a session of its own, without a controlling terminal, in a shared pid namespace too."""
    leader, follower = os.openpty()
    try:
        edit = {"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount")}}
        report = inspect(RW, edit, probe=["--openrw", "/dev/tty"], stdin=follower, start_new_session=True)
        assert report["sid"] == report["pid"]
        assert report["tty"]["controlling"] == 0
        assert report.errno("openrw") == "ENXIO"
    finally:
        os.close(leader)
        os.close(follower)


def test_no_socket_of_the_runtime_has_an_abstract_name(container):
    """CVE-2020-15257: whoever shares the host's network namespace could connect."""

    def abstract():
        return {line.split()[-1] for line in host.read("/proc/net/unix").splitlines() if " @" in line}

    before = abstract()
    one = container(RW).create()
    assert abstract() <= before
    one.start()
    assert abstract() <= before
    one.end()
    one.delete().ok()


@pytest.mark.parametrize("edit", [{}, USERNS], ids=["", "userns"])
def test_a_runtime_that_is_stopped_can_be_overtaken_by_delete(pyoci, container, edit):
    """R-01 and beyond: SIGSTOP at any moment of create, delete --force by another, SIGCONT.

    Both commands end, and together they leave nothing that a further `delete --force` would not remove.
    """
    caught = 0
    hook = {"hooks": {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "0.04"]}]}}
    for step in range(40):
        one = container(RW, edit, hook if step % 2 else {})
        process = pyoci.spawn(
            "create", "--bundle", one.bundle.path, "--pid-file", one.pid_file, one.id, start_new_session=True
        )
        if step % 2:
            host.until(lambda one=one: os.path.exists(os.path.join(pyoci.root, one.id)), 5, "the claim of the id")
        time.sleep(0.001 * step)
        process.signal(signal.SIGSTOP)
        there = os.path.exists(os.path.join(pyoci.root, one.id)) and process.running()
        deleted = pyoci("delete", "--force", one.id, timeout=20)
        assert "Traceback" not in deleted.text, deleted
        assert "internal error" not in deleted.text, deleted
        process.signal(signal.SIGCONT)
        made = process.wait(20)
        assert "Traceback" not in made.text, made
        assert "internal error" not in made.text, made
        caught += there and made.code == 1
        pyoci("delete", "--force", one.id).ok()
        one.gone = True
        assert pyoci.left() == []
    assert caught > 3, "never in the middle"


@pytest.mark.parametrize("delay", [0, 0.01, 0.03, 0.06, 0.1])
def test_an_init_that_is_killed_while_it_is_made_is_an_error(pyoci, container, delay):
    """The child dies at some moment of its own: create says so and leaves nothing."""
    hook = {"hooks": {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "0.15"]}]}}
    one = container(RW, hook)
    process = pyoci.spawn("create", "--bundle", one.bundle.path, one.id)
    child = host.until(lambda: list(host.children(process.pid)), 5, "a child of create")[0]
    time.sleep(delay)
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        pytest.fail("the child was gone already")
    result = process.wait(20)
    result.failed()
    one.gone = True
    assert pyoci.left() == []


@pytest.mark.parametrize(("mode", "accepted"), [(0o777, False), (0o770, False), (0o1777, True), (0o711, True)])
def test_a_state_root_that_others_may_write_to_is_refused(pyoci, container, mode, accepted):
    """S-35: they could put a container of their own in the place of one."""
    os.mkdir(pyoci.root)
    os.chmod(pyoci.root, mode)
    one = container(RW)
    result = one.try_create()
    if accepted:
        result.ok()
        one.delete("--force").ok()
    else:
        result.failed("others may write", pyoci.root)
        one.gone = True


def test_a_signal_to_all_reaches_all(container):
    """Rule 10: by pidfd, in a pid namespace that is shared too."""
    edit = {"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount")}}
    children = ["--child-trap", "15", "/data/a", "--child-trap", "15", "/data/b"]
    one = container(RW, edit, args=["/bin/probe", *children, "--trap", "15", "/data/c", "--pause"]).create().start()
    one.report()
    one.kill("--all", 15).ok()
    for name in "abc":
        host.until(lambda name=name: os.path.exists(one.bundle.inside("data", name)), 5, "the signal")
    one.end()
    one.delete().ok()
