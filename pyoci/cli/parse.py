"""The fast reader: argv to a Reading, straight from the table, with nothing imported.

Engines call a runtime some ten times in the life of a container and never mistype, so this reader only has
to be quick and strict.  Whatever it cannot read, and every wish for help, it raises as a Mistake; `human.py`
answers that at leisure.
"""

from pyoci.cli.table import (
    CHOICE,
    COMMANDS,
    COUNT,
    DURATION,
    FLAG,
    GLOBAL_OPTIONS,
    INT,
    LIST,
    SIZE,
    TRISTATE,
    Command,
    Option,
    options_of,
    wrong_count,
)
from pyoci.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HELP = "help"
NO_COMMAND = "no command"
NO_SUCH_COMMAND = "no such command"
NO_SUCH_OPTION = "no such option"
BAD_VALUE = "bad value"
BAD_ARGUMENTS = "bad arguments"

_TRUE = ("1", "t", "T", "true", "TRUE", "True")  # the spellings of Go's strconv.ParseBool
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
_SIZE_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_NUMERALS = "0123456789."
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PROBLEM_OF_CHOICE = {"format": "invalid format option: %s", "log-format": "invalid log-format: %s"}


class Reading:
    """An argv, read: the command's name, the global settings, its options, its positionals."""

    __slots__ = ("arguments", "command", "options", "settings")

    def __init__(
        self, command: str, settings: "dict[str, Any]", options: "dict[str, Any]", arguments: list[str]
    ) -> None:
        self.command = command
        self.settings = settings
        self.options = options
        self.arguments = arguments


