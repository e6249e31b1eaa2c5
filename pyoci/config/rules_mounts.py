"""Rules about `.mounts` that no schema can say."""

import os

from pyoci.config.fault import Fault, quoted
from pyoci.config.rules_mappings import is_mapped, mapping_faults
from pyoci.tables.mount_options import OPTIONS, PROPAGATIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config, IDMapping, Linux, Mount

# What tools such as lxcfs put over single files of procfs; anything else below /proc could hide from the
# runtime and from security modules what they write there (CVE-2019-16884, CVE-2019-19921).
PROC_FILES = frozenset(
    "/proc/" + name
    for name in (
        "cpuinfo", "diskstats", "loadavg", "meminfo", "slabinfo", "stat", "swaps", "uptime",
        "sys/crypto/fips_enabled", "sys/kernel/ns_last_pid",
    )
)  # fmt: skip

_IDMAP_WORDS = ("idmap=", "ridmap=")
# What podman before 5.7 leaves on a bind mount that it filled, or not, from the image (podman issue 26938): done
# already, so there is nothing to carry out.  runc 1.1 and crun take them, and so do Debian's and Ubuntu's podman.
CARRIED_OUT = frozenset({"copy", "nocopy"})


def clean(path: str) -> str:
    """The container path with one slash between its parts and without `.` and `..`; `..` never leaves `/`."""
    return os.path.normpath("/" + path.lstrip("/"))


def is_bind(mount: "Mount") -> bool:
    """Whether the entry is a bind mount: config.md goes by the options, not by the type."""
    options = mount.get("options", ())
    return "bind" in options or "rbind" in options


def mount_faults(config: "Config", found: list[Fault]) -> None:
    """Append what is wrong with the mounts."""
    linux = config.get("linux", {})
    in_user_namespace = any(space["type"] == "user" for space in linux.get("namespaces", ()))
    for number, mount in enumerate(config.get("mounts", ())):
        at = ".mounts[%d]" % number
        bind = is_bind(mount)
        _destination(mount, at, bind, found)
        _type(mount, at, bind, found)
        _idmap(mount, at, bind, in_user_namespace, found)
        _idmap_words(mount, at, bind, linux, found)
        if in_user_namespace:
            _owners(mount, at, linux, found)
        _links(mount, at, bind, found)


def _destination(mount: "Mount", at: str, bind: bool, found: list[Fault]) -> None:
    destination = mount["destination"]
    at += ".destination"
    if destination[0] != "/":
        message = "relative destination %s is deprecated and taken as relative to /" % quoted(destination)
        found.append(Fault(at, message, "write %s" % quoted("/" + destination), "warning"))
    place = clean(destination)
    if place == "/":
        message = "mountpoint %s is on the top of rootfs" % quoted(destination)
        found.append(Fault(at, message, "use .root.path for the root file system"))
    elif place.startswith("/proc/") and place not in PROC_FILES:
        message = "%s cannot be mounted because it is inside /proc" % quoted(place)
        found.append(Fault(at, message, "hide it with .linux.maskedPaths instead"))
    elif place == "/proc" and not bind and mount.get("type") != "proc":
        message = "%s cannot be mounted because it is not of type proc" % quoted(place)
        found.append(Fault(at, message, "only a procfs may stand there"))


def _type(mount: "Mount", at: str, bind: bool, found: list[Fault]) -> None:
    options = mount.get("options", ())
    if bind:
        if not mount.get("source"):
            found.append(Fault(at, "a bind mount without source", "name the file or directory to bind"))
        for number, option in enumerate(options):
            known = option in OPTIONS or option in CARRIED_OUT or option.startswith(_IDMAP_WORDS)
            if not known:
                message = "bind mounts cannot have any filesystem-specific options applied: %s" % quoted(option)
                found.append(Fault("%s.options[%d]" % (at, number), message, "remove it"))
    elif not mount.get("type") and "remount" not in options and not any(word in PROPAGATIONS for word in options):
        fix = "a type from /proc/filesystems, or bind or rbind among the options"
        found.append(Fault(at, "a mount without type that is no bind mount", fix))


def _links(mount: "Mount", at: str, bind: bool, found: list[Fault]) -> None:
    options = mount.get("options", ())
    mapped = mount.get("uidMappings") or any(word.startswith(("idmap", "ridmap")) for word in options)
    for number, option in enumerate(options):
        if option == "copy-symlink" and mapped:
            message = "a symlink that is made anew has no id map"
            found.append(Fault("%s.options[%d]" % (at, number), message, "remove copy-symlink, or the mappings"))
        elif not bind and option in OPTIONS and OPTIONS[option][0] == "link":
            message = "%s is for bind mounts" % option
            found.append(Fault("%s.options[%d]" % (at, number), message, "remove it, or add bind or rbind"))


def _idmap(mount: "Mount", at: str, bind: bool, in_user_namespace: bool, found: list[Fault]) -> None:
    uids, gids = mount.get("uidMappings"), mount.get("gidMappings")
    options = mount.get("options", ())
    if not uids and not gids:
        if ("idmap" in options or "ridmap" in options) and not in_user_namespace:
            message = "an idmapped mount without mappings in a container without user namespace"
            found.append(Fault(at, message, "give uidMappings and gidMappings"))
    elif not (uids and gids):
        missing = "gidMappings" if uids else "uidMappings"
        found.append(Fault(at, "uidMappings and gidMappings must come together", "add %s" % missing))
    mapping_faults(uids or [], at + ".uidMappings", found)
    mapping_faults(gids or [], at + ".gidMappings", found)
    if (uids or gids or "idmap" in options or "ridmap" in options) and not bind:
        found.append(Fault(at, "only bind mounts can be idmapped", "add bind or rbind to the options"))


def _idmap_words(mount: "Mount", at: str, bind: bool, linux: "Linux", found: list[Fault]) -> None:
    for number, word in enumerate(mount.get("options", ())):
        if not word.startswith(_IDMAP_WORDS) or not bind:  # else it is the file system's
            continue
        from pyoci.config.idmap_option import option_mappings

        place = "%s.options[%d]" % (at, number)
        try:
            for lines in option_mappings(word, linux):
                mapping_faults(lines, place, found)
        except ValueError as error:
            found.append(
                Fault(place, "mount option %s: %s" % (quoted(word), error), "see crun(1), or use uidMappings")
            )
        if mount.get("uidMappings") or mount.get("gidMappings"):
            found.append(
                Fault(place, "a mount has one map, and this one has two", "remove the option's part after =")
            )


def _owners(mount: "Mount", at: str, linux: "Linux", found: list[Fault]) -> None:
    """`uid=` and `gid=` are ids of the container's user namespace, which the kernel knows no others of."""
    for number, entry in enumerate(mount.get("options", ())):
        if "id=" not in entry:
            continue
        for word in entry.split(","):
            key, _, value = word.partition("=")
            lines: list[IDMapping] = linux.get(key + "Mappings", []) if key in ("uid", "gid") else []  # type: ignore[assignment]
            if lines and value.isascii() and value.isdigit() and not is_mapped(int(value), lines):
                message = "cannot specify %s mount option: the id is not mapped in the user namespace" % word
                fix = "map it in .linux.%sMappings, or remove the option" % key
                found.append(Fault("%s.options[%d]" % (at, number), message, fix))
