"""config.md#mounts: options, order, destinations, bind, propagation; config-linux.md: propagation of the root."""

import os
import time

from suite import system
from suite.case import case
from suite.context import Context

MUST_TMPFS = "config.md#linux-mount-options: the option MUST be implemented"

# option -> (option set before it or None, words that must be there, words that must not)
OPTIONS = {
    "ro": (None, {"ro"}, {"rw"}), "rw": ("ro", {"rw"}, {"ro"}),
    "nosuid": (None, {"nosuid"}, set()), "suid": ("nosuid", set(), {"nosuid"}),
    "nodev": (None, {"nodev"}, set()), "dev": ("nodev", set(), {"nodev"}),
    "noexec": (None, {"noexec"}, set()), "exec": ("noexec", set(), {"noexec"}),
    "sync": (None, {"sync"}, set()), "async": ("sync", set(), {"sync"}),
    "dirsync": (None, {"dirsync"}, set()),
    "noatime": (None, {"noatime"}, set()), "atime": ("noatime", set(), {"noatime"}),
    "nodiratime": (None, {"nodiratime"}, set()), "diratime": ("nodiratime", set(), {"nodiratime"}),
    "relatime": (None, {"relatime"}, set()), "norelatime": (None, set(), {"noatime"}),
    "strictatime": (None, set(), {"relatime", "noatime"}), "nostrictatime": ("strictatime", {"relatime"}, set()),
    "lazytime": (None, {"lazytime"}, set()), "nolazytime": ("lazytime", set(), {"lazytime"}),
    "iversion": (None, set(), set()), "noiversion": (None, set(), set()),
    "silent": (None, set(), set()), "loud": (None, set(), set()),
    "defaults": (None, {"rw"}, {"nosuid", "nodev", "noexec"}),
    "nosymfollow": (None, {"nosymfollow"}, set()), "symfollow": ("nosymfollow", set(), {"nosymfollow"}),
}  # fmt: skip
SHOULD = {"nosymfollow", "symfollow"}

for option, (before, present, absent) in OPTIONS.items():

    @case(f"mounts/option-{option}", MUST_TMPFS, "R-193", level="SHOULD" if option in SHOULD else "MUST")
    def _option(
        t: Context, option: str = option, before: str | None = before, present: set = present, absent: set = absent
    ) -> None:
        t.mount("/mnt", type="tmpfs", source="tmpfs", options=[*([before] if before else []), option])
        line = t.go("--only", "mounts").mount("/mnt")
        words = {*line["options"], *(w for w in line["super"] if w not in ("rw", "ro"))}
        t.check(line["fstype"] == "tmpfs", f"{line['fstype']} at /mnt")
        t.check(present <= words, f"missing {sorted(present - words)} in {sorted(words)}")
        t.check(not absent & words, f"unexpected {sorted(absent & words)} in {sorted(words)}")


# ---- bind ----

BIND_OPTIONS = {
    "ro": "ro",
    "nosuid": "nosuid",
    "nodev": "nodev",
    "noexec": "noexec",
    "noatime": "noatime",
    "nodiratime": "nodiratime",
}

for option, word in BIND_OPTIONS.items():

    @case(
        f"mounts/bind-{option}",
        "config.md#linux-mount-options: the option MUST be implemented, on bind mounts too",
        "R-193",
        "R-197",
    )
    def _bind_option(t: Context, option: str = option, word: str = word) -> None:
        t.bind(t.host_dir("data"), "/data", option)
        words = t.go("--only", "mounts").mount("/data")["options"]
        t.check(word in words, f"{word} is missing in {words}")


@case("mounts/bind-ro-cannot-be-written", "config.md#mounts: ro", "R-193", "R-197")
def bind_ro(t: Context) -> None:
    t.bind(t.host_dir("data"), "/data", "ro")
    t.equal(t.go("--create", "/data/x").action("create").get("errno"), "EROFS", "creating a file")


