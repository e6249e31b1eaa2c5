"""The lock of resctrl's root: waited for, but not for ever, since everybody may hold it."""

import fcntl
import os

import pytest

from pyoci.errors import OperationError
from pyoci.resctrl import group


def test_a_lock_that_is_never_let_go_is_an_error_that_holds_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(group, "_LOCK_SECONDS", 0.05)
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OperationError, match="connection timed out"):
        group._lock(str(tmp_path))
    assert os.listdir("/proc/self/fd") == before
    os.close(holder)
    fd = group._lock(str(tmp_path))
    os.close(fd)
