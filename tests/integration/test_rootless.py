"""pyoci called by an ordinary user: id maps through newuidmap, no cgroups, mounts, and the errors (R-239 to R-285).

The user and the ranges of /etc/subuid are files bound over the host's in the tests' own mount namespace.
"""

import json
import os
import shutil
import subprocess
import time

import pytest

import pyoci as package

from . import host
from .bundles import DROP, bind, entry, namespaces
from .host import requires
from .runtime import Runtime, default_command

UID, FIRST, COUNT = 54321, 700000, 1000
NAME = "pt%d" % UID
PYTHON = "/usr/bin/python3"
PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(package.__file__)))
OWN = [{"containerID": 0, "hostID": UID, "size": 1}]
RANGES = [*OWN, {"containerID": 1, "hostID": FIRST, "size": COUNT}]
SLEEP = ["/bin/sleep", "1000"]
AS_USER = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "--inh-caps=-all"]


@pytest.fixture
def ids(work):
    """ids(subuid=text, subgid=text): an ordinary user, and what /etc/subuid and /etc/subgid give."""
    for name in ("newuidmap", "newgidmap"):
        if not os.path.exists("/usr/bin/" + name):
            pytest.skip("no /usr/bin/%s (package uidmap)" % name)
    covered = []

    def cover(path, text):
        mine = os.path.join(work, path.replace("/", "_"))
        host.write(mine, text)
        host.mount(mine, path, None, host.MS_BIND)
        covered.append(path)

    def make(subuid=None, subgid=None):
        ranges = "%s:%d:%d\n" % (NAME, FIRST, COUNT)
        cover("/etc/passwd", host.read("/etc/passwd") + "%s:x:%d:%d::/tmp:/bin/sh\n" % (NAME, UID, UID))
        cover("/etc/subuid", ranges if subuid is None else subuid)
        cover("/etc/subgid", ranges if subgid is None else subgid)

    yield make
    for path in reversed(covered):
        host.umount(path)


@pytest.fixture
def user(work, ids):
    """The runtime as an ordinary user calls it; user.hide(path, ...) covers files of the host."""
    requires("userns")
    if not os.path.exists(PYTHON) or os.stat("/tmp").st_mode & 0o005 != 0o005:
        pytest.skip("an ordinary user needs %s" % PYTHON)
    ids()
    home = work + "/home"
    os.makedirs(home + "/run")
    for path in (home, home + "/run"):
        os.chown(path, UID, UID)
    os.chmod(work, 0o755)
    environment = {
        "XDG_RUNTIME_DIR": home + "/run",
        "HOME": home,
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": PROJECT,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return Ordinary(work, environment, command_for(environment))


def command_for(environment):
    """The command under test where such a user may execute it, else the source tree."""
    try:
        trial = [*AS_USER, *default_command(), "--version"]
        done = subprocess.run(
            trial, env=environment, cwd="/", capture_output=True, check=False, timeout=host.patience(30)
        )
    except OSError:
        return [PYTHON, "-m", "pyoci"]
    return default_command() if done.returncode == 0 else [PYTHON, "-m", "pyoci"]


class Ordinary(Runtime):
    """Runtime, but called with the ids of a user, in his environment and with his own state root."""

    def __init__(self, work, environment, command):
        super().__init__(work, command)
        self.environment = environment
        self.inside = []  # words before the command, as root

    def spawn(self, *arguments, **more):
        more.update(wrap=[*self.inside, *AS_USER], root=False, env=self.environment, cwd="/")
        return super().spawn(*arguments, **more)

    def left(self):
        root = self.environment["XDG_RUNTIME_DIR"] + "/pyoci"
        return sorted(name for name in os.listdir(root) if not name.startswith(".")) if os.path.isdir(root) else []


def rootless(uids=OWN, gids=None, *, types=("pid", "network", "ipc", "uts", "mount", "user")):
    """What `pyoci spec --rootless` makes of a configuration, as an edit."""

    def change(config):
        linux = config["linux"]
        linux.pop("cgroupsPath", None)
        linux.pop("resources", None)
        linux.update(namespaces=namespaces(*types), uidMappings=uids, gidMappings=gids or uids)
        for mount in config["mounts"]:
            mount["options"] = [word for word in mount.get("options", ()) if word != "gid=5"]
        config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] != "/sys/fs/cgroup"]

    return change


