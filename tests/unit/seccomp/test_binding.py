"""libseccomp's two Python bindings, and none."""

import json
import os
import subprocess
import sys

import pytest

from pyoci.errors import HostError
from pyoci.seccomp import binding, load_filter

from .test_compile import DOCKER, docker_profile

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def test_without_a_binding_the_error_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "seccomp", None)
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    before = sys.path[:]
    with pytest.raises(HostError) as caught:
        load_filter({"defaultAction": "SCMP_ACT_ALLOW"}, None)
    assert str(caught.value) == "linux.seccomp needs libseccomp and a Python binding of it"
    assert "python3-seccomp" in caught.value.fix
    assert "pyseccomp" in caught.value.fix
    assert sys.path == before


def test_another_module_called_seccomp_is_passed_over(monkeypatch):
    monkeypatch.setitem(sys.modules, "seccomp", type(sys)("seccomp"))
    assert load_filter({"defaultAction": "SCMP_ACT_ALLOW"}, None).bpf


def test_only_one_module_imports_the_bindings():
    importers = []
    for directory, _, names in os.walk(os.path.join(REPOSITORY, "pyoci")):
        for name in names:
            if name.endswith(".py"):
                with open(os.path.join(directory, name)) as file:
                    lines = [line.split() for line in file]
                if any(line[:2] in (["import", "seccomp"], ["import", "pyseccomp"]) for line in lines):
                    importers.append(name)
    assert importers == [os.path.basename(binding.__file__)]


def test_both_bindings_make_the_same_filter_even_without_site():
    """The official binding lives with the distribution's interpreter; the other one runs this test."""
    python = "/usr/bin/python3"
    script = (
        "import json, sys; sys.path.insert(0, %r)\n"
        "from pyoci.seccomp import load_filter\n"
        "bpf = load_filter(json.load(open(%r)), None).bpf\n"
        "print(json.dumps([bpf.hex(), 'seccomp' in sys.modules]))"
    ) % (REPOSITORY, DOCKER)
    done = subprocess.run([python, "-I", "-S", "-c", script], capture_output=True, text=True, timeout=30)
    if done.returncode != 0 or not json.loads(done.stdout)[1]:
        pytest.skip("%s has no official binding: %s" % (python, done.stderr[-200:]))
    assert bytes.fromhex(json.loads(done.stdout)[0]) == load_filter(docker_profile(), None).bpf
