"""config.md#root, config-linux.md#devices, #masked-paths, #readonly-paths; runtime-linux.md: links of /dev."""

import os

from suite import system
from suite.case import case
from suite.context import Context

# ---- root ----


@case("root/is-the-given-directory", "config.md#root: path is the root file system", "R-187")
def root_is(t: Context) -> None:
    t.write("/marker", "here")
    out = t.go("--read", "/marker", "--list", "/")
    t.equal(out.text("/marker"), "here", "text")
    t.equal(sorted(out.action("list")["names"]), sorted(os.listdir(t.rootfs)), "entries of /")


@case("root/dotdot-stays-inside", "config.md#root: the root file system", "R-262")
def root_dotdot(t: Context) -> None:
    out = t.go("--has", f"/../..{t.work}", "--has", t.work)
    t.equal([a["result"] for a in out["actions"]], [0, 0], "the host's directories are visible")


@case("root/absolute-path", "config.md#root: path is absolute or relative to the bundle", "R-187")
def root_absolute(t: Context) -> None:
    t.config["root"]["path"] = t.rootfs
    t.go()


@case("root/bundle-itself", "config.md#root: path is absolute or relative to the bundle", "R-187")
def root_bundle(t: Context) -> None:
    for name in ("proc", "dev"):
        os.mkdir(f"{t.bundle}/{name}")
    os.link(t.probe, f"{t.bundle}/probe")
    t.config["root"]["path"] = "."
    t.go()


@case("root/readonly", "config.md#root: readonly: MUST be read-only inside the container", "R-189")
def root_readonly(t: Context) -> None:
    t.config["root"]["readonly"] = True
    out = t.go("--create", "/new", "--mkdir", "/tmp/new", "--write", "/etc/x=1", "--create", "/dev/new")
    t.equal([a.get("errno") for a in out["actions"]][:2], ["EROFS", "EROFS"], "errors")
    t.check("errno" not in out.action("create", "/dev/new"), "a mount on a read-only root is read-only too")


@case(
    "root/readonly-still-takes-mounts-on-missing-destinations",
    "config.md#root: readonly inside the container",
    "R-189",
    "R-194",
    level="common",
)
def root_readonly_mounts(t: Context) -> None:
    t.config["root"]["readonly"] = True
    t.mount("/not/there", type="tmpfs", source="tmpfs")
    t.go("--only", "mounts").mount("/not/there")


for value in (False, None):

    @case(
        f"root/readonly-{'false' if value is False else 'absent'}",
        "config.md#root: readonly defaults to false",
        "R-189",
    )
    def _root_writable(t: Context, value: bool | None = value) -> None:
        if value is not None:
            t.config["root"]["readonly"] = value
        t.check("errno" not in t.go("--create", "/new").action("create"), "the root cannot be written")


@case("root/host-mounts-stay-writable", "config.md#root: readonly inside the container", "R-189")
def root_readonly_host(t: Context) -> None:
    t.config["root"]["readonly"] = True
    t.running()
    t.write("/from-the-host", "x")


@case("root/missing-directory", "config.md#root: a directory MUST exist at path", "R-187")
def root_missing(t: Context) -> None:
    t.config["root"]["path"] = "none"
    t.refused()


@case("root/is-a-file", "config.md#root: a directory MUST exist at path", "R-187")
def root_file(t: Context) -> None:
    with open(f"{t.bundle}/file", "w", encoding="utf-8") as file:
        file.write("x")
    t.config["root"]["path"] = "file"
    t.refused()


@case("root/absent", "config.md#root: REQUIRED on Linux", "R-187")
def root_absent(t: Context) -> None:
    del t.config["root"]
    t.refused()


# ---- default devices and links ----

DEFAULT = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}

for device, (major, minor) in DEFAULT.items():

    @case(f"devices/default-{device}", "config-linux.md#default-devices: MUST be supplied", "R-246")
    def _default(t: Context, device: str = device, major: int = major, minor: int = minor) -> None:
        stat = t.go("--stat", f"/dev/{device}").action("stat")
        t.equal((stat.get("type"), stat.get("major"), stat.get("minor")), ("char", major, minor), f"/dev/{device}")
        t.equal(stat["mode"], 0o666, "mode")

    @case(
        f"devices/default-{device}-without-a-dev-mount",
        "config-linux.md#default-devices: MUST be supplied",
        "R-246",
    )
    def _default_plain(t: Context, device: str = device, major: int = major, minor: int = minor) -> None:
        t.config["mounts"] = t.config["mounts"][:1]
        stat = t.go("--stat", f"/dev/{device}").action("stat")
        t.equal((stat.get("type"), stat.get("major"), stat.get("minor")), ("char", major, minor), f"/dev/{device}")


