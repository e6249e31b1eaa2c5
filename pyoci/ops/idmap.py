"""The id map of a bind mount (`idmap`, `ridmap`, `uidMappings`, `gidMappings`): MOUNT_ATTR_IDMAP."""

import os
from errno import EINVAL, EPERM

from pyoci.errors import OperationError, SyscallError, errno_text
from pyoci.kernel.mount import MOUNT_ATTR_IDMAP, filesystem_magic, mount_setattr

# The map of the mount is that of the container's user namespace.
OWN = ""


class IdMap:
    """How the owners in a mount's source look through the mount.

    uid_map, gid_map: lines `in the source, as seen through the mount, how many`, in the form of /proc/PID/uid_map;
    OWN for those of the container's user namespace.  recursive: the mounts below get it as well.
    """

    __slots__ = ("gid_map", "recursive", "uid_map")

    def __init__(self, uid_map: str, gid_map: str, *, recursive: bool) -> None:
        self.uid_map = uid_map
        self.gid_map = gid_map
        self.recursive = recursive

    @property
    def is_own(self) -> bool:
        """Whether the container's user namespace has the map."""
        return self.uid_map == OWN

    def describe(self) -> str:
        """As `; owners mapped: uid 1000+10 is 5000, gid 1000+10 is 6000`."""
        deep = ", in the whole tree" if self.recursive else ""
        if self.is_own:
            return "; owners mapped as in the container's user namespace" + deep
        return "; owners mapped%s: %s" % (
            deep,
            ", ".join(_ranges("uid", self.uid_map) + _ranges("gid", self.gid_map)),
        )

    def apply(self, tree_fd: int, user_namespace: int, source: str) -> None:
        """Map the detached tree, which the kernel allows only as long as nobody has seen it."""
        try:
            mount_setattr(
                tree_fd,
                MOUNT_ATTR_IDMAP,
                0,
                user_namespace=user_namespace,
                recursive=self.recursive,
                detail="MOUNT_ATTR_IDMAP " + source,
            )
        except SyscallError as error:
            if error.errno not in (EINVAL, EPERM):
                raise
            raise _refusal(error.errno, tree_fd, source, self.recursive) from None


def _ranges(word: str, text: str) -> list[str]:
    rows = [line.split() for line in text.splitlines()]
    return [
        "%s %s%s is %s" % (word, first, "" if size == "1" else "+" + size, outer) for first, outer, size in rows
    ]


def _refusal(number: int, tree_fd: int, source: str, recursive: bool) -> OperationError:
    """EINVAL and EPERM, each of which the kernel gives for one reason that can be named."""
    kind = filesystem_name(tree_fd)
    if number == EINVAL:
        which = "%s, or a file system mounted below it," % kind if recursive else kind
        cause = "%s cannot be id-mapped by Linux %s" % (which, os.uname().release)
        fix = (
            "bind a source on a file system that can (ext4, xfs, btrfs, tmpfs since 6.3), or leave the mapping out"
        )
    else:
        cause = "the %s is of a user namespace that we are not root of, or %s is id-mapped already" % (kind, source)
        fix = "call pyoci as the root of the user namespace that mounted %s" % source
    return OperationError("cannot id-map %s: %s" % (source, errno_text(number)), cause=cause, fix=fix)


def filesystem_name(fd: int) -> str:
    """`tmpfs` for a descriptor on one, by its device in mountinfo; `file system 0x1021994` when it is not there."""
    device = os.fstat(fd).st_dev
    wanted = b"%d:%d" % (os.major(device), os.minor(device))
    mountinfo = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    text = b""
    while part := os.read(mountinfo, 65536):
        text += part
    os.close(mountinfo)
    for line in text.splitlines():
        fields = line.split(b" ")
        if fields[2] == wanted:
            return fields[fields.index(b"-") + 1].decode("ascii", "backslashreplace")
    return "file system 0x%x" % filesystem_magic(fd)
