"""buildah with storage of its own."""

import os
import shutil

import pytest

from tests.integration import host

from .. import podman_engine
from ..engine import Cli


def command_line(folder, runtime, output):
    configuration = folder + "/containers.conf"
    with open(configuration, "w") as file:
        file.write(podman_engine.CONFIGURATION % runtime)
    prefix = ["buildah", "--root", folder + "/root", "--runroot", folder + "/run", "--storage-driver", "vfs"]
    environment = {"CONTAINERS_CONF": configuration, "BUILDAH_RUNTIME": runtime, "BUILDAH_ISOLATION": "oci"}
    return Cli(prefix, output, environment)


@pytest.fixture(scope="module")
def storage(workshop, runtime, archive):
    if not shutil.which("buildah"):
        pytest.skip("buildah is not installed")
    folder = workshop + "/buildah"
    os.makedirs(folder)
    command_line(folder, runtime, workshop)("pull", "docker-archive:" + archive).ok()
    yield folder
    for point in sorted((m[0] for m in host.mount_table() if m[0].startswith(folder)), reverse=True):
        host.umount(point)  # the storage's own bind mount on itself
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cli(storage, runtime, tmp_path):
    one = command_line(storage, runtime, str(tmp_path))
    yield one
    one("rm", "--all")
