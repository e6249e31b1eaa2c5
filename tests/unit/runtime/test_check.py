"""`pyoci check` over bundles with one fault each: the true cause, in its place, with a way out.

Faults that only show while the container runs (a hook's exit status, what a seccomp profile denies) or that
lie in the command line have no place here.
"""
# ruff: noqa: E501  (tables)

import json
import os
import stat
import subprocess
import sys

import pytest

from pyoci.runtime.check import check_bundle
from tests.unit.config.samples import text

ELF_STATIC = b"\x7fELF\x02\x01\x01" + b"\0" * 57


def elf_with_interpreter(path: bytes) -> bytes:
    """A 64-bit ELF file that is nothing but a header and one PT_INTERP segment."""
    header = b"\x7fELF\x02\x01\x01" + b"\0" * 25 + (64).to_bytes(8, "little") + b"\0" * 14
    header += (56).to_bytes(2, "little") + (1).to_bytes(2, "little") + b"\0" * 6
    segment = (3).to_bytes(4, "little") + b"\0" * 4 + (120).to_bytes(8, "little") + b"\0" * 16
    segment += (len(path) + 1).to_bytes(8, "little") + b"\0" * 16
    return header + segment + path + b"\0"


def config():
    return {
        "ociVersion": "1.3.0",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/app"], "env": ["PATH=/bin"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "user")]
                  if os.geteuid() else [{"type": "pid"}, {"type": "mount"}]},
    }  # fmt: skip


class Bundle:
    def __init__(self, path):
        self.path = path
        self.config = config()
        if os.geteuid():
            for key, own in (("uidMappings", os.geteuid()), ("gidMappings", os.getegid())):
                self.config["linux"][key] = [{"containerID": 0, "hostID": own, "size": 1}]
        self.put("bin/app", ELF_STATIC)

    def put(self, name, data, mode=0o755):
        file = self.path / "rootfs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(mode)

    def faults(self):
        (self.path / "config.json").write_bytes(text(self.config))
        return check_bundle(str(self.path))


@pytest.fixture
def bundle(tmp_path):
    return Bundle(tmp_path)


def run(*args):
    return lambda bundle: bundle.config["process"].update(args=list(args))


def put(data, mode=0o755):
    return lambda bundle: bundle.put("bin/app", data, mode)


def process(**changes):
    return lambda bundle: bundle.config["process"].update(changes)


def linux(**changes):
    return lambda bundle: bundle.config["linux"].update(changes)


def mount(**entry):
    return lambda bundle: bundle.config["mounts"].append(entry)


def top(**changes):
    return lambda bundle: bundle.config.update(changes)


def bind_directory_on_file(bundle):
    bundle.put("file", b"")
    mount(destination="/file", source=str(bundle.path), options=["bind"])(bundle)


def misspelt_args(bundle):
    bundle.config["process"]["arg"] = bundle.config["process"].pop("args")


def link_out(bundle):
    bundle.put("lib/real", ELF_STATIC)
    os.symlink("/lib/real", bundle.path / "rootfs/bin/link")
    run("link")(bundle)


