"""The program as a caller meets it: exit status, standard output, standard error, log.

The verbs are stand-ins: a few lines given to the child process as the module pyoci.runtime.VERB.
"""

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

import pyoci
from pyoci.cli.table import COMMANDS

SOURCE = str(Path(pyoci.__file__).parent.parent)
CHILD = (
    """
import sys
sys.path.append(%r)
verb, body = sys.argv[1:3]
if verb:
    from types import ModuleType
    module = sys.modules["pyoci.runtime." + verb] = ModuleType("pyoci.runtime." + verb)
    source = "import os, sys\\nfrom pyoci.errors import *\\ndef main(call):\\n " + body + "\\n return 0"
    exec(source, module.__dict__)
for name in sys.argv[3].split():
    sys.modules[name] = None
from pyoci.cli.main import main
main(sys.argv[4:])
"""
    % SOURCE
)


def run(line: str | list[str], body: str = "return 0", *, without: str = "", **kwargs: object) -> object:
    """Run `pyoci LINE` with a verb whose body is `body`; `without`: modules that cannot be imported."""
    argv = line.split() if isinstance(line, str) else line
    words = [word for word in argv if not word.startswith("-")]
    verb = next((word for word in words if word in {"state", "create", "run", "exec", "list"}), "")
    command = [
        sys.executable,
        "-I",
        "-S",
        "-X",
        "utf8",
        "-c",
        CHILD,
        verb,
        body.replace("\n", "\n "),
        without,
        *argv,
    ]
    settings = {"capture_output": True, "text": True, "timeout": 30, "errors": "surrogateescape", **kwargs}
    return subprocess.run(command, **settings)


def test_the_exit_status_is_the_verbs() -> None:
    done = run("run c1", "return 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")


@pytest.mark.parametrize(
    ("command", "status", "prefix"),
    [
        ("state", 1, "pyoci: "),
        ("create", 1, "pyoci create failed: "),
        ("run", 1, "pyoci run failed: "),
        ("exec", 255, "pyoci: exec failed: "),
    ],
)
def test_a_failure_is_one_message_with_the_commands_words_before_it(command: str, status: int, prefix: str) -> None:
    done = run(command + " c1", "raise StateError('container does not exist', fix='pyoci list')")
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == prefix + "container does not exist\n  fix: pyoci list\n"


@pytest.mark.parametrize("command", ["create", "exec"])
def test_podman_finds_one_json_object_in_the_log_of_a_failure(command: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    body = "call.log.warning('w')\ncall.log.debug('d')\nraise ConfigError('bad', where='.root')"
    done = run("--log-format=json --log %s %s c1" % (log, command), body)
    record = json.loads(log.read_text())
    assert (record["level"], record["where"]) == ("error", ".root")
    assert done.stderr == record["msg"] + "\n"


def test_warnings_appear_after_success() -> None:
    done = run("state c1", "call.log.warning('w', where='.a')")
    assert done.stderr == "pyoci: warning: w\n  at: .a\n"


def test_criu_is_obsolete_and_only_warned_about() -> None:
    done = run("--criu /usr/sbin/criu state c1")
    assert (done.returncode, done.stderr) == (0, "pyoci: warning: --criu has no effect\n")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 / 0", "internal error: ZeroDivisionError: division by zero"),
        ("return main(call)", "internal error: RecursionError: maximum recursion depth exceeded"),
        ("raise MemoryError", "cannot allocate memory"),
        ("raise KeyboardInterrupt", "interrupted"),
        ("sys.exit(0)", "internal error: SystemExit: 0"),
        ("open('/nonexistent/x')", "/nonexistent/x: no such file or directory"),
        ("os.close(99)", "bad file descriptor"),
        ("raise SyscallError(2, 'openat2', '/x')", "openat2 /x: no such file or directory"),
        ("raise ExceptionGroup('g', [ValueError('a\\nb')])", "internal error: ExceptionGroup: g (1 sub-exception)"),
        ("raise ValueError('a\\nb\\x1b[2J')", "internal error: ValueError: a b\\x1b[2J"),
    ],
)
def test_whatever_is_raised_becomes_one_message_and_never_a_traceback(body: str, message: str) -> None:
    done = run("state c1", body)
    assert done.returncode == (130 if "Keyboard" in body else 1)
    first, *rest = done.stderr.splitlines()
    assert first.startswith("pyoci: " + message)
    assert [line[:6] for line in rest] == (["  at: ", "  fix:"] if "internal" in message else [])


