"""What people do with containers that run, as docker and podman both know it.

Each function is one case and takes a `cli`; the engines' test modules run those that they can.
"""

import json
import os
import pty
import re
import select
import time

from tests.integration.host import until
from tests.integration.runtime import Children

from .images import NAME


def flow(*without):
    """Mark a case; `without` names the engines that cannot do it."""

    def mark(function):
        function.without = without
        FLOWS.append(function)
        return function

    return mark


FLOWS = []
NO_CGROUPS = ("rootless",)


def start(cli, *flags, args=("sleep", "1000"), name="box"):
    cli("run", "--detach", "--name", name, *flags, NAME, *args).ok()
    return name


def inspect(cli, template, name="box"):
    return cli("inspect", "--format", template, name).ok().out.strip()


def status(cli, name="box"):
    return inspect(cli, "{{.State.Status}}", name)


# ---- exec ----


@flow()
def exec_prints(cli):
    start(cli)
    assert cli("exec", "box", "echo", "in").ok().out == "in\n"


@flow()
def exec_gives_the_status(cli):
    start(cli)
    cli("exec", "box", "sh", "-c", "exit 9").failed(9)
    cli("exec", "box", "sh", "-c", "kill -9 $$").failed(137)


@flow()
def exec_of_a_missing_program(cli):
    start(cli)
    result = cli("exec", "box", "nope")
    assert result.code in (126, 127), repr(result)
    assert "executable file not found in" in result.text


@flow()
def exec_of_a_file_that_is_no_program(cli):
    start(cli)
    cli("exec", "box", "/etc/plain").failed(126, "permission denied")
    result = cli("exec", "box", "/bin/odd")
    assert result.code not in (0,), repr(result)
    assert cli("exec", "box", "echo", "still").ok().out == "still\n"


@flow()
def exec_reads_standard_input(cli):
    start(cli)
    assert cli("exec", "--interactive", "box", "wc", "-c", send="x" * 70000).ok().out.strip() == "70000"


@flow()
def exec_as_a_user(cli):
    start(cli)
    assert "uid=1000(alice) gid=1000(alice)" in cli("exec", "--user", "alice", "box", "id").ok().out
    assert "uid=7 gid=8" in cli("exec", "--user", "7:8", "box", "id").ok().out


@flow()
def exec_with_environment_and_directory(cli):
    start(cli, "--env", "A=1", "--workdir", "/data")
    out = cli("exec", "--env", "B=2", "--workdir", "/etc", "box", "sh", "-c", "echo $A$B; pwd").ok().out
    assert out == "12\n/etc\n"
    assert cli("exec", "box", "pwd").ok().out == "/data\n"
    assert cli("exec", "--workdir", "/nowhere", "box", "pwd").code != 0


@flow()
def exec_privileged(cli):
    start(cli)
    plain = re.search(r"CapEff:\t(\w+)", cli("exec", "box", "cat", "/proc/self/status").ok().out).group(1)
    privileged = cli("exec", "--privileged", "box", "cat", "/proc/self/status").ok().out
    full = re.search(r"CapEff:\t(\w+)", privileged).group(1)
    assert int(full, 16) > int(plain, 16)


@flow()
def exec_keeps_limits_and_filter(cli):
    start(cli, "--ulimit", "nofile=77:99", "--ulimit", "nproc=900:900", "--security-opt", "no-new-privileges")
    out = cli("exec", "box", "sh", "-c", "ulimit -Hn; cat /proc/self/status").ok().out
    assert out.startswith("99\n")
    assert "Seccomp:\t2" in out


@flow()
def exec_detached(cli):
    start(cli)
    cli("exec", "--detach", "box", "sh", "-c", "echo done > /tmp/done").ok()
    until(lambda: cli("exec", "box", "cat", "/tmp/done").out == "done\n")


@flow()
def exec_with_a_terminal(cli):
    start(cli)
    assert "/dev/pts/" in on_terminal(cli, "exec", "-it", "box", "tty")


@flow()
def many_execs_at_once(cli):
    start(cli)
    running = [cli.spawn("exec", "box", "sh", "-c", "echo %d" % number) for number in range(8)]
    assert sorted(int(cli.wait(one).ok().out) for one in running) == list(range(8))


@flow()
def exec_in_a_stopped_container(cli):
    start(cli)
    cli("kill", "box").ok()
    until(lambda: status(cli) in ("exited", "stopped"))
    assert cli("exec", "box", "true").code != 0


