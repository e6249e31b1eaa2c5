"""linux.intelRdt (R-254), against a file system that behaves like resctrl (see resctrl_tree.py).

No option of pyoci leads it there: the tests start it by a program of their own that puts another function in the
place of the one that looks for the mount.  Everything behind that is what runs on a processor with RDT.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from . import host
from .host import requires
from .runtime import Children, Runtime, default_command

HERE = os.path.dirname(os.path.abspath(__file__))
STARTER = """
import os, sys
sys.path.append({source!r})
from pyoci.resctrl import mounted
mounted.find = lambda: mounted.Mounted({point!r})
from pyoci import startup
startup.run({source!r})
"""
FULL = "    L3:0=7ff;1=7ff\n    MB:0= 100;1= 100\n"


class Tree:
    """The mounted tree, and the log of what was changed in it."""

    def __init__(self, point, log):
        self.point, self.log_path = point, log

    def path(self, *parts):
        return os.path.join(self.point, *parts)

    def read(self, *parts):
        return host.read(self.path(*parts))

    def changes(self):
        return [json.loads(line) for line in host.read(self.log_path).splitlines()]

    def groups(self):
        return sorted(set(os.listdir(self.point)) - {"info", "mon_groups", "schemata", "tasks"})

    def monitors(self, group=""):
        return os.listdir(self.path(group, "mon_groups"))


@pytest.fixture
def tree(work):
    requires("fuse")
    point, log = os.path.join(work, "resctrl"), os.path.join(work, "resctrl.log")
    os.mkdir(point)
    server = subprocess.Popen(
        [sys.executable, os.path.join(HERE, "resctrl_tree.py"), point, log], stdout=subprocess.PIPE, text=True
    )
    with server.stdout:
        assert server.stdout.readline() == "ready\n"
    yield Tree(point, log)
    host.umount(point)
    Children.wait(server.pid, 10)
    server.returncode = 0


@pytest.fixture
def pyoci(work, tree):
    """Pyoci on a machine whose resctrl is the tree.  Needs an installation of this interpreter's."""
    if os.environ.get("PYOCI_RUNTIME"):
        pytest.skip("the tree can be put under pyoci only")
    import pyoci as package

    assert default_command()
    starter = os.path.join(work, "starter.py")
    host.write(starter, STARTER.format(source=os.path.dirname(os.path.dirname(package.__file__)), point=tree.point))
    return Runtime(work, command=[sys.executable, "-I", "-S", starter])


def rdt(**given):
    return {"linux": {"intelRdt": given}}


SLEEP = ("/bin/sleep", "1000")


def test_a_class_of_its_own_is_made_written_joined_and_removed(container, tree):
    """R-254. The order of config-linux.md: l3CacheSchema, memBwSchema, schemata; each line in one write."""
    edit = rdt(l3CacheSchema="L3:0=f", memBwSchema="MB:0=50;1=70", schemata=["L3:1=f0", "L3:0=ff"])
    one = container(edit, args=SLEEP).create()
    assert tree.changes() == [
        ["mkdir", one.id, "", 0],
        ["write", one.id + "/schemata", "L3:0=f\n", 0],
        ["write", one.id + "/schemata", "MB:0=50;1=70\n", 0],
        ["write", one.id + "/schemata", "L3:1=f0\n", 0],
        ["write", one.id + "/schemata", "L3:0=ff\n", 0],
        ["write", one.id + "/tasks", "%d" % one.pid, 0],
    ]
    assert tree.read(one.id, "tasks") == "%d\n" % one.pid
    one.start()
    one.end()
    one.delete().ok()
    assert tree.groups() == []
    assert tree.read("schemata") == FULL


def test_an_empty_object_asks_for_a_class_and_writes_no_schemata(container, tree):
    """R-254."""
    one = container(rdt(), args=SLEEP).create()
    assert [change[:2] for change in tree.changes()] == [["mkdir", one.id], ["write", one.id + "/tasks"]]
    one.delete("--force").ok()
    assert tree.groups() == []


def test_without_intelRdt_nothing_of_resctrl_is_touched(container, tree):
    """R-254."""
    one = container(args=SLEEP).create()
    one.delete("--force").ok()
    assert tree.changes() == []


def test_a_class_with_a_name_stays_when_the_container_is_deleted(container, tree):
    """R-254."""
    one = container(rdt(closID="gold", l3CacheSchema="L3:0=f"), args=SLEEP).create()
    assert tree.read("gold", "tasks") == "%d\n" % one.pid
    one.delete("--force").ok()
    assert tree.groups() == ["gold"]
    assert "L3:0=00f;1=7ff" in tree.read("gold", "schemata")


