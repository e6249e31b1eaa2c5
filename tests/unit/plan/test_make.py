"""make_plan: what is there, and in which order."""

import pytest

from pyoci.config.sysctl import below_proc_sys
from pyoci.errors import ConfigError
from pyoci.ops.mounts import AttachFilesystem, AttachTree
from pyoci.ops.nodes import MakeDevice, MakeDirectory, MakeSymlink, MaskPath, ReadonlyPath
from pyoci.ops.root import BindRoot, ChangeRoot, MoveRoot, OpenRoot, PivotRoot, SealRoot, SetPropagation
from pyoci.ops.settings import RaiseLoopback, SetDomainname, SetHostname, WriteSysctl
from pyoci.tables.mount_options import MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE
from tests.unit.plan.places import LEGACY, UNIFIED, config_of, mount_of, plan_of


def kinds(operations):
    return [type(operation) for operation in operations]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("hostname", "hostname"),
    ],
)
def test_the_first_separator_of_a_sysctl_decides_as_sysctl_d_says(key, path):
    assert below_proc_sys(key) == path


# ---- when init joins its cgroup -----------------------------------------------------------------------------


def test_init_is_in_its_cgroup_before_the_first_mount_of_cgroups():
    mounts = [mount_of("/proc", "proc"), mount_of("/sys/fs/cgroup", "cgroup"), mount_of("/run")]
    for layout in (LEGACY, UNIFIED):
        plan = plan_of(config_of(mounts), layout)
        assert plan.rootfs[plan.join_index].where == ".mounts[1]"
        assert not any(step.where == ".mounts[1]" for step in plan.rootfs[: plan.join_index])


def test_the_first_of_two_cgroup_mounts_counts_and_either_name_is_one():
    mounts = [mount_of("/cg", "cgroup2"), mount_of("/sys/fs/cgroup", "cgroup")]
    plan = plan_of(config_of(mounts), UNIFIED)
    assert plan.rootfs[plan.join_index].where == ".mounts[0]"


def test_without_a_mount_of_cgroups_joining_comes_last_so_that_little_is_charged():
    for namespaces in (("mount",), ("pid",)):
        plan = plan_of(config_of([mount_of("/proc", "proc")], namespaces))
        assert plan.join_index == len(plan.rootfs)


def test_a_bind_of_the_host_s_cgroups_is_no_mount_of_cgroups():
    plan = plan_of(config_of([mount_of("/sys/fs/cgroup", "bind", "/sys/fs/cgroup", ["rbind"])]), UNIFIED)
    assert plan.join_index == len(plan.rootfs)


# ---- the order ----------------------------------------------------------------------------------------------


def test_names_come_first_then_the_root_its_mounts_its_devices_and_the_working_directory():
    config = config_of([mount_of("/proc", "proc")], ("mount", "uts", "network"), process={"cwd": "/work"})
    config.update(hostname="h", domainname="d")
    steps = kinds(plan_of(config).rootfs)
    assert steps[:6] == [RaiseLoopback, SetHostname, SetDomainname, SetPropagation, BindRoot, AttachFilesystem]
    assert set(steps[6:-1]) == {MakeDevice, MakeSymlink}
    assert steps[-1] == MakeDirectory


def test_sysctls_and_seals_come_before_paths_are_closed_and_the_root_changes_last():
    config = config_of(
        [mount_of("/dev", "tmpfs", options=["ro"])],
        sysctl={"kernel.shmmax": "1"},
        maskedPaths=["/proc/kcore"],
        readonlyPaths=["/proc/sys"],
    )
    config["root"]["readonly"] = True
    jail = plan_of(config).jail
    assert kinds(jail)[0] == WriteSysctl
    assert jail[1].where == ".mounts[0]"
    assert kinds(jail)[2:] == [ReadonlyPath, MaskPath, SealRoot, PivotRoot]


def test_no_pivot_moves_the_root_instead():
    assert kinds(plan_of(config_of(), no_pivot=True).jail) == [MoveRoot]


def test_a_joined_network_namespace_s_loopback_is_its_owner_s_affair():
    assert RaiseLoopback not in kinds(plan_of(config_of(namespaces=("mount", ("network", "/n")))).rootfs)


