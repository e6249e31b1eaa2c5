"""cgroupsPath to directories."""

import pytest

from pyoci.cgroup.layout import Hierarchy, Layout
from pyoci.cgroup.paths import clean, container_paths
from pyoci.errors import ConfigError

MEMORY = Hierarchy(("memory",), "/sys/fs/cgroup/memory", "/own/here")
CPU = Hierarchy(("cpu",), "/sys/fs/cgroup/cpu", "/")
V2 = Hierarchy((), "/sys/fs/cgroup", "/own/here", unified=True)


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        ("/a/b", "/a/b"),
        ("//a//b/", "/a/b"),
        ("/../../etc", "/etc"),
        ("/a/../../../b", "/b"),
        ("../../b", "b"),
        ("a/./b", "a/b"),
        ("system.slice:pyoci:web1", "system.slice:pyoci:web1"),
    ],
)
def test_cleaning_never_leads_above_the_root(path, cleaned):
    assert clean(path) == cleaned


@pytest.mark.parametrize("path", ["/", "..", "/a/..", ".", "//"])
def test_the_root_itself_is_refused(path):
    with pytest.raises(ConfigError, match="is the root of the cgroup tree"):
        clean(path)


@pytest.mark.parametrize("path", ["/a\nb", "/a\0b"])
def test_impossible_names_are_refused(path):
    with pytest.raises(ConfigError) as caught:
        clean(path)
    assert caught.value.where == ".linux.cgroupsPath"


def test_version_1_relative_paths_start_at_our_own_cgroup_and_absolute_ones_at_the_top():
    layout = Layout("legacy", [MEMORY, CPU], None)
    assert [path for _, path in container_paths(layout, "a", "id")] == [
        "/sys/fs/cgroup/memory/own/here/a",
        "/sys/fs/cgroup/cpu/a",
    ]
    assert [path for _, path in container_paths(layout, "/a", "id")] == [
        "/sys/fs/cgroup/memory/a",
        "/sys/fs/cgroup/cpu/a",
    ]


def test_version_2_relative_paths_start_beside_our_own_cgroup():
    layout = Layout("unified", [], V2)
    assert container_paths(layout, "a", "id")[0][1] == "/sys/fs/cgroup/own/a"
    assert container_paths(layout, "/a", "id")[0][1] == "/sys/fs/cgroup/a"
    assert container_paths(layout, None, "id")[0][1] == "/sys/fs/cgroup/own/id"


def test_the_version_2_tree_of_a_hybrid_host_follows_version_1():
    tree = Hierarchy((), "/sys/fs/cgroup/unified", "/x", unified=True)
    layout = Layout("hybrid", [CPU], tree)
    assert [path for _, path in container_paths(layout, "", "id")] == [
        "/sys/fs/cgroup/cpu/id",
        "/sys/fs/cgroup/unified/x/id",
    ]