def test_a_second_container_joins_the_class_that_the_first_one_made(container, tree):
    """The kernel has filled in domain 1 and rounded the bandwidth up meanwhile."""
    edit = rdt(closID="gold", l3CacheSchema="L3:0=f", memBwSchema="MB:0=45")
    one = container(edit, args=SLEEP).create()
    two = container(edit, args=SLEEP).create()
    assert sorted(map(int, tree.read("gold", "tasks").split())) == sorted([one.pid, two.pid])


@pytest.mark.parametrize(
    ("given", "place", "difference"),
    [
        ({"l3CacheSchema": "L3:0=f"}, "l3CacheSchema", "L3:0=0f0;1=7ff"),
        ({"l3CacheSchema": "L3:0=f0;1=f"}, "l3CacheSchema", "L3:0=0f0;1=7ff"),
        ({"l3CacheSchema": "L3:0=f0", "memBwSchema": "MB:1=30"}, "memBwSchema", "MB:0= 100;1= 100"),
        ({"l3CacheSchema": "L3CODE:0=f0"}, "l3CacheSchema", "it has no line L3CODE:"),
    ],
)
def test_a_class_that_exists_with_other_schemata_is_an_error(container, tree, given, place, difference):
    """R-254."""
    os.mkdir(tree.path("gold"))
    host.write(tree.path("gold", "schemata"), "L3:0=f0\n")
    before = tree.changes()
    one = container(rdt(closID="gold", **given), args=SLEEP)
    one.try_create().failed("exists with other schemata", ".linux.intelRdt." + place, difference)
    assert tree.changes() == before


def test_schemata_are_written_into_a_class_that_exists(container, tree):
    """config-linux.md has them written, and only the two older fields compared."""
    os.mkdir(tree.path("gold"))
    container(rdt(closID="gold", schemata=["MB:0=20", "L3:1=1"]), args=SLEEP).create()
    assert "L3:0=7ff;1=001" in tree.read("gold", "schemata")
    assert "MB:0=  20;1= 100" in tree.read("gold", "schemata")


def test_a_class_without_schemata_must_exist(container, tree):
    """R-254."""
    one = container(rdt(closID="gold"), args=SLEEP)
    one.try_create().failed("no such file or directory", ".linux.intelRdt.closID", "gold")
    os.mkdir(tree.path("gold"))
    one.create()
    assert tree.read("gold", "tasks") == "%d\n" % one.pid
    one.delete("--force").ok()
    assert [change[:2] for change in tree.changes()] == [["mkdir", "gold"], ["write", "gold/tasks"]]


def test_the_root_class_is_joined_and_never_removed(container, tree):
    """R-254."""
    one = container(rdt(closID="/", enableMonitoring=True), args=SLEEP).create()
    assert tree.monitors() == [one.id]
    assert [change[:2] for change in tree.changes()] == [
        ["mkdir", "mon_groups/" + one.id],
        ["write", "tasks"],
        ["write", "mon_groups/%s/tasks" % one.id],
    ]
    one.delete("--force").ok()
    assert tree.monitors() == []
    assert tree.changes()[-1] == ["rmdir", "mon_groups/" + one.id, "", 0]


def test_monitoring_makes_a_group_with_the_containers_name_and_removes_it(container, tree):
    """R-254."""
    edit = rdt(closID="gold", l3CacheSchema="L3:0=f", enableMonitoring=True)
    one = container(edit, args=SLEEP).create()
    two = container(edit, args=SLEEP).create()
    assert tree.read("gold", "mon_groups", one.id, "tasks") == "%d\n" % one.pid
    one.delete("--force").ok()
    assert tree.monitors("gold") == [two.id]


def test_no_room_for_a_monitoring_group_is_an_error_that_leaves_nothing(container, tree):
    """R-254."""
    for number in range(6):
        os.mkdir(tree.path("mon_groups", "m%d" % number))
    one = container(rdt(closID="/", enableMonitoring=True), args=SLEEP)
    one.try_create().failed("no space left on device", ".linux.intelRdt.enableMonitoring", "Out of RMIDs")
    assert len(tree.monitors()) == 6


def test_a_monitoring_group_of_somebody_else_is_an_error_and_stays(container, tree):
    one = container(rdt(closID="/", enableMonitoring=True), args=SLEEP)
    os.mkdir(tree.path("mon_groups", one.id))
    one.try_create().failed("file exists", ".linux.intelRdt.enableMonitoring")
    assert tree.monitors() == [one.id]


