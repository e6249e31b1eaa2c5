"""Values in GVariant's text format (as `gdbus call` reads them), as (signature, value) pairs for D-Bus.

    true  -5  0x1f  1.5  'text'  "text"  ['a', 'b']  (1, 'x')  {'key': <1>}  <'inner'>  b'bytes'
    uint64 30  @t 30  @as []  objectpath '/a'

A whole number without a type is an int32, as GVariant has it, or an int64 where it needs more room.
"""

from pyoci.systemd.message import Malformed, put, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Typed = tuple[str, Any]

_KEYWORDS = {
    "boolean": "b", "byte": "y", "int16": "n", "uint16": "q", "int32": "i", "handle": "i", "uint32": "u",
    "int64": "x", "uint64": "t", "double": "d", "string": "s", "objectpath": "o", "signature": "g",
}  # fmt: skip
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_WHOLE = "ynqiuxt"
_SPACE = " \t\r\n"
_DEEPEST = 32


class NotAVariant(ValueError):
    """The text is no value in this format."""


def parse_variant(text: str) -> "Typed":
    """(signature, value) of a text.  Raises NotAVariant.

    >>> parse_variant("uint64 30"), parse_variant("['a.service']"), parse_variant("@as []")
    (('t', 30), ('as', ['a.service']), ('as', []))
    """
    reader = _Reader(text)
    signature, value = reader.value(None)
    if reader.peek():
        raise NotAVariant("more text after the value: %r" % reader.text[reader.at :][:40])
    try:
        put(bytearray(), signature, value)  # does the number fit its type?
    except Malformed as error:
        raise NotAVariant(str(error)) from None
    return signature, value


