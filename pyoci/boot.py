"""Where every pyoci process begins: find the package, hand over to `pyoci.startup`.

Run as a script, isolated (-I) and without site-packages (-S), by the launcher.  Installed as `pyoci-boot`
beside the launcher, because installers write the interpreter's path into a script's first line and nowhere
else.  Scripts have no compiled form: this file stays short.
"""

import _signal
import marshal
import os
import sys

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


def use_snapshot(directory: str) -> None:
    """Import the package from its one file, when it is for this interpreter (see pyoci/snapshot.py)."""
    try:
        with open(directory + "/pyoci/snapshot.bin", "rb", 0) as file:
            data = file.read()
    except OSError:
        return
    head = ("pyoci snapshot 1 %s %x\n" % (sys.implementation.cache_tag, sys.hexversion)).encode()
    if data.startswith(head):
        modules, orders = marshal.loads(memoryview(data)[len(head) :])  # noqa: S302  (our own file, beside our own code)
        _, offset, length = modules["pyoci.snapshot"]
        namespace = {"__name__": "pyoci.snapshot"}
        exec(marshal.loads(data[offset : offset + length]), namespace)  # noqa: S102, S302
        namespace["install"](directory, data, modules, orders)  # type: ignore[operator]


if __name__ == "__main__":
    if _signal.getsignal(_signal.SIGINT) is not _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # until there is something to undo: no traceback
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGINT,))  # the launcher blocked it
    sys.dont_write_bytecode = not SOURCE
    directory = package_directory()
    sys.path.append(directory)
    if not SOURCE:
        use_snapshot(directory)
    from pyoci import startup

    startup.run(directory)
