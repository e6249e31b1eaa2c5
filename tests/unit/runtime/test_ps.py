"""ps: which lines of the host's ps are the container's (R-116)."""

import pytest

from pyoci.errors import OperationError
from pyoci.runtime.ps import table

OUTPUT = b"""UID          PID    PPID  C STIME TTY          TIME CMD
root           1       0  0 Jan01 ?        00:00:01 /sbin/init
root          17       1  0 Jan01 ?        00:00:00 sleep 17
1000         170      17  0 Jan01 ?        00:00:00 sh -c echo 18
"""


def test_the_lines_of_the_containers_processes_stay() -> None:
    lines = table(OUTPUT, {17, 18}).splitlines()
    assert lines == OUTPUT.splitlines()[:1] + OUTPUT.splitlines()[2:3]


def test_without_processes_the_header_stays() -> None:
    assert table(OUTPUT, set()) == OUTPUT.splitlines()[0] + b"\n"


@pytest.mark.parametrize("mark", ["\u2028", "\u0085", "\x1c", "\x0b", "\u00a0", "\udcff"])
def test_a_process_cannot_break_its_line(mark: str) -> None:
    """A name with a character that str.splitlines or str.split cuts at must not make lines or columns."""
    evil = ("    5 a%s    1 not a process" % mark).encode("utf-8", "surrogateescape")
    output = b"  PID CMD\n" + evil + b"\n   17 sh\n"
    assert table(output, {5}) == b"  PID CMD\n" + evil + b"\n"
    assert table(output, {1}) == b"  PID CMD\n"


def test_a_column_of_pids_is_needed() -> None:
    with pytest.raises(OperationError, match="couldn't find PID field in ps output"):
        table(b"COMMAND\nsh\n", {1})
    with pytest.raises(OperationError, match="couldn't find PID field in ps output"):
        table(b"", {1})


@pytest.mark.parametrize("line", [b"two words    17", b"one"])
def test_a_line_whose_pid_cannot_be_found_is_an_error_and_not_left_out(line: bytes) -> None:
    with pytest.raises(OperationError, match="unable to parse pid"):
        table(b"COMMAND PID\n" + line + b"\n", {17})
