"""podman container checkpoint and restore, where criu works on this kernel."""

import os
import subprocess

import pytest

from tests.integration import host

from ..images import NAME

COUNT = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done"


@pytest.fixture(autouse=True)
def criu(cli, runtime):
    cli.environment["PATH"] = os.environ["PATH"]  # criu may be somewhere else
    probe = subprocess.run([runtime, "checkpoint", "--help"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip("no usable criu: " + " ".join(probe.stderr.split()))


def counts(cli, name):
    return [int(line) for line in cli("logs", name).ok().out.split()]


def last_count(cli, name):
    return max(counts(cli, name), default=0)


def goes_on_after(cli, name, count):
    """It counts on; had it begun anew, the log, which moves along, would show the first numbers again."""
    host.until(lambda: last_count(cli, name) > count + 2, what="the container to count on")
    assert counts(cli, name).count(1) == 1


def test_a_container_goes_on_where_it_was(cli):
    cli("run", "--detach", "--name", "c1", NAME, "/bin/sh", "-c", COUNT).ok()
    host.until(lambda: last_count(cli, "c1") > 3, what="it to count")
    cli("container", "checkpoint", "c1").ok()
    assert cli("inspect", "--format", "{{.State.Running}}", "c1").ok().out.strip() == "false"
    count = last_count(cli, "c1")
    cli("container", "restore", "c1").ok()
    goes_on_after(cli, "c1", count)
    cli("container", "checkpoint", "--leave-running", "c1").ok()
    goes_on_after(cli, "c1", last_count(cli, "c1"))


def test_a_container_moves_by_way_of_a_file(cli, tmp_path):
    cli("run", "--detach", "--name", "c2", NAME, "/bin/sh", "-c", COUNT).ok()
    host.until(lambda: last_count(cli, "c2") > 3, what="it to count")
    cli("container", "checkpoint", "--export", str(tmp_path / "c.tar.gz"), "c2").ok()
    count = last_count(cli, "c2")
    cli("rm", "c2").ok()
    cli("container", "restore", "--import", str(tmp_path / "c.tar.gz"), "--name", "c3").ok()
    goes_on_after(cli, "c3", count)


def test_a_container_with_a_terminal(cli):
    cli("run", "--detach", "--tty", "--name", "c4", NAME, "/bin/sh", "-c", COUNT).ok()
    host.until(lambda: last_count(cli, "c4") > 3, what="it to count")
    cli("container", "checkpoint", "c4").ok()
    count = last_count(cli, "c4")
    cli("container", "restore", "c4").ok()
    goes_on_after(cli, "c4", count)
