"""The second reader: a click application made from the table.

It makes the help pages and the shell completion.  It can also read an argv; a test holds that reading against
the fast reader's on whatever engines send, so that two implementations vouch for the table and for each other.

Importing this file imports click, which takes longer than a whole `state` command: only `human.py` does it.
"""

import os

import click
from click.shell_completion import CompletionItem, shell_complete

from pyoci.cli.parse import BAD_VALUE, Mistake, Reading, convert, finish_arguments
from pyoci.cli.table import CHOICE, COMMANDS, FLAG, GLOBAL_OPTIONS, LIST, Command, Option, options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_WIDTH = 100  # columns of a help page, at most
_SETTINGS = {"help_option_names": ["-h", "--help"]}


class _Value(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """The value of an option, converted as the fast reader converts it."""

    def __init__(self, option: Option) -> None:
        self.option = option
        self.name = option.metavar or option.name

    def convert(self, value: "Any", param: "click.Parameter | None", ctx: "click.Context | None") -> "Any":
        if not isinstance(value, str):
            return value
        try:
            return convert(self.option, value)
        except Mistake as mistake:
            self.fail(mistake.message, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if self.option.kind == CHOICE:
            return click.Choice(self.option.choices).shell_complete(ctx, param, incomplete)
        kind = {"DIR": "dir", "FILE": "file", "PATH": "file"}.get(self.option.metavar)
        return [CompletionItem(incomplete, type=kind)] if kind else []


class _Option(click.Option):
    """An option that shows only the names which a person types."""

    def get_help_record(self, ctx: click.Context) -> "tuple[str, str] | None":
        names, off = self.opts, self.secondary_opts
        self.opts, self.secondary_opts = [name for name in names if len(name) == 2 or name[:2] == "--"], []
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts, self.secondary_opts = names, off


class _Command(click.Command):
    """A command that understands the two spellings which click does not: `--flag=false` and `-b=DIR`."""

    row: Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _in_clicks_spelling(args, options_of(self.row), stops=self.row.stops))


class _Group(click.Group):
    """pyoci itself, with the same two spellings, and its commands in the table's order."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _in_clicks_spelling(args, GLOBAL_OPTIONS, stops=True))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def read(argv: list[str]) -> Reading:
    """Read an argv with click.  Raises click.UsageError, or Mistake for what click has no rule for."""
    result = application().main(argv, prog_name="pyoci", standalone_mode=False)
    if not isinstance(result, Reading):
        raise Mistake(BAD_VALUE, "not a command to carry out")
    return result


def help_page(command: "Command | None") -> str:
    """The help page of a command, or of pyoci itself."""
    group = application()
    parent = group.make_context("pyoci", [], resilient_parsing=True, max_content_width=_WIDTH)
    if command is None:
        return group.get_help(parent)
    page = group.commands[command.name]
    return page.get_help(page.make_context(command.name, [], parent=parent, resilient_parsing=True))


def complete(variable: str) -> int:
    """Answer the shell's question, which stands in the environment; print the shell's script for `bash_source`."""
    return shell_complete(application(), {}, "pyoci", variable, os.environ[variable])


def application() -> click.Group:
    """Make pyoci a click group.  Invoking it returns a Reading and carries nothing out."""
    group = _Group(
        "pyoci",
        help="An OCI container runtime for Linux.",
        params=_parameters(GLOBAL_OPTIONS),
        context_settings=_SETTINGS,
        callback=_version_or_nothing,
        invoke_without_command=True,
    )
    for row in COMMANDS.values():
        group.add_command(_command(row))
    return group


def _version_or_nothing(**settings: "Any") -> "Reading | None":
    return Reading("version", settings, {}, []) if settings["version"] else None


def _command(row: Command) -> click.Command:
    arguments = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED, metavar=row.arguments)
    command = _Command(
        row.name,
        help=row.help,
        params=[*_parameters(row.options), arguments],
        context_settings={**_SETTINGS, "allow_interspersed_args": not row.stops},
        callback=lambda **values: _reading(row, values),
        options_metavar="[OPTIONS]",
    )
    command.row = row
    return command


def _reading(row: Command, values: "dict[str, Any]") -> Reading:
    arguments = finish_arguments(row, list(values.pop("arguments")))
    options = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    parent = click.get_current_context().parent
    return Reading(row.name, dict(parent.params) if parent else {}, options, arguments)


def _parameters(options: tuple[Option, ...]) -> list[click.Parameter]:
    """The options as click's, without --help, which click adds itself."""
    return [_parameter(option) for option in options if option.name != "help"]


def _parameter(option: Option) -> click.Option:
    names = ["-" + option.short] * bool(option.short) + ["--" + option.name, "-" + option.name, option.key]
    if option.kind == FLAG:
        names[-2] += "/" + _off("--" + option.name)
        return _Option(names, is_flag=True, default=False, help=option.help)
    text = option.help + (" (%s)" % ", ".join(option.choices) if option.choices else "")
    repeats = option.kind == LIST
    return _Option(
        names,
        type=_Value(option),
        default=None if repeats else option.default,
        multiple=repeats,
        metavar=option.metavar,
        help=text,
    )


def _off(name: str) -> str:
    """The name under which click knows `--flag=false`; the space keeps a person from typing it."""
    return name + " off"


def _in_clicks_spelling(args: list[str], options: "Iterable[Option]", *, stops: bool) -> list[str]:
    """The words with `--flag=false`, `--flag=true` and `-b=DIR` written as click understands them."""
    long_names = {dashes + option.name: option for option in options for dashes in ("-", "--")}
    short_names = {"-" + option.short: option for option in options if option.short}
    spelled: list[str] = []
    rest = iter(args)
    for word in rest:
        if word == "--" or (stops and not (word.startswith("-") and len(word) > 1)):
            return [*spelled, word, *rest]
        name, equals, value = word.partition("=")
        option = long_names.get(name) or short_names.get(name)
        if option is None:
            spelled.append(word)
        elif option.kind == FLAG and equals:
            spelled.append(name_of(option) if convert(option, value) else _off(name_of(option)))
        elif equals:
            spelled.append("%s=%s" % (name_of(option), value))
        else:
            spelled.append(word)
            if option.kind != FLAG:
                spelled += [value for value in (next(rest, None),) if value is not None]
    return spelled


def name_of(option: Option) -> str:
    """`--bundle`"""
    return "--" + option.name
