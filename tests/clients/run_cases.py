"""`run --rm FLAGS IMAGE ARGS` as docker and podman both know it: what the program sees, how it ends.

One table for all engines of that command line.  `without` names engines that cannot do it, with the reason.
"""

import re

from .images import NAME


class Case:
    """One run: `args` in a container with `flags`; its status, and a pattern for what it prints."""

    def __init__(self, name, flags, args, pattern="", code=0, *, err="", without=None, stdin=None):
        self.name, self.flags, self.args, self.pattern, self.code = name, flags, args, pattern, code
        self.err, self.without, self.stdin = err, without or {}, stdin

    def check(self, cli):
        result = cli("run", "--rm", *self.flags, NAME, *self.args, send=self.stdin)
        assert result.code == self.code, repr(result)
        assert re.search(self.pattern, result.out, re.MULTILINE), "no %r in %r" % (self.pattern, result)
        assert re.search(self.err, result.err, re.MULTILINE), "no %r in %r" % (self.err, result)


def sh(script):
    return ["sh", "-c", script]


STATUS = ["cat", "/proc/self/status"]
NO_CGROUP = {"rootless": "an ordinary user has no cgroups on a version 1 host"}
NO_BRIDGE = {"podman": "no network plugin here", "rootless": "no network plugin here"}
DOCKER_ONLY = {"podman": "a flag of docker", "rootless": "a flag of docker"}
PODMAN_ONLY = {"docker": "a flag of podman"}
HOST_RIGHTS = {"rootless": "needs the host's root"}

NPROC = ["--ulimit", "nproc=1000:1000"]  # else podman raises it, which CI machines may not