def test_no_room_for_a_class_is_an_error(container, tree):
    for name in "abc":
        os.mkdir(tree.path(name))
    one = container(rdt(l3CacheSchema="L3:0=f"), args=SLEEP)
    one.try_create().failed("no space left on device", ".linux.intelRdt", "Out of CLOSIDs")
    assert tree.groups() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("given", "place", "reason"),
    [
        ({"l3CacheSchema": "L3:0=505"}, ".l3CacheSchema", "non-consecutive 1-bits"),
        ({"memBwSchema": "MB:0=5"}, ".memBwSchema", "out of range"),
        ({"schemata": ["L3:0=f", "L2:0=f"]}, ".schemata[1]", "Unknown or unsupported resource name 'L2'"),
        ({"closID": "gold", "schemata": ["L3:7=f"]}, ".schemata[0]", "Could not find domain"),
    ],
)
def test_what_the_processor_refuses_is_an_error_with_its_place_and_leaves_nothing(
    container, tree, given, place, reason
):
    one = container(rdt(**given), args=SLEEP)
    one.try_create().failed("invalid argument", ".linux.intelRdt" + place, reason)
    assert tree.groups() == []


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("monitored", [False, True])
def test_a_create_that_fails_later_leaves_no_class(container, tree, named, monitored):
    given = {"closID": "gold"} if named else {}
    edit = rdt(l3CacheSchema="L3:0=f", enableMonitoring=monitored, **given)
    one = container(edit, {"process": {"args": ["/bin/nope"]}})
    one.try_create().failed("no such file or directory")
    assert tree.groups() == []
    assert tree.changes()[0][:2] == ["mkdir", "gold" if named else one.id]  # it had been made


def test_a_failing_create_leaves_the_class_that_another_container_uses(container, tree):
    edit = rdt(closID="gold", l3CacheSchema="L3:0=f")
    one = container(edit, args=SLEEP).create()
    two = container(edit, {"process": {"args": ["/bin/nope"]}})
    two.try_create().failed("no such file or directory")
    assert tree.read("gold", "tasks") == "%d\n" % one.pid


def test_a_directory_with_the_containers_name_is_used_and_not_removed(container, tree):
    one = container(rdt(memBwSchema="MB:0=100"), args=SLEEP)
    os.mkdir(tree.path(one.id))
    one.create()
    assert tree.read(one.id, "tasks") == "%d\n" % one.pid
    one.delete("--force").ok()
    assert tree.groups() == [one.id]


@pytest.mark.parametrize("name", ["info", "schemata"])
def test_an_id_that_is_something_else_in_resctrl_is_an_error(pyoci, bundle, tree, name):
    where = bundle(rdt(), args=SLEEP)
    pyoci("create", "--bundle", where.path, name).failed("is no class of service", ".linux.intelRdt")
    assert tree.changes() == []


def test_exec_joins_the_class_and_its_monitoring_group(container, pyoci, tree):
    one = container(rdt(enableMonitoring=True), args=SLEEP).create().start()
    pyoci("exec", "--detach", "--pid-file", one.pid_file + "2", one.id, *SLEEP).ok()
    pids = sorted([one.pid, int(host.read(one.pid_file + "2"))])
    assert sorted(map(int, tree.read(one.id, "tasks").split())) == pids
    assert sorted(map(int, tree.read(one.id, "mon_groups", one.id, "tasks").split())) == pids
    os.rmdir(tree.path(one.id))
    pyoci("exec", one.id, "/bin/true").ok()


@pytest.mark.parametrize("damage", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_a_runtime_killed_in_the_middle_leaves_a_class_that_delete_finds(container, pyoci, tree, named, damage):
    """R-082. In the createRuntime hook, when the class is made and joined."""
    kill = {"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $PPID"]}
    given = {"closID": "gold"} if named else {}
    edit = rdt(l3CacheSchema="L3:0=f", enableMonitoring=True, **given)
    one = container(edit, {"hooks": {"createRuntime": [kill]}}, args=SLEEP)
    assert one.try_create().code == 128 + signal.SIGKILL
    assert tree.groups() == ["gold" if named else one.id]
    if damage:
        host.write(os.path.join(pyoci.root, one.id, "state.json"), "{")
    one.delete("--force").ok()
    assert tree.groups() == []
    assert pyoci.left() == []


def at_the_lock(pid, point):
    """Whether the process, or one that it has become, has the root of resctrl open, as it does to lock it."""
    try:
        return any(
            os.path.realpath("/proc/%d/fd/%s" % (pid, fd)) == point for fd in os.listdir("/proc/%d/fd" % pid)
        )
    except OSError:
        return False


