"""Each rule refuses what it is there for, at the right place, and leaves sound configurations alone."""
# ruff: noqa: E501  (tables)

import pytest

from pyoci.config.rules import config_faults
from pyoci.config.rules_resources import resource_faults
from pyoci.config.sysctl import below_proc_sys, dotted, namespace
from tests.unit.config.samples import minimal, ordinary


def process(**changes):
    return lambda config: config["process"].update(changes)


def linux(**changes):
    return lambda config: config["linux"].update(changes)


def resources(**changes):
    return lambda config: config["linux"]["resources"].update(changes)


def mount(**entry):
    return lambda config: config["mounts"].append(entry)


def space(*entries):
    return lambda config: config["linux"]["namespaces"].extend(entries)


def without_space(kind, terminal=False, device=""):
    def change(config):
        config["process"]["terminal"] = terminal
        if device:
            config["linux"]["devices"] = [{"path": device, "type": "c", "major": 1, "minor": 3}]
        config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != kind]

    return change


def seccomp(**changes):
    return lambda config: config["linux"]["seccomp"].update(changes)


def notify(*names):
    return seccomp(listenerPath="/s", syscalls=[{"names": list(names), "action": "SCMP_ACT_NOTIFY"}])


def both(*changes):
    def change(config):
        for one in changes:
            one(config)

    return change


def user_namespace(uids=None, gids=None, path=None, **user):
    def change(config):
        config["linux"]["namespaces"].append({"type": "user", **({"path": path} if path else {})})
        config["process"]["user"] = {"uid": 0, "gid": 0, **user}
        if uids:
            config["linux"]["uidMappings"] = uids
        if gids:
            config["linux"]["gidMappings"] = gids

    return change


def ids(*ranges):
    return [{"containerID": inner, "hostID": outer, "size": size} for inner, outer, size in ranges]


WHOLE = ids((0, 100000, 65536))


def in_user_namespace(**member):
    def change(config):
        user_namespace(WHOLE, WHOLE)(config)
        mount(**member)(config)

    return change


