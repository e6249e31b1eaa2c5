"""The interpreter's file cannot be overwritten from a process that sees a stage of the runtime (CVE-2019-5736).

Everything here works on a copy of the interpreter.  The first test of each attack runs it against an unprotected
process and demands that it succeeds: otherwise the others would prove nothing.
"""

import errno
import os
import shutil
import subprocess
import sys
import time

import pytest

from pyoci.errors import SyscallError
from pyoci.kernel.mount import AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE, mount_setattr
from pyoci.kernel.syscall import call

from .host import patience

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAUNCHER = os.path.join(REPOSITORY, "pyoci", "launcher")
PAYLOAD = b"#!/bin/sh\necho overwritten\n"
WITHOUT_SYS_ADMIN = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]
AS_NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]

# A stage of the runtime: it says how it is protected, waits, and becomes the program in its arguments.
STAGE = """#!%(python)s
import os, sys
sys.path.append(%(library)r)
from pyoci import protection
if "unprotected" not in sys.argv and sys._xoptions.get("pyoci") is not True:
    from pyoci.protect import start_again
    start_again()
os.write(1, (protection.protection() or "none").encode() + b"\\n")
os.read(0, 1)
os.execve(sys.argv[-1], [sys.argv[-1]], {"PYTHONHOME": sys.base_prefix})
"""

# What an image would have as its program: the kernel starts the runtime's own file as its interpreter.
SELF_SCRIPT = """#!/proc/self/exe
import os
fd = os.open("/proc/self/exe", os.O_PATH)
os.set_inheritable(fd, True)
attempts = "n=0; while [ $n -lt 20 ]; do echo overwritten >/proc/self/fd/%d && exit 7; n=$((n+1)); done; exit 8"
os.execv("/bin/sh", ["sh", "-c", attempts % fd])
"""


