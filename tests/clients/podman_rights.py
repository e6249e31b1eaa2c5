"""Users, namespaces, capabilities, devices, filters, hooks and services under podman."""

import json
import os
import re
import shutil
import socket
import subprocess

import pytest

from tests.integration.host import read, until

from .flows import inspect, on_terminal, start
from .images import NAME
from .podman_flows import ONCE, collector, run

RIGHTS, case = collector()


def status_of(cli, *flags):
    """{name: value} of /proc/self/status inside."""
    return dict(line.split(":\t", 1) for line in run(cli, *flags, NAME, "cat", "/proc/self/status").splitlines())


# ---- capabilities, privileges ----


@case()
def capabilities_of_a_user_are_ambient(cli):
    found = status_of(cli, "--cap-add", "NET_BIND_SERVICE", "--user", "1000")
    assert {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0000000000000400"}


@case()
def all_capabilities(cli):
    full = status_of(cli, "--cap-add", "all")
    assert bin(int(full["CapEff"], 16)).count("1") > 35
    assert full["CapEff"] == full["CapBnd"] == full["CapPrm"]
    assert int(status_of(cli, "--cap-drop", "all", "--user", "1000")["CapBnd"], 16) == 0


@case()
def privileged_sees_devices_and_all_of_proc(cli):
    out = run(
        cli,
        "--privileged",
        NAME,
        "sh",
        "-c",
        "ls /dev | wc -l; grep -c '/proc/' /proc/mounts; grep Seccomp: /proc/self/status",
    )
    devices, masks, filter_ = out.splitlines()
    assert int(devices) > 20
    assert masks == "0"
    assert filter_.endswith("\t0")


@case()
def privileged_exec_has_all_capabilities(cli):
    start(cli, "--cap-drop", "all", "--user", "1000")
    plain = re.search(r"CapEff:\t(\w+)", cli("exec", "box", "cat", "/proc/self/status").ok().out).group(1)
    full = cli("exec", "--privileged", "--user", "0", "box", "cat", "/proc/self/status").ok().out
    assert int(plain, 16) == 0
    assert bin(int(re.search(r"CapEff:\t(\w+)", full).group(1), 16)).count("1") > 35


@case()
def exec_as_a_user_with_groups(cli):
    start(cli, "--group-add", "2000")
    assert cli("exec", "--user", "alice", "box", "id", "-G").ok().out.split() == ["1000", "2000"]
    assert cli("exec", "--user", "1001:100", "box", "id", "-g").ok().out == "100\n"
    assert "HOME=/\n" in cli("exec", "--user", "4321", "box", "env").ok().out


@case()
def paths_are_masked_and_unmasked(cli):
    out = run(cli, "--security-opt", "mask=/data:/etc/plain", NAME, "sh", "-c", "ls /data; wc -c < /etc/plain")
    assert out == "0\n"
    script = "grep -c ' /proc/' /proc/mounts; ls -l /proc/keys"
    out = run(cli, "--security-opt", "unmask=ALL", NAME, "sh", "-c", script)
    assert out.startswith("0\n-r")


@case()
def proc_is_mounted_with_options(cli):
    out = run(cli, "--security-opt", "proc-opts=hidepid=2,nosuid", NAME, "grep", "^proc /proc", "/proc/mounts")
    assert "hidepid=" in out
    assert "nosuid" in out


def filter_file(cli, rules, default="SCMP_ACT_ALLOW"):
    path = cli.folder + "/filter.json"
    with open(path, "w") as file:
        json.dump({"defaultAction": default, "syscalls": rules}, file)
    os.chmod(path, 0o644)
    return "seccomp=" + path


@case()
def filters_of_ones_own(cli):
    rules = [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {"names": ["getuid"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 99, "op": "SCMP_CMP_EQ"}]},
        {"names": ["uname"], "action": "SCMP_ACT_KILL_PROCESS"},
        {"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"},
    ]
    option = filter_file(cli, rules)
    cli("run", "--rm", "--security-opt", option, NAME, "mkdir", "/x").failed(1, "No space left on device")
    cli("run", "--rm", "--security-opt", option, NAME, "sh", "-c", "uname; exit $?").failed(159)
    start(cli, "--security-opt", option)
    cli("exec", "box", "mkdir", "/x").failed(1, "No space left on device")
    assert cli("exec", "box", "echo", "fine").ok().out == "fine\n"


