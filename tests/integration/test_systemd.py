"""The systemd cgroup driver against a real systemd: what it says of the unit, and what the kernel shows.

Skipped where there is none; `tests/vm/run` runs these in a virtual machine, `--cgroup hybrid` and `v1` too.
"""

import json
import os
import signal
import subprocess
import time

import pytest

from . import host
from .conftest import TOKEN
from .host import cgroup_of, hierarchies, is_cgroup2, patience, read, requires, until
from .runtime import TIMEOUT, Runtime

pytestmark = pytest.mark.usefixtures("with_systemd")
MIB = 1 << 20
SYSTEMD = ["--systemd-cgroup"]
USER = 1000


@pytest.fixture(scope="module")
def with_systemd():
    requires("systemd", "root")


def systemctl(*arguments, wrap=()):
    done = subprocess.run(
        [*wrap, "systemctl", *arguments], capture_output=True, text=True, timeout=patience(60), check=False
    )
    return done.stdout.strip()


def show(unit, *names, wrap=()):
    """{property: text} of a unit, as systemctl shows it."""
    text = systemctl(*(["--user"] if wrap else []), "show", unit, "-p", ",".join(names), wrap=wrap)
    return dict(line.split("=", 1) for line in text.splitlines())


def is_loaded(unit):
    return show(unit, "LoadState")["LoadState"] == "loaded"


@pytest.fixture
def scoped(container):
    """scoped(edit, ...) -> (container, its unit's name); not created yet."""

    def make(*edits, slice_="system.slice", **more):
        one = container(*edits, **more)
        one.bundle.edit({"linux": {"cgroupsPath": "%s:pyoci:%s" % (slice_, one.id)}})
        return one, "pyoci-%s.scope" % one.id

    return make


def limits(**more):
    return {"linux": {"resources": more}}


def properties(**more):
    return {"annotations": {"org.systemd.property." + name: value for name, value in more.items()}}


def left(unit):
    """What is left of a unit: directories in any hierarchy, and systemd's memory of it."""
    return sorted(host.cgroup_dirs("/" + unit)) + [unit] * is_loaded(unit)


def test_the_unit_is_a_delegated_scope_with_init_in_it_until_delete(scoped):
    """R-023, R-282."""
    one, unit = scoped()
    one.create(options=SYSTEMD)
    shown = show(unit, "ActiveState", "Slice", "ControlGroup", "Delegate", "MemoryAccounting", "CPUAccounting",
                 "TasksAccounting", "DefaultDependencies", "Transient")  # fmt: skip
    assert shown == {
        "ActiveState": "active", "Slice": "system.slice", "ControlGroup": "/system.slice/" + unit,
        "Delegate": "yes", "MemoryAccounting": "yes", "CPUAccounting": "yes", "TasksAccounting": "yes",
        "DefaultDependencies": "no", "Transient": "yes",
    }  # fmt: skip
    for controller in {*hierarchies()} - {"unified"}:
        assert cgroup_of(one.pid, controller).endswith("/system.slice/" + unit), controller
    if "unified" in hierarchies():
        assert cgroup_of(one.pid, "unified").endswith("/system.slice/" + unit)
    one.start()
    assert str(one.pid) in read(cgroup_of(one.pid, "pids") + "/cgroup.procs").split()
    one.delete("--force").ok()
    assert left(unit) == []


def test_without_a_path_the_unit_is_named_after_the_container(container):
    one = container({"linux": {"cgroupsPath": None}})
    one.create(options=SYSTEMD)
    assert cgroup_of(one.pid, "pids").endswith("/system.slice/pyoci-%s.scope" % one.id)
    one.delete("--force").ok()


def test_slices_lie_in_each_other(scoped):
    """R-023."""
    name = "%s-b.slice" % TOKEN
    one, unit = scoped(slice_=name)
    try:
        one.create(options=SYSTEMD)
        assert cgroup_of(one.pid, "pids").endswith("/%s.slice/%s/%s" % (TOKEN, name, unit))
        assert show(unit, "Slice") == {"Slice": name}
        one.delete("--force").ok()
        assert left(unit) == []
    finally:
        systemctl("stop", TOKEN + ".slice")
        host.remove_cgroups(host.cgroup_dirs(TOKEN))


