"""A container's directory below the state root: its name, its records, who may make and remove it.

    ROOT/ID/                 0711, made by mkdir(2), which is the lock that decides between parallel creates
        state.json           the record, replaced by rename only
        anchor               symlink: `PID:STARTTIME`, and
        cgroup               symlink: the cgroup driver's record
        resctrl              symlink: the record of the class of service, only with linux.intelRdt; all three
                             survive a damaged state.json
        config.json          the bytes of the bundle's config at the time of create
        start.sock           exists from create to start: init listens on it
        criu-root/           exists while the container is restored
        notify/notify.sock   only where NOTIFY_SOCKET asked for it; the container sees the directory

The record is written before the first cgroup, mount or process exists and removed last, so that a kill -9 at
any moment leaves something that `delete --force` finds.
"""

import os
import time
from errno import EEXIST, ELOOP, ENOENT, ENOTDIR, ENOTEMPTY
from stat import S_ISVTX

from pyoci.config.json_text import dump, parse
from pyoci.errors import ConfigError, StateError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-")
_REST = _FIRST | {"."}
_LONGEST_ID = 255

DOES_NOT_EXIST = "container does not exist"
STATE = "state.json"
CONFIG = "config.json"
START_SOCKET = "start.sock"
ANCHOR = "anchor"
CGROUP = "cgroup"
RESCTRL = "resctrl"
NOTIFY = "notify"  # a directory, and
NOTIFY_SOCKET = "notify.sock"  # the socket in it
SECCOMP_CACHE = ".seccomp"  # below the state root; no id begins with a dot
_FILES = (START_SOCKET, CONFIG, CONFIG + ".new", STATE + ".new", ANCHOR, CGROUP, RESCTRL, STATE)


def check_id(container_id: str) -> str:
    """`container_id`, or StateError: checked in every command before any use, since it names a directory."""
    if not container_id:
        raise StateError("container id cannot be empty")
    good = len(container_id) <= _LONGEST_ID and container_id[0] in _FIRST and set(container_id) <= _REST
    if not good:
        raise StateError(
            "invalid container ID format: %s" % ascii(container_id)[1:-1],
            fix="use letters, digits and _ + - . (not as the first), at most %d of them" % _LONGEST_ID,
        )
    return container_id


