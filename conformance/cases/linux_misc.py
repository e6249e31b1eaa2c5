"""config-linux.md: sysctl, memory policy, personality, network devices; config.md: scheduler, ioPriority."""

import os
import platform

from suite import system
from suite.case import case
from suite.context import Context

# ---- sysctl ----

SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.ping_group_range": "0 100",
    "kernel.shmmax": "12345678",
    "kernel.msgmax": "4096",
    "kernel.sem": "100 16000 32 64",
    "fs.mqueue.msg_max": "7",
}

for name, value in SYSCTLS.items():

    @case(f"sysctl/{name}", "config-linux.md#sysctl: kernel parameters of the container", "R-257")
    def _sysctl(t: Context, name: str = name, value: str = value) -> None:
        path = "/proc/sys/" + name.replace(".", "/")
        t.need(os.path.exists(path), f"this kernel has no {name}")
        t.config["linux"]["sysctl"] = {name: value}
        t.equal(t.go("--only", "none", "--read", path).text(path).split(), value.split(), name)


@case("sysctl/host-is-unchanged", "config-linux.md#sysctl: for the container", "R-257")
def sysctl_host(t: Context) -> None:
    with open("/proc/sys/kernel/shmmax", encoding="ascii") as file:
        before = file.read()
    t.config["linux"]["sysctl"] = {"kernel.shmmax": "12345678"}
    t.running()
    with open("/proc/sys/kernel/shmmax", encoding="ascii") as file:
        t.equal(file.read(), before, "kernel.shmmax of the host")


@case("sysctl/with-slashes", "sysctl(8): a name may be written with slashes", "R-257", level="common")
def sysctl_slash(t: Context) -> None:
    t.config["linux"]["sysctl"] = {"net/ipv4/ip_forward": "1"}
    path = "/proc/sys/net/ipv4/ip_forward"
    t.equal(t.go("--only", "none", "--read", path).text(path), "1\n", path)


@case("sysctl/unknown", "runtime.md#create: a property that cannot be applied MUST be an error", "R-257")
def sysctl_unknown(t: Context) -> None:
    t.config["linux"]["sysctl"] = {"net.ipv4.no_such_parameter": "1"}
    t.refused()


@case("sysctl/invalid-value", "runtime.md#create: a property that cannot be applied MUST be an error", "R-257")
def sysctl_invalid(t: Context) -> None:
    t.config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "maybe"}
    t.refused()


for name, namespace in {"net.ipv4.ip_forward": "network", "kernel.shmmax": "ipc"}.items():

    @case(
        f"sysctl/{name}-of-the-host-is-refused",
        "config-linux.md#sysctl: the container's, not the host's",
        "R-257",
        level="common",
    )
    def _sysctl_host(t: Context, name: str = name, namespace: str = namespace) -> None:
        t.without_namespace(namespace)
        with open("/proc/sys/" + name.replace(".", "/"), encoding="ascii") as file:
            t.config["linux"]["sysctl"] = {name: file.read().strip()}
        t.refused()


@case(
    "sysctl/global-one-is-refused",
    "config-linux.md#sysctl: the container's, not the host's",
    "R-257",
    level="common",
)
def sysctl_global(t: Context) -> None:
    with open("/proc/sys/vm/swappiness", encoding="ascii") as file:
        t.config["linux"]["sysctl"] = {"vm.swappiness": file.read().strip()}
    t.refused()


# ---- scheduler ----

