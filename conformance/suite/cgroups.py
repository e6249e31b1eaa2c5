"""Where a container's cgroups are, on a host with cgroup v1, v2 or both. Reads only, except for remove()."""

import os
import signal
import time

from . import system

ROOT = "/sys/fs/cgroup"


def unified() -> bool:
    """True when the host uses cgroup v2 alone."""
    return os.path.exists(f"{ROOT}/cgroup.controllers")


def hierarchies() -> dict[str, str]:
    """Return controller -> mount point; the v2 hierarchy has the name ''."""
    found: dict[str, str] = {}
    for line in system.mountinfo():
        if line["fstype"] == "cgroup2":
            found[""] = str(line["point"])
        elif line["fstype"] == "cgroup":
            for option in line["super"]:  # type: ignore[attr-defined]
                if option not in ("rw", "ro", "xattr", "noprefix", "clone_children", "none"):
                    found.setdefault(option.removeprefix("name="), str(line["point"]))
    return found


def of_process(pid: int) -> dict[str, str]:
    """Return controller -> absolute directory of the process's cgroup ('' is v2)."""
    mounts, found = hierarchies(), {}
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            for controller in controllers.split(","):
                name = controller.removeprefix("name=")
                if name in mounts:
                    found[name] = mounts[name] + path
    return found


def named(token: str, depth: int = 5) -> list[str]:
    """Return the cgroup directories whose own name has the token in it, deepest last."""
    found = []
    for point in sorted(set(hierarchies().values())):
        base = point.count("/")
        for path, names, _ in os.walk(point):
            found += [f"{path}/{name}" for name in names if token in name]
            if path.count("/") - base >= depth:
                names.clear()
    return found


def remove(directory: str) -> None:
    """Kill what is in the cgroup and remove it with all below it."""
    for _ in range(20):
        for path, _, _ in os.walk(directory, topdown=False):
            try:
                with open(f"{path}/cgroup.procs", encoding="utf-8") as file:
                    for pid in file.read().split():
                        if int(pid) not in (0, 1, os.getpid()):
                            os.kill(int(pid), signal.SIGKILL)
                if os.path.exists(f"{path}/freezer.state"):
                    with open(f"{path}/freezer.state", "w", encoding="utf-8") as file:
                        file.write("THAWED")
                os.rmdir(path)
            except OSError:
                pass
        if not os.path.isdir(directory):
            return
        time.sleep(0.05)
