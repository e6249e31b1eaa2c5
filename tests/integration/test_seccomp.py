"""linux.seccomp: what the filter lets through (config-linux.md#seccomp).  x86-64 numbers by name."""

import json
import os
import platform

import pytest

from .bundles import DROP

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="system call numbers of x86_64")
NUMBERS = {
    "getppid": 110,
    "mkdir": 83,
    "sched_yield": 24,
    "getpgrp": 111,
    "personality": 135,
    "sync": 162,
    "times": 100,
}


def seccomp(default="SCMP_ACT_ALLOW", *rules, **more):
    profile = {"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": list(rules)}
    return {"linux": {"seccomp": {**profile, **more}}}


def rule(action, *names, **more):
    return {"names": list(names), "action": action, **more}


def call(name, *arguments):
    return ["--syscall-child", str(NUMBERS[name]), *map(str, arguments)]


def outcome(report):
    action = report.action("syscall-child")
    return (
        action.get("errno") or ("signal", action["signal"])
        if "signal" in action or "errno" in action
        else action["result"]
    )


@pytest.mark.parametrize("nnp", [True, False])
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_filter_is_in_force_with_and_without_new_privileges(inspect, nnp, uid):
    """R-162."""
    edit = {"process": {"noNewPrivileges": nnp, "user": {"uid": uid, "gid": 0}}}
    report = inspect(
        seccomp("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "mkdir")), edit, probe=call("mkdir", "s:/tmp/x")
    )
    assert outcome(report) == "EPERM"
    assert report["status"]["Seccomp"] == "2"
    assert report["status"]["Seccomp_filters"] == "1"
    assert report["no_new_privs"] == int(nnp)


def test_without_a_filter_there_is_none(inspect):
    assert inspect()["status"]["Seccomp"] == "0"
    assert inspect({"linux": {"seccomp": None}})["status"]["Seccomp"] == "0"


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("SCMP_ACT_ERRNO", "EPERM"),
        ("SCMP_ACT_KILL", ("signal", 31)),
        ("SCMP_ACT_KILL_PROCESS", ("signal", 31)),
        ("SCMP_ACT_KILL_THREAD", ("signal", 31)),
        ("SCMP_ACT_TRAP", ("signal", 31)),
        ("SCMP_ACT_LOG", 0),
        ("SCMP_ACT_ALLOW", 0),
        ("SCMP_ACT_TRACE", "ENOSYS"),
    ],
)
def test_actions(inspect, action, expected):
    """R-263."""
    default = "SCMP_ACT_ERRNO" if action == "SCMP_ACT_ALLOW" else "SCMP_ACT_ALLOW"
    if default == "SCMP_ACT_ERRNO":
        pytest.skip("an allow-list is tested with the realistic profile")
    assert outcome(inspect(seccomp(default, rule(action, "sched_yield")), probe=call("sched_yield"))) == expected