@flow()
def exec_sees_the_containers_processes(cli):
    start(cli)
    assert "sleep 1000" in cli("exec", "box", "ps").ok().out


# ---- terminals, attaching ----


def on_terminal(cli, *words, send=b"", after=b"", timeout=30):
    """What a command prints on a terminal of its own; `send` is typed when it has printed `after`."""
    master, slave = pty.openpty()
    process = cli.spawn(*words, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    data, end = b"", time.monotonic() + timeout
    try:
        while time.monotonic() < end:
            if send and after in data:
                for key in send:  # one by one, as people do: podman looks for its keys in reads of one byte
                    os.write(master, bytes([key]))
                    time.sleep(0.03)
                send = b""
            ended = Children.has_ended(process.pid)
            if select.select([master], [], [], 0 if ended else 0.05)[0]:
                chunk = _read(master)
                data += chunk
                if not chunk:
                    break
            elif ended:
                break
        cli.wait(process, max(1, end - time.monotonic()), data.decode(errors="replace"))
    finally:
        os.close(master)
    return data.decode(errors="replace")


def _read(master):
    try:
        return os.read(master, 65536)
    except OSError:  # nobody has the other end open
        return b""


@flow()
def run_with_a_terminal(cli):
    script = "tty; test -t 1 && echo is one; ls -l /dev/console"
    text = on_terminal(cli, "run", "--rm", "-it", NAME, "sh", "-c", script)
    assert "/dev/pts/0" in text or "/dev/console" in text
    assert "is one" in text
    assert "136," in text


@flow()
def a_terminal_takes_input(cli):
    text = on_terminal(
        cli, "run", "--rm", "-it", NAME, "sh", "-c", "echo up; read x; echo got $x", send=b"word\n", after=b"up"
    )
    assert "got word" in text


@flow()
def a_terminal_for_a_user(cli):
    text = on_terminal(cli, "run", "--rm", "-it", "--user", "1000", NAME, "sh", "-c", "echo to > /dev/tty; id -u")
    assert "to" in text
    assert "1000" in text


@flow("podman", "rootless")  # attaches only where it has something to read
def attach_gets_the_output(cli):
    start(cli, args=("sh", "-c", "sleep 1; echo late; exit 3"))
    result = cli("attach", "box")
    assert "late" in result.out
    assert result.code == 3


# ---- life ----


@flow()
def stop_asks_first(cli):
    start(cli, args=("sh", "-c", "trap 'echo asked; exit 5' TERM; echo up; while :; do sleep 0.1; done"))
    until(lambda: "up" in cli("logs", "box").out)
    cli("stop", "--time", "5", "box").ok()
    assert inspect(cli, "{{.State.ExitCode}}") == "5"
    assert "asked" in cli("logs", "box").ok().out


@flow()
def stop_kills_in_the_end(cli):
    start(cli)
    cli("stop", "--time", "1", "box").ok()
    assert inspect(cli, "{{.State.ExitCode}}") == "137"


@flow()
def kill_sends_signals(cli):
    start(cli, args=("sh", "-c", "trap 'echo usr1' USR1; echo up; while :; do sleep 0.1; done"))
    until(lambda: "up" in cli("logs", "box").out)
    cli("kill", "--signal", "USR1", "box").ok()
    until(lambda: "usr1" in cli("logs", "box").out)
    cli("kill", "box").ok()
    until(lambda: status(cli) in ("exited", "stopped"))


@flow()
def stop_signal_of_the_container(cli):
    start(cli, "--stop-signal", "INT", args=("sh", "-c", "trap 'exit 8' INT; echo up; while :; do sleep 0.1; done"))
    until(lambda: "up" in cli("logs", "box").out)
    cli("stop", "box").ok()
    assert inspect(cli, "{{.State.ExitCode}}") == "8"


@flow()
def created_then_started(cli):
    cli("create", "--name", "box", NAME, "sh", "-c", "echo once; exit 2").ok()
    assert status(cli) == "created"
    cli("start", "box").ok()
    until(lambda: status(cli) in ("exited", "stopped"))
    assert cli("logs", "box").ok().out == "once\n"


@flow()
def started_in_the_foreground(cli):
    cli("create", "--name", "box", NAME, "sh", "-c", "echo seen; exit 2").ok()
    cli("start", "--attach", "box").failed(2, "seen")


@flow()
def started_again(cli):
    start(cli, args=("sh", "-c", "echo x >> /count; cat /count"))
    until(lambda: status(cli) in ("exited", "stopped"))
    cli("start", "--attach", "box").ok()
    assert cli("logs", "box").ok().out == "x\nx\nx\n"


@flow()
def restarted(cli):
    start(cli)
    before = inspect(cli, "{{.State.Pid}}")
    cli("restart", "--time", "0", "box").ok()
    assert inspect(cli, "{{.State.Pid}}") != before
    assert status(cli) == "running"


@flow("podman", "rootless")
def restart_on_failure(cli):
    start(cli, "--restart", "on-failure:2", args=("sh", "-c", "echo try; exit 1"))
    until(lambda: cli("logs", "box").out.count("try") == 3, timeout=20)
    until(lambda: status(cli) == "exited")
    assert inspect(cli, "{{.RestartCount}}") == "2"


@flow()
def wait_gives_the_status(cli):
    start(cli, args=("sh", "-c", "sleep 0.5; exit 6"))
    assert cli("wait", "box").ok().out.strip() == "6"


@flow()
def removed_by_force(cli):
    start(cli)
    pid = int(inspect(cli, "{{.State.Pid}}"))
    cli("rm", "--force", *cli.at_once, "box").ok()
    until(lambda: not os.path.exists("/proc/%d" % pid))


@flow(*NO_CGROUPS)
def paused_and_resumed(cli):
    start(cli, args=("sh", "-c", "while :; do echo x; sleep 0.05; done"))
    until(lambda: "x" in cli("logs", "box").out)
    cli("pause", "box").ok()
    assert status(cli) == "paused"
    length = len(cli("logs", "box").out)
    time.sleep(0.3)
    assert len(cli("logs", "box").out) == length
    assert cli("exec", "box", "true").code != 0
    cli("unpause", "box").ok()
    until(lambda: len(cli("logs", "box").out) > length)


@flow(*NO_CGROUPS)
def killed_while_paused(cli):
    start(cli)
    cli("pause", "box").ok()
    cli("rm", "--force", "box").ok()


@flow()
def oom_is_noticed(cli):
    if cli.engine == "rootless":
        return
    script = "x=$(head -c 60000000 /dev/zero | tr '\\0' a); echo no"
    start(cli, "--memory", "8m", "--memory-swap", "8m", args=("sh", "-c", script))
    until(lambda: status(cli) in ("exited", "stopped"), timeout=20)
    assert inspect(cli, "{{.State.ExitCode}}") in ("137", "1")


@flow()
def shares_namespaces_of_another(cli):
    start(cli, "--ipc", "shareable", name="first")
    flags = ["--network", "container:first", "--ipc", "container:first", "--pid", "container:first"]
    out = cli("run", "--rm", *flags, NAME, "ps").ok().out
    assert "sleep 1000" in out


# ---- looking ----


@flow()
def top_lists_processes(cli):
    start(cli, args=("sh", "-c", "sleep 1000 & sleep 1000 & wait"))
    until(lambda: cli("top", "box").out.count("sleep 1000") >= 2)


@flow(*NO_CGROUPS)
def stats_are_shown(cli):
    start(cli, "--memory", "64m")
    out = cli("stats", "--no-stream", "--format", "{{.MemUsage}}|{{.PIDs}}", "box").ok().out
    assert re.search(r"(64MiB|67\.\d+MB)\|1", out), out


@flow(*NO_CGROUPS)
def limits_are_changed(cli):
    start(cli, "--memory", "64m", "--memory-swap", "128m")
    cli("update", "--memory", "80m", "--memory-swap", "160m", "--cpu-shares", "256", "box").ok()
    files = ["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/cpu/cpu.shares"]
    assert cli("exec", "box", "cat", *files).ok().out.split() == [str(80 << 20), "256"]
    cli("update", "--cpuset-cpus", "0", "box").ok()
    assert "Cpus_allowed_list:\t0\n" in cli("exec", "box", "cat", "/proc/self/status").ok().out


@flow()
def logs_keep_the_order(cli):
    start(cli, args=("sh", "-c", "for i in 1 2 3 4 5; do echo $i; done"))
    until(lambda: status(cli) in ("exited", "stopped"))
    assert cli("logs", "box").ok().out.split() == list("12345")


@flow()
def changes_are_listed(cli):
    start(cli, args=("sh", "-c", "touch /new; rm /data/file; sleep 1000"))
    until(lambda: "A /new" in cli("diff", "box").out)


# ---- files ----


@flow()
def files_are_copied(cli):
    start(cli)
    path = os.path.join(cli.folder, "given")
    with open(path, "w") as file:
        file.write("content")
    cli("cp", path, "box:/tmp/given").ok()
    assert cli("exec", "box", "cat", "/tmp/given").ok().out == "content"
    cli("cp", "box:/data/file", path).ok()
    with open(path) as file:
        assert file.read() == "from the image\n"


def shared_folder(cli):
    path = os.path.join(cli.folder, "shared")
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o777)
    return path


