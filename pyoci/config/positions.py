"""Where in a JSON text each value stands, and what is wrong with a text that is no JSON.

Read only after something failed, or by `pyoci check`: slow and careful, with its own scanner, so that the
message can say what a person would say.
"""

import re

from pyoci.config.fault import member, quoted
from pyoci.config.json_text import MAX_DEPTH
from pyoci.errors import ConfigError

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)')
_SURROGATE = re.compile(
    r"\\u(?:[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})|[dD][c-fC-F][0-9a-fA-F]{2})"
)
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_NUMBERLIKE = re.compile(r"[\w.+-]+")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\S")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
MAX_DIGITS = 4300


class SyntaxFault(Exception):
    """The text is no JSON (as we read it) at character `offset`."""

    def __init__(self, offset: int, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.offset = offset
        self.cause = cause
        self.fix = fix


class Positions:
    """Offsets into `text` by jq path: `values` of the value itself, `keys` of the key before it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.values: dict[str, int] = {}
        self.keys: dict[str, int] = {}
        self.here = 0

    def scan(self) -> None:
        """Go through the whole text; raises SyntaxFault."""
        self._value("", 1)
        self._space()
        if self.here < len(self.text):
            raise SyntaxFault(
                self.here,
                "something follows the end of the document",
                "remove what stands after the last closing bracket, or the bracket that ends it too early",
            )

    def line_column(self, path: str) -> tuple[int, int]:
        """Line and column of the value at `path`, else of the nearest object or array around it that exists."""
        while path not in self.values and path:
            path = _parent(path)
        return line_column(self.text, self.values.get(path, 0))

    def key_line_column(self, path: str) -> tuple[int, int]:
        """Line and column of the key that names `path`."""
        return line_column(self.text, self.keys[path]) if path in self.keys else self.line_column(path)

    def _space(self) -> str:
        found = _SPACE.match(self.text, self.here)
        self.here = found.end() if found else self.here
        return self.text[self.here : self.here + 1]

    def _value(self, path: str, depth: int) -> None:
        first = self._space()
        if depth > MAX_DEPTH and first in ("{", "["):
            raise SyntaxFault(
                self.here, "nested deeper than %d levels" % MAX_DEPTH, "no document for a runtime is this deep"
            )
        self.values[path] = self.here
        if first == "{":
            self._object(path, depth)
        elif first == "[":
            self._array(path, depth)
        elif first == '"':
            self._string()
        elif first == "-" or (first and first in "0123456789"):
            self._number()
        else:
            self._word()

    def _object(self, path: str, depth: int) -> None:
        opened, seen = self.here, set()
        self.here += 1
        if self._space() == "}":
            self.here += 1
            return
        while True:
            self._want_key(opened)
            at = self.here
            key = self._string()
            if key in seen:
                raise SyntaxFault(at, "the key %s stands twice in one object" % quoted(key), "keep one of the two")
            seen.add(key)
            if self._space() != ":":
                raise self._unexpected("a colon after the key %s" % quoted(key), opened)
            self.here += 1
            below = member(path, key) if key else (path or ".") + '[""]'
            self.keys[below] = at
            self._value(below, depth + 1)
            following = self._space()
            comma = self.here
            if following == "}":
                self.here += 1
                return
            if following != ",":
                raise self._unexpected("a comma or a closing } after the member %s" % quoted(key), opened)
            self.here += 1
            if self._space() == "}":
                raise SyntaxFault(comma, "a comma before the closing }", "remove the comma")

    def _want_key(self, opened: int) -> None:
        if self._space() != '"':
            if self.text[self.here : self.here + 1] == ",":
                raise SyntaxFault(self.here, "a comma without a member before it", "remove the comma")
            raise self._unexpected("a key in double quotes", opened)

    def _array(self, path: str, depth: int) -> None:
        opened, index = self.here, 0
        self.here += 1
        if self._space() == "]":
            self.here += 1
            return
        while True:
            self._value("%s[%d]" % (path or ".", index), depth + 1)
            following = self._space()
            comma = self.here
            if following == "]":
                self.here += 1
                return
            if following != ",":
                raise self._unexpected("a comma or a closing ] after element %d" % index, opened)
            self.here += 1
            index += 1
            if self._space() == "]":
                raise SyntaxFault(comma, "a comma before the closing ]", "remove the comma")

    def _string(self) -> str:
        start = self.here
        found = _STRING.match(self.text, start)
        end = found.end() if found else start + 1
        stop = self.text[end : end + 1]
        if stop != '"':
            raise _bad_string(self.text, start, end)
        raw = self.text[start + 1 : end]
        lone = _SURROGATE.search(_PAIR.sub(lambda pair: "-" * len(pair.group()), raw))
        if lone:
            raise SyntaxFault(
                start + 1 + lone.start(),
                "half of a surrogate pair, which no UTF-8 text can hold",
                "write the character itself",
            )
        self.here = end + 1
        return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescape, raw)

    def _number(self) -> None:
        found = _NUMBER.match(self.text, self.here)
        if not found:
            raise SyntaxFault(self.here, "a minus sign without a number", "write the number")
        digits = found.group()
        after = self.text[found.end() : found.end() + 1]
        if after.isalnum() or (after and after in "._"):
            raise SyntaxFault(
                self.here,
                "%s is not a JSON number" % quoted(_NUMBERLIKE.findall(self.text[self.here : found.end() + 12])[0]),
                "write a decimal number without leading zeros or unit",
            )
        if len(digits) > MAX_DIGITS and not (found.group(1) or found.group(2)):
            raise SyntaxFault(
                self.here, "a number of %d digits" % len(digits), "write a number of at most 20 digits"
            )
        if (found.group(1) or found.group(2)) and float(digits) in (float("inf"), float("-inf")):
            raise SyntaxFault(self.here, "a number that is too large", "write a number of at most 20 digits")
        self.here = found.end()

    def _word(self) -> None:
        found = _WORD.match(self.text, self.here)
        if not found:
            raise self._unexpected("a value", self.here)
        word = found.group()
        if word not in ("true", "false", "null"):
            raise self._unexpected("a value", self.here)
        self.here = found.end()

    def _unexpected(self, wanted: str, opened: int) -> SyntaxFault:
        """Something else stands where `wanted` should: the commonest slips get their own words."""
        found = _WORD.match(self.text, self.here)
        if not found:
            if not self.text.strip():
                return SyntaxFault(self.here, "the document is empty", "write a JSON object")
            line, column = line_column(self.text, opened)
            return SyntaxFault(
                self.here,
                "the text ends where %s should stand; the bracket of line %d, column %d is not closed"
                % (wanted, line, column),
                "close the bracket",
            )
        word = found.group()
        if word in ("True", "False", "None"):
            fix = "write %s" % {"True": "true", "False": "false", "None": "null"}[word]
        elif word == "'":
            fix = "write strings in double quotes"
        elif self.text.startswith(("//", "/*"), self.here) or word == "#":
            return SyntaxFault(self.here, "a comment: JSON has none", "remove the comment")
        elif word in ("NaN", "Infinity"):
            return SyntaxFault(self.here, "%s is not a JSON number" % word, "write a decimal number")
        elif word[0].isalpha():
            fix = 'write it in double quotes: "%s"' % word
        elif wanted.startswith("a comma") and word in '"{[':
            fix = "put a comma between the two"
        else:
            fix = "remove it, or write %s before it" % wanted
        return SyntaxFault(self.here, "%s stands where %s should" % (quoted(word), wanted), fix)


def _unescape(found: "re.Match[str]") -> str:
    escape = found.group(1)
    return chr(int(escape[1:], 16)) if escape[0] == "u" and len(escape) > 1 else _ESCAPES.get(escape, escape)


def _bad_string(text: str, start: int, end: int) -> SyntaxFault:
    if end >= len(text):
        return SyntaxFault(start, "a string that is not closed", "write the closing double quote")
    if text[end] == "\\":
        return SyntaxFault(end, "%s is not an escape" % quoted(text[end : end + 2]), "write \\\\ for a backslash")
    if text[end] in "\r\n":
        return SyntaxFault(
            start,
            "a string that is not closed on its line",
            "write the closing double quote, or \\n for a line break",
        )
    return SyntaxFault(end, "a control character inside a string", "write it as \\u%04x" % ord(text[end]))


def _parent(path: str) -> str:
    """The path around `path`: `.a.b` for `.a.b.c`, `.a` for `.a[3]`, "" for `.a`."""
    found = re.match(r'(.*?)(?:\.[A-Za-z_]\w*|\[(?:[0-9]+|"(?:[^"\\]|\\.)*")\])$', path)
    above = found.group(1) if found else ""
    return "" if above == "." else above


def line_column(text: str, offset: int) -> tuple[int, int]:
    """Line and column (characters), both from 1, of `text[offset]`."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def locate(text: str) -> Positions:
    """The positions in a text that `parse` accepted."""
    positions = Positions(text)
    positions.scan()
    return positions


def syntax_error(data: bytes, name: str) -> ConfigError:
    """Say why `data` is not acceptable JSON."""
    if data.startswith(b"\xef\xbb\xbf"):
        return _error(name, 1, 1, "it begins with a byte order mark", "save it as UTF-8 without a byte order mark")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        line, column = line_column(before, len(before))
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return _error(name, 1, 1, "it is UTF-16 text", "save it as UTF-8")
        cause = "byte 0x%02x is not UTF-8" % data[error.start]
        return _error(name, line, column, cause, "save it as UTF-8")
    try:
        Positions(text).scan()
    except SyntaxFault as fault:
        line, column = line_column(text, fault.offset)
        return _error(name, line, column, fault.cause, fault.fix)
    return _error(name, 1, 1, "it is not a JSON document that can be read", "check it with another JSON tool")


def _error(name: str, line: int, column: int, cause: str, fix: str) -> ConfigError:
    message = "parse %s: line %d, column %d: %s" % (name, line, column, cause)
    return ConfigError(message, where=name, line=line, column=column, cause=cause, fix=fix)
