"""The mounts of config.json, each attached by descriptor inside the rootfs."""

import os
from errno import EBUSY, EINVAL, ELOOP, ENOENT, ENOTDIR, EPERM
from stat import S_ISDIR

from pyoci.errors import OperationError, SyscallError, errno_text
from pyoci.kernel.mount import (
    AT_FDCWD,
    AT_RECURSIVE,
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_RDONLY,
    MS_REC,
    MS_REMOUNT,
    OPEN_TREE_CLONE,
    filesystem_magic,
    fsconfig_create,
    fsconfig_flag,
    fsconfig_string,
    fsmount,
    fsopen,
    mount,
    mount_setattr,
    move_mount,
    open_tree,
    path_argument,
)
from pyoci.kernel.path import clean, ensure_directory, ensure_file, open_in_root
from pyoci.ops.copy_up import copy_up
from pyoci.ops.security_context import plain, quoted, set_context
from pyoci.tables.mount_options import attr_text, flag_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.ops.context import Context
    from pyoci.ops.idmap import IdMap

PROC_SUPER_MAGIC = 0x9FA0
LONGEST_FSCONFIG_VALUE = 255

# Files of procfs that containers may lay their own over (lxcfs); anything else below /proc is refused.
OVER_PROC = frozenset(
    "/proc/" + name
    for name in (
        "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
        "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
    )
)  # fmt: skip


class MountAttributes:
    """What a mount's options come to, in the kernel's numbers.

    set, clear: MOUNT_ATTR_ bits of the mount; recursive_set, recursive_clear: the same for the whole tree;
    propagation: MS_ flags, one call each, in order.
    """

    __slots__ = ("clear", "explicit_clear", "propagation", "recursive_clear", "recursive_set", "set")

    def __init__(
        self,
        attributes: int = 0,
        clear: int = 0,
        *,
        explicit_clear: int = 0,
        propagation: tuple[int, ...] = (),
        recursive_set: int = 0,
        recursive_clear: int = 0,
    ) -> None:
        self.set = attributes
        self.clear = clear
        self.explicit_clear = explicit_clear
        self.propagation = propagation
        self.recursive_set = recursive_set
        self.recursive_clear = recursive_clear

    def describe(self) -> str:
        """As ` ro nosuid, then MS_SLAVE|MS_REC`; empty when there is nothing to say."""
        text = ""
        if self.set:
            text += " " + _words(self.set)
        if self.clear & ~self.set & ~MOUNT_ATTR__ATIME:
            text += " and no other attribute" if self.set else " without any attribute"
        if self.recursive_set or self.recursive_clear:
            text += ", whole tree: set %s clear %s" % (_words(self.recursive_set), _words(self.recursive_clear))
        for flags in self.propagation:
            text += ", then " + flag_text(flags)
        return text

    def apply_propagation(self, mount_fd: int, detail: str) -> None:
        """The propagation words, each its own call, on the attached mount."""
        for flags in self.propagation:
            mount_setattr(
                mount_fd, 0, 0, propagation=flags & ~MS_REC, recursive=bool(flags & MS_REC), detail=detail
            )

    def apply_recursive(self, mount_fd: int, detail: str) -> None:
        """The r-words (rro, rnosuid, ...)."""
        if self.recursive_set or self.recursive_clear:
            mount_setattr(mount_fd, self.recursive_set, self.recursive_clear, recursive=True, detail=detail)


def _words(attributes: int) -> str:
    """`rdonly nosuid` for 3, `nothing` for 0."""
    return attr_text(attributes).replace("MOUNT_ATTR_", "").replace("|", " ").lower() if attributes else "nothing"


