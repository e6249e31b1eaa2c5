"""config-linux.md#seccomp: actions, arguments, errno values, flags, architectures, the listener.

Every profile allows all but what the case is about, so that the runtime's own calls do not matter. The calls under
test are ones that nothing else needs: sync, getpriority with an argument that the kernel refuses, sethostname.
"""

import array
import json
import platform
import re
import socket
import threading

from suite.case import case, patience
from suite.context import Context

NR = {
    "x86_64": {
        "sethostname": 170,
        "sync": 162,
        "getpriority": 140,
        "setdomainname": 171,
        "personality": 135,
        "syslog": 103,
    },
    "aarch64": {
        "sethostname": 161,
        "sync": 81,
        "getpriority": 141,
        "setdomainname": 162,
        "personality": 92,
        "syslog": 116,
    },
}.get(platform.machine(), {})
NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}.get(platform.machine(), "")


def profile(t: Context, *rules: dict, default: str = "SCMP_ACT_ALLOW", **fields) -> None:
    t.need(NR, "no table of system call numbers for this machine")
    t.config["linux"]["seccomp"] = {"defaultAction": default, "syscalls": list(rules), **fields}


def rule(*names: str, action: str = "SCMP_ACT_ERRNO", **fields) -> dict:
    return {"names": list(names), "action": action, **fields}


def call(name: str, *arguments: str) -> list[str]:
    return ["--syscall-child", str(NR[name]), *(arguments or ("0", "0"))]


def outcome(t: Context, name: str = "sync", *arguments: str) -> dict:
    found = t.go("--only", "none", *call(name, *arguments)).action("syscall-child")
    return {key: found[key] for key in ("errno", "signal", "result") if key in found}


ACTIONS = {
    "SCMP_ACT_ERRNO": {"errno": "EPERM"},
    "SCMP_ACT_KILL": {"signal": 31},
    "SCMP_ACT_KILL_THREAD": {"signal": 31},
    "SCMP_ACT_KILL_PROCESS": {"signal": 31},
    "SCMP_ACT_TRAP": {"signal": 31},
    "SCMP_ACT_TRACE": {"errno": "ENOSYS"},
    "SCMP_ACT_LOG": {"result": 0},
    "SCMP_ACT_ALLOW": {"result": 0},
}  # fmt: skip

for action, want in ACTIONS.items():

    @case(f"seccomp/action-{action[9:].lower()}", "config-linux.md#seccomp: action for the rule", "R-263")
    def _action(t: Context, action: str = action, want: dict = want) -> None:
        profile(t, rule("sync", action=action))
        t.equal(outcome(t), want, "sync()")


@case("seccomp/the-filter-is-loaded", "config-linux.md#seccomp: the process runs under the filter", "R-263")
def loaded(t: Context) -> None:
    profile(t, rule("sync"))
    status = t.go("--only", "status")["status"]
    t.equal((status["Seccomp"], status["NoNewPrivs"]), ("2", "0"), "Seccomp, NoNewPrivs")


@case(
    "seccomp/with-no-new-privileges", "config-linux.md#seccomp: the process runs under the filter", "R-162", "R-263"
)
def with_nnp(t: Context) -> None:
    t.config["process"]["noNewPrivileges"] = True
    profile(t, rule("sync"))
    t.equal(outcome(t), {"errno": "EPERM"}, "sync()")


@case(
    "seccomp/as-a-user-without-no-new-privileges",
    "config-linux.md#seccomp: the process runs under the filter",
    "R-162",
    "R-263",
)
def as_user(t: Context) -> None:
    t.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    t.config["process"]["capabilities"] = {}
    profile(t, rule("sync"))
    t.equal(outcome(t), {"errno": "EPERM"}, "sync()")


