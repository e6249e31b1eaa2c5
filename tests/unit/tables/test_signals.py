"""Every spelling of a signal."""

import signal

import pytest

from pyoci.errors import UsageError
from pyoci.tables.signals import NUMBERS, parse_signal, signal_name


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9), ("0", 0), ("64", 64), ("09", 9), ("KILL", 9), ("SIGKILL", 9), ("kill", 9), ("sigKill", 9),
        ("TERM", 15), ("IOT", 6), ("CLD", 17), ("POLL", 29), ("RTMIN", 34), ("SIGRTMIN", 34), ("rtmin+3", 37),
        ("SIGRTMIN+30", 64), ("RTMAX", 64), ("RTMAX-0", 64), ("sigrtmax-30", 34),
    ],
)  # fmt: skip
def test_spelling_is_accepted(text, number):
    assert parse_signal(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "65", "-1", "+9", "1e1", "SIG", "SIG9", "FOO", "RTMIN-1", "RTMIN+31", "RTMAX-31", "RTMAX+1", "RTMIN+",
     "RTMIN+-1", "9 ", "１", "ſigterm", "9" * 40],  # noqa: RUF001
)  # fmt: skip
def test_anything_else_is_an_unknown_signal(text):
    with pytest.raises(UsageError) as caught:
        parse_signal(text)
    assert str(caught.value) == 'unknown signal "%s"' % text


def test_the_message_stays_on_one_line():
    with pytest.raises(UsageError, match=r'^unknown signal "A\\nB"$'):
        parse_signal("A\nB")


def test_numbers_are_the_ones_of_this_machine():
    for name, number in NUMBERS.items():
        if hasattr(signal, "SIG" + name):
            assert getattr(signal, "SIG" + name) == number
    assert parse_signal("RTMIN") == signal.SIGRTMIN
    assert parse_signal("RTMAX") == signal.SIGRTMAX


def test_numbers_print_as_names_that_parse_back():
    assert [signal_name(number) for number in (9, 34, 36, 32)] == ["SIGKILL", "SIGRTMIN", "SIGRTMIN+2", "32"]
    for number in (*range(1, 32), *range(34, 65)):
        assert parse_signal(signal_name(number)) == number
