"""Layouts from the texts of other hosts."""

from pyoci.cgroup.layout import parse_layout

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/net_prio,net_cls rw,relatime shared:9 - cgroup cgroup rw,net_cls,net_prio
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset,noprefix
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
HYBRID_OWN = """\
9:name=systemd:/user.slice
6:net_cls,net_prio:/
5:devices:/user.slice
4:memory:/a:b/c
3:cpuset:/
1:cpu,cpuacct:/
0::/user.slice/x.scope
"""


def by_name(layout):
    return {hierarchy.options: hierarchy for hierarchy in layout.hierarchies}


def test_hybrid_host_has_each_co_mounted_hierarchy_once_and_the_version_2_tree_beside_them():
    layout = parse_layout(HYBRID, HYBRID_OWN)
    assert layout.mode == "hybrid"
    assert [h.options for h in layout.hierarchies] == [
        "cpuset", "devices", "memory", "cpu,cpuacct", "net_cls,net_prio", "name=systemd",
    ]  # fmt: skip
    assert layout.unified.mountpoint == "/sys/fs/cgroup/unified"
    assert layout.unified.own == "/user.slice/x.scope"
    assert by_name(layout)["memory"].own == "/a:b/c"
    assert by_name(layout)["cpuset"].noprefix


def test_names_options_and_links_are_what_the_cgroup_mount_needs():
    hierarchies = by_name(parse_layout(HYBRID, HYBRID_OWN))
    assert (hierarchies["cpu,cpuacct"].name, hierarchies["cpu,cpuacct"].links) == (
        "cpu,cpuacct",
        ["cpu", "cpuacct"],
    )
    assert (hierarchies["net_cls,net_prio"].name, hierarchies["net_cls,net_prio"].links) == (
        "net_prio,net_cls", ["net_cls", "net_prio"],
    )  # fmt: skip
    assert (hierarchies["name=systemd"].name, hierarchies["name=systemd"].links) == ("systemd", [])


def test_unified_host():
    mounts = "31 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    layout = parse_layout(mounts, "0::/system.slice/a.service\n")
    assert (layout.mode, layout.hierarchies) == ("unified", [])
    assert (layout.unified.mountpoint, layout.unified.own) == ("/sys/fs/cgroup", "/system.slice/a.service")


def test_a_named_hierarchy_on_a_unified_host_does_not_make_it_hybrid():
    mounts = (
        "31 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        "32 31 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,none,name=systemd\n"
    )
    assert parse_layout(mounts, "1:name=systemd:/\n0::/\n").mode == "unified"


def test_no_cgroup_mount_is_mode_none():
    assert parse_layout("22 1 8:1 / / rw - ext4 /dev/vda rw\n", "0::/\n").mode == "none"
    assert parse_layout("", "").mode == "none"


def test_legacy_without_a_version_2_tree():
    mounts = "".join(line + "\n" for line in HYBRID.splitlines() if "cgroup2" not in line)
    layout = parse_layout(mounts, HYBRID_OWN)
    assert (layout.mode, layout.unified) == ("legacy", None)


def test_inside_a_container_without_cgroup_namespace_paths_are_relative_to_the_visible_root():
    mounts = "50 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    assert parse_layout(mounts, "4:memory:/docker/abc\n").hierarchies[0].own == "/"
    assert parse_layout(mounts, "4:memory:/docker/abc/inner\n").hierarchies[0].own == "/inner"
    assert parse_layout(mounts, "4:memory:/docker/abcdef\n").hierarchies[0].own == "/"


def test_a_process_outside_the_cgroup_namespaces_root_counts_as_at_the_root():
    mounts = "50 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert parse_layout(mounts, "4:memory:/../other\n").hierarchies[0].own == "/"


def test_mounts_below_other_root_file_systems_are_not_used_but_overmounts_are():
    mounts = (
        "50 31 0:32 / /var/lib/x/rootfs/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "51 31 0:32 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "52 31 0:32 /b /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "53 31 0:32 / /var/lib/y/rootfs/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    )
    (memory,) = parse_layout(mounts, "4:memory:/b/c\n").hierarchies
    assert (memory.mountpoint, memory.own) == ("/sys/fs/cgroup/memory", "/c")


def test_escaped_mount_points_are_read_right():
    mounts = "50 31 0:32 / /my\\040cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    (cpu,) = parse_layout(mounts, "4:cpu:/\n").hierarchies
    assert (cpu.mountpoint, cpu.name) == ("/my cgroup/cpu", "cpu")
