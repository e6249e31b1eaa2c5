"""criu's log: the lines of it that say why."""

import os

_TAIL = 1 << 18
_MOST = 3


def last_errors(path: str) -> str:
    """The last lines with an error, joined to one; else the last line; "" when there is no log."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        size = os.fstat(fd).st_size
        text = os.pread(fd, _TAIL, max(0, size - _TAIL))
    except OSError:
        return ""
    finally:
        os.close(fd)
    return "; ".join(errors_in(text.decode("utf-8", "backslashreplace")))


def errors_in(text: str) -> list[str]:
    """The last lines with an error, without their times; else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [_without_time(line) for line in lines if "Error" in line]
    return errors[-_MOST:] or [_without_time(line) for line in lines[-1:]]


def _without_time(line: str) -> str:
    """`Error (criu/x.c:1): text` of `(00.012345)      1: Error (criu/x.c:1): text`."""
    at = line.find("Error")
    return line[at:] if at > 0 else line
