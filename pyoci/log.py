"""What pyoci says to people and to engines: records in a log file, or lines on standard error.

Engines read this output, each in its own way, and that decides its form:

* podman reads the whole file of --log as one JSON object, so a command that fails leaves exactly one record
  in it, the error.  Warnings are therefore held back until `release()`, when success is certain; a failure
  drops them.  Only with --debug is everything written at once.
* containerd reads the file as a stream of objects and shows the `msg` of the last one at level `error`; its
  `time` must be RFC 3339.
* cri-o and conmon read standard error, so with --log the message of the final error stands there as well, as
  a bare line.
* Several processes share one file: it is opened for appending, and a record is one write(2).  It is opened
  anew for each record, because a descriptor kept open could be taken for one of those to be passed on.

Never imported by `init/`: a child reports to its parent through the channel.
"""

import os
import sys
import time

from pyoci.errors import PyociError, UsageError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS = ("debug", "info", "warning", "error")
_DEBUG = 0
_INFO = 1
_WARNING = 2
_NOT_CARRIED_OUT = ("syslog:", "journald:")


class Log:
    """Where records go, in which form, and from which level on.

    `path` is absolute, or empty for standard error; `form` is "text" or "json"; `level` is one of LEVELS.
    """

    __slots__ = ("_held", "form", "level", "path")

    def __init__(self, path: str = "", form: str = "text", level: str = "warning") -> None:
        self.path = path
        self.form = form
        self.level = LEVELS.index(level)
        self._held: list[tuple[str, str, dict[str, str | int]]] | None = [] if self.level > _DEBUG else None

    def debug(self, text: str, where: str = "") -> None:
        """Record what is being done; written at once, and only with --debug."""
        if self.level == _DEBUG:
            self._note("debug", text, where)

    def info(self, text: str, where: str = "") -> None:
        """Record something worth knowing; held back like a warning."""
        if self.level <= _INFO:
            self._note("info", text, where)

    def warning(self, text: str, where: str = "") -> None:
        """Record something the user should know, held back until `release()`.  `where` is a jq path or a file."""
        if self.level <= _WARNING:
            self._note("warning", text, where)

    def release(self) -> None:
        """Success is certain: write what was held back, and hold nothing back from now on."""
        held, self._held = self._held, None
        for level, text, extra in held or ():
            self._write(level, text, extra)

    def error(self, error: PyociError) -> None:
        """Record the error that ends the command, and drop what was held back."""
        self._held = None
        self._write("error", error.message, error.details())
        if self.path:
            _to_stderr(printable(error.message))

    def _note(self, level: str, text: str, where: str) -> None:
        extra: dict[str, str | int] = {"where": where} if where else {}
        if self._held is None:
            self._write(level, text, extra)
        else:
            self._held.append((level, text, extra))

    def _write(self, level: str, text: str, extra: "Mapping[str, str | int]") -> None:
        if self.form == "json":
            line = _json_record(level, text, extra)
        elif self.path:
            line = _text_record(level, text, extra)
        else:
            line = _lines_for_a_person(level, text, extra)
        if not self.path:
            _to_stderr(line)
            return
        try:
            _append(self.path, line)
        except OSError:
            if level != "error":  # the error's message goes to standard error in any case
                _to_stderr(line)


def open_log(target: str, form: str, level: "str | None", *, debug: bool) -> Log:
    """The log that --log, --log-format, --log-level and --debug ask for.

    `target` is `[file:]PATH`, or empty for standard error.  The file is made here, so that a wrong path is an
    error of the command and not a silent loss.  Raises UsageError.
    """
    level = "debug" if debug else level or "warning"
    if target.startswith(_NOT_CARRIED_OUT):
        problem = "log target %s is not carried out by this version" % target
        raise UsageError(problem, fix="name a file with --log")
    path = target.removeprefix("file:")
    if path:
        path = os.path.abspath(path)
        try:
            _append(path, "")
        except OSError as error:
            raise UsageError("open log file %s: %s" % (path, errno_text(error.errno or 0)))
    return Log(path, form, level)


def printable(text: str) -> str:
    """The text as one line without control characters: names from an image must not drive somebody's terminal."""
    text = text.strip()
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    if letter in "\n\t":
        return " "
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as surrogateescape keeps it
        code -= 0xDC00
    return "\\x%02x" % code if code < 256 else "\\u%04x" % code


def _lines_for_a_person(level: str, text: str, extra: "Mapping[str, str | int]") -> str:
    """The message, then its place, cause and fix on lines of their own."""
    text = printable(text)
    if level != "error":
        text = "pyoci: %s: %s" % (level, text)
    elif not text.startswith("pyoci"):
        text = "pyoci: " + text
    lines = [text]
    place = printable(str(extra.get("where", "")))
    if "line" in extra:
        line_and_column = "line %s, column %s" % (extra["line"], extra.get("column", 1))
        place = "%s (%s)" % (place, line_and_column) if place else line_and_column
    if place:
        lines.append("  at: " + place)
    lines += ["  %s: %s" % (key, printable(str(extra[key]))) for key in ("cause", "fix") if key in extra]
    return "\n".join(lines)


def _text_record(level: str, text: str, extra: "Mapping[str, str | int]") -> str:
    from _json import encode_basestring

    words = ['time="%s"' % _now(), "level=" + level, "msg=" + encode_basestring(printable(text))]
    for key, value in extra.items():
        words.append("%s=%s" % (key, value if isinstance(value, int) else encode_basestring(printable(value))))
    return " ".join(words)


def _json_record(level: str, text: str, extra: "Mapping[str, str | int]") -> str:
    from _json import encode_basestring_ascii as quoted

    pairs = ['"level":"%s"' % level, '"msg":' + quoted(printable(text)), '"time":"%s"' % _now()]
    for key, value in extra.items():
        pairs.append("%s:%s" % (quoted(key), value if isinstance(value, int) else quoted(printable(value))))
    return "{" + ",".join(pairs) + "}"


def _now() -> str:
    """The time in UTC as in RFC 3339, with nanoseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ" % (*time.gmtime(seconds)[:6], nanoseconds)


def _append(path: str, line: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o644)
    try:
        if line:
            os.write(fd, line.encode() + b"\n")
    finally:
        os.close(fd)


def _to_stderr(line: str) -> None:
    """One write(2) to descriptor 2; where even that fails there is nobody left to tell."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.write(2, line.encode() + b"\n")
    except (OSError, ValueError):
        pass
