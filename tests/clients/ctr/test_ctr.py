"""containerd driven by ctr."""

import json
import os
import re
import shutil
import time

import pytest

from tests.integration.bundles import default_config
from tests.integration.host import until

from ..flows import on_terminal
from ..images import NAME

STATUS = ["cat", "/proc/self/status"]


def sh(script):
    return ["sh", "-c", script]


# name, flags, arguments, pattern of the output, status
RUNS = [
    ("prints", [], ["echo", "hello"], "^hello$", 0),
    ("status", [], sh("exit 7"), "", 7),
    ("killed child", [], sh("sh -c 'kill -9 $$'; exit $?"), "", 137),
    ("environment", ["--env", "A=b"], sh("echo $A"), "^b$", 0),
    ("directory", ["--cwd", "/data"], ["pwd"], "^/data$", 0),
    ("read-only", ["--read-only"], sh("touch /x || echo refused"), "^refused$", 0),
    (
        "mount",
        ["--mount", "type=tmpfs,src=tmpfs,dst=/t,options=size=1m"],
        sh("grep ' /t ' /proc/mounts"),
        "1024k",
        0,
    ),
    (
        "bind",
        ["--mount", "type=bind,src=/etc,dst=/mnt,options=rbind:ro"],
        sh("test -e /mnt/passwd; echo $?"),
        "^0$",
        0,
    ),
    ("host network", ["--net-host"], ["cat", "/proc/self/mountinfo"], "/etc/resolv.conf|/etc/hosts", 0),
    ("capabilities", [], STATUS, r"CapEff:\t00000000a80425fb", 0),
    ("added capability", ["--cap-add", "CAP_SYS_PTRACE"], STATUS, r"CapEff:\t00000000a80c25fb", 0),
    ("dropped capability", ["--cap-drop", "CAP_KILL"], STATUS, r"CapEff:\t00000000a80425db", 0),
    ("no new privileges", [], STATUS, r"NoNewPrivs:\t1", 0),
    ("new privileges", ["--allow-new-privs"], STATUS, r"NoNewPrivs:\t0", 0),
    ("seccomp", ["--seccomp"], STATUS, r"Seccomp:\t2", 0),
    ("memory", ["--memory-limit", "67108864"], sh("cat /proc/self/cgroup"), r"memory:", 0),
    ("cpus", ["--cpus", "0.5"], ["echo", "fine"], "fine", 0),
    ("cpu quota", ["--cpu-quota", "20000", "--cpu-period", "50000"], ["echo", "fine"], "fine", 0),
    ("cgroup", ["--cgroup", "/pyoci-clients/x"], ["cat", "/proc/self/cgroup"], "pids:/pyoci-clients/x$", 0),
    ("device", ["--device", "/dev/kmsg"], sh("ls -l /dev/kmsg"), "1, *11", 0),
    ("oom score", [], ["cat", "/proc/self/oom_score_adj"], r"^\d+$", 0),
    ("limits", [], sh("ulimit -n"), r"^1024$", 0),
    ("script", [], ["script", "a"], "^script a$", 0),
    ("annotation", ["--annotation", "org.example.a=b"], ["echo", "fine"], "fine", 0),
    ("label", ["--label", "a=b"], ["echo", "fine"], "fine", 0),
    ("no pivot", ["--no-pivot"], ["echo", "fine"], "fine", 0),
    ("pid file", ["--pid-file", "/tmp/pyoci-clients.pid"], ["echo", "fine"], "fine", 0),
]


@pytest.mark.parametrize(
    ("flags", "args", "pattern", "code"), [row[1:] for row in RUNS], ids=[row[0] for row in RUNS]
)
def test_run(run, flags, args, pattern, code):
    result = run(["--rm", *flags], args)
    assert result.code == code, repr(result)
    assert re.search(pattern, result.out, re.MULTILINE), "no %r in %r" % (pattern, result)
    if os.path.exists("/tmp/pyoci-clients.pid"):
        os.unlink("/tmp/pyoci-clients.pid")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nope"], "executable file not found in $PATH"),
        (["/no/such"], "no such file or directory"),
        (["/etc/plain"], "permission denied"),
    ],
)
def test_programs_that_cannot_start(run, args, words):
    result = run(["--rm"], args)
    assert result.code != 0
    assert words in result.err, repr(result)


def test_privileged(run):
    result = run(["--rm", "--privileged"], sh("mount -t tmpfs x /mnt && echo done"))
    assert "done" in result.out, repr(result)


def test_a_terminal(cli, runtime):
    fixed = ["run", "--rm", "--tty", "--runc-binary", runtime, "--snapshotter", "native", NAME, "box"]
    text = on_terminal(cli, *fixed, "sh", "-c", "tty; stty size")
    assert "/dev/pts/0" in text or "/dev/console" in text, text


@pytest.fixture
def running(cli, run):
    run(["--detach"], ["sleep", "1000"]).ok()
    return cli


def pid_of(cli, name="box"):
    for line in cli("tasks", "ls").ok().out.splitlines()[1:]:
        if line.split()[0] == name:
            return int(line.split()[1])
    return 0


def state_of(cli, name="box"):
    for line in cli("tasks", "ls").ok().out.splitlines()[1:]:
        if line.split()[0] == name:
            return line.split()[2]
    return ""


