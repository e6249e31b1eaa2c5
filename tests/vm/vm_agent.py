#!/usr/bin/python3
"""Guest side of the lab (see `vm`): runs one job and reports its output and status.

It talks to the host over one virtio-serial port named lab.ctl with frames of
<one letter> <length, 4 bytes, big endian> <payload>:
  to the host    R ready for a job (the machine may be saved and resumed at this point)
                 S the command starts (JSON facts)   O stdout   E stderr   X exit status (JSON)
  from the host  J the job (JSON)       I stdin bytes (empty: end of file)
It is PID 1 when the lab runs with --init none, else a systemd service.
Python 3.9 and nothing outside the standard library.
"""

import ctypes
import fcntl
import glob
import json
import os
import pwd
import selectors
import signal
import struct
import subprocess
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)


def mount(src, target, fstype, flags=0, data=None):
    r = libc.mount(
        src.encode(),
        target.encode(),
        fstype.encode() if fstype else None,
        ctypes.c_ulong(flags),
        data.encode() if data else None,
    )
    if r:
        e = ctypes.get_errno()
        raise OSError(e, "mount %s: %s" % (fstype, os.strerror(e)), target)


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def read(path):
    try:
        with open(path) as f:
            return f.read().strip()
    except OSError:
        return ""


def find_port(name):
    for _ in range(200):
        for p in glob.glob("/sys/class/virtio-ports/*/name"):
            if read(p) == name:
                dev = "/dev/" + os.path.basename(os.path.dirname(p))
                if os.path.exists(dev):
                    return os.open(dev, os.O_RDWR | os.O_CLOEXEC)
        time.sleep(0.05)
    raise SystemExit("lab: no virtio port " + name)


class Port:
    def __init__(self, fd):
        self.fd = fd
        self.lock = threading.Lock()

    def send(self, kind, payload=b""):
        if isinstance(payload, str):
            payload = payload.encode()
        buf = memoryview(kind + struct.pack(">I", len(payload)) + payload)
        with self.lock:
            while buf:
                buf = buf[os.write(self.fd, buf) :]

    def _exactly(self, n):
        out = b""
        while len(out) < n:
            b = os.read(self.fd, n - len(out))
            if not b:  # host side not connected yet
                time.sleep(0.01)
            out += b
        return out

    def recv(self):
        head = self._exactly(5)
        return head[:1], self._exactly(struct.unpack(">I", head[1:])[0])


# ---- --init none: what systemd would have done -------------------------------------


