"""A stand-in for criu: a program that answers as a test tells it to."""

import os
import sys
from pathlib import Path

import pytest

import pyoci

SOURCE = str(Path(pyoci.__file__).parent.parent)
HEAD = """#!%s -I
import array, os, socket, sys
sys.path.append(%r)
from pyoci.criu.messages import ANSWER, REQUEST
from pyoci.criu.wire import decode, encode
connection = socket.socket(fileno=int(sys.argv[2]))
assert sys.argv[1:] == ["swrk", "3"], sys.argv

def receive():
    return decode(connection.recv(65536), REQUEST)

def answer(fds=(), **fields):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    connection.sendmsg([encode(fields, ANSWER)], rights)

""" % (sys.executable, SOURCE)


@pytest.fixture
def fake_criu(tmp_path, monkeypatch):
    """fake_criu(body): from now on `criu` is a program with this body, which may use receive() and answer()."""
    monkeypatch.setattr("pyoci.criu.process._SYSTEM", "")

    def make(body):
        path = tmp_path / "bin" / "criu"
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + body)
        path.chmod(0o755)
        monkeypatch.setenv("PATH", "%s:%s" % (path.parent, os.defpath))
        return str(path)

    return make
