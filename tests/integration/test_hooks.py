"""Hooks: six kinds, what they are given, where they run, what their failure does (config.md#hooks)."""

import json
import os
import time

import pytest

from .host import alive, cgroup_dirs, children, patience, read, until

RW = {"root": {"readonly": False}}
KINDS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
HOST_KINDS = ["prestart", "createRuntime", "poststart", "poststop"]


@pytest.fixture
def record(work, tools):
    """record(kind, *probe arguments) -> a hook that writes the probe's report to a file, by kind."""

    def make(kind, *arguments, folder=work, program=None, **more):
        inside = kind == "startContainer"
        out = "/data/%s" % kind if inside else os.path.join(folder, kind)
        args = ["probe", "--stdin", "--out", out, *arguments]
        return {"path": "/bin/probe" if inside else program or tools["probe"], "args": args, **more}

    return make


@pytest.fixture
def reports(work):
    def load(one, kind):
        path = one.bundle.inside("/data", kind) if kind == "startContainer" else os.path.join(work, kind)
        report = json.loads(read(path))
        report["state"] = json.loads(report["stdin"])
        return report

    return load


def all_six(record, container, *edits, **more):
    hooks = {kind: [record(kind, **more)] for kind in KINDS}
    return container({"hooks": hooks, "annotations": {"note": "x"}}, RW, *edits)


def walk(one):
    """create, start, end, delete; gives the pid of init."""
    one.create().start()
    pid = one.pid
    one.end()
    one.delete().ok()
    return pid


def test_each_hook_gets_the_state_on_stdin(record, container, reports):
    """R-167, R-172."""
    one = all_six(record, container)
    pid = walk(one)
    words = {
        "prestart": "creating",
        "createRuntime": "creating",
        "createContainer": "creating",
        "startContainer": "created",
        "poststart": "running",
        "poststop": "stopped",
    }
    for kind in KINDS:
        state = reports(one, kind)["state"]
        assert state["ociVersion"] == "1.3.0"
        assert state["id"] == one.id
        assert state["bundle"] == one.bundle.path
        assert state["annotations"] == {"note": "x"}
        assert state["status"] == words[kind], kind
        if kind in ("prestart", "createRuntime", "poststart"):
            assert state["pid"] == pid, kind
        elif kind == "poststop":
            assert state.get("pid", 0) == 0
        else:
            assert state["pid"] == 1, kind


def test_each_hook_runs_in_its_namespaces(record, container, reports):
    """R-168 to R-171."""
    one = all_six(record, container)
    walk(one)
    for kind in HOST_KINDS:
        report = reports(one, kind)
        for name in ("mnt", "net", "uts", "ipc"):
            assert report["ns"][name] == os.readlink("/proc/self/ns/" + name), (kind, name)
        assert report["root"] == "/"
    for kind in ("createContainer", "startContainer"):
        report = reports(one, kind)
        for name in ("mnt", "net", "uts", "ipc"):
            assert report["ns"][name] != os.readlink("/proc/self/ns/" + name), (kind, name)
    assert reports(one, "startContainer")["uname"]["nodename"] == "box"


def test_create_container_sees_the_host_paths_and_the_mounts(record, container, reports):
    """R-169: before pivot_root."""
    one = container(RW)
    one.bundle.edit(
        {
            "hooks": {
                "createContainer": [
                    record(
                        "createContainer",
                        "--has",
                        one.bundle.path,
                        "--read",
                        one.bundle.rootfs + "/proc/self/status",
                    )
                ]
            }
        }
    )
    walk(one)
    report = reports(one, "createContainer")
    assert report["actions"][0]["result"] == 1
    points = [line.split(" ")[4] for line in report["mountinfo"]]
    assert one.bundle.rootfs + "/dev" in points


def test_start_container_runs_as_the_user_of_the_container(record, container, reports):
    """R-170."""
    one = all_six(record, container, {"process": {"user": {"uid": 1000, "gid": 1000}}})
    os.chmod(one.bundle.inside("/data"), 0o777)
    walk(one)
    report = reports(one, "startContainer")
    assert report["uid"] == [1000] * 3
    assert report["no_new_privs"] == 1
    assert report["root"] == "/"