def test_exec(running):
    result = running("tasks", "exec", "--exec-id", "e1", "box", "sh", "-c", "id -u; cat /proc/1/cmdline; exit 4")
    assert result.code == 4, repr(result)
    assert result.out.startswith("0\nsleep\0001000")


def test_exec_as_a_user_in_a_directory(running):
    flags = ["--exec-id", "e1", "--user", "1000", "--cwd", "/data"]
    result = running("tasks", "exec", *flags, "box", "sh", "-c", "id -u; pwd").ok()
    assert result.out == "1000\n/data\n"


def test_exec_of_a_missing_program(running):
    result = running("tasks", "exec", "--exec-id", "e1", "box", "nope")
    assert result.code != 0
    assert "executable file not found in $PATH" in result.err
    assert running("tasks", "exec", "--exec-id", "e2", "box", "echo", "on").ok().out == "on\n"


def test_exec_detached(running):
    running("tasks", "exec", "--detach", "--exec-id", "e1", "box", "sh", "-c", "echo x > /tmp/x").ok()
    until(
        lambda: (
            running("tasks", "exec", "--exec-id", "e%d" % time.monotonic_ns(), "box", "cat", "/tmp/x").out == "x\n"
        )
    )


def test_exec_on_a_terminal(running):
    text = on_terminal(running, "tasks", "exec", "--tty", "--exec-id", "e1", "box", "tty")
    assert "/dev/pts/" in text, text


def test_exec_reads_to_the_end(running):
    assert (
        running("tasks", "exec", "--exec-id", "e1", "box", "wc", "-c", send="x" * 5000).ok().out.strip() == "5000"
    )


def test_many_execs_at_once(running):
    started = [running.spawn("tasks", "exec", "--exec-id", "e%d" % n, "box", "echo", str(n)) for n in range(6)]
    assert sorted(running.wait(one).ok().out.strip() for one in started) == [str(n) for n in range(6)]


def test_paused_and_resumed(running):
    running("tasks", "pause", "box").ok()
    assert state_of(running) == "PAUSED"
    assert running("tasks", "exec", "--exec-id", "e1", "box", "true").code != 0
    running("tasks", "resume", "box").ok()
    assert state_of(running) == "RUNNING"


def test_killed_while_paused(running):
    running("tasks", "pause", "box").ok()
    running("tasks", "kill", "--signal", "SIGKILL", "box").ok()
    until(lambda: state_of(running) == "STOPPED")


def test_processes_are_listed(running):
    out = running("tasks", "ps", "box").ok().out
    assert str(pid_of(running)) in out


def test_metrics(running):
    out = running("tasks", "metrics", "box").ok().out
    assert "memory.usage_in_bytes" in out or "memory.usage" in out, out


def test_signals(cli, run):
    run(["--detach"], sh("trap 'exit 9' USR1; echo up > /tmp/up; while :; do sleep 0.1; done")).ok()
    until(
        lambda: (
            cli("tasks", "exec", "--exec-id", "e%d" % time.monotonic_ns(), "box", "cat", "/tmp/up").out == "up\n"
        )
    )
    cli("tasks", "kill", "--signal", "SIGUSR1", "box").ok()
    until(lambda: state_of(cli) == "STOPPED")
    assert "exit code 9" in cli("tasks", "rm", "box").err


def test_killed_all(cli, run):
    run(["--detach"], sh("sleep 1000 & sleep 1000 & wait")).ok()
    pid = pid_of(cli)
    cli("tasks", "kill", "--all", "--signal", "SIGKILL", "box").ok()
    until(lambda: not os.path.exists("/proc/%d" % pid))


def test_removed_by_force(running):
    pid = pid_of(running)
    running("tasks", "rm", "--force", "box")
    until(lambda: not os.path.exists("/proc/%d" % pid))


def test_another_container_in_its_namespaces(running, run):
    pid = pid_of(running)
    flags = ["--with-ns", "network:/proc/%d/ns/net" % pid, "--with-ns", "ipc:/proc/%d/ns/ipc" % pid]
    result = run(["--rm", *flags], ["readlink", "/proc/self/ns/net"], name="other").ok()
    assert result.out.strip() == os.readlink("/proc/%d/ns/net" % pid)


def test_a_root_filesystem_of_ones_own(cli, runtime, tmp_path):
    rootfs = tmp_path / "rootfs" / "bin"
    rootfs.mkdir(parents=True)
    shutil.copy("/bin/busybox", rootfs / "busybox")
    flags = [
        "run",
        "--rm",
        "--runc-binary",
        runtime,
        "--rootfs",
        str(rootfs.parent),
        "box",
        "/bin/busybox",
        "echo",
        "own",
    ]
    assert cli(*flags).ok().out == "own\n"


def test_a_configuration_of_ones_own(cli, runtime, tmp_path):
    rootfs = tmp_path / "rootfs" / "bin"
    rootfs.mkdir(parents=True)
    shutil.copy("/bin/busybox", rootfs / "busybox")
    config = default_config(["/bin/busybox", "hostname"])
    config["root"] = {"path": str(rootfs.parent)}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    result = cli("run", "--rm", "--runc-binary", runtime, "--config", str(path), "box")
    assert result.ok().out.strip() == config["hostname"]


def test_oom_is_noticed(cli, run):
    script = "x=$(head -c 60000000 /dev/zero | tr '\\0' a); echo no"
    result = run(["--rm", "--memory-limit", str(8 << 20)], sh(script))
    assert result.code in (137, 1, 2), repr(result)
    assert "no" not in result.out
