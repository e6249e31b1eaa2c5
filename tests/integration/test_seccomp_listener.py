"""linux.seccomp.listenerPath: calls of the container that an agent answers (config-linux.md#seccomp)."""

import errno
import os
import platform
import signal
import socket
import sys
import time

import pytest

from . import host
from .bundles import namespaces
from .runtime import Report
from .seccomp_agent import CONTINUE, Agent
from .test_seccomp import rule, seccomp

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="system call numbers of x86_64")
EXECVE, MKDIR, SECCOMP = 59, 83, 317
RW = {"root": {"readonly": False}}
ROOT_USER_NAMESPACE = {
    "linux": {
        "namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "user"),
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
    }
}


@pytest.fixture
def agent(work):
    """agent(answer, path) -> Agent that serves until the test ends."""
    made = []

    def make(answer=lambda call: CONTINUE, path=None):
        made.append(Agent(path or work + "/agent.sock", answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


def notify(path, *names, default="SCMP_ACT_ALLOW", **more):
    return seccomp(default, rule("SCMP_ACT_NOTIFY", *(names or ("mkdir",))), listenerPath=path, **more)


def program(*script):
    return ["/bin/sh", "-c", "; ".join(script)]


# ---- what the agent gets ----


def test_create_returns_after_the_agent_has_the_listener(container, agent):
    """R-048, R-271, R-272."""
    served = agent()
    one = container(notify(served.path, listenerMetadata="meta"), {"annotations": {"a": "b"}})
    one.create()
    host.until(lambda: served.messages, what="the message")
    (message,) = served.messages
    assert message["rest"] == b""
    assert message["descriptors"] == 1
    assert os.readlink("/proc/self/fd/%d" % served.descriptors[0]) == "anon_inode:seccomp notify"
    assert message["fds"] == ["seccompFd"]
    assert message["metadata"] == "meta"
    assert message["ociVersion"] == "1.3.0"
    assert message["pid"] == one.pid
    state = message["state"]
    assert (state["id"], state["status"], state["pid"]) == (one.id, "creating", one.pid)
    assert (state["bundle"], state["annotations"]) == (one.bundle.path, {"a": "b"})
    one.start()
    one.end()
    assert len(served.messages) == 1


def test_metadata_that_is_not_set_is_not_sent(run, agent):
    served = agent()
    run(notify(served.path)).ok()
    assert "metadata" not in served.messages[0]


def test_each_exec_brings_a_listener_of_its_own(container, agent, pyoci, work):
    """R-271, R-274."""
    served = agent(lambda call: errno.ENOMEDIUM)
    one = container(notify(served.path, listenerMetadata="meta"), RW)
    one.create()
    one.start()
    pid_file = work + "/exec.pid"
    report = pyoci("exec", "--pid-file", pid_file, one.id, "/bin/probe", "--mkdir", "/tmp/x").ok()
    assert Report(report.json()).errno("mkdir") == "ENOMEDIUM"
    first, second = served.messages
    assert second["pid"] == int(host.read(pid_file)) != one.pid
    assert (second["state"]["status"], second["state"]["pid"]) == ("running", one.pid)
    assert second["metadata"] == "meta"
    assert first["pid"] == one.pid
    one.end()


# ---- what the agent answers ----


@pytest.mark.parametrize("privileges", [True, False])
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_call_gets_the_errno_of_the_agent(inspect, agent, privileges, uid):
    """R-162, R-271."""
    served = agent(lambda call: errno.ENOMEDIUM)
    user = {"process": {"noNewPrivileges": privileges, "user": {"uid": uid, "gid": 0}}}
    report = inspect(notify(served.path), user, probe=["--mkdir", "/tmp/x"])
    assert report.errno("mkdir") == "ENOMEDIUM"
    assert served.numbers == [MKDIR]


def test_the_agent_does_the_work_in_the_place_of_the_program(run, agent):
    def with_suffix(call):
        os.mkdir(call.file(0) + "-bar")
        return 0

    served = agent(with_suffix)
    script = program("/bin/mkdir /tmp/foo", "cd /tmp/foo-bar && pwd")
    assert run(notify(served.path), RW, args=script).ok().out == "/tmp/foo-bar\n"


def test_a_call_goes_on_when_the_agent_says_so(run, agent):
    served = agent()
    assert run(notify(served.path), RW, args=program("/bin/mkdir /tmp/foo", "cd /tmp/foo && pwd")).ok().out
    assert MKDIR in served.numbers


def test_without_an_agent_the_calls_do_not_exist(container, agent):
    served = agent()
    one = container(notify(served.path), RW, args=["/bin/probe", "--mkdir", "/tmp/x", "--pause"])
    one.create()
    host.until(lambda: served.messages, what="the message")
    served.close()
    one.start()
    assert one.report().errno("mkdir") == "ENOSYS"
    one.end()


def test_the_other_rules_hold_beside_those_of_the_agent(inspect, agent):
    """The filter goes in in two parts; together they must say what the one would."""
    served = agent(lambda call: errno.ENOMEDIUM)
    profile = seccomp(
        "SCMP_ACT_ALLOW",
        rule("SCMP_ACT_ERRNO", "times", errnoRet=77),
        rule("SCMP_ACT_NOTIFY", "mkdir"),
        rule("SCMP_ACT_NOTIFY", "getpgrp", args=[{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]),
        rule("SCMP_ACT_ERRNO", "getpgrp", args=[{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]),
        rule("SCMP_ACT_KILL_PROCESS", "sync"),
        listenerPath=served.path,
    )
    probe = ["--syscall-child", "100", "0", "--mkdir", "/tmp/x"]
    probe += [word for number in (1, 2, 3) for word in ("--syscall-child", "111", str(number))]
    report = inspect(profile, probe=[*probe, "--syscall-child", "162"])
    assert [a.get("errno") or a.get("signal") for a in report["actions"]] == [
        "EBADFD", "ENOMEDIUM", "ENOMEDIUM", "EPERM", None, 31,
    ]  # fmt: skip


# ---- none of our own calls is asked about ----

WITHOUT_HARM = [
    "accept", "accept4", "bind", "brk", "capset", "chdir", "clone", "clone3", "close", "close_range", "connect",
    "dup", "dup2", "dup3", "execve", "execveat", "fchdir", "fchmod", "fchown", "fcntl", "fork", "fstat",
    "getcwd", "getdents64", "getpid", "getppid", "gettid", "getuid", "ioctl", "keyctl", "kill", "listen", "lseek",
    "madvise", "memfd_create", "mkdir", "mkdirat", "mmap", "mprotect", "munmap", "newfstatat", "open", "openat",
    "openat2", "pidfd_open", "pidfd_send_signal", "pipe2", "poll", "ppoll", "prctl", "prlimit64", "pread64",
    "read", "readlink", "readv", "recvfrom", "recvmsg", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "sched_yield", "select", "sendmsg", "sendto", "setgid", "setgroups", "setresgid", "setresuid", "setsid",
    "setsockopt", "setuid", "shutdown", "socket", "stat", "statx", "umask", "unlink", "wait4", "writev",
]  # fmt: skip


@pytest.mark.parametrize("uid", [0, 1000])
def test_nothing_that_pyoci_does_waits_for_the_agent(container, agent, uid):
    """R-273: but for execve itself."""
    served = agent()
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "ls /proc/self/fd >/tmp/fds"]}
    one = container(
        notify(served.path, *WITHOUT_HARM),
        RW,
        {"process": {"user": {"uid": uid, "gid": 0}}, "hooks": {"startContainer": [hook]}},
        args=["/bin/probe", "--read", "/tmp/fds"],
    )
    os.chmod(one.bundle.path + "/rootfs/tmp", 0o1777)
    one.create()
    time.sleep(0.2)
    assert served.numbers == []
    one.start()
    assert one.wait() == 0
    assert served.numbers[0] == EXECVE
    assert one.report().text("/tmp/fds").split() == ["0", "1", "2", "3"]


def test_an_agent_that_refuses_everything_keeps_no_container_from_starting(container, agent):
    served = agent(lambda call: CONTINUE if call.number == EXECVE else errno.EPERM)
    one = container(notify(served.path, *WITHOUT_HARM), args=["/bin/true"])
    one.create()
    one.start()
    one.wait()
    assert served.numbers[0] == EXECVE


def test_the_rest_of_the_filter_may_forbid_all_but_execve(container, agent):
    """As without a listener: waiting for `start` takes calls that the profile does not have to allow."""
    served = agent()
    profile = seccomp(
        "SCMP_ACT_KILL_PROCESS",
        rule("SCMP_ACT_ALLOW", "execve", "exit_group", "write", "sched_yield", "arch_prctl", "getuid", "brk"),
        rule("SCMP_ACT_NOTIFY", "mkdir"),
        listenerPath=served.path,
    )
    one = container(profile, args=["/bin/true"])
    one.create()
    assert one.status() == "created"
    one.start()
    one.wait()
    assert len(served.messages) == 1


# ---- the process is what it is without a listener ----


def test_the_program_is_the_same_process_as_without_a_listener(container, agent):
    """A second thread executes it: nothing of that stays."""
    served = agent()

    def seen(profile):
        one = container(profile, args=["/bin/probe", "--read", "/proc/self/stat", "--pause"])
        one.create()
        before = host.read("/proc/%d/stat" % one.pid).rpartition(")")[2].split()
        one.start()
        report = one.report()
        after = host.read("/proc/%d/stat" % one.pid).rpartition(")")[2].split()
        assert before[19] == after[19], "the start time"
        assert one.status() == "running"
        status = dict(report["status"])
        one.end()
        for changing in ("Seccomp_filters", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"):
            status.pop(changing, None)
        kept = ("Tgid", "Pid", "PPid", "NSpid", "Threads", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff")
        kept += ("CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn", "SigCgt", "SigQ", "ShdPnd")
        return {key: value for key, value in status.items() if key in kept}, report["rlimits"]

    plain = seen(seccomp("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "mkdir")))
    watched = seen(notify(served.path))
    assert plain == watched
    assert watched[0]["Seccomp"] == "2"
    assert watched[0].get("Threads", "1") == "1"


def test_a_created_container_ends_on_a_signal(container, agent):
    one = container(notify(agent().path))
    one.create()
    one.kill("TERM").ok()
    assert one.wait() == 128 + signal.SIGTERM
    assert one.status() == "stopped"


@pytest.mark.parametrize("command", ["run", "start", "exec"])
def test_a_program_that_cannot_be_executed_is_told(run, container, pyoci, agent, command):
    served = agent()
    edit = [notify(served.path), RW]
    one = container(*edit) if command == "exec" else container(*edit, args=["/bin/broken"])
    script = one.bundle.path + "/rootfs/bin/broken"
    with open(script, "w", encoding="utf-8") as file:
        file.write("#!/no/such/interpreter\n")
    os.chmod(script, 0o755)
    if command == "run":
        run(of=one.bundle).failed("/no/such/interpreter", code=255)
        return
    one.create()
    if command == "start":
        one.start()
        assert one.wait() == 255
        assert "/no/such/interpreter" in one.err()
    else:
        one.start()
        pyoci("exec", one.id, "/bin/broken").failed("/no/such/interpreter", code=255)
        one.end()


@pytest.mark.parametrize(
    "edit",
    [
        ROOT_USER_NAMESPACE,
        {"linux": {"namespaces": namespaces("mount", "uts")}},
        {"linux": {"namespaces": namespaces("mount", "pid", "time", "uts", "ipc")}},
        {"process": {"rlimits": [{"type": "RLIMIT_AS", "soft": 1 << 26, "hard": 1 << 26}]}},
        {"process": {"scheduler": {"policy": "SCHED_BATCH", "nice": 3}}},
    ],
    ids=["user-namespace", "host-pids", "time-namespace", "little-memory", "scheduler"],
)
def test_it_works_in(inspect, agent, edit):
    served = agent(lambda call: errno.ENOMEDIUM)
    report = inspect(notify(served.path), edit, probe=["--mkdir", "/tmp/x"])
    assert report.errno("mkdir") == "ENOMEDIUM"


def test_the_listener_is_sent_and_not_fetched(run, agent):
    """Fetching it would take the right to trace init, which a caller without root does not have."""
    served = agent(lambda call: errno.ENOMEDIUM)
    wrap = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
    result = run(notify(served.path), args=["/bin/probe", "--mkdir", "/tmp/x"], wrap=wrap)
    assert Report(result.ok().json()).errno("mkdir") == "ENOMEDIUM"


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["SECCOMP_FILTER_FLAG_TSYNC"],
        ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"],
    ],
)
def test_flags_go_with_a_listener(inspect, agent, flags):
    """R-266."""
    served = agent(lambda call: errno.ENOMEDIUM)
    report = inspect(notify(served.path, flags=flags), probe=["--mkdir", "/tmp/x"])
    assert report.errno("mkdir") == "ENOMEDIUM"


@pytest.mark.parametrize("killable", [True, False])
def test_a_signal_interrupts_a_call_only_without_the_flag(container, agent, killable):
    """SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV reaches the kernel: without it the agent's answer comes too late."""

    def slowly(call):
        time.sleep(0.7 if len(served.calls) == 1 else 0)
        return CONTINUE

    served = agent(slowly)
    flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] if killable else []
    one = container(notify(served.path, "umask", flags=flags), args=program("trap : USR1", "umask 077"))
    one.create()
    one.start()
    host.until(lambda: served.calls, what="the call")
    os.kill(one.pid, signal.SIGUSR1)
    assert one.wait() == 0
    assert served.too_late == (0 if killable else 1)


# ---- where the agent is ----


def test_a_long_path_and_one_from_the_bundle(container, agent, work):
    folder = work + "/" + "d" * 120
    os.mkdir(folder)
    long = agent(path=folder + "/agent.sock")
    one = container(notify(long.path)).create()
    host.until(lambda: long.messages, what="the message")
    one.end()
    two = container(notify("agent.sock"))
    near = agent(path=two.bundle.path + "/agent.sock")
    two.create()
    host.until(lambda: near.messages, what="the message")
    two.end()


def test_an_annotation_names_the_agent_when_the_profile_does_not(inspect, agent, work):
    """R-279."""
    served = agent(lambda call: errno.ENOMEDIUM)
    annotation = {"annotations": {"run.oci.seccomp.receiver": served.path}}
    profile = seccomp("SCMP_ACT_ALLOW", rule("SCMP_ACT_NOTIFY", "mkdir"))
    report = inspect(profile, annotation, probe=["--mkdir", "/tmp/x"])
    assert report.errno("mkdir") == "ENOMEDIUM"
    other = agent(path=work + "/other.sock")
    inspect(notify(other.path), annotation)
    assert (len(served.messages), len(other.messages)) == (1, 1)


def test_a_listener_nobody_needs_is_not_looked_for(inspect):
    """R-271."""
    inspect(
        seccomp("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "mkdir"), listenerPath="/none", listenerMetadata="meta")
    )


@pytest.mark.parametrize("what", ["absent", "refusing", "no socket", "datagram", "abstract", "no directory"])
def test_without_an_agent_there_is_no_container(container, run, pyoci, work, what):
    """R-271."""
    path = work + "/none.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM if what == "datagram" else socket.SOCK_STREAM) as server:
        if what in ("refusing", "datagram"):
            server.bind(path)
        elif what == "no socket":
            host.write(path, "")
        elif what == "abstract":
            path = "@nobody"
        elif what == "no directory":
            path = work + "/none/agent.sock"
        one = container(notify(path))
        one.try_create().failed("seccomp agent at " + path, ".linux.seccomp.listenerPath")
        assert pyoci.left() == []
        assert not os.path.exists(one.pid_file)
        run(notify(path)).failed("seccomp agent at " + path)


def test_an_agent_that_goes_away_keeps_programs_from_being_let_in(container, pyoci, agent):
    served = agent()
    one = container(notify(served.path)).create().start()
    served.close()
    pyoci("exec", one.id, "/bin/true").failed("seccomp agent at", ".linux.seccomp.listenerPath", code=255)
    assert one.status() == "running"
    one.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_create_that_waits_for_the_agent_can_be_ended(container, pyoci, busy, number):
    one = container(notify(busy))
    process = pyoci.spawn("create", "--bundle", one.bundle.path, one.id)
    host.until(lambda: host.is_connecting(process.pid), what="the wait")
    process.signal(number)
    result = process.wait()
    if number == signal.SIGTERM:
        result.failed("interrupted")
        assert pyoci.left() == []
    else:
        assert pyoci.left() == [one.id]
        one.delete("--force").ok()


def test_an_agent_that_never_takes_the_listener_is_an_error(container, busy):
    container(notify(busy)).try_create().failed("connection timed out", ".linux.seccomp.listenerPath")


# ---- what is refused ----


@pytest.mark.parametrize("name", ["write", "futex"])
def test_calls_that_no_agent_can_be_asked_about(run, work, name):
    """R-273."""
    result = run(notify(work + "/none", "mkdir", name), timeout=15)
    result.failed("SCMP_ACT_NOTIFY cannot be used for the %s syscall" % name, ".linux.seccomp.syscalls[0].names[1]")


@pytest.mark.parametrize(
    "scheduler",
    [
        {"policy": "SCHED_DEADLINE", "runtime": 10**6, "deadline": 10**7, "period": 10**7},
        {"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
    ],
)
def test_scheduling_that_no_thread_inherits_is_refused(run, work, scheduler):
    run(notify(work + "/none"), {"process": {"scheduler": scheduler}}).failed(
        ".process.scheduler", "SCMP_ACT_NOTIFY"
    )


def test_a_limit_of_one_process_is_named(run, agent):
    """The thread that waits is one task more."""
    host.requires("cgroup1")
    limits = {"linux": {"resources": {"pids": {"limit": 1}}}}
    run(notify(agent().path), limits).failed(".linux.resources.pids.limit", "resource temporarily unavailable")


UNDER_A_LISTENER = """
import os, sys
from pyoci.kernel.seccomp import set_mode_filter
from pyoci.seccomp import load_filter
profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_NOTIFY"}]}
os.set_inheritable(set_mode_filter(load_filter(profile, None).bpf, 8), True)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_second_listener_is_refused_with_the_reason(run, agent):
    """The kernel takes one for a process and what it was made from."""
    wrap = [sys.executable, "-c", UNDER_A_LISTENER]
    assert run(wrap=wrap).ok()
    result = run(notify(agent().path), wrap=wrap)
    result.failed("device or resource busy", "pyoci itself runs under a filter with a listener")
