"""config-linux.md: namespaces, user namespace mappings, time offsets, hostname, domainname."""

import os

from suite import system
from suite.case import Skipped, case
from suite.context import Context

ALL = ("cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts")
FILE = system.NAMESPACE_FILE


def prepare(t: Context, kind: str) -> None:
    t.need(os.path.exists(f"/proc/self/ns/{FILE[kind]}"), f"this kernel has no {kind} namespaces")
    if kind == "user":
        t.user_namespace()
    else:
        t.namespace(kind)


for kind in ALL:

    @case(
        f"namespaces/new-{kind}",
        "config-linux.md#namespaces: without path the runtime MUST create a new namespace",
        "R-234",
        "R-235",
    )
    def _new(t: Context, kind: str = kind) -> None:
        prepare(t, kind)
        inside = t.go("--only", "ns")["ns"]
        t.check(
            inside[FILE[kind]] != os.readlink(f"/proc/self/ns/{FILE[kind]}"),
            f"the {kind} namespace is the runtime's own",
        )

    if kind not in ("mount", "user"):

        @case(
            f"namespaces/inherited-{kind}",
            "config-linux.md#namespaces: a type that is not listed MUST be inherited",
            "R-235",
        )
        def _inherited(t: Context, kind: str = kind) -> None:
            t.need(os.path.exists(f"/proc/self/ns/{FILE[kind]}"), f"this kernel has no {kind} namespaces")
            t.without_namespace(kind)
            inside = t.go("--only", "ns")["ns"]
            t.equal(inside[FILE[kind]], os.readlink(f"/proc/self/ns/{FILE[kind]}"), f"{kind} namespace")

    if kind not in ("mount", "user"):

        @case(
            f"namespaces/joined-{kind}",
            "config-linux.md#namespaces: the process MUST be placed in the namespace of path",
            "R-235",
            "R-087",
        )
        def _joined(t: Context, kind: str = kind) -> None:
            t.need(os.path.exists(f"/proc/self/ns/{FILE[kind]}"), f"this kernel has no {kind} namespaces")
            path = t.holder(kind)
            t.namespace(kind, path)
            inside = t.go("--only", "ns")["ns"]
            t.equal(inside[FILE[kind]], os.readlink(path), f"{kind} namespace")

    @case(
        f"namespaces/wrong-type-for-{kind}",
        "config-linux.md#namespaces: a path of another type MUST be an error",
        "R-235",
    )
    def _wrong_type(t: Context, kind: str = kind) -> None:
        t.need(os.path.exists(f"/proc/self/ns/{FILE[kind]}"), f"this kernel has no {kind} namespaces")
        t.namespace(kind, t.holder("uts" if kind != "uts" else "ipc"))
        t.refused()

    @case(
        f"namespaces/duplicate-{kind}", "config-linux.md#namespaces: a type listed twice MUST be an error", "R-234"
    )
    def _duplicate(t: Context, kind: str = kind) -> None:
        prepare(t, kind)
        t.config["linux"]["namespaces"].append({"type": kind})
        t.refused()


@case("namespaces/joined-by-bind-mounted-file", "config-linux.md#namespaces: path is a namespace file", "R-235")
def joined_by_file(t: Context) -> None:
    path, target = t.holder("network"), t.host_file("netns")
    t.host_mount(path, target, flags=system.MS_BIND)
    t.namespace("network", target)
    t.equal(t.go("--only", "ns")["ns"]["net"], os.readlink(path), "network namespace")


@case(
    "namespaces/joined-uts-keeps-its-name",
    "config-linux.md#namespaces: the process MUST be placed in the namespace of path",
    "R-235",
)
def joined_uts_name(t: Context) -> None:
    t.namespace("uts", t.holder("uts", lambda: system.sethostname("held-name")))
    t.equal(t.go("--only", "uname")["uname"]["nodename"], "held-name", "hostname")


@case("namespaces/unknown-type", "config.md#valid-values: unsupported values MUST be an error", "R-234")
def unknown_type(t: Context) -> None:
    t.config["linux"]["namespaces"].append({"type": "galaxy"})
    t.refused()


