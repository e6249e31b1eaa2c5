"""Running engines and their command lines: private directories, no systemd, nothing left behind."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from tests.integration import host
from tests.integration.runtime import Children

TIMEOUT = 60
# What engines and shims need of the environment; nothing of the caller's own set-up.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}


def runtime_under_test():
    """$PYOCI_CLIENTS_RUNTIME, else the pyoci of this interpreter."""
    chosen = os.environ.get("PYOCI_CLIENTS_RUNTIME")
    return os.path.abspath(chosen) if chosen else os.path.join(os.path.dirname(sys.executable), "pyoci")


class Result:
    """How a command ended; `out` and `err` are text."""

    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def __repr__(self):
        return "%s -> %s\n--- out\n%s\n--- err\n%s" % (shlex.join(self.argv), self.code, self.out, self.err)

    @property
    def text(self):
        return self.out + self.err

    def ok(self):
        assert self.code == 0, repr(self)
        return self

    def failed(self, code, *words):
        assert self.code == code, "expected %s: %r" % (code, self)
        for word in words:
            assert word in self.text, "%r is missing: %r" % (word, self)
        return self


class Cli:
    """A command line with fixed first words: cli("run", "--rm", ...) -> Result."""

    def __init__(self, prefix, folder, environment=None, as_user=None):
        self.prefix = list(prefix)
        self.folder = folder
        self.environment = {**ENVIRONMENT, **(environment or {})}
        self.user = as_user
        self.count = 0

    def spawn(self, *words, stdin=subprocess.DEVNULL, stdout=None, stderr=None, **more):
        self.count += 1
        base = "%s/%d" % (self.folder, self.count)
        with open(base + ".out", "wb") as out, open(base + ".err", "wb") as err:
            process = subprocess.Popen(
                [*self.prefix, *words], stdin=stdin, stdout=stdout or out, stderr=stderr or err,
                env=self.environment, start_new_session=True, **more,
            )  # fmt: skip
        process.paths = base + ".out", base + ".err"
        return process

    def wait(self, process, timeout=TIMEOUT, printed=""):
        """The Result; a command that does not end is killed with its children and fails the test."""
        code = Children.wait(process.pid, timeout)
        if code is None:
            os.killpg(process.pid, signal.SIGKILL)
            Children.wait(process.pid, 10)
        process.returncode = code if code is not None else -9
        out, err = (host.read(path) for path in process.paths)
        result = Result(process.args, code, out, err)
        if code is None:
            pytest.fail("no end after %.0f s: %r%s" % (timeout, result, printed))
        return result

    def __call__(self, *words, send=None, timeout=TIMEOUT, **more):
        if send is not None:
            reader, writer = os.pipe()
            process = self.spawn(*words, stdin=reader, **more)
            os.close(reader)
            with os.fdopen(writer, "wb") as file:
                file.write(send.encode())
        else:
            process = self.spawn(*words, **more)
        return self.wait(process, timeout)


def daemon(argv, log, ready, timeout=60, environment=None):
    """Start a daemon in a session of its own and wait until `ready()`; fails the test with its log."""
    with open(log, "ab") as file:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            env={**ENVIRONMENT, **(environment or {})},
        )  # fmt: skip
    end = time.monotonic() + timeout
    while not ready():
        if Children.has_ended(process.pid) or time.monotonic() > end:
            stop(process)
            pytest.fail("%s did not come up:\n%s" % (argv[0], host.read(log)[-3000:]))
        time.sleep(0.05)
    return process


def stop(process, timeout=30):
    """End a daemon that we started: politely, then not."""
    try:
        os.kill(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    code = Children.wait(process.pid, timeout)
    if code is None:
        os.kill(process.pid, signal.SIGKILL)
        code = Children.wait(process.pid, 10)
    process.returncode = code


def answers(*argv, environment=None):
    """Whether a command succeeds, and soon."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
            env={**ENVIRONMENT, **(environment or {})}, timeout=20,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def in_namespaces_of_its_own(*argv):
    """A command in new mount and network namespaces, its loopback up: bridges and mounts go with it."""
    script = 'ip link set lo up && exec "$@"'
    return ["unshare", "--net", "--mount", "--propagation", "slave", "sh", "-c", script, "sh", *argv]
