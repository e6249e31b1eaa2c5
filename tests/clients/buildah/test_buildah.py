"""buildah: programs in working containers, and builds."""

import os
import re

import pytest

from ..flows import on_terminal
from ..images import NAME

STATUS = ["cat", "/proc/self/status"]


def sh(script):
    return ["sh", "-c", script]


@pytest.fixture
def box(cli):
    """The name of a working container."""
    return cli("from", "--name", "box", "--network", "none", NAME).ok().out.strip()


# name, flags, arguments, pattern, status
RUNS = [
    ("prints", [], ["echo", "hello"], "^hello$", 0),
    ("status", [], sh("exit 7"), "", 7),
    ("streams", [], sh("echo a; echo b >&2"), "^a$", 0),
    ("user", ["--user", "alice"], ["id"], r"uid=1000\(alice\)", 0),
    ("directory", ["--workingdir", "/data"], ["pwd"], "^/data$", 0),
    ("environment", ["--env", "A=b"], sh("echo $A"), "^b$", 0),
    ("hostname", ["--hostname", "box.example"], ["hostname"], "^box.example$", 0),
    ("capabilities", [], STATUS, r"CapEff:\t0000000[0-9a-f]{9}", 0),
    ("added capability", ["--cap-add", "CAP_SYS_PTRACE"], sh("grep CapEff /proc/self/status"), r"a80c25fb$", 0),
    ("no capabilities", ["--cap-drop", "all"], STATUS, r"CapEff:\t0000000000000000", 0),
    ("seccomp", [], STATUS, r"Seccomp:\t2", 0),
    ("tmpfs", ["--mount", "type=tmpfs,dst=/t,tmpfs-size=1m"], sh("grep ' /t ' /proc/mounts"), "1024k", 0),
    ("pid namespace", [], sh("echo $$"), "^1$", 0),
    ("pid host", ["--pid", "host"], sh("test $$ -gt 1 && echo many"), "^many$", 0),
    ("ipc host", ["--ipc", "host"], ["echo", "fine"], "^fine$", 0),
    ("uts host", ["--uts", "host"], ["echo", "fine"], "^fine$", 0),
    ("network host", ["--network", "host"], ["echo", "fine"], "^fine$", 0),
    ("no pivot", ["--no-pivot"], ["echo", "fine"], "^fine$", 0),
    ("masked", [], sh("ls /sys/firmware | wc -l"), "^0$", 0),
    ("script", [], ["script", "a b"], "^script a b$", 0),
    ("device denied", [], sh("mknod /d b 7 0 2>/dev/null; cat /d"), "", 1),
]


@pytest.mark.parametrize(
    ("flags", "args", "pattern", "code"), [row[1:] for row in RUNS], ids=[row[0] for row in RUNS]
)
def test_run(cli, box, flags, args, pattern, code):
    result = cli("run", *flags, box, "--", *args)
    assert result.code == code, repr(result)
    assert re.search(pattern, result.out, re.MULTILINE), "no %r in %r" % (pattern, result)


def test_nothing_is_said_beside_the_program(cli, box):
    assert cli("run", box, "--", "sh", "-c", "echo only this >&2").ok().err == "only this\n"


def test_standard_input_reaches_the_program(cli, box):
    assert cli("run", box, "--", "wc", "-c", send="12345").ok().out.strip() == "5"


def test_a_terminal(cli, box):
    text = on_terminal(cli, "run", "--terminal", box, "--", "sh", "-c", "tty; test -t 1 && echo is one")
    assert "is one" in text, text


def test_a_bind_mount(cli, box, tmp_path):
    (tmp_path / "x").write_text("given\n")
    assert cli("run", "--volume", "%s:/v:ro" % tmp_path, box, "--", "cat", "/v/x").ok().out == "given\n"
    assert cli("run", "--volume", "%s:/v:ro" % tmp_path, box, "--", "touch", "/v/y").code == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [(["nope"], "executable file not found in $PATH"), (["/etc/plain"], "permission denied")],
)
def test_programs_that_cannot_start(cli, box, args, words):
    result = cli("run", box, "--", *args)
    assert result.code != 0
    assert words in result.err, repr(result)


def test_what_is_made_stays_and_is_committed(cli, box):
    cli("run", box, "--", "sh", "-c", "echo kept > /kept").ok()
    assert cli("run", box, "--", "cat", "/kept").ok().out == "kept\n"
    cli("commit", box, "committed:1").ok()
    other = cli("from", "--network", "none", "committed:1").ok().out.strip()
    assert cli("run", other, "--", "cat", "/kept").ok().out == "kept\n"


BUILDS = [
    ("run", "RUN echo built > /x\nRUN test -e /x", [], 0),
    ("run as a user", "USER alice\nRUN test $(id -u) = 1000", [], 0),
    ("failing run", "RUN exit 3", [], 3),
    ("many steps", "".join("RUN echo %d >> /n\n" % n for n in range(4)) + "RUN test $(wc -l < /n) = 4", [], 0),
    ("mount", "RUN --mount=type=tmpfs,dst=/t touch /t/x", [], 0),
    ("capabilities", "RUN grep -q 'CapEff:.0000000000000020' /proc/self/status",
     ["--cap-drop", "all", "--cap-add", "CAP_KILL"], 0),
    ("directory is made", "WORKDIR /made/here\nRUN test $(pwd) = /made/here", [], 0),
    ("memory", "RUN cat /proc/self/cgroup", ["--memory", "64m"], 0),
    ("ulimit", "RUN test $(ulimit -n) = 500", ["--ulimit", "nofile=500:500"], 0),
    ("shell form", 'SHELL ["/bin/sh", "-ec"]\nRUN true', [], 0),
    ("several stages", "RUN echo 1 > /one\nFROM %s\nCOPY --from=0 /one /two\nRUN grep 1 /two" % NAME, [], 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "flags", "code"), [row[1:] for row in BUILDS], ids=[row[0] for row in BUILDS])
def test_build(cli, tmp_path, text, flags, code):
    (tmp_path / "Dockerfile").write_text("FROM %s\n%s\n" % (NAME, text))
    result = cli("bud", "--network", "none", *flags, "--tag", "built:1", str(tmp_path))
    assert (result.code == 0) == (code == 0), repr(result)


@pytest.mark.parametrize("isolation", ["oci", "chroot"])
def test_isolation(cli, box, isolation):
    assert cli("run", "--isolation", isolation, box, "--", "echo", "in").ok().out == "in\n"


def test_nothing_stays_in_the_state_root(cli, box):
    before = set(os.listdir("/run/pyoci")) if os.path.isdir("/run/pyoci") else set()
    for script in ("true", "exit 1", "kill -9 $$"):
        cli("run", box, "--", "sh", "-c", script)
    after = set(os.listdir("/run/pyoci")) if os.path.isdir("/run/pyoci") else set()
    assert {name for name in after - before if not name.startswith(".")} == set()
