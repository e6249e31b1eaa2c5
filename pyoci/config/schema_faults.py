"""What jsonschema finds, said in words a person would use; and the properties that the schema does not know."""

import difflib
import re

from pyoci.config import checker, formats
from pyoci.config.checker import keeps
from pyoci.config.compile_schema import ENTRIES, load_schema
from pyoci.config.fault import Fault, member, quoted
from pyoci.config.tables import SCHEMAS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMAT_WORDS = {
    "text": "text without NUL characters",
    "nonempty-text": "text of at least one character, without NUL",
    "absolute-path": "an absolute path: it begins with /",
    "one-line": "text without line breaks",
    "memory-bandwidth": "one line that begins with MB:",
    "cpu-list": "a list of numbers and ranges such as 0-3,7",
    "hugepage-size": "a page size such as 64KB, 2MB or 1GB",
    "interface-name": "an interface name: at most 15 characters without space, slash or colon",
    "cgroup-file": "a file name of cgroup v2 such as memory.high",
    "device-access": "one to three of the letters r, w and m",
    "capability": "a capability's name such as CAP_CHOWN",
    "semver": "a version as semver.org has it, such as 1.3.0",
}
# (place with [] for any index, keyword) -> words that callers know from other runtimes
_KNOWN_WORDS = {
    (".process.cwd", "format"): "Cwd must be an absolute path",
    (".process.args", "minItems"): "args must not be empty",
    (".process.args", "required"): "args must not be empty",
    (".process.rlimits[].type", "enum"): "wrong rlimit value: %(value)s",
}
_RETIRED = {
    ".linux.intelRdt.enableCMT": "enableMonitoring took its place in runtime-spec 1.3.0",
    ".linux.intelRdt.enableMBM": "enableMonitoring took its place in runtime-spec 1.3.0",
}
_SIZE = re.compile(r"([0-9]+) *([kKmMgGtT])i?[bB]?")
_POWERS = {"k": 10, "m": 20, "g": 30, "t": 40}


def validator(schema: str) -> "Any":
    """A jsonschema validator for "config", "process", "resources", "state" or "features".

    Stricter than JSON Schema in one point: 1.0 and true are no integers.  Formats are checked with the same
    predicates as in the fast check.
    """
    import jsonschema
    import referencing
    from referencing.jsonschema import DRAFT202012

    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    validator_class: Any = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)  # type: ignore[no-untyped-call]
    format_checker = jsonschema.FormatChecker(formats=())
    for name, predicate in formats.PREDICATES.items():
        format_checker.checks(name)(_on_strings(predicate))
    # Without $schema: jsonschema would choose its own, laxer validator class by it.
    config = DRAFT202012.create_resource(
        {key: below for key, below in load_schema("config").items() if key != "$schema"}
    )
    registry: Any = referencing.Registry().with_resource("config.json", config)
    if schema in ENTRIES:
        below = ENTRIES[schema]
        root: Any = {"$ref": "config.json#/$defs/" + below if below else "config.json"}
    else:
        root = {key: below for key, below in load_schema(schema).items() if key != "$schema"}
    return validator_class(root, registry=registry, format_checker=format_checker)


def _on_strings(predicate: "Any") -> "Any":
    return lambda value: type(value) is not str or predicate(value)


def schema_faults(document: "Any", schema: str) -> tuple[list[Fault], set[str]]:
    """The faults, and the paths that must be taken away for the rest of the document to keep its schema."""
    found: dict[tuple[str, str], Fault] = {}
    broken: set[str] = set()
    for error in validator(schema).iter_errors(document):
        place = _jq(error.absolute_path)
        if error.validator == "required":
            for name in error.validator_value:
                if name not in error.instance:
                    fault = _missing(place, name, error.instance, error.schema, schema)
                    found.setdefault((place, name), fault)
            if place not in ("", ".process" if schema == "config" else ""):
                broken.add(place)
            continue
        if "propertyNames" in error.absolute_schema_path:
            place = member(place, error.instance)
            message = "the name %s is not allowed here: it must be %s" % (
                quoted(error.instance),
                _wanted(error.schema),
            )
            found.setdefault((place, ""), Fault(place, message, _fix(error)))
        elif error.validator == "anyOf":
            names = [choice["required"][0] for choice in error.validator_value]
            found.setdefault(
                (place, ""), Fault(place, "needs %s" % " or ".join(names), "give at least one of them")
            )
        else:
            found.setdefault((place, ""), Fault(place, _message(place, error, schema), _fix(error)))
        broken.add(place)
    return list(found.values()), broken


def first_broken(document: "Any", schema: str) -> str:
    """The jq path of the innermost first value that breaks the schema, by the fast check's tables."""
    place, value, node = "", document, SCHEMAS[schema]
    while True:
        for step, below, inner in _below(place, value, node):
            if not keeps(below, inner):
                place, value, node = step, below, inner
                break
        else:
            return place


def _below(place: str, value: "Any", node: "Any") -> "list[tuple[str, Any, Any]]":
    """(path, value, table node) of what the table node checks inside the value."""
    if node[0] == checker.ARRAY and type(value) is list:
        return [("%s[%d]" % (place or ".", number), item, node[1]) for number, item in enumerate(value)]
    if node[0] == checker.MAP and type(value) is dict:
        return [(member(place, name), below, node[2]) for name, below in value.items() if name]
    if node[0] == checker.OBJECT and type(value) is dict:
        return [(member(place, name), below, node[1][name]) for name, below in value.items() if name in node[1]]
    return []


