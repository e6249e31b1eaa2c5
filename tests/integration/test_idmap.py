"""Id-mapped bind mounts: what owners look like through the mount, and what may not be mapped (R-202 to R-204)."""

import os
import time

import pytest

from pyoci.kernel import mount as kernel
from pyoci.ops.idmap import IdMap
from pyoci.runtime.mount_maps import open_user_namespaces

from . import host
from .bundles import DROP, entry, namespaces
from .host import requires

MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
USER = {
    "linux": {
        "namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "user"),
        "uidMappings": MAPS,
        "gidMappings": MAPS,
    }
}


@pytest.fixture(autouse=True)
def user_namespaces():
    requires("userns")


@pytest.fixture
def source(work):
    """A directory of 1000:1000 with a file of theirs."""
    path = work + "/source"
    os.mkdir(path)
    host.write(path + "/file", "x")
    for name in (path, path + "/file"):
        os.chown(name, 1000, 1000)
    return path


@pytest.fixture
def tmpfs():
    """tmpfs(path, flags) mounts one there."""
    mounted = []

    def make(path, flags=0, data=None):
        os.makedirs(path, exist_ok=True)
        host.mount("tmpfs", path, "tmpfs", flags, data)
        mounted.append(path)
        return path

    yield make
    for path in reversed(mounted):
        host.umount(path)


def ids(inside, outside, size=10):
    return [{"containerID": inside, "hostID": outside, "size": size}]


def mapped(path, *words, uids=None, gids=None, at="/data"):
    mount = {"destination": at, "source": path, "options": list(words)}
    if uids:
        mount.update(uidMappings=uids, gidMappings=gids or uids)
    return {"mounts+": [mount]}


def owner(report, path="/data/file"):
    return report.stat(path)["uid"], report.stat(path)["gid"]


@pytest.mark.parametrize(
    "words", [["bind", "idmap"], ["bind", "ridmap"], ["rbind", "idmap"], ["bind"]], ids="-".join
)
def test_owners_are_mapped_without_a_user_namespace(inspect, source, words):
    """R-202, R-204: also when only the mappings are given and not the word."""
    edit = mapped(source, *words, uids=ids(1000, 5000), gids=ids(1000, 6000))
    assert owner(inspect(edit, probe=["--stat", "/data/file"])) == (5000, 6000)


def test_the_option_of_crun_is_read(inspect, source):
    """R-203: also relative to the container's ids."""
    words = ["bind", "idmap=uids=1000-5000-10;gids=1000-6000-1#1001-0-1"]
    assert owner(inspect(mapped(source, *words), probe=["--stat", "/data/file"])) == (5000, 6000)
    words = ["bind", "idmap=uids=@1000-7-10;gids=@1000-8-1"]
    assert owner(inspect(USER, mapped(source, *words), probe=["--stat", "/data/file"])) == (7, 8)


def test_the_maps_of_a_mount_are_seen_through_those_of_the_container(inspect, source):
    """R-202: the mount's host ids are ids of the host, and the container sees its own of them."""
    edit = mapped(source, "bind", "idmap", uids=ids(1000, 100005), gids=ids(1000, 100006))
    assert owner(inspect(USER, edit, probe=["--stat", "/data/file"])) == (5, 6)


@pytest.mark.parametrize("maps", [None, MAPS], ids=["the-word-alone", "equal-maps"])
def test_the_maps_of_the_container_serve_a_mount(inspect, source, maps):
    """R-202: files keep the numbers that they have on disk, and new ones get those of the container."""
    os.chmod(source, 0o777)
    edit = mapped(source, "bind", "idmap", uids=maps)
    report = inspect(USER, edit, probe=["--stat", "/data/file", "--create", "/data/new"])
    assert owner(report) == (1000, 1000)
    assert report.errno("create") is None
    assert os.stat(source + "/new").st_uid == 0