@case("seccomp/default-action", "config-linux.md#seccomp: defaultAction for what no rule names", "R-263")
def default_action(t: Context) -> None:
    profile(t, rule(*WIDE, action="SCMP_ACT_ALLOW"), default="SCMP_ACT_ERRNO")
    t.equal(outcome(t), {"errno": "EPERM"}, "sync(), which is not listed")


@case(
    "seccomp/default-errno", "config-linux.md#seccomp: defaultErrnoRet is the errno of the default action", "R-264"
)
def default_errno(t: Context) -> None:
    profile(t, rule(*WIDE, action="SCMP_ACT_ALLOW"), default="SCMP_ACT_ERRNO", defaultErrnoRet=33)
    t.equal(outcome(t), {"errno": "EDOM"}, "sync(), which is not listed")


# what a static program and a runtime that ends its work under the filter need; sync and personality are not there
WIDE = re.findall(
    r"\w+",
    """
accept4 access arch_prctl bind bpf brk capget capset chdir chmod chown clock_getres clock_gettime
clock_nanosleep clone clone3 close close_range connect copy_file_range dup dup2 dup3 epoll_create1 epoll_ctl
epoll_pwait epoll_pwait2 epoll_wait eventfd2 execve execveat exit exit_group faccessat faccessat2 fchdir fchmod
fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flock fork fstat fstatfs fsync ftruncate futex
get_robust_list getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid
getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname
getsockopt gettid gettimeofday getuid getxattr ioctl keyctl kill lchown link linkat listen lseek lstat madvise
memfd_create mincore mkdir mkdirat mknod mknodat mlock mmap mount mprotect mremap munmap nanosleep newfstatat
open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pivot_root poll ppoll prctl pread64 prlimit64
pselect6 pwrite64 read readlink readlinkat readv recvfrom recvmsg rename renameat renameat2 restart_syscall
rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_setaffinity sched_yield seccomp select
sendfile sendmsg sendto set_robust_list set_tid_address setdomainname setgid setgroups sethostname setitimer
setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr
sigaltstack socket socketpair splice stat statfs statx symlink symlinkat sysinfo tgkill time timer_create
timer_delete timer_settime timerfd_create timerfd_settime times tkill truncate umask umount2 uname unlink
unlinkat unshare utimensat vfork wait4 waitid write writev
""",
)


for value, name in ((2, "ENOENT"), (38, "ENOSYS"), (0, None)):

    @case(f"seccomp/errno-{value}", "config-linux.md#seccomp: errnoRet is the errno code to use", "R-264")
    def _errno(t: Context, value: int = value, name: str | None = name) -> None:
        profile(t, rule("sync", errnoRet=value))
        t.equal(outcome(t).get("errno"), name, "errno")


