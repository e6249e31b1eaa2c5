"""The fast yes or no: does a document keep its schema?

Walks the tables that compile_schema made of schemas/*.json.  It says nothing about what is wrong; that is
pyoci.config.report's work, and tests hold the two to the same answer.

A table node is a tuple; its first item is the kind:

    (INTEGER, lowest, highest)      a bool or a float is none
    (BOOLEAN,)
    (STRING, predicate)             of pyoci.config.formats
    (ENUM, (value, ...))
    (ARRAY, item node, fewest)
    (TEXTS, fewest, empty)          array of text without NUL: the common case, done in C; `empty` allows ""
    (MAP, name predicate, node)     object with free names
    (OBJECT, {name: node}, (required name, ...), (one of these, ...), when, closed)
    (ANYTHING,)                     an object that nobody looks into

`when` is () or (name, (value, ...), (required name, ...)): these are required if `name` has one of the values.
`closed` objects have no other names (the clocks of timeOffsets).
"""

from pyoci.config.tables import SCHEMAS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

INTEGER, BOOLEAN, STRING, ENUM, ARRAY, TEXTS, MAP, OBJECT, ANYTHING = range(9)


def conforms(document: object, schema: str) -> bool:
    """Whether `document` (parsed, without nulls) keeps the schema named "config", "process" or "resources"."""
    return keeps(document, SCHEMAS[schema])


def keeps(value: "Any", node: "Any") -> bool:
    """Whether `value` is what the table node wants."""
    kind = node[0]
    if kind == OBJECT:
        return type(value) is dict and _keeps_object(value, node)
    if kind == STRING:
        return type(value) is str and node[1](value)
    if kind == INTEGER:
        return type(value) is int and node[1] <= value <= node[2]
    if kind == ENUM:
        return type(value) is str and value in node[1]
    if kind == TEXTS:
        return type(value) is list and len(value) >= node[1] and _texts(value, node[2])
    if kind == BOOLEAN:
        return type(value) is bool
    if kind == ARRAY:
        if type(value) is not list or len(value) < node[2]:
            return False
        item = node[1]
        for element in value:  # noqa: SIM110  (all() with a generator costs twice as much)
            if not keeps(element, item):
                return False
        return True
    if kind == MAP:
        if type(value) is not dict:
            return False
        for name, below in value.items():  # noqa: SIM110
            if not (node[1](name) and keeps(below, node[2])):
                return False
        return True
    return type(value) is dict


def _keeps_object(value: "dict[str, Any]", node: "Any") -> bool:
    _, properties, required, any_of, when, closed = node
    for name in required:
        if name not in value:
            return False
    for name, below in value.items():
        wanted = properties.get(name)
        if wanted is None:
            if closed:
                return False
        elif not keeps(below, wanted):
            return False
    if any_of and not any(name in value for name in any_of):
        return False
    if when and value.get(when[0]) in when[1]:
        for name in when[2]:
            if name not in value:
                return False
    return True


def _texts(values: "list[Any]", empty: bool) -> bool:
    try:
        return "\0" not in "".join(values) and (empty or "" not in values)
    except TypeError:  # not all are strings
        return False
