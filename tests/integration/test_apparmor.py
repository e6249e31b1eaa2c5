"""process.apparmorProfile under a kernel that has AppArmor (config.md#linux-process).

On a machine without it these are skipped; `tests/vm/run -- tests/integration/test_apparmor.py` has one.
"""

import json
import os
import subprocess

import pytest

from .bundles import DROP, entry, namespaces
from .host import read, until, write
from .labels import PODMAN, Profile, profile_of, requires_apparmor

ALL = ("pid", "network", "ipc", "uts", "mount", "cgroup")
MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
USERNS = {
    "linux": {"namespaces": namespaces(*ALL, "user"), "uidMappings": MAPS, "gidMappings": MAPS},
}
NO_PROC = {"mounts": [entry("/dev", "tmpfs", "tmpfs")], "linux": {"maskedPaths": DROP, "readonlyPaths": DROP}}
WRITABLE = {"root": {"readonly": False}}
SLEEP = ("/bin/sleep", "1000")
ENFORCED = "%s (enforce)"


@pytest.fixture(scope="module")
def profile():
    requires_apparmor()
    one = Profile("pyoci-test")
    yield one.name
    one.remove()


@pytest.fixture(scope="module")
def other():
    requires_apparmor()
    one = Profile("pyoci-test-other")
    yield one.name
    one.remove()


def under(name, *edits):
    return [{"process": {"apparmorProfile": name}}, *edits]


def test_the_program_runs_under_the_profile_and_the_profile_is_enforced(inspect, profile):
    """R-228."""
    report = inspect(*under(profile, WRITABLE), probe=["--create", "/tmp/forbidden", "--create", "/tmp/allowed"])
    assert report["attr_current"].strip() == ENFORCED % profile
    assert report.errno("create", "/tmp/forbidden") == "EACCES"
    assert report.errno("create", "/tmp/allowed") is None
    free = inspect(WRITABLE, probe=["--create", "/tmp/forbidden"])
    assert free["attr_current"].strip() == "unconfined"
    assert free.errno("create", "/tmp/forbidden") is None


@pytest.mark.parametrize("nnp", [True, False])
@pytest.mark.parametrize("uid", [0, 1000])
def test_it_holds_with_and_without_new_privileges_and_under_a_filter(inspect, profile, nnp, uid):
    filtered = {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}}}
    process = {"process": {"noNewPrivileges": nnp, "user": {"uid": uid, "gid": uid}}}
    assert inspect(*under(profile, process, filtered))["attr_current"].strip() == ENFORCED % profile


@pytest.mark.parametrize("edits", [(), (NO_PROC,), (USERNS,), (USERNS, NO_PROC)], ids=str)
def test_create_and_exec_need_no_proc_in_the_container(container, pyoci, profile, edits):
    """R-228: the attr file is not one of the container's own."""
    one = container(*under(profile, *edits), args=SLEEP).create().start()
    until(lambda: profile_of(one.pid) == ENFORCED % profile, what="the profile of init")
    pid_file = one.pid_file + "-exec"
    pyoci("exec", "--detach", "--pid-file", pid_file, one.id, *SLEEP).ok()
    assert profile_of(int(read(pid_file))) == ENFORCED % profile
    one.kill("--all", 9)
    one.wait()


def test_a_waiting_init_holds_no_file_for_its_label(container, profile):
    """CVE-2024-21626: three streams and the start socket are all it holds."""
    one = container(*under(profile)).create()
    links = [os.readlink("/proc/%d/fd/%s" % (one.pid, fd)) for fd in os.listdir("/proc/%d/fd" % one.pid)]
    assert len(links) == 4
    assert not [link for link in links if "attr" in link or link.startswith("/proc")]
    one.end()


def test_hooks_of_the_start_are_confined_too(container, bundle, profile):
    """They are programs of the image, and would run unconfined otherwise."""
    hook = {"path": "/bin/probe", "args": ["probe", "--only", "proc", "--out", "/tmp/hook"]}
    here = bundle(*under(profile, WRITABLE, {"hooks": {"startContainer": [hook]}}), args=SLEEP)
    one = container(of=here).create().start()
    until(lambda: os.path.exists(here.inside("/tmp/hook")) and read(here.inside("/tmp/hook")).endswith("}\n"))
    assert json.loads(read(here.inside("/tmp/hook")))["attr_current"].strip() == ENFORCED % profile
    one.end()


