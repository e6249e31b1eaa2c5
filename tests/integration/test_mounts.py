"""mounts: order, options, destinations, propagation (config.md#mounts)."""

import os

import pytest

from . import host
from .bundles import DROP, bind, default_mounts, entry, namespaces
from .host import requires

RW = {"root": {"readonly": False}}


@pytest.fixture
def source(work):
    """A folder with a file, to be bound."""
    path = os.path.join(work, "source")
    os.makedirs(path + "/sub")
    host.write(path + "/file", "from the host\n")
    return path


def test_the_default_mounts_are_there(inspect):
    report = inspect()
    expected = {
        "/proc": ("proc", set()),
        "/dev": ("tmpfs", {"nosuid"}),
        "/dev/pts": ("devpts", {"nosuid", "noexec"}),
        "/dev/shm": ("tmpfs", {"nosuid", "nodev", "noexec"}),
        "/dev/mqueue": ("mqueue", {"nosuid", "nodev", "noexec"}),
        "/sys": ("sysfs", {"nosuid", "nodev", "noexec", "ro"}),
    }
    for point, (kind, options) in expected.items():
        mount = report.mount(point)
        assert mount.fstype == kind, mount
        assert mount.options & {"nosuid", "nodev", "noexec", "ro"} == options, mount
    assert "size=65536k" in report.mount("/dev").super_options
    assert "mode=755" in report.mount("/dev").super_options
    pts = report.mount("/dev/pts").super_options
    assert {"gid=5", "mode=620", "ptmxmode=666"} <= set(pts)


def test_nothing_of_the_host_is_in_the_mount_table(inspect):
    """R-262."""
    report = inspect()
    allowed = ("/", "/proc", "/dev", "/sys")
    for mount in report.mounts():
        assert mount.point.startswith(allowed), mount
    roots = [m for m in report.mounts() if m.point == "/"]
    assert len(roots) == 1
    assert roots[0].root.endswith("/rootfs")


def test_mounts_are_done_in_order(inspect, source):
    """R-190: the later one lies on top."""
    report = inspect(
        RW,
        {
            "mounts+": [
                entry("/data", "tmpfs", "one"),
                bind("/data/in", source),
                entry("/mnt", "tmpfs", "low"),
                entry("/mnt", "tmpfs", "high"),
            ]
        },
        probe=["--read", "/data/in/file"],
    )
    points = [m.point for m in report.mounts()]
    assert points.index("/data") < points.index("/data/in")
    assert report.text("/data/in/file") == "from the host\n"
    assert [m.source for m in report.mounts() if m.point == "/mnt"] == ["low", "high"]


BIND_OPTIONS = [
    (["bind"], set()),
    (["rbind"], set()),
    (["bind", "ro"], {"ro"}),
    (["rbind", "ro"], {"ro"}),
    (["bind", "nosuid", "nodev", "noexec"], {"nosuid", "nodev", "noexec"}),
    (["bind", "ro", "rw"], set()),
    (["bind", "noexec", "exec", "nosuid"], {"nosuid"}),
    (["bind", "noatime"], {"noatime"}),
    (["bind", "nodiratime"], {"nodiratime"}),
    (["bind", "ro", "nosymfollow"], {"ro", "nosymfollow"}),
    (["defaults", "bind"], set()),
    (["rbind", "nodev", "nocopy"], {"nodev"}),  # podman's own word
]
FLAGS = {"ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"}


@pytest.mark.parametrize(("options", "expected"), BIND_OPTIONS, ids=lambda x: "+".join(x))
def test_options_of_a_bind_take_effect(inspect, source, options, expected):
    """R-197: the kernel ignores them in the first step."""
    report = inspect({"mounts+": [bind("/data", source, *options)]}, probe=["--touch", "/data/new"])
    below = max((m for m in host.mountinfo() if (source + "/").startswith(m.point)), key=lambda m: len(m.point))
    inherited = below.options & {"noatime"}  # no word about access times leaves them as they are
    assert report.mount("/data").options & FLAGS == expected | inherited
    assert report.errno("touch") == ("EROFS" if "ro" in expected else None)


def test_options_of_a_bind_do_not_change_the_source(inspect, source):
    host.mount(source, source, None, host.MS_BIND)
    try:
        inspect({"mounts+": [bind("/data", source, "rbind", "ro", "nosuid", "noexec")]})
        mine = [m for m in host.mountinfo() if m.point == source][-1]
        assert not mine.options & {"ro", "nosuid", "noexec"}
    finally:
        host.umount(source)