@case("mounts/bind-ro-leaves-the-source-writable", "config.md#mounts: the mount, not its source", "R-197")
def bind_ro_source(t: Context) -> None:
    source = t.host_dir("data")
    t.bind(source, "/data", "ro")
    t.running()
    with open(f"{source}/file", "w", encoding="utf-8") as file:
        file.write("x")


@case("mounts/bind-rw-writes-the-source", "config.md#mounts: bind", "R-191")
def bind_rw(t: Context) -> None:
    source = t.host_dir("data")
    t.bind(source, "/data")
    t.go("--touch", "/data/made")
    t.check(os.path.exists(f"{source}/made"), "the file is not in the source directory")


@case("mounts/bind-file", "config.md#mounts: bind of a file", "R-191", "R-194")
def bind_file(t: Context) -> None:
    t.bind(t.host_file("text", "hello"), "/etc/text")
    t.equal(t.go("--read", "/etc/text").text("/etc/text"), "hello", "text")


@case("mounts/bind-relative-source", "config.md#mounts: a relative bind source is relative to the bundle", "R-191")
def bind_relative(t: Context) -> None:
    os.mkdir(f"{t.bundle}/data")
    with open(f"{t.bundle}/data/file", "w", encoding="utf-8") as file:
        file.write("from the bundle")
    t.bind("data", "/data")
    t.equal(t.go("--read", "/data/file").text("/data/file"), "from the bundle", "text")


@case(
    "mounts/bind-ignores-the-type",
    "config.md#mounts: with bind or rbind in options the mount is a bind mount",
    "R-191",
)
def bind_type(t: Context) -> None:
    source = t.host_dir("data")
    t.host_file("data/file", "x")
    t.mount("/data", type="none", source=source, options=["bind"])
    t.mount("/data2", source=source, options=["rbind"])
    out = t.go("--has", "/data/file", "--has", "/data2/file")
    t.equal([a["result"] for a in out["actions"]], [1, 1], "the file is there")


@case(
    "mounts/bind-missing-source", "runtime.md#create: a property that cannot be applied MUST be an error", "R-196"
)
def bind_missing(t: Context) -> None:
    t.bind(f"{t.work}/missing", "/data")
    t.refused()


@case(
    "mounts/bind-file-on-directory",
    "runtime.md#create: a property that cannot be applied MUST be an error",
    "R-032",
)
def bind_file_on_directory(t: Context) -> None:
    t.bind(t.host_file("text", "x"), "/etc")
    t.refused()


def nested(t: Context) -> str:
    """Return a host directory with another tmpfs mounted in its `sub`."""
    source = t.host_dir("data")
    t.host_dir("data/sub")
    t.host_mount("tmpfs", f"{source}/sub", "tmpfs")
    t.host_file("data/sub/inner", "x")
    return source


@case("mounts/bind-is-not-recursive", "config.md#linux-mount-options: bind", "R-193")
def bind_not_recursive(t: Context) -> None:
    t.bind(nested(t), "/data")
    t.equal(t.go("--has", "/data/sub/inner").action("has")["result"], 0, "the inner mount is visible")


@case("mounts/rbind-is-recursive", "config.md#linux-mount-options: rbind", "R-193")
def rbind(t: Context) -> None:
    t.mount("/data", type="none", source=nested(t), options=["rbind"])
    t.equal(t.go("--has", "/data/sub/inner").action("has")["result"], 1, "the inner mount is visible")


@case(
    "mounts/rbind-ro-is-for-the-top",
    "config.md#linux-mount-options: ro is that of mount(8), rro is the recursive one",
    "R-193",
    level="common",
)
def rbind_ro(t: Context) -> None:
    t.mount("/data", type="none", source=nested(t), options=["rbind", "ro"])
    out = t.go("--create", "/data/x", "--create", "/data/sub/x")
    t.equal([a.get("errno") for a in out["actions"]], ["EROFS", None], "errors at the top and below")


