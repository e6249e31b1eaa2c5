"""What checkpoint and restore check before criu is asked, and what both sides have to agree on."""

import json
import os
import signal
import time
from types import SimpleNamespace

import pytest

from pyoci.errors import ConfigError, HostError, UsageError
from pyoci.ops.mounts import AttachCgroupTree, AttachFilesystem, AttachTree, MountAttributes
from pyoci.plan.namespaces import make_namespaces
from pyoci.runtime import checkpoint
from pyoci.runtime.checkpoint import _check_status_fd
from pyoci.runtime.container import CONFIG, Record, make_directory
from pyoci.runtime.images import Images, check_parent, open_to
from pyoci.runtime.restoring import restored
from pyoci.runtime.saved import (
    external_namespaces,
    host_trees,
    namespaces_to_join,
    refuse_what_would_be_lost,
    restrictions,
    warnings_of_labels,
)


def options(**given):
    return {"image_path": "", "work_path": "", **given}


def test_directories_are_made_for_the_owner_only(tmp_path):
    images = Images(options(image_path=str(tmp_path / "a" / "b"), work_path=str(tmp_path / "w")), make=True)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a/b", "w")] == [0o700, 0o700]
    assert images.log_path == str(tmp_path / "w")
    assert images.options(7) == {"images_dir_fd": 7, "work_dir_fd": 8}
    assert [os.readlink("/proc/self/fd/%d" % fd) for fd in images.reopened()] == [images.path, images.log_path]


def test_a_restore_makes_no_images(tmp_path):
    with pytest.raises(UsageError, match="no such file or directory") as caught:
        Images(options(image_path=str(tmp_path / "a")), make=False)
    assert caught.value.where == "--image-path"


def test_without_a_path_it_is_checkpoint_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = Images(options(), make=True)
    assert images.path == str(tmp_path / "checkpoint") == images.log_path
    assert images.options(4) == {"images_dir_fd": 4}


def test_parents(tmp_path):
    images = Images(options(image_path=str(tmp_path / "two")), make=True)
    (tmp_path / "one").mkdir()
    check_parent(images, "../one")
    for path in ("/one", "../nowhere"):
        with pytest.raises(UsageError, match="parent-path"):
            check_parent(images, path)


