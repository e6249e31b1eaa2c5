"""pyoci.config.types says what the schemas say."""

from typing import get_args, get_origin, get_type_hints, is_typeddict

import pytest

from pyoci.config import types
from pyoci.config.compile_schema import load_schema

CONFIG = load_schema("config")


def _schema(node):
    while "$ref" in node:
        here = CONFIG
        for part in node["$ref"].partition("#/")[2].split("/"):
            here = here[part]
        node = here
    return node


def _compare(place, hint, node):
    node = _schema(node)
    kind = node["type"]
    if kind == "object" and "additionalProperties" in node:
        assert get_origin(hint) is dict, place
        _compare(place + "[]", get_args(hint)[1], node["additionalProperties"])
    elif kind == "object" and "properties" not in node:
        assert get_origin(hint) is dict, place
    elif kind == "object":
        assert is_typeddict(hint), place
        hints = get_type_hints(hint)
        assert hints.keys() == node["properties"].keys(), place
        # args is required where a program runs; a type cannot say so for .process of a config without process.
        required = set(node.get("required", ())) - {"args"}
        assert set(hint.__required_keys__) == required, place
        for name, below in node["properties"].items():
            _compare(place + "." + name, hints[name], below)
    elif kind == "array":
        assert get_origin(hint) is list, place
        _compare(place + "[]", get_args(hint)[0], node["items"])
    elif "enum" in node and get_args(hint):
        assert set(get_args(hint)) == set(node["enum"]), place
    else:
        assert hint is {"string": str, "integer": int, "boolean": bool}[kind], place


@pytest.mark.parametrize("name", ["config", "state"])
def test_types_mirror_the_schema(name):
    _compare("", {"config": types.Config, "state": types.State}[name], load_schema(name))


def test_process_and_resources_are_the_documents_of_exec_and_update():
    _compare("", types.Process, CONFIG["$defs"]["process"])
    _compare("", types.Resources, CONFIG["$defs"]["resources"])


def test_a_wrong_type_would_be_noticed():
    with pytest.raises(AssertionError):
        _compare("", types.Process, CONFIG["$defs"]["resources"])
