"""Signal names and numbers (signal(7), x86 and Arm), and every spelling `kill` accepts."""

from pyoci.errors import UsageError

NUMBERS = {
    "HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "IOT": 6, "BUS": 7, "FPE": 8, "KILL": 9,
    "USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CLD": 17,
    "CONT": 18, "STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25,
    "VTALRM": 26, "PROF": 27, "WINCH": 28, "IO": 29, "POLL": 29, "PWR": 30, "SYS": 31, "UNUSED": 31,
}  # fmt: skip

# As libc shows them to programs: 32 and 33 belong to its threads.
RTMIN = 34
RTMAX = 64


def parse_signal(text: str) -> int:
    """`9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`, `SIGRTMAX-1`, `0` (test only) -> the number, 0..64.

    Raises UsageError `unknown signal "X"`.
    """
    if text.isascii() and text.isdigit():
        number = int(text) if len(text) < 10 else RTMAX + 1
    else:
        name = text.upper() if text.isascii() else ""
        name = name.removeprefix("SIG")
        number = NUMBERS.get(name, -1)
        if number < 0:
            number = _realtime(name)
    if not 0 <= number <= RTMAX:
        shown = text if text.isprintable() else text.encode("unicode_escape").decode()
        raise UsageError('unknown signal "%s"' % shown, fix="use a number from 0 to 64 or a name such as TERM")
    return number


def _realtime(name: str) -> int:
    """RTMIN, RTMIN+n, RTMAX or RTMAX-n -> number; -1 for anything else or out of RTMIN..RTMAX."""
    base = {"RTMIN": RTMIN, "RTMAX": RTMAX}.get(name[:5], -1)
    rest = name[5:]
    if base < 0 or not rest:
        return base
    if rest[0] != ("+" if base == RTMIN else "-") or not rest[1:].isdigit() or len(rest) > 3:
        return -1
    number = base + int(rest)
    return number if RTMIN <= number <= RTMAX else -1


def signal_name(number: int) -> str:
    """SIGKILL for 9, SIGRTMIN+2 for 36; the number itself where there is no name."""
    for name, value in NUMBERS.items():
        if value == number:
            return "SIG" + name
    if RTMIN <= number <= RTMAX:
        return "SIGRTMIN+%d" % (number - RTMIN) if number > RTMIN else "SIGRTMIN"
    return str(number)
