"""Starting criu and talking to it; criu itself is a stand-in."""

import contextlib
import os
import signal

import pytest

from pyoci.criu.conversation import carry_out, with_log
from pyoci.criu.messages import DUMP, RESTORE
from pyoci.criu.process import FIRST_INHERITED, Criu, find_criu, require_features, require_usable, version
from pyoci.errors import HostError, OperationError

VERSION_3_17 = "receive(); answer(type=10, success=True, version={'major_number': 3, 'minor_number': 17})"


def nothing():
    return contextlib.nullcontext()


def never(*_):
    raise AssertionError


def test_it_is_looked_for_in_the_path_and_where_administrators_have_it(fake_criu, monkeypatch, tmp_path):
    path = fake_criu("")
    assert find_criu() == path
    monkeypatch.setenv("PATH", "relative::/nowhere")
    with pytest.raises(HostError, match="criu is not installed: no such file or directory"):
        find_criu()
    monkeypatch.setattr("pyoci.criu.process._SYSTEM", os.path.dirname(path))
    assert find_criu() == path
    os.chmod(path, 0o644)
    with pytest.raises(HostError):
        find_criu()


@pytest.mark.parametrize(("uid", "first"), [(0, "system"), (1000, "own")])
def test_root_is_given_the_systems_before_that_of_the_path(fake_criu, monkeypatch, tmp_path, uid, first):
    path = fake_criu("")
    for name in ("system", "own"):
        (tmp_path / name).mkdir()
        os.link(path, tmp_path / name / "criu")
    monkeypatch.setattr("pyoci.criu.process._SYSTEM", str(tmp_path / "system"))
    monkeypatch.setenv("PATH", str(tmp_path / "own"))
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert find_criu() == str(tmp_path / first / "criu")


def test_its_version(fake_criu):
    fake_criu(VERSION_3_17)
    assert version() == (3, 17, 0)


def test_an_old_one_is_refused(fake_criu):
    fake_criu(VERSION_3_17.replace("17", "14"))
    with pytest.raises(HostError, match=r"criu 3\.14\.0 is too old"):
        version()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("receive(); answer(type=10, success=False)", "criu failed: type VERSION errno 0"),
        ("receive(); answer(type=10, success=False, cr_errno=2)", "errno 2 .no such file or directory"),
        ("receive()", "criu ended without an answer"),
        ("receive(); connection.send(b'\\x08')", "cannot be read"),
        ("", "criu"),
    ],
)
def test_answers_that_are_none(fake_criu, body, words):
    fake_criu(body)
    with pytest.raises(OperationError, match=words):
        version()


def test_a_program_that_is_none(fake_criu):
    path = fake_criu("")
    with open(path, "w", encoding="utf-8") as file:
        file.write("nonsense")
    with pytest.raises(OperationError, match=r"start .*: exec format error"):
        Criu()


def test_what_fails_before_it_starts_is_told(fake_criu):
    fake_criu("")

    def enter():
        raise OperationError("no room")

    with pytest.raises(OperationError, match=r"start .*: no room"):
        Criu(enter=enter)


def test_features(fake_criu):
    fake_criu("receive(); answer(type=9, success=True, features={'mem_track': True, 'lazy_pages': False})")
    require_features(mem_track=True)
    with pytest.raises(HostError, match="criu is missing features: lazy_pages"):
        require_features(mem_track=True, lazy_pages=True)


@pytest.mark.parametrize("good", [True, False])
def test_whether_it_is_usable_is_its_own_word(fake_criu, good):
    path = fake_criu("receive(); answer(type=10, success=True, version={'major_number': 4})")
    check = "#!/bin/sh\n[ $1 = swrk ] && exec %s.swrk $*\necho 'Error (a.c:1): why' >&2\nexit %d\n"
    os.rename(path, path + ".swrk")
    with open(path, "w", encoding="utf-8") as file:
        file.write(check % (path, not good))
    os.chmod(path, 0o755)
    if good:
        require_usable()
        return
    with pytest.raises(HostError, match="criu does not work on this host") as caught:
        require_usable()
    assert caught.value.cause == "Error (a.c:1): why"


