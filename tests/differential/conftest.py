"""The harness of the integration tests, and what the comparison needs beside it."""

import os
import shutil
import subprocess

import pytest

from pyoci.kernel.syscall import call

from ..integration.conftest import (  # noqa: F401
    TOKEN,
    bundle,
    fresh_id,
    nothing_left,
    pyoci,
    tools,
    work,
    workshop,
)
from .compare import Known

HERE = os.path.dirname(os.path.abspath(__file__))


def pytest_collection_modifyitems(items):
    no_root = pytest.mark.skip(reason="needs root")
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.root)
            if os.geteuid() != 0:
                item.add_marker(no_root)


@pytest.fixture(scope="session", autouse=True)
def no_hidden_signal_is_ignored():
    """Whoever starts us may ignore the two signals that the C library hides; the peers pass that on, we do not."""
    for number in (32, 33):
        call("rt_sigaction", number, bytes(32), None, 8)


@pytest.fixture(autouse=True)
def null_keeps_its_owner():
    """crun 1.8.1 gives the host's null device to the root of a user namespace when it is a standard stream."""
    before = os.stat("/dev/null")
    yield
    os.chown("/dev/null", before.st_uid, before.st_gid)


@pytest.fixture(scope="session")
def known():
    return Known(os.path.join(HERE, "differences.toml"))


@pytest.fixture(scope="session")
def debian():
    """A minimal Debian root filesystem, made once and kept; None and the reason when it cannot be had."""
    cache = os.environ.get("PYOCI_TEST_CACHE", os.path.expanduser("~/.cache/pyoci-tests"))
    place = os.path.join(cache, "debian-minimal")
    if os.path.isdir(place + "/usr/bin"):
        return place, ""
    if not shutil.which("debootstrap"):
        return None, "debootstrap is not installed"
    shutil.rmtree(place + ".new", ignore_errors=True)
    os.makedirs(cache, exist_ok=True)
    command = ["debootstrap", "--variant=minbase", "stable", place + ".new"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        return None, "debootstrap took longer than ten minutes"
    if result.returncode:
        return None, "debootstrap failed: " + (result.stdout + result.stderr).strip()[-200:]
    os.rename(place + ".new", place)
    return place, ""
