"""Build `pyoci-interpreter`: `build_interpreter.py SOURCE_TREE SNAPSHOT TARGET BOOT`.  Run at build time only.

Needs a C compiler and the static libpython of the very interpreter that runs this file (Debian: libpython3-dev).
Ends with 1, and the reason on stderr, where there is none or what was built does not work: pyoci then runs on the
interpreter as it is, a few milliseconds slower (docs/adr/0014-core-interpreter.md).
"""

import marshal
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_image  # type: ignore[import-not-found]  # a script beside this one, and this one runs isolated

FLAGS = ["-std=gnu11", "-O2", "-Wall", "-fstack-protector-strong", "-no-pie", "-s"]
LINKING = ["-Wl,--export-dynamic", "-Wl,-z,relro,-z,now", "-Wl,-z,separate-code"]
SHARED = ("-lc", "-lm", "-ldl", "-lpthread", "-lutil")


def library() -> str:
    """The path of the static libpython; "" where it is not installed."""
    place = sysconfig.get_config_var("LIBPL") or ""
    path = os.path.join(place, "libpython%d.%d.a" % sys.version_info[:2])
    return path if os.path.exists(path) else ""


def compiled_code(tree: str, boot: str) -> bytes:
    """The marshalled code of pyoci/core.py and of the boot script, without docstrings."""
    codes = []
    for name, path in (("core.py", os.path.join(tree, "pyoci", "core.py")), ("boot.py", boot)):
        with open(path, encoding="utf-8") as file:
            codes.append(compile(file.read(), "pyoci/" + name, "exec", dont_inherit=True, optimize=2))
    return marshal.dumps(tuple(codes))


def command_line(tree: str, scratch: str, target: str, *, static: bool, image: bool) -> list[str]:
    """The compiler's command line; `static`: with all libraries linked in that are not glibc's own.

    With `image` the program can be made an image of; without, it has no array for that.
    """

    def words(name: str) -> list[str]:
        """Libraries; the directories that a build adds would be searched at every start."""
        return [word for word in shlex.split(str(sysconfig.get_config_var(name) or "")) if word.startswith("-l")]

    libraries = [*words("LIBS"), *words("SYSLIBS"), *words("MODLIBS")]
    return [
        *shlex.split(os.environ.get("CC", "cc")),
        *FLAGS,
        *LINKING,
        "-I" + scratch,
        "-I" + sysconfig.get_path("include"),
        "-DEXPECTED_HEX=%#x" % sys.hexversion,
        '-DDYNLOAD="%s"' % (sysconfig.get_config_var("DESTSHARED") or ""),
        '-DSUFFIX="%s"' % sysconfig.get_config_var("EXT_SUFFIX"),
        "-DWITH_IMAGE=%d" % image,
        os.path.join(tree, "pyoci", "launcher", "interpreter.c"),
        "-o",
        target,
        library(),
        *["-l:lib%s.a" % word[2:] if static and word not in SHARED else word for word in libraries],
        # last: its array is to end the data segment
        *[os.path.join(tree, "pyoci", "launcher", "heap.c") for _ in range(image)],
    ]


def works(tree: str, snapshot: str, boot: str, scratch: str, program: str) -> str:
    """Why the program is no good; "" when it is: it must run a small command and one that needs everything."""
    scratch = tempfile.mkdtemp(dir=scratch)
    bin_directory = os.path.join(scratch, "trial", "bin")
    place = os.path.join(scratch, "trial", "lib", "python%d.%d" % sys.version_info[:2], "site-packages", "pyoci")
    os.makedirs(bin_directory)
    os.mkdir(os.path.join(scratch, "root"))
    boot = shutil.copy(boot, os.path.join(bin_directory, "pyoci-boot"))
    shutil.copytree(os.path.join(tree, "pyoci"), place, ignore=shutil.ignore_patterns("__pycache__", "launcher"))
    shutil.copy(snapshot, os.path.join(place, "snapshot.bin"))
    for arguments, expected in (
        (["--root", scratch + "/root", "list", "-q"], ""),
        (["--version"], "pyoci version "),
    ):
        command = [sys.executable, "-I", "-S", "-Xpyoci", boot, *arguments]
        done = subprocess.run(command, executable=program, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0 or not done.stdout.startswith(expected) or done.stderr:
            return "%s: status %d: %s" % (" ".join(arguments), done.returncode, done.stderr)
    return ""


def build(tree: str, snapshot: str, target: str, boot: str, *, image: bool = True) -> str:
    """Write the program to `target`, with its image where there can be one; why there is nothing, or ""."""
    if not library():
        return "no static libpython (Debian: libpython3-dev)"
    with tempfile.TemporaryDirectory(prefix="pyoci-interpreter-") as scratch:
        with open(os.path.join(scratch, "core_code.h"), "w", encoding="ascii") as header:
            numbers = ",".join(map(str, compiled_code(tree, boot)))
            header.write("static const unsigned char core_code[] = {%s};\n" % numbers)
        program = os.path.join(scratch, "pyoci-interpreter")
        try:
            reason = ""
            for static in (True, False):
                command = command_line(tree, scratch, program, static=static, image=False)
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                reason = done.stderr if done.returncode else ""
                if not reason:
                    reason = works(tree, snapshot, boot, scratch, program)
                    break
            if not reason and image:
                program = with_image(tree, snapshot, boot, scratch, program, static=static)
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        if not reason:
            shutil.copy(program, target)
        return reason


def with_image(tree: str, snapshot: str, boot: str, scratch: str, program: str, *, static: bool) -> str:
    """The path of a program with pyoci loaded; where that fails, of the one there is, with a word on stderr."""
    raw, made = program + "-raw", program + "-image"
    try:
        command = command_line(tree, scratch, raw, static=static, image=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise make_image.NoImage(done.stderr.strip()[-500:])
        make_image.make(tree, raw, snapshot, scratch, made)
        reason = works(tree, snapshot, boot, scratch, made)
    except make_image.NoImage as error:
        reason = str(error)
    if not reason:
        return made
    sys.stderr.write("pyoci: no image of the interpreter (%s): it starts some milliseconds slower\n" % reason)
    return program


if __name__ == "__main__":
    problem = build(*sys.argv[1:5], image=os.environ.get("PYOCI_INTERPRETER") != "core")
    if problem:
        sys.exit(
            "pyoci: no interpreter of its own (%s); using %s as it is" % (problem.strip()[-500:], sys.executable)
        )