def test_the_maps_of_a_joined_user_namespace_serve_a_mount(inspect, container, source):
    """R-203."""
    first = container(USER).create().start()
    of = "/proc/%d/ns/" % first.pid
    listed = namespaces("pid", "ipc", "uts", "mount", user=of + "user", network=of + "net")
    edit = {"linux": {"namespaces": listed}}
    assert owner(inspect(edit, mapped(source, "bind", "idmap"), probe=["--stat", "/data/file"])) == (1000, 1000)
    edit = {"linux": {"namespaces": listed}}
    maps = mapped(source, "bind", "idmap", uids=ids(1000, 100007))
    assert owner(inspect(edit, maps, probe=["--stat", "/data/file"])) == (7, 7)
    first.end()
    first.delete().ok()


@pytest.mark.parametrize(("edits", "shift"), [((), 0), ((USER,), 100000)], ids=["no-userns", "userns"])
@pytest.mark.parametrize("word", ["idmap", "ridmap"])
def test_only_ridmap_maps_what_is_mounted_below(inspect, source, tmpfs, word, edits, shift):
    """R-202."""
    requires("idmapped_tmpfs")
    below = tmpfs(source + "/below")
    host.write(below + "/file", "x")
    os.chown(below + "/file", 1000, 1000)
    edit = mapped(source, "rbind", word, uids=ids(1000, 5000 + shift))
    report = inspect(*edits, edit, probe=["--stat", "/data/file", "--stat", "/data/below/file"])
    assert owner(report) == (5000, 5000)
    unmapped = 65534 if edits else 1000
    assert owner(report, "/data/below/file") == ((5000, 5000) if word == "ridmap" else (unmapped, unmapped))


def test_attributes_and_maps_go_together(inspect, source):
    edit = mapped(source + "/file", "bind", "idmap", "ro", "nosuid", uids=ids(1000, 3), at="/etc/one")
    os.chmod(source + "/file", 0o666)
    report = inspect({"root": {"readonly": False}}, edit, probe=["--stat", "/etc/one", "--openrw", "/etc/one"])
    assert owner(report, "/etc/one") == (3, 3)
    assert report.errno("openrw") == "EROFS"
    assert report.mount("/etc/one").options >= {"ro", "nosuid", "idmapped"}


@pytest.mark.parametrize("edits", [(), (USER,)], ids=["no-userns", "userns"])
def test_a_hundred_mounts_with_three_maps(container, source, edits):
    """More than one message takes; the processes that made the namespaces and opened the trees are gone at once."""
    shift = 100000 if edits else 0
    mounts = []
    for number in range(100):
        path = "%s/%d" % (source, number)
        host.write(path, "x")
        os.chown(path, number, number)
        outside = shift + number % 3 * 100
        mounts += mapped(path, "bind", "idmap", uids=ids(0, outside, 100), at="/data/%d" % number)["mounts+"]
    probe = [word for number in range(100) for word in ("--stat", "/data/%d" % number)]
    one = container(
        *edits, {"root": {"readonly": False}, "mounts+": mounts}, args=["/bin/probe", *probe, "--pause"]
    )
    os.chmod(one.bundle.inside("/data"), 0o777)
    one.create()
    assert list(host.children()) == [one.pid]
    links = [os.readlink("/proc/%d/fd/%s" % (one.pid, fd)) for fd in os.listdir("/proc/%d/fd" % one.pid)]
    assert not [link for link in links if link.startswith(("user:", "mnt:"))]
    one.start()
    report = one.report()
    for number in range(100):
        assert owner(report, "/data/%d" % number)[0] == number % 3 * 100 + number
    one.end()
    one.delete().ok()


def test_a_lock_on_the_source_holds_in_the_mapped_copy(run, work, tmpfs):
    """The owner of a mount that is read-only has the word: the container's root may not make it writable."""
    requires("idmapped_tmpfs")
    path = tmpfs(work + "/locked", host.MS_RDONLY | host.MS_NOSUID)
    caps = {"process": {"capabilities": {k: ["CAP_SYS_ADMIN"] for k in ("bounding", "effective", "permitted")}}}
    script = "mount -o remount,bind,rw /data; cat /proc/self/mountinfo"
    result = run(USER, caps, mapped(path, "bind", "idmap"), args=["/bin/sh", "-c", script])
    line = next(line for line in result.ok().out.splitlines() if " /data " in line)
    assert set(line.split()[5].split(",")) >= {"ro", "nosuid", "idmapped"}
    assert "mount:" in result.err, "the attempt was made"


