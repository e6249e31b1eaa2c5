"""Containers that get no cgroup: which may, and the words for those that may not.

The device rules are what a cgroup is needed for first: a container of real root's that may make device nodes, as
engines' containers may, could otherwise open the host's disks.  Without a `devices` list everything but the default
devices is denied, so only a list that allows everything asks for nothing.  In a user namespace the kernel lets no
device node be made, so that the rules are left out there.
"""

import errno

from pyoci.cgroup.device_rules import parse_rules
from pyoci.errors import HostError, OperationError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.limit import Limit, Resources


def needs_none(resources: "Resources", in_user_namespace: bool) -> bool:
    """Whether a container may go without cgroups where they may not be made.

    In a user namespace that shows when a limit is to be written; else nothing at all may be asked for.
    Raises ConfigError.
    """
    return in_user_namespace or (
        parse_rules(resources.get("devices") or []) == (True, []) and _first_limit(resources) == ""
    )


def controllers(limits: "list[Limit]") -> "set[str]":
    """The controllers that a container which `needs_none` is limited by: its device rules allow everything."""
    return {limit.controller for limit in limits} - {"devices"}


def refuse_limits(resources: "Resources", *, in_user_namespace: bool, manager: str) -> None:
    """HostError for what cannot be had without cgroups.

    A list of devices that is missing is taken for one that allows everything only where the caller chose to do
    without (`manager` is `disabled`).
    """
    key = _first_limit(resources)
    if not key and not in_user_namespace:
        rules = resources.get("devices")
        if (rules or manager != "disabled") and not all(rule.get("allow") for rule in rules or [{}]):
            key = "devices"
    if key:
        raise HostError(
            "cannot set limits without cgroups",
            where=".linux.resources." + key,
            cause="cgroups are disabled" if manager == "disabled" else "no cgroup file system is mounted",
            fix='allow all devices: [{"allow": true, "access": "rwm"}]' if key == "devices" else "leave it out",
        )


def cannot_create(path: str, number: int) -> OperationError:
    """The error for a directory that cannot be made."""
    fix = ""
    if number == errno.EROFS:
        fix = "mount the cgroup file system writable, or set no cgroupsPath, no limits and allow all devices"
    return OperationError(
        "cannot create cgroup: %s" % errno_text(number),
        where=".linux.cgroupsPath",
        cause="mkdir %s" % path,
        fix=fix,
    )


def _first_limit(resources: "Resources") -> str:
    """The first key beside `devices` that limits something; "" when none does."""
    for key, value in resources.items():
        nothing = not value or (isinstance(value, dict) and all(part in (None, [], "") for part in value.values()))
        if key != "devices" and not nothing:
            return key
    return ""
