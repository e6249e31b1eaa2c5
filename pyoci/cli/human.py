"""The patient answer to a Mistake: help where it was wanted, else usage, the message and a hint.

Help pages and completion are made by click where it is installed (`click_reader.py`); without it, a plain
page from the same table takes their place.  The messages do not depend on click: engines match some of them.
"""

import os
import sys

from pyoci.cli.parse import HELP, NO_COMMAND, NO_SUCH_COMMAND, NO_SUCH_OPTION, Mistake
from pyoci.cli.table import COMMANDS, GLOBAL_OPTIONS, Command, Option, options_of
from pyoci.errors import EXIT_EXEC_FAILURE, EXIT_FAILURE, PyociError
from pyoci.log import Log

COMPLETE_VARIABLE = "_PYOCI_COMPLETE"


def answer(mistake: Mistake, log: Log) -> int:
    """Print what a person needs to go on; return the exit status."""
    command = COMMANDS.get(mistake.command)
    if mistake.kind == NO_COMMAND and os.environ.get(COMPLETE_VARIABLE):
        return _complete()
    if mistake.kind in {HELP, NO_COMMAND} and (command is not None or not mistake.command):
        _print(help_page(command))
        if command is None:
            return 0
        failure = _why_not(command)
        if failure is None:
            return 0
        log.error(failure)
    elif mistake.kind == HELP:
        log.error(Mistake(NO_SUCH_COMMAND, 'no such command: "%s"' % mistake.command))
    else:
        _print(usage(command) + "\n" + _pointer(command))
        if not mistake.fix:
            mistake.fix = _hint(mistake, command)
        log.error(mistake)
    return EXIT_EXEC_FAILURE if mistake.command == "exec" else EXIT_FAILURE


def _why_not(command: Command) -> "PyociError | None":
    """Why the command cannot work here: `checkpoint --help` is how podman and CRI-O probe for criu."""
    if not command.needs_criu:
        return None
    from pyoci.runtime.checkpoint import probe

    try:
        probe()
    except PyociError as error:
        return error
    return None


def help_page(command: "Command | None") -> str:
    """The help page of a command, or of pyoci itself."""
    try:
        from pyoci.cli.click_reader import help_page as click_help_page
    except ImportError:
        return plain_help_page(command)
    return click_help_page(command)


def usage(command: "Command | None") -> str:
    """The usage line of a command, or of pyoci itself."""
    if command is None:
        return "Usage: pyoci [OPTIONS] COMMAND [ARGS]..."
    return ("Usage: pyoci %s [OPTIONS] %s" % (command.name, command.arguments)).rstrip()


def plain_help_page(command: "Command | None") -> str:
    """The help page without click."""
    options: tuple[Option, ...]
    if command is None:
        options, rows = GLOBAL_OPTIONS, [(row.name, row.help) for row in COMMANDS.values()]
        about = "An OCI container runtime for Linux."
    else:
        options, rows = options_of(command), []
        about = command.help
    lines = [usage(command), "", "  " + about, "", "Options:"]
    lines += _columns([(option_names(option), option.help) for option in options])
    if rows:
        lines += ["", "Commands:", *_columns(rows)]
    return "\n".join(lines)


def option_names(option: Option) -> str:
    """`-b, --bundle DIR`"""
    names = "-%s, --%s" % (option.short, option.name) if option.short else "--" + option.name
    return names + " " + option.metavar if option.metavar else names


def _columns(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows) + 2
    return ["  " + left.ljust(width) + right for left, right in rows]


def _pointer(command: "Command | None") -> str:
    return "Try 'pyoci%s --help' for help." % (" " + command.name if command else "")


def _hint(mistake: Mistake, command: "Command | None") -> str:
    """What the person may have meant."""
    from difflib import get_close_matches

    if mistake.kind == NO_SUCH_COMMAND:
        close = get_close_matches(mistake.word, COMMANDS, n=1)
        return "did you mean %s?" % close[0] if close else ""
    if mistake.kind != NO_SUCH_OPTION:
        return ""
    global_names = [option.name for option in GLOBAL_OPTIONS]
    names = [option.name for option in options_of(command)] if command else global_names
    if command and mistake.word in global_names:
        return "--%s is an option of pyoci itself: put it before %s" % (mistake.word, command.name)
    close = get_close_matches(mistake.word, names, n=1)
    if close:
        return "did you mean --%s?" % close[0]
    owners = [row.name for row in COMMANDS.values() if any(o.name == mistake.word for o in row.options)]
    return "it is an option of %s: put it after the command" % ", ".join(owners) if owners and not command else ""


def _complete() -> int:
    try:
        from pyoci.cli.click_reader import complete
    except ImportError:
        return EXIT_FAILURE
    return complete(COMPLETE_VARIABLE)


def _print(page: str) -> None:
    sys.stdout.write(page.rstrip() + "\n")
    sys.stdout.flush()
