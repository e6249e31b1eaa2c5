"""Small settings of the container's namespaces: names, sysctls, the loopback device."""

import _socket
import os
from _struct import pack, unpack
from errno import EROFS, EXDEV
from fcntl import ioctl

from pyoci.errors import SyscallError
from pyoci.kernel.mount import fsconfig_create, fsmount, fsopen
from pyoci.kernel.path import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2
from pyoci.kernel.process import setdomainname, sethostname

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.ops.context import Context

SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


class SetHostname:
    """sethostname(2) in the container's UTS namespace."""

    __slots__ = ("name", "where")

    def __init__(self, where: str, name: str) -> None:
        self.where = where
        self.name = name

    def describe(self) -> str:
        """As `hostname web1`."""
        return "hostname %s" % self.name

    def apply(self, ctx: "Context") -> None:
        """Set it."""
        sethostname(self.name.encode())


class SetDomainname:
    """setdomainname(2) in the container's UTS namespace."""

    __slots__ = ("name", "where")

    def __init__(self, where: str, name: str) -> None:
        self.where = where
        self.name = name

    def describe(self) -> str:
        """As `domainname example.org`."""
        return "domainname %s" % self.name

    def apply(self, ctx: "Context") -> None:
        """Set it."""
        setdomainname(self.name.encode())


class RaiseLoopback:
    """Bring up `lo` in a new network namespace, as every peer does."""

    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        self.where = where

    def describe(self) -> str:
        """As `lo up`."""
        return "lo up"

    def apply(self, ctx: "Context") -> None:
        """Two ioctls (netdevice(7)) instead of a netlink library that takes 200 ms to import."""
        link = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC, 0)
        try:
            request = pack("=16sH22x", b"lo", 0)
            flags = unpack("=H", ioctl(link.fileno(), SIOCGIFFLAGS, request)[16:18])[0]
            ioctl(link.fileno(), SIOCSIFFLAGS, pack("=16sH22x", b"lo", flags | IFF_UP))
        except OSError as error:
            raise SyscallError(error.errno or 0, "ioctl", "lo up") from None
        finally:
            link.close()


class WriteSysctl:
    """Write a kernel parameter of the container's namespaces."""

    __slots__ = ("path", "value", "where")

    def __init__(self, where: str, path: str, value: str) -> None:
        self.where = where
        self.path = path
        self.value = value

    def describe(self) -> str:
        """As `sysctl net/ipv4/ip_forward = 1`."""
        return "sysctl %s = %s" % (self.path, self.value)

    def apply(self, ctx: "Context") -> None:
        """Write it."""
        fd = self._open(ctx)
        try:
            os.write(fd, self.value.encode())
        except OSError as error:
            raise SyscallError(error.errno or 0, "write", "/proc/sys/" + self.path) from None
        finally:
            os.close(fd)

    def _open(self, ctx: "Context") -> int:
        """In the host's procfs and no mount on top of it, so that it is the very file meant (CVE-2025-52881).

        Where that is read-only, as in another container, a procfs of our own serves as well.
        """
        try:
            return self._open_below(ctx.proc_fd)
        except SyscallError as error:
            if error.errno not in (EROFS, EXDEV):
                raise
        refused = SyscallError(EROFS, "open", "/proc/sys/" + self.path)
        try:
            proc_fd = _own_procfs()
        except SyscallError:  # a user namespace may not mount what its owner had mounts upon
            raise refused from None
        try:
            return self._open_below(proc_fd)
        finally:
            os.close(proc_fd)

    def _open_below(self, proc_fd: int) -> int:
        restricted = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
        return openat2(proc_fd, "sys/" + self.path, os.O_WRONLY, resolve=restricted)


def _own_procfs() -> int:
    """A detached mount of procfs that nothing can be mounted upon: nobody else has it."""
    fs_fd = fsopen(b"proc")
    try:
        fsconfig_create(fs_fd)
        return fsmount(fs_fd, 0)
    finally:
        os.close(fs_fd)