@case("devices/default-ones-can-be-used", "config-linux.md#default-devices: MUST be supplied", "R-246")
def default_usable(t: Context) -> None:
    out = t.go(
        *(x for d in ("null", "zero", "full", "random", "urandom") for x in ("--openrw", f"/dev/{d}")),
        "--write",
        "/dev/full=x",
    )
    t.equal(
        [a.get("errno") for a in out["actions"]], [None] * 5 + ["ENOSPC"], "errors of open, and of writing to full"
    )


@case("devices/ptmx", "config-linux.md#default-devices: /dev/ptmx is that of the container's devpts", "R-246")
def ptmx(t: Context) -> None:
    t.mount("/dev/pts", type="devpts", source="devpts", options=["newinstance", "ptmxmode=0666", "mode=0620"])
    out = t.go("--stat", "/dev/ptmx", "--openrw", "/dev/ptmx")
    stat = out.action("stat")
    t.check(stat["type"] in ("link", "char"), f"/dev/ptmx is a {stat['type']}")
    t.check("errno" not in out.action("openrw"), f"/dev/ptmx cannot be opened: {out.action('openrw')}")


for link, target in {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}.items():

    @case(f"devices/link-{link}", "runtime-linux.md#dev-symbolic-links: MUST be created", "R-246")
    def _link(t: Context, link: str = link, target: str = target) -> None:
        stat = t.go("--stat", f"/dev/{link}").action("stat")
        t.equal((stat.get("type"), stat.get("target")), ("link", target), f"/dev/{link}")


@case(
    "devices/console-absent-without-terminal",
    "config-linux.md#default-devices: /dev/console is set up if terminal is enabled",
    "R-246",
    level="common",
)
def no_console(t: Context) -> None:
    t.equal(t.go("--has", "/dev/console").action("has")["result"], 0, "/dev/console is there")


# ---- configured devices ----


def device(t: Context, **fields) -> None:
    t.config["linux"].setdefault("devices", []).append(fields)


CONFIGURED = {
    "char": ({"type": "c", "major": 10, "minor": 229}, ("char", 10, 229)),
    "block": ({"type": "b", "major": 7, "minor": 11}, ("block", 7, 11)),
    "unbuffered": ({"type": "u", "major": 10, "minor": 229}, ("char", 10, 229)),
    "fifo": ({"type": "p"}, ("fifo", 0, 0)),
}  # fmt: skip

for kind, (fields, want) in CONFIGURED.items():

    @case(
        f"devices/type-{kind}",
        "config-linux.md#devices: type c, b, u or p MUST be available in the container",
        "R-244",
    )
    def _configured(t: Context, fields: dict = fields, want: tuple = want) -> None:
        device(t, path="/dev/made", **fields)
        stat = t.go("--stat", "/dev/made").action("stat")
        t.equal((stat.get("type"), stat.get("major"), stat.get("minor")), want, "/dev/made")


@case("devices/mode-and-owner", "config-linux.md#devices: fileMode, uid, gid", "R-244")
def mode_owner(t: Context) -> None:
    device(t, path="/dev/made", type="c", major=10, minor=229, fileMode=0o640, uid=11, gid=12)
    stat = t.go("--stat", "/dev/made").action("stat")
    t.equal((stat["mode"], stat["uid"], stat["gid"]), (0o640, 11, 12), "mode, uid, gid")


@case("devices/mode-is-free-of-umask", "config-linux.md#devices: fileMode", "R-244")
def mode_umask(t: Context) -> None:
    t.config["process"]["user"]["umask"] = 0o77
    device(t, path="/dev/made", type="c", major=10, minor=229, fileMode=0o666)
    old = os.umask(0o77)
    try:
        stat = t.go("--stat", "/dev/made").action("stat")
    finally:
        os.umask(old)
    t.equal(stat["mode"], 0o666, "mode")


@case("devices/outside-of-dev", "config-linux.md#devices: path MAY be anywhere", "R-244")
def outside_dev(t: Context) -> None:
    device(t, path="/opt/deep/null", type="c", major=1, minor=3)
    stat = t.go("--stat", "/opt/deep/null").action("stat")
    t.equal((stat.get("type"), stat.get("major"), stat.get("minor")), ("char", 1, 3), "/opt/deep/null")


