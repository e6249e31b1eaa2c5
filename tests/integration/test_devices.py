"""Device nodes and links, masked and read-only paths, a read-only root (config-linux.md)."""

import os

import pytest

from .bundles import DROP, entry

RW = {"root": {"readonly": False}}
DEFAULT = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}


def without_dev(config):
    config["mounts"] = [m for m in config["mounts"] if not m["destination"].startswith("/dev")]


def allow(kind="c", major=None, minor=None):
    rule = {"allow": True, "type": kind, "access": "rwm"}
    if major is not None:
        rule.update(major=major, minor=minor)
    return {"linux": {"resources": {"devices+": [rule]}}}


@pytest.mark.parametrize("mounted", [True, False], ids=["dev-tmpfs", "dev-in-rootfs"])
def test_default_devices_and_links(inspect, mounted):
    """R-246."""
    looks = [x for name in DEFAULT for x in ("--stat", "/dev/" + name)]
    for name in ("fd", "stdin", "stdout", "stderr", "ptmx"):
        looks += ["--stat", "/dev/" + name]
    report = inspect(*([] if mounted else [without_dev, RW]), probe=[*looks, "--has", "/dev/console"])
    for name, numbers in DEFAULT.items():
        stat = report.stat("/dev/" + name)
        assert (stat["type"], stat["major"], stat["minor"]) == ("char", *numbers), name
        assert (stat["mode"], stat["uid"], stat["gid"]) == (0o666, 0, 0), name
    links = {
        "fd": "/proc/self/fd",
        "stdin": "/proc/self/fd/0",
        "stdout": "/proc/self/fd/1",
        "stderr": "/proc/self/fd/2",
    }
    for name, target in links.items():
        assert report.stat("/dev/" + name)["target"] == target
    assert report.stat("/dev/ptmx")["target"] in ("pts/ptmx", "/dev/pts/ptmx")
    assert report.action("has", "/dev/console")["result"] == 0


def test_default_devices_can_be_used_and_others_cannot(inspect):
    """The device cgroup allows mknod of anything and use of the default ones."""
    caps = ["CAP_MKNOD"]
    edit = {"process": {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), caps)}}
    looks = ["--openrw", "/dev/null", "--openrw", "/dev/zero", "--open", "/dev/urandom"]
    looks += ["--mknod", "/dev/kmsg", "c", "1", "11", "--open", "/dev/kmsg"]
    report = inspect(edit, probe=looks)
    for name in ("null", "zero"):
        assert report.errno("openrw", "/dev/" + name) is None
    assert report.errno("open", "/dev/urandom") is None
    assert report.errno("mknod") is None
    assert report.errno("open", "/dev/kmsg") == "EPERM"