@pytest.fixture
def box(user, container, bundle):
    """box(edit, ..., args=[...]) -> Container of the ordinary user's, in a bundle that is his."""

    def make(*edits, args=("/bin/probe", "--pause"), maps=OWN, gids=None):
        here = bundle(rootless(maps, gids), *edits, args=args)
        for base, _, _ in os.walk(here.path):  # its files are links to those of other tests
            os.chown(base, UID, UID)
        one = container(of=here)
        one.runtime = user
        one.pid_file = user.environment["HOME"] + "/%s.pid" % one.id
        return one

    return make


def report_of(one, left=()):
    one.create().start()
    report = one.report()
    one.end()
    one.delete().ok()
    assert one.runtime.left() == list(left)
    return report


# ---- id maps ----


def test_ones_own_id_needs_no_helper(box):
    """R-240: setgroups is denied, as the kernel demands of a map that its owner writes."""
    report = report_of(box())
    assert report["uid_map"].split() == ["0", str(UID), "1"]
    assert report["gid_map"].split() == ["0", str(UID), "1"]
    assert report["setgroups"] == "deny\n"
    assert (report["uid"], report["groups"]) == ([0] * 3, [])


def test_subordinate_ids_are_mapped_by_the_helpers(box):
    """R-240: with several groups, setgroups stays allowed."""
    edit = {"process": {"user": {"uid": 5, "gid": 6, "additionalGids": [7]}}}
    report = report_of(box(edit, maps=RANGES))
    rows = [line.split() for line in report["uid_map"].splitlines()]
    assert rows == [["0", str(UID), "1"], ["1", str(FIRST), str(COUNT)]]
    assert [line.split() for line in report["gid_map"].splitlines()] == rows
    assert report["setgroups"] == "allow\n"
    assert (report["uid"], report["gid"], report["groups"]) == ([5] * 3, [6] * 3, [7])


def test_each_map_is_written_in_its_own_way(box):
    """R-240: several users by the helper, the one group by ourselves."""
    report = report_of(box(maps=RANGES, gids=OWN))
    assert len(report["uid_map"].splitlines()) == 2
    assert report["gid_map"].split() == ["0", str(UID), "1"]
    assert report["setgroups"] == "deny\n"


def test_the_files_of_the_container_are_those_of_the_range(box, user):
    shared = user.environment["HOME"] + "/shared"
    os.mkdir(shared)
    os.chmod(shared, 0o777)
    edit = {"process": {"user": {"uid": 5, "gid": 6}}, "mounts+": [bind("/data", shared, "bind")]}
    one = box(edit, args=["/bin/probe", "--create", "/data/new", "--pause"], maps=RANGES)
    report_of(one)
    found = os.stat(shared + "/new")
    assert (found.st_uid, found.st_gid) == (FIRST + 4, FIRST + 5)


@pytest.mark.parametrize(
    ("maps", "file"),
    [
        ([{"containerID": 0, "hostID": FIRST + 1, "size": COUNT}], "/etc/subuid"),
        ([{"containerID": 0, "hostID": 0, "size": 1}], "/etc/subuid"),
    ],
    ids=["past-the-range", "the-hosts-root"],
)
def test_a_range_of_somebody_else_is_refused_in_the_helpers_words(box, user, maps, file):
    one = box(maps=maps)
    result = one.try_create()
    result.failed("newuidmap: exit status 1: operation not permitted", ".linux.uidMappings", "not allowed", file)
    assert user.left() == []
    checked = user("check", "--bundle", one.bundle.path)
    checked.failed("not ours to map", ".linux.uidMappings[0]", file)