@case(
    "mounts/bind-keeps-the-flags-of-its-source",
    "mount(2): a bind without other options keeps the source's flags",
    "R-198",
    level="common",
)
def bind_keeps(t: Context) -> None:
    source = t.host_dir("data")
    t.host_mount("tmpfs", source, "tmpfs", flags=system.MS_NOEXEC | system.MS_NOSUID)
    t.bind(source, "/data")
    words = t.go("--only", "mounts").mount("/data")["options"]
    t.check({"noexec", "nosuid"} <= set(words), f"flags are {words}")


RECURSIVE = {
    "rro": ("ro", True, None),
    "rrw": ("rw", True, "ro"),
    "rnosuid": ("nosuid", True, None),
    "rsuid": ("nosuid", False, "nosuid"),
    "rnodev": ("nodev", True, None),
    "rdev": ("nodev", False, "nodev"),
    "rnoexec": ("noexec", True, None),
    "rexec": ("noexec", False, "noexec"),
    "rnoatime": ("noatime", True, None),
    "rnodiratime": ("nodiratime", True, None),
    "rdiratime": ("nodiratime", False, "nodiratime"),
    "rrelatime": ("relatime", True, "noatime"),
    "rstrictatime": ("relatime", False, None),
    "rnosymfollow": ("nosymfollow", True, None),
    "rsymfollow": ("nosymfollow", False, "nosymfollow"),
    "ratime": ("noatime", False, "noatime"),
    "rnorelatime": ("relatime", False, "strictatime"),
    "rnostrictatime": ("relatime", True, "strictatime"),
}

for option, (word, there, before) in RECURSIVE.items():

    @case(
        f"mounts/recursive-{option}",
        "config.md#linux-mount-options: the recursive option SHOULD be implemented",
        "R-201",
        level="SHOULD",
    )
    def _recursive(
        t: Context, option: str = option, word: str = word, there: bool = there, before: str | None = before
    ) -> None:
        source = nested(t)
        t.mount("/data", type="none", source=source, options=["rbind", *([before] if before else []), option])
        out = t.go("--only", "mounts")
        for point in ("/data", "/data/sub"):
            words = out.mount(point)["options"]
            if option in ("rstrictatime", "rnorelatime"):
                t.check("noatime" not in words, f"{point} has {words}")
            if option not in ("rnorelatime",):
                t.equal(word in words, there, f"{word} at {point} ({','.join(words)})")


# ---- order, destinations ----


@case("mounts/in-the-listed-order", "config.md#mounts: MUST mount entries in the listed order", "R-190")
def order(t: Context) -> None:
    for name in ("one", "two"):
        t.host_dir(name)
        t.host_file(f"{name}/{name}", "x")
    t.bind(f"{t.work}/one", "/data")
    t.bind(f"{t.work}/two", "/data")
    out = t.go("--has", "/data/one", "--has", "/data/two")
    t.equal([a["result"] for a in out["actions"]], [0, 1], "files seen (of the first, of the second)")


@case("mounts/below-an-earlier-mount", "config.md#mounts: MUST mount entries in the listed order", "R-190")
def below(t: Context) -> None:
    t.mount("/a", type="tmpfs", source="tmpfs", options=[])
    t.mount("/a/b", type="tmpfs", source="tmpfs", options=["ro"])
    out = t.go("--only", "mounts")
    t.check(out.mount("/a") and "ro" in out.mount("/a/b")["options"], "no nested mount")


@case(
    "mounts/relative-destination",
    "config.md#mounts: a relative destination MUST be taken as relative to /",
    "R-190",
)
def relative_destination(t: Context) -> None:
    t.mount("some/where", type="tmpfs", source="tmpfs")
    t.go("--only", "mounts").mount("/some/where")