class _Reader:
    """A text and how far it was read."""

    __slots__ = ("at", "depth", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while self.text[self.at : self.at + 1] and self.text[self.at] in _SPACE:
            self.at += 1
        return self.text[self.at : self.at + 1]

    def take(self, wanted: str) -> None:
        if self.peek() != wanted:
            raise NotAVariant("expected %r at %r" % (wanted, self.text[self.at :][:40]))
        self.at += 1

    def word(self) -> str:
        start = self.at
        while self.text[self.at : self.at + 1].isalnum() or self.text[self.at : self.at + 1] in tuple("+-."):
            self.at += 1
        return self.text[start : self.at]

    def value(self, kind: "str | None") -> "Typed":
        """The next value; `kind` is the type that it has to have, None when it says so itself."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise NotAVariant("too deeply nested")
        first = self.peek()
        if first == "@":
            self.at += 1
            result = self._of_type(self._signature(), kind)
        elif first in ("'", '"'):
            result = self._checked("s", self._quoted(), kind, "sog")
        elif first == "b" and self.text[self.at + 1 : self.at + 2] in ("'", '"'):
            self.at += 1
            result = self._checked("ay", self._quoted().encode("latin-1", "replace") + b"\0", kind, ("ay",))
        elif first == "[":
            result = self._array(kind)
        elif first == "(":
            result = self._tuple(kind)
        elif first == "{":
            result = self._dictionary(kind)
        elif first == "<":
            self.take("<")
            inner = self.value(None)
            self.take(">")
            result = self._checked("v", inner, kind, "v")
        else:
            result = self._plain(kind)
        self.depth -= 1
        return result

    def _of_type(self, named: str, kind: "str | None") -> "Typed":
        if kind is not None and kind != named:
            raise NotAVariant("a value of type %s where one of type %s is due" % (named, kind))
        return self.value(named)

    def _signature(self) -> str:
        start = self.at
        while self.text[self.at : self.at + 1] and self.text[self.at] not in _SPACE:
            self.at += 1
        text = self.text[start : self.at]
        try:
            types = split(text)
        except (Malformed, RecursionError):
            types = []
        if len(types) != 1 or len(text) > 255:
            raise NotAVariant("%r is no D-Bus type" % text)
        return text

    @staticmethod
    def _checked(default: str, value: "Any", kind: "str | None", fitting: "str | tuple[str, ...]") -> "Typed":
        if kind is None:
            return default, value
        if kind not in fitting:
            raise NotAVariant("a value of type %s where one of type %s is due" % (default, kind))
        return kind, value

    def _quoted(self) -> str:
        quote = self.text[self.at]
        self.at += 1
        parts: list[str] = []
        while True:
            letter = self.text[self.at : self.at + 1]
            self.at += 1
            if not letter:
                raise NotAVariant("a text without its closing %s" % quote)
            if letter == quote:
                return "".join(parts)
            if letter == "\\":
                letter = self._escape()
            parts.append(letter)

    def _escape(self) -> str:
        letter = self.text[self.at : self.at + 1]
        self.at += 1
        length = {"u": 4, "U": 8}.get(letter)
        if length is None:
            return _ESCAPES.get(letter, letter)
        digits = self.text[self.at : self.at + length]
        self.at += length
        try:
            return chr(int(digits, 16))
        except (ValueError, OverflowError):
            raise NotAVariant("\\%s%s is no character" % (letter, digits)) from None

    def _plain(self, kind: "str | None") -> "Typed":
        word = self.word()
        if word in ("true", "false"):
            return self._checked("b", word == "true", kind, "b")
        if word in _KEYWORDS:
            return self._of_type(_KEYWORDS[word], kind)
        if not word:
            raise NotAVariant("a value is missing at %r" % self.text[self.at :][:40])
        return self._number(word, kind)

    def _number(self, word: str, kind: "str | None") -> "Typed":
        sign = -1 if word[0] == "-" else 1
        digits = word.lstrip("+-") if word[:2] not in ("+-", "-+", "--", "++") else ""
        base = 16 if digits[:2].lower() == "0x" else 8 if digits[:1] == "0" and digits.isdigit() else 10
        try:
            number = sign * int(digits, base)
        except ValueError:
            try:
                return self._checked("d", float(word), kind, "d")
            except ValueError:
                raise NotAVariant("%r is no value; a text needs quotes" % word[:40]) from None
        if kind == "d":
            return "d", float(number)
        return self._checked("i" if -(1 << 31) <= number < 1 << 31 else "x", number, kind, _WHOLE)

    def _array(self, kind: "str | None") -> "Typed":
        if kind is not None and kind[0] != "a":
            raise NotAVariant("an array where a value of type %s is due" % kind)
        element = kind[1:] if kind else None
        self.take("[")
        items: list[Any] = []
        while self.peek() != "]":
            if items:
                self.take(",")
            element, item = self.value(element)
            items.append(item)
        self.take("]")
        if element is None:
            raise NotAVariant("an empty array needs its type: @as []")
        return "a" + element, items

    def _tuple(self, kind: "str | None") -> "Typed":
        if kind is not None and kind[0] != "(":
            raise NotAVariant("a tuple where a value of type %s is due" % kind)
        types = split(kind[1:-1]) if kind else None
        self.take("(")
        found: list[Typed] = []
        while self.peek() != ")":
            if found:
                self.take(",")
                if self.peek() == ")":
                    break
            if types is not None and len(found) == len(types):
                raise NotAVariant("a tuple with too many values")
            found.append(self.value(types[len(found)] if types else None))
        self.take(")")
        if not found or (types is not None and len(found) != len(types)):
            raise NotAVariant("a tuple with too few values")
        return "(%s)" % "".join(part for part, _ in found), tuple(value for _, value in found)

    def _dictionary(self, kind: "str | None") -> "Typed":
        if kind is not None and kind[:2] != "a{":
            raise NotAVariant("a dictionary where a value of type %s is due" % kind)
        key, value = split(kind[2:-1]) if kind else (None, None)
        self.take("{")
        items: list[Any] = []
        while self.peek() != "}":
            if items:
                self.take(",")
            key, name = self.value(key)
            self.take(":")
            value, item = self.value(value)
            items.append((name, item))
        self.take("}")
        if key is None or value is None:
            raise NotAVariant("an empty dictionary needs its type: @a{sv} {}")
        return "a{%s%s}" % (key, value), items
