"""What a restore repeats of the steps that build a root, in the host's namespaces but that of mounts."""

import pytest

from pyoci.ops.mounts import AttachCgroupTree, AttachFilesystem, AttachTree, MountAttributes, Remount, SealMount
from pyoci.ops.nodes import MakeDevice, MakeDirectory, MakeSymlink, MaskPath
from pyoci.ops.root import SetPropagation
from pyoci.runtime.restore_root import repeated

PLAIN = MountAttributes()


def filesystem(destination, kind, **more):
    return AttachFilesystem(".mounts[0]", destination, kind, kind, attributes=PLAIN, **more)


def tree(destination):
    return AttachTree(".mounts[1]", destination, "/srv", recursive=True, attributes=PLAIN)


def told(*steps):
    return [step.describe() for step in repeated(list(steps))]


@pytest.mark.parametrize("kind", ["proc", "sysfs", "mqueue", "cgroup", "cgroup2", "devtmpfs", "debugfs"])
def test_a_filesystem_that_is_the_hosts_is_not_mounted(kind):
    assert told(filesystem("/place/", kind)) == [MakeDirectory("", "/place").describe()]


def test_the_cgroup_tree_is_not_mounted():
    step = AttachCgroupTree("", "/sys/fs/cgroup", "/sys/fs/cgroup/c1", PLAIN)
    assert told(step) == [MakeDirectory("", "/sys/fs/cgroup").describe()]


def test_nothing_is_remounted_sealed_or_masked():
    """Read-only sysfs would be the host's /sys."""
    assert told(Remount("", "/sys", 1, ()), SealMount("", "/dev"), MaskPath("", "/proc/keys")) == []


def test_a_tmpfs_is_neither_filled_nor_labelled():
    kept = repeated([filesystem("/var", "tmpfs", data=("size=1m",), copies_up=True, context="a:b:c")])
    assert [step.describe() for step in kept] == [
        "mount tmpfs on /var (size=1m mode of the directory it covers, if there)"
    ]


def test_what_is_below_one_that_is_left_out_is_left_out_too():
    steps = (
        filesystem("/proc", "proc"),
        tree("/proc/cpuinfo"),
        MakeSymlink("", "/proc/link", "x"),
        tree("/process"),
    )
    assert told(*steps) == [MakeDirectory("", "/proc").describe(), tree("/process").describe()]


def test_what_is_below_a_mount_over_one_that_is_left_out_is_made():
    steps = (filesystem("/sys", "sysfs"), tree("/sys"), tree("/sys/below"))
    assert told(*steps)[1:] == [tree("/sys").describe(), tree("/sys/below").describe()]


def test_the_rest_is_as_at_a_create():
    steps = (
        SetPropagation("", 1),
        filesystem("/dev", "tmpfs"),
        filesystem("/dev/pts", "devpts"),
        tree("/data"),
        MakeDevice("", "/dev/null", "c", 1, 3, 0o666, 0, 0),
        MakeSymlink("", "/dev/fd", "/proc/self/fd"),
    )
    assert told(*steps) == [step.describe() for step in steps]
