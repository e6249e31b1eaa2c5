"""The little of protocol buffers that criu's messages need: varints and strings, by tables of field numbers.

A table maps a field's name to (number, kind); kind is INT, BOOL, TEXT, or the table of a message inside.  A list
as value is a repeated field.  Fields that a table does not name are skipped, so a newer criu may say more.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Table = dict[str, tuple[int, Any]]

INT = "int"
BOOL = "bool"
TEXT = "text"

_VARINT = 0
_FIXED64 = 1
_BYTES = 2
_FIXED32 = 5
_WORD = 1 << 64
_SIGN = 1 << 63


def encode(values: "dict[str, Any]", table: "Table") -> bytes:
    """The message that holds `values`."""
    parts: list[bytes] = []
    for name, value in values.items():
        number, kind = table[name]
        for one in value if type(value) is list else [value]:
            if kind in (INT, BOOL):
                parts += _varint(number << 3 | _VARINT), _varint(int(one) % _WORD)
                continue
            data = one.encode("utf-8", "surrogateescape") if kind is TEXT else encode(one, kind)
            parts += _varint(number << 3 | _BYTES), _varint(len(data)), data
    return b"".join(parts)


def decode(data: bytes, table: "Table") -> "dict[str, Any]":
    """The values of a message; of a repeated field the last.  ValueError when it is cut off or malformed."""
    fields = {number: (name, kind) for name, (number, kind) in table.items()}
    values: dict[str, Any] = {}
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        raw, at = _read_field(data, at, tag & 7)
        name, kind = fields.get(tag >> 3, ("", None))
        if not name:
            continue
        if kind in (INT, BOOL):
            if type(raw) is not int:
                raise ValueError("field %s is not a number" % name)
            values[name] = bool(raw) if kind is BOOL else raw - _WORD if raw & _SIGN else raw
        elif type(raw) is not bytes:
            raise ValueError("field %s is a number" % name)
        else:
            values[name] = raw.decode("utf-8", "backslashreplace") if kind is TEXT else decode(raw, kind)
    return values


def _varint(number: int) -> bytes:
    result = bytearray()
    while number > 0x7F:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number is cut off or too long")
        number |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return number, at
        shift += 7


def _read_field(data: bytes, at: int, form: int) -> "tuple[int | bytes, int]":
    if form == _VARINT:
        return _read_varint(data, at)
    if form == _BYTES:
        size, at = _read_varint(data, at)
    elif form in (_FIXED64, _FIXED32):
        size = 8 if form == _FIXED64 else 4
    else:
        raise ValueError("a field of unknown form %d" % form)
    if at + size > len(data):
        raise ValueError("a field is cut off")
    return data[at : at + size], at + size
