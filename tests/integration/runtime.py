"""Running the runtime under test, and the containers it makes.

Standard output and error go to files, never to pipes: a container holds on to them after `create` has returned.
All waiting goes through one table of collected children, since containers are orphans that come to us.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from . import host

TIMEOUT = 30.0


def default_command():
    """$PYOCI_RUNTIME, else the command installed beside this interpreter, else the module."""
    if os.environ.get("PYOCI_RUNTIME"):
        return shlex.split(os.environ["PYOCI_RUNTIME"])
    beside = os.path.join(os.path.dirname(sys.executable), "pyoci")
    return [beside] if os.path.exists(beside) else [sys.executable, "-m", "pyoci"]


class Children:
    """Who has ended, and how: {pid: wait status}."""

    ended = {}

    @classmethod
    def collect(cls):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            cls.ended[pid] = status

    @classmethod
    def has_ended(cls, pid):
        """Whether a child is known to have ended.

        Numbers are given out again, after minutes where engines with many threads run, and what we know may be of
        an orphan that had the number before: a child that has one now, running or not collected, has not ended.
        """
        cls.collect()
        if pid in cls.ended and _is_child(pid):
            del cls.ended[pid]
        return pid in cls.ended

    @classmethod
    def wait(cls, pid, timeout):
        """Exit status of a child in the shell's way (128 + N for a signal); None when time is up."""
        end = time.monotonic() + host.patience(timeout)
        pause = 0.0005
        while True:
            if cls.has_ended(pid):
                return exit_status(cls.ended.pop(pid))
            if time.monotonic() > end:
                return None
            time.sleep(pause)
            pause = min(pause * 1.5, 0.01)


def _is_child(pid):
    try:
        status = host.read("/proc/%d/status" % pid)
    except OSError:
        return False
    return "\nTgid:\t%d\n" % pid in status and "\nPPid:\t%d\n" % os.getpid() in status


def exit_status(status):
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


class Result:
    """How a command ended: exit status, and the bytes it wrote as text (undecodable ones escaped)."""

    def __init__(self, argv, code, out, err, seconds):
        self.argv, self.code, self.out, self.err, self.seconds = argv, code, out, err, seconds

    def __repr__(self):
        return "%s -> %s\n--- out\n%s\n--- err\n%s" % (" ".join(map(str, self.argv)), self.code, self.out, self.err)

    @property
    def text(self):
        return self.out + self.err

    def json(self):
        return json.loads(self.out)

    def ok(self):
        assert self.code == 0, repr(self)
        return self

    def failed(self, *words, code=1):
        """Assert a clean refusal: the status, every one of `words` in the message, one error, no traceback."""
        assert self.code == code, "expected status %s: %r" % (code, self)
        assert "Traceback" not in self.text, repr(self)
        plain = self.text.replace('\\"', '"')
        for word in words:
            assert word in plain, "%r is not in the message: %r" % (word, self)
        return self


class Process:
    """A command that runs."""

    def __init__(self, argv, out, err, popen):
        self.argv, self.out_path, self.err_path, self.popen = argv, out, err, popen
        self.pid = popen.pid
        self.started = time.monotonic()

    def wait(self, timeout=TIMEOUT, hang=False):
        """The Result; a command that does not end is killed and fails the test (`hang`: gives None instead)."""
        code = Children.wait(self.pid, timeout)
        seconds = time.monotonic() - self.started
        if code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.popen.returncode = Children.wait(self.pid, 10)
            if hang:
                return None
            pytest.fail("no end after %g s: %r" % (host.patience(timeout), self.result(None, seconds)))
        self.popen.returncode = code
        return self.result(code, seconds)

    def result(self, code, seconds):
        return Result(self.argv, code, host.read(self.out_path), host.read(self.err_path), seconds)

    def running(self):
        return not Children.has_ended(self.pid)

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)


