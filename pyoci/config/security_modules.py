"""Which security modules the kernel runs, and what asks for one that it does not.

Loaded only where a configuration names a label.  Only files are read; what cannot be read counts as missing.
"""

from errno import EINVAL

from pyoci.config.fault import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Process

NO_APPARMOR = "AppArmor profile is specified in config, but AppArmor is disabled or not supported"
NO_SELINUX = "selinux label is specified in config, but selinux is disabled or not supported"


def module_faults(process: "Process", at: str, mount_label: str) -> list[Fault]:
    """Labels of a process document at the jq path `at`, and of the mounts, that this kernel cannot apply."""
    found = []
    if process.get("apparmorProfile") and not apparmor_is_enabled():
        fix = "remove it, or boot with apparmor=1 security=apparmor"
        found.append(Fault(at + ".apparmorProfile", NO_APPARMOR, fix))
    for path, label in ((at + ".selinuxLabel", process.get("selinuxLabel")), (".linux.mountLabel", mount_label)):
        if label and not selinux_is_enabled():
            found.append(Fault(path, NO_SELINUX, "remove it, or boot with selinux=1 security=selinux"))
    return found


def apparmor_is_enabled() -> bool:
    """The module answers for itself; before Linux 5.8 it has no file of its own, and sysfs must say it."""
    try:
        with open("/proc/self/attr/apparmor/current", "rb") as file:
            file.read()
    except OSError as error:
        if error.errno == EINVAL:
            return False
    else:
        return True
    return _read("/sys/module/apparmor/parameters/enabled").startswith("Y")


def selinux_is_enabled() -> bool:
    """Its filesystem exists only where the kernel was booted with it."""
    return any(line.split()[-1:] == ["selinuxfs"] for line in _read("/proc/filesystems").splitlines())


def loaded_profiles() -> list[str]:
    """The names of AppArmor's profiles; none where securityfs is not mounted or not ours to read."""
    lines = _read("/sys/kernel/security/apparmor/profiles").splitlines()
    return [line.rpartition(" (")[0] for line in lines]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
