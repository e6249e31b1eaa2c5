"""The log's records are what engines parse, and a failure leaves one of them."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from pyoci.errors import ConfigError, PyociError, UsageError
from pyoci.log import Log, open_log, printable

ERROR = ConfigError("no such mount type", where=".mounts[4].type", line=12, column=5, cause="typo", fix="use tmpfs")


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_json_record_is_one_object_with_level_msg_time_and_details(log_file: Path) -> None:
    Log(str(log_file), "json").error(ERROR)
    record = json.loads(log_file.read_text())
    assert record.pop("time")[-1] == "Z"
    assert record == {
        "level": "error",
        "msg": "no such mount type",
        "where": ".mounts[4].type",
        "line": 12,
        "column": 5,
        "cause": "typo",
        "fix": "use tmpfs",
    }


def test_the_time_is_rfc_3339_in_utc(log_file: Path) -> None:
    Log(str(log_file), "json").error(ERROR)
    text = json.loads(log_file.read_text())["time"]
    assert len(text) == len("2026-01-02T03:04:05.123456789Z")
    distance = datetime.now().astimezone() - datetime.fromisoformat(text[:26] + "+00:00")
    assert abs(distance.total_seconds()) < 60


def test_a_failure_leaves_exactly_one_record_and_drops_the_warnings(log_file: Path) -> None:
    log = Log(str(log_file), "json")
    log.warning("held back")
    log.error(ERROR)
    log.release()
    assert json.loads(log_file.read_text())["level"] == "error"


def test_success_writes_the_warnings_that_were_held_back_in_their_order(log_file: Path) -> None:
    log = Log(str(log_file), "json")
    log.warning("one", where=".a")
    log.warning("two")
    assert not log_file.exists()
    log.release()
    log.warning("three")
    records = [json.loads(line) for line in log_file.read_text().splitlines()]
    assert [(record["msg"], record.get("where")) for record in records] == [
        ("one", ".a"),
        ("two", None),
        ("three", None),
    ]


def test_debug_writes_everything_at_once(log_file: Path) -> None:
    log = Log(str(log_file), "json", "debug")
    log.debug("a")
    log.warning("b")
    log.error(ERROR)
    assert [json.loads(line)["level"] for line in log_file.read_text().splitlines()] == [
        "debug",
        "warning",
        "error",
    ]


@pytest.mark.parametrize(
    ("level", "seen"),
    [("debug", "debug info warning"), ("info", "info warning"), ("warning", "warning"), ("error", "")],
)
def test_the_level_decides_what_is_recorded(log_file: Path, level: str, seen: str) -> None:
    log = Log(str(log_file), "json", level)
    log.debug("text")
    log.info("text")
    log.warning("text")
    log.release()
    lines = log_file.read_text().splitlines() if log_file.exists() else []
    assert " ".join(json.loads(line)["level"] for line in lines) == seen


def test_a_text_record_is_one_line_with_quoted_values(log_file: Path) -> None:
    Log(str(log_file)).error(PyociError('open "x": no such file or directory', where=".root.path", line=3))
    stamp, rest = log_file.read_text().split(" ", 1)
    assert stamp.startswith('time="20')
    assert rest == 'level=error msg="open \\"x\\": no such file or directory" where=".root.path" line=3\n'


def test_with_a_log_file_the_bare_message_also_stands_on_stderr(
    log_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Log(str(log_file), "json").error(PyociError("container does not exist", cause="c"))
    assert capfd.readouterr().err == "container does not exist\n"


def test_on_stderr_a_person_reads_message_place_cause_and_fix(capfd: pytest.CaptureFixture[str]) -> None:
    Log().error(ERROR)
    assert capfd.readouterr().err == (
        "pyoci: no such mount type\n"
        "  at: .mounts[4].type (line 12, column 5)\n"
        "  cause: typo\n"
        "  fix: use tmpfs\n"
    )  # fmt: skip


def test_the_name_of_the_program_is_not_said_twice(capfd: pytest.CaptureFixture[str]) -> None:
    Log().error(PyociError("pyoci create failed: x"))
    assert capfd.readouterr().err == "pyoci create failed: x\n"


def test_json_on_stderr_is_one_object(capfd: pytest.CaptureFixture[str]) -> None:
    Log("", "json").error(ERROR)
    assert json.loads(capfd.readouterr().err)["msg"] == "no such mount type"


def test_records_are_appended(log_file: Path) -> None:
    log_file.write_text('{"level":"info"}\n')
    Log(str(log_file), "json").error(ERROR)
    assert len(log_file.read_text().splitlines()) == 2


def test_the_file_is_made_at_once_with_mode_0644(log_file: Path) -> None:
    assert open_log("file:" + str(log_file), "text", None, debug=False).path == str(log_file)
    assert log_file.stat().st_mode & 0o777 == 0o644


def test_a_log_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_log(str(tmp_path / "no" / "log"), "json", None, debug=False)
    assert caught.value.message == "open log file %s/no/log: no such file or directory" % tmp_path


@pytest.mark.parametrize("target", ["journald:c1", "syslog:c1"])
def test_log_targets_that_are_not_carried_out_are_an_error(target: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_log(target, "json", None, debug=False)
    assert target in caught.value.message


def test_a_record_that_the_file_does_not_take_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log("/dev/full", "text")
    log.release()
    log.warning("disk is full")
    assert 'msg="disk is full"' in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc\n", "a b c"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("\udcff/x", "\\xff/x"),
        ("\u202eevil", "\\u202eevil"),
        ("größe ✓", "größe ✓"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_instead(text: str, shown: str) -> None:
    assert printable(text) == shown