@case("namespaces/relative-path", "config-linux.md#namespaces: path MUST be absolute", "R-235")
def relative_path(t: Context) -> None:
    t.namespace("uts", "../../../proc/self/ns/uts")
    t.refused()


for name, path in {"missing": "/proc/self/ns/none", "no-namespace": "/etc/passwd", "directory": "/proc"}.items():

    @case(
        f"namespaces/path-is-{name}",
        "config-linux.md#namespaces: a path that is no namespace of the type MUST be an error",
        "R-235",
    )
    def _bad_path(t: Context, path: str = path) -> None:
        t.namespace("ipc", path)
        t.refused()


@case(
    "namespaces/pid-1-in-a-new-pid-namespace",
    "config-linux.md#namespaces: pid: processes see only those of the container",
    "R-234",
)
def pid_1(t: Context) -> None:
    out = t.go("--only", "ids", "--list", "/proc")
    t.equal(out["pid"], 1, "pid")
    t.equal([n for n in out.action("list")["names"] if n.isdigit()], ["1"], "processes in /proc")


@case(
    "namespaces/loopback-only-in-a-new-network",
    "config-linux.md#namespaces: network: a network stack of its own",
    "R-237",
    level="common",
)
def network_loopback(t: Context) -> None:
    interfaces = t.go("--only", "net")["net"]
    t.check("eth0" not in interfaces, "the host's interfaces are visible")
    t.equal(interfaces.get("lo", {}).get("up"), 1, "lo is up")


@case(
    "namespaces/cgroup-root-is-the-containers-own",
    "config-linux.md#namespaces: cgroup: an isolated view of the hierarchy",
    "R-236",
)
def cgroup_root(t: Context) -> None:
    t.namespace("cgroup")
    lines = t.go("--only", "cgroup")["cgroup"]
    t.check(lines, "no /proc/self/cgroup")
    wrong = [
        line for line in lines if line.split(":", 2)[2] != "/" and line.split(":")[1] not in ("", "name=systemd")
    ]
    t.equal(wrong, [], "cgroups that are not seen as the root")


@case(
    "namespaces/none-but-mount", "config-linux.md#namespaces: a type that is not listed MUST be inherited", "R-235"
)
def only_mount(t: Context) -> None:
    t.config["linux"]["namespaces"] = [{"type": "mount"}]
    inside = t.go("--only", "ns")["ns"]
    for kind in ("ipc", "net", "pid", "user", "uts"):
        t.equal(inside[kind], os.readlink(f"/proc/self/ns/{kind}"), f"{kind} namespace")


# ---- user namespaces ----


@case("userns/maps", "config-linux.md#user-namespace-mappings: containerID, hostID, size", "R-239")
def user_maps(t: Context) -> None:
    t.namespace("user")
    t.config["linux"]["uidMappings"] = [
        {"containerID": 0, "hostID": 100000, "size": 10},
        {"containerID": 1000, "hostID": 200000, "size": 5},
    ]
    t.config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 300000, "size": 20}]
    out = t.go("--only", "maps")
    t.equal(
        [line.split() for line in out["uid_map"].splitlines()],
        [["0", "100000", "10"], ["1000", "200000", "5"]],
        "uid_map",
    )
    t.equal([line.split() for line in out["gid_map"].splitlines()], [["0", "300000", "20"]], "gid_map")


@case(
    "userns/process-has-the-mapped-id",
    "config-linux.md#user-namespace-mappings: ids from the host to the container",
    "R-239",
)
def user_process(t: Context) -> None:
    t.user_namespace()
    t.config["process"]["user"] = {"uid": 5, "gid": 6}
    container = t.running("--only", "ids")
    t.equal(t.output(container)["uid"], [5, 5, 5], "uid inside")
    t.equal(os.stat(f"/proc/{container.pid}").st_uid, 100005, "uid outside")


@case(
    "userns/rootfs-owner-is-unchanged",
    "config-linux.md#user-namespace-mappings: SHOULD NOT change the ownership of file systems",
    "R-241",
    level="SHOULD",
)
def user_rootfs(t: Context) -> None:
    t.user_namespace()
    before = {path: os.lstat(t.path(path)).st_uid for path in ("", "etc", "tmp", "probe")}
    t.go()
    t.equal({path: os.lstat(t.path(path)).st_uid for path in before}, before, "owners")


