"""Going without cgroups: who may, and why not (R-283, R-291)."""

from typing import Any

import pytest

from pyoci.cgroup import without
from pyoci.cgroup.driver import Cgroup
from pyoci.cgroup.layout import NO_CGROUPS
from pyoci.errors import HostError

ALL = {"allow": True, "access": "rwm"}
DENY = {"allow": False, "access": "rwm"}


@pytest.mark.parametrize(
    ("resources", "free"),
    [
        ({"devices": [ALL]}, True),
        ({"devices": [DENY, ALL]}, True),
        ({"devices": [ALL], "memory": {}, "cpu": {"shares": None}, "hugepageLimits": []}, True),
        ({}, False),
        ({"devices": []}, False),
        ({"devices": [DENY]}, False),
        ({"devices": [ALL, DENY]}, False),
        ({"devices": [ALL, {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "w"}]}, False),
        ({"devices": [{"allow": True, "type": "b", "access": "rwm"}]}, False),
        ({"devices": [ALL], "pids": {"limit": 5}}, False),
        ({"devices": [ALL], "memory": {"limit": 1 << 20}}, False),
        ({"devices": [ALL], "unified": {"pids.max": "5"}}, False),
    ],
)
def test_roots_container_needs_a_cgroup_unless_it_asks_for_nothing(resources: dict[str, Any], free: bool) -> None:
    """Without a list the specification's default devices are allowed and all others are not: that is a rule too."""
    assert without.needs_none(resources, False) is free
    assert without.needs_none(resources, True)


@pytest.mark.parametrize("resources", [None, {}, {"devices": []}, {"devices": [DENY]}])
def test_where_no_cgroups_are_mounted_root_has_to_allow_all_devices(resources: dict[str, Any] | None) -> None:
    with pytest.raises(HostError, match="cannot set limits without cgroups") as caught:
        Cgroup.for_container(NO_CGROUPS, None, "id", resources)
    assert caught.value.where == ".linux.resources.devices"
    assert Cgroup.for_container(NO_CGROUPS, None, "id", {"devices": [ALL]}).mode == "none"
    assert Cgroup.for_container(NO_CGROUPS, None, "id", resources, in_user_namespace=True).mode == "none"


def test_a_caller_that_disabled_cgroups_may_leave_the_devices_out() -> None:
    assert Cgroup.for_container(NO_CGROUPS, None, "id", {}, manager="disabled").mode == "none"
    with pytest.raises(HostError, match="cannot set limits without cgroups"):
        Cgroup.for_container(NO_CGROUPS, None, "id", {"devices": [DENY]}, manager="disabled")
