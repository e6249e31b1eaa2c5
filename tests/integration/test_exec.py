"""exec: one more process in a container (requirements J), as the kernel shows it."""

import json
import os
import signal
import socket
import stat
import subprocess
import time

import pytest

from . import host
from .bundles import namespaces
from .host import patience, read, until, write
from .runtime import Children, Report

ALL = ("pid", "network", "ipc", "uts", "mount", "cgroup")
MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
USERNS = {
    "linux": {"namespaces": namespaces(*ALL, "user"), "uidMappings": MAPS, "gidMappings": MAPS},
}
RW = {"root": {"readonly": False}}
SLEEP = ["/bin/sleep", "1000"]
CAPS = ["CAP_KILL", "CAP_CHOWN", "CAP_NET_BIND_SERVICE"]


@pytest.fixture
def running(container):
    """running(edit, ...) -> a started container whose program sleeps."""

    def make(*edits, args=SLEEP):
        return container(*edits, args=args).create().start()

    return make


@pytest.fixture
def execute(pyoci):
    """execute(container, argv, flags=[...]) -> Result."""

    def go(one, args=("/bin/probe",), flags=(), **more):
        return pyoci("exec", *flags, one.id, *args, **more)

    return go


@pytest.fixture
def document(work):
    """document(**process) -> path of a process document for --process."""
    numbers = iter(range(1000))

    def make(**process):
        path = "%s/process-%d.json" % (work, next(numbers))
        default = {"cwd": "/", "args": ["/bin/probe"], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
        write(path, json.dumps({**default, **process}))
        return path

    return make


def probed(result):
    report = Report(result.ok().json())
    report["stderr"] = result.err
    return report


def namespaces_of(pid):
    kinds = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
    return {kind: os.readlink("/proc/%d/ns/%s" % (pid, kind)) for kind in kinds}


# ---- where it runs ----


@pytest.mark.parametrize("edits", [(), (USERNS,), ({"linux": {"namespaces": namespaces("mount", "uts")}},)])
def test_it_joins_every_namespace_and_cgroup_of_init(running, pyoci, edits, work):
    """R-105."""
    one = running(*edits)
    pid_file = work + "/exec.pid"
    pyoci("exec", "--detach", "--pid-file", pid_file, one.id, *SLEEP).ok()
    pid = int(read(pid_file))
    assert namespaces_of(pid) == namespaces_of(one.pid)
    assert read("/proc/%d/cgroup" % pid) == read("/proc/%d/cgroup" % one.pid)
    assert os.stat("/proc/%d/root" % pid).st_ino == os.stat("/proc/%d/root" % one.pid).st_ino
    for name in ("uid_map", "gid_map", "setgroups"):
        assert read("/proc/%d/%s" % (pid, name)) == read("/proc/%d/%s" % (one.pid, name))
    os.kill(pid, signal.SIGKILL)
    Children.wait(pid, 5)


def test_it_joins_a_time_namespace(running, pyoci, work):
    """R-105."""
    host.requires("timens")
    one = running(
        {
            "linux": {
                "namespaces": namespaces("mount", "pid", "time", "uts"),
                "timeOffsets": {"boottime": {"secs": 1000}},
            }
        }
    )
    result = pyoci("exec", one.id, "/bin/cat", "/proc/self/timens_offsets").ok()
    assert result.out.split()[3:5] == ["boottime", "1000"]
    pid_file = work + "/exec.pid"
    pyoci("exec", "--detach", "--pid-file", pid_file, one.id, *SLEEP).ok()
    assert namespaces_of(int(read(pid_file))) == namespaces_of(one.pid)


def test_a_container_without_a_mount_namespace_keeps_its_root(running, execute):
    """R-105: the root is init's, which chroot(2) chose."""
    one = running({"linux": {"namespaces": namespaces("pid", "uts"), "maskedPaths": [], "readonlyPaths": []},
                   "mounts": [], "root": {"readonly": False}})  # fmt: skip
    with open(one.bundle.inside("etc/here"), "w") as file:
        file.write("inside")
    assert execute(one, ["/bin/cat", "/etc/here"]).ok().out == "inside"


def test_a_container_whose_root_was_moved_and_not_pivoted(container, execute):
    one = container(args=SLEEP).create("--no-pivot").start()
    with open(one.bundle.inside("etc/here"), "w") as file:
        file.write("inside")
    assert execute(one, ["/bin/cat", "/etc/here"]).ok().out == "inside"


def test_init_sees_it_and_it_sees_init(running, execute):
    one = running()
    result = execute(one, ["/bin/sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '; cat /proc/self/stat"]).ok()
    assert result.out.startswith("/bin/sleep 1000 ")
    assert int(result.out[len("/bin/sleep 1000 ") :].split()[3]) == 0, "its parent is outside"


# ---- who it is ----


def test_without_a_document_it_is_as_the_containers_process(running, execute):
    """R-103."""
    process = {
        "env": ["PATH=/bin", "A=1", "B=2"],
        "cwd": "/tmp",
        "user": {"uid": 7, "gid": 8, "additionalGids": [9], "umask": 0o27},
        "noNewPrivileges": True,
        "oomScoreAdj": 500,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 99}],
    }
    one = running({"process": process})
    report = probed(execute(one, flags=["--env", "B=3", "-e", "C=4"]))
    assert dict(entry.split("=", 1) for entry in report["env"]) == {
        "PATH": "/bin", "A": "1", "B": "3", "C": "4", "HOME": "/"
    }  # fmt: skip
    assert report["cwd"] == "/tmp"
    status = (
        execute(one, ["/bin/cat", "/proc/self/status", "/proc/self/limits", "/proc/self/oom_score_adj"]).ok().out
    )
    assert "Uid:\t7\t7\t7\t7" in status
    assert "Gid:\t8\t8\t8\t8" in status
    assert "Groups:\t9" in status
    assert "Umask:\t0027" in status
    assert "NoNewPrivs:\t1" in status
    assert status.endswith("\n500\n")
    limits = next(line for line in status.splitlines() if line.startswith("Max open files"))
    assert limits.split()[3:5] == ["77", "99"]


