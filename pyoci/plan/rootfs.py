"""What is in the root besides the mounts: devices, links, hidden and read-only paths."""

from pyoci.ops.nodes import MakeDevice, MakeSymlink, MaskPath, ReadonlyPath
from pyoci.plan.mounts import label_word
from pyoci.tables.mount_options import parse_options
from pyoci.tables.rootfs import CORE_LINK, DEVICE_MODE, DEVICES, LINKS, PTMX_LINK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config, Device
    from pyoci.ops.context import Operation
    from pyoci.plan.facts import Facts


def make_devices(config: "Config", facts: "Facts") -> "list[Operation]":
    """The default devices, those of config.json (which win at the same path), then the default links.

    A container that gets somebody else's /dev by a bind mount gets nothing added to it.
    """
    configured = config.get("linux", {}).get("devices", [])
    if _has_bound_dev(config):
        return [_device(index, device) for index, device in enumerate(configured)]
    steps: list[Operation] = []
    taken = {device["path"] for device in configured}
    for path, major, minor in DEVICES:
        if path not in taken:
            steps.append(MakeDevice("default:" + path, path, "c", major, minor, DEVICE_MODE, 0, 0))
    for index, device in enumerate(configured):
        if device["path"] != PTMX_LINK[0]:
            steps.append(_device(index, device))
    steps.append(MakeSymlink("default:" + PTMX_LINK[0], *PTMX_LINK, replace=True))
    links = [*LINKS, CORE_LINK] if facts.kcore else list(LINKS)
    steps.extend(MakeSymlink("default:" + path, path, target) for path, target in links)
    return steps


def _has_bound_dev(config: "Config") -> bool:
    return any(
        mount["destination"].rstrip("/") == "/dev" and parse_options(mount.get("options", [])).bind
        for mount in config.get("mounts", [])
    )


def _device(index: int, device: "Device") -> MakeDevice:
    return MakeDevice(
        ".linux.devices[%d]" % index,
        device["path"],
        device["type"],
        device.get("major", 0),
        device.get("minor", 0),
        device.get("fileMode", DEVICE_MODE) & 0o777,  # set-id bits mean nothing on a device
        device.get("uid", 0),
        device.get("gid", 0),
    )


def make_restrictions(config: "Config") -> "list[Operation]":
    """linux.readonlyPaths, then linux.maskedPaths."""
    linux = config.get("linux", {})
    label = label_word(config)
    steps: list[Operation] = []
    for index, path in enumerate(linux.get("readonlyPaths", [])):
        steps.append(ReadonlyPath(".linux.readonlyPaths[%d]" % index, path))
    masked = set()
    for index, path in enumerate(linux.get("maskedPaths", [])):
        if path in masked:
            continue  # one mask over another hides nothing more
        masked.add(path)
        steps.append(MaskPath(".linux.maskedPaths[%d]" % index, path, label))
    return steps
