"""config.json's mounts as operations."""

import pytest

from pyoci.ops.mounts import AttachCgroupTree, AttachFilesystem, AttachTree, Remount, SealMount
from pyoci.ops.nodes import MakeSymlink
from pyoci.ops.security_context import plain, quoted
from pyoci.tables.mount_options import (
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_SLAVE,
)
from tests.unit.plan.places import LEGACY, NONE, UNIFIED, config_of, mount_of, plan_of

FLAGS = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW


def steps_of(*mounts, layout=NONE, namespaces=("mount",), **linux):
    """(the mounts, the steps that seal them)."""
    plan = plan_of(config_of(mounts, namespaces, **linux), layout)
    return tuple(
        [step for step in steps if step.where.startswith(".mounts[")] for steps in (plan.rootfs, plan.jail)
    )


def bind_of(*options, source="/src"):
    (step,), seal = steps_of(mount_of("/dst", "bind", source, options))
    assert isinstance(step, AttachTree)
    assert seal == []
    return step


@pytest.mark.parametrize(
    ("options", "sets", "clears"),
    [
        ([], 0, 0),
        (["rprivate"], 0, 0),
        (["rro"], 0, 0),
        (["ro"], MOUNT_ATTR_RDONLY, FLAGS & ~MOUNT_ATTR_RDONLY),
        (["rw"], 0, FLAGS),
        (["nosuid", "nodev"], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, FLAGS & ~MOUNT_ATTR_NOSUID & ~MOUNT_ATTR_NODEV),
        (["ro", "noatime"], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME, FLAGS & ~MOUNT_ATTR_RDONLY | MOUNT_ATTR__ATIME),
        (["ro", "rw"], 0, FLAGS),
    ],
)
def test_a_bind_keeps_the_attributes_of_its_source_until_one_word_names_them_all(options, sets, clears):
    attributes = bind_of("bind", *options).attributes
    assert (attributes.set, attributes.clear) == (sets, clears)


def test_an_atime_word_is_cleared_as_a_whole_mask_and_only_when_it_was_said():
    """mount_setattr(2) takes MOUNT_ATTR__ATIME in attr_clr whole or not at all."""
    for options in ([], ["ro"], ["noatime"], ["ro", "strictatime"], ["relatime"]):
        clear = bind_of("bind", *options).attributes.clear
        assert clear & MOUNT_ATTR__ATIME in (0, MOUNT_ATTR__ATIME)
        assert bool(clear & MOUNT_ATTR__ATIME) == any("atime" in word for word in options)


def test_recursive_words_stay_apart_from_those_of_the_one_mount():
    attributes = bind_of("rbind", "rro", "nosuid").attributes
    assert (attributes.set, attributes.recursive_set) == (MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY)


def test_a_relative_source_starts_at_the_bundle_and_an_absolute_one_at_the_host():
    assert bind_of("bind", source="data/x").source == "/b/data/x"
    assert bind_of("bind", source="/data/x").source == "/data/x"


def test_bind_takes_one_mount_and_rbind_the_tree():
    assert bind_of("bind").recursive is False
    assert bind_of("rbind").recursive is True
    assert bind_of("bind", "rbind").recursive is True


def test_propagation_words_are_kept_in_their_order():
    assert bind_of("bind", "private", "rslave").attributes.propagation == (MS_PRIVATE, MS_SLAVE | MS_REC)


@pytest.mark.parametrize(
    ("options", "data"),
    [
        (["size=1m,mode=700"], ("size=1m", "mode=700")),
        (["size=1m", "", ",", "mode=700,"], ("size=1m", "mode=700")),
        (["lowerdir=/a\\,b:/c", "upperdir=/u,workdir=/w"], ("lowerdir=/a\\,b:/c", "upperdir=/u", "workdir=/w")),
        (['context="system_u:object_r:x:s0:c1,c2"'], ('context="system_u:object_r:x:s0:c1,c2"',)),
        (["nosuid", "ro", "size=1m"], ("size=1m",)),
    ],
)
def test_a_filesystem_s_words_are_parted_at_commas_that_part(options, data):
    (step,), _ = steps_of(mount_of("/x", "tmpfs", options=options))
    assert step.data == data


