"""config.md#process: cwd, env, args, user, rlimits, capabilities; runtime-linux.md: file descriptors."""

import array
import os
import platform
import socket

from suite.case import case, patience
from suite.context import Context

# ---- cwd, env, args ----


@case("process/cwd", "config.md#process: cwd is the working directory", "R-217")
def cwd(t: Context) -> None:
    t.config["process"]["cwd"] = "/tmp"
    t.equal(t.go("--only", "cwd")["cwd"], "/tmp", "cwd")


@case("process/cwd-relative", "config.md#process: cwd MUST be an absolute path", "R-217")
def cwd_relative(t: Context) -> None:
    t.config["process"]["cwd"] = "tmp"
    t.refused(late=True)


@case("process/cwd-missing-key", "config.md#process: cwd is REQUIRED", "R-217")
def cwd_absent(t: Context) -> None:
    del t.config["process"]["cwd"]
    t.refused(late=True)


@case("process/cwd-is-a-file", "runtime.md#create: a property that cannot be applied MUST be an error", "R-217")
def cwd_file(t: Context) -> None:
    t.write("/file")
    t.config["process"]["cwd"] = "/file"
    t.refused(late=True)


@case(
    "process/cwd-missing-directory-is-made",
    "what every runtime does with a cwd that does not exist",
    "R-217",
    level="common",
)
def cwd_made(t: Context) -> None:
    t.config["process"]["cwd"] = "/new/dir"
    t.equal(t.go("--only", "cwd")["cwd"], "/new/dir", "cwd")


@case("process/env", "config.md#process: env has the semantics of environ", "R-218")
def env(t: Context) -> None:
    given = ["PATH=/", "EMPTY=", "EQUALS=a=b", "SPACE=a b", "UTF=\u00e9\u2603"]
    t.config["process"]["env"] = given
    got = t.go("--only", "env")["env"]
    t.equal([e for e in got if not e.startswith("HOME=")], given, "environment")


@case("process/env-of-the-caller-stays-out", "config.md#process: env", "R-149")
def env_caller(t: Context) -> None:
    t.args("--only", "env")
    container = t.container()
    container.create(env={"PATH": "/bin:/usr/bin", "LEAK": "1"}).start().wait()
    names = {e.split("=")[0] for e in t.output(container)["env"]}
    t.check(names <= {"PATH", "HOME"}, f"environment has {sorted(names)}")


@case("process/env-absent", "config.md#process: env is OPTIONAL", "R-218")
def env_absent(t: Context) -> None:
    del t.config["process"]["env"]
    t.go()


@case("process/args", "config.md#process: args has the semantics of argv", "R-215")
def args(t: Context) -> None:
    given = ["/probe", "--tag", "", "--tag", "a b", "--tag", "\"'\\\n", "--tag", "\u00e9"]
    t.config["process"]["args"] = given
    t.equal(t.go()["args"], given, "argv")


@case("process/args-empty", "config.md#process: at least one entry is REQUIRED", "R-215")
def args_empty(t: Context) -> None:
    t.config["process"]["args"] = []
    t.refused(late=True)


@case("process/args-absent", "config.md#process: at least one entry is REQUIRED", "R-215")
def args_absent(t: Context) -> None:
    del t.config["process"]["args"]
    t.refused(late=True)


@case(
    "process/args-through-PATH",
    "config.md#process: the first entry has the semantics of execvp's file",
    "R-215",
    "R-216",
)
def args_path(t: Context) -> None:
    t.mkdir("/opt/one")
    t.write("/opt/one/tool", "not executable", 0o644)
    t.mkdir("/opt/two")
    os.link(t.probe, t.path("/opt/two/tool"))
    t.config["process"]["env"] = ["PATH=/none:/opt/one:/opt/two"]
    t.config["process"]["args"] = ["tool"]
    out = t.go()
    t.equal((out["exe"], out["args"][0]), ("/opt/two/tool", "tool"), "program and argv[0]")


@case("process/args-relative-to-cwd", "config.md#process: a name with a slash is used as it is", "R-215", "R-216")
def args_relative(t: Context) -> None:
    t.config["process"]["args"] = ["../probe"]
    t.config["process"]["cwd"] = "/tmp"
    t.equal(t.go()["exe"], "/probe", "program")


