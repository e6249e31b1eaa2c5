"""Build a bundle from the host's own files, run a report inside it, remove everything again.

Nothing is downloaded.  $RUNTIME chooses another runtime than the installed `pyoci`, for comparison.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from pyoci.tables.capabilities import NAMES

MEBIBYTE = 1 << 20
SYSTEM_DIRECTORIES = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # links into usr, or directories beside it
GIVEN_CAPABILITIES = ["CAP_NET_BIND_SERVICE", "CAP_KILL"]
FORBIDDEN_CALLS = ["mount", "umount2", "unshare", "setns", "ptrace", "bpf", "add_key", "keyctl", "reboot", "swapon"]

SLOW = """
Every command of this pyoci starts an ordinary python3, which takes three times as long as it need.  With a C
compiler and the static libpython (Debian: apt install gcc libpython3-dev) pyoci brings an interpreter of its own:
then say `make -B .venv/.installed`, or `pip install` once more.
"""


def main() -> int:
    """Run the demo; the container's exit status."""
    runtime = os.environ.get("RUNTIME") or os.path.join(os.path.dirname(sys.executable), "pyoci")
    directory = tempfile.mkdtemp(prefix="pyoci-demo-")
    os.chmod(directory, 0o755)  # the container's user looks its root up through it
    name = "demo-%d" % os.getpid()
    command = [runtime, "--root", directory + "/state", "run", "--bundle", directory, name]
    try:
        make_bundle(directory)
        sys.stdout.write("$ %s\n\n" % " ".join(command))
        sys.stdout.flush()
        status = subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if status == 0:
        if os.geteuid() != 0:
            sys.stdout.write(
                "\nRun by root, it also gets a uid of its own and limits of memory, processes and cpu."
            )
        sys.stdout.write("\nThe container is gone, and so is its bundle %s.\n" % directory)
        if not os.environ.get("RUNTIME") and not os.path.exists(os.path.dirname(runtime) + "/pyoci-interpreter"):
            sys.stdout.write(SLOW)
    return status


def make_bundle(directory: str) -> None:
    """Write DIRECTORY/config.json and the nearly empty DIRECTORY/rootfs: mount points, links, the report."""
    rootfs = directory + "/rootfs"
    os.mkdir(rootfs, 0o755)
    binds = ["/usr", "/etc"]
    for name in SYSTEM_DIRECTORIES:
        if os.path.islink("/" + name):
            os.symlink(os.readlink("/" + name), rootfs + "/" + name)
        elif os.path.isdir("/" + name):
            binds.append("/" + name)
    interpreter = os.path.realpath(sys.executable)
    if not interpreter.startswith("/usr/"):
        binds.append(os.path.realpath(sys.base_prefix))
    for path in [*binds, "/proc", "/sys", "/dev", "/tmp"]:
        os.makedirs(rootfs + path, exist_ok=True)
    os.chmod(rootfs + "/tmp", 0o1777)
    shutil.copyfile(os.path.join(os.path.dirname(__file__), "inside.py"), rootfs + "/report.py")
    with open(directory + "/config.json", "w", encoding="utf-8") as file:
        json.dump(make_config(interpreter, binds), file, indent=2)


def make_config(interpreter: str, binds: list[str]) -> dict[str, Any]:
    """config.json: a locked-down container; without root, in a user namespace and without resource limits."""
    root = os.geteuid() == 0
    user = 1000 if root else 0
    namespaces = [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network", "cgroup")]
    linux: dict[str, Any] = {
        "namespaces": namespaces,
        "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": FORBIDDEN_CALLS, "action": "SCMP_ACT_ERRNO"}],
        },
    }
    if root:
        linux["resources"] = {
            "memory": {"limit": 64 * MEBIBYTE},
            "pids": {"limit": 32},
            "cpu": {"quota": 50000, "period": 100000},
            "devices": [{"allow": False, "access": "rwm"}],
        }
    else:
        namespaces.append({"type": "user"})
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
    return {
        "ociVersion": "1.0.2",
        "hostname": "demo",
        "root": {"path": "rootfs", "readonly": True},
        "process": {
            "user": {"uid": user, "gid": user},
            "args": [interpreter, "-I", "-S", "/report.py"],
            "env": ["PATH=/usr/bin:/bin", "CAPABILITY_NAMES=" + " ".join(NAMES)],
            "cwd": "/",
            "capabilities": dict.fromkeys(sets, GIVEN_CAPABILITIES),
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 256, "hard": 256}],
            "noNewPrivileges": True,
        },
        "mounts": make_mounts(binds),
        "linux": linux,
    }


def make_mounts(binds: list[str]) -> list[dict[str, Any]]:
    """The kernel's filesystems, a small /tmp, and the host's directories read-only."""
    fixed = ["nosuid", "noexec", "nodev"]
    shown: list[tuple[str, str, str, list[str]]] = [
        ("/proc", "proc", "proc", fixed),
        ("/sys", "sysfs", "sysfs", [*fixed, "ro"]),
        ("/sys/fs/cgroup", "cgroup", "cgroup", [*fixed, "ro"]),
        ("/dev", "tmpfs", "tmpfs", ["nosuid", "mode=755", "size=64k"]),
        ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        ("/dev/shm", "tmpfs", "shm", [*fixed, "mode=1777", "size=8m"]),
        ("/dev/mqueue", "mqueue", "mqueue", fixed),
        ("/tmp", "tmpfs", "tmpfs", ["nosuid", "nodev", "mode=1777", "size=4m"]),
    ]
    shown += [(path, "bind", path, ["rbind", "ro", "nosuid", "nodev"]) for path in binds]
    return [
        {"destination": destination, "type": kind, "source": source, "options": options}
        for destination, kind, source, options in shown
    ]


if __name__ == "__main__":
    sys.exit(main())