CASES = [
    Case("prints", [], ["echo", "hello"], "^hello$"),
    Case("default command", ["-i"], [], "^typed$", stdin="echo typed\n"),
    Case("stdin to the end", ["-i"], ["wc", "-c"], "^5$", stdin="12345"),
    Case("both streams", [], sh("echo out; echo err >&2"), "^out$", err="err"),
    Case("status", [], sh("exit 42"), code=42),
    Case("signal in a child", [], sh("sh -c 'kill -TERM $$'; exit $?"), code=143),
    Case("missing program", [], ["nope"], code=127, err="executable file not found in"),
    Case("missing path", [], ["/no/such"], code=127, err="no such file or directory"),
    Case("directory", [], ["/etc"], code=126, err="permission denied"),
    Case("not executable", [], ["/etc/plain"], code=126, err="permission denied"),
    Case("script", [], ["script", "a", "b"], "^script a b$"),
    Case("entrypoint", ["--entrypoint", "/bin/echo"], ["x y"], "^x y$"),
    Case("hostname", ["--hostname", "box.example"], ["hostname"], "^box.example$"),
    Case("workdir", ["--workdir", "/data"], ["pwd"], "^/data$"),
    Case("workdir is made", ["-w", "/made/for/it"], ["pwd"], "^/made/for/it$", without=DOCKER_ONLY),
    Case("environment", ["-e", "A=b c", "--env", "EMPTY="], sh('echo "[$A][$EMPTY]"'), r"^\[b c\]\[\]$"),
    Case("home of root", [], sh("echo $HOME"), "^/root$"),
    Case("user by id", ["--user", "1000:100"], ["id"], r"uid=1000\(alice\) gid=100"),
    Case("user by name", ["--user", "bob"], ["id"], r"uid=1001\(bob\) gid=100"),
    Case("home of a user", ["--user", "alice"], sh("echo $HOME"), "^/home/alice$"),
    Case("groups", ["--user", "1000", "--group-add", "2000"], ["id", "-G"], r"\b2000\b"),
    Case("unknown user", ["--user", "nobodyknows"], ["id"], code=126, err="unable to find user", without={
        "docker": "docker's own status 125 and words"}),
    Case("capabilities: default", [], STATUS, r"^CapEff:\t0000000[0-9a-f]{9}$"),
    Case("capabilities: none", ["--cap-drop", "ALL"], STATUS, r"^CapEff:\t0000000000000000$"),
    Case("capabilities: one", ["--cap-drop", "ALL", "--cap-add", "KILL"], STATUS, r"^CapBnd:\t0000000000000020$"),
    Case("capabilities: added", ["--cap-add", "SYS_PTRACE"], STATUS, r"^CapEff:\t00000000a80c25fb$",
         without={"podman": "other defaults", "rootless": "other defaults"}),
    Case("capabilities: a user has none", ["--user", "1000"], STATUS, r"^CapEff:\t0000000000000000$"),
    Case("no new privileges", ["--security-opt", "no-new-privileges"], STATUS, r"^NoNewPrivs:\t1$"),
    Case("privileges by default", [], STATUS, r"^NoNewPrivs:\t0$"),
    Case("seccomp: default", [], STATUS, r"^Seccomp:\t2$"),
    Case("seccomp: unconfined", ["--security-opt", "seccomp=unconfined"], STATUS, r"^Seccomp:\t0$"),
    Case("seccomp: holds", [], ["unshare", "-m", "true"], code=1, err="[Oo]peration not permitted"),
    Case("privileged", ["--privileged"], sh("mount -t tmpfs x /mnt && grep ' /mnt ' /proc/mounts"), " /mnt tmpfs"),
    Case("privileged devices", ["--privileged"], sh("ls /dev/kmsg"), "kmsg", without=HOST_RIGHTS),
    Case("read-only", ["--read-only"], sh("touch /x"), code=1, err="Read-only file system"),
    Case("read-only with tmpfs", ["--read-only", "--tmpfs", "/tmp"], sh("touch /tmp/x && echo fine"), "^fine$"),
    Case("tmpfs options", ["--tmpfs", "/t:size=1m,mode=700,noexec"], sh("grep ' /t ' /proc/mounts"),
         r"noexec.*size=1024k.*mode=700"),
    Case("shm size", ["--shm-size", "3m"], sh("df -k /dev/shm | tail -1"), r"\b3072\b"),
    Case("ulimit", ["--ulimit", "nofile=100:200", *NPROC], sh("ulimit -Sn; ulimit -Hn"), "^100\n200$"),
    Case("ulimit core", ["--ulimit", "core=0", "--ulimit", "nofile=99:99", *NPROC], sh("ulimit -c"), "^0$"),
    Case("sysctl", ["--sysctl", "kernel.msgmax=4096"], ["cat", "/proc/sys/kernel/msgmax"], "^4096$"),
    Case("sysctl net", ["--sysctl", "net.ipv4.ip_forward=1"], ["cat", "/proc/sys/net/ipv4/ip_forward"], "^1$"),
    Case("network none", ["--network", "none"], sh("ls /sys/class/net"), r"\Alo\n\Z"),
    Case("loopback is up", ["--network", "none"], sh("ifconfig lo"), "UP LOOPBACK RUNNING"),
    Case("network host", ["--network", "host"], sh("readlink /proc/self/ns/net"), "net:"),
    Case("bridge", [], sh("ls /sys/class/net"), "eth0", without=NO_BRIDGE),
    Case("pid namespace", [], sh("echo $$"), "^1$"),
    Case("pid host", ["--pid", "host"], sh("test $$ -gt 1 && echo many"), "^many$"),
    Case("ipc private", ["--ipc", "private"], sh("ls /dev/mqueue | wc -l"), "^0$"),
    Case("ipc host", ["--ipc", "host"], ["echo", "fine"], "^fine$", without={"rootless": "no /dev/mqueue here"}),
    Case("uts host", ["--uts", "host"], ["echo", "fine"], "^fine$"),
    Case("init", ["--init"], sh("cat /proc/1/comm"), "init|catatonit|tini", without={
        "docker": "tini is no dependency of Debian's package"}),
    Case("memory", ["--memory", "64m"], ["cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes"], "^67108864$",
         without=NO_CGROUP),
    Case("memory and swap", ["--memory", "64m", "--memory-swap", "128m"],
         ["cat", "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"], "^134217728$", without=NO_CGROUP),
    Case("reservation", ["--memory", "64m", "--memory-reservation", "32m"],
         ["cat", "/sys/fs/cgroup/memory/memory.soft_limit_in_bytes"], "^33554432$", without=NO_CGROUP),
    Case("swappiness", ["--memory-swappiness", "10"], ["cat", "/sys/fs/cgroup/memory/memory.swappiness"], "^10$",
         without=NO_CGROUP),
    Case("cpus", ["--cpus", "0.5"], ["cat", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"], "^50000$", without=NO_CGROUP),
    Case("cpu shares", ["--cpu-shares", "300"], ["cat", "/sys/fs/cgroup/cpu/cpu.shares"], "^300$", without=NO_CGROUP),
    Case("cpu period and quota", ["--cpu-period", "50000", "--cpu-quota", "20000"],
         ["cat", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"], "^50000$", without=NO_CGROUP),
    Case("cpuset", ["--cpuset-cpus", "0"], STATUS, r"^Cpus_allowed_list:\t0$", without=NO_CGROUP),
    Case("cpuset mems", ["--cpuset-mems", "0"], STATUS, r"^Mems_allowed_list:\t0$", without=NO_CGROUP),
    Case("pids limit", ["--pids-limit", "20"], ["cat", "/sys/fs/cgroup/pids/pids.max"], "^20$", without=NO_CGROUP),
    Case("pids unlimited", ["--pids-limit", "-1"], ["cat", "/sys/fs/cgroup/pids/pids.max"], "^max$",
         without=NO_CGROUP),
    Case("pids limit holds", ["--pids-limit", "5"], sh("for i in 1 2 3 4 5 6 7; do sleep 1 & done; wait"), code=2,
         err="can't fork", without=NO_CGROUP),
    Case("oom kill", ["--memory", "8m", "--memory-swap", "8m"], sh("x=$(head -c 60000000 /dev/zero | tr '\\0' a); echo no"),
         code=137, without=NO_CGROUP),
    Case("oom score", ["--oom-score-adj", "500"], ["cat", "/proc/self/oom_score_adj"], "^500$"),
    Case("cgroup is read-only", [], sh("mkdir /sys/fs/cgroup/memory/x"), code=1, err="Read-only file system",
         without={"rootless": "nothing is mounted there"}),
    Case("device", ["--device", "/dev/zero:/dev/nought"], sh("head -c 3 /dev/nought | wc -c"), "^3$"),
    Case("device read-only", ["--device", "/dev/kmsg:/dev/k:r"], sh("echo x > /dev/k"), code=1,
         err="not permitted", without=HOST_RIGHTS),
    Case("device denied", ["--cap-add", "MKNOD"], sh("mknod /d b 7 0; cat /d"), code=1, err="not permitted"),
    Case("masked", [], sh("cat /proc/kcore | wc -c; ls /sys/firmware | wc -l"), "^0\n0$"),
    Case("read-only proc", [], sh("echo 1 > /proc/sys/vm/swappiness"), code=1, err="Read-only file system"),
    Case("default devices", [], sh("for d in null zero full random urandom tty ptmx fd stdin; do test -e /dev/$d || echo no $d; done; echo ok"),
         r"\Aok"),
    Case("umask", [], sh("umask"), "^0022$"),
    Case("no leaked descriptors", [], sh("ls /proc/self/fd | wc -l"), "^4$"),
    Case("signals are default", [], ["grep", "SigIgn", "/proc/self/status"], "0000000000000000$"),
    Case("domain", ["--domainname", "example.org"], ["cat", "/proc/sys/kernel/domainname"], "^example.org$",
         without=DOCKER_ONLY),
    Case("blkio weight", ["--blkio-weight", "300"], ["echo", "fine"], "^fine$", without=NO_CGROUP),
    Case("cgroup parent", ["--cgroup-parent", "/pyoci-clients"], ["cat", "/proc/self/cgroup"], "/pyoci-clients/",
         without=NO_CGROUP),
    Case("private cgroup namespace", ["--cgroupns", "private"], ["cat", "/proc/self/cgroup"], "^[0-9]+:pids:/$",
         without=NO_CGROUP),
    Case("umask is set", ["--umask", "0077"], sh("umask"), "^0077$", without=PODMAN_ONLY),
    Case("keeps a descriptor", ["--preserve-fds", "0"], ["echo", "fine"], "^fine$", without=PODMAN_ONLY),
    Case("without cgroups", ["--cgroups", "disabled"], ["echo", "fine"], "^fine$", without={
        **PODMAN_ONLY, "podman": "needs crun's name in its list of runtimes", "rootless": "the same"}),
    Case("unmask", ["--security-opt", "unmask=/proc/keys"], sh("ls -l /proc/keys"), "^-r", without=PODMAN_ONLY),
    Case("mask", ["--security-opt", "mask=/data"], sh("ls /data | wc -l"), "^0$", without=PODMAN_ONLY),
    Case("read-only tmpfs", ["--read-only", "--read-only-tmpfs"], sh("touch /run/x && echo fine"), "^fine$",
         without=PODMAN_ONLY),
    Case("user namespace", ["--uidmap", "0:100000:5000"], ["cat", "/proc/self/uid_map"], r"0 +100000 +5000",
         without={**PODMAN_ONLY, "rootless": "other ids"}),
    Case("personality", ["--personality", "LINUX32"], ["uname", "-m"], "i686|i386|armv", without={
        **PODMAN_ONLY, "podman": "newer than 4.3", "rootless": "newer than 4.3"}),
    Case("timezone", ["--tz", "UTC"], ["date", "+%Z"], "UTC", without=PODMAN_ONLY),
    Case("hooks of the network", [], sh("cat /etc/resolv.conf | wc -l"), "^[0-9]+$"),
]  # fmt: skip


def cases(engine):
    """Those of the table that `engine` can do."""
    return [case for case in CASES if engine not in case.without]


def name_of(case):
    return case.name.replace(" ", "-").replace(":", "")