def test_a_bind_without_options_keeps_those_of_its_source(inspect, source):
    """R-198."""
    host.mount(source, source, None, host.MS_BIND)
    host.mount(None, source, None, host.MS_BIND | 0x20 | host.MS_NOEXEC | host.MS_NOSUID)
    try:
        report = inspect({"mounts+": [bind("/data", source, "rbind")]})
        assert {"nosuid", "noexec"} <= report.mount("/data").options
    finally:
        host.umount(source)


def test_rbind_takes_submounts_and_bind_does_not(inspect, source):
    host.mount("tmpfs", source + "/sub", "tmpfs")
    try:
        edit = {"mounts+": [bind("/data", source, "rbind"), bind("/mnt", source, "bind")]}
        points = [m.point for m in inspect(edit).mounts()]
        assert "/data/sub" in points
        assert "/mnt/sub" not in points
    finally:
        host.umount(source + "/sub")


@pytest.mark.parametrize(
    ("option", "flag"),
    [
        ("rro", "ro"),
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnoatime", "noatime"),
        ("rnodiratime", "nodiratime"),
        ("rnosymfollow", "nosymfollow"),
    ],
)
def test_recursive_options_reach_submounts(inspect, source, option, flag):
    """R-201."""
    host.mount("tmpfs", source + "/sub", "tmpfs")
    try:
        report = inspect({"mounts+": [bind("/data", source, "rbind", option)]})
        assert flag in report.mount("/data").options
        assert flag in report.mount("/data/sub").options
    finally:
        host.umount(source + "/sub")


def test_plain_options_do_not_reach_submounts(inspect, source):
    host.mount("tmpfs", source + "/sub", "tmpfs")
    try:
        report = inspect({"mounts+": [bind("/data", source, "rbind", "ro")]})
        assert "ro" in report.mount("/data").options
        assert "ro" not in report.mount("/data/sub").options
    finally:
        host.umount(source + "/sub")


@pytest.mark.parametrize(
    ("option", "marks"),
    [
        ("private", set()),
        ("rprivate", set()),
        ("shared", {"shared"}),
        ("rshared", {"shared"}),
        ("slave", {"master"}),
        ("rslave", {"master"}),
        ("unbindable", {"unbindable"}),
        ("runbindable", {"unbindable"}),
    ],
)
def test_propagation_of_a_mount(inspect, source, option, marks):
    """R-200.  The source is shared in the namespace of the tests."""
    host.mount(source, source, None, host.MS_BIND)
    try:
        report = inspect(
            {"linux": {"rootfsPropagation": "shared" if "shared" in option else "slave"}},
            {"mounts+": [bind("/data", source, "bind", option)]},
        )
        seen = report.mount("/data").propagation - {"propagate_from"}
        if "shared" in option:
            assert "shared" in seen
        else:
            assert seen == marks
    finally:
        host.umount(source)


@pytest.mark.parametrize(
    ("value", "marks"),
    [
        (None, set()),
        ("private", set()),
        ("slave", {"master"}),
        ("rslave", {"master"}),
        ("shared", {"shared"}),
        ("unbindable", {"unbindable"}),
    ],
)
def test_rootfs_propagation(inspect, value, marks):
    """R-258."""
    report = inspect({"linux": {"rootfsPropagation": value}})
    seen = report.mount("/").propagation - {"propagate_from"}
    assert marks <= seen, seen
    if value in (None, "private", "unbindable"):
        assert "shared" not in seen


def test_rootfs_propagation_must_be_a_known_word(run):
    run({"linux": {"rootfsPropagation": "sideways"}}).failed("sideways")


def test_mounts_made_on_the_host_later_do_not_show_by_default(container, source):
    one = container({"mounts+": [bind("/data", source, "rbind", "rprivate")]}).create().start()
    host.mount("tmpfs", source + "/sub", "tmpfs")
    try:
        assert not [m for m in host.mountinfo(one.pid) if m.point == "/data/sub"]
    finally:
        host.umount(source + "/sub")
    one.end()
    one.delete().ok()


