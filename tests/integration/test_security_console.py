"""Hostile images around the terminal: /dev/console, /dev/ptmx, /dev/pts as links, files and other devices."""

import os
import socket
import stat

import pytest

from . import host
from .bundles import DROP, bind, default_mounts, entry
from .test_security_race import swap  # noqa: F401

TTY = {"process": {"terminal": True}, "root": {"readonly": False}}
NO_DEV = [m for m in default_mounts() if not m["destination"].startswith("/dev")]
PTS = entry("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")


@pytest.fixture
def outside(work):
    path = os.path.join(work, "outside")
    os.mkdir(path)
    host.write(path + "/secret", "secret")
    yield path
    assert os.listdir(path) == ["secret"]
    assert host.read(path + "/secret") == "secret"
    assert os.stat(path + "/secret").st_uid == 0
    assert stat.S_IMODE(os.stat(path + "/secret").st_mode) == 0o644


@pytest.fixture
def create(work, container):
    """create(bundle) -> (container, Result, descriptor of the pty or -1)."""
    path = os.path.join(work, "console.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    server.settimeout(0.5)
    opened = []

    def go(image):
        one = container(of=image)
        result = one.try_create("--console-socket", path)
        assert "Traceback" not in result.text
        assert "internal error" not in result.text, result
        master = -1
        if result.code == 0:
            peer, _ = server.accept()
            with peer:
                master = socket.recv_fds(peer, 4096, 1)[1][0]
                opened.append(master)
        else:
            try:
                server.accept()[0].close()
            except TimeoutError:
                pass
        return one, result, master

    yield go
    server.close()
    for fd in opened:
        os.close(fd)


def is_pty_of_the_container(one, master):
    """Standard streams and the descriptor handed out belong together, and to the container's devpts."""
    assert os.fstat(master).st_rdev == os.makedev(5, 2)
    inside = os.stat("/proc/%d/fd/0" % one.pid)
    assert os.major(inside.st_rdev) == 136
    points = {m.point: m for m in host.mountinfo(one.pid)}
    assert points["/dev/console"].fstype == "devpts"
    assert points["/dev/console"].device == points["/dev/pts"].device


@pytest.mark.parametrize(
    "target", ["OUTSIDE/secret", "OUTSIDE/made", "CLIMB/secret", "/proc/sysrq-trigger", "pts/0"]
)
@pytest.mark.parametrize("mounted", [True, False], ids=["tmpfs on /dev", "the image's /dev"])
def test_a_console_that_is_a_symlink_is_not_followed(bundle, create, outside, target, mounted):
    """CVE-2025-52565, CVE-2026-88264: the pty bound over what the link leads to, or a file made there."""
    mounts = default_mounts() if mounted else [*NO_DEV, PTS]
    image = bundle(TTY, {"mounts": mounts}, args=["/bin/probe", "--pause"])
    if not mounted:
        os.mkdir(image.inside("dev/pts"))
        climb = "../" * 30 + outside.lstrip("/")
        os.symlink(target.replace("OUTSIDE", outside).replace("CLIMB", climb), image.inside("dev/console"))
    one, result, master = create(image)
    if mounted:
        result.ok()
    if result.code == 0:
        is_pty_of_the_container(one, master)
    one.delete("--force").ok()


def test_a_file_in_the_place_of_the_console_keeps_its_content(bundle, create):
    """S-11: it is covered, not written, not given away."""
    image = bundle(TTY, {"mounts": [*NO_DEV, PTS], "process": {"user": {"uid": 5, "gid": 5}}})
    os.mkdir(image.inside("dev/pts"))
    path = image.file("/dev/console", "content", 0o640)
    one, result, master = create(image)
    result.ok()
    is_pty_of_the_container(one, master)
    one.delete("--force").ok()
    assert host.read(path) == "content"
    assert (os.stat(path).st_uid, stat.S_IMODE(os.stat(path).st_mode)) == (0, 0o640)


@pytest.mark.parametrize("kind", ["link to the host's", "host's ptmx", "fifo", "file", "missing", "tmpfs"])
def test_a_ptmx_of_another_kind_is_refused(bundle, create, outside, kind):
    """CVE-2026-41579, S-11: the pty comes from a devpts, checked on the descriptor; nothing waits for a FIFO."""
    image = bundle(TTY, {"mounts": NO_DEV, "linux": {"maskedPaths": DROP}})
    pts = os.path.join(image.path, "pts")
    os.mkdir(pts)
    if kind == "link to the host's":
        os.symlink("../../../../../../../dev/pts/ptmx", pts + "/ptmx")
    elif kind == "host's ptmx":
        os.mknod(pts + "/ptmx", 0o20666, os.makedev(5, 2))
    elif kind == "fifo":
        os.mkfifo(pts + "/ptmx")
    elif kind == "file":
        host.write(pts + "/ptmx", "")
    image.edit({"mounts+": [entry("/dev/pts", "tmpfs", "x") if kind == "tmpfs" else bind("/dev/pts", pts)]})
    one, result, _ = create(image)
    result.failed()
    one.delete("--force").ok()


def test_a_console_that_is_swapped_is_the_pty_or_nothing(bundle, create, swap, outside):  # noqa: F811
    """CVE-2025-52565: between the look and the bind."""
    for _ in range(8):
        image = bundle(TTY, {"mounts": [*NO_DEV, PTS]}, args=["/bin/probe", "--pause"])
        os.mkdir(image.inside("dev/pts"))
        host.write(image.inside("dev/console"), "")
        os.symlink("../../../../../../../.." + outside + "/secret", image.inside("dev/link"))
        os.symlink(outside + "/made", image.inside("dev/console2"))
        swap((image.inside("dev/console"), image.inside("dev/link")))
        one, result, master = create(image)
        if result.code == 0:
            assert os.major(os.stat("/proc/%d/fd/0" % one.pid).st_rdev) == 136
            assert os.fstat(master).st_rdev == os.makedev(5, 2)
            assert {m.root for m in host.mountinfo(one.pid) if m.fstype == "devpts"} == {"/", "/0"}
        one.delete("--force").ok()


def test_a_dev_that_is_a_symlink_gets_its_console_inside(bundle, create, outside):
    """S-12 with a terminal."""
    image = bundle(TTY, {"mounts": [*NO_DEV, PTS]}, args=["/bin/probe", "--pause"])
    os.rmdir(image.inside("dev"))
    os.symlink(outside, image.inside("dev"))
    one, result, _ = create(image)
    if result.code == 0:
        assert os.major(os.stat("/proc/%d/fd/0" % one.pid).st_rdev) == 136
    one.delete("--force").ok()