def test_debug_tells_the_place_in_the_code_as_records_of_their_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run("--debug --log %s --log-format json state c1" % log, "raise PyociError('x')")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["level"] for record in records] == ["debug", "debug", "error"]
    assert "pyoci/cli/main.py:" in records[0]["where"]


def test_output_that_cannot_be_written_is_no_success() -> None:
    for body in ("call.write('x')", "print('x')"):
        with open("/dev/full", "w") as full:
            done = run("state c1", body, capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 1
        assert "no space left on device" in done.stderr


def test_output_into_a_closed_pipe_is_one_message() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run("state c1", "call.write('x')", capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "pyoci: write standard output: broken pipe\n")


def test_closed_standard_descriptors_become_dev_null() -> None:
    body = (
        "os.write(int(call.arguments[0]), ' '.join(os.readlink('/proc/self/fd/%d' % n) for n in range(3)).encode())"
    )
    reader, writer = os.pipe()
    closing = [
        "sh",
        "-c",
        'exec "$@" <&- >&- 2>&-',
        "sh",
        sys.executable,
        "-I",
        "-S",
        "-c",
        CHILD,
        "state",
        body,
        "",
    ]
    done = subprocess.run([*closing, "state", str(writer)], pass_fds=[writer], timeout=30, check=False)
    os.close(writer)
    with open(reader) as file:
        assert file.read() == "/dev/null /dev/null /dev/null"
    assert done.returncode == 0


def test_output_to_a_closed_descriptor_is_no_success() -> None:
    closing = [
        "sh",
        "-c",
        'exec "$@" >&-',
        "sh",
        sys.executable,
        "-I",
        "-S",
        "-c",
        CHILD,
        "state",
        "call.write('x')",
    ]
    done = subprocess.run([*closing, "", "state", "c1"], stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (1, "pyoci: write standard output: bad file descriptor\n")


def test_the_callers_umask_is_known_but_not_used() -> None:
    body = "mask = os.umask(0)\ncall.write('%03o %03o' % (call.umask, mask))"
    assert run("state c1", body, umask=0o077).stdout == "077 022"


@pytest.mark.parametrize("environment", [{}, {"LANG": "C"}, {"LC_ALL": "POSIX", "PATH": "/bin"}])
def test_a_poor_environment_changes_nothing(environment: dict[str, str]) -> None:
    done = run(["state", "ü"], "call.write(call.arguments[0] + call.root)", env=environment)
    assert done.stdout == "ü/run/pyoci"


def test_bytes_that_are_no_utf8_go_through() -> None:
    done = run(["--root", "/\udcff", "state", "c1"], "call.write(call.root)")
    assert done.stdout == "/\udcff"


def test_a_log_that_cannot_be_opened_fails_the_command_before_it_acts() -> None:
    done = run("--log /nonexistent/log state c1", "call.write('acted')")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "pyoci: open log file /nonexistent/log: no such file or directory\n"


def test_a_mistake_shows_usage_on_stdout_and_the_message_on_stderr() -> None:
    done = run("state a b")
    assert done.returncode == 1
    assert done.stdout == "Usage: pyoci state [OPTIONS] ID\nTry 'pyoci state --help' for help.\n"
    assert done.stderr == 'pyoci: "state" requires exactly 1 argument(s)\n'


def test_a_mistake_reaches_the_log(tmp_path: Path) -> None:
    run("--log %s/log --log-format json state" % tmp_path)
    assert json.loads((tmp_path / "log").read_text())["msg"] == 'pyoci: "state" requires exactly 1 argument(s)'


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("stat c1", "did you mean state?"),
        ("list --qiet", "did you mean --quiet?"),
        ("state --debug c1", "--debug is an option of pyoci itself: put it before state"),
        ("--detach run c1", "it is an option of run, exec, restore: put it after the command"),
        ("--log-format xml state c1", "choose one of: text, json"),
    ],
)
def test_a_slip_gets_a_hint(line: str, fix: str) -> None:
    done = run(line)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1] == "  fix: " + fix


