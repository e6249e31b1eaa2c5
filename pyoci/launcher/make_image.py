"""Make the image of an interpreter that pyoci's modules are loaded in (docs/adr/0015-image.md).  Build time only.

The program that build_interpreter.py linked writes its data segment, with all that Python has allocated in it, to a
file.  Put into the place of the data segment that the linker made, that gives a program which begins where the
first one stopped.  Everything else in the file stays what it was, above all what the dynamic loader works with.
"""

import ast
import importlib
import marshal
import os
import secrets
import struct
import subprocess
import sys
import sysconfig

PT_LOAD, PT_GNU_RELRO = 1, 0x6474E552
PF_W = 2
PT_DYNAMIC, DT_RELA, DT_RELASZ = 2, 7, 8
R_X86_64_COPY = 5
WORD = struct.Struct("<Q")
PHDR = struct.Struct("<IIQQQQQQ")  # type, flags, offset, vaddr, paddr, filesz, memsz, align


class NoImage(Exception):
    """Why there can be none."""


def extension_names(tree: str) -> dict[str, dict[str, object]]:
    """What is in the extension modules that no image can hold: the constants, and None for all else."""
    modules: tuple[str, ...] = ()
    with open(os.path.join(tree, "pyoci", "core.py"), encoding="utf-8") as file:
        for statement in ast.parse(file.read()).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "EXTENSIONS":
                modules = ast.literal_eval(statement.value)
    directory, suffix = sysconfig.get_config_var("DESTSHARED"), sysconfig.get_config_var("EXT_SUFFIX")
    found: dict[str, dict[str, object]] = {}
    for name in modules:
        if os.path.exists(os.path.join(directory, name + suffix)):
            members = vars(importlib.import_module(name))
            found[name] = {
                key: value if type(value) in (int, str, float) else None
                for key, value in members.items()
                if not key.startswith("__")
            }
    return found


class Program:
    """An executable file for x86-64, with the dynamic loader's view of it."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self.data = bytearray(file.read())
        if self.data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<HH", self.data, 16) != (2, 62):
            raise NoImage("not an executable at fixed addresses for x86-64")
        (self.table,) = struct.unpack_from("<Q", self.data, 32)
        size, count = struct.unpack_from("<HH", self.data, 54)
        self.headers = [PHDR.unpack_from(self.data, self.table + size * i) for i in range(count)]
        writable = [i for i, header in enumerate(self.headers) if header[0] == PT_LOAD and header[1] & PF_W]
        if len(writable) != 1 or size != PHDR.size:
            raise NoImage("more than one data segment")
        self.index = writable[0]
        self.start = self.headers[self.index][3]

    def copied(self) -> set[int]:
        """The offsets in the data segment where the loader puts libc's own variables, such as `environ`."""
        found = set()
        for kind, _, place, _, _, length, _, _ in self.headers:
            if kind == PT_DYNAMIC:
                entries = dict(struct.iter_unpack("<QQ", self.data[place : place + length]))
                table = self._at(entries[DT_RELA], entries[DT_RELASZ])
                for address, what, _ in struct.iter_unpack("<QQq", table):
                    if what & 0xFFFFFFFF == R_X86_64_COPY:
                        found.add(address - self.start)
        return found

    def _at(self, address: int, length: int) -> bytes:
        """What lies in the file for an address of the program."""
        for kind, _, place, first, _, in_file, _, _ in self.headers:
            if kind == PT_LOAD and first <= address <= first + in_file - length:
                return bytes(self.data[place + address - first :][:length])
        raise NoImage("no table of relocations")

    def relro(self) -> range:
        """The part of the data segment, as offsets, that the loader writes when it starts the program."""
        for kind, _, _, first, _, length, _, _ in self.headers:
            if kind == PT_GNU_RELRO:
                return range(first - self.start, first - self.start + length)
        return range(0)

    def with_data(self, memory: bytes) -> bytes:
        """The file, its data segment replaced but for what the loader writes."""
        _, flags, offset, start, _, _, _, alignment = self.headers[self.index]
        data = bytearray(memory)
        kept = self.relro()
        data[kept.start : kept.stop] = self.data[offset + kept.start : offset + kept.stop]
        whole = len(data)
        data = data.rstrip(b"\0")
        result = bytearray(self.data)
        del result[offset:]
        result += bytes((start - offset) % alignment)
        header = (PT_LOAD, flags, len(result), start, start, len(data), whole, alignment)
        PHDR.pack_into(result, self.table + PHDR.size * self.index, *header)
        struct.pack_into("<Q", result, 40, 0)  # the table of sections, which only linkers need
        struct.pack_into("<HHH", result, 58, 0, 0, 0)
        return bytes(result + data)


# What the program wrote, the identifier that its only thread had, and where libc's own heap ended.
Memory = tuple[bytes, int, int]


def memory_of(program: str, snapshot: str, names: str, scratch: str, seed: int) -> Memory:
    """Have the program write its memory."""
    target = os.path.join(scratch, "memory")
    command = [sys.executable, "-I", "-S", "-Xpyoci=image", target, snapshot, names, str(seed)]
    done = subprocess.run(
        command, executable=program, capture_output=True, text=True, check=False, timeout=60, env={"LC_ALL": "C"}
    )
    if done.returncode != 0:
        raise NoImage("status %d: %s" % (done.returncode, done.stderr.strip()))
    with open(target, "rb") as file:
        thread, end = map(int, done.stdout.split())
        return file.read(), thread, end


def pointers_out(first: Memory, second: Memory) -> list[int]:
    """The offsets of words that differ between two images of one program and look like addresses of this process.

    The kernel puts stack and libraries elsewhere each time, so what points there differs, and is of no use to the
    process that the image is executed in.  The thread's identifier is such an address; resume() sets it.
    """
    if len(first[0]) != len(second[0]):
        raise NoImage("the memory has another size the second time")
    (one, own, end), (other, others, other_end) = first, second
    if own == others:
        raise NoImage("addresses are not random here, so what points out of the program cannot be told")
    found = []
    for page in range(0, len(one), 4096):
        if one[page : page + 4096] != other[page : page + 4096]:
            for offset in range(page, min(page + 4096, len(one) - 7), 8):
                here, there = WORD.unpack_from(one, offset)[0], WORD.unpack_from(other, offset)[0]
                if (
                    here != there
                    and (here, there) != (own, others)
                    and (is_out(here, end) or is_out(there, other_end))
                ):
                    found.append(offset)
    return found


def is_out(word: int, end: int) -> bool:
    """Where the kernel puts libraries, stacks and other mappings, and the 4 MiB below the end of libc's heap."""
    return 0x5000_0000_0000 <= word < 0x8000_0000_0000 or max(end - (4 << 20), 0) <= word < end


def make(tree: str, program: str, snapshot: str, scratch: str, target: str) -> None:
    """Write the program with its image to `target`.  Raises NoImage."""
    names = os.path.join(scratch, "names")
    with open(names, "wb") as file:
        file.write(marshal.dumps(extension_names(tree)))
    seed = secrets.randbits(32)
    first, second = (memory_of(program, snapshot, names, scratch, seed) for _ in range(2))
    frame = Program(program)
    loaders = frame.copied().union(frame.relro())
    strays = [offset for offset in pointers_out(first, second) if offset not in loaders]
    if strays:
        raise NoImage(
            "the memory points out of the program, at %s" % ", ".join(hex(frame.start + i) for i in strays)
        )
    with open(target, "wb") as file:
        file.write(frame.with_data(first[0]))
    os.chmod(target, 0o755)
