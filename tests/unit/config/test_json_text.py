import json
import random

import pytest

from pyoci.config.json_text import MAX_BYTES, MAX_DEPTH, dump, dump_pretty, parse
from pyoci.config.positions import locate
from pyoci.errors import ConfigError

# (text, line, column, words of the cause)
BROKEN = [
    (b"", 1, 1, "empty"),
    (b" \n ", 2, 2, "empty"),
    (b'{"a": 1,}', 1, 8, "a comma before the closing }"),
    (b'{\n "a": [1,\n 2,]\n}', 3, 3, "a comma before the closing ]"),
    (b'{"a": 1 "b": 2}', 1, 9, "a comma or a closing }"),
    (b'{"a" 1}', 1, 6, "a colon after the key"),
    (b'{"a": [1, 2}', 1, 12, "a comma or a closing ]"),
    (b'{"a": {"b": 1}', 1, 15, "the bracket of line 1, column 1 is not closed"),
    (b'{"a": "b}', 1, 7, "not closed"),
    (b'{"a": "b\nc"}', 1, 7, "not closed on its line"),
    (b'{"a": "\tb"}', 1, 8, "a control character"),
    (b'{"a": "\\x41"}', 1, 8, "is not an escape"),
    (b'{"a": "\\u12"}', 1, 8, "is not an escape"),
    (b"{'a': 1}", 1, 2, "a key in double quotes"),
    (b"{a: 1}", 1, 2, "a key in double quotes"),
    (b'{"a": True}', 1, 7, "a value"),
    (b'{"a": 01}', 1, 7, "not a JSON number"),
    (b'{"a": 1.}', 1, 7, "not a JSON number"),
    (b'{"a": +1}', 1, 7, "a value"),
    (b'{"a": 64M}', 1, 7, "not a JSON number"),
    (b'{"a": -}', 1, 7, "a minus sign"),
    (b'{"a": 0x10}', 1, 7, "not a JSON number"),
    (b'{"a": NaN}', 1, 7, "NaN is not a JSON number"),
    (b'{"a": Infinity}', 1, 7, "Infinity is not a JSON number"),
    (b'{"a": -Infinity}', 1, 7, "a minus sign"),
    (b'{"a": 1e999}', 1, 7, "too large"),
    (b'{"a": 1} x', 1, 10, "follows the end"),
    (b'{"a": 1}{}', 1, 9, "follows the end"),
    (b'// no\n{"a": 1}', 1, 1, "a comment"),
    (b'{"a": 1, "b": 2, "a": 3}', 1, 18, 'the key "a" stands twice'),
    (b'{"x": {"a": null, "a": 1}}', 1, 19, 'the key "a" stands twice'),
    (b'{"a": "\\ud800"}', 1, 8, "surrogate"),
    (b'{"a": "\\udc00\\ud800"}', 1, 8, "surrogate"),
    (b'{"\\uD800": 1}', 1, 3, "surrogate"),
    (b'\xef\xbb\xbf{"a": 1}', 1, 1, "byte order mark"),
    (b'{"a": "\xff"}', 1, 8, "byte 0xff is not UTF-8"),
    (b'{"a": "\xed\xa0\x80"}', 1, 8, "is not UTF-8"),
    ('{"a": 1}'.encode("utf-16"), 1, 1, "UTF-16"),
    (b'{"a": ' + b"9" * 5000 + b"}", 1, 7, "5000 digits"),
    (b'{"a": 1;}', 1, 8, "a comma or a closing }"),
    (b"[1,,2]", 1, 4, "a value"),
    (b'{"a":1,,"b":2}', 1, 8, "a comma without a member"),
]


@pytest.mark.parametrize(("data", "line", "column", "words"), BROKEN, ids=lambda value: repr(value)[:30])
def test_a_broken_text_is_refused_with_its_place_and_cause(data, line, column, words):
    with pytest.raises(ConfigError) as caught:
        parse(data, "config.json")
    error = caught.value
    assert words in error.cause
    assert (error.line, error.column) == (line, column)
    assert error.fix
    assert error.where == "config.json"
    assert "\n" not in error.message


def test_a_null_member_is_absent_and_a_null_element_stays():
    assert parse(b'{"a": null, "b": [null], "c": {"d": null}}', "x") == {"b": [None], "c": {}}


def test_integers_are_exact_up_to_64_bits_and_beyond():
    assert parse(b"[18446744073709551615, -9223372036854775808, 123456789012345678901234567890]", "x") == [
        2**64 - 1, -(2**63), 123456789012345678901234567890,
    ]  # fmt: skip


def test_a_surrogate_pair_is_one_character():
    assert parse(b'["\\ud83d\\ude00", "\\\\ud800"]', "x") == ["\U0001f600", "\\ud800"]


def test_depth_is_bounded_exactly():
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, "x")
    for depth in (MAX_DEPTH + 1, 500, 100_000):
        with pytest.raises(ConfigError, match="nested deeper than 64"):
            parse(b"[" * depth + b"]" * depth, "x")


def test_size_is_bounded():
    with pytest.raises(ConfigError, match="file too large"):
        parse(b" " * (MAX_BYTES + 1), "x")


def test_both_scanners_agree_on_mutilated_documents():
    """The C scanner decides, the explaining one explains: it must find a reason exactly when the first refuses."""
    whole = b'{"a": [1, -2.5e3, true, null, "x\\n\\u00e9"], "b": {"c": {}, "d": []}, "e": "\xc3\xa9"}'
    chance = random.Random(1)
    refused = 0
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 2)):
            at = chance.randrange(len(data))
            action = chance.randrange(3)
            if action == 0:
                del data[at]
            elif action == 1:
                data.insert(at, chance.choice(b'{}[],:"\\0-1eE.+ntu \n'))
            else:
                data[at] = chance.choice(b'{}[],:"\\0-1eE.+ntu \n')
        try:
            value = parse(bytes(data), "x")
        except ConfigError as error:
            refused += 1
            assert "cannot be read" in error.cause or error.column, data
            assert "it is not a JSON document that can be read" not in error.cause, bytes(data)
        else:
            assert locate(bytes(data).decode()).values[""] >= 0
            assert _without_nulls(json.loads(data)) == value
    assert refused > 1000


def _without_nulls(value):
    if type(value) is dict:
        return {key: _without_nulls(below) for key, below in value.items() if below is not None}
    return [_without_nulls(below) for below in value] if type(value) is list else value


def test_positions_lead_to_values_and_keys():
    positions = locate('{\n  "a": {"b.c": [1,\n   {"d": 2}]}\n}')
    assert positions.line_column('.a["b.c"][1].d') == (3, 10)
    assert positions.key_line_column('.a["b.c"]') == (2, 9)
    assert positions.line_column('.a["b.c"][1].missing.more') == (3, 4)
    assert positions.line_column(".nothing") == (1, 1)


def test_dump_writes_one_line_of_ascii():
    value = {"a": [1, True, None, "é\n", 1.5], "b": {}}
    assert dump(value) == '{"a":[1,true,null,"\\u00e9\\n",1.5],"b":{}}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump([float("nan")])
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        dump({"a": b"x"})


def test_dump_pretty_equals_json_with_indent():
    value = {"a": [1, [], {}, {"b": "x"}], "c": {"d": None}, "e": "é"}
    assert dump_pretty(value) == json.dumps(value, indent=2)
    assert dump_pretty(value, "\t") == json.dumps(value, indent="\t")
    assert dump_pretty([]) == "[]"
