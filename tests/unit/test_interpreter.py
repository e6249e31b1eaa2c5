"""pyoci's own interpreter: the core of Python first, the rest when it is needed; users see no difference."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAUNCHER = os.path.join(ROOT, "pyoci", "launcher")
VERSION = "python%d.%d" % sys.version_info[:2]


def load(name):
    spec = importlib.util.spec_from_file_location(name, os.path.join(LAUNCHER, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


builder = load("build_interpreter")
pytestmark = pytest.mark.skipif(
    not builder.library() or not shutil.which("cc"),
    reason="no static libpython of this interpreter, or no C compiler",
)

# Put in the place of pyoci.startup: what the process sees of itself, before and after everything is there.
STARTUP = """
import os, sys
def run(directory):
    test = sys.argv[1]
    exec(compile(os.fsdecode(os.environ["CODE"]), "code", "exec"), globals())
    os._exit(0)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A prefix with the interpreter, the boot script, the package and its snapshot."""
    prefix = tmp_path_factory.mktemp("prefix")
    (prefix / "bin").mkdir()
    place = prefix / "lib" / VERSION / "site-packages" / "pyoci"
    shutil.copytree(
        os.path.join(ROOT, "pyoci"), place, symlinks=False, ignore=shutil.ignore_patterns("__pycache__", "launcher")
    )
    maker = os.path.join(LAUNCHER, "make_snapshot.py")
    argv = [sys.executable, "-I", "-S", "-X", "no_debug_ranges", maker, ROOT, place / "snapshot.bin"]
    subprocess.run(argv, check=True)
    shutil.copy(os.path.join(ROOT, "pyoci", "boot.py"), prefix / "bin" / "pyoci-boot")
    assert builder.build(ROOT, str(place / "snapshot.bin"), str(prefix / "bin" / "pyoci-interpreter")) == ""
    return prefix


@pytest.fixture(scope="module")
def bare(installed, tmp_path_factory):
    """The same with a startup that runs $CODE, and no snapshot."""
    prefix = tmp_path_factory.mktemp("bare")
    shutil.copytree(installed / "bin", prefix / "bin")
    place = prefix / "lib" / VERSION / "site-packages" / "pyoci"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("")
    (place / "startup.py").write_text(STARTUP)
    return prefix


def run(prefix, *arguments, **more):
    argv = [os.fsencode(sys.executable), b"-I", b"-S", b"-Xpyoci", os.fsencode(prefix / "bin" / "pyoci-boot")]
    argv += [os.fsencode(argument) for argument in arguments]
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.run(argv, executable=prefix / "bin" / "pyoci-interpreter", check=False, timeout=60, **more)


def told(prefix, code, *arguments, **environment):
    done = run(prefix, "x", *arguments, env={**os.environb, b"CODE": code.encode(), **{
        os.fsencode(name): os.fsencode(value) for name, value in environment.items()}})  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout.decode("utf-8", "surrogateescape")


def test_a_small_command_never_initialises_the_rest(installed, tmp_path):
    command = ["--root", str(tmp_path), "list", "-q"]
    argv = [sys.executable, "-I", "-S", "-Xpyoci", str(installed / "bin" / "pyoci-boot"), *command]
    trace = tmp_path / "trace"
    strace = shutil.which("strace")
    if not strace:
        pytest.skip("no strace")
    traced = [
        strace,
        "-o",
        str(trace),
        "-e",
        "trace=openat,open",
        str(installed / "bin" / "pyoci-interpreter"),
        *argv[1:],
    ]
    done = subprocess.run(traced, capture_output=True, text=True, check=False)
    if "PTRACE" in done.stderr:
        pytest.skip("may not trace: " + done.stderr.strip())
    assert (done.returncode, done.stdout) == (0, "")
    opened = trace.read_text()
    assert "snapshot.bin" in opened
    assert "encodings" not in opened
    assert "pyvenv.cfg" not in opened


def test_what_needs_everything_gets_it(installed):
    done = run(installed, "--help")
    assert done.returncode == 0
    assert b"An OCI container runtime" in done.stdout
    done = run(installed, "frobnicate")
    assert done.returncode != 0
    assert b'no such command: "frobnicate"' in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_error_is_the_same_line_as_ever(installed, tmp_path):
    done = run(installed, "--root", str(tmp_path), "state", "nope")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"pyoci: container does not exist\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import json, re, subprocess; print(json.dumps({'a': re.sub('b', 'c', 'b')}))", '{"a": "c"}'),
        ("print(open('/proc/self/comm').read().strip()[:5])", "pyoci"),
        ("from collections.abc import Mapping; print(isinstance({}, Mapping))", "True"),
        ("import pathlib; print(isinstance(pathlib.Path('/'), os.PathLike), isinstance(3, os.PathLike))", "True False"),
        ("print(os.environ.get('SET'), os.environ.get('UNSET', 'not'), 'SET' in os.environ)", "one not True"),
        ("print(os.environ.pop('SET'), os.environ.pop('SET', 'gone'), os.getenv('SET'))", "one gone None"),
        ("print(dict(os.environ)['SET'], ('SET', 'one') in os.environ.items(), 'SET' in os.environ.keys())", "one True True"),
        ("import sys; print(sys.executable == %r, sys.flags.isolated, sys.flags.no_site)" % sys.executable, "True 1 1"),
        ("import site; site.main(); print(sys.prefix == %r)" % sys.prefix, "True"),
        ("import signal; print(signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN)", "True"),
        ("import signal; print(signal.getsignal(signal.SIGINT) == signal.SIG_DFL)", "True"),
        ("print('\\udcff\\u20ac'.encode('ascii', 'backslashreplace'), b'\\xff'.decode('utf-8', 'backslashreplace'))",
         "b'\\\\udcff\\\\u20ac' \\xff"),
        ("try: '\\ud800'.encode()\nexcept UnicodeEncodeError as error: print(error.reason)", "surrogates not allowed"),
        ("print('a.b'.encode('idna'), 'x'.encode('utf-16-le'))", "b'a.b' b'x\\x00'"),
        ("import sys; sys.meta_path.clear()\ntry: 'x'.encode('idna')\nexcept LookupError: os.write(1, b'unknown')", "unknown"),
        ("import threading, time; t = threading.Thread(target=print, args=('ran',)); t.start(); t.join()", "ran"),
        ("print('\\u00e4\\udcff'.encode('utf-8', 'surrogateescape'), b'\\xff'.decode('utf-8', 'surrogateescape') == '\\udcff')",
         "b'\\xc3\\xa4\\xff' True"),
    ],
)  # fmt: skip
def test_python_is_whole_after_all(bare, code, expected):
    assert told(bare, code + "\nif sys.stdout: sys.stdout.flush()", SET="one").strip() == expected


def test_arguments_may_hold_any_byte(bare):
    code = "os.write(1, os.fsencode(sys.argv[2]))"
    assert told(bare, code, b"a\xff b").encode("utf-8", "surrogateescape") == b"a\xff b"


def test_system_calls_write_to_buffers(bare):
    code = (
        """
