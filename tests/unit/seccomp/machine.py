"""A machine for seccomp's classic BPF, so that tests can ask a filter about any call without installing it.

It knows the instructions libseccomp and the runtime emit (linux/filter.h) and stops at any other one.
"""

import struct

X86_64 = 0xC000003E
I386 = 0x40000003
X32_BIT = 0x40000000

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
KILL = 0x00000000


def instructions(bpf: bytes) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("=HBBI", bpf))


def run(bpf: bytes, architecture: int, number: int, args: tuple[int, ...] = ()) -> int:
    """The filter's return value for one call."""
    return _run(bpf, architecture, number, args)[0]


def steps(bpf: bytes, architecture: int, number: int) -> int:
    """How many instructions the filter needs for one call."""
    return _run(bpf, architecture, number, ())[1]


def _run(bpf: bytes, architecture: int, number: int, args: tuple[int, ...]) -> tuple[int, int]:
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *args, *[0] * (6 - len(args)))
    program = instructions(bpf)
    accumulator = 0
    scratch = [0] * 16
    index = 0
    count = 0
    while True:
        count += 1
        code, if_true, if_false, constant = program[index]
        index += 1
        if code == 0x20:  # ld [k]
            accumulator = struct.unpack_from("=I", data, constant)[0]
        elif code == 0x05:  # ja
            index += constant
        elif code in (0x15, 0x25, 0x35):  # jeq, jgt, jge
            holds = {0x15: accumulator == constant, 0x25: accumulator > constant, 0x35: accumulator >= constant}
            index += if_true if holds[code] else if_false
        elif code == 0x54:  # and
            accumulator &= constant
        elif code == 0x02:  # st
            scratch[constant] = accumulator
        elif code == 0x60:  # ld M[k]
            accumulator = scratch[constant]
        elif code == 0x06:  # ret
            return constant, count
        else:
            raise AssertionError("unknown instruction 0x%02x at %d" % (code, index - 1))
