"""What confines the container's program: an AppArmor profile or an SELinux context, for the coming execve.

Both are written to files in our own attr directory of procfs.  Whoever gets something between us and them, a
file of the image or another file of procfs, has the program run unconfined (CVE-2019-16884, CVE-2019-19921) or
has us write where it pleases (CVE-2025-52881).  So the files are opened in a procfs that the container had no
hand in, before its root is entered; that it is procfs is checked, and no mount or magic link lies on the way.
The kernel takes what is written only from the process that opened the file: open late enough, after every fork.
"""

import os
from errno import EACCES, EINVAL, ENOENT, EPERM

from pyoci.errors import OperationError, SyscallError, errno_text
from pyoci.init.report import failing
from pyoci.kernel.mount import filesystem_magic, fsconfig_create, fsconfig_string, fsmount, fsopen
from pyoci.kernel.path import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV, openat2

PROC_SUPER_MAGIC = 0x9FA0
PROC_ROOT_INODE = 1
APPARMOR = (".process.apparmorProfile", "AppArmor profile")
SELINUX = (".process.selinuxLabel", "SELinux label")
_OWN = "thread-self/attr/"

# (whose attribute, errno of the write) -> (cause, fix)
_REASONS = {
    (APPARMOR, ENOENT): ("no profile of this name is loaded", "load it with apparmor_parser"),
    (APPARMOR, EINVAL): ("the kernel runs without AppArmor, or this is no name of a profile", ""),
    (APPARMOR, EACCES): ("the profile that pyoci runs under does not allow the change", ""),
    (APPARMOR, EPERM): ("the profile that pyoci runs under does not allow the change", ""),
    (SELINUX, EINVAL): ("the policy has no such context, or the kernel runs without SELinux", ""),
    (SELINUX, EACCES): ("the policy does not let pyoci start programs under another label (setexec)", ""),
}


class Attribute:
    """One file below attr, open for writing."""

    __slots__ = ("fd", "file", "kind")

    def __init__(self, kind: tuple[str, str], file: str, fd: int) -> None:
        self.kind = kind
        self.file = file
        self.fd = fd

    def write(self, text: str, shown: str) -> None:
        """One write(2), as the kernel demands; `shown` is what the error calls it."""
        data = text.encode("utf-8", "surrogateescape")
        try:
            if os.write(self.fd, data) != len(data):
                raise OSError(EINVAL, "short write")
        except OSError as error:
            raise _failure(self.kind, "write to", self.file, error.errno or 0, shown) from None

    def close(self) -> None:
        """The kernel keeps what was written."""
        os.close(self.fd)


class Labels:
    """The labels of one process: `open` in it, then `apply`, and `label_keys` around what makes keys."""

    __slots__ = ("apparmor", "keycreate", "ready", "selinux")

    def __init__(self, apparmor: str, selinux: str) -> None:
        self.apparmor = apparmor
        self.selinux = selinux
        self.ready: list[tuple[Attribute, str, str]] = []
        self.keycreate: Attribute | None = None

    def private_procfs(self) -> int:
        """The root of a procfs of our pid namespace that is mounted nowhere; -1 where we may not make one.

        For a process that is in the container already and should hold nothing of the host.  A user namespace
        may make one only where no part of the /proc that it sees is hidden.
        """
        try:
            fs_fd = fsopen(b"proc")
        except SyscallError:
            return -1
        try:
            fsconfig_string(fs_fd, b"subset", b"pid")
            fsconfig_create(fs_fd)
            return fsmount(fs_fd, 0)
        except SyscallError:
            return -1
        finally:
            os.close(fs_fd)

    def open(self, proc_fd: int) -> None:
        """Open the files in the procfs whose root is `proc_fd`.  OperationError names what is not there."""
        if self.apparmor:
            with failing("identity", "setting the AppArmor profile", APPARMOR[0]):
                files = ("apparmor/exec", "exec")  # the second up to Linux 5.7
                self.ready.append((_open(proc_fd, APPARMOR, *files), "exec " + self.apparmor, self.apparmor))
        if self.selinux:
            with failing("identity", "setting the SELinux label", SELINUX[0]):
                self.ready.append((_open(proc_fd, SELINUX, "exec"), self.selinux, self.selinux))
                self.keycreate = _open(proc_fd, SELINUX, "keycreate")

    def label_keys(self, *, on: bool) -> None:
        """Let keys made from here on have the program's SELinux label, or again the usual one."""
        if self.keycreate is None:
            return
        with failing("identity", "labelling the session keyring", SELINUX[0]):
            self.keycreate.write(self.selinux if on else "\n", self.selinux)
        if not on:
            self.keycreate.close()
            self.keycreate = None

    def apply(self) -> None:
        """Have the kernel change to the labels at the next execve; what is forked from here on inherits that."""
        for attribute, text, shown in self.ready:
            with failing("identity", "setting the label", attribute.kind[0]):
                attribute.write(text, shown)
            attribute.close()
        self.ready = []

    def descriptors(self) -> list[int]:
        """What has to stay open until the last of `apply` and `label_keys`."""
        own = [attribute.fd for attribute, _, _ in self.ready]
        return own if self.keycreate is None else [*own, self.keycreate.fd]


def _open(proc_fd: int, kind: tuple[str, str], *files: str) -> Attribute:
    check_procfs(proc_fd, kind)
    resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS
    for number, file in enumerate(files, 1):
        try:
            return Attribute(kind, file, openat2(proc_fd, _OWN + file, os.O_WRONLY, resolve=resolve))
        except SyscallError as error:
            if error.errno != ENOENT or number == len(files):
                raise _failure(kind, "open", files[0], error.errno or 0, "") from None
    raise AssertionError  # there is always a file


def check_procfs(proc_fd: int, kind: tuple[str, str]) -> None:
    """That `proc_fd` is the root of a procfs."""
    if filesystem_magic(proc_fd) != PROC_SUPER_MAGIC or os.fstat(proc_fd).st_ino != PROC_ROOT_INODE:
        raise OperationError(
            "%s: /proc is not the root of a procfs" % kind[1],
            where=kind[0],
            cause="what is mounted there could take the label in place of the kernel",
            fix="mount proc on /proc",
        )


def _failure(kind: tuple[str, str], verb: str, file: str, number: int, shown: str) -> OperationError:
    """The file in backquotes: podman tells errors of security attributes by them."""
    cause, fix = _REASONS.get((kind, number), ("", ""))
    name = " " + shown if shown else ""
    return OperationError(
        "set %s%s: %s `/proc/%s%s`: %s" % (kind[1], name, verb, _OWN, file, errno_text(number)),
        where=kind[0],
        cause=cause,
        fix=fix,
    )
