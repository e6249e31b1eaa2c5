"""The lines of criu's log that go into an error."""

from pyoci.criu.log_file import last_errors

LOG = """(00.000001) Version: 4.2
(00.1) Error (criu/a.c:1): first
(00.2)      1: Error (criu/b.c:2): second
(00.3) Warn  (criu/b.c:2): no
(00.4) Error (criu/c.c:3): third
(00.5) Error (criu/d.c:4): fourth
(00.6) the end
"""


def test_the_last_three_errors_without_their_times(tmp_path):
    (tmp_path / "log").write_text(LOG)
    wanted = "Error (criu/b.c:2): second; Error (criu/c.c:3): third; Error (criu/d.c:4): fourth"
    assert last_errors(str(tmp_path / "log")) == wanted


def test_without_errors_the_last_line(tmp_path):
    (tmp_path / "log").write_text("(1) one\n(2) two\n\n")
    assert last_errors(str(tmp_path / "log")) == "(2) two"


def test_no_log_and_odd_logs(tmp_path):
    assert last_errors(str(tmp_path / "log")) == ""
    assert last_errors(str(tmp_path)) == ""
    (tmp_path / "log").write_bytes(b"")
    assert last_errors(str(tmp_path / "log")) == ""
    (tmp_path / "log").write_bytes(b"Error \xff")
    assert last_errors(str(tmp_path / "log")) == "Error \\xff"


def test_only_the_end_of_a_long_log_is_read(tmp_path):
    (tmp_path / "log").write_text("Error early\n" + "x" * 99 + "\n" * (1 << 18) + "Error late\n")
    assert last_errors(str(tmp_path / "log")) == "Error late"
