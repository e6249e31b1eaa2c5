"""What a list of device rules means, and that both versions' forms of it say the same."""

from struct import unpack

import pytest

from pyoci.cgroup.device_bpf import DeviceFilter, assemble
from pyoci.cgroup.device_rules import ALL, DEFAULTS, MKNOD, READ, WRITE, device_list, exceptions, parse_rules
from pyoci.errors import ConfigError, HostError

DENY_ALL = {"allow": False, "access": "rwm"}
ALLOW_ALL = {"allow": True, "access": "rwm"}


def rule(allow, text):
    kind, numbers, access = text.split()
    major, minor = (None if n == "*" else int(n) for n in numbers.split(":"))
    return {"allow": allow, "type": kind, "major": major, "minor": minor, "access": access}


def run(code, kind, access, major, minor):
    """Interpret the few instructions that the assembler uses; 0 or 1."""
    context = {0: access << 16 | {"b": 1, "c": 2}[kind], 4: major, 8: minor}
    registers = [0] * 11
    at = 0
    for _ in range(10000):
        operation, regs, offset, number = unpack("<BBhi", code[at * 8 : at * 8 + 8])
        target, source = regs & 15, regs >> 4
        at += 1
        if operation == 0x61:
            assert source == 1
            registers[target] = context[offset]
        elif operation == 0xBF:
            registers[target] = registers[source]
        elif operation == 0xB7:
            registers[target] = number
        elif operation == 0x57:
            registers[target] &= number & (1 << 64) - 1
        elif operation == 0x77:
            registers[target] >>= number
        elif operation == 0x15:
            at += offset if registers[target] == number else 0
        elif operation == 0x55:
            at += offset if registers[target] != number else 0
        elif operation == 0x56:
            at += offset if registers[target] & 0xFFFFFFFF != number & 0xFFFFFFFF else 0
        else:
            assert operation == 0x95
            return registers[0]
    raise AssertionError("the program does not end")


def filtered(entries, kind, access, major, minor):
    return bool(run(assemble(*parse_rules(entries)), kind, access, major, minor))


def listed(entries, kind, access, major, minor):
    """What version 1 answers: one exception has to cover all that is wanted."""
    default, rules = parse_rules(entries)
    for (k, x, y), bits in exceptions(default, rules).items():
        if k == kind and x in (-1, major) and y in (-1, minor):
            if default and bits & access:
                return False
            if not default and not access & ~bits:
                return True
    return default


CASES = [
    [],
    [DENY_ALL],
    [ALLOW_ALL],
    [DENY_ALL, rule(True, "c 10:229 rw"), rule(True, "b 8:* r")],
    [DENY_ALL, rule(True, "c 10:229 rw"), rule(False, "c 10:229 w")],
    [DENY_ALL, rule(True, "c 10:229 rw"), rule(False, "c *:* rw")],
    [ALLOW_ALL, rule(False, "b *:* rwm")],
    [ALLOW_ALL, rule(False, "b 8:0 w"), rule(False, "c 10:229 r")],
    [rule(True, "c 10:229 rw"), ALLOW_ALL, DENY_ALL, rule(True, "a 7:0 rwm")],
    [ALLOW_ALL, rule(False, "b 8:0 rw"), rule(True, "b 8:* r")],
]


@pytest.mark.parametrize("entries", CASES)
def test_the_program_and_the_list_agree(entries):
    for kind in "bc":
        for major, minor in (
            (1, 3),
            (1, 1),
            (8, 0),
            (8, 1),
            (10, 229),
            (10, 200),
            (136, 7),
            (7, 0),
            (4095, 1048575),
        ):
            for access in range(1, 8):
                if access & MKNOD and access != MKNOD:
                    continue  # the kernel asks for mknod by itself
                arguments = (entries, kind, access, major, minor)
                assert filtered(*arguments) == listed(*arguments), (kind, access, major, minor)


def test_without_rules_only_the_defaults_are_allowed():
    assert filtered([], "c", READ | WRITE, 1, 3)
    assert filtered([], "b", MKNOD, 8, 0)
    assert not filtered([], "b", READ, 8, 0)
    assert not filtered([], "c", READ, 1, 1)


