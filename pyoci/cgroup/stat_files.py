"""Text to numbers: the forms of statistics files (kernel documentation: cgroup-v2, cgroup-v1, accounting/psi).

Lines of a form that is not known are passed over, since newer kernels add some.
"""

import errno

from pyoci.cgroup.tree import read
from pyoci.errors import OperationError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNLIMITED = 2**64 - 1
"""What `max` stands for."""

# ENOTSUP: kernels with pressure compiled in but switched off have its files all the same.
_ABSENT = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)


def text_of(path: str) -> str:
    """The text of a statistics file; "" when this kernel has none.  Raises OperationError."""
    try:
        return read(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return ""
        raise OperationError("cannot read %s: %s" % (path, errno_text(error.errno or 0))) from None


def number(text: str, otherwise: int = 0) -> int:
    """The one number in a file; UNLIMITED for `max`, `otherwise` for an empty text."""
    word = text.strip()
    if word == "max":
        return UNLIMITED
    try:
        return int(word)
    except ValueError:
        return otherwise


def flat(text: str) -> "dict[str, int]":
    """Lines `KEY NUMBER` (memory.stat, cpu.stat, memory.events), in the order of the file."""
    found = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if value.isdigit():
            found[key] = int(value)
    return found


def numbers(text: str) -> "list[int]":
    """Numbers with spaces between them (cpuacct.usage_percpu)."""
    return [int(word) for word in text.split() if word.isdigit()]


def members(text: str) -> "list[int]":
    """The numbers of a list such as `0-2,7` (cpuset.cpus)."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            found += range(int(first), int(last or first) + 1)
    return found


def modes(text: str) -> "tuple[list[int], list[int]]":
    """(kernel, user) of each processor from cpuacct.usage_all: a header, then lines `CPU USER SYSTEM`."""
    rows = [line.split() for line in text.splitlines()[1:]]
    good = [row for row in rows if len(row) >= 3 and row[1].isdigit() and row[2].isdigit()]
    return [int(row[2]) for row in good], [int(row[1]) for row in good]


def transfers(text: str) -> "list[dict[str, Any]]":
    """Version 1's lines `MAJOR:MINOR [OPERATION] NUMBER` of blkio; the line `Total` is no device's."""
    found = []
    for line in text.splitlines():
        words = line.replace(":", " ").split()
        if len(words) in (3, 4) and words[0].isdigit() and words[1].isdigit() and words[-1].isdigit():
            operation = words[2] if len(words) == 4 else ""
            found.append(transfer(int(words[0]), int(words[1]), operation, int(words[-1])))
    return found


def transfer(major: int, minor: int, operation: str, value: int) -> "dict[str, Any]":
    """One entry of blkio; what is 0 or empty is left out."""
    return given({"major": major, "minor": minor, "op": operation, "value": value})


def nested(text: str) -> "list[tuple[int, int, dict[str, int]]]":
    """Version 2's io.stat, lines `MAJOR:MINOR KEY=NUMBER...`: (major, minor, values) of each device."""
    found = []
    for line in text.splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        if major.isdigit() and minor.isdigit():
            split = [pair.partition("=") for pair in pairs]
            found.append((int(major), int(minor), {key: int(value) for key, _, value in split if value.isdigit()}))
    return found


def pressure(text: str) -> "dict[str, dict[str, float | int]] | None":
    """PSI: {"some": {"avg10": 0.0, ..., "total": N}, "full": ...}; None when the kernel keeps none."""
    if not text:
        return None
    nothing: dict[str, float | int] = {"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 0}
    found = {"some": dict(nothing), "full": dict(nothing)}
    for line in text.splitlines():
        kind, *pairs = line.split()
        for pair in pairs if kind in found else ():
            key, _, value = pair.partition("=")
            if key == "total":
                found[kind][key] = int(value)
            elif key in nothing:
                found[kind][key] = float(value)
    return found


def given(values: "dict[str, Any]") -> "dict[str, Any]":
    """Without what is 0, empty or missing: Go's `omitempty`, which readers of the statistics expect."""
    return {key: value for key, value in values.items() if value}


def memory_entry(limit: int = 0, usage: int = 0, most: int = 0, failures: int = 0) -> "dict[str, int]":
    """One of the four accounts of memory; bytes, and how often the limit was hit."""
    return {"limit": limit, **given({"usage": usage, "max": most}), "failcnt": failures}


def huge_page_sizes(names: "list[str]", ending: str) -> "list[str]":
    """Which sizes the files `hugetlb.SIZE.ENDING` among `names` are for, sorted as text; `2MB`, `1GB`."""
    sizes = []
    for name in names:
        parts = name.split(".")
        if len(parts) == 3 and parts[0] == "hugetlb" and parts[2] == ending:
            sizes.append(parts[1])
    return sorted(sizes)
