"""The instructions that answer ENOSYS to calls newer than the profile."""

import errno

import pytest

from pyoci.seccomp.enosys import stub

from .machine import ERRNO, I386, X32_BIT, X86_64, instructions, run

ENOSYS = ERRNO | errno.ENOSYS
FILTER = 0x12345678
AARCH64, ARM = 0xC00000B7, 0x40000028


def answer(newest, architecture, number):
    return run(stub(newest) + b"\x06\0\0\0" + FILTER.to_bytes(4, "little"), architecture, number)


X86 = {"SCMP_ARCH_X86_64": 450, "SCMP_ARCH_X86": 460, "SCMP_ARCH_X32": X32_BIT + 440}


@pytest.mark.parametrize(
    ("architecture", "number", "expected"),
    [
        (X86_64, 0, FILTER), (X86_64, 450, FILTER), (X86_64, 451, ENOSYS), (X86_64, X32_BIT - 1, ENOSYS),
        (X86_64, X32_BIT, FILTER), (X86_64, X32_BIT + 440, FILTER), (X86_64, X32_BIT + 441, ENOSYS),
        (I386, 0, FILTER), (I386, 460, FILTER), (I386, 461, ENOSYS), (I386, 0xFFFFFFFF, ENOSYS),
        (AARCH64, 9999, FILTER),
    ],
)  # fmt: skip
def test_each_abi_has_its_own_limit(architecture, number, expected):
    assert answer(X86, architecture, number) == expected


def test_x32_calls_are_left_to_the_filter_when_the_profile_has_no_x32():
    newest = {"SCMP_ARCH_X86_64": 450}
    assert answer(newest, X86_64, 451) == ENOSYS
    assert answer(newest, X86_64, X32_BIT + 9999) == FILTER
    assert answer(newest, I386, 9999) == FILTER


def test_x32_alone_does_not_touch_x86_64_calls():
    newest = {"SCMP_ARCH_X86_64": None, "SCMP_ARCH_X32": X32_BIT + 10}
    assert answer(newest, X86_64, 9999) == FILTER
    assert answer(newest, X86_64, X32_BIT + 11) == ENOSYS


def test_arm_s_private_calls_are_left_to_the_filter():
    newest = {"SCMP_ARCH_AARCH64": 450, "SCMP_ARCH_ARM": 440}
    assert answer(newest, ARM, 441) == ENOSYS
    assert answer(newest, ARM, 0xF0005) == FILTER
    assert answer(newest, AARCH64, 451) == ENOSYS


def test_a_profile_without_calls_needs_no_stub():
    assert stub({"SCMP_ARCH_X86_64": None}) == b""
    assert stub({}) == b""


def test_every_jump_stays_in_reach():
    program = instructions(stub(X86))
    for index, (code, if_true, if_false, constant) in enumerate(program):
        reach = (constant, constant) if code == 0x05 else (if_true, if_false)
        assert all(index + 1 + jump <= len(program) for jump in reach)
