"""The full report: everything at once, in place, in words."""

import sys

import pytest

from pyoci.config.checker import conforms
from pyoci.config.formats import PREDICATES
from pyoci.config.json_text import parse
from pyoci.config.report import report
from pyoci.config.schema_faults import FORMAT_WORDS
from tests.unit.config.samples import everything, minimal, ordinary, text, variations


def found(document, schema="config"):
    return {fault.path: fault for fault in report(text(document), "config.json", schema)}


def test_many_faults_of_all_kinds_are_reported_at_once():
    config = ordinary()
    config["process"]["argz"] = config["process"].pop("args")
    config["process"]["cwd"] = "tmp"
    config["process"]["user"]["uid"] = "root"
    config["process"]["rlimits"].append({"type": "RLIMIT_NOPE", "soft": 1, "hard": 1})
    config["process"]["rlimits"].append({"type": "RLIMIT_AS", "soft": 2, "hard": 1})
    config["process"]["capabilities"]["bounding"].append("CAP_NOPE")
    config["linux"]["maskedPath"] = []
    config["linux"]["resources"]["memory"]["limit"] = "64M"
    config["linux"]["sysctl"] = {"kernel.panic": "1"}
    config["linux"]["devices"].append({"path": "/dev/x", "type": "q"})
    faults = found(config)
    errors = {path for path, fault in faults.items() if fault.level == "error"}
    assert errors == {
        ".process.args",
        ".process.cwd",
        ".process.user.uid",
        ".process.rlimits[1].type",
        ".process.rlimits[2].soft",  # numbered as in the text, though [1] is left out for the rules
        ".linux.resources.memory.limit",
        '.linux.sysctl["kernel.panic"]',
        ".linux.devices[1].type",
    }  # fmt: skip
    warnings = {path for path, fault in faults.items() if fault.level == "warning"}
    assert warnings == {".process.argz", ".process.capabilities.bounding[1]", ".linux.maskedPath"}
    assert faults[".process.args"].fix == "rename argz to args"
    assert faults[".process.argz"].fix == 'did you mean "args"?'
    assert faults[".linux.maskedPath"].fix == 'did you mean "maskedPaths"?'
    assert faults[".linux.resources.memory.limit"].fix == "write 67108864"
    lines = [fault.line for fault in faults.values()]
    assert lines == sorted(lines)


def test_every_fault_stands_where_it_says():
    config = ordinary()
    config["linux"]["namespaces"][2]["type"] = "icp"
    config["hostnam"] = "x"
    data = text(config).decode().splitlines()
    for fault in report(text(config), "config.json"):
        line = data[fault.line - 1][fault.column - 1 :]
        assert line.startswith('"icp"' if "namespaces" in fault.path else '"hostnam"')


@pytest.mark.parametrize(
    ("value", "words", "fix"),
    [
        ("root", 'must be an integer from 0 to 4294967294, not the string "root"', "write a number"),
        ("12", 'not the string "12"', "write 12 without quotes"),
        (-1, "not the number -1", ""),
        (1.0, "not the number 1.0", ""),
        (True, "not true", ""),
        ([0], "not an array", ""),
        ({}, "not an object", ""),
        (4294967295, "not the number 4294967295", ""),
    ],
)
def test_a_wrong_number_is_said_in_words(value, words, fix):
    config = ordinary()
    config["process"]["user"]["uid"] = value
    fault = found(config)[".process.user.uid"]
    assert words in fault.message
    assert fix in fault.fix


def test_choices_come_with_the_nearest_one():
    config = ordinary()
    config["linux"]["namespaces"][1]["type"] = "netwrok"
    config["linux"]["seccomp"]["defaultAction"] = "ERRNO"
    faults = found(config)
    assert faults[".linux.namespaces[1].type"].fix == 'did you mean "network"?'
    assert faults[".linux.seccomp.defaultAction"].fix == 'did you mean "SCMP_ACT_ERRNO"?'


def test_faulty_namespaces_cause_no_faults_elsewhere():
    config = ordinary()
    config["linux"]["namespaces"][3]["type"] = "utss"  # the one that the host name needs
    assert list(found(config)) == [".linux.namespaces[3].type"]