def test_exec_takes_the_profile_of_the_container_or_one_of_its_own(container, pyoci, work, profile, other):
    """R-228."""
    one = container(*under(profile), args=SLEEP).create().start()

    def label(*flags):
        result = pyoci("exec", *flags, one.id, *(() if "--process" in flags else ("/bin/probe", "--only", "proc")))
        return result.ok().json()["attr_current"].strip()

    write(work + "/process.json", json.dumps({"cwd": "/", "args": ["/bin/probe", "--only", "proc"]}))
    write(
        work + "/labelled.json",
        json.dumps({"cwd": "/", "args": ["/bin/probe", "--only", "proc"], "apparmorProfile": other}),
    )
    assert label() == ENFORCED % profile
    assert label("--apparmor", other) == ENFORCED % other
    assert label("--process", work + "/process.json") == ENFORCED % profile
    assert label("--process", work + "/labelled.json") == ENFORCED % other
    assert profile_of(one.pid) == ENFORCED % profile
    one.end()


FAKE = """
mount -t tmpfs none /proc
mkdir -p /proc/thread-self/attr/apparmor
echo > /proc/thread-self/attr/apparmor/exec
"""


@pytest.mark.parametrize("attack", [FAKE, "mount --bind /proc/1 /proc"], ids=["fake", "other"])
def test_exec_does_not_look_at_what_the_container_made_of_its_proc(container, pyoci, profile, attack):
    """CVE-2019-16884, CVE-2019-19921: first shown to take in whoever writes there."""
    one = container(*under(profile), args=SLEEP).create().start()
    enter = ["nsenter", "-t", str(one.pid), "-m", "/bin/busybox", "sh", "-c"]
    subprocess.run([*enter, attack], check=True)
    if attack == FAKE:
        careless = "echo exec %s > /proc/thread-self/attr/apparmor/exec && exec sleep 100" % profile
        taken_in = subprocess.Popen([*enter, careless])
        file = "/proc/%d/root/proc/thread-self/attr/apparmor/exec" % one.pid
        until(lambda: read(file) == "exec %s\n" % profile, what="the write")
        assert profile_of(taken_in.pid) == "unconfined"
        taken_in.kill()
        taken_in.wait()
    pid_file = one.pid_file + "-exec"
    pyoci("exec", "--detach", "--pid-file", pid_file, one.id, *SLEEP).ok()
    assert profile_of(int(read(pid_file))) == ENFORCED % profile
    one.kill("--all", 9)
    one.wait()


@pytest.mark.parametrize("command", ["run", "create", "exec"])
def test_a_profile_that_is_not_loaded_is_an_error_in_podmans_words(container, run, pyoci, profile, command):
    """R-228, R-033."""
    name = "no-such-profile"
    if command == "run":
        result = run(*under(name))
    elif command == "create":
        result = container(*under(name)).try_create()
    else:
        one = container(*under(profile), args=SLEEP).create().start()
        result = pyoci("exec", "--apparmor", name, one.id, "/bin/true")
        one.end()
    result.failed("process.apparmorProfile", name, "no such file or directory", "is loaded", code=result.code)
    assert result.code in (1, 255)
    line = result.err.splitlines()[0]
    assert PODMAN.search(line).group().endswith("/exec`"), line


def test_check_says_that_a_profile_is_not_loaded(bundle, pyoci, profile):
    result = pyoci("check", "--bundle", bundle(*under("no-such-profile")).path)
    assert result.code == 1
    assert ".process.apparmorProfile: AppArmor profile" in result.text
    assert ".process.apparmorProfile" not in pyoci("check", "--bundle", bundle(*under(profile)).path).text


def test_unconfined_is_a_name_like_any_other(inspect, profile):
    assert inspect(*under("unconfined"))["attr_current"].strip() == "unconfined"
