"""All that is wrong with a document at once, with line and column: slow, and only for people.

create and run import this when the fast check has said no; `pyoci check` always.
"""

import re

from pyoci.config.advice import advice
from pyoci.config.checker import conforms
from pyoci.config.fault import Fault
from pyoci.config.json_text import parse
from pyoci.config.positions import Positions, locate
from pyoci.config.rules import config_faults
from pyoci.config.rules_linux import ASK_NAMESPACES
from pyoci.config.rules_process import process_faults
from pyoci.config.rules_resources import resource_faults
from pyoci.config.schema_faults import first_broken, schema_faults, unknown_properties
from pyoci.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_STEP = re.compile(r'\.?\[(?:[0-9]+|"(?:[^"\\]|\\.)*")\]|\.[A-Za-z_]\w*')
_MUTING = (".linux.namespaces", ".linux.uidMappings", ".linux.gidMappings")


def report(data: bytes, name: str, schema: str = "config", *, systemd: bool = False) -> list[Fault]:
    """Every fault of the document `data`, errors and warnings, in the order of the text.

    `schema`: "config", "process" or "resources".  A text that is no JSON has one fault: where it stops being.
    """
    try:
        document = parse(data, name)
    except ConfigError as error:
        fault = Fault("", error.cause or error.message, error.fix)
        fault.line, fault.column = error.line, error.column
        return [fault]
    positions = locate(data.decode())
    found: list[Fault] = []
    broken: set[str] = set()
    if not conforms(document, schema):
        try:
            found, broken = schema_faults(document, schema)
        except ImportError:  # no jsonschema: the place alone
            return _placed([_first_place(document, schema)], positions)
    if type(document) is dict:
        found += unknown_properties(document, schema)
        rest, shifted = _sound_part(document, schema, broken)
        for fault in _rule_faults(rest, schema, systemd, broken):
            fault.path = _restore(fault.path, shifted)
            found.append(fault)
    if broken and not any(fault.level == "error" for fault in found):
        found.append(Fault("", "the document does not keep its schema"))
    return _placed(found, positions)


def first_error(data: bytes, name: str, schema: str, *, systemd: bool = False) -> ConfigError:
    """The first error of a document that the fast check or a rule refused, to be raised."""
    for fault in report(data, name, schema, systemd=systemd):
        if fault.level == "error":
            return as_error(fault, name)
    return ConfigError("%s: the document does not keep its schema" % name, where=name)


def as_error(fault: Fault, name: str) -> ConfigError:
    """The fault as something to raise; `name` is the document's."""
    place = "%s: %s" % (name, fault.path) if fault.path else name
    return ConfigError(
        "%s: %s" % (place, fault.message),
        where=fault.path or name,
        fix=fault.fix,
        line=fault.line,
        column=fault.column,
    )


def _rule_faults(document: "Any", schema: str, systemd: bool, broken: set[str]) -> list[Fault]:
    found: list[Fault] = []
    if schema == "process":
        process_faults(document, "", found)
        return found
    if schema == "resources":
        resource_faults(document, "", found, update=True)
        return found
    muted = any(path == ".linux" or path.startswith(_MUTING) for path in broken)
    found = config_faults(
        document,
        systemd=systemd,
        mute=ASK_NAMESPACES if muted else (),
        partial=any(path.startswith(".linux.resources.memory") for path in broken),
    )
    return found + advice(document)


def _sound_part(document: "Any", schema: str, broken: set[str]) -> "tuple[Any, dict[str, list[int]]]":
    """What is left for the rules: taking away a faulty value may leave its owner without what it must have."""
    rest, shifted = _without(document, broken)
    while broken and not conforms(rest, schema):
        more = {_restore(path, shifted) for path in schema_faults(rest, schema)[1]}
        if more <= broken:
            break
        broken |= more
        rest, shifted = _without(document, broken)
    return rest, shifted


def _without(document: "Any", broken: set[str]) -> "tuple[Any, dict[str, list[int]]]":
    """A copy without the values at the paths `broken`, and for each array in it the elements' old numbers."""
    from pyoci.config.fault import member

    shifted: dict[str, list[int]] = {}

    def copy(value: "Any", old: str, new: str) -> "Any":
        if type(value) is dict:
            return {
                key: copy(below, member(old, key), member(new, key))
                for key, below in value.items()
                if member(old, key) not in broken
            }
        if type(value) is list:
            kept = [number for number in range(len(value)) if "%s[%d]" % (old, number) not in broken]
            shifted[new] = kept
            return [copy(value[at], "%s[%d]" % (old, at), "%s[%d]" % (new, now)) for now, at in enumerate(kept)]
        return value

    return copy(document, "", ""), shifted


def _restore(path: str, shifted: dict[str, list[int]]) -> str:
    """The path in the whole document for a path in the copy that _without made."""
    old = new = ""
    for found in _STEP.finditer(path):
        step = found.group()
        if step[0] == "[" and step[1:-1].isdigit():
            kept = shifted.get(new, [])
            number = int(step[1:-1])
            old += "[%d]" % (kept[number] if number < len(kept) else number)
        else:
            old += step
        new += step
    return old


def _first_place(document: "Any", schema: str) -> Fault:
    """The first value that breaks the schema, found with the fast check's tables."""
    fix = "install the Python package jsonschema to be told what is wrong there"
    return Fault(first_broken(document, schema), "does not keep the schema", fix)


def _placed(found: list[Fault], positions: Positions) -> list[Fault]:
    """The faults with line and column, in the order of the text."""
    for fault in found:
        if fault.level == "warning" and fault.message.startswith("unknown property"):
            fault.line, fault.column = positions.key_line_column(fault.path)
        else:
            fault.line, fault.column = positions.line_column(fault.path)
    return sorted(found, key=lambda fault: (fault.line, fault.column))
