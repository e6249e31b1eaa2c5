"""Whole conversations of engines with the runtime, in their words, environments and descriptors (section Z)."""

import json
import os
import signal
import socket
import subprocess

import pytest

from . import host
from .bundles import DROP
from .host import read, until, write
from .runtime import Children

SLEEP = ["/bin/sleep", "1000"]
KEEP = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH")}
SHIM = {**KEEP, "GOMAXPROCS": "2", "LD_LIBRARY_PATH": "/nowhere/lib", "TTRPC_ADDRESS": "/run/x.ttrpc"}
CONMON = {
    **KEEP, "XDG_RUNTIME_DIR": "/run/user/0", "_OCI_SYNCPIPE": "3", "_OCI_STARTPIPE": "4",
    "_CONTAINERS_ROOTLESS_UID": "0", "_CONTAINERS_USERNS_CONFIGURED": "",
}  # fmt: skip


class Pipes:
    """0 null, 1 and 2 pipes, and a few more descriptors that the caller forgot to close."""

    def __init__(self):
        self.out = os.pipe()
        self.err = os.pipe()
        self.more = os.open("/", os.O_RDONLY)

    def arguments(self):
        return {"stdout": self.out[1], "stderr": self.err[1], "pass_fds": [self.more, self.out[0]]}

    def text(self):
        """What came, once nobody writes any more: a runtime that kept an end would make this wait for ever."""
        os.close(self.out[1])
        os.close(self.err[1])
        texts = []
        for end in (self.out[0], self.err[0]):
            data = b""
            while chunk := os.read(end, 65536):
                data += chunk
            os.close(end)
            texts.append(data.decode())
        os.close(self.more)
        return texts


@pytest.fixture
def call(pyoci):
    """call(words, globals=..., env=...) with pipes -> (status, output, errors)."""

    def go(*words, options=(), env=None, **more):
        pipes = Pipes()
        process = pyoci.spawn(*words, options=options, env=env, **pipes.arguments(), **more)
        code = process.wait().code
        out, err = pipes.text()
        return code, out, err

    return go


