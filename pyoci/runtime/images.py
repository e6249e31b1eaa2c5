"""The directories that checkpoint and restore share with criu: its images, and its work files and logs."""

import os

from pyoci.errors import OperationError, UsageError, errno_text
from pyoci.kernel.process import keep_only

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, NoReturn

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

    By group, so that nobody else can.  A process of its own sets it back, when we are done or have been killed.
    `gid` None: nothing is done.
    """

    __slots__ = ("fd", "gid", "guard", "pipe")

    def __init__(self, images: Images, gid: "int | None") -> None:
        self.fd = images.fd
        self.gid = gid
        self.guard = 0
        self.pipe = -1

    def __enter__(self) -> None:
        """Where others may search it already there is nothing to do."""
        found = os.fstat(self.fd)
        if self.gid is None or found.st_mode & 0o001:
            return
        read_fd, self.pipe = os.pipe2(os.O_CLOEXEC)
        self.guard = os.fork()
        if self.guard == 0:
            _set_back_at_the_end(self.fd, found, read_fd)
        os.close(read_fd)
        try:
            os.fchown(self.fd, -1, self.gid)
            os.fchmod(self.fd, found.st_mode & 0o7707 | 0o010)
        except OSError as error:
            self.__exit__(type(error), error, None)
            raise

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        """All is as before when this returns."""
        if self.guard:
            os.close(self.pipe)
            _, status = os.waitpid(self.guard, 0)
            if status and kind is None:
                raise OperationError("mode and group of the directory of the images could not be set back")


def _set_back_at_the_end(fd: int, before: os.stat_result, read_fd: int) -> "NoReturn":
    """In the guard: give the directory its mode and group back once the other end of the pipe is closed."""
    try:
        os.setsid()  # whoever kills a whole process group does not mean us
        keep_only([fd, read_fd])  # criu is to see the end of its connection
        os.read(read_fd, 1)
        os.fchmod(fd, before.st_mode & 0o7777)
        os.fchown(fd, -1, before.st_gid)
        os._exit(0)
    finally:
        os._exit(1)


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