def test_mounts_made_on_the_host_later_show_in_a_slave(container, source):
    host.mount(source, source, None, host.MS_BIND)
    one = container({"mounts+": [bind("/data", source, "rbind", "rslave")]}).create().start()
    host.mount("tmpfs", source + "/sub", "tmpfs")
    try:
        assert [m for m in host.mountinfo(one.pid) if m.point == "/data/sub"]
    finally:
        host.umount(source + "/sub")
        one.end()
        one.delete().ok()
        host.umount(source)


def test_filesystem_data_reaches_the_filesystem(inspect):
    """R-192."""
    options = ["nosuid", "size=1m", "mode=0701", "uid=7", "gid=8", "nr_inodes=9"]
    report = inspect(
        {"mounts+": [entry("/data", "tmpfs", "x", *options)]}, probe=["--stat", "/data", "--statfs", "/data"]
    )
    stat = report.stat("/data")
    assert (stat["mode"], stat["uid"], stat["gid"]) == (0o701, 7, 8)
    size = report.action("statfs", "/data")
    assert size["bytes"] == 1 << 20
    assert size["files"] == 9
    assert report.mount("/data").source == "x"


@pytest.mark.parametrize(
    ("option", "where", "word"),
    [
        ("sync", "super", "sync"),
        ("dirsync", "super", "dirsync"),
        ("lazytime", "super", "lazytime"),
        ("ro", "mount", "ro"),
        ("noatime", "mount", "noatime"),
        ("relatime", "mount", "relatime"),
        ("strictatime", "mount", ""),
        ("nodiratime", "mount", "nodiratime"),
        ("nosymfollow", "mount", "nosymfollow"),
        ("silent", "mount", ""),
        ("loud", "mount", ""),
        ("async", "mount", ""),
        ("nolazytime", "mount", ""),
        ("suid", "mount", ""),
        ("mand", "mount", ""),
        ("nomand", "mount", ""),
        ("iversion", "mount", ""),
        ("noiversion", "mount", ""),
        ("diratime", "mount", ""),
        ("norelatime", "mount", ""),
        ("nostrictatime", "mount", ""),
        ("symfollow", "mount", ""),
    ],
)
def test_options_of_a_new_filesystem(inspect, option, where, word):
    """R-193: every word of the table is understood, and those that show in mountinfo do."""
    mount = inspect({"mounts+": [entry("/data", "tmpfs", "x", option)]}).mount("/data")
    seen = set(mount.super_options) if where == "super" else mount.options
    if word:
        assert word in seen, mount
    if option == "strictatime":
        assert not seen & {"relatime", "noatime"}, mount


def test_missing_destinations_are_made(inspect, source, bundle):
    """R-194: folders 0755; an empty file for a file."""
    edit = {"mounts+": [bind("/made/for/folder", source), bind("/made/for/file", source + "/file")]}
    here = bundle(
        RW, edit, args=["/bin/probe", "--stat", "/made", "--stat", "/made/for", "--read", "/made/for/file"]
    )
    report = inspect(of=here)
    assert report.stat("/made")["mode"] == report.stat("/made/for")["mode"] == 0o755
    assert report.text("/made/for/file") == "from the host\n"
    assert os.stat(here.inside("/made/for/file")).st_size == 0
    assert os.path.isdir(here.inside("/made/for/folder"))


def test_umask_of_the_caller_does_not_change_made_destinations(inspect, source, bundle):
    """S-37."""
    for mask in (0o077, 0):
        here = bundle(RW, {"mounts+": [bind("/made/here", source)]}, args=["/bin/probe", "--stat", "/made"])
        report = inspect(of=here, preexec_fn=lambda mask=mask: os.umask(mask))
        assert report.stat("/made")["mode"] == 0o755


def test_symlinks_in_a_destination_are_resolved_inside_the_rootfs(inspect, source, bundle):
    """R-194: /var/run -> /run."""
    here = bundle(RW, {"mounts+": [bind("/var/run/x", source)]}, args=["/bin/probe", "--read", "/run/x/file"])
    os.mkdir(here.inside("/var"))
    os.symlink("/run", here.inside("/var/run"))
    report = inspect(of=here)
    assert report.text("/run/x/file") == "from the host\n"
    assert not os.path.exists("/run/x")


def test_relative_destinations_are_below_the_root(inspect, source):
    """R-190."""
    report = inspect({"mounts+": [bind("data", source)]}, probe=["--read", "/data/file"])
    assert report.text("/data/file") == "from the host\n"


