"""What the wheel and the source distribution hold, and that an installed wheel runs."""

import os
import subprocess
import sys
import tarfile
import zipfile

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build(target, versions, folder, **environment):
    """One artefact, by hatchling itself: no isolated environment, nothing downloaded."""
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "%s:%s" % (target, versions) if versions else target]
    subprocess.run([*argv, "-d", str(folder)], cwd=REPOSITORY, env={**os.environ, **environment}, check=True)
    (made,) = os.listdir(folder)
    return os.path.join(folder, made)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", "", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def script_wheel(tmp_path_factory):
    return build("wheel", "", tmp_path_factory.mktemp("script"), PYOCI_LAUNCHER="script")


def content(path, name):
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def names(path):
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


SCRIPTS = "pyoci_runtime-0.1.0.data/scripts/"


def test_a_wheel_with_the_compiled_launcher_is_for_one_platform(wheel):
    if content(wheel, SCRIPTS + "pyoci")[:4] != b"\x7fELF":
        pytest.skip("no C compiler")
    own = SCRIPTS + "pyoci-interpreter" in names(wheel)  # which is for one version of Python
    python = "cp%d%d" % sys.version_info[:2] if own else "py3"
    assert wheel.endswith("-%s-none-linux_%s.whl" % (python, os.uname().machine))


def test_a_wheel_without_an_interpreter_of_its_own_is_for_every_python(tmp_path):
    made = build("wheel", "", tmp_path, PYOCI_INTERPRETER="none")
    assert SCRIPTS + "pyoci-interpreter" not in names(made)
    assert "-py3-none-" in made


def test_a_wheel_with_the_script_is_for_every_platform(script_wheel):
    assert script_wheel.endswith("-py3-none-any.whl")
    assert content(script_wheel, SCRIPTS + "pyoci").startswith(b"#!/bin/sh\n")


def test_the_boot_script_begins_with_what_installers_replace(wheel):
    text = content(wheel, SCRIPTS + "pyoci-boot").decode()
    assert text.startswith("#!python\n")
    assert 'SOURCE = ""' in text.replace("''", '""')


def test_an_editable_wheel_knows_its_source(tmp_path):
    editable = build("wheel", "editable", tmp_path)
    assert "SOURCE = %r" % REPOSITORY in content(editable, SCRIPTS + "pyoci-boot").decode()


def test_the_wheel_holds_the_schemas_as_files_and_the_marker_of_types(wheel):
    held = names(wheel)
    assert "pyoci/py.typed" in held
    for name in os.listdir(os.path.join(REPOSITORY, "schemas")):
        if name.endswith(".json"):
            assert "pyoci/schemas/" + name in held
    assert "pyoci_runtime-0.1.0.dist-info/licenses/LICENSE" in held


def test_the_wheel_holds_nothing_but_the_package(wheel):
    for name in names(wheel):
        assert name.startswith(("pyoci/", "pyoci_runtime-0.1.0.")), name
        assert not name.startswith("pyoci/launcher/"), name
        assert "__pycache__" not in name, name


def test_the_source_distribution_can_build_and_test(tmp_path):
    with tarfile.open(build("sdist", "", tmp_path)) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    for name in (
        "pyproject.toml",
        "Makefile",
        "LICENSE",
        "README.md",
        "pyoci/launcher/launcher.c",
        "tests/prepare",
    ):
        assert name in held
    assert "schemas/config.json" in held
    assert "pyoci/schemas/config.json" in held


@pytest.mark.parametrize("kind", ["wheel", "script_wheel"])
def test_an_installed_wheel_runs_compiled(kind, request, tmp_path):
    """`--target` has the layout that is furthest from the usual one; pip compiles what it installs."""
    target = str(tmp_path / "target")
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", target]
    subprocess.run([*argv, request.getfixturevalue(kind)], check=True)
    assert os.path.isdir(target + "/pyoci/__pycache__")
    environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": "/nowhere", "PYTHONPATH": "/nowhere"}
    done = subprocess.run([target + "/bin/pyoci", "--version"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("pyoci version ")
