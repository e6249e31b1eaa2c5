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
make_image = load("make_image")
pytestmark = pytest.mark.skipif(
    not builder.library() or not shutil.which("cc"),
    reason="no static libpython of this interpreter, or no C compiler",
)

# Put in the place of pyoci.startup: what the process sees of itself, before and after everything is there.
STARTUP = """
import os, sys
from _json import encode_basestring, make_scanner
class Settings:
    strict, object_hook, object_pairs_hook = True, None, None
    parse_float, parse_int, parse_constant = float, int, float
scan = make_scanner(Settings)
def print(*values):
    os.write(1, (" ".join(map(str, values)) + "\\n").encode("utf-8", "surrogateescape"))
def run(directory):
    test = sys.argv[1]
    exec(compile(os.fsdecode(os.environ["CODE"]), "code", "exec"), globals())
    os._exit(0)
"""


def build(tree, prefix, kind):
    """Fill the prefix with the package of `tree`, its snapshot, the boot script, and the interpreter."""
    (prefix / "bin").mkdir()
    place = prefix / "lib" / VERSION / "site-packages" / "pyoci"
    shutil.copytree(os.path.join(tree, "pyoci"), place, ignore=shutil.ignore_patterns("__pycache__", "launcher"))
    maker = os.path.join(LAUNCHER, "make_snapshot.py")
    argv = [sys.executable, "-I", "-S", "-X", "no_debug_ranges", maker, tree, place / "snapshot.bin"]
    subprocess.run(argv, check=True)
    shutil.copy(os.path.join(ROOT, "pyoci", "boot.py"), prefix / "bin" / "pyoci-boot")
    program, boot = prefix / "bin" / "pyoci-interpreter", prefix / "bin" / "pyoci-boot"
    assert builder.build(tree, str(place / "snapshot.bin"), str(program), str(boot), image=kind == "image") == ""
    if os.uname().machine == "x86_64" and sys.version_info < (3, 12):  # elsewhere there is none, as documented
        assert is_image(program) == (kind == "image")
    return prefix


def is_image(program):
    """Whether the modules' docstring-less code lies in the program itself, not only what core.py has."""
    return b"runtime.state" in program.read_bytes()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """kind -> a prefix as it is installed."""
    return {kind: build(ROOT, tmp_path_factory.mktemp(kind), kind) for kind in ("core", "image")}


@pytest.fixture(params=["core", "image"])
def installed(both, request):
    """A prefix with the interpreter, the boot script, the package and its snapshot."""
    return both[request.param]