class Mistake(UsageError):
    """An argv that is no command to carry out: a slip, or a wish for help.

    `kind` is one of the constants above, `command` the command where one was named, `word` the word at fault,
    `settings` the global settings read so far (the log among them).
    """

    def __init__(self, kind: str, message: str, word: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.word = word
        self.command = ""
        self.settings: dict[str, Any] = {}


def read(argv: list[str]) -> Reading:
    """Read an argv (without the program's own name).  Raises Mistake."""
    settings = defaults(GLOBAL_OPTIONS)
    name = ""
    try:
        at, words = _read_options(argv, 0, GLOBAL_OPTIONS, settings, stops=True)
        if settings["version"]:
            return Reading("version", settings, {}, [])
        words += argv[at:]
        if not words:
            raise Mistake(NO_COMMAND, "no command given")
        name = words[0]
        if name == "help":
            name = words[1] if words[1:] else ""
            raise Mistake(HELP, "help wanted")
        command = COMMANDS.get(name)
        if command is None:
            raise Mistake(NO_SUCH_COMMAND, 'no such command: "%s"' % name, name)
        return _read_command(command, settings, words)
    except Mistake as mistake:
        mistake.command = name
        mistake.settings = settings
        raise


def parse(argv: list[str]) -> "Reading | None":
    """The Reading of an argv, or None when it needs a person's attention."""
    try:
        return read(argv)
    except Mistake:
        return None


def _read_command(command: Command, settings: "dict[str, Any]", words: list[str]) -> Reading:
    """Read the words of one command; `words[0]` is its name."""
    options = defaults(command.options)
    at, arguments = _read_options(words, 1, options_of(command), options, stops=command.stops)
    arguments = finish_arguments(command, arguments + words[at:])
    return Reading(command.name, settings, options, arguments)


def finish_arguments(command: Command, arguments: list[str]) -> list[str]:
    """The positionals, counted and checked; a lone `--` between the id and its tail is dropped."""
    if command.stops and arguments[1:2] == ["--"]:
        del arguments[1]
    problem = wrong_count(command, len(arguments))
    if problem:
        raise Mistake(BAD_ARGUMENTS, problem)
    if command.least and not arguments[0]:
        raise Mistake(BAD_ARGUMENTS, "container id cannot be empty")
    return arguments


def defaults(options: tuple[Option, ...]) -> "dict[str, Any]":
    """A fresh dict of every option's default, by key."""
    known = [option for option in options if option.name != "help"]
    return {option.key: [] if option.kind == LIST else option.default for option in known}


def _read_options(
    words: list[str], at: int, table: tuple[Option, ...], values: "dict[str, Any]", *, stops: bool
) -> tuple[int, list[str]]:
    """Read options from `words[at:]` into `values`; return where that ended and the positionals up to there."""
    by_name = {option.name: option for option in table}
    positionals: list[str] = []
    end = len(words)
    while at < end:
        word = words[at]
        if word[:1] != "-" or word == "-":
            if stops:
                break
            positionals.append(word)
            at += 1
            continue
        at += 1
        if word == "--":
            positionals += words[at:]
            return end, positionals
        name, equals, text = word[2 if word[1] == "-" else 1 :].partition("=")
        option = by_name.get(name)
        if option is None:
            if word[1] == "-":
                raise Mistake(NO_SUCH_OPTION, "flag provided but not defined: %s" % word.partition("=")[0], name)
            at = _read_letters(words, at, table, values)
        elif option.kind == FLAG:
            _store(option, text if equals else "true", values)
        elif equals:
            _store(option, text, values)
        else:
            _store(option, _next_word(option, words, at), values)
            at += 1
    return at, positionals


def _read_letters(words: list[str], at: int, table: tuple[Option, ...], values: "dict[str, Any]") -> int:
    """Read `words[at - 1]`, short options (`-d`, `-dt`, `-bDIR`, `-b=DIR`, `-b DIR`); return the next place."""
    letters = words[at - 1][1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        for option in table:
            if option.short == letter:
                break
        else:
            raise Mistake(NO_SUCH_OPTION, "flag provided but not defined: %s" % words[at - 1], words[at - 1][1:])
        if option.kind == FLAG and letters[:1] != "=":
            _store(option, "true", values)
        elif letters:
            _store(option, letters[1:] if letters[0] == "=" else letters, values)
            break
        else:
            _store(option, _next_word(option, words, at), values)
            return at + 1
    return at


def _next_word(option: Option, words: list[str], at: int) -> str:
    if at >= len(words):
        raise Mistake(BAD_VALUE, "flag needs an argument: --%s" % option.name, option.name)
    return words[at]


def _store(option: Option, text: str, values: "dict[str, Any]") -> None:
    value = convert(option, text)
    if option.name == "help":
        if value:
            raise Mistake(HELP, "help wanted")
    elif option.kind == LIST:
        values[option.key].append(value)
    else:
        values[option.key] = value


def convert(option: Option, text: str) -> "Any":
    """The value that `text` stands for.  Raises Mistake."""
    kind = option.kind
    if kind == CHOICE:
        if text not in option.choices:
            problem = _PROBLEM_OF_CHOICE.get(option.name, "invalid " + option.name + ": %s")
            mistake = Mistake(BAD_VALUE, problem % text, option.name)
            mistake.fix = "choose one of: " + ", ".join(option.choices)
            raise mistake
        return text
    reader = _READERS.get(kind)
    if reader is None:
        return text
    try:
        return reader(text)
    except ValueError:
        raise Mistake(BAD_VALUE, 'invalid value "%s" for flag --%s' % (text, option.name), option.name)


def _bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(text)


def _tristate(text: str) -> "bool | None":
    return None if text.lower() == "auto" else _bool(text)


def _int(text: str) -> int:
    digits = text[1:] if text[:1] in {"-", "+"} else text
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 20:
        raise ValueError(text)  # int() alone takes `1_000`, blanks and other scripts' digits
    return int(text)


def _count(text: str) -> int:
    number = _int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _size(text: str) -> int:
    lowered = text.lower()
    if lowered.endswith("b") and lowered[-2:-1] in _SIZE_UNITS:
        lowered = lowered[:-1]
    unit = _SIZE_UNITS.get(lowered[-1:])
    return _int(lowered) if unit is None else _count(lowered[:-1]) * unit


def _duration(text: str) -> float:
    """Seconds of a duration in Go's notation: numbers with units, `0` alone without one."""
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0.0
    seconds = 0.0
    while True:
        after = rest.lstrip(_NUMERALS)
        cut = 0
        while cut < len(after) and after[cut] not in _NUMERALS:
            cut += 1
        unit = _SECONDS.get(after[:cut])
        if unit is None:
            raise ValueError(text)
        seconds += float(rest[: len(rest) - len(after)]) * unit
        rest = after[cut:]
        if not rest:
            return -seconds if text[0] == "-" else seconds


_READERS: "dict[str, Any]" = {
    FLAG: _bool,
    TRISTATE: _tristate,
    INT: _int,
    COUNT: _count,
    SIZE: _size,
    DURATION: _duration,
}
