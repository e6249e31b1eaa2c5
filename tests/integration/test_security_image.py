"""Hostile images: whatever lies below the rootfs, nothing outside of it is made, changed or reached.

Each test builds an image that attacks; `outside` stands for the host and must be as before when all is over.  A
refusal is as good as a container that runs inside its root, as long as it is clean.
"""

import ctypes
import os
import stat

import pytest

from . import host
from .bundles import DROP, bind, default_mounts, entry, namespaces

RW = {"root": {"readonly": False}}
IN_OPEN = 0x20
FORBIDDEN = "secret of the host\n"


def tree(folder):
    """Everything in a folder that an attack could change: {path: (mode, owner, group, content)}."""
    found = {}
    for base, folders, names in os.walk(folder):
        for name in [".", *folders, *names]:
            path = os.path.normpath(os.path.join(base, name))
            status = os.lstat(path)
            content = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = host.read(path)
            found[path] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found


@pytest.fixture
def outside(work):
    """A folder of the host with a file, a folder and a device in it; the test fails when anything of it changes."""
    folder = os.path.join(work, "outside")
    os.makedirs(folder + "/sub")
    host.write(folder + "/secret", FORBIDDEN)
    os.mknod(folder + "/ptmx", 0o666 | stat.S_IFCHR, os.makedev(5, 2))
    before = tree(folder)
    yield folder
    assert tree(folder) == before


def replace(bundle, place, target):
    """Put a symlink in the place of a file or folder of the image."""
    path = bundle.inside(place)
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)
    os.symlink(target, path)


def climb(path):
    """The way up and down again, as an image spells it that does not know where it lies."""
    return "../" * 30 + path.lstrip("/")


# What a link in an image may say to get at a path of the host.
WAYS = {
    "absolute": lambda bundle, path: path,
    "climbing": lambda bundle, path: climb(path),
    "through proc root": lambda bundle, path: "/proc/1/root" + path,
    "through proc cwd": lambda bundle, path: "/proc/self/cwd/" + climb(path),
    "chain": lambda bundle, path: link_chain(bundle, path),
}


def link_chain(bundle, path):
    os.symlink("../" * 30 + "link2", bundle.inside("link1"))
    os.symlink("/link3/.", bundle.inside("link2"))
    os.symlink(climb(path), bundle.inside("link3"))
    return "/link1"


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


def without(*destinations):
    return [m for m in default_mounts() if m["destination"] not in destinations]


def clean_or_fine(result):
    """A container that ran, or one line of refusal."""
    assert "Traceback" not in result.text, result
    assert result.code in (0, 1), result
    return result


# ---- mount destinations (S-05, S-06, S-08, S-41) ----


@pytest.mark.parametrize("kind", ["folder", "file", "tmpfs"])
@pytest.mark.parametrize("place", ["/target", "/target/below", "/target/below/../deep/er"])
def test_a_mount_destination_behind_a_symlink_stays_inside(run, bundle, outside, work, way, kind, place):
    """CVE-2021-30465, CVE-2024-45310: mounting and making the mount point."""
    image = bundle(RW, args=["/bin/true"])
    replace(image, "/target", way(image, outside))
    os.makedirs(work + "/volume")
    host.write(work + "/one", "one")
    source = {"folder": bind(place, work + "/volume"), "file": bind(place, work + "/one")}
    clean_or_fine(run({}, of=image.edit({"mounts+": [source.get(kind) or entry(place, "tmpfs", "tmpfs")]})))


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_dangling_chain_makes_its_end_inside(run, bundle, outside, work, kind):
    """CVE-2024-45310: a file or folder that is made at the end of links that lead nowhere yet."""
    image = bundle(RW)
    replace(image, "/target", "hop1")
    os.symlink("/hop2", image.inside("hop1"))
    os.symlink(outside + "/made", image.inside("hop2"))
    source = work + "/source"
    os.mkdir(source) if kind == "folder" else host.write(source, "x")
    run({}, of=image.edit({"mounts+": [bind("/target", source)]})).ok()
    made = image.inside(outside, "made")
    assert os.path.isdir(made) if kind == "folder" else os.path.isfile(made)


