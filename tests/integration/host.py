"""The machine under the tests: its mounts, cgroups and processes, what it can do, and what a test left behind.

The pytest process is a child subreaper and lives in a mount namespace of its own, in which everything is shared:
whatever a runtime leaks, a mount that propagates or a process without a parent, ends up here and is seen.
"""

import ctypes
import errno
import os
import signal
import time

import pytest

CLONE_NEWNS = 0x20000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC = 2, 4, 8, 0x1000, 0x4000
MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_RDONLY = 0x40000, 0x80000, 0x100000, 1
MNT_DETACH = 2
PR_SET_CHILD_SUBREAPER = 36
SLOWNESS = float(os.environ.get("PYOCI_TEST_SLOWNESS", "1"))

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]


def _check(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (what, os.strerror(number)))
    return result


def mount(source, target, kind=None, flags=0, data=None):
    """mount(2) in the namespace of the tests."""
    source, target, kind, data = (x if x is None else os.fsencode(x) for x in (source, target, kind, data))
    _check(_libc.mount(source, target, kind, flags, data), "mount %r" % target)


def umount(target, flags=MNT_DETACH):
    _check(_libc.umount2(os.fsencode(target), flags), "umount %r" % target)


def prctl(*numbers):
    return _check(
        _libc.prctl(*[ctypes.c_ulong(n) for n in numbers], *[ctypes.c_ulong(0)] * (5 - len(numbers))), "prctl"
    )


def unshare(flags):
    _check(_libc.unshare(flags), "unshare")


def setns(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        _check(_libc.setns(fd, 0), "setns %s" % path)
    finally:
        os.close(fd)


def syscall(number, *arguments):
    return _libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])


