"""What engines really send: every command line of theirs is understood (requirements B, C, Z)."""

import datetime
import json
import os
import subprocess
import sys

import pytest

from .bundles import bind
from .host import read, until


@pytest.fixture
def log(work):
    return os.path.join(work, "log.json")


def records(path):
    return [json.loads(line) for line in read(path).splitlines()]


def test_containerd(container, pyoci, log, work):
    """R-297."""
    one = container()
    g = ["--log", log, "--log-format", "json"]
    pyoci("create", "--bundle", one.bundle.path, "--pid-file", one.pid_file, one.id, options=g).ok()
    pyoci("start", one.id, options=g).ok()
    assert pyoci("state", one.id, options=g).ok().json()["status"] == "running"
    pyoci("kill", "--all", one.id, "10", options=g)
    pyoci("kill", one.id, "9", options=g).ok()
    one.wait()
    pyoci("kill", "--all", one.id, "9", options=g).ok()
    pyoci("delete", one.id, options=g).ok()
    pyoci("delete", "--force", one.id, options=g).ok()
    assert [r for r in records(log) if r["level"] == "error"] == []


def test_conmon_and_podman(container, pyoci, log):
    """R-300, R-301: flags with an equals sign."""
    one = container()
    g = ["--log-format=json", "--log", log]
    pyoci(
        "create", "--bundle", one.bundle.path, "--pid-file", one.pid_file, "--no-new-keyring", one.id, options=g
    ).ok()
    poor = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": "/run/user/0"}
    keep = {k: v for k, v in os.environ.items() if k == "PYTHONPATH"}
    pyoci("start", one.id, env={**poor, **keep}).ok()
    pyoci("kill", one.id, "15", env={**poor, **keep}).ok()
    pyoci("delete", "--force", one.id, env={**poor, **keep}).ok()


def test_cri_o(container, pyoci):
    """R-302."""
    one = container().create()
    pyoci("start", one.id).ok()
    pyoci("state", one.id).ok()
    pyoci("kill", one.id, "TERM").ok()
    pyoci("kill", "-a", one.id, "9").ok()
    one.wait()
    pyoci("delete", "--force", one.id).ok()
    features = pyoci("features").ok().json()
    assert features["ociVersionMin"]
    assert features["ociVersionMax"] == "1.3.0"


def test_buildah(container, pyoci):
    """R-304: cwd is the bundle; delete without --force."""
    one = container()
    pid_file = one.bundle.path + "/pid"
    pyoci("create", "--bundle", one.bundle.path, "--pid-file", pid_file, one.id, cwd=one.bundle.path).ok()
    one.pid_file = pid_file
    pyoci("start", one.id, cwd=one.bundle.path).ok()
    assert pyoci("state", one.id, cwd=one.bundle.path).ok().json()["status"] in ("created", "running", "stopped")
    pyoci("kill", one.id, cwd=one.bundle.path).ok()
    pyoci("kill", one.id, "KILL", cwd=one.bundle.path)
    one.wait()
    pyoci("delete", one.id, cwd=one.bundle.path).ok()


def test_buildkit(container, pyoci, log):
    """R-305, R-097."""
    one = container()
    g = ["--log", log, "--log-format", "json"]
    process = pyoci.spawn("run", "--bundle", one.bundle.path, "--keep", one.id, options=g, start_new_session=True)
    until(lambda: os.path.getsize(process.out_path))
    process.signal(28)
    pyoci("kill", one.id, "9", options=g).ok()
    assert process.wait().code == 137
    pyoci("delete", one.id, options=g).ok()


def test_runtime_tools(container, pyoci):
    """R-306."""
    one = container()
    pyoci("create", "--pid-file", one.pid_file, "--bundle", one.bundle.path, one.id).ok()
    pyoci("start", one.id).ok()
    pyoci("kill", one.id, "KILL").ok()
    one.wait()
    pyoci("delete", one.id).ok()