@pytest.mark.parametrize(
    ("word", "before", "after"),
    [
        ("", MS_SLAVE | MS_REC, None),
        ("slave", MS_SLAVE, None),
        ("rprivate", MS_PRIVATE | MS_REC, None),
        ("rshared", MS_SHARED | MS_REC, MS_SHARED | MS_REC),
        ("shared", MS_SHARED, MS_SHARED),
        ("unbindable", MS_UNBINDABLE, MS_UNBINDABLE),
    ],
)
def test_shared_and_unbindable_roots_are_set_again_after_the_change_of_root(word, before, after):
    plan = plan_of(config_of(**({"rootfsPropagation": word} if word else {})))
    first = next(step for step in plan.rootfs if isinstance(step, SetPropagation))
    assert first.flags == before
    again = [step.flags for step in plan.jail if isinstance(step, SetPropagation)]
    assert again == ([] if after is None else [after])
    assert isinstance(plan.jail[-1], PivotRoot if after is None else SetPropagation)


@pytest.mark.parametrize("word", ["private", "rprivate"])
def test_a_private_root_is_refused_without_pivot_root(word):
    """R-258."""
    with pytest.raises(ConfigError, match="--no-pivot"):
        plan_of(config_of(rootfsPropagation=word), no_pivot=True)
    plan_of(config_of(rootfsPropagation="rslave"), no_pivot=True)


def test_without_a_mount_namespace_nothing_of_the_host_s_tree_is_touched_but_chroot():
    config = config_of([mount_of("/proc", "proc")], ("pid",), process={}, maskedPaths=["/proc/kcore"])
    plan = plan_of(config)
    assert (kinds(plan.rootfs), kinds(plan.jail)) == ([OpenRoot], [ChangeRoot])


# ---- devices ------------------------------------------------------------------------------------------------


def devices(plan):
    return [(step.path, step.where) for step in plan.rootfs if isinstance(step, MakeDevice)]


def test_a_device_of_config_json_takes_the_place_of_the_default_one():
    null = {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600}
    found = devices(plan_of(config_of(devices=[null])))
    assert [where for path, where in found if path == "/dev/null"] == [".linux.devices[0]"]
    assert len(found) == 6


def test_a_ptmx_of_config_json_does_not_replace_the_link_to_the_container_s_own():
    ptmx = {"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2}
    plan = plan_of(config_of(devices=[ptmx]))
    assert "/dev/ptmx" not in [path for path, _ in devices(plan)]
    link = next(step for step in plan.rootfs if isinstance(step, MakeSymlink) and step.path == "/dev/ptmx")
    assert (link.target, link.replace) == ("pts/ptmx", True)


def test_a_bound_dev_gets_only_the_devices_that_config_json_names():
    fuse = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}
    for destination in ("/dev", "/dev/"):
        plan = plan_of(config_of([mount_of(destination, "bind", "/dev", ["rbind"])], devices=[fuse]))
        assert devices(plan) == [("/dev/fuse", ".linux.devices[0]")]
        assert not any(isinstance(step, MakeSymlink) for step in plan.rootfs)


def test_a_bind_below_dev_is_not_a_bound_dev():
    plan = plan_of(config_of([mount_of("/dev/shm", "bind", "/shm", ["bind"])]))
    assert any(isinstance(step, AttachTree) for step in plan.rootfs)
    assert len(devices(plan)) == 6


# ---- process ------------------------------------------------------------------------------------------------


def test_a_config_without_process_has_no_identity():
    assert plan_of(config_of()).process is None


def test_no_new_keyring_leaves_the_caller_s():
    assert plan_of(config_of(process={}), keyring=False).process.keyring == ""
    assert plan_of(config_of(process={})).process.keyring == "_ses.c1"


def test_the_root_directory_needs_no_making():
    assert MakeDirectory not in kinds(plan_of(config_of(process={"cwd": "/"})).rootfs)


def test_a_configured_ptmx_is_told_to_have_no_effect():
    devices = [{"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2}]
    plan = plan_of(config_of(devices=devices))
    assert plan.warnings == [".linux.devices[0]: /dev/ptmx is always a link to pts/ptmx"]


def test_a_path_that_is_listed_twice_is_masked_once():
    config = config_of(maskedPaths=["/proc/keys", "/x", "/proc/keys"])
    masks = [step.where for step in plan_of(config).jail if step.where.startswith(".linux.maskedPaths")]
    assert masks == [".linux.maskedPaths[0]", ".linux.maskedPaths[1]"]