# ---- sources closed to the container's root ----


@pytest.mark.parametrize("words", [["bind"], ["bind", "idmap"]], ids="-".join)
def test_a_source_behind_a_closed_directory_is_opened_by_the_runtime(inspect, work, source, words):
    """R-210: a directory of another user's, which root without its capabilities may not search."""
    closed = work + "/closed"
    os.mkdir(closed)
    os.rename(source, closed + "/source")
    os.chown(closed, 1000, 1000)
    os.chmod(closed, 0o700)
    edit = mapped(closed + "/source", *words)
    report = inspect(USER, edit, probe=["--read", "/data/file"])
    assert report.text("/data/file") == "x"


@pytest.mark.parametrize("owner", [0, 1000])
@pytest.mark.parametrize("name", ["link", "plain"])
def test_a_symlink_that_only_the_host_may_read_is_made_anew(run, bundle, work, owner, name):
    """R-212: behind a directory that is closed to the container's root; what is no symlink is bound, as ever."""
    closed = work + "/closed"
    os.mkdir(closed)
    os.symlink("/etc/inside", closed + "/link")
    host.write(closed + "/plain", "plain\n")
    os.chown(closed, owner, owner)
    os.chmod(closed, 0o700)
    edit = {"mounts+": [entry("/placed", "none", closed + "/" + name, "rbind", "copy-symlink")]}
    here = bundle(USER, edit, {"root": {"readonly": False}}, args=["/bin/cat", "/placed"])
    here.file("/etc/inside", "in the image\n")
    os.chown(here.inside("/"), 100000, 100000)  # where the link is made
    assert run(of=here).ok().out == {"link": "in the image\n", "plain": "plain\n"}[name]
    assert os.path.islink(here.inside("/placed")) == (name == "link")


@pytest.mark.parametrize("word", ["idmap", "nosuid"])
def test_a_bind_that_would_uncover_what_is_hidden_says_rbind(run, source, tmpfs, word):
    """The kernel forbids it to a user namespace, in no other words than EINVAL."""
    tmpfs(source + "/below")
    run(USER, mapped(source, "bind", word)).failed("invalid argument", "use rbind", ".mounts[7]")


def test_a_missing_source_is_named_by_whoever_opens_it(run, work):
    result = run(USER, mapped(work + "/none", "bind", "idmap"))
    result.failed("bind source %s/none: no such file or directory" % work, ".mounts[7]")


def test_sources_are_found_in_the_root_of_the_caller(inspect, container, work, source):
    """A runtime in a chroot, which may join a user namespace, means its own paths."""
    first = container(USER).create().start()
    of = "/proc/%d/ns/" % first.pid
    listed = {
        "linux": {"namespaces": namespaces("pid", "ipc", "uts", "mount", user=of + "user", network=of + "net")}
    }
    new_root = work + "/root"
    os.mkdir(new_root)
    script = """
        set -e
        mount --make-rprivate /
        mount --rbind / %s
        mount --bind %s %s/mnt
        exec chroot %s "$@"
    """ % (new_root, source, new_root, new_root)
    edit = mapped("/mnt", "bind", "idmap")
    wrap = ["unshare", "-m", "sh", "-c", script, "sh"]
    report = inspect(listed, edit, probe=["--stat", "/data/file"], wrap=wrap)
    assert owner(report) == (1000, 1000)
    first.end()
    first.delete().ok()


# ---- errors ----


@pytest.mark.parametrize("edits", [(), (USER,)], ids=["no-userns", "userns"])
def test_a_filesystem_that_cannot_be_mapped_is_named(run, pyoci, edits):
    edit = mapped("/sys/devices", "bind", "idmap", uids=MAPS)
    result = run(*edits, edit)
    result.failed("cannot id-map /sys/devices: invalid argument", "sysfs cannot be id-mapped", ".mounts[7]")
    assert pyoci.left() == []


