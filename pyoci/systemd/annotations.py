"""Annotations `org.systemd.property.NAME`: properties of the container's unit, in GVariant's text format.

podman sets TimeoutStopUSec and KillSignal so, CRI-O also After and DefaultDependencies.
"""

from pyoci.errors import ConfigError
from pyoci.systemd.variant import NotAVariant, parse_variant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyoci.systemd.unit import Property

PREFIX = "org.systemd.property."
_SHORTEST = 3
_WHOLE = "ynqiuxt"
_LARGEST = (1 << 64) - 1


def unit_properties(annotations: "Mapping[str, str]") -> "list[Property]":
    """The properties that the annotations ask for, in their order.  Raises ConfigError at the first bad one."""
    return [
        unit_property(name[len(PREFIX) :], text) for name, text in annotations.items() if name.startswith(PREFIX)
    ]


def unit_property(name: str, text: str) -> "Property":
    """One property.  A time may be given in seconds by the name that unit files use.  Raises ConfigError.

    >>> unit_property("TimeoutStopSec", "2.5"), unit_property("After", "['a.service']")
    (('TimeoutStopUSec', ('t', 2500000)), ('After', ('as', ['a.service'])))
    """
    where = where_of(name)
    if len(name) < _SHORTEST or not (name.isascii() and name.isalpha()):
        raise ConfigError(
            "annotation %s%s names no property of a systemd unit" % (PREFIX, ascii(name)[1:-1]),
            where=where,
            fix="three letters or more, and nothing but letters: TimeoutStopUSec",
        )
    try:
        signature, value = parse_variant(text)
    except NotAVariant as error:
        raise ConfigError(
            "annotation %s%s has an invalid value: %s" % (PREFIX, name, error),
            where=where,
            fix="GVariant's text format: true, 'text', uint64 30000000, ['a.service', 'b.service']",
        ) from None
    if name.endswith("Sec") and name[-4:-3].islower():
        return name[:-3] + "USec", ("t", _microseconds(where, signature, value))
    return name, (signature, value)


def where_of(name: str) -> str:
    """The place in config.json of a property's annotation."""
    return '.annotations["%s%s"]' % (PREFIX, name)


def _microseconds(where: str, signature: str, value: "Any") -> int:
    number = value * 1000000 if signature in (*_WHOLE, "d") else -1
    if not 0 <= number <= _LARGEST:
        raise ConfigError(
            "annotation %s is a number of seconds, and %r is not" % (where[14:-2], value),
            where=where,
            fix="a number that is not negative; without a limit: the name that ends in USec, uint64 %d" % _LARGEST,
        )
    return int(number)
