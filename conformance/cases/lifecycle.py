"""runtime.md: create, start, state, kill, delete, and what an error leaves."""

import json
import os
import re
import signal
import threading

from suite.case import case
from suite.context import Context


@case(
    "lifecycle/create-start-delete",
    "runtime.md#operations: create, start and delete MUST be supported",
    "R-040",
    "R-082",
)
def create_start_delete(t: Context) -> None:
    t.go()


@case(
    "lifecycle/create-does-not-run-the-program",
    "runtime.md#lifecycle 2: the program MUST NOT be run at create",
    "R-040",
    "R-044",
)
def create_does_not_run(t: Context) -> None:
    t.args("--touch", "/ran")
    container = t.container().create()
    t.check(not os.path.exists(t.path("/ran")), "the program ran at create")
    container.start().wait()
    t.check(os.path.exists(t.path("/ran")), "the program did not run at start")


@case(
    "lifecycle/start-runs-the-program-once",
    "runtime.md#start: MUST run the user-specified program",
    "R-055",
    "R-056",
)
def start_runs_once(t: Context) -> None:
    t.args("--append", "/runs", "--only", "none")
    t.container().create().start().wait()
    with open(t.path("/runs"), encoding="utf-8") as file:
        t.equal(len(file.readlines()), 1, "number of runs")


@case(
    "lifecycle/start-twice",
    "runtime.md#start: start of a container that is not created MUST fail, without effect",
    "R-055",
)
def start_twice(t: Context) -> None:
    container = t.running()
    t.fails(t.runtime.call("start", container.id), "second start")
    t.equal(container.state()["status"], "running", "status after the refused start")


@case("lifecycle/start-stopped", "runtime.md#start: start of a container that is not created MUST fail", "R-055")
def start_stopped(t: Context) -> None:
    container = t.container().create().start()
    container.wait()
    t.fails(t.runtime.call("start", container.id), "start of a stopped container")


@case("lifecycle/start-unknown", "runtime.md#start: start of a container that is not created MUST fail", "R-055")
def start_unknown(t: Context) -> None:
    t.fails(t.runtime.call("start", f"{t.token}-none"), "start of an unknown id")


for verb in ("start", "state", "kill", "delete", "create"):

    @case(
        f"lifecycle/{verb}-without-id",
        f"runtime.md#{verb}: MUST generate an error without the container's id",
        "R-007",
    )
    def _without_id(t: Context, verb: str = verb) -> None:
        t.write_config()
        t.fails(t.runtime.call(verb, cwd=t.bundle), f"{verb} without an id")

    @case(f"lifecycle/{verb}-empty-id", f"runtime.md#{verb}: an empty id is not valid", "R-007")
    def _empty_id(t: Context, verb: str = verb) -> None:
        t.write_config()
        more = ["--bundle", t.bundle] if verb == "create" else []
        tail = ["KILL"] if verb == "kill" else []
        t.fails(t.runtime.call(verb, *more, "", *tail), f"{verb} of an empty id")


@case(
    "lifecycle/start-without-process",
    "runtime.md#start: MUST generate an error if process was not set",
    "R-047",
    "R-057",
)
def start_without_process(t: Context) -> None:
    del t.config["process"]
    container = t.container()
    result = container.try_create()
    if result.status:
        return
    t.fails(t.runtime.call("start", container.id), "start without process")


@case(
    "lifecycle/create-without-process", "config.md#process: OPTIONAL, REQUIRED only when start is called", "R-047"
)
def create_without_process(t: Context) -> None:
    del t.config["process"]
    t.works(t.container().try_create(), "create without process")


@case("lifecycle/duplicate-id", "runtime.md#create: an id that is not unique MUST be an error", "R-042")
def duplicate_id(t: Context) -> None:
    first = t.running()
    other = t.make_bundle("other")
    second = t.container(name=first.id, bundle=other)
    t.containers.pop()
    result = t.runtime.call("create", "--bundle", second.bundle, second.id, cwd=second.bundle)
    t.fails(result, "create with an id in use")
    t.equal(first.state()["status"], "running", "status of the first container")
    t.equal(first.state()["bundle"], t.bundle, "bundle of the first container")