sys.path.insert(0, %r)
for name in [name for name in sys.modules if name.startswith("pyoci")]:
    del sys.modules[name]
import pyoci.kernel.process as process
from pyoci.kernel import syscall
from pyoci.errors import SyscallError
assert syscall.buffer.__name__ == "Buffer"
import resource
assert process.getrlimit(7) == resource.getrlimit(7), process.getrlimit(7)
try:
    process.setresuid(2**32 - 2) if os.geteuid() else process.sethostname(b"x" * 65)
except SyscallError as error:
    print(error.errno)
"""
        % ROOT
    )
    assert told(bare, code + "sys.stdout.flush()").strip() in ("1", "22")


def test_where_its_standard_library_is_out_of_reach_the_ordinary_interpreter_runs(bare, monkeypatch, tmp_path):
    """As for a user who may not enter the directory, or on another host."""
    real = builder.sysconfig.get_config_var
    monkeypatch.setattr(
        builder.sysconfig, "get_config_var", lambda name: "/nonexistent" if name == "DESTSHARED" else real(name)
    )
    monkeypatch.setattr(builder, "works", lambda *arguments: "")
    prefix = tmp_path / "prefix"
    shutil.copytree(bare, prefix)
    assert builder.build(ROOT, "", str(prefix / "bin" / "pyoci-interpreter")) == ""
    code = "print('_pyoci' in sys.builtin_module_names, sys._xoptions['pyoci'], sys.argv[1:]); sys.stdout.flush()"
    assert told(prefix, code, "y").strip() == "False env ['x', 'y']"


def test_a_damaged_snapshot_is_one_error_and_no_traceback(installed, tmp_path):
    prefix = tmp_path / "prefix"
    shutil.copytree(installed, prefix)
    file = prefix / "lib" / VERSION / "site-packages" / "pyoci" / "snapshot.bin"
    file.write_bytes(file.read_bytes()[:2000])
    done = run(prefix, "list")
    assert done.returncode == 1
    assert done.stderr.startswith(b"pyoci: cannot begin: ")
    assert b"Traceback" not in done.stderr
    assert b"install pyoci again" in done.stderr


def test_nobody_starts_it_by_hand(installed):
    done = subprocess.run([installed / "bin" / "pyoci-interpreter"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is started by the command pyoci only" in done.stderr


def test_a_reader_that_went_away_is_an_error_and_no_signal(installed, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = run(installed, "features", stdout=writer)
    os.close(writer)
    assert done.returncode == 1, done
    assert done.returncode != -signal.SIGPIPE
    assert b"broken pipe" in done.stderr.lower()


def test_a_build_that_cannot_be_says_why(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "/nonexistent/cc")
    assert "nonexistent" in builder.build(ROOT, str(tmp_path / "none"), str(tmp_path / "target"))
    monkeypatch.setattr(builder.sysconfig, "get_config_var", lambda name: "")
    assert "libpython3-dev" in builder.build(ROOT, str(tmp_path / "none"), str(tmp_path / "target"))
    assert not (tmp_path / "target").exists()