@case("process/args-not-executable", "runtime.md#start: the program MUST be run, else an error", "R-031")
def args_not_executable(t: Context) -> None:
    t.write("/plain", "text", 0o644)
    t.config["process"]["args"] = ["/plain"]
    text = t.refused(late=True)
    t.check("permission denied" in text.lower(), f"the error does not say permission denied: {text[-150:]!r}")


@case("process/args-is-a-directory", "runtime.md#start: the program MUST be run, else an error", "R-031")
def args_directory(t: Context) -> None:
    t.config["process"]["args"] = ["/etc"]
    t.refused(late=True)


# ---- user ----


@case("process/user", "config.md#posix-user: uid and gid in the container", "R-219")
def user(t: Context) -> None:
    t.config["process"]["user"] = {"uid": 1234, "gid": 5678}
    out = t.go("--only", "ids")
    t.equal((out["uid"], out["gid"], out["groups"]), ([1234] * 3, [5678] * 3, []), "uid, gid, groups")


@case("process/additional-gids", "config.md#posix-user: additionalGids are added to the process", "R-219")
def additional_gids(t: Context) -> None:
    t.config["process"]["user"] = {"uid": 1, "gid": 2, "additionalGids": [10, 4294967294, 30]}
    t.equal(sorted(set(t.go("--only", "ids")["groups"]) - {2}), [10, 30, 4294967294], "groups")


@case("process/groups-of-the-caller-stay-out", "config.md#posix-user: additionalGids", "R-219")
def caller_groups(t: Context) -> None:
    old = os.getgroups()
    os.setgroups([77, 88])
    try:
        out = t.go("--only", "ids")
    finally:
        os.setgroups(old)
    t.check(not {77, 88} & set(out["groups"]), f"groups are {out['groups']}")


for value in (0, 0o22, 0o77, 0o777):

    @case(f"process/umask-{value:03o}", "config.md#posix-user: umask of the user", "R-221")
    def _umask(t: Context, value: int = value) -> None:
        t.config["process"]["user"]["umask"] = value
        t.equal(t.go("--only", "ids")["umask"], value, "umask")


@case(
    "process/user-can-write-its-stdout",
    "config.md#process: without terminal the standard streams are the caller's",
    "R-222",
    "R-163",
)
def user_stdout(t: Context) -> None:
    t.config["process"]["user"] = {"uid": 1234, "gid": 1234}
    t.go("--openrw", "/dev/null", "--only", "ids")


# ---- rlimits ----

LIMITS = {
    "CPU": (1000, 2000),
    "FSIZE": (1 << 30, 1 << 31),
    "DATA": (1 << 31, 1 << 32),
    "STACK": (4 << 20, 8 << 20),
    "CORE": (0, 0),
    "RSS": (1 << 28, 1 << 29),
    "NPROC": (500, 600),
    "NOFILE": (100, 200),
    "MEMLOCK": (4096, 8192),
    "AS": (1 << 32, 1 << 33),
    "LOCKS": (10, 20),
    "SIGPENDING": (50, 60),
    "MSGQUEUE": (1000, 2000),
    "NICE": (0, 0),
    "RTPRIO": (0, 0),
    "RTTIME": (5000, 6000),
}

for name, (soft, hard) in LIMITS.items():

    @case(f"process/rlimit-{name}", "config.md#posix-process: rlim_cur and rlim_max MUST match", "R-223")
    def _rlimit(t: Context, name: str = name, soft: int = soft, hard: int = hard) -> None:
        t.config["process"]["rlimits"] = [{"type": f"RLIMIT_{name}", "soft": soft, "hard": hard}]
        t.equal(t.go("--only", "rlimits")["rlimits"][f"RLIMIT_{name}"], [soft, hard], f"RLIMIT_{name}")


@case("process/rlimit-infinity", "config.md#posix-process: soft and hard are uint64", "R-182", "R-223")
def rlimit_infinity(t: Context) -> None:
    t.config["process"]["rlimits"] = [{"type": "RLIMIT_FSIZE", "soft": 2**64 - 1, "hard": 2**64 - 1}]
    t.equal(t.go("--only", "rlimits")["rlimits"]["RLIMIT_FSIZE"], [2**64 - 1] * 2, "RLIMIT_FSIZE")


