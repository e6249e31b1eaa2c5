"""Labels of security modules, looked at before anything is made.  Loaded only where a configuration names one."""

from pyoci.config.security_modules import module_faults
from pyoci.errors import HostError
from pyoci.init.labels import Labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config
    from pyoci.plan.records import ProcessSetup


def require_modules(config: "Config", *, at: str = ".process", mounts: bool = True) -> None:
    """HostError where the kernel does not run the module that a label is for; `mounts`: theirs as well.

    `at`: the jq path of the process in the document that it comes from.
    """
    mount_label = config.get("linux", {}).get("mountLabel", "") if mounts else ""
    for fault in module_faults(config.get("process", {}), at, mount_label):  # type: ignore[arg-type]
        raise HostError(fault.message, where=fault.path, fix=fault.fix)


def labels_of(setup: "ProcessSetup | None") -> Labels | None:
    """What init tells the modules; None when there is nothing to tell."""
    if setup is None or not (setup.apparmor or setup.selinux):
        return None
    return Labels(setup.apparmor, setup.selinux)
