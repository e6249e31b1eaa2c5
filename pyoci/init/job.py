"""What the runtime hands to the child through the fork."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Hook
    from pyoci.init.channel import Channel
    from pyoci.init.executor import Executor
    from pyoci.init.labels import Labels
    from pyoci.plan.records import Plan, ProcessSetup


class ExecJob:
    """One more process for a container that is there.

    channel, runtime_channel, filter_program, filter_flags, executor, last_fd: as in Job.  init_pidfd: the
    container's init.  kinds: the clone flags of the namespaces to join, all at once.  root_fd: init's root where
    the container has no mount namespace, else -1.  terminal: whether the process gets a pty, of `size` (rows,
    columns) or None.  sockets: how many of the descriptors are activation sockets (sd_listen_fds(3)).  labels: as
    in Job, and proc_fd the host's procfs for them, -1 where there are none.
    """

    __slots__ = (
        "channel", "executor", "filter_flags", "filter_program", "init_pidfd", "kinds", "labels", "last_fd",
        "proc_fd", "process", "root_fd", "runtime_channel", "size", "sockets", "terminal",
    )  # fmt: skip

    def __init__(
        self, process: "ProcessSetup", channel: "Channel", runtime_channel: "Channel", init_pidfd: int, kinds: int
    ) -> None:
        self.process = process
        self.channel = channel
        self.runtime_channel = runtime_channel
        self.init_pidfd = init_pidfd
        self.kinds = kinds
        self.root_fd = -1
        self.proc_fd = -1
        self.labels: Labels | None = None
        self.filter_program: bytes | None = None
        self.filter_flags = 0
        self.executor: Executor | None = None
        self.last_fd = 2
        self.sockets = 0
        self.terminal = False
        self.size: tuple[int, int] | None = None


class Job:
    """One container to be made.

    channel: the child's end; runtime_channel: the runtime's, which a child closes first, so that it sees the end
    of file when the runtime dies.  start_socket: the listening socket of a created container, None for `run`.
    state: the container's state for hooks, without pid and status.  filter_program, filter_flags: the seccomp
    filter in the kernel's form, None for no filter.  executor: the thread that executes the program when a
    listener watches it, else None.  joined: (descriptor, clone flag, place) of namespaces to join, checked by the
    runtime.  last_fd: the highest descriptor that the program is to inherit.  labels: what AppArmor and SELinux
    are told of the program, None for nothing.  hook_outputs: as run_hook takes them.
    idmaps: user namespaces with the maps of bind mounts, by config path.  unprivileged: the runtime is not root.
    """

    __slots__ = (
        "channel", "executor", "filter_flags", "filter_program", "hook_outputs", "idmaps", "joined", "labels",
        "last_fd", "plan", "proc_fd", "runtime_channel", "start_socket", "state", "unprivileged",
    )  # fmt: skip

    def __init__(self, plan: "Plan", channel: "Channel", runtime_channel: "Channel", proc_fd: int) -> None:
        self.plan = plan
        self.channel = channel
        self.runtime_channel = runtime_channel
        self.proc_fd = proc_fd
        self.start_socket: Channel | None = None
        self.state: dict[str, object] = {}
        self.filter_program: bytes | None = None
        self.filter_flags = 0
        self.executor: Executor | None = None
        self.hook_outputs = (-1, -1)
        self.joined: list[tuple[int, int, str]] = []
        self.labels: Labels | None = None
        self.last_fd = 2
        self.idmaps: dict[str, int] = {}
        self.unprivileged = os.geteuid() != 0

    def hooks(self, kind: str) -> "list[Hook]":
        """The hooks of one kind, in order."""
        return self.plan.hooks.get(kind, [])  # type: ignore[return-value]