class AttachFilesystem:
    """A new instance of a filesystem (fsopen, fsconfig, fsmount), attached at `destination`."""

    __slots__ = (
        "attributes", "context", "copies_up", "data", "destination", "filesystem", "source", "superblock", "where",
    )  # fmt: skip

    def __init__(
        self,
        where: str,
        destination: str,
        filesystem: str,
        source: str,
        *,
        data: tuple[str, ...] = (),
        superblock: tuple[str, ...] = (),
        attributes: MountAttributes,
        copies_up: bool = False,
        context: str = "",
    ) -> None:
        self.context = context  # SELinux's for the root, where the data cannot hold one
        self.copies_up = copies_up
        self.where = where
        self.destination = destination
        self.filesystem = filesystem
        self.source = source
        self.data = data
        self.superblock = superblock
        self.attributes = attributes

    def describe(self) -> str:
        """As `mount tmpfs on /dev (mode=755 size=65536k) nosuid`."""
        words = " ".join(self.data + self.superblock)
        if self._takes_mode_of_covered():
            words = (words + " mode of the directory it covers, if there").lstrip()
        return "mount %s on %s%s%s%s" % (
            self.filesystem,
            self.destination,
            " (%s)" % words if words else "",
            self.attributes.describe(),
            " (where that is not permitted: bind the host's)" if self.filesystem == "sysfs" else "",
        ) + "%s%s" % (
            ", filled with what it hides" if self.copies_up else "",
            ", labelled %s" % self.context if self.context else "",
        )

    def apply(self, ctx: "Context") -> None:
        """Make the filesystem detached, then attach it on the very directory that was opened."""
        real = self.filesystem in ("proc", "sysfs")
        data = self.data
        if self._takes_mode_of_covered():
            data += _mode_of_covered(ctx, self.destination)
        target_fd = open_mountpoint(ctx, self.destination, directory=True, real=real)
        check_not_over_proc(target_fd, self.destination, self.filesystem == "proc")
        if any(len(path_argument(word)) > LONGEST_FSCONFIG_VALUE for word in data):
            mount_fd = self._mount_the_old_way(ctx, target_fd, data)
        else:
            mount_fd = self._make(data)
            if self.copies_up:
                copy_up(target_fd, mount_fd)
            if self.context:
                set_context(mount_fd, self.context)
            move_mount(mount_fd, target_fd, detail=self.destination)
        self.attributes.apply_propagation(mount_fd, self.destination)
        self.attributes.apply_recursive(mount_fd, self.destination)
        if real:
            ctx.kernel_mounts[clean(self.destination)] = mount_fd
        else:
            os.close(mount_fd)
        os.close(target_fd)

    def _takes_mode_of_covered(self) -> bool:
        return self.filesystem == "tmpfs" and not any(word.startswith("mode=") for word in self.data)

    def _make(self, data: tuple[str, ...]) -> int:
        try:
            return make_filesystem(self.filesystem, self.source, data + self.superblock, self.attributes.set)
        except SyscallError as error:
            if self.filesystem != "sysfs" or error.errno != EPERM:
                raise
        # A user namespace without a network namespace of its own may not mount sysfs: the host's is bound.
        tree_fd = open_tree(AT_FDCWD, b"/sys", OPEN_TREE_CLONE | AT_RECURSIVE)
        mount_setattr(tree_fd, self.attributes.set, 0, recursive=True, detail=self.destination)
        return tree_fd

    def _mount_the_old_way(self, ctx: "Context", target_fd: int, data: tuple[str, ...]) -> int:
        """mount(2), since fsconfig(2) takes no value above 255 bytes (overlay's lowerdir)."""
        target = b"/proc/self/fd/%d" % target_fd
        text = ",".join([quoted(word) for word in data + self.superblock])
        mount(path_argument(self.source), target, path_argument(self.filesystem), 0, path_argument(text))
        mount_fd = open_in_root(ctx.root_fd, self.destination)
        mount_setattr(mount_fd, self.attributes.set, 0, detail=self.destination)
        return mount_fd


def _mode_of_covered(ctx: "Context", destination: str) -> tuple[str, ...]:
    """A tmpfs takes the mode of the directory that it covers, as the image means that place to be.

    () where there is none yet: the directory that is made for the mount says nothing, and the kernel's 1777 is what
    users without root count on.
    """
    try:
        covered_fd = open_in_root(ctx.root_fd, destination)
    except SyscallError:
        return ()  # what else may be wrong, opening the mount point will say
    mode = os.fstat(covered_fd).st_mode & 0o7777
    os.close(covered_fd)
    return ("mode=%o" % mode,)