@pytest.fixture
def installation(work):
    """A copied interpreter, both kinds of command and the package, in a folder that everybody may read."""
    bin_folder = os.path.join(work, "bin")
    os.mkdir(bin_folder)
    python = os.path.join(bin_folder, "python3")
    original = os.path.realpath(sys.executable)
    shutil.copy(original, python)
    with open(os.path.join(work, "pyvenv.cfg"), "w") as file:
        file.write("home = %s\n" % os.path.dirname(original))
    library = os.path.join(work, "lib")
    shutil.copytree(
        os.path.join(REPOSITORY, "pyoci"),
        os.path.join(library, "pyoci"),
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    with open(os.path.join(bin_folder, "pyoci-boot"), "w") as file:
        file.write(STAGE % {"python": python, "library": library})
    source = os.path.join(LAUNCHER, "launcher.c")
    subprocess.run(["cc", "-std=gnu11", "-Os", "-static", source, "-o", bin_folder + "/pyoci"], check=True)
    shutil.copy(os.path.join(LAUNCHER, "launcher.sh"), bin_folder + "/pyoci.sh")
    for folder, _, names in os.walk(work):
        os.chmod(folder, 0o755)
        for name in names:
            os.chmod(os.path.join(folder, name), 0o755)
    return bin_folder


def commands(bin_folder):
    return {
        "unprotected": [bin_folder + "/python3", "-I", "-S", bin_folder + "/pyoci-boot", "unprotected"],
        "launcher": [bin_folder + "/pyoci"],
        "shell script": [bin_folder + "/pyoci.sh"],
        "script alone": [bin_folder + "/python3", bin_folder + "/pyoci-boot"],
    }


def content(bin_folder):
    with open(bin_folder + "/python3", "rb") as file:
        return file.read()


class Stage:
    """A stage process that has said how it is protected and waits."""

    def __init__(self, command, program="/bin/true", prefix=()):
        self.process = subprocess.Popen(
            [*prefix, *command, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.protection = self.process.stdout.readline().decode().strip()

    def go_on(self):
        """Let it become its program; the status of that."""
        self.process.communicate(b"x", timeout=patience(20))
        return self.process.returncode


def overwrite_by_proc_exe(stage):
    """The attack: open /proc/PID/exe while it runs, write when nobody runs the file any more; the errors met."""
    errors = set()
    held = os.open("/proc/%d/exe" % stage.process.pid, os.O_PATH)
    try:
        for path in ["/proc/%d/exe" % stage.process.pid, "/proc/self/fd/%d" % held]:
            errors |= write_to(path)
        stage.go_on()
        for _ in range(50):
            errors |= write_to("/proc/self/fd/%d" % held)
            time.sleep(0.001)
    finally:
        os.close(held)
    return errors


def write_to(path):
    try:
        fd = os.open(path, os.O_WRONLY)
    except OSError as error:
        return {error.errno}
    try:
        os.write(fd, PAYLOAD)
    except OSError as error:
        return {error.errno}
    finally:
        os.close(fd)
    return set()


def test_the_attack_through_proc_exe_overwrites_an_unprotected_interpreter(installation):
    stage = Stage(commands(installation)["unprotected"])
    assert stage.protection == "none"
    overwrite_by_proc_exe(stage)
    assert content(installation).startswith(PAYLOAD)


@pytest.mark.parametrize("kind", ["launcher", "shell script", "script alone"])
@pytest.mark.parametrize("prefix", [[], WITHOUT_SYS_ADMIN], ids=["root", "root without CAP_SYS_ADMIN"])
def test_the_attack_through_proc_exe_leaves_a_protected_interpreter_alone(installation, kind, prefix):
    before = content(installation)
    stage = Stage(commands(installation)[kind], prefix=prefix)
    assert stage.protection == ("sealed" if prefix else "read-only")
    errors = overwrite_by_proc_exe(stage)
    assert errors, "each attempt must have failed with an error"
    assert content(installation) == before


def test_a_program_that_names_proc_self_exe_as_its_interpreter_overwrites_an_unprotected_one(installation):
    assert run_self_script(installation, "unprotected") == 7
    assert content(installation).startswith(b"overwritten")


@pytest.mark.parametrize("kind", ["launcher", "shell script", "script alone"])
def test_a_program_that_names_proc_self_exe_as_its_interpreter_cannot_overwrite_a_protected_one(installation, kind):
    before = content(installation)
    assert run_self_script(installation, kind) == 8
    assert content(installation) == before


@pytest.mark.parametrize("kind", ["launcher", "shell script"])
def test_even_root_with_every_capability_cannot_make_the_clone_writable(installation, kind):
    stage = Stage(commands(installation)[kind])
    assert stage.protection == "read-only"
    held = os.open("/proc/%d/exe" % stage.process.pid, os.O_PATH)
    try:
        with pytest.raises(SyscallError) as cloning:
            call("open_tree", held, b"", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)
        with pytest.raises(SyscallError) as changing:
            mount_setattr(held, 0, MOUNT_ATTR_RDONLY)
    finally:
        os.close(held)
        stage.go_on()
    assert (cloning.value.errno, changing.value.errno) == (errno.EINVAL, errno.EINVAL)


def run_self_script(bin_folder, kind):
    script = bin_folder + "/self-script"
    with open(script, "w") as file:
        file.write(SELF_SCRIPT)
    os.chmod(script, 0o755)
    return Stage(commands(bin_folder)[kind], program=script).go_on()


@pytest.mark.parametrize("kind", ["launcher", "shell script", "script alone"])
def test_a_user_who_cannot_write_the_interpreter_needs_no_copy_of_it(installation, kind):
    stage = Stage(commands(installation)[kind], prefix=AS_NOBODY)
    assert stage.protection == "foreign"
    assert os.path.realpath("/proc/%d/exe" % stage.process.pid) == installation + "/python3"
    assert stage.go_on() == 0


@pytest.mark.parametrize("kind", ["launcher", "shell script", "script alone"])
def test_a_user_who_owns_the_interpreter_runs_a_sealed_copy(installation, kind):
    os.chown(installation + "/python3", 65534, 65534)
    stage = Stage(commands(installation)[kind], prefix=AS_NOBODY)
    assert stage.protection == "sealed"
    assert stage.go_on() == 0


ORIGIN_PROGRAM = "int answer(void); int main(void) { return answer(); }"


def test_an_interpreter_that_finds_its_library_beside_itself_still_does(work):
    """A detached clone has no path, so the loader has no $ORIGIN: relocatable Pythons put libpython there."""
    for name in ("bin", "lib"):
        os.mkdir(os.path.join(work, name))
    with open(work + "/answer.c", "w") as file:
        file.write("int answer(void) { return 42; }")
    with open(work + "/main.c", "w") as file:
        file.write(ORIGIN_PROGRAM)
    python = work + "/bin/python3"
    subprocess.run(["cc", "-shared", "-fPIC", work + "/answer.c", "-o", work + "/lib/libanswer.so"], check=True)
    linking = ["-L" + work + "/lib", "-lanswer", "-Wl,-rpath,$ORIGIN/../lib"]
    subprocess.run(["cc", work + "/main.c", "-o", python, *linking], check=True)
    assert subprocess.run([python], check=False).returncode == 42
    with open(work + "/bin/pyoci-boot", "w") as file:
        file.write("#!%s\n" % python)
    os.chmod(work + "/bin/pyoci-boot", 0o755)
    source = os.path.join(LAUNCHER, "launcher.c")
    subprocess.run(["cc", "-std=gnu11", "-Os", "-static", source, "-o", work + "/bin/pyoci"], check=True)
    assert subprocess.run([work + "/bin/pyoci"], check=False).returncode == 42