def bare_setup(cgroup):
    for src, dst, fs, data in (
        ("proc", "/proc", "proc", None),
        ("sysfs", "/sys", "sysfs", None),
        ("devtmpfs", "/dev", "devtmpfs", None),
    ):
        if not os.path.ismount(dst):
            mount(src, dst, fs, 0, data)
    os.makedirs("/dev/pts", exist_ok=True)
    os.makedirs("/dev/shm", exist_ok=True)
    os.makedirs("/dev/mqueue", exist_ok=True)
    mount("devpts", "/dev/pts", "devpts", 0, "mode=620,ptmxmode=666,gid=5")
    mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777")
    mount("mqueue", "/dev/mqueue", "mqueue")
    for a, b in (
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        if not os.path.lexists("/dev/" + a):
            os.symlink(b, "/dev/" + a)
    mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777")
    for fs, d in (
        ("securityfs", "/sys/kernel/security"),
        ("debugfs", "/sys/kernel/debug"),
        ("tracefs", "/sys/kernel/tracing"),
        ("bpf", "/sys/fs/bpf"),
    ):
        try:
            mount(fs, d, fs)
        except OSError:
            pass
    cg = "/sys/fs/cgroup"
    if cgroup == "v2":
        mount("cgroup2", cg, "cgroup2", 0, "nsdelegate,memory_recursiveprot")
        for c in read(cg + "/cgroup.controllers").split():
            try:
                write(cg + "/cgroup.subtree_control", "+" + c)
            except OSError:
                pass
    else:
        mount("tmpfs", cg, "tmpfs", 0, "mode=755")
        groups = {}
        for line in read("/proc/cgroups").splitlines()[1:]:
            name, _, _, on = line.split()
            if on == "1":
                key = {
                    "cpu": "cpu,cpuacct",
                    "cpuacct": "cpu,cpuacct",
                    "net_cls": "net_cls,net_prio",
                    "net_prio": "net_cls,net_prio",
                }.get(name, name)
                groups.setdefault(key, []).append(name)
        for key, names in groups.items():
            os.mkdir(cg + "/" + key)
            mount("cgroup", cg + "/" + key, "cgroup", 0, ",".join(names))
            for n in names:
                if n != key:
                    os.symlink(key, cg + "/" + n)
        os.mkdir(cg + "/systemd")
        mount("cgroup", cg + "/systemd", "cgroup", 0, "none,name=systemd,xattr")
        if cgroup == "hybrid":
            os.mkdir(cg + "/unified")
            mount("cgroup2", cg + "/unified", "cgroup2", 0, "nsdelegate")
        if os.path.exists(cg + "/memory/memory.use_hierarchy"):
            try:
                write(cg + "/memory/memory.use_hierarchy", "1")
            except OSError:
                pass
    subprocess.run(["ip", "link", "set", "lo", "up"])
    try:
        with open("/etc/hostname") as f:
            h = f.read().strip().encode()
        libc.sethostname(h, len(h))
    except OSError:
        pass


# ---- the job -----------------------------------------------------------------------


def facts():
    return {
        "uptime": float(read("/proc/uptime").split()[0]),
        "kernel": os.uname().release,
        "init": os.path.basename(read("/proc/1/comm")),
    }


def mount_shares(job):
    done = []
    for s in job["shares"]:
        os.makedirs(s["path"], exist_ok=True)
        opts = "trans=virtio,version=9p2000.L,msize=262144,access=client,posixacl,cache=" + s["cache"]
        try:
            mount(s["tag"], s["path"], "9p", 1 if s["ro"] else 0, opts)
        except OSError:
            mount(s["tag"], s["path"], "9p", 1 if s["ro"] else 0, opts.replace("access=client,posixacl,", ""))
        done.append(s["path"])
    return done


def wait_systemd_user(uid):
    subprocess.run(["systemctl", "start", "--quiet", "user@%d.service" % uid], check=True)


def user_command(job, systemd, env):
    """argv that runs the job as job['user'] in a delegated cgroup, and its environment."""
    pw = pwd.getpwnam(job["user"])
    env = dict(env, HOME=pw.pw_dir, USER=pw.pw_name, LOGNAME=pw.pw_name, SHELL=pw.pw_shell)
    drop = ["setpriv", "--reuid=%d" % pw.pw_uid, "--regid=%d" % pw.pw_gid, "--init-groups", "--"]
    run = "/run/user/%d" % pw.pw_uid
    if not systemd:
        os.makedirs(run, exist_ok=True)
        os.chown(run, pw.pw_uid, pw.pw_gid)
        os.chmod(run, 0o700)
        env["XDG_RUNTIME_DIR"] = run
        cg = "/sys/fs/cgroup"
        if job["cgroup"] == "v2":  # what a delegating manager would do
            top = cg + "/user-" + pw.pw_name
            os.makedirs(top + "/main", exist_ok=True)
            avail = read(top + "/cgroup.controllers").split()
            write(top + "/cgroup.subtree_control", " ".join("+" + c for c in avail))
            for d in (top, top + "/main"):
                os.chown(d, pw.pw_uid, pw.pw_gid)
                for f in ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
                    os.chown(d + "/" + f, pw.pw_uid, pw.pw_gid)
            job["_cgroup_procs"] = top + "/main/cgroup.procs"
        return drop + job["argv"], env, pw.pw_dir
    wait_systemd_user(pw.pw_uid)
    env["XDG_RUNTIME_DIR"] = run
    env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=%s/bus" % run
    cmd = [
        *drop,
        "systemd-run",
        "--user",
        "--pipe",
        "--wait",
        "--collect",
        "--quiet",
        "--property=Delegate=yes",
        "--property=KillMode=mixed",
        "--working-directory=" + job["_cwd"],
    ]
    for k, v in job["env"].items():
        cmd.append("--setenv=%s=%s" % (k, v))
    return [*cmd, "--", *job["argv"]], env, pw.pw_dir


def run_job(job, port, systemd):
    t0 = time.monotonic()
    env = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "USER": "root",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "LAB_VM": "1",
    }
    env.update(job["env"])
    shares = mount_shares(job)
    if job["swap"]:
        dev = next(
            (
                ("/dev/" + os.path.basename(os.path.dirname(p)))
                for p in glob.glob("/sys/block/vd*/serial")
                if read(p) == "labswap"
            ),
            None,
        )
        if dev is None or libc.swapon(dev.encode(), 0):
            raise RuntimeError("swapon failed")
    job["_cwd"] = job["cwd"] or "/"
    argv = job["argv"]
    if job["user"] != "root":
        argv, env, home = user_command(job, systemd, env)
        if not job["cwd"]:
            job["_cwd"] = home
            argv = [a if not a.startswith("--working-directory=") else "--working-directory=" + home for a in argv]
    elif not job["cwd"]:
        job["_cwd"] = "/root"
    ro, wo = os.pipe()
    re_, we = os.pipe()
    if job["stdin"]:
        ri, wi = os.pipe()
    else:
        ri, wi = os.open("/dev/null", os.O_RDONLY), None

    def pre():
        if job.get("_cgroup_procs"):
            write(job["_cgroup_procs"], "0")
        for s in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM):
            signal.signal(s, signal.SIG_DFL)

    started = time.monotonic() - t0
    port.send(b"S", json.dumps(facts()))
    proc = subprocess.Popen(
        argv, stdin=ri, stdout=wo, stderr=we, cwd=job["_cwd"], env=env, preexec_fn=pre, start_new_session=True
    )
    for fd in (wo, we, ri):
        os.close(fd)
    if wi is not None:

        def feed():
            while True:
                kind, data = port.recv()
                if kind != b"I":
                    continue
                if not data:
                    os.close(wi)
                    return
                try:
                    os.write(wi, data)
                except OSError:
                    pass

        threading.Thread(target=feed, daemon=True).start()
    sel = selectors.DefaultSelector()
    sel.register(ro, selectors.EVENT_READ, b"O")
    sel.register(re_, selectors.EVENT_READ, b"E")
    gone = None
    while sel.get_map():
        for key, _ in sel.select(0.1 if gone is None else 0.05):
            data = os.read(key.fd, 65536)
            if data:
                port.send(key.data, data)
            else:
                sel.unregister(key.fd)
        if gone is None and proc.poll() is not None:
            gone = time.monotonic()
        if gone is not None and time.monotonic() - gone > 0.5:
            break  # a left-over process still holds the pipe
    rc = proc.wait()
    os.sync()
    for p in reversed(shares):
        os.chdir("/")
        libc.umount2(p.encode(), 2)
    os.sync()
    return {
        "status": rc if rc >= 0 else 128 - rc,
        "seconds": round(time.monotonic() - t0, 3),
        "prepare": round(started, 3),
    }


