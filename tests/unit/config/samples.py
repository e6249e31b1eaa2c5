"""Configurations for the tests, as Python values: made anew on each call, so that a test may change its own."""

import copy
import json
import random
from typing import Any

MASKED = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/sys/firmware"]


def minimal() -> dict[str, Any]:
    return {"ociVersion": "1.3.0", "root": {"path": "rootfs"}, "process": {"cwd": "/", "args": ["sh"]}}


def ordinary() -> dict[str, Any]:
    """What `spec` prints, about."""
    return {
        "ociVersion": "1.3.0",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0, "additionalGids": [10]},
            "args": ["/bin/sh", "-c", "true"],
            "env": ["PATH=/bin", "TERM=xterm", "EMPTY="],
            "cwd": "/",
            "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
            "oomScoreAdj": 100,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "sample",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/data", "type": "none", "source": "/tmp", "options": ["rbind", "ro", "rprivate"]},
        ],
        "hooks": {"createRuntime": [{"path": "/bin/true", "args": ["true"], "timeout": 5}]},
        "annotations": {"com.example.key": ""},
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "resources": {
                "devices": [
                    {"allow": False, "access": "rwm"},
                    {"allow": True, "type": "c", "major": 1, "access": "r"},
                ],
                "memory": {"limit": 1 << 29, "swap": 1 << 30, "swappiness": 60},
                "cpu": {"shares": 512, "quota": 150000, "period": 100000, "cpus": "0-1,3"},
                "pids": {"limit": 512},
                "blockIO": {"weight": 100, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}]},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 2**64 - 1}],
                "rdma": {"mlx5_1": {"hcaHandles": 3}},
                "unified": {"memory.high": "max"},
            },
            "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0}],
            "sysctl": {"net.ipv4.ip_forward": "1", "kernel.shmmax": "1"},
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO",
                "defaultErrnoRet": 1,
                "architectures": ["SCMP_ARCH_X86_64"],
                "flags": [],
                "syscalls": [
                    {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
                    {
                        "names": ["personality"],
                        "action": "SCMP_ACT_ALLOW",
                        "args": [{"index": 0, "value": 2**64 - 1, "op": "SCMP_CMP_EQ"}],
                    },
                ],
            },
            "maskedPaths": list(MASKED),
            "readonlyPaths": ["/proc/bus"],
        },
    }


def everything() -> dict[str, Any]:
    """Every property of the Linux platform, with values that keep the schema (not all make sense together)."""
    config = ordinary()
    mapping = [{"containerID": 0, "hostID": 1000, "size": 65536}]
    config["domainname"] = "example"
    config["process"].update(
        consoleSize={"height": 25, "width": 80},
        commandLine="",
        apparmorProfile="p",
        selinuxLabel="l",
        scheduler={"policy": "SCHED_FIFO", "nice": 0, "priority": 5, "flags": ["SCHED_FLAG_RECLAIM"], "runtime": 0,
                   "deadline": 0, "period": 0},
        ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 4},
        execCPUAffinity={"initial": "7", "final": "0-3,7"},
    )  # fmt: skip
    config["process"]["user"].update(umask=63, username="x")
    config["process"]["capabilities"].update(inheritable=[], ambient=[])
    hook = {"path": "/bin/true", "env": ["A=1"]}
    for kind in ("prestart", "createContainer", "startContainer", "poststart", "poststop"):
        config["hooks"][kind] = [hook]
    config["mounts"][2].update(uidMappings=mapping, gidMappings=mapping)
    for other in ("windows", "solaris", "vm", "zos", "freebsd"):
        config[other] = {"anything": [1, {"x": None}]}
    linux = config["linux"]
    linux["namespaces"] += [{"type": "user", "path": "/proc/1/ns/user"}, {"type": "time"}]
    linux.update(
        uidMappings=mapping,
        gidMappings=mapping,
        timeOffsets={"monotonic": {"secs": -5, "nanosecs": 999999999}, "boottime": {}},
        netDevices={"eth0": {"name": "c%d"}},
        cgroupsPath="/a/b",
        intelRdt={"closID": "g", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20", "schemata": ["L2:0=f"],
                  "enableMonitoring": True},
        memoryPolicy={"mode": "MPOL_INTERLEAVE", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]},
        rootfsPropagation="rslave",
        mountLabel="l",
        personality={"domain": "LINUX32", "flags": []},
    )  # fmt: skip
    linux["devices"][0]["gid"] = 5
    linux["seccomp"].update(listenerPath="/run/s", listenerMetadata="m")
    linux["seccomp"]["syscalls"][1].update(errnoRet=1)
    linux["seccomp"]["syscalls"][1]["args"][0].update(valueTwo=1)
    resources = linux["resources"]
    resources["devices"][1]["minor"] = -1
    resources["memory"].update(
        reservation=1, kernel=-1, kernelTCP=-1, disableOOMKiller=False, useHierarchy=True, checkBeforeUpdate=True
    )
    resources["cpu"].update(burst=1, realtimeRuntime=1, realtimePeriod=1, mems="0", idle=0)
    throttle = [{"major": 8, "minor": 0, "rate": 600}]
    resources["blockIO"].update(leafWeight=10, throttleReadBpsDevice=throttle, throttleWriteBpsDevice=throttle)
    resources["blockIO"].update(throttleReadIOPSDevice=throttle, throttleWriteIOPSDevice=throttle)
    resources["blockIO"]["weightDevice"][0]["leafWeight"] = 5
    resources["network"] = {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]}
    resources["rdma"]["mlx5_1"]["hcaObjects"] = 10000
    return config


def text(document: Any) -> bytes:
    return json.dumps(document, indent=2).encode()


# Values that no property accepts all of; each takes the place of every value in turn.
INTRUDERS = [
    "REMOVE", True, -1, 0, 1.0, 2**64, 2**32 - 1, "", "x", "a\0", "/a", "1.0.0", "0-3", [], ["x"], [""], {},
    {"a": "b"}, [None],
]  # fmt: skip


def places(value):
    """(container, key) of every value in the document."""
    pairs = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))
        if isinstance(value, list)
        else []
    )
    for key, below in pairs:
        yield value, key
        yield from places(below)


def variations(document, intruders=None):
    """Change `document` in each place in turn and change it back; without `intruders` two by chance."""
    chance = random.Random(4)
    for container, key in list(places(document)):
        for intruder in intruders or ["REMOVE", *chance.sample(INTRUDERS, 2)]:
            before = copy.copy(container)
            if intruder == "REMOVE":
                del container[key]
            else:
                container[key] = intruder
            yield key, intruder
            container.clear()
            if isinstance(container, dict):
                container.update(before)
            else:
                container.extend(before)