@case(
    "devices/other-file-at-the-path",
    "config-linux.md#devices: a file that does not match MUST be an error",
    "R-245",
)
def other_file(t: Context) -> None:
    t.write("/opt/null", "a regular file")
    device(t, path="/opt/null", type="c", major=1, minor=3)
    t.refused()


@case(
    "devices/other-device-at-the-path",
    "config-linux.md#devices: a file that does not match MUST be an error",
    "R-245",
)
def other_device(t: Context) -> None:
    t.mkdir("/opt")
    os.mknod(t.path("/opt/null"), 0o20666, os.makedev(1, 5))
    device(t, path="/opt/null", type="c", major=1, minor=3)
    t.refused()


@case(
    "devices/same-device-at-the-path",
    "config-linux.md#devices: only a file that does not match is an error",
    "R-245",
)
def same_device(t: Context) -> None:
    t.mkdir("/opt")
    os.mknod(t.path("/opt/null"), 0o20666, os.makedev(1, 3))
    device(t, path="/opt/null", type="c", major=1, minor=3)
    t.go()


@case("devices/default-overridden", "config-linux.md#devices: the configured entry MUST be available", "R-246")
def overridden(t: Context) -> None:
    device(t, path="/dev/zero", type="c", major=1, minor=5, fileMode=0o600, uid=3, gid=4)
    stat = t.go("--stat", "/dev/zero").action("stat")
    t.equal((stat["mode"], stat["uid"], stat["gid"]), (0o600, 3, 4), "mode, uid, gid of /dev/zero")


for missing in ("path", "type", "major", "minor"):

    @case(f"devices/without-{missing}", f"config-linux.md#devices: {missing} is REQUIRED", "R-244")
    def _missing(t: Context, missing: str = missing) -> None:
        fields = {"path": "/dev/made", "type": "c", "major": 10, "minor": 229}
        del fields[missing]
        device(t, **fields)
        t.refused()


@case("devices/unknown-type", "config.md#valid-values: unsupported values MUST be an error", "R-244")
def unknown_type(t: Context) -> None:
    device(t, path="/dev/made", type="x", major=10, minor=229)
    t.refused()


# ---- masked and read-only paths ----


@case("paths/masked-file", "config-linux.md#masked-paths: cannot be read", "R-259")
def masked_file(t: Context) -> None:
    t.write("/secret", "hidden")
    t.config["linux"]["maskedPaths"] = ["/secret"]
    action = t.go("--read", "/secret").action("read")
    t.check(action.get("text", "") == "", f"the text is {action}")


@case("paths/masked-directory", "config-linux.md#masked-paths: cannot be read", "R-259")
def masked_directory(t: Context) -> None:
    t.write("/secrets/file", "hidden")
    t.config["linux"]["maskedPaths"] = ["/secrets"]
    out = t.go("--list", "/secrets", "--create", "/secrets/new")
    t.equal(out.action("list").get("names", []), [], "names")
    t.check("errno" in out.action("create"), "a file could be made in the masked directory")


@case(
    "paths/masked-missing",
    "config-linux.md#masked-paths: a path that does not exist is no error",
    "R-259",
    level="common",
)
def masked_missing(t: Context) -> None:
    t.config["linux"]["maskedPaths"] = ["/not/there", "/proc/none"]
    t.go()


@case("paths/masked-twice", "config-linux.md#masked-paths", "R-259", level="common")
def masked_twice(t: Context) -> None:
    t.write("/secrets/file", "hidden")
    t.config["linux"]["maskedPaths"] = ["/secrets", "/secrets"]
    t.equal(t.go("--list", "/secrets").action("list")["names"], [], "names")


@case("paths/masked-proc-kcore", "config-linux.md#masked-paths: cannot be read", "R-259")
def masked_proc(t: Context) -> None:
    t.need(os.path.exists("/proc/keys"), "this kernel has no /proc/keys")
    t.config["linux"]["maskedPaths"] = ["/proc/keys"]
    t.equal(t.go("--read", "/proc/keys").action("read").get("text", ""), "", "text of /proc/keys")