@case(
    "mounts/missing-destination-is-made",
    "config.md#mounts: destination is a path in the container; a missing one is made",
    "R-194",
    level="common",
)
def missing_destination(t: Context) -> None:
    t.mount("/deep/er/dir", type="tmpfs", source="tmpfs")
    t.bind(t.host_file("text", "x"), "/new/dir/file")
    out = t.go("--only", "mounts", "--stat", "/deep/er", "--read", "/new/dir/file")
    out.mount("/deep/er/dir")
    t.equal(out.action("stat")["mode"], 0o755, "mode of a made parent")
    t.equal(out.text("/new/dir/file"), "x", "text")


@case(
    "mounts/destination-through-an-absolute-symlink",
    "config.md#mounts: destination is a path inside the container",
    "R-194",
    "R-211",
    level="common",
)
def symlink_destination(t: Context) -> None:
    t.mkdir("/run")
    t.mkdir("/var")
    os.symlink("/run", t.path("/var/run"))
    t.mount("/var/run/here", type="tmpfs", source="tmpfs")
    t.go("--only", "mounts").mount("/run/here")


@case(
    "mounts/symlink-does-not-lead-out",
    "config.md#mounts: destination is a path inside the container",
    "R-211",
    level="common",
)
def symlink_out(t: Context) -> None:
    outside = t.host_dir("outside")
    os.symlink("../../../../../../../../.." + outside, t.path("/leads-out"))
    t.mount("/leads-out/x", type="tmpfs", source="tmpfs")
    t.container().try_create()
    t.equal(os.listdir(outside), [], "entries made outside of the root filesystem")


@case(
    "mounts/dotdot-does-not-lead-out",
    "config.md#mounts: destination is a path inside the container",
    "R-211",
    level="common",
)
def dotdot_out(t: Context) -> None:
    t.mount("/../../../inside", type="tmpfs", source="tmpfs")
    if t.container().try_create().status == 0:
        t.check(
            not os.path.exists("/inside") and not os.path.exists(f"{t.bundle}/inside"),
            "made outside of the root filesystem",
        )


@case(
    "mounts/filesystem-options",
    "config.md#linux-mount-options: unknown options SHOULD go to the filesystem",
    "R-192",
    level="SHOULD",
)
def fs_options(t: Context) -> None:
    t.mount(
        "/mnt", type="tmpfs", source="tmpfs", options=["size=4096k", "nr_inodes=77", "mode=751", "uid=7", "gid=8"]
    )
    out = t.go("--statfs", "/mnt", "--stat", "/mnt")
    t.equal((out.action("statfs")["bytes"], out.action("statfs")["files"]), (4096 * 1024, 77), "size and inodes")
    stat = out.action("stat")
    t.equal((stat["mode"], stat["uid"], stat["gid"]), (0o751, 7, 8), "mode, uid, gid")


@case(
    "mounts/unknown-filesystem-option",
    "runtime.md#create: a property that cannot be applied MUST be an error",
    "R-192",
)
def unknown_fs_option(t: Context) -> None:
    t.mount("/mnt", type="tmpfs", source="tmpfs", options=["no-such-option-at-all"])
    t.refused()


@case("mounts/unknown-type", "runtime.md#create: a property that cannot be applied MUST be an error", "R-192")
def unknown_fs(t: Context) -> None:
    t.mount("/mnt", type="nosuchfs", source="x")
    t.refused()


for fstype, point, source in (("proc", "/proc", "proc"), ("sysfs", "/sys", "sysfs"), ("tmpfs", "/dev/shm", "shm"),
                              ("devpts", "/dev/pts", "devpts"), ("mqueue", "/dev/mqueue", "mqueue")):  # fmt: skip

    @case(
        f"mounts/filesystem-{fstype}",
        "config-linux.md#default-filesystems: SHOULD be made available",
        "R-192",
        level="SHOULD",
    )
    def _filesystem(t: Context, fstype: str = fstype, point: str = point, source: str = source) -> None:
        if point != "/proc":
            t.mount(point, type=fstype, source=source, options=["nosuid", "noexec"])
        line = t.go("--only", "mounts").mount(point)
        t.equal(line["fstype"], fstype, f"file system at {point}")