@case(
    "lifecycle/duplicate-id-at-once",
    "runtime.md#create: of several creates of one id at once, one succeeds",
    "R-052",
)
def duplicate_at_once(t: Context) -> None:
    t.args("--pause")
    del t.config["linux"]["cgroupsPath"]
    container = t.container()
    results = []

    def create() -> None:
        results.append(t.runtime.call("create", "--bundle", t.bundle, container.id, cwd=t.bundle, timeout=60))

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    t.equal(sum(r.status == 0 for r in results), 1, "creates that succeeded")
    t.equal(container.state()["status"], "created", "status")


for bad in ("a/b", "../x", ".", "..", "a b"):

    @case(
        f"lifecycle/invalid-id-{bad.replace('/', '%').replace(' ', '_')}",
        "runtime.md#create: an id that is not valid MUST be an error",
        "R-042",
        level="common",
    )
    def _invalid_id(t: Context, bad: str = bad) -> None:
        t.write_config()
        t.fails(t.runtime.call("create", "--bundle", t.bundle, bad, cwd=t.bundle), f"create with id {bad!r}")


@case("lifecycle/id-alphabet", "runtime.md#create: letters, digits, _ + - . make an id", "R-042", level="common")
def id_alphabet(t: Context) -> None:
    container = t.container(name=f"{t.token}.a-B_c+9").create()
    t.equal(container.state()["id"], container.id, "id in state")


@case("lifecycle/id-reusable", "runtime.md#delete: the id of a deleted container may be used again", "R-082")
def id_reusable(t: Context) -> None:
    name = f"{t.token}-again"
    for _ in range(2):
        container = t.container(name=name).create().start()
        container.wait()
        t.works(container.delete(), "delete")


@case(
    "lifecycle/bundle-default-is-cwd",
    "runtime.md#create: a path to the bundle; without one, the working directory",
    "R-040",
    level="common",
)
def bundle_default(t: Context) -> None:
    t.args("--pause")
    container = t.container()
    with open(container.out_path, "wb") as out:
        result = t.runtime.call("create", container.id, cwd=t.bundle, stdout=out, stderr=out)
    t.equal(result.status, 0, "exit status")
    t.equal(container.state()["bundle"], t.bundle, "bundle")


@case("lifecycle/bundle-missing", "runtime.md#create: MUST fail without a bundle", "R-181")
def bundle_missing(t: Context) -> None:
    t.fails(t.runtime.call("create", "--bundle", f"{t.work}/none", f"{t.token}-x"), "create with a missing bundle")


@case("lifecycle/config-missing", "bundle.md: config.json MUST be in the root of the bundle", "R-181")
def config_missing(t: Context) -> None:
    t.fails(t.runtime.call("create", "--bundle", t.bundle, f"{t.token}-x"), "create without config.json")


@case(
    "lifecycle/config-read-once",
    "runtime.md#lifecycle 2: later changes of config.json MUST NOT affect the container",
    "R-043",
)
def config_read_once(t: Context) -> None:
    t.args("--tag", "first")
    t.config["annotations"] = {"a": "first"}
    container = t.container().create()
    t.args("--tag", "second")
    t.config["annotations"] = {"a": "second"}
    t.write_config()
    t.equal(container.state()["annotations"], {"a": "first"}, "annotations in state")
    container.start().wait()
    t.equal(t.output(container)["tag"], "first", "argument of the program")


@case(
    "lifecycle/config-removed",
    "runtime.md#lifecycle 2: later changes of config.json MUST NOT affect the container",
    "R-043",
    "R-073",
    "R-165",
)
def config_removed(t: Context) -> None:
    container = t.container().create()
    os.unlink(f"{t.bundle}/config.json")
    container.start().wait()
    t.equal(container.state()["status"], "stopped", "status")
    t.works(container.delete(), "delete")


@case(
    "lifecycle/resources-exist-at-created",
    "runtime.md#create: all properties but process MUST be applied by create",
    "R-044",
)
def resources_at_created(t: Context) -> None:
    t.config["hostname"] = "at-created"
    container = t.container().create()
    with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as file:
        t.check(" /proc " in file.read(), "/proc is not mounted at created")
    for kind in ("pid", "mnt", "uts", "net", "ipc"):
        t.check(
            os.readlink(f"/proc/{container.pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"),
            f"no new {kind} namespace at created",
        )