def test_names_that_are_not_allowed_are_reported_at_their_place():
    config = ordinary()
    config["linux"]["resources"]["unified"] = {"a/b": "1"}
    config["linux"]["timeOffsets"] = {"wall": {}}
    faults = found(config)
    assert "file name of cgroup v2" in faults['.linux.resources.unified["a/b"]'].message
    assert "one of monotonic, boottime" in faults[".linux.timeOffsets.wall"].message


def test_missing_properties_name_themselves():
    config = ordinary()
    del config["ociVersion"]
    del config["process"]["user"]["gid"]
    del config["linux"]["devices"][0]["major"]
    faults = found(config)
    for path in (".ociVersion", ".process.user.gid", ".linux.devices[0].major"):
        assert "is missing" in faults[path].message
        assert faults[path].line > 0


def test_one_of_two_must_be_there():
    config = ordinary()
    config["linux"]["resources"]["rdma"] = {"mlx": {}}
    assert found(config)[".linux.resources.rdma.mlx"].message == "needs hcaHandles or hcaObjects"


def test_unknown_properties_are_found_at_every_level_and_nowhere_else():
    config = everything()
    config["linux"]["intelRdt"]["enableCMT"] = True
    config["process"]["user"]["x"] = config["linux"]["seccomp"]["syscalls"][0]["y"] = 1
    faults = [
        fault for fault in report(text(config), "config.json") if fault.message.startswith("unknown property")
    ]
    assert [fault.path for fault in faults] == [
        ".process.user.x", ".linux.seccomp.syscalls[0].y", ".linux.intelRdt.enableCMT",
    ]  # fmt: skip
    assert "enableMonitoring" in faults[2].fix


def test_a_text_that_is_no_json_has_one_fault():
    (fault,) = report(b'{\n "a": 1,\n}', "config.json")
    assert (fault.line, fault.column, fault.level) == (2, 8, "error")
    assert "comma" in fault.message


def test_every_format_has_words():
    assert FORMAT_WORDS.keys() == PREDICATES.keys()


def test_a_sound_configuration_has_no_faults():
    assert report(text(ordinary()), "config.json") == []
    assert report(text(minimal()), "config.json") == []
    assert report(text({"cwd": "/", "args": ["x"]}), "process.json", "process") == []
    assert report(text({}), "resources", "resources") == []


def test_advice_is_a_warning():
    config = ordinary()
    config["mounts"][1]["options"].append("nosiud")
    config["process"]["capabilities"]["ambient"] = ["CAP_KILL"]
    config["hooks"]["prestart"] = [{"path": "/bin/true"}]
    config["linux"]["devices"].append({**config["linux"]["devices"][0], "path": "/dev/other"})
    config["linux"]["resources"]["memory"] = {"limit": 65536}
    faults = found(config)
    assert {fault.level for fault in faults.values()} == {"warning"}
    assert list(faults) == [
        ".process.capabilities.ambient[0]", ".mounts[1].options[2]", ".hooks.prestart",
        ".linux.resources.memory.limit", ".linux.devices[1]",
    ]  # fmt: skip


def test_a_word_of_podman_on_a_bind_is_told_of():
    config = ordinary()
    config["mounts"].append({"destination": "/a", "source": "/b", "options": ["rbind", "nocopy"]})
    faults = found(config)
    place = ".mounts[%d].options[1]" % (len(config["mounts"]) - 1)
    assert [(path, fault.level) for path, fault in faults.items()] == [(place, "warning")]
    assert "podman" in faults[place].message


def test_no_document_makes_the_report_fail():
    """Whatever stands in whatever place: the report ends, and says an error exactly when the check says no."""
    document = everything()
    for number, (key, intruder) in enumerate(variations(document)):
        if number % 8 == 0:  # about a hundred of them
            faults = report(text(document), "config.json")
            if not conforms(parse(text(document), "x"), "config"):
                assert any(fault.level == "error" for fault in faults), (key, intruder)
            for fault in faults:
                assert "\n" not in fault.message, (key, intruder)
                assert fault.line > 0
                assert fault.column > 0


def test_without_jsonschema_the_place_is_named_all_the_same(monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    config = ordinary()
    config["linux"]["seccomp"]["syscalls"][1]["args"][0]["index"] = 6
    (fault,) = report(text(config), "config.json")
    assert fault.path == ".linux.seccomp.syscalls[1].args[0].index"
    assert fault.level == "error"
    assert fault.line > 1
    assert "jsonschema" in fault.fix
    (fault,) = report(b"{}", "config.json")
    assert fault.level == "error"