@case()
def filters_do_not_stop_the_set_up(cli):
    """The filter comes last: what the runtime itself needs may be forbidden to the program."""
    names = [
        "chdir",
        "setuid",
        "setgid",
        "setgroups",
        "mount",
        "capset",
        "openat2",
        "socket",
        "pivot_root",
        "close_range",
    ]
    option = filter_file(cli, [{"names": names, "action": "SCMP_ACT_ERRNO"}])
    for flags in ((), ("--user", "1000", "--security-opt", "no-new-privileges")):
        assert run(cli, "--security-opt", option, *flags, NAME, "echo", "fine") == "fine\n"


@case(*ONCE)
def labels_are_switched_off(cli):
    options = ["--security-opt", "label=disable", "--security-opt", "apparmor=unconfined"]
    assert run(cli, *options, NAME, "echo", "fine") == "fine\n"


# ---- users and user namespaces ----


@case()
def users_are_described_in_the_image(cli):
    out = run(
        cli,
        "--user",
        "3333",
        "--passwd-entry",
        "$USERNAME:*:$UID:$GID:x:/tmp:/bin/sh",
        NAME,
        "tail",
        "-n1",
        "/etc/passwd",
    )
    assert out == "3333:*:3333:0:x:/tmp:/bin/sh\n"


@case("rootless")
def user_namespaces_with_maps(cli):
    flags = ["--uidmap", "0:100000:2000", "--gidmap", "0:200000:3000"]
    out = run(cli, *flags, NAME, "cat", "/proc/self/uid_map", "/proc/self/gid_map")
    assert out.split() == ["0", "100000", "2000", "0", "200000", "3000"]
    start(cli, *flags, "--user", "1000")
    pid = inspect(cli, "{{.State.Pid}}")
    assert "Uid:\t101000\t" in read("/proc/%s/status" % pid)
    assert cli("exec", "box", "id", "-u").ok().out == "1000\n"
    assert cli("exec", "--user", "0", "box", "sh", "-c", "touch /data/x; stat -c %u:%g /data/x").ok().out == "0:0\n"
    assert os.stat("/proc/%s/root/data/x" % pid).st_uid == 100000