def test_create_waits_for_who_holds_the_lock_of_resctrl(container, pyoci, tree):

    fd = os.open(tree.point, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    one = container(rdt(), args=SLEEP)
    arguments = ["create", "--bundle", one.bundle.path, "--pid-file", one.pid_file, one.id]
    waiting = pyoci.spawn(*arguments)
    try:
        host.until(
            lambda: at_the_lock(waiting.pid, tree.point) or not waiting.running(), what="a create that waits"
        )
        time.sleep(0.3)
        assert waiting.running()
        assert tree.changes() == []
    finally:
        os.close(fd)
        result = waiting.wait()
    result.ok()
    assert tree.groups() == [one.id]
    fd = os.open(tree.point, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the waiting init does not hold it
    os.close(fd)


def test_many_at_once_with_one_closID_all_find_the_class_whole(container, tree):
    edit = rdt(closID="gold", l3CacheSchema="L3:0=f;1=f", memBwSchema="MB:0=50", schemata=["MB:1=50"])
    several = [container(edit, args=SLEEP) for _ in range(6)]
    running = [
        one.runtime.spawn("create", "--bundle", one.bundle.path, "--pid-file", one.pid_file, one.id)
        for one in several
    ]
    for process in running:
        process.wait().ok()
    assert sorted(map(int, tree.read("gold", "tasks").split())) == sorted(one.pid for one in several)
    assert [change[0] for change in tree.changes()].count("mkdir") == 1


def test_update_changes_the_class(container, pyoci, tree):
    one = container(rdt(l3CacheSchema="L3:0=f"), args=SLEEP).create()
    pyoci("update", "--l3-cache-schema", "L3:0=ff", "--mem-bw-schema", "MB:1=30", one.id).ok()
    assert "L3:0=0ff;1=7ff" in tree.read(one.id, "schemata")
    assert "MB:0= 100;1=  30" in tree.read(one.id, "schemata")


def test_an_update_that_is_refused_changes_nothing(container, pyoci, tree):
    one = container(rdt(l3CacheSchema="L3:0=f"), args=SLEEP).create()
    before = tree.read(one.id, "schemata")
    pyoci("update", "--l3-cache-schema", "L3:0=ff", "--mem-bw-schema", "MB:1=3", one.id).failed("out of range")
    assert tree.read(one.id, "schemata") == before
    wrong = ["--pids-limit", "-7"] if host.is_cgroup2() else ["--cpuset-cpus", "4095"]
    pyoci("update", "--l3-cache-schema", "L3:0=ff", *wrong, one.id).failed()
    assert tree.read(one.id, "schemata") == before
    pyoci("update", "--mem-bw-schema", "L3:0=1", one.id).failed("MB:", "--mem-bw-schema")


def test_update_of_a_container_without_a_class_is_an_error(container, pyoci, tree):
    one = container(args=SLEEP).create()
    pyoci("update", "--l3-cache-schema", "L3:0=ff", one.id).failed("no class of service", "--l3-cache-schema")
    assert tree.changes() == []


def test_check_compares_with_the_host(pyoci, bundle, tree):
    def faults(**given):
        where = bundle(rdt(**given))
        return {
            fault["path"]: fault["message"]
            for fault in json.loads(pyoci("check", "--format", "json", "--bundle", where.path).out)
            if "intelRdt" in fault["path"]
        }

    os.mkdir(tree.path("gold"))
    assert faults(closID="gold") == {}
    assert faults(closID="gold", l3CacheSchema="L3:0=7ff", enableMonitoring=True) == {}
    assert faults(l3CacheSchema="L3:0=1", schemata=["MB:0=10"]) == {}
    assert "no class of service" in faults(closID="tin")[".linux.intelRdt.closID"]
    assert "other schemata" in faults(closID="gold", l3CacheSchema="L3:0=1")[".linux.intelRdt.l3CacheSchema"]
    assert '"L2"' in faults(schemata=["MB:0=10", "L2:0=1"])[".linux.intelRdt.schemata[1]"]
    assert len(tree.changes()) == 1


def test_a_host_without_resctrl_refuses_by_name(work, bundle):
    """R-254. With the command itself: no start of the tests' own."""
    if any(mount.fstype == "resctrl" for mount in host.mountinfo()):
        pytest.skip("resctrl is mounted here")
    plain = Runtime(work)
    where = bundle(rdt(closID="gold", l3CacheSchema="L3:0=f"))
    refusal = plain("run", "--bundle", where.path, "rdt-none").failed("no resctrl file system is mounted")
    assert ".linux.intelRdt" in refusal.text
    assert plain.left() == []
    plain("check", "--bundle", where.path).failed(".linux.intelRdt: no resctrl file system is mounted")
