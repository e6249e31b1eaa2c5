"""Namespaces: new, joined by path, user namespaces; host names and sysctls (config-linux.md)."""

import os
import subprocess

import pytest

from . import host
from .bundles import DEFAULT_NAMESPACES, DROP, entry, namespaces
from .host import read, requires, until

PROC_NAMES = {
    "pid": "pid",
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "mount": "mnt",
    "cgroup": "cgroup",
    "time": "time",
    "user": "user",
}
MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
USER = {
    "linux": {
        "namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "user"),
        "uidMappings": MAPS,
        "gidMappings": MAPS,
    }
}


def mine(kind):
    return os.readlink("/proc/self/ns/" + kind)


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "cgroup", "time"])
def test_a_listed_namespace_is_new_and_an_unlisted_one_is_the_callers(inspect, kind):
    """R-235."""
    if kind == "time":
        requires("timens")
    extra = {"hostname": DROP} if kind == "uts" else {}
    rest = [t for t in DEFAULT_NAMESPACES if t != kind]
    mounts = [entry("/proc", "proc", "proc"), entry("/dev", "tmpfs", "tmpfs")]
    edit = {"mounts": mounts, **extra}
    new = inspect(edit, {"linux": {"namespaces": namespaces(*rest, kind)}})
    assert new["ns"][PROC_NAMES[kind]] != mine(PROC_NAMES[kind])
    old = inspect(edit, {"linux": {"namespaces": namespaces(*rest)}})
    assert old["ns"][PROC_NAMES[kind]] == mine(PROC_NAMES[kind])


def test_the_container_without_a_pid_namespace_is_not_process_one(inspect):
    report = inspect({"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount")}})
    assert report["pid"] > 1


def test_loopback_is_up_in_a_new_network_namespace(inspect):
    """R-237."""
    report = inspect()
    assert list(report["net"]) == ["lo"]
    assert report["net"]["lo"]["up"] == 1


@pytest.mark.parametrize(
    "listed",
    [
        [{"type": "nope"}],
        [{"type": "pid"}, {"type": "pid"}],
        [{}],
        [{"type": "mnt"}],
        [{"type": "pid", "path": "proc/self/ns/pid"}],
        [{"type": "network", "path": "/no/such"}],
        [{"type": "network", "path": "/proc/self/ns/uts"}],
        [{"type": "network", "path": "/etc/passwd"}],
        [{"type": "network", "path": "/etc"}],
    ],
    ids=["unknown", "twice", "no-type", "short", "relative", "missing", "other-type", "file", "folder"],
)
def test_bad_namespaces_are_refused(run, listed):
    """R-234, R-235, S-40."""
    edit = {"linux": {"namespaces": [{"type": "mount"}, *listed]}, "hostname": DROP, "mounts": []}
    run(edit, {"linux": {"maskedPaths": None, "readonlyPaths": None}}).failed("namespaces")


def test_a_fifo_as_a_namespace_does_not_block(run, work):
    """S-40."""
    os.mkfifo(work + "/fifo")
    edit = {
        "linux": {"namespaces": [{"type": "mount"}, {"type": "network", "path": work + "/fifo"}]},
        "hostname": DROP,
    }
    run(edit, timeout=10).failed()


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid", "cgroup"])
def test_a_namespace_is_joined_by_path(inspect, container, kind):
    """R-235, R-299: as the sandbox of a pod is joined."""
    requires("cgroupns")
    first = container({"linux": {"namespaces": namespaces(*DEFAULT_NAMESPACES, "cgroup")}}).create().start()
    path = "/proc/%d/ns/%s" % (first.pid, PROC_NAMES[kind])
    rest = [t for t in DEFAULT_NAMESPACES if t != kind]
    edit = {"hostname": DROP, "linux": {"namespaces": namespaces(*rest, **{kind: path})}}
    report = inspect(edit)
    assert report["ns"][PROC_NAMES[kind]] == os.readlink(path)
    if kind == "pid":
        assert report["pid"] > 1
    if kind == "uts":
        assert report["uname"]["nodename"] == "box"
    first.end()
    first.delete().ok()