def test_a_readonly_tmpfs_is_filled_first_and_sealed_at_the_end():
    for destination, kind in (("/dev", "tmpfs"), ("/dev/", "tmpfs"), ("/cache", "tmpfs"), ("/dev", "devtmpfs")):
        (step,), (seal,) = steps_of(mount_of(destination, kind, options=["ro", "nosuid"]))
        assert step.attributes.set == MOUNT_ATTR_NOSUID
        assert isinstance(seal, SealMount)
        assert (seal.where, seal.destination) == (".mounts[0]", destination)


def test_other_filesystems_are_read_only_from_their_first_moment():
    (step,), seal = steps_of(mount_of("/sys", "sysfs", options=["ro"]))
    assert (step.attributes.set, step.superblock, seal) == (MOUNT_ATTR_RDONLY, (), [])
    (step,), seal = steps_of(mount_of("/disk", "ext4", "/dev/vdb", ["ro", "sync"]))
    assert (step.attributes.set, step.superblock, seal) == (MOUNT_ATTR_RDONLY, ("sync", "ro"), [])


def test_a_writable_tmpfs_is_not_sealed():
    for options in ([], ["rw"], ["ro", "rw"]):
        _, seal = steps_of(mount_of("/cache", "tmpfs", options=options))
        assert seal == []


def test_a_remount_takes_flags_and_data_and_mounts_nothing():
    (step,), _ = steps_of(mount_of("/run", "tmpfs", options=["remount", "ro", "size=2m"]))
    assert isinstance(step, Remount)
    assert (step.flags, step.data) == (MS_RDONLY, ("size=2m",))


def test_the_order_is_that_of_config_json():
    mounts = [mount_of("/a/b"), mount_of("/c", "bind", "/c", ["bind"]), mount_of("/a"), mount_of("/a/b", "proc")]
    steps, _ = steps_of(*mounts)
    assert [(step.where, step.destination) for step in steps] == [
        (".mounts[0]", "/a/b"), (".mounts[1]", "/c"), (".mounts[2]", "/a"), (".mounts[3]", "/a/b"),
    ]  # fmt: skip


def test_a_relative_destination_starts_at_the_root():
    (step,), _ = steps_of(mount_of("proc", "proc"))
    assert step.destination == "/proc"
    (step,), _ = steps_of(mount_of("//proc", "proc"))
    assert step.destination == "/proc"


# ---- cgroups ----------------------------------------------------------------------------------------------

CGROUP = mount_of("/sys/fs/cgroup", "cgroup", "cgroup", ["ro", "nosuid"])


def test_cgroup_v2_is_one_mount_and_binds_the_container_s_own_where_mounting_is_not_permitted():
    (step,), seal = steps_of(CGROUP, layout=UNIFIED, namespaces=("mount", "cgroup"), cgroupsPath="/x/y")
    assert isinstance(step, AttachCgroupTree)
    assert (step.bound, step.attributes.set) == ("/sys/fs/cgroup/x/y", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID)
    assert seal == []


def test_cgroup_v2_without_a_namespace_shows_the_host_s_whole_tree():
    (step,), _ = steps_of(CGROUP, layout=UNIFIED)
    assert step.bound == "/sys/fs/cgroup"


def test_cgroup_v1_is_a_tmpfs_with_binds_of_the_container_s_own_directories():
    steps, (seal,) = steps_of(CGROUP, layout=LEGACY, cgroupsPath="/x")
    assert isinstance(steps[0], AttachFilesystem)
    assert steps[0].filesystem == "tmpfs"
    assert steps[0].attributes.set == MOUNT_ATTR_NOSUID, "read-only would forbid the directories"
    assert seal.destination == "/sys/fs/cgroup"
    binds = [(step.source, step.destination) for step in steps if isinstance(step, AttachTree)]
    assert binds == [
        ("/sys/fs/cgroup/devices/x", "/sys/fs/cgroup/devices"),
        ("/sys/fs/cgroup/cpu,cpuacct/x", "/sys/fs/cgroup/cpu,cpuacct"),
        ("/sys/fs/cgroup/memory/x", "/sys/fs/cgroup/memory"),
        ("/sys/fs/cgroup/systemd/x", "/sys/fs/cgroup/systemd"),
    ]
    assert all(step.attributes.set & MOUNT_ATTR_RDONLY for step in steps if isinstance(step, AttachTree))
    assert all(step.attributes.clear == 0 for step in steps if isinstance(step, AttachTree))