def test_descriptors_stand_where_they_are_expected(fake_criu, tmp_path):
    """0 to 2, the socket, those handed over, those opened on the way in; and no other."""
    fake_criu(
        "links = {}\n"
        "for fd in os.listdir('/proc/self/fd'):\n"
        "    if os.path.exists('/proc/self/fd/' + fd):\n"
        "        links[fd] = os.readlink('/proc/self/fd/' + fd)\n"
        "receive(); answer(type=9, success=True, cr_errmsg=repr(links))"
    )
    files = []
    for name in "abcd":
        (tmp_path / name).touch()
        files.append(os.open(tmp_path / name, os.O_RDWR | os.O_CLOEXEC))
    leaked = os.open(tmp_path / "a", os.O_RDONLY | os.O_CLOEXEC)
    criu = Criu(
        streams=[files[0], files[1], files[0]],
        inherit=[files[2], files[3]],
        enter=lambda: [os.open(tmp_path, os.O_RDONLY)],
    )
    links = eval(criu.ask({"type": 9})["cr_errmsg"])
    criu.close()
    names = {int(fd): os.path.basename(path) for fd, path in links.items() if path.startswith(str(tmp_path))}
    first = FIRST_INHERITED
    wanted = {0: "a", 1: "b", 2: "a", first: "c", first + 1: "d", first + 2: tmp_path.name}
    names.pop(next((fd for fd, name in names.items() if name == "criu"), -1), None)
    assert names == wanted
    for fd in (*files, leaked):
        os.close(fd)


def test_the_socket_was_made_by_criu_itself(fake_criu):
    """It looks for descriptors in the process that made it."""
    fake_criu(
        "import struct\n"
        "made_by = struct.unpack('iii', connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]\n"
        "receive(); answer(type=9, success=made_by == os.getpid())"
    )
    criu = Criu()
    criu.ask({"type": 9})
    criu.close()


def test_notifications_are_heard_in_order_and_answered(fake_criu):
    fake_criu(
        "assert receive() == {'type': 1, 'opts': {'pid': 7}}\n"
        "for script in ('network-lock', 'post-dump'):\n"
        "    answer(type=6, success=True, notify={'script': script, 'pid': 9})\n"
        "    assert receive() == {'type': 6, 'notify_success': True}\n"
        "answer(type=1, success=True)"
    )
    heard = []
    criu = Criu()
    answer = carry_out(criu, {"type": DUMP, "opts": {"pid": 7}}, lambda *what: heard.append(what), nothing)
    assert answer["type"] == DUMP
    assert heard == [("network-lock", 9, []), ("post-dump", 9, [])]
    criu.end_of_requests()
    assert criu.wait() == 0
    criu.close()


def test_a_descriptor_comes_with_its_notification(fake_criu, tmp_path):
    fake_criu(
        "receive()\n"
        "answer(type=6, success=True, notify={'script': 'orphan-pts-master'}, fds=[os.open(%r, os.O_RDONLY)])\n"
        "receive(); answer(type=2, success=True, restore={'pid': 5})" % str(tmp_path)
    )
    given = []
    criu = Criu()
    answer = carry_out(criu, {"type": RESTORE}, lambda script, pid, fds: given.extend(fds), nothing)
    criu.close()
    assert answer["restore"] == {"pid": 5}
    assert os.readlink("/proc/self/fd/%d" % given[0]) == str(tmp_path)
    assert not os.get_inheritable(given[0])
    os.close(given[0])


def test_a_refusal_in_the_middle(fake_criu):
    fake_criu("receive(); answer(type=2, success=False, cr_errno=17, cr_errmsg='no room')")
    criu = Criu()
    with pytest.raises(OperationError, match=r"criu failed: type RESTORE errno 17 .file exists") as caught:
        carry_out(criu, {"type": RESTORE}, never, nothing)
    criu.close()
    assert caught.value.cause == "no room"


def test_hanging_up_lets_it_end_by_itself_and_killing_does_not(fake_criu, tmp_path):
    fake_criu("receive(); receive_end = connection.recv(9)\nopen(%r, 'w')" % str(tmp_path / "undone"))
    criu = Criu()
    criu.send({"type": DUMP})
    criu.close()
    assert (tmp_path / "undone").exists()
    fake_criu("import time; time.sleep(100)")
    criu = Criu()
    pid = criu.pid
    criu.close(kill=True)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_signals_are_as_in_any_new_program(fake_criu):
    fake_criu(
        "import signal\nblocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())\n"
        "receive(); answer(type=9, success=not blocked)"
    )
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        criu = Criu()
        criu.ask({"type": 9})
        criu.close()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def test_an_error_gets_what_the_log_says(tmp_path):
    (tmp_path / "dump.log").write_text("(0.1) Error (a.c:1): why\n")
    error = with_log(OperationError("criu failed"), str(tmp_path / "dump.log"))
    assert (error.where, error.cause) == (str(tmp_path / "dump.log"), "Error (a.c:1): why")
    assert str(tmp_path / "dump.log") in error.fix