@flow()
def bind_mounts(cli):
    path = shared_folder(cli)
    cli("run", "--rm", "--volume", path + ":/v", NAME, "sh", "-c", "echo inside > /v/x").ok()
    with open(path + "/x") as file:
        assert file.read() == "inside\n"
    cli("run", "--rm", "--volume", path + ":/v:ro", NAME, "touch", "/v/y").failed(1, "Read-only")
    assert cli("run", "--rm", "--mount", "type=bind,src=%s,dst=/v/x" % (path + "/x"), NAME, "cat", "/v/x").ok().out
    cli("run", "--rm", "--volume", path + "/x:/etc", NAME, "true").failed(cli.mount_failure, "not a directory")


@flow()
def propagation_of_binds(cli):
    path = shared_folder(cli)
    for word in ("rslave", "rprivate", "private", "slave"):
        show = ["grep", " /v ", "/proc/self/mountinfo"]
        out = cli("run", "--rm", "-v", "%s:/v:%s" % (path, word), NAME, *show).ok().out
        assert ("master:" in out) == ("slave" in word) or "slave" in word, (word, out)


@flow()
def named_volumes(cli):
    cli("volume", "create", "vol").ok()
    cli("run", "--rm", "-v", "vol:/v", NAME, "sh", "-c", "echo kept > /v/x").ok()
    assert cli("run", "--rm", "-v", "vol:/v", NAME, "cat", "/v/x").ok().out == "kept\n"
    cli("run", "--rm", "-v", "copied:/data", NAME, "cat", "/data/file").ok()
    cli("volume", "rm", "vol", "copied").ok()