@case(
    "userns/without-mappings",
    "config-linux.md#user-namespace-mappings: no mapping cannot be applied",
    "R-239",
    level="common",
)
def user_without_maps(t: Context) -> None:
    t.namespace("user")
    t.refused(late=True)


@case(
    "userns/mappings-without-namespace",
    "runtime.md#create: a property that cannot be applied MUST be an error",
    "R-239",
)
def maps_without_user(t: Context) -> None:
    t.config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 10}]
    t.config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 10}]
    t.refused()


@case(
    "userns/unmapped-user",
    "config.md#user: uid in the container namespace; one that is not mapped cannot be applied",
    "R-219",
)
def unmapped_user(t: Context) -> None:
    t.user_namespace(size=10)
    t.config["process"]["user"] = {"uid": 5000, "gid": 0}
    t.refused(late=True)


for device in ("null", "zero", "full", "random", "urandom", "tty"):

    @case(
        f"userns/device-{device}",
        "config-linux.md#default-devices: MUST be supplied, in a user namespace too",
        "R-246",
        "R-247",
    )
    def _user_device(t: Context, device: str = device) -> None:
        t.user_namespace()
        out = t.go("--only", "none", "--stat", f"/dev/{device}")
        t.equal(out.action("stat").get("type"), "char", f"/dev/{device}")


@case("userns/null-can-be-written", "config-linux.md#default-devices: MUST be supplied", "R-247")
def user_null(t: Context) -> None:
    t.user_namespace()
    t.check(
        "errno" not in t.go("--only", "none", "--write", "/dev/null=x").action("write"),
        "/dev/null cannot be written",
    )


@case(
    "userns/capabilities-count-inside-only",
    "user_namespaces(7): capabilities in the container's user namespace",
    "R-224",
    level="common",
)
def user_capabilities(t: Context) -> None:
    t.user_namespace()
    out = t.go(
        "--only", "status", "--mkdir", "/tmp/made", "--syscall", "165", "s:none", "s:/tmp", "s:tmpfs", "0", "0"
    )
    t.check(out["caps"]["effective"], "no capability at all")
    t.check("errno" not in out.action("syscall"), f"cannot mount a tmpfs inside: {out.action('syscall')}")


@case(
    "userns/joined-by-path",
    "config-linux.md#namespaces: the process MUST be placed in the namespace of path",
    "R-235",
    "R-239",
)
def user_joined(t: Context) -> None:
    pid_path = t.holder("user")
    pid = pid_path.split("/")[2]
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{name}", "w", encoding="utf-8") as file:
            file.write("0 100000 65536\n")
    t.namespace("user", pid_path)
    container = t.container()
    if container.try_create().status:
        raise Skipped("joining a user namespace without its mappings in the config is not taken by this runtime")
    container.start().wait()
    t.equal(t.output(container)["ns"]["user"], os.readlink(pid_path), "user namespace")


@case("userns/readonly-bind-of-a-host-directory", "config.md#mounts: ro, in a user namespace too", "R-197")
def user_ro_bind(t: Context) -> None:
    t.user_namespace()
    source = t.host_dir("data", 0o777)
    t.mkdir("/data")
    t.bind(source, "/data", "ro")
    out = t.go("--only", "none", "--create", "/data/x")
    t.equal(out.action("create").get("errno"), "EROFS", "creating a file")


# ---- time ----


def time_namespace(t: Context, offsets: dict | None) -> None:
    t.need(os.path.exists("/proc/self/ns/time"), "this kernel has no time namespaces")
    t.namespace("time")
    if offsets is not None:
        t.config["linux"]["timeOffsets"] = offsets


