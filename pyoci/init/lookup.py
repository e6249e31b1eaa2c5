"""Find the program as execvp would, in the container and with the container's credentials."""

import os
import stat
from errno import EACCES, ENOENT, ENOTDIR

from pyoci.errors import OperationError, errno_text

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find_program(name: str, env: list[str]) -> str:
    """The path to execute for `name`.

    A name with a slash is used as it is; another is looked up in the PATH of `env`.  The messages' words are
    those that engines turn into exit statuses 126 and 127.
    """
    if "/" in name:
        error = _why_not(name)
        if error:
            raise _refused(name, name, error)
        return name
    denied = ""
    for directory in _search_path(env).split(":"):
        candidate = (directory or ".") + "/" + name
        error = _why_not(candidate)
        if not error:
            return candidate
        if error == EACCES and not denied:
            denied = candidate
    if denied:
        raise _refused(name, denied, EACCES)
    raise OperationError(
        'exec: "%s": executable file not found in $PATH' % name,
        cause="no directory of PATH=%s has an executable file of that name" % _search_path(env),
        fix="correct .process.args[0], or PATH in .process.env",
    )


def _search_path(env: list[str]) -> str:
    for entry in reversed(env):
        if entry.startswith("PATH="):
            return entry[len("PATH=") :]
    return DEFAULT_PATH


def _why_not(path: str) -> int:
    """0 when `path` can be executed, else the errno that says why not."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return error.errno or ENOENT
    if stat.S_ISDIR(mode) or not os.access(path, os.X_OK, effective_ids=True):
        return EACCES
    return 0


def _refused(name: str, path: str, error: int) -> OperationError:
    if error in (ENOENT, ENOTDIR):
        return OperationError(
            'exec: "%s": stat %s: %s' % (name, path, errno_text(error)),
            cause="there is no such file in the container's root",
            fix="correct .process.args[0]",
        )
    if error == EACCES and os.path.isdir(path):
        return OperationError(
            'exec: "%s": is a directory: permission denied' % path, fix="correct .process.args[0]"
        )
    return OperationError(
        'exec: "%s": %s' % (path, errno_text(error)),
        cause="the file is not executable for the user of the process",
        fix="chmod +x the file in the image, or name another user or program",
    )
