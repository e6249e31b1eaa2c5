"""Where the suite works: a private mount namespace with a tmpfs of its own, and a process that inherits orphans.

Everything is below one temporary directory on a tmpfs that only this mount namespace sees, so the end of the
namespace takes every file and mount along. Nothing is deleted across a mount point.
"""

import os
import platform
import shutil
import signal
import stat
import subprocess
import tempfile
import time

from . import system

PROBE_SOURCE = os.path.join(os.path.dirname(__file__), "..", "..", "tests", "probe", "probe.c")


class Sandbox:
    """base: the temporary directory; probe: the static program's path in it; token: unique part of every id."""

    def __init__(self, probe: str | None) -> None:
        system.prctl(system.PR_SET_CHILD_SUBREAPER, 1)
        self.token = f"cf{os.getpid()}"
        self.base = tempfile.mkdtemp(prefix="conformance-")
        system.unshare(system.CLONE_NEWNS)
        system.mount("", "/", flags=system.MS_REC | system.MS_PRIVATE)
        system.mount("conformance", self.base, "tmpfs", data="mode=755")
        self.probe = os.path.join(self.base, "probe")
        if probe:
            shutil.copy(probe, self.probe)
        else:
            build_probe(self.probe)
        os.chmod(self.probe, 0o755)

    def close(self) -> None:
        kill_descendants()
        system.umount(self.base)
        os.rmdir(self.base)


def build_probe(target: str) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        raise SystemExit("conformance: no C compiler (gcc or cc) found; build tests/probe/probe.c elsewhere with "
                         "`gcc -O1 -static` and pass it as --probe FILE")  # fmt: skip
    command = [compiler, "-O1", "-static", "-o", target, os.path.realpath(PROBE_SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"conformance: cannot build the probe for {platform.machine()}: {' '.join(command)}\n{done.stderr}"
        )


def children(parent: int) -> list[int]:
    """Return the pids whose parent is `parent`, zombies too (/proc is that of our own pid namespace)."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(name))
    return found


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def descendants(parent: int) -> list[int]:
    found, todo = [], [parent]
    while todo:
        below = children(todo.pop())
        found += below
        todo += below
    return found


def kill_descendants() -> None:
    """Kill what we started and what was left to us. Orphans come to us (subreaper), so a few rounds find all."""
    for _ in range(50):
        left = descendants(os.getpid())
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
                thaw(pid)
            except OSError:
                pass
        time.sleep(0.02)
        reap()


def thaw(pid: int) -> None:
    """A frozen process of cgroup v1 dies only when it is thawed. Only freezers with our own ids are touched."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if "freezer" in controllers and "cf" in path:
                with open(f"/sys/fs/cgroup/freezer{path}/freezer.state", "w", encoding="utf-8") as state:
                    state.write("THAWED")


def remove_tree(path: str) -> None:
    """Remove files and directories below path on path's own file system; what is mounted there stays."""
    try:
        device = os.lstat(path).st_dev
    except FileNotFoundError:
        return
    _remove(path, device)


def _remove(path: str, device: int) -> None:
    status = os.lstat(path)
    if status.st_dev != device or os.path.ismount(path):
        return
    if stat.S_ISDIR(status.st_mode):
        for entry in os.listdir(path):
            _remove(os.path.join(path, entry), device)
        try:
            os.rmdir(path)
        except OSError:
            pass
    else:
        os.unlink(path)