@pytest.mark.parametrize("edits", [(), (USER,)], ids=["no-userns", "userns"])
def test_a_source_that_is_mapped_already_is_an_error(run, source, edits):
    tree_fd = kernel.open_tree(kernel.AT_FDCWD, os.fsencode(source), kernel.OPEN_TREE_CLONE)
    idmap = IdMap("1000 5000 10\n", "1000 5000 10\n", recursive=False)
    space_fd = open_user_namespaces({"x": idmap})["x"]
    idmap.apply(tree_fd, space_fd, source)
    target_fd = os.open(source, os.O_PATH)
    kernel.move_mount(tree_fd, target_fd)
    for fd in (tree_fd, space_fd, target_fd):
        os.close(fd)
    try:
        assert os.stat(source + "/file").st_uid == 5000
        result = run(*edits, mapped(source, "bind", "idmap", uids=MAPS))
    finally:
        host.umount(source)
    result.failed("cannot id-map %s: operation not permitted" % source, "is id-mapped already", ".mounts[7]")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda c: c["mounts"].append(
                {**entry("/data", "tmpfs", "tmpfs"), "uidMappings": MAPS, "gidMappings": MAPS}
            ),
            ["only bind mounts"],
        ),
        (mapped("/etc", "bind", "idmap"), ["without mappings"]),
        (mapped("/etc", "bind", uids=[*ids(0, 5), *ids(5, 100)]), [".mounts[7].uidMappings[1]", "overlaps"]),
        (mapped("/etc", "bind", uids=ids(0, 5, 0)), [".mounts[7].uidMappings[0].size"]),
        (mapped("/etc", "bind", uids=ids(0, 4294967290)), [".mounts[7].uidMappings[0].size"]),
    ],
    ids=["tmpfs", "no-maps", "overlap", "size-0", "overflow"],
)
def test_what_cannot_be_mapped_is_refused(run, edit, words):
    """R-202, R-203."""
    run(edit).failed(".mounts[7]", *words)


def test_user_namespaces_used_up_are_said(run, source):
    """The limit is that of a user namespace in which the caller is root."""
    script = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    wrap = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    result = run(mapped(source, "bind", "idmap", uids=ids(0, 0, 1)), wrap=wrap)
    result.failed("no space left on device", "user.max_user_namespaces", ".mounts[7]")


def test_a_filesystem_of_another_user_namespace_is_named(run, source):
    """R-203: root of a user namespace alone may not map the host's file systems."""
    wrap = ["unshare", "--user", "--map-root-user"]
    quiet = {"linux": {"cgroupsPath": DROP, "resources": DROP}}
    mounts = {"mounts": mapped(source, "bind", "idmap", uids=ids(0, 0, 1))["mounts+"]}
    result = run(quiet, mounts, wrap=wrap)
    result.failed("cannot id-map %s: operation not permitted" % source, ".mounts[0]", "not root of")


@pytest.mark.parametrize("edits", [(), (USER,)], ids=["no-userns", "userns"])
def test_killing_the_runtime_at_any_moment_leaves_what_delete_finds(container, pyoci, source, edits):
    """No process that holds a namespace or opens trees outlives the runtime."""
    mounts = [
        mapped(source, "bind", "idmap", uids=ids(1000, 100000 + n), at="/data/%d" % n)["mounts+"][0]
        for n in range(10)
    ]
    edit = {"root": {"readonly": False}, "mounts+": mounts, "process": {"rlimits": DROP}}
    for step in range(12):
        one = container(*edits, edit)
        os.chmod(one.bundle.inside("/data"), 0o777)
        runtime = pyoci.spawn("create", "--bundle", one.bundle.path, one.id)
        time.sleep(0.02 + step * 0.012)
        runtime.signal(9)
        runtime.wait()
        pyoci("delete", "--force", one.id).ok()
        one.gone = True
        host.until(lambda: not host.children(), what="the end of all processes")
    assert pyoci.left() == []
