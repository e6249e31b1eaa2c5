"""What a plan needs to know of the host, as one value."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.layout import Layout


class Facts:
    """The host as the plan sees it.

    capabilities: bit mask of what the kernel knows and the runtime may give (its own bounding set); kcore:
    whether /proc/kcore exists; layout: the cgroup hierarchies.
    """

    __slots__ = ("capabilities", "kcore", "layout")

    def __init__(self, layout: "Layout", capabilities: int, *, kcore: bool = True) -> None:
        self.layout = layout
        self.capabilities = capabilities
        self.kcore = kcore