def test_a_document_replaces_the_process(running, execute, document):
    """R-102."""
    one = running({"process": {"env": ["PATH=/bin", "A=1"], "cwd": "/tmp"}})
    caps = dict.fromkeys(("bounding", "effective", "permitted"), CAPS)
    path = document(
        args=["/bin/sh", "-c", "id -u; id -G; pwd; env; cat /proc/self/status /proc/self/limits"],
        user={"uid": 5, "gid": 6, "additionalGids": [10, 11], "umask": 0o77},
        cwd="/etc",
        env=["PATH=/bin", "ONLY=this"],
        capabilities={**caps, "inheritable": CAPS, "ambient": CAPS},
        rlimits=[{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}],
        noNewPrivileges=True,
    )
    lines = execute(one, [], flags=["--process", path]).ok().out.splitlines()
    assert lines[:3] == ["5", "6 10 11", "/etc"]
    text = "\n".join(lines)
    assert "ONLY=this" in lines
    assert "A=1" not in lines
    mask = 1 << 5 | 1 << 0 | 1 << 10
    for kind in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"):
        assert "%s:\t%016x" % (kind, mask) in text
    assert "Umask:\t0077" in text
    assert "NoNewPrivs:\t1" in text
    limits = next(line for line in lines if line.startswith("Max core file size"))
    assert limits.split()[4:6] == ["1", "2"]


