"""podman as root."""

import os
import shutil

import pytest

from tests.integration import host

from .. import podman_engine


@pytest.fixture(scope="module")
def storage(workshop, runtime, archive):
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    folder = workshop + "/podman"
    os.makedirs(folder)
    before = {m[0] for m in host.mount_table()}
    cli = podman_engine.make(folder, runtime, workshop)
    cli("load", "--input", archive).ok()
    yield folder
    cli("rm", "--force", "--all", "--time", "0")
    cli("rmi", "--force", "--all")
    # the storage's own bind mount on itself, and that of the folder of network namespaces
    for point in sorted({m[0] for m in host.mount_table()} - before, reverse=True):
        if point.startswith((folder, "/run/netns")):
            host.umount(point)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cli(storage, runtime, tmp_path):
    one = podman_engine.make(storage, runtime, str(tmp_path))
    one.at_once, one.build_flags = ["--time", "0"], ["--network", "none"]
    one.engine, one.mount_failure = "podman", 126
    yield one
    one("pod", "rm", "--force", "--all", "--time", "0")
    one("rm", "--force", "--all", "--time", "0")