def test_images_are_opened_to_a_group_for_a_while_only(tmp_path):
    images = Images(options(image_path=str(tmp_path / "a")), make=True)
    with open_to(images, os.getegid()):
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o710
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    with open_to(images, None):
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_images_are_closed_again_though_we_are_killed(tmp_path):
    images = Images(options(image_path=str(tmp_path / "a")), make=True)
    gid = 4711 if os.geteuid() == 0 else os.getegid()
    before = os.fstat(images.fd)
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        with open_to(images, gid):
            os.write(told, b"x")
            signal.pause()
        os._exit(0)
    assert os.read(ready, 1) == b"x"
    opened = os.fstat(images.fd)
    assert (opened.st_mode & 0o777, opened.st_gid) == (0o710, gid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    end = time.monotonic() + 10
    while (os.fstat(images.fd).st_mode, os.fstat(images.fd).st_gid) != (before.st_mode, before.st_gid):
        assert time.monotonic() < end
        time.sleep(0.01)
    os.close(ready)
    os.close(told)


@pytest.mark.parametrize("fd", [9999, -1, 1 << 40])
def test_a_status_descriptor_that_is_none(fd):
    with pytest.raises(UsageError, match="invalid --status-fd argument %d: bad file descriptor" % fd):
        _check_status_fd(fd)


def test_a_status_descriptor_has_to_be_writable():
    reader, writer = os.pipe()
    _check_status_fd(writer)
    with pytest.raises(UsageError, match="not writable"):
        _check_status_fd(reader)
    os.close(reader)
    os.close(writer)


def spaces(*entries):
    return make_namespaces({"namespaces": [{"type": kind, "path": path} for kind, path in entries]})


def test_namespaces_that_are_left_alone_have_one_name_on_both_sides():
    joined = spaces(("network", "/proc/self/ns/net"), ("pid", "/proc/self/ns/pid"), ("ipc", "/proc/self/ns/ipc"))
    inode = os.stat("/proc/self/ns/net").st_ino
    saved = external_namespaces(os.getpid(), joined)
    assert saved[0] == "net[%d]:extRootNetNS" % inode
    by_path, handed = namespaces_to_join(joined)
    assert [entry.partition(":")[2] for entry in saved] == [key for key, _ in handed]
    assert by_path == [{"ns": "ipc", "ns_file": "/proc/self/ns/ipc"}]
    assert os.fstat(handed[0][1]).st_ino == inode
    for _, fd in handed:
        os.close(fd)


@pytest.mark.parametrize("kind", ["mount", "cgroup"])
def test_a_kind_that_criu_cannot_join_is_refused(kind):
    with pytest.raises(ConfigError, match="cannot restore into a %s namespace" % kind) as caught:
        namespaces_to_join(spaces((kind, "/proc/self/ns/" + kind)))
    assert caught.value.where == ".linux.namespaces[0]"


def test_what_a_user_namespace_may_not_mount_is_the_hosts():
    plain = MountAttributes()
    steps = [
        AttachTree("", "/data", "/srv", recursive=True, attributes=plain),
        AttachCgroupTree("", "/sys/fs/cgroup", "/sys/fs/cgroup/c1", plain),
        AttachFilesystem("", "/sys", "sysfs", "sysfs", attributes=plain),
        AttachFilesystem("", "/tmp", "tmpfs", "tmpfs", attributes=plain),
    ]
    data = ("/data", "/srv", True)
    cgroup = ("/sys/fs/cgroup", "/sys/fs/cgroup/c1", True)
    assert host_trees(steps, spaces(("mount", ""))) == [data]
    assert host_trees(steps, spaces(("user", ""), ("cgroup", ""), ("network", ""))) == [data]
    assert host_trees(steps, spaces(("user", ""))) == [data, cgroup, ("/sys", "/sys", True)]


def test_what_mounts_are_kept_from():
    read_only, other = MountAttributes(1), MountAttributes(2, recursive_set=8)
    steps = [
        AttachTree("", "/data", "/srv", recursive=True, attributes=read_only),
        AttachTree("", "/open", "/srv", recursive=True, attributes=MountAttributes(1, recursive_clear=1)),
        AttachTree("", "/tmp", "/srv", recursive=True, attributes=read_only),
        AttachFilesystem("", "/tmp/", "tmpfs", "tmpfs", attributes=other),
    ]
    assert restrictions(steps) == [("/data", ["ro"]), ("/open", []), ("/tmp/", ["nosuid", "noexec"])]


def test_labels_of_the_images_count_at_a_restore():
    process = {"apparmorProfile": "p", "selinuxLabel": "a:b:c"}
    found = warnings_of_labels({"process": process, "linux": {"mountLabel": "a:b:c"}})
    assert [text.partition(":")[0] for text in found] == [
        ".process.apparmorProfile",
        ".process.selinuxLabel",
        ".linux.mountLabel",
    ]
    assert "--lsm-profile" in found[0]
    assert warnings_of_labels({"process": {}, "linux": {}}) == []


@pytest.mark.parametrize(
    ("config", "where"),
    [
        ({"mounts": [{"destination": "/a"}, {"destination": "/b", "options": ["bind", "ridmap"]}]}, ".mounts[1]"),
        ({"mounts": [{"destination": "/a", "uidMappings": [{}]}]}, ".mounts[0]"),
        ({"mounts": [{"destination": "/a", "options": ["bind", "src-nofollow"]}]}, ".mounts[0]"),
        ({"mounts": [{"destination": "/a", "options": ["bind", "dest-nofollow"]}]}, ".mounts[0]"),
        ({"mounts": [{"destination": "/a", "options": ["bind", "copy-symlink"]}]}, ".mounts[0]"),
        (
            {"linux": {"seccomp": {"syscalls": [{"action": "SCMP_ACT_NOTIFY", "names": ["mkdir"]}]}}},
            ".linux.seccomp",
        ),
        ({"linux": {"netDevices": {"eth7": {}}}}, ".linux.netDevices"),
        ({"linux": {"intelRdt": {"closID": "x"}}}, ".linux.intelRdt"),
    ],
)
def test_what_would_be_lost_is_refused_by_name(config, where):
    with pytest.raises(ConfigError, match="cannot keep") as caught:
        refuse_what_would_be_lost(config)
    assert caught.value.where == where
    refuse_what_would_be_lost({"mounts": [{"destination": "/a", "options": ["bind"]}], "linux": {}})
    refuse_what_would_be_lost(
        {"linux": {"seccomp": {"syscalls": [{"action": "SCMP_ACT_ERRNO", "names": ["mkdir"]}]}}}
    )


def test_a_restore_with_a_unit_is_refused_before_anything_is_made(tmp_path):
    """criu makes the first process itself, so there is none to make the unit with."""
    call = SimpleNamespace(options={}, arguments=["c1"], root=str(tmp_path / "root"), systemd_cgroup=True)
    with pytest.raises(HostError, match="restore --systemd-cgroup: operation not supported") as caught:
        restored(call)
    assert "cgroupfs" in caught.value.fix
    assert os.listdir(tmp_path) == []


class Saving:
    """A running container (this process) as far as checkpoint looks at it before criu is asked."""

    def __init__(self, tmp_path, monkeypatch, config="{}", **cgroup):
        monkeypatch.setattr(checkpoint, "status_of", lambda *_: "running")
        directory = make_directory(str(tmp_path / "root"), "c1")
        values = {"id": "c1", "bundle": "/", "bootId": "", "stage": "made", "pid": 0, "startTime": 0}
        Record({**values, "cgroup": cgroup}).save(directory)
        directory.write(CONFIG, config.encode())
        directory.close()
        self.root = str(tmp_path / "root")
        self.rootless = False
        self.arguments = ["c1"]
        self.options = {"leave_running": False, "pre_dump": False}
        self.log = SimpleNamespace(warning=print)


class ReachedCriuError(Exception):
    """Everything that is refused beforehand was not."""


@pytest.fixture
def no_criu(monkeypatch):
    def ask():
        raise ReachedCriuError

    monkeypatch.setattr(checkpoint, "version", ask)


def test_a_container_with_a_unit_is_not_ended_by_a_checkpoint(tmp_path, monkeypatch, no_criu):
    """Its images could not be restored."""
    call = Saving(tmp_path, monkeypatch, unit="c1.scope")
    with pytest.raises(HostError, match="--systemd-cgroup") as caught:
        checkpoint.main(call)
    assert "cgroupfs" in caught.value.fix
    call.options["leave_running"] = True
    with pytest.raises(ReachedCriuError):
        checkpoint.main(call)


def test_a_container_without_a_unit_is_saved(tmp_path, monkeypatch, no_criu):
    with pytest.raises(ReachedCriuError):
        checkpoint.main(Saving(tmp_path, monkeypatch))


def test_crun_s_word_for_a_mapping_is_seen_at_the_checkpoint(tmp_path, monkeypatch, no_criu):
    """What is kept of the config is its bytes."""
    words = ["bind", "idmap=uids=0-1000-1;gids=0-1000-1"]
    config = {"ociVersion": "1.2.0", "mounts": [{"destination": "/a", "source": "/", "options": words}]}
    with pytest.raises(ConfigError, match="cannot keep") as caught:
        checkpoint.main(Saving(tmp_path, monkeypatch, json.dumps(config)))
    assert caught.value.where == ".mounts[0]"
