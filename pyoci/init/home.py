"""HOME from the image's /etc/passwd: an untrusted file, read within bounds and without the C library's NSS."""

import os
import stat

from pyoci.errors import SyscallError
from pyoci.kernel.path import open_in_root

LARGEST_PASSWD = 1 << 20


def with_home(env: list[str], home: str) -> list[str]:
    """`env`, with HOME where it has none or an empty one."""
    if not home or any(entry.startswith("HOME=") and len(entry) > len("HOME=") for entry in env):
        return env
    return [entry for entry in env if entry != "HOME="] + ["HOME=" + home]


def home_of(root_fd: int, uid: int) -> str:
    """The home directory of `uid`, `/` when the image does not say (passwd(5)).

    A FIFO, a device or a symlink that leads out of the root never blocks and is never followed
    (CVE-2026-47262).
    """
    try:
        fd = open_in_root(root_fd, "/etc/passwd", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except SyscallError:
        return "/"
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return "/"
        text = os.read(fd, LARGEST_PASSWD)
    except OSError:
        return "/"
    finally:
        os.close(fd)
    wanted = b"%d" % uid
    for line in text.split(b"\n"):
        fields = line.split(b":")
        if len(fields) >= 6 and fields[2] == wanted:
            return os.fsdecode(fields[5]) or "/"
    return "/"
