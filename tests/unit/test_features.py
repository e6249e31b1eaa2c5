"""The features document: a promise, kept in step with the tables."""

import json
import os
import subprocess
import sys

import jsonschema
import pytest
from referencing import Registry, Resource

from pyoci.criu.process import is_usable
from pyoci.features import make_features

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))

# runtime-spec 1.3.0 features.md, with everything implemented; copy-symlink and the two of nofollow are crun's
ALL_MOUNT_OPTIONS = [
    "async", "atime", "bind", "copy-symlink", "defaults", "dest-nofollow", "dev", "diratime", "dirsync", "exec",
    "idmap", "iversion", "lazytime", "loud", "mand", "noatime", "nodev", "nodiratime", "noexec", "noiversion",
    "nolazytime", "nomand", "norelatime", "nostrictatime", "nosuid", "nosymfollow", "private", "ratime", "rbind",
    "rdev", "rdiratime",
    "relatime", "remount", "rexec", "ridmap", "rnoatime", "rnodev", "rnodiratime", "rnoexec", "rnorelatime",
    "rnostrictatime", "rnosuid", "rnosymfollow", "ro", "rprivate", "rrelatime", "rro", "rrw", "rshared",
    "rslave", "rstrictatime", "rsuid", "rsymfollow", "runbindable", "rw", "shared", "silent", "slave",
    "src-nofollow", "strictatime", "suid", "symfollow", "sync", "tmpcopyup", "unbindable",
]  # fmt: skip


def test_it_holds_to_the_schema():
    schemas = {}
    for name in ("config.json", "features.json"):
        with open(os.path.join(REPOSITORY, "schemas", name)) as file:
            schemas[name] = json.load(file)
    registry = Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in schemas.items())
    jsonschema.Draft202012Validator(schemas["features.json"], registry=registry).validate(
        make_features(checkpoint=True)
    )


def test_keys_are_those_of_the_specification():
    document = make_features(checkpoint=True)
    assert list(document) == [
        "ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux", "annotations",
        "potentiallyUnsafeConfigAnnotations",
    ]  # fmt: skip
    assert list(document["linux"]) == [
        "namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux", "intelRdt", "memoryPolicy",
        "mountExtensions", "netDevices",
    ]  # fmt: skip
    assert (document["ociVersionMin"], document["ociVersionMax"]) == ("1.0.0", "1.3.0")


def test_mount_options_are_the_specified_ones():
    assert make_features(checkpoint=True)["mountOptions"] == ALL_MOUNT_OPTIONS


def test_everything_is_promised():
    document = make_features(checkpoint=True)
    linux = document["linux"]
    for name in ("apparmor", "selinux", "intelRdt", "netDevices"):
        assert linux[name]["enabled"] is True
    assert linux["mountExtensions"] == {"idmap": {"enabled": True}}
    assert linux["cgroup"]["systemd"] is linux["cgroup"]["systemdUser"] is True
    assert len(linux["memoryPolicy"]["modes"]) == 7
    assert "SCMP_ACT_NOTIFY" in linux["seccomp"]["actions"]
    assert document["annotations"]["org.opencontainers.runc.checkpoint.enabled"] == "true"


CHECKPOINT = "org.opencontainers.runc.checkpoint.enabled"
CRIU = """#!%s -IS
import os, sys
if sys.argv[1] == "check":
    sys.exit(%d)
kind = os.read(3, 99)[1]
os.write(3, bytes([8, kind, 16, 1, 82, 4, 8, %d, 16, %d]))
"""


@pytest.mark.parametrize(
    ("found", "told"),
    [((0, 4, 1), "true"), ((1, 4, 1), "false"), ((0, 3, 14), "false"), (None, "false"), ("broken", "false")],
)
def test_checkpoint_is_promised_where_there_is_a_criu_for_it(tmp_path, found, told):
    """R-136."""
    if found is not None:
        text = "#!/bin/false\n" if found == "broken" else CRIU % (sys.executable, *found)
        (tmp_path / "criu").write_text(text)
        (tmp_path / "criu").chmod(0o755)
    code = "import sys; sys.path.append(%r); from pyoci.cli.main import main; from pyoci.criu import process\n"
    code = code % REPOSITORY + "process._SYSTEM = %r; main(['features'])" % str(tmp_path)
    argv = [sys.executable, "-I", "-S", "-X", "utf8", "-c", code]
    done = subprocess.run(argv, capture_output=True, check=True, timeout=30, env={"PATH": str(tmp_path)})
    assert json.loads(done.stdout)["annotations"]["org.opencontainers.runc.checkpoint.enabled"] == told
    assert done.stderr == b""


def test_lists_are_complete():
    linux = make_features(checkpoint=True)["linux"]
    assert linux["namespaces"] == ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]
    assert len(linux["capabilities"]) == 41
    assert linux["capabilities"][0] == "CAP_CHOWN"
    assert linux["capabilities"][-1] == "CAP_CHECKPOINT_RESTORE"
    seccomp = linux["seccomp"]
    assert len(seccomp["operators"]) == 7
    assert len(seccomp["archs"]) == 23
    assert len(seccomp["knownFlags"]) == 4
    assert set(seccomp["supportedFlags"]) <= set(seccomp["knownFlags"])
    assert len(linux["memoryPolicy"]["modes"]) in (0, 7)


def test_annotations_are_strings_on_one_line():
    for value in make_features(checkpoint=True)["annotations"].values():
        assert isinstance(value, str)
        assert "\n" not in value


@pytest.fixture
def environment(tmp_path):
    return {"cwd": tmp_path, "env": {}, "capture_output": True, "timeout": 30}


def test_it_prints_the_same_with_no_environment_and_no_rights(environment):
    script = "import sys; sys.path.insert(0, %r); from pyoci.cli.main import main; main(['features'])" % REPOSITORY
    argv = [sys.executable, "-I", "-S", "-c", script]
    first = subprocess.run(argv, check=True, **environment)
    assert json.loads(first.stdout) == make_features(checkpoint=is_usable())
    assert first.stdout.endswith(b"}\n")
    assert first.stderr == b""
    if os.geteuid() == 0:
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        os.chmod(environment["cwd"], 0o755)
        readable = all(os.stat(path).st_mode & 0o005 == 0o005 for path in parents(REPOSITORY, environment["cwd"]))
        if readable:
            second = json.loads(subprocess.run(argv, check=True, **environment, **nobody).stdout)
            second["annotations"][CHECKPOINT] = make_features(checkpoint=is_usable())["annotations"][CHECKPOINT]
            assert second == make_features(checkpoint=is_usable())  # of criu he may have none


def parents(*paths):
    for path in paths:
        current = str(path)
        while current != "/":
            yield current
            current = os.path.dirname(current)