def test_the_defaults_cannot_be_switched_off():
    assert filtered([ALLOW_ALL, rule(False, "c 1:3 rwm"), DENY_ALL], "c", READ | WRITE, 1, 3)
    assert filtered([DENY_ALL, rule(False, "c 1:3 rwm")], "c", READ | WRITE, 1, 3)


def test_the_program_takes_one_device_out_of_a_wildcard_also_for_reading_and_writing_at_once():
    entries = [DENY_ALL, rule(True, "b 8:* rw"), rule(False, "b 8:1 w")]
    assert filtered(entries, "b", READ | WRITE, 8, 0)
    assert filtered(entries, "b", READ, 8, 1)
    assert not filtered(entries, "b", WRITE, 8, 1)
    assert not filtered(entries, "b", READ | WRITE, 8, 1)


def test_version_1_refuses_what_its_kernel_would_ignore():
    with pytest.raises(HostError) as caught:
        device_list([DENY_ALL, rule(True, "b 8:* rw"), rule(False, "b 8:1 w")])
    assert caught.value.message == (
        "cgroup v1 cannot express the device rule deny b 8:1 w: an earlier rule is for b 8:* rw"
    )


def test_a_partial_rule_for_all_kinds_is_not_a_rule_for_everything():
    default, rules = parse_rules([DENY_ALL, rule(True, "a 10:229 rw")])
    assert not default
    assert rules[:2] == [(True, "b", 10, 229, READ | WRITE), (True, "c", 10, 229, READ | WRITE)]
    assert not filtered([DENY_ALL, {"allow": True, "access": "m"}], "b", READ, 8, 0)


def test_allow_everything_needs_no_further_rules():
    assert parse_rules([DENY_ALL, ALLOW_ALL, rule(True, "c 1:3 rw")]) == (True, [])
    assert device_list([ALLOW_ALL]).describe() == "devices: allow all"
    assert DeviceFilter([ALLOW_ALL]).describe() == "devices: allow all"


def test_descriptions():
    entries = [DENY_ALL, rule(True, "b 8:* r")]
    assert (
        device_list(entries).describe().startswith("devices: deny all, allow b 8:* r, c *:* m, b *:* m, c 1:3 rwm")
    )
    assert DeviceFilter(entries).describe() == device_list(entries).describe()
    mixed = [DENY_ALL, rule(True, "b 8:* r"), rule(False, "b 8:1 r")]
    assert (
        DeviceFilter(mixed).describe().startswith("devices: deny all, then in order: allow b 8:* r, deny b 8:1 r")
    )


@pytest.mark.parametrize(
    ("entry", "where", "text"),
    [
        ({"allow": True}, ".access", "device access at 1 field cannot be empty"),
        ({"allow": True, "access": "rx"}, ".access", "invalid device access 'rx'"),
        ({"allow": True, "access": "r", "type": "p"}, ".type", "invalid device type 'p'"),
        ({"allow": True, "access": "r", "type": "c", "major": 1 << 32}, ".major", "too large"),
    ],
)
def test_rules_without_sense_are_refused_with_their_place(entry, where, text):
    with pytest.raises(ConfigError, match=text) as caught:
        parse_rules([DENY_ALL, entry])
    assert caught.value.where == ".linux.resources.devices[1]" + where


def test_negative_numbers_are_wildcards():
    assert parse_rules([{"allow": True, "type": "c", "major": -1, "minor": -1, "access": "r"}])[1][0] == (
        True, "c", -1, -1, READ,
    )  # fmt: skip


def test_large_numbers_survive_the_32_bit_comparison():
    entries = [rule(True, "c 4294967294:4294967295 r")]
    assert filtered(entries, "c", READ, 4294967294, 4294967295)
    assert not filtered(entries, "c", READ, 1, 4294967295)


def test_the_program_is_a_fixed_size_per_rule():
    """Whole instructions, and far from the kernel's bound of a million."""
    code = assemble(False, [(True, "c", 1, 3, ALL)] * 1000)
    assert len(code) == 8 * (6 + 7 * 1000 + 2)
    assert len(DEFAULTS) == 11