class AttachTree:
    """A bind mount: a copy of the host's tree at `source`, attached at `destination`."""

    __slots__ = ("attributes", "destination", "early", "idmap", "recursive", "source", "where")

    def __init__(
        self,
        where: str,
        destination: str,
        source: str,
        *,
        recursive: bool,
        attributes: MountAttributes,
        idmap: "IdMap | None" = None,
        early: bool = True,
    ) -> None:
        self.idmap = idmap
        self.early = early  # the source exists before the container does, so it may be opened before the rest
        self.where = where
        self.destination = destination
        self.source = source
        self.recursive = recursive
        self.attributes = attributes

    def describe(self) -> str:
        """As `bind /etc/hosts on /etc/hosts, recursively ro`."""
        deep = ", recursively" if self.recursive else ""
        text = "bind %s on %s%s%s" % (self.source, self.destination, deep, self.attributes.describe())
        return text + self.idmap.describe() if self.idmap is not None else text

    def source_flags(self) -> int:
        """How the source is opened; symlinks in it are the caller's own and are followed."""
        return OPEN_TREE_CLONE | (AT_RECURSIVE if self.recursive else 0)

    def open_target(self, ctx: "Context", *, directory: bool) -> int:
        """The mount point, made where it is missing."""
        return open_mountpoint(ctx, self.destination, directory=directory)

    def open_source(self, user_namespace: int = -1) -> int:
        """The detached copy of the source tree; `user_namespace` has the maps of a mount with an `idmap`."""
        try:
            tree_fd = open_tree(AT_FDCWD, path_argument(self.source), self.source_flags())
            if self.idmap is not None:
                self.idmap.apply(tree_fd, user_namespace, self.source)
            return tree_fd
        except SyscallError as error:
            if error.errno in (ENOENT, ENOTDIR):
                raise OperationError(
                    "bind source %s: %s" % (self.source, errno_text(error.errno)),
                    cause="the source of a bind mount must exist on the host",
                    fix="create %s, or correct .source" % self.source,
                ) from None
            raise

    def apply(self, ctx: "Context") -> None:
        """Copy the tree, set its attributes while nobody can see it, attach it."""
        tree_fd = ctx.sources.pop(self.where, -1)
        if tree_fd < 0:
            tree_fd = self.open_source(ctx.user_namespaces.get(self.where, -1))
        is_directory = S_ISDIR(os.fstat(tree_fd).st_mode)
        target_fd = self.open_target(ctx, directory=is_directory)
        from_proc = (
            filesystem_magic(target_fd) == PROC_SUPER_MAGIC and filesystem_magic(tree_fd) == PROC_SUPER_MAGIC
        )
        check_not_over_proc(target_fd, self.destination, from_proc)
        self._check_same_kind(target_fd, is_directory)
        self._set_attributes(tree_fd)
        self.attributes.apply_recursive(tree_fd, self.destination)
        move_mount(tree_fd, target_fd, detail=self.destination)
        self.attributes.apply_propagation(tree_fd, self.destination)
        os.close(tree_fd)
        os.close(target_fd)

    def _check_same_kind(self, target_fd: int, is_directory: bool) -> None:
        if S_ISDIR(os.fstat(target_fd).st_mode) != is_directory:
            kinds = ("a directory", "a file") if is_directory else ("a file", "a directory")
            raise OperationError(
                "error mounting %s to rootfs at %s: not a directory" % (self.source, self.destination),
                cause="%s is %s, %s in the rootfs is %s" % (self.source, kinds[0], self.destination, kinds[1]),
                fix="a directory is mounted on a directory, a file on a file",
            )

    def _set_attributes(self, tree_fd: int) -> None:
        """Exactly the attributes asked for; those that a more privileged owner locked stay, unless named."""
        wanted = self.attributes
        if not wanted.set and not wanted.clear:
            return
        try:
            mount_setattr(tree_fd, wanted.set, wanted.clear, detail=self.destination)
        except SyscallError as error:
            if error.errno != EPERM:
                raise
            mount_setattr(tree_fd, wanted.set, wanted.explicit_clear, detail=self.destination)


class Remount:
    """Change the flags and data of what is mounted at `destination` (the option `remount`)."""

    __slots__ = ("data", "destination", "flags", "where")

    def __init__(self, where: str, destination: str, flags: int, data: tuple[str, ...]) -> None:
        self.where = where
        self.destination = destination
        self.flags = flags
        self.data = data

    def describe(self) -> str:
        """As `remount /dev/shm MS_NOEXEC (size=1m)`."""
        data = " (%s)" % ",".join(self.data) if self.data else ""
        return "remount %s %s%s" % (self.destination, flag_text(self.flags), data)

    def apply(self, ctx: "Context") -> None:
        """Through the descriptor's name, since the new interface wants every option said again."""
        fd = open_in_root(ctx.root_fd, self.destination)
        data = path_argument(",".join([quoted(word) for word in self.data])) if self.data else None
        mount(None, b"/proc/self/fd/%d" % fd, None, self.flags | MS_REMOUNT, data)
        os.close(fd)


class SealMount:
    """Make the mount at `destination` read-only once everything in it has been made (/dev, tmpfs)."""

    __slots__ = ("destination", "where")

    def __init__(self, where: str, destination: str) -> None:
        self.where = where
        self.destination = destination

    def describe(self) -> str:
        """As `/dev becomes read-only`."""
        return "%s becomes read-only" % self.destination

    def apply(self, ctx: "Context") -> None:
        """EINVAL when the destination is no longer a mount point."""
        fd = open_in_root(ctx.root_fd, self.destination)
        mount_setattr(fd, MOUNT_ATTR_RDONLY, 0, detail=self.destination)
        os.close(fd)


