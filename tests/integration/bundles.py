"""Bundles for the tests: the default configuration, edits of it, and a root filesystem of static programs.

An edit is a mapping laid over the configuration: mappings merge, the rest replaces, `DROP` removes, and a key
that ends in `+` appends to a list: {"process": {"user": {"uid": 5}}, "mounts+": [...]}.
"""

import copy
import json
import os
import shutil
import subprocess

from . import host

DROP = object()
# fmt: off
APPLETS = [
    "sh", "true", "false", "cat", "echo", "id", "ls", "sleep", "test", "touch", "mkdir", "rm", "env", "pwd",
    "kill", "stat", "mount", "hostname", "nproc", "head", "tr", "mv", "ln",
]
# fmt: on
FOLDERS = ["bin", "dev", "etc", "proc", "sys", "tmp", "run", "root", "mnt", "home", "data"]
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAPS3 = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
# fmt: off
MASKED = [
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
]
# fmt: on
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
PROBE_SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "probe", "probe.c")


def entry(destination, kind, source, *options):
    """One element of `mounts`."""
    mount = {"destination": destination, "type": kind, "source": source}
    if options:
        mount["options"] = list(options)
    return mount


def bind(destination, source, *options):
    return entry(destination, "bind", source, *(options or ("rbind",)))


def namespaces(*types, **paths):
    return [{"type": t} for t in types] + [{"type": t, "path": p} for t, p in paths.items()]


DEFAULT_NAMESPACES = ("pid", "network", "ipc", "uts", "mount")


def default_mounts():
    return [
        entry("/proc", "proc", "proc"),
        entry("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        entry(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        entry("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
        entry("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        entry("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        entry("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
    ]


def default_config(args=("/bin/probe",)):
    """What `spec` writes, but without a terminal and with the wanted program."""
    types = DEFAULT_NAMESPACES + (("cgroup",) if host.is_cgroup2() else ())
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": [PATH, "TERM=xterm"],
            "cwd": "/",
            "capabilities": {k: list(CAPS3) for k in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "box",
        "mounts": default_mounts(),
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": namespaces(*types),
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READONLY),
        },
    }


def lay_over(config, edit):
    """Lay an edit over a configuration, in place."""
    for key, value in edit.items():
        if value is DROP:
            config.pop(key, None)
        elif key.endswith("+"):
            config[key[:-1]] = list(config.get(key[:-1]) or []) + list(value)
        elif isinstance(value, dict) and isinstance(config.get(key), dict):
            lay_over(config[key], value)
        else:
            config[key] = copy.deepcopy(value)
    return config


def programs(folder):
    """Build the probe and find a static busybox; gives {name: path} on the file system of `folder`.

    $PYOCI_TEST_PROBE names a probe that is built already, for a machine without a compiler.
    """
    probe = os.path.join(folder, "probe")
    if os.environ.get("PYOCI_TEST_PROBE"):
        shutil.copy(os.environ["PYOCI_TEST_PROBE"], probe)
        os.chmod(probe, 0o755)
    else:
        subprocess.run(["gcc", "-O1", "-static", "-o", probe, PROBE_SOURCE], check=True)
    busybox = os.path.join(folder, "busybox")
    shutil.copy(shutil.which("busybox") or "/bin/busybox", busybox)
    os.chmod(busybox, 0o755)
    return {"probe": probe, "busybox": busybox}


def fill_rootfs(root, tools):
    """Folders, the two static programs (hard links), and applets."""
    for name in FOLDERS:
        os.makedirs(os.path.join(root, name), mode=0o755, exist_ok=True)
    os.chmod(os.path.join(root, "tmp"), 0o1777)
    for name, path in tools.items():
        os.link(path, os.path.join(root, "bin", name))
    for name in APPLETS:
        os.symlink("busybox", os.path.join(root, "bin", name))
    return root


class Bundle:
    """A folder with config.json and rootfs."""

    def __init__(self, path, config, tools):
        self.path, self.config = path, config
        self.rootfs = os.path.join(path, "rootfs")
        os.makedirs(self.rootfs, mode=0o755)
        os.chmod(path, 0o755)
        fill_rootfs(self.rootfs, tools)
        self.save()

    def save(self):
        with open(os.path.join(self.path, "config.json"), "w", encoding="utf-8") as file:
            json.dump(self.config, file)

    def edit(self, *edits):
        for edit in edits:
            edit(self.config) if callable(edit) else lay_over(self.config, edit)
        self.save()
        return self

    def raw(self, text):
        """Replace config.json by this text or these bytes."""
        with open(os.path.join(self.path, "config.json"), "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        return self

    def inside(self, *parts):
        """The host path of a place in the root filesystem."""
        return os.path.join(self.rootfs, *(p.lstrip("/") for p in parts))

    def file(self, place, text="", mode=0o644):
        path = self.inside(place)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path
