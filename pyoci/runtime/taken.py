"""What a container takes of the host beside cgroups: network devices and a class of service (resctrl).

Few containers take either, so what does the work is loaded only for those.
"""

from pyoci.config.json_text import dump
from pyoci.errors import PyociError
from pyoci.init.channel import DEVICES_MOVED
from pyoci.runtime.container import RESCTRL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.init.channel import Channel
    from pyoci.plan.records import Plan
    from pyoci.resctrl.group import Group
    from pyoci.runtime.container import Directory, Record
    from pyoci.runtime.net_devices import NetDevices


class Taken:
    """Of one container while it is being made; the methods are in the order in which they are called."""

    __slots__ = ("class_of_service", "net_devices", "plan")

    def __init__(self, plan: "Plan") -> None:
        self.plan = plan
        self.class_of_service: Group | None = None
        self.net_devices: NetDevices | None = None

    def find(self) -> None:
        """Refuse what this host cannot give, while nothing exists yet."""
        if self.plan.net_devices:
            from pyoci.runtime.net_devices import check_power

            check_power(self.plan.net_devices)
        if self.plan.intel_rdt is not None:
            from pyoci.resctrl.group import Group

            self.class_of_service = Group.find(self.plan.intel_rdt)

    def note(self, record: "Record", directory: "Directory") -> None:
        """Put into the record what `delete` has to know; the caller saves it."""
        if self.class_of_service is not None:
            record.values["intelRdt"] = self.class_of_service.record
            directory.link(RESCTRL, dump(self.class_of_service.record))

    def make(self, record: "Record", directory: "Directory") -> None:
        """Make the class of service, before there is a process."""
        if self.class_of_service is not None:
            self.class_of_service.make()
            self.note(record, directory)

    def join(self, pid: int) -> None:
        """Put init into the class of service."""
        if self.class_of_service is not None:
            self.class_of_service.join(pid)

    def move_net_devices(self, network_fd: int, channel: "Channel") -> None:
        """Move the devices into the network namespace that init handed over, and tell it."""
        from pyoci.runtime.net_devices import NetDevices

        self.net_devices = NetDevices(network_fd)
        self.net_devices.move(self.plan.net_devices)
        try:
            channel.send(DEVICES_MOVED)
        except OSError:
            pass  # the child is dead; what it said of it is read next

    def finish(self, record: "Record", directory: "Directory") -> None:
        """The container is made: a class of service with a name of its own outlives it from now on."""
        if self.class_of_service is not None:
            self.class_of_service.record["finished"] = True
            self.note(record, directory)

    def leave(self) -> None:
        """The container runs: its devices are its own now, and its network namespace must end when it does."""
        if self.net_devices is not None:
            self.net_devices.close()
            self.net_devices = None

    def give_back(self, error: BaseException) -> None:
        """The container is not made after all, and its processes are dead: what failed is added to the cause.

        The class of service itself is removed by what the record says of it, as in `delete`.
        """
        lost = self.net_devices.give_back() if self.net_devices is not None else []
        if lost and isinstance(error, PyociError):
            error.cause = "; ".join(filter(None, (error.cause, *lost)))
        self.leave()
        if self.class_of_service is not None:
            self.class_of_service.record["finished"] = False
            self.class_of_service.unlock()