@pytest.fixture(scope="module", params=["core", "image"])
def bare(request, tmp_path_factory):
    """The same with a startup that runs $CODE."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(os.path.join(ROOT, "pyoci"), tree / "pyoci", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "pyoci" / "startup.py").write_text(STARTUP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "works", lambda *arguments: "")  # it runs no command
        return build(tree, tmp_path_factory.mktemp("bare"), request.param)


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
    assert ("snapshot.bin" in opened) == (not is_image(installed / "bin" / "pyoci-interpreter"))
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
        ("import json, site; site.main(); print(sys.prefix == %r)" % sys.prefix, "True"),
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
    assert told(bare, code, SET="one").strip() == expected


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
    assert told(bare, code).strip() in ("1", "22")


def test_where_its_standard_library_is_out_of_reach_the_ordinary_interpreter_runs(bare, monkeypatch, tmp_path):
    """As for a user who may not enter the directory, or on another host."""
    real = builder.sysconfig.get_config_var
    monkeypatch.setattr(
        builder.sysconfig, "get_config_var", lambda name: "/nonexistent" if name == "DESTSHARED" else real(name)
    )
    monkeypatch.setattr(builder, "works", lambda *arguments: "")
    prefix = tmp_path / "prefix"
    shutil.copytree(bare, prefix)
    program, boot = prefix / "bin" / "pyoci-interpreter", prefix / "bin" / "pyoci-boot"
    assert builder.build(ROOT, "", str(program), str(boot), image=False) == ""
    code = "print('_pyoci' in sys.builtin_module_names, sys._xoptions['pyoci'], sys.argv[1:])"
    assert told(prefix, code, "y").strip() == "False env ['x', 'y']"


def test_a_damaged_snapshot_is_one_error_and_no_traceback(both, tmp_path):
    prefix = tmp_path / "prefix"
    shutil.copytree(both["core"], prefix)
    file = prefix / "lib" / VERSION / "site-packages" / "pyoci" / "snapshot.bin"
    file.write_bytes(file.read_bytes()[:2000])
    done = run(prefix, "list")
    assert done.returncode == 1
    assert done.stderr.startswith(b"pyoci: cannot begin: ")
    assert b"Traceback" not in done.stderr
    assert b"install pyoci again" in done.stderr


def test_an_image_needs_no_snapshot_and_finds_what_it_does_not_hold(both, tmp_path):
    prefix = tmp_path / "prefix"
    shutil.copytree(both["image"], prefix)
    (prefix / "lib" / VERSION / "site-packages" / "pyoci" / "snapshot.bin").unlink()
    assert run(prefix, "--root", tmp_path, "state", "nope").stderr == b"pyoci: container does not exist\n"
    assert run(prefix, "--root", tmp_path, "update", "nope").stderr == b"pyoci: container does not exist\n"
    assert run(prefix, "events", "--help").stdout.startswith(b"Usage: pyoci")
    assert run(prefix, "--version").stdout.startswith(b"pyoci version ")


def test_an_image_does_not_mix_with_another_builds_snapshot(both, tmp_path):
    prefix = tmp_path / "prefix"
    shutil.copytree(both["image"], prefix)
    file = prefix / "lib" / VERSION / "site-packages" / "pyoci" / "snapshot.bin"
    data = bytearray(file.read_bytes())
    digest = data.index(b" %x " % sys.hexversion) + len(b" %x " % sys.hexversion)
    data[digest] ^= 1
    file.write_bytes(data)
    assert (
        run(prefix, "--root", tmp_path, "events", "--stats", "nope").stderr == b"pyoci: container does not exist\n"
    )
    place = prefix / "lib" / VERSION / "site-packages" / "pyoci" / "runtime"
    (place / "check.py").write_text("raise SystemExit('from its own file')")
    done = run(prefix, "check")
    assert (done.returncode, b"from its own file" in done.stderr + done.stdout) == (1, True), done


def test_the_environment_is_the_callers(bare):
    code = "import posix; print(os.environ['SET'], posix.environ is os.environ._data, len(os.environ) == len(posix.environ))"
    assert told(bare, code, SET="two").strip() == "two True True"
    code = "os.write(1, b'|'.join(sorted(name for name in os.environb if name != b'CODE')))"
    argv = [sys.executable, "-I", "-S", "-Xpyoci", bare / "bin" / "pyoci-boot", "x"]
    done = subprocess.run(
        argv, executable=bare / "bin" / "pyoci-interpreter", env={b"CODE": code.encode(), b"X\xff": b"\xff"},
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"X\xff", b"")


def test_ignored_signals_are_known_to_be_ignored(bare):
    code = "import _signal as s; print([n for n in range(1, 65) if s.getsignal(n) == s.SIG_IGN])"
    environment = {**os.environ, "CODE": code}
    argv = [sys.executable, "-I", "-S", "-Xpyoci", bare / "bin" / "pyoci-boot", "x"]

    def told_after(ignored):
        def ignore():
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGUSR1):
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

        done = subprocess.run(
            argv, executable=bare / "bin" / "pyoci-interpreter", env=environment, capture_output=True, text=True,
            check=False, preexec_fn=ignore, restore_signals=False,
        )  # fmt: skip
        assert done.returncode == 0, done
        return done.stdout.strip()

    assert told_after({}) == "[13, 25]"
    assert told_after({signal.SIGHUP}) == "[1, 13, 25]"
    assert told_after({signal.SIGUSR1, signal.SIGPIPE}) == "[10, 13, 25]"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print(encode_basestring('a\"b'), scan('[1, {\"a\": 2.5}]', 0))", '"a\\"b" ([1, {\'a\': 2.5}], 15)'),
        ("import _json; print(_json.make_scanner.__name__, _json.scanstring('a\"', 0))", "Scanner ('a', 2)"),
        ("import json; print(json.loads('[1]'), json.decoder.c_scanstring is not None)", "[1] True"),
        ("import fcntl; print(fcntl.F_GETFD, fcntl.fcntl(1, fcntl.F_GETFD))", "1 0"),
        ("import _json\ntry: _json.nothing\nexcept AttributeError as error: print(error)",
         "module '_json' has no attribute 'nothing'"),
        ("import _struct, select; print(_struct.pack('<H', 258), select.poll().poll(0))", "b'\\x02\\x01' []"),
    ],
)  # fmt: skip
def test_extension_modules_come_when_they_are_used(bare, code, expected):
    assert told(bare, code).strip() == expected


FROZEN = """
_ = encode_basestring if not LOADED else encode_basestring('')
sys.modules['_pyoci'].load_for_child() if LOADED else None
sys.meta_path.clear()
try:
    os.write(1, encode_basestring('late').encode())