class Directory:
    """The open directory of one container; every file in it is reached through its descriptor."""

    __slots__ = ("container_id", "fd", "root")

    def __init__(self, root: str, container_id: str, fd: int) -> None:
        self.root = root
        self.container_id = container_id
        self.fd = fd

    @property
    def path(self) -> str:
        """For messages and for sockets only."""
        return self.root + "/" + self.container_id

    def name_of(self, name: str) -> str:
        """A short name of a file in here, for sockets, whose names hold 108 bytes at most."""
        return "/proc/self/fd/%d/%s" % (self.fd, name)

    def read(self, name: str, limit: int = 64 << 20) -> bytes:
        """The whole of a regular file; FileNotFoundError when it is missing."""
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.fd)
        try:
            parts = []
            while limit > 0 and (part := os.read(fd, min(limit, 1 << 20))):
                parts.append(part)
                limit -= len(part)
            return b"".join(parts)
        finally:
            os.close(fd)

    def write(self, name: str, data: bytes) -> None:
        """Replace a file in one step.

        Not fsynced: after a power failure the container is gone too, and the boot id says so.
        """
        temporary = name + ".new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(temporary, flags, 0o600, dir_fd=self.fd)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        except OSError:
            os.unlink(temporary, dir_fd=self.fd)
            raise
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def link(self, name: str, text: str) -> None:
        """Keep a short text as a symlink's target: one atomic call, nothing to be cut in half."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            pass
        os.symlink(text, name, dir_fd=self.fd)

    def read_link(self, name: str) -> str:
        """The text kept by `link`; empty when there is none."""
        try:
            return os.readlink(name, dir_fd=self.fd)
        except OSError:
            return ""

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return False
        return True

    def remove_file(self, name: str) -> None:
        """Remove a file; a missing one is fine."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except (FileNotFoundError, IsADirectoryError):
            pass

    def remove_directory(self, name: str) -> None:
        """Remove an empty directory; a missing one is fine."""
        try:
            os.rmdir(name, dir_fd=self.fd)
        except FileNotFoundError:
            pass

    def remove(self) -> None:
        """Remove the directory with what pyoci put there, the record last; foreign directories are not entered.

        Only when something else is in it, it is listed, which takes a descriptor more.
        """
        for name in _FILES:
            self.remove_file(name)
        try:
            os.rmdir(self.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (ENOTEMPTY, EEXIST):
                raise StateError("remove %s: %s" % (self.path, errno_text(error.errno or 0))) from None
            self._remove_what_else_is_there()

    def _remove_what_else_is_there(self) -> None:
        try:
            os.unlink(NOTIFY + "/" + NOTIFY_SOCKET, dir_fd=self.fd)
        except OSError:
            pass
        for name in os.listdir(self.fd):
            try:
                os.unlink(name, dir_fd=self.fd)
            except IsADirectoryError:
                _remove_empty(name, self.fd)
            except FileNotFoundError:
                pass
        try:
            os.rmdir(self.path)
        except OSError as error:
            raise StateError("remove %s: %s" % (self.path, errno_text(error.errno or 0))) from None

    def close(self) -> None:
        """Close the descriptor."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _remove_empty(name: str, dir_fd: int) -> None:
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except OSError as error:
        if error.errno not in (ENOTEMPTY, EEXIST):
            raise


def make_root(root: str) -> None:
    """Make the state root with its parents; it is closed to others and must be our own."""
    try:
        try:
            os.mkdir(root, 0o700)
        except FileNotFoundError:
            os.makedirs(root, 0o700, exist_ok=True)
        except FileExistsError:
            _check_root(root)
    except OSError as error:
        raise StateError(
            "state root %s: %s" % (root, errno_text(error.errno or 0)), fix="name another directory with --root"
        ) from None


def _check_root(root: str) -> None:
    """Who can write to the root can put another container in the place of one (a sticky bit prevents that)."""
    found = os.stat(root)
    if found.st_mode & 0o022 and not found.st_mode & S_ISVTX:
        raise StateError(
            "state root %s: operation not permitted" % root,
            cause="others may write to it (mode %04o)" % (found.st_mode & 0o7777),
            fix="chmod go-w %s, or name another directory with --root" % root,
        )
    if found.st_uid not in (0, os.geteuid()):
        raise StateError(
            "state root %s: operation not permitted" % root,
            cause="it belongs to uid %d" % found.st_uid,
            fix="name another directory with --root",
        )


def make_directory(root: str, container_id: str) -> Directory:
    """Claim the id: mkdir(2) succeeds for one caller only.  StateError when the id is taken."""
    check_id(container_id)
    make_root(root)
    path = root + "/" + container_id
    try:
        os.mkdir(path, 0o711)
    except FileExistsError:
        raise StateError(
            "container with given ID already exists",
            fix="choose another id, or remove the old container: pyoci delete --force %s" % container_id,
        ) from None
    except OSError as error:
        raise StateError("state directory %s: %s" % (path, errno_text(error.errno or 0))) from None
    try:
        return Directory(root, container_id, _open(path))
    except OSError as error:
        os.rmdir(path)
        raise StateError("state directory %s: %s" % (path, errno_text(error.errno or 0))) from None


def open_directory(root: str, container_id: str) -> Directory:
    """The directory of an existing container.  StateError `container does not exist` otherwise."""
    check_id(container_id)
    try:
        return Directory(root, container_id, _open(root + "/" + container_id))
    except OSError as error:
        if error.errno in (ENOENT, ENOTDIR, ELOOP):
            raise StateError(DOES_NOT_EXIST) from None
        raise StateError("container %s: %s" % (container_id, errno_text(error.errno or 0))) from None


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


class Record:
    """What state.json holds; `values` is its object.

    Keys: id, bundle, rootfs, created (RFC 3339), bootId, stage ("creating" or "made"), pid, startTime (field
    22 of /proc/PID/stat), annotations, cgroup (the driver's record), cgroupManager, hooks (poststart and
    poststop), hasProcess, privatePidNamespace, streams (what the descriptors given by the caller are; [] with a
    terminal), intelRdt (pyoci.resctrl.group; only where asked for).
    """

    __slots__ = ("values",)

    def __init__(self, values: "dict[str, Any]") -> None:
        self.values = values

    def save(self, directory: Directory) -> None:
        """Write it, and beside it the least that is needed to clean up."""
        values = self.values
        if values["pid"]:
            directory.link(ANCHOR, "%d:%d" % (values["pid"], values["startTime"]))
        directory.write(STATE, dump(values).encode())


def load_record(directory: Directory) -> Record:
    """The record of a container.  StateError when there is none yet or it is damaged."""
    try:
        values = parse(directory.read(STATE), STATE, ours=True)
    except FileNotFoundError:
        raise StateError(DOES_NOT_EXIST, cause="it has no record") from None
    except (ConfigError, OSError) as error:
        raise _damaged(directory, str(error)) from None
    if not _is_sound(values):
        raise _damaged(directory, "it lacks what every record has")
    return Record(values)  # type: ignore[arg-type]


def _damaged(directory: Directory, cause: str) -> StateError:
    return StateError(
        "the state record of container %s is damaged" % directory.container_id,
        where=directory.path + "/" + STATE,
        cause=cause,
        fix="pyoci delete --force %s removes what is left of it" % directory.container_id,
    )


def _is_sound(values: object) -> bool:
    if type(values) is not dict:
        return False
    kinds = {"id": str, "bundle": str, "bootId": str, "stage": str, "pid": int, "startTime": int, "cgroup": dict}
    return all(type(values.get(key)) is kind for key, kind in kinds.items())


def boot_id() -> str:
    """What tells this boot from every other."""
    fd = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
    text = os.read(fd, 64).decode().strip()
    os.close(fd)
    return text


def timestamp() -> str:
    """Now in UTC, as RFC 3339 with a fraction."""
    now = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + ".%09dZ" % (now % 10**9)
