"""The descriptors that a container got from its caller: criu is told not to save them, and given others instead.

`descriptors.json` beside criu's images lists what each was, by number, as runc writes it; pyoci adds files and
terminals of the host in criu's own form.
"""

import os
from stat import S_ISCHR, S_ISREG

from pyoci.config.json_text import dump, parse
from pyoci.errors import ConfigError, OperationError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "descriptors.json"
_PIPE = "pipe:["
_FILE = "file["
_TERMINAL = "tty["
_MOST = 1 << 20
_PTS_MAJORS = range(136, 144)
_TTY_MAJOR = 4


def describe(pid: int, given: "list[str] | None", own_mounts: "set[int]") -> list[str]:
    """What the descriptors of init are, in criu's words where they are the host's.

    given: what they were when the container was made, since a program may have put pipes of its own in their
    place; None where that is not known.  own_mounts: the numbers of the container's mounts.
    """
    if given is None:
        given = [_link(pid, fd) for fd in range(3)]
    result = []
    for fd, text in enumerate(given):
        result.append(text if text.startswith(_PIPE) else _of_the_host(pid, fd, own_mounts) or text)
    return result


def _link(pid: int, fd: int) -> str:
    try:
        return os.readlink("/proc/%d/fd/%d" % (pid, fd))
    except OSError:
        return ""


def _of_the_host(pid: int, fd: int, own_mounts: "set[int]") -> str:
    """What criu calls a file or terminal that is on none of the container's mounts; "" for anything else."""
    try:
        mount = _mount_number(pid, fd)
        node = os.stat("/proc/%d/fd/%d" % (pid, fd))
    except OSError:
        return ""  # closed meanwhile
    if mount in own_mounts:
        return ""
    if S_ISCHR(node.st_mode) and (os.major(node.st_rdev) in _PTS_MAJORS or os.major(node.st_rdev) == _TTY_MAJOR):
        return "%s%x:%x]" % (_TERMINAL, node.st_rdev, node.st_dev)
    if S_ISREG(node.st_mode) or S_ISCHR(node.st_mode):
        return "%s%x:%x]" % (_FILE, mount, node.st_ino)
    return ""


def _mount_number(pid: int, fd: int) -> int:
    with open("/proc/%d/fdinfo/%d" % (pid, fd), "rb") as file:
        for line in file:
            if line.startswith(b"mnt_id:"):
                return int(line.split()[1])
    return -1


def externals(described: list[str]) -> list[str]:
    """Those that criu has to be told of at the checkpoint; it finds out about pipes itself."""
    return sorted({text for text in described if text.startswith((_FILE, _TERMINAL))})


def save(images_fd: int, described: list[str]) -> None:
    """Write the list beside the images."""
    fd = os.open(
        NAME, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=images_fd
    )
    try:
        os.write(fd, dump(described).encode("utf-8", "surrogateescape"))
    finally:
        os.close(fd)


def load(images_fd: int, images: str) -> list[str]:
    """Read the list.  OperationError when it is missing or no list of texts."""
    try:
        fd = os.open(NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=images_fd)
        try:
            data = os.read(fd, _MOST)
        finally:
            os.close(fd)
        described: Any = parse(data, NAME, ours=True)
    except (OSError, ConfigError) as error:
        text = errno_text(error.errno or 0) if isinstance(error, OSError) else error.message
        raise OperationError(
            "%s/%s: %s" % (images, NAME, text),
            where="--image-path",
            cause="every checkpoint writes this file beside criu's images",
            fix="name the directory of a finished checkpoint",
        ) from None
    if type(described) is not list or not all(type(text) is str for text in described):
        raise OperationError("%s/%s: not a list of descriptors" % (images, NAME), where="--image-path")
    return described


def replacements(
    described: list[str], *, last: int, first_inherited: int
) -> "tuple[list[dict[str, Any]], list[int]]":
    """(what criu is to put in the place of each, the descriptors above 2 that it has to be handed for that).

    last: the highest descriptor that our caller gave us for the container; first_inherited: the number in criu
    of the first that is handed over.  OperationError when one is missing.
    """
    pairs: list[dict[str, Any]] = []
    handed: list[int] = []
    for fd, text in enumerate(described):
        if not text.startswith((_PIPE, _FILE, _TERMINAL)):
            continue
        if fd > last:
            raise OperationError(
                "the container had descriptor %d (%s), which it cannot get again" % (fd, text),
                where="--preserve-fds",
                fix="pass it with --preserve-fds %d" % (fd - 2),
            )
        number = fd
        if fd > 2:
            number = first_inherited + len(handed)
            handed.append(fd)
        if all(pair["key"] != text for pair in pairs):  # one pipe as output and error is one file to criu
            pairs.append({"key": text, "fd": number})
    return pairs, handed
