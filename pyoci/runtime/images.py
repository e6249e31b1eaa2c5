"""The directories that checkpoint and restore share with criu: its images, and its work files and logs."""

import os

from pyoci.errors import UsageError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

DEFAULT = "checkpoint"


class Images:
    """Open directories: `path` of the images, `fd`, and `log_path`, the directory with the log, `work_fd`."""

    __slots__ = ("fd", "log_path", "path", "work_fd")

    def __init__(self, options: "dict[str, Any]", *, make: bool) -> None:
        """Open them, and with `make` the first is made where it is missing.  UsageError."""
        self.path = os.path.abspath(options["image_path"] or DEFAULT)
        self.fd = _open(self.path, "--image-path", make=make)
        self.log_path = self.path
        self.work_fd = -1
        if options["work_path"]:
            self.log_path = os.path.abspath(options["work_path"])
            self.work_fd = _open(self.log_path, "--work-path", make=True)

    def options(self, first: int) -> "dict[str, Any]":
        """For criu, which has the descriptors from `first` on."""
        wanted = {"images_dir_fd": first}
        if self.work_fd >= 0:
            wanted["work_dir_fd"] = first + 1
        return wanted

    def descriptors(self) -> list[int]:
        """Those descriptors, as we have them."""
        return [self.fd] if self.work_fd < 0 else [self.fd, self.work_fd]

    def reopened(self) -> list[int]:
        """The same directories, opened in the mount namespace that this process is in."""
        paths = [self.path] if self.work_fd < 0 else [self.path, self.log_path]
        return [os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path in paths]


class open_to:  # noqa: N801  (reads as a statement: `with open_to(images, gid):`)
    """Let the root of a user namespace search the images while it restores itself: criu opens them as that user.

    By group, so that nobody else can; afterwards all is as before.  `gid` None: nothing is done.
    """

    __slots__ = ("before", "fd", "gid")

    def __init__(self, images: Images, gid: "int | None") -> None:
        self.fd = images.fd
        self.gid = gid
        self.before: os.stat_result | None = None

    def __enter__(self) -> None:
        """Where others may search it already there is nothing to do."""
        found = os.fstat(self.fd)
        if self.gid is not None and not found.st_mode & 0o001:
            self.before = found
            os.fchown(self.fd, -1, self.gid)
            os.fchmod(self.fd, found.st_mode & 0o7707 | 0o010)

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        """Set back what was changed."""
        if self.before is not None:
            os.fchmod(self.fd, self.before.st_mode & 0o7777)
            os.fchown(self.fd, -1, self.before.st_gid)


def _open(path: str, option: str, *, make: bool) -> int:
    """Images hold the memory of the container: nobody else may read them."""
    try:
        if make:
            os.makedirs(path, 0o700, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError("%s: %s" % (path, errno_text(error.errno or 0)), where=option) from None


def check_parent(images: Images, parent: str) -> None:
    """--parent-path is a directory, named from the images: they have to stay together.  UsageError."""
    if parent.startswith("/"):
        raise UsageError(
            "--parent-path must be relative", fix="name it from the directory of --image-path, as ../first"
        )
    try:
        os.close(os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=images.fd))
    except OSError as error:
        raise UsageError(
            "invalid --parent-path: %s/%s: %s" % (images.path, parent, errno_text(error.errno or 0))
        ) from None