@pytest.mark.parametrize("target", ["target", "/target/x", "a", "../target/../target"])
def test_a_loop_of_symlinks_is_refused(run, bundle, target):
    """CVE-2019-18837."""
    image = bundle(RW)
    replace(image, "/target", target)
    replace(image, "/a", "target")
    run(of=image.edit({"mounts+": [entry("/target/y", "tmpfs", "tmpfs")]})).failed("too many")


@pytest.mark.parametrize("place", ["/../../../../../..%s/made", "/mnt/../../../..%s/made", "/new/../..%s/made"])
def test_dots_in_a_destination_do_not_leave_the_root(run, outside, place):
    """CVE-2024-45310."""
    clean_or_fine(run(RW, {"mounts+": [entry(place % outside, "tmpfs", "tmpfs")]}))


def test_a_mount_through_an_earlier_bind_stays_in_what_was_bound(run, bundle, outside, work):
    """CVE-2021-30465: the link is in the volume, not in the image."""
    volume = work + "/volume"
    os.mkdir(volume)
    os.symlink(climb(outside), volume + "/up")
    os.symlink(outside, volume + "/host")
    mounts = [bind("/data", volume), entry("/data/up/made", "tmpfs", "x"), entry("/data/host", "tmpfs", "x")]
    clean_or_fine(run(RW, {"mounts+": mounts}))
    assert sorted(os.listdir(volume)) == ["host", "up"]


@pytest.mark.parametrize("place", ["/proc", "/sys"])
@pytest.mark.parametrize("target", ["tmp", "/tmp", "HOST", "CLIMB"])
def test_procfs_and_sysfs_are_not_mounted_through_a_symlink(run, bundle, outside, place, target):
    """CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: masks and labels would miss."""
    image = bundle(RW)
    replace(image, place, {"HOST": outside, "CLIMB": climb(outside)}.get(target, target))
    run(of=image).failed("must be mounted on ordinary directory", place)


@pytest.mark.parametrize("place", ["/proc", "/sys"])
def test_procfs_and_sysfs_are_not_mounted_on_a_file(run, bundle, place):
    image = bundle(RW)
    os.rmdir(image.inside(place))
    host.write(image.inside(place), "")
    run(of=image).failed(place)


@pytest.mark.parametrize("place", ["/link/proc", "/link/sys"])
def test_no_part_of_the_way_to_procfs_is_a_symlink(run, bundle, place):
    """The parent is a link: the procfs itself would be a real directory there."""
    image = bundle(RW)
    os.makedirs(image.inside("real", os.path.basename(place)))
    replace(image, "/link", "real")
    kind = "proc" if place.endswith("proc") else "sysfs"
    run(of=image.edit({"mounts+": [entry(place, kind, kind)]})).failed(place)


@pytest.mark.parametrize(
    "place", ["/proc/self/attr/exec", "/proc/sys/kernel/hostname", "/proc/thread-self/attr", "/proc/fs/../uptime"]
)
def test_nothing_is_mounted_over_what_confines(run, work, place):
    """CVE-2019-16884, CVE-2025-52881."""
    host.write(work + "/one", "one")
    source = work + "/one" if not place.endswith("attr") else work
    result = run(RW, {"mounts+": [bind(place, source)]})
    if place == "/proc/fs/../uptime":
        result.ok()  # lxcfs may cover it, however it is written
    else:
        result.failed("/proc")


def test_a_symlink_into_procfs_does_not_hide_a_mount_over_it(run, bundle, work):
    """CVE-2025-52881: the destination does not say that it is below /proc."""
    host.write(work + "/one", "one")
    image = bundle(RW)
    os.symlink("proc/sys/kernel", image.inside("innocent"))
    run(of=image.edit({"mounts+": [bind("/innocent/hostname", work + "/one")]})).failed("procfs")


def test_a_magic_link_is_no_way_to_a_destination(run, bundle, outside, work):
    """CVE-2024-21626: /proc/self/fd and /proc/self/root lead to the host until the root has changed."""
    image = bundle(RW)
    for number in range(3, 40):
        os.symlink("/proc/self/fd/%d" % number, image.inside("fd%d" % number))
    for number in range(3, 40):
        image.edit({"mounts": [*default_mounts(), entry("/fd%d%s/made" % (number, outside), "tmpfs", "x")]})
        clean_or_fine(run(of=image)).failed()