@case("mounts/source-name-is-kept", "config.md#mounts: source", "R-192", level="common")
def source_name(t: Context) -> None:
    t.mount("/mnt", type="tmpfs", source="a-name")
    t.equal(t.go("--only", "mounts").mount("/mnt")["source"], "a-name", "source")


@case("mounts/remount", "config.md#linux-mount-options: remount MUST be implemented", "R-193")
def remount(t: Context) -> None:
    t.mount("/mnt", type="tmpfs", source="tmpfs", options=["size=8192k"])
    t.mount("/mnt", type="tmpfs", source="tmpfs", options=["remount", "ro", "size=4096k"])
    out = t.go("--only", "mounts", "--statfs", "/mnt")
    t.equal(out.action("statfs")["bytes"], 4096 * 1024, "size")


@case(
    "mounts/cgroup",
    "config.md#mounts: type is a file system; cgroup shows the container's own tree",
    "R-209",
    level="common",
)
def cgroup_mount(t: Context) -> None:
    t.mount("/sys", type="sysfs", source="sysfs", options=["nosuid", "noexec", "nodev", "ro"])
    t.mount(
        "/sys/fs/cgroup", type="cgroup", source="cgroup", options=["nosuid", "noexec", "nodev", "relatime", "ro"]
    )
    out = t.go(
        "--only",
        "mounts",
        "--list",
        "/sys/fs/cgroup",
        "--mkdir",
        "/sys/fs/cgroup/memory/x",
        "--mkdir",
        "/sys/fs/cgroup/x",
    )
    t.check(out.action("list")["names"], "/sys/fs/cgroup is empty")
    t.check(
        any(line["fstype"] in ("cgroup", "cgroup2") for line in out.mounts()), "no cgroup file system is mounted"
    )
    t.check(
        "errno" in out.action("mkdir", "/sys/fs/cgroup/memory/x"),
        "a cgroup could be made through a read-only mount",
    )


@case("mounts/nothing-of-the-host-is-left", "config-linux.md#namespaces: mount: an isolated mount table", "R-262")
def no_host_mounts(t: Context) -> None:
    points = {line["point"] for line in t.go("--only", "mounts").mounts()}
    extra = {p for p in points if p not in ("/", "/proc", "/dev") and not p.startswith(("/dev/", "/proc/"))}
    t.equal(extra, set(), "mounts that the config does not have")


@case("mounts/host-table-is-unchanged", "config-linux.md#namespaces: mount: an isolated mount table", "R-262")
def host_table(t: Context) -> None:
    before = [line["point"] for line in system.mountinfo()]
    t.mount("/mnt", type="tmpfs", source="tmpfs")
    t.running()
    t.equal([line["point"] for line in system.mountinfo()], before, "mounts of the host while the container runs")


# ---- propagation ----

PROPAGATION = {
    "private": set(),
    "rprivate": set(),
    "shared": {"shared"},
    "rshared": {"shared"},
    "slave": {"master"},
    "rslave": {"master"},
    "unbindable": {"unbindable"},
    "runbindable": {"unbindable"},
}


def kinds(line: dict) -> set[str]:
    return {word.split(":")[0] for word in line["optional"]} - {"propagate_from"}


for option, want in PROPAGATION.items():

    @case(
        f"mounts/propagation-{option}",
        "config.md#linux-mount-options: the propagation option MUST be implemented",
        "R-200",
    )
    def _propagation(t: Context, option: str = option, want: set = want) -> None:
        source = t.host_dir("data")
        t.host_mount("tmpfs", source, "tmpfs")
        system.mount("", source, flags=system.MS_SHARED)
        t.mount("/data", type="none", source=source, options=["rbind", option])
        t.config["linux"]["rootfsPropagation"] = "slave"
        got = kinds(t.go("--only", "mounts").mount("/data"))
        if "shared" in got and want == {"shared"}:
            got -= {"master"}  # a shared mount may receive from the host's as well
        t.equal(got, want, "propagation of /data")