@case(
    "lifecycle/failed-create-leaves-nothing",
    "runtime.md#errors: an error MUST leave the environment as it was",
    "R-037",
    "R-046",
)
def failed_create(t: Context) -> None:
    t.bind(f"{t.work}/missing", "/mnt/x")
    t.refused()


@case(
    "lifecycle/failed-create-leaves-the-id-free",
    "runtime.md#errors: an error MUST leave the environment as it was",
    "R-037",
    "R-046",
)
def failed_create_id(t: Context) -> None:
    name = f"{t.token}-same"
    t.bind(f"{t.work}/missing", "/mnt/x")
    t.fails(t.container(name=name).try_create(), "create with a missing bind source")
    t.config["mounts"].pop()
    t.works(t.container(name=name).try_create(), "create of the same id")


@case(
    "lifecycle/missing-program-fails", "runtime.md#start: the program MUST be run, else an error", "R-030", "R-045"
)
def missing_program(t: Context) -> None:
    t.config["process"]["args"] = ["/nothing-here"]
    text = t.refused(late=True)
    t.check(
        "no such file" in text.lower() or "not found" in text.lower(),
        f"the error does not say what is missing: {text[-150:]!r}",
    )


@case(
    "lifecycle/exit-status-is-left-to-the-caller",
    "runtime.md#lifecycle 10: the container process exits; its parent is the caller's subreaper",
    "R-049",
    level="common",
)
def exit_status(t: Context) -> None:
    t.go("--exit", "7", status=7)


@case(
    "lifecycle/killed-by-its-own-signal",
    "runtime.md#lifecycle 10: the container process may crash",
    "R-049",
    level="common",
)
def crash(t: Context) -> None:
    t.without_namespace("pid")
    t.go("--kill", "11", status=139)


# ---- state ----


@case("state/unknown-id", "runtime.md#query-state: a container that does not exist MUST be an error", "R-062")
def state_unknown(t: Context) -> None:
    t.fails(t.runtime.call("state", f"{t.token}-none"), "state of an unknown id")


@case("state/properties", "runtime.md#state: ociVersion, id, status, pid, bundle are REQUIRED", "R-063", "R-066")
def state_properties(t: Context) -> None:
    container = t.container().create()
    state = container.state()
    for key, kind in (("ociVersion", str), ("id", str), ("status", str), ("pid", int), ("bundle", str)):
        t.check(type(state.get(key)) is kind, f"{key} is {state.get(key)!r}")
    t.check(re.fullmatch(r"\d+\.\d+\.\d+([-+].*)?", state["ociVersion"]), f"ociVersion is {state['ociVersion']!r}")
    t.equal(state["id"], container.id, "id")
    t.equal(state["bundle"], t.bundle, "bundle")
    t.equal(state["pid"], container.pid, "pid, against the pid file")


@case("state/walks-through-the-statuses", "runtime.md#state: status is created, running, stopped", "R-065", "R-066")
def statuses(t: Context) -> None:
    t.args("--wait", "/go")
    container = t.container().create()
    t.equal(container.state()["status"], "created", "after create")
    container.start()
    t.output(container)
    state = container.state()
    t.equal(state["status"], "running", "after start")
    t.equal(state["pid"], container.pid, "pid while running")
    t.write("/go")
    container.wait()
    t.equal(container.state()["status"], "stopped", "after exit")


@case(
    "state/unreaped-is-stopped", "runtime.md#state: stopped when the container process has exited", "R-068", "R-069"
)
def zombie(t: Context) -> None:
    container = t.running()
    os.kill(container.pid, signal.SIGKILL)

    def zombie_now() -> bool:
        with open(f"/proc/{container.pid}/stat", "rb") as file:
            return b") Z" in file.read()

    t.until(zombie_now, "the container process is no zombie")
    t.equal(container.state()["status"], "stopped", "status of a container whose process is a zombie")


@case(
    "state/killed-from-outside-is-stopped",
    "runtime.md#state: stopped when the container process has exited",
    "R-068",
)
def killed_outside(t: Context) -> None:
    container = t.running()
    os.kill(container.pid, signal.SIGKILL)
    container.wait()
    t.equal(container.state()["status"], "stopped", "status")


