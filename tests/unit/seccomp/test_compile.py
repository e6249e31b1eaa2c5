"""Profiles -> filters: asked on a BPF machine, without installing anything."""

import errno
import json
import os

import pytest

from pyoci.errors import ConfigError
from pyoci.kernel.syscall import MACHINE
from pyoci.seccomp import load_filter
from pyoci.seccomp.compile import compile_profile

from .machine import ALLOW, ERRNO, I386, KILL, X32_BIT, X86_64, run, steps

pytestmark = pytest.mark.skipif(MACHINE != "x86_64", reason="the numbers below are x86-64's")

DOCKER = os.path.join(os.path.dirname(__file__), "..", "..", "data", "docker_seccomp.json")

READ, WRITE, MOUNT, PERSONALITY, CLONE, REBOOT = 0, 1, 165, 135, 56, 169
EPERM, ENOSYS = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS


def docker_profile():
    with open(DOCKER) as file:
        return json.load(file)


def profile(default, *rules, **more):
    return {"defaultAction": "SCMP_ACT_" + default, "syscalls": list(rules), **more}


def rule(action, *names, args=(), **more):
    conditions = [
        {"index": index, "op": "SCMP_CMP_" + op, "value": value, "valueTwo": two} for index, op, value, two in args
    ]
    return {"names": list(names), "action": "SCMP_ACT_" + action, "args": conditions, **more}


def ask(config, number, *args, architecture=X86_64):
    return run(compile_profile(config), architecture, number, args)


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("ALLOW", 0x7FFF0000), ("ERRNO", 0x00050001), ("KILL", 0), ("KILL_THREAD", 0), ("KILL_PROCESS", 0x80000000),
        ("LOG", 0x7FFC0000), ("NOTIFY", 0x7FC00000), ("TRACE", 0x7FF00001), ("TRAP", 0x00030000),
    ],
)  # fmt: skip
def test_each_action_returns_its_value(action, value):
    other = "ALLOW" if action != "ALLOW" else "KILL"
    config = profile(other, rule(action, "reboot"))
    assert ask(config, REBOOT) == value
    assert ask(config, READ) == (ALLOW if other == "ALLOW" else KILL)
    assert ask(profile(action, rule(other, "reboot")), READ) == value


def test_errno_ret_is_the_errno():
    config = profile("ERRNO", rule("ERRNO", "mount", errnoRet=2), rule("ALLOW", "reboot"), defaultErrnoRet=13)
    assert ask(config, MOUNT) == ERRNO | 2
    assert ask(config, READ) == ERRNO | 13


@pytest.mark.parametrize("number", [-1, 4096, 1 << 40])
def test_an_errno_that_is_none_is_an_error(number):
    with pytest.raises(ConfigError) as caught:
        compile_profile(profile("ALLOW", rule("ERRNO", "mount", errnoRet=number)))
    assert caught.value.where == ".linux.seccomp.syscalls[0].errnoRet"
    assert str(caught.value) == "errnoRet %d: numerical result out of range" % number


def test_errno_ret_with_an_action_that_takes_none_is_an_error():
    with pytest.raises(ConfigError, match=r"^errnoRet is not allowed with SCMP_ACT_KILL$"):
        compile_profile(profile("ALLOW", rule("KILL", "mount", errnoRet=1)))
    with pytest.raises(ConfigError, match=r"^defaultErrnoRet is not allowed with SCMP_ACT_ALLOW$"):
        compile_profile(profile("ALLOW", defaultErrnoRet=1))


@pytest.mark.parametrize(
    ("config", "where", "message"),
    [
        (profile("FOO"), ".linux.seccomp.defaultAction", 'unknown seccomp action "SCMP_ACT_FOO"'),
        (profile("ALLOW", rule("FOO", "mount")), ".linux.seccomp.syscalls[0].action",
         'unknown seccomp action "SCMP_ACT_FOO"'),
        (profile("ALLOW", architectures=["SCMP_ARCH_X86", "SCMP_ARCH_Z80"]), ".linux.seccomp.architectures[1]",
         'unknown seccomp architecture "SCMP_ARCH_Z80"'),
        (profile("ALLOW", rule("KILL", "mount", args=[(0, "NEAR", 1, 0)])), ".linux.seccomp.syscalls[0].args[0].op",
         'unknown seccomp operator "SCMP_CMP_NEAR"'),
        (profile("ALLOW", rule("KILL", "mount", args=[(6, "EQ", 1, 0)])),
         ".linux.seccomp.syscalls[0].args[0].index", "argument index 6: numerical result out of range"),
    ],
)  # fmt: skip
def test_unknown_words_are_errors_with_their_place(config, where, message):
    with pytest.raises(ConfigError) as caught:
        compile_profile(config)
    assert (caught.value.where, str(caught.value)) == (where, message)


