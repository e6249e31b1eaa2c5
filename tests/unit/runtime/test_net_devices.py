import pytest

from pyoci.errors import HostError
from pyoci.plan.namespaces import make_net_devices
from pyoci.runtime import net_devices


@pytest.mark.parametrize(
    ("template", "used", "name"),
    [
        ("eth%d", set(), "eth0"),
        ("eth%d", {"eth0", "eth1", "eth3"}, "eth2"),
        ("a%db", {"a0b"}, "a1b"),
        ("twelveletter%d", {"twelveletter%d" % number for number in range(999)}, "twelveletter999"),
        ("twelveletter%d", {"twelveletter%d" % number for number in range(1000)}, ""),
    ],
)
def test_a_template_gets_the_least_number_that_is_free(template, used, name):
    assert net_devices._free_name(template, used) == name


def test_devices_come_in_the_order_of_the_configuration_with_their_places():
    devices = make_net_devices({"netDevices": {"eth0.7": {"name": "web0"}, "eth1": {}, "eth2": {"name": ""}}})
    assert [(device.old, device.new, device.where_name) for device in devices] == [
        ("eth0.7", "web0", '.linux.netDevices["eth0.7"].name'),
        ("eth1", "eth1", ".linux.netDevices.eth1"),
        ("eth2", "eth2", ".linux.netDevices.eth2"),
    ]


def test_without_root_devices_are_refused_before_anything_is_made(monkeypatch):
    monkeypatch.setattr(net_devices.os, "geteuid", lambda: 1000)
    net_devices.check_power([])
    with pytest.raises(HostError, match="rootless") as refusal:
        net_devices.check_power(make_net_devices({"netDevices": {"eth0": {}}}))
    assert refusal.value.where == ".linux.netDevices.eth0"
