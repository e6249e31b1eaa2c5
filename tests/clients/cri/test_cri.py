"""Kubernetes' container runtime interface, over containerd's CRI plugin."""

import os
import re
import time

import pytest

from tests.integration.host import until

CREATED, RUNNING, EXITED = 0, 1, 2
STATUS = ["cat", "/proc/self/status"]
SLEEP = ["sleep", "1000"]


def sh(script):
    return ["sh", "-c", script]


def status(client, container):
    return {"state": 0, "exit_code": 0, **client.ContainerStatus(container_id=container)["status"]}


def ended(client, container, timeout=15):
    until(lambda: status(client, container)["state"] == EXITED, timeout=timeout)
    return status(client, container)


def execute(client, container, args, timeout=20):
    answer = client.ExecSync(container_id=container, cmd=args, timeout=timeout)
    return answer.get("exit_code", 0), answer.get("stdout", ""), answer.get("stderr", "")


def test_the_service_is_ready(client):
    conditions = {one["type"]: one.get("status", 0) for one in client.Status()["status"]["conditions"]}
    assert conditions["RuntimeReady"] == 1


CONTEXTS = [
    ("defaults", {}, STATUS, r"CapEff:\t00000000a80425fb"),
    ("added capability", {"capabilities": {"add_capabilities": ["SYS_PTRACE"]}}, STATUS, r"CapEff:\t0{8}a80c25fb"),
    ("all capabilities dropped", {"capabilities": {"drop_capabilities": ["ALL"]}}, STATUS, r"CapEff:\t0{16}"),
    ("one kept", {"capabilities": {"drop_capabilities": ["ALL"], "add_capabilities": ["KILL"]}}, STATUS,
     r"CapBnd:\t0000000000000020"),
    ("user", {"run_as_user": {"value": 1000}}, ["id"], r"uid=1000\(alice\)"),
    ("user and group", {"run_as_user": {"value": 1000}, "run_as_group": {"value": 100}}, ["id"], "gid=100"),
    ("user by name", {"run_as_username": "bob"}, ["id", "-u"], "1001"),
    ("groups", {"run_as_user": {"value": 7}, "supplemental_groups": [2000, 2001]}, ["id", "-G"], "2000 2001"),
    ("read-only root", {"readonly_rootfs": 1}, sh("touch /x || echo refused"), "refused"),
    ("no new privileges", {"no_new_privs": 1}, STATUS, r"NoNewPrivs:\t1"),
    ("new privileges", {}, STATUS, r"NoNewPrivs:\t0"),
    ("seccomp: default", {"seccomp": {"profile_type": 0}}, STATUS, r"Seccomp:\t2"),
    ("seccomp: unconfined", {"seccomp": {"profile_type": 1}}, STATUS, r"Seccomp:\t0"),
    ("masked paths", {"masked_paths": ["/data"]}, sh("ls /data | wc -l"), "^0"),
    ("read-only paths", {"readonly_paths": ["/data"]}, sh("touch /data/x || echo refused"), "refused"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("context", "args", "pattern"), [row[1:] for row in CONTEXTS], ids=[row[0] for row in CONTEXTS]
)
def test_security_context(client, pod, context, args, pattern):
    one = pod()
    container = one.start(args, context=dict(context))
    assert ended(client, container)["exit_code"] == 0
    assert re.search(pattern, one.log(), re.MULTILINE), one.log()


def test_privileged(client, pod):
    one = pod(security_context={"privileged": 1, "namespace_options": {"network": 2}})
    container = one.start(sh("mount -t tmpfs x /mnt && ls /dev/kmsg"), context={"privileged": 1})
    assert ended(client, container)["exit_code"] == 0, one.log()


RESOURCES = [
    ("memory", {"memory_limit": 64 << 20}, "memory", "memory.limit_in_bytes", str(64 << 20)),
    ("shares", {"cpu_shares": 300}, "cpu", "cpu.shares", "300"),
    ("quota", {"cpu_quota": 20000, "cpu_period": 50000}, "cpu", "cpu.cfs_quota_us", "20000"),
    ("cpuset", {"cpuset_cpus": "0"}, "cpuset", "cpuset.cpus", "0"),
]


@pytest.mark.parametrize(
    ("resources", "controller", "file", "text"), [row[1:] for row in RESOURCES], ids=[row[0] for row in RESOURCES]
)
def test_resources(client, pod, resources, controller, file, text):
    one = pod()
    container = one.start(SLEEP, resources=resources)
    path = "/sys/fs/cgroup/%s/%s" % (controller, file)
    assert execute(client, container, ["cat", path])[1].strip() == text


def test_resources_are_updated(client, pod):
    one = pod()
    container = one.start(SLEEP, resources={"memory_limit": 64 << 20, "cpu_shares": 100})
    client.UpdateContainerResources(container_id=container, linux={"memory_limit": 80 << 20, "cpu_shares": 200})
    files = ["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/cpu/cpu.shares"]
    assert execute(client, container, ["cat", *files])[1].split() == [str(80 << 20), "200"]


def test_oom_score(client, pod):
    one = pod()
    container = one.start(["cat", "/proc/self/oom_score_adj"], resources={"oom_score_adj": 700})
    ended(client, container)
    assert one.log().strip() == "700"


def test_oom_is_noticed(client, pod):
    script = "x=$(head -c 60000000 /dev/zero | tr '\\0' a); echo no"
    one = pod()
    container = one.start(sh(script), resources={"memory_limit": 8 << 20})
    assert ended(client, container)["exit_code"] != 0
    assert "no" not in one.log()


def test_statistics(client, pod):
    container = pod().start(SLEEP)
    stats = client.ContainerStats(container_id=container)["stats"]
    assert stats["memory"]["timestamp"] > 0


def test_exec_in_the_container(client, pod):
    container = pod().start(SLEEP)
    assert execute(client, container, sh("echo out; echo err >&2; exit 3")) == (3, "out\n", "err\n")
    assert execute(client, container, ["cat", "/proc/1/cmdline"])[1].startswith("sleep")


def test_exec_of_a_missing_program(client, pod):
    from .client import Refused

    container = pod().start(SLEEP)
    with pytest.raises(Refused, match="executable file not found in"):
        execute(client, container, ["nope"])
    assert execute(client, container, ["echo", "on"])[1] == "on\n"


def test_exec_that_takes_too_long_is_ended(client, pod):
    from .client import Refused

    container = pod().start(SLEEP)
    started = time.monotonic()
    with pytest.raises(Refused, match=r"DeadlineExceeded|timeout|deadline"):
        execute(client, container, ["sleep", "100"], timeout=1)
    assert time.monotonic() - started < 20
    until(lambda: "sleep 100\n" not in execute(client, container, ["ps"])[1])


def test_exec_has_the_users_groups(client, pod):
    context = {"run_as_user": {"value": 7}, "supplemental_groups": [2000]}
    container = pod().start(SLEEP, context=context)
    assert "2000" in execute(client, container, ["id", "-G"])[1]
    assert execute(client, container, ["id", "-u"])[1] == "7\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nope"], "executable file not found in"),
        (["/etc/plain"], "permission denied"),
        (["/no/x"], "no such file"),
    ],
)
def test_programs_that_cannot_start(client, pod, args, words):
    from .client import Refused

    one = pod()
    container = one.create(args)
    with pytest.raises(Refused, match=words):
        client.StartContainer(container_id=container)
    assert status(client, container)["state"] == EXITED