def _jq(path: "Any") -> str:
    place = ""
    for step in path:
        place = "%s[%d]" % (place or ".", step) if isinstance(step, int) else member(place, step)
    return place


def _message(place: str, error: "Any", schema: str) -> str:
    words = _known_words(place, "format" if error.validator == "pattern" else error.validator, schema)
    if words:
        return words % {"value": error.instance} if "%(" in words else words
    if error.validator == "minItems":
        return "must not be empty"
    return "must be %s, not %s" % (_wanted(error.schema), _shown(error.instance))


def _known_words(place: str, keyword: str, schema: str) -> str:
    place = (".process" if schema == "process" else "") + re.sub(r"\[[0-9]+\]", "[]", place)
    return _KNOWN_WORDS.get((place, keyword), "")


def _wanted(schema: "Any") -> str:
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    kind = schema.get("type")
    if kind == "integer":
        return "an integer from %d to %d" % (schema["minimum"], schema["maximum"])
    if kind == "string":
        return FORMAT_WORDS[schema["format"]]
    return {"boolean": "true or false", "array": "an array", "object": "an object"}.get(str(kind), "something else")


def _shown(value: "Any") -> str:
    if type(value) is str:
        return "the string " + quoted(value if len(value) <= 60 else value[:57] + "...")
    if type(value) is bool:
        return "true" if value else "false"
    if value is None:
        return "null"
    if type(value) is dict:
        return "an object"
    return "an array" if type(value) is list else "the number %s" % value


def _fix(error: "Any") -> str:
    """What would be right, where that can be guessed from what is there."""
    value, schema = error.instance, error.schema
    if "enum" in schema and type(value) is str:
        near = _nearest(value, [str(choice) for choice in schema["enum"]])
        return 'did you mean "%s"?' % near if near else str(schema.get("description", "one of these"))
    if schema.get("type") == "integer" and type(value) is str:
        size = _SIZE.fullmatch(value.strip())
        if size:
            return "write %d" % (int(size.group(1)) << _POWERS[size.group(2).lower()])
        if value.isascii() and value.lstrip("-").isdigit():
            return "write %s without quotes" % value
        return "write a number: names are not looked up" if value.isalpha() else ""
    if schema.get("type") == "boolean" and value in ("true", "false"):
        return "write %s without quotes" % value
    if schema.get("type") == "array" and type(value) is str:
        words = value.replace(",", " ").split()
        return "write [%s]" % ", ".join(quoted(word) for word in words) if words else "write a list"
    if schema.get("format") == "absolute-path" and type(value) is str and value:
        return "write %s" % quoted("/" + value)
    if type(schema.get("type")) is str:
        return "write %s" % _EXAMPLES.get(schema["type"], "a value of the right type")
    return ""


# What each JSON type looks like, for whoever wrote another one.
_EXAMPLES = {
    "string": 'text in quotes, such as "5"',
    "integer": "a whole number without quotes",
    "boolean": "true or false",
    "array": "a list: [ ... ]",
    "object": 'an object: {"name": value}',
}


def _missing(place: str, name: str, instance: "Any", schema: "Any", document: str) -> Fault:
    at = member(place, name)
    unknown = [key for key in instance if key not in schema.get("properties", {})]
    near = _nearest(name, unknown)
    message = _known_words(at, "required", document)
    message = (
        ("%s: the property %s is missing" % (message, name)) if message else "the property %s is missing" % name
    )
    return Fault(at, message, "rename %s to %s" % (near, name) if near else "add %s" % name)


def _nearest(word: str, choices: list[str]) -> str:
    folded = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), list(folded), n=1, cutoff=0.7)
    if near:
        return folded[near[0]]
    ends = [choice for choice in choices if choice.lower().endswith("_" + word.lower())]
    return ends[0] if len(ends) == 1 and word else ""


def unknown_properties(document: "Any", schema: str) -> list[Fault]:
    """A warning for each property that the schema does not name: it has no effect (config.md, Extensibility)."""
    whole = load_schema("config")
    below = ENTRIES[schema]
    found: list[Fault] = []
    _walk(document, whole["$defs"][below] if below else whole, "", whole, found)
    return found


def _walk(value: "Any", schema: "Any", place: str, whole: "Any", found: list[Fault]) -> None:
    while "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if type(value) is list and "items" in schema:
        for number, item in enumerate(value):
            _walk(item, schema["items"], "%s[%d]" % (place or ".", number), whole, found)
    elif type(value) is dict and "additionalProperties" in schema:
        for name, below in value.items():
            _walk(below, schema["additionalProperties"], member(place, name), whole, found)
    elif type(value) is dict and "properties" in schema:
        properties = schema["properties"]
        for name, below in value.items():
            at = member(place, name) if name else (place or ".") + '[""]'
            if name in properties:
                _walk(below, properties[name], at, whole, found)
            elif "propertyNames" not in schema:
                found.append(_unknown(at, name, list(properties)))


def _unknown(at: str, name: str, known: list[str]) -> Fault:
    near = _nearest(name, known)
    fix = _RETIRED.get(at) or ('did you mean "%s"?' % near if near else "remove it")
    return Fault(at, "unknown property %s: it has no effect" % quoted(name), fix, "warning")
