"""What is wrong with a document that keeps its schema: the rules that span fields.

Run by create and run on every configuration, and by check.  Each rule is a small function that appends to a
list of faults; none looks at the host.
"""

from pyoci.config.fault import Fault, quoted
from pyoci.config.rules_annotations import annotation_faults
from pyoci.config.rules_linux import RULES as LINUX_RULES
from pyoci.config.rules_mounts import mount_faults
from pyoci.config.rules_process import process_faults
from pyoci.config.rules_resources import cgroups_path_faults, resource_faults
from pyoci.config.rules_seccomp import seccomp_faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from pyoci.config.types import Config

SPEC_MAJOR, SPEC_MINOR = 1, 3


def version_faults(version: str, found: list[Fault]) -> None:
    """Same major version required; a newer minor version may mean something that this runtime does not know."""
    major, minor, _ = version.split(".", 2)
    if int(major) != SPEC_MAJOR:
        message = "unsupported ociVersion %s: this runtime implements %d.%d" % (
            quoted(version),
            SPEC_MAJOR,
            SPEC_MINOR,
        )
        found.append(Fault(".ociVersion", message, "%d.%d.0" % (SPEC_MAJOR, SPEC_MINOR)))
    elif int(minor) > SPEC_MINOR:
        message = "ociVersion %s is newer than this runtime's %d.%d" % (quoted(version), SPEC_MAJOR, SPEC_MINOR)
        found.append(Fault(".ociVersion", message, "what is new in it is ignored", "warning"))


def config_faults(
    config: "Config", *, systemd: bool = False, mute: "Collection[object]" = (), partial: bool = False
) -> list[Fault]:
    """Everything that is wrong or doubtful with a configuration that keeps its schema.

    `systemd`: the systemd cgroup driver is in use.  `mute`: rules of rules_linux to leave out.
    `partial`: limits may be missing because they were faulty.
    """
    found: list[Fault] = []
    if "ociVersion" in config:  # a report runs the rules over what is left of a faulty document
        version_faults(config["ociVersion"], found)
    if "process" in config:
        process_faults(config["process"], ".process", found)
    mount_faults(config, found)
    if "annotations" in config:
        annotation_faults(config, systemd, found)
    linux = config.get("linux", {})
    for rule in LINUX_RULES:
        if rule not in mute:
            rule(config, linux, found)
    if systemd:
        from pyoci.config.rules_systemd import systemd_faults

        systemd_faults(config, found)
    else:
        cgroups_path_faults(linux.get("cgroupsPath", ""), found)
    if "resources" in linux:
        resource_faults(linux["resources"], ".linux.resources", found, update=partial)
    if "seccomp" in linux:
        seccomp_faults(config, found)
    return found
