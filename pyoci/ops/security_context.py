"""SELinux contexts of mounts: as an option of the filesystem, or as an attribute of its root."""

import os

from pyoci.kernel.mount import path_argument

ATTRIBUTE = "security.selinux"
# The options that SELinux takes from any filesystem's data.  A context has commas in it where it has categories
# (s0:c1,c2), so in the comma-separated data of mount(2) it stands in quotes; fsconfig(2) takes it as it is.
OPTIONS = ("context=", "fscontext=", "defcontext=", "rootcontext=")


def plain(word: str) -> str:
    """A word of config.json as fsconfig(2) takes it: without the quotes that belong to mount(8)."""
    return word.replace('"', "") if word.startswith(OPTIONS) else word


def quoted(word: str) -> str:
    """The same word as it stands in the data of mount(2)."""
    if not word.startswith(OPTIONS):
        return word
    key, _, context = plain(word).partition("=")
    return '%s="%s"' % (key, context)


def set_context(mount_fd: int, context: str) -> None:
    """Give the root of the mount the context itself: for filesystems that take no context as an option."""
    root_fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount_fd)
    try:
        os.setxattr(root_fd, ATTRIBUTE, path_argument(context))
    finally:
        os.close(root_fd)
