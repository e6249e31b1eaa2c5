"""The words that the schema of config.json lets through are the words the tables know."""

import json
import os

import pytest

from pyoci.tables import mount_options, namespaces, process, rlimits, seccomp

SCHEMA = os.path.join(os.path.dirname(__file__), "..", "..", "..", "schemas", "config.json")


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("$defs/rlimit/properties/type", rlimits.NUMBERS),
        ("$defs/scheduler/properties/policy", process.SCHEDULER_POLICIES),
        ("$defs/scheduler/properties/flags/items", process.SCHEDULER_FLAGS),
        ("$defs/process/properties/ioPriority/properties/class", process.IOPRIO_CLASSES),
        ("$defs/seccomp-action", seccomp.ACTIONS),
        ("$defs/seccomp-arch", seccomp.ARCHITECTURES),
        ("$defs/seccomp-operator", seccomp.OPERATORS),
        ("$defs/seccomp-flag", seccomp.FLAGS),
        ("$defs/namespace-type", namespaces.CLONE_FLAGS),
        ("$defs/linux/properties/timeOffsets/propertyNames", process.TIME_CLOCKS),
        ("$defs/linux/properties/memoryPolicy/properties/mode", process.MEMORY_POLICIES),
        ("$defs/linux/properties/memoryPolicy/properties/flags/items", process.MEMORY_POLICY_FLAGS),
        ("$defs/linux/properties/rootfsPropagation", mount_options.PROPAGATIONS),
        ("$defs/linux/properties/personality/properties/domain", process.PERSONALITIES),
    ],
)
def test_schema_and_table_have_the_same_words(path, table):
    with open(SCHEMA) as file:
        node = json.load(file)
    for key in path.split("/"):
        node = node[key]
    assert sorted(node["enum"]) == sorted(table)