for clock in ("monotonic", "boottime"):

    @case(
        f"time/offset-{clock}",
        "config-linux.md#offset-for-time-namespace: secs and nanosecs are the clock's offset",
        "R-243",
    )
    def _offset(t: Context, clock: str = clock) -> None:
        time_namespace(t, {clock: {"secs": 4321, "nanosecs": 987654}})
        out = t.go("--only", "maps")
        lines = {line.split()[0]: line.split()[1:] for line in out["timens_offsets"].splitlines()}
        t.equal(lines[clock], ["4321", "987654"], "offset")

    @case(f"time/offset-{clock}-negative", "config-linux.md#offset-for-time-namespace: secs is an int64", "R-243")
    def _negative(t: Context, clock: str = clock) -> None:
        time_namespace(t, {clock: {"secs": -10}})
        out = t.go("--only", "maps")
        lines = {line.split()[0]: line.split()[1:] for line in out["timens_offsets"].splitlines()}
        t.equal(lines[clock], ["-10", "0"], "offset")


@case(
    "time/clock-shows-the-offset", "config-linux.md#offset-for-time-namespace: the clock inside is shifted", "R-243"
)
def clock_shifted(t: Context) -> None:
    time_namespace(t, {"monotonic": {"secs": 100000}})
    import time

    inside = float(t.go("--only", "clock")["clock"]["monotonic"])
    t.check(
        90000 < inside - time.monotonic() < 110000,
        f"the monotonic clock differs by {inside - time.monotonic():.0f} s",
    )


@case(
    "time/offsets-without-namespace",
    "runtime.md#create: a property that cannot be applied MUST be an error",
    "R-243",
)
def offsets_without_namespace(t: Context) -> None:
    t.config["linux"]["timeOffsets"] = {"monotonic": {"secs": 5}}
    t.refused()


@case(
    "time/offsets-with-joined-namespace",
    "runtime.md#create: a property that cannot be applied MUST be an error",
    "R-243",
)
def offsets_joined(t: Context) -> None:
    time_namespace(t, {"monotonic": {"secs": 5}})
    t.namespace("time", t.holder("time"))
    t.refused()


@case("time/unknown-clock", "config.md#valid-values: unsupported values MUST be an error", "R-243", level="common")
def unknown_clock(t: Context) -> None:
    time_namespace(t, {"realtime": {"secs": 5}})
    t.refused()


# ---- names ----


@case("names/hostname", "config.md#hostname: the container's hostname as seen by its processes", "R-214")
def hostname(t: Context) -> None:
    t.config["hostname"] = "conformance-host"
    t.equal(t.go("--only", "uname")["uname"]["nodename"], "conformance-host", "hostname")


@case(
    "names/hostname-leaves-the-host-alone", "config.md#hostname: as seen by processes inside the container", "R-214"
)
def hostname_outside(t: Context) -> None:
    before = os.uname().nodename
    t.config["hostname"] = "conformance-host"
    t.go()
    t.equal(os.uname().nodename, before, "the host's name")


@case("names/domainname", "config.md#domainname: the container's domainname as seen by its processes", "R-214")
def domainname(t: Context) -> None:
    t.config["domainname"] = "conformance.example"
    t.equal(t.go("--only", "uname")["uname"]["domainname"], "conformance.example", "domainname")


for key in ("hostname", "domainname"):

    @case(
        f"names/{key}-without-uts-namespace",
        "runtime.md#create: a property that cannot be applied MUST be an error",
        "R-214",
    )
    def _without_uts(t: Context, key: str = key) -> None:
        t.without_namespace("uts")
        t.config[key] = os.uname().nodename
        t.refused()


@case("names/hostname-in-a-joined-uts-namespace", "config.md#hostname: the container's hostname", "R-214")
def hostname_joined(t: Context) -> None:
    t.namespace("uts", t.holder("uts"))
    t.config["hostname"] = "joined-name"
    t.equal(t.go("--only", "uname")["uname"]["nodename"], "joined-name", "hostname")


@case(
    "userns/setup-is-done-as-its-root",
    "config-linux.md#user-namespace-mappings: what the runtime makes belongs to its root",
    "R-242",
    level="common",
)
def user_setup(t: Context) -> None:
    t.user_namespace()
    t.mkdir("/mnt")
    t.mount("/mnt", type="tmpfs", source="tmpfs")
    out = t.go("--only", "none", "--stat", "/mnt", "--stat", "/dev")
    t.equal([(a["uid"], a["gid"]) for a in out["actions"]], [(0, 0), (0, 0)], "owners of /mnt and /dev inside")
