"""One descriptor over one connection to whoever listens."""

import errno
import os
import signal
import socket
import time

import pytest

from pyoci.runtime import hand_over


@pytest.fixture
def server(tmp_path):
    """(path, listening socket); the path is longer than sun_path."""
    folder = tmp_path / ("d" * 100)
    folder.mkdir()
    fd = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("/proc/self/fd/%d/s" % fd)
        listening.listen(0)
        os.close(fd)
        listening.settimeout(5)
        yield str(folder / "s"), listening


@pytest.fixture(autouse=True)
def same_signals():
    """The wait holds signals back when it is over, as a create does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_the_other_side_gets_data_and_descriptor(server):
    path, listening = server
    reader, writer = os.pipe()
    hand_over.hand_over(path, b"name", writer)
    peer, _ = listening.accept()
    with peer:
        data, descriptors, _, _ = socket.recv_fds(peer, 100, 4)
        assert peer.recv(1) == b""
    assert data == b"name"
    (got,) = descriptors
    assert os.stat(got).st_ino == os.fstat(writer).st_ino
    for fd in (reader, writer, got):
        os.close(fd)


def test_a_full_queue_is_an_error_in_time(server, monkeypatch):
    path, _ = server
    monkeypatch.setattr(hand_over, "SECONDS", 1)
    before = os.listdir("/proc/self/fd")
    started = time.monotonic()
    with socket.socket(socket.AF_UNIX) as first:
        first.connect("/proc/self/fd/%d/s" % (fd := os.open(os.path.dirname(path), os.O_PATH)))
        os.close(fd)
        with pytest.raises(OSError, match="timed out") as failed:
            hand_over.hand_over(path, b"x", 0)
    assert failed.value.errno == errno.ETIMEDOUT
    assert time.monotonic() - started < 5
    assert hand_over.not_taken(failed.value) == "nobody has taken it within 1 seconds"
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("none", errno.ENOENT),
        ("none/s", errno.ENOENT),
        ("file", errno.ECONNREFUSED),
        ("n" * 108, errno.ENAMETOOLONG),
    ],
)
def test_every_failure_has_a_number(tmp_path, name, number):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as failed:
        hand_over.hand_over(str(tmp_path / name), b"x", 0)
    assert failed.value.errno == number
    assert hand_over.not_taken(failed.value) == ""
