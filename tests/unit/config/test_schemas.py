"""The schemas themselves: complete, explained, and not laxer than the official ones."""

import glob
import json
import os

import pytest

from pyoci.config.checker import conforms
from pyoci.config.compile_schema import SCHEMA_DIRECTORY, TARGET, compile_tables, load_schema
from pyoci.config.json_text import parse
from pyoci.config.schema_faults import validator
from tests.unit.config.samples import INTRUDERS, everything, minimal, ordinary, places, variations

DOCUMENTS = os.path.join(os.path.dirname(__file__), "documents")
OFFICIAL = os.environ.get("PYOCI_OFFICIAL_SCHEMAS", "")
# What the specification's text allows and its JSON schema does not, by property; the text is the specification.
LAXER = {
    "rootfsPropagation": "engines send the r-forms",
    "fileMode": "config-linux.md: uint32; engines send st_mode with its type bits",
    "pids": "config-linux.md: limit is OPTIONAL",
}


def _properties(schema, place=""):
    for name, below in schema.get("properties", {}).items():
        yield place + "." + name, below
        yield from _properties(below, place + "." + name)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _properties(schema[key], place + "[]")


@pytest.mark.parametrize("name", ["config", "state", "features"])
def test_every_property_is_described(name):
    schema = load_schema(name)
    config = load_schema("config")
    found = list(_properties(schema))
    for defined, below in schema.get("$defs", {}).items():
        found += [(defined + place, each) for place, each in _properties(below)]
    assert found
    for place, below in found:
        chain = [below]
        while "$ref" in chain[-1]:
            chain.append(_target(chain[-1]["$ref"], config))
        if chain[-1].get("type") == "array":
            items = chain[-1]["items"]
            chain += [items, _target(items["$ref"], config) if "$ref" in items else items]
        assert any(node.get("description") for node in chain), place


def _target(reference, config):
    here = config
    for part in reference.partition("#/")[2].split("/"):
        here = here[part]
    return here


def test_schemas_keep_the_metaschema():
    import jsonschema

    for name in ("config", "state", "features"):
        schema = load_schema(name)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        jsonschema.Draft202012Validator.check_schema(schema)


def test_tables_are_as_new_as_the_schemas():
    with open(TARGET, encoding="utf-8") as file:
        assert file.read() == compile_tables(), "run python -m pyoci.config.compile_schema"


def test_schemas_are_found_inside_the_package():
    package = os.path.join(os.path.dirname(TARGET), os.pardir)
    assert os.path.realpath(SCHEMA_DIRECTORY) == os.path.realpath(os.path.join(package, "schemas"))
    assert sorted(name for name in os.listdir(SCHEMA_DIRECTORY)) == ["config.json", "features.json", "state.json"]


@pytest.mark.parametrize("path", sorted(glob.glob(DOCUMENTS + "/good/*.json")), ids=os.path.basename)
def test_good_documents_conform(path):
    name, document = _document(path)
    assert not list(validator(name).iter_errors(document))
    if name in ("config", "process", "resources"):
        assert conforms(document, name)


@pytest.mark.parametrize("path", sorted(glob.glob(DOCUMENTS + "/bad/*.json")), ids=os.path.basename)
def test_bad_documents_do_not_conform(path):
    name, document = _document(path)
    assert list(validator(name).iter_errors(document))
    if name in ("config", "process", "resources"):
        assert not conforms(document, name)


def _document(path):
    """Schema name (the file name up to the first dash) and parsed content."""
    with open(path, "rb") as file:
        return os.path.basename(path).partition("-")[0], parse(file.read(), path)


def test_fast_check_and_jsonschema_agree_on_every_replacement_and_removal():
    check = validator("config")
    counts = {True: 0, False: 0}
    for base in (everything(), minimal()):
        assert conforms(base, "config")
        for key, intruder in variations(base, INTRUDERS if OFFICIAL else None):
            fast = conforms(base, "config")
            assert fast == check.is_valid(base), (key, intruder)
            counts[fast] += 1
    assert min(counts.values()) > 100


def test_unknown_properties_are_allowed_everywhere():
    document = everything()
    containers = [document] + [
        container[key] for container, key in places(document) if isinstance(container[key], dict)
    ]
    maps = [document["annotations"], document["linux"]["sysctl"], document["linux"]["resources"]["unified"]]
    maps += [
        document["linux"]["resources"]["rdma"],
        document["linux"]["netDevices"],
        document["linux"]["timeOffsets"],
    ]
    for container in containers:
        if not any(container is each for each in maps):
            container["surprise"] = {"deep": [1]}
    assert conforms(document, "config")
    assert validator("config").is_valid(document)


@pytest.mark.skipif(not OFFICIAL, reason="PYOCI_OFFICIAL_SCHEMAS names no directory with the official schemas")
def test_what_the_official_schema_refuses_ours_refuses():
    theirs = _official("config-schema.json")
    refused = 0
    for base in (everything(), ordinary()):
        for other in ("windows", "solaris", "vm", "zos", "freebsd"):
            base.pop(other, None)
        base["linux"].pop("rootfsPropagation", None)  # rslave, which is in LAXER
        for key, intruder in variations(base, INTRUDERS):
            if not theirs.is_valid(base):
                refused += 1
                lax = key in LAXER or (key == "limit" and intruder == "REMOVE")
                assert lax or not conforms(base, "config"), (key, intruder)
    assert refused > 500


@pytest.mark.skipif(not OFFICIAL, reason="PYOCI_OFFICIAL_SCHEMAS names no directory with the official schemas")
@pytest.mark.parametrize("kind", ["config", "features", "state"])
def test_the_official_examples_are_judged_alike(kind):
    for verdict in ("good", "bad"):
        for path in glob.glob("%s/test/%s/%s/*.json" % (OFFICIAL, kind, verdict)):
            if os.path.basename(path) in ("freebsd-vnet-disable.json", "invalid-json.json"):
                continue  # another platform's block is opaque to us; no JSON at all is not the schema's business
            with open(path, "rb") as file:
                document = parse(file.read(), path)
            assert validator(kind).is_valid(document) == (verdict == "good"), path


def _official(name):
    import jsonschema
    import referencing
    from referencing.jsonschema import DRAFT4

    def read(path):
        with open(os.path.join(OFFICIAL, path), encoding="utf-8") as file:
            return DRAFT4.create_resource(json.load(file))

    names = [os.path.basename(path) for path in glob.glob(OFFICIAL + "/*.json")]
    registry = referencing.Registry().with_resources((each, read(each)) for each in names)
    return jsonschema.Draft4Validator({"$ref": name}, registry=registry)