def test_a_namespace_bound_to_a_file_is_joined(inspect, work):
    from . import host

    place = work + "/netns"
    with open(place, "w"):
        pass
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "mount --bind /proc/self/ns/net '%s'" % place])
    assert holder.wait() == 0
    try:
        listed = namespaces("pid", "ipc", "uts", "mount", network=place)
        report = inspect({"linux": {"namespaces": listed}})
        assert report["ns"]["net"] == "net:[%d]" % os.stat(place).st_ino
        assert report["net"]["lo"]["up"] == 0, "a joined network namespace is left alone"
    finally:
        host.umount(place)


def test_killing_a_container_in_a_joined_pid_namespace_takes_its_cgroup(container):
    """R-237."""
    first = container().create().start()
    listed = namespaces("network", "ipc", "uts", "mount", pid="/proc/%d/ns/pid" % first.pid)
    second = (
        container({"linux": {"namespaces": listed}}, args=["/bin/probe", "--child", "--pause"]).create().start()
    )
    second.report()
    from .host import cgroup_of

    procs = cgroup_of(second.pid, "pids") + "/cgroup.procs"
    assert len(read(procs).split()) == 2
    second.kill("KILL").ok()
    until(lambda: read(procs).split() == [], what="the end of all")
    second.delete("--force").ok()
    assert first.status() == "running"
    first.end()
    first.delete().ok()


# ---- user namespaces ----


def test_a_user_namespace_maps_ids(inspect):
    """R-239."""
    requires("userns")
    report = inspect(USER)
    assert report["ns"]["user"] != mine("user")
    assert report["uid_map"].split() == ["0", "100000", "65536"]
    assert report["gid_map"].split() == ["0", "100000", "65536"]
    assert report["uid"] == [0] * 3
    assert report["setgroups"] == "allow\n"


def test_devices_in_a_user_namespace_are_usable(inspect):
    """R-247."""
    requires("userns")
    report = inspect(USER, probe=["--openrw", "/dev/null", "--stat", "/dev/null", "--openrw", "/dev/full"])
    assert report.errno("openrw", "/dev/null") is None
    assert (report.stat("/dev/null")["major"], report.stat("/dev/null")["minor"]) == (1, 3)


def test_ids_outside_of_the_map_are_refused(run):
    """R-219."""
    requires("userns")
    run(USER, {"process": {"user": {"uid": 70000, "gid": 0}}}).failed("70000")


def test_sysfs_is_bound_where_the_user_namespace_may_not_mount_it(inspect):
    """R-208: that is so in the caller's network namespace; read-only stays read-only."""
    requires("userns")
    edit = {"linux": {**USER["linux"], "namespaces": namespaces("pid", "ipc", "uts", "mount", "user")}}
    mount = inspect(edit).mount("/sys")
    assert mount.fstype == "sysfs"
    assert "ro" in mount.options
    assert mount.options >= {"nosuid", "nodev", "noexec"}


@pytest.mark.parametrize(("options", "seen"), [(["nodev"], {"nodev"}), (["ro"], set()), (["rw"], None)], ids=str)
def test_locked_flags_of_a_source_stay_in_a_user_namespace(run, work, options, seen):
    """R-197: and to clear one by name is an error."""
    requires("userns")
    source = work + "/locked"
    os.mkdir(source)
    mounts = [{"destination": "/data", "source": source, "options": ["bind", *options]}]
    host.mount("tmpfs", source, "tmpfs", host.MS_RDONLY | host.MS_NOSUID)
    try:
        result = run(USER, {"mounts+": mounts}, args=["/bin/cat", "/proc/self/mountinfo"])
    finally:
        host.umount(source)
    if seen is None:
        result.failed("operation not permitted")
    else:
        flags = next(line.split()[5] for line in result.ok().out.splitlines() if " /data " in line)
        assert set(flags.split(",")) >= {"ro", "nosuid"} | seen


def test_another_user_in_a_user_namespace(inspect):
    requires("userns")
    report = inspect(USER, {"process": {"user": {"uid": 1000, "gid": 5, "additionalGids": [6]}}})
    assert (report["uid"], report["gid"], report["groups"]) == ([1000] * 3, [5] * 3, [6])