@case(
    "process/rlimit-unknown",
    "config.md#posix-process: a value without a kernel interface MUST be an error",
    "R-223",
)
def rlimit_unknown(t: Context) -> None:
    t.config["process"]["rlimits"] = [{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]
    t.refused(late=True)


@case("process/rlimit-duplicate", "config.md#posix-process: duplicated entries MUST be an error", "R-223")
def rlimit_duplicate(t: Context) -> None:
    t.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": n, "hard": n} for n in (100, 200)]
    t.refused(late=True)


@case(
    "process/rlimit-soft-over-hard",
    "runtime.md#create: a property that cannot be applied MUST be an error",
    "R-223",
)
def rlimit_soft_over_hard(t: Context) -> None:
    t.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 100}]
    t.refused(late=True)


@case("process/rlimit-small-nofile", "config.md#posix-process: rlim_cur MUST match", "R-289", level="common")
def rlimit_small(t: Context) -> None:
    t.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 16, "hard": 16}]
    t.equal(t.go("--only", "rlimits")["rlimits"]["RLIMIT_NOFILE"], [16, 16], "RLIMIT_NOFILE")


# ---- capabilities ----

NUMBER = {
    "CAP_CHOWN": 0,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_SYS_CHROOT": 18,
    "CAP_AUDIT_WRITE": 29,
}


def bits(*names: str) -> int:
    return sum(1 << NUMBER[name] for name in names)


def capabilities(t: Context, uid: int = 1000, **sets: list[str]) -> dict:
    t.config["process"]["user"] = {"uid": uid, "gid": uid}
    t.config["process"]["capabilities"] = sets
    return t.go("--only", "status")["caps"]


@case("process/capabilities-bounding", "config.md#linux-process: bounding is the set that is kept", "R-224")
def cap_bounding(t: Context) -> None:
    names = ["CAP_CHOWN", "CAP_KILL"]
    t.equal(capabilities(t, bounding=names)["bounding"], bits(*names), "bounding set")


@case("process/capabilities-all-five", "config.md#linux-process: the five sets", "R-224", "R-226")
def cap_all(t: Context) -> None:
    names = ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]
    got = capabilities(t, **dict.fromkeys(("bounding", "effective", "inheritable", "permitted", "ambient"), names))
    t.equal(got, {s: bits(*names) for s in got}, "sets")


@case("process/capabilities-inheritable", "config.md#linux-process: inheritable", "R-224")
def cap_inheritable(t: Context) -> None:
    names = ["CAP_CHOWN", "CAP_KILL"]
    got = capabilities(t, bounding=names, permitted=names, inheritable=["CAP_KILL"])
    t.equal((got["inheritable"], got["ambient"]), (bits("CAP_KILL"), 0), "inheritable, ambient")


@case("process/capabilities-root-permitted", "config.md#linux-process: permitted and effective", "R-224")
def cap_root(t: Context) -> None:
    names = ["CAP_CHOWN", "CAP_KILL", "CAP_SYS_CHROOT"]
    got = capabilities(t, uid=0, bounding=names, permitted=names, effective=names)
    t.equal((got["permitted"], got["effective"]), (bits(*names),) * 2, "permitted, effective")


@case(
    "process/capabilities-user-without-ambient-has-none",
    "capabilities(7): without ambient a user's program starts with none",
    "R-224",
)
def cap_user(t: Context) -> None:
    names = ["CAP_CHOWN"]
    got = capabilities(t, bounding=names, permitted=names, effective=names)
    t.equal((got["permitted"], got["effective"]), (0, 0), "permitted, effective")


@case("process/capabilities-empty", "config.md#linux-process: the five sets are what is kept", "R-225")
def cap_empty(t: Context) -> None:
    got = capabilities(t, uid=0)
    t.equal(got, dict.fromkeys(got, 0), "sets")


@case(
    "process/capabilities-unknown-is-no-failure",
    "config.md#linux-process: runtimes SHOULD NOT fail, MUST log a warning",
    "R-224",
    level="SHOULD",
)
def cap_unknown(t: Context) -> None:
    got = capabilities(t, uid=0, bounding=["CAP_CHOWN", "CAP_NO_SUCH"])
    t.equal(got["bounding"], bits("CAP_CHOWN"), "bounding set")


@case("process/capabilities-are-in-force", "config.md#linux-process: effective", "R-224")
def cap_force(t: Context) -> None:
    t.config["process"]["capabilities"] = {s: ["CAP_KILL"] for s in ("bounding", "permitted", "effective")}
    nr = {"x86_64": "161", "aarch64": "51"}[platform.machine()]
    t.equal(
        t.go("--syscall", nr, "s:/tmp").action("syscall").get("errno"), "EPERM", "chroot without CAP_SYS_CHROOT"
    )


