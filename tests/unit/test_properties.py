"""Every property of the schemas has a row that names tests which exist and can run on some machine."""

import ast
import importlib.machinery
import importlib.util
import os
import re

import pytest

from tests.unit.test_matrix import PROJECT, STATUSES, cases, functions, is_always_skipped, read

__all__ = ["cases"]  # the fixture

# What a test may ask of the machine -> the machine of ours that has it: `host` is Debian with hybrid cgroups and
# root, without CAP_SYS_RESOURCE, NUMA and systemd; the others are tests/vm/run with these options.
MACHINES = {
    "root": "host",
    "cgroup1": "host",
    "cgroup2": "vm",
    "userns": "host",
    "timens": "host",
    "cgroupns": "host",
    "sys_resource": "vm",
    "sys_nice": "host",
    "no_rt_group": "vm",
    "no_apparmor": "host",
    "apparmor": "vm",
    "no_selinux": "host",
    "selinux": "vm --append security=selinux",
    "swap": "vm",
    "systemd": "vm",
    "no_systemd": "host",
    "mqueue": "host",
    "ip": "host",
    "two_cpus": "host",
    "compiler": "host",
    "fuse": "host",
    "idmapped_tmpfs": "host",
}


def load_script():
    loader = importlib.machinery.SourceFileLoader("properties_script", f"{PROJECT}/conformance/properties")
    spec = importlib.util.spec_from_loader("properties_script", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


SCRIPT = load_script()
ROWS = read("properties.json")
IDS = [row["property"] for row in ROWS]


def test_every_property_of_the_schemas_has_one_row_and_no_other_has():
    assert SCRIPT.properties() == IDS
    assert len(set(IDS)) == len(IDS) > 250


def test_the_table_is_what_the_script_makes_of_it():
    assert SCRIPT.filled(read("properties.json")) == ROWS, "run conformance/properties"


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_row_says_what_proves_it_or_why_nothing_does(row):
    assert row["status"] in STATUSES
    if row["status"] == "carried-out":
        assert row["tests"], f"{row['property']} is carried out, and no test shows it"
    else:
        assert len(row["reason"]) > 10, f"{row['property']} is {row['status']} without a reason"


def demands(function):
    """The abilities that a test asks the machine for: requires("x"), requires_x()."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name == "requires":
                found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
            elif name.startswith("requires_"):
                found.add(name.removeprefix("requires_"))
    return found


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_named_tests_exist_and_run_on_some_machine(row, cases):
    skipped = 0
    for name in row["tests"]:
        if name.startswith("conformance/"):
            assert name in cases, f"{row['property']}: no case {name}"
            skipped += is_skipped_everywhere(name.removeprefix("conformance/"))
            continue
        path, _, function = name.partition("::")
        assert function in functions(path), f"{row['property']}: no test {name} (or its file is skipped)"
        skipped += is_always_skipped(functions(path)[function])
        unknown = demands(functions(path)[function]) - MACHINES.keys()
        assert not unknown, f"{name} asks for {unknown}: say in MACHINES which machine has it"
    if row["tests"]:
        assert skipped < len(row["tests"]), f"{row['property']}: {row['tests']} are skipped on every machine"


def is_skipped_everywhere(case):
    """Whether every kept run of the suite skipped the case: results/pyoci.json, pyoci-vm.json, ..."""
    folder = f"{PROJECT}/conformance/results"
    kept = [read("results/" + name)["cases"] for name in sorted(os.listdir(folder)) if name.startswith("pyoci")]
    results = [run[case]["result"] for run in kept if case in run]
    return bool(results) and set(results) == {"skip"}


def test_every_ability_that_tests_ask_for_is_one_of_some_machine():
    """So that no test is skipped on all of them: the table above has them all."""
    with open(f"{PROJECT}/tests/integration/host.py", encoding="utf-8") as file:
        known = re.findall(r'^    "(\w+)": \(', file.read(), re.MULTILINE)
    assert set(known) <= MACHINES.keys()


def test_a_property_that_a_schema_gains_fails_without_a_row(monkeypatch):
    known = SCRIPT.schema_of

    def grown(name):
        schema = known(name)
        if name == "state":
            schema["properties"]["mood"] = {"type": "string"}
        return schema

    monkeypatch.setattr(SCRIPT, "schema_of", grown)
    assert "state.mood" in SCRIPT.properties()
    assert "state.mood" not in IDS
