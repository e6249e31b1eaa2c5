"""A filter with a listener goes in in two parts: together they say what the one does, for every call."""

import struct

import pytest

from pyoci.errors import HostError
from pyoci.kernel.syscall import MACHINE
from pyoci.seccomp import Filter, load_filter
from pyoci.seccomp.split import split

from .machine import ALLOW, I386, X32_BIT, X86_64, run
from .test_compile import docker_profile, profile, rule

pytestmark = pytest.mark.skipif(MACHINE != "x86_64", reason="the numbers below are x86-64's")

NOTIFY = 0x7FC00000
NEW_LISTENER, WAIT_KILLABLE_RECV = 0x8, 0x20
MKDIR, MOUNT, SYNC = 83, 165, 162


def with_docker_s():
    config = docker_profile()
    config["syscalls"] = [rule("NOTIFY", "mkdir", "mount", "bind", "socketcall"), *config["syscalls"]]
    for entry in config["syscalls"][1:]:
        entry["names"] = [name for name in entry["names"] if name not in ("mkdir", "mount", "bind", "socketcall")]
    config["syscalls"] = [entry for entry in config["syscalls"] if entry["names"]]
    return config


PROFILES = {
    "docker's": with_docker_s(),
    "allow": profile("ALLOW", rule("NOTIFY", "mkdir", "mount"), rule("ERRNO", "sync", errnoRet=7)),
    "kill": profile("KILL_PROCESS", rule("ALLOW", "execve"), rule("NOTIFY", "mkdir"), rule("TRACE", "sync")),
    "arguments": profile(
        "ERRNO",
        rule("NOTIFY", "mount", args=[(0, "EQ", 1, 0)]),
        rule("ALLOW", "mount", args=[(0, "EQ", 2, 0)]),
        rule("LOG", "mount", args=[(1, "GT", 5, 0)]),
        architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    ),
}


def strictest(*answers):
    """What the kernel takes of several filters' answers: the least action, as a signed number."""
    return min(answers, key=lambda answer: struct.unpack("=i", struct.pack("=I", answer & 0xFFFF0000))[0])


@pytest.mark.parametrize("name", PROFILES)
def test_the_two_parts_say_together_what_the_whole_says(name):
    whole = load_filter(PROFILES[name], None)
    listening, rest = split(whole)
    seen = set()
    for architecture in (X86_64, I386, 0xC00000B7):
        for number in (*range(480), 5000, X32_BIT + 1, 0xFFFFFFFF):
            for args in ((), (1, 0), (2, 9), (3, 9)):
                said = run(whole.bpf, architecture, number, args)
                first, second = (run(part.bpf, architecture, number, args) for part in (listening, rest))
                assert strictest(first, second) == said
                assert first in (NOTIFY, ALLOW)
                assert second & 0xFFFF0000 != NOTIFY
                seen.add(said)
    assert NOTIFY in seen
    assert len(seen) > 2


def test_only_the_part_with_the_listener_has_its_flags():
    whole = Filter(load_filter(PROFILES["allow"], None).bpf, 0x4 | WAIT_KILLABLE_RECV, notify=True)
    listening, rest = split(whole)
    assert (listening.flags, rest.flags) == (0x4 | WAIT_KILLABLE_RECV | NEW_LISTENER, 0x4)
    assert (listening.notify, rest.notify) == (True, False)


def test_a_filter_that_computes_its_answer_is_refused():
    with pytest.raises(HostError, match="SCMP_ACT_NOTIFY"):
        split(Filter(struct.pack("=HBBI", 0x16, 0, 0, 0), 0, notify=True))


def test_constants_that_are_no_answers_stay():
    """An argument may be compared with the very number of the action."""
    config = profile("ALLOW", rule("NOTIFY", "mount", args=[(0, "EQ", NOTIFY, 0)]))
    listening, rest = split(load_filter(config, None))
    assert run(listening.bpf, X86_64, MOUNT, (NOTIFY,)) == NOTIFY
    assert run(listening.bpf, X86_64, MOUNT, (ALLOW,)) == ALLOW
    assert run(rest.bpf, X86_64, MOUNT, (NOTIFY,)) == ALLOW
