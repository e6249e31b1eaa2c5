"""The configurations that are measured, and the bundles made of them.

spec        what `spec` of the peers writes: 7 mounts, 3 capabilities, 10 masked paths
realistic   what docker asks for: a seccomp profile, 14 capabilities, limits, 10 mounts, device rules
mounts500   spec and 500 read-only bind mounts
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

Config = dict[str, Any]

PROFILE = Path(__file__).parent.parent / "data" / "docker_seccomp.json"
CGROUP = "/pyoci-bench"
MANY_MOUNTS = 500
APPLETS = ("sh", "true", "sleep", "cat", "id")
ETC_FILES = {"resolv.conf": "nameserver 192.0.2.1\n", "hostname": "bench\n", "hosts": "127.0.0.1 localhost\n"}

CAPS_SPEC = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
CAPS_DOCKER = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
    "CAP_AUDIT_WRITE",
]  # fmt: skip
MASKED = [
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
]  # fmt: skip
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
MOUNTS = (
    ("/proc", "proc", "proc", ""),
    ("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
    ("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
    ("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"),
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
    ("/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid noexec nodev relatime ro"),
)
ALLOWED_DEVICES = ((1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1))


def mount(destination: str, kind: str, source: str, options: str = "") -> Config:
    """One entry of `mounts`; options are words parted by blanks."""
    entry: Config = {"destination": destination, "type": kind, "source": source}
    return {**entry, "options": options.split()} if options else entry


def spec_config(args: tuple[str, ...]) -> Config:
    """The smallest of the three.  ociVersion is one that also old peers take (crun 1.8 of Debian 12)."""
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPS_SPEC),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "bench",
        "mounts": [mount(*row) for row in MOUNTS],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount")],
            "maskedPaths": MASKED,
            "readonlyPaths": READONLY,
        },
    }


def realistic_config(args: tuple[str, ...], side: str, cgroup: str) -> Config:
    """As an engine writes it; `side` is a directory with the files that it binds, `cgroup` a path of its own."""
    config = spec_config(args)
    process, linux = config["process"], config["linux"]
    process["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), CAPS_DOCKER)
    process["env"] += ["HOSTNAME=3f4e8d1c2b5a", "LANG=C.UTF-8", "HOME=/root"]
    process["noNewPrivileges"] = False
    process["oomScoreAdj"] = 0
    process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "hard": 4096, "soft": 1024},
        {"type": "RLIMIT_NPROC", "hard": 65536, "soft": 65536},
    ]
    config["root"]["readonly"] = False
    config["mounts"][0]["options"] = ["nosuid", "noexec", "nodev"]
    config["mounts"] += [
        mount("/etc/" + name, "bind", "%s/%s" % (side, name), "rbind rprivate") for name in ETC_FILES
    ]
    linux["resources"] = {
        "devices": [
            {"allow": False, "access": "rwm"},
            *({"allow": True, "type": "c", "major": a, "minor": b, "access": "rwm"} for a, b in ALLOWED_DEVICES),
            {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        ],
        "memory": {"limit": 512 << 20, "reservation": 256 << 20},
        "cpu": {"shares": 512, "quota": 150000, "period": 100000},
        "pids": {"limit": 512},
    }
    linux["cgroupsPath"] = cgroup
    linux["maskedPaths"] = [*MASKED, "/sys/devices/virtual/powercap", "/proc/interrupts"]
    linux["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
    linux["seccomp"] = json.loads(PROFILE.read_text())
    return config


class Bundles:
    """Bundles below one directory: a rootfs for each kind, config.json written anew for each container."""

    def __init__(self, work: Path, busybox: str) -> None:
        self.work = work
        self.busybox = busybox
        self.side = str(work / "side")
        self.count = 0
        os.makedirs(self.side + "/dir")
        for name, text in ETC_FILES.items():
            Path(self.side, name).write_text(text)

    def make(self, kind: str, args: tuple[str, ...] = ("/bin/true",), memory_kib: int = 0) -> str:
        """The bundle's directory, its config.json written for one container."""
        self.count += 1
        cgroup = "%s/%d" % (CGROUP, self.count)
        config = realistic_config(args, self.side, cgroup) if kind == "realistic" else spec_config(args)
        if kind == "mounts500":
            config["mounts"] += [
                mount("/mnt/m%d" % number, "bind", self.side + "/dir", "rbind ro") for number in range(MANY_MOUNTS)
            ]
        if memory_kib:
            config["linux"]["cgroupsPath"] = cgroup
            config["linux"]["resources"]["memory"] = {"limit": memory_kib * 1024}
        bundle = self.work / ("bundle-" + kind)
        if not bundle.exists():
            self._make_root(bundle / "rootfs", MANY_MOUNTS if kind == "mounts500" else 0)
        (bundle / "config.json").write_text(json.dumps(config))
        return str(bundle)

    def _make_root(self, root: Path, mountpoints: int) -> None:
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "mnt"):
            (root / name).mkdir(parents=True)
        shutil.copy2(self.busybox, root / "bin" / "busybox")
        for name in APPLETS:
            (root / "bin" / name).symlink_to("busybox")
        for name in ETC_FILES:
            (root / "etc" / name).touch()
        for number in range(mountpoints):
            (root / "mnt" / ("m%d" % number)).mkdir()


def remove_cgroups() -> None:
    """Remove what a runtime left of the cgroups named here, and their parent."""
    for hierarchy in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        parent = Path("%s%s" % (hierarchy, CGROUP))
        if parent.is_dir():
            for directory in (*(path for path in parent.iterdir() if path.is_dir()), parent):
                try:
                    directory.rmdir()
                except OSError as error:
                    print("left behind: %s: %s" % (directory, error.strerror))
