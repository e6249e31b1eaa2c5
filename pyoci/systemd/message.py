"""D-Bus messages as bytes (D-Bus Specification, "Type System" and "Message Protocol"); little endian.

A value travels with its type's signature.  Python sees integers, strings, lists (arrays; of bytes: `bytes`),
tuples (structures) and, for a variant, the pair (signature, value).
"""

from _struct import pack, unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

METHOD_CALL, METHOD_RETURN, ERROR, SIGNAL = 1, 2, 3, 4
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_FIXED = {"y": "<B", "b": "<I", "n": "<h", "q": "<H", "i": "<i", "u": "<I", "x": "<q", "t": "<Q", "d": "<d"}
_ALIGN = {
    "y": 1, "b": 4, "n": 2, "q": 2, "i": 4, "u": 4, "x": 8, "t": 8, "d": 8,
    "s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8, "{": 8,
}  # fmt: skip
HEAD = 16  # bytes of a message that tell how long it is
_LARGEST = 1 << 27


class Malformed(ValueError):
    """Bytes that are no message, or a value that does not fit its signature."""


class Message:
    """A message that arrived.  `kind` is one of the four above; `values` its arguments."""

    __slots__ = ("error", "interface", "kind", "member", "path", "reply_to", "values")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.reply_to = 0
        self.path = self.interface = self.member = self.error = ""
        self.values: list[Any] = []


def split(signature: str) -> "list[str]":
    """The complete types that a signature is made of.

    >>> split("sa(sv)ay")
    ['s', 'a(sv)', 'ay']
    """
    types = []
    start = 0
    while start < len(signature):
        end = _end_of_type(signature, start)
        types.append(signature[start:end])
        start = end
    return types


def _end_of_type(signature: str, start: int) -> int:
    while signature[start : start + 1] == "a":
        start += 1
    code = signature[start : start + 1]
    if code in _FIXED or (code and code in "sogv"):
        return start + 1
    closing = {"(": ")", "{": "}"}.get(code)
    if closing is None:
        raise Malformed("no D-Bus type: %r" % signature)
    start += 1
    while signature[start : start + 1] != closing:
        start = _end_of_type(signature, start)
    return start + 1


def put(out: bytearray, kind: str, value: "Any") -> None:
    """Append a value of one complete type, padded to where the type begins.  Raises Malformed."""
    code = kind[0]
    out += bytes(-len(out) % _ALIGN[code])
    try:
        if code in _FIXED:
            out += pack(_FIXED[code], value)
        elif code in "so":
            data = value.encode()
            out += pack("<I", len(data)) + data + b"\0"
        elif code == "g":
            out += bytes([len(value)]) + value.encode() + b"\0"
        elif code == "v":
            put(out, "g", value[0])
            put(out, value[0], value[1])
        elif code == "a":
            _put_array(out, kind[1:], value)
        else:
            for part, item in zip(split(kind[1:-1]), value, strict=True):
                put(out, part, item)
    except Exception as error:  # struct.error has no name among the modules of the hot path
        raise Malformed("%r is no %s: %s" % (value, kind, error)) from None


def _put_array(out: bytearray, element: str, values: "Sequence[Any]") -> None:
    place = len(out)
    out += bytes(4)
    out += bytes(-len(out) % _ALIGN[element[0]])
    start = len(out)
    if element == "y":
        out += bytes(values)
    else:
        for value in values:
            put(out, element, value)
    out[place : place + 4] = pack("<I", len(out) - start)


def get(data: bytes, at: int, kind: str) -> "tuple[Any, int]":
    """(the value of this type at an offset, the offset behind it).  Raises Malformed."""
    code = kind[0]
    at += -at % _ALIGN[code]
    try:
        if code in _FIXED:
            form = _FIXED[code]
            (value,) = unpack_from(form, data, at)
            return (bool(value) if code == "b" else value), at + _ALIGN[code]
        if code in "sog":
            length, at = get(data, at, "y" if code == "g" else "u")
            if at + length >= len(data):
                raise Malformed("a text runs past the end")
            return data[at : at + length].decode("utf-8", "replace"), at + length + 1
    except Malformed:
        raise
    except Exception:
        raise Malformed("a value runs past the end") from None
    if code == "v":
        inner, at = get(data, at, "g")
        value, at = get(data, at, inner)
        return (inner, value), at
    if code == "a":
        return _get_array(data, at, kind[1:])
    items = []
    for part in split(kind[1:-1]):
        item, at = get(data, at, part)
        items.append(item)
    return tuple(items), at


def _get_array(data: bytes, at: int, element: str) -> "tuple[Any, int]":
    length, at = get(data, at, "u")
    at += -at % _ALIGN[element[0]]
    end = at + length
    if end > len(data):
        raise Malformed("an array runs past the end")
    if element == "y":
        return data[at:end], end
    items = []
    while at < end:
        item, at = get(data, at, element)
        items.append(item)
    return items, at


def method_call(
    serial: int, destination: str, path: str, interface: str, member: str, signature: str, values: "Sequence[Any]"
) -> bytes:
    """The bytes of a call; `values` are its arguments, one for each complete type of `signature`."""
    body = bytearray()
    for kind, value in zip(split(signature), values, strict=True):
        put(body, kind, value)
    fields: list[tuple[int, tuple[str, Any]]] = [
        (_PATH, ("o", path)),
        (_INTERFACE, ("s", interface)),
        (_MEMBER, ("s", member)),
        (_DESTINATION, ("s", destination)),
    ]
    if signature:
        fields.append((_SIGNATURE, ("g", signature)))
    head = bytearray(pack("<cBBBII", b"l", METHOD_CALL, 0, 1, len(body), serial))
    put(head, "a(yv)", fields)
    head += bytes(-len(head) % 8)
    return bytes(head + body)


def length_of(head: bytes) -> int:
    """The length of the message that begins with these HEAD bytes.  Raises Malformed."""
    order, _, _, version, body, _, fields = unpack_from("<cBBBIII", head)
    if order != b"l" or version != 1:
        raise Malformed("not a little-endian D-Bus message of version 1")
    length: int = HEAD + fields + -fields % 8 + body
    if length > _LARGEST:
        raise Malformed("a message of %d bytes" % length)
    return length


def read_message(data: bytes) -> Message:
    """The message that these bytes are.  Raises Malformed."""
    message = Message(data[1])
    fields, at = get(data, 12, "a(yv)")
    at += -at % 8
    signature = ""
    for code, (_, value) in fields:
        if code == _PATH:
            message.path = value
        elif code == _INTERFACE:
            message.interface = value
        elif code == _MEMBER:
            message.member = value
        elif code == _ERROR_NAME:
            message.error = value
        elif code == _REPLY_SERIAL:
            message.reply_to = value
        elif code == _SIGNATURE:
            signature = value
    body = data[at:]
    at = 0
    for kind in split(signature):
        value, at = get(body, at, kind)
        message.values.append(value)
    return message
