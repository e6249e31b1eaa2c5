"""Compiled filters on disk: what is believed and what is not."""

import os
import subprocess
import sys
import time

import pytest

from pyoci import seccomp
from pyoci.seccomp import cache, load_filter
from pyoci.seccomp import compile as compiler

KEY = bytes(range(32))
BODY = b"\x06\0\0\0\0\0\xff\x7f" * 3
PROFILE = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_KILL"}]}


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path / ".seccomp")


@pytest.fixture
def stored(directory):
    cache.store(directory, KEY, BODY)
    assert cache.load(directory, KEY) == BODY
    return os.path.join(directory, KEY.hex())


def test_nothing_is_there_at_first(directory):
    assert cache.load(directory, KEY) is None
    assert not os.path.exists(directory)


def test_what_is_stored_is_loaded_and_closed_to_others(stored, directory):
    assert os.stat(directory).st_mode & 0o7777 == 0o700
    assert os.stat(stored).st_mode & 0o7777 == 0o600
    assert os.listdir(directory) == [KEY.hex()]


def test_every_changed_byte_is_noticed(stored, directory):
    with open(stored, "rb") as file:
        data = file.read()
    for position in range(len(data)):
        with open(stored, "wb") as file:
            file.write(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert cache.load(directory, KEY) is None, position


def test_every_half_written_file_is_refused(stored, directory):
    with open(stored, "rb") as file:
        data = file.read()
    for length in range(len(data)):
        os.truncate(stored, length)
        assert cache.load(directory, KEY) is None, length
        with open(stored, "wb") as file:
            file.write(data)
    with open(stored, "ab") as file:
        file.write(b"\0")
    assert cache.load(directory, KEY) is None


def test_a_file_under_another_key_s_name_is_refused(stored, directory):
    other = bytes(32)
    os.rename(stored, os.path.join(directory, other.hex()))
    assert cache.load(directory, other) is None


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_others_may_write_is_refused(stored, directory, mode):
    os.chmod(stored, mode)
    assert cache.load(directory, KEY) is None


@pytest.mark.parametrize("mode", [0o710, 0o701, 0o777, 0o1777])
def test_a_directory_open_to_others_is_refused_and_not_written(stored, directory, mode):
    os.chmod(directory, mode)
    assert cache.load(directory, KEY) is None
    cache.store(directory, bytes(32), BODY)
    assert os.listdir(directory) == [KEY.hex()]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_files_and_directories_of_other_people_are_refused(stored, directory):
    os.chown(stored, 1, -1)
    assert cache.load(directory, KEY) is None
    os.chown(stored, 0, -1)
    os.chown(directory, 1, -1)
    assert cache.load(directory, KEY) is None


def test_links_are_not_followed(stored, directory, tmp_path):
    os.rename(stored, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", stored)
    assert cache.load(directory, KEY) is None
    os.unlink(stored)
    os.rename(tmp_path / "elsewhere", stored)
    os.rename(directory, tmp_path / "real")
    os.symlink(tmp_path / "real", directory)
    assert cache.load(directory, KEY) is None


def test_a_fifo_in_the_file_s_place_does_not_block(directory):
    os.mkdir(directory, 0o700)
    os.mkfifo(os.path.join(directory, KEY.hex()), 0o600)
    assert cache.load(directory, KEY) is None


def test_a_bad_file_is_replaced(stored, directory):
    os.truncate(stored, 10)
    cache.store(directory, KEY, BODY)
    assert cache.load(directory, KEY) == BODY


def test_only_the_newest_files_are_kept(directory):
    keys = [bytes([number]) * 32 for number in range(cache.MAX_FILES + 3)]
    for age, key in enumerate(keys[:-1]):
        cache.store(directory, key, BODY)
        moment = time.time() - 1000 + age
        os.utime(os.path.join(directory, key.hex()), (moment, moment))
    cache.store(directory, keys[-1], BODY)
    kept = set(os.listdir(directory))
    assert len(kept) == cache.MAX_FILES
    assert kept == {key.hex() for key in keys[3:]}


def test_a_place_that_cannot_be_written_is_no_error(tmp_path):
    cache.store(str(tmp_path / "missing" / "deep"), KEY, BODY)
    assert os.listdir(tmp_path) == []
    with open(tmp_path / "file", "w"):
        pass
    cache.store(str(tmp_path / "file"), KEY, BODY)
    assert cache.load(str(tmp_path / "file"), KEY) is None


def test_the_second_load_compiles_nothing(directory, monkeypatch):
    first = load_filter(PROFILE, directory)
    monkeypatch.setattr(compiler, "compile_profile", lambda profile: pytest.fail("compiled again"))
    second = load_filter(PROFILE, directory)
    assert (second.bpf, second.flags, second.notify) == (first.bpf, first.flags, first.notify)


@pytest.mark.parametrize(
    "change",
    [
        {"defaultAction": "SCMP_ACT_LOG"},
        {"architectures": ["SCMP_ARCH_X86"]},
        {"syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_KILL_PROCESS"}]},
    ],
)
def test_another_profile_is_another_key(directory, change):
    load_filter(PROFILE, directory)
    load_filter({**PROFILE, **change}, directory)
    assert len(os.listdir(directory)) == 2


def test_the_listener_and_the_flags_do_not_change_the_instructions(directory):
    load_filter(PROFILE, directory)
    load_filter({**PROFILE, "flags": [], "listenerPath": "/x", "listenerMetadata": "y"}, directory)
    assert len(os.listdir(directory)) == 1


def test_another_compiler_is_another_key(directory, monkeypatch):
    load_filter(PROFILE, directory)
    monkeypatch.setattr(seccomp, "COMPILER_VERSION", seccomp.COMPILER_VERSION + 1)
    load_filter(PROFILE, directory)
    assert len(os.listdir(directory)) == 2


def test_without_knowing_the_library_nothing_is_cached(directory, monkeypatch):
    monkeypatch.setattr(seccomp, "_LIBRARIES", ())
    assert load_filter(PROFILE, directory).bpf
    assert not os.path.exists(directory)


def test_names_that_are_no_text_survive(directory):
    odd = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["\udcff"], "action": "SCMP_ACT_KILL"}]}
    assert load_filter(odd, directory).bpf == load_filter(odd, directory).bpf


def test_a_hit_imports_nothing_heavy(directory):
    load_filter(PROFILE, directory)
    script = (
        "import sys; sys.path.insert(0, %r); before = set(sys.modules)\n"
        "from pyoci.seccomp import load_filter\n"
        "load_filter(%r, %r)\n"
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith('pyoci')))"
    ) % (os.path.dirname(os.path.dirname(seccomp.__path__[0])), PROFILE, directory)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    allowed = {"_ctypes", "_sha256", "_sha2", "_struct", "_opcode", "errno", "os", "stat", "_stat", "posixpath",
               "genericpath", "_collections_abc", "os.path"}  # fmt: skip
    assert set(done.stdout.split()) <= allowed
