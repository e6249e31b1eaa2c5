"""pyoci where the host is not its own (R-291): read-only cgroups and /proc/sys, and inside another container."""

import json
import os

import pytest

import pyoci as package
from pyoci.tables.capabilities import NAMES

from . import host
from .bundles import DROP, bind, default_mounts, entry, namespaces

OPEN = [{"allow": True, "access": "rwm"}]
PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(package.__file__)))


def free(*edits):
    """An edit after which the config asks for nothing of cgroups."""
    edit = {"linux": {"cgroupsPath": DROP, "resources": {"devices": OPEN}}}
    return [edit, *edits]


@pytest.fixture
def readonly(work):
    """readonly(path, ...) -> words to put before a command: it then sees these mounts read-only."""

    def make(*points):
        script = os.path.join(work, "readonly.sh")
        lines = ["set -e", "mount --make-rprivate /"]
        for point in points:
            if not os.path.ismount(point):
                lines.append("mount --bind %s %s" % (point, point))
            lines.append("mount -o remount,bind,ro %s" % point)
        host.write(script, "\n".join([*lines, 'exec "$@"']) + "\n")
        return ["unshare", "-m", "sh", script]

    return make


def cgroup_mounts():
    return [m.point for m in host.mountinfo() if m.fstype in ("cgroup", "cgroup2") and m.point.startswith("/sys")]


def test_readonly_cgroups_are_no_matter_when_nothing_is_asked_of_them(container, readonly, pyoci):
    """R-291: create to delete, with the waiting init killed as always."""
    one = container(*free(), args=["/bin/sleep", "1000"])
    wrap = readonly(*cgroup_mounts())
    one.create(wrap=wrap)
    assert host.cgroup_of(one.pid, "devices") == host.cgroup_of(os.getpid(), "devices")
    pyoci("start", one.id, wrap=wrap).ok()
    assert one.status() == "running"
    pyoci("pause", one.id, wrap=wrap).failed("cannot pause", "no freezer cgroup")
    pyoci("events", "--stats", one.id, wrap=wrap).failed("the container has no cgroup")
    pyoci("update", "--pids-limit", "5", one.id, wrap=wrap).failed("the container has no cgroup")
    assert pyoci("ps", "-f", "json", one.id, wrap=wrap).ok().json() == [one.pid]
    assert pyoci("exec", one.id, "/bin/echo", "here", wrap=wrap).ok().out == "here\n"
    pyoci("delete", "--force", one.id, wrap=wrap).ok()
    assert not host.alive(one.pid)
    one.gone = True


@pytest.mark.parametrize(
    "edit",
    [
        {"linux": {"resources": {"devices": DROP}}},
        {"linux": {"resources": {"devices": [{"allow": False, "access": "rwm"}]}}},
        {"linux": {"resources": {"devices": [*OPEN, {"allow": False, "type": "b", "access": "w"}]}}},
        {"linux": {"resources": {"pids": {"limit": 10}}}},
        {"linux": {"resources": {"memory": {"limit": 1 << 26}}}},
        {"linux": {"cgroupsPath": "/pyoci-test-readonly"}},
    ],
    ids=["default-devices", "no-devices", "one-device", "pids", "memory", "path"],
)
def test_what_needs_a_cgroup_is_refused_where_they_are_readonly(container, readonly, pyoci, edit):
    """R-291: device rules too, or a container with CAP_MKNOD could open the host's disks. Nothing is left."""
    one = container(*free(edit), args=["/bin/true"])
    result = one.try_create(wrap=readonly(*cgroup_mounts()))
    result.failed("cannot create cgroup: read-only file system")
    assert "writable" in result.err
    assert pyoci.left() == []


def test_sysctls_are_set_where_proc_sys_is_readonly(container, readonly):
    """R-291: as in another container, and inside only."""
    before = host.read("/proc/sys/net/ipv4/ip_forward"), host.read("/proc/sys/kernel/shmmni")
    values = {"net.ipv4.ip_forward": "1", "kernel.shmmni": "4001"}
    one = container(
        {"linux": {"sysctl": values}},
        args=["/bin/cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shmmni"],
    )
    one.create(wrap=readonly("/proc/sys")).start()
    assert one.wait() == 0
    assert one.out().split() == ["1", "4001"]
    assert (host.read("/proc/sys/net/ipv4/ip_forward"), host.read("/proc/sys/kernel/shmmni")) == before