@flow()
def tmpfs_mounts(cli):
    mount = ["--mount", "type=tmpfs,dst=/t,tmpfs-size=1m"]
    assert "tmpfs" in cli("run", "--rm", *mount, NAME, "grep", " /t ", "/proc/mounts").ok().out


# ---- images ----


@flow()
def an_image_is_built(cli):
    folder = os.path.join(cli.folder, "build")
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/Dockerfile", "w") as file:
        file.write(
            "FROM %s\nRUN echo built > /built && id -u > /who\nUSER alice\nRUN id -u >> /tmp/who\n"
            "WORKDIR /made\nENV X=y\nCMD cat /built /who /tmp/who\n" % NAME
        )
    cli("build", *cli.build_flags, "--tag", "built:1", folder).ok()
    assert cli("run", "--rm", "built:1").ok().out.split() == ["built", "0", "1000"]
    with open(folder + "/Dockerfile", "w") as file:
        file.write("FROM %s\nRUN exit 3\n" % NAME)
    result = cli("build", *cli.build_flags, folder)
    assert result.code != 0
    cli("rmi", "--force", "built:1").ok()


@flow()
def a_container_is_committed(cli):
    start(cli)
    cli("exec", "box", "sh", "-c", "echo y > /y").ok()
    cli("commit", "box", "committed:1").ok()
    assert cli("run", "--rm", "committed:1", "cat", "/y").ok().out == "y\n"
    cli("rmi", "--force", "committed:1").ok()


@flow()
def health_is_checked(cli):
    start(cli, "--health-cmd", "test -e /healthy", "--health-interval", "1s", "--health-retries", "1")
    if cli.engine == "docker":
        until(lambda: inspect(cli, "{{.State.Health.Status}}") == "unhealthy", timeout=20)
        cli("exec", "box", "touch", "/healthy").ok()
        until(lambda: inspect(cli, "{{.State.Health.Status}}") == "healthy", timeout=20)
    else:
        assert cli("healthcheck", "run", "box").code == 1
        cli("exec", "box", "touch", "/healthy").ok()
        cli("healthcheck", "run", "box").ok()


@flow()
def state_is_told(cli):
    start(cli)
    document = json.loads(cli("inspect", "box").ok().out)[0]
    assert document["State"]["Running"] is True
    assert os.path.exists("/proc/%d" % document["State"]["Pid"])


def flows(engine):
    """Those that `engine` can do."""
    return [function for function in FLOWS if engine not in function.without]
