"""Standard streams, descriptors, pid files, terminals (requirements D, N)."""

import fcntl
import os
import signal
import socket
import stat
import struct
import termios
import time

import pytest

from .host import is_connecting, patience, read, until

TTY = {"process": {"terminal": True}}


def test_stdio_is_the_callers_own(container, work):
    """R-051: the same open files, not copies of their data."""
    path = work + "/in"
    with open(path, "w+b") as stdin:
        stdin.write(b"x" * 100)
        stdin.seek(7)
        one = container().create(stdin=stdin)
        one.start()
        report = one.report()
        for number, place in (("0", path), ("1", one.process.out_path), ("2", one.process.err_path)):
            assert report["fds"][number]["ino"] == os.stat(place).st_ino
            assert os.readlink("/proc/%d/fd/%s" % (one.pid, number)) == place
        assert stdin.tell() == 7
        info = read("/proc/%d/fdinfo/0" % one.pid)
        assert info.split("pos:")[1].split()[0] == "7"
    one.end()
    one.delete().ok()


def test_only_the_three_streams_are_open(inspect):
    """R-145."""
    assert set(inspect()["fds"]) == {"0", "1", "2"}


@pytest.fixture
def leaks(work):
    """Three inheritable descriptors as a careless caller leaks them: a folder of the host, a file, a pipe."""
    folder = os.open("/", os.O_RDONLY)
    file = os.open(work + "/leak", os.O_RDWR | os.O_CREAT)
    reader, writer = os.pipe()
    wanted = [fcntl.fcntl(fd, fcntl.F_DUPFD, number) for fd, number in ((folder, 100), (file, 101), (writer, 199))]
    yield wanted
    for number in {folder, file, reader, writer, *wanted}:
        os.close(number)


def test_leaked_descriptors_of_the_caller_do_not_arrive(container, leaks):
    """S-04, for the waiting init as for the program."""
    one = container().create(pass_fds=leaks)
    waiting = {n: os.readlink("/proc/%d/fd/%s" % (one.pid, n)) for n in os.listdir("/proc/%d/fd" % one.pid)}
    for link in waiting.values():
        assert link != "/" and not link.endswith("/leak"), waiting
    one.start()
    assert set(one.report()["fds"]) == {"0", "1", "2"}
    one.end()
    one.delete().ok()


def test_no_directory_of_the_host_is_open_in_a_waiting_init(container):
    """S-01, S-03."""
    one = container().create()
    base = "/proc/%d/fd/" % one.pid
    for name in os.listdir(base):
        mode = os.stat(base + name).st_mode
        assert not stat.S_ISDIR(mode), os.readlink(base + name)
    one.delete("--force").ok()


def test_preserved_descriptors_keep_their_numbers(inspect, work):
    """R-146."""

    def give():
        for number, name in ((3, "three"), (4, "four"), (5, "five")):
            fd = os.open(os.path.join(work, name), os.O_RDWR | os.O_CREAT)
            if fd != number:
                os.dup2(fd, number)
                os.close(fd)
            os.set_inheritable(number, True)

    report = inspect(flags=["--preserve-fds", "2"], preexec_fn=give, close_fds=False)
    assert set(report["fds"]) == {"0", "1", "2", "3", "4"}
    assert report["fds"]["3"]["ino"] == os.stat(work + "/three").st_ino
    assert report["fds"]["4"]["ino"] == os.stat(work + "/four").st_ino
    assert report["fds"]["3"]["cloexec"] == 0


def test_a_missing_preserved_descriptor_is_an_error(run):
    run(flags=["--preserve-fds", "3"]).failed("3")