def test_relative_sources_are_below_the_bundle(inspect, bundle):
    """R-191."""
    here = bundle({"mounts+": [bind("/data", "stuff")]}, args=["/bin/probe", "--has", "/data/x"])
    os.makedirs(here.path + "/stuff")
    host.write(here.path + "/stuff/x", "")
    assert inspect(of=here).action("has")["result"] == 1


def test_the_type_of_a_bind_is_ignored(inspect, source):
    for kind in ("bind", "none", "ext4", ""):
        report = inspect({"mounts+": [entry("/data", kind, source, "bind")]}, probe=["--has", "/data/file"])
        assert report.action("has")["result"] == 1


def test_a_missing_bind_source_fails(run, pyoci):
    """R-196."""
    run({"mounts+": [bind("/data", "/no/such/source")]}).failed("no such file or directory", "/no/such/source")


@pytest.mark.parametrize("kind", ["file-on-folder", "folder-on-file"])
def test_file_and_folder_do_not_mix(run, source, bundle, kind):
    """R-032: dockerd looks for the kernel's words."""
    here = bundle(RW)
    here.file("/plain")
    pair = ("/data", source + "/file") if kind == "file-on-folder" else ("/plain", source)
    here.edit({"mounts+": [bind(*pair)]})
    run(of=here).failed("not a directory", pair[0])


def test_an_unknown_filesystem_is_named(run):
    run({"mounts+": [entry("/data", "nosuchfs", "x")]}).failed("nosuchfs")


def test_filesystem_data_on_a_bind_is_refused(run, source):
    """R-199."""
    run({"mounts+": [bind("/data", source, "bind", "size=1m")]}).failed("size=1m")


def test_a_mount_on_the_root_itself_is_refused(run, source):
    """R-195."""
    run({"mounts+": [bind("/", source)]}).failed()


@pytest.mark.parametrize("destination", ["/proc/1", "/proc/sys/x", "/proc/self/attr"])
def test_mounts_below_proc_are_refused(run, source, destination):
    """R-207, S-09."""
    run({"mounts+": [bind(destination, source)]}).failed("/proc")


@pytest.mark.parametrize("name", ["cpuinfo", "meminfo", "stat", "uptime", "loadavg", "swaps", "diskstats"])
def test_lxcfs_style_files_may_cover_proc(inspect, source, name):
    """R-207."""
    path = "/proc/" + name
    report = inspect({"mounts+": [bind(path, source + "/file", "bind", "ro")]}, probe=["--read", path])
    assert report.text(path) == "from the host\n"


def test_no_mounts_at_all_is_fine(inspect, run):
    result = run({"mounts": [], "linux": {"maskedPaths": DROP, "readonlyPaths": DROP}}, args=["/bin/true"])
    result.ok()


def test_mounts_null_is_as_absent(run):
    """R-182."""
    run({"mounts": None, "linux": {"maskedPaths": None, "readonlyPaths": None}}).ok()


def test_tmpcopyup_keeps_what_it_covers(inspect, bundle):
    """R-205."""
    mounts = [entry("/data", "tmpfs", "tmpfs", "tmpcopyup", "rw")]
    here = bundle(
        {"mounts+": mounts},
        args=["/bin/probe", "--read", "/data/old", "--stat", "/data/old", "--touch", "/data/new"],
    )
    here.file("/data/old", "old\n", 0o604)
    os.chown(here.inside("/data/old"), 3, 4)
    os.symlink("old", here.inside("/data/link"))
    report = inspect(of=here)
    assert report.text("/data/old") == "old\n"
    stat = report.stat("/data/old")
    assert (stat["mode"], stat["uid"], stat["gid"]) == (0o604, 3, 4)
    assert report.errno("touch") is None
    assert not os.path.exists(here.inside("/data/new"))


def test_a_tmpfs_without_mode_takes_that_of_the_covered_folder(inspect, bundle):
    """R-206."""
    here = bundle({"mounts+": [entry("/data", "tmpfs", "tmpfs")]}, args=["/bin/probe", "--stat", "/data"])
    os.chmod(here.inside("/data"), 0o1701)
    assert inspect(of=here).stat("/data")["mode"] == 0o1701


def test_a_tmpfs_without_mode_on_a_folder_made_for_it_is_open_to_all(inspect):
    """R-206: there is no mode to take over, and a user without root is to be able to write there."""
    mounts = [entry("/run/made/deep", "tmpfs", "tmpfs", "nosuid")]
    user = {"uid": 1000, "gid": 1000}
    report = inspect(
        {"mounts+": mounts, "process": {"user": user}, "root": {"readonly": False}},
        probe=["--stat", "/run/made/deep", "--stat", "/run/made"],
    )
    assert report.stat("/run/made/deep")["mode"] == 0o1777
    assert report.stat("/run/made")["mode"] == 0o755