def test_a_document_without_limits_keeps_those_of_the_container(running, execute, document):
    """Else the program would have those of whoever calls: a shim's OOM score is -999."""
    one = running({"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 99}], "oomScoreAdj": 300}})
    path = document(args=["/bin/cat", "/proc/self/limits", "/proc/self/oom_score_adj"])
    out = execute(one, [], flags=["-p", path]).ok().out
    assert next(line for line in out.splitlines() if line.startswith("Max open files")).split()[3:5] == ["77", "99"]
    assert out.endswith("\n300\n")


def test_a_document_without_capabilities_gives_none(running, execute, document):
    """S-18."""
    path = document(args=["/bin/cat", "/proc/self/status"])
    status = execute(running(), [], flags=["-p", path]).ok().out
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert "%s:\t%016x" % (kind, 0) in status


def test_a_document_may_come_through_a_pipe(running, pyoci, document):
    """R-102."""
    reader, writer = os.pipe()
    os.write(writer, read(document(args=["/bin/echo", "piped"])).encode())
    os.close(writer)
    one = running()
    result = pyoci("exec", "--process", "/dev/fd/%d" % reader, one.id, pass_fds=[reader])
    os.close(reader)
    assert result.ok().out == "piped\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["process-bad.json", "line 1"]),
        ("[]", ["process"]),
        ('{"cwd": "relative", "args": ["true"]}', [".cwd"]),
        ('{"cwd": "/", "args": []}', ["args"]),
        ('{"cwd": "/", "args": ["true"], "user": {"uid": -1, "gid": 0}}', [".user.uid"]),
        ('{"cwd": "/", "args": ["true"], "env": ["NOEQUALS"]}', [".env[0]"]),
        ('{"cwd": "/", "args": ["true"], "execCPUAffinity": {"final": "3-1"}}', [".execCPUAffinity.final"]),
        ('{"cwd": "/", "args": ["true"], "terminal": "yes"}', [".terminal"]),
    ],
)
def test_a_bad_document_is_refused_with_its_place(running, execute, work, text, words):
    """R-102, R-026: 255 for every failure of the runtime."""
    path = work + "/process-bad.json"
    write(path, text)
    execute(running(), [], flags=["--process", path]).failed(*words, code=255)


def test_an_unknown_property_of_a_document_is_ignored(running, execute, document):
    execute(running(), [], flags=["-p", document(args=["/bin/true"], futureProperty={"a": 1})]).ok()


@pytest.mark.parametrize(
    ("user", "uid", "gid"), [("1000", 1000, 8), ("1000:5", 1000, 5), ("0:0", 0, 0), ("4294967294", 4294967294, 8)]
)
def test_user_takes_numbers(running, execute, user, uid, gid):
    """R-103."""
    one = running({"process": {"user": {"uid": 7, "gid": 8}}})
    result = execute(one, ["/bin/sh", "-c", "id -u; id -g"], flags=["--user", user]).ok()
    assert result.out.split() == [str(uid), str(gid)]


@pytest.mark.parametrize(
    "user",
    ["1000:x", "x", "-1", "1000:-5", "1 ", "1:2:3", "4294967295", "0x1", "1_0", "", ":", ":1", "٣", "99999999999"],
)
def test_junk_for_a_user_is_refused_and_not_read_in_part(running, execute, user):
    """R-103, S-20 (CVE-2026-30892)."""
    one = running()
    result = execute(one, ["/bin/id", "-u"], flags=["--user=" + user])
    if user == "":
        assert result.ok().out == "0\n", "an empty one is none"
    else:
        result.failed("--user", code=255)


def test_additional_groups(running, execute):
    """R-101."""
    result = execute(running(), ["/bin/id", "-G"], flags=["-g", "20", "--additional-gids", "30"]).ok()
    assert result.out.split() == ["0", "20", "30"]
    execute(running(), ["/bin/id"], flags=["-g", "wheel"]).failed("wheel", code=255)