def test_activation_sockets_come_first(inspect, work):
    """R-147."""

    def give():
        os.environ["LISTEN_PID"] = str(os.getpid())
        for number in (3, 4):
            fd = os.open(os.path.join(work, "s%d" % number), os.O_RDWR | os.O_CREAT)
            if fd != number:
                os.dup2(fd, number)
                os.close(fd)
            os.set_inheritable(number, True)

    wrap = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"]
    env = {**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}
    configured = {"process": {"env+": ["LISTEN_FDS=9", "LISTEN_PID=77", "LISTEN_FDNAMES=x:y"]}}
    for edit in ({}, configured):
        report = inspect(edit, preexec_fn=give, close_fds=False, env=env, wrap=wrap)
        assert set(report["fds"]) == {"0", "1", "2", "3", "4"}
        listed = sorted(e for e in report["env"] if e.startswith("LISTEN"))
        assert listed == ["LISTEN_FDNAMES=x:y"] * bool(edit) + ["LISTEN_FDS=2", "LISTEN_PID=1"]
    other = inspect(close_fds=True, env={**os.environ, "LISTEN_FDS": "2", "LISTEN_PID": "1"})
    assert not [e for e in other["env"] if e.startswith("LISTEN")]


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_closed_streams_are_not_filled_with_something_else(container, closed):
    """P-07."""

    def close():
        for number in closed:
            os.close(number)

    one = container(args=["/bin/probe", "--out", "/dev/shm/report", "--pause"]).create(preexec_fn=close)
    one.start()
    until(lambda: os.path.exists("/proc/%d/root/dev/shm/report" % one.pid))
    time.sleep(0.05)
    base = "/proc/%d/fd/" % one.pid
    for name in os.listdir(base):
        link = os.readlink(base + name)
        if int(name) in closed:
            assert link == "/dev/null", (name, link)
        assert int(name) < 3, (name, link)
    one.end()
    one.delete().ok()


def test_streams_on_null_are_the_containers_null(inspect):
    """R-164."""
    report = inspect(probe=["--stat", "/dev/null"])
    null = report.stat("/dev/null")
    assert (report["fds"]["0"]["major"], report["fds"]["0"]["minor"]) == (1, 3)
    assert report["fds"]["0"]["dev"] == null["dev"]
    assert report["fds"]["0"]["ino"] == null["ino"]


def test_the_null_device_of_the_host_keeps_its_owner(inspect):
    """S-14."""
    before = os.stat("/dev/null")
    inspect({"process": {"user": {"uid": 1000, "gid": 1000}}})
    after = os.stat("/dev/null")
    assert (before.st_uid, before.st_gid, before.st_mode) == (after.st_uid, after.st_gid, after.st_mode)


def test_pipes_belong_to_the_user_of_the_program(pyoci, container):
    """R-163."""
    reader, writer = os.pipe()
    user = {"process": {"user": {"uid": 1000, "gid": 1000}}}
    one = container(user, args=["sh", "-c", "echo words > /dev/stdout"])
    result = pyoci("run", "--bundle", one.bundle.path, one.id, stdout=writer)
    os.close(writer)
    with open(reader) as file:
        assert file.read() == "words\n", result


@pytest.mark.parametrize("verb", ["create", "run"])
def test_the_pid_file_holds_digits_only(container, verb):
    """R-138."""
    one = container()
    if verb == "create":
        one.create()
    else:
        one.runtime("run", "-d", "--bundle", one.bundle.path, "--pid-file", one.pid_file, one.id).ok()
    with open(one.pid_file, "rb") as file:
        data = file.read()
    assert data.isdigit()
    assert int(data) == one.state()["pid"]
    assert os.stat(one.pid_file).st_mode & 0o133 == 0
    one.delete("--force").ok()


def test_an_existing_pid_file_is_replaced_by_rename(container, work):
    one = container()
    target = work + "/elsewhere"
    with open(target, "w") as file:
        file.write("keep")
    os.symlink(target, one.pid_file)
    one.create()
    assert int(read(one.pid_file)) == one.state()["pid"]
    assert not os.path.islink(one.pid_file)
    assert read(target) == "keep"
    assert [n for n in os.listdir(work) if n.startswith(("." + one.id, one.id)) and n != one.id + ".pid"] == []
    one.delete("--force").ok()