def test_a_read_only_tmpfs_may_hold_later_mounts(inspect, source):
    """R-206: mounted writable first, read-only at the end."""
    mounts = [entry("/data", "tmpfs", "tmpfs", "ro"), bind("/data/deep/er", source)]
    report = inspect({"mounts+": mounts}, probe=["--read", "/data/deep/er/file", "--touch", "/data/x"])
    assert report.text("/data/deep/er/file") == "from the host\n"
    assert report.errno("touch") == "EROFS"


def test_a_read_only_dev_still_has_its_devices(inspect):
    def edit(config):
        config["mounts"][1]["options"].append("ro")

    report = inspect(edit, probe=["--stat", "/dev/null", "--touch", "/dev/x", "--openrw", "/dev/null"])
    assert report.stat("/dev/null")["type"] == "char"
    assert report.errno("touch") == "EROFS"
    assert report.errno("openrw") is None


def test_five_hundred_mounts(inspect, source):
    mounts = [entry("/data", "tmpfs", "tmpfs")] + [bind("/data/m%d" % n, source, "rbind", "ro") for n in range(500)]
    report = inspect({"mounts+": mounts})
    assert len([m for m in report.mounts() if m.point.startswith("/data/m") and "ro" in m.options]) == 500


def test_a_source_that_is_a_symlink_is_followed(inspect, source, work):
    """S-45."""
    os.symlink(source, work + "/alias")
    report = inspect({"mounts+": [bind("/data", work + "/alias")]}, probe=["--has", "/data/file"])
    assert report.action("has")["result"] == 1


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_special_files_can_be_bound(inspect, work, kind):
    import socket

    path = os.path.join(work, kind)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path)
    else:
        path = "/dev/zero"
    report = inspect({"mounts+": [bind("/data/it", path)]}, RW, probe=["--stat", "/data/it"])
    assert report.stat("/data/it")["type"] == {"fifo": "fifo", "socket": "socket", "device": "char"}[kind]


def test_paths_may_hold_blanks_and_non_ascii(inspect, work):
    path = os.path.join(work, "a b\tc\\ü,x=y")
    os.mkdir(path)
    host.write(path + "/file", "odd\n")
    report = inspect({"mounts+": [bind("/data/ö d,e", path)]}, RW, probe=["--read", "/data/ö d,e/file"])
    assert report.text("/data/ö d,e/file") == "odd\n"


def test_cgroup_v1_hierarchies_are_mounted_below_a_tmpfs(inspect):
    """R-209."""
    requires("cgroup1")
    report = inspect(probe=["--list", "/sys/fs/cgroup", "--touch", "/sys/fs/cgroup/pids/x"])
    assert report.mount("/sys/fs/cgroup").fstype == "tmpfs"
    names = set(report.action("list")["names"])
    assert {"memory", "pids", "cpu"} <= names
    for name in ("memory", "pids", "cpu"):
        mount = report.mount("/sys/fs/cgroup/" + name)
        assert mount.fstype == "cgroup"
        assert {"ro", "nosuid", "nodev", "noexec"} <= mount.options
        assert mount.root.startswith("/pt")


