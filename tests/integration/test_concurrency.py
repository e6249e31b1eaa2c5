"""Many at once: one winner, nobody harmed, no hang (security.md R-12 to R-14)."""

import os
import time

import pytest

from .host import read

RW = {"root": {"readonly": False}}


def test_twenty_creates_of_one_id_have_one_winner(container, pyoci):
    """R-052."""
    one = container()
    many = [
        pyoci.spawn("create", "--bundle", one.bundle.path, "--pid-file", "%s.%d" % (one.pid_file, n), one.id)
        for n in range(20)
    ]
    results = [process.wait() for process in many]
    winners = [n for n, r in enumerate(results) if r.code == 0]
    assert len(winners) == 1, results
    for result in results:
        if result.code:
            result.failed("already exists")
    one.pid_file += ".%d" % winners[0]
    assert one.status() == "created"
    assert one.state()["pid"] == one.pid
    one.start()
    one.end()
    one.delete().ok()


def test_ten_starts_have_one_winner_and_the_program_runs_once(container, pyoci):
    """R-055, R-13."""
    one = container(RW, args=["sh", "-c", "echo ran >> /data/log; sleep 1000"]).create()
    many = [pyoci.spawn("start", one.id) for _ in range(10)]
    results = [process.wait() for process in many]
    assert sorted(r.code for r in results) == [0] + [1] * 9, results
    time.sleep(0.1)
    assert read(one.bundle.inside("/data/log")) == "ran\n"
    one.end()
    one.delete().ok()


def test_ten_forced_deletes_all_succeed(container, pyoci):
    one = container().create().start()
    many = [pyoci.spawn("delete", "--force", one.id) for _ in range(10)]
    results = [process.wait() for process in many]
    assert {r.code for r in results} == {0}, results
    assert pyoci.left() == []


@pytest.mark.parametrize("turn", range(5))
def test_start_kill_and_delete_at_once_end_without_a_hang(container, pyoci, turn):
    """R-13: any order of the three is right; afterwards nothing is left."""
    one = container().create()
    many = []
    for _ in range(3):
        many.append(pyoci.spawn("start", one.id))
        many.append(pyoci.spawn("kill", one.id, "KILL"))
        many.append(pyoci.spawn("state", one.id))
        many.append(pyoci.spawn("delete", "--force", one.id))
    for process in many:
        result = process.wait()
        assert "Traceback" not in result.text, result
    pyoci("delete", "--force", one.id).ok()
    assert pyoci.left() == []


def test_state_during_create_never_crashes(container, pyoci):
    """R-070, R-071."""
    one = container()
    creating = pyoci.spawn("create", "--bundle", one.bundle.path, "--pid-file", one.pid_file, one.id)
    seen = set()
    while creating.running():
        result = pyoci("state", one.id)
        if result.code == 0:
            seen.add(result.json()["status"])
        else:
            result.failed("does not exist")
    creating.wait().ok()
    assert seen <= {"creating", "created"}
    assert one.status() == "created"
    one.delete("--force").ok()


@pytest.mark.slow
def test_forty_containers_in_parallel(container, pyoci):
    """R-14."""
    made = [container() for _ in range(40)]
    many = [pyoci.spawn("run", "-d", "--bundle", c.bundle.path, "--pid-file", c.pid_file, c.id) for c in made]
    for process in many:
        process.wait(120).ok()
    assert len(pyoci("list", "-q").ok().out.split()) == 40
    many = [pyoci.spawn("delete", "--force", c.id) for c in made]
    for process in many:
        process.wait(120).ok()
    assert pyoci.left() == []


def test_containers_of_one_bundle_share_it_without_harm(container, pyoci):
    first = container()
    others = []
    for n in range(3):
        name = "%s-%d" % (first.id, n)
        first.bundle.edit({"linux": {"cgroupsPath": "/%s/s%d" % (first.id.split("-")[0], n)}})
        pyoci("create", "--bundle", first.bundle.path, name).ok()
        others.append(name)
    assert {pyoci.state(n)["status"] for n in others} == {"created"}
    for name in others:
        pyoci("delete", "--force", name).ok()
    assert os.path.isdir(first.bundle.rootfs)
