"""Open the namespaces that a config names by path, and make sure that they are what it says."""

import os
from fcntl import ioctl

from pyoci.errors import ConfigError, PyociError, errno_text
from pyoci.kernel.mount import filesystem_magic
from pyoci.kernel.process import NS_GET_NSTYPE
from pyoci.tables.namespaces import CLONE_FLAGS, PROC_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.records import JoinedNamespace, Namespaces

NSFS_MAGIC = 0x6E736673


def open_namespaces(namespaces: "Namespaces") -> list[tuple[int, int, str]]:
    """(descriptor, clone flag, place) of each namespace to join.  ConfigError when a path is another thing."""
    opened: list[tuple[int, int, str]] = []
    for joined in namespaces.joined:
        flag = CLONE_FLAGS[joined.kind]
        opened.append((_open(joined, flag), flag, joined.where))
    return opened


def _open(joined: "JoinedNamespace", flag: int) -> int:
    """Opening must not wait: the path may be a FIFO."""
    try:
        fd = os.open(joined.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise ConfigError(
            "namespace path %s: %s" % (joined.path, errno_text(error.errno or 0)),
            where=joined.where + ".path",
            fix="name an existing namespace, such as /proc/PID/ns/%s" % joined.kind,
        ) from None
    try:
        found = ioctl(fd, NS_GET_NSTYPE) if filesystem_magic(fd) == NSFS_MAGIC else 0
    except OSError:
        found = 0
    if found != flag:
        os.close(fd)
        others = [kind for kind, value in CLONE_FLAGS.items() if value == found]
        what = "a %s namespace" % others[0] if others else "no namespace"
        raise ConfigError(
            "namespace path %s: it is %s, not a %s namespace: invalid argument" % (joined.path, what, joined.kind),
            where=joined.where + ".path",
            fix="give the path of a %s namespace, or correct .type" % joined.kind,
        )
    return fd


def name_exhausted(error: PyociError, kinds: list[str]) -> None:
    """Say in `error` which limit on namespaces is used up, where one of those asked for may not be had at all."""
    spent = []
    for kind in kinds:
        knob = "max_%s_namespaces" % PROC_NAMES[kind]
        try:
            fd = os.open("/proc/sys/user/" + knob, os.O_RDONLY | os.O_CLOEXEC)
            if int(os.read(fd, 32)) == 0:
                spent.append("user." + knob)
            os.close(fd)
        except (OSError, ValueError):
            continue
    if spent:
        error.cause = "%s is 0: no namespace of this type may be made" % " and ".join(spent)
        error.fix = "raise the sysctl %s" % " and ".join(spent)
