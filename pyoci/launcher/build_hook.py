"""Hatchling's build hook: compile the launcher and install it as the command `pyoci`.

A wheel built where a C compiler works holds a static executable and is for that platform; otherwise it holds a
shell script that does the same with one more start of the interpreter.  Set PYOCI_LAUNCHER=script to build
the latter on purpose.  Beside the compiled launcher goes an interpreter of pyoci's own, where libpython can be
linked statically; set PYOCI_INTERPRETER=none to do without.  Run at build time only; nothing here is in the wheel.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FLAGS = ["-std=gnu11", "-Os", "-Wall", "-Wextra", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2"]


class LauncherHook(BuildHookInterface[Any]):
    """Adds the two scripts `pyoci` and `pyoci-boot` to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build both scripts; `version` is `editable` for `pip install -e`."""
        self.scratch = tempfile.mkdtemp(prefix="pyoci-launcher-")
        try:
            self.build(version, build_data)
        except BaseException:
            shutil.rmtree(self.scratch, ignore_errors=True)
            raise

    def build(self, version: str, build_data: dict[str, Any]) -> None:
        """Fill the scratch directory and name its files to hatchling."""
        boot = os.path.join(self.scratch, "pyoci-boot")
        write_boot(self.root, boot, source=self.root if version == "editable" else "")
        command = os.path.join(self.scratch, "pyoci")
        launcher = os.path.join(self.root, "pyoci", "launcher")
        if os.environ.get("PYOCI_LAUNCHER") != "script" and compile_launcher(f"{launcher}/launcher.c", command):
            build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
        else:
            shutil.copyfile(f"{launcher}/launcher.sh", command)
        os.chmod(command, 0o755)
        build_data["shared_scripts"].update({command: "pyoci", boot: "pyoci-boot"})
        snapshot = os.path.join(self.scratch, "snapshot.bin")
        write_snapshot(self.root, snapshot)
        if version != "editable":
            build_data["force_include"][snapshot] = "pyoci/snapshot.bin"
        interpreter = os.path.join(self.scratch, "pyoci-interpreter")
        if "tag" in build_data and build_interpreter(self.root, snapshot, interpreter, boot):
            build_data["shared_scripts"][interpreter] = "pyoci-interpreter"
            build_data["tag"] = build_data["tag"].replace("py3", "cp%d%d" % sys.version_info[:2], 1)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what initialize made; the wheel is written."""
        shutil.rmtree(self.scratch, ignore_errors=True)


def write_boot(root: str, target: str, source: str) -> None:
    """Write pyoci/boot.py as a script whose first line installers replace by their interpreter's path."""
    with open(os.path.join(root, "pyoci", "boot.py"), encoding="utf-8") as file:
        text = file.read()
    marker = 'SOURCE = ""'
    if text.count(marker) != 1:
        raise ValueError("pyoci/boot.py has no line " + marker)
    with open(target, "w", encoding="utf-8") as file:
        file.write("#!python\n" + text.replace(marker, f"SOURCE = {source!r}"))
    os.chmod(target, 0o755)


def write_snapshot(root: str, target: str) -> None:
    """Write the package's modules into one file (pyoci/snapshot.py), without the columns of debug information."""
    maker = os.path.join(root, "pyoci", "launcher", "make_snapshot.py")
    subprocess.run([sys.executable, "-I", "-S", "-X", "no_debug_ranges", maker, root, target], check=True)


def build_interpreter(root: str, snapshot: str, target: str, boot: str) -> bool:
    """Build the interpreter of pyoci's own; False where it cannot be, or PYOCI_INTERPRETER=none says not to."""
    if os.environ.get("PYOCI_INTERPRETER") == "none":
        return False
    builder = os.path.join(root, "pyoci", "launcher", "build_interpreter.py")
    done = subprocess.run(
        [sys.executable, "-I", "-X", "no_debug_ranges", builder, root, snapshot, target, boot], check=False
    )
    return done.returncode == 0


def compile_launcher(source: str, target: str) -> bool:
    """Compile statically, or else dynamically; False, with the reason on stderr, when neither works."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    reason = ""
    for linking in (["-static"], []):
        command = [*compiler, *FLAGS, *linking, "-s", source, "-o", target]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        except OSError as error:
            reason = str(error)
            break
        if result.returncode == 0:
            # It must run here: it gets as far as the script, whose first line names no interpreter yet.
            trial = subprocess.run([target], check=False, capture_output=True, text=True)
            if trial.returncode == 1 and trial.stderr.startswith("pyoci: cannot execute"):
                return True
        reason = result.stderr or "the launcher does not run here"
    sys.stderr.write(f"pyoci: no launcher in C ({reason.strip()[-500:]}); installing the shell script\n")
    return False
