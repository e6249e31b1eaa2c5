import os
import subprocess
import sys

import pytest

from pyoci.config.load import load_config, load_process, load_resources
from pyoci.config.read import read_descriptor, read_document
from pyoci.errors import ConfigError
from tests.unit.config.samples import minimal, ordinary, text


@pytest.fixture
def bundle(tmp_path):
    def make(document):
        data = document if isinstance(document, bytes) else text(document)
        (tmp_path / "config.json").write_bytes(data)
        return str(tmp_path)

    return make


def test_a_sound_configuration_comes_back_with_its_bytes(bundle):
    path = bundle(ordinary())
    config, data = load_config(path)
    assert config == ordinary()
    assert data == text(ordinary())
    fd = os.open(path, os.O_PATH)
    try:
        assert load_config(fd) == (config, data)
    finally:
        os.close(fd)


def test_nulls_are_gone(bundle):
    config, _ = load_config(bundle(minimal() | {"mounts": None, "linux": {"resources": None}}))
    assert config == minimal() | {"linux": {}}


def test_another_file_may_be_named(bundle, tmp_path):
    path = bundle(b"{}")
    (tmp_path / "other.json").write_bytes(text(minimal()))
    assert load_config(path, name="other.json")[0] == minimal()
    assert load_config(path, name=str(tmp_path / "other.json"))[0] == minimal()


def test_the_first_error_of_the_text_is_raised_with_all_details(bundle):
    config = ordinary()
    config["process"]["user"]["uid"] = "root"
    config["linux"]["resources"]["memory"]["limit"] = "64M"
    with pytest.raises(ConfigError) as caught:
        load_config(bundle(config))
    error = caught.value
    assert error.message == (
        'config.json: .process.user.uid: must be an integer from 0 to 4294967294, not the string "root"'
    )
    assert (error.where, error.line, error.column) == (".process.user.uid", 6, 14)
    assert error.fix


def test_an_error_of_a_rule_has_its_place_too(bundle):
    config = ordinary()
    config["linux"]["namespaces"].append({"type": "pid"})
    with pytest.raises(ConfigError, match="listed twice") as caught:
        load_config(bundle(config))
    assert caught.value.where == ".linux.namespaces[6]"
    assert caught.value.line > 1


def test_what_cannot_be_carried_out_is_refused(bundle):
    config = ordinary()
    config["mounts"].append({"destination": "/a", "source": "/b", "options": ["bind", "nosuch=1"]})
    with pytest.raises(ConfigError, match="filesystem-specific"):
        load_config(bundle(config))


def test_the_systemd_driver_is_passed_on(bundle):
    config = ordinary()
    config["linux"]["cgroupsPath"] = "/a"
    path = bundle(config)
    load_config(path)
    with pytest.raises(ConfigError, match="slice:prefix:name"):
        load_config(path, systemd=True)


def test_warnings_are_told_and_do_not_stop(bundle):
    config = ordinary()
    config["ociVersion"] = "1.9.0"
    told = []
    load_config(bundle(config), told.append)
    assert told == ['config.json: .ociVersion: ociVersion "1.9.0" is newer than this runtime\'s 1.3']


@pytest.mark.parametrize("data", [b"null", b"[]", b'"x"', b"3"])
def test_a_document_that_is_no_object_is_refused(bundle, data):
    with pytest.raises(ConfigError, match="must be an object"):
        load_config(bundle(data))


def test_the_words_that_callers_know(bundle):
    for change, words in (
        ({"cwd": "tmp"}, "Cwd must be an absolute path"),
        ({"args": []}, "args must not be empty"),
        ({"args": None}, "args must not be empty"),
        ({"rlimits": [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]}, "wrong rlimit value: RLIMIT_X"),
    ):
        config = minimal()
        config["process"].update(change)
        with pytest.raises(ConfigError, match=words):
            load_config(bundle(config))
        with pytest.raises(ConfigError, match=words):
            load_process(text(config["process"]))


def test_process_documents_are_checked_with_paths_of_their_own():
    assert load_process(text({"cwd": "/", "args": ["x"], "env": None})) == {"cwd": "/", "args": ["x"]}
    with pytest.raises(ConfigError) as caught:
        load_process(text({"cwd": "/", "args": ["x"], "env": ["A=1", "B"]}))
    assert caught.value.where == ".env[1]"


def test_resource_documents_are_checked_with_paths_of_their_own():
    assert load_resources(text({"memory": {"limit": 1, "swap": None}, "x": 1}))["memory"] == {"limit": 1}
    with pytest.raises(ConfigError) as caught:
        load_resources(text({"cpu": {"quota": 5}}))
    assert caught.value.where == ".cpu.quota"
    with pytest.raises(ConfigError, match="must be an integer"):
        load_resources(text({"pids": {"limit": True}}))


def test_a_missing_file_is_said_in_the_kernel_s_words(tmp_path):
    with pytest.raises(ConfigError, match=r"open config\.json: no such file or directory"):
        load_config(str(tmp_path))


def test_only_regular_files_are_read_and_a_fifo_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(ConfigError, match="not a regular file") as caught:
        load_config(str(tmp_path))
    assert caught.value.cause == "it is a FIFO"
    for path in ("/dev/zero", "/dev/null"):
        with pytest.raises(ConfigError, match="not a regular file"):
            read_document(path)
    with pytest.raises(ConfigError, match="is a directory"):
        read_document(str(tmp_path))
    with pytest.raises(ConfigError, match="NUL"):
        read_document("a\0b")


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path):
    with open(tmp_path / "config.json", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="file too large"):
        load_config(str(tmp_path))


def test_pipes_are_read_where_they_are_allowed():
    reader, writer = os.pipe()
    os.write(writer, b'{"pids"')
    os.write(writer, b":{}}")
    os.close(writer)
    try:
        assert read_descriptor(reader, "stdin") == b'{"pids":{}}'
    finally:
        os.close(reader)


def test_success_imports_nothing_heavy(bundle):
    """What the hot path may not import, after a successful load in a fresh interpreter."""
    program = (
        "import sys; from pyoci.config.load import load_config; load_config(sys.argv[1]);"
        "print(*sorted({'re', 'json', 'jsonschema', 'enum', 'typing', 'difflib', 'collections', 'functools'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, bundle(ordinary())], cwd=_root(), capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.split() == []


def _root():
    import pyoci

    return os.path.dirname(os.path.dirname(os.path.abspath(pyoci.__file__)))
