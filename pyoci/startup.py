"""From a bare interpreter to the command: environment, protection of the interpreter, search path.

Protection: the file behind /proc/self/exe must not be writable from a container (CVE-2019-5736).  Whether it
is, is asked of the kernel each time; no variable and no option can claim it.
"""

import gc
import os
import sys

from pyoci.protection import protection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import NoReturn

KEPT = "PYOCI_KEPT_"  # the launcher's prefix for variables that would have chosen the interpreter's libraries
LAUNCHED = "pyoci"  # -X pyoci: a start by the launcher or protect.py, not tried twice; -X pyoci=env: by launcher.sh

# What may lie outside pyoci's own directory: system packages in a virtual environment, Debian's packages.
DEPENDENCIES = ("click", "jsonschema", "pyroute2", "pyseccomp", "seccomp")


def run(directory: str) -> "NoReturn":
    """Run the command in sys.argv, which ends the process.  `directory` holds the package."""
    isolated = sys.flags.isolated and sys.flags.no_site
    if sys._xoptions.get(LAUNCHED) is not True and not (isolated and protection()):
        from pyoci.protect import start_again

        start_again()
    refuse_unsafe_directory(directory)
    restore_environment()
    sys.meta_path.append(SiteOnDemand())
    gc.disable()  # already now: the imports that follow would start collections
    from pyoci.cli.main import main

    main(sys.argv[1:])


def refuse_unsafe_directory(directory: str) -> None:
    """Root does not run code from a directory in which everybody may put files."""
    if os.geteuid() == 0 and os.stat(directory + "/pyoci").st_mode & 0o002:
        sys.stderr.write("pyoci: %s/pyoci is writable by everybody: refused\n" % directory)
        os._exit(1)


def restore_environment() -> None:
    """Give the variables that the launcher renamed their names back: hooks inherit the caller's environment."""
    kept = [name for name in os.environ if name.startswith(KEPT)]
    if LAUNCHED in sys._xoptions:
        for name in ("LC_ALL", "LD_LIBRARY_PATH"):  # the launcher's own; a caller's are among the kept
            os.environ.pop(name, None)
    for name in kept:
        os.environ[name[len(KEPT) :]] = os.environ.pop(name)


class SiteOnDemand:
    """Import finder of last resort: site-packages are searched only when a dependency is not beside pyoci."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Set up the site directories once, then look again."""
        if name not in DEPENDENCIES or "site" in sys.modules:
            return None
        import site
        from importlib.machinery import PathFinder

        site.main()
        return PathFinder.find_spec(name, path, target)
