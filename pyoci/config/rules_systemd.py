"""What is wrong with a configuration for the systemd cgroup driver; loaded only where that is in use."""

from pyoci.config.fault import Fault, member
from pyoci.errors import ConfigError
from pyoci.systemd.annotations import PREFIX, unit_property
from pyoci.systemd.names import split_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config


def systemd_faults(config: "Config", found: list[Fault]) -> None:
    """Append what is wrong with cgroupsPath, which names a unit, and the annotations that are its properties."""
    try:
        split_path(config.get("linux", {}).get("cgroupsPath"), "id", user=False)
    except ConfigError as error:
        found.append(Fault(error.where, error.message, error.fix))
    for name, text in config.get("annotations", {}).items():
        if name.startswith(PREFIX):
            try:
                unit_property(name[len(PREFIX) :], text)
            except ConfigError as error:
                found.append(Fault(member(".annotations", name), error.message, error.fix))
