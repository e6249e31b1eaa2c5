"""What a verb receives: the command line, with its defaults filled in and its log open."""

import os

from pyoci.errors import PyociError, UsageError, errno_text
from pyoci.log import Log, open_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.cli.parse import Reading

DEFAULT_ROOT = "/run/pyoci"
_UID_MAP = "/proc/self/uid_map"
_MAKERS = ("create", "run", "restore")  # the commands that may make the state root


class Call:
    """One command to carry out.

    command         its name
    root            the state root: absolute, not `/`; it need not exist
    root_is_default whether --root was left out
    cgroup_manager  "cgroupfs", "systemd" or "disabled"
    systemd_cgroup  whether that is "systemd"
    rootless        --rootless: True, False, or None for "find out"
    debug           whether --debug (or --log-level debug) was given
    log             where warnings go; errors are raised
    options         the command's options by long name with `_`, every one present
    arguments       the positionals
    umask           the caller's; pyoci itself runs with 022
    """

    __slots__ = (
        "_stdout_closed",
        "arguments",
        "cgroup_manager",
        "command",
        "debug",
        "log",
        "options",
        "root",
        "root_is_default",
        "rootless",
        "systemd_cgroup",
        "umask",
    )

    def __init__(self, reading: "Reading", log: Log, *, umask: int = 0o022, stdout_closed: bool = False) -> None:
        settings = reading.settings
        self.command = reading.command
        self.options: dict[str, Any] = reading.options
        self.arguments = reading.arguments
        self.log = log
        self.debug: bool = settings["debug"] or settings["log_level"] == "debug"
        self.rootless: bool | None = settings["rootless"]
        self.cgroup_manager: str = settings["cgroup_manager"] or (
            "systemd" if settings["systemd_cgroup"] else "cgroupfs"
        )
        self.systemd_cgroup = self.cgroup_manager == "systemd"
        self.root_is_default = settings["root"] is None
        self.root = default_root(reading.command) if self.root_is_default else checked_root(settings["root"])
        self.umask = umask
        self._stdout_closed = stdout_closed

    @property
    def id(self) -> str:
        """The container's id: the first positional."""
        return self.arguments[0]

    def write(self, text: str) -> None:
        """Write all of `text` to standard output, as the bytes it was made from.  Raises PyociError."""
        if self._stdout_closed:  # descriptor 1 is /dev/null by now, and writing there would look like success
            raise PyociError("write standard output: " + errno_text(9))
        left = memoryview(text.encode("utf-8", "surrogateescape"))
        try:
            while left:
                try:
                    left = left[os.write(1, left) :]
                except BlockingIOError:  # whoever shares the pipe may have made it non-blocking
                    import select

                    select.select([], [1], [])
        except OSError as error:
            raise PyociError("write standard output: " + errno_text(error.errno or 0))


def make_log(settings: "dict[str, Any]") -> Log:
    """The log that the global settings ask for.  Raises UsageError."""
    return open_log(settings["log"], settings["log_format"], settings["log_level"], debug=settings["debug"])


def checked_root(given: str) -> str:
    """--root, absolute and clean.  The root directory itself is refused: deleting a container removes trees."""
    root = "/" + os.path.normpath(os.path.abspath(given)).lstrip("/") if given else ""
    if len(root) <= 1 or _is_slash(root):
        raise UsageError('invalid --root "%s": it must be a directory of its own, not empty and not /' % given)
    return root


def default_root(command: str) -> str:
    """/run/pyoci, or pyoci below $XDG_RUNTIME_DIR for a user without privileges.

    The latter is made here with the sticky bit, which keeps cleaners of old files away from it (XDG Base
    Directory Specification).
    """
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR", "")
    if not runtime_dir or not _without_privileges():
        return DEFAULT_ROOT
    root = checked_root(os.path.join(runtime_dir, "pyoci"))
    if command in _MAKERS:
        try:
            os.makedirs(root, 0o700, exist_ok=True)
            os.chmod(root, 0o1700)
        except OSError as error:
            raise UsageError(
                "make state root %s: %s" % (root, errno_text(error.errno or 0)), fix="name another one with --root"
            )
    return root


def _is_slash(path: str) -> bool:
    try:
        return os.path.samefile(path, "/")
    except OSError:
        return False  # it does not exist yet


def _without_privileges() -> bool:
    """Whether we are not root, or root only inside a user namespace that somebody else made for us."""
    if os.geteuid() != 0:
        return True
    if os.environ.get("USER") == "root":
        return False
    try:
        with open(_UID_MAP, "rb") as file:
            return file.read().split() != [b"0", b"0", b"4294967295"]
    except OSError:
        return False