@case("paths/masked-host-file-is-untouched", "config-linux.md#masked-paths: inside the container", "R-259")
def masked_host(t: Context) -> None:
    path = t.write("/secret", "hidden")
    t.config["linux"]["maskedPaths"] = ["/secret"]
    t.running()
    with open(path, encoding="utf-8") as file:
        t.equal(file.read(), "hidden", "text on the host")


for what, path in {"file": "/etc/file", "directory": "/etc"}.items():

    @case(f"paths/readonly-{what}", "config-linux.md#readonly-paths: read-only inside the container", "R-260")
    def _readonly(t: Context, path: str = path) -> None:
        t.write("/etc/file", "text")
        t.config["linux"]["readonlyPaths"] = [path]
        out = t.go("--write", "/etc/file=x", "--read", "/etc/file")
        t.equal(out.action("write").get("errno"), "EROFS", "writing")
        t.equal(out.text("/etc/file"), "text", "text")


@case(
    "paths/readonly-missing",
    "config-linux.md#readonly-paths: a path that does not exist is no error",
    "R-260",
    level="common",
)
def readonly_missing(t: Context) -> None:
    t.config["linux"]["readonlyPaths"] = ["/not/there", "/proc/none"]
    t.go()


@case("paths/readonly-proc-sys", "config-linux.md#readonly-paths: read-only inside the container", "R-260")
def readonly_proc_sys(t: Context) -> None:
    t.config["linux"]["readonlyPaths"] = ["/proc/sys"]
    out = t.go("--write", "/proc/sys/kernel/domainname=x", "--only", "mounts")
    t.equal(out.action("write").get("errno"), "EROFS", "writing")


@case(
    "paths/readonly-reaches-mounts-below",
    "config-linux.md#readonly-paths: the provided paths as read-only",
    "R-260",
    level="common",
)
def readonly_below(t: Context) -> None:
    t.mount("/etc/sub", type="tmpfs", source="tmpfs")
    t.config["linux"]["readonlyPaths"] = ["/etc"]
    t.go("--create", "/etc/sub/x")


@case("paths/readonly-keeps-other-flags", "config-linux.md#readonly-paths", "R-260", level="common")
def readonly_keeps(t: Context) -> None:
    t.mount("/data", type="tmpfs", source="tmpfs", options=["nosuid", "nodev", "noexec"])
    t.config["linux"]["readonlyPaths"] = ["/data"]
    words = t.go("--only", "mounts").mount("/data")["options"]
    t.check({"ro", "nosuid", "nodev", "noexec"} <= set(words), f"flags are {words}")


for key in ("maskedPaths", "readonlyPaths"):

    @case(
        f"paths/{key}-relative",
        f"config-linux.md#{key}: MUST be absolute paths",
        "R-259" if key[0] == "m" else "R-260",
    )
    def _relative(t: Context, key: str = key) -> None:
        t.write("/secret", "hidden")
        t.config["linux"][key] = ["secret"]
        t.refused()

    @case(
        f"paths/{key}-without-mount-namespace",
        "runtime.md#create: a property that cannot be applied MUST be an error",
        "R-238",
    )
    def _no_mount_namespace(t: Context, key: str = key) -> None:
        t.without_namespace("mount")
        t.config["mounts"] = []
        t.write("/secret", "hidden")
        t.config["linux"][key] = ["/secret"]
        t.refused()


@case(
    "paths/symlink-does-not-lead-out",
    "config-linux.md#masked-paths: paths in the container namespace",
    "R-211",
    "R-259",
)
def mask_symlink(t: Context) -> None:
    outside = t.host_file("outside", "untouched")
    os.symlink(outside, t.path("/secret"))
    t.config["linux"]["maskedPaths"] = ["/secret"]
    t.container().try_create()
    t.check(not any(line["point"] == outside for line in system.mountinfo()), "a mount on a file of the host")
    with open(outside, encoding="utf-8") as file:
        t.equal(file.read(), "untouched", "text of the host's file")


@case("root/through-a-symbolic-link", "config.md#root: a directory MUST exist at path", "R-188", level="common")
def root_symlink(t: Context) -> None:
    os.symlink("rootfs", f"{t.bundle}/link")
    t.write("/marker", "here")
    t.config["root"]["path"] = "link"
    t.args("--read", "/marker")
    container = t.container()
    if container.try_create().status:
        return  # refusing it is as safe
    os.unlink(f"{t.bundle}/link")
    container.start().wait()
    t.equal(t.output(container).text("/marker"), "here", "text")
