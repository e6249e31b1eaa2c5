"""Where every pyoci process begins: find the package, hand over to `pyoci.startup`.

Run as a script, isolated (-I) and without site-packages (-S), by the launcher.  Installed as `pyoci-boot`
beside the launcher, because installers write the interpreter's path into a script's first line and nowhere
else.  Scripts have no compiled form: this file stays short.
"""

import _signal
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.snapshot import Snapshot

SOURCE = ""  # an editable installation has the path of the source tree here


def package_directory() -> str:
    """The directory that holds the package `pyoci` which was installed together with this file.

    Covers virtual environments, `--user` and `--prefix` (site-packages), Debian's /usr/local
    (dist-packages), distribution packages (python3/dist-packages), `--target` (the directory above bin) and
    a source tree.
    """
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    library = "/python%d.%d/" % sys.version_info[:2]
    for place in (
        SOURCE or prefix + "/lib" + library + "site-packages",
        prefix + "/lib" + library + "dist-packages",
        prefix + "/local/lib" + library + "dist-packages",
        prefix + "/lib64" + library + "site-packages",
        prefix + "/lib/python3/dist-packages",
        prefix,
    ):
        if os.path.exists(place + "/pyoci/startup.py"):
            return place
    sys.stderr.write("pyoci: the package pyoci is not installed beside %s\n" % os.path.abspath(__file__))
    os._exit(1)


def use_snapshot(directory: str, path: str = "") -> "Snapshot | None":
    """Import the package from its one file, when it is for this interpreter (see pyoci/snapshot.py)."""
    try:
        file = os.open(path or directory + "/pyoci/snapshot.bin", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    if file <= 2:  # a standard stream is closed, and nothing may take its place
        os.close(file)
        return None
    kind = ("pyoci snapshot 3 %s %x " % (sys.implementation.cache_tag, sys.hexversion)).encode()
    head = os.read(file, len(kind) + 32)  # a digest of the code and the length of the index follow, 16 digits each
    if not head.startswith(kind):
        os.close(file)
        return None
    length = int(head[-16:], 16)
    code, modules, orders = marshal.loads(os.read(file, length))  # noqa: S302  (our own file, beside our own code)
    namespace = {"__name__": "pyoci.snapshot"}
    exec(code, namespace)  # noqa: S102
    return namespace["install"](directory, file, head, modules, orders)  # type: ignore[operator, no-any-return]


def begin(directory: str) -> None:
    """Run the command of the package in `directory`, which ends the process."""
    if _signal.getsignal(_signal.SIGINT) is not _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # until there is something to undo: no traceback
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGINT,))  # the launcher blocked it
    sys.dont_write_bytecode = not SOURCE
    sys.path.append(directory)
    try:
        if not SOURCE and "pyoci.startup" not in sys.modules:  # it is part of an image
            use_snapshot(directory)
        from pyoci import startup
    except Exception as error:
        text = "pyoci: cannot begin: %s: %s\n  at: %s\n  fix: the installation is damaged: install pyoci again\n"
        os.write(2, (text % (type(error).__name__, error, directory)).encode("utf-8", "surrogateescape"))
        os._exit(1)
    startup.run(directory)


if __name__ == "__main__":
    begin(package_directory())
