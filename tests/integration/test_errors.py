"""Thirty-eight broken bundles: the message names the true cause and its place, the status is 1, nothing is left.

Two lists: what everyone who writes config.json by hand gets wrong, and malformed documents.
"""

import json
import os
import re

import pytest

from .bundles import DROP, bind, entry, namespaces

RW = {"root": {"readonly": False}}


def prepare_files(bundle):
    bundle.file("/bin/crlf", "#!/bin/sh\r\necho hello\n", 0o755)
    bundle.file("/bin/nointerp", "#!/no/such/interpreter -x\necho\n", 0o755)
    bundle.file("/bin/plain", "#!/bin/sh\n", 0o644)
    bundle.file("/bin/noshebang", "echo hello\n", 0o755)
    with open("/bin/ls", "rb") as file:
        elf = bytearray(file.read())
    at = (
        elf.index(b"/lib64/ld-linux-x86-64.so.2")
        if b"/lib64/ld-linux-x86-64.so.2" in elf
        else elf.index(b"/lib/ld-linux")
    )
    elf[at : at + 8] = b"/no-ld64"
    path = bundle.file("/bin/noloader", "", 0o755)
    with open(path, "wb") as file:
        file.write(elf)


def program(name):
    return {"process": {"args": [name]}}


# name, edit, words that the message must hold (the kernel's word of the errno, the object, the place)
BROKEN = [
    ("binary missing", program("/nope"), ["/nope", "no such file or directory"]),
    ("binary not in PATH", program("nope"), ["nope", "executable file not found in $PATH"]),
    ("file not executable", program("/bin/plain"), ["/bin/plain", "permission denied"]),
    (
        "bind dir on file",
        {"mounts+": [bind("/bin/plain", "/usr")]},
        ["/bin/plain", "not a directory", ".mounts[7]"],
    ),
    (
        "bind source missing",
        {"mounts+": [bind("/data", "/nope")]},
        ["/nope", "no such file or directory", ".mounts[7]"],
    ),
    ("unknown fs type", {"mounts+": [entry("/data", "nosuchfs", "x")]}, ["nosuchfs", ".mounts[7]"]),
    ("misspelt option", {"mounts+": [entry("/data", "tmpfs", "x", "nosuidd")]}, ["nosuidd", ".mounts[7]"]),
    ("rootfs path wrong", {"root": {"path": "rootfz"}}, ["rootfz", "no such file or directory", ".root.path"]),
    ("args misspelt", {"process": {"args": DROP, "arg": ["sh"]}}, [".process.args"]),
    (
        "memory limit text",
        {"linux": {"resources": {"memory": {"limit": "64M"}}}},
        [".linux.resources.memory.limit", "64M"],
    ),
    ("uid text", {"process": {"user": {"uid": "root"}}}, [".process.user.uid"]),
    ("ociVersion missing", {"ociVersion": DROP}, [".ociVersion"]),
    ("ociVersion not semver", {"ociVersion": "latest"}, [".ociVersion", "latest"]),
    ("ociVersion of another major", {"ociVersion": "2.0.0"}, [".ociVersion", "2.0.0"]),
    (
        "namespace twice",
        {"linux": {"namespaces": namespaces("pid", "mount", "pid")}, "hostname": DROP},
        [".linux.namespaces[2]", "pid"],
    ),
    (
        "namespace path missing",
        {"linux": {"namespaces": namespaces("mount", network="/nope")}, "hostname": DROP},
        ["/nope", "no such file or directory", ".linux.namespaces[1]"],
    ),
    (
        "device type",
        {"linux": {"devices": [{"path": "/dev/x", "type": "q", "major": 1, "minor": 1}]}},
        [".linux.devices[0].type"],
    ),
    (
        "seccomp unknown action",
        {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_NOPE"}}},
        [".linux.seccomp.defaultAction", "SCMP_ACT_NOPE"],
    ),
    (
        "hook exits 3",
        {"hooks": {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 3"]}]}},
        ["createRuntime", "exit status 3", "because", "/bin/sh"],
    ),
    (
        "hook missing",
        {"hooks": {"createRuntime": [{"path": "/nope"}]}},
        ["createRuntime", "/nope", "no such file or directory"],
    ),
    ("cpuset", {"linux": {"resources": {"cpu": {"cpus": "0-999"}}}}, [".linux.resources.cpu.cpus", "0-999"]),
    ("cwd is a file", {"process": {"cwd": "/bin/plain"}}, ["/bin/plain", "not a directory"]),
    ("cwd relative", {"process": {"cwd": "data"}}, [".process.cwd", "absolute"]),
    (
        "rlimit type unknown",
        {"process": {"rlimits": [{"type": "RLIMIT_X", "hard": 1, "soft": 1}]}},
        [".process.rlimits[0].type", "RLIMIT_X"],
    ),
    (
        "rlimit soft > hard",
        {"process": {"rlimits": [{"type": "RLIMIT_CORE", "hard": 1, "soft": 2}]}},
        [".process.rlimits[0]", "soft"],
    ),
    ("sysctl not namespaced", {"linux": {"sysctl": {"vm.swappiness": "1"}}}, ["vm.swappiness", ".linux.sysctl"]),
    ("terminal without console socket", {"process": {"terminal": True}}, ["console"]),
    (
        "hostname without uts",
        {"linux": {"namespaces": namespaces("pid", "mount", "network", "ipc")}},
        ["hostname", "UTS"],
    ),
    ("AppArmor without it", {"process": {"apparmorProfile": "nope"}}, ["AppArmor"]),
    ("SELinux without it", {"process": {"selinuxLabel": "a:b:c:d"}}, ["selinux", ".process.selinuxLabel"]),
]


@pytest.mark.parametrize(("edit", "words"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_the_message_names_the_cause_and_the_place(container, bundle, edit, words):
    if "AppArmor" in words and os.path.exists("/sys/kernel/security/apparmor"):
        pytest.skip("AppArmor is on")
    here = bundle(RW, edit)
    prepare_files(here)
    one = container(of=here)
    one.gone = True
    result = one.try_create().failed(*words)
    first = result.err.splitlines()[0]
    assert first.startswith("%s create failed: " % one.runtime.name()), first
    assert one.runtime.left() == []
    assert not os.path.exists(one.pid_file)


INTERPRETERS = [
    ("script with CRLF", "/bin/crlf", ["/bin/sh\\r", "no such file or directory"]),
    ("script, interpreter missing", "/bin/nointerp", ["/no/such/interpreter", "no such file or directory"]),
    ("ELF, loader missing", "/bin/noloader", ["/no-ld64", "no such file or directory"]),
    ("no shebang", "/bin/noshebang", ["exec format error"]),
]


@pytest.mark.parametrize(("path", "words"), [i[1:] for i in INTERPRETERS], ids=[i[0] for i in INTERPRETERS])
def test_a_program_that_cannot_be_executed_is_explained(run, bundle, path, words):
    """The kernel says ENOENT for a file that is there."""
    here = bundle(RW, program(path))
    prepare_files(here)
    result = run(of=here)
    assert result.code not in (0, None)
    for word in [path, *words]:
        assert word in result.err or word.replace("\\r", "\r") in result.err, (word, result)
    assert "Traceback" not in result.text


def test_a_blocked_system_call_of_the_program_is_its_own_business(run):
    """seccomp denies mkdir: the program says so, the runtime stays silent."""
    rules = [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]
    edit = {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}}}
    result = run(edit, RW, args=["mkdir", "/data/x"])
    assert result.code == 1
    assert "Operation not permitted" in result.err


def test_unknown_properties_are_ignored(run):
    """config.md#extensibility."""
    edit = {
        "linux": {"maskedPath": ["/x"]},
        "x-mine": {"a": 1},
        "windows": {"a": 1},
        "vm": {},
        "solaris": {},
        "zos": {},
    }
    assert run(edit).ok().err == ""


DOCUMENTS = [
    ("comma too many", b'{"ociVersion": "1.0.2",\n  "root": {"path": "rootfs",}\n}', ["line 2"]),
    ("not an object", b"[]", []),
    ("null", b"null", []),
    ("empty", b"", []),
    ("text", b"hello", []),
    ("cut", b'{"ociVersion": "1.0.2", "process": {"args": ["a"', []),
    ("two documents", b"{} {}", []),
    ("NaN", b'{"ociVersion": NaN}', []),
    ("infinity", b'{"ociVersion": "1.0.2", "x": 1e999}', []),
    ("UTF-16", '{"ociVersion": "1.0.2"}'.encode("utf-16"), []),
    ("bad UTF-8", b'{"ociVersion": "1.0.2", "hostname": "\xff"}', []),
    ("byte-order mark", b'\xef\xbb\xbf{"ociVersion": "1.0.2"}', []),
    ("deep", b'{"x":' * 100000 + b"1" + b"}" * 100000, []),
    ("deep list", b"[" * 200000, []),
    ("long number", b'{"ociVersion": "1.0.2", "x": ' + b"9" * 5000 + b"}", []),
    ("nul", b'{"ociVersion": "1.0.2"}\0', []),
    ("lone surrogate", b'{"ociVersion": "1.0.2", "hostname": "\\ud800"}', []),
]


@pytest.mark.parametrize(("text", "words"), [d[1:] for d in DOCUMENTS], ids=[d[0] for d in DOCUMENTS])
def test_malformed_documents_are_refused(run, bundle, pyoci, text, words):
    """P-12, P-13, R-36."""
    here = bundle().raw(text)
    run(of=here, timeout=20).failed("config.json", *words)
    assert pyoci.left() == []


def test_duplicate_keys_are_refused_with_their_place(run, bundle):
    here = bundle()
    text = json.dumps(here.config)
    here.raw(text[:-1] + ', "hostname": "again"}')
    run(of=here).failed("hostname")


def test_a_missing_config_is_named(run, bundle):
    here = bundle()
    os.unlink(here.path + "/config.json")
    run(of=here).failed("config.json", "no such file or directory", "--bundle", "pyoci spec")


def test_a_missing_bundle_is_named(pyoci, fresh_id):
    pyoci("run", "--bundle", "/no/such/bundle", fresh_id()).failed("/no/such/bundle", "no such file or directory")


@pytest.mark.parametrize("kind", ["fifo", "folder", "endless", "huge"])
def test_a_strange_config_file_does_not_hang(run, bundle, kind):
    """R-36: a FIFO, or a file without an end."""
    here = bundle()
    path = here.path + "/config.json"
    os.unlink(path)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        os.mkdir(path)
    elif kind == "endless":
        os.symlink("/dev/zero", path)
    else:
        with open(path, "wb") as file:
            file.truncate(1 << 40)
    run(of=here, timeout=20).failed()


WRONG_TYPES = [
    ("process", "x"),
    ("process", []),
    ("root", "rootfs"),
    ("mounts", {}),
    ("mounts", ["x"]),
    ("hooks", []),
    ("linux", 5),
    ("annotations", []),
    ("hostname", 5),
    ("process.args", {}),
    ("process.env", "A=1"),
    ("process.terminal", "yes"),
    ("process.user", 0),
    ("process.capabilities", []),
    ("process.rlimits", {}),
    ("process.noNewPrivileges", 1),
    ("root.readonly", "yes"),
    ("linux.namespaces", {}),
    ("linux.maskedPaths", "/x"),
    ("linux.sysctl", []),
    ("linux.resources", []),
    ("linux.devices", {}),
    ("linux.seccomp", []),
    ("linux.cgroupsPath", 7),
    ("mounts.0.options", "ro"),
    ("mounts.0.destination", 5),
    ("mounts.0.source", 5),
    ("hooks.prestart", {}),
    ("ociVersion", 1),
    ("annotations.a", 5),
    ("annotations.b", {}),
    ("linux.sysctl.net", 1),
    ("linux.resources.pids", 5),
    ("linux.uidMappings", {}),
]


@pytest.mark.parametrize(("path", "value"), WRONG_TYPES, ids=lambda x: str(x))
def test_wrong_types_are_refused_with_their_place(run, bundle, path, value):
    """P-14, R-181."""
    here = bundle({"annotations": {}, "hooks": {}, "linux": {"sysctl": {}}})
    spot = here.config
    *way, last = path.split(".")
    for part in way:
        spot = spot[int(part)] if part.isdigit() else spot[part]
    spot[last] = value
    here.save()
    place = re.sub(r"\.(\d+)", r"[\1]", "." + path)
    run(of=here).failed(place)


def test_null_is_as_absent_everywhere(run):
    """R-182: Go callers write null for empty lists."""
    edit = {
        "process": {"rlimits": None, "apparmorProfile": None, "oomScoreAdj": None, "selinuxLabel": None},
        "hooks": None,
        "annotations": None,
        "domainname": None,
        "linux": {
            "devices": None,
            "sysctl": None,
            "uidMappings": None,
            "seccomp": None,
            "rootfsPropagation": None,
            "intelRdt": None,
            "timeOffsets": None,
            "personality": None,
            "resources": {"memory": None, "cpu": None},
        },
    }
    run(edit).ok()


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0", "1.3.0+dev"])
def test_versions_of_the_specification(run, version):
    """R-184."""
    assert run({"ociVersion": version}).ok().err == ""


def test_a_newer_minor_version_is_a_warning(run):
    """R-184."""
    assert "1.9.0" in run({"ociVersion": "1.9.0"}).ok().err


def test_ten_thousand_mounts_and_a_megabyte_of_text_do_not_hang(run):
    """R-36."""
    run({"mounts+": [bind("/data", "/nope")] * 10000}, timeout=30).failed("no such file or directory")
    run({"annotations": {"a": "x" * (1 << 20)}}, timeout=30).ok()