def test_a_missing_helper_is_named(box, user):
    """R-240: it is looked for in fixed places, never in the caller's PATH."""
    wanted = user.environment["HOME"] + "/bin"
    os.mkdir(wanted)
    shutil.copy("/bin/true", wanted + "/newuidmap")
    user.environment["PATH"] = wanted + ":" + user.environment["PATH"]
    one = box(maps=RANGES)
    host.mount("/dev/null", "/usr/bin/newuidmap", None, host.MS_BIND)
    try:
        result = one.try_create()
        checked = user("check", "--bundle", one.bundle.path)
    finally:
        host.umount("/usr/bin/newuidmap")
    result.failed("newuidmap: no such file or directory", ".linux.uidMappings", "uidmap")
    assert user.left() == []
    checked.failed("newuidmap", ".linux.uidMappings")


def test_groups_that_nobody_may_set_are_an_error(box):
    """R-220: setgroups is denied where one's own group alone is mapped."""
    one = box({"process": {"user": {"uid": 0, "gid": 0, "additionalGids": [0]}}})
    one.try_create().failed("setgroups", "operation not permitted", ".process.user.additionalGids", "newgidmap")


# ---- a whole life, with what the user may not have ----


def test_a_whole_life(box, user):
    """R-283: with a terminal's worth of commands, and no cgroup."""
    one = box(args=SLEEP, maps=RANGES).create()
    assert one.status() == "created"
    user("exec", one.id, "/bin/id").failed("permission denied", "start the container", code=255)
    assert host.cgroup_of(one.pid, "pids") == host.cgroup_of(os.getpid(), "pids")
    one.start()
    assert one.status() == "running"
    assert user("exec", one.id, "/bin/id", "-u").ok().out == "0\n"
    assert user("exec", "--user", "5:6", one.id, "/bin/id", "-G").ok().out == "6\n"
    assert user("list", "-q").ok().out == one.id + "\n"
    assert user("ps", "--format", "json", one.id).ok().json() == [one.pid]
    user("pause", one.id).failed("no freezer cgroup")
    one.kill("KILL").ok()
    assert one.wait() == 137
    one.delete().ok()
    assert user.left() == []


def test_run_and_its_exit_status(user, box):
    here = box(args=["/bin/sh", "-c", "exit 7"]).bundle
    assert user("run", "--bundle", here.path, "pt-run").code == 7
    assert user.left() == []


def test_what_spec_writes_runs(user, box):
    """R-132: `spec --rootless`."""
    here = box().bundle
    os.unlink(here.path + "/config.json")
    user("spec", "--rootless", "--bundle", here.path).ok()
    config = json.loads(host.read(here.path + "/config.json"))
    config["process"].update(terminal=False, args=["/bin/id", "-u"])
    here.config = config
    here.save()
    assert user("check", "--bundle", here.path).ok().text == ""
    assert user("run", "--bundle", here.path, "pt-spec").ok().out == "0\n"


def test_devices_are_the_hosts_own(box):
    """R-247, R-283."""
    device = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}
    if not os.path.exists("/dev/fuse"):
        pytest.skip("the host has no /dev/fuse")
    one = box(
        {"linux": {"devices": [device]}},
        args=["/bin/probe", "--openrw", "/dev/null", "--stat", "/dev/fuse", "--pause"],
    )
    report = report_of(one)
    assert report.errno("openrw") is None
    assert (report.stat("/dev/fuse")["major"], report.stat("/dev/fuse")["minor"]) == (10, 229)
    assert report.mount("/dev/null").fstype == "devtmpfs"


def test_a_device_that_the_host_has_not_is_an_error(box):
    device = {"path": "/dev/nosuch", "type": "c", "major": 1, "minor": 3}
    one = box({"linux": {"devices": [device]}})
    one.try_create().failed("device /dev/nosuch", "operation not permitted", ".linux.devices[0]")


