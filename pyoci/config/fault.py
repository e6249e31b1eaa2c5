"""One thing that is wrong with a document, and how its place is written."""


class Fault:
    """What is wrong at `path` (jq form) and what would be right.

    `level` is "error" (the document is refused) or "warning".  `line` and `column` count from 1; 0 means not
    looked up: only the full report does that.
    """

    __slots__ = ("column", "fix", "level", "line", "message", "path")

    def __init__(self, path: str, message: str, fix: str = "", level: str = "error") -> None:
        self.path = path
        self.message = message
        self.fix = fix
        self.level = level
        self.line = 0
        self.column = 0

    def __repr__(self) -> str:
        return "Fault(%r, %r, level=%r)" % (self.path, self.message, self.level)


def member(path: str, key: str) -> str:
    """The jq path of `key` below the object at `path` ("" is the whole document): `.a.b`, `.a["b.c"]`."""
    if key.isascii() and key.replace("_", "a").isalnum() and not key[0].isdigit():
        return path + "." + key
    return (path or ".") + "[" + quoted(key) + "]"


def quoted(text: str) -> str:
    """`text` as a JSON string: safe to print, whatever is in it."""
    from _json import encode_basestring_ascii

    return encode_basestring_ascii(text)
