"""pyoci.boot and pyoci.startup: where the package is found, what is refused, how a run begins."""

import os
import subprocess
import sys

import pytest

from pyoci import boot, protection
from pyoci.errors import HostError

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VERSION = "python%d.%d" % sys.version_info[:2]


@pytest.mark.parametrize(
    "place",
    [
        "lib/%s/site-packages" % VERSION,
        "lib/%s/dist-packages" % VERSION,
        "local/lib/%s/dist-packages" % VERSION,
        "lib64/%s/site-packages" % VERSION,
        "lib/python3/dist-packages",
        "",
    ],
)
def test_the_package_is_found_wherever_installers_put_it(place, tmp_path, monkeypatch):
    package = tmp_path / place / "pyoci"
    package.mkdir(parents=True)
    (package / "startup.py").write_text("")
    monkeypatch.setattr(boot, "__file__", str(tmp_path / "bin" / "pyoci-boot"))
    assert os.path.samefile(boot.package_directory(), tmp_path / place)


def test_a_source_tree_finds_itself():
    assert boot.package_directory() == REPOSITORY


def test_an_editable_installation_looks_in_its_source_first(tmp_path, monkeypatch):
    monkeypatch.setattr(boot, "SOURCE", REPOSITORY)
    monkeypatch.setattr(boot, "__file__", str(tmp_path / "bin" / "pyoci-boot"))
    assert boot.package_directory() == REPOSITORY


def test_a_missing_package_is_one_line(tmp_path):
    script = tmp_path / "bin" / "pyoci-boot"
    script.parent.mkdir()
    with open(os.path.join(REPOSITORY, "pyoci", "boot.py"), encoding="utf-8") as file:
        script.write_text(file.read())
    done = subprocess.run([sys.executable, "-I", "-S", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "pyoci: the package pyoci is not installed beside %s\n" % script


def test_a_damaged_installation_is_one_error_and_no_traceback(tmp_path):
    package = tmp_path / "pyoci"
    package.mkdir()
    (package / "startup.py").write_text("import nothing_of_that_name")
    (package / "__init__.py").write_text("")
    code = "import sys; sys.path.insert(0, %r); from runpy import run_path; run_path(%r)['begin'](%r)"
    boot_file = os.path.join(REPOSITORY, "pyoci", "boot.py")
    argv = [sys.executable, "-I", "-S", "-B", "-c", code % (str(tmp_path), boot_file, str(tmp_path))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "pyoci: cannot begin: ModuleNotFoundError: No module named 'nothing_of_that_name'\n"
    )
    assert "Traceback" not in done.stderr


def test_no_variable_and_no_option_claims_protection():
    """An interpreter that its user may write is not protected, however it was started."""
    code = "import sys; sys.path.append(%r); from pyoci.protection import protection; print(protection())"
    argv = [sys.executable, "-I", "-S", "-Xpyoci", "-c", code % REPOSITORY]
    found = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    if os.access(sys.executable, os.W_OK):
        assert found == ""
    else:
        assert found in ("foreign", "read-only")


def test_an_unprotected_interpreter_is_refused(monkeypatch):
    monkeypatch.setattr(protection, "EXECUTABLE", "/nonexistent")
    with pytest.raises(HostError) as caught:
        protection.require_protection()
    assert caught.value.message == "the interpreter's executable file is writable from a container"
    assert caught.value.where == sys.executable


@pytest.mark.skipif(os.geteuid() != 0, reason="the rule is for root")
def test_root_refuses_a_package_that_everybody_may_write(tmp_path):
    package = tmp_path / "pyoci"
    package.mkdir()
    package.chmod(0o777)
    code = "import sys; sys.path.append(%r); from pyoci import startup; startup.refuse_unsafe_directory(%r)"
    argv = [sys.executable, "-I", "-S", "-c", code % (REPOSITORY, str(tmp_path))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "pyoci: %s is writable by everybody: refused\n" % package)


def test_dependencies_outside_our_directory_are_found_on_demand():
    code = (
        "import sys; sys.path.append(%r); from pyoci import startup; sys.meta_path.append(startup.SiteOnDemand());"
        "before = 'site' in sys.modules; import click; print(before, 'site' in sys.modules)" % REPOSITORY
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_running_a_source_tree_by_hand_writes_no_bytecode(tmp_path):
    """Only an editable installation, which belongs to a developer, may write __pycache__."""
    boot_file = os.path.join(REPOSITORY, "pyoci", "boot.py")
    argv = [sys.executable, "-I", "-S", "-Xpyoci", "-X", "pycache_prefix=%s" % tmp_path, boot_file, "--version"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = [str(path) for path in tmp_path.rglob("*.pyc")]
    assert not [path for path in written if REPOSITORY + "/" in path]
