"""Namespaces: made, joined, and when a process must stand between the runtime and init."""

import pytest

from pyoci.plan.namespaces import host_uid_of_delegation, make_namespaces


def namespaces_of(*kinds, **linux):
    entries = [{"type": x} if isinstance(x, str) else {"type": x[0], "path": x[1]} for x in kinds]
    return make_namespaces({"namespaces": entries, **linux})


@pytest.mark.parametrize(
    ("kinds", "needed"),
    [
        ((), False),
        (("pid", "mount", "ipc", "uts", "network", "cgroup"), False),
        (("user", "pid", "mount", "network"), False),
        (("mount", ("network", "/n"), ("ipc", "/i"), ("uts", "/u")), False),
        (("mount", ("pid", "/p")), True),
        (("mount", ("user", "/u")), True),
        (("user", ("network", "/n")), True),
        (("time",), True),
        ((("time", "/t"),), False),
    ],
)
def test_a_bridge_is_needed_only_where_clone3_cannot_do_it_at_once(kinds, needed):
    assert namespaces_of(*kinds).needs_bridge is needed


def test_an_empty_path_makes_a_namespace_and_a_path_joins_one():
    namespaces = namespaces_of(("network", ""), ("ipc", "/proc/1/ns/ipc"), "pid")
    assert namespaces.new == ["network", "pid"]
    assert [(x.kind, x.path, x.where) for x in namespaces.joined] == [
        ("ipc", "/proc/1/ns/ipc", ".linux.namespaces[1]")
    ]
    assert [namespaces.has(kind) for kind in ("network", "ipc", "uts")] == [True, True, False]
    assert [namespaces.joins(kind) for kind in ("network", "ipc", "uts")] == [False, True, False]


def test_no_linux_section_is_no_namespace():
    assert make_namespaces({}).new == []


MAPPINGS = {
    "uidMappings": [
        {"containerID": 0, "hostID": 1000, "size": 1},
        {"containerID": 1, "hostID": 100000, "size": 65535},
    ],
    "gidMappings": [{"containerID": 0, "hostID": 100, "size": 1}],
}


def test_maps_are_lines_of_inside_outside_count():
    namespaces = namespaces_of("user", **MAPPINGS)
    assert namespaces.uid_map == "0 1000 1\n1 100000 65535\n"
    assert namespaces.gid_map == "0 100 1\n"


def test_the_maps_of_a_joined_user_namespace_are_its_owner_s():
    namespaces = namespaces_of(("user", "/u"), **MAPPINGS)
    assert (namespaces.uid_map, namespaces.gid_map) == ("", "")


def test_clock_offsets_are_lines_of_clock_seconds_nanoseconds():
    offsets = {"monotonic": {"secs": -5}, "boottime": {"nanosecs": 7}}
    assert sorted(namespaces_of("time", timeOffsets=offsets).offsets.splitlines()) == [
        "boottime 0 7",
        "monotonic -5 0",
    ]
    assert namespaces_of("time", timeOffsets={"boottime": {}}).offsets == "boottime 0 0\n"
    assert namespaces_of("time").offsets == ""


def delegation(mode="unified", options=(), new=("cgroup",), uid=7, **linux):
    config = {
        "ociVersion": "1.3.0",
        "root": {"path": "/r"},
        "process": {"cwd": "/", "args": ["a"], "user": {"uid": uid, "gid": 0}},
        "mounts": [
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": list(options)}
        ],
        "linux": {"namespaces": [{"type": kind} for kind in new], **linux},
    }
    return host_uid_of_delegation(config, mode, make_namespaces(config["linux"]))


def test_the_cgroup_is_delegated_where_the_container_may_manage_it():
    """R-252."""
    assert delegation() == 7
    assert delegation(options=["ro"]) is None
    assert delegation(mode="hybrid") is None
    assert delegation(new=["pid"]) is None
    maps = [{"containerID": 0, "hostID": 5000, "size": 10}]
    assert delegation(new=["cgroup", "user"], uidMappings=maps, gidMappings=maps) == 5007
    assert delegation(new=["cgroup", "user"], uid=10, uidMappings=maps, gidMappings=maps) is None


def test_a_joined_user_namespace_is_delegated_to_by_its_repeated_mappings_only():
    """R-252: without them the host's uid is not known, and the uid inside must not be taken for it."""
    maps = [{"containerID": 0, "hostID": 5000, "size": 10}]
    config = {
        "ociVersion": "1.3.0",
        "root": {"path": "/r"},
        "process": {"cwd": "/", "args": ["a"], "user": {"uid": 7, "gid": 0}},
        "mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}],
        "linux": {"namespaces": [{"type": "cgroup"}, {"type": "user", "path": "/proc/1/ns/user"}]},
    }
    assert host_uid_of_delegation(config, "unified", make_namespaces(config["linux"])) is None
    config["linux"].update(uidMappings=maps, gidMappings=maps)
    assert host_uid_of_delegation(config, "unified", make_namespaces(config["linux"])) == 5007
