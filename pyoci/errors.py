"""Every error pyoci raises on purpose, as one tree.

    PyociError            what the user reads: one line, then place, cause and fix
      UsageError          the command line is wrong
      ConfigError         config.json (or another input document) is wrong: the place is a jq path
      StateError          no such container, it exists already, or it is in the wrong status
      HostError           this host cannot do what was asked: names the feature
      OperationError      a step of the plan failed: phase, step, system call, errno
      HookError           a hook failed: kind, index, path, exit status, its last words
    SyscallError(OSError) raised only by pyoci.kernel; callers add the meaning

Engines parse the one-line message (podman, dockerd and containerd search it for the kernel's words), so it
carries the kernel's wording of the errno that happened and of no other one.  Whatever helps a person beyond
that travels in `where`, `line`, `column`, `cause` and `fix`: further lines on a terminal, further keys in a
JSON log.
"""

import os
from errno import errorcode

EXIT_FAILURE = 1
EXIT_EXEC_FAILURE = 255


def errno_text(number: int) -> str:
    """The kernel's words for an errno, with a small first letter, as callers search for them."""
    text = os.strerror(number)
    return text[:1].lower() + text[1:]


def errno_name(number: int) -> str:
    """ENOENT for 2; `errno 4711` for a number without a name."""
    return errorcode.get(number, "errno %d" % number)


class PyociError(Exception):
    """An error with a message of one line and, where known, its place, cause and fix.

    `where` is a jq path into the document (`.mounts[4].type`) or a file; `line` and `column` count from 1,
    0 stands for unknown.
    """

    def __init__(
        self, message: str, *, where: str = "", cause: str = "", fix: str = "", line: int = 0, column: int = 0
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.cause = cause
        self.fix = fix
        self.line = line
        self.column = column

    def details(self) -> dict[str, str | int]:
        """The keys beside the message that are known, in the order in which they are printed."""
        known: dict[str, str | int] = {}
        for key in ("where", "line", "column", "cause", "fix"):
            value = getattr(self, key)
            if value:
                known[key] = value
        return known


class UsageError(PyociError):
    """The command line is wrong."""


class ConfigError(PyociError):
    """An input document (config.json, process.json, resources.json) is wrong."""


class StateError(PyociError):
    """No such container, the id is taken, or the container's status does not allow the command."""


class HostError(PyociError):
    """The host cannot do what was asked."""


class OperationError(PyociError):
    """A step that the plan ordered failed."""


class HookError(PyociError):
    """A hook failed, was killed or ran past its timeout."""


class SyscallError(OSError):
    """A system call failed.  `call` is its name, `detail` what it worked on."""

    def __init__(self, number: int, call: str, detail: str = "") -> None:
        super().__init__(number, errno_text(number))
        self.call = call
        self.detail = detail

    def __str__(self) -> str:
        subject = self.call + " " + self.detail if self.detail else self.call
        return subject + ": " + errno_text(self.errno or 0)
