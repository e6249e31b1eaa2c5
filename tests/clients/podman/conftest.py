"""podman as root."""

import shutil

import pytest

from .. import podman_engine


@pytest.fixture(scope="module")
def storage(workshop, runtime, archive):
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    folder = workshop + "/podman"
    import os

    os.makedirs(folder)
    cli = podman_engine.make(folder, runtime, workshop)
    cli("load", "--input", archive).ok()
    yield folder
    cli("rm", "--force", "--all", "--time", "0")
    cli("rmi", "--force", "--all")
    from tests.integration import host

    for point in sorted((m[0] for m in host.mount_table() if m[0].startswith(folder)), reverse=True):
        host.umount(point)  # the storage's own bind mount on itself
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cli(storage, runtime, tmp_path):
    one = podman_engine.make(storage, runtime, str(tmp_path))
    one.at_once, one.build_flags = ["--time", "0"], ["--network", "none"]
    one.engine, one.mount_failure = "podman", 126
    yield one
    one("pod", "rm", "--force", "--all", "--time", "0")
    one("rm", "--force", "--all", "--time", "0")
