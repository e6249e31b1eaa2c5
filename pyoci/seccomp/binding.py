"""libseccomp through whichever of its Python bindings is installed: nothing else imports them.

Two bindings with nearly one interface: `seccomp`, which libseccomp itself builds (python3-seccomp in
distributions), and `pyseccomp` from the Python package index.  The official one takes C ints, so numbers above
2^31 are handed over as negative ones, which the other one takes as well; it raises RuntimeError where pyseccomp
raises OSError.
"""

import os
import sys

from pyoci.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

_CTL_OPTIMIZE = 8
_OPTIMIZE_BINARY_TREE = 2

# What the two bindings raise when libseccomp returns an error.
LibraryError = (OSError, RuntimeError, ValueError, OverflowError)


class _File:
    """All that export_bpf wants of a file."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def fileno(self) -> int:
        return self.fd


class Library:
    """One filter under construction, in terms of numbers."""

    __slots__ = ("filter", "module")

    def __init__(self, default_action: int) -> None:
        self.module = _load()
        self.filter: Any = self.module.SyscallFilter(_signed(default_action))

    def add_architecture(self, token: int) -> None:
        """Let the filter hold for programs of one more architecture."""
        if not self.filter.exist_arch(_signed(token)):
            self.filter.add_arch(_signed(token))

    def resolve(self, token: int, name: str) -> int | None:
        """The call's number on the architecture, negative where only others have the call, None if none has."""
        if not (name.isascii() and name.isprintable()):  # a NUL would cut the name short on its way to C
            return None
        number: int = self.module.resolve_syscall(_signed(token), name)
        return None if number == -1 else number

    def add_rule(self, action: int, number: int, conditions: "list[tuple[int, int, int, int]]") -> None:
        """`action` for the call when all conditions (index, operator, a, b) hold; see seccomp_rule_add(3)."""
        self.filter.add_rule(_signed(action), number, *[self.module.Arg(*condition) for condition in conditions])

    def use_binary_tree(self) -> None:
        """Search the calls by halving instead of one after the other; libseccomp before 2.5 cannot."""
        try:
            self.filter.set_attr(_CTL_OPTIMIZE, _OPTIMIZE_BINARY_TREE)
        except LibraryError:
            return

    def export(self) -> bytes:
        """The finished filter: an array of `struct sock_filter`."""
        fd = os.memfd_create("pyoci-bpf", os.MFD_CLOEXEC)
        try:
            self.filter.export_bpf(_File(fd))
            return os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)


def _signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number


def _load() -> "ModuleType":
    """The binding's module.  Raises HostError that names what to install."""
    module = _import() or _import_from_site_packages()
    if module is None:
        raise HostError(
            "linux.seccomp needs libseccomp and a Python binding of it",
            where=".linux.seccomp",
            cause="neither `seccomp` nor `pyseccomp` can be imported, or libseccomp.so.2 is missing",
            fix="install python3-seccomp (Debian, Fedora), or libseccomp2 and the Python package pyseccomp",
        )
    return module


def _import() -> "ModuleType | None":
    try:
        import seccomp
    except ImportError:
        pass
    else:
        # Some other package of that name, or this one's own directory on sys.path, is not the binding.
        if hasattr(seccomp, "SyscallFilter"):
            module: ModuleType = seccomp
            return module
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):  # not installed, or the library under it is not
        return None
    fallback: ModuleType = pyseccomp
    return fallback


def _import_from_site_packages() -> "ModuleType | None":
    """Once more with the interpreter's own package directories, which `python -S` leaves out."""
    import site

    before = sys.path[:]
    sys.path.extend(path for path in site.getsitepackages() if path not in before)
    try:
        return _import()
    finally:
        sys.path[:] = before