def test_a_user_namespace_cannot_get_round_a_readonly_proc_sys(container, readonly):
    """R-291: its owner's mounts on procfs stay in force; the error says what is read-only."""
    host.requires("userns")
    ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    edit = {
        "mounts": [entry("/dev", "tmpfs", "tmpfs", "mode=755")],
        "linux": {
            "maskedPaths": [],
            "readonlyPaths": [],
            "namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "user"),
            "uidMappings": ids,
            "gidMappings": ids,
            "sysctl": {"net.ipv4.ip_forward": "1"},
        },
    }
    one = container(edit, args=["/bin/true"])
    for folder in (one.bundle.path, os.path.dirname(one.bundle.path)):
        os.chmod(folder, 0o755)
    result = one.try_create(wrap=readonly("/proc/sys"))
    result.failed("ip_forward: read-only file system", '.linux.sysctl["net.ipv4.ip_forward"]')


# ---- inside another container ----

INNER = """
set -e
mkdir -p /tmp/b/rootfs/bin /tmp/b/rootfs/proc /tmp/b/rootfs/dev /tmp/b/rootfs/sys
cp /bin/busybox /tmp/b/rootfs/bin/busybox
cd /tmp/b
pyoci() { /usr/bin/python3 -m pyoci "$@"; }
pyoci spec
/usr/bin/python3 - <<END
import json
config = json.load(open("config.json"))
config["process"].update(terminal=False, args=["/bin/busybox", "sleep", "1000"])
config["linux"]["resources"].update(LIMITS)
json.dump(config, open("config.json", "w"))
END
pyoci create inner </dev/null >/dev/null 2>/tmp/err || { cat /tmp/err; exit 1; }
pyoci start inner
pyoci exec inner /bin/busybox echo executed
pyoci ps --format json inner
pyoci events --stats inner >/dev/null
pyoci pause inner
pyoci state inner | grep status
pyoci resume inner
pyoci kill inner KILL
while ! pyoci state inner | grep -q stopped; do sleep 0.1; done
pyoci delete inner
find /sys/fs/cgroup -name inner
"""


def privileged(rootfs):
    """An edit: what engines call a privileged container, with this machine's programs in it."""
    for name in ("sbin", "lib", "lib64"):
        if not os.path.lexists(os.path.join(rootfs, name)):
            os.symlink("usr/" + name, os.path.join(rootfs, name))
    status = next(line for line in host.read("/proc/self/status").splitlines() if line.startswith("CapEff"))
    have = [name for number, name in enumerate(NAMES) if int(status.split()[1], 16) >> number & 1]
    mounts = [entry for entry in default_mounts() if entry["destination"] != "/sys/fs/cgroup"]
    mounts += [
        entry("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "rw"),
        entry("/run", "tmpfs", "tmpfs"),
        entry("/tmp", "tmpfs", "tmpfs"),
        *[bind(path, path, "rbind", "ro") for path in ("/usr", "/etc")],
        bind("/mnt", PROJECT, "rbind", "ro"),
    ]
    return {
        "process": {
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), have),
            "noNewPrivileges": False,
            "env+": ["PYTHONPATH=/mnt", "PYTHONDONTWRITEBYTECODE=1", "USER=root"],
        },
        "root": {"readonly": False},
        "mounts": mounts,
        "linux": {"maskedPaths": [], "readonlyPaths": [], "resources": {"devices": OPEN}},
    }


