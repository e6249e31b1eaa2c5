"""What the operations act on: descriptors of the tree that becomes the container's root."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Operation(Protocol):
        """One step of a plan."""

        where: str

        def describe(self) -> str:
            """One line that says what `apply` does; pure."""
            ...

        def apply(self, ctx: "Context") -> None:
            """Do it; SyscallError or OperationError when it fails."""
            ...


class Context:
    """The init process's handles while it builds the root.

    root_fd: the root of the detached copy of the rootfs, attached by BindRoot (O_PATH; -1 before).
    proc_fd: the host's procfs, opened before anything of the container exists (O_PATH).
    sources: trees opened before the switch to the container's ids, by config path.
    user_namespaces: those that have the maps of id-mapped mounts which are made here, by config path.
    console_fd: the outer end of the container's pty, made by MakeConsole (-1 without one).
    mask_fd: the one empty read-only tmpfs that covers every masked directory (-1 before the first).
    kernel_mounts: the roots of the procfs and sysfs mounts by destination: masks find them through these, since
        an image that is being written to may move the directory below them and put a symlink in its place.
    in_user_namespace: device nodes cannot be made there, the host's are bound instead.
    """

    __slots__ = (
        "console_fd", "in_user_namespace", "kernel_mounts", "mask_fd", "proc_fd", "root_fd", "sources",
        "user_namespaces",
    )  # fmt: skip

    def __init__(self, proc_fd: int, *, in_user_namespace: bool) -> None:
        self.root_fd = -1
        self.proc_fd = proc_fd
        self.mask_fd = -1
        self.console_fd = -1
        self.sources: dict[str, int] = {}
        self.user_namespaces: dict[str, int] = {}
        self.kernel_mounts: dict[str, int] = {}
        self.in_user_namespace = in_user_namespace