# ---- /dev (S-12, S-13, S-16) ----


@pytest.mark.parametrize("mounted", [True, False], ids=["tmpfs on /dev", "the image's /dev"])
def test_a_dev_that_is_a_symlink_is_filled_inside(run, bundle, outside, way, mounted):
    """CVE-2026-41579, CVE-2026-47766: ptmx of the host removed, nodes and links made there."""
    image = bundle(RW)
    replace(image, "/dev", way(image, outside))
    if not mounted:
        image.edit({"mounts": without("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")})
    clean_or_fine(run(of=image))


@pytest.mark.parametrize("name", ["null", "ptmx", "fd", "stdin", "core", "pts", "shm", "console", "zero"])
def test_an_entry_of_dev_that_is_a_symlink_reaches_nothing_of_the_host(run, bundle, outside, name):
    """CVE-2026-41579: the last component is the link."""
    image = bundle(RW, {"mounts": without("/dev")})
    os.symlink(climb(outside + "/secret"), image.inside("dev", name))
    clean_or_fine(run(of=image))


@pytest.mark.parametrize("path", ["/dev/../../../../..%s/node", "/link/node", "/dev/link/node", "/node"])
def test_a_device_path_stays_inside(run, bundle, outside, path):
    """S-16: dots and links in linux.devices."""
    image = bundle(RW, {"mounts": without("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")})
    os.symlink(climb(outside), image.inside("link"))
    os.symlink(outside, image.inside("dev", "link"))
    os.symlink(outside + "/node", image.inside("node"))
    device = {"path": path % outside if "%" in path else path, "type": "c", "major": 1, "minor": 7, "uid": 7}
    clean_or_fine(run(of=image.edit({"linux": {"devices": [device]}})))