def make_filesystem(filesystem: str, source: str, words: tuple[str, ...], attributes: int) -> int:
    """A detached mount of a new filesystem instance; the kernel's own explanation goes into the error."""
    fs_fd = fsopen(path_argument(filesystem))
    try:
        fsconfig_string(fs_fd, b"source", path_argument(source or filesystem))
        for word in words:
            key, equals, value = plain(word).partition("=")
            if equals:
                fsconfig_string(fs_fd, path_argument(key), path_argument(value))
            else:
                fsconfig_flag(fs_fd, path_argument(key))
        fsconfig_create(fs_fd)
        return fsmount(fs_fd, attributes)
    except SyscallError as error:
        explanation = _kernel_log(fs_fd)
        if not explanation:
            raise
        raise OperationError(
            "mount %s: %s %s: %s" % (filesystem, error.call, error.detail, errno_text(error.errno or 0)),
            cause="the kernel says: " + explanation,
        ) from None
    finally:
        os.close(fs_fd)


def _kernel_log(fs_fd: int) -> str:
    """The messages that the filesystem left on its context, without their level letters."""
    lines: list[str] = []
    while True:
        try:
            line = os.read(fs_fd, 4096)
        except OSError:
            return "; ".join(lines)
        lines.append(line[2:].decode("utf-8", "backslashreplace").strip())


def open_mountpoint(ctx: "Context", destination: str, *, directory: bool, real: bool = False) -> int:
    """An O_PATH descriptor of the mount point inside the rootfs, made where it is missing.

    With `real` no symlink may lead there: an image whose /proc is a symlink would put procfs elsewhere, and
    every mask would miss (CVE-2019-19921, CVE-2023-27561).
    """
    if real:
        try:
            return open_in_root(ctx.root_fd, destination, os.O_PATH | os.O_DIRECTORY, symlinks=False)
        except SyscallError as error:
            if error.errno in (ELOOP, ENOTDIR):
                raise OperationError(
                    "%s must be mounted on ordinary directory: %s" % (destination, errno_text(error.errno)),
                    cause="in the rootfs %s is, or is reached through, a symlink or a file" % destination,
                    fix="make %s a real directory in the image" % destination,
                ) from None
            if error.errno != ENOENT:
                raise
    try:
        return (ensure_directory if directory else ensure_file)(ctx.root_fd, destination)
    except SyscallError as error:
        if error.errno not in (ENOTDIR, EINVAL):
            raise
        raise OperationError(
            "mount point %s: not a directory" % destination,
            cause="something that is not a directory stands at %s or above it in the rootfs" % destination,
            fix="mount a file on a file and a directory on a directory",
        ) from None


def check_not_over_proc(target_fd: int, destination: str, is_proc: bool) -> None:
    """Refuse to hide parts of procfs: labels would be written into what covers them (CVE-2019-16884)."""
    if filesystem_magic(target_fd) != PROC_SUPER_MAGIC or is_proc or clean(destination) in OVER_PROC:
        return
    raise OperationError(
        "cannot mount on %s: it is inside procfs: operation not permitted" % destination,
        cause="what is mounted below /proc could stand in for the files that confine the container",
        fix="only these may be covered: " + " ".join(sorted(OVER_PROC)),
    )


class AttachCgroupTree:
    """The cgroup v2 filesystem; where a user namespace may not mount it, a bind of the container's own part."""

    __slots__ = ("attributes", "bound", "destination", "where")

    def __init__(self, where: str, destination: str, bound: str, attributes: MountAttributes) -> None:
        self.where = where
        self.destination = destination
        self.bound = bound
        self.attributes = attributes

    def describe(self) -> str:
        """As `mount cgroup2 on /sys/fs/cgroup rdonly (where that is not permitted: bind ...)`."""
        text = "mount cgroup2 on %s%s" % (self.destination, self.attributes.describe())
        return text + " (where that is not permitted: bind %s)" % self.bound

    def apply(self, ctx: "Context") -> None:
        """`ro` holds in both ways: a writable host tree is a way out (CVE-2023-25809)."""
        target_fd = open_mountpoint(ctx, self.destination, directory=True)
        check_not_over_proc(target_fd, self.destination, is_proc=False)
        try:
            mount_fd = make_filesystem("cgroup2", "cgroup", (), self.attributes.set)
        except SyscallError as error:
            if error.errno not in (EPERM, EBUSY):
                raise
            mount_fd = open_tree(AT_FDCWD, path_argument(self.bound), OPEN_TREE_CLONE | AT_RECURSIVE)
            mount_setattr(mount_fd, self.attributes.set, 0, recursive=True, detail=self.destination)
        move_mount(mount_fd, target_fd, detail=self.destination)
        self.attributes.apply_propagation(mount_fd, self.destination)
        os.close(mount_fd)
        os.close(target_fd)