@pytest.mark.parametrize("nnp", [True, False])
@pytest.mark.parametrize("action", ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_ERRNO"])
def test_start_container_is_under_the_seccomp_filter(record, container, reports, nnp, action):
    """R-162: what runs in the container runs under its filter; the other hooks run on the host's side, without."""
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": action}]}
    hook = record("startContainer", "--mkdir", "/data/made")
    edits = {
        "linux": {"seccomp": profile},
        "process": {"noNewPrivileges": nnp},
        "hooks": {"startContainer": [hook]},
    }
    one = container(RW, edits)
    os.makedirs(one.bundle.inside("/data"), exist_ok=True)
    one.create()
    if action == "SCMP_ACT_ERRNO":
        one.start()
        assert reports(one, "startContainer")["status"]["Seccomp"] == "2"
    else:
        one.runtime("start", one.id).failed("signal: bad system call")
    assert not os.path.exists(one.bundle.inside("/data/made"))


def test_hooks_run_in_order(container, work, tools):
    """R-056, R-167, R-171."""
    log = work + "/log"
    inside = {"startContainer"}

    def hook(kind, number):
        where = "/data/log" if kind in inside else log
        path = "/bin/probe" if kind in inside else tools["probe"]
        return {
            "path": path,
            "args": ["probe", "--only", "none", "--append", where, "--tag", "%s%d" % (kind, number)],
        }

    one = container(RW, {"hooks": {kind: [hook(kind, 1), hook(kind, 2)] for kind in KINDS}})
    os.makedirs(one.bundle.inside("/data"), exist_ok=True)
    one.create()

    def tags(path):
        return [json.loads(line)["tag"] for line in read(path).splitlines()]

    made = [k + n for k in ("prestart", "createRuntime", "createContainer") for n in "12"]
    assert tags(log) == made
    assert not os.path.exists(one.bundle.inside("/data/log"))
    one.start()
    assert tags(one.bundle.inside("/data/log")) == ["startContainer1", "startContainer2"]
    assert tags(log) == [*made, "poststart1", "poststart2"]
    one.end()
    one.delete().ok()
    assert tags(log)[-2:] == ["poststop1", "poststop2"]


def test_working_directories_of_hooks(record, container, reports):
    """R-173."""
    one = all_six(record, container, {"process": {"cwd": "/home"}})
    walk(one)
    for kind in HOST_KINDS:
        assert reports(one, kind)["cwd"] == one.bundle.path, kind
    assert reports(one, "createContainer")["cwd"] == one.bundle.rootfs
    assert reports(one, "startContainer")["cwd"] in ("/", "/home")


def test_environment_of_hooks(record, container, reports, monkeypatch):
    """R-166, R-174: exactly the given one; the caller's when there is none."""
    monkeypatch.setenv("CALLER", "here")
    one = all_six(record, container, env=["ONLY=this"])
    walk(one)
    for kind in KINDS:
        assert reports(one, kind)["env"] == ["ONLY=this"], kind
    one = all_six(record, container)
    walk(one)
    for kind in HOST_KINDS:
        assert "CALLER=here" in reports(one, kind)["env"], kind
    assert "CALLER=here" not in reports(one, "startContainer")["env"]
    assert "TERM=xterm" in reports(one, "startContainer")["env"]


def test_arguments_of_hooks(container, work, tools):
    """R-166: argv[0] is the first of args."""
    out = work + "/out"
    hook = {"path": tools["probe"], "args": ["other name", "--out", out, "--tag", "a b", "--tag", "ü"]}
    one = container({"hooks": {"createRuntime": [hook]}})
    one.create()
    assert json.loads(read(out))["args"] == ["other name", "--out", out, "--tag", "a b", "--tag", "ü"]
    one.delete("--force").ok()


def test_hooks_get_no_descriptors_but_the_three(record, container, reports):
    """R-178, S-04."""
    one = all_six(record, container)
    walk(one)
    for kind in KINDS:
        assert set(reports(one, kind)["fds"]) == {"0", "1", "2"}, kind


def test_signals_of_hooks_are_fresh(record, container, reports):
    one = all_six(record, container)
    walk(one)
    for kind in KINDS:
        report = reports(one, kind)
        assert report["signals_ignored"] == [], kind
        assert report["signals_blocked"] == [], kind


def test_poststop_runs_when_the_resources_are_gone(container, work, tools):
    """R-091."""
    one = container()
    path = one.bundle.config["linux"]["cgroupsPath"]
    one.bundle.edit(
        {
            "hooks": {
                "poststop": [
                    {
                        "path": "/bin/sh",
                        "args": [
                            "sh",
                            "-c",
                            "ls -d /sys/fs/cgroup%s /sys/fs/cgroup/*%s > %s/seen 2>/dev/null; true"
                            % (path, path, work),
                        ],
                    }
                ]
            }
        }
    )
    walk(one)
    assert read(work + "/seen") == ""


def test_limits_are_in_force_at_prestart(record, container, reports):
    """R-180."""
    one = container({"linux": {"resources": {"pids": {"limit": 55}}}})
    script = "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); cat /proc/$pid/cgroup > %s/cg"
    one.bundle.edit({"hooks": {"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", script % one.runtime.work]}]}})
    one.create()
    paths = read(one.runtime.work + "/cg")
    assert one.bundle.config["linux"]["cgroupsPath"] in paths
    one.delete("--force").ok()