def test_exit_codes(client, pod):
    one = pod()
    assert ended(client, one.start(sh("exit 5"), name="a"))["exit_code"] == 5
    assert ended(client, one.start(sh("exit 0"), name="b"))["exit_code"] == 0
    assert status(client, one.create(["true"], name="c"))["state"] == CREATED


def test_stopped_with_patience(client, pod):
    one = pod()
    container = one.start(sh("trap 'echo asked; exit 6' TERM; echo up; while :; do sleep 0.1; done"))
    until(lambda: "up" in one.log())
    client.StopContainer(container_id=container, timeout=10)
    assert ended(client, container)["exit_code"] == 6
    assert "asked" in one.log()


def test_killed_when_patience_ends(client, pod):
    container = pod().start(SLEEP)
    client.StopContainer(container_id=container, timeout=1)
    assert ended(client, container)["exit_code"] == 137


def test_removed(client, pod):
    from .client import Refused

    container = pod().start(SLEEP)
    client.StopContainer(container_id=container)
    client.RemoveContainer(container_id=container)
    with pytest.raises(Refused):
        client.ContainerStatus(container_id=container)


def test_containers_share_the_namespaces_of_their_pod(client, pod):
    one = pod(security_context={"namespace_options": {"network": 0}})
    first, second = one.start(SLEEP, name="a"), one.start(SLEEP, name="b")
    show = sh("readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; readlink /proc/self/ns/uts")
    assert execute(client, first, show)[1] == execute(client, second, show)[1]
    pid = ["readlink", "/proc/self/ns/pid"]
    assert execute(client, first, pid)[1] != execute(client, second, pid)[1]
    assert os.readlink("/proc/self/ns/net") not in execute(client, first, show)[1]
    assert execute(client, first, ["hostname"])[1] == "pod.example\n"


def test_a_pid_namespace_for_the_pod(client, pod):
    one = pod(security_context={"namespace_options": {"network": 2, "pid": 0}})
    first = one.start(SLEEP, name="a", context={"namespace_options": {"network": 2, "pid": 0}})
    second = one.start(["sleep", "999"], name="b", context={"namespace_options": {"network": 2, "pid": 0}})
    listed = execute(client, first, ["ps"])[1]
    assert "sleep 1000" in listed
    assert "sleep 999" in listed
    client.StopContainer(container_id=second)
    assert ended(client, second)["exit_code"] == 137
    assert status(client, first)["state"] == RUNNING


