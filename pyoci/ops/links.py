"""Bind mounts that take a symlink for what it is: src-nofollow, dest-nofollow and copy-symlink, words of crun."""

import os
from errno import ENOENT
from stat import S_ISLNK

from pyoci.errors import OperationError, SyscallError
from pyoci.kernel.mount import AT_FDCWD, AT_SYMLINK_NOFOLLOW
from pyoci.kernel.path import O_NOFOLLOW, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, open_parent, openat2
from pyoci.ops.mounts import AttachTree
from pyoci.ops.nodes import MakeSymlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.ops.context import Context
    from pyoci.ops.idmap import IdMap
    from pyoci.ops.mounts import MountAttributes


class AttachLink(AttachTree):
    """A bind mount of a symlink at the source, or on one at the destination."""

    __slots__ = ("at_destination", "at_source")

    def __init__(
        self,
        where: str,
        destination: str,
        source: str,
        *,
        recursive: bool,
        attributes: "MountAttributes",
        idmap: "IdMap | None" = None,
        at_source: bool,
        at_destination: bool,
    ) -> None:
        super().__init__(where, destination, source, recursive=recursive, attributes=attributes, idmap=idmap)
        self.at_source = at_source
        self.at_destination = at_destination

    def describe(self) -> str:
        """As `bind /etc/localtime on /etc/localtime, a symlink at the source is bound itself`."""
        text = super().describe()
        if self.at_source:
            text += ", a symlink at the source is bound itself"
        if self.at_destination:
            text += ", a symlink at the destination is covered itself"
        return text

    def source_flags(self) -> int:
        """Without following the last link."""
        return super().source_flags() | (AT_SYMLINK_NOFOLLOW if self.at_source else 0)

    def open_target(self, ctx: "Context", *, directory: bool) -> int:
        """The link itself, where there is one; else as ever."""
        if self.at_destination:
            parent_fd, name = open_parent(ctx.root_fd, self.destination)
            try:
                return openat2(
                    parent_fd, name, O_PATH | O_NOFOLLOW, resolve=RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
                )
            except SyscallError as error:
                if error.errno != ENOENT:
                    raise
            finally:
                os.close(parent_fd)
        return super().open_target(ctx, directory=directory)


class CopyLink(AttachLink):
    """The symlink at the source made anew at the destination; what is no symlink is bound."""

    __slots__ = ()

    def describe(self) -> str:
        """As `bind /etc/localtime on /etc/localtime, or make the same symlink there if it is one`."""
        return super().describe() + ", or make the same symlink there if it is one"

    def open_source(self, user_namespace: int = -1) -> int:
        """The symlink itself, not mounted; else as ever.  By whoever may read it, as every source."""
        try:
            fd = openat2(AT_FDCWD, self.source, O_PATH | O_NOFOLLOW)
        except SyscallError as error:
            if error.errno != ENOENT:
                raise
            return super().open_source(user_namespace)  # it says what is missing
        if S_ISLNK(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        return super().open_source(user_namespace)

    def apply(self, ctx: "Context") -> None:
        """What stands at the destination already must be that very link."""
        source_fd = ctx.sources.pop(self.where, -1)
        if source_fd < 0:
            source_fd = self.open_source()
        if not S_ISLNK(os.fstat(source_fd).st_mode):
            ctx.sources[self.where] = source_fd
            super().apply(ctx)
            return
        target = os.readlink("", dir_fd=source_fd)
        os.close(source_fd)
        MakeSymlink(self.where, self.destination, target).apply(ctx)
        parent_fd, name = open_parent(ctx.root_fd, self.destination)
        try:
            there = os.readlink(name, dir_fd=parent_fd)
        except OSError:
            there = ""
        finally:
            os.close(parent_fd)
        if there != target:
            raise OperationError(
                "symlink %s -> %s: file exists" % (self.destination, target),
                cause="something else stands at %s in the rootfs" % self.destination,
                fix="remove it there, or leave copy-symlink out",
            )