def test_co_mounted_controllers_get_a_link_each():
    steps, _ = steps_of(CGROUP, layout=LEGACY)
    links = [(step.path, step.target) for step in steps if isinstance(step, MakeSymlink)]
    assert links == [("/sys/fs/cgroup/cpu", "cpu,cpuacct"), ("/sys/fs/cgroup/cpuacct", "cpu,cpuacct")]


def test_cgroup_v1_with_a_namespace_mounts_the_hierarchies_and_names_none_for_a_named_one():
    steps, _ = steps_of(CGROUP, layout=LEGACY, namespaces=("mount", "cgroup"))
    mounted = [(step.destination, step.data) for step in steps[1:] if isinstance(step, AttachFilesystem)]
    assert mounted == [
        ("/sys/fs/cgroup/devices", ("devices",)),
        ("/sys/fs/cgroup/cpu,cpuacct", ("cpu", "cpuacct")),
        ("/sys/fs/cgroup/memory", ("memory",)),
        ("/sys/fs/cgroup/systemd", ("none", "name=systemd")),
    ]


def test_a_writable_cgroup_v1_mount_is_not_sealed():
    _, seal = steps_of(mount_of("/sys/fs/cgroup", "cgroup"), layout=LEGACY)
    assert seal == []


def test_a_bind_says_that_it_clears_what_is_not_named():
    words = {
        (): "bind /s on /d",
        ("ro",): "bind /s on /d rdonly and no other attribute",
        ("rw",): "bind /s on /d without any attribute",
    }
    for options, text in words.items():
        plan = plan_of(config_of([mount_of("/d", "bind", "/s", ["bind", *options])]))
        assert [step.describe() for step in plan.rootfs if step.where == ".mounts[0]"] == [text]


LABEL = "system_u:object_r:container_file_t:s0:c1,c2"


def labelled(*mounts, annotations=None, **linux):
    """destination -> (data, the context that the root gets) of new filesystems under a mountLabel."""
    config = config_of(mounts, mountLabel=LABEL, **linux)
    if annotations:
        config["annotations"] = annotations
    plan = plan_of(config, linux.pop("layout", NONE))
    return {
        step.destination: (step.data, step.context) for step in plan.rootfs if isinstance(step, AttachFilesystem)
    }


def test_the_label_is_data_where_the_kernel_takes_it_so_and_an_attribute_of_mqueue():
    """R-261."""
    kinds = ("tmpfs", "devpts", "overlay", "proc", "sysfs", "cgroup2", "mqueue")
    steps = labelled(*(mount_of("/" + kind, kind) for kind in kinds))
    for kind in ("tmpfs", "devpts", "overlay"):
        assert steps["/" + kind] == (("context=" + LABEL,), "")
    for kind in ("proc", "sysfs"):
        assert steps["/" + kind] == ((), "")
    assert steps["/mqueue"] == ((), LABEL)


def test_the_annotation_names_the_kind_of_context_and_the_mounts_own_one_goes_before():
    """R-278."""
    kinds = {"run.oci.mount_context_type": "fscontext"}
    assert labelled(mount_of("/a"), annotations=kinds)["/a"][0] == ("fscontext=" + LABEL,)
    own = 'context="a:b:c:s0:c3,c4"'
    assert labelled(mount_of("/a", options=["size=1m", own]))["/a"][0] == ("size=1m", own)


def test_masks_are_labelled_and_say_so():
    plan = plan_of(config_of(maskedPaths=["/proc/acpi"], mountLabel=LABEL))
    (mask,) = [step for step in plan.jail if step.where == ".linux.maskedPaths[0]"]
    assert mask.label == "context=" + LABEL
    assert mask.describe() == "mask /proc/acpi, if there (a directory with context=%s)" % LABEL


@pytest.mark.parametrize(
    ("word", "bare", "inside_quotes"),
    [
        ("context=a:b:c:s0:c1,c2", "context=a:b:c:s0:c1,c2", 'context="a:b:c:s0:c1,c2"'),
        ('rootcontext="a:b:c:s0"', "rootcontext=a:b:c:s0", 'rootcontext="a:b:c:s0"'),
        ("size=1m", "size=1m", "size=1m"),
        ('lowerdir=/a"b', 'lowerdir=/a"b', 'lowerdir=/a"b'),
    ],
)
def test_contexts_are_bare_for_fsconfig_and_quoted_for_mount(word, bare, inside_quotes):
    """Categories are parted by commas, as the options of mount(2) are."""
    assert (plain(word), quoted(word)) == (bare, inside_quotes)
