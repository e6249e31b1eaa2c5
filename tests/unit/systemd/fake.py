"""A systemd behind a unix socket that does as it is told, for the tests of the client."""

import os
import socket
import threading

from pyoci.systemd.message import HEAD, length_of, put, read_message, split

JOB = "/org/freedesktop/systemd1/job/7"
SYSTEMD = "org.freedesktop.systemd1."


def _message(kind, fields, signature="", values=()):
    body = bytearray()
    for part, value in zip(split(signature), values, strict=True):
        put(body, part, value)
    if signature:
        fields = [*fields, (8, ("g", signature))]
    head = bytearray(b"l%c\x01\x01" % kind)
    put(head, "u", len(body))
    put(head, "u", 1)
    put(head, "a(yv)", fields)
    head += bytes(-len(head) % 8)
    return bytes(head + body)


class FakeSystemd(threading.Thread):
    """Listens on `path`.  `calls` is what came: (member, values).

    `errors` maps a member to the names of errors, used up one by one before it succeeds; `result` is how jobs end,
    None for never.  `early`: the end of a job comes before the answer that names it.  `bytewise`: everything is
    sent byte by byte.  `refuses`: nobody gets in.
    """

    def __init__(
        self, path, *, early=False, bytewise=False, refuses=False, result="done", errors=None, group="", raw=b""
    ):
        super().__init__(daemon=True)
        self.calls = []
        self.early, self.bytewise, self.refuses, self.result, self.raw = early, bytewise, refuses, result, raw
        self.errors = {member: list(names) for member, names in (errors or {}).items()}
        self.group = group
        self.server = socket.socket(socket.AF_UNIX)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.server.bind(path)
        self.server.listen()
        self.start()

    def run(self):
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            with peer:
                try:
                    self.serve(peer)
                except (ConnectionError, OSError):
                    continue

    def send(self, peer, data):
        for part in [data[i : i + 1] for i in range(len(data))] if self.bytewise else [data]:
            peer.sendall(part)

    def serve(self, peer):
        data = b""
        while b"BEGIN\r\n" not in data:
            data += peer.recv(4096)
        words, _, data = data.partition(b"BEGIN\r\n")
        assert words == b"\0AUTH EXTERNAL\r\nDATA\r\n"
        if self.refuses:
            self.send(peer, b"REJECTED EXTERNAL\r\n")
            return
        self.send(peer, b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n" + self.raw)
        while True:
            while len(data) < HEAD or len(data) < length_of(data):
                part = peer.recv(4096)
                if not part:
                    return
                data += part
            length = length_of(data)
            self.answer(peer, int.from_bytes(data[8:12], "little"), read_message(data[:length]))
            data = data[length:]

    def answer(self, peer, serial, call):
        self.calls.append((call.member, call.values))
        to = [(5, ("u", serial))]
        if self.errors.get(call.member):
            name = self.errors[call.member].pop(0)
            self.send(peer, _message(3, [*to, (4, ("s", name))], "s", ["fake " + name.rpartition(".")[2]]))
            return
        if call.member in ("StartTransientUnit", "StopUnit"):
            fields = [
                (1, ("o", "/org/freedesktop/systemd1")),
                (2, ("s", SYSTEMD + "Manager")),
                (3, ("s", "JobRemoved")),
            ]
            other = _message(4, fields, "uoss", [6, JOB[:-1] + "6", "other.scope", "failed"])
            end = _message(4, fields, "uoss", [7, JOB, call.values[0], self.result]) if self.result else b""
            reply = _message(2, to, "o", [JOB])
            self.send(peer, other + end + reply if self.early else other + reply + end)
        elif call.member == "Get":
            value = {"Version": "252.39-1~deb12u2", "ControlGroup": self.group}[call.values[1]]
            self.send(peer, _message(2, to, "v", [("s", value)]))
        else:
            self.send(peer, _message(2, to))

    def members(self):
        return [member for member, _ in self.calls]

    def close(self):
        self.server.close()