def serve(systemd):
    port = Port(find_port("lab.ctl"))
    for word in read("/proc/cmdline").split():
        if word.startswith("lab.user=") and systemd:
            wait_systemd_user(pwd.getpwnam(word[9:]).pw_uid)
    subprocess.run(["modprobe", "fuse"])  # where udevd runs, whoever opens /dev/fuse loads it
    os.sync()
    port.send(b"R")
    while True:
        kind, data = port.recv()
        if kind == b"J":
            break
    job = json.loads(data)
    if job.get("time"):  # a resumed machine has an old clock
        try:
            time.clock_settime(time.CLOCK_REALTIME, job["time"])
        except OSError:
            pass
    try:  # and an old random state: without this every run draws the same numbers
        seed = bytes.fromhex(job["seed"])
        with open("/dev/urandom", "wb") as f:
            fcntl.ioctl(f, 0x40085203, struct.pack("ii", len(seed) * 8, len(seed)) + seed)
            fcntl.ioctl(f, 0x5207)
    except OSError:
        pass
    try:
        result = run_job(job, port, systemd)
    except Exception as e:  # the lab itself failed: status 125, as for `env`
        if isinstance(e, FileNotFoundError) and e.filename == job["argv"][0]:
            result = {"status": 127, "error": "%s: not found in the guest" % e.filename}
        else:
            result = {"status": 125, "error": "%s: %s" % (type(e).__name__, e)}
    port.send(b"X", json.dumps(result))
    time.sleep(3600)


def main():
    if os.getpid() != 1:
        serve(True)
        return
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    bare_setup(sys.argv[1] if len(sys.argv) > 1 else "v2")
    child = os.fork()
    if child == 0:
        os.setsid()
        serve(False)
        os._exit(0)
    while True:  # PID 1: reap what others leave
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(1)


main()