def document(work, **process):
    path = work + "/process.json"
    default = {"cwd": "/", "args": ["/bin/echo", "in"], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
    write(path, json.dumps({**default, **process}))
    return path


def created(one, call, options, env, *flags):
    """create, as every engine calls it; the container holds pipes of its own."""
    out = os.open(one.runtime.work + "/container.out", os.O_RDWR | os.O_CREAT)
    words = ["create", "--bundle", one.bundle.path, "--pid-file", one.pid_file, *flags, one.id]
    process = one.runtime.spawn(*words, options=options, env=env, stdout=out, stderr=out, pass_fds=[out])
    assert process.wait().code == 0, read(one.runtime.work + "/container.out")
    os.close(out)


def test_containerds_shim(container, pyoci, call, work):
    """R-297, R-298."""
    log = work + "/log.json"
    options = ["--log", log, "--log-format", "json"]
    one = container(args=SLEEP)
    created(one, call, options, SHIM)
    assert call("start", one.id, options=options, env=SHIM) == (0, "", "")
    pid_file = work + "/exec.pid"
    process = document(work, args=["/bin/sleep", "500"])
    spawned = pyoci.spawn(
        "exec", "--process", process, "--detach", "--pid-file", pid_file, one.id, options=options, env=SHIM
    )
    assert spawned.wait().code == 0
    pid = int(read(pid_file))
    _, out, _ = call("ps", "--format", "json", one.id, options=options, env=SHIM)
    assert sorted(json.loads(out)) == sorted([one.pid, pid])
    for word in ("pause", "resume"):
        assert call(word, one.id, options=options, env=SHIM) == (0, "", "")
    reader, writer = os.pipe()
    os.write(writer, json.dumps({"pids": {"limit": 44}, "devices": [{"allow": False, "access": "rwm"}]}).encode())
    os.close(writer)
    assert (
        pyoci.spawn("update", "--resources", "-", one.id, options=options, env=SHIM, stdin=reader).wait().code == 0
    )
    os.close(reader)
    os.kill(pid, signal.SIGKILL)
    assert Children.wait(pid, 5) == 137
    assert call("kill", one.id, "9", options=options, env=SHIM)[0] == 0
    one.wait()
    assert call("kill", "--all", one.id, "9", options=options, env=SHIM)[0] == 0
    assert call("delete", one.id, options=options, env=SHIM)[0] == 0
    assert call("delete", "--force", one.id, options=options, env=SHIM)[0] == 0
    assert not os.path.exists(log) or "error" not in read(log)


def test_the_shim_reads_the_last_error(container, pyoci, call, work):
    """R-297: the shim takes `msg` of the last record of level error for the reason."""
    log = work + "/log.json"
    options = ["--log", log, "--log-format", "json"]
    one = container(args=SLEEP).create().start()
    process = document(work, args=["nope"])
    flags = ["--process", process, "--detach", "--pid-file", work + "/exec.pid"]
    code, _, err = call("exec", *flags, one.id, options=options, env=SHIM)
    assert code == 255
    last = [json.loads(line) for line in read(log).splitlines()][-1]
    assert last["level"] == "error"
    assert 'exec: "nope": executable file not found in $PATH' in last["msg"]
    assert "executable file not found in $PATH" in err
    assert not os.path.exists(work + "/exec.pid")


def test_conmon(container, pyoci, call, work):
    """R-300."""
    options = ["--log-format=json", "--log", work + "/oci-log"]
    one = container(args=SLEEP)
    created(one, call, options, CONMON)
    assert call("start", one.id, env=KEEP) == (0, "", "")
    pid_file = work + "/exec.pid"
    flags = ["--pid-file", pid_file, "--process", document(work, args=["/bin/sleep", "0.1"]), "--detach"]
    assert pyoci.spawn("exec", *flags, one.id, options=options, env=CONMON).wait().code == 0
    assert Children.wait(int(read(pid_file)), 10) == 0
    assert call("kill", one.id, "9", env=KEEP)[0] == 0
    one.wait()
    assert call("delete", "--force", one.id, env=KEEP)[0] == 0


def test_conmon_with_a_terminal(container, pyoci, console, work):
    """R-300."""
    one = container(args=SLEEP).create().start()
    path, receive = console()
    process = document(work, args=["/bin/sh", "-c", "tty"], terminal=True)
    flags = ["--pid-file", work + "/exec.pid", "--process", process]
    words = ["exec", *flags, "--detach", "--tty", "--console-socket", path, one.id]
    assert pyoci.spawn(*words, options=["--log-format=json", "--log", work + "/log"], env=CONMON).wait().code == 0
    master = receive()
    data = b""
    while b"/dev/pts/" not in data:
        data += os.read(master, 4096)
    os.close(master)


def test_podman_itself(container, pyoci, call, work):
    """R-301."""
    env = {**KEEP, "XDG_RUNTIME_DIR": "/run/user/0"}
    one = container(args=SLEEP).create()
    assert call("start", one.id, env=env) == (0, "", "")
    assert json.loads(call("state", one.id, env=env)[1])["status"] == "running"
    for word in ("pause", "resume"):
        assert call(word, one.id, env=env) == (0, "", "")
    write(work + "/resources", json.dumps({"pids": {"limit": 45}}))
    assert call("update", "--resources=" + work + "/resources", one.id, env=env) == (0, "", "")
    assert call("kill", one.id, "10", env=env)[0] == 0
    assert call("kill", one.id, "9", env=env)[0] == 0
    one.wait()
    assert call("delete", "--force", one.id, env=env) == (0, "", "")
    assert "spec: 1.3.0" in call("--version", env=env, root=False)[1]


def test_podman_without_cgroups(container, pyoci, call, work):
    """R-301: --cgroup-manager disabled."""
    options = ["--log-format=json", "--log", work + "/oci-log", "--cgroup-manager", "disabled"]
    one = container({"linux": {"resources": DROP}}, args=SLEEP)
    created(one, call, options, CONMON)
    before = read("/proc/self/cgroup")
    assert read("/proc/%d/cgroup" % one.pid) == before, "it stays in the caller's"
    one.start()
    one.end()


def test_cri_o_itself(container, pyoci, call, work):
    """R-302: exec in the foreground, its output on pipes; kill with --all's short form."""
    one = container(args=SLEEP).create()
    assert call("start", one.id, env=KEEP)[0] == 0
    process = document(work, args=["/bin/sh", "-c", "echo out; echo err >&2; exit 3"])
    assert call("exec", "--process", process, one.id, env=KEEP) == (3, "out\n", "err\n")
    assert call("pause", one.id, env=KEEP)[0] == 0
    assert call("resume", one.id, env=KEEP)[0] == 0
    assert call("kill", "-a", one.id, "9", env=KEEP)[0] == 0
    one.wait()
    code, _, err = call("kill", one.id, "TERM", env=KEEP)
    assert code == 1
    assert "container not running" in err
    assert call("delete", "--force", one.id, env=KEEP)[0] == 0


def test_conmon_rs(container, pyoci, work):
    """R-303: the command itself and no --process."""
    one = container(args=SLEEP)
    words = ["create", "--bundle", one.bundle.path, "--pid-file", one.pid_file, one.id]
    pyoci(*words, env=KEEP).ok()
    pyoci("start", one.id, env=KEEP).ok()
    pid_file = work + "/exec.pid"
    process = pyoci.spawn(
        "exec", "-d", "--pid-file=" + pid_file, one.id, "/bin/sh", "-c", "echo -d is mine", env=KEEP
    )
    process.wait().ok()
    until(lambda: read(process.out_path) == "-d is mine\n")
    Children.wait(int(read(pid_file)), 5)


def test_buildah(container, pyoci, call):
    """R-304: it works in the bundle and asks for the state until it is `stopped`."""
    one = container(args=["/bin/sleep", "0.2"])
    words = ["create", "--bundle", one.bundle.path, "--pid-file", one.bundle.path + "/pid", "--no-pivot", one.id]
    pyoci.spawn(*words, env=CONMON, cwd=one.bundle.path).wait().ok()
    pid = int(read(one.bundle.path + "/pid"))
    assert call("start", one.id, env=KEEP, cwd=one.bundle.path)[0] == 0
    until(lambda: Children.collect() or json.loads(call("state", one.id, env=KEEP)[1])["status"] == "stopped")
    Children.wait(pid, 5)
    assert call("delete", one.id, env=KEEP) == (0, "", "")
    one.gone = True


def test_buildkit(container, pyoci, call, work):
    """R-305: run and exec in the foreground, NOTIFY_SOCKET not set."""
    options = ["--log", work + "/runc-log.json", "--log-format", "json"]
    one = container(args=SLEEP)
    process = pyoci.spawn("run", "--bundle", one.bundle.path, "--keep", one.id, options=options, env=KEEP)
    until(lambda: one.id in pyoci.left() and one.status() == "running")
    spec = document(work, args=["/bin/sh", "-c", "exit 4"])
    assert call("exec", "--process", spec, "--pid-file", work + "/p", one.id, options=options, env=KEEP)[0] == 4
    assert call("kill", one.id, "9", options=options, env=KEEP)[0] == 0
    assert process.wait().code == 137
    assert call("delete", one.id, options=options, env=KEEP)[0] == 0
    one.gone = True


def test_through_a_wrapper(container, pyoci, work):
    """R-299: docker's runtimeArgs are a shell script in front of the runtime."""
    script = work + "/wrapper"
    write(script, '#!/bin/sh\nexec %s --log-format json "$@"\n' % " ".join(pyoci.command))
    os.chmod(script, 0o755)
    one = container(args=["/bin/true"])
    argv = [script, "--root", pyoci.root, "run", "--bundle", one.bundle.path, one.id]
    assert subprocess.run(argv, check=False, cwd=one.bundle.path, env=KEEP).returncode == 0


def test_the_cgroup_is_there_from_create_to_delete(container, pyoci, cgroup_dir):
    """R-308: engines watch it, found through /proc/PID/cgroup."""
    one = container(args=SLEEP).create()
    place = cgroup_dir(one.pid, "memory") if not host.is_cgroup2() else host.cgroup_of(one.pid)
    assert str(one.pid) in read(place + "/cgroup.procs").split()
    one.start()
    one.end()
    assert os.path.isdir(place)
    one.delete().ok()
    assert not os.path.isdir(place)


def test_the_socket_of_a_caller_that_went_away(container, pyoci, work):
    """A console socket that nobody answers fails the call and leaves nothing."""
    path = work + "/console.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
    one = container({"process": {"terminal": True}}, args=SLEEP)
    one.try_create("--console-socket", path).failed("connection refused")
    assert pyoci.left() == []