@pytest.mark.parametrize("what", ["file", "folder", "other device", "fifo", "link to the right device"])
def test_another_thing_at_the_place_of_a_default_device_is_an_error(run, bundle, what):
    """CVE-2026-88265, S-16: `already there` is not enough."""
    image = bundle(RW, {"mounts": without("/dev")})
    path = image.inside("dev/null")
    if what == "file":
        host.write(path, "")
    elif what == "folder":
        os.mkdir(path)
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "other device":
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    else:
        os.mknod(image.inside("dev/zero2"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.symlink("zero2", path)
    run(of=image).failed("/dev/null")


# ---- masks (S-10, S-30) ----


def test_a_null_device_of_the_image_never_becomes_a_mask(run, inspect, bundle, outside):
    """CVE-2025-31133: /dev/null is a link to what the attacker wants bound read-write over the masked file."""
    image = bundle(RW, {"mounts": without("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")})
    os.mkdir(image.inside("etc/real"))
    image.file("/etc/masked", "image")
    image.edit({"linux": {"maskedPaths": ["/etc/masked", "/proc/kcore"]}})
    os.symlink("/proc/sysrq-trigger", image.inside("dev/null"))
    run(of=image).failed("/dev/null")


def test_masks_hold_against_links_in_the_image(inspect, bundle, outside):
    """S-10: a masked path that is a link masks what it leads to inside, and nothing of the host."""
    image = bundle(RW)
    image.file("/etc/real", "image\n")
    os.mkdir(image.inside("etc/folder"))
    image.file("/etc/folder/x", "image\n")
    os.symlink("real", image.inside("etc/link"))
    os.symlink(climb("etc/folder"), image.inside("etc/up"))
    os.symlink(outside + "/secret", image.inside("etc/host"))
    image.edit({"linux": {"maskedPaths": ["/etc/link", "/etc/up", "/etc/host", "/etc/missing", "/etc/real/x"]}})
    probe = ["--read", "/etc/real", "--list", "/etc/folder", "--touch", "/etc/folder/new", "--stat", "/etc/real"]
    image.edit({"process": {"args": ["/bin/probe", *probe]}})
    report = inspect(of=image)
    assert report.text("/etc/real") == ""
    assert report.action("list")["names"] == []
    assert report.errno("touch") == "EROFS"
    assert report.stat("/etc/real")["major"] == 1


def test_a_loop_at_a_masked_path_is_refused_and_not_skipped(run, bundle):
    """S-10: only what is not there may go without its mask."""
    image = bundle(RW)
    os.symlink("loop", image.inside("loop"))
    run(of=image.edit({"linux": {"maskedPaths": ["/loop"]}})).failed("/loop")


def test_masked_folders_share_one_small_empty_filesystem(inspect, bundle):
    """S-30."""
    image = bundle(RW, args=["/bin/probe", "--touch", "/m0/x", "--statfs", "/m0"])
    places = ["/m%d" % n for n in range(50)]
    for place in places:
        os.mkdir(image.inside(place))
    report = inspect(of=image.edit({"linux": {"maskedPaths": places}}))
    masks = [m for m in report.mounts() if m.point in places]
    assert len(masks) == 50
    assert len({m.device for m in masks}) == 1
    assert report.errno("touch") == "EROFS"
    assert report.action("statfs")["bytes"] <= 65536


# ---- working directory, root, descriptors (S-03, S-29) ----


@pytest.mark.parametrize("number", [*range(3, 16)])
def test_a_cwd_on_a_descriptor_of_the_runtime_is_refused(run, number):
    """CVE-2024-21626."""
    run(RW, {"process": {"cwd": "/proc/self/fd/%d" % number}}).failed()


def test_a_cwd_on_a_descriptor_that_the_caller_leaked_is_refused(run, outside):
    """CVE-2024-21626: a folder of the host, passed on with --preserve-fds, is inherited but never entered."""
    folder = os.open(outside, os.O_RDONLY)
    try:
        for cwd in ("/proc/self/fd/%d" % folder, "/proc/1/fd/%d/sub" % folder):
            result = run(
                RW,
                {"process": {"cwd": cwd}},
                pass_fds=[folder],
                flags=["--preserve-fds", str(folder - 2)] if folder == 3 else [],
            )
            result.failed()
    finally:
        os.close(folder)


@pytest.mark.parametrize("target", ["/proc/self/fd/%d", "/proc/1/fd/%d", "../../proc/self/fd/%d/."])
def test_a_cwd_through_a_symlink_to_a_descriptor_is_refused(run, bundle, outside, target):
    """CVE-2024-21626: the link is in the image, so that the config does not show it."""
    folder = os.open(outside, os.O_RDONLY)
    try:
        for number in [folder, *range(3, 12)]:
            image = bundle(RW, {"process": {"cwd": "/here"}})
            os.symlink(target % number, image.inside("here"))
            run(of=image, pass_fds=[folder]).failed()
    finally:
        os.close(folder)


@pytest.mark.parametrize("way_", ["absolute", "climbing", "chain"])
def test_a_cwd_behind_a_symlink_is_inside(run, bundle, outside, way_):
    image = bundle(RW, {"process": {"cwd": "/here/made", "args": ["/bin/sh", "-c", "pwd; ls -a"]}})
    os.symlink(WAYS[way_](image, outside), image.inside("here"))
    result = run(of=image).ok()
    assert "secret" not in result.out


def test_the_old_root_cannot_be_reached(inspect):
    """S-29: neither by dots nor by the mounts that were left behind."""
    report = inspect(probe=["--stat", "/", "--stat", "/..", "--stat", "/../../.."])
    inodes = {report.stat(path)["ino"] for path in ("/", "/..", "/../../..")}
    assert len(inodes) == 1
    assert next(m for m in report.mounts() if m.point == "/").root.endswith("/rootfs")


# ---- files of the image that the runtime reads (S-22, P-02) ----


def home(report):
    return [e for e in report["env"] if e.startswith("HOME=")]


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "socketless link", "loop", "proc", "tty"])
def test_a_strange_passwd_neither_blocks_nor_leaves_the_root(inspect, bundle, outside, kind):
    """CVE-2026-47262, S-22."""
    host.write(outside + "/../passwd", "root:x:0:0::/from-the-host:/bin/sh\n")
    image = bundle(RW)
    path = image.inside("etc/passwd")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    elif kind == "folder":
        os.mkdir(path)
    elif kind == "tty":
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(5, 0))
    elif kind == "loop":
        os.symlink("passwd", path)
    elif kind == "proc":
        os.symlink("/proc/kmsg", path)
    else:
        os.symlink(climb(os.path.dirname(outside) + "/passwd"), path)
    assert home(inspect(of=image, timeout=10)) == ["HOME=/"]


