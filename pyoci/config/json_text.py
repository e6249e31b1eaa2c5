"""JSON text to values and back, without the `json` package (which costs an import of `re`).

Stricter than RFC 8259 allows a reader to be, because what two readers understand differently is a hole: UTF-8
only, no byte order mark, no key twice, no NaN, no lone surrogate, a bound on size, depth and digits.  A key
whose value is null is treated as absent (Go callers write null for an empty list), so it is dropped.
"""

from _json import encode_basestring_ascii, make_encoder, make_scanner

from pyoci.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
_SPACE = " \t\n\r"


class _Refused(ValueError):
    """Valid for the scanner, not for us; where it is gets looked up by pyoci.config.positions."""


def _object(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused
    if None in members.values():
        return {key: value for key, value in pairs if value is not None}
    return members


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _Refused
    return number


def _constant(name: str) -> "NoReturn":
    raise _Refused


class _Scanner:
    """What `make_scanner` reads its settings from."""

    strict = True
    object_hook = None
    object_pairs_hook = _object
    parse_float = _float
    parse_int = int
    parse_constant = _constant


_scan = make_scanner(_Scanner)  # type: ignore[arg-type]


def parse(data: bytes, name: str, *, ours: bool = False) -> object:
    """The value of the JSON document `data`; `name` is what error messages call it.

    With `ours` the text was written by `dump`, where half a surrogate pair stands for a byte of a path that is
    no UTF-8.  Raises ConfigError with line, column, cause and fix.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError(
            "parse %s: file too large" % name, where=name,
            cause="it has %d bytes, more than %d" % (len(data), MAX_BYTES), fix="shorten the document",
        )  # fmt: skip
    try:
        text = data.decode()
        start = len(text) - len(text.lstrip(_SPACE))
        value, end = _scan(text, start)
        if end != len(text) and text[end:].strip(_SPACE):
            raise _Refused
    except (StopIteration, ValueError, RecursionError, SystemError):
        # SystemError: CPython 3.11's scanner takes its error class from json.decoder if that is loaded, and
        # returns NULL without an exception if it is not.
        pass
    else:
        if not _too_deep(value) and (ours or "\\ud" not in text.lower() or not _has_surrogate(value)):
            return value
    from pyoci.config.positions import syntax_error

    raise syntax_error(data, name)


def _too_deep(value: object) -> bool:
    level: list[Any] = [value] if type(value) is dict or type(value) is list else []
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for container in level:
            for item in container.values() if type(container) is dict else container:
                if type(item) is dict or type(item) is list:
                    below.append(item)
        if not below:
            return False
        level = below
    return True


def _has_surrogate(value: object) -> bool:
    """Half a surrogate pair, escaped, without its partner makes a string that no byte string can carry."""
    try:
        dump(value, ascii_only=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _unknown(value: object) -> "NoReturn":
    raise TypeError("cannot be written as JSON: %r" % (value,))


def _plain(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# Arguments: markers, default, encode string, indent, key separator, item separator, sort keys, skip keys, nan.
_encode = make_encoder(None, _unknown, encode_basestring_ascii, None, ":", ",", False, False, False)
_encode_plain = make_encoder(None, _unknown, _plain, None, ":", ",", False, False, False)


def dump(value: object, *, ascii_only: bool = True) -> str:
    """`value` as compact JSON on one line, without a line break at the end.

    With `ascii_only` false only quotes and backslashes are escaped: good to look at the characters.
    """
    return "".join((_encode if ascii_only else _encode_plain)(value, 0))


def dump_pretty(value: object, indent: str = "  ") -> str:
    """`value` as JSON with one member a line, each level moved in by `indent`."""
    return _pretty(value, indent, "\n")


def _pretty(value: object, indent: str, margin: str) -> str:
    inner = margin + indent
    if type(value) is dict and value:
        lines = [encode_basestring_ascii(key) + ": " + _pretty(item, indent, inner) for key, item in value.items()]
        return "{" + inner + ("," + inner).join(lines) + margin + "}"
    if type(value) in (list, tuple) and value:
        lines = [_pretty(item, indent, inner) for item in value]  # type: ignore[attr-defined]
        return "[" + inner + ("," + inner).join(lines) + margin + "]"
    return dump(value)