@pytest.mark.parametrize("network", [True, False])
def test_sysfs_is_bound_with_the_hosts_network(user, box, network):
    """R-208."""
    types = ["pid", "ipc", "uts", "mount", "user", *(["network"] if network else [])]
    one = box({"linux": {"namespaces": namespaces(*types)}})
    mount = report_of(one).mount("/sys")
    assert mount.fstype == "sysfs"
    assert "ro" in mount.options


def test_oom_score_below_ones_own_is_an_error(box):
    """R-230; a service may have a low one, and we with it."""
    own = host.read("/proc/self/oom_score_adj")
    host.write("/proc/self/oom_score_adj", "0")
    try:
        box({"process": {"oomScoreAdj": -500}}).try_create().failed(".process.oomScoreAdj", "permission denied")
    finally:
        host.write("/proc/self/oom_score_adj", own)


# ---- cgroups ----


@pytest.mark.parametrize(
    "resources", [{"pids": {"limit": 5}}, {"memory": {"limit": 1 << 26}}], ids=["pids", "memory"]
)
def test_limits_need_a_cgroup(box, user, resources):
    """R-283."""
    one = box({"linux": {"resources": resources}})
    one.try_create().failed("rootless needs no limits + no cgrouppath when no permission is granted for cgroups")
    assert user.left() == []


def test_a_cgroup_path_needs_the_right_to_it(box, user):
    """R-283."""
    one = box({"linux": {"cgroupsPath": "/pt-rootless"}})
    one.try_create().failed("cannot create cgroup: permission denied", ".linux.cgroupsPath")
    assert user.left() == []


def test_neither_cgroup_nor_pid_namespace_is_worth_a_warning(box, user):
    """R-283: nothing then says which processes are the container's."""
    types = namespaces("network", "ipc", "uts", "mount", "user")
    mounts = [bind("/proc", "/proc", "rbind"), entry("/dev", "tmpfs", "tmpfs")]
    for edit, warned in (
        ({}, False),
        ({"mounts": mounts, "linux": {"namespaces": types, "maskedPaths": DROP, "readonlyPaths": DROP}}, True),
    ):
        result = user("run", "--bundle", box(edit, args=["/bin/true"]).bundle.path, "pt-warned").ok()
        assert ("no cgroup and no pid namespace" in result.err) is warned


def test_device_rules_are_left_out(box):
    """R-283: in a user namespace the kernel lets nobody make a device node."""
    rules = [{"allow": False, "access": "rwm"}]
    assert report_of(box({"linux": {"resources": {"devices": rules}}}))["uid"] == [0] * 3


def test_a_cgroup_that_is_ones_own_is_used(box, user):
    """R-283: below the caller's own cgroup, where that has been given to him; the other hierarchies do without."""
    requires("v1:pids")
    base = host.hierarchies()["pids"] + "/pt%d-rootless" % os.getpid()
    os.mkdir(base)
    os.chown(base, UID, UID)
    for name in ("tasks", "cgroup.procs"):
        os.chown(base + "/" + name, UID, UID)
    user.inside = ["sh", "-c", 'echo 0 >%s/cgroup.procs; exec "$@"' % base, "sh"]
    try:
        one = box({"linux": {"resources": {"pids": {"limit": 9}}}}, args=SLEEP).create().start()
        assert host.cgroup_of(one.pid, "pids") == base + "/" + one.id
        assert host.read(base + "/%s/pids.max" % one.id) == "9\n"
        assert host.cgroup_of(one.pid, "memory") == host.cgroup_of(os.getpid(), "memory")
        one.kill("KILL").ok()
        assert one.wait() == 137
        one.delete().ok()
        assert not os.path.exists(base + "/" + one.id)
    finally:
        os.rmdir(base)