def test_errno_values(inspect):
    """R-264."""
    report = inspect(
        seccomp("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "times", errnoRet=38)), probe=call("times", 0)
    )
    assert outcome(report) == "ENOSYS"


def test_the_errno_of_an_action_without_one_is_refused(run):
    """R-264."""
    run(seccomp("SCMP_ACT_ALLOW", rule("SCMP_ACT_KILL", "times", errnoRet=38))).failed("errnoRet")


OPERATORS = [
    ("SCMP_CMP_EQ", 5, None, {5: True, 6: False}),
    ("SCMP_CMP_NE", 5, None, {5: False, 6: True}),
    ("SCMP_CMP_LT", 5, None, {4: True, 5: False}),
    ("SCMP_CMP_LE", 5, None, {5: True, 6: False}),
    ("SCMP_CMP_GT", 5, None, {6: True, 5: False}),
    ("SCMP_CMP_GE", 5, None, {5: True, 4: False}),
    ("SCMP_CMP_MASKED_EQ", 0xF0, 0x20, {0x2F: True, 0x3F: False}),
    ("SCMP_CMP_EQ", 0x1FFFFFFFF, None, {0x1FFFFFFFF: True, 0xFFFFFFFF: False}),
]


@pytest.mark.parametrize(("operator", "value", "second", "cases"), OPERATORS)
def test_argument_rules(inspect, operator, value, second, cases):
    """R-268."""
    arg = {"index": 1, "value": value, "op": operator}
    if second is not None:
        arg["valueTwo"] = second
    edit = seccomp("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "getpgrp", errnoRet=77, args=[arg]))
    probe = [x for number in cases for x in call("getpgrp", 0, number)]
    actions = inspect(edit, probe=probe)["actions"]
    for action, blocked in zip(actions, cases.values(), strict=True):
        assert (action.get("errno") == "EBADFD") == blocked, (action, cases)


def test_conditions_on_several_arguments_are_all_needed(inspect):
    args = [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]
    edit = seccomp("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "getpgrp", args=args))
    actions = inspect(edit, probe=[*call("getpgrp", 1, 2), *call("getpgrp", 1, 3), *call("getpgrp", 0, 2)])[
        "actions"
    ]
    assert [a.get("errno") for a in actions] == ["EPERM", None, None]


def test_conditions_on_one_argument_are_alternatives(inspect):
    args = [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]
    edit = seccomp("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "getpgrp", args=args))
    actions = inspect(edit, probe=[*call("getpgrp", 1), *call("getpgrp", 2), *call("getpgrp", 3)])["actions"]
    assert [a.get("errno") for a in actions] == ["EPERM", "EPERM", None]


def test_unknown_names_are_skipped(inspect):
    """R-267."""
    edit = seccomp("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "no_such_call", "getpgrp"))
    assert outcome(inspect(edit, probe=call("getpgrp"))) == "EPERM"


def docker_profile():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(os.path.join(here, "data", "docker_seccomp.json"), encoding="utf-8") as file:
        return {"linux": {"seccomp": json.load(file)}}


def test_a_real_allow_list(inspect):
    """The profile that engines send: a few hundred names."""
    report = inspect(
        docker_profile(), probe=["--syscall-child", "246", "--syscall-child", "9999", "--mkdir", "/tmp/x"]
    )
    kexec, unknown = (a for a in report["actions"] if a["do"] == "syscall-child")
    assert kexec["errno"] == "EPERM"
    assert unknown["errno"] == "ENOSYS", "R-269: a call newer than the profile is not EPERM"
    assert report["status"]["Seccomp"] == "2"


def test_other_architectures_are_filtered_too(inspect):
    edit = seccomp(
        "SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "getppid"), architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    )
    probe = ["--syscall-child", "110", "--syscall32", "64", "0", "0", "0"]
    native, compat = inspect(edit, probe=probe)["actions"]
    assert native["errno"] == "EPERM"
    assert compat.get("errno") == "EPERM" or compat.get("signal"), compat


@pytest.mark.parametrize(
    "flags",
    [[], ["SECCOMP_FILTER_FLAG_LOG"], ["SECCOMP_FILTER_FLAG_TSYNC"], ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], None],
)
def test_flags(inspect, flags):
    """R-266."""
    report = inspect(seccomp("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "times"), flags=flags))
    assert report["status"]["Seccomp"] == "2"


@pytest.mark.parametrize(
    "edit",
    [
        {"defaultAction": "SCMP_ACT_FOO"},
        {"defaultAction": DROP, "syscalls": [rule("SCMP_ACT_ERRNO", "times")]},
        {"architectures": ["SCMP_ARCH_FOO"]},
        {"flags": ["SECCOMP_FILTER_FLAG_FOO"]},
        {"syscalls": [rule("SCMP_ACT_FOO", "times")]},
        {"syscalls": [rule("SCMP_ACT_ERRNO")]},
        {"syscalls": [{"names": ["times"]}]},
        {"syscalls": [rule("SCMP_ACT_ERRNO", "times", args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}])]},
        {"syscalls": [rule("SCMP_ACT_ERRNO", "times", args=[{"index": 0, "value": 1, "op": "SCMP_CMP_XX"}])]},
        {"listenerMetadata": "x"},
        {"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/tmp/none"},
        {"listenerPath": "/no/such/socket", "syscalls": [rule("SCMP_ACT_NOTIFY", "times")]},
        {"syscalls": [rule("SCMP_ACT_NOTIFY", "times")]},
        {"listenerPath": "/tmp/none", "syscalls": [rule("SCMP_ACT_NOTIFY", "write")]},
    ],
)
def test_bad_profiles_are_refused(run, edit):
    """R-263 to R-273."""
    base = seccomp("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "times"))
    run(base, {"linux": {"seccomp": edit}}, timeout=15).failed()
