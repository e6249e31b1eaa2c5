"""A seccomp agent: takes listeners on a socket and answers their notifications (seccomp_unotify(2))."""

import errno
import fcntl
import json
import os
import select
import socket
import struct
import threading

from .host import patience

RECEIVE = 0xC0502100
SEND = 0xC0182101
CONTINUE = "continue"


class Call:
    """One notification: the number of the call, who made it, its arguments."""

    def __init__(self, data):
        self.id, self.pid, _, self.number, _, _, *self.arguments = struct.unpack("=QIIiIQ6Q", data)

    def text(self, index):
        """The string that an argument points to, in the caller's memory."""
        with open("/proc/%d/mem" % self.pid, "rb", buffering=0) as memory:
            memory.seek(self.arguments[index])
            return os.fsdecode(memory.read(4096).split(b"\0", 1)[0])

    def file(self, index):
        """The path of such a string as the agent reaches it."""
        return "/proc/%d/root%s" % (self.pid, self.text(index))


class Agent:
    """`answer(call)` gives an errno, CONTINUE, or 0 for success without doing anything.

    messages: what came, each with its `rest` (what the connection held after the message) and number of `fds`.
    """

    def __init__(self, path, answer=lambda call: CONTINUE):
        self.path, self.answer = path, answer
        self.messages, self.calls, self.threads, self.descriptors = [], [], [], []
        self.too_late = 0  # answers to calls that were interrupted meanwhile
        self.stop_fd, self.stopper = os.pipe()
        self.server = socket.socket(socket.AF_UNIX)
        folder = os.open(os.path.dirname(path), os.O_PATH)
        self.server.bind("/proc/self/fd/%d/%s" % (folder, os.path.basename(path)))
        os.close(folder)
        self.server.listen()
        self._start(self._accept)

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _waits(self, fd):
        """Whether there is something to read before the agent is stopped."""
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        poller.register(self.stop_fd, select.POLLIN)
        ready = dict(poller.poll())
        return self.stop_fd not in ready and bool(ready.get(fd, 0) & select.POLLIN)

    def _accept(self):
        while self._waits(self.server.fileno()):
            peer, _ = self.server.accept()
            with peer:
                peer.settimeout(patience(5))
                data, fds, _, _ = socket.recv_fds(peer, 1 << 20, 8)
                rest = peer.recv(1 << 16)
            self.descriptors += fds
            self.messages.append({**json.loads(data), "rest": rest, "descriptors": len(fds)})
            for fd in fds:
                self._start(self._serve, fd)

    def _serve(self, fd):
        while self._waits(fd):
            data = bytearray(80)
            try:
                fcntl.ioctl(fd, RECEIVE, data)
            except OSError as error:
                if error.errno == errno.ENOENT:  # who asked is gone
                    continue
                raise
            call = Call(data)
            self.calls.append(call)
            said = self.answer(call)
            number, flags = (0, 1) if said == CONTINUE else (-said, 0)
            try:
                fcntl.ioctl(fd, SEND, struct.pack("=QqiI", call.id, 0, number, flags))
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise
                self.too_late += 1

    @property
    def numbers(self):
        """The numbers of the calls that it was asked about, in order."""
        return [call.number for call in self.calls]

    def close(self):
        """As if the agent were killed: its descriptors go."""
        if self.server.fileno() < 0:
            return
        os.write(self.stopper, b"x")
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()
        self.server.close()
        for fd in [*self.descriptors, self.stop_fd, self.stopper]:
            os.close(fd)
