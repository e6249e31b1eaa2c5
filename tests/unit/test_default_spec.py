"""The config.json to start from."""

import json
import os

import jsonschema
import pytest

from pyoci.default_spec import make_default_spec, make_rootless_spec

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def rootless(**more):
    return make_rootless_spec(unified_cgroups=False, host_uid=1000, host_gid=100, **more)


@pytest.mark.parametrize("spec", [make_default_spec(unified_cgroups=True), rootless()])
def test_it_holds_to_the_schema(spec):
    with open(os.path.join(REPOSITORY, "schemas", "config.json")) as file:
        schema = json.load(file)
    jsonschema.validate(spec, schema)


def test_it_is_what_the_field_expects():
    spec = make_default_spec(unified_cgroups=False)
    assert spec["ociVersion"] == "1.3.0"
    assert spec["root"] == {"path": "rootfs", "readonly": True}
    process = spec["process"]
    assert process["terminal"] is True
    assert process["args"] == ["sh"]
    assert process["noNewPrivileges"] is True
    assert sorted(process["capabilities"]) == ["bounding", "effective", "permitted"]
    assert process["capabilities"]["bounding"] == ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    assert process["rlimits"] == [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
    assert [mount["destination"] for mount in spec["mounts"]] == [
        "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup",
    ]  # fmt: skip
    assert spec["linux"]["resources"] == {"devices": [{"allow": False, "access": "rwm"}]}


def test_a_cgroup_namespace_only_where_cgroups_are_unified():
    types = [entry["type"] for entry in make_default_spec(unified_cgroups=False)["linux"]["namespaces"]]
    assert types == ["pid", "network", "ipc", "uts", "mount"]
    types = [entry["type"] for entry in make_default_spec(unified_cgroups=True)["linux"]["namespaces"]]
    assert types[-1] == "cgroup"


def test_rootless_maps_the_caller_and_asks_for_nothing_it_may_not_have():
    spec = rootless()
    linux = spec["linux"]
    assert [entry["type"] for entry in linux["namespaces"]] == ["pid", "ipc", "uts", "mount", "user"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 100, "size": 1}]
    assert "resources" not in linux
    assert not any(
        word.startswith(("uid=", "gid=")) for mount in spec["mounts"] for word in mount.get("options", [])
    )
    (sys,) = [mount for mount in spec["mounts"] if mount["destination"] == "/sys"]
    assert sys == {
        "destination": "/sys",
        "type": "none",
        "source": "/sys",
        "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
    }


def test_every_call_makes_its_own():
    spec = make_default_spec(unified_cgroups=False)
    spec["mounts"][1]["options"].append("x")
    spec["process"]["capabilities"]["bounding"].append("x")
    again = make_default_spec(unified_cgroups=False)
    assert "x" not in again["mounts"][1]["options"]
    assert "x" not in again["process"]["capabilities"]["bounding"]