@pytest.mark.parametrize("how", ["exit", "signal", "missing", "not-executable", "relative", "folder"])
@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_a_failing_hook_fails_create_and_rolls_back(container, work, how, kind):
    """R-152, R-177, R-08."""
    with open(work + "/plain", "w") as file:
        file.write("#!/bin/sh\n")
    hook = {
        "exit": {"path": "/bin/sh", "args": ["sh", "-c", "echo some words >&2; exit 3"]},
        "signal": {"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $$"]},
        "missing": {"path": "/no/such/hook"},
        "not-executable": {"path": work + "/plain"},
        "relative": {"path": "bin/true"},
        "folder": {"path": "/bin"},
    }[how]
    one = container({"hooks": {kind: [hook]}})
    one.gone = True
    result = one.try_create()
    result.failed(kind)
    if how == "exit":
        result.failed("some words", "exit status 3")
    if how == "missing":
        result.failed("/no/such/hook", "no such file or directory")
    assert one.runtime.left() == []
    assert not children()


def test_poststop_runs_after_a_failed_create(record, container, reports):
    """R-152."""
    one = container({"hooks": {"createRuntime": [{"path": "/bin/false"}], "poststop": [record("poststop")]}})
    one.gone = True
    one.try_create().failed("createRuntime")
    assert reports(one, "poststop")["state"]["status"] == "stopped"


def test_later_hooks_do_not_run_after_a_failed_one(record, container, work):
    hooks = {
        "createRuntime": [{"path": "/bin/false"}, record("createRuntime")],
        "createContainer": [record("createContainer")],
    }
    one = container({"hooks": hooks})
    one.gone = True
    one.try_create().failed()
    assert not os.path.exists(work + "/createRuntime")
    assert not os.path.exists(work + "/createContainer")


def test_a_failing_start_container_hook_fails_start_and_stops_the_container(container):
    """R-153, R-09."""
    one = container(
        {"hooks": {"startContainer": [{"path": "/bin/false"}]}}, RW, args=["/bin/touch", "/data/ran"]
    ).create()
    pid = one.pid
    one.runtime("start", one.id).failed("startContainer")
    until(lambda: not alive(pid), what="the end of init")
    assert not os.path.exists(one.bundle.inside("/data/ran"))
    one.delete("--force").ok()


