"""Tables whose numbers another source on this machine knows."""

import os
import re
import resource

import pytest

from pyoci.tables import capabilities, namespaces, process, rlimits, rootfs, seccomp


def header(path: str) -> dict[str, int]:
    if not os.path.exists(path):
        pytest.skip("no " + path)
    with open(path) as file:
        text = file.read()
    return {
        name: int(value, 0) for name, value in re.findall(r"^#define (\w+)\s+(0x[\da-fA-F]+|\d+)\b", text, re.M)
    }


def test_capabilities_are_the_kernel_header_s():
    known = header("/usr/include/linux/capability.h")
    assert {name: known[name] for name in capabilities.NAMES} == capabilities.NUMBERS
    assert len(capabilities.NAMES) == 41


def test_namespaces_are_the_kernel_header_s():
    known = header("/usr/include/linux/sched.h")
    spelled = {"mount": "NS", "network": "NET"}
    for name, flag in namespaces.CLONE_FLAGS.items():
        assert known["CLONE_NEW" + spelled.get(name, name.upper())] == flag
        assert os.path.exists("/proc/self/ns/" + namespaces.PROC_NAMES[name])
    for name in namespaces.CHILDREN_PROC_NAMES.values():
        assert os.path.exists("/proc/self/ns/" + name)


def test_rlimits_are_libc_s():
    for name, number in rlimits.NUMBERS.items():
        if hasattr(resource, name):
            assert getattr(resource, name) == number
    assert sorted(rlimits.NUMBERS.values()) == list(range(16))


def test_scheduler_policies_and_flags_are_the_kernel_header_s():
    known = header("/usr/include/linux/sched.h")
    for name, number in process.SCHEDULER_POLICIES.items():
        if name in known:
            assert known[{"SCHED_OTHER": "SCHED_NORMAL"}.get(name, name)] == number
    for name, number in process.SCHEDULER_FLAGS.items():
        assert known[name] == number


def test_devices_are_the_host_s():
    for path, major, minor in rootfs.DEVICES:
        rdev = os.stat(path).st_rdev
        assert (os.major(rdev), os.minor(rdev)) == (major, minor), path


def test_seccomp_words_are_complete_and_the_library_s():
    assert len(seccomp.ACTIONS) == 9
    assert len(seccomp.OPERATORS) == 7
    assert len(seccomp.ARCHITECTURES) == 23
    library = pytest.importorskip("pyseccomp")
    for name, token in seccomp.ARCHITECTURES.items():
        assert getattr(library.Arch, name.removeprefix("SCMP_ARCH_"), token) == token
    for name, number in seccomp.OPERATORS.items():
        assert getattr(library, name.removeprefix("SCMP_CMP_")) == number