def test_the_pid_namespace_of_the_node(client, pod):
    one = pod(security_context={"namespace_options": {"network": 2, "pid": 2}})
    container = one.start(SLEEP, context={"namespace_options": {"network": 2, "pid": 2}})
    assert execute(client, container, ["readlink", "/proc/self/ns/pid"])[1].strip() == os.readlink(
        "/proc/self/ns/pid"
    )
    client.StopContainer(container_id=container)


def test_the_ipc_namespace_of_the_node(client, pod):
    namespaces = {"network": 2, "ipc": 2}
    one = pod(security_context={"namespace_options": namespaces})
    container = one.start(SLEEP, context={"namespace_options": {**namespaces, "pid": 1}})
    assert execute(client, container, ["readlink", "/proc/self/ns/ipc"])[1].strip() == os.readlink(
        "/proc/self/ns/ipc"
    )


def test_sysctls(client, pod):
    one = pod(
        security_context={"namespace_options": {"network": 0}},
        sysctls={"net.ipv4.ip_unprivileged_port_start": "99", "kernel.shm_rmid_forced": "1"},
    )
    container = one.start(SLEEP)
    files = ["/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/kernel/shm_rmid_forced"]
    assert execute(client, container, ["cat", *files])[1].split() == ["99", "1"]


def test_the_shared_memory_of_a_pod(client, pod):
    one = pod()
    first, second = one.start(SLEEP, name="a"), one.start(SLEEP, name="b")
    execute(client, first, sh("echo there > /dev/shm/x"))
    assert execute(client, second, ["cat", "/dev/shm/x"])[1] == "there\n"


@pytest.mark.parametrize(("propagation", "word"), [(0, ""), (1, "master:"), (2, "shared:")])
def test_propagation_of_mounts(client, pod, tmp_path, propagation, word):
    from tests.integration import host

    source = tmp_path / "source"
    source.mkdir()
    host.mount(str(source), str(source), flags=4096)
    try:
        host.mount(None, str(source), flags=1 << 20)
        mount = {"container_path": "/v", "host_path": str(source), "propagation": propagation}
        one = pod()
        container = one.start(SLEEP, mounts=[mount])
        line = execute(client, container, ["grep", " /v ", "/proc/self/mountinfo"])[1]
        assert word in line
        assert ("shared:" in line) == (propagation == 2)
    except Exception as error:
        if "is not a shared mount" not in str(error):
            raise
        assert propagation == 2, "the daemon's mount namespace is a slave of ours"
    finally:
        host.umount(str(source))


def test_mounts(client, pod, tmp_path):
    (tmp_path / "x").write_text("given\n")
    mounts = [
        {"container_path": "/v", "host_path": str(tmp_path)},
        {"container_path": "/r", "host_path": str(tmp_path), "readonly": 1},
        {"container_path": "/file", "host_path": str(tmp_path / "x")},
    ]
    container = pod().start(SLEEP, mounts=mounts)
    assert (
        execute(client, container, sh("cat /v/x /file; touch /r/y || echo refused"))[1] == "given\ngiven\nrefused\n"
    )


def test_devices(client, pod):
    devices = [{"container_path": "/dev/k", "host_path": "/dev/kmsg", "permissions": "r"}]
    container = pod().start(SLEEP, devices=devices)
    assert "1, " in execute(client, container, ["ls", "-l", "/dev/k"])[1]
    code, _, err = execute(client, container, sh("echo x > /dev/k"))
    assert code != 0
    assert "not permitted" in err


def test_environment_and_directory(client, pod):
    one = pod()
    container = one.start(sh("echo $A; pwd"), envs=[{"key": "A", "value": "b c"}], working_dir="/data")
    ended(client, container)
    assert one.log() == "b c\n/data\n"


def test_a_terminal(client, pod):
    one = pod()
    container = one.start(sh("tty; test -t 1 && echo is one"), tty=1)
    ended(client, container)
    assert "is one" in one.log().replace("\r", "")


def test_standard_error_is_told_apart(client, pod):
    one = pod()
    ended(client, one.start(sh("echo out; echo err >&2")))
    with open(one.logs + "/box.log") as file:
        streams = {line.split(" ", 3)[3].strip(): line.split(" ")[1] for line in file}
    assert streams == {"out": "stdout", "err": "stderr"}


def test_a_parent_cgroup(client, pod):
    one = pod(cgroup_parent="/pyoci-clients/pod1")
    container = one.start(["cat", "/proc/self/cgroup"])
    ended(client, container)
    assert "pids:/pyoci-clients/pod1/" + container in one.log()


def test_a_sandbox_is_stopped_with_its_containers(client, pod):
    one = pod()
    container = one.start(SLEEP)
    client.StopPodSandbox(pod_sandbox_id=one.id)
    assert status(client, container)["state"] == EXITED
    assert client.PodSandboxStatus(pod_sandbox_id=one.id)["status"].get("state", 0) == 1


def test_the_users_of_a_sandbox(client, pod):
    one = pod(security_context={"namespace_options": {"network": 2}, "run_as_user": {"value": 65534}})
    assert client.PodSandboxStatus(pod_sandbox_id=one.id)["status"].get("state", 0) == 0
