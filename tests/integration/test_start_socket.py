"""The hand-over from `create` to `start`, spoken by hand, to stop in the middle of it (R-02, R-13)."""

import os
import time

import pytest

from pyoci.init.channel import ACCEPTED, START, connect

from . import host
from .host import until

pytestmark = pytest.mark.skipif(bool(os.environ.get("PYOCI_RUNTIME")), reason="speaks pyoci's own protocol")


def call_init(one):
    return connect(os.path.join(one.runtime.root, one.id, "start.sock"))


def test_a_caller_who_says_nothing_changes_nothing(container):
    one = container().create()
    for _ in range(5):
        call_init(one).close()
    assert one.status() == "created"
    one.start()
    assert one.status() == "running"
    one.end()
    one.delete().ok()


@pytest.mark.parametrize("turn", range(5))
def test_a_start_that_is_killed_before_the_answer_does_not_kill_the_container(container, turn):
    one = container().create()
    caller = call_init(one)
    caller.send(START)
    caller.close()
    time.sleep(0.05)
    assert host.alive(one.pid)
    assert one.status() in ("created", "running")
    if one.status() == "created":
        one.start()
    one.report()
    one.end()
    one.delete().ok()


def test_a_start_that_is_killed_after_the_answer_leaves_a_running_container(container):
    """The socket's file is still there: it does not make the status."""
    one = container().create()
    caller = call_init(one)
    caller.send(START)
    assert caller.receive()[0] == ACCEPTED
    caller.close()
    one.report()
    until(lambda: one.status() == "running", 5)
    one.runtime("start", one.id).failed("already running")
    one.runtime("delete", one.id).failed("not stopped")
    assert [c["status"] for c in one.runtime("list", "--format", "json").ok().json()] == ["running"]
    one.end()
    assert one.status() == "stopped"
    one.delete().ok()


def test_asking_for_the_state_never_waits_for_init(container):
    """More callers than the socket's queue holds, while init is stopped."""
    one = container().create()
    os.kill(one.pid, 19)
    try:
        for _ in range(70):
            assert one.status() == "created"
    finally:
        os.kill(one.pid, 18)
    one.start()
    one.end()
    one.delete().ok()


def test_others_cannot_call_init(container):
    """S-35: the start socket is behind a directory that only its owner may enter, and not writable besides."""
    one = container().create(umask=0)
    path = os.path.join(one.runtime.root, one.id, "start.sock")
    assert os.stat(one.runtime.root).st_mode & 0o077 == 0
    assert os.stat(path).st_mode & 0o022 == 0
    one.delete("--force").ok()
