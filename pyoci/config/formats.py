"""The formats that the schemas name, as predicates over a str, for the fast check (no `re` here).

Each says exactly what the `pattern` beside the `format` says in schemas/; tests/unit/config/test_formats.py
holds the two together.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_IDENTIFIER = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-"


def text(value: str) -> bool:
    """Any text without NUL."""
    return "\0" not in value


def nonempty_text(value: str) -> bool:
    """Text of at least one character, without NUL."""
    return value != "" and "\0" not in value


def absolute_path(value: str) -> bool:
    """`/`, then anything without NUL."""
    return value[:1] == "/" and "\0" not in value


def one_line(value: str) -> bool:
    """Text without line breaks."""
    return "\n" not in value and "\0" not in value


def memory_bandwidth(value: str) -> bool:
    """A line that begins with `MB:`."""
    return value[:3] == "MB:" and one_line(value)


def cpu_list(value: str) -> bool:
    """Numbers and ranges with commas: `0-3,7`; spaces are allowed around each, the list may be empty."""
    if not value:
        return True
    for part in value.split(","):
        first, dash, last = part.partition("-")
        if not _digits(first.strip(" ")) or (dash and not _digits(last.strip(" "))):
            return False
    return True


def hugepage_size(value: str) -> bool:
    """`64KB`, `2MB`, `1GB`."""
    return value[-2:] in ("KB", "MB", "GB") and _digits(value[:-2]) and value[0] != "0"


def interface_name(value: str) -> bool:
    """1 to 15 printable ASCII characters without space, slash and colon, but not `.` or `..`."""
    if not 0 < len(value) < 16 or value in (".", ".."):
        return False
    return all("!" <= letter <= "~" and letter not in "/:" for letter in value)


def cgroup_file(value: str) -> bool:
    """`memory.high`: a file name with something before and after the first dot."""
    controller, dot, rest = value.partition(".")
    return controller != "" and dot != "" and rest != "" and "/" not in value and "\0" not in value


def device_access(value: str) -> bool:
    """One to three of `r`, `w`, `m`."""
    return 0 < len(value) < 4 and value.strip("rwm") == ""


def capability(value: str) -> bool:
    """`CAP_` and capital letters or underscores."""
    return value[:4] == "CAP_" and len(value) > 4 and value[4:].strip("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""


def semver(value: str) -> bool:
    """MAJOR.MINOR.PATCH, perhaps -PRE, perhaps +BUILD (semver.org 2.0.0)."""
    rest, plus, build = value.partition("+")
    core, dash, pre = rest.partition("-")
    numbers = core.split(".")
    if len(numbers) != 3 or not all(_number(number) for number in numbers):
        return False
    if dash and not all(_identifier(part) and (_number(part) or not _digits(part)) for part in pre.split(".")):
        return False
    return not plus or all(_identifier(part) for part in build.split("."))


def _digits(value: str) -> bool:
    return value.isascii() and value.isdigit()


def _number(value: str) -> bool:
    return _digits(value) and (value[0] != "0" or value == "0")


def _identifier(value: str) -> bool:
    return value != "" and value.strip(_IDENTIFIER) == ""


PREDICATES: "dict[str, Callable[[str], bool]]" = {
    "text": text,
    "nonempty-text": nonempty_text,
    "absolute-path": absolute_path,
    "one-line": one_line,
    "memory-bandwidth": memory_bandwidth,
    "cpu-list": cpu_list,
    "hugepage-size": hugepage_size,
    "interface-name": interface_name,
    "cgroup-file": cgroup_file,
    "device-access": device_access,
    "capability": capability,
    "semver": semver,
}
