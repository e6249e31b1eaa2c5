"""Where hooks write to when annotations name files: run.oci.hooks.stdout and run.oci.hooks.stderr.

Loaded only for configurations that have them.
"""

import os

from pyoci.config.fault import member
from pyoci.errors import ConfigError, errno_text
from pyoci.tables.annotations import HOOKS_STDERR, HOOKS_STDOUT

_MODE = 0o600  # what a hook prints of a container is for its owner


def open_outputs(annotations: "dict[str, str]") -> tuple[int, int]:
    """Descriptors for the standard output and error of hooks, each -1 where no file is named."""
    return _open(annotations, HOOKS_STDOUT), _open(annotations, HOOKS_STDERR)


def _open(annotations: "dict[str, str]", name: str) -> int:
    path = annotations.get(name, "")
    if not path:
        return -1
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, _MODE)  # a FIFO that nobody reads is an error, not a wait
    except OSError as error:
        raise ConfigError(
            "file for the output of hooks: %s: %s" % (path, errno_text(error.errno or 0)),
            where=member(".annotations", name),
            fix="name a file that can be written",
        ) from None
    os.set_blocking(fd, True)
    return fd