def test_an_unwritable_pid_file_fails_and_leaves_nothing(container, work):
    """R-139."""
    one = container()
    one.gone = True
    one.pid_file = work + "/no/such/folder/pid"
    one.try_create().failed("no such file or directory")
    assert one.runtime.left() == []


# ---- terminals ----


def drain(master):
    data = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            return data
        if not chunk:
            return data
        data += chunk


def test_a_terminal_is_sent_over_the_console_socket(container, console):
    """R-140, R-141."""
    path, receive = console()
    size = {"process": {"consoleSize": {"height": 33, "width": 111}}}
    args = ["/bin/probe", "--only", "tty,ids,fds", "--stat", "/dev/console", "--out", "/dev/shm/r", "--sleep", "0"]
    one = container(TTY, size, args=[*args, "--pause"])
    one.create("--console-socket", path)
    master = receive()
    assert os.isatty(master)
    one.start()
    place = "/proc/%d/root/dev/shm/r" % one.pid
    until(lambda: os.path.exists(place) and read(place).endswith("}\n"))
    import json

    report = json.loads(read(place))
    assert report["tty"]["0"] == report["tty"]["1"] == report["tty"]["2"]
    assert report["tty"]["0"] in ("/dev/pts/0", "/dev/console")
    assert report["tty"]["controlling"] == 1
    assert (report["tty"]["rows"], report["tty"]["cols"]) == (33, 111)
    stat_ = next(a for a in report["actions"] if a["do"] == "stat")
    assert stat_["type"] == "char"
    assert stat_["major"] == 136
    one.end()
    os.close(master)
    one.delete().ok()


def test_the_terminal_carries_bytes_and_size(container, console):
    path, receive = console()
    one = container(TTY, args=["sh", "-c", "read x; echo got $x; read y"])
    one.create("--console-socket", path)
    master = receive()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 20, 0, 0))
    one.start()
    os.write(master, b"hello\n")
    data = b""
    end = time.monotonic() + patience(10)
    while b"got hello" not in data and time.monotonic() < end:
        data += os.read(master, 4096)
    assert b"got hello" in data
    one.end()
    os.close(master)
    one.delete().ok()


def test_the_terminal_belongs_to_the_user(container, console):
    path, receive = console()
    one = container(TTY, {"process": {"user": {"uid": 1000, "gid": 1000}}})
    one.create("--console-socket", path)
    master = receive()
    assert os.stat("/proc/%d/fd/0" % one.pid).st_uid == 1000
    one.delete("--force").ok()
    os.close(master)


def test_a_long_console_path_works(container, console, work):
    """R-142."""
    folder = os.path.join(work, "d" * 100)
    os.mkdir(folder)
    path, receive = console(os.path.join(folder, "console.sock"))
    one = container(TTY).create("--console-socket", path)
    os.close(receive())
    one.delete("--force").ok()


def test_the_callers_pipe_is_not_kept_open_by_a_terminal_container(container, console):
    """R-050."""
    path, receive = console()
    reader, writer = os.pipe()
    one = container(TTY).create("--console-socket", path, stdout=writer, stderr=writer)
    os.close(writer)
    os.close(receive())
    os.set_blocking(reader, False)
    assert os.read(reader, 10) == b"", "the pipe is at its end"
    os.close(reader)
    one.delete("--force").ok()


def test_terminal_and_console_socket_go_together(container, run, console):
    """R-099."""
    words = "cannot allocate tty if"
    one = container(TTY)
    one.gone = True
    one.try_create().failed(words)
    run(TTY, flags=["--detach"]).failed(words)
    path, _ = console()
    other = container()
    other.gone = True
    other.try_create("--console-socket", path).failed()


def test_a_dead_console_socket_fails_and_leaves_nothing(container, work):
    one = container(TTY)
    one.gone = True
    one.try_create("--console-socket", work + "/none").failed("no such file or directory")
    assert one.runtime.left() == []


