"""The id maps of a new user namespace and the clocks of a new time namespace, written from outside."""

import os
from errno import EPERM

from pyoci.errors import HostError, OperationError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.records import Namespaces


def write_maps(pid: int, namespaces: "Namespaces") -> None:
    """Write uid_map, gid_map and timens_offsets of the process `pid` (user_namespaces(7), time_namespaces(7))."""
    if namespaces.uid_map or namespaces.gid_map:
        if os.geteuid() != 0:
            _check_own_ids(namespaces)
            _write(pid, "setgroups", "deny", ".linux.gidMappings")
        _write(pid, "uid_map", namespaces.uid_map, ".linux.uidMappings")
        _write(pid, "gid_map", namespaces.gid_map, ".linux.gidMappings")
    if namespaces.offsets:
        _write(pid, "timens_offsets", namespaces.offsets, ".linux.timeOffsets")


def _check_own_ids(namespaces: "Namespaces") -> None:
    """Without privileges only one's own id can be mapped directly."""
    for word, text, own in (("uid", namespaces.uid_map, os.geteuid()), ("gid", namespaces.gid_map, os.getegid())):
        fields = text.split()
        if len(fields) != 3 or fields[1] != str(own) or fields[2] != "1":
            raise HostError(
                "cannot map other ids than one's own without privileges: operation not permitted",
                where=".linux.%sMappings" % word,
                cause="newuidmap and newgidmap are not used by this version",
                fix="map one container id to host id %d with size 1" % own,
            )


def _write(pid: int, name: str, text: str, where: str) -> None:
    try:
        fd = os.open("/proc/%d/%s" % (pid, name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise OperationError(
            "write /proc/%d/%s: %s" % (pid, name, errno_text(error.errno or 0)),
            where=where,
            cause="the kernel refused %s" % ascii(text),
            fix="map only ids that are mapped in the caller's own user namespace" if error.errno == EPERM else "",
        ) from None
