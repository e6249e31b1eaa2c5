"""Processes, namespaces, credentials and limits: one function per system call."""

import sys
from _struct import pack, unpack

from pyoci.kernel.syscall import address_of, address_of_buffer, buffer, call

CLONE_NEWTIME = 0x80
CLONE_PARENT = 0x8000
CLONE_PIDFD = 0x1000
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

CLOSE_RANGE_CLOEXEC = 4

_SIGCHLD = 17
_RESET = 0xFFFFFFFF
_CAPABILITY_VERSION_3 = 0x20080522
NS_GET_NSTYPE = 0xB703

KEYCTL_JOIN_SESSION_KEYRING = 1
KEYCTL_DESCRIBE = 6
KEYCTL_SETPERM = 5
KEY_SPEC_SESSION_KEYRING = -3


def clone3(flags: int, *, cgroup_fd: int = -1) -> tuple[int, int]:
    """Fork with new namespaces: (pid, pidfd) in the parent, (0, -1) in the child (clone3(2), Linux 5.3).

    With `cgroup_fd` the child is born in that cgroup v2 directory (Linux 5.7), which spares the wait for an
    RCU grace period that moving it afterwards costs.  With CLONE_PARENT the child becomes a sibling.  There
    must be one thread only: Python's own fork hooks do not run.
    """
    own = sys.modules.get(
        "_pyoci"
    )  # an image: the child must not load an extension module that was put off (ADR 0015)
    if own:
        own.load_for_child()
    pidfd = buffer(4)
    if cgroup_fd >= 0:
        flags |= CLONE_INTO_CGROUP
    exit_signal = 0 if flags & CLONE_PARENT else _SIGCHLD
    address = address_of_buffer(pidfd)
    arguments = pack("=11Q", flags | CLONE_PIDFD, address, 0, 0, exit_signal, 0, 0, 0, 0, 0, max(cgroup_fd, 0))
    pid = call("clone3", arguments, len(arguments))
    if pid == 0:
        if own:
            own.close()
        return 0, -1
    return pid, int.from_bytes(pidfd.raw, "little")


def unshare(flags: int) -> None:
    """unshare(2)."""
    call("unshare", flags)


def setns(fd: int, kind: int, *, detail: str = "") -> None:
    """Join the namespace `fd` refers to, which must be of the kind of the CLONE_NEW* flag (setns(2))."""
    call("setns", fd, kind, detail=detail)