def test_a_pidfd_is_sent_on_request(container, work):
    """R-144."""
    path = work + "/pidfd.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        server.settimeout(patience(10))
        one = container().create("--pidfd-socket", path)
        peer, _ = server.accept()
        with peer:
            data, descriptors, _, _ = socket.recv_fds(peer, 4096, 4)
    assert data == b"standard"
    assert read("/proc/self/fdinfo/%d" % descriptors[0]).split("Pid:")[1].split()[0] == str(one.pid)
    os.close(descriptors[0])
    one.delete("--force").ok()


WAITS = {"--console-socket": TTY, "--pidfd-socket": {}}


@pytest.mark.parametrize("option", WAITS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_create_that_waits_for_a_socket_can_be_ended(container, pyoci, busy, option, number):
    """R-140, R-144: a listener whose queue is full."""
    one = container(WAITS[option])
    process = pyoci.spawn("create", "--bundle", one.bundle.path, option, busy, one.id)
    until(lambda: is_connecting(process.pid), what="the wait")
    process.signal(number)
    result = process.wait()
    if number == signal.SIGTERM:
        result.failed("interrupted")
        assert pyoci.left() == []
        one.gone = True
    else:
        one.delete("--force").ok()


@pytest.mark.parametrize("option", WAITS)
def test_a_socket_that_nobody_serves_is_an_error(container, busy, option):
    """R-140, R-144: after ten seconds, and nothing is left."""
    one = container(WAITS[option])
    one.gone = True
    result = one.try_create(option, busy)
    result.failed("socket %s: connection timed out" % busy, option, "within 10 seconds")
    assert one.runtime.left() == []
    assert not os.path.exists(one.pid_file)


def test_an_exec_whose_pidfd_nobody_takes_can_be_ended(container, pyoci, busy):
    """R-144: the process ends with it."""
    one = container(args=("/bin/sleep", "1000")).create().start()
    process = pyoci.spawn("exec", "--detach", "--pidfd-socket", busy, one.id, "/bin/sleep", "999")
    until(lambda: is_connecting(process.pid), what="the wait")
    process.signal(signal.SIGTERM)
    process.wait().failed("interrupted", code=255)
    assert "999" not in pyoci("ps", one.id).ok().out
    one.end()


def test_foreground_terminal_copies_both_ways(pyoci, container):
    """R-096."""
    import pty

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 21, 43, 0, 0))
    before = termios.tcgetattr(slave)
    one = container(TTY, args=["/bin/probe", "--only", "tty", "--exit", "6"])
    process = pyoci.spawn(
        "run", "--bundle", one.bundle.path, one.id, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.set_blocking(master, False)
    data = b""
    while process.running():
        try:
            data += os.read(master, 65536)
        except BlockingIOError:
            time.sleep(0.01)
    try:
        data += os.read(master, 65536)
    except OSError:
        pass
    assert process.wait().code == 6, data
    assert b'"rows":21,"cols":43' in data
    assert b"/dev/pts/0" in data or b"/dev/console" in data
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)
    one.gone = True


@pytest.mark.parametrize("into", ["pipe", "terminal"])
def test_line_ends_of_a_foreground_terminal(pyoci, container, into):
    """R-096: a pipe gets the lines as the program wrote them, a terminal gets carriage returns."""
    master, slave = os.openpty()
    reader, writer = os.pipe()
    one = container(TTY, args=["/bin/probe", "--only", "tty"])
    process = pyoci.spawn(
        "run", "--bundle", one.bundle.path, one.id, stdin=slave, stdout=writer if into == "pipe" else slave,
        stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(writer)
    assert process.wait().code == 0
    data = os.read(reader if into == "pipe" else master, 65536)
    for fd in (master, slave, reader):
        os.close(fd)
    assert data.count(b"\n") >= 1
    assert data.count(b"\r\n") == (0 if into == "pipe" else data.count(b"\n"))
    one.gone = True
