"""GVariant's text format, and the annotations that use it."""

import pytest

from pyoci.errors import ConfigError
from pyoci.systemd.annotations import unit_properties, unit_property
from pyoci.systemd.variant import NotAVariant, parse_variant


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("true", ("b", True)),
        (" false ", ("b", False)),
        ("37", ("i", 37)),
        ("-5", ("i", -5)),
        ("0x1f", ("i", 31)),
        ("010", ("i", 8)),
        ("5000000000", ("x", 5000000000)),
        ("uint64 30000000", ("t", 30000000)),
        ("uint64 18446744073709551615", ("t", (1 << 64) - 1)),
        ("@t 30", ("t", 30)),
        ("byte 7", ("y", 7)),
        ("1.5", ("d", 1.5)),
        ("double 2", ("d", 2.0)),
        ("'it''", None),
        (r"'it\'s'", ("s", "it's")),
        (r'"a\tbé"', ("s", "a\tbé")),
        ("objectpath '/a'", ("o", "/a")),
        ("b'x'", ("ay", b"x\0")),
        ("['a.service', 'b.service']", ("as", ["a.service", "b.service"])),
        ("@as []", ("as", [])),
        ("[]", None),
        ("[uint64 1, 2]", ("at", [1, 2])),
        ("@at [1, 2]", ("at", [1, 2])),
        ("[('/dev/null', 'rw')]", ("a(ss)", [("/dev/null", "rw")])),
        ("(1, 'x', true)", ("(isb)", (1, "x", True))),
        ("(1,)", ("(i)", (1,))),
        ("{'a': <1>}", ("a{sv}", [("a", ("i", 1))])),
        ("@a{sv} {}", ("a{sv}", [])),
        ("<'x'>", ("v", ("s", "x"))),
        ("", None),
        ("12x", None),
        ("hello", None),
        ("'open", None),
        ("1 2", None),
        ("[1, 'a']", None),
        ("@s 5", None),
        ("@zz 5", None),
        ("uint64 -1", None),
        ("byte 300", None),
        ("99999999999999999999", None),
        ("@as ['a'", None),
        ("just 1", None),
        ("[" * 200, None),
        ("<" * 10000, None),
        ("@" + "a" * 5000, None),
        ("()", None),
    ],
)
def test_texts_and_what_they_say(text, typed):
    if typed is None:
        with pytest.raises(NotAVariant):
            parse_variant(text)
    else:
        assert parse_variant(text) == typed


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("KillSignal", "37", ("KillSignal", ("i", 37))),
        ("TimeoutStopUSec", "uint64 10", ("TimeoutStopUSec", ("t", 10))),
        ("TimeoutStopSec", "10", ("TimeoutStopUSec", ("t", 10000000))),
        ("RuntimeMaxSec", "uint64 2", ("RuntimeMaxUSec", ("t", 2000000))),
        ("TimeoutStopSec", "0.25", ("TimeoutStopUSec", ("t", 250000))),
        ("After", "['crio.service']", ("After", ("as", ["crio.service"]))),
    ],
)
def test_an_annotation_is_a_property(name, text, wanted):
    assert unit_property(name, text) == wanted


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ab", "1"),
        ("", "1"),
        ("Kill-Signal", "1"),
        ("KillSignal2", "1"),
        ("Ключ", "1"),
        ("KillSignal", "nine"),
        ("TimeoutStopSec", "'long'"),
        ("TimeoutStopSec", "-1"),
        ("TimeoutStopSec", "uint64 18446744073709551615"),
    ],
)
def test_a_bad_annotation_is_named(name, text):
    with pytest.raises(ConfigError) as caught:
        unit_properties({"other": "x", "org.systemd.property." + name: text})
    assert caught.value.where == '.annotations["org.systemd.property.%s"]' % name
    assert "org.systemd.property." in caught.value.message