@case(
    "mounts/propagation-recursive-reaches-below",
    "config.md#linux-mount-options: rshared is recursive, shared is not",
    "R-200",
)
def propagation_below(t: Context) -> None:
    t.mount("/data", type="none", source=nested(t), options=["rbind", "rshared"])
    t.mount("/flat", type="none", source=f"{t.work}/data", options=["rbind", "shared"])
    out = t.go("--only", "mounts")
    t.equal(["shared" in kinds(out.mount(p)) for p in ("/data/sub", "/flat/sub")], [True, False], "shared below")


@case("mounts/propagation-slave-receives", "config.md#linux-mount-options: rslave", "R-200")
def slave_receives(t: Context) -> None:
    source = t.host_dir("data")
    t.host_mount("tmpfs", source, "tmpfs")
    system.mount("", source, flags=system.MS_SHARED)
    os.mkdir(f"{source}/sub")
    t.mount("/data", type="none", source=source, options=["rbind", "rslave"])
    t.config["linux"]["rootfsPropagation"] = "slave"
    container = t.running()
    t.host_mount("tmpfs", f"{source}/sub", "tmpfs")

    def seen() -> bool:
        with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as file:
            return " /data/sub " in file.read()

    t.until(seen, "the later mount on the host is not seen in the container", 2)


@case("mounts/propagation-private-does-not-receive", "config.md#linux-mount-options: rprivate", "R-200")
def private_does_not(t: Context) -> None:
    source = t.host_dir("data")
    t.host_mount("tmpfs", source, "tmpfs")
    system.mount("", source, flags=system.MS_SHARED)
    os.mkdir(f"{source}/sub")
    t.mount("/data", type="none", source=source, options=["rbind", "rprivate"])
    container = t.running()
    t.host_mount("tmpfs", f"{source}/sub", "tmpfs")
    time.sleep(0.05)
    with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as file:
        t.check(" /data/sub " not in file.read(), "the later mount on the host is seen in the container")


ROOT_PROPAGATION = {"shared": {"shared"}, "slave": {"master"}, "private": set(), "unbindable": {"unbindable"}}

for value, want in ROOT_PROPAGATION.items():

    @case(
        f"mounts/rootfs-propagation-{value}",
        "config-linux.md#rootfs-mount-propagation: the value is the rootfs's propagation",
        "R-258",
    )
    def _root_propagation(t: Context, value: str = value, want: set = want) -> None:
        if value == "slave":
            t.host_mount(t.bundle, t.bundle, flags=system.MS_BIND)
            system.mount("", t.bundle, flags=system.MS_SHARED)
        t.config["linux"]["rootfsPropagation"] = value
        root = t.go("--only", "mounts").mount("/")
        t.equal(kinds(root), want, "propagation of /")


@case("mounts/rootfs-propagation-unknown", "config.md#valid-values: unsupported values MUST be an error", "R-258")
def unknown_propagation(t: Context) -> None:
    t.config["linux"]["rootfsPropagation"] = "sideways"
    t.refused()


@case(
    "mounts/idmap",
    "config.md#linux-mount-options: idmap: the mount MUST have an idmapping",
    "R-202",
    level="SHOULD",
)
def idmap(t: Context) -> None:
    source = t.host_dir("data")
    os.chown(t.host_file("data/file", "x"), 1000, 1000)
    t.mount("/data", type="bind", source=source, options=["bind", "idmap"],
            uidMappings=[{"containerID": 1000, "hostID": 5000, "size": 10}],
            gidMappings=[{"containerID": 1000, "hostID": 6000, "size": 10}])  # fmt: skip
    stat = t.go("--only", "none", "--stat", "/data/file").action("stat")
    t.equal((stat["uid"], stat["gid"]), (5000, 6000), "owner through the mount")


