"""The demo: one container made of the host's own files."""

import os
import subprocess
import sys

import pytest

from .host import patience
from .runtime import default_command


@pytest.fixture
def report(work):
    """What the program inside says: {label: text}."""
    environment = {**os.environ, "RUNTIME": default_command()[0], "TMPDIR": work}
    done = subprocess.run(
        [sys.executable, "-m", "pyoci.demo"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {line[2:26].strip(): line[26:].strip() for line in done.stdout.splitlines() if line.startswith("  ")}


def test_the_demo_shows_a_container_of_its_own(report):
    assert report["process"] == "pid 1; all pids in sight: 1"
    assert report["hostname"] == "demo"
    assert report["user"] == "uid 1000, gid 1000, groups []"
    assert report["network"] == "lo"


def test_the_demo_cannot_change_the_host(report):
    assert report["write /made-by-demo"] == "refused: EROFS, read-only file system"
    assert report["write /usr/made-by-demo"] == "refused: EROFS, read-only file system"
    assert report["write /tmp/made-by-demo"] == "done"
    assert not os.path.exists("/usr/made-by-demo")


def test_the_demo_is_limited_and_filtered(report):
    assert report["memory"] == "67108864"
    assert report["processes"] == "32"
    assert report["effective caps"] == "CAP_KILL CAP_NET_BIND_SERVICE"
    assert report["no new privileges"] == "yes"
    assert report["seccomp"].startswith("filter")
    assert report["call unshare"] == "refused: EPERM, operation not permitted"


def test_the_demo_says_when_pyoci_could_be_faster(work):
    environment = {**os.environ, "TMPDIR": work}
    environment.pop("RUNTIME", None)
    command = [sys.executable, "-m", "pyoci.demo"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    has_own = os.path.exists(os.path.join(os.path.dirname(sys.executable), "pyoci-interpreter"))
    assert ("libpython3-dev" in done.stdout) != has_own