def test_a_failing_poststart_hook_fails_start_and_stops_the_container(container):
    """R-154."""
    one = container({"hooks": {"poststart": [{"path": "/bin/false"}]}}).create()
    pid = one.pid
    one.runtime("start", one.id).failed("poststart")
    until(lambda: not alive(pid), what="the end of init")
    one.delete("--force").ok()


def test_after_a_failing_poststart_hook_the_container_is_destroyed(record, container, work):
    """R-154: lifecycle steps 12 and 13; start said why, and nothing is left for delete."""
    one = container({"hooks": {"poststart": [{"path": "/bin/false"}], "poststop": [record("poststop")]}}).create()
    name = os.path.basename(one.bundle.config["linux"]["cgroupsPath"])
    assert cgroup_dirs(name)
    one.runtime("start", one.id).failed("poststart")
    assert os.path.exists(work + "/poststop")
    assert not cgroup_dirs(name)
    one.runtime("state", one.id).failed("does not exist")
    one.runtime("delete", one.id).failed("does not exist")


def test_a_failing_poststop_hook_only_warns(record, container, work):
    """R-090, R-10."""
    one = container({"hooks": {"poststop": [{"path": "/bin/false"}, record("poststop")]}}).create()
    result = one.delete("--force").ok()
    assert "poststop" in result.err
    assert os.path.exists(work + "/poststop")


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_a_hook_past_its_timeout_is_killed_with_its_children(container, kind):
    """R-176, R-07: grandchildren hold the pipes."""
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "sleep 61 & sleep 61"], "timeout": 1}
    one = container({"hooks": {kind: [hook]}})
    one.gone = True
    started = time.monotonic()
    one.try_create().failed("timeout")
    assert time.monotonic() - started < patience(5)
    until(lambda: not [*filter(alive, children())], timeout=3, what="the end of the hook's children")


@pytest.mark.parametrize("timeout", [0, -1, "5", 1.5])
def test_a_bad_timeout_is_refused(run, timeout):
    """R-166."""
    run({"hooks": {"prestart": [{"path": "/bin/true", "timeout": timeout}]}}).failed("timeout")


def test_a_hook_that_leaves_a_child_behind_does_not_hold_create(container):
    """A daemon started by a hook keeps the pipes open: create does not wait for it."""
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "sleep 61 & exit 0"]}
    one = container({"hooks": {"createRuntime": [hook]}})
    started = time.monotonic()
    one.create()
    assert time.monotonic() - started < patience(10)
    one.delete("--force").ok()
    for pid in list(children()):
        os.kill(pid, 9)


def test_a_hook_may_ignore_a_large_stdin_and_flood_its_output(container):
    """R-178, R-11."""
    notes = {"k%d" % n: "v" * 1000 for n in range(1000)}
    flood = {"path": "/bin/sh", "args": ["sh", "-c", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"]}
    one = container(
        {
            "annotations": notes,
            "hooks": {"createRuntime": [{"path": "/bin/true"}, flood], "poststart": [{"path": "/bin/true"}]},
        }
    )
    walk(one)


def test_hooks_see_the_state_as_one_compact_object(container, work):
    """R-179."""
    one = container(
        {"hooks": {"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", "cat > %s/in" % work]}]}}
    ).create()
    text = read(work + "/in")
    assert len(text.strip().splitlines()) == 1
    json.loads(text)
    one.delete("--force").ok()


def test_state_can_be_asked_from_a_hook(container, work, pyoci):
    """R-070: while create runs."""
    one = container()
    command = " ".join("'%s'" % w for w in [*pyoci.command, "--root", pyoci.root, "state", one.id])
    one.bundle.edit(
        {"hooks": {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "%s > %s/st" % (command, work)]}]}}
    )
    one.create()
    assert json.loads(read(work + "/st"))["status"] == "creating"
    one.delete("--force").ok()


def test_nothing_is_left_of_a_hook_cgroup(container):
    one = container({"hooks": {"createRuntime": [{"path": "/bin/true", "timeout": 5}]}})
    name = os.path.basename(one.bundle.config["linux"]["cgroupsPath"])
    walk(one)
    assert cgroup_dirs(name) == set()
