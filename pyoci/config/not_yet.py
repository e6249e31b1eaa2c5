"""Properties of the runtime-spec that this build does not carry out: refused by name, never skipped.

What is refused is listed in pyoci.tables.not_yet, which `features` reads too: the same edit there takes a
feature into the promise and out of this refusal.
"""

from pyoci.config.fault import Fault, member, quoted
from pyoci.tables.not_yet import NOT_YET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config

# entry of NOT_YET -> (property of .linux, what it is)
_LINUX = {
    "memoryPolicy": ("memoryPolicy", "NUMA memory policies"),
}
_MOUNT_WORDS = ("idmap", "ridmap", "tmpcopyup")
_SYSTEMD_PROPERTY = "org.systemd.property."
_REFUSED_ANNOTATIONS = tuple(entry[12:] for entry in NOT_YET if entry.startswith("annotations:"))


def _refused(path: str, what: str) -> Fault:
    return Fault(path, "%s: not implemented in this version of pyoci" % what, "remove %s" % path)


def not_yet(config: "Config", *, systemd: bool = False) -> list[Fault]:
    """The properties of a configuration that cannot be carried out.

    `systemd`: the systemd cgroup driver is in use; only it has anywhere to put unit properties.
    """
    found: list[Fault] = []
    linux = config.get("linux", {})
    for entry, (key, what) in _LINUX.items():
        if entry in NOT_YET and linux.get(key):
            found.append(_refused(".linux." + key, what))
    _mounts(config, found)
    _annotations(config, systemd, found)
    return found


def _annotations(config: "Config", systemd: bool, found: list[Fault]) -> None:
    """Annotations that would change what the runtime does: unknown ones must be ignored, so these only warn."""
    for name in config.get("annotations", ()):
        if name.startswith(_SYSTEMD_PROPERTY) and not systemd:
            message = "annotation %s has no effect without --systemd-cgroup" % quoted(name)
        elif name.startswith(_REFUSED_ANNOTATIONS):
            message = "annotation %s has no effect in this version of pyoci" % quoted(name)
        else:
            continue
        found.append(Fault(member(".annotations", name), message, "", "warning"))


def _mounts(config: "Config", found: list[Fault]) -> None:
    refused = [word for word in _MOUNT_WORDS if "mountOptions:" + word in NOT_YET]
    for number, mount in enumerate(config.get("mounts", ())):
        at = ".mounts[%d]" % number
        options = mount.get("options", ())
        for word in refused:
            if word in options:
                found.append(_refused("%s.options[%d]" % (at, options.index(word)), "mount option " + word))
        if "mountExtensions.idmap" in NOT_YET:
            for key in ("uidMappings", "gidMappings"):
                if mount.get(key):
                    found.append(_refused("%s.%s" % (at, key), "idmapped mounts"))