# ---- the rest ----

for value in (True, False):

    @case(f"process/no-new-privileges-{str(value).lower()}", "config.md#linux-process: noNewPrivileges", "R-227")
    def _nnp(t: Context, value: bool = value) -> None:
        t.config["process"]["noNewPrivileges"] = value
        t.equal(t.go("--only", "status")["no_new_privs"], int(value), "no_new_privs")


@case("process/oom-score-adj", "config.md#linux-process: oomScoreAdj: MUST be set to the given value", "R-230")
def oom(t: Context) -> None:
    t.config["process"]["oomScoreAdj"] = 321
    t.equal(t.go("--only", "proc")["oom_score_adj"], "321\n", "oom_score_adj")


@case(
    "process/oom-score-adj-absent", "config.md#linux-process: without oomScoreAdj it MUST NOT be changed", "R-160"
)
def oom_absent(t: Context) -> None:
    with open("/proc/self/oom_score_adj", "w", encoding="utf-8") as file:
        file.write("123")
    t.equal(t.go("--only", "proc")["oom_score_adj"], "123\n", "oom_score_adj")


@case(
    "process/oom-score-adj-impossible",
    "runtime.md#create: a property that cannot be applied MUST be an error",
    "R-230",
)
def oom_impossible(t: Context) -> None:
    t.config["process"]["oomScoreAdj"] = 1001
    t.refused(late=True)


@case(
    "process/file-descriptors",
    "runtime-linux.md#file-descriptors: only stdin, stdout and stderr by default",
    "R-145",
)
def fds(t: Context) -> None:
    extra = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(extra, True)
    t.args("--only", "fds")
    container = t.container()
    container.create(pass_fds=(extra,)).start().wait()
    t.equal(sorted(t.output(container)["fds"]), ["0", "1", "2"], "open descriptors")


@case(
    "process/stdio-is-the-callers",
    "config.md#process: without terminal the streams are the caller's",
    "R-051",
    "R-222",
)
def stdio(t: Context) -> None:
    t.args("--only", "fds")
    container = t.container()
    container.create().start().wait()
    got = t.output(container)["fds"]
    want = {"1": os.stat(container.out_path).st_ino, "2": os.stat(container.err_path).st_ino}
    t.equal({fd: got[fd]["ino"] for fd in want}, want, "inodes of stdout and stderr")


@case(
    "process/stdin-can-be-read",
    "config.md#process: without terminal the streams are the caller's",
    "R-051",
    "R-058",
)
def stdin(t: Context) -> None:
    path = t.host_file("input", "for the program")
    t.args("--only", "none", "--stdin")
    container = t.container()
    with open(path, "rb") as file:
        container.create(stdin=file)
    container.start().wait()
    t.equal(t.output(container)["stdin"], "for the program", "stdin")


@case(
    "process/signals-are-default",
    "POSIX exec: no signal is ignored or blocked that the config did not ask for",
    "R-155",
    level="common",
)
def signals(t: Context) -> None:
    out = t.go("--only", "status")
    t.equal((out["signals_ignored"], out["signals_blocked"]), ([], []), "ignored and blocked signals")


@case("process/session-leader", "what every runtime does", "R-157", level="common")
def session(t: Context) -> None:
    out = t.go("--only", "ids")
    t.equal(out["sid"], out["pid"], "session id")


@case(
    "process/no-death-signal-is-inherited",
    "config.md#process: nothing but what is configured",
    "R-155",
    level="common",
)
def pdeathsig(t: Context) -> None:
    out = t.go("--only", "status")
    t.equal((out["pdeathsig"], out["keepcaps"], out["securebits"]), (0, 0, 0), "pdeathsig, keepcaps, securebits")


@case(
    "process/affinity-is-not-narrowed", "config.md#process: nothing but what is configured", "R-159", level="common"
)
def affinity(t: Context) -> None:
    everything = sorted(os.sched_getaffinity(0))
    t.equal(t.go("--only", "sched")["sched"]["affinity"], everything, "processors")


# ---- terminal ----


