"""containerd and its own command line."""

import shutil

import pytest

from ..containerd_engine import Containerd
from ..images import NAME


@pytest.fixture(scope="module")
def engine(workshop, socket_folder, runtime, archive):
    for program in ("containerd", "ctr"):
        if not shutil.which(program):
            pytest.skip("%s is not installed" % program)
    one = Containerd(workshop + "/containerd", socket_folder, runtime, cri=False)
    one.ctr(workshop)("images", "import", "--snapshotter", "native", archive).ok()
    yield one
    one.stop()


@pytest.fixture
def cli(engine, tmp_path):
    """cli("tasks", "ls") -> Result; everything left is removed."""
    one = engine.ctr(str(tmp_path))
    yield one
    for name in one("tasks", "ls", "--quiet").out.split():
        one("tasks", "rm", "--force", name)
    for name in one("containers", "ls", "--quiet").out.split():
        one("containers", "rm", name)


@pytest.fixture
def run(cli, runtime):
    """run([flags], args, name) -> Result of `ctr run`."""

    def go(flags, args, name="box", **more):
        fixed = ["--runc-binary", runtime, "--snapshotter", "native"]
        return cli("run", *fixed, *flags, NAME, name, *args, **more)

    return go