def test_names_nobody_knows_are_skipped():
    config = profile("ERRNO", rule("ALLOW", "no_such_call", "read\0", "r\u00e9ad", "", "mount"))
    assert ask(config, MOUNT) == ALLOW
    assert ask(config, READ) == EPERM


def test_rules_that_repeat_the_default_are_skipped():
    config = profile("ERRNO", rule("ERRNO", "mount", errnoRet=1), rule("ALLOW", "reboot"))
    assert ask(config, MOUNT) == EPERM


@pytest.mark.parametrize("value", [-1, 1 << 64])
def test_values_beyond_64_bits_are_errors(value):
    with pytest.raises(ConfigError, match=r"^value -?\d+: numerical result out of range$") as caught:
        compile_profile(profile("ALLOW", rule("KILL", "mount", args=[(0, "EQ", value, 0)])))
    assert caught.value.where == ".linux.seccomp.syscalls[0].args[0].value"


@pytest.mark.parametrize(
    ("op", "value", "two", "matching", "other"),
    [
        ("EQ", 7, 0, [7], [6, 7 | 1 << 32]),
        ("NE", 7, 0, [6, 7 | 1 << 32], [7]),
        ("LT", 1 << 32, 0, [0, 0xFFFFFFFF], [1 << 32, 1 << 33]),
        ("LE", 1 << 32, 0, [0, 1 << 32], [(1 << 32) + 1]),
        ("GE", 1 << 32, 0, [1 << 32, 1 << 63], [0xFFFFFFFF]),
        ("GT", 1 << 32, 0, [(1 << 32) + 1], [1 << 32]),
        ("EQ", (1 << 64) - 1, 0, [(1 << 64) - 1], [(1 << 32) - 1]),
        ("MASKED_EQ", 0x7E020000, 0, [0, 0x11], [0x10000000, 0x20000]),
        ("MASKED_EQ", 0xF0, 0x10, [0x10, 0x1F], [0x20, 0x30]),
    ],
)
def test_operators_compare_64_bits(op, value, two, matching, other):
    config = profile("ERRNO", rule("ALLOW", "clone", args=[(2, op, value, two)]))
    bpf = compile_profile(config)
    assert [run(bpf, X86_64, CLONE, (0, 0, argument)) for argument in matching] == [ALLOW] * len(matching)
    assert [run(bpf, X86_64, CLONE, (0, 0, argument)) for argument in other] == [EPERM] * len(other)


def test_conditions_on_different_arguments_must_all_hold():
    config = profile("ERRNO", rule("ALLOW", "mount", args=[(0, "EQ", 1, 0), (1, "EQ", 2, 0)]))
    assert ask(config, MOUNT, 1, 2) == ALLOW
    assert ask(config, MOUNT, 1, 3) == EPERM


def test_conditions_on_the_same_argument_are_alternatives():
    config = profile("ERRNO", rule("ALLOW", "personality", args=[(0, "EQ", 0, 0), (0, "EQ", 8, 0)]))
    assert [ask(config, PERSONALITY, value) for value in (0, 8, 4)] == [ALLOW, ALLOW, EPERM]


def test_the_native_architecture_is_always_included():
    config = profile("ERRNO", rule("ALLOW", "mount"), architectures=["SCMP_ARCH_X86"])
    assert ask(config, MOUNT) == ALLOW
    assert ask(config, 21, architecture=I386) == ALLOW