RESOURCES = {
    "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB},
    "cpu": {"shares": 512, "quota": 33333, "period": 100000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 42},
}


def test_limits_are_properties_and_files_on_version_2(scoped):
    """R-023: the quota that systemd rounds to whole percents is rounded in the file too."""
    requires("cgroup2")
    one, unit = scoped(limits(**RESOURCES, unified={"memory.high": str(50 * MIB)}))
    one.create(options=SYSTEMD)
    path = cgroup_of(one.pid)
    names = ("memory.max", "memory.low", "memory.high", "cpu.weight", "cpu.max", "cpuset.cpus", "pids.max")
    assert [read(path + "/" + name).strip() for name in names] == [
        str(64 * MIB), str(32 * MIB), str(50 * MIB), "59", "34000 100000", "0", "42",
    ]  # fmt: skip
    shown = show(unit, "MemoryMax", "MemoryLow", "MemoryHigh", "MemorySwapMax", "CPUWeight", "CPUQuotaPerSecUSec",
                 "AllowedCPUs", "AllowedMemoryNodes", "TasksMax")  # fmt: skip
    assert shown == {
        "MemoryMax": str(64 * MIB), "MemoryLow": str(32 * MIB), "MemoryHigh": str(50 * MIB),
        "MemorySwapMax": str(32 * MIB), "CPUWeight": "59", "CPUQuotaPerSecUSec": "340ms", "AllowedCPUs": "0",
        "AllowedMemoryNodes": "0", "TasksMax": "42",
    }  # fmt: skip
    one.delete("--force").ok()


def test_limits_are_properties_and_files_on_version_1(scoped):
    requires("cgroup1")
    one, unit = scoped(limits(**RESOURCES))
    one.create(options=SYSTEMD)
    texts = {"memory.limit_in_bytes": str(64 * MIB), "cpu.shares": "512", "cpu.cfs_quota_us": "34000",
             "cpuset.cpus": "0", "pids.max": "42"}  # fmt: skip
    for name, text in texts.items():
        assert read("%s/%s" % (cgroup_of(one.pid, name.split(".")[0]), name)).strip() == text
    shown = show(unit, "MemoryLimit", "CPUShares", "CPUQuotaPerSecUSec", "TasksMax", "DevicePolicy")
    assert shown == {"MemoryLimit": str(64 * MIB), "CPUShares": "512", "CPUQuotaPerSecUSec": "340ms",
                     "TasksMax": "42", "DevicePolicy": "strict"}  # fmt: skip
    one.delete("--force").ok()


def test_device_rules_and_limits_outlive_a_reload_of_systemd(scoped):
    """A daemon-reload must neither open devices nor take them (runc #3708)."""
    devices = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 237, "access": "rw"},
    ]
    script = "mknod /tmp/no c 1 1; mknod /tmp/yes c 10 237; while read line; do for n in no yes; do " \
             "(: < /tmp/$n) 2>&1 | tr '\\n' ' '; done; echo; done"  # fmt: skip
    caps = {"bounding": ["CAP_MKNOD"], "effective": ["CAP_MKNOD"], "permitted": ["CAP_MKNOD"]}
    one, unit = scoped(
        limits(devices=devices, pids={"limit": 42}),
        {"process": {"capabilities": caps}, "root": {"readonly": False}},
        args=["/bin/sh", "-c", script],
    )
    ours, theirs = os.pipe()
    one.create(options=SYSTEMD, stdin=ours)
    one.start()

    def answers(count):
        os.write(theirs, b"\n")
        until(lambda: one.out().count("\n") == count, what="answer %d" % count)
        return one.out().splitlines()[-1]

    before = answers(1)
    assert "/tmp/no: Operation not permitted" in before
    assert "/tmp/yes: Operation not permitted" not in before  # no such device may well be
    systemctl("daemon-reload")
    systemctl("set-property", "--runtime", unit, "CPUWeight=77" if is_cgroup2() else "CPUShares=77")
    assert answers(2) == before
    assert read(cgroup_of(one.pid, "pids") + "/pids.max").strip() == "42"
    os.close(theirs)
    os.close(ours)
    one.wait()
    one.delete().ok()
    assert left(unit) == []


