"""Why execve says "no such file" of a file that is there: the interpreter or loader that it names is not.

Runs after execve failed, perhaps under a seccomp filter that forbids to look: then there is nothing to add.
"""

import os
from _struct import unpack_from
from errno import ENOENT, ENOEXEC

_PT_INTERP = 3
_FIRST_BYTES = 4096


def missing_part(path: str, number: int) -> bytes:
    """What to add to the errno's words, as bytes; empty when nothing more is known."""
    if number not in (ENOENT, ENOEXEC):
        return b""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        start = os.read(fd, _FIRST_BYTES)
        os.close(fd)
        return _explain(start, number)
    except Exception:
        return b""


def _explain(start: bytes, number: int) -> bytes:
    if start.startswith(b"#!"):
        line = start[2:].split(b"\n", 1)[0]
        interpreter = line.strip(b" \t").split(b" ")[0]
        if interpreter.endswith(b"\r"):
            shown = interpreter.replace(b"\r", b"\\r")
            return b" (its interpreter " + shown + b" ends in a carriage return: convert it to unix line ends)"
        return b" (its interpreter " + interpreter + b" is missing)" if number == ENOENT else b""
    if start.startswith(b"\x7fELF"):
        loader = _loader(start)
        return b" (its loader " + loader + b" is missing)" if loader and number == ENOENT else b""
    if number == ENOEXEC:
        return b" (it has no #! line and is no program of this machine)"
    return b""


def _loader(start: bytes) -> bytes:
    """The path in the PT_INTERP segment of a 64-bit little-endian ELF file (elf(5)); empty for a static one."""
    if start[4:6] != b"\x02\x01":
        return b""
    offset = unpack_from("<Q", start, 32)[0]
    size, count = unpack_from("<HH", start, 54)
    for index in range(count):
        kind = unpack_from("<I", start, offset + index * size)[0]
        if kind == _PT_INTERP:
            at = unpack_from("<Q", start, offset + index * size + 8)[0]
            length = unpack_from("<Q", start, offset + index * size + 32)[0]
            return start[at : at + length].rstrip(b"\0")
    return b""