def test_cgroup_v1_with_its_own_namespace_shows_the_root(inspect):
    requires("cgroup1", "cgroupns")
    edit = {"linux": {"namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "cgroup")}}
    report = inspect(edit, probe=["--read", "/proc/self/cgroup"])
    assert report.mount("/sys/fs/cgroup/pids").root == "/"
    assert all(line.split(":", 2)[2] == "/" for line in report.text("/proc/self/cgroup").splitlines())


def test_cgroup2_is_mounted_read_only(inspect):
    """R-209, S-24."""
    requires("cgroup2")
    report = inspect(probe=["--mkdir", "/sys/fs/cgroup/x", "--list", "/sys/fs/cgroup"])
    assert report.mount("/sys/fs/cgroup").fstype == "cgroup2"
    assert report.errno("mkdir") == "EROFS"
    assert "cgroup.procs" in report.action("list")["names"]


def test_a_cgroup_mount_without_ro_is_writable(inspect):
    def edit(config):
        config["mounts"][-1]["options"].remove("ro")

    place = "/sys/fs/cgroup/x" if host.is_cgroup2() else "/sys/fs/cgroup/pids/x"
    report = inspect(edit, probe=["--mkdir", place, "--syscall", "84", "s:" + place])
    assert report.errno("mkdir") is None
    assert report.errno("syscall") is None


def test_default_mounts_of_the_test_are_not_what_makes_it_pass(inspect):
    """Without /dev/shm in the list there is none: a runtime adds no mounts by itself."""
    kept = [m for m in default_mounts() if m["destination"] not in ("/dev/shm", "/dev/mqueue")]
    points = {m.point for m in inspect({"mounts": kept}).mounts()}
    assert "/dev/shm" not in points
    assert "/dev/mqueue" not in points


def test_a_mount_of_type_cgroup2_is_one_also_beside_version_1(inspect):
    """R-209: the type says which."""
    report = inspect({"mounts+": [entry("/cg2", "cgroup2", "cgroup2", "ro", "nosuid")]})
    mount = report.mount("/cg2")
    assert (mount.fstype, "ro" in mount.options, "nosuid" in mount.options) == ("cgroup2", True, True)


def links_of(source):
    """In a host directory: a symlink to a file of the container's, and a file."""
    os.symlink("/etc/inside", source + "/link")
    host.write(source + "/plain", "plain\n")


def test_src_nofollow_binds_the_symlink_itself(inspect, bundle, source):
    """R-212: it then leads to what it names in the container."""
    links_of(source)
    mounts = {"mounts+": [bind("/data/place", source + "/link", "bind", "src-nofollow")]}
    here = bundle(RW, mounts, args=["/bin/probe", "--read", "/data/place"])
    here.file("/etc/inside", "in the image\n")
    assert inspect(of=here).text("/data/place") == "in the image\n"


def test_without_src_nofollow_the_symlink_is_followed_on_the_host(run, source):
    """Where it leads nowhere."""
    links_of(source)
    run({"mounts+": [bind("/data/place", source + "/link", "bind")]}).failed("mounts[7]", "no such file")


def test_dest_nofollow_covers_the_symlink_itself(inspect, bundle, source):
    """R-212: what it leads to stays as it was."""
    links_of(source)
    mounts = {"mounts+": [bind("/data/link", source + "/plain", "bind", "dest-nofollow")]}
    here = bundle(RW, mounts, args=["/bin/probe", "--read", "/data/link", "--read", "/etc/inside"])
    here.file("/etc/inside", "in the image\n")
    os.symlink("/etc/inside", here.inside("/data/link"))
    report = inspect(of=here)
    assert report.text("/data/link") == "plain\n"
    assert report.text("/etc/inside") == "in the image\n"


def test_without_dest_nofollow_the_symlink_is_followed(inspect, bundle, source):
    links_of(source)
    mounts = {"mounts+": [bind("/data/link", source + "/plain", "bind")]}
    here = bundle(RW, mounts, args=["/bin/probe", "--read", "/etc/inside"])
    here.file("/etc/inside", "in the image\n")
    os.symlink("/etc/inside", here.inside("/data/link"))
    assert inspect(of=here).text("/etc/inside") == "plain\n"


def test_copy_symlink_makes_the_symlink_anew(run, bundle, source):
    """R-212: what is no symlink is bound, and what is there already must be the same."""
    links_of(source)
    mounts = [
        bind("/data/copy", source + "/link", "rbind", "copy-symlink"),
        bind("/data/plain", source + "/plain", "rbind", "copy-symlink"),
    ]
    here = bundle(RW, {"mounts+": mounts}, args=["/bin/cat", "/data/copy", "/data/plain"])
    here.file("/etc/inside", "in the image\n")
    for _ in range(2):
        assert run(of=here).ok().out == "in the image\nplain\n"
    assert os.readlink(here.inside("/data/copy")) == "/etc/inside"
    os.unlink(here.inside("/data/copy"))
    os.symlink("/etc/other", here.inside("/data/copy"))
    run(of=here).failed("mounts[7]", "file exists")


@pytest.mark.parametrize("option", ["copy-symlink", "src-nofollow", "dest-nofollow"])
def test_words_about_symlinks_are_for_binds(run, option):
    """R-212."""
    run({"mounts+": [entry("/data", "tmpfs", "x", option)]}).failed("mounts[7].options[0]", option)