def test_a_capability_is_added_but_never_to_the_inheritable_set(running, execute):
    """R-103, S-17 (CVE-2022-29162)."""
    one = running()
    flags = ["--cap", "CAP_SYS_PTRACE", "-c", "net_raw"]
    status = execute(one, ["/bin/cat", "/proc/self/status"], flags=flags).ok().out
    added = 1 << 19 | 1 << 13
    sets = {line.split(":")[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Cap")}
    for kind in ("CapBnd", "CapEff", "CapPrm"):
        assert sets[kind] & added == added
    assert sets["CapInh"] == 0
    assert sets["CapAmb"] == 0
    execute(one, ["/bin/true"], flags=["--cap", "CAP_NONSENSE"]).failed("CAP_NONSENSE", code=255)


def test_no_new_privileges_and_directory(running, execute):
    """R-101."""
    one = running({"process": {"noNewPrivileges": False}})
    assert "NoNewPrivs:\t0" in execute(one, ["/bin/cat", "/proc/self/status"]).ok().out
    flags = ["--no-new-privs", "--cwd", "/etc"]
    out = execute(one, ["/bin/sh", "-c", "pwd; cat /proc/self/status"], flags=flags).ok().out
    assert out.startswith("/etc\n")
    assert "NoNewPrivs:\t1" in out


def test_home_comes_from_the_containers_passwd(running, execute):
    """R-112."""
    one = running()
    with open(one.bundle.inside("etc/passwd"), "w") as file:
        file.write("root:x:0:0::/root:/bin/sh\nu:x:2000:2000::/home/u:/bin/sh\n")
    home = ["/bin/sh", "-c", "echo $HOME"]
    assert execute(one, home, flags=["--user", "2000"]).ok().out == "/home/u\n"
    assert execute(one, home, flags=["--user", "2001"]).ok().out == "/\n"
    assert execute(one, home, flags=["--user", "2000", "--env", "HOME=/x"]).ok().out == "/x\n"


def test_signals_and_session_are_as_in_a_new_program(running, execute):
    """S-31, P-08."""
    status = execute(running(), ["/bin/cat", "/proc/self/status", "/proc/self/stat"]).ok().out
    assert "SigIgn:\t0000000000000000" in status
    assert "SigBlk:\t0000000000000000" in status
    fields = status.splitlines()[-1].rsplit(")", 1)[1].split()
    pid = status.splitlines()[-1].split()[0]
    assert fields[3] == pid, "a session of its own"


def test_the_scheduler_of_a_document(running, execute, document):
    """R-102."""
    path = document(args=["/bin/cat", "/proc/self/stat"], scheduler={"policy": "SCHED_BATCH", "nice": 5})
    stat_ = execute(running(), [], flags=["-p", path]).ok().out.rsplit(")", 1)[1].split()
    assert stat_[16] == "5"
    assert stat_[38] == "3", "SCHED_BATCH"


def allowed(text):
    return next(line.split()[1] for line in text.splitlines() if line.startswith("Cpus_allowed_list"))


def keeps_its_mask(one):
    """Whether a mask that was asked for outlives joining the container's cgroup.

    So it does since Linux 6.2; before, only where the cgroup has the processors of the one that is left.
    """
    process = subprocess.Popen(SLEEP)
    os.sched_setaffinity(process.pid, [0])
    try:
        write(host.cgroup_of(one.pid, "cpuset") + "/cgroup.procs", str(process.pid))
        return allowed(read("/proc/%d/status" % process.pid)) == "0"
    finally:
        process.kill()
        process.returncode = Children.wait(process.pid, 5)


def test_cpu_affinity(running, execute, document):
    """R-233: initial before the cgroup is joined, final after, and neither means all."""
    host.requires("two_cpus")
    one = running()
    show = ["/bin/cat", "/proc/self/status"]
    everything = allowed(execute(one, show).ok().out)
    for affinity in ({"initial": "0", "final": "1"}, {"final": "1"}):
        path = document(args=show, execCPUAffinity=affinity)
        assert allowed(execute(one, [], flags=["-p", path]).ok().out) == "1"
    path = document(args=show, execCPUAffinity={"initial": "0"})
    assert allowed(execute(one, [], flags=["-p", path]).ok().out) == ("0" if keeps_its_mask(one) else everything)
    mask = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [0])
    try:
        assert allowed(execute(one, show).ok().out) == everything
    finally:
        os.sched_setaffinity(0, mask)
    config = {"process": {"execCPUAffinity": {"final": "0"}}}
    assert allowed(execute(running(config), show).ok().out) == "0", "the container's own"


def test_scheduling_of_an_execed_process_is_its_own(running, execute, document):
    """R-231, R-232: of the document, or of the container."""
    own = {
        "scheduler": {"policy": "SCHED_BATCH", "nice": 4},
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0},
    }
    one = running({"process": {**own, "oomScoreAdj": 77}})
    probe = ["/bin/probe", "--only", "sched"]
    got = execute(one, probe).ok().json()["sched"]
    assert (got["policy"], got["nice"], got["ioprio_class"]) == (3, 4, 3)
    other = {"scheduler": {"policy": "SCHED_IDLE"}, "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 2}}
    got = execute(one, [], flags=["-p", document(args=probe, **other)]).ok().json()["sched"]
    assert (got["policy"], got["ioprio_class"], got["ioprio_level"]) == (5, 2, 2)


def test_a_cpu_that_the_host_lacks_is_an_error(running, execute, document):
    """R-233."""
    path = document(args=["/bin/true"], execCPUAffinity={"initial": "60000"})
    execute(running(), [], flags=["-p", path]).failed("execCPUAffinity", code=255)


def test_the_filter_of_the_container_holds(running, execute):
    """R-105, R-274: for programs that are let in later too."""
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"] if os.uname().machine == "x86_64" else ["SCMP_ARCH_AARCH64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7}],
    }
    for privileges in (True, False):
        one = running(RW, {"linux": {"seccomp": profile}, "process": {"noNewPrivileges": privileges}})
        report = probed(execute(one, ["/bin/probe", "--mkdir", "/tmp/x"]))
        assert report.errno("mkdir") == "E2BIG"
        assert "Seccomp:\t2" in execute(one, ["/bin/cat", "/proc/self/status"]).ok().out