for action in ("SCMP_ACT_ALLOW", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG"):

    @case(
        f"seccomp/errno-for-{action[9:].lower()}",
        "config-linux.md#seccomp: an errno that the action does not support MUST fail",
        "R-264",
    )
    def _errno_wrong(t: Context, action: str = action) -> None:
        profile(
            t,
            rule("sync", action=action, errnoRet=5),
            default="SCMP_ACT_ERRNO" if action.endswith("ALLOW") else "SCMP_ACT_ALLOW",
        )
        t.refused()


@case(
    "seccomp/default-errno-for-allow",
    "config-linux.md#seccomp: an errno that the action does not support MUST fail",
    "R-264",
)
def default_errno_wrong(t: Context) -> None:
    profile(t, rule("sync"), defaultErrnoRet=5)
    t.refused()


# ---- arguments: getpriority(99, n) is EINVAL without a filter, errno 77 (EBADFD) where the rule catches it ----

OPERATORS = {
    "eq": ("SCMP_CMP_EQ", 5, None, {5: True, 4: False, 6: False}),
    "ne": ("SCMP_CMP_NE", 5, None, {5: False, 4: True, 6: True}),
    "lt": ("SCMP_CMP_LT", 5, None, {4: True, 5: False, 6: False}),
    "le": ("SCMP_CMP_LE", 5, None, {4: True, 5: True, 6: False}),
    "gt": ("SCMP_CMP_GT", 5, None, {4: False, 5: False, 6: True}),
    "ge": ("SCMP_CMP_GE", 5, None, {4: False, 5: True, 6: True}),
    "masked-eq": ("SCMP_CMP_MASKED_EQ", 0xF0, 0x30, {0x35: True, 0x3F: True, 0x45: False}),
    "eq-64-bit": ("SCMP_CMP_EQ", 0x100000005, None, {0x100000005: True, 5: False}),
    "gt-64-bit": ("SCMP_CMP_GT", 0x100000000, None, {0x100000001: True, 0xFFFFFFFF: False}),
}  # fmt: skip

for name, (operator, value, second, table) in OPERATORS.items():

    @case(
        f"seccomp/operator-{name}",
        "config-linux.md#seccomp: op compares the argument with value (and valueTwo)",
        "R-268",
    )
    def _operator(
        t: Context, operator: str = operator, value: int = value, second: int | None = second, table: dict = table
    ) -> None:
        condition = {"index": 1, "value": value, "op": operator}
        if second is not None:
            condition["valueTwo"] = second
        profile(t, rule("getpriority", errnoRet=77, args=[condition]))
        arguments = [
            word for number in table for word in ("--syscall-child", str(NR["getpriority"]), "99", str(number))
        ]
        out = t.go("--only", "none", *arguments)
        got = {number: a.get("errno") == "EBADFD" for number, a in zip(table, out["actions"], strict=True)}
        t.equal(got, table, "calls that the rule caught, by argument")


@case("seccomp/several-arguments-are-all-needed", "config-linux.md#seccomp: args: all of them match", "R-268")
def several(t: Context) -> None:
    conditions = [{"index": 0, "value": 99, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}]
    profile(t, rule("getpriority", errnoRet=77, args=conditions))
    nr = str(NR["getpriority"])
    out = t.go(
        "--only",
        "none",
        "--syscall-child",
        nr,
        "99",
        "5",
        "--syscall-child",
        nr,
        "99",
        "6",
        "--syscall-child",
        nr,
        "98",
        "5",
    )
    t.equal(
        [a.get("errno") == "EBADFD" for a in out["actions"]], [True, False, False], "calls that the rule caught"
    )


@case("seccomp/two-rules-for-one-call", "config-linux.md#seccomp: syscalls: each entry is a rule", "R-268")
def two_rules(t: Context) -> None:
    conditions = [[{"index": 1, "value": n, "op": "SCMP_CMP_EQ"}] for n in (5, 6)]
    profile(t, *(rule("getpriority", errnoRet=77, args=c) for c in conditions))
    nr = str(NR["getpriority"])
    out = t.go("--only", "none", *(w for n in (5, 6, 7) for w in ("--syscall-child", nr, "99", str(n))))
    t.equal(
        [a.get("errno") == "EBADFD" for a in out["actions"]], [True, True, False], "calls that the rules caught"
    )


@case("seccomp/several-names", "config-linux.md#seccomp: names of the system calls", "R-267")
def names(t: Context) -> None:
    profile(t, rule("sync", "sethostname", errnoRet=77))
    out = t.go("--only", "none", *call("sync"), *call("sethostname", "s:x", "1"))
    t.equal([a.get("errno") for a in out["actions"]], ["EBADFD"] * 2, "errno")


@case(
    "seccomp/unknown-name-is-ignored",
    "config-linux.md#seccomp: names the kernel does not know cannot be called",
    "R-267",
    level="common",
)
def unknown_name(t: Context) -> None:
    profile(t, rule("no_such_system_call", "sync", errnoRet=77))
    t.equal(outcome(t), {"errno": "EBADFD"}, "sync()")


for name, fields in {
    "empty-names": {"syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO"}]},
    "rule-without-action": {"syscalls": [{"names": ["sync"]}]},
    "unknown-action": {"syscalls": [{"names": ["sync"], "action": "SCMP_ACT_NOPE"}]},
    "unknown-default-action": {"defaultAction": "SCMP_ACT_NOPE"},
    "unknown-operator": {
        "syscalls": [
            {
                "names": ["sync"],
                "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_NOPE"}],
            }
        ]
    },
    "argument-index-6": {
        "syscalls": [
            {"names": ["sync"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}
        ]
    },
    "unknown-architecture": {"architectures": ["SCMP_ARCH_NOPE"]},
    "unknown-flag": {"flags": ["SECCOMP_FILTER_FLAG_NOPE"]},
    "listener-metadata-without-path": {"listenerMetadata": "x"},
}.items():

    @case(
        f"seccomp/invalid-{name}",
        "config-linux.md#seccomp: what the specification does not allow MUST be an error",
        "R-263",
        "R-272" if "listener" in name else "R-267",
    )
    def _invalid(t: Context, fields: dict = fields) -> None:
        profile(t, rule("sync"))
        t.config["linux"]["seccomp"].update(fields)
        t.refused()


