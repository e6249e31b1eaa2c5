"""Which namespaces exec joins: all, or it is an error."""

import os

import pytest

from pyoci.errors import StateError
from pyoci.runtime import exec as verb
from pyoci.runtime.container import Record

RECORD = Record({"id": "c", "pid": 7, "startTime": 1, "bootId": "b"})


def test_an_init_that_is_ending_is_no_kernel_without_namespaces(monkeypatch):
    """/proc/PID/ns/* is gone before the process is a zombie: to skip them would start the program on the host."""
    real = os.stat

    def stat(path, **more):
        if str(path).startswith("/proc/7/ns/"):
            raise FileNotFoundError(2, "no such file or directory", path)
        return real(path, **more)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(verb, "is_alive", lambda record: True)
    monkeypatch.setattr(verb, "open_init", lambda record: -1)
    with pytest.raises(StateError, match="cannot exec in a stopped container"):
        verb._namespaces_of(RECORD)


def test_a_type_that_the_kernel_lacks_is_skipped(monkeypatch):
    real = os.stat

    def stat(path, **more):
        if str(path).endswith("/ns/time"):
            raise FileNotFoundError(2, "no such file or directory", path)
        return real(str(path).replace("/proc/7/", "/proc/self/"), **more)

    monkeypatch.setattr(os, "stat", stat)
    assert verb._namespaces_of(RECORD) == 0