@pytest.mark.parametrize("own_cgroups", [True, False], ids=["cgroup-namespace", "host-cgroups"])
def test_pyoci_runs_in_a_container_of_pyoci(container, bundle, own_cgroups):
    """R-291: a privileged container with this machine's Python; the inner one lives a whole life."""
    if not os.path.exists("/usr/bin/python3.11"):
        pytest.skip("no Python 3.11 in /usr/bin")
    limits = {} if host.is_cgroup2() else {"pids": {"limit": 20}}  # version 2: the outer cgroup holds processes
    types = ["pid", "network", "ipc", "uts", "mount", *(["cgroup"] if own_cgroups else [])]
    outer = bundle(args=["/bin/sh", "-c", INNER.replace("LIMITS", repr(limits))])
    outer.edit(privileged(outer.rootfs), {"linux": {"namespaces": namespaces(*types)}})
    one = container(of=outer).create().start()
    code = one.wait()
    lines = one.out().splitlines()
    assert (code, one.err()) == (0, ""), lines
    assert lines[0] == "executed"
    assert len(json.loads(lines[1])) == 1
    assert lines[2:] == ['  "status": "paused",']
    one.delete().ok()


NESTED = """
set -e
mkdir -p /tmp/b/rootfs/bin /tmp/b/rootfs/proc /tmp/b/rootfs/dev /tmp/b/rootfs/sys /tmp/b/rootfs/data /tmp/data
cp /bin/busybox /tmp/b/rootfs/bin/busybox
echo x >/tmp/data/file
cd /tmp/b
pyoci() { /usr/bin/python3 -m pyoci "$@"; }
pyoci spec
/usr/bin/python3 - <<END
import json
config = json.load(open("config.json"))
config["process"].update(terminal=False, args=["/bin/busybox", "sleep", "1000"])
linux = config["linux"]
del linux["resources"]
maps = MAPS
if maps:
    linux["namespaces"].append({"type": "user"})
    linux.update(uidMappings=maps, gidMappings=maps)
config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "cgroup"]
bind = {"destination": "/data", "source": "/tmp/data", "options": ["bind", "ridmap"]}
bind.update(uidMappings=[{"containerID": 0, "hostID": 7, "size": 1}])
bind.update(gidMappings=bind["uidMappings"])
config["mounts"].append(bind)
json.dump(config, open("config.json", "w"))
END
pyoci create inner </dev/null >/dev/null 2>/tmp/err || { cat /tmp/err; exit 1; }
pyoci start inner
pyoci exec inner /bin/busybox cat /proc/self/uid_map
pyoci exec inner /bin/busybox stat -c %u /data/file
pyoci exec inner /bin/busybox stat -c %t:%T /dev/null
pyoci kill inner KILL
while ! pyoci state inner | grep -q stopped; do sleep 0.1; done
pyoci delete inner
"""


@pytest.mark.parametrize(
    ("maps", "seen"),
    [
        ([], ["0", "100000", "65536"]),
        ([{"containerID": 0, "hostID": 0, "size": 1000}], ["0", "0", "1000"]),
        ([{"containerID": 0, "hostID": 5, "size": 10}], ["0", "5", "10"]),
    ],
    ids=["the-outer-namespace", "the-same-root", "another-root"],
)
def test_pyoci_runs_in_a_user_namespace_of_pyoci(container, bundle, maps, seen):
    """R-283: root of a user namespace, whose tmpfs it may even id-map."""
    host.requires("userns", "idmapped_tmpfs")
    if not os.path.exists("/usr/bin/python3.11"):
        pytest.skip("no Python 3.11 in /usr/bin")
    outer = bundle(args=["/bin/sh", "-c", NESTED.replace("MAPS", repr(maps))])
    ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    edit = {
        "linux": {
            "namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "cgroup", "user"),
            "uidMappings": ids,
            "gidMappings": ids,
        }
    }
    outer.edit(privileged(outer.rootfs), edit)
    os.chown(outer.rootfs, 100000, 100000)
    one = container(of=outer).create().start()
    code = one.wait()
    assert (code, one.err()) == (0, ""), one.out()
    lines = one.out().splitlines()
    assert lines[0].split() == seen
    assert lines[1:] == ["7" if not maps else str(7 - maps[0]["hostID"]), "1:3"]
    one.delete().ok()