# ---- the cgroup ----


def test_exec_into_a_sub_cgroup(running, execute, cgroup_dir):
    """R-110."""
    host.requires("cgroup1")
    one = running()
    directory = cgroup_dir(one.pid, "pids") + "/sub"
    os.mkdir(directory)
    show = ["/bin/cat", "/proc/self/cgroup"]
    lines = execute(one, show, flags=["--cgroup", "pids:sub"]).ok().out.splitlines()
    places = {line.split(":")[1]: line.split(":")[2] for line in lines}
    assert places["pids"].endswith("/sub")
    assert not places["memory"].endswith("/sub")
    execute(one, show, flags=["--cgroup", "pids:nope"]).failed("no such file or directory", code=255)
    execute(one, show, flags=["--cgroup", "nonsense:sub"]).failed("nonsense", code=255)
    for outside in ("..", "../sub", "pids:../sub", "pids:/../../sub", "sub/../.."):
        execute(one, show, flags=["--cgroup", outside]).failed("is not a sub cgroup path", code=255)
    os.rmdir(directory)


def test_on_version_2_it_follows_init_into_a_sub_cgroup(running, execute):
    """R-111: a cgroup whose sub-cgroups have controllers takes no process (systemd inside)."""
    host.requires("cgroup2")
    one = running()
    place = host.cgroup_of(one.pid)
    os.mkdir(place + "/init")
    write(place + "/init/cgroup.procs", str(one.pid))
    write(place + "/cgroup.subtree_control", "+pids")
    shown = execute(one, ["/bin/cat", "/proc/self/cgroup"]).ok().out
    assert shown.strip().endswith("/init")
    execute(one, ["/bin/true"], flags=["--cgroup", "/"]).failed("cannot join cgroup", code=255)


def test_a_small_memory_limit_does_not_keep_it_out(running, execute):
    """What we need ourselves is charged to us: the memory cgroup is joined last."""
    limit = {"linux": {"resources": {"memory": {"limit": 2 << 20}}}}
    one = running(limit)
    for _ in range(5):
        assert execute(one, ["/bin/true"]).ok().out == ""


# ---- states ----


def test_a_created_container_can_be_entered(container, execute):
    """R-104."""
    one = container(args=SLEEP).create()
    assert execute(one, ["/bin/echo", "in"]).ok().out == "in\n"
    assert one.status() == "created"


def test_a_stopped_one_cannot(running, execute):
    """R-104, R-026."""
    one = running()
    one.end()
    execute(one).failed("cannot exec in a stopped container", code=255)


def test_a_missing_one_cannot(pyoci):
    """R-026, R-028."""
    pyoci("exec", "nope", "true").failed("container does not exist", code=255)


def test_a_paused_one_only_when_asked(running, execute, cgroup_dir, pyoci):
    """R-104, S-38: it would wait for ever."""
    host.requires("cgroup1", "v1:freezer")
    one = running()
    state = cgroup_dir(one.pid, "freezer") + "/freezer.state"
    write(state, "FROZEN")
    execute(one).failed("cannot exec in a paused container (use --ignore-paused to override)", code=255)
    process = pyoci.spawn("exec", "--ignore-paused", one.id, "/bin/echo", "thawed")
    until(lambda: process.running())
    write(state, "THAWED")
    assert process.wait().ok().out == "thawed\n"