except ModuleNotFoundError as error:
    os.write(1, str(error).encode())
"""


@pytest.mark.parametrize("loaded", [True, False])
def test_nothing_is_loaded_late_after_imports_are_frozen(bare, loaded):
    """It would come from the container's own root filesystem, and run with all the rights of the runtime."""
    here = "_json" in sys.builtin_module_names or not is_image(bare / "bin" / "pyoci-interpreter")
    expected = '"late"' if loaded or here else "No module named '_json'"
    assert told(bare, FROZEN.replace("LOADED", str(loaded))) == expected


def test_a_child_finds_extension_modules_loaded(bare):
    code = """
from pyoci.kernel.process import clone3
pid, pidfd = clone3(0)
if pid == 0:
    sys.meta_path.clear()
    os.write(1, encode_basestring('child').encode())
    os._exit(0)
os.waitpid(pid, 0)
"""
    assert told(bare, code) == '"child"'
    assert told(bare, code.replace("clone3(0)", "os.fork(), -1")) == '"child"'


def test_a_child_may_have_children(bare):
    """A hook that runs in the container's namespaces: what the child may not load does not disturb its fork."""
    code = """
import termios
from pyoci.kernel.process import clone3
pid, pidfd = clone3(0)
if pid == 0:
    os.dup2(1, 2)
    inner = os.fork()
    if inner == 0:
        os.write(1, b"grandchild")
        os._exit(0)
    os.waitpid(inner, 0)
    os._exit(0)
os.waitpid(pid, 0)
"""
    assert told(bare, code) == "grandchild"
    assert told(bare, code.replace("os.dup2", "sys.meta_path.clear(); os.dup2")) == "grandchild"


def test_a_signal_before_a_fork_is_not_lost(bare):
    """What interrupts a fork has to be seen by whoever forks: found by killing `run` at any moment."""
    code = """
import _signal
class Interrupted(BaseException):
    pass
def load_all():
    raise Interrupted
if hasattr(os.fork, "__closure__"):
    os.fork.__closure__[0].cell_contents.load_all = load_all
    try:
        os.fork()
    except Interrupted:
        os.write(1, b"interrupted")
else:
    os.write(1, b"no image")
"""
    assert told(bare, code) == ("interrupted" if is_image(bare / "bin" / "pyoci-interpreter") else "no image")


