"""The wire format, against bytes that other programs wrote."""

import pytest

from pyoci.systemd.message import (
    ERROR,
    HEAD,
    METHOD_RETURN,
    SIGNAL,
    Malformed,
    get,
    length_of,
    method_call,
    put,
    read_message,
    split,
)

from .recorded import HELLO, JOB, JOB_REMOVED, START_BODY, UNIT_EXISTS, VERSION


def body(signature, *values):
    out = bytearray()
    for kind, value in zip(split(signature), values, strict=True):
        put(out, kind, value)
    return bytes(out)


def test_a_body_is_what_libsystemd_makes_of_it():
    properties = [
        ("Description", ("s", "x")),
        ("PIDs", ("au", [77777])),
        ("DeviceAllow", ("a(ss)", [("/dev/null", "rw")])),
    ]
    assert body("ssa(sv)a(sa(sv))", "rec-9.scope", "replace", properties, []) == START_BODY


def test_a_call_has_the_length_it_says_and_names_what_it_calls():
    data = method_call(7, "a.b", "/c", "d.e", "F", "su", ("x", 5))
    assert length_of(data[:HEAD]) == len(data)
    message = read_message(data)
    assert (message.path, message.interface, message.member, message.values) == ("/c", "d.e", "F", ["x", 5])


@pytest.mark.parametrize("data", [HELLO, JOB, JOB_REMOVED, UNIT_EXISTS, VERSION])
def test_the_length_of_what_others_sent_is_known_from_its_head(data):
    assert length_of(data[:HEAD]) == len(data)


def test_answers_are_read():
    message = read_message(JOB)
    assert (message.kind, message.reply_to) == (METHOD_RETURN, 6)
    assert message.values == ["/org/freedesktop/systemd1/job/34"]
    assert read_message(HELLO).values == [":1.0"]
    assert read_message(VERSION).values == [("s", "252.39-1~deb12u2")]


def test_a_signal_is_read():
    message = read_message(JOB_REMOVED)
    assert (message.kind, message.member) == (SIGNAL, "JobRemoved")
    assert message.values == [34, "/org/freedesktop/systemd1/job/34", "rec-1.scope", "done"]


def test_an_error_is_read():
    message = read_message(UNIT_EXISTS)
    assert (message.kind, message.error) == (ERROR, "org.freedesktop.systemd1.UnitExists")
    assert message.values == ["Unit rec-1.scope was already loaded or has a fragment file."]


@pytest.mark.parametrize(
    ("signature", "value"),
    [
        ("y", 255),
        ("b", True),
        ("n", -2),
        ("q", 2),
        ("i", -3),
        ("u", 1 << 31),
        ("x", -(1 << 60)),
        ("t", (1 << 64) - 1),
        ("d", 0.5),
        ("s", "ä"),
        ("o", "/a"),
        ("g", "a{sv}"),
        ("v", ("as", ["x"])),
        ("ay", b"\x01\x02"),
        ("a(st)", [("a", 1), ("b", 2)]),
        ("a{sv}", [("k", ("u", 1))]),
        ("aax", [[], [1, 2]]),
        ("(yt(sb))", (1, 2, ("z", False))),
    ],
)
@pytest.mark.parametrize("before", [b"", b"\x07"])
def test_what_is_put_is_got_wherever_it_stands(signature, value, before):
    out = bytearray(before)
    put(out, signature, value)
    assert get(bytes(out), len(before), signature) == (value, len(out))


@pytest.mark.parametrize("signature", ["", "(", "a", "(s", "a{s", "z", "s(", ")"])
def test_what_is_no_signature_is_refused(signature):
    with pytest.raises(Malformed):
        split(signature or "a")


@pytest.mark.parametrize(("signature", "value"), [("y", 256), ("t", -1), ("s", 5), ("(ss)", ("a",)), ("ay", [300])])
def test_values_that_do_not_fit_are_refused(signature, value):
    with pytest.raises(Malformed):
        put(bytearray(), signature, value)


@pytest.mark.parametrize("data", [HELLO, JOB, JOB_REMOVED, UNIT_EXISTS, VERSION])
def test_a_message_cut_anywhere_is_refused_and_does_no_harm(data):
    for length in range(HEAD, len(data)):
        with pytest.raises(Malformed):
            read_message(data[:length])


@pytest.mark.parametrize(
    "head", [b"B" + HELLO[1:HEAD], HELLO[:3] + b"\x02" + HELLO[4:HEAD], HELLO[:4] + b"\xff" * 12]
)
def test_heads_of_something_else_are_refused(head):
    with pytest.raises(Malformed):
        length_of(head)