def test_a_root_only_host_file_stays_closed_to_the_mapped_root(inspect, work):
    """S-23."""
    requires("userns")
    path = work + "/secret"
    os.mkdir(path)
    with open(path + "/file", "w") as file:
        file.write("x")
    os.chmod(path + "/file", 0o600)
    edit = {"mounts+": [{"destination": "/data", "type": "bind", "source": path, "options": ["bind"]}]}
    report = inspect(USER, edit, probe=["--read", "/data/file"])
    assert report.errno("read") == "EACCES"


def test_a_user_namespace_is_joined_by_path_with_equal_maps(inspect, container):
    """R-239: containerd sends both."""
    requires("userns")
    first = container(USER).create().start()
    listed = namespaces(
        "pid", "ipc", "uts", "mount", user="/proc/%d/ns/user" % first.pid, network="/proc/%d/ns/net" % first.pid
    )
    report = inspect(USER, {"linux": {"namespaces": listed}})
    assert report["ns"]["user"] == os.readlink("/proc/%d/ns/user" % first.pid)
    assert report["uid"] == [0] * 3
    first.end()
    first.delete().ok()


@pytest.mark.parametrize(
    "case", ["no-namespace", "no-maps", "overlap", "size-0", "overflow", "negative", "only-uids"]
)
def test_bad_maps_are_refused(run, case):
    """R-239, S-46."""
    requires("userns")
    ns = namespaces(*DEFAULT_NAMESPACES, "user")
    good = MAPS
    edits = {
        "no-namespace": {"namespaces": namespaces(*DEFAULT_NAMESPACES), "uidMappings": good, "gidMappings": good},
        "no-maps": {"namespaces": ns},
        "overlap": {
            "namespaces": ns,
            "uidMappings": [*good, {"containerID": 5, "hostID": 5, "size": 5}],
            "gidMappings": good,
        },
        "size-0": {
            "namespaces": ns,
            "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 0}],
            "gidMappings": good,
        },
        "overflow": {
            "namespaces": ns,
            "uidMappings": [{"containerID": 0, "hostID": 4294967290, "size": 100}],
            "gidMappings": good,
        },
        "negative": {
            "namespaces": ns,
            "uidMappings": [{"containerID": -1, "hostID": 1, "size": 1}],
            "gidMappings": good,
        },
        "only-uids": {"namespaces": ns, "uidMappings": good},
    }
    run({"linux": edits[case]}).failed()


# ---- time ----


def test_time_offsets(inspect):
    """R-243."""
    requires("timens")
    import time

    edit = {
        "linux": {
            "namespaces": namespaces(*DEFAULT_NAMESPACES, "time"),
            "timeOffsets": {"monotonic": {"secs": 100000, "nanosecs": 5}, "boottime": {"secs": 7}},
        }
    }
    report = inspect(edit)
    assert float(report["clock"]["monotonic"]) - time.clock_gettime(time.CLOCK_MONOTONIC) > 99000
    lines = [line.split() for line in report["timens_offsets"].splitlines()]
    assert lines == [["monotonic", "100000", "5"], ["boottime", "7", "0"]]


@pytest.mark.parametrize("case", ["no-namespace", "unknown-clock", "nanosecs"])
def test_bad_time_offsets_are_refused(run, case):
    requires("timens")
    types = DEFAULT_NAMESPACES if case == "no-namespace" else (*DEFAULT_NAMESPACES, "time")
    clock = "realtime" if case == "unknown-clock" else "monotonic"
    offset = {"secs": 1, "nanosecs": 1000000000 if case == "nanosecs" else 0}
    run({"linux": {"namespaces": namespaces(*types), "timeOffsets": {clock: offset}}}).failed("timeOffsets")


# ---- host name, domain name, sysctl ----


def test_host_and_domain_name(inspect):
    """R-214."""
    report = inspect({"hostname": "a-b.c", "domainname": "example.org"})
    assert report["uname"]["nodename"] == "a-b.c"
    assert report["uname"]["domainname"] == "example.org"
    assert os.uname().nodename != "a-b.c"


