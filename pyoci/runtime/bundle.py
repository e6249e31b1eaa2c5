"""A bundle: its directory, its config.json, read once, and its rootfs."""

import os
from errno import ENOENT
from stat import S_ISDIR

from pyoci.config.load import load_config
from pyoci.errors import ConfigError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.config.types import Config


class Bundle:
    """path: absolute, symlinks resolved; config: checked; data: its bytes; rootfs: absolute, symlinks resolved."""

    __slots__ = ("config", "data", "path", "rootfs")

    def __init__(self, path: str, config: "Config", data: bytes, rootfs: str) -> None:
        self.path = path
        self.config = config
        self.data = data
        self.rootfs = rootfs


def open_bundle(
    path: str, warn: "Callable[[str], None]", *, name: str = "config.json", systemd: bool = False
) -> Bundle:
    """Read and check the bundle in the directory `path`.  ConfigError with the first fault."""
    resolved = os.path.realpath(path)
    try:
        fd = os.open(resolved, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            "bundle %s: %s" % (path, errno_text(error.errno or ENOENT)),
            where="--bundle",
            fix="name a directory that holds a config.json and a root filesystem",
        ) from None
    try:
        config, data = load_config(fd, warn, name=name, systemd=systemd)
    finally:
        os.close(fd)
    return Bundle(resolved, config, data, _find_rootfs(resolved, config))


def _find_rootfs(bundle: str, config: "Config") -> str:
    """The rootfs with its symlinks resolved, once: what it leads to later does not matter any more."""
    wanted = config["root"]["path"]
    path = os.path.realpath(wanted if wanted.startswith("/") else bundle + "/" + wanted)
    try:
        is_directory = S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        raise ConfigError(
            "rootfs %s: %s" % (path, errno_text(error.errno or ENOENT)),
            where=".root.path",
            fix="create it, or correct .root.path",
        ) from None
    if not is_directory:
        raise ConfigError("rootfs %s: not a directory" % path, where=".root.path", fix="name a directory")
    return path
