"""Device rules for version 2: a BPF program that the kernel asks on every mknod(2) and open(2) of a device.

The program keeps the wanted access bits that no rule has decided yet and walks the rules from the last to
the first.  A rule for the device settles its bits: an allowing one takes them away (none left: yes), a
denying one ends with no if any of them is wanted.  So `allow c 1:* rwm, deny c 1:8 w` does what it says,
also for an open for reading and writing.  See linux/bpf.h (struct bpf_cgroup_dev_ctx) and bpf(2).
"""

import os
from _struct import pack, unpack_from

from pyoci.cgroup.device_rules import ANY, describe_rules, parse_rules, text_of
from pyoci.cgroup.limit import Limit
from pyoci.errors import OperationError, SyscallError, errno_text
from pyoci.kernel.syscall import address_of, address_of_buffer, buffer, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyoci.cgroup.device_rules import Rule
    from pyoci.cgroup.limit import Place

_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 5, 8, 9, 13, 16
_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_ALLOW_MULTI, _REPLACE = 2, 4
_LICENCE = b"Apache-2.0\0"
_MOST_PROGRAMS = 64  # the kernel's own bound per cgroup and kind
_KIND_NUMBER = {"b": 1, "c": 2}

# Registers: r1 the context, r2 the device's kind, r3 the undecided access bits, r4 major, r5 minor, r0 result.
_LOAD_WORD, _MOVE, _MOVE_NUMBER, _AND, _SHIFT_RIGHT = 0x61, 0xBF, 0xB7, 0x57, 0x77
_JUMP_EQUAL, _JUMP_UNEQUAL, _JUMP_UNEQUAL_32, _EXIT = 0x15, 0x55, 0x56, 0x95


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, number: int = 0) -> bytes:
    """One struct bpf_insn; `number` is taken modulo 2**32."""
    return pack("<BBhI", code, target | source << 4, offset, number & 0xFFFFFFFF)


def assemble(default: bool, rules: "Sequence[Rule]") -> bytes:
    """The program for rules as `device_rules.parse_rules` returns them."""
    code = [
        _instruction(_LOAD_WORD, 2, 1, 0),  # access << 16 | kind
        _instruction(_MOVE, 3, 2),
        _instruction(_AND, 2, number=0xFFFF),
        _instruction(_SHIFT_RIGHT, 3, number=16),
        _instruction(_LOAD_WORD, 4, 1, 4),
        _instruction(_LOAD_WORD, 5, 1, 8),
    ]
    for rule in reversed(rules):
        code += _rule(*rule)
    code += _answer(default)
    return b"".join(code)


def _rule(allow: bool, kind: str, major: int, minor: int, bits: int) -> "list[bytes]":
    if allow:
        verdict = [
            _instruction(_AND, 3, number=~bits),
            _instruction(_JUMP_UNEQUAL, 3, offset=2, number=0),
            *_answer(True),
        ]
    else:
        verdict = [
            _instruction(_MOVE, 0, 3),
            _instruction(_AND, 0, number=bits),
            _instruction(_JUMP_EQUAL, 0, offset=2, number=0),
            *_answer(False),
        ]
    tests = [(2, _KIND_NUMBER[kind])]
    tests += [(register, number) for register, number in ((4, major), (5, minor)) if number != ANY]
    code = []
    for index, (register, number) in enumerate(tests):
        distance = len(tests) - index - 1 + len(verdict)
        code.append(_instruction(_JUMP_UNEQUAL_32, register, offset=distance, number=number))
    return code + verdict


def _answer(allow: bool) -> "list[bytes]":
    return [_instruction(_MOVE_NUMBER, 0, number=int(allow)), _instruction(_EXIT)]


def load(code: bytes) -> int:
    """Load the program; the descriptor is the caller's (close-on-exec).  Raises SyscallError."""
    attributes = pack(
        "=IIQQIIQII16sII", _TYPE_CGROUP_DEVICE, len(code) // 8, address_of(code), address_of(_LICENCE),
        0, 0, 0, 0, 0, b"pyoci_devices", 0, _ATTACH_CGROUP_DEVICE,
    )  # fmt: skip
    return call("bpf", _PROG_LOAD, attributes, len(attributes), detail="BPF_PROG_LOAD")


def attached(directory_fd: int) -> "list[int]":
    """Ids of the device programs attached to this very cgroup.  Raises SyscallError."""
    ids = buffer(4 * _MOST_PROGRAMS)
    attributes = buffer(32)
    address = address_of_buffer(ids)
    attributes.raw = pack("=IIIIQII", directory_fd, _ATTACH_CGROUP_DEVICE, 0, 0, address, _MOST_PROGRAMS, 0)
    call("bpf", _PROG_QUERY, attributes, 32, detail="BPF_PROG_QUERY")
    (count,) = unpack_from("=I", attributes.raw, 24)
    return list(unpack_from("=%dI" % count, ids.raw))


def attach(directory_fd: int, program_fd: int) -> None:
    """Make the program the only one of the cgroup, without a moment in which there is none.

    Programs of ancestors keep their say: all have to allow.  Raises SyscallError.
    """
    old = [_open_by_id(number) for number in attached(directory_fd)]
    try:
        flags, replaced = (_ALLOW_MULTI | _REPLACE, old[0]) if len(old) == 1 else (_ALLOW_MULTI, 0)
        attributes = pack("=IIIII", directory_fd, program_fd, _ATTACH_CGROUP_DEVICE, flags, replaced)
        call("bpf", _PROG_ATTACH, attributes, len(attributes), detail="BPF_PROG_ATTACH")
        if len(old) > 1:
            for fd in old:
                attributes = pack("=III", directory_fd, fd, _ATTACH_CGROUP_DEVICE)
                call("bpf", _PROG_DETACH, attributes, len(attributes), detail="BPF_PROG_DETACH")
    finally:
        for fd in old:
            os.close(fd)


def _open_by_id(number: int) -> int:
    attributes = pack("=III", number, 0, 0)
    return call("bpf", _PROG_GET_FD_BY_ID, attributes, len(attributes), detail="BPF_PROG_GET_FD_BY_ID")


class DeviceFilter(Limit):
    """`resources.devices` as a program attached to the container's cgroup."""

    __slots__ = ("default", "rules")

    def __init__(self, entries: "Sequence[Mapping[str, Any]]") -> None:
        super().__init__("devices", "BPF_CGROUP_DEVICE", "", ".devices")
        self.default, self.rules = parse_rules(entries)

    def describe(self) -> str:
        """`devices: deny all, allow c 1:3 rwm, deny c 1:8 w`."""
        if all(rule[0] != self.default for rule in self.rules):
            return describe_rules(self.default, [text_of(rule[1:4], rule[4]) for rule in self.rules])
        texts = ["%s %s" % ("allow" if rule[0] else "deny", text_of(rule[1:4], rule[4])) for rule in self.rules]
        return "devices: %s all, then in order: %s" % ("allow" if self.default else "deny", ", ".join(texts))

    def apply(self, place: "Place") -> None:
        """Load and attach.  Raises OperationError."""
        try:
            program_fd = load(assemble(self.default, self.rules))
            try:
                attach(place.fd, program_fd)
            finally:
                os.close(program_fd)
        except SyscallError as error:
            raise OperationError(
                "cannot set device rules: bpf: %s" % errno_text(error.errno or 0),
                where=self.where,
                cause="%s for %s" % (error.detail, place.path),
                fix="device rules of cgroup v2 need CONFIG_CGROUP_BPF and CAP_SYS_ADMIN on the host",
            ) from None
