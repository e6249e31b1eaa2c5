"""The harness itself: one container from start to end, the probe's view of it, and the check for leaks."""

import os
import subprocess

from . import host
from .conftest import TOKEN, left_behind


def test_run_gives_the_exit_status_of_the_program(run):
    assert run(args=["sh", "-c", "exit 7"]).code == 7


def test_the_probe_is_process_one_in_its_own_namespaces(inspect):
    report = inspect()
    assert report["pid"] == 1
    assert report["uname"]["nodename"] == "box"


def test_create_start_kill_delete(container):
    one = container().create()
    assert one.status() == "created"
    one.start()
    assert one.status() == "running"
    assert one.end() == 137
    assert one.status() == "stopped"
    one.delete().ok()


def test_the_leak_check_sees_a_mount(work):
    before = host.mount_table()
    os.mkdir(work + "/place")
    host.mount("tmpfs", work + "/place", "tmpfs")
    assert "mounts: new" in left_behind("/none", before)[0]
    assert left_behind("/none", before) == []


def test_the_leak_check_sees_a_change_of_propagation(work):
    os.mkdir(work + "/place")
    host.mount("tmpfs", work + "/place", "tmpfs")
    before = host.mount_table()
    host.mount(None, work + "/place", None, host.MS_PRIVATE)
    after = host.mount_table()
    host.umount(work + "/place")
    assert before != after


def test_the_leak_check_sees_a_cgroup():
    before = host.mount_table()
    point = next(iter(host.hierarchies().values()))
    os.makedirs("%s/%s/leak" % (point, TOKEN))
    assert left_behind("/none", before)[0].startswith("cgroups: ")
    assert left_behind("/none", before) == []


def test_the_leak_check_sees_a_process():
    """An orphan: its parent has ended."""
    before = host.mount_table()
    assert subprocess.run(["sh", "-c", "sleep 60 & exit 0"], check=True).returncode == 0
    assert left_behind("/none", before)[0].startswith("processes: ")
    assert left_behind("/none", before) == []


def test_the_leak_check_sees_a_state_directory(work):
    os.makedirs(work + "/other/box")
    assert left_behind(work + "/other", host.mount_table()) == ["state: ['box']"]
