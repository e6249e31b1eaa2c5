"""Annotations that change what the runtime does (requirements V)."""

import base64
import json
import os
import socket
import struct

import pytest

from .host import patience, read, write

SLEEP = ("/bin/sleep", "1000")
RW = {"root": {"readonly": False}}
KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
ERRNO, ALLOW = 0x00050000, 0x7FFF0000
MKDIR = {"x86_64": 83, "aarch64": 34}[os.uname().machine]  # mkdirat there


def note(**values):
    return {"annotations": {"run.oci." + name: value for name, value in values.items()}}


def saying(kind):
    """A hook that says its kind on both streams; the shell is the host's, or the container's own."""
    path = "/bin/sh"
    return {"path": path, "args": ["sh", "-c", "echo out %s; echo err %s >&2" % (kind, kind)]}


ALL_HOOKS = {"hooks": {kind: [saying(kind)] for kind in KINDS}}


def test_hooks_write_to_the_files_that_annotations_name(container, work):
    """R-279: all six kinds, appended."""
    out, err = work + "/hooks.out", work + "/hooks.err"
    write(out, "before\n")
    one = container(ALL_HOOKS, note(**{"hooks.stdout": out, "hooks.stderr": err}), args=SLEEP).create().start()
    one.end()
    one.delete().ok()
    assert read(out).splitlines() == ["before", *("out " + kind for kind in KINDS)]
    assert read(err).splitlines() == ["err " + kind for kind in KINDS]
    assert os.stat(err).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["createRuntime", "startContainer"])
def test_hooks_can_only_append_to_their_files(run, work, kind):
    """R-279: what they have is no way to read, or to overwrite, what stands there."""
    out = work + "/hooks.out"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "cat /proc/self/fdinfo/1"]}
    run({"hooks": {kind: [hook]}}, note(**{"hooks.stdout": out})).ok()
    flags = int(read(out).split("flags:")[1].split()[0], 8)
    assert flags & os.O_ACCMODE == os.O_WRONLY
    assert flags & os.O_APPEND


def test_one_stream_alone_leaves_the_other_to_the_message_of_the_error(run, work):
    out = work + "/hooks.out"
    failing = {"path": "/bin/sh", "args": ["sh", "-c", "echo to the file; echo to the error >&2; exit 3"]}
    result = run({"hooks": {"createRuntime": [failing]}}, note(**{"hooks.stdout": out}))
    result.failed("createRuntime", "exit status 3", "to the error")
    assert "to the file" not in result.text
    assert read(out) == "to the file\n"


def test_a_program_does_not_inherit_the_files_of_hooks(inspect, work):
    report = inspect(ALL_HOOKS, note(**{"hooks.stdout": work + "/out", "hooks.stderr": work + "/err"}))
    assert len(report["fds"]) == 3


@pytest.mark.parametrize("kind", ["hooks.stdout", "hooks.stderr"])
def test_a_file_of_hooks_that_cannot_be_written_is_an_error(run, work, kind):
    run(ALL_HOOKS, note(**{kind: work + "/no/such/dir"})).failed("run.oci." + kind, "no such file or directory")
    run(ALL_HOOKS, note(**{kind: "relative"})).failed("run.oci." + kind, "absolute")
    os.mkfifo(work + "/fifo")
    run(ALL_HOOKS, note(**{kind: work + "/fifo"})).failed("run.oci." + kind, "no such device or address")
    run(note(**{kind: work + "/unused"})).ok()
    assert not os.path.exists(work + "/unused")


def test_poststop_hooks_run_though_their_file_is_gone(container, work):
    """runtime.md, lifecycle 13: a warning."""
    os.mkdir(work + "/dir")
    mark = {"path": "/bin/touch", "args": ["touch", work + "/ran"]}
    one = container(
        {"hooks": {"poststop": [mark]}}, note(**{"hooks.stdout": work + "/dir/out"}), args=SLEEP
    ).create()
    os.unlink(work + "/dir/out")
    os.rmdir(work + "/dir")
    one.end()
    assert "warning" in one.delete().ok().err
    assert os.path.exists(work + "/ran")


def test_the_pidfd_goes_to_the_receiver(container, work):
    """R-279."""
    path = work + "/receiver.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        server.settimeout(patience(10))
        one = container(note(pidfd_receiver=path), args=SLEEP).create()
        peer, _ = server.accept()
        with peer:
            data, descriptors, _, _ = socket.recv_fds(peer, 100, 4)
    assert data
    assert len(descriptors) == 1
    assert "Pid:\t%d\n" % one.pid in read("/proc/self/fdinfo/%d" % descriptors[0])
    os.close(descriptors[0])
    one.end()


