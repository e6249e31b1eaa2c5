"""What podman alone does: the life of containers, pods, Kubernetes files, and what conmon and the runtime say.

Each function is one case and takes a `cli`; see flows.py.  podman_files.py and podman_rights.py hold the rest.
"""

import json
import os
import re
import signal

import pytest

from tests.integration.host import read, until

from .flows import inspect, on_terminal, start, status
from .images import NAME


def collector():
    """(list, decorator): a case names the engines that cannot do it."""
    found = []

    def case(*without):
        def mark(function):
            function.without = without
            found.append(function)
            return function

        return mark

    return found, case


LIFE, case = collector()
NO_CGROUPS = ("rootless",)  # an ordinary user has none on a version 1 host
ONCE = ("rootless",)  # nothing in it depends on who runs podman


def run(cli, *words, **more):
    """The output of a container that must succeed."""
    return cli("run", "--rm", *words, **more).ok().out


def by_name(cli):
    """The same engine, finding the runtime as administrators set it up: by name, which may report in JSON."""
    one = type(cli)(cli.prefix, cli.folder, cli.environment)
    one.count = cli.count + 1000
    place = one.prefix.index("--runtime")
    one.prefix[place + 1] = "tested"
    return one


def wrapped(cli, script):
    """The same engine, started by a shell script."""
    one = type(cli)(["sh", "-c", script, "sh", *cli.prefix], cli.folder, cli.environment)
    one.count = cli.count + 2000
    return one


def ended(cli, name="box"):
    until(lambda: status(cli, name) == "exited", timeout=20)
    return inspect(cli, "{{.State.ExitCode}}", name)


# ---- life ----


@case()
def initialized_then_started(cli):
    cli("create", "--name", "box", NAME, "sh", "-c", "echo once > /data/x; sleep 1000").ok()
    cli("init", "box").ok()
    assert status(cli) == "initialized"
    pid = inspect(cli, "{{.State.Pid}}")
    cli("start", "box").ok()
    assert inspect(cli, "{{.State.Pid}}") == pid
    until(lambda: cli("exec", "box", "cat", "/data/x").out == "once\n")


@case(*ONCE)
def removed_before_it_was_started(cli):
    cli("create", "--name", "box", NAME, "true").ok()
    cli("init", "box").ok()
    pid = int(inspect(cli, "{{.State.Pid}}"))
    cli("rm", "--force", "--time", "0", "box").ok()
    until(lambda: not os.path.exists("/proc/%d" % pid))


@case(*ONCE)
def restarted_after_failures(cli):
    start(cli, "--restart", "on-failure:2", args=("sh", "-c", "echo try; exit 1"))
    until(lambda: inspect(cli, "{{.RestartCount}} {{.State.Status}}") == "2 exited", timeout=30)
    assert cli("logs", "box").ok().out == "try\n" * 3


@case(*ONCE)
def ended_when_its_time_is_up(cli):
    start(cli, "--timeout", "1")
    assert ended(cli) == "-1"  # conmon's word for it


@case(*ONCE)
def killed_from_outside(cli):
    start(cli)
    os.kill(int(inspect(cli, "{{.State.Pid}}")), signal.SIGKILL)
    assert cli("wait", "box").ok().out == "137\n"


@case(*ONCE)
def stop_signals_by_number_and_name(cli):
    script = "trap 'exit 4' 37; trap 'exit 5' HUP; echo up; while :; do sleep 0.1; done"
    for flag, code in (("SIGHUP", "5"), ("37", "4")):
        start(cli, "--stop-signal", flag, args=("sh", "-c", script))
        until(lambda: "up" in cli("logs", "box").out)
        cli("stop", "box").ok()
        assert ended(cli) == code
        cli("rm", "box").ok()


@case()
def many_at_once(cli):
    running = [cli.spawn("run", "--rm", NAME, "sh", "-c", "echo %d" % number) for number in range(6)]
    assert sorted(int(cli.wait(one).ok().out) for one in running) == list(range(6))