# (change to the ordinary configuration, path of the fault, words of its message)
REFUSED = [
    (lambda config: config.update(ociVersion="2.0.0"), ".ociVersion", "unsupported ociVersion"),
    (lambda config: config.update(ociVersion="0.9.0"), ".ociVersion", "unsupported ociVersion"),
    # .process
    (process(env=["FOO"]), ".process.env[0]", "has no ="),
    (process(env=["A=1", "=secret"]), ".process.env[1]", "has no name"),
    (process(rlimits=[{"type": "RLIMIT_AS", "soft": 2, "hard": 1}]), ".process.rlimits[0].soft", "above its hard limit"),
    (process(rlimits=[{"type": "RLIMIT_AS", "soft": 1, "hard": 1}] * 2), ".process.rlimits[1].type", "listed twice"),
    (process(scheduler={"policy": "SCHED_OTHER", "priority": 1}), ".process.scheduler.priority", "no priority"),
    (process(scheduler={"policy": "SCHED_FIFO"}), ".process.scheduler", "needs a priority"),
    (process(scheduler={"policy": "SCHED_BATCH", "runtime": 5}), ".process.scheduler.runtime", "no runtime"),
    (process(scheduler={"policy": "SCHED_DEADLINE", "runtime": 5, "deadline": 4}), ".process.scheduler", "runtime <= deadline"),
    (process(terminal=True, consoleSize={"height": 70000, "width": 1}), ".process.consoleSize", "no terminal"),
    # .mounts
    (mount(destination="/", type="tmpfs"), ".mounts[3].destination", "on the top of rootfs"),
    (mount(destination="/a/../.", type="tmpfs"), ".mounts[3].destination", "on the top of rootfs"),
    (mount(destination="..", type="tmpfs"), ".mounts[3].destination", "on the top of rootfs"),
    (mount(destination="/proc/1", source="/a", options=["bind"]), ".mounts[3].destination", "inside /proc"),
    (mount(destination="/a/../proc//sys", type="tmpfs"), ".mounts[3].destination", "inside /proc"),
    (mount(destination="/proc/", type="tmpfs"), ".mounts[3].destination", "not of type proc"),
    (mount(destination="/a", options=["bind"]), ".mounts[3]", "without source"),
    (mount(destination="/a", source="b"), ".mounts[3]", "without type"),
    (mount(destination="/a", source="/b", options=["bind", "size=1m"]), ".mounts[3].options[1]", "filesystem-specific options"),
    (mount(destination="/a", source="/b", options=["bind"], uidMappings=WHOLE), ".mounts[3]", "must come together"),
    (mount(destination="/a", source="/b", options=["rbind", "idmap"]), ".mounts[3]", "without mappings"),
    (mount(destination="/a", type="tmpfs", uidMappings=WHOLE, gidMappings=WHOLE), ".mounts[3]", "only bind mounts"),
    (mount(destination="/a", source="/b", options=["bind", "copy-symlink"], uidMappings=WHOLE, gidMappings=WHOLE),
     ".mounts[3].options[1]", "has no id map"),
    (mount(destination="/a", source="/b", options=["bind"], uidMappings=ids((0, 1, 9), (8, 20, 1)), gidMappings=WHOLE),
     ".mounts[3].uidMappings[1]", "overlaps .mounts[3].uidMappings[0]"),
    (mount(destination="/a", source="/b", options=["bind"], uidMappings=WHOLE, gidMappings=ids((0, 4294967290, 6))),
     ".mounts[3].gidMappings[0].size", "past the last id"),
    (mount(destination="/a", source="/b", options=["bind", "idmap=uids=0-1-1"]), ".mounts[3].options[1]", "must come together"),
    (mount(destination="/a", source="/b", options=["bind", "idmap="]), ".mounts[3].options[1]", "not of the form"),
    (mount(destination="/a", source="/b", options=["idmap=uids=0-1-1;gids=0-1", "bind"]), ".mounts[3].options[0]", "'0-1' is not"),
    (mount(destination="/a", source="/b", options=["bind", "idmap=uids=0-1-0;gids=0-1-1"]), ".mounts[3].options[1]", "not a range"),
    (mount(destination="/a", source="/b", options=["bind", "idmap=uids=@0-1-1;gids=0-1-1"]), ".mounts[3].options[1]", "no one range"),
    (mount(destination="/a", source="/b", options=["bind", "ridmap=uids=0-1-2#1-9-1;gids=0-1-1"]),
     ".mounts[3].options[1][1]", "overlaps"),
    (mount(destination="/a", source="/b", options=["bind", "idmap=uids=0-1-1;gids=0-1-1"], uidMappings=WHOLE, gidMappings=WHOLE),
     ".mounts[3].options[1]", "has two"),
    (in_user_namespace(destination="/a", type="tmpfs", options=["nosuid", "gid=65536"]), ".mounts[3].options[1]", "gid=65536"),
    (in_user_namespace(destination="/a", type="tmpfs", options=["mode=1,uid=70000"]), ".mounts[3].options[0]", "not mapped"),
    # namespaces
    (space({"type": "pid"}), ".linux.namespaces[6]", "listed twice"),
    (without_space("uts"), ".hostname", "unable to set hostname without a private UTS namespace"),
    (lambda config: config.update(hostname="h" * 65), ".hostname", "65 bytes"),
    (lambda config: config.update(hostname="", domainname="\xe9" * 33), ".domainname", "66 bytes"),
    (without_space("mount"), ".linux.maskedPaths", "without a private MNT namespace"),
    (without_space("mount"), ".linux.readonlyPaths", "without a private MNT namespace"),
    (without_space("mount"), ".mounts", "without a private MNT namespace"),
    (without_space("mount", terminal=True), ".process.terminal", "without a private MNT namespace"),
    (without_space("mount", device="/dev/a"), ".linux.devices", "without a private MNT namespace"),
    (without_space("mount"), ".root.readonly", "without a private MNT namespace"),
    (linux(maskedPaths=["/proc/x", "//"]), ".linux.maskedPaths[1]", "the root itself"),
    (linux(readonlyPaths=["/"]), ".linux.readonlyPaths[0]", "the root itself"),
    (linux(uidMappings=WHOLE), ".linux.uidMappings", "without a user namespace"),
    (user_namespace(WHOLE, None), ".linux", "without gidMappings"),
    (user_namespace(None, WHOLE), ".linux", "without uidMappings"),
    (user_namespace(ids((0, 1, 10), (9, 100, 1)), WHOLE), ".linux.uidMappings[1]", "overlaps .linux.uidMappings[0]"),
    (user_namespace(WHOLE, ids((50, 5, 2), (0, 0, 6))), ".linux.gidMappings[1]", "in hostID"),
    (user_namespace(ids((0, 4294967290, 6)), WHOLE), ".linux.uidMappings[0].size", "past the last id"),
    (user_namespace([ids((n, n, 1))[0] for n in range(341)], WHOLE), ".linux.uidMappings", "the kernel holds 340"),
    (user_namespace(WHOLE, WHOLE, uid=65536), ".process.user.uid", "cannot setuid to unmapped uid 65536 in user namespace"),
    (user_namespace(WHOLE, WHOLE, gid=70000), ".process.user.gid", "cannot setgid to unmapped gid 70000"),
    (user_namespace(WHOLE, WHOLE, additionalGids=[1, 70000]), ".process.user.additionalGids[1]", "unmapped gid 70000"),
    (linux(timeOffsets={"boottime": {"secs": 1}}), ".linux.timeOffsets", "without a time namespace"),
    (
        lambda config: (space({"type": "time", "path": "/x"})(config), linux(timeOffsets={"boottime": {}})(config)),
        ".linux.timeOffsets",
        "that is joined",
    ),
    # sysctl
    (linux(sysctl={"kernel.panic": "1"}), '.linux.sysctl["kernel.panic"]', "not in a separate kernel namespace"),
    (linux(sysctl={"vm/swappiness": "1"}), '.linux.sysctl["vm/swappiness"]', "not in a separate kernel namespace"),
    (linux(sysctl={"net..x": "1"}), '.linux.sysctl["net..x"]', "not in a separate"),
    (linux(sysctl={"net/../kernel/panic": "1"}), '.linux.sysctl["net/../kernel/panic"]', "not in a separate"),
    (linux(sysctl={"kernel.hostname": "x"}), '.linux.sysctl["kernel.hostname"]', "not allowed"),
    (
        both(linux(sysctl={"kernel/domainname": "x"}), lambda config: config.update(domainname="example")),
        '.linux.sysctl["kernel/domainname"]',
        '.domainname is "example"',
    ),
    (without_space("network"), '.linux.sysctl["net.ipv4.ip_forward"]', "host's network namespace"),
    (without_space("ipc"), '.linux.sysctl["kernel.shmmax"]', "host's ipc namespace"),
    (linux(sysctl={"user.max_x": "1"}), '.linux.sysctl["user.max_x"]', "host's user namespace"),
    # devices and the like
    (linux(devices=[{"type": "p", "path": "/a/.."}]), ".linux.devices[0].path", "cannot stand at /"),
    (
        lambda config: (without_space("network")(config), linux(netDevices={"eth0": {}}, sysctl={})(config)),
        ".linux.netDevices",
        "without a network namespace",
    ),
    (linux(netDevices={"a": {"name": "x"}, "b": {"name": "x"}}), ".linux.netDevices.b", "would both be named x"),
    (linux(netDevices={"a": {}, "b": {"name": "a"}}), ".linux.netDevices.b", "would both be named a"),
    (linux(netDevices={"lo": {"name": "x"}}), ".linux.netDevices.lo", "cannot be moved"),
    (linux(netDevices={"eth0": {"name": "lo"}}), ".linux.netDevices.eth0.name", "an interface lo already"),
    (linux(netDevices={"eth0.7": {"name": "x%d%d"}}), '.linux.netDevices["eth0.7"].name', "only in one %d"),
    (linux(netDevices={"eth0": {"name": "x%s"}}), ".linux.netDevices.eth0.name", "only in one %d"),
    (linux(memoryPolicy={"mode": "MPOL_BIND"}), ".linux.memoryPolicy", "at least one node"),
    (linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "0-9876543210"}), ".linux.memoryPolicy.nodes", "node 9876543210"),
    (linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "7, 1024"}), ".linux.memoryPolicy.nodes", "no kernel has"),
    (linux(memoryPolicy={"mode": "MPOL_LOCAL", "nodes": "0"}), ".linux.memoryPolicy.nodes", "takes no nodes"),
    (
        linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}),
        ".linux.memoryPolicy.flags",
        "exclude each other",
    ),
    (linux(personality={"domain": "LINUX", "flags": ["X"]}), ".linux.personality.flags", "no personality flags"),
    (linux(intelRdt={"closID": "../x"}), ".linux.intelRdt.closID", "no class of service"),
    (linux(intelRdt={"closID": ""}), ".linux.intelRdt.closID", "no class of service"),
    (linux(intelRdt={"closID": "mon_groups"}), ".linux.intelRdt.closID", "no class of service"),
    (linux(intelRdt={"closID": "schemata"}), ".linux.intelRdt.closID", "no class of service"),
    (linux(cgroupsPath="/a/../b"), ".linux.cgroupsPath", "holds .."),
    # resources
    (resources(devices=[{"allow": True}]), ".linux.resources.devices[0]", "device access at 0 field cannot be empty"),
    (resources(memory={"swap": 5}), ".linux.resources.memory.swap", "unable to set swap limit without memory limit"),
    (resources(memory={"limit": 9, "swap": 5}), ".linux.resources.memory.swap", "memory+swap limit should be >= memory limit"),
    (resources(cpu={"quota": 5000, "burst": 6000}), ".linux.resources.cpu.burst", "above quota"),
    (resources(cpu={"period": 999}), ".linux.resources.cpu.period", "not between"),
    (resources(cpu={"quota": 999}), ".linux.resources.cpu.quota", "kernel's least"),
    # seccomp
    (seccomp(defaultAction="SCMP_ACT_KILL"), ".linux.seccomp.defaultErrnoRet", "returns no errno"),
    (
        seccomp(syscalls=[{"names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1}]),
        ".linux.seccomp.syscalls[0].errnoRet",
        "SCMP_ACT_ALLOW returns no errno",
    ),
    (seccomp(defaultAction="SCMP_ACT_NOTIFY"), ".linux.seccomp.defaultAction", "cannot be the default action"),
    (notify("mkdir", "write"), ".linux.seccomp.syscalls[0].names[1]", "write"),
    (notify("mkdir", "futex"), ".linux.seccomp.syscalls[0].names[1]", "futex"),
    (
        both(notify("mkdir"), process(scheduler={"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 2})),
        ".process.scheduler.policy",
        "cannot be combined with SCMP_ACT_NOTIFY",
    ),
    (
        both(notify("mkdir"), process(scheduler={"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]})),
        ".process.scheduler.flags",
        "cannot be combined with SCMP_ACT_NOTIFY",
    ),
    (seccomp(listenerMetadata="x"), ".linux.seccomp.listenerMetadata", "without listenerPath"),
    (
        seccomp(syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]),
        ".linux.seccomp",
        "SCMP_ACT_NOTIFY without listenerPath",
    ),
]  # fmt: skip

WARNED = [
    (
        process(scheduler={"policy": "SCHED_RR", "priority": 1, "nice": 5}),
        ".process.scheduler.nice",
        "no nice value",
    ),
    (lambda config: config.update(ociVersion="1.4.0"), ".ociVersion", "newer"),
    (
        process(capabilities={"bounding": ["CAP_KILL", "CAP_NOPE"]}),
        ".process.capabilities.bounding[1]",
        "unknown capability",
    ),
    (mount(destination="a", type="tmpfs"), ".mounts[3].destination", "deprecated"),
    (resources(memory={"kernel": -1}), ".linux.resources.memory.kernel", "deprecated"),
    (linux(intelRdt={"l3CacheSchema": "x"}), ".linux.intelRdt.l3CacheSchema", "should begin with L3:"),
]

ACCEPTED = [
    lambda config: None,
    lambda config: config.update(ociVersion="1.3.7-rc.1+dev"),
    lambda config: config.update(ociVersion="1.0.0"),
    process(env=["A=", "B=x=y"]),
    process(consoleSize={"height": 2**40, "width": 1}),  # ignored without terminal
    process(scheduler={"policy": "SCHED_DEADLINE", "runtime": 5, "deadline": 6, "period": 0}),
    process(capabilities={"unheard-of": [{}]}),
    mount(destination="/proc/uptime", source="/x", options=["bind", "ro"]),
    mount(destination="/proc", source="/proc", options=["rbind"]),
    mount(destination="/a", source="x", options=["remount", "ro"]),
    mount(destination="/a", source="/x", options=["rbind", "nocopy", "copy"]),  # podman's own
    mount(destination="/a", options=["rslave"]),
    mount(destination="/process", type="tmpfs"),
    user_namespace(WHOLE, WHOLE, uid=65535),
    user_namespace(None, None, path="/proc/1/ns/user", uid=99999),
    user_namespace(WHOLE, WHOLE, path="/proc/1/ns/user", uid=99999),
    user_namespace(ids((0, 0, 4294967295)), ids((5, 0, 5), (0, 5, 5))),
    linux(sysctl={"net/ipv4/conf/eno2.100/forwarding": "1", "fs.mqueue.msg_max": "1", "kernel.domainname": "x"}),
    both(linux(sysctl={"kernel.domainname": "x"}), lambda config: config.update(domainname="x")),
    linux(timeOffsets={}, uidMappings=[], netDevices={}, memoryPolicy={"mode": "MPOL_PREFERRED"}),
    linux(intelRdt={"closID": "/"}),
    linux(intelRdt={}),
    linux(intelRdt={"enableCMT": True, "enableMBM": True}),  # gone in 1.3.0, and never carried out by anybody
    linux(netDevices={"a": {"name": "b"}, "b": {"name": "a"}}),
    linux(netDevices={"a": {"name": "eth%d"}, "b": {"name": "eth%d"}, "c": {"name": ""}}),
    linux(cgroupsPath="a..b/c"),
    resources(memory={"swap": -1}, cpu={"quota": -1, "burst": 5, "period": 0}, devices=[]),
    resources(memory={"limit": -1, "swap": 5}),
    seccomp(defaultAction="SCMP_ACT_TRACE"),
    notify("mkdir"),
    both(notify("mkdir"), process(scheduler={"policy": "SCHED_BATCH", "nice": 1})),
    both(
        seccomp(syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]),
        lambda config: config.update(annotations={"run.oci.seccomp.receiver": "/run/agent"}),
    ),
]


@pytest.mark.parametrize(("change", "path", "words"), REFUSED, ids=[words[:40] for _, _, words in REFUSED])
def test_refused(change, path, words):
    config = ordinary()
    change(config)
    errors = [fault for fault in config_faults(config) if fault.level == "error"]
    assert any(fault.path == path and words in fault.message for fault in errors), errors
    assert all("\n" not in fault.message for fault in errors)


@pytest.mark.parametrize(("change", "path", "words"), WARNED, ids=[words[:40] for _, _, words in WARNED])
def test_warned_of(change, path, words):
    config = ordinary()
    change(config)
    (fault,) = config_faults(config)
    assert (fault.path, fault.level) == (path, "warning")
    assert words in fault.message


@pytest.mark.parametrize("change", ACCEPTED)
def test_accepted(change):
    config = ordinary()
    change(config)
    assert config_faults(config) == []


def test_a_configuration_without_linux_and_process_is_accepted():
    config = minimal()
    del config["process"]
    assert config_faults(config) == []


def test_an_environment_entry_without_name_is_not_printed():
    config = ordinary()
    config["process"]["env"] = ["=secret"]
    assert "secret" not in config_faults(config)[0].message


def test_update_may_lean_on_an_earlier_limit():
    found = []
    resource_faults({"memory": {"swap": 5}}, "", found, update=True)
    assert not found
    resource_faults({"memory": {"swap": 5, "limit": 6}}, "", found, update=True)
    assert found[0].path == ".memory.swap"


@pytest.mark.parametrize(
    ("path", "accepted"),
    [("system.slice:pyoci:web", True), (":pyoci:web", True), ("-:pyoci:web", True), ("", True),
     ("/a/b", False), ("a:b", False), ("a.slice:b:", False), ("system:b:c", False), ("a.slice:b/c:d", False),
     ("a--b.slice:b:c", False), ("a/b.slice:b:c", False), ("a.slice:b:" + 260 * "c", False), ("a.slice:b:c.slice", True)],
)  # fmt: skip
def test_the_systemd_driver_wants_slice_prefix_name(path, accepted):
    config = ordinary()
    config["linux"]["cgroupsPath"] = path
    found = config_faults(config, systemd=True)
    assert [fault.path for fault in found] == ([] if accepted else [".linux.cgroupsPath"])


@pytest.mark.parametrize(
    ("name", "plain", "below", "owner"),
    [
        ("net.ipv4.ip_forward", "net.ipv4.ip_forward", "net/ipv4/ip_forward", "network"),
        ("net/ipv4/ip_forward", "net.ipv4.ip_forward", "net/ipv4/ip_forward", "network"),
        ("net/ipv4/conf/eno2.100/x", "net.ipv4.conf.eno2/100.x", "net/ipv4/conf/eno2.100/x", "network"),
        ("net.ipv4.conf.eno2/100.x", "net.ipv4.conf.eno2/100.x", "net/ipv4/conf/eno2.100/x", "network"),
        ("kernel.sem", "kernel.sem", "kernel/sem", "ipc"),
        ("kernel.semx", "kernel.semx", "kernel/semx", ""),
        ("fs.mqueue.msg_max", "fs.mqueue.msg_max", "fs/mqueue/msg_max", "ipc"),
        ("net", "net", "net", ""),
    ],
)
def test_sysctl_names(name, plain, below, owner):
    assert dotted(name) == plain
    assert below_proc_sys(name) == below
    assert namespace(name) == owner


@pytest.mark.parametrize("name", ["run.oci.delegate-cgroup", "run.oci.systemd.subgroup"])
def test_an_annotation_of_crun_that_is_not_carried_out_is_a_warning(name):
    config = ordinary()
    config["annotations"] = {name: "inner", "run.oci.of-somebody-else": "x"}
    (fault,) = config_faults(config)
    assert (fault.path, fault.level) == ('.annotations["%s"]' % name, "warning")
    assert "is not carried out" in fault.message


def test_systemd_properties_without_systemd_are_a_warning():
    config = ordinary()
    config["annotations"]["org.systemd.property.KillSignal"] = "9"
    (fault,) = config_faults(config)
    assert fault.level == "warning"
    assert "has no effect without --systemd-cgroup" in fault.message
