"""The launcher, compiled and as a shell script: what the interpreter gets, and what the caller's words become."""

import json
import os
import shutil
import subprocess
import sys

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCES = os.path.join(REPOSITORY, "pyoci", "launcher")
# Prints what it finds before and after pyoci has put the environment right.
BOOT = """#!%s
import json, os, sys
sys.path.append(%r)
from pyoci import startup
before = dict(os.environ)
startup.restore_environment()
print(json.dumps({"argv": sys.argv, "before": before, "after": dict(os.environ), "isolated": sys.flags.isolated,
    "no_site": sys.flags.no_site, "utf8": sys.flags.utf8_mode, "executable": sys.executable,
    "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))}))
"""


@pytest.fixture(scope="module", params=["launcher.c", "launcher.sh"])
def command(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bin")
    target = str(folder / "pyoci")
    if request.param == "launcher.c":
        if not shutil.which("cc"):
            pytest.skip("no C compiler")
        source = os.path.join(SOURCES, request.param)
        subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", source, "-o", target], check=True)
    else:
        shutil.copy(os.path.join(SOURCES, request.param), target)
        os.chmod(target, 0o755)
    (folder / "pyoci-boot").write_text(BOOT % (sys.executable, REPOSITORY))
    (folder / "pyoci-boot").chmod(0o755)
    return target


def run(argv, environment):
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_arguments_arrive_unchanged(command):
    arguments = ["run", "", "two words", "$HOME", "*", "--", "-x", "é"]
    assert run([command, *arguments], {})["argv"][1:] == arguments


def test_the_interpreter_is_isolated_and_does_not_look_for_site_packages(command):
    seen = run([command], {"PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"})
    assert (seen["isolated"], seen["no_site"]) == (1, 1)


def test_text_is_utf8_whatever_the_locale(command):
    assert run([command], {"LC_ALL": "C"})["utf8"] == 1
    assert run([command], {"LANG": "de_DE.ISO-8859-1"})["utf8"] == 1


def test_the_callers_libraries_are_not_the_interpreters(command):
    given = {"LD_LIBRARY_PATH": "/opt/shim/lib", "LD_PRELOAD": "", "GLIBC_TUNABLES": "glibc.malloc.check=0"}
    seen = run([command], given)
    assert "/opt/shim" not in seen["before"].get("LD_LIBRARY_PATH", "")
    assert "LD_PRELOAD" not in seen["before"]
    assert "GLIBC_TUNABLES" not in seen["before"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"LC_ALL": "de_DE.UTF-8", "LANG": "C"},
        {"LD_LIBRARY_PATH": "/opt/shim/lib", "LD_PRELOAD": "", "A": "line\nbreak = 'x' $y"},
    ],
)
def test_hooks_will_inherit_the_callers_environment(command, given):
    after = run([command], given)["after"]
    for name in ("PWD", "OLDPWD", "_"):  # the shell's own
        after.pop(name, None)
    assert after == given


def test_a_symbolic_link_to_the_command_finds_its_script(command, tmp_path):
    link = str(tmp_path / "runtime")
    os.symlink(command, link)
    assert run([link, "list"], {"PATH": "/usr/bin:/bin"})["argv"] == [
        os.path.dirname(command) + "/pyoci-boot",
        "list",
    ]


def test_the_command_is_found_by_path(command):
    folder = os.path.dirname(command)
    assert run(["pyoci", "list"], {"PATH": folder + ":/usr/bin:/bin"})["argv"][1:] == ["list"]


def test_the_interpreter_knows_its_own_path(command):
    assert run([command], {})["executable"] == sys.executable


def test_no_descriptor_is_left_open(command):
    assert len(run([command], {})["descriptors"]) == 4  # 0, 1, 2 and that of the listing


def test_the_first_argument_may_be_anything(command):
    """An engine may call us by any name: only the file itself counts (compiled), or the path (script)."""
    with open(command, "rb") as file:
        if file.read(2) == b"#!":
            pytest.skip("the kernel gives a script its path in any case")
    done = subprocess.run(["not-a-path"], executable=command, env={}, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["argv"][0].endswith("/pyoci-boot")


def test_a_launcher_without_its_script_says_so(command, tmp_path):
    lonely = str(tmp_path / "pyoci")
    shutil.copy(command, lonely)
    done = subprocess.run([lonely], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert str(tmp_path) + "/pyoci-boot" in done.stderr
