"""The text of --version."""

import os

from pyoci import __version__

SPEC_VERSION = "1.3.0"
_LIBRARY_DIRS = ("/usr/lib/%s-linux-gnu", "/lib/%s-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib")


def text() -> str:
    """The version of pyoci, of the specification, and of libseccomp where it is found.

    Callers take what follows the word `version`, so it stands on one line only.
    """
    lines = ["pyoci version " + __version__, "commit: unknown", "spec: " + SPEC_VERSION]
    libseccomp = _libseccomp_version()
    if libseccomp:
        lines.append("libseccomp: " + libseccomp)
    return "\n".join(lines) + "\n"


def _libseccomp_version() -> str:
    """The version in the file name behind libseccomp.so.2, which is cheaper than loading the library."""
    machine = os.uname().machine
    for pattern in _LIBRARY_DIRS:
        directory = pattern % machine if "%" in pattern else pattern
        try:
            target = os.readlink(os.path.join(directory, "libseccomp.so.2"))
        except OSError:
            continue
        return os.path.basename(target).removeprefix("libseccomp.so.")
    return ""
