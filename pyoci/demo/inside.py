"""The program inside the demo's container: it prints what it can find out about itself.

It runs alone, on a bare interpreter; nothing of pyoci is visible to it.
"""

import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Print the report."""
    status = _status()
    _section("who")
    _line(
        "process",
        "pid %d; all pids in sight: %s" % (os.getpid(), " ".join(filter(str.isdigit, os.listdir("/proc")))),
    )
    _line("user", "uid %d, gid %d, groups %s" % (os.getuid(), os.getgid(), os.getgroups()))
    _line("hostname", os.uname().nodename)
    _line("kernel", "%s %s" % (os.uname().sysname, os.uname().release))
    _line("network", ", ".join(os.listdir("/sys/class/net")))
    _section("where")
    for mount in _mounts():
        _line(*mount)
    for path in ("/made-by-demo", "/usr/made-by-demo", "/tmp/made-by-demo"):
        _line("write " + path, _outcome(_write, path))
    _section("limits")
    for label, value in _limits():
        _line(label, value)
    _section("power")
    for field, label in (("CapEff", "effective"), ("CapBnd", "bounding")):
        _line(label + " caps", _capability_names(int(status[field], 16)))
    _line("no new privileges", "yes" if status["NoNewPrivs"] == "1" else "no")
    modes = {"0": "none", "1": "strict", "2": "filter (%s)" % status.get("Seccomp_filters", "?")}
    _line("seccomp", modes.get(status["Seccomp"], "?"))
    for name, x86_64, aarch64, arguments in (("unshare", 272, 97, (0x10000000,)), ("bpf", 321, 280, (0, 0, 0))):
        number = aarch64 if os.uname().machine == "aarch64" else x86_64
        _line("call " + name, _outcome(_call, number, *arguments))


def _section(title: str) -> None:
    sys.stdout.write("%s\n" % title)


def _line(label: str, text: str) -> None:
    sys.stdout.write("  %-24s %s\n" % (label, text))


def _status() -> "dict[str, str]":
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}


def _mounts() -> "list[tuple[str, str]]":
    """(mount point, `type options`), without what is mounted below a directory of the host."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            point, options = before.split()[4:6]
            if point.count("/") == 1 or point in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup"):
                found.append((point, "%s %s" % (after.split()[0], options.replace(",relatime", ""))))
    return sorted(found)


def _limits() -> "list[tuple[str, str]]":
    """What the cgroup (version 2, or 1 with one hierarchy per controller) and the process limits say."""
    found = []
    for label, names in (
        ("memory", ("memory.max", "memory/memory.limit_in_bytes")),
        ("processes", ("pids.max", "pids/pids.max")),
        ("cpu (us per period)", ("cpu.max", "cpu/cpu.cfs_quota_us", "cpu,cpuacct/cpu.cfs_quota_us")),
    ):
        for name in names:
            try:
                with open("/sys/fs/cgroup/" + name, encoding="ascii") as file:
                    value = file.read().strip()
                found.append((label, "no limit" if value in ("max", "-1") or value[:4] == "9223" else value))
                break
            except OSError:
                continue
    with open("/proc/self/limits", encoding="ascii") as file:
        found += [("open files", line.split()[3]) for line in file if line.startswith("Max open files")]
    return found


def _capability_names(mask: int) -> str:
    names = os.environ.get("CAPABILITY_NAMES", "").split()
    return " ".join(name for number, name in enumerate(names) if mask >> number & 1) or "none"


def _call(number: int, *arguments: int) -> None:
    import ctypes

    function = ctypes.CDLL(None, use_errno=True).syscall
    if function(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments)) < 0:
        raise OSError(ctypes.get_errno(), "")


def _write(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT))


def _outcome(action: "Callable[..., None]", *arguments: object) -> str:
    try:
        action(*arguments)
    except OSError as error:
        number = error.errno or 0
        return "refused: %s, %s" % (errno.errorcode.get(number, number), os.strerror(number).lower())
    return "done"


if __name__ == "__main__":
    main()
