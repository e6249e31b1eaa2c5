"""The encoding, against bytes from the specification of protocol buffers."""

import pytest

from pyoci.criu.messages import ANSWER, DUMP, NOTIFY, OPTIONS, REQUEST
from pyoci.criu.wire import BOOL, INT, TEXT, decode, encode

TABLE = {"a": (1, INT), "b": (2, TEXT), "c": (3, {"a": (1, INT)}), "yes": (4, BOOL), "far": (1000, INT)}


@pytest.mark.parametrize(
    ("values", "data"),
    [
        ({"a": 150}, "08 96 01"),  # the specification's three examples
        ({"b": "testing"}, "12 07 74 65 73 74 69 6e 67"),
        ({"c": {"a": 150}}, "1a 03 08 96 01"),
        ({"a": 0}, "08 00"),
        ({"a": -2}, "08 fe ff ff ff ff ff ff ff ff 01"),
        ({"yes": True}, "20 01"),
        ({"far": 1}, "c0 3e 01"),
        ({"b": ""}, "12 00"),
        ({}, ""),
    ],
)
def test_values_become_bytes_and_again_values(values, data):
    raw = bytes.fromhex(data)
    assert encode(values, TABLE) == raw
    assert decode(raw, TABLE) == values


def test_a_list_is_a_repeated_field():
    assert encode({"b": ["x", "y"], "a": []}, TABLE) == bytes.fromhex("12 01 78 12 01 79")


def test_unknown_fields_of_every_form_are_skipped():
    unknown = "a0 06 05 a1 06 0102030405060708 a2 06 02 ffff a5 06 01020304"
    assert decode(bytes.fromhex(unknown + "08 07"), TABLE) == {"a": 7}


@pytest.mark.parametrize(
    "data", ["08", "08 80", "12 05 61", "0b", "08" + "ff" * 11, "0a 01 61", "10 05", "09 00", "1a 02 08 80"]
)
def test_what_is_cut_off_or_malformed_is_an_error(data):
    with pytest.raises(ValueError, match=r"field|number"):
        decode(bytes.fromhex(data), TABLE)


def test_bytes_of_a_path_survive_and_odd_text_of_criu_is_shown():
    path = b"/\xff".decode("utf-8", "surrogateescape")
    assert encode({"b": path}, TABLE) == b"\x12\x02/\xff"
    assert decode(b"\x12\x02/\xff", TABLE) == {"b": "/\\xff"}


def test_a_request_and_an_answer_as_criu_has_them():
    """Written down by hand from images/rpc.proto."""
    opts = {"images_dir_fd": 4, "pid": 7, "ext_mnt": [{"key": "/a", "val": "/b"}], "network_lock": 3}
    data = encode({"type": DUMP, "opts": opts}, REQUEST)
    assert data == bytes.fromhex("08 01 12 12 08 04 10 07 ba 01 08 0a 02 2f 61 12 02 2f 62 80 04 03")
    notify = bytes.fromhex("08 06 10 01 2a 10 0a 0c 706f73742d726573746f7265 10 07")
    wanted = {"type": NOTIFY, "success": True, "notify": {"script": "post-restore", "pid": 7}}
    assert decode(notify, ANSWER) == wanted


@pytest.mark.parametrize("table", [OPTIONS, REQUEST, ANSWER])
def test_no_two_fields_have_one_number(table):
    numbers = [number for number, _ in table.values()]
    assert len(set(numbers)) == len(numbers)