def test_another_process_with_the_pid_of_init_is_not_entered(running, execute, pyoci, work):
    """R-106: the record's start time must be that of the process."""
    one = running()
    state = os.path.join(pyoci.root, one.id, "state.json")
    record = json.loads(read(state))
    write(state, json.dumps({**record, "startTime": record["startTime"] + 1}))
    execute(one).failed("cannot exec in a stopped container", code=255)
    write(state, json.dumps(record))


# ---- statuses and waiting ----


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_the_status_is_the_programs(running, execute, script, status):
    """R-026, R-027, R-107."""
    assert execute(running(), ["/bin/sh", "-c", script]).code == status


def test_signals_go_on_to_the_program(running, pyoci):
    """R-107."""
    one = running()
    script = "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    process = pyoci.spawn("exec", one.id, "/bin/sh", "-c", script)
    until(lambda: "ready" in read(process.out_path))
    process.signal(signal.SIGTERM)
    result = process.wait()
    assert (result.code, result.out) == (3, "ready\ngot\n")


def test_detached_it_returns_while_the_program_runs(running, pyoci, work):
    """R-107, R-138, R-139."""
    one = running()
    pid_file = work + "/exec.pid"
    pyoci("exec", "--detach", "--pid-file", pid_file, one.id, *SLEEP).ok()
    pid = int(read(pid_file))
    assert read(pid_file) == str(pid), "no newline"
    assert host.alive(pid)
    assert read("/proc/%d/cmdline" % pid) == "/bin/sleep\x001000\x00"
    assert int(read("/proc/%d/stat" % pid).rsplit(")", 1)[1].split()[1]) == os.getpid(), "it falls to the subreaper"
    os.kill(pid, signal.SIGKILL)
    assert Children.wait(pid, 5) == 137


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nope"], 'exec: "nope": executable file not found in $PATH'),
        (["/no/such"], 'exec: "/no/such": stat /no/such: no such file or directory'),
        (["/etc"], 'exec: "/etc": is a directory: permission denied'),
        (["/etc/plain"], "permission denied"),
        (["/bin/odd"], "exec format error"),
        (["/bin/lost"], "no such file or directory"),
    ],
)
@pytest.mark.parametrize("detach", [True, False])
def test_a_program_that_cannot_start_leaves_no_pid_file(running, pyoci, work, args, words, detach):
    """R-108, R-030, R-031: conmon tells a failure by the file's absence."""
    one = running()
    for name, text, mode in (
        ("etc/plain", "x", 0o644),
        ("bin/odd", "\0\1\2\3", 0o755),
        ("bin/lost", "#!/no/interpreter\n", 0o755),
    ):
        write(one.bundle.inside(name), text)
        os.chmod(one.bundle.inside(name), mode)
    pid_file = work + "/exec.pid"
    flags = ["--detach"] if detach else []
    result = pyoci("exec", *flags, "--pid-file", pid_file, one.id, *args)
    result.failed("exec failed: ", words, code=255)
    assert not os.path.exists(pid_file)


def test_a_pid_file_that_cannot_be_written_fails_and_kills(running, pyoci, work):
    """R-139."""
    one = running()
    before = pyoci("exec", one.id, "/bin/ls", "/proc").ok().out
    result = pyoci("exec", "--detach", "--pid-file", work + "/no/such/pid", one.id, *SLEEP)
    result.failed("no such file or directory", "--pid-file", code=255)
    after = pyoci("exec", one.id, "/bin/ls", "/proc").ok().out
    assert len([x for x in after.split() if x.isdigit()]) == len([x for x in before.split() if x.isdigit()])


def test_a_killed_exec_takes_its_process_along_until_it_runs(running, pyoci):
    """R-04 of the robustness rules: PDEATHSIG until execve, and the container goes on."""
    one = running()
    for delay in range(0, 24, 2):
        process = pyoci.spawn("exec", one.id, "/bin/true")
        time.sleep(delay / 1000)
        process.signal(signal.SIGKILL)
        process.wait()
    assert one.status() == "running"
    listing = pyoci("exec", one.id, "/bin/ls", "/proc").ok().out.split()
    assert len([name for name in listing if name.isdigit()]) <= 3


