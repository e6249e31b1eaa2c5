"""Run one hook: another program, at a border of the container's life (runtime-spec config.md, POSIX hooks).

Used on both sides of the fork, so nothing heavy is imported: our own fork and execve, one memfd for standard
input and one pipe for what the hook prints.
"""

import _signal
import os
import select
import time
from errno import ENOENT

from pyoci.errors import HookError, errno_text
from pyoci.kernel.process import PR_SET_PDEATHSIG, keep_only, prctl, reset_signals
from pyoci.kernel.seccomp import set_mode_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Hook

KEPT_OUTPUT = 4096


def run_hook(
    hook: "Hook",
    kind: str,
    index: int,
    state: bytes,
    *,
    cwd: int | str,
    env: "dict[bytes, bytes] | None" = None,
    outputs: tuple[int, int] = (-1, -1),
    seccomp_filter: "tuple[bytes, int] | None" = None,
) -> None:
    """Run `hook` to its end with `state` on its standard input.

    cwd: a directory as a path or descriptor.  env: the environment for a hook that names none (default: ours).
    outputs: descriptors for its standard output and error; -1: what it prints there is for the error's message.
    seccomp_filter: (program in the kernel's form, flags) to put it under right before its execve.
    Raises HookError when it cannot be started, fails, is killed or runs past its timeout; then its whole
    process group is killed.  What it prints is read as long as it lives, never to the end of file: a
    grandchild may hold the pipe open for ever.
    """
    path = hook["path"]
    name = "error running %s hook #%d" % (kind, index)
    where = ".hooks.%s[%d]" % (kind, index)
    stdin_fd = os.memfd_create("hook-state", os.MFD_CLOEXEC)
    os.write(stdin_fd, state)
    os.lseek(stdin_fd, 0, os.SEEK_SET)
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    error_read, error_write = os.pipe2(os.O_CLOEXEC)
    argv = [os.fsencode(word) for word in hook.get("args", [])] or [os.fsencode(path)]
    given = hook.get("env")
    environment = _environment(given) if given else (os.environb if env is None else env)
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        out_fd, err_fd = (write_fd if fd < 0 else fd for fd in outputs)
        _become(path, argv, environment, cwd, (stdin_fd, out_fd, err_fd), error_write, seccomp_filter)
    for fd in (stdin_fd, write_fd, error_write):
        os.close(fd)
    try:
        failed = os.read(error_read, 16)
        if failed:
            os.waitpid(pid, 0)
            number = int(failed)
            words = errno_text(number)
            raise HookError(
                "%s: fork/exec %s: %s" % (name, path, words),
                where=where + ".path",
                fix="correct the path; it is looked up on the host" if number == ENOENT else "",
            )
        status, output = _watch(pid, read_fd, started, hook.get("timeout", 0), name, where)
    finally:
        os.close(error_read)
        os.close(read_fd)
    code = os.waitstatus_to_exitcode(status)
    if code:
        words = (
            "exit status %d" % code
            if code > 0
            else "signal: %s" % (_signal.strsignal(-code) or "%d" % -code).lower()
        )
        text = output.decode("utf-8", "backslashreplace").strip()
        message = "%s: %s" % (name, words)
        if text:
            message += ", output: " + text.replace("\n", "\\n")
        raise HookError(message, where=where, cause="%s ended with %s" % (path, words))


def _environment(entries: list[str]) -> "dict[bytes, bytes]":
    result = {}
    for entry in entries:
        key, _, value = entry.partition("=")
        result[os.fsencode(key)] = os.fsencode(value)
    return result


def _become(
    path: str,
    argv: list[bytes],
    env: object,
    cwd: int | str,
    streams: tuple[int, int, int],
    error_fd: int,
    seccomp_filter: "tuple[bytes, int] | None",
) -> None:
    """The child's side of the fork; never returns."""
    try:
        prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)
        os.setpgid(0, 0)
        if isinstance(cwd, int):
            os.fchdir(cwd)
        else:
            os.chdir(cwd)
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        keep_only([0, 1, 2, error_fd])
        reset_signals()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        if seccomp_filter is not None:
            set_mode_filter(*seccomp_filter)
        os.execve(path, argv, env)  # type: ignore[arg-type]
    except OSError as error:
        os.write(error_fd, b"%d" % (error.errno or 0))
    finally:
        os._exit(127)


def _watch(pid: int, read_fd: int, started: float, timeout: int, name: str, where: str) -> tuple[int, bytes]:
    """Wait for the hook to end, at most `timeout` seconds (0: for ever): (wait status, last words)."""
    os.set_blocking(read_fd, False)
    pidfd = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(read_fd, select.POLLIN)
    poller.register(pidfd, select.POLLIN)
    output = b""
    try:
        while True:
            left = None
            if timeout:
                left = max(0, int((started + timeout - time.monotonic()) * 1000))
            ready = dict(poller.poll(left))
            if read_fd in ready:
                output, ended = _drain(read_fd, output)
                if ended:
                    poller.unregister(read_fd)
            if pidfd in ready:
                output, _ = _drain(read_fd, output)
                return os.waitpid(pid, 0)[1], output
            if timeout and time.monotonic() >= started + timeout:
                _kill_group(pid)
                os.waitpid(pid, 0)
                raise HookError(
                    "%s: hook ran past specified timeout of %.1fs" % (name, timeout), where=where + ".timeout"
                )
    except BaseException:
        _kill_group(pid)
        raise
    finally:
        os.close(pidfd)


def _drain(fd: int, output: bytes) -> tuple[bytes, bool]:
    """What can be read now added to the last KEPT_OUTPUT bytes, and whether the end was reached."""
    for _ in range(16):
        try:
            part = os.read(fd, 65536)
        except BlockingIOError:
            return output, False
        if not part:
            return output, True
        output = (output + part)[-KEPT_OUTPUT:]
    return output, False


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, _signal.SIGKILL)
    except ProcessLookupError:
        pass