SECCOMP = {"defaultAction": "SCMP_ACT_ALLOW"}
# name -> (what breaks the bundle, path of the fault, words of the message, level)
BROKEN = {
    "binary missing": (run("/bin/none"), ".process.args[0]", "no such file or directory", "error"),
    "binary not in PATH": (run("none"), ".process.args[0]", "executable file not found in $PATH", "error"),
    "binary is a directory": (run("/bin"), ".process.args[0]", "is a directory: permission denied", "error"),
    "script with CRLF": (put(b"#!/bin/app\r\n"), ".process.args[0]", "carriage return", "error"),
    "script, interpreter missing": (put(b"#! /bin/none -x\n"), ".process.args[0]", 'interpreter "/bin/none"', "error"),
    "ELF, loader missing": (put(elf_with_interpreter(b"/lib/ld.so")), ".process.args[0]", 'loader "/lib/ld.so"', "error"),
    "file not executable": (put(ELF_STATIC, 0o644), ".process.args[0]", "permission denied", "error"),
    "no shebang": (put(b"echo hello\n"), ".process.args[0]", "exec format error", "error"),
    "bind dir on file": (bind_directory_on_file, ".mounts[1].destination", "not a directory", "error"),
    "bind source missing": (
        mount(destination="/a", source="/none", options=["bind"]), ".mounts[1].source", "no such file or directory", "error",
    ),
    "unknown fs type": (mount(destination="/a", type="tempfs"), ".mounts[1].type", '"tempfs"', "error"),
    "misspelt mount option": (
        mount(destination="/a", type="tmpfs", options=["nosiud"]), ".mounts[1].options[0]", "no mount option", "warning",
    ),
    "rootfs path wrong": (top(root={"path": "rotfs"}), ".root.path", "no such file or directory", "error"),
    "args misspelt": (misspelt_args, ".process.args", "the property args is missing", "error"),
    "unknown field": (linux(maskedPath=[]), ".linux.maskedPath", "unknown property", "warning"),
    "memory limit 64M": (linux(resources={"memory": {"limit": "64M"}}), ".linux.resources.memory.limit", '"64M"', "error"),
    "uid root": (process(user={"uid": "root", "gid": 0}), ".process.user.uid", 'the string "root"', "error"),
    "unknown capability": (
        process(capabilities={"bounding": ["CAP_X"]}), ".process.capabilities.bounding[0]", "unknown capability", "warning",
    ),
    "ociVersion missing": (lambda bundle: bundle.config.pop("ociVersion"), ".ociVersion", "missing", "error"),
    "namespace twice": (
        lambda bundle: bundle.config["linux"]["namespaces"].insert(0, {"type": "pid"}), ".linux.namespaces[1]", "twice", "error",
    ),
    "namespace path missing": (
        lambda bundle: bundle.config["linux"]["namespaces"].insert(0, {"type": "uts", "path": "/none"}),
        ".linux.namespaces[0].path", "no such file or directory", "error",
    ),
    "namespace of another type": (
        lambda bundle: bundle.config["linux"]["namespaces"].insert(0, {"type": "uts", "path": "/proc/self/ns/net"}),
        ".linux.namespaces[0].path", "is not a uts namespace", "error",
    ),
    "device type q": (linux(devices=[{"type": "q", "path": "/dev/x"}]), ".linux.devices[0].type", "one of c, b, u, p", "error"),
    "seccomp unknown action": (
        linux(seccomp={"defaultAction": "SCMP_ACT_NO"}), ".linux.seccomp.defaultAction", "must be one of", "error",
    ),
    "hook missing": (top(hooks={"poststop": [{"path": "/none"}]}), ".hooks.poststop[0].path", "no such file", "error"),
    "hook not executable": (
        top(hooks={"prestart": [{"path": "/etc/passwd"}]}), ".hooks.prestart[0].path", "permission denied", "error",
    ),
    "memory limit 64 KiB": (
        linux(resources={"memory": {"limit": 65536}}), ".linux.resources.memory.limit", "less than a program needs", "warning",
    ),
    "cpuset 0-9999": (linux(resources={"cpu": {"cpus": "0-9999"}}), ".linux.resources.cpu.cpus", "this host has no CPU", "error"),
    "cwd is a file": (process(cwd="/bin/app"), ".process.cwd", "not a directory", "error"),
    "cwd relative": (process(cwd="bin"), ".process.cwd", "Cwd must be an absolute path", "error"),
    "rlimit type unknown": (
        process(rlimits=[{"type": "RLIMIT_X", "soft": 1, "hard": 1}]), ".process.rlimits[0].type", "wrong rlimit value", "error",
    ),
    "rlimit soft > hard": (
        process(rlimits=[{"type": "RLIMIT_AS", "soft": 2, "hard": 1}]), ".process.rlimits[0].soft", "above its hard", "error",
    ),
    "sysctl not namespaced": (linux(sysctl={"kernel.panic": "1"}), '.linux.sysctl["kernel.panic"]', "namespace", "error"),
    "block device absent": (
        linux(resources={"blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 1, "rate": 1}]}}),
        ".linux.resources.blockIO.throttleReadBpsDevice[0]", "no block device 4000:1", "error",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_one_fault_is_named_with_its_place(bundle, name):
    change, path, words, level = BROKEN[name]
    change(bundle)
    fault = next((fault for fault in bundle.faults() if fault.path == path), None)
    assert fault is not None, bundle.faults()
    assert words in fault.message
    assert fault.level == level
    assert fault.line > 0
    assert fault.column > 0
    assert fault.fix


def test_a_sound_bundle_has_no_faults(bundle):
    assert bundle.faults() == []


@pytest.mark.parametrize("args", [("app",), ("/bin/app",), ("bin/app",), ("../bin/./app",)])
def test_programs_are_found_as_execvp_finds_them(bundle, args):
    run(*args)(bundle)
    assert bundle.faults() == []


def test_links_are_followed_inside_the_root_file_system(bundle):
    link_out(bundle)
    assert bundle.faults() == []
    (bundle.path / "rootfs/lib/real").unlink()
    (fault,) = bundle.faults()
    assert "executable file not found" in fault.message


def test_what_a_mount_covers_is_not_judged(bundle):
    mount(destination="/bin", source=str(bundle.path), options=["rbind"])(bundle)
    run("/bin/none")(bundle)
    assert bundle.faults() == []


def test_a_missing_config_is_one_fault(tmp_path):
    (fault,) = check_bundle(str(tmp_path))
    assert fault.message == "open config.json: no such file or directory"


def test_broken_json_is_one_fault_with_line_and_column(tmp_path):
    (tmp_path / "config.json").write_bytes(b'{\n  "ociVersion": "1.3.0",\n}\n')
    (fault,) = check_bundle(str(tmp_path))
    assert (fault.line, fault.column, fault.message) == (2, 24, "a comma before the closing }")


def test_nothing_is_changed_in_the_bundle(bundle):
    bundle.faults()
    before = sorted((root, tuple(dirs), tuple(files)) for root, dirs, files in os.walk(bundle.path))
    bundle.faults()
    assert sorted((root, tuple(dirs), tuple(files)) for root, dirs, files in os.walk(bundle.path)) == before


def _pyoci(*arguments):
    return subprocess.run([sys.executable, "-m", "pyoci", *arguments], capture_output=True, text=True)


def test_the_command_prints_one_block_a_fault_and_exits_1(bundle):
    process(cwd="bin")(bundle)
    bundle.faults()
    done = _pyoci("check", "--bundle", str(bundle.path))
    assert done.returncode == 1
    assert done.stderr == ""
    assert done.stdout == (
        'config.json:14:12: error: .process.cwd: Cwd must be an absolute path\n  fix: write "/bin"\n'
    )


def test_the_command_prints_json_and_exits_0_with_warnings_only(bundle):
    linux(maskedPath=[])(bundle)
    bundle.faults()
    done = _pyoci("check", "--bundle", str(bundle.path), "--format", "json")
    assert done.returncode == 0
    (record,) = json.loads(done.stdout)
    assert record["level"] == "warning"
    assert record["path"] == ".linux.maskedPath"
    assert record["file"] == "config.json"
    assert list(record) == ["file", "line", "column", "level", "path", "message", "fix"]


def test_a_sound_bundle_prints_nothing(bundle):
    bundle.faults()
    done = _pyoci("check", "--bundle", str(bundle.path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_fifo_in_place_of_the_rootfs_does_not_block(bundle):
    os.mkfifo(bundle.path / "fifo")
    top(root={"path": "fifo"})(bundle)
    (fault,) = bundle.faults()
    assert "not a directory" in fault.message
    assert stat.S_ISFIFO(os.stat(bundle.path / "fifo").st_mode)