def test_architectures_left_out_are_killed_and_foreign_ones_change_nothing():
    plain = profile("ERRNO", rule("ALLOW", "mount"))
    assert ask(plain, 21, architecture=I386) == KILL
    foreign = profile("ERRNO", rule("ALLOW", "mount"), architectures=["SCMP_ARCH_S390X", "SCMP_ARCH_LOONGARCH64"])
    assert compile_profile(foreign) == compile_profile(plain)


@pytest.mark.parametrize("default", ["ERRNO", "KILL", "KILL_PROCESS", "TRAP"])
def test_calls_newer_than_the_profile_fail_with_enosys(default):
    assert ask(profile(default, rule("ALLOW", "mount")), 9999) == ENOSYS


@pytest.mark.parametrize(("default", "value"), [("ALLOW", ALLOW), ("LOG", 0x7FFC0000), ("TRACE", 0x7FF00001)])
def test_a_lenient_default_is_left_alone(default, value):
    assert ask(profile(default, rule("KILL", "mount")), 9999) == value


def test_more_than_32_calls_are_searched_as_a_tree():
    names = [name for one in docker_profile()["syscalls"] for name in one["names"]]
    bpf = compile_profile(profile("ERRNO", rule("ALLOW", *names[:300])))
    assert longest_path(bpf) < 100


def longest_path(bpf):
    """Instructions executed for the slowest of the first 450 calls."""
    return max(steps(bpf, X86_64, number) for number in range(450))


def test_docker_s_profile():
    config = docker_profile()
    filter_ = load_filter(config, None)
    assert (filter_.flags, filter_.notify) == (4, False)
    bpf = filter_.bpf
    assert run(bpf, X86_64, READ) == ALLOW
    assert run(bpf, X86_64, X32_BIT + READ) == ALLOW
    assert run(bpf, I386, 3) == ALLOW
    assert run(bpf, X86_64, 153) == EPERM  # vhangup: not named by the profile, older than what it names
    assert run(bpf, X86_64, 9999) == ENOSYS
    assert run(bpf, I386, 9999) == ENOSYS
    assert run(bpf, X86_64, X32_BIT + 9999) == ENOSYS
    assert run(bpf, 0xC00000B7, READ) == KILL
    assert [run(bpf, X86_64, PERSONALITY, (value,)) for value in (0, 8, 1)] == [ALLOW, ALLOW, EPERM]


@pytest.mark.parametrize(
    ("flags", "notify", "bits"),
    [
        (None, False, 4), ([], False, 0), (["SECCOMP_FILTER_FLAG_LOG"], False, 2),
        (["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], False, 4),
        (["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], False, 0),
        (["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], True, 0x20),
    ],
)  # fmt: skip
def test_flags(flags, notify, bits):
    config = profile("ALLOW", rule("NOTIFY" if notify else "KILL", "mount"))
    if flags is not None:
        config["flags"] = flags
    filter_ = load_filter(config, None)
    assert (filter_.flags, filter_.notify) == (bits, notify)


def test_an_unknown_flag_is_an_error():
    with pytest.raises(ConfigError, match=r'^unknown seccomp flag "X"$') as caught:
        load_filter(profile("ALLOW", flags=["X"]), None)
    assert caught.value.where == ".linux.seccomp.flags[0]"


def test_names_nobody_knows_are_errors_if_the_annotation_says_so():
    """R-279."""
    config = profile("ALLOW", rule("ERRNO", "mkdir"), {"names": ["mount", "nope"], "action": "SCMP_ACT_ERRNO"})
    load_filter(config, None, {"run.oci.seccomp_fail_unknown_syscall": "0"})
    with pytest.raises(ConfigError, match=r'^unknown system call "nope"$') as caught:
        load_filter(config, None, {"run.oci.seccomp_fail_unknown_syscall": "1"})
    assert caught.value.where == ".linux.seccomp.syscalls[1].names[1]"


def test_raw_instructions_take_the_place_of_the_profiles_and_its_flags_stay():
    """R-279."""
    raw = {"run.oci.seccomp_bpf_data": "BgAAAAAA/38="}
    filter_ = load_filter(profile("KILL", flags=["SECCOMP_FILTER_FLAG_LOG"]), None, raw)
    assert (filter_.bpf.hex(), filter_.flags, filter_.notify) == ("060000000000ff7f", 2, False)
