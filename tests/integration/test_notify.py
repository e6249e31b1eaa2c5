"""NOTIFY_SOCKET: READY= from the container reaches the service manager, and nothing else does (R-060, R-148)."""

import os
import socket
import threading

import pytest

from .host import Mount, read, until

PATH = "/run/notify/notify.sock"
RUN = {"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}


class Manager:
    """What systemd is to a service: a datagram socket that notes what arrives and answers barriers."""

    def __init__(self, address):
        self.heard = []
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.server.bind("\0" + address[1:] if address.startswith("@") else address)
        self.server.settimeout(0.1)
        self.going = True
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self):
        while self.going:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.server, 4096, 4)
            except TimeoutError:
                continue
            self.heard.append(data)
            for fd in descriptors:
                os.close(fd)

    def close(self):
        self.going = False
        self.thread.join()
        self.server.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request, work):
    address = work + "/manager.sock" if request.param == "path" else "@" + os.path.basename(work)
    one = Manager(address)
    one.environment = {**os.environ, "NOTIFY_SOCKET": address}
    yield one
    one.close()


@pytest.fixture
def talker(tools, work):
    """The command line of a static program that sends its arguments to $NOTIFY_SOCKET, then sleeps."""
    import subprocess

    source, program = work + "/talk.c", work + "/talk"
    with open(source, "w") as file:
        file.write(
            """
            #include <stdlib.h>
            #include <string.h>
            #include <sys/socket.h>
            #include <sys/un.h>
            #include <unistd.h>
            int main(int n, char **words) {
                struct sockaddr_un to = {AF_UNIX};
                int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
                strncpy(to.sun_path, getenv("NOTIFY_SOCKET"), sizeof to.sun_path - 1);
                for (int i = 1; i < n; i++)
                    if (sendto(fd, words[i], strlen(words[i]), 0, (void *)&to, sizeof to) < 0) return 9;
                return sleep(1000);
            }
            """
        )
    subprocess.run(["gcc", "-static", "-o", program, source], check=True)
    return program


def with_program(one, program):
    os.link(program, one.bundle.inside("bin/talk"))
    return one


def test_ready_is_passed_on_at_start_with_the_pid(container, pyoci, manager, talker):
    """R-060, R-148."""
    one = with_program(container({"mounts+": [RUN]}, args=["/bin/talk", "STATUS=x", "READY=1\nSTATUS=y"]), talker)
    one.create(env=manager.environment)
    pyoci("start", one.id, env=manager.environment).ok()
    assert manager.heard == [b"READY=1\nMAINPID=%d" % one.pid, b"BARRIER=1"]
    mount = next(Mount(line) for line in read("/proc/%d/mountinfo" % one.pid).splitlines() if "/run/notify" in line)
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(mount.options)
    assert "NOTIFY_SOCKET=" + PATH in read("/proc/%d/environ" % one.pid).split("\0")
    one.end()
    one.delete().ok()


def test_start_returns_when_the_program_ends_without_a_word(container, pyoci, manager):
    one = container(args=["/bin/true"]).create(env=manager.environment)
    pyoci("start", one.id, env=manager.environment).ok()
    assert manager.heard == []


def test_run_passes_it_on_too(container, pyoci, manager, talker):
    """R-148."""
    one = with_program(container(args=["/bin/talk", "READY=1"]), talker)
    bundle = one.bundle.path
    pyoci("run", "-d", "--bundle", bundle, "--pid-file", one.pid_file, one.id, env=manager.environment).ok()
    assert manager.heard == [b"READY=1\nMAINPID=%d" % one.pid, b"BARRIER=1"]
    one.end()
    one.delete().ok()


def test_run_in_the_foreground_serves_both(container, pyoci, manager, talker):
    one = with_program(container(args=["/bin/talk", "READY=1"]), talker)
    flags = ["--bundle", one.bundle.path, "--pid-file", one.pid_file]
    process = pyoci.spawn("run", *flags, one.id, env=manager.environment)
    until(lambda: len(manager.heard) == 2)
    assert manager.heard == [b"READY=1\nMAINPID=%d" % one.pid, b"BARRIER=1"]
    one.kill(9).ok()
    assert process.wait().code == 137
    one.gone = True


def test_without_the_variable_there_is_nothing(inspect):
    report = inspect()
    assert not [mount for mount in report.mounts() if mount.point == "/run/notify"]
    assert not [entry for entry in report["env"] if entry.startswith("NOTIFY_SOCKET")]


def test_a_configured_variable_stays_when_the_caller_has_none(inspect):
    """podman and conmon proxy for themselves and name their own socket."""
    report = inspect({"process": {"env": ["PATH=/bin", "NOTIFY_SOCKET=/run/own.sock"]}})
    assert "NOTIFY_SOCKET=/run/own.sock" in report["env"]