@case("seccomp/without-default-action", "config-linux.md#seccomp: defaultAction is REQUIRED", "R-263")
def no_default(t: Context) -> None:
    t.config["linux"]["seccomp"] = {"syscalls": [rule("sync")]}
    t.refused()


# ---- architectures and flags ----


@case("seccomp/native-architecture-listed", "config-linux.md#seccomp: architectures", "R-265")
def native(t: Context) -> None:
    profile(t, rule("sync", errnoRet=77), architectures=[NATIVE])
    t.equal(outcome(t), {"errno": "EBADFD"}, "sync()")


@case("seccomp/32-bit-architecture", "config-linux.md#seccomp: architectures", "R-265")
def x86(t: Context) -> None:
    t.need(platform.machine() == "x86_64", "for x86_64 only")
    profile(t, rule("sync", errnoRet=77), architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])
    found = t.go("--only", "none", "--syscall32", "36", "0", "0").action("syscall32")
    t.need("signal" not in found, "this kernel has no 32-bit system calls")
    t.equal(found.get("errno"), "EBADFD", "sync() by int 0x80")


@case(
    "seccomp/architecture-not-listed-is-killed",
    "config-linux.md#seccomp: architectures used for system calls",
    "R-265",
    level="common",
)
def x86_not_listed(t: Context) -> None:
    t.need(platform.machine() == "x86_64", "for x86_64 only")
    profile(t, rule("sync", errnoRet=77), architectures=["SCMP_ARCH_X86_64"])
    found = t.go("--only", "none", "--syscall32", "20", "0", "0").action("syscall32")
    t.check("result" not in found, f"getpid() by int 0x80 gave {found}")


for flags in (["SECCOMP_FILTER_FLAG_TSYNC"], ["SECCOMP_FILTER_FLAG_LOG"], ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], []):

    @case(
        f"seccomp/flag-{flags[0][20:].lower() if flags else 'none'}",
        "config-linux.md#seccomp: flags for seccomp(2)",
        "R-266",
    )
    def _flag(t: Context, flags: list = flags) -> None:
        profile(t, rule("sync"), flags=flags)
        t.equal(outcome(t), {"errno": "EPERM"}, "sync()")


# ---- the listener ----