@case("rootless")
def user_namespaces_have_all_that_others_have(cli):
    flags = ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"]
    assert (
        run(cli, *flags, "--sysctl", "net.ipv4.ip_forward=1", NAME, "cat", "/proc/sys/net/ipv4/ip_forward") == "1\n"
    )
    assert (
        run(cli, *flags, NAME, "sh", "-c", "head -c 2 /dev/zero | wc -c; echo x > /dev/null; ls /dev/pts")
        == "2\nptmx\n"
    )
    assert (
        run(cli, *flags, "--memory", "64m", NAME, "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
        == "67108864\n"
    )
    assert "is one" in on_terminal(cli, "run", "--rm", "-it", *flags, NAME, "sh", "-c", "test -t 0 && echo is one")
    assert run(cli, *flags, "--tmpfs", "/t", "--read-only", NAME, "sh", "-c", "touch /t/x && echo fine") == "fine\n"
    path = cli.folder + "/given"
    os.mkdir(path)
    out = run(cli, *flags, "-v", path + ":/v:U", NAME, "sh", "-c", "touch /v/x; stat -c %u /v /v/x")
    assert out == "0\n0\n"
    assert os.stat(path).st_uid == 100000


@case()
def pods_with_a_user_namespace(cli):
    flags = ["--userns", "keep-id"] if cli.engine == "rootless" else ["--uidmap", "0:100000:5000"]
    infra = ["--infra-image", NAME, "--infra-command", "sleep 1000", "--network", "none"]
    cli("pod", "create", "--name", "pod", *infra, *flags).ok()
    start(cli, "--pod", "pod")
    first = inspect(cli, "{{.State.Pid}}")
    second = run(cli, "--pod", "pod", NAME, "readlink", "/proc/self/ns/user")
    assert os.readlink("/proc/%s/ns/user" % first) == second.strip()


@case("podman")
def ids_are_kept(cli):
    uid = os.stat(cli.folder).st_uid
    assert run(cli, "--userns", "keep-id", NAME, "id", "-u") == "%d\n" % uid
    path = cli.folder + "/mine"
    os.mkdir(path, 0o700)
    os.chown(path, uid, uid)
    out = run(cli, "--userns", "keep-id", "-v", path + ":/v", NAME, "sh", "-c", "touch /v/x; stat -c %u /v/x")
    assert out == "%d\n" % uid
    assert os.stat(path + "/x").st_uid == uid
    assert run(cli, "--userns", "keep-id:uid=1000,gid=1000", NAME, "id", "-un") == "alice\n"
    start(cli, "--userns", "keep-id")
    assert cli("exec", "box", "id", "-u").ok().out == "%d\n" % uid
    assert cli("exec", "--user", "0", "box", "id", "-u").ok().out == "0\n"


@case("podman")
def ids_are_left_out(cli):
    first = run(cli, "--userns", "nomap", NAME, "cat", "/proc/self/uid_map").split()
    assert first[0] == "0"
    assert first[1] == "1"  # the user itself, 0 in podman's namespace, is not in the map


@case("podman")
def ids_are_chosen(cli):
    one = run(cli, "--userns", "auto:size=1000", NAME, "cat", "/proc/self/uid_map").split()
    assert one[0] == "0"
    assert one[2] == "1000"


@case("podman")
def groups_of_the_caller_are_kept(cli):
    one = type(cli)(
        ["--groups" if word == "--clear-groups" else word for word in cli.prefix], cli.folder, cli.environment
    )
    place = one.prefix.index("--groups")
    one.prefix.insert(place + 1, "34999")
    one.count = cli.count + 1000
    assert len(run(one, NAME, "id", "-G").split()) == 1
    assert run(one, "--group-add", "keep-groups", NAME, "id", "-G").split() == ["0", "65534"]
    path = cli.folder + "/of-the-group"
    with open(path, "w") as file:
        file.write("for the group\n")
    os.chown(path, 0, 34999)
    os.chmod(path, 0o040)
    assert run(one, "--group-add", "keep-groups", "-v", path + ":/f", NAME, "cat", "/f") == "for the group\n"


@case("rootless")
def groups_of_the_caller_are_kept_by_root(cli):
    one = type(cli)(["setpriv", "--groups", "0,34999", *cli.prefix], cli.folder, cli.environment)
    one.count = cli.count + 1000
    assert run(one, "--group-add", "keep-groups", NAME, "id", "-G").split() == ["0", "34999"]
    assert "34999" not in run(one, NAME, "id", "-G")


# ---- namespaces ----


@case("rootless")
def a_network_namespace_by_path(cli):
    holder = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
    try:
        until(lambda: "sleep" in read("/proc/%d/cmdline" % holder.pid))
        path = "/proc/%d/ns/net" % holder.pid
        out = run(cli, "--network", "ns:" + path, NAME, "readlink", "/proc/self/ns/net")
        assert out.strip() == os.readlink(path)
    finally:
        holder.kill()
        holder.wait()


@case("rootless")  # no /dev/mqueue here, which it takes for that of the host
def every_namespace_of_the_host(cli):
    flags = ["--pid", "host", "--network", "host", "--ipc", "host", "--uts", "host"]
    names = ["/proc/self/ns/" + name for name in ("net", "ipc", "uts")]
    out = run(cli, *flags, NAME, "sh", "-c", "for x in %s; do readlink $x; done" % " ".join(names))
    assert out.split() == [os.readlink(name) for name in names]


@case()
def namespaces_of_another_container(cli):
    start(cli, "--ipc", "shareable", name="first")
    kinds = ("net", "ipc", "pid", "user", "cgroup")
    flags = [word for kind in ("network", "ipc", "pid") for word in ("--" + kind, "container:first")]
    start(cli, *flags)
    first, second = (inspect(cli, "{{.State.Pid}}", name) for name in ("first", "box"))
    for kind in kinds[:3]:
        assert os.readlink("/proc/%s/ns/%s" % (first, kind)) == os.readlink("/proc/%s/ns/%s" % (second, kind))
    assert os.readlink("/proc/%s/ns/mnt" % first) != os.readlink("/proc/%s/ns/mnt" % second)


@case()
def sysctls_of_its_namespaces(cli):
    flags = ["--sysctl", "kernel.shmmax=8192", "--sysctl", "fs.mqueue.msg_max=7", "--network", "none", "--sysctl",
             "net.core.somaxconn=99"]  # fmt: skip
    names = ["/proc/sys/" + name for name in ("kernel/shmmax", "fs/mqueue/msg_max", "net/core/somaxconn")]
    assert run(cli, *flags, NAME, "cat", *names).split() == ["8192", "7", "99"]


# ---- processes of the system ----


@case(*ONCE)
def init_is_the_first_process(cli):
    start(cli, "--init")
    assert "podman-init" in cli("exec", "box", "cat", "/proc/1/comm").ok().out
    cli("kill", "--signal", "TERM", "box").ok()
    until(lambda: inspect(cli, "{{.State.Status}}") == "exited")


@case(*ONCE)
def prepared_for_systemd(cli):
    out = run(cli, "--systemd", "always", NAME, "sh", "-c", "cat /proc/mounts; echo $container")
    for point in ("/run", "/run/lock", "/tmp"):
        assert " %s tmpfs rw" % point in out
    assert out.endswith(("podman\n", "oci\n"))


@case()
def devices_are_passed(cli):
    assert (
        run(
            cli, "--device", "/dev/zero:/dev/deep/nought:rw", NAME, "sh", "-c", "head -c 2 /dev/deep/nought | wc -c"
        )
        == "2\n"
    )
    cli("run", "--rm", "--device", "/dev/none", NAME, "true").failed(125)


@case("rootless")
def device_rules_hold(cli):
    words = [NAME, "sh", "-c", "mknod /k c 10 229 && : < /k && echo opened"]  # /dev/fuse
    flags = ["run", "--rm", "--cap-add", "MKNOD"]
    cli(*flags, *words).failed(1, "not permitted")
    allowed = cli(*flags, "--device-cgroup-rule", "c 10:229 rw", *words)
    assert allowed.out == "opened\n" or "No such device" in allowed.err, allowed


@case("rootless")
def block_devices_are_throttled(cli):
    device = next(
        (name for name in ("/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0") if os.path.exists(name)), None
    )
    if not device:
        pytest.skip("no block device")
    out = run(
        cli,
        "--device-read-bps",
        device + ":1mb",
        NAME,
        "cat",
        "/sys/fs/cgroup/blkio/blkio.throttle.read_bps_device",
    )
    assert out.endswith(" 1048576\n")


@case("rootless")
def huge_pages_and_memory_together(cli):
    flags = [
        "--memory",
        "64m",
        "--memory-swap",
        "64m",
        "--cpuset-cpus",
        "0",
        "--cpuset-mems",
        "0",
        "--pids-limit",
        "9",
    ]
    start(cli, *flags)
    out = cli("exec", "box", "cat", "/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/cpuset/cpuset.cpus").ok().out
    assert out.split() == ["9", "0"]


# ---- hooks and services ----


@case()
def hooks_of_a_folder_run(cli):
    folder = shared = cli.folder + "/hooks"
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    with open(folder + "/note", "w") as file:
        file.write("#!/bin/sh\ncat > %s/$1.state\n" % shared)
    os.chmod(folder + "/note", 0o755)
    stages = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    stages.remove("createContainer")  # runs inside: the folder is not there
    for stage in stages:
        hook = {"path": folder + "/note", "args": ["note", stage]}
        with open("%s/%s.json" % (folder, stage), "w") as file:
            json.dump({"version": "1.0.0", "hook": hook, "when": {"always": True}, "stages": [stage]}, file)
    one = type(cli)([*cli.prefix, "--hooks-dir", folder], cli.folder, cli.environment)
    one.count = cli.count + 1000
    run(one, "--annotation", "my.note=x", NAME, "true")
    for stage in stages:
        state = json.loads(read("%s/%s.state" % (folder, stage)))
        assert state["annotations"]["my.note"] == "x"
        assert state["status"] == {"poststop": "stopped", "poststart": "running"}.get(stage, state["status"])


@case(*ONCE)
def hooks_that_fail_stop_the_container(cli):
    folder = cli.folder + "/failing"
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo the reason >&2; exit 3"]}
    with open(folder + "/x.json", "w") as file:
        json.dump({"version": "1.0.0", "hook": hook, "when": {"always": True}, "stages": ["prestart"]}, file)
    one = type(cli)([*cli.prefix, "--hooks-dir", folder], cli.folder, cli.environment)
    one.count = cli.count + 1000
    one("run", "--rm", NAME, "true").failed(126, "the reason")


TALKER = """
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_un to = {AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    strncpy(to.sun_path, getenv("NOTIFY_SOCKET"), sizeof to.sun_path - 1);
    return sendto(fd, "READY=1", 7, 0, (void *)&to, sizeof to) < 0 ? 9 : 0;
}
"""


@case(*ONCE)
def services_say_that_they_are_ready(cli):
    if not shutil.which("gcc"):
        pytest.skip("no compiler")
    folder = cli.folder + "/talk"
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    with open(folder + "/talk.c", "w") as file:
        file.write(TALKER)
    subprocess.run(["gcc", "-static", "-o", folder + "/talk", folder + "/talk.c"], check=True, timeout=60)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        address = folder + "/n"
        server.bind(address)
        os.chmod(address, 0o777)
        server.settimeout(20)
        one = type(cli)(cli.prefix, cli.folder, {**cli.environment, "NOTIFY_SOCKET": address})
        one.count = cli.count + 1000
        flags = ["--sdnotify", "container", "-v", folder + "/talk:/talk"]
        one("run", "--detach", "--name", "box", *flags, NAME, "sh", "-c", "sleep 0.3; /talk; sleep 1000").ok()
        heard = b""
        for _ in range(3):
            heard += server.recv(4096) + b"\n"
            if b"READY=1" in heard:
                break
        assert b"MAINPID=" in heard
    one("rm", "--force", "--time", "0", "box").ok()
