"""A hostile container works on a shared volume, or on the image itself, while the runtime sets up another one.

A process exchanges a folder and a symlink (renameat2, RENAME_EXCHANGE) as fast as it can.  Whatever the runtime
finds, nothing outside changes, nothing is mounted outside, and a container that runs has its masks and its procfs.
"""

import ctypes
import os
import signal
import stat

import pytest

from . import host
from .bundles import bind, default_mounts, entry

RW = {"root": {"readonly": False}}
RENAME_EXCHANGE = 2
AT_FDCWD = -100
SYS_RENAMEAT2 = {"x86_64": 316, "aarch64": 276}[os.uname().machine]
ROUNDS = 12


@pytest.fixture
def outside(work):
    """A folder that stands for the host: nothing in it may change, nothing may be mounted there."""
    path = os.path.join(work, "outside")
    os.makedirs(path + "/sub/y")
    host.write(path + "/file", "precious\n")
    before = sorted(os.walk(path))
    yield path
    assert sorted(os.walk(path)) == before
    assert host.read(path + "/file") == "precious\n"
    assert os.stat(path + "/file").st_uid == 0


@pytest.fixture
def swap():
    """swap(a, b): exchange the two names for ever, in a process of its own."""
    pids = []

    def go(*pairs):
        pid = os.fork()
        if pid == 0:
            try:
                libc = ctypes.CDLL(None)
                names = [(os.fsencode(a), os.fsencode(b)) for a, b in pairs]
                while True:
                    for a, b in names:
                        libc.syscall(SYS_RENAMEAT2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE)
            finally:
                os._exit(1)
        pids.append(pid)

    yield go
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def settled(result):
    assert "Traceback" not in result.text, result
    assert "internal error" not in result.text, result
    assert result.code in (0, 1), result
    return result


@pytest.mark.parametrize("kind", ["tmpfs", "folder", "file"])
def test_a_destination_on_a_shared_volume(run, bundle, swap, outside, work, kind):
    """CVE-2021-30465, CVE-2024-45310: the folder that holds the mount points becomes a symlink to the host."""
    volume = work + "/volume"
    os.makedirs(volume + "/x/y")
    os.symlink(outside, volume + "/link")
    host.write(work + "/one", "one")
    os.mkdir(work + "/two")
    places = ["/data/x/new%d" % n for n in range(15)]
    make = {
        "tmpfs": lambda place: entry(place, "tmpfs", "x"),
        "folder": lambda place: bind(place, work + "/two"),
        "file": lambda place: bind(place, work + "/one"),
    }[kind]
    swap((volume + "/x", volume + "/link"))
    codes = set()
    for _ in range(ROUNDS):
        codes.add(settled(run(RW, {"mounts+": [bind("/data", volume), *map(make, places)]})).code)
    assert codes <= {0, 1}


def test_a_link_to_the_host_in_place_of_the_last_component(run, bundle, swap, outside, work):
    """CVE-2024-45310: a file is made where a dangling symlink stands by then."""
    volume = work + "/volume"
    os.mkdir(volume)
    host.write(work + "/one", "one")
    pairs = []
    for number in range(10):
        os.symlink(outside + "/made%d" % number, volume + "/link%d" % number)
        host.write(volume + "/file%d" % number, "")
        pairs.append((volume + "/link%d" % number, volume + "/file%d" % number))
    swap(*pairs)
    for _ in range(ROUNDS):
        mounts = [bind("/data/file%d" % n, work + "/one") for n in range(10)]
        settled(run(RW, {"mounts+": [bind("/data", volume), *mounts]}))


@pytest.mark.parametrize("place", ["proc", "sys"])
@pytest.mark.parametrize("to", ["outside", "inside", "nothing"])
def test_procfs_has_its_masks_wherever_the_image_moves_it(container, bundle, swap, outside, place, to):
    """CVE-2019-19921: the mount point is renamed in between: /proc/keys cannot be masked by name."""
    target = {"outside": outside, "inside": "../tmp", "nothing": "nowhere"}[to]
    kind, file, folder = {"proc": ("proc", "/keys", "/sys"), "sys": ("sysfs", "", "/firmware")}[place]
    image = bundle(RW)
    other = image.inside("other")
    os.symlink(target, other)
    swap((image.inside(place), other))
    for _ in range(ROUNDS):
        one = container(of=image)
        if settled(one.try_create()).code == 0:
            mounts = host.mountinfo(one.pid)
            (base,) = [m for m in mounts if m.fstype == kind and m.root == "/"]
            # names change while we read: the mounts on it are told by their parent
            below = {"/" + os.path.basename(m.point): m for m in mounts if m.parent == base.id}
            assert folder in below, mounts
            assert "ro" in below[folder].options, mounts
            assert not file or below[file].fstype == "devtmpfs", mounts
        one.delete("--force").ok()


def test_dev_is_filled_below_the_root_only(run, bundle, swap, outside):
    """CVE-2026-41579: nodes, links, ptmx."""
    kept = [m for m in default_mounts() if not m["destination"].startswith("/dev")]
    image = bundle(RW, {"mounts": kept})
    other = image.inside("other")
    os.symlink(outside, other)
    swap((image.inside("dev"), other))
    for _ in range(ROUNDS):
        settled(run(of=image))