def test_update_changes_properties_and_files_or_nothing(scoped, pyoci):
    """R-023."""
    one, unit = scoped(limits(memory={"limit": 64 * MIB}, pids={"limit": 42}))
    one.create(options=SYSTEMD)
    pyoci("update", "--pids-limit", "50", "--memory", str(80 * MIB), one.id).ok()
    memory = "memory.max" if is_cgroup2() else "memory.limit_in_bytes"
    named = "MemoryMax" if is_cgroup2() else "MemoryLimit"

    def now():
        files = [read("%s/%s" % (cgroup_of(one.pid, n.split(".")[0]), n)).strip() for n in ("pids.max", memory)]
        return files, show(unit, "TasksMax", named)

    wanted = (["50", str(80 * MIB)], {"TasksMax": "50", named: str(80 * MIB)})
    assert now() == wanted
    document = {"pids": {"limit": 60}, "cpu": {"cpus": "0-4000"}}
    path = one.pid_file + ".json"
    host.write(path, json.dumps(document))
    pyoci("update", "--resources", path, one.id).failed()
    os.unlink(path)
    assert now() == wanted
    one.delete("--force").ok()


def test_annotations_are_properties_of_the_unit(scoped):
    """R-276."""
    one, unit = scoped(
        properties(KillSignal="37", TimeoutStopSec="3", After="['tmp.mount']", DefaultDependencies="true")
    )
    one.create(options=SYSTEMD)
    shown = show(unit, "KillSignal", "TimeoutStopUSec", "After", "DefaultDependencies")
    assert "tmp.mount" in shown.pop("After").split()
    assert shown == {"KillSignal": "37", "TimeoutStopUSec": "3s", "DefaultDependencies": "yes"}
    one.delete("--force").ok()


@pytest.mark.parametrize(("name", "value"), [("KillSignal", "nine"), ("NoSuchThing", "1")])
def test_a_bad_annotation_is_an_error_that_names_it_and_leaves_nothing(scoped, name, value):
    """R-276, R-037: a text that is no value; a property that only systemd knows not to exist."""
    one, unit = scoped(properties(**{name: value}))
    one.gone = True
    one.try_create(options=SYSTEMD).failed('.annotations["org.systemd.property.%s"]' % name)
    assert left(unit) == []


def test_a_path_of_another_form_is_an_error(container):
    """R-023."""
    one = container({"linux": {"cgroupsPath": "/a/b"}})
    one.gone = True
    one.try_create(options=SYSTEMD).failed(".linux.cgroupsPath", "slice:prefix:name")


def test_a_living_unit_of_that_name_is_somebody_elses(scoped):
    one, unit = scoped()
    other = subprocess.Popen(
        ["systemd-run", "--quiet", "--scope", "--unit", unit, "sleep", "1000"], stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: show(unit, "ActiveState")["ActiveState"] == "active", what="the other's unit")
        one.gone = True
        one.try_create(options=SYSTEMD).failed(".linux.cgroupsPath")
        assert show(unit, "ActiveState") == {"ActiveState": "active"}
        assert other.poll() is None
    finally:
        systemctl("stop", unit)
        other.wait()


def test_a_failed_unit_of_that_name_is_forgotten(scoped):
    one, unit = scoped()
    failing = ["systemd-run", "--quiet", "--scope", "--unit", unit, "-p", "RuntimeMaxSec=1", "sleep", "1000"]
    subprocess.run(failing, stderr=subprocess.DEVNULL, check=False, timeout=patience(TIMEOUT))
    until(lambda: show(unit, "ActiveState")["ActiveState"] == "failed", what="the unit to fail")
    one.create(options=SYSTEMD)
    assert show(unit, "ActiveState") == {"ActiveState": "active"}
    one.delete("--force").ok()
    assert left(unit) == []