@pytest.mark.parametrize("line", ["exec", "exec --no-such c1", "exec c1"])
def test_a_runtime_failure_of_exec_is_255(line: str) -> None:
    assert run(line, "raise PyociError('x')").returncode == 255


def test_every_command_of_the_table_is_carried_out() -> None:
    for name in COMMANDS:
        assert callable(import_module("pyoci.runtime." + name).main), name


FAKE_CRIU = """#!%s -IS
import os, sys
if sys.argv[1] == "check":
    sys.exit(%d)
kind = os.read(3, 99)[1]
os.write(3, bytes([8, kind, 16, 1, 82, 2, 8, 4]))
"""


@pytest.mark.parametrize("command", ["checkpoint", "restore"])
@pytest.mark.parametrize("good", [True, False])
def test_podmans_probe_for_checkpoint_succeeds_where_criu_works(tmp_path: Path, command: str, good: bool) -> None:
    """R-009."""
    (tmp_path / "criu").write_text(FAKE_CRIU % (sys.executable, not good))
    (tmp_path / "criu").chmod(0o755)
    child = "import sys; sys.path.append(%r); from pyoci.cli.main import main; from pyoci.criu import process\n"
    child = child % SOURCE + "process._SYSTEM = %r; main(sys.argv[1:])" % str(tmp_path)
    arguments = [sys.executable, "-I", "-S", "-X", "utf8", "-c", child, command, "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
    assert "--image-path" in done.stdout
    if good:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 1
        assert done.stderr.startswith("pyoci: criu does not work on this host\n")


def test_podmans_probe_for_pod_restore_finds_its_words() -> None:
    done = run("restore --lsm-mount-context")
    assert done.returncode == 1
    assert "flag needs an argument" in done.stderr


@pytest.mark.parametrize("without", ["", "click"])
@pytest.mark.parametrize("line", ["", "--help", "-h", "help", "create --help", "create -h", "help create"])
def test_help_stands_on_stdout_with_and_without_click(line: str, without: str) -> None:
    environment = {"PATH": "/bin"}
    python_path = [path for path in sys.path if path.endswith("site-packages")]
    body = "" if without else ";".join("sys.path.append(%r)" % path for path in python_path)
    command = [sys.executable, "-I", "-S", "-c", CHILD.replace("import sys", "import sys;" + body, 1)]
    done = subprocess.run(
        [*command, "", "", without, *line.split()],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    wanted = ["-b, --bundle DIR", "--pid-file FILE"] if "create" in line else ["--systemd-cgroup", "checkpoint"]
    assert all(word in done.stdout for word in [*wanted, "-h, --help", "Usage: pyoci "])


def test_help_about_nothing_known_is_a_mistake() -> None:
    done = run("help nope")
    assert (done.returncode, done.stderr) == (1, 'pyoci: no such command: "nope"\n')


def test_the_shell_is_told_what_may_follow() -> None:
    environment = {**os.environ, "_PYOCI_COMPLETE": "bash_complete", "COMP_WORDS": "pyoci sta", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pyoci"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.split() == ["plain,start", "plain,state"]


def test_the_version_is_what_docker_and_go_runc_parse() -> None:
    for flag in ("--version", "-v", "--version=true"):
        lines = run(flag).stdout.splitlines()
        assert lines[0] == "pyoci version " + pyoci.__version__
        assert [line.split(": ")[0] for line in lines[1:3]] == ["commit", "spec"]
        assert sum("version" in line for line in lines) == 1


def test_an_interrupt_ends_in_one_line() -> None:
    done = run("state c1", "os.kill(os.getpid(), %d)\nimport time\ntime.sleep(10)" % signal.SIGINT)
    assert (done.returncode, done.stderr) == (130, "pyoci: interrupted\n")


def test_output_waits_for_a_slow_reader_of_a_non_blocking_pipe() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    command = [sys.executable, "-I", "-S", "-c", CHILD, "state", "call.write('x' * 200000)", "", "state", "c1"]
    with subprocess.Popen(command, stdout=writer) as child, open(reader, "rb") as file:
        os.close(writer)
        time.sleep(0.2)  # by now the pipe is full
        assert len(file.read()) == 200000
    assert child.returncode == 0