for name, value in {
    "plain": {"com.example.a": "1", "b": "two"},
    "empty-value": {"empty": ""},
    "unicode": {"k\u00e9y": "v\u00e4lue \u2603", "quote": 'a"b\\c\nd'},
}.items():

    @case(f"state/annotations-{name}", "runtime.md#state: annotations are those of config.json", "R-072", "R-275")
    def _annotations(t: Context, value: dict = value) -> None:
        t.config["annotations"] = value
        t.equal(t.container().create().state().get("annotations"), value, "annotations")


@case("state/no-annotations", "runtime.md#state: without annotations the property is absent or empty", "R-063")
def no_annotations(t: Context) -> None:
    t.check(not t.container().create().state().get("annotations"), "annotations are not empty")


@case("state/relative-bundle-is-made-absolute", "runtime.md#state: bundle is an absolute path", "R-063", "R-186")
def relative_bundle(t: Context) -> None:
    t.args("--pause")
    container = t.container()
    with open(container.out_path, "wb") as out:
        result = t.runtime.call("create", "--bundle", "bundle", container.id, cwd=t.work, stdout=out, stderr=out)
    t.equal(result.status, 0, "exit status")
    t.equal(container.state()["bundle"], t.bundle, "bundle")


@case("state/does-not-change-anything", "runtime.md#query-state: MUST return the state", "R-062")
def state_is_stable(t: Context) -> None:
    container = t.container().create()
    t.equal(container.state(), container.state(), "second state")


@case("state/prints-only-json", "runtime.md#state: serialized as one JSON object", "R-038")
def state_only_json(t: Context) -> None:
    container = t.container().create()
    result = container.try_state()
    t.equal(type(json.loads(result.stdout)), dict, "type")
    t.equal(result.stderr, "", "stderr")


# ---- kill ----


@case("kill/unknown-id", "runtime.md#kill: MUST fail for a container that is neither created nor running", "R-075")
def kill_unknown(t: Context) -> None:
    t.fails(t.runtime.call("kill", f"{t.token}-none", "KILL"), "kill of an unknown id")


@case(
    "kill/stopped",
    "runtime.md#kill: MUST fail for a container that is neither created nor running",
    "R-029",
    "R-075",
)
def kill_stopped(t: Context) -> None:
    container = t.container().create().start()
    container.wait()
    t.fails(container.kill("KILL"), "kill of a stopped container")
    t.equal(container.state()["status"], "stopped", "status")


@case("kill/created", "runtime.md#kill: MUST send the signal to the container process", "R-080")
def kill_created(t: Context) -> None:
    container = t.container().create()
    t.works(container.kill("KILL"), "kill KILL")
    t.equal(container.wait(), 137, "exit status")
    t.equal(container.state()["status"], "stopped", "status")


@case(
    "kill/created-ends-at-TERM",
    "runtime.md#kill: MUST send the signal to the container process",
    "R-080",
    "R-156",
    level="common",
)
def kill_created_term(t: Context) -> None:
    container = t.container().create()
    t.works(container.kill("TERM"), "kill TERM")
    container.wait(5)


@case("kill/running", "runtime.md#kill: MUST send the signal to the container process", "R-074", "R-076")
def kill_running(t: Context) -> None:
    container = t.running()
    t.works(container.kill("KILL"), "kill KILL")
    t.equal(container.wait(), 137, "exit status")


for spelling, number in {
    "TERM": 15,
    "SIGTERM": 15,
    "15": 15,
    "USR1": 10,
    "SIGUSR2": 12,
    "1": 1,
    "term": 15,
}.items():

    @case(
        f"kill/signal-{spelling}",
        "runtime.md#kill: MUST send the specified signal",
        "R-074",
        level="common" if spelling == "term" else "MUST",
    )
    def _signal(t: Context, spelling: str = spelling, number: int = number) -> None:
        container = t.running("--trap", str(number), "/seen")
        t.works(container.kill(spelling), f"kill {spelling}")
        t.until(lambda: os.path.exists(t.path("/seen")), "the program did not see the signal")
        with open(t.path("/seen"), encoding="utf-8") as file:
            t.equal(file.read(), f"{number}\n", "signal")
        t.equal(container.state()["status"], "running", "status")


