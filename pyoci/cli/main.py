"""main(): from argv to the exit status, and the only place where an exception ends the program."""

import _signal
import gc
import os
import sys

from pyoci.cli.call import Call, make_log
from pyoci.cli.parse import Mistake, Reading, read
from pyoci.errors import EXIT_EXEC_FAILURE, EXIT_FAILURE, PyociError, UsageError, errno_text
from pyoci.log import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import NoReturn

# The words that go before a command's errors.
_PREFIXES = {"create": "pyoci create failed: ", "run": "pyoci run failed: ", "exec": "exec failed: "}


def main(argv: list[str]) -> "NoReturn":
    """Carry out one command line (without the program's own name) and end the process."""
    stdout_closed = open_standard_descriptors()
    umask = os.umask(0o022)  # the modes of what we make must not depend on the caller
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # a caller that ignores it would make the kernel reap for us
    gc.disable()  # a command is over before collecting garbage pays
    status = _run(argv, umask, stdout_closed)
    os._exit(status)  # skips the interpreter's tear-down, which would cost a millisecond


def open_standard_descriptors() -> bool:
    """Open /dev/null on those of the descriptors 0 to 2 that are closed; return whether 1 was.

    Otherwise the next file that is opened would become the container's standard input or output.
    """
    stdout_closed = False
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            stdout_closed = stdout_closed or fd == 1
            null = os.open("/dev/null", os.O_RDWR)
            if null == fd:
                os.set_inheritable(fd, True)
            else:
                os.dup2(null, fd)
                os.close(null)
    return stdout_closed


def _run(argv: list[str], umask: int, stdout_closed: bool) -> int:
    log = Log()
    command = prefix = ""
    try:
        try:
            reading = read(argv)
        except Mistake as mistake:
            command = mistake.command
            if mistake.settings:
                log = make_log(mistake.settings)
            from pyoci.cli.human import answer

            return answer(mistake, log)
        command = reading.command
        log = make_log(reading.settings)
        if command == "version":
            from pyoci.cli.version import text

            Call(reading, log, stdout_closed=stdout_closed).write(text())
            return 0
        call = Call(reading, log, umask=umask, stdout_closed=stdout_closed)
        if reading.settings["criu"]:
            log.warning("--criu has no effect")
        verb = _load(reading)
        prefix = _PREFIXES.get(command, "")
        status: int = verb.main(call)  # type: ignore[attr-defined]
        if sys.stdout is not None:
            sys.stdout.flush()
        log.release()
        return status
    except BaseException as error:
        failure = as_pyoci_error(error)
        failure.message = prefix + failure.message
        _trace(log, error)
        log.error(failure)
        if isinstance(error, KeyboardInterrupt) and command != "exec":
            return 130
        return EXIT_EXEC_FAILURE if command == "exec" else EXIT_FAILURE


def _load(reading: Reading) -> object:
    """The module of pyoci.runtime that carries out the command.  UsageError in an installation without it."""
    name = "pyoci.runtime." + reading.command
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        if error.name not in {name, "pyoci.runtime"}:
            raise
        raise UsageError("%s is not carried out by this version" % reading.command) from None
    return sys.modules[name]


def as_pyoci_error(error: BaseException) -> PyociError:
    """The error as the user reads it: one line, whatever it was."""
    if isinstance(error, PyociError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return PyociError("interrupted")
    if isinstance(error, MemoryError):
        return PyociError("cannot allocate memory")
    if isinstance(error, OSError) and error.errno is not None:
        if type(error).__str__ is not OSError.__str__:
            return PyociError(str(error))  # SyscallError names its call
        files = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        names = " ".join(files)
        return PyociError((names and names + ": ") + errno_text(error.errno))
    message = "internal error: %s: %s" % (type(error).__name__, error)
    return PyociError(message, where=_place(error.__traceback__), fix="this is a fault of pyoci: please report it")


def _place(traceback: "TracebackType | None") -> str:
    """FILE:LINE of the innermost frame."""
    place = ""
    while traceback is not None:
        place = "%s:%d" % (traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return place


def _trace(log: Log, error: BaseException) -> None:
    """With --debug: where in the code the error came from, frame by frame, outermost first."""
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        log.debug("in %s" % code.co_name, where="%s:%d" % (code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