def test_a_child_loads_nothing_itself(bare):
    """Not even before it has frozen all imports: it may have joined a mount namespace that is not the host's."""
    code = """
import pwd, termios
from pyoci.kernel.process import clone3
pid, pidfd = clone3(0)
if pid == 0:
    try:
        termios.tcgetattr(0)
    except ModuleNotFoundError as error:
        os.write(1, str(error).encode())
    except Exception:
        os.write(1, b"loaded")
    os._exit(0)
os.waitpid(pid, 0)
"""
    put_off = is_image(bare / "bin" / "pyoci-interpreter") and "termios" not in sys.builtin_module_names
    assert told(bare, code) == ("No module named 'termios'" if put_off else "loaded")


def test_what_calls_back_into_python_knows_its_thread(bare):
    code = (
        "import ctypes; print(ctypes.pythonapi.PyGILState_Check(), ctypes.CFUNCTYPE(int, int)(lambda x: x + 1)(2))"
    )
    assert told(bare, code.replace("(int, int)", "(ctypes.c_int, ctypes.c_int)")).strip() == "1 3"


def test_the_time_zone_is_the_callers(bare):
    code = "import json, time; print(time.timezone, time.localtime(0).tm_hour)"
    assert told(bare, code, TZ="XYZ-9").strip() == "-32400 9"


def test_nothing_of_the_build_is_told(bare):
    code = "print([x for x in (*sys.argv, sys.executable, *sys.path) if 'pyoci-launcher' in x or x.endswith('/names')])"
    assert told(bare, code).strip() == "[]"


@pytest.mark.parametrize("limit", ["RLIMIT_DATA", "RLIMIT_AS"])
def test_little_memory_is_enough(installed, tmp_path, limit):
    import resource

    def bound():
        resource.setrlimit(getattr(resource, limit), (48 << 20, 48 << 20))

    done = run(installed, "--root", tmp_path, "list", "-q", preexec_fn=bound)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_threads_know_which_is_the_first(bare):
    code = """
import threading, signal
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
seen = []
thread = threading.Thread(target=lambda: seen.append(threading.get_ident()))
thread.start(); thread.join()
print(threading.main_thread().ident == threading.get_ident() != seen[0], threading.current_thread() is threading.main_thread())
print(threading.get_native_id() == os.getpid())
"""
    assert told(bare, code).split() == ["handled", "True", "True", "True"]


def test_much_memory_is_taken_and_given_back(bare):
    code = """
import gc
kept = [bytes(1000) for _ in range(50000)]
big = bytearray(100 << 20)
names = {str(i): [i] for i in range(200000)}
del kept, big
for name in [*sys.modules]:
    if name.startswith("pyoci.") and name != "pyoci.startup":
        del sys.modules[name]
gc.unfreeze(); gc.collect()
print(len(names), sum(v[0] for v in names.values()))
"""
    assert told(bare, code).strip() == "200000 19999900000"


def test_memory_that_points_out_of_the_program_is_noticed():
    one, other = bytearray(8192), bytearray(8192)
    make_image.WORD.pack_into(one, 4096, 0x7F00_1234_5000)
    make_image.WORD.pack_into(other, 4096, 0x7F11_1234_5000)
    make_image.WORD.pack_into(one, 8, 3)  # a number that differs
    make_image.WORD.pack_into(one, 5000, 0x7F00_0000_0740)
    make_image.WORD.pack_into(other, 5000, 0x7F22_0000_0740)
    threads = (0x7F00_0000_0740, 0x7F22_0000_0740)
    first, second = bytes(one), bytes(other)
    assert make_image.pointers_out((first, threads[0], 0), (second, threads[1], 0)) == [4096]
    assert make_image.pointers_out((first, 1, 0), (second, 2, 0)) == [4096, 5000]
    make_image.WORD.pack_into(one, 16, 0x2F71E010)
    make_image.WORD.pack_into(other, 16, 0x1F71E010)
    ends = (0x2F73F000, 0x1F73F000)
    assert make_image.pointers_out((bytes(one), 1, ends[0]), (bytes(other), 2, ends[1])) == [16, 4096, 5000]
    with pytest.raises(make_image.NoImage, match="another size"):
        make_image.pointers_out((first, 1, 0), (bytes(100), 2, 0))
    with pytest.raises(make_image.NoImage, match="not random"):
        make_image.pointers_out((first, 1, 0), (second, 1, 0))