@case(
    "kill/unknown-signal", "runtime.md#kill: MUST send the specified signal, so an unknown one is an error", "R-074"
)
def unknown_signal(t: Context) -> None:
    container = t.running()
    t.fails(container.kill("NOSUCH"), "kill NOSUCH")
    t.equal(container.state()["status"], "running", "status")


@case("kill/only-the-container-process", "runtime.md#kill: MUST send the signal to the container process", "R-076")
def kill_only_init(t: Context) -> None:
    container = t.running("--trap", "10", "/init-seen", "--child-trap", "10", "/child-seen")
    t.works(container.kill("USR1"), "kill USR1")
    t.until(lambda: os.path.exists(t.path("/init-seen")), "the container process did not see the signal")
    t.check(not os.path.exists(t.path("/child-seen")), "a child saw the signal too")


# ---- delete ----


@case("delete/unknown-id", "runtime.md#delete: MUST fail for a container that is not stopped", "R-086")
def delete_unknown(t: Context) -> None:
    t.fails(t.runtime.call("delete", f"{t.token}-none"), "delete of an unknown id")


@case("delete/running", "runtime.md#delete: MUST fail for a container that is not stopped, without effect", "R-083")
def delete_running(t: Context) -> None:
    container = t.running()
    t.fails(container.delete(), "delete of a running container")
    t.equal(container.state()["status"], "running", "status")


@case("delete/created", "runtime.md#delete: MUST fail for a container that is not stopped, without effect", "R-084")
def delete_created(t: Context) -> None:
    container = t.container().create()
    t.fails(container.delete(), "delete of a created container")


@case("delete/stopped", "runtime.md#delete: MUST delete what create made", "R-082")
def delete_stopped(t: Context) -> None:
    container = t.container().create().start()
    container.wait()
    t.works(container.delete(), "delete")
    t.fails(container.try_state(), "state after delete")


@case("delete/twice", "runtime.md#delete: the container does not exist any more", "R-086")
def delete_twice(t: Context) -> None:
    container = t.container().create().start()
    container.wait()
    t.works(container.delete(), "delete")
    t.fails(container.delete(), "second delete")


@case("delete/force-running", "command line of callers: --force kills first", "R-085", level="common")
def delete_force(t: Context) -> None:
    container = t.running()
    t.works(container.delete("--force"), "delete --force")
    t.fails(container.try_state(), "state after delete --force")


@case("delete/force-created", "command line of callers: --force kills first", "R-085", level="common")
def delete_force_created(t: Context) -> None:
    container = t.container().create()
    t.works(container.delete("--force"), "delete --force")
    t.fails(container.try_state(), "state after delete --force")


@case("delete/killed-in-created", "runtime.md#delete: MUST delete what create made", "R-082")
def delete_killed(t: Context) -> None:
    container = t.container().create()
    t.works(container.kill("KILL"), "kill")
    container.wait()
    t.works(container.delete(), "delete")


@case("delete/bundle-is-kept", "runtime.md#delete: resources that create did not make MUST NOT be deleted", "R-087")
def bundle_kept(t: Context) -> None:
    t.write("/file", "text")
    t.go()
    t.check(
        os.path.exists(t.path("/file")) and os.path.exists(f"{t.bundle}/config.json"),
        "files of the bundle are gone",
    )


@case(
    "delete/joined-namespace-is-kept",
    "runtime.md#delete: resources that create did not make MUST NOT be deleted",
    "R-087",
)
def namespace_kept(t: Context) -> None:
    path = t.holder("network")
    before = os.readlink(path)
    t.namespace("network", path)
    t.go()
    t.equal(os.readlink(path), before, "namespace")


@case(
    "delete/children-die-with-the-container",
    "runtime.md#lifecycle 12: destroyed by undoing what create did",
    "R-082",
)
def children_die(t: Context) -> None:
    container = t.running("--child", "--child")
    t.works(container.kill("KILL"), "kill")
    container.wait()
    t.works(container.delete(), "delete")