class Runtime:
    """The command under test with one state root and one directory for its output."""

    def __init__(self, work, command=None):
        self.command = command or default_command()
        self.work = work
        self.root = os.path.join(work, "state")
        self.count = 0

    def name(self):
        return os.path.basename(self.command[0])

    def spawn(self, *arguments, options=(), root=True, wrap=(), **more):
        """Start a command; `options` are global flags, `wrap` a prefix such as ["setpriv", ...]."""
        self.count += 1
        out, err = ("%s/%d.%s" % (self.work, self.count, kind) for kind in ("out", "err"))
        globals_ = (["--root", self.root] if root else []) + list(options)
        argv = [*wrap, *self.command, *globals_, *arguments]
        stdin = more.pop("stdin", subprocess.DEVNULL)
        with open(out, "wb") as out_file, open(err, "wb") as err_file:
            out_file = more.pop("stdout", out_file)
            err_file = more.pop("stderr", err_file)
            popen = subprocess.Popen(argv, stdin=stdin, stdout=out_file, stderr=err_file, **more)
        return Process(argv, out, err, popen)

    def __call__(self, *arguments, timeout=TIMEOUT, **more):
        return self.spawn(*arguments, **more).wait(timeout)

    def state(self, name):
        return self("state", name).ok().json()

    def left(self):
        """What lies in the state root, caches aside."""
        try:
            return sorted(n for n in os.listdir(self.root) if not n.startswith("."))
        except FileNotFoundError:
            return []


class Container:
    """One container from create to delete; `clean()` removes it whatever it went through."""

    def __init__(self, runtime, bundle, name):
        self.runtime, self.bundle, self.id = runtime, bundle, name
        self.pid_file = os.path.join(runtime.work, name + ".pid")
        self.process = None
        self.gone = False

    def try_create(self, *flags, timeout=TIMEOUT, **more):
        arguments = ["create", "--bundle", self.bundle.path, "--pid-file", self.pid_file, *flags, self.id]
        self.process = self.runtime.spawn(*arguments, **more)
        return self.process.wait(timeout)

    def create(self, *flags, **more):
        self.try_create(*flags, **more).ok()
        return self

    def start(self):
        self.runtime("start", self.id).ok()
        return self

    @property
    def pid(self):
        return int(host.read(self.pid_file))

    def state(self):
        return self.runtime.state(self.id)

    def status(self):
        return self.state()["status"]

    def kill(self, *arguments):
        """kill(SIGNAL), kill("--all", SIGNAL): flags come before the id."""
        flags = [a for a in map(str, arguments) if a.startswith("-")]
        return self.runtime("kill", *flags, self.id, *[a for a in map(str, arguments) if not a.startswith("-")])

    def delete(self, *flags):
        result = self.runtime("delete", *flags, self.id)
        self.gone = result.code == 0
        return result

    def wait(self, timeout=TIMEOUT):
        """Exit status of the container's program, which is our child."""
        code = Children.wait(self.pid, timeout)
        if code is None:
            pytest.fail(
                "the container %s did not end in %g s; state %r"
                % (self.id, timeout, self.runtime("state", self.id))
            )
        return code

    def end(self, number=signal.SIGKILL):
        """Kill the program, wait for it, and return its exit status."""
        self.kill(int(number)).ok()
        return self.wait()

    def out(self):
        return host.read(self.process.out_path)

    def err(self):
        return host.read(self.process.err_path)

    def report(self):
        """What the probe printed, as soon as it has."""
        host.until(lambda: self.out().endswith("}\n"), what="the probe's report (stderr: %r)" % self.err())
        return Report(json.loads(self.out()))

    def clean(self):
        if not self.gone:
            self.runtime("delete", "--force", self.id)


class Report(dict):
    """The probe's object with its actions and mounts at hand."""

    def action(self, name, argument=None):
        for action in self["actions"]:
            if action["do"] == name and (argument is None or action.get("arg") == argument):
                return action
        raise AssertionError("the probe did no %s %s: %s" % (name, argument, self["actions"]))

    def errno(self, name, argument=None):
        return self.action(name, argument).get("errno")

    def text(self, path):
        action = self.action("read", path)
        assert "text" in action, action
        return action["text"]

    def stat(self, path):
        action = self.action("stat", path)
        assert "errno" not in action, action
        return action

    def mounts(self):
        return [host.Mount(line) for line in self["mountinfo"]]

    def mount(self, point):
        """The topmost mount at a place."""
        found = [m for m in self.mounts() if m.point == point]
        assert found, "nothing is mounted at %s: %s" % (point, [m.point for m in self.mounts()])
        return found[-1]
