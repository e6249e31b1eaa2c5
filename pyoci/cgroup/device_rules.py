"""Device rules: what `linux.resources.devices` means, and how version 1 is told.

A rule is (allow, kind, major, minor, bits): kind "b" or "c", -1 for any number.  Rules are read in order and
each later one overrides the earlier for what it names; a rule for everything starts afresh.  The list that
every container gets comes last and cannot be switched off.
"""

from pyoci.cgroup.limit import WHERE, Limit
from pyoci.errors import ConfigError, HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyoci.cgroup.limit import Place

    Rule = tuple[bool, str, int, int, int]
    Key = tuple[str, int, int]

MKNOD, READ, WRITE = 1, 2, 4
ALL = MKNOD | READ | WRITE
ANY = -1
_BITS = {"m": MKNOD, "r": READ, "w": WRITE}
_KINDS = {"a": "a", "b": "b", "c": "c", "u": "c"}

DEFAULTS: "tuple[Rule, ...]" = (
    (True, "c", ANY, ANY, MKNOD),  # making a node is harmless as long as opening it is not allowed
    (True, "b", ANY, ANY, MKNOD),
    (True, "c", 1, 3, ALL),  # null
    (True, "c", 1, 5, ALL),  # zero
    (True, "c", 1, 7, ALL),  # full
    (True, "c", 1, 8, ALL),  # random
    (True, "c", 1, 9, ALL),  # urandom
    (True, "c", 5, 0, ALL),  # tty
    (True, "c", 5, 2, ALL),  # ptmx
    (True, "c", 136, ANY, ALL),  # pts/*
    (True, "c", 10, 200, ALL),  # net/tun; not in the specification's list, but callers count on it
)


def parse_rules(entries: "Sequence[Mapping[str, Any]]") -> "tuple[bool, list[Rule]]":
    """(whether everything else is allowed, the rules that differ from it, defaults last).

    Without entries everything but the defaults is denied.  Raises ConfigError.
    """
    default = False
    rules: list[Rule] = []
    for index, entry in enumerate(entries):
        allow, kind, major, minor, bits = _parse(entry, index)
        if kind != "a":
            rules.append((allow, kind, major, minor, bits))
        elif (major, minor, bits) == (ANY, ANY, ALL):
            default = allow
            rules.clear()
        else:
            # Version 1 would take `a 10:229 rw` for everything: say what is meant.
            rules.append((allow, "b", major, minor, bits))
            rules.append((allow, "c", major, minor, bits))
    rules += DEFAULTS
    if default and all(rule[0] for rule in rules):
        rules.clear()
    return default, rules


def _parse(entry: "Mapping[str, Any]", index: int) -> "Rule":
    where = "%s.devices[%d]" % (WHERE, index)
    access = entry.get("access") or ""
    if not access:
        raise ConfigError(
            "device access at %d field cannot be empty" % index, where=where + ".access", fix="write any of r, w, m"
        )
    bits = 0
    for letter in access:
        if letter not in _BITS:
            raise ConfigError(
                "invalid device access %r" % access, where=where + ".access", fix="write any of r, w, m"
            )
        bits |= _BITS[letter]
    kind = entry.get("type") or "a"
    if kind not in _KINDS:
        raise ConfigError("invalid device type %r" % kind, where=where + ".type", fix="write a, b or c")
    numbers = []
    for key in ("major", "minor"):
        number = entry.get(key)
        if number is None or number < 0:
            number = ANY
        elif number >= 1 << 32:
            raise ConfigError("device number %d is too large" % number, where="%s.%s" % (where, key))
        numbers.append(number)
    return bool(entry.get("allow")), _KINDS[kind], numbers[0], numbers[1], bits


def text_of(key: "Key", bits: int) -> str:
    """`c 1:3 rwm`, `b *:* m`."""
    kind, major, minor = key
    letters = "".join(letter for letter, bit in (("r", READ), ("w", WRITE), ("m", MKNOD)) if bits & bit)
    return "%s %s:%s %s" % (kind, "*" if major == ANY else major, "*" if minor == ANY else minor, letters)


def exceptions(default: bool, rules: "Sequence[Rule]") -> "dict[Key, int]":
    """The rules as version 1 keeps them: one default, and a table of exceptions to it.

    Raises HostError where version 1 cannot express a rule: taking one device out of a wildcard is ignored by
    the kernel without a word.
    """
    table: dict[Key, int] = {}
    for allow, kind, major, minor, bits in rules:
        key = (kind, major, minor)
        if allow != default:
            table[key] = table.get(key, 0) | bits
            continue
        for other, other_bits in list(table.items()):
            if not other_bits & bits or not _overlap(key, other):
                continue
            if not _covers(key, other):
                raise HostError(
                    "cgroup v1 cannot express the device rule %s %s: an earlier rule is for %s"
                    % ("allow" if allow else "deny", text_of(key, bits), text_of(other, other_bits)),
                    where=WHERE + ".devices",
                    cause="the kernel would ignore the rule without an error",
                    fix="list the devices of the wider rule one by one, or use cgroup v2",
                )
            table[other] = other_bits & ~bits
    return {key: bits for key, bits in table.items() if bits}


def _overlap(a: "Key", b: "Key") -> bool:
    return a[0] == b[0] and all(x == y or ANY in (x, y) for x, y in zip(a[1:], b[1:], strict=True))


def _covers(wide: "Key", narrow: "Key") -> bool:
    return all(x in (y, ANY) for x, y in zip(wide[1:], narrow[1:], strict=True))


def device_list(entries: "Sequence[Mapping[str, Any]]") -> Limit:
    """The record for version 1."""
    default, rules = parse_rules(entries)
    return DeviceList(default, exceptions(default, rules))


class DeviceList(Limit):
    """devices.allow and devices.deny: everything one way first, then the exceptions, one write each."""

    __slots__ = ("default", "table")

    def __init__(self, default: bool, table: "dict[Key, int]") -> None:
        super().__init__("devices", "devices.deny" if default else "devices.allow", "", ".devices")
        self.default = default
        self.table = table

    def describe(self) -> str:
        """`devices: deny all, allow c 1:3 rwm, c 1:5 rwm`."""
        return describe_rules(self.default, [text_of(key, bits) for key, bits in self.table.items()])

    def apply(self, place: "Place") -> None:
        """Write it all.  Raises OperationError."""
        import os

        self.write(place, "devices.allow" if self.default else "devices.deny", "a")
        if not self.table:
            return
        fd = os.open(self.file, os.O_WRONLY | os.O_CLOEXEC, dir_fd=place.fd)
        text = ""
        try:
            for key, bits in self.table.items():
                text = text_of(key, bits)
                os.write(fd, text.encode())
        except OSError as error:
            failure = self.failure(place, error, self.file, text)
            failure.fix = "the parent cgroup does not allow it"
            raise failure from None
        finally:
            os.close(fd)


def describe_rules(default: bool, texts: "Sequence[str]") -> str:
    """One line for both versions."""
    if not texts:
        return "devices: %s all" % ("allow" if default else "deny")
    return "devices: %s all, %s %s" % (
        "allow" if default else "deny", "deny" if default else "allow", ", ".join(texts),
    )  # fmt: skip