def test_a_wrapper_script_and_another_argv0(container, pyoci, work):
    """R-299."""
    wrapper = os.path.join(work, "wrapper")
    with open(wrapper, "w") as file:
        file.write("#!/bin/sh\nexec %s $@\n" % " ".join(pyoci.command))
    os.chmod(wrapper, 0o755)
    one = container()
    result = subprocess.run(
        [
            wrapper,
            "--root",
            pyoci.root,
            "run",
            "-d",
            "--bundle",
            one.bundle.path,
            "--pid-file",
            one.pid_file,
            one.id,
        ],
        check=False,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert result.returncode == 0
    one.end()
    one.delete().ok()


def test_an_empty_environment(container, pyoci):
    """R-012."""
    keep = {k: v for k, v in os.environ.items() if k == "PYTHONPATH"}
    one = container()
    one.create(env=keep)
    pyoci("start", one.id, env=keep).ok()
    assert pyoci("state", one.id, env=keep).ok().json()["status"] == "running"
    pyoci("kill", one.id, "9", env=keep).ok()
    one.wait()
    pyoci("delete", one.id, env=keep).ok()


def test_version_is_read_by_everyone(pyoci):
    """R-011: `NAME version X.Y.Z` first; the word stands on one line only."""
    for flag in ("--version", "-v"):
        result = pyoci(flag, root=False).ok()
        lines = result.out.splitlines()
        assert lines[0].split()[1] == "version"
        assert lines[0].split()[2][0].isdigit()
        assert [line for line in lines if "version" in line] == [lines[0]]
        assert "spec: 1.3.0" in lines
        assert result.err == ""


def test_features_needs_no_root_and_no_environment(pyoci):
    """R-133."""
    try:
        subprocess.run([sys.executable, "-c", ""], user=65534, group=65534, cwd="/", check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("others may not execute this interpreter: %s" % sys.executable)
    keep = {k: v for k, v in os.environ.items() if k == "PYTHONPATH"}
    result = pyoci("features", root=False, env=keep, user=65534, group=65534, cwd="/").ok()
    features = json.loads(result.out)
    assert result.err == ""
    assert "rro" in features["mountOptions"]
    assert "user" in features["linux"]["namespaces"]


def test_features_has_what_engines_look_for(pyoci):
    """R-307: containerd and CRI-O offer user namespaces only where there are id-mapped mounts."""
    features = pyoci("features", root=False).ok().json()
    assert {"rro", "idmap", "ridmap"} <= {*features["mountOptions"]}
    assert "user" in features["linux"]["namespaces"]
    assert features["linux"]["mountExtensions"]["idmap"]["enabled"] is True


def test_features_promises_only_what_is_accepted(pyoci, run, work):
    """Every mount option listed is understood by run."""
    features = pyoci("features").ok().json()
    refused = []
    for option in features["mountOptions"]:
        if option in ("idmap", "ridmap", "remount", "tmpcopyup"):
            continue
        result = run({"mounts+": [bind("/data", work, "rbind", option)]})
        if result.code:
            refused.append((option, result.err))
    assert refused == []


# ---- errors as engines read them ----


def test_a_json_log_holds_exactly_one_object(pyoci, bundle, log, fresh_id):
    """R-018, R-019: podman parses the whole file as one object."""
    here = bundle({"process": {"args": ["/nope"], "capabilities": {"bounding": ["CAP_NOPE"]}}})
    result = pyoci("create", "--bundle", here.path, fresh_id(), options=["--log", log, "--log-format", "json"])
    assert result.code == 1
    record = json.loads(read(log))
    assert record["level"] == "error"
    assert "no such file or directory" in record["msg"]
    assert "\n" not in record["msg"]
    datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00"))


def test_the_error_is_on_stderr_too_without_decoration(pyoci, log):
    """R-020."""
    result = pyoci("state", "nobody-home", options=["--log", log, "--log-format", "json"])
    result.failed("container does not exist")
    assert "level=" not in result.err
    assert "{" not in result.err.splitlines()[0]


def test_a_text_log(pyoci, log):
    """R-016, R-021."""
    pyoci("state", "nobody-home", options=["--log", log]).failed("does not exist")
    assert "does not exist" in read(log)
    assert "error" in read(log)


def test_the_log_is_appended_to(pyoci, log):
    g = ["--log", log, "--log-format", "json"]
    for _ in range(3):
        pyoci("state", "nobody-home", options=g)
    assert len(records(log)) == 3


def test_two_failing_commands_leave_two_whole_lines(pyoci, log):
    """R-016."""
    g = ["--log", log, "--log-format", "json"]
    many = [pyoci.spawn("state", "nobody-%d" % n, options=g) for n in range(8)]
    for process in many:
        process.wait()
    assert len(records(log)) == 8


@pytest.mark.parametrize(
    "options",
    [
        ["--log-format", "xml"],
        ["--rootless", "maybe"],
        ["--cgroup-manager", "magic"],
        ["--no-such-flag"],
    ],
)
def test_bad_global_flags(pyoci, options):
    """R-017, R-024."""
    result = pyoci("list", options=options)
    assert result.code != 0
    assert "Traceback" not in result.text


@pytest.mark.parametrize(
    "options",
    [
        ["--debug"],
        ["--debug=true"],
        ["-debug=false"],
        ["--log-level", "warning"],
        ["--rootless=auto"],
        ["--rootless", "FALSE"],
        ["--criu", "/x"],
        ["--systemd-cgroup=false"],
        ["--cgroup-manager=cgroupfs"],
        ["-log-format", "json"],
        ["--log-format=text"],
    ],
)
def test_good_global_flags(pyoci, options, work):
    """R-002, R-003, R-022 to R-025."""
    os.mkdir(pyoci.root, 0o700)
    pyoci("list", options=options).ok()


def test_help_and_no_command(pyoci):
    """R-009."""
    for words in (["--help"], ["-h"], [], ["create", "--help"], ["kill", "-h"]):
        result = pyoci(*words, root=False)
        assert result.code == 0, result
        assert result.out
        assert result.err == ""


def test_unknown_command(pyoci):
    """R-008."""
    result = pyoci("frobnicate")
    assert result.code != 0
    assert "Traceback" not in result.text


def test_positional_counts(pyoci):
    """R-006."""
    pyoci("state").failed("requires exactly 1 argument")
    pyoci("state", "a", "b").failed("requires exactly 1 argument")
    pyoci("start").failed("argument")
    pyoci("kill").failed("argument")


# ---- bytes ----


def test_paths_that_are_not_utf8_survive(pyoci, container, work):
    """R-013."""
    one = container()
    odd = os.fsencode(one.bundle.path) + b"\xff\xfe b"
    os.rename(one.bundle.path, odd)
    one.bundle.path = os.fsdecode(odd)
    one.bundle.rootfs = one.bundle.path + "/rootfs"
    one.create().start()
    assert one.report()["pid"] == 1
    state = pyoci("state", one.id).ok()
    assert json.loads(state.out)["status"] == "running"
    one.end()
    one.delete().ok()


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "xx_YY"])
def test_locales_do_not_matter(inspect, locale):
    """P-11."""
    env = {**os.environ, "LC_ALL": locale, "LANG": locale, "PYTHONIOENCODING": "ascii"}
    report = inspect({"hostname": "box", "process": {"env+": ["Ü=ß"]}}, probe=["--tag", "日本"], env=env)
    assert report["tag"] == "日本"
    assert "Ü=ß" in report["env"]


def test_a_full_output_is_not_success(container, pyoci):
    """R-35."""
    one = container().create()
    with open("/dev/full", "wb") as full:
        result = pyoci("state", one.id, stdout=full)
    assert result.code != 0
    reader, writer = os.pipe()
    os.close(reader)
    result = pyoci("state", one.id, stdout=writer)
    os.close(writer)
    assert result.code != 0
    assert "Traceback" not in result.err
    one.delete("--force").ok()