def test_a_receiver_that_is_not_there_is_an_error(container, work):
    container(note(pidfd_receiver=work + "/none")).try_create().failed(
        "run.oci.pidfd_receiver", "no such file or directory"
    )


UNKNOWN = {
    "linux": {
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "no_such_call"], "action": "SCMP_ACT_ERRNO"}],
        }
    }
}


def test_unknown_system_calls_are_errors_if_the_annotation_says_so(run):
    """R-279, R-267."""
    run(UNKNOWN).ok()
    place = "linux.seccomp.syscalls[0].names[1]"
    run(UNKNOWN, note(seccomp_fail_unknown_syscall="1")).failed(place, "no_such_call")
    run(UNKNOWN, note(seccomp_fail_unknown_syscall="0")).ok()
    assert "warning" in run(UNKNOWN, note(seccomp_fail_unknown_syscall="yes")).ok().err


def instruction(code, if_true, if_false, constant):
    return struct.pack("=HBBI", code, if_true, if_false, constant)


REFUSES_MKDIR = base64.b64encode(
    instruction(0x20, 0, 0, 0)  # the system call's number
    + instruction(0x15, 0, 1, MKDIR)
    + instruction(0x06, 0, 0, ERRNO | 30)  # EROFS
    + instruction(0x06, 0, 0, ALLOW)
).decode()


@pytest.mark.parametrize("profile", [{}, {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_KILL"}}}], ids=str)
@pytest.mark.parametrize("nnp", [True, False])
def test_a_raw_filter_takes_the_place_of_the_profile(inspect, profile, nnp):
    """R-279."""
    report = inspect(
        RW,
        profile,
        {"process": {"noNewPrivileges": nnp}},
        note(seccomp_bpf_data=REFUSES_MKDIR),
        probe=["--mkdir", "/tmp/x"],
    )
    assert report["status"]["Seccomp"] == "2"
    assert report.errno("mkdir") == "EROFS"


def test_a_raw_filter_holds_for_exec_too(container, pyoci):
    one = container(RW, note(seccomp_bpf_data=REFUSES_MKDIR), args=SLEEP).create().start()
    report = pyoci("exec", one.id, "/bin/probe", "--mkdir", "/tmp/x").ok().json()
    assert [action.get("errno") for action in report["actions"]] == ["EROFS"]
    one.end()


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA", base64.b64encode(bytes(8 * 4097)).decode()], ids=len)
def test_what_is_no_filter_is_refused(run, text):
    run(note(seccomp_bpf_data=text)).failed("run.oci.seccomp_bpf_data")


def test_a_filter_that_the_kernel_refuses_is_an_error(run):
    loop = base64.b64encode(instruction(0x05, 0, 0, 99)).decode()
    result = run(note(seccomp_bpf_data=loop))
    assert result.code
    assert "invalid argument" in result.text


def test_a_kind_of_context_that_does_not_exist_is_refused(run):
    """R-278."""
    run(note(mount_context_type="context")).ok()
    run(note(mount_context_type="seccontext")).failed("run.oci.mount_context_type", "rootcontext")


def test_annotations_of_handlers_and_plugins_are_ignored(run):
    """R-280, R-275."""
    result = run(
        note(handler="krun", **{"seccomp.plugins": "x"}), {"annotations": {"module.wasm.image/variant": "compat"}}
    ).ok()
    assert result.text == ""


def test_plan_shows_what_the_annotations_do(bundle, pyoci):
    here = bundle(note(seccomp_bpf_data=REFUSES_MKDIR))
    assert "seccomp filter of 4 instructions" in pyoci("plan", "--bundle", here.path).ok().out


def test_features_lists_what_changes_behaviour(pyoci):
    """R-281."""
    listed = json.loads(pyoci("features").ok().out)["potentiallyUnsafeConfigAnnotations"]
    wanted = {"mount_context_type", "hooks.stdout", "hooks.stderr", "pidfd_receiver", "keep_original_groups"}
    wanted |= {"seccomp_fail_unknown_syscall", "seccomp_bpf_data"}
    assert {"run.oci." + name for name in wanted} <= set(listed)