def console(t: Context, *arguments: str) -> tuple:
    """Create with a console socket; returns (container, master descriptor)."""
    t.mount("/dev/pts", type="devpts", source="devpts", options=["newinstance", "ptmxmode=0666", "mode=0620"])
    t.config["process"]["terminal"] = True
    t.args(*arguments)
    path = f"{t.work}/console.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1)
    listener.settimeout(patience(10))
    container = t.container()
    container.create("--console-socket", path)
    peer = listener.accept()[0]
    listener.close()
    data, ancillary, _, _ = peer.recvmsg(4096, socket.CMSG_SPACE(16))
    peer.close()
    found = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(payload[: len(payload) // found.itemsize * found.itemsize])
    t.check(data, "no data byte came with the terminal")
    t.equal(len(found), 1, "descriptors on the console socket")
    return container, found[0]


@case(
    "terminal/standard-streams-are-one-terminal",
    "config.md#process: terminal: the pty is all standard streams",
    "R-141",
    "R-222",
    "R-140",
)
def terminal(t: Context) -> None:
    container, master = console(t, "--out", "/out", "--only", "tty,fds,ids")
    container.start().wait()
    with open(t.path("/out"), encoding="utf-8") as file:
        import json

        out = json.loads(file.read())
    os.close(master)
    t.equal([out["fds"][fd]["tty"] for fd in "012"], [1, 1, 1], "terminals")
    t.equal(
        len({out["fds"][fd]["major"] * 256 + out["fds"][fd]["minor"] for fd in "012"}), 1, "number of terminals"
    )
    t.equal(out["tty"]["0"], "/dev/pts/0", "name of the terminal")
    t.equal(out["tty"]["controlling"], 1, "it is the controlling terminal")


@case("terminal/console-size", "config.md#process: consoleSize of the terminal", "R-143")
def console_size(t: Context) -> None:
    t.config["process"]["consoleSize"] = {"height": 33, "width": 99}
    container, master = console(t, "--out", "/out", "--only", "tty")
    container.start().wait()
    with open(t.path("/out"), encoding="utf-8") as file:
        text = file.read()
    os.close(master)
    t.check('"rows":33,"cols":99' in text, f"size is {text[:200]}")


@case(
    "terminal/console-size-ignored-without-terminal",
    "config.md#process: MUST ignore consoleSize without terminal",
    "R-143",
)
def console_size_ignored(t: Context) -> None:
    t.config["process"]["consoleSize"] = {"height": 33, "width": 99}
    t.go()


@case(
    "terminal/dev-console",
    "config-linux.md#default-devices: /dev/console is the pty when terminal is enabled",
    "R-141",
    "R-246",
)
def dev_console(t: Context) -> None:
    container, master = console(t, "--out", "/out", "--stat", "/dev/console", "--only", "fds")
    container.start().wait()
    with open(t.path("/out"), encoding="utf-8") as file:
        import json

        out = json.loads(file.read())
    os.close(master)
    stat = out["actions"][0]
    t.equal(
        (stat.get("type"), stat.get("major"), stat.get("minor")),
        ("char", out["fds"]["0"]["major"], out["fds"]["0"]["minor"]),
        "/dev/console",
    )


@case(
    "terminal/without-console-socket",
    "runtime.md#create: a property that cannot be applied MUST be an error",
    "R-099",
)
def no_console_socket(t: Context) -> None:
    t.config["process"]["terminal"] = True
    t.refused(late=True)


@case(
    "process/cwd-through-a-descriptor",
    "config.md#process: cwd is a directory of the container",
    "R-113",
    level="common",
)
def cwd_descriptor(t: Context) -> None:
    outside = os.open(t.host_dir("outside"), os.O_RDONLY)
    os.set_inheritable(outside, True)
    for number in range(3, 20):
        t.config["process"]["cwd"] = f"/proc/self/fd/{number}"
        t.args("--only", "cwd", "--has", "../bundle")
        container = t.container()
        if (
            container.try_create(pass_fds=(outside,)).status == 0
            and t.runtime.call("start", container.id).status == 0
        ):
            container.wait()
            text = container.output()
            if text.endswith("\n"):
                out = t.output(container)
                t.equal(
                    out.action("has")["result"], 0, f"the host's directories are visible from descriptor {number}"
                )
        container.delete("--force")


@case("process/rlimit-in-a-user-namespace", "config.md#posix-process: rlim_cur and rlim_max MUST match", "R-161")
def rlimit_userns(t: Context) -> None:
    t.user_namespace()
    t.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    t.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 4096, "hard": 8192}]
    t.equal(t.go("--only", "rlimits")["rlimits"]["RLIMIT_NOFILE"], [4096, 8192], "RLIMIT_NOFILE")
