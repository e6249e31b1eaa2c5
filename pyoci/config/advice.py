"""Things that are allowed and yet rarely meant: warnings of `pyoci check` alone."""

import difflib

from pyoci.config.fault import Fault, quoted
from pyoci.config.rules_mounts import CARRIED_OUT, is_bind
from pyoci.tables.mount_options import OPTIONS

LEAST_MEMORY = 512 * 1024

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config


def advice(config: "Config") -> list[Fault]:
    """Warnings about a configuration that keeps its schema."""
    found: list[Fault] = []
    for rule in (_misspelt_options, _words_of_engines, _ambient, _prestart, _same_device, _tiny_memory):
        rule(config, found)
    return found


def _misspelt_options(config: "Config", found: list[Fault]) -> None:
    for number, mount in enumerate(config.get("mounts", ())):
        if is_bind(mount):
            continue  # there it is an error
        for place, option in enumerate(mount.get("options", ())):
            near = "" if option in OPTIONS or "=" in option else _near(option)
            if near:
                message = "%s is no mount option and goes to the file system as data" % quoted(option)
                path = ".mounts[%d].options[%d]" % (number, place)
                found.append(Fault(path, message, 'did you mean "%s"?' % near, "warning"))


def _words_of_engines(config: "Config", found: list[Fault]) -> None:
    for number, mount in enumerate(config.get("mounts", ())):
        for place, option in enumerate(mount.get("options", ())):
            if option in CARRIED_OUT and is_bind(mount):
                message = "%s is podman's own word and changes nothing here" % quoted(option)
                path = ".mounts[%d].options[%d]" % (number, place)
                found.append(Fault(path, message, "leave it out: runc refuses it since 1.2", "warning"))


def _near(option: str) -> str:
    if option in ("newinstance", "nodots", "noacl", "acl"):
        return ""
    return next(iter(difflib.get_close_matches(option.lower(), list(OPTIONS), n=1, cutoff=0.8)), "")


def _ambient(config: "Config", found: list[Fault]) -> None:
    sets = config.get("process", {}).get("capabilities", {})
    both = set(sets.get("permitted", ())) & set(sets.get("inheritable", ()))
    for number, name in enumerate(sets.get("ambient", ())):
        if name not in both:
            path = ".process.capabilities.ambient[%d]" % number
            message = "%s cannot be ambient: it is not both permitted and inheritable" % quoted(name)
            found.append(Fault(path, message, "add it to permitted and inheritable", "warning"))


def _prestart(config: "Config", found: list[Fault]) -> None:
    if config.get("hooks", {}).get("prestart"):
        fix = "use createRuntime, createContainer or startContainer"
        found.append(Fault(".hooks.prestart", "prestart hooks are deprecated", fix, "warning"))


def _same_device(config: "Config", found: list[Fault]) -> None:
    seen: dict[tuple[object, ...], int] = {}
    for number, device in enumerate(config.get("linux", {}).get("devices", ())):
        key = (device["type"], device.get("major"), device.get("minor"))
        if key in seen and device["type"] != "p":
            message = "the same device as .linux.devices[%d]" % seen[key]
            found.append(Fault(".linux.devices[%d]" % number, message, "", "warning"))
        seen.setdefault(key, number)


def _tiny_memory(config: "Config", found: list[Fault]) -> None:
    limit = config.get("linux", {}).get("resources", {}).get("memory", {}).get("limit", 0)
    if 0 < limit < LEAST_MEMORY:
        message = "a memory limit of %d bytes is less than a program needs to start" % limit
        found.append(Fault(".linux.resources.memory.limit", message, "the unit is bytes", "warning"))
