"""The id maps of a new user namespace and the clocks of a new time namespace, written from outside."""

import os
from errno import EPERM

from pyoci.errors import ConfigError, HostError, OperationError, errno_text
from pyoci.tables.id_helpers import HELPER_DIRECTORIES, HELPERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.records import Namespaces


def write_maps(pid: int, namespaces: "Namespaces") -> None:
    """Write uid_map, gid_map and timens_offsets of the process `pid` (user_namespaces(7), time_namespaces(7)).

    Without privileges the kernel lets one map one's own id, the group only when setgroups(2) is denied; whatever is
    more is written by newuidmap and newgidmap, which go by /etc/subuid and /etc/subgid.
    """
    if namespaces.uid_map or namespaces.gid_map:
        unprivileged = os.geteuid() != 0
        if unprivileged and is_one(namespaces.gid_map, os.getegid()):
            write_map(pid, "setgroups", "deny", ".linux.gidMappings")
        for key, name, text, own in (
            ("uidMappings", "uid_map", namespaces.uid_map, os.geteuid()),
            ("gidMappings", "gid_map", namespaces.gid_map, os.getegid()),
        ):
            if unprivileged and not is_one(text, own):
                _write_by_helper(pid, key, text, own)
            else:
                write_map(pid, name, text, ".linux." + key)
    if namespaces.offsets:
        write_map(pid, "timens_offsets", namespaces.offsets, ".linux.timeOffsets")


def is_one(text: str, own: int) -> bool:
    """Whether a map has one line that maps one's own id alone."""
    fields = text.split()
    return len(fields) == 3 and fields[1:] == [str(own), "1"]


def check_joined_maps(pid: int, uid_map: str, gid_map: str) -> None:
    """Refuse maps in config.json that are not those of the user namespace that `pid` has joined."""
    for word, wanted in (("uid", uid_map), ("gid", gid_map)):
        fd = os.open("/proc/%d/%s_map" % (pid, word), os.O_RDONLY | os.O_CLOEXEC)
        text = b""
        while part := os.read(fd, 65536):
            text += part
        os.close(fd)
        found = sorted(b" ".join(line.split()).decode() for line in text.splitlines())
        if wanted and found != sorted(wanted.splitlines()):
            raise ConfigError(
                "%sMappings are not those of the user namespace that is joined: invalid argument" % word,
                where=".linux.%sMappings" % word,
                cause="the namespace maps (inside, outside, size) " + ", ".join(found),
                fix="leave the mappings out: a joined user namespace has its own",
            )


def _write_by_helper(pid: int, key: str, text: str, own: int) -> None:
    """Run newuidmap or newgidmap, with nothing of our environment."""
    name, file = HELPERS[key]
    where = ".linux." + key
    for directory in HELPER_DIRECTORIES:
        path = directory + "/" + name
        if os.access(path, os.X_OK):
            break
    else:
        raise HostError(
            "%s: no such file or directory" % name,
            where=where,
            cause="without privileges more than one's own id can be mapped by newuidmap and newgidmap only",
            fix="install them (package uidmap or shadow-utils), or map one container id to host id %d with size 1"
            % own,
        )
    status, output = _run([path, str(pid), *text.split()])
    if status:
        words = "exit status %d" % status if status > 0 else "signal: %d" % -status
        raise HostError(
            "%s: %s: operation not permitted" % (name, words),
            where=where,
            cause="it says: " + output if output else "%s refused %s" % (path, " ".join(text.split())),
            fix="map only ids that %s gives this user, and keep %s set-user-id root" % (file, path),
        )


def _run(argv: list[str]) -> tuple[int, str]:
    """(exit status, minus the number of the signal that ended it; what it printed, in one line)."""
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    null_fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, null_fd, 0), *((os.POSIX_SPAWN_DUP2, write_fd, number) for number in (1, 2))]
    try:
        helper = os.posix_spawn(argv[0], argv, {}, file_actions=actions, setsigmask=())
    finally:
        os.close(write_fd)
        os.close(null_fd)
    output = b""
    while part := os.read(read_fd, 4096):
        output += part
    os.close(read_fd)
    status = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1])
    return status, "; ".join(output.decode("utf-8", "backslashreplace").splitlines())


def write_map(pid: int, name: str, text: str, where: str) -> None:
    """Write one of the files of /proc/PID that say what a namespace maps."""
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