def test_the_container_ending_meanwhile_is_one_clear_error(running, pyoci):
    one = running(args=["/bin/sleep", "0.3"])
    result = pyoci("exec", one.id, "/bin/true")
    while result.code == 0:
        result = pyoci("exec", one.id, "/bin/true")
    if result.code != 137:  # the program itself was killed with the pid namespace
        result.failed("exec failed: cannot exec in a stopped container", code=255)
    one.wait()


# ---- descriptors ----


def test_only_the_three_streams_are_open(running, execute):
    """R-145, R-114."""
    assert set(probed(execute(running()))["fds"]) == {"0", "1", "2"}


def test_leaked_descriptors_do_not_arrive(running, execute, work):
    """S-04, S-03 (CVE-2024-21626)."""
    folder = os.open("/", os.O_RDONLY)
    os.set_inheritable(folder, True)
    one = running()
    assert set(probed(execute(one, pass_fds=[folder]))["fds"]) == {"0", "1", "2"}
    for number in range(3, 20):
        result = execute(one, ["/bin/true"], flags=["--cwd", "/proc/self/fd/%d" % number], pass_fds=[folder])
        assert result.code == 255, number
        assert (
            "outside of container" in result.err or "no such file" in result.err or "not a directory" in result.err
        )
    os.close(folder)


def test_preserved_descriptors_arrive(running, pyoci, work):
    """R-146."""
    path = work + "/three"
    write(path, "content")
    one = running()
    script = 'exec "$@" 3< %s' % path
    wrap = ["sh", "-c", script, "sh"]
    result = pyoci("exec", "--preserve-fds", "1", one.id, "/bin/sh", "-c", "cat <&3", wrap=wrap)
    assert result.ok().out == "content"
    pyoci("exec", "--preserve-fds", "2", one.id, "/bin/true", wrap=wrap).failed("preserved-fd 4", code=255)


def test_activation_sockets_are_announced_with_the_programs_own_pid(running, pyoci, work):
    """R-147."""
    one = running()
    script = 'exec 3< /dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
    inside = ["/bin/sh", "-c", "echo $LISTEN_FDS $LISTEN_PID $$; test -e /proc/self/fd/3 && echo there"]
    result = pyoci("exec", one.id, *inside, wrap=["sh", "-c", script, "sh"]).ok()
    number, pid, own = result.out.splitlines()[0].split()
    assert (number, pid) == ("1", own)
    assert result.out.endswith("there\n")


def test_the_hosts_null_device_is_swapped_for_the_containers(running, execute):
    report = probed(execute(running()))
    assert report["fds"]["0"]["dev"] != os.stat("/dev/null").st_dev


def test_the_pidfd_socket_gets_the_process(running, pyoci, work):
    """R-144."""
    path = work + "/pidfd.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        server.settimeout(patience(10))
        one = running()
        pid_file = work + "/exec.pid"
        pyoci("exec", "-d", "--pid-file", pid_file, "--pidfd-socket", path, one.id, *SLEEP).ok()
        peer, _ = server.accept()
        with peer:
            data, descriptors, _, _ = socket.recv_fds(peer, 4096, 4)
    assert data == b"setns"
    pid = int(read(pid_file))
    assert read("/proc/self/fdinfo/%d" % descriptors[0]).split("Pid:")[1].split()[0] == str(pid)
    os.close(descriptors[0])
    os.kill(pid, signal.SIGKILL)
    Children.wait(pid, 5)


def test_the_session_keyring_is_the_containers(running, execute):
    """R-150."""
    one = running()
    first = execute(one, ["/bin/probe", "--only", "keyring"]).ok().json()
    second = execute(one, ["/bin/probe", "--only", "keyring"]).ok().json()
    assert first["keyring"] == second["keyring"]


# ---- terminals ----


