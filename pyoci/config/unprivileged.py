"""What a caller without privileges may not ask for: looked at by create and run, and by check."""

import os

from pyoci.config.fault import Fault
from pyoci.config.rules_mounts import is_bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config


def unprivileged_faults(config: "Config") -> list[Fault]:
    """The faults of a checked configuration that is to be carried out by another user than root."""
    found: list[Fault] = []
    if os.geteuid() == 0:
        return found
    linux = config.get("linux", {})
    if not any(space["type"] == "user" for space in linux.get("namespaces", ())):
        message = "rootless container requires user namespaces: operation not permitted"
        fix = 'add {"type": "user"} to .linux.namespaces and map ids, as `pyoci spec --rootless` does'
        found.append(Fault(".linux.namespaces", message, fix))
    for number, mount in enumerate(config.get("mounts", ())):
        words = mount.get("options", ()) if is_bind(mount) else ()
        if mount.get("uidMappings") or any(word.startswith(("idmap", "ridmap")) for word in words):
            message = "id-mapped mounts are not supported for rootless containers: operation not permitted"
            fix = "leave the mapping out: the kernel lets only the owner of the file system map it"
            found.append(Fault(".mounts[%d]" % number, message, fix))
    if linux.get("netDevices"):
        message = "network devices cannot be moved by a rootless container: operation not permitted"
        found.append(Fault(".linux.netDevices", message, "remove it"))
    return found