def test_a_create_that_fails_late_leaves_nothing(scoped):
    """R-037."""
    one, unit = scoped({"process": {"args": ["/no/such/program"]}})
    one.gone = True
    one.try_create(options=SYSTEMD).failed("no such file or directory")
    assert left(unit) == []


@pytest.mark.slow
def test_create_may_be_killed_at_any_moment(scoped, pyoci):
    """R-01: what is left is found by `delete --force`, and nothing remains."""
    one, unit = scoped()
    start = time.monotonic()
    one.create(options=SYSTEMD)
    whole = time.monotonic() - start
    one.delete("--force").ok()
    for part in (4, 6, 7, 8, 9):
        one, unit = scoped()
        process = pyoci.spawn("create", "--bundle", one.bundle.path, one.id, options=SYSTEMD)
        time.sleep(whole * part / 10)
        process.signal(signal.SIGKILL)
        process.wait()
        pyoci("delete", "--force", one.id).ok()
        one.gone = True
        until(lambda unit=unit: left(unit) == [], what="the end of " + unit)
        assert one.id not in pyoci.left()


def test_the_program_may_end_by_itself_and_its_unit_with_it(scoped):
    one, unit = scoped(args=["/bin/true"])
    one.create(options=SYSTEMD)
    one.start()
    assert one.wait() == 0
    until(lambda: not is_loaded(unit), what="the end of the unit")
    assert one.status() == "stopped"
    one.delete().ok()
    assert left(unit) == []


def test_the_other_commands_go_through_the_directories(scoped, pyoci):
    """R-023: pause, resume, exec, ps, events, kill --all."""
    one, unit = scoped(args=["/bin/sleep", "1000"])
    one.create(options=SYSTEMD)
    one.start()
    pyoci("pause", one.id).ok()
    assert one.status() == "paused"
    pyoci("resume", one.id).ok()
    assert one.status() == "running"
    pyoci("exec", "--detach", one.id, "/bin/sleep", "999").ok()
    pids = pyoci("ps", "--format", "json", one.id).ok().json()
    assert len(pids) == 2
    for pid in pids:
        assert cgroup_of(pid, "pids").endswith(unit)
    assert pyoci("events", "--stats", one.id).ok().json()["data"]["pids"]["current"] == 2
    pyoci("pause", one.id).ok()
    one.delete("--force").ok()
    assert left(unit) == []


def test_a_writable_cgroup_is_given_to_the_containers_user(scoped):
    """R-252."""
    requires("cgroup2")
    mount = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]}
    one, _ = scoped({"process": {"user": {"uid": USER, "gid": USER}}, "mounts+": [mount]})
    one.create(options=SYSTEMD)
    assert os.stat(cgroup_of(one.pid)).st_uid == USER
    one.delete("--force").ok()


def test_a_container_sees_its_own_cgroup(scoped):
    """The mount of /sys/fs/cgroup shows the unit: through a namespace on version 2, by bind mounts on version 1."""
    one, _ = scoped(args=["/bin/sh", "-c", "cat /sys/fs/cgroup/pids*/pids.max /sys/fs/cgroup/pids.max"])
    one.bundle.edit(limits(pids={"limit": 37}))
    one.create(options=SYSTEMD)
    one.start()
    one.wait()
    assert "37" in one.out().split()
    one.delete().ok()


# ---- without privileges ----


@pytest.fixture(scope="module")
def session():
    """The prefix of a command of the user `lab`, whose service manager runs.

    In the first mount namespace, since that of the tests does not get to see what is mounted at /run/user later.
    """
    requires("cgroup2")
    if subprocess.run(["id", "lab"], capture_output=True, check=False).returncode:
        pytest.skip("no user lab")
    manager = "user@%d.service" % USER
    subprocess.run(["systemctl", "start", manager], capture_output=True, timeout=patience(120), check=False)
    if show(manager, "ActiveState")["ActiveState"] != "active":
        pytest.skip("no systemd of a user")
    directory = "/run/user/%d" % USER
    who = ["setpriv", "--reuid=%d" % USER, "--regid=%d" % USER, "--clear-groups", "env", "HOME=/tmp"]
    bus = "DBUS_SESSION_BUS_ADDRESS=unix:path=%s/bus" % directory
    yield ["nsenter", "--mount=/proc/1/ns/mnt", *who, "XDG_RUNTIME_DIR=" + directory, bus]
    systemctl("stop", manager)