for word in ("idmap", "ridmap"):

    @case(
        f"mounts/{word}-and-what-is-mounted-below",
        "config.md#linux-mount-options: ridmap: the mapping is applied recursively",
        "R-202",
        level="SHOULD",
    )
    def _idmap_below(t: Context, word: str = word) -> None:
        release = os.uname().release.split("-")[0].split(".")
        t.need((int(release[0]), int(release[1])) >= (6, 3), "a tmpfs can be id-mapped from Linux 6.3 on")
        source = nested(t)
        for name in ("file", "sub/file"):
            with open(f"{source}/{name}", "w"):
                os.chown(f"{source}/{name}", 1000, 1000)
        maps = [{"containerID": 1000, "hostID": 5000, "size": 10}]
        t.mount("/data", type="bind", source=source, options=["rbind", word], uidMappings=maps, gidMappings=maps)
        out = t.go("--only", "none", "--stat", "/data/file", "--stat", "/data/sub/file")
        owners = [action["uid"] for action in out["actions"]]
        t.equal(owners, [5000, 5000 if word == "ridmap" else 1000], "owners at the top and below")


@case(
    "mounts/idmap-inside-a-user-namespace",
    "config.md#linux-mount-options: idmap: given mappings MUST be used for the mount's mapping",
    "R-202",
    level="SHOULD",
)
def idmap_userns(t: Context) -> None:
    t.user_namespace()
    t.mkdir("data")  # the root of the container may not
    source = t.host_dir("data")
    os.chown(t.host_file("data/file", "x"), 1000, 1000)
    maps = [{"containerID": 1000, "hostID": 100005, "size": 10}]
    t.mount("/data", type="bind", source=source, options=["bind", "idmap"], uidMappings=maps, gidMappings=maps)
    stat = t.go("--only", "none", "--stat", "/data/file").action("stat")
    t.equal((stat["uid"], stat["gid"]), (5, 5), "owner through the mount")


@case(
    "mounts/mappings-without-idmap",
    "config.md#mounts: uidMappings convert the uids of the source",
    "R-204",
    level="common",
)
def idmap_no_word(t: Context) -> None:
    source = t.host_dir("data")
    os.chown(t.host_file("data/file", "x"), 1000, 1000)
    maps = [{"containerID": 1000, "hostID": 5000, "size": 10}]
    t.mount("/data", type="bind", source=source, options=["bind"], uidMappings=maps, gidMappings=maps)
    t.equal(t.go("--only", "none", "--stat", "/data/file").action("stat")["uid"], 5000, "owner through the mount")


@case(
    "mounts/idmap-of-a-file-system",
    "runtime.md#create: a property that cannot be applied MUST be an error",
    "R-203",
    level="common",
)
def idmap_tmpfs(t: Context) -> None:
    maps = [{"containerID": 0, "hostID": 5000, "size": 10}]
    t.mount("/data", type="tmpfs", source="tmpfs", options=["idmap"], uidMappings=maps, gidMappings=maps)
    t.refused()


for given in ("uidMappings", "gidMappings"):

    @case(
        f"mounts/idmap-only-{given}",
        "config.md#posix-mounts: uidMappings MUST be given along with gidMappings",
        "R-202",
    )
    def _half_map(t: Context, given: str = given) -> None:
        t.mount("/data", type="bind", source=t.host_dir("data"), options=["bind", "idmap"],
                **{given: [{"containerID": 0, "hostID": 5000, "size": 10}]})  # fmt: skip
        t.refused()


@case(
    "mounts/idmap-without-any-mapping",
    "config.md#linux-mount-options: idmap without mappings and user namespace MUST be an error",
    "R-202",
)
def idmap_none(t: Context) -> None:
    t.mount("/data", type="bind", source=t.host_dir("data"), options=["bind", "idmap"])
    t.refused()