SCHEDULERS = {
    "other-nice": ({"policy": "SCHED_OTHER", "nice": 5}, {"policy": 0, "nice": 5}),
    "batch": ({"policy": "SCHED_BATCH", "nice": 3}, {"policy": 3, "nice": 3}),
    "idle": ({"policy": "SCHED_IDLE"}, {"policy": 5}),
    "fifo": ({"policy": "SCHED_FIFO", "priority": 10}, {"policy": 1, "priority": 10}),
    "rr": ({"policy": "SCHED_RR", "priority": 20}, {"policy": 2, "priority": 20}),
    "reset-on-fork": (
        {"policy": "SCHED_OTHER", "nice": 2, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
        {"policy": 0, "nice": 2, "flags": 1},
    ),
}

for name, (given, want) in SCHEDULERS.items():

    @case(f"scheduler/{name}", "config.md#linux-process: scheduler of the process", "R-231")
    def _scheduler(t: Context, given: dict = given, want: dict = want) -> None:
        if want["policy"] in (1, 2) and os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"):
            # with group scheduling of real time, a new cgroup of v1 has no real time to give
            t.config["linux"]["resources"]["cpu"] = {"realtimePeriod": 1000000, "realtimeRuntime": 10000}
        t.config["process"]["scheduler"] = given
        got = t.go("--only", "sched")["sched"]
        t.equal({key: got[key] for key in want}, want, "scheduling attributes")


@case("scheduler/deadline", "config.md#linux-process: runtime, deadline, period", "R-231")
def deadline(t: Context) -> None:
    t.config["linux"]["resources"] = {}
    t.config["process"]["scheduler"] = {
        "policy": "SCHED_DEADLINE",
        "runtime": 1000000,
        "deadline": 10000000,
        "period": 20000000,  # another one than the deadline, which is what the kernel takes where none is given
    }
    got = t.go("--only", "sched")["sched"]
    t.equal(
        (got["policy"], got["runtime"], got["deadline"], got["period"]),
        (6, 1000000, 10000000, 20000000),
        "attributes",
    )


for name, given in {
    "without-policy": {"nice": 1},
    "unknown-policy": {"policy": "SCHED_NOPE"},
    "unknown-flag": {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NOPE"]},
    "nice-out-of-range": {"policy": "SCHED_OTHER", "nice": 25},
    "priority-for-other": {"policy": "SCHED_OTHER", "priority": 5},
    "deadline-for-fifo": {"policy": "SCHED_FIFO", "priority": 5, "deadline": 100},
}.items():

    @case(
        f"scheduler/invalid-{name}",
        "config.md#valid-values: unsupported values MUST be an error",
        "R-231",
        level="MUST" if name.startswith(("un", "without")) else "common",
    )
    def _scheduler_invalid(t: Context, given: dict = given) -> None:
        t.config["process"]["scheduler"] = given
        t.refused(late=True)


# ---- I/O priority ----

for word, number in {"RT": 1, "BE": 2, "IDLE": 3}.items():

    @case(f"io-priority/{word}", "config.md#linux-process: ioPriority: class and priority", "R-232")
    def _io(t: Context, word: str = word, number: int = number) -> None:
        t.config["process"]["ioPriority"] = {"class": f"IOPRIO_CLASS_{word}", "priority": 5}
        got = t.go("--only", "sched")["sched"]
        t.equal((got["ioprio_class"], got["ioprio_level"]), (number, 5), "class and priority")


for name, given in {
    "unknown-class": {"class": "IOPRIO_CLASS_NOPE", "priority": 1},
    "priority-8": {"class": "IOPRIO_CLASS_BE", "priority": 8},
    "priority-negative": {"class": "IOPRIO_CLASS_BE", "priority": -1},
}.items():

    @case(
        f"io-priority/invalid-{name}",
        "config.md#linux-process: class is one of three, priority from 0 to 7",
        "R-232",
    )
    def _io_invalid(t: Context, given: dict = given) -> None:
        t.config["process"]["ioPriority"] = given
        t.refused(late=True)


# ---- personality ----


@case("personality/linux", "config-linux.md#personality: domain LINUX", "R-256")
def personality_linux(t: Context) -> None:
    t.config["linux"]["personality"] = {"domain": "LINUX"}
    out = t.go("--only", "sched,uname")
    t.equal(
        (out["sched"]["personality"] & 0xFF, out["uname"]["machine"]),
        (0, platform.machine()),
        "personality, machine",
    )


@case("personality/linux32", "config-linux.md#personality: domain LINUX32: uname shows a 32-bit machine", "R-256")
def personality_linux32(t: Context) -> None:
    t.config["linux"]["personality"] = {"domain": "LINUX32"}
    out = t.go("--only", "sched,uname")
    t.equal(out["sched"]["personality"] & 0xFF, 8, "personality")
    t.check(out["uname"]["machine"] != platform.machine(), f"machine is {out['uname']['machine']}")


for name, given in {
    "unknown-domain": {"domain": "SOLARIS"},
    "flags": {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]},
    "without-domain": {},
}.items():

    @case(
        f"personality/invalid-{name}",
        "config-linux.md#personality: LINUX or LINUX32; no flag is supported",
        "R-256",
    )
    def _personality_invalid(t: Context, given: dict = given) -> None:
        t.config["linux"]["personality"] = given
        t.refused(late=True)


# ---- memory policy ----

POLICIES = {
    "default": ({"mode": "MPOL_DEFAULT"}, 0, []),
    "bind": ({"mode": "MPOL_BIND", "nodes": "0"}, 2, [0]),
    "interleave": ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, 3, [0]),
    "preferred": ({"mode": "MPOL_PREFERRED", "nodes": "0"}, 1, [0]),
    "preferred-many": ({"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}, 5, [0]),
    "local": ({"mode": "MPOL_LOCAL"}, 4, []),
    "static-nodes": ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, 2, [0]),
}  # fmt: skip


def numa(t: Context) -> None:
    t.need(os.path.exists("/sys/devices/system/node/node0"), "this kernel has no NUMA")
    t.need(has_mempolicy(), "this kernel has no set_mempolicy")


def has_mempolicy() -> bool:
    return "mems_allowed" in open("/proc/self/status", encoding="utf-8").read().lower()


for name, (given, mode, nodes) in POLICIES.items():

    @case(
        f"memory-policy/{name}",
        "config-linux.md#memory-policy: mode, nodes and flags as for set_mempolicy(2)",
        "R-255",
    )
    def _policy(t: Context, name: str = name, given: dict = given, mode: int = mode, nodes: list = nodes) -> None:
        numa(t)
        t.config["linux"]["memoryPolicy"] = given
        got = t.go("--only", "sched")["sched"]
        t.equal((got["mempolicy"], got["mempolicy_nodes"]), (mode, nodes), "mode and nodes")
        t.equal(got["mempolicy_flags"], 0x8000 if name == "static-nodes" else 0, "flags")


for name, given in {
    "unknown-mode": {"mode": "MPOL_NOPE"},
    "unknown-flag": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NOPE"]},
    "bind-without-nodes": {"mode": "MPOL_BIND"},
    "interleave-without-nodes": {"mode": "MPOL_INTERLEAVE", "nodes": ""},
    "default-with-nodes": {"mode": "MPOL_DEFAULT", "nodes": "0"},
    "nodes-not-a-list": {"mode": "MPOL_BIND", "nodes": "zero"},
    "without-mode": {"nodes": "0"},
}.items():

    @case(
        f"memory-policy/invalid-{name}",
        "config-linux.md#memory-policy: what set_mempolicy(2) does not take MUST be an error",
        "R-255",
    )
    def _policy_invalid(t: Context, given: dict = given) -> None:
        numa(t)
        t.config["linux"]["memoryPolicy"] = given
        t.refused(late=True)


# ---- network devices: made in a network namespace that stands for the host's ----


def own_network(t: Context) -> None:
    """Go into a new network namespace with a pair of interfaces: the runtime's one from here on."""
    import subprocess

    system.unshare(system.CLONE_NEWNET)
    made = subprocess.run(
        ["ip", "link", "add", "cfdummy0", "type", "veth", "peer", "name", "cfdummy1"],
        capture_output=True,
        text=True,
        check=False,
    )
    t.need(made.returncode == 0, f"no veth pair can be made: {made.stderr.strip()}")
    subprocess.run(["ip", "address", "add", "192.0.2.5/24", "dev", "cfdummy0"], check=True)
    subprocess.run(["ip", "link", "set", "cfdummy0", "up"], check=True)


@case(
    "net-devices/moved", "config-linux.md#network-devices: MUST be made available in the container, and up", "R-248"
)
def net_moved(t: Context) -> None:
    own_network(t)
    t.config["linux"]["netDevices"] = {"cfdummy0": {}}
    interfaces = t.go("--only", "net")["net"]
    t.check("cfdummy0" in interfaces, f"interfaces are {sorted(interfaces)}")
    t.equal(interfaces["cfdummy0"]["up"], 1, "it is up")


@case("net-devices/renamed", "config-linux.md#network-devices: name inside the container", "R-248")
def net_renamed(t: Context) -> None:
    own_network(t)
    t.config["linux"]["netDevices"] = {"cfdummy0": {"name": "inside0"}}
    interfaces = t.go("--only", "net")["net"]
    t.check("inside0" in interfaces and "cfdummy0" not in interfaces, f"interfaces are {sorted(interfaces)}")


@case(
    "net-devices/address-is-kept",
    "config-linux.md#network-devices: MUST preserve attributes, addresses among them",
    "R-248",
)
def net_address(t: Context) -> None:
    own_network(t)
    t.config["linux"]["netDevices"] = {"cfdummy0": {}}
    text = t.go("--only", "net", "--read", "/proc/net/fib_trie").text("/proc/net/fib_trie")
    t.check("192.0.2.5" in text, "the address is gone")


@case(
    "net-devices/ipv6-address-is-kept",
    "config-linux.md#network-devices: MUST preserve permanent addresses of any family with global scope",
    "R-248",
)
def net_address_6(t: Context) -> None:
    import subprocess

    own_network(t)
    made = subprocess.run(
        ["ip", "address", "add", "2001:db8::5/64", "dev", "cfdummy0", "nodad"], capture_output=True, check=False
    )
    t.need(made.returncode == 0, "the kernel gives no IPv6 addresses")
    t.config["linux"]["netDevices"] = {"cfdummy0": {}}
    text = t.go("--only", "net", "--read", "/proc/net/if_inet6").text("/proc/net/if_inet6")
    t.check("20010db8000000000000000000000005" in text, "the address is gone")


@case("net-devices/comes-up", "config-linux.md#network-devices: MUST set the state to up after moving", "R-248")
def net_comes_up(t: Context) -> None:
    import subprocess

    own_network(t)
    subprocess.run(["ip", "link", "set", "cfdummy0", "down"], check=True)
    t.config["linux"]["netDevices"] = {"cfdummy0": {}}
    interfaces = t.go("--only", "net")["net"]
    t.equal(interfaces.get("cfdummy0", {}).get("up"), 1, "it is up")


@case("net-devices/template", "config-linux.md#network-devices: a name with %d MUST be allowed", "R-248")
def net_template(t: Context) -> None:
    own_network(t)
    t.config["linux"]["netDevices"] = {"cfdummy0": {"name": "cfin%d"}}
    interfaces = t.go("--only", "net")["net"]
    t.check("cfin0" in interfaces, f"interfaces are {sorted(interfaces)}")


@case("net-devices/missing", "runtime.md#create: a property that cannot be applied MUST be an error", "R-248")
def net_missing(t: Context) -> None:
    t.config["linux"]["netDevices"] = {"cfnone0": {}}
    t.refused()


@case("net-devices/name-in-use", "config-linux.md#network-devices: a name in use MUST be an error", "R-248")
def net_clash(t: Context) -> None:
    own_network(t)
    t.config["linux"]["netDevices"] = {"cfdummy0": {"name": "lo"}}
    t.refused()


@case(
    "net-devices/without-network-namespace",
    "runtime.md#create: a property that cannot be applied MUST be an error",
    "R-249",
)
def net_no_namespace(t: Context) -> None:
    own_network(t)
    t.without_namespace("network")
    t.config["linux"]["netDevices"] = {"cfdummy0": {}}
    t.refused()


# ---- security modules ----


@case("lsm/apparmor-missing", "runtime.md#create: a property that cannot be applied MUST be an error", "R-228")
def apparmor(t: Context) -> None:
    t.config["process"]["apparmorProfile"] = "conformance-no-such-profile"
    t.refused(late=True)


@case("lsm/apparmor-empty", "config.md#linux-process: apparmorProfile is OPTIONAL", "R-228")
def apparmor_empty(t: Context) -> None:
    t.config["process"]["apparmorProfile"] = ""
    t.go()


@case("lsm/selinux-missing", "runtime.md#create: a property that cannot be applied MUST be an error", "R-229")
def selinux(t: Context) -> None:
    t.need(not os.path.exists("/sys/fs/selinux/enforce"), "SELinux is active here")
    t.config["process"]["selinuxLabel"] = "system_u:system_r:svirt_lxc_net_t:s0:c124,c675"
    t.refused(late=True)


@case("lsm/mount-label-missing", "runtime.md#create: a property that cannot be applied MUST be an error", "R-261")
def mount_label(t: Context) -> None:
    t.need(not os.path.exists("/sys/fs/selinux/enforce"), "SELinux is active here")
    t.config["linux"]["mountLabel"] = "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811"
    t.refused()