def prctl(option: int, a: int = 0, b: int = 0, *, detail: str = "") -> int:
    """prctl(2)."""
    return call("prctl", option, a, b, 0, 0, detail=detail)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set the three sets of the calling thread, each a bit mask (capset(2))."""
    header = pack("=Ii", _CAPABILITY_VERSION_3, 0)
    low = 0xFFFFFFFF
    data = pack(
        "=6I",
        effective & low,
        permitted & low,
        inheritable & low,
        effective >> 32,
        permitted >> 32,
        inheritable >> 32,
    )
    call("capset", header, data)


def capget() -> tuple[int, int, int]:
    """(effective, permitted, inheritable) of the calling thread as bit masks (capget(2))."""
    header = pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = buffer(24)
    call("capget", header, data)
    e0, p0, i0, e1, p1, i1 = unpack("=6I", data.raw)
    return e0 | e1 << 32, p0 | p1 << 32, i0 | i1 << 32


def setgroups(gids: list[int]) -> None:
    """Replace the supplementary groups (setgroups(2)); EPERM where a user namespace denies it."""
    call("setgroups", len(gids), pack("=%dI" % len(gids), *gids))


def setresuid(uid: int) -> None:
    """Set real, effective and saved user id; EINVAL when the user namespace does not map it."""
    call("setresuid", uid, uid, uid, detail=str(uid))


def setresgid(gid: int) -> None:
    """Set real, effective and saved group id; EINVAL when the user namespace does not map it."""
    call("setresgid", gid, gid, gid, detail=str(gid))


def sethostname(name: bytes) -> None:
    """sethostname(2); EINVAL above 64 bytes."""
    call("sethostname", name, len(name))


def setdomainname(name: bytes) -> None:
    """setdomainname(2); EINVAL above 64 bytes."""
    call("setdomainname", name, len(name))


def prlimit(pid: int, resource: int, soft: int, hard: int, *, detail: str = "") -> None:
    """Set a resource limit of a process (prlimit(2)); 2**64-1 stands for unlimited."""
    call("prlimit64", pid, resource, pack("=QQ", soft, hard), None, detail=detail)


def getrlimit(resource: int) -> tuple[int, int]:
    """(soft, hard) of this process."""
    result = buffer(16)
    call("prlimit64", 0, resource, None, result)
    soft, hard = unpack("=QQ", result.raw)
    return soft, hard


def close_range(first: int, last: int, flags: int = 0) -> None:
    """Close, or with CLOSE_RANGE_CLOEXEC mark, the descriptors first..last (close_range(2), Linux 5.9)."""
    call("close_range", first, last, flags)


def keep_only(descriptors: list[int]) -> None:
    """Close every descriptor that is not named.

    Callers leak open directories by accident, and one of them in a container is a way out (CVE-2024-21626).
    """
    first = 0
    for fd in sorted({*descriptors}):
        if fd > first:
            close_range(first, fd - 1)
        first = fd + 1
    close_range(first, 0xFFFFFFFF)


def sched_setattr(policy: int, flags: int, nice: int, priority: int, deadline: tuple[int, int, int]) -> None:
    """Set the scheduling policy of the calling thread; `deadline` is (runtime, deadline, period) in ns.

    There are no values for the flags of utilization clamps: they put the kernel's own back (Linux 5.11).
    """
    attributes = pack("=IIQiIQQQII", 56, policy, flags, nice, priority, *deadline, _RESET, _RESET)
    call("sched_setattr", 0, attributes, 0)


def ioprio_set(which: int, who: int, value: int) -> None:
    """Set an I/O priority: class << 13 | level (ioprio_set(2))."""
    call("ioprio_set", which, who, value)


def set_mempolicy(mode: int, nodes: bytes, max_node: int) -> None:
    """Set the NUMA policy of the calling thread; `nodes` is a little-endian bit mask (set_mempolicy(2))."""
    call("set_mempolicy", mode, nodes or None, max_node)


def personality(persona: int) -> None:
    """personality(2)."""
    call("personality", persona)


def join_session_keyring(name: bytes) -> int:
    """Join a new session keyring (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING); its serial number."""
    return call("keyctl", KEYCTL_JOIN_SESSION_KEYRING, name)


def keyring_permission(serial: int, mask: int) -> None:
    """Set the permission mask of a key (KEYCTL_SETPERM)."""
    call("keyctl", KEYCTL_SETPERM, serial, mask)


def reset_signals() -> None:
    """Every signal does what it does in a new program (rt_sigaction(2)).

    Python ignores SIGPIPE and SIGXFSZ, and execve keeps that.  Straight to the kernel, since the C library hides
    the two signals that it keeps for its threads, which a caller may have ignored as well.
    """
    default = bytes(32)  # handler SIG_DFL, no flags, no restorer, empty mask
    for number in range(1, 65):
        if number not in (9, 19):  # SIGKILL, SIGSTOP
            call("rt_sigaction", number, default, None, 8)


class PreparedExec:
    """An execve(2) whose memory is all laid out, so that nothing is allocated between a seccomp filter and it."""

    __slots__ = ("_argv", "_envp", "_keep", "_path")

    def __init__(self, path: bytes, argv: list[bytes], env: list[bytes]) -> None:
        self._path = path
        strings = [*argv, *env]
        self._keep = strings
        self._argv = pack("=%dQ" % (len(argv) + 1), *[address_of(item) for item in argv], 0)
        self._envp = pack("=%dQ" % (len(env) + 1), *[address_of(item) for item in env], 0)

    def run(self) -> None:
        """Become the program; returns only by raising SyscallError."""
        call("execve", self._path, self._argv, self._envp)