# ---- refusals ----


def test_a_user_namespace_is_not_made_unasked(box, user):
    """R-284."""
    types = namespaces("pid", "network", "ipc", "uts", "mount")
    one = box({"linux": {"namespaces": types, "uidMappings": DROP, "gidMappings": DROP}})
    one.try_create().failed("rootless container requires user namespaces", ".linux.namespaces", "--rootless")
    assert user.left() == []
    user("check", "--bundle", one.bundle.path).failed(".linux.namespaces", "requires user namespaces")


@pytest.mark.parametrize("option", ["gid=5", "uid=70000", "mode=620,gid=5"])
def test_an_owner_that_is_not_mapped_is_refused_by_the_checks(box, option):
    """R-285."""
    mount = entry("/mnt", "tmpfs", "tmpfs", "nosuid", option)
    word = option.rpartition(",")[2]
    one = box({"mounts+": [mount]})
    one.try_create().failed("cannot specify %s mount option" % word, ".mounts[6].options[1]", "not mapped")


def test_an_owner_that_is_mapped_is_fine(box):
    """R-285."""
    mount = entry("/mnt", "tmpfs", "tmpfs", "uid=5", "gid=6")
    stat = report_of(box({"mounts+": [mount]}, args=["/bin/probe", "--stat", "/mnt", "--pause"], maps=RANGES))
    assert (stat.stat("/mnt")["uid"], stat.stat("/mnt")["gid"]) == (5, 6)


@pytest.mark.parametrize("maps", [OWN, None], ids=["maps", "the-word-alone"])
def test_idmapped_mounts_are_refused(box, user, maps):
    """R-203, R-283."""
    mount = {"destination": "/data", "source": "/etc", "options": ["bind", "idmap"]}
    if maps:
        mount.update(uidMappings=maps, gidMappings=maps)
    one = box({"mounts+": [mount]})
    one.try_create().failed("id-mapped mounts are not supported for rootless containers", ".mounts[6]")
    assert user.left() == []


def test_a_source_that_is_closed_to_the_user_is_an_error(box, work):
    """R-210: there is nobody with more rights to open it."""
    closed = work + "/closed"
    os.makedirs(closed + "/inside")
    os.chmod(closed, 0o700)
    one = box({"mounts+": [bind("/data", closed + "/inside", "bind")]})
    one.try_create().failed("permission denied", ".mounts[6]")


# ---- joining ----


def test_namespaces_of_another_container_of_the_users_are_joined(box, user):
    """R-239: the user namespace first, since only in it may the user join the network."""
    first = box(args=SLEEP, maps=RANGES).create().start()
    of = "/proc/%d/ns/" % first.pid
    listed = namespaces("pid", "mount", user=of + "user", network=of + "net", ipc=of + "ipc", uts=of + "uts")
    edit = {"hostname": DROP, "linux": {"namespaces": listed}}
    report = report_of(box(edit, maps=RANGES), left=[first.id])
    for name in ("user", "net", "ipc", "uts"):
        assert report["ns"][name] == os.readlink(of + name)
    assert report["uid"] == [0] * 3
    other = box(edit, maps=OWN)
    other.try_create().failed(
        "uidMappings are not those of the user namespace that is joined", ".linux.uidMappings"
    )
    assert user.left() == [first.id]
    first.end()
    first.delete().ok()


def test_an_ordinary_user_kills_the_runtime_and_deletes(box, user):
    """kill -9 of the runtime while the helpers are at work leaves what delete --force finds."""
    for step in range(8):
        one = box(args=SLEEP, maps=RANGES)
        runtime = user.spawn("create", "--bundle", one.bundle.path, one.id)
        time.sleep(0.06 + step * 0.015)
        runtime.signal(9)
        runtime.wait()
        user("delete", "--force", one.id).ok()
        one.gone = True
        host.until(lambda: not host.children(), what="the end of all processes")
    assert user.left() == []