@case(*NO_CGROUPS)
def paused_with_all_its_processes(cli):
    start(cli, args=("sh", "-c", "(while :; do echo $((n += 1)) > /data/n; done) & sleep 1000"))
    cli("pause", "--all").ok()
    assert status(cli) == "paused"
    path = cli("mount", "box").ok().out.strip() + "/data/n"
    first = read(path)
    cli("exec", "box", "true").failed(255, "container state improper")
    assert read(path) == first
    cli("unpause", "--all").ok()
    until(lambda: read(path) != first)


@case(*NO_CGROUPS)
def stopped_while_paused(cli):
    start(cli)
    cli("pause", "box").ok()
    result = cli("stop", "--time", "1", "box")
    assert result.code == 0 or "paused" in result.err
    cli("rm", "--force", "--time", "0", "box").ok()


@case(*NO_CGROUPS)
def committed_while_paused(cli):
    start(cli)
    cli("commit", "--pause", "box", "paused:1").ok()
    assert status(cli) == "running"
    assert run(cli, "paused:1", "echo", "fine") == "fine\n"
    cli("rmi", "paused:1").ok()


@case(*NO_CGROUPS)
def updated_by_every_flag(cli):
    start(cli, "--memory", "64m")
    cli("update", "--cpus", "0.5", "--cpuset-cpus", "0", "--memory-reservation", "32m", "box").ok()
    names = ("cpu/cpu.cfs_quota_us", "cpuset/cpuset.cpus", "memory/memory.soft_limit_in_bytes")
    files = ["/sys/fs/cgroup/" + name for name in names]
    assert cli("exec", "box", "cat", *files).ok().out.split() == ["50000", "0", str(32 << 20)]
    cli("update", "--cpu-quota", "30000", "--cpu-period", "60000", "--memory", "128m", "box").ok()
    assert cli("exec", "box", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes").ok().out == "134217728\n"


# ---- monitors, logs, what is told ----


@case(*ONCE)
def runtime_is_known(cli):
    first = cli("info", "--format", "{{.Host.OCIRuntime.Version}}").ok().out.splitlines()[0]
    assert re.match(r"\w+ version \d", first), first


@case()
def errors_pass_as_json(cli):
    named = by_name(cli)
    named("run", "--rm", NAME, "nope").failed(127, "executable file not found")
    named("run", "--rm", NAME, "/etc/plain").failed(126, "permission denied")
    start(named)
    assert named("exec", "box", "nope").code in (126, 127)
    named("exec", "--workdir", "/nowhere", "box", "true").failed(127, "no such file or directory")
    assert named("exec", "box", "echo", "fine").ok().out == "fine\n"


@case(*ONCE)
def flags_reach_the_runtime(cli):
    path = cli.folder + "/runtime.log"
    cli("--runtime-flag", "debug", "--runtime-flag", "log=" + path, "run", "--rm", NAME, "true").ok()
    assert os.path.exists(path)


@case(*ONCE)
def attached_later(cli):
    start(cli, args=("sh", "-c", "while :; do echo tick; sleep 0.1; done"))
    process = cli.spawn("attach", "--no-stdin", "--sig-proxy=false", "box")
    until(lambda: read(process.paths[0]).count("tick") > 1)
    cli("kill", "box").ok()
    cli.wait(process)  # its status is 0 or 137


@case(*ONCE)
def detached_by_keys(cli):
    start(cli, "-it", args=("sh", "-c", "while :; do echo tick; sleep 0.1; done"))
    on_terminal(cli, "attach", "box", send=b"\x10\x11", after=b"tick")
    assert status(cli) == "running"


@case(*ONCE)
def terminals_are_resized(cli):
    start(cli, "-it", args=("sh",))
    script = "stty cols 91 rows 17 < /dev/console; stty size < /dev/console"
    assert cli("exec", "box", "sh", "-c", script).ok().out == "17 91\n"


@case()
def descriptors_are_kept(cli):
    for number in (3, 4):
        with open("%s/%d" % (cli.folder, number), "w") as file:
            file.write("through %d\n" % number)
    one = wrapped(cli, 'exec "$@" 3< %s/3 4< %s/4' % (cli.folder, cli.folder))
    script = "cat <&3; cat <&4; ls /proc/self/fd"
    out = run(one, "--preserve-fds", "2", NAME, "sh", "-c", script)
    assert out.startswith("through 3\nthrough 4\n0\n1\n2\n3\n4\n"), out
    start(cli)
    assert "through 4\n" in one("exec", "--preserve-fds", "2", "box", "sh", "-c", script).ok().out


@case()
def sockets_of_a_service_are_passed(cli):
    with open(cli.folder + "/3", "w") as file:
        file.write("spoken\n")
    one = wrapped(cli, 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3< %s/3' % cli.folder)
    assert run(one, NAME, "sh", "-c", "echo $LISTEN_FDS $LISTEN_PID; cat <&3") == "1 1\nspoken\n"


@case(*ONCE)
def unhealthy_and_so_killed(cli):
    start(cli, "--health-cmd", "test -e /ok", "--health-retries", "1", "--health-on-failure", "kill")
    cli("healthcheck", "run", "box").failed(1)
    assert ended(cli) == "137"


@case(*ONCE)
def exec_sessions_end_with_their_status(cli):
    start(cli)
    path = cli.folder + "/env"
    with open(path, "w") as file:
        file.write("FROM_FILE=yes\n")
    assert cli("exec", "--env-file", path, "box", "sh", "-c", "echo $FROM_FILE").ok().out == "yes\n"
    process = cli.spawn("exec", "box", "sh", "-c", "echo up; exec sleep 1000")
    until(lambda: read(process.paths[0]) == "up\n")
    cli("kill", "box").ok()
    assert cli.wait(process).code == 137


@case()
def exec_leaves_a_process_behind(cli):
    start(cli)
    assert cli("exec", "box", "sh", "-c", "setsid sleep 999 > /dev/null 2>&1 & echo on").ok().out == "on\n"
    assert "sleep 999" in cli("exec", "box", "ps").ok().out


@case()
def exec_on_a_terminal_for_a_user(cli):
    start(cli)
    script = "id -un; stty size; read x; echo got $x"
    text = on_terminal(
        cli, "exec", "-it", "--user", "alice", "box", "sh", "-c", script, send=b"word\n", after=b"alice"
    )
    assert "alice" in text
    assert "got word" in text


# ---- pods ----


def pod(cli, *flags, name="pod"):
    infra = ["--infra-image", NAME, "--infra-command", "sleep 1000", "--network", "none"]
    return cli("pod", "create", "--name", name, *infra, *flags)


@case()
def pods_share_namespaces(cli):
    pod(cli, "--share", "net,ipc,uts,pid", "--hostname", "of-the-pod").ok()
    start(cli, "--pod", "pod", args=("sleep", "999"))
    links = "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc"
    out = run(cli, "--pod", "pod", NAME, "sh", "-c", "hostname; ps; " + links)
    assert out.startswith("of-the-pod\n")
    assert "sleep 999" in out
    assert "sleep 1000" in out  # the infra container's
    assert out.endswith(cli("exec", "box", "sh", "-c", links).ok().out)


@case(*ONCE)
def pods_speak_over_loopback(cli):
    pod(cli).ok()
    start(cli, "--pod", "pod", args=("sh", "-c", "while :; do echo hello | nc -l -p 8000; done"))
    until(lambda: "hello" in cli("run", "--rm", "--pod", "pod", NAME, "nc", "-w", "1", "127.0.0.1", "8000").out)


@case(*ONCE)
def pods_are_stopped_and_started(cli):
    pod(cli).ok()
    start(cli, "--pod", "pod", args=("sleep", "999"))
    pid = inspect(cli, "{{.State.Pid}}")
    for words, state in ((("stop", "--time", "0"), "exited"), (("start",), "running"), (("kill",), "exited")):
        cli("pod", *words, "pod").ok()
        until(lambda state=state: status(cli) == state)
    cli("pod", "start", "pod").ok()
    assert inspect(cli, "{{.State.Pid}}") != pid
    cli("pod", "rm", "--force", "--time", "0", "pod").ok()
    assert cli("ps", "--all", "--quiet").ok().out == ""


@case(*NO_CGROUPS)
def pods_are_paused(cli):
    pod(cli).ok()
    start(cli, "--pod", "pod")
    cli("pod", "pause", "pod").ok()
    assert status(cli) == "paused"
    cli("pod", "unpause", "pod").ok()
    assert status(cli) == "running"
    assert re.search(r"box +\d", cli("pod", "stats", "--no-stream", "pod").ok().out)
    assert "sleep 1000" in cli("pod", "top", "pod").ok().out


@case(*NO_CGROUPS)
def pods_have_a_cgroup(cli):
    pod(cli).ok()
    start(cli, "--pod", "pod", "--memory", "64m")
    path = cli("pod", "inspect", "--format", "{{.CgroupPath}}", "pod").ok().out.strip()
    assert ":pids:%s/" % path in read("/proc/%s/cgroup" % inspect(cli, "{{.State.Pid}}"))


KUBE = """
apiVersion: v1
kind: Pod
metadata: {name: kube}
spec:
  restartPolicy: Never
  hostNetwork: false
  containers:
  - name: one
    image: %s
    command: [sh, -c, "echo one $X; cat /configured/key; sleep 1000"]
    env: [{name: X, value: "y"}]
    securityContext: {runAsUser: 1000, capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true}
    resources: {limits: {memory: 64Mi, cpu: 500m}}
    volumeMounts: [{name: v, mountPath: /configured}, {name: e, mountPath: /e}]
  - name: two
    image: %s
    command: [sleep, "1000"]
  volumes:
  - {name: v, configMap: {name: map}}
  - {name: e, emptyDir: {}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: map}
data: {key: "value"}
"""


@case(*ONCE)
def kubernetes_files_are_played(cli):
    path = cli.folder + "/kube.yaml"
    with open(path, "w") as file:
        file.write(KUBE % (NAME, NAME))
    cli("play", "kube", "--network", "none", path).ok()
    until(lambda: cli("logs", "kube-one").out == "one y\nvalue")
    out = cli("exec", "kube-one", "sh", "-c", "id -u; grep CapBnd /proc/self/status; touch /x").text
    assert out.startswith("1000\nCapBnd:\t0000000000000000\n")
    assert "Read-only file system" in out
    limit = cli("exec", "kube-one", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes").ok().out
    assert limit == "67108864\n"
    cli("play", "kube", "--down", path).ok()
    assert cli("ps", "--all", "--quiet").ok().out == ""
    cli("volume", "rm", "--force", "--all")


# ---- cgroups ----


@case(*NO_CGROUPS)
def monitor_without_a_cgroup(cli):
    assert run(cli, "--cgroups", "no-conmon", NAME, "echo", "fine") == "fine\n"


@case("podman")  # it lets root's containers deny devices, which takes a cgroup: docs/adr/0012
def without_any_cgroup(cli):
    if "runc" in cli("info", "--format", "{{.Host.OCIRuntime.Version}}").ok().out:
        pytest.skip("runc cannot do without")
    out = run(by_name(cli), "--cgroups", "disabled", NAME, "cat", "/proc/self/cgroup")
    own = {line.split(":")[1]: line.split(":")[2] for line in read("/proc/self/cgroup").splitlines()}
    assert ":pids:%s\n" % own["pids"] in out or ":pids:/\n" in out


@case(*NO_CGROUPS)
def statistics_as_json(cli):
    start(cli, "--memory", "64m")
    one = json.loads(cli("stats", "--no-stream", "--format", "json", "box").ok().out)[0]
    assert one["pids"] == "1"
    assert one["mem_usage"].endswith("/ 67.11MB")