def test_what_is_no_executable_for_fixed_addresses_has_no_image(tmp_path):
    for data in (b"#!/bin/sh\n", b"\x7fELF\x02\x01" + bytes(100)):
        (tmp_path / "file").write_bytes(data)
        with pytest.raises(make_image.NoImage, match="not an executable at fixed addresses"):
            make_image.Program(str(tmp_path / "file"))


def test_without_an_image_the_core_is_installed_and_the_reason_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(builder, "works", lambda *arguments: "it fell" * ("image" in arguments[-1]))
    monkeypatch.setattr(builder.make_image, "make", lambda *arguments: None)
    monkeypatch.setattr(builder, "command_line", lambda *arguments, **more: ["true"])
    assert builder.with_image("tree", "snapshot", "boot", str(tmp_path), "program", static=True) == "program"
    assert "no image of the interpreter (it fell)" in capsys.readouterr().err
    monkeypatch.setattr(builder, "command_line", lambda *arguments, **more: ["ls", "/nonexistent"])
    assert builder.with_image("tree", "snapshot", "boot", str(tmp_path), "program", static=True) == "program"
    assert "No such file" in capsys.readouterr().err
    monkeypatch.setattr(builder, "command_line", lambda *arguments, **more: ["true"])
    monkeypatch.setattr(builder, "works", lambda *arguments: "")
    assert builder.with_image("tree", "snapshot", "boot", str(tmp_path), "program", static=True) == "program-image"


def test_an_editable_installation_goes_by_its_sources(tmp_path_factory, tmp_path):
    """As long as no file is edited the image serves, and after that the ordinary interpreter over the files."""
    tree, prefix = tmp_path_factory.mktemp("editable"), tmp_path / "prefix"
    shutil.copytree(os.path.join(ROOT, "pyoci"), tree / "pyoci", ignore=shutil.ignore_patterns("__pycache__"))
    (prefix / "bin").mkdir(parents=True)
    boot, program, snapshot = (
        prefix / "bin" / "pyoci-boot",
        prefix / "bin" / "pyoci-interpreter",
        tmp_path / "snapshot",
    )
    load("build_hook").write_boot(ROOT, str(boot), source=str(tree))
    subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-X",
            "no_debug_ranges",
            os.path.join(LAUNCHER, "make_snapshot.py"),
            tree,
            snapshot,
        ],
        check=True,
    )
    assert builder.build(str(tree), str(snapshot), str(program), str(boot)) == ""
    if not is_image(program):
        pytest.skip("there is no image for this machine or Python")

    def ask():
        done = run(prefix, "--root", tmp_path, "state", "nope")
        assert done.returncode == 1
        return done.stderr.decode()

    errors = tree / "pyoci" / "runtime" / "state.py"
    assert ask() == "pyoci: container does not exist\n"
    (tree / "pyoci" / "__main__.py").write_text("nothing of the image")
    text = errors.read_text()
    assert 'raise SystemExit("edited")' not in text
    errors.write_text(text + 'raise SystemExit("edited")\n')
    assert "edited" in ask()
    errors.unlink()
    assert ask() == "pyoci: state is not carried out by this version\n"


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
    where = [str(tmp_path / "none"), str(tmp_path / "target"), os.path.join(ROOT, "pyoci", "boot.py")]
    assert "nonexistent" in builder.build(ROOT, *where)
    monkeypatch.setattr(builder.sysconfig, "get_config_var", lambda name: "")
    assert "libpython3-dev" in builder.build(ROOT, *where)
    assert not (tmp_path / "target").exists()