@pytest.mark.parametrize("shape", ["sparse", "one line"])
def test_a_huge_passwd_costs_neither_time_nor_memory(pyoci, inspect, bundle, shape):
    """S-22: 10 GB, read by a process that may have 300 MB."""
    image = bundle(RW)
    path = image.file("/etc/passwd", "" if shape == "sparse" else "root:x:0:0:" + "y" * (8 << 20) + ":/late:/\n")
    if shape == "sparse":
        os.truncate(path, 10 << 30)
    assert home(inspect(of=image, timeout=10, wrap=["prlimit", "--as=300000000"])) == ["HOME=/"]


@pytest.mark.parametrize(
    "line",
    ["root:x:0:0::/a\0b:/", "root:x:0:0::/\xff\xfe:/", "root:x:0", "root:x:0:0::x=y\r:/", "::::::", "\0" * 99],
)
def test_odd_lines_in_passwd_do_not_break_the_environment(inspect, bundle, line):
    """S-22, S-28: an entry with a NUL would end early."""
    image = bundle(RW)
    with open(image.inside("etc/passwd"), "wb") as file:
        file.write(line.encode("latin-1") + b"\n")
    report = inspect(of=image)
    assert len(home(report)) == 1
    assert "TERM=xterm" in report["env"]


# ---- streams (S-14) ----


@pytest.mark.parametrize("kind", ["link to a file", "link to the host", "file", "fifo"])
def test_streams_on_null_are_not_swapped_for_what_the_image_calls_null(container, bundle, outside, kind):
    """CVE-2026-88265: the container's /dev is the image's own, bound, so the runtime makes no null there."""
    image = bundle(RW)
    fake = os.path.join(image.path, "dev")
    os.mkdir(fake)
    victim = fake + "/victim"
    host.write(victim, "before")
    if kind == "fifo":
        os.mkfifo(fake + "/null")
    elif kind == "file":
        host.write(fake + "/null", "before")
    else:
        os.symlink("victim" if kind == "link to a file" else climb(outside + "/secret"), fake + "/null")
    kept = [m for m in default_mounts() if not m["destination"].startswith("/dev")]
    image.edit({"mounts": [*kept, bind("/dev", fake)], "process": {"user": {"uid": 5, "gid": 5}}})
    image.edit({"linux": {"maskedPaths": DROP}})
    one = container(of=image)
    with open("/dev/null", "r+b") as null:
        one.try_create(stdin=null, stdout=null).ok()
    assert os.stat("/proc/%d/fd/1" % one.pid).st_rdev == os.makedev(1, 3)
    assert host.read(victim) == "before"
    assert os.stat(victim).st_uid == 0
    if kind == "file":
        assert os.lstat(fake + "/null").st_uid == 0
        assert host.read(fake + "/null") == "before"
    assert os.stat("/dev/null").st_uid != 5
    one.delete("--force").ok()


# ---- the program, and code that poses as the runtime's (P-01, P-02) ----

HIJACKED = [
    "os", "json", "re", "socket", "ctypes", "struct", "signal", "linecache", "traceback", "warnings", "tokenize",
    "encodings", "codecs", "pwd", "site", "sitecustomize", "usercustomize", "pyoci", "errno", "_json", "subprocess",
]  # fmt: skip


def lay_traps(folder, mark):
    """Modules that leave a mark when they are imported, under all the names that an interpreter may want."""
    for name in HIJACKED:
        host.write(os.path.join(folder, name + ".py"), "open(%r, 'w').write(%r)\n" % (mark, name))
    for name in ("encodings", "pyoci"):
        os.unlink(os.path.join(folder, name + ".py"))
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        for part in ("__init__", "idna", "latin_1", "ascii", "cp437"):
            host.write(os.path.join(folder, name, part + ".py"), "open(%r, 'w').write(%r)\n" % (mark, name))