def become_test_host():
    """Subreaper, and a mount namespace that nothing of the machine sees."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    unshare(CLONE_NEWNS)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount(None, "/", None, MS_REC | MS_SHARED)


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def patience(seconds):
    """A time limit of the tests, on a machine that is PYOCI_TEST_SLOWNESS times slower than most."""
    return seconds * SLOWNESS


# ---- mounts ----


class Mount:
    """One line of mountinfo."""

    def __init__(self, line):
        fields = line.split(" ")
        dash = fields.index("-", 6)
        self.line = line
        self.id, self.parent, self.device, self.root = (
            int(fields[0]),
            int(fields[1]),
            fields[2],
            unescape(fields[3]),
        )
        self.point = unescape(fields[4])
        self.options = set(fields[5].split(","))
        self.propagation = {f.split(":")[0] for f in fields[6:dash]}
        self.fstype, self.source = fields[dash + 1], unescape(fields[dash + 2])
        self.super_options = fields[dash + 3].split(",") if len(fields) > dash + 3 else []

    def __repr__(self):
        return "<" + self.line + ">"


def unescape(text):
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, letter)
    return text


def mountinfo(pid="self"):
    return [Mount(line) for line in read("/proc/%s/mountinfo" % pid).splitlines()]


def mount_table():
    """What must not change on the host: point, root, type, options and whether the mount is shared."""
    table = []
    for m in mountinfo():
        table.append((m.point, m.root, m.fstype, tuple(sorted(m.options)), tuple(sorted(m.propagation))))
    return sorted(table)


# ---- cgroups ----


def hierarchies():
    """{controller or 'unified' or 'name=x': mount point}"""
    found = {}
    for m in mountinfo():
        if m.fstype == "cgroup2":
            found["unified"] = m.point
        elif m.fstype == "cgroup":
            known = {"rw", "ro", "none", "xattr", "noprefix", "clone_children"}
            for option in m.super_options:
                if option not in known and not option.startswith("release_agent"):
                    found[option] = m.point
    return found


def is_cgroup2():
    return set(hierarchies()) == {"unified"}


def cgroup_of(pid, controller="memory"):
    """The cgroup directory of a process, seen from the host."""
    points = hierarchies()
    for line in read("/proc/%d/cgroup" % pid).splitlines():
        _, names, path = line.split(":", 2)
        if not names and (is_cgroup2() or controller == "unified"):
            return points["unified"] + path
        if controller in names.split(",") and controller in points:
            return points[controller] + path
    raise LookupError("no cgroup of %s for process %d" % (controller, pid))


def cgroup_dirs(part):
    """Every cgroup directory whose path holds `part`."""
    found = set()
    for point in set(hierarchies().values()):
        for base, names, _ in os.walk(point):
            for name in names:
                path = base + "/" + name
                if part in path:
                    found.add(path)
    return found


def remove_cgroups(paths):
    for path in sorted(paths, key=len, reverse=True):
        for _ in range(50):
            try:
                for pid in read(path + "/cgroup.procs").split():
                    os.kill(int(pid), signal.SIGKILL)
                os.rmdir(path)
            except FileNotFoundError:
                break
            except OSError:
                if os.path.exists(path + "/freezer.state"):
                    write(path + "/freezer.state", "THAWED")
                time.sleep(0.02)
            else:
                break


# ---- processes ----


def stat_fields(pid):
    """Fields of /proc/PID/stat from the third one on (state, ppid, pgrp, session ...)."""
    text = read("/proc/%d/stat" % pid)
    return text[text.rindex(")") + 2 :].split()


def children(parent=None):
    """{pid: command line} of the living and dead children of a process (ours)."""
    parent = parent or os.getpid()
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if int(stat_fields(int(name))[1]) == parent:
                found[int(name)] = read("/proc/%s/cmdline" % name).replace("\0", " ").strip()
        except (OSError, ValueError):
            continue
    return found


def alive(pid):
    try:
        return stat_fields(pid)[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition, timeout=10.0, what="the condition"):
    """Wait until condition() is true and return its value; fail after `timeout` seconds of patience."""
    timeout = patience(timeout)
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail("waited %g s in vain for %s" % (timeout, what))
        time.sleep(0.01)


def is_connecting(pid):
    """Whether the process waits in connect(2)."""
    return read("/proc/%d/syscall" % pid).split()[0] == {"x86_64": "42", "aarch64": "203"}[os.uname().machine]


# ---- what this machine can do ----


def _has_cap(number):
    line = next(x for x in read("/proc/self/status").splitlines() if x.startswith("CapEff"))
    return int(line.split()[1], 16) >> number & 1


def _knob(path):
    return os.path.exists(path)


_ABILITIES = {
    "root": (lambda: os.geteuid() == 0, "not root"),
    "cgroup1": (lambda: not is_cgroup2(), "the controllers are on cgroup v2 here"),
    "cgroup2": (is_cgroup2, "the controllers are on cgroup v1 here"),
    "userns": (lambda: _knob("/proc/self/ns/user"), "the kernel has no user namespaces"),
    "timens": (lambda: _knob("/proc/self/ns/time"), "the kernel has no time namespaces"),
    "cgroupns": (lambda: _knob("/proc/self/ns/cgroup"), "the kernel has no cgroup namespaces"),
    "sys_resource": (lambda: _has_cap(24), "CAP_SYS_RESOURCE is missing: limits cannot be raised"),
    "sys_nice": (lambda: _has_cap(23), "CAP_SYS_NICE is missing"),
    "no_rt_group": (
        lambda: not any(_knob(p + "/cpu.rt_runtime_us") for p in hierarchies().values()),
        "realtime bandwidth is shared out by cgroup, and new groups have none",
    ),
    "no_apparmor": (lambda: not _knob("/sys/kernel/security/apparmor"), "AppArmor is on"),
    "apparmor": (lambda: _knob("/sys/kernel/security/apparmor"), "no AppArmor"),
    "no_selinux": (lambda: not _knob("/sys/fs/selinux/enforce"), "SELinux is on"),
    "swap": (lambda: len(read("/proc/swaps").splitlines()) > 1, "no swap"),
    "systemd": (lambda: _knob("/run/systemd/system"), "no systemd"),
    "no_systemd": (lambda: not _knob("/run/systemd/system"), "systemd is running"),
    "mqueue": (lambda: "mqueue" in read("/proc/filesystems"), "the kernel has no mqueue"),
    "ip": (
        lambda: any(_knob(d + "/ip") for d in ("/sbin", "/usr/sbin", "/bin", "/usr/bin")),
        "iproute2 is missing",
    ),
    "fuse": (lambda: _knob("/dev/fuse") and "fuse" in read("/proc/filesystems").split(), "no FUSE"),
    "idmapped_tmpfs": (
        lambda: tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2]) >= (6, 3),
        "a tmpfs can be id-mapped from Linux 6.3 on",
    ),
    "two_cpus": (lambda: (os.cpu_count() or 1) > 1, "only one processor"),
}
for _controller in (
    "memory",
    "cpu",
    "cpuset",
    "pids",
    "devices",
    "freezer",
    "blkio",
    "hugetlb",
    "net_cls",
    "net_prio",
):
    _ABILITIES["v1:" + _controller] = (
        lambda c=_controller: c in hierarchies(),
        "no v1 hierarchy with the controller " + _controller,
    )


def requires(*names):
    """Skip the test, saying why, when the machine lacks one of the abilities."""
    for name in names:
        able, reason = _ABILITIES[name]
        if not able():
            pytest.skip(reason)


def errno_of(action):
    """The errno name of an action of the probe, or None when it succeeded."""
    return action.get("errno")


__all__ = [name for name in dir() if not name.startswith("_")] + ["errno"]
