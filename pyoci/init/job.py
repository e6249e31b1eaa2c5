"""What the runtime hands to the child through the fork."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Hook
    from pyoci.init.channel import Channel
    from pyoci.plan.records import Plan


class Job:
    """One container to be made.

    channel: the child's end; runtime_channel: the runtime's, which a child closes first, so that it sees the end
    of file when the runtime dies.  start_socket: the listening socket of a created container, None for `run`.
    state: the container's state for hooks, without pid and status.  filter_program, filter_flags: the seccomp
    filter in the kernel's form, None for no filter.  joined: (descriptor, clone flag, place) of namespaces to
    join, checked by the runtime.  last_fd: the highest descriptor that the program is to inherit.
    """

    __slots__ = (
        "channel", "filter_flags", "filter_program", "joined", "last_fd", "plan", "proc_fd", "runtime_channel",
        "start_socket", "state",
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
        self.joined: list[tuple[int, int, str]] = []
        self.last_fd = 2

    def hooks(self, kind: str) -> "list[Hook]":
        """The hooks of one kind, in order."""
        return self.plan.hooks.get(kind, [])  # type: ignore[return-value]
