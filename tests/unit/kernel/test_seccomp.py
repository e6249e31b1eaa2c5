"""Filters in the kernel: each test puts a child of its own under one and looks at what happens to it."""

import ctypes
import errno
import faulthandler
import json
import mmap
import os
import signal
import time

import pytest

from pyoci.errors import SyscallError
from pyoci.kernel import seccomp
from pyoci.kernel.syscall import MACHINE, NUMBERS, call
from pyoci.seccomp import load_filter

pytestmark = pytest.mark.skipif(MACHINE != "x86_64", reason="the numbers below are x86-64's")

PR_SET_NO_NEW_PRIVS = 38
DOCKER = os.path.join(os.path.dirname(__file__), "..", "..", "data", "docker_seccomp.json")
NEW = 9999


@pytest.fixture(autouse=True)
def unheard_of(monkeypatch):
    """Let `call` make a system call that no kernel has."""
    monkeypatch.setitem(NUMBERS, "unheard_of", NEW)
    monkeypatch.setitem(NUMBERS, "personality", 135)
    monkeypatch.setitem(NUMBERS, "sync_x32", 0x40000000 + 162)


def child(profile, action):
    """Run `action` in a forked child under the profile: ("exit", status) or ("signal", number)."""
    filter_ = load_filter(profile, None)
    prepared = seccomp.prepare(filter_.bpf)
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            faulthandler.disable()
            call("prctl", PR_SET_NO_NEW_PRIVS, 1)
            seccomp.install(prepared, filter_.flags)
            status = action()
        finally:
            os._exit(status)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            if os.WIFSIGNALED(status):
                return "signal", os.WTERMSIG(status)
            return "exit", os.WEXITSTATUS(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the child hangs")


def errno_of(name, *args):
    """An action: the errno of one call, 0 for success."""

    def action():
        try:
            call(name, *args)
        except SyscallError as error:
            return error.errno
        return 0

    return action


def profile(action, *names, default="ALLOW", **more):
    rule = {"names": list(names), "action": "SCMP_ACT_" + action, **more}
    return {"defaultAction": "SCMP_ACT_" + default, "syscalls": [rule]}


def test_errno_is_what_the_call_fails_with():
    assert child(profile("ERRNO", "sethostname"), errno_of("sethostname", None, 0)) == ("exit", errno.EPERM)
    refused = profile("ERRNO", "sethostname", errnoRet=errno.EXDEV)
    assert child(refused, errno_of("sethostname", None, 0)) == ("exit", errno.EXDEV)


@pytest.mark.parametrize("action", ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP"])
def test_these_actions_end_the_process_with_sigsys(action):
    assert child(profile(action, "personality"), errno_of("personality", 0xFFFFFFFF)) == ("signal", signal.SIGSYS)


@pytest.mark.parametrize("action", ["ALLOW", "LOG"])
def test_these_actions_let_the_call_through(action):
    config = profile(action, "personality", default="LOG" if action == "ALLOW" else "ALLOW")
    assert child(config, errno_of("personality", 0xFFFFFFFF)) == ("exit", 0)


def test_trace_without_a_tracer_is_enosys():
    config = profile("TRACE", "personality", errnoRet=1)
    assert child(config, errno_of("personality", 0xFFFFFFFF)) == ("exit", errno.ENOSYS)


def test_masked_arguments():
    args = [{"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 0xF0, "valueTwo": 0x10}]
    config = profile("ERRNO", "umount2", errnoRet=errno.EXDEV, args=args)
    # the second argument is never looked at: without a path the kernel says EFAULT or EINVAL
    assert child(config, errno_of("umount2", 0x1F, 0)) == ("exit", errno.EXDEV)
    assert child(config, errno_of("umount2", 0x2F, 0)) == ("exit", errno.EFAULT)


def filters_in_force():
    with open("/proc/self/status") as file:
        return next(line for line in file if line.startswith("Seccomp_filters"))


def test_asking_for_flags_installs_nothing():
    before = filters_in_force()
    assert seccomp.flags_supported(1)
    assert not seccomp.flags_supported(1 << 20)
    assert filters_in_force() == before


def test_a_wrong_program_is_refused():
    def action():
        try:
            seccomp.set_mode_filter(b"\xff" * 8, 0)
        except SyscallError as error:
            return error.errno
        return 0

    assert child(profile("ERRNO", "sethostname"), action) == ("exit", errno.EINVAL)


def docker(action):
    with open(DOCKER) as file:
        return child(json.load(file), action)


def test_docker_s_profile_lets_a_program_work():
    def action():
        read_end, write_end = os.pipe()
        os.write(write_end, b"x")
        assert os.read(read_end, 1) == b"x"
        pid = os.fork()
        if pid == 0:
            os.execv("/bin/sh", ["sh", "-c", "exit 7"])
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert docker(action) == ("exit", 7)


def test_docker_s_profile_refuses_by_name_and_says_enosys_beyond():
    assert docker(errno_of("add_key", 0, 0, 0, 0, 0)) == ("exit", errno.EPERM)
    assert docker(errno_of("unheard_of")) == ("exit", errno.ENOSYS)
    assert docker(errno_of("personality", 0xFFFFFFFF)) == ("exit", 0)
    assert docker(errno_of("personality", 0x0040000)) == ("exit", errno.EPERM)


def test_enosys_comes_from_the_filter_and_not_from_the_kernel():
    """The same call under a profile whose default kills: without the stub the child would die."""
    config = profile("ALLOW", "exit_group", "prctl", "seccomp", default="KILL_PROCESS")
    config["syscalls"][0]["names"] += ["munmap", "mmap", "brk", "rt_sigaction", "futex", "write"]
    assert child(config, errno_of("unheard_of")) == ("exit", errno.ENOSYS)
    assert child(config, errno_of("personality", 0xFFFFFFFF)) == ("signal", signal.SIGSYS)


def test_x32_calls_under_a_profile_without_x32_are_killed():
    assert child(profile("ERRNO", "sethostname"), errno_of("sync_x32")) == ("signal", signal.SIGSYS)


def int_0x80(number):
    """An action: system call `number` the way 32-bit programs make it; its errno, 0 for success."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # push rbx; xor ebx, ebx; mov eax, number; int 0x80; pop rbx; ret
    page.write(b"\x53\x31\xdb\xb8" + number.to_bytes(4, "little") + b"\xcd\x80\x5b\xc3")
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))

    def action(page=page):  # which must stay mapped
        result = function()
        return -result if result < 0 else 0

    return action


def test_32_bit_calls_are_filtered_under_their_own_numbers():
    getpid_32, setns_32, beyond = 20, 346, 9999
    allow_all = {"defaultAction": "SCMP_ACT_ALLOW"}
    if child({**allow_all, "architectures": ["SCMP_ARCH_X86"]}, int_0x80(getpid_32)) != ("exit", 0):
        pytest.skip("this kernel runs no 32-bit calls")
    refused = profile("ERRNO", "setns", errnoRet=errno.EXDEV)
    assert child({**refused, "architectures": ["SCMP_ARCH_X86"]}, int_0x80(setns_32)) == ("exit", errno.EXDEV)
    assert child({**refused, "architectures": ["SCMP_ARCH_X86"]}, int_0x80(getpid_32)) == ("exit", 0)
    assert child(refused, int_0x80(getpid_32)) == ("signal", signal.SIGSYS)
    assert docker(int_0x80(getpid_32)) == ("exit", 0)
    assert docker(int_0x80(beyond)) == ("exit", errno.ENOSYS)


def test_the_listener_s_file_descriptor_is_returned():
    filter_ = load_filter(profile("NOTIFY", "sethostname"), None)
    assert filter_.notify
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            call("prctl", PR_SET_NO_NEW_PRIVS, 1)
            fd = seccomp.set_mode_filter(filter_.bpf, filter_.flags | 0x8)
            status = 0 if os.readlink("/proc/self/fd/%d" % fd) == "anon_inode:seccomp notify" else 1
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_speculation_is_allowed_only_by_default():
    def allowed():
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith("Speculation_Store_Bypass"))
        return 0 if "force mitigated" not in line else 1

    config = profile("ERRNO", "sethostname")
    assert child(config, allowed) == ("exit", 0)
