#!/usr/bin/env python3
"""Guest side: runs one container with a given runtime and cgroup driver, limits of every kind in
config.json, and prints the cgroup files that resulted. Usage:
  vm_proof.py RUNTIME [--systemd-cgroup] [--rootless] [--apparmor PROFILE]
RUNTIME is a runc-like command (runc, crun, or a path, words separated by commas:
python3,-m,pyoci). Exit status 0 when every limit is in the cgroup files and the status came back.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time


def text_of(path):
    with open(path) as f:
        return f.read()


args = sys.argv[1:]
runtime = args[0].split(",")
systemd = "--systemd-cgroup" in args
rootless = "--rootless" in args
ident = "proof-%d" % os.getpid()
unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
base = tempfile.mkdtemp(prefix="proof-")
os.makedirs(base + "/rootfs/bin")
for d in ("proc", "dev", "sys", "tmp", "etc"):
    os.mkdir(base + "/rootfs/" + d)
shutil.copy("/bin/busybox", base + "/rootfs/bin/busybox")
for n in ("sh", "sleep", "cat", "id", "mknod", "dd"):
    os.symlink("busybox", base + "/rootfs/bin/" + n)
if rootless:
    os.chmod(base, 0o755)

blk = text_of("/sys/block/vda/dev").strip().split(":")
other = text_of("/sys/block/vdd/dev").strip().split(":")
resources = {
    "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 42},
    "devices": [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        {"allow": True, "type": "b", "major": int(other[0]), "minor": int(other[1]), "access": "rm"},
    ],
}
if rootless:
    del resources["devices"]
else:
    resources["blockIO"] = {
        "throttleReadBpsDevice": [{"major": int(blk[0]), "minor": int(blk[1]), "rate": 1048576}],
        "throttleWriteIOPSDevice": [{"major": int(blk[0]), "minor": int(blk[1]), "rate": 120}],
    }
script = "cat /proc/self/cgroup; "
if not rootless:
    script += (
        "mknod /tmp/yes b %s %s; mknod /tmp/no b %s %s; "
        "dd if=/tmp/yes of=/dev/null count=1 2>/dev/null && echo allowed device: readable "
        "|| echo allowed device: REFUSED; "
        "dd if=/tmp/no of=/dev/null count=1 2>/dev/null && echo other device: READABLE "
        "|| echo other device: refused; " % tuple(other + blk)
    )
script += "echo in-container uid=$(id -u); : > /tmp/started; while [ ! -e /tmp/go ]; do sleep 0.2; done; exit 9"
config = {
    "ociVersion": "1.0.2",
    "process": {
        "user": {"uid": 0, "gid": 0},
        "cwd": "/",
        "args": ["/bin/sh", "-c", script],
        "env": ["PATH=/bin"],
        "noNewPrivileges": True,
        "capabilities": {k: ["CAP_MKNOD"] for k in ("bounding", "effective", "permitted")},
    },
    "root": {"path": "rootfs"},
    "hostname": "proof",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"]},
    ],
    "linux": {
        "namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts", "network", "cgroup")],
        "resources": resources,
    },
}
if rootless:
    config["mounts"].pop()
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"]["uidMappings"] = [
        {"containerID": 0, "hostID": os.getuid(), "size": 1},
        {"containerID": 1, "hostID": 100000, "size": 65535},
    ]
    config["linux"]["gidMappings"] = [
        {"containerID": 0, "hostID": os.getgid(), "size": 1},
        {"containerID": 1, "hostID": 100000, "size": 65535},
    ]
if "--apparmor" in args:
    config["process"]["apparmorProfile"] = args[args.index("--apparmor") + 1]
    config["process"]["args"][2] = "echo label $(cat /proc/self/attr/current); " + script
own = [x for x in text_of("/proc/self/cgroup").split() if x.startswith("0::")]
own = own[0][3:] if own else "/"
if systemd:
    config["linux"]["cgroupsPath"] = ("user.slice" if rootless else "system.slice") + ":proof:" + ident
elif rootless:
    config["linux"]["cgroupsPath"] = os.path.dirname(own) + "/" + ident
else:
    config["linux"]["cgroupsPath"] = "/proof/" + ident
with open(base + "/config.json", "w") as f:
    json.dump(config, f)

cmd = runtime + (["--systemd-cgroup"] if systemd else []) + ["run", "--bundle", base, ident]
print("$", " ".join(cmd), flush=True)
p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL)
want = {
    "memory.max": str(64 << 20),
    "memory.low": str(32 << 20),
    "memory.swap.max": str(32 << 20),
    "cpu.max": "50000 100000",
    "cpu.weight": None,
    "pids.max": "42",
    "cpuset.cpus": "0",
    "cpuset.mems": "0",
}
if not rootless:
    want["io.max"] = "%s:%s rbps=1048576 wbps=max riops=max wiops=120" % tuple(blk)
want1 = {
    "memory/memory.limit_in_bytes": str(64 << 20),
    "memory/memory.memsw.limit_in_bytes": str(96 << 20),
    "cpu/cpu.cfs_quota_us": "50000",
    "cpu/cpu.shares": "512",
    "pids/pids.max": "42",
    "cpuset/cpuset.cpus": "0",
    "blkio/blkio.throttle.read_bps_device": "%s:%s 1048576" % tuple(blk),
    "devices/devices.list": None,
}
if not unified:
    want = want1
ok, found = True, None
end = time.time() + 60
while time.time() < end and p.poll() is None and not os.path.exists(base + "/rootfs/tmp/started"):
    time.sleep(0.1)
while time.time() < end and not found and p.poll() is None:
    out = subprocess.run(
        ["find", "/sys/fs/cgroup", "-type", "d", "-name", "*%s*" % ident],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ).stdout.split()
    for d in out if unified else []:
        if os.path.exists(d + "/memory.max") and int(text_of(d + "/memory.current")):
            found = d
    if not unified and len(out) > 5:
        found = out
    time.sleep(0.2)
if found and unified:
    print("cgroup:", found)
    for n, v in want.items():
        seen = []
        for sub in ("", "/container"):  # crun puts the limits one level below its scope
            try:
                seen.append((sub, text_of(found + sub + "/" + n).strip()))
            except OSError:
                pass
        sub, have = ([x for x in seen if v in (None, x[1])] or seen or [("", "(none)")])[0]
        good = bool(seen) and v in (None, have)
        ok = ok and good
        print("  %-28s %-58s %s" % ((sub + "/" + n).lstrip("/"), have, "ok" if good else "DIFFERS (wanted %s)" % v))
elif found:
    for n, v in want.items():
        ctl, name = n.split("/")
        d = [x + sub for x in found for sub in ("", "/container") if ctl in x.split("/")[4].split(",")]
        seen = [text_of(x + "/" + name).strip().replace("\n", "; ") for x in d if os.path.exists(x + "/" + name)]
        have = ([x for x in seen if v in (None, x)] or seen or ["(none)"])[0]
        mark = "ok" if (v is None or have == v) and not have.startswith("(") else "DIFFERS (wanted %s)" % v
        ok = ok and mark == "ok"
        print("  %-40s %-40s %s" % (n, have, mark))
else:
    ok = False
    print("no cgroup found")
if systemd and p.poll() is None:
    unit = "proof-%s.scope" % ident
    print(
        subprocess.run(
            ["systemctl"]
            + (["--user"] if rootless else [])
            + [
                "show",
                unit,
                "-p",
                "ActiveState,MemoryMax,MemoryLow,MemorySwapMax,CPUQuotaPerSecUSec,CPUWeight,TasksMax,AllowedCPUs,"
                "IOReadBandwidthMax,DevicePolicy,DeviceAllow,Delegate,Slice,ControlGroup",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ).stdout.replace("\n", "  ")
    )
open(base + "/rootfs/tmp/go", "w").close()
st = p.wait()
print("status", st, "" if st == 9 else "DIFFERS (wanted 9)")
print("PROOF", "ok" if ok and st == 9 else "FAILED")
shutil.rmtree(base, ignore_errors=True)
raise SystemExit(0 if ok and st == 9 else 1)
