"""A dockerd of its own, with its own containerd, in mount and network namespaces of their own."""

import shutil

import pytest

from ..engine import Cli, answers, daemon, in_namespaces_of_its_own, stop

FLAGS = [
    "--storage-driver", "vfs", "--exec-opt", "native.cgroupdriver=cgroupfs",
    "--default-ulimit", "nofile=1024:1024",
]  # fmt: skip


class Docker:
    """The daemon: `start` and `stop` may alternate; the data stays."""

    def __init__(self, workshop, socket_folder, runtime):
        self.socket = "unix://%s/docker.sock" % socket_folder
        self.workshop = workshop
        self.argv = in_namespaces_of_its_own(
            "dockerd", "--data-root", workshop + "/docker", "--exec-root", socket_folder + "/docker",
            "--pidfile", socket_folder + "/docker.pid", "-H", self.socket, "--experimental", *FLAGS,
            "--add-runtime", "tested=" + runtime, "--add-runtime", "peer=runc", "--default-runtime", "tested",
        )  # fmt: skip
        self.process = None

    def start(self, *flags):
        log = self.workshop + "/dockerd.log"
        ready = lambda: answers("docker", "-H", self.socket, "version")  # noqa: E731
        self.process = daemon([*self.argv, *flags], log, ready)

    def stop(self):
        stop(self.process)
        self.process = None


@pytest.fixture(scope="module")
def engine(workshop, socket_folder, runtime, archive):
    for program in ("dockerd", "containerd", "docker"):
        if not shutil.which(program):
            pytest.skip("%s is not installed" % program)
    one = Docker(workshop, socket_folder, runtime)
    one.start()
    Cli(["docker", "-H", one.socket], workshop)("load", "--input", archive).ok()
    yield one
    if one.process:
        one.stop()
    shutil.rmtree(workshop + "/docker", ignore_errors=True)


@pytest.fixture
def cli(engine, tmp_path):
    """cli("run", ...) -> Result; containers that are left are removed."""
    one = Cli(["docker", "-H", engine.socket], str(tmp_path))
    one.at_once = one.build_flags = []
    one.engine, one.mount_failure = "docker", 125
    yield one
    ids = one("ps", "--all", "--quiet").out.split()
    if ids:
        one("rm", "--force", "--volumes", *ids)
