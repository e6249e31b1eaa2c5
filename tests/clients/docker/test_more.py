"""docker's own ways: swarm, live restore, events, and flags that only it has."""

import json
import os
import re
import time

import pytest

from tests.integration.host import until

from ..flows import inspect, on_terminal, start, status
from ..images import NAME
from ..run_cases import Case, name_of, sh

MEMORY = "/sys/fs/cgroup/memory/"
STATUS = ["cat", "/proc/self/status"]
CASES = [
    Case("oom killer off", ["--memory", "64m", "--oom-kill-disable"], ["cat", MEMORY + "memory.oom_control"],
         "oom_kill_disable 1"),
    Case("no swap", ["--memory", "64m", "--memory-swap", "64m"], ["cat", MEMORY + "memory.memsw.limit_in_bytes"],
         "^67108864$"),
    Case("swap without end", ["--memory", "64m", "--memory-swap", "-1"],
         ["cat", MEMORY + "memory.memsw.limit_in_bytes"], "^9223372036854"),
    Case("device rule", ["--device-cgroup-rule", "c 1:11 r", "--cap-add", "MKNOD"],
         sh("mknod /k c 1 11; head -c 1 /k | wc -c"), "^[01]$"),
    Case("system paths", ["--security-opt", "systempaths=unconfined"], sh("test -w /proc/sys/vm/swappiness; echo $?"),
         "^0$"),
    Case("rw bind of a file", ["--mount", "type=bind,src=/etc/hostname,dst=/h,readonly"], sh("echo x >> /h"),
         code=1, err="Read-only"),
    Case("volume without copying", ["--mount", "type=volume,dst=/data,volume-nocopy"], sh("ls /data | wc -l"), "^0$"),
    Case("anonymous volume", ["--volume", "/data"], ["cat", "/data/file"], "^from the image$"),
    Case("links of /dev", [], sh("for f in fd stdin ptmx; do readlink /dev/$f; done"), "/proc/self/fd\n/proc/self/fd/0\npts/ptmx"),
    Case("add a host", ["--add-host", "other:1.2.3.4"], ["cat", "/etc/hosts"], r"1\.2\.3\.4\s+other"),
    Case("dns", ["--dns", "1.2.3.4"], ["cat", "/etc/resolv.conf"], r"nameserver 1\.2\.3\.4"),
    Case("gateway", [], ["ip", "route"], "^default via 172"),
    Case("reaches its gateway", [], sh("ping -c 1 -W 2 $(ip route | awk '/default/ {print $3}')"), "1 packets received"),
    Case("environment from a file", ["--env-file", "/etc/os-release"], sh("echo $ID"), "^.*debian.*$"),
    Case("all capabilities", ["--cap-add", "ALL"], STATUS, r"^CapEff:\t0000000000000[0-9a-f]{3}|CapEff:\t0000"),
    Case("network capability", ["--cap-drop", "NET_RAW"], STATUS, r"^CapEff:\t00000000a80405fb$"),
    Case("cgroup of the host", ["--cgroupns", "host"], ["cat", "/proc/self/cgroup"], "pids:/docker/"),
    Case("stop timeout", ["--stop-timeout", "1"], ["echo", "fine"], "^fine$"),
    Case("log driver none", ["--log-driver", "none"], ["echo", "fine"], "^fine$"),
    Case("rlimits of every kind", ["--ulimit", "memlock=65536:65536", "--ulimit", "fsize=1000000:1000000", "--ulimit",
                                   "cpu=10:20"], sh("ulimit -l; ulimit -t"), "^64\n10$"),
    Case("large output", [], sh("head -c 3000000 /dev/zero | tr '\\0' x | wc -c; head -c 200000 /dev/zero | tr '\\0' y"),
         "^3000000\ny{200000}"),
    Case("many mounts", [word for n in range(40) for word in ("--tmpfs", "/t/%d" % n)],
         sh("grep -c ' /t/' /proc/mounts"), "^40$"),
    Case("long arguments", [], ["echo", "x" * 100000], "x{100000}"),
    Case("odd names", ["-e", "ODD=ü \t'\"$"], sh('echo "$ODD"'), "ü \t'\"\\$"),
    Case("nested directories", ["-v", "/etc/hostname:/a/b/c/d/e"], sh("test -f /a/b/c/d/e && echo fine"), "^fine$"),
    Case("a profile of ones own", ["--security-opt", "seccomp=/tmp/pyoci-clients-profile.json"], ["mkdir", "/x"],
         code=1, err="Argument list too long"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def profile():
    path = "/tmp/pyoci-clients-profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7}
    with open(path, "w") as file:
        json.dump({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}, file)
    yield
    os.unlink(path)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_run(cli, case):
    case.check(cli)


def test_oom_is_an_event(cli):
    since = str(int(time.time()))
    script = "x=$(head -c 60000000 /dev/zero | tr '\\0' a); echo no"
    start(cli, "--memory", "8m", "--memory-swap", "8m", args=sh(script))
    until(lambda: status(cli) == "exited", timeout=20)
    events = cli(
        "events", "--since", since, "--until", str(int(time.time()) + 1), "--format", "{{.Action}}"
    ).out.split()
    assert "oom" in events
    assert inspect(cli, "{{.State.OOMKilled}}") == "true"


def test_events_of_a_life(cli):
    since = str(int(time.time()))
    start(cli)
    cli("exec", "box", "true").ok()
    cli("pause", "box").ok()
    cli("unpause", "box").ok()
    cli("kill", "box").ok()
    until(lambda: status(cli) == "exited")
    events = cli("events", "--since", since, "--until", str(int(time.time()) + 1), "--format", "{{.Action}}").out
    for word in ("create", "start", "exec_start", "pause", "unpause", "kill", "die"):
        assert word in events, events


def test_a_service_of_a_swarm(cli):
    cli("swarm", "init", "--advertise-addr", "127.0.0.1").ok()
    try:
        flags = ["--detach", "--name", "many", "--replicas", "2", "--limit-memory", "64m", "--no-resolve-image"]
        cli("service", "create", *flags, NAME, "sleep", "1000").ok()

        def running():
            return cli("service", "ls", "--format", "{{.Replicas}}").out.strip()

        until(lambda: running() == "2/2", timeout=30)
        cli("service", "scale", "--detach", "many=3").ok()
        until(lambda: running() == "3/3", timeout=30)
        one = cli("ps", "--quiet", "--filter", "name=many").out.split()[0]
        assert cli("exec", one, "cat", MEMORY + "memory.limit_in_bytes").ok().out.strip() == str(64 << 20)
        cli("kill", one).ok()
        until(lambda: one not in cli("ps", "--quiet").out and running() == "3/3", timeout=30)
        cli("service", "rm", "many").ok()
        until(lambda: not cli("ps", "--quiet").out, timeout=30)
    finally:
        cli("swarm", "leave", "--force")


def test_containers_outlive_a_daemon_with_live_restore(engine, cli):
    engine.stop()
    engine.start("--live-restore")
    start(cli)
    pid = int(inspect(cli, "{{.State.Pid}}"))
    engine.stop()
    assert os.path.exists("/proc/%d" % pid)
    engine.start("--live-restore")
    assert status(cli) == "running"
    assert cli("exec", "box", "echo", "after").ok().out == "after\n"
    cli("stop", "--time", "0", "box").ok()
    assert inspect(cli, "{{.State.ExitCode}}") == "137"
    cli("rm", "box").ok()
    engine.stop()
    engine.start()


def test_a_stopped_daemon_stops_its_containers(engine, cli):
    start(cli, "--restart", "always")
    pid = int(inspect(cli, "{{.State.Pid}}"))
    engine.stop()
    until(lambda: not os.path.exists("/proc/%d" % pid))
    engine.start()
    until(lambda: status(cli) == "running")
    assert int(inspect(cli, "{{.State.Pid}}")) != pid


def test_info_names_the_runtime(cli):
    info = json.loads(cli("info", "--format", "{{json .}}").ok().out)
    assert info["DefaultRuntime"] == "tested"
    assert "tested" in info["Runtimes"]


def test_the_other_runtime_beside_it(cli):
    out = cli("run", "--rm", "--runtime", "runc", NAME, "cat", "/proc/self/status").ok().out
    assert "Seccomp:\t2" in out


def test_update_of_restart_and_pids(cli):
    start(cli)
    cli("update", "--restart", "always", "--pids-limit", "33", "box").ok()
    assert cli("exec", "box", "cat", "/sys/fs/cgroup/pids/pids.max").ok().out == "33\n"
    cli("update", "--restart", "no", "box").ok()


def test_an_impossible_update_changes_nothing(cli):
    start(cli, "--memory", "64m", "--memory-swap", "128m", "--cpu-shares", "200")
    assert cli("update", "--cpu-shares", "300", "--cpuset-cpus", "999", "box").code != 0
    assert cli("exec", "box", "cat", "/sys/fs/cgroup/cpu/cpu.shares").ok().out == "200\n"


def test_detached_from_a_terminal_it_runs_on(cli):
    words = ["run", "-it", "--name", "box", "--detach-keys", "ctrl-q", NAME, "sh", "-c", "echo up; sleep 1000"]
    on_terminal(cli, *words, send=b"\x11", after=b"up")
    assert status(cli) == "running"


def test_rename_and_ports(cli):
    start(cli, "--publish", "127.0.0.1:34567:80")
    cli("rename", "box", "renamed").ok()
    assert "34567" in cli("port", "renamed").ok().out
    cli("rm", "--force", "renamed").ok()


def test_export_and_import(cli, tmp_path):
    start(cli)
    cli("export", "--output", str(tmp_path / "x.tar"), "box").ok()
    assert os.path.getsize(tmp_path / "x.tar") > 100000


def test_many_at_once(cli):
    running = [cli.spawn("run", "--rm", NAME, "echo", str(number)) for number in range(8)]
    assert sorted(int(cli.wait(one).ok().out) for one in running) == list(range(8))


def test_a_volume_from_another_container(cli):
    start(cli, "--volume", "/shared")
    cli("exec", "box", "sh", "-c", "echo x > /shared/x").ok()
    assert cli("run", "--rm", "--volumes-from", "box", NAME, "cat", "/shared/x").ok().out == "x\n"


def test_exec_with_groups_of_the_container(cli):
    start(cli, "--user", "1000", "--group-add", "2000")
    assert re.search(r"\b2000\b", cli("exec", "box", "id", "-G").ok().out)
