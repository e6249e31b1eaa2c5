"""`pyoci spec` as a program."""

import json
import os
import subprocess
import sys

import pytest

from pyoci.default_spec import make_default_spec, make_rootless_spec
from pyoci.errors import PyociError
from pyoci.runtime import spec

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SCRIPT = "import sys; sys.path.insert(0, %r); from pyoci.cli.main import main; main(sys.argv[1:])" % REPOSITORY
UNIFIED = os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def pyoci(*argv, cwd, umask=0o022):
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT, *argv],
        cwd=cwd, env={}, capture_output=True, text=True, timeout=30, umask=umask,
    )  # fmt: skip


def test_it_writes_config_json_with_tabs_and_prints_nothing(tmp_path):
    done = pyoci("spec", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = (tmp_path / "config.json").read_text()
    assert json.loads(text) == make_default_spec(unified_cgroups=UNIFIED)
    assert text == json.dumps(make_default_spec(unified_cgroups=UNIFIED), indent="\t")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_mode_follows_the_caller_s_umask(tmp_path, umask, mode):
    assert pyoci("spec", cwd=tmp_path, umask=umask).returncode == 0
    assert (tmp_path / "config.json").stat().st_mode & 0o7777 == mode


def test_bundle_and_file_say_where(tmp_path):
    (tmp_path / "bundle").mkdir()
    assert pyoci("spec", "--bundle", "bundle", cwd=tmp_path).returncode == 0
    assert pyoci("spec", "--file", "other.json", cwd=tmp_path).returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["bundle", "other.json"]
    assert os.listdir(tmp_path / "bundle") == ["config.json"]


def test_a_file_that_exists_stays(tmp_path):
    (tmp_path / "config.json").write_text("mine")
    done = pyoci("spec", cwd=tmp_path)
    assert done.returncode == 1
    assert "File config.json exists. Remove it first" in done.stderr
    assert (tmp_path / "config.json").read_text() == "mine"


@pytest.mark.parametrize("target", ["elsewhere", "/dev/null"])
def test_a_link_is_not_followed(tmp_path, target):
    os.symlink(target, tmp_path / "config.json")
    assert "File config.json exists. Remove it first" in pyoci("spec", cwd=tmp_path).stderr
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_bundle_that_is_not_there_is_an_error(tmp_path):
    done = pyoci("spec", "--bundle", "nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert "create nowhere/config.json: no such file or directory" in done.stderr


def test_rootless_maps_the_caller_s_ids(tmp_path):
    assert pyoci("spec", "--rootless", cwd=tmp_path).returncode == 0
    expected = make_rootless_spec(unified_cgroups=UNIFIED, host_uid=os.geteuid(), host_gid=os.getegid())
    assert json.loads((tmp_path / "config.json").read_text()) == expected


def test_a_half_written_file_is_removed(tmp_path, monkeypatch):
    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(PyociError, match=r"^write .*/config\.json: no space left on device$"):
        spec.write_new(str(tmp_path / "config.json"), b"x", 0o644)
    assert os.listdir(tmp_path) == []
