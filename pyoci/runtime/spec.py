"""`pyoci spec`: write a config.json to start from; one that is there already stays."""

import os
from errno import EEXIST, ELOOP

from pyoci.config.json_text import dump_pretty
from pyoci.default_spec import make_default_spec, make_rootless_spec
from pyoci.errors import PyociError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call


def main(call: "Call") -> int:
    """Write config.json into the bundle, or where --file says, with the caller's umask."""
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    if call.options["rootless"]:
        spec = make_rootless_spec(unified_cgroups=unified, host_uid=os.geteuid(), host_gid=os.getegid())
    else:
        spec = make_default_spec(unified_cgroups=unified)
    path = call.options["file"] or os.path.join(call.options["bundle"], "config.json")
    write_new(path, dump_pretty(spec, "\t").encode(), 0o666 & ~call.umask)
    return 0


def write_new(path: str, data: bytes, mode: int) -> None:
    """Write a file that must not exist yet, not even as a link; a half-written one is removed again."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in (EEXIST, ELOOP):
            raise PyociError("File %s exists. Remove it first" % os.path.basename(path), where=path)
        raise PyociError("create %s: %s" % (path, errno_text(error.errno or 0)))
    try:
        os.fchmod(fd, mode)
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
    except OSError as error:
        os.unlink(path)
        raise PyociError("write %s: %s" % (path, errno_text(error.errno or 0)))
    finally:
        os.close(fd)