def test_null_is_null_or_nothing_runs(run, bundle, swap, outside, work):
    """CVE-2025-31133, CVE-2026-88265: masks and streams come from a device that is being swapped."""
    dev = work + "/dev"
    os.mkdir(dev)
    os.mknod(dev + "/null", 0o20666, os.makedev(1, 3))
    os.symlink("../../../../../../../.." + outside + "/file", dev + "/link")
    kept = [m for m in default_mounts() if not m["destination"].startswith("/dev")]
    swap((dev + "/null", dev + "/link"))
    for _ in range(ROUNDS):
        image = bundle(
            RW,
            {"mounts": [*kept, bind("/dev", dev)], "linux": {"maskedPaths": ["/etc/secret"]}},
            {"process": {"user": {"uid": 5, "gid": 5}}},
            args=["/bin/probe", "--only", "fds", "--read", "/etc/secret", "--stat", "/etc/secret"],
        )
        image.file("/etc/secret", "secret")
        result = settled(run(of=image))
        if result.code == 0:
            report = result.json()
            assert report["actions"][0]["text"] == ""
            assert (report["actions"][1]["major"], report["actions"][1]["minor"]) == (1, 3)
            assert (report["fds"]["0"]["major"], report["fds"]["0"]["minor"]) == (1, 3)


def test_a_masked_path_that_is_swapped_is_masked_or_missing(run, bundle, swap, work):
    """S-10: what the mask was put on is what it hides; nothing outside is covered."""
    volume = work + "/volume"
    os.makedirs(volume + "/a")
    host.write(volume + "/a/secret", "secret")
    os.symlink("/proc/self/cwd", volume + "/b")
    swap((volume + "/a", volume + "/b"))
    for _ in range(ROUNDS):
        settled(run(RW, {"mounts+": [bind("/data", volume)], "linux": {"maskedPaths": ["/data/a/secret"]}}))
    # `nothing_left` compares the host's mount table


def test_a_working_directory_that_is_swapped_is_inside(run, bundle, swap, work, outside):
    """CVE-2024-21626: between the look and the change."""
    volume = work + "/volume"
    os.makedirs(volume + "/here")
    for number in range(3, 9):
        os.symlink("/proc/self/fd/%d" % number, volume + "/link%d" % number)
    swap(*[(volume + "/here", volume + "/link%d" % number) for number in range(3, 9)])
    for _ in range(ROUNDS):
        image = bundle(
            RW,
            {"mounts+": [bind("/data", volume)], "process": {"cwd": "/data/here"}},
            args=["/bin/probe", "--only", "cwd", "--stat", ".", "--list", "../../../../../../../../"],
        )
        result = settled(run(of=image))
        if result.code == 0:
            assert "vmlinuz" not in result.out and "usr" not in result.json()["actions"][1]["names"], result


def test_a_device_node_that_is_swapped_is_made_inside(run, bundle, swap, work, outside):
    """S-16: with an owner, so that something is changed by name, too."""
    volume = work + "/volume"
    os.makedirs(volume + "/d")
    os.symlink(outside, volume + "/link")
    swap((volume + "/d", volume + "/link"))
    devices = [
        {"path": "/data/d/n%d" % n, "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 7, "gid": 7}
        for n in range(10)
    ]
    for _ in range(ROUNDS):
        settled(run(RW, {"mounts+": [bind("/data", volume)], "linux": {"devices": devices}}))


def test_passwd_that_is_swapped_is_read_inside(run, bundle, swap, work, outside):
    """CVE-2026-47262: a FIFO and a link to the host take turns with the file."""
    image = bundle(RW, args=["/bin/probe", "--only", "env"])
    host.write(outside + "/../passwd", "root:x:0:0::/from-the-host:/bin/sh\n")
    image.file("/etc/passwd", "root:x:0:0::/inside:/bin/sh\n")
    os.mkfifo(image.inside("etc/fifo"))
    os.symlink("../../../../../../../../.." + os.path.dirname(outside) + "/passwd", image.inside("etc/link"))
    names = [image.inside("etc", name) for name in ("passwd", "fifo", "link")]
    swap((names[0], names[1]), (names[0], names[2]))
    for _ in range(ROUNDS):
        result = settled(run(of=image, timeout=10))
        assert "from-the-host" not in result.out


def test_the_owner_of_a_device_is_not_given_to_what_takes_its_place(run, bundle, swap, work):
    """S-16: between mknod and chown another name of the volume stands there."""
    volume = work + "/volume"
    os.mkdir(volume)
    names = [(volume + "/n%d" % number, volume + "/victim%d" % number) for number in range(10)]
    swap(*names)
    devices = [
        {"path": "/data/n%d" % n, "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 7, "gid": 7}
        for n in range(10)
    ]
    for _ in range(ROUNDS):
        for name in os.listdir(volume):
            os.unlink(os.path.join(volume, name))
        for _, victim in names:
            host.write(victim, "")
        settled(run(RW, {"mounts+": [bind("/data", volume)], "linux": {"devices": devices}}))
        for name in os.listdir(volume):
            status = os.lstat(os.path.join(volume, name))
            if not stat.S_ISCHR(status.st_mode):
                assert status.st_uid == 0, name