@pytest.mark.parametrize("field", ["hostname", "domainname"])
def test_names_need_a_uts_namespace(run, field):
    edit = {"hostname": DROP, "linux": {"namespaces": namespaces("pid", "network", "ipc", "mount")}}
    before = os.uname()
    run(edit, {field: "evil"}).failed(field)
    assert os.uname() == before


def test_sysctls_are_set_inside_only(inspect):
    """R-257."""
    before = read("/proc/sys/kernel/msgmax")
    sysctl = {
        "net.ipv4.ip_forward": "1",
        "kernel.msgmax": "9000",
        "fs.mqueue.msg_max": "11",
        "net/ipv4/ip_default_ttl": "77",
    }
    files = ["net/ipv4/ip_forward", "kernel/msgmax", "fs/mqueue/msg_max", "net/ipv4/ip_default_ttl"]
    report = inspect({"linux": {"sysctl": sysctl}}, probe=[x for f in files for x in ("--read", "/proc/sys/" + f)])
    assert [report.text("/proc/sys/" + f).strip() for f in files] == ["1", "9000", "11", "77"]
    assert read("/proc/sys/kernel/msgmax") == before


BAD_SYSCTLS = [
    "kernel.hostname",
    "kernel.panic",
    "vm.swappiness",
    "kernel.core_pattern",
    "net.ipv4",
    "net",
    "",
    "kernel.msgmax/../../panic",
    "net..ipv4.ip_forward",
    "../kernel/panic",
    "/proc/sys/kernel/panic",
    "fs.file-max",
    "net.ipv4.no_such_thing",
    "user.max_user_namespaces",
]


@pytest.mark.parametrize("name", BAD_SYSCTLS)
def test_sysctls_of_the_host_are_refused(run, name):
    """S-26."""
    panic = read("/proc/sys/kernel/panic")
    run({"linux": {"sysctl": {name: "1"}}}).failed("sysctl")
    assert read("/proc/sys/kernel/panic") == panic


@pytest.mark.parametrize(
    ("name", "without"),
    [("net.ipv4.ip_forward", "network"), ("kernel.msgmax", "ipc"), ("kernel.domainname", "uts")],
)
def test_sysctls_need_their_namespace(run, name, without):
    rest = [t for t in DEFAULT_NAMESPACES if t != without]
    mounts = [entry("/proc", "proc", "proc"), entry("/dev", "tmpfs", "tmpfs")]
    run(
        {"hostname": DROP, "mounts": mounts, "linux": {"namespaces": namespaces(*rest), "sysctl": {name: "1"}}}
    ).failed(name)


def test_a_sysctl_value_that_the_kernel_refuses_is_an_error(run):
    run({"linux": {"sysctl": {"net.ipv4.ip_forward": "many"}}}).failed("net.ipv4.ip_forward")


def test_a_container_without_a_mount_namespace_is_confined_by_chroot(inspect):
    """R-238."""
    edit = {"linux": {"namespaces": namespaces("pid", "ipc"), "maskedPaths": None, "readonlyPaths": None}}
    edit.update({"mounts": [], "hostname": DROP, "root": {"path": "rootfs", "readonly": False}})
    report = inspect(edit, probe=["--has", "/bin/probe", "--has", "/usr", "--stat", "/"])
    assert report.action("has", "/usr")["result"] == 0


def test_no_namespaces_at_all_is_accepted_or_refused_cleanly(run):
    edit = {"linux": {"namespaces": [], "maskedPaths": None, "readonlyPaths": None}}
    edit.update({"mounts": [], "hostname": DROP, "root": {"path": "rootfs", "readonly": False}})
    result = run(edit)
    assert result.code in (0, 1)
    assert "Traceback" not in result.text


@pytest.mark.parametrize("flag", ["--no-pivot"])
def test_no_pivot_still_confines(inspect, flag, bundle):
    """R-262."""
    here = bundle(args=["/bin/probe", "--has", "/usr", "--read", "/proc/self/mountinfo", "--has", "/bin/probe"])
    report = inspect(of=here, flags=[flag])
    assert report.action("has", "/usr")["result"] == 0
    assert report.action("has", "/bin/probe")["result"] == 1
    assert report["root"] == "/"
    assert report["pid"] == 1
