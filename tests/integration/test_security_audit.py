"""What the interpreter does in the child, told by the interpreter: its audit events from the join to execve (P-02).

A stand-in for the command installs an audit hook when `init.run` begins; the hook writes each event to standard
error, which is the only thing that stays open.  Nothing may be imported or compiled, no library loaded, and after
the change of root no file opened at all.
"""

import os
import sys

import pytest

import pyoci

from .runtime import Runtime

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(pyoci.__file__)))
WRAPPER = """
import os, sys
sys.path.append(%(source)r)
from pyoci import startup
from pyoci.init import init
begin = init.run

def hook(event, arguments):
    if event in WATCHED:
        os.write(2, b"AUDIT " + event.encode() + b" " + ascii(arguments).encode() + b"\\n")

WATCHED = {"import", "open", "compile", "exec", "ctypes.dlopen", "marshal.loads", "os.chdir", "os.listdir",
           "code.__new__", "ctypes.dlsym", "os.scandir", "subprocess.Popen", "os.posix_spawn", "os.system"}

def run(job, **more):
    os.write(2, b"AUDIT begins\\n")
    sys.addaudithook(hook)
    begin(job, **more)

init.run = run
startup.run(%(source)r)
"""
BEFORE_THE_ROOT_CHANGES = ("('/proc/self/fdinfo/", "('/proc/self/mountinfo'", "(b'/proc/self/fdinfo/",
                           "(b'/proc/self/mountinfo'", "('/'", "('/proc/self/fd/")  # fmt: skip
RW = {"root": {"readonly": False}}
EVERYTHING = {
    "hostname": "box",
    "process": {
        "user": {"uid": 5, "gid": 6, "additionalGids": [7], "umask": 63},
        "cwd": "/made/here",
        "args": ["probe", "--only", "none"],
        "capabilities": {"ambient": ["CAP_KILL"], "inheritable": ["CAP_KILL"]},
        "oomScoreAdj": 5,
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
        "scheduler": {"policy": "SCHED_BATCH"},
    },
    "linux": {
        "devices": [{"path": "/dev/extra", "type": "c", "major": 1, "minor": 7, "uid": 1}],
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO"}],
        },
        "maskedPaths": ["/proc/keys", "/proc/acpi", "/etc"],
    },
    "hooks": {
        "createContainer": [{"path": "/bin/true"}],
        "startContainer": [{"path": "/bin/probe", "args": ["probe", "--only", "none", "--out", "/dev/null"]}],
    },
}


@pytest.fixture
def audited(work):
    """The command under a hook: audited("run", ...)."""
    path = os.path.join(work, "wrapper.py")
    with open(path, "w") as file:
        file.write(WRAPPER % {"source": SOURCE})
    return Runtime(work, [sys.executable, "-I", "-S", path])


def events(result):
    """[(event, arguments)] before and after the change of root; the marker is the last os.chdir to /."""
    lines = [line.split(" ", 2)[1:] for line in result.err.splitlines() if line.startswith("AUDIT ")]
    assert lines and lines[0] == ["begins"], result
    told = [tuple(line) for line in lines[1:]]
    change = max(n for n, event in enumerate(told) if event[0] == "os.chdir" and event[1].startswith("('/',"))
    return told[:change], told[change + 1 :]


@pytest.mark.parametrize("case", ["plain", "everything", "missing program", "bad cwd", "not executable"])
def test_nothing_is_loaded_after_the_join_and_nothing_opened_after_the_change_of_root(
    audited, bundle, fresh_id, case
):
    edits = {
        "plain": [],
        "everything": [EVERYTHING],
        "missing program": [{"process": {"args": ["nowhere"]}}],
        "bad cwd": [{"process": {"cwd": "/bin/probe"}}],
        "not executable": [{"process": {"args": ["/etc/plain"]}}],
    }[case]
    image = bundle(RW, *edits)
    image.file("/etc/plain", "")
    result = audited("run", "--bundle", image.path, fresh_id())
    assert (result.code == 0) == (case in ("plain", "everything")), result
    if case == "bad cwd":
        assert "AUDIT begins" in result.err  # it ends before the root changes
        assert not [line for line in result.err.splitlines() if line.startswith("AUDIT import")]
        return
    before, after = events(result)
    assert [event for event in before + after if event[0] not in ("open", "os.chdir")] == []
    opened = [arguments for event, arguments in before if event == "open"]
    assert [text for text in opened if not text.startswith(BEFORE_THE_ROOT_CHANGES)] == []
    assert opened, "the hook saw nothing"
    assert [event for event in after if event[0] == "open"] == []


def test_the_hook_sees_an_import(audited, bundle, fresh_id, work):
    """That the other tests can fail."""
    path = audited.command[-1]
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace("    begin(job, **more)", "    __import__('_no_such_module')"))
    result = audited("run", "--bundle", bundle(RW).path, fresh_id())
    assert "AUDIT import ('_no_such_module'" in result.err