def test_modules_in_the_image_are_never_imported(run, bundle, work):
    """P-02: also on the way of errors, which is where an interpreter imports late."""
    for edit, code in (({}, 0), ({"process": {"args": ["/nowhere"]}}, 1), ({"process": {"cwd": "/bin/sh/x"}}, 1)):
        image = bundle(RW, edit, args=["/bin/true"]) if not edit else bundle(RW, edit)
        if not edit:
            image.edit({"process": {"args": ["/bin/true"]}})
        lay_traps(image.rootfs, "/mark")
        os.makedirs(image.inside("usr/lib"))
        os.symlink("/", image.inside("usr/lib/python3.11"))
        os.symlink("/", image.inside("usr/lib/python311.zip"))
        result = run(of=image)
        assert result.code == code, result
        assert "Traceback" not in result.text
        assert not os.path.exists(image.inside("mark"))
    assert not os.path.exists("/mark")


@pytest.mark.parametrize("where", ["cwd", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONSTARTUP", "bundle"])
def test_modules_of_the_callers_surroundings_are_never_imported(run, bundle, work, where):
    """P-01."""
    traps, mark = work + "/traps", work + "/mark"
    image = bundle(RW, args=["/bin/true"])
    os.mkdir(traps)
    lay_traps(traps if where != "bundle" else image.path, mark)
    more = {"cwd": traps} if where == "cwd" else {"cwd": image.path} if where == "bundle" else {}
    if where.startswith("PYTHON"):
        value = traps + "/sitecustomize.py" if where == "PYTHONSTARTUP" else traps
        more["env"] = {**os.environ, where: value, "PYTHONINSPECT": "1", "PYTHONVERBOSE": "1"}
    result = run(of=image, **more).ok()
    assert not os.path.exists(mark), host.read(mark)
    assert "import" not in result.err


def test_a_preloaded_library_does_not_reach_the_runtime(run, work):
    """P-01: it would run as root before the first line of Python."""
    source = work + "/evil.c"
    host.write(source, "__attribute__((constructor)) static void f(void) { __builtin_trap(); }\n")
    assert os.system("cc -shared -fPIC -o %s/evil.so %s" % (work, source)) == 0
    run(RW, env={**os.environ, "LD_PRELOAD": work + "/evil.so", "HOME": work}).ok()


# ---- user namespaces ----


USERNS = {
    "linux": {
        "namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "user"),
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
    }
}


@pytest.mark.parametrize("attack", ["dev", "proc", "destination", "node"])
def test_symlinks_stay_inside_in_a_user_namespace_too(run, bundle, outside, attack):
    """Bind mounts replace device nodes there: another way to the same mistake."""
    image = bundle(RW, USERNS)
    os.chown(image.rootfs, 100000, 100000)
    for name in os.listdir(image.rootfs):
        os.chown(image.inside(name), 100000, 100000)
    if attack == "dev":
        image.edit({"mounts": without("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")})
        replace(image, "/dev", outside)
    elif attack == "proc":
        replace(image, "/proc", climb(outside))
    elif attack == "node":
        image.edit({"mounts": without("/dev")})
        os.symlink(climb(outside + "/secret"), image.inside("dev/null"))
    else:
        replace(image, "/data", climb(outside))
        image.edit({"mounts+": [entry("/data/made", "tmpfs", "tmpfs")]})
    clean_or_fine(run(of=image))


def test_a_device_that_poses_as_null_is_not_opened(run, bundle):
    """S-14: opening is an act already; this one would cost the host its next loop device or start its watchdog."""
    image = bundle(RW, {"mounts": without("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")})
    fake = os.path.join(image.path, "dev")
    os.mkdir(fake)
    os.mkfifo(fake + "/null")
    reader = os.open(fake + "/null", os.O_RDONLY | os.O_NONBLOCK)
    try:
        image.edit({"mounts+": [bind("/dev", fake)], "linux": {"maskedPaths": DROP}})
        libc = ctypes.CDLL(None)
        watch = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(watch, os.fsencode(fake + "/null"), IN_OPEN) > 0
        run(of=image).ok()
        with pytest.raises(BlockingIOError):
            os.read(watch, 4096)
        os.close(watch)
    finally:
        os.close(reader)
