"""What a caller without privileges may not ask for."""

import os

import pytest

from pyoci.config.unprivileged import unprivileged_faults

USER = {"namespaces": [{"type": "user"}]}
MAP = [{"containerID": 0, "hostID": 1000, "size": 1}]


@pytest.fixture(autouse=True)
def ordinary(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({}, ".linux.namespaces"),
        ({"linux": {"namespaces": [{"type": "mount"}]}}, ".linux.namespaces"),
        ({"linux": USER, "mounts": [{"destination": "/a", "options": ["bind", "ridmap"]}]}, ".mounts[0]"),
        (
            {"linux": USER, "mounts": [{"destination": "/a"}, {"destination": "/a", "uidMappings": MAP}]},
            ".mounts[1]",
        ),
        ({"linux": USER, "mounts": [{"destination": "/a", "options": ["idmap=uids=0-1-1", "bind"]}]}, ".mounts[0]"),
        ({"linux": {**USER, "netDevices": {"eth0": {}}}}, ".linux.netDevices"),
    ],
)
def test_refused(config, path, monkeypatch):
    found = unprivileged_faults(config)
    assert [fault.path for fault in found] == [path]
    assert "operation not permitted" in found[0].message
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert unprivileged_faults(config) == [], "root may"


def test_a_user_namespace_that_is_joined_is_enough():
    listed = {"namespaces": [{"type": "user", "path": "/proc/1/ns/user"}]}
    assert unprivileged_faults({"linux": listed, "mounts": [{"destination": "/a", "options": ["bind"]}]}) == []
