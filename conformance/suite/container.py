"""One container, driven by the command line alone: create, start, state, kill, delete."""

import json
import os
import select
import subprocess

from .case import Failed, patience

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
COMMAND_TIMEOUT = 20.0


class Runtime:
    """path: the program; name: what the reports call it; root: the state directory given with --root."""

    def __init__(self, path: str, name: str, root: str) -> None:
        self.path, self.name, self.root = path, name, root

    def call(self, *arguments: str, **options) -> "Result":
        """Run `PATH --root ROOT ARGUMENTS` with stdio on files, so that nobody can hang on a pipe."""
        return self.bare("--root", self.root, *arguments, **options)

    def bare(self, *arguments: str, cwd: str = "/", env: dict | None = None, stdin=None, stdout=None, stderr=None,
             pass_fds: tuple = (), timeout: float = COMMAND_TIMEOUT) -> "Result":  # fmt: skip
        timeout = patience(timeout)
        out = stdout or os.memfd_create("stdout", 0)
        err = stderr or os.memfd_create("stderr", 0)
        try:
            process = subprocess.Popen(
                [self.path, *arguments], cwd=cwd, env=ENVIRONMENT if env is None else env, pass_fds=pass_fds,
                stdin=subprocess.DEVNULL if stdin is None else stdin, stdout=out, stderr=err,
            )  # fmt: skip
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise Failed(f"`{' '.join(arguments[:4])}` did not return within {timeout:g} s") from None
            return Result(status, "" if stdout else _text(out), "" if stderr else _text(err))
        finally:
            if not stdout:
                os.close(out)
            if not stderr:
                os.close(err)


def _text(fd: int) -> str:
    size = os.fstat(fd).st_size
    return os.pread(fd, size, 0).decode("utf-8", "surrogateescape")


class Result:
    """status: exit status; stdout, stderr: text."""

    def __init__(self, status: int, stdout: str, stderr: str) -> None:
        self.status, self.stdout, self.stderr = status, stdout, stderr

    @property
    def why(self) -> str:
        lines = (self.stderr.strip() or self.stdout.strip() or "no message").splitlines()
        return f"exit {self.status}: {' | '.join(line.strip() for line in lines[-4:])[:500]}"


class Container:
    """A container of one bundle. The methods that do not say otherwise raise Failed when the command fails."""

    def __init__(self, runtime: Runtime, name: str, bundle: str, work: str) -> None:
        self.runtime, self.id, self.bundle = runtime, name, bundle
        self.out_path, self.err_path = f"{work}/{name}.out", f"{work}/{name}.err"
        self.pid_file = f"{work}/{name}.pid"
        self.pid = 0
        self.status: int | None = None

    def try_create(self, *flags: str, **options) -> Result:
        """Create; never raises on a refusal. The container's stdout and stderr are files."""
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            result = self.runtime.call(
                "create",
                "--bundle",
                self.bundle,
                "--pid-file",
                self.pid_file,
                *flags,
                self.id,
                cwd=self.bundle,
                **{"stdout": out, "stderr": err, **options},
            )
        result.stderr = result.stderr or self.errors()
        result.stdout = result.stdout or self.output()
        if result.status == 0:
            try:
                with open(self.pid_file, encoding="ascii") as file:
                    self.pid = int(file.read())
            except (OSError, ValueError) as error:
                raise Failed(f"no pid in the pid file after create: {error}") from None
        return result

    def create(self, *flags: str, **options) -> "Container":
        result = self.try_create(*flags, **options)
        if result.status:
            raise Failed(f"create failed, {result.why}")
        return self

    def start(self) -> "Container":
        result = self.runtime.call("start", self.id)
        if result.status:
            raise Failed(f"start failed, {result.why}{self._said()}")
        return self

    def _said(self) -> str:
        text = self.errors().strip()
        return f" (stderr: {text.splitlines()[-1][:200]})" if text else ""

    def try_state(self) -> Result:
        return self.runtime.call("state", self.id)

    def state(self) -> dict:
        result = self.try_state()
        if result.status:
            raise Failed(f"state failed, {result.why}")
        try:
            return json.loads(result.stdout)
        except ValueError as error:
            raise Failed(f"state does not print JSON: {error}") from None

    def kill(self, signal: str | int = "KILL") -> Result:
        return self.runtime.call("kill", self.id, str(signal))

    def delete(self, *flags: str) -> Result:
        return self.runtime.call("delete", *flags, self.id)

    def wait(self, timeout: float = 10.0) -> int:
        """Wait for the container process; returns its exit status, or 128+N for signal N."""
        if self.status is not None:
            return self.status
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return 0
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            timeout = patience(timeout)
            if not poll.poll(timeout * 1000):
                raise Failed(f"the container process did not exit within {timeout:g} s")
        finally:
            os.close(fd)
        try:
            status = os.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            raise Failed("the container process was not left to the caller (subreaper) after create") from None
        self.status = os.waitstatus_to_exitcode(status)
        if self.status < 0:
            self.status = 128 - self.status
        return self.status

    def output(self) -> str:
        return _read(self.out_path)

    def errors(self) -> str:
        return _read(self.err_path)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""