def test_a_configured_device_has_its_mode_and_owner(inspect):
    """R-244."""
    devices = [
        {"path": "/dev/here/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o640, "uid": 5, "gid": 6},
        {"path": "/dev/blk", "type": "b", "major": 7, "minor": 200},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o622},
        {"path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 7},
        {"path": "/other/place", "type": "c", "major": 1, "minor": 3},
        {"path": "/dev/typed", "type": "c", "major": 1, "minor": 3, "fileMode": 0o20600},
    ]
    looks = [x for d in devices for x in ("--stat", d["path"])]
    report = inspect({"linux": {"devices": devices}}, RW, probe=[*looks, "--stat", "/dev/here"])
    first = report.stat("/dev/here/kmsg")
    assert (first["type"], first["major"], first["minor"]) == ("char", 1, 11)
    assert (first["mode"], first["uid"], first["gid"]) == (0o640, 5, 6)
    block = report.stat("/dev/blk")
    assert (block["type"], block["major"], block["minor"], block["mode"]) == ("block", 7, 200, 0o666)
    assert (report.stat("/dev/pipe")["type"], report.stat("/dev/pipe")["mode"]) == ("fifo", 0o622)
    assert report.stat("/dev/unbuffered")["type"] == "char"
    assert report.stat("/other/place")["type"] == "char"
    assert report.stat("/dev/typed")["mode"] == 0o600
    assert report.stat("/dev/here")["mode"] == 0o755


def test_umask_of_the_caller_does_not_change_devices(inspect):
    device = {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o777}
    looks = ["--stat", "/dev/mine", "--stat", "/dev/null"]
    report = inspect({"linux": {"devices": [device]}}, probe=looks, preexec_fn=lambda: os.umask(0o077))
    assert report.stat("/dev/mine")["mode"] == 0o777
    assert report.stat("/dev/null")["mode"] == 0o666


def test_a_configured_device_replaces_a_default_one(inspect):
    device = {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 9}
    stat = inspect({"linux": {"devices": [device]}}, probe=["--stat", "/dev/null"]).stat("/dev/null")
    assert (stat["mode"], stat["uid"]) == (0o600, 9)


LOOP = {"path": "/dev/blk", "type": "b", "major": 7, "minor": 200}


def test_a_configured_device_gets_no_access_by_itself(inspect):
    """A loop device that is not set up: refused by the cgroup it is EPERM, else whatever the driver says."""
    report = inspect({"linux": {"devices": [LOOP]}}, probe=["--open", "/dev/blk"])
    assert report.errno("open") == "EPERM"
    report = inspect({"linux": {"devices": [LOOP]}}, allow("b", 7, 200), probe=["--open", "/dev/blk"])
    assert report.errno("open") != "EPERM"


def test_an_identical_device_that_is_there_is_fine(inspect, bundle):
    """R-245."""
    here = bundle(RW, without_dev, args=["/bin/probe", "--stat", "/dev/zero"])
    os.mknod(here.inside("/dev/zero"), 0o20666, os.makedev(1, 5))
    assert inspect(of=here).stat("/dev/zero")["minor"] == 5


def test_two_devices_at_one_place_are_an_error_that_does_not_blame_the_image(run):
    devices = [{"path": "/dev/two", "type": "c", "major": 1, "minor": minor} for minor in (3, 5)]
    run({"linux": {"devices": devices}}).failed(".linux.devices[1]", "/dev/two: file exists", "an earlier device")


@pytest.mark.parametrize("what", ["file", "other-device", "folder", "fifo"])
def test_another_thing_at_the_place_of_a_device_is_an_error(run, bundle, what):
    """R-245, S-16."""
    here = bundle(RW, without_dev)
    place = here.inside("/dev/zero")
    if what == "file":
        here.file("/dev/zero", "not a device")
    elif what == "folder":
        os.mkdir(place)
    elif what == "fifo":
        os.mkfifo(place)
    else:
        os.mknod(place, 0o20666, os.makedev(1, 3))
    run(of=here).failed("/dev/zero")


@pytest.mark.parametrize(
    "device",
    [
        {"path": "/dev/x", "type": "q", "major": 1, "minor": 3},
        {"path": "dev/x", "type": "c", "major": 1, "minor": 3},
        {"path": "/dev/x", "type": "c"},
        {"path": "/dev/x", "type": "c", "major": -1, "minor": 3},
        {"type": "c", "major": 1, "minor": 3},
        {"path": "/dev/x", "type": "c", "major": "1", "minor": 3},
    ],
    ids=["type", "relative", "no-numbers", "negative", "no-path", "text"],
)
def test_malformed_devices_are_refused_with_their_place(run, device):
    run({"linux": {"devices": [device]}}).failed("linux.devices[0]")


# ---- masked and read-only paths, read-only root ----


def test_masked_files_are_empty_and_masked_folders_are_empty_and_read_only(inspect, bundle):
    """R-259, S-30."""
    edit = {"linux": {"maskedPaths": ["/data/file", "/data/folder", "/data/absent", "/data/folder2"]}}
    here = bundle(edit, RW)
    here.file("/data/file", "secret")
    here.file("/data/folder/secret", "secret")
    here.file("/data/folder2/secret", "secret")
    looks = [
        "--read",
        "/data/file",
        "--list",
        "/data/folder",
        "--touch",
        "/data/folder/x",
        "--list",
        "/data/folder2",
    ]
    looks += ["--stat", "/data/file", "--has", "/data/absent"]
    here.edit({"process": {"args": ["/bin/probe", *looks]}})
    report = inspect(of=here)
    assert report.text("/data/file") == ""
    stat = report.stat("/data/file")
    assert (stat["type"], stat["major"], stat["minor"]) == ("char", 1, 3)
    assert report.action("list", "/data/folder")["names"] == []
    assert report.action("list", "/data/folder2")["names"] == []
    assert report.errno("touch") == "EROFS"
    assert report.action("has")["result"] == 0


def test_the_default_masks_are_in_force(inspect):
    report = inspect(probe=["--read", "/proc/kcore", "--read", "/proc/timer_list", "--list", "/sys/firmware"])
    for action in report["actions"]:
        if action["do"] == "read":
            assert action.get("text", "") == "", action
        elif "names" in action:
            assert action["names"] == []


def test_a_path_may_be_masked_twice(inspect, bundle):
    here = bundle({"linux": {"maskedPaths": ["/data/f", "/data/d", "/data/f", "/data/d"]}}, RW)
    here.file("/data/f", "x")
    os.mkdir(here.inside("/data/d"))
    here.edit({"process": {"args": ["/bin/probe", "--read", "/data/f"]}})
    report = inspect(of=here)
    assert report.text("/data/f") == ""
    points = [line.split(" ")[4] for line in report["mountinfo"]]
    assert points.count("/data/f") == points.count("/data/d") == 1  # one mask over another hides nothing more


def test_read_only_paths_cannot_be_written(inspect, bundle):
    """R-260."""
    here = bundle({"linux": {"readonlyPaths": ["/data/ro", "/data/file", "/data/absent"]}}, RW)
    here.file("/data/ro/x", "x")
    here.file("/data/file", "x")
    looks = ["--touch", "/data/ro/new", "--write", "/data/file=y", "--touch", "/data/free", "--read", "/data/ro/x"]
    here.edit({"process": {"args": ["/bin/probe", *looks]}})
    report = inspect(of=here)
    assert report.errno("touch", "/data/ro/new") == "EROFS"
    assert report.errno("write", "/data/file") == "EROFS"
    assert report.errno("touch", "/data/free") is None
    assert report.text("/data/ro/x") == "x"


def test_read_only_paths_keep_the_other_flags(inspect):
    mounts = [entry("/data", "tmpfs", "x", "nosuid", "nodev", "noexec")]
    report = inspect({"mounts+": mounts, "linux": {"readonlyPaths": ["/data"]}})
    assert {"ro", "nosuid", "nodev", "noexec"} <= report.mount("/data").options


def test_the_default_read_only_paths_are_in_force(inspect):
    report = inspect(
        probe=["--write", "/proc/sys/kernel/domainname=x", "--openrw", "/proc/irq/default_smp_affinity"]
    )
    assert report.errno("write") == "EROFS"
    assert report.errno("openrw") in ("EROFS", "ENOENT")
    assert "ro" in report.mount("/proc/sys").options


@pytest.mark.parametrize("field", ["maskedPaths", "readonlyPaths"])
def test_paths_need_a_mount_namespace(run, field):
    """R-238."""
    other = "readonlyPaths" if field == "maskedPaths" else "maskedPaths"
    edit = {"linux": {"namespaces": [{"type": "pid"}], other: DROP}, "mounts": [], "hostname": DROP}
    run(edit, {"linux": {field: ["/proc/kcore"]}}).failed()


@pytest.mark.parametrize("readonly", [True, False])
def test_readonly_root(inspect, bundle, readonly):
    """R-189."""
    here = bundle({"root": {"readonly": readonly}}, args=["/bin/probe", "--touch", "/data/new"])
    report = inspect(of=here)
    assert report.errno("touch") == ("EROFS" if readonly else None)
    assert ("ro" in report.mount("/").options) == readonly
    assert os.path.exists(here.inside("/data/new")) != readonly
    os.close(os.open(here.inside("/from-host"), os.O_CREAT | os.O_WRONLY))


def test_root_path_may_be_absolute_or_a_dot(inspect, bundle, work):
    """R-187."""
    here = bundle()
    here.edit({"root": {"path": here.rootfs}})
    assert inspect(of=here)["pid"] == 1
    other = bundle({"root": {"path": "."}})
    for name in os.listdir(other.rootfs):
        os.rename(os.path.join(other.rootfs, name), os.path.join(other.path, name))
    assert inspect(of=other)["pid"] == 1


@pytest.mark.parametrize("root", [DROP, {"path": "absent"}, {"path": "config.json"}, {}, {"path": ""}, None])
def test_a_bad_root_is_refused(run, bundle, root):
    run({"root": None}, {"root": root}).failed("root")


def test_ownership_of_the_rootfs_is_not_changed(inspect, bundle):
    """R-241."""
    here = bundle(RW)
    os.chown(here.file("/data/x"), 123, 456)
    before = {p: os.lstat(os.path.join(here.rootfs, p)).st_uid for p in os.listdir(here.rootfs)}
    inspect(of=here)
    assert os.lstat(here.inside("/data/x")).st_uid == 123
    assert {p: os.lstat(os.path.join(here.rootfs, p)).st_uid for p in before} == before


def test_device_rules_are_in_order_and_the_last_match_wins(inspect):
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "b", "major": 7, "minor": 200, "access": "rwm"},
        {"allow": False, "type": "b", "major": 7, "minor": 200, "access": "w"},
    ]
    edit = {"linux": {"devices": [LOOP], "resources": {"devices": rules}}}
    report = inspect(edit, probe=["--open", "/dev/blk", "--openrw", "/dev/blk"])
    assert report.errno("open") != "EPERM"
    assert report.errno("openrw") == "EPERM"
