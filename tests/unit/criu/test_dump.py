"""A dump that is refused when criu has done all of it; criu itself is a stand-in."""

import contextlib

import pytest

from pyoci.errors import OperationError
from pyoci.runtime import interrupts
from pyoci.runtime.checkpoint import _dump
from pyoci.runtime.images import Images

BODY = """receive()
answer(type=6, success=True, notify={'script': 'post-dump'})
if connection.recv(99):
    open(%r, "w").close()
    answer(type=1, success=True)
"""


@pytest.fixture
def dump(fake_criu, tmp_path, monkeypatch):
    monkeypatch.setattr(interrupts, "hold", lambda: None)  # both would block signals for the tests that follow
    monkeypatch.setattr(interrupts, "interruptible", contextlib.nullcontext)
    fake_criu(BODY % str(tmp_path / "ended"))
    images = Images({"image_path": str(tmp_path / "images"), "work_path": ""}, make=True)
    options = {"pre_dump": False, "status_fd": None, "shell_job": False}
    return lambda check: _dump({"log_file": "dump.log"}, images, options, check)


def test_criu_is_not_answered_so_it_lets_the_processes_run_on(dump, tmp_path):
    def check():
        raise OperationError("moved")

    with pytest.raises(OperationError, match="moved"):
        dump(check)
    assert not (tmp_path / "ended").exists()


def test_otherwise_it_ends_them(dump, tmp_path):
    called = []
    dump(lambda: called.append(1))
    assert called == [1]
    assert (tmp_path / "ended").exists()