@pytest.mark.parametrize("edits", [(), (USERNS,)])
def test_a_terminal_over_the_console_socket(running, pyoci, console, document, work, edits):
    """R-140, R-141, R-143; as conmon calls it."""
    one = running(*edits)
    path, receive = console()
    process = document(
        args=["/bin/sh", "-c", "test -t 0 && echo terminal; read x; echo got $x; exit 5"],
        terminal=True,
        consoleSize={"height": 12, "width": 34},
        user={"uid": 9, "gid": 9},
    )
    pid_file = work + "/exec.pid"
    flags = ["--pid-file", pid_file, "--process", process, "--detach", "--tty", "--console-socket", path]
    pyoci("exec", *flags, one.id).ok()
    master = receive()
    pid = int(read(pid_file))
    import fcntl
    import struct
    import termios

    size = fcntl.ioctl(master, termios.TIOCGWINSZ, bytes(8))
    assert struct.unpack("HHHH", size)[:2] == (12, 34)
    owner = os.stat("/proc/%d/fd/0" % pid).st_uid
    assert owner == (9 if not edits else 100009)
    os.write(master, b"hello\n")
    data = b""
    while True:
        try:
            data += os.read(master, 4096)
        except OSError:
            break
    assert b"terminal" in data
    assert b"got hello" in data
    assert Children.wait(pid, 5) == 5
    os.close(master)


def test_the_console_of_init_stays_where_it_is(container, pyoci, console, work):
    """R-141: /dev/console belongs to init."""
    path, receive = console()
    one = container({"process": {"terminal": True}}, args=SLEEP)
    one.create("--console-socket", path)
    first = receive()
    one.start()
    console_before = os.stat("/proc/%d/root/dev/console" % one.pid).st_rdev
    script = ["/bin/sh", "-c", "ls -l /proc/self/fd/0; sleep 0.2"]
    other, receive_other = console(work + "/other.sock")
    pyoci("exec", "-d", "-t", "--console-socket", other, one.id, *script).ok()
    second = receive_other()
    until(lambda: b"/dev/pts/1" in os.read(second, 4096))
    assert os.stat("/proc/%d/root/dev/console" % one.pid).st_rdev == console_before
    os.close(first)
    os.close(second)
    one.end()


def test_terminal_and_socket_must_fit_together(running, execute, work):
    one = running()
    execute(one, SLEEP, flags=["-d", "-t"]).failed("cannot allocate tty", code=255)
    execute(one, SLEEP, flags=["-d", "--console-socket", work + "/x"]).failed("console socket", code=255)
    flags = ["-d", "-t", "--console-socket", work + "/nobody"]
    execute(one, SLEEP, flags=flags).failed("no such file or directory", code=255)


def test_foreground_terminal_is_relayed_and_restored(running, pyoci):
    """R-109: as cri-o's streaming exec, and by hand."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 21, 43, 0, 0))
    before = termios.tcgetattr(slave)
    one = running()
    process = pyoci.spawn(
        "exec", "-t", one.id, "/bin/probe", "--only", "tty", "--exit", "6",
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.set_blocking(master, False)
    data = b""

    def take():
        nonlocal data
        try:
            data += os.read(master, 65536)
        except BlockingIOError:
            pass
        return not process.running()

    until(take)
    take()
    assert process.wait().code == 6, data
    assert b'"rows":21,"cols":43' in data
    assert b"/dev/pts/" in data
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


# ---- callers ----


def test_closed_pipes_do_not_hang_the_caller(running, pyoci):
    """A detached process has the pipe's ends of its own alone: the runtime's are closed when it returns."""
    one = running()
    reader, writer = os.pipe()
    pyoci("exec", "-d", one.id, "/bin/sh", "-c", "echo out; exec sleep 0.2", stdout=writer)
    os.close(writer)
    assert os.read(reader, 100) == b"out\n"
    assert os.read(reader, 100) == b""
    os.close(reader)


def test_what_a_failing_exec_prints_is_one_error(running, execute):
    """R-034."""
    result = execute(running(), ["/nope"]).failed(code=255)
    assert result.err.count("exec failed: ") == 1
    assert result.err.splitlines()[0].startswith("pyoci: exec failed: unable to start container process: ")


def test_nothing_of_the_runtime_is_writable_from_inside(running, pyoci, work):
    """R-114, S-02 (CVE-2019-5736): the joiner's interpreter is on a read-only mount, or sealed."""
    one = running(RW)
    os.symlink("/proc/self/exe", one.bundle.inside("bin/self"))
    write(one.bundle.inside("bin/script"), "#!/proc/self/exe\n")
    os.chmod(one.bundle.inside("bin/script"), stat.S_IRWXU)
    for name in ("/bin/self", "/bin/script"):
        assert pyoci("exec", one.id, name, "-c", "open('/proc/self/exe','r+')").code != 0
