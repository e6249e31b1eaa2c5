"""The configurations that are compared: name -> function(Context) that gives the edits.

A Context offers `folder` (a host folder with files to bind), `pause` (namespace paths of a standing container) and
`debian` (a Debian root filesystem, or None).
"""

import json
import os

from ..integration.bundles import DEFAULT_NAMESPACES, DROP, bind, entry, namespaces

RW = {"root": {"readonly": False}}
CAPS14 = [
    "CAP_" + name
    for name in [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
]
MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def user(uid, gid, **more):
    return {"process": {"user": {"uid": uid, "gid": gid, **more}}}


def caps(**sets):
    return {"process": {"capabilities": None}}, {"process": {"capabilities": sets}}


def limits(**resources):
    return {"linux": {"resources": resources}}


def only(*types):
    """Namespaces of these types only, with what depends on the others taken away."""
    edit = {"linux": {"namespaces": namespaces("mount", *types)}}
    if "uts" not in types:
        edit["hostname"] = DROP
    kept = [entry("/proc", "proc", "proc"), entry("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755")]
    edit["mounts"] = kept
    return [edit]


def seccomp_profile():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(os.path.join(here, "data", "docker_seccomp.json"), encoding="utf-8") as file:
        return {"linux": {"seccomp": json.load(file)}}


def rule(kind, major, minor, access="rwm", allow=True):
    return {"allow": allow, "type": kind, "major": major, "minor": minor, "access": access}


def docker(c):
    """What dockerd writes for `docker run`: profile, 14 capabilities, limits, three bound files."""
    files = [
        bind("/etc/" + n, os.path.join(c.folder, n), "rbind", "rprivate")
        for n in ("hosts", "hostname", "resolv.conf")
    ]
    return [
        RW,
        seccomp_profile(),
        *caps(bounding=CAPS14, effective=CAPS14, permitted=CAPS14),
        {
            "process": {
                "noNewPrivileges": False,
                "oomScoreAdj": 0,
                "env+": ["HOSTNAME=3f4e", "HOME=/root"],
                "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 4096}],
            },
            "hostname": "3f4e",
            "mounts+": files,
        },
        {
            "linux": {
                "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
            }
        },
        limits(
            memory={"limit": 512 << 20, "reservation": 256 << 20},
            cpu={"shares": 512, "quota": 150000, "period": 100000},
            pids={"limit": 512},
            devices=[
                {"allow": False, "access": "rwm"},
                *[rule("c", *n) for n in ((1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1))],
                rule("c", 10, 229, allow=False),
            ],
        ),
    ]


def podman(c):
    """What podman writes as root: private propagation, tmpfs /run, oom score, umask, no new privileges off."""
    return [
        RW,
        user(0, 0, umask=0o022, additionalGids=[10, 20]),
        *caps(bounding=CAPS14, effective=CAPS14, permitted=CAPS14),
        {
            "process": {
                "noNewPrivileges": False,
                "oomScoreAdj": 0,
                "rlimits": [{"type": "RLIMIT_NPROC", "soft": 4096, "hard": 4096}],
            },
            "mounts+": [
                entry("/run", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=755", "size=1m", "rprivate"),
                bind("/etc/hosts", os.path.join(c.folder, "hosts"), "bind", "rprivate", "nosuid", "nodev"),
            ],
            "linux": {"rootfsPropagation": "private"},
        },
    ]


def kubernetes(c):
    """A container of a pod: the sandbox's network, IPC and UTS namespaces, a user, limits, a read-only volume."""
    joined = namespaces("pid", "mount", network=c.pause["net"], ipc=c.pause["ipc"], uts=c.pause["uts"])
    return [
        user(1000, 1000, additionalGids=[1000, 2000]),
        *caps(
            bounding=["CAP_NET_BIND_SERVICE"],
            effective=["CAP_NET_BIND_SERVICE"],
            permitted=["CAP_NET_BIND_SERVICE"],
        ),
        {"hostname": DROP, "linux": {"namespaces": joined}, "process": {"oomScoreAdj": 986}},
        {"mounts+": [bind("/data", c.folder, "rbind", "ro", "rprivate")]},
        limits(memory={"limit": 256 << 20}, cpu={"shares": 204, "quota": 20000, "period": 100000}),
    ]


def sandbox(c):
    """The pause container of a pod."""
    return [
        user(65535, 65535),
        {"linux": {"namespaces": namespaces(*DEFAULT_NAMESPACES)}, "process": {"oomScoreAdj": 500}},
        limits(cpu={"shares": 2}),
    ]


def debian(c):
    return [{"root": {"path": c.debian, "readonly": True}, "process": {"args": ["/usr/bin/env", "/data/probe"]}},
            {"mounts+": [bind("/mnt", c.folder, "rbind", "ro"), bind("/srv", c.tools, "rbind", "ro")]},
            {"process": {"args": ["/srv/probe"]}}]  # fmt: skip


CASES = {
    "default": lambda c: [],
    "writable root": lambda c: [RW],
    "other user": lambda c: [user(1000, 1000)],
    "other user with groups": lambda c: [user(1000, 1000, additionalGids=[5, 7])],
    "root with groups": lambda c: [user(0, 0, additionalGids=[1, 2, 3])],
    "group only": lambda c: [user(0, 5)],
    "umask": lambda c: [user(0, 0, umask=0o027)],
    "new privileges allowed": lambda c: [{"process": {"noNewPrivileges": False}}],
    "all 14 capabilities": lambda c: [*caps(bounding=CAPS14, effective=CAPS14, permitted=CAPS14)],
    "no capabilities": lambda c: [*caps()],
    "bounding only": lambda c: [*caps(bounding=CAPS14)],
    "inheritable and ambient": lambda c: [
        user(1000, 1000),
        *caps(
            **{
                k: ["CAP_KILL", "CAP_CHOWN"]
                for k in ("bounding", "effective", "permitted", "inheritable", "ambient")
            }
        ),
    ],
    "ambient of root": lambda c: [
        *caps(**{k: ["CAP_KILL"] for k in ("bounding", "effective", "permitted", "inheritable", "ambient")}),
    ],
    "limits of open files and core": lambda c: [
        {
            "process": {
                "rlimits": [
                    {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128},
                    {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
                ]
            }
        }
    ],
    "no limits": lambda c: [{"process": {"rlimits": []}}],
    "cwd": lambda c: [{"process": {"cwd": "/home"}}],
    "made cwd": lambda c: [RW, {"process": {"cwd": "/made/here"}}],
    "environment": lambda c: [{"process": {"env": ["A=1", "PATH=/bin", "HOME=/tmp", "E="]}}],
    "oom score": lambda c: [{"process": {"oomScoreAdj": 300}}],
    "names": lambda c: [{"hostname": "some.host"}],
    "bind": lambda c: [{"mounts+": [bind("/data", c.folder, "bind")]}],
    "bind read-only": lambda c: [
        {"mounts+": [bind("/data", c.folder, "rbind", "ro", "nosuid", "nodev", "noexec")]}
    ],
    "bind of a file": lambda c: [{"mounts+": [bind("/data/file", c.folder + "/hosts", "bind", "ro")]}, RW],
    "bind with propagation": lambda c: [{"mounts+": [bind("/data", c.folder, "rbind", "rslave")]}],
    "tmpfs": lambda c: [{"mounts+": [entry("/data", "tmpfs", "x", "size=1m", "mode=1777", "noexec", "nosuid")]}],
    "tmpfs on tmpfs": lambda c: [{"mounts+": [entry("/data", "tmpfs", "x"), entry("/data/y", "tmpfs", "y", "ro")]}],
    "made destinations": lambda c: [RW, {"mounts+": [bind("/a/b/c", c.folder), bind("/a/f", c.folder + "/hosts")]}],
    "no cgroup mount": lambda c: [lambda config: config["mounts"].pop()],
    "writable cgroup mount": lambda c: [lambda config: config["mounts"][-1]["options"].remove("ro")],
    "cgroup namespace": lambda c: [{"linux": {"namespaces": namespaces(*DEFAULT_NAMESPACES, "cgroup")}}],
    "proc with options": lambda c: [
        lambda config: config["mounts"][0].update(options=["nosuid", "noexec", "nodev"])
    ],
    "masked and read-only": lambda c: [
        RW,
        {"linux": {"maskedPaths": ["/data", "/proc/version"], "readonlyPaths": ["/tmp"]}},
    ],
    "nothing masked": lambda c: [{"linux": {"maskedPaths": [], "readonlyPaths": []}}],
    "devices": lambda c: [
        {
            "linux": {
                "devices": [
                    {
                        "path": "/dev/mine",
                        "type": "c",
                        "major": 1,
                        "minor": 3,
                        "fileMode": 0o640,
                        "uid": 3,
                        "gid": 4,
                    },
                    {"path": "/dev/deep/er", "type": "b", "major": 7, "minor": 3},
                    {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
                ]
            }
        }
    ],
    "sysctl": lambda c: [{"linux": {"sysctl": {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"}}}],
    "seccomp": lambda c: [seccomp_profile()],
    "seccomp without no new privileges": lambda c: [seccomp_profile(), {"process": {"noNewPrivileges": False}}],
    "seccomp small": lambda c: [
        {
            "linux": {
                "seccomp": {
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}],
                }
            }
        }
    ],
    "shared root": lambda c: [{"linux": {"rootfsPropagation": "shared"}}],
    "slave root": lambda c: [{"linux": {"rootfsPropagation": "rslave"}}],
    "only pid": lambda c: only("pid"),
    "only network": lambda c: only("network"),
    "only ipc": lambda c: only("ipc"),
    "only uts": lambda c: only("uts"),
    "pid and network": lambda c: only("pid", "network"),
    "no pid namespace": lambda c: [{"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount")}}],
    "host network": lambda c: [
        {"linux": {"namespaces": namespaces("pid", "ipc", "uts", "mount")}},
    ],
    "joined network": lambda c: [
        {"linux": {"namespaces": namespaces("pid", "ipc", "uts", "mount", network=c.pause["net"])}}
    ],
    "joined pid": lambda c: [
        {"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount", pid=c.pause["pid"])}}
    ],
    "user namespace": lambda c: [
        {"linux": {"namespaces": namespaces(*DEFAULT_NAMESPACES, "user"), "uidMappings": MAPS, "gidMappings": MAPS}}
    ],
    "user namespace, other user": lambda c: [
        {
            "linux": {
                "namespaces": namespaces(*DEFAULT_NAMESPACES, "user"),
                "uidMappings": MAPS,
                "gidMappings": MAPS,
            }
        },
        user(1000, 1000, additionalGids=[7]),
    ],
    "memory and pids": lambda c: [limits(memory={"limit": 64 << 20, "swap": 64 << 20}, pids={"limit": 50})],
    "cpu": lambda c: [limits(cpu={"shares": 256, "quota": 20000, "period": 50000, "cpus": "0"})],
    "docker": docker,
    "podman": podman,
    "pod sandbox": sandbox,
    "container of a pod": kubernetes,
    "debian": debian,
}
