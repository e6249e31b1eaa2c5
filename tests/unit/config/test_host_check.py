"""Checks against the host, with the host's cgroups given as a value."""

import os
import socket

import pytest

from pyoci.cgroup.layout import Hierarchy, Layout
from pyoci.config.host_check import host_faults, numbers
from tests.unit.config.samples import minimal

UNIFIED = Layout("unified", [], Hierarchy((), "/sys/fs/cgroup", unified=True), ("cpu", "memory", "pids"))
LEGACY = Layout("legacy", [Hierarchy(("cpu", "cpuacct"), "/c"), Hierarchy(("memory",), "/m")], None)
NONE = Layout("none", [], None)

CASES = [
    (UNIFIED, {"memory": {"limit": 1}}, []),
    (UNIFIED, {"devices": [{"allow": True, "access": "r"}]}, []),
    (UNIFIED, {"unified": {"memory.high": "1"}}, []),
    (UNIFIED, {"cpu": {"mems": "0"}}, [".linux.resources.cpu.mems"]),
    (UNIFIED, {"rdma": {"x": {"hcaObjects": 1}}}, [".linux.resources.rdma"]),
    (UNIFIED, {"network": {"classID": 5}}, [".linux.resources.network.classID"]),
    (LEGACY, {"memory": {"limit": 1}, "cpu": {"shares": 5}}, []),
    (LEGACY, {"cpu": {"cpus": "0"}}, [".linux.resources.cpu.cpus"]),
    (LEGACY, {"pids": {"limit": 1}}, [".linux.resources.pids"]),
    (LEGACY, {"devices": [{"allow": True, "access": "r"}]}, [".linux.resources.devices"]),
    (LEGACY, {"unified": {"memory.high": "1"}}, [".linux.resources.unified"]),
    (NONE, {"memory": {"limit": 1}, "pids": {}}, [".linux.resources.memory"]),
    (NONE, {}, []),
]


@pytest.mark.parametrize(("layout", "resources", "paths"), CASES)
def test_a_limit_without_its_controller_is_an_error(layout, resources, paths):
    config = minimal()
    config["linux"] = {"resources": resources, "namespaces": [{"type": "user", "path": "/proc/self/ns/user"}]}
    faults = host_faults(config, "/", layout)
    assert [fault.path for fault in faults if ".resources" in fault.path] == paths
    assert all(fault.level == "error" for fault in faults)


def test_a_joined_user_namespace_has_its_own_map():
    config = minimal()
    with open("/proc/self/uid_map", encoding="ascii") as file:
        lines = [[int(word) for word in line.split()] for line in file]
    same = [dict(zip(("containerID", "hostID", "size"), line, strict=True)) for line in lines]
    config["linux"] = {
        "namespaces": [{"type": "user", "path": "/proc/%d/ns/user" % os.getpid()}],
        "uidMappings": [{"containerID": 0, "hostID": 5, "size": 7}],
    }
    joined = "not the map of the user namespace that is joined"
    assert joined in [fault.message for fault in host_faults(config, "/", NONE)]
    config["linux"]["uidMappings"] = same
    assert joined not in [fault.message for fault in host_faults(config, "/", NONE)]


def test_the_socket_of_a_seccomp_agent_is_looked_for(tmp_path):
    config = minimal()
    rules = [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "agent.sock", "syscalls": rules}
    config["linux"] = {"seccomp": seccomp}

    def warned():
        found = host_faults(config, str(tmp_path), NONE)
        return [(fault.path, fault.level) for fault in found if "no socket" in fault.message]

    assert warned() == [(".linux.seccomp.listenerPath", "warning")]
    (tmp_path / "agent.sock").touch()
    assert warned()
    (tmp_path / "agent.sock").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "agent.sock"))
        assert not warned()
    seccomp["listenerPath"] = "/none"
    rules[0]["action"] = "SCMP_ACT_ERRNO"
    assert not warned()


def test_lists_of_cpus():
    assert numbers("0-2,5") == {0, 1, 2, 5}
    assert numbers(" 1 - 2 , 4 ") == {1, 2, 4}
    assert numbers("") == set()
    assert len(numbers("0-99999999999")) < 100000


def test_the_systemd_driver_needs_systemd(tmp_path, monkeypatch):
    monkeypatch.setattr("pyoci.systemd.bus._SYSTEM_PRIVATE", str(tmp_path / "none"))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=%s/bus" % tmp_path)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=%s/bus" % tmp_path)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)

    def said():
        faults = host_faults(minimal(), "/", NONE, systemd=True)
        return [fault.message for fault in faults if "systemd" in fault.message]

    assert len(said()) == 1
    (tmp_path / "bus").touch()
    assert said() == []