def test_a_users_containers_are_units_of_his_own_systemd(session, bundle, work, fresh_id):
    """R-023, R-282: from a place that the user's systemd does not own; limited as far as it has controllers."""
    mine = os.path.join(work, "user")
    os.mkdir(mine)
    os.chown(mine, USER, USER)
    pyoci, name = Runtime(mine), fresh_id()
    manager = hierarchies()["unified"] + show("user@%d.service" % USER, "ControlGroup")["ControlGroup"]
    limited = "pids" in read(manager + "/cgroup.controllers").split()
    one = bundle(
        limits(pids={"limit": 42} if limited else None),
        {
            "linux": {
                "cgroupsPath": "user.slice:pyoci:" + name,
                "uidMappings": [{"containerID": 0, "hostID": USER, "size": 1}],
                "gidMappings": [{"containerID": 0, "hostID": USER, "size": 1}],
                "namespaces+": [{"type": "user"}],
            }
        },
        args=["/bin/sleep", "1000"],
    )
    places = ("/proc", "/dev/pts", "/dev/mqueue", "/sys", "/sys/fs/cgroup")  # not what this is about
    one.config["mounts"] = [m for m in one.config["mounts"] if m["destination"] not in places]
    one.save()
    subprocess.run(["chown", "-R", "%d:%d" % (USER, USER), one.path], check=True)
    unit, file = "pyoci-%s.scope" % name, mine + "/pid"
    create = ["create", "--bundle", one.path, "--pid-file", file, name]
    path = "%s/user.slice/%s" % (manager, unit)
    try:
        pyoci(*create, options=SYSTEMD, wrap=session).ok()
        assert cgroup_of(int(read(file)), "unified") == path
        shown = show(unit, "TasksMax", "ActiveState", wrap=session)
        assert shown["ActiveState"] == "active"
        pyoci("start", name, wrap=session).ok()
        if limited:
            assert read(path + "/pids.max").strip() == shown["TasksMax"] == "42"
            pyoci("update", "--pids-limit", "43", name, wrap=session).ok()
            assert show(unit, "TasksMax", wrap=session) == {"TasksMax": "43"}
        pyoci("exec", "--detach", name, "/bin/sleep", "999", wrap=session).ok()
        assert len(read(path + "/cgroup.procs").split()) == 2
    finally:
        pyoci("delete", "--force", name, wrap=session).ok()
    assert not os.path.exists(path)
    assert show(unit, "LoadState", wrap=session) == {"LoadState": "not-found"}


def test_a_user_without_a_session_is_told_so(session, bundle, work, fresh_id):
    one = bundle({"linux": {"cgroupsPath": "user.slice:pyoci:x", "namespaces+": [{"type": "user"}]}})
    pyoci = Runtime(work)
    os.chmod(work, 0o777)
    edit = {"linux": {"uidMappings": [{"containerID": 0, "hostID": USER, "size": 1}],
                      "gidMappings": [{"containerID": 0, "hostID": USER, "size": 1}]}}  # fmt: skip
    one.config["mounts"] = [
        m for m in one.config["mounts"] if m["destination"] != "/dev/pts"
    ]  # its gid is not mapped
    one.edit(edit)
    subprocess.run(["chown", "-R", "%d:%d" % (USER, USER), one.path], check=True)
    wrap = [*session[: session.index("env")], "env", "-u", "XDG_RUNTIME_DIR", "-u", "DBUS_SESSION_BUS_ADDRESS"]
    result = pyoci("create", "--bundle", one.path, fresh_id(), options=SYSTEMD, wrap=wrap)
    result.failed("systemd of this user", "XDG_RUNTIME_DIR")