class Agent:
    """A seccomp agent: takes one message on a socket and answers every notification with errno 77."""

    def __init__(self, t: Context) -> None:
        self.path = f"{t.work}/agent.sock"
        self.message: dict | None = None
        self.fds: list[int] = []
        self.rest = b"?"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(4)
        self.listener.settimeout(patience(10))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        peer = self.listener.accept()[0]
        data, ancillary, _, _ = peer.recvmsg(1 << 16, socket.CMSG_SPACE(64))
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found = array.array("i")
                found.frombytes(payload[: len(payload) // 4 * 4])
                self.fds += list(found)
        peer.settimeout(patience(5))
        more = peer.recv(1 << 16)
        while more:
            data += more
            more = peer.recv(1 << 16)
        self.rest = more
        self.message = json.loads(data)
        for fd in self.fds:
            self.answer(fd)

    def answer(self, fd: int) -> None:
        import fcntl
        import struct

        notification = bytearray(80)
        fcntl.ioctl(fd, 0xC0502100, notification)
        (number,) = struct.unpack_from("=Q", notification)
        fcntl.ioctl(fd, 0xC0182101, struct.pack("=QqiI", number, 0, -77, 0))


def listening(t: Context) -> Agent:
    agent = Agent(t)
    profile(t, rule("sync", action="SCMP_ACT_NOTIFY"), listenerPath=agent.path, listenerMetadata="some metadata")
    return agent


@case(
    "seccomp/listener-gets-the-descriptor",
    "config-linux.md#seccomp: listenerPath: the state and the descriptor are sent",
    "R-271",
)
def listener(t: Context) -> None:
    agent = listening(t)
    found = t.go("--only", "none", *call("sync")).action("syscall-child")
    t.equal(found.get("errno"), "EBADFD", "sync(), answered by the agent")
    agent.thread.join(5)
    t.equal(len(agent.fds), 1, "descriptors")
    t.check(agent.message, "no message")
    t.equal(agent.message.get("fds"), ["seccompFd"], "names of the descriptors")


@case(
    "seccomp/listener-gets-the-state",
    "config-linux.md#containerprocessstate: ociVersion, pid, metadata, state",
    "R-271",
    "R-272",
)
def listener_state(t: Context) -> None:
    agent = listening(t)
    t.args("--only", "none", *call("sync"))
    container = t.container().create()
    t.until(lambda: agent.message, "no message after create")
    message = agent.message
    container.start().wait()
    t.equal(message.get("pid"), container.pid, "pid")
    t.equal(message.get("metadata"), "some metadata", "metadata")
    t.check(isinstance(message.get("ociVersion"), str), "ociVersion is missing")
    state = message.get("state") or {}
    t.equal(
        (state.get("id"), state.get("bundle"), state.get("pid")),
        (container.id, t.bundle, container.pid),
        "id, bundle, pid of the state",
    )
    t.equal(state.get("status"), "creating", "status")


@case(
    "seccomp/listener-connection-is-closed",
    "config-linux.md#seccomp: the connection MUST be closed after the state",
    "R-271",
)
def listener_closed(t: Context) -> None:
    agent = listening(t)
    t.args("--only", "none", *call("sync"))
    container = t.container().create()
    t.until(lambda: agent.message, "the connection was not closed after create")
    t.equal(agent.rest, b"", "end of the connection")
    container.start().wait()


@case("seccomp/listener-missing", "config-linux.md#seccomp: failing to send MUST be an error", "R-271")
def listener_missing(t: Context) -> None:
    profile(t, rule("sync", action="SCMP_ACT_NOTIFY"), listenerPath=f"{t.work}/none.sock")
    t.refused()


@case(
    "seccomp/listener-unused-without-notify",
    "config-linux.md#seccomp: used when the SCMP_ACT_NOTIFY action is used",
    "R-271",
)
def listener_unused(t: Context) -> None:
    profile(t, rule("sync"), listenerPath=f"{t.work}/none.sock")
    t.equal(outcome(t), {"errno": "EPERM"}, "sync()")


@case(
    "seccomp/notify-without-listener",
    "config-linux.md#seccomp: SCMP_ACT_NOTIFY needs a listenerPath",
    "R-271",
    level="common",
)
def notify_alone(t: Context) -> None:
    profile(t, rule("sync", action="SCMP_ACT_NOTIFY"))
    t.refused()
