"""config.md#posix-platform-hooks and runtime.md#lifecycle: when, where and with what the six kinds of hook run."""

import json
import os
import time

from suite.case import Failed, case, patience
from suite.container import Container
from suite.context import Context

HOST = ("prestart", "createRuntime", "poststart", "poststop")
CREATE = ("prestart", "createRuntime", "createContainer")
ALL = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def log_path(t: Context, kind: str) -> str:
    """The log of a kind of hook as the hook sees it: in the root file system for startContainer."""
    return "/hooks.log" if kind == "startContainer" else f"{t.work}/hooks.log"


def hook(t: Context, kind: str, *arguments: str, tag: str | None = None, only: str = "none", **fields) -> None:
    program = "/probe" if kind == "startContainer" else t.probe
    entry = {
        "path": program,
        "args": [
            "hook",
            "--tag",
            tag or kind,
            "--only",
            only,
            "--append",
            log_path(t, kind),
            "--stdin",
            *arguments,
        ],
        **fields,
    }
    t.config.setdefault("hooks", {}).setdefault(kind, []).append(entry)


def entries(t: Context, kind: str | None = None) -> list[dict]:
    """What hooks wrote: of startContainer from the root file system, of all others from the host's log."""
    path = t.path("/hooks.log") if kind == "startContainer" else f"{t.work}/hooks.log"
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


def tags(t: Context, kind: str | None = None) -> list[str]:
    return [entry["tag"] for entry in entries(t, kind)]


def entry(t: Context, kind: str) -> dict:
    found = [e for e in entries(t, kind) if e["tag"] == kind]
    if not found:
        raise Failed(f"the {kind} hook did not run")
    return found[-1]


def whole_life(t: Context) -> Container:
    """Create, start, exit, delete."""
    container = t.container().create().start()
    container.wait()
    t.works(container.delete(), "delete")
    return container


for kind in ALL:

    @case(
        f"hooks/{kind}-runs-once",
        "config.md#hooks: the hooks MUST be invoked",
        "R-166",
        "R-168" if kind in CREATE[:2] else "R-171",
    )
    def _runs(t: Context, kind: str = kind) -> None:
        hook(t, kind)
        whole_life(t)
        t.equal(tags(t, kind), [kind], "runs of the hook")

    @case(f"hooks/{kind}-state-on-stdin", "config.md#hooks: the state MUST be passed over stdin", "R-167")
    def _state(t: Context, kind: str = kind) -> None:
        t.config["annotations"] = {"org.example": "value"}
        hook(t, kind)
        container = whole_life(t)
        state = json.loads(entry(t, kind)["stdin"])
        t.equal((state.get("id"), state.get("bundle")), (container.id, t.bundle), "id and bundle")
        t.equal(state.get("annotations"), {"org.example": "value"}, "annotations")
        t.check(isinstance(state.get("ociVersion"), str), "ociVersion is missing")
        t.check(isinstance(state.get("status"), str), "status is missing")

    @case(f"hooks/{kind}-in-the-listed-order", "config.md#hooks: MUST be called in the listed order", "R-167")
    def _order(t: Context, kind: str = kind) -> None:
        for number in range(4):
            hook(t, kind, tag=str(number))
        whole_life(t)
        t.equal(tags(t, kind), ["0", "1", "2", "3"], "order")

    @case(f"hooks/{kind}-args-and-env", "config.md#hooks: args as execv's argv, env as environ", "R-166", "R-174")
    def _env(t: Context, kind: str = kind) -> None:
        hook(t, kind, only="env,args", env=["A=1", "B=x y", "EMPTY="])
        whole_life(t)
        got = entry(t, kind)
        t.equal(got["env"], ["A=1", "B=x y", "EMPTY="], "environment")
        t.equal(got["args"][0], "hook", "argv[0]")

    @case(f"hooks/{kind}-args-absent", "config.md#hooks: args is OPTIONAL", "R-166")
    def _no_args(t: Context, kind: str = kind) -> None:
        t.config["hooks"] = {kind: [{"path": "/probe" if kind == "startContainer" else t.probe}]}
        whole_life(t)

    @case(f"hooks/{kind}-relative-path", "config.md#hooks: path MUST be absolute", "R-166")
    def _relative(t: Context, kind: str = kind) -> None:
        t.config["hooks"] = {kind: [{"path": "probe"}]}
        t.refused()

    for seconds in (0, -1):

        @case(
            f"hooks/{kind}-timeout-of-{seconds}",
            "config.md#hooks: timeout MUST be greater than zero",
            "R-166",
            "R-176",
        )
        def _timeout_zero(t: Context, kind: str = kind, seconds: int = seconds) -> None:
            hook(t, kind, timeout=seconds)
            t.refused()

    @case(f"hooks/{kind}-without-path", "config.md#hooks: path is REQUIRED", "R-166")
    def _no_path(t: Context, kind: str = kind) -> None:
        t.config["hooks"] = {kind: [{"args": ["x"]}]}
        t.refused()


@case(
    "hooks/order-of-the-kinds",
    "runtime.md#lifecycle: prestart, createRuntime, createContainer, poststart, poststop",
    "R-056",
    "R-151",
    "R-171",
)
def order_of_kinds(t: Context) -> None:
    for kind in reversed(ALL):
        if kind != "startContainer":
            hook(t, kind)
    whole_life(t)
    t.equal(tags(t), ["prestart", "createRuntime", "createContainer", "poststart", "poststop"], "order")


@case(
    "hooks/which-operation-runs-them",
    "runtime.md#lifecycle: steps 3-5 in create, 7 and 9 in start, 13 in delete",
    "R-056",
    "R-168",
    "R-170",
    "R-171",
)
def which_operation(t: Context) -> None:
    for kind in ALL:
        hook(t, kind)
    container = t.container().create()
    t.equal(tags(t), list(CREATE), "hooks at created")
    t.equal(tags(t, "startContainer"), [], "startContainer at created")
    container.start()
    t.equal(tags(t), [*CREATE, "poststart"], "hooks after start")
    t.equal(tags(t, "startContainer"), ["startContainer"], "startContainer after start")
    container.wait()
    t.works(container.delete(), "delete")
    t.equal(tags(t), [*CREATE, "poststart", "poststop"], "hooks after delete")


@case(
    "hooks/startContainer-before-the-program",
    "config.md#startcontainer: MUST be called before the program is executed",
    "R-056",
    "R-170",
)
def before_program(t: Context) -> None:
    hook(t, "startContainer", "--touch", "/hook-ran")
    t.equal(t.go("--has", "/hook-ran").action("has")["result"], 1, "the hook had run when the program started")


@case(
    "hooks/poststart-after-the-program",
    "config.md#poststart: MUST be called after the program is executed",
    "R-056",
    "R-171",
)
def after_program(t: Context) -> None:
    hook(t, "poststart", "--wait", f"{t.rootfs}/program-ran")
    t.args("--touch", "/program-ran")
    container = t.container().create().start()
    container.wait()
    t.equal(tags(t), ["poststart"], "hooks")


@case(
    "hooks/start-waits-for-poststart", "config.md#poststart: before the start operation returns", "R-058", "R-171"
)
def start_waits(t: Context) -> None:
    hook(t, "poststart", "--print", "--sleep", "0.3", "--touch", f"{t.work}/done")
    t.running()
    t.check(os.path.exists(f"{t.work}/done"), "start returned before the hook ended")


@case(
    "hooks/poststop-after-deletion",
    "config.md#poststop: MUST be called after the container is deleted",
    "R-091",
    "R-171",
)
def poststop_after(t: Context) -> None:
    hook(t, "poststop", "--has", f"/sys/fs/cgroup/pids/{t.token}", "--has", f"/sys/fs/cgroup/{t.token}")
    whole_life(t)
    t.equal([a["result"] for a in entry(t, "poststop")["actions"]], [0, 0], "the cgroup is still there")


# ---- namespaces ----

for kind in HOST:

    @case(
        f"hooks/{kind}-in-the-runtime-namespaces",
        "config.md#hooks: MUST be executed in the runtime namespace",
        "R-168" if kind in CREATE else "R-171",
    )
    def _runtime_namespaces(t: Context, kind: str = kind) -> None:
        hook(t, kind, only="ns")
        whole_life(t)
        got = entry(t, kind)["ns"]
        own = {name: os.readlink(f"/proc/self/ns/{name}") for name in ("ipc", "mnt", "net", "pid", "user", "uts")}
        t.equal({name: got[name] for name in own}, own, "namespaces")


@case(
    "hooks/createContainer-in-the-container-namespaces",
    "config.md#createcontainer: MUST be executed in the container namespace",
    "R-169",
)
def create_container_namespaces(t: Context) -> None:
    hook(t, "createContainer", only="ns")
    t.args("--only", "ns")
    container = t.container().create()
    inside = {name: os.readlink(f"/proc/{container.pid}/ns/{name}") for name in ("ipc", "mnt", "net", "pid", "uts")}
    lines = entries(t)
    t.check(lines, "the hook did not run")
    got = lines[0]["ns"]
    if got["pid"] is None:
        raise Failed("the hook could not read /proc/self/ns")
    t.equal(
        {name: got[name] for name in inside if name != "pid"},
        {n: v for n, v in inside.items() if n != "pid"},
        "namespaces",
    )
    t.equal(got["pid"], inside["pid"], "pid namespace")


@case(
    "hooks/createContainer-path-is-the-hosts",
    "config.md#createcontainer: path MUST resolve in the runtime namespace",
    "R-169",
)
def create_container_path(t: Context) -> None:
    hook(t, "createContainer", "--has", f"{t.rootfs}/probe")
    whole_life(t)
    t.equal(entry(t, "createContainer")["actions"][0]["result"], 1, "the bundle is visible before pivot_root")


@case(
    "hooks/createContainer-sees-the-mounts",
    "config.md#createcontainer: after the mount namespace was set up",
    "R-169",
    "R-151",
)
def create_container_mounts(t: Context) -> None:
    t.mount("/mnt", type="tmpfs", source="tmpfs")
    hook(t, "createContainer", only="mounts")
    whole_life(t)
    t.check(
        any(" " + t.rootfs + "/mnt " in line for line in entry(t, "createContainer")["mountinfo"] or []),
        "the mount is not there",
    )


@case(
    "hooks/startContainer-in-the-container",
    "config.md#startcontainer: path and execution in the container namespace",
    "R-170",
)
def start_container_namespaces(t: Context) -> None:
    hook(t, "startContainer", only="ns,cwd")
    out = t.go("--only", "ns")
    got = entry(t, "startContainer")
    t.equal(
        {n: got["ns"][n] for n in ("ipc", "mnt", "net", "pid", "uts")},
        {n: out["ns"][n] for n in ("ipc", "mnt", "net", "pid", "uts")},
        "namespaces",
    )
    t.equal(got["exe"], "/probe", "program")


# ---- pid and status in the state ----

for kind in ("prestart", "createRuntime", "poststart"):

    @case(
        f"hooks/{kind}-pid-is-the-hosts",
        "runtime.md#state: in the runtime namespace the pid as seen by the runtime",
        "R-168",
    )
    def _host_pid(t: Context, kind: str = kind) -> None:
        hook(t, kind)
        container = t.running()
        state = json.loads(entry(t, kind)["stdin"])
        t.equal(state.get("pid"), container.pid, "pid")


for kind in ("createContainer", "startContainer"):

    @case(
        f"hooks/{kind}-pid-is-the-containers",
        "runtime.md#state: in the container namespace the pid as seen by the container",
        "R-169",
    )
    def _inner_pid(t: Context, kind: str = kind) -> None:
        hook(t, kind)
        t.running()
        t.equal(json.loads(entry(t, kind)["stdin"]).get("pid"), 1, "pid")


STATUS = {
    "prestart": "creating",
    "createRuntime": "creating",
    "createContainer": "creating",
    "startContainer": "created",
    "poststart": "running",
    "poststop": "stopped",
}

for kind, status in STATUS.items():

    @case(f"hooks/{kind}-status-is-{status}", "runtime.md#state: status at this step of the lifecycle", "R-172")
    def _status(t: Context, kind: str = kind, status: str = status) -> None:
        hook(t, kind)
        t.args("--wait", "/go")
        container = t.container().create().start()
        t.write("/go")
        container.wait()
        t.works(container.delete(), "delete")
        t.equal(json.loads(entry(t, kind)["stdin"])["status"], status, "status")


# ---- failures ----


def failing(t: Context, kind: str, after: str | None = None) -> None:
    hook(t, kind, "--fail", tag=f"{kind}-fails")
    if after:
        hook(t, after, tag=after)


for kind in CREATE:

    @case(
        f"hooks/{kind}-failure",
        "runtime.md#lifecycle 3-5: a failing hook MUST be an error that ends the container",
        "R-152",
        "R-177",
    )
    def _failure(t: Context, kind: str = kind) -> None:
        failing(t, kind)
        t.refused()
        t.equal(tags(t), [f"{kind}-fails"], "hooks")

    @case(
        f"hooks/{kind}-failure-goes-on-with-poststop",
        "runtime.md#lifecycle 3-5: continue at step 12 and 13",
        "R-152",
    )
    def _failure_poststop(t: Context, kind: str = kind) -> None:
        failing(t, kind, "poststop")
        t.refused()
        t.equal(tags(t), [f"{kind}-fails", "poststop"], "hooks")

    @case(f"hooks/{kind}-failure-stops-the-next", "runtime.md#lifecycle 3-5: continue at step 12", "R-152")
    def _failure_next(t: Context, kind: str = kind) -> None:
        failing(t, kind, kind)
        t.refused()
        t.equal(tags(t), [f"{kind}-fails"], "hooks")

    @case(f"hooks/{kind}-missing-program", "runtime.md#lifecycle 3-5: a failing hook MUST be an error", "R-152")
    def _missing(t: Context, kind: str = kind) -> None:
        t.config["hooks"] = {kind: [{"path": "/no/such/hook"}]}
        t.refused()

    @case(f"hooks/{kind}-timeout", "config.md#hooks: timeout: seconds before aborting the hook", "R-176")
    def _timeout(t: Context, kind: str = kind) -> None:
        hook(t, kind, "--sleep", f"{patience(15):.0f}", timeout=1)
        began = time.monotonic()
        t.refused()
        t.check(time.monotonic() - began < patience(10), "the hook was not aborted")


@case("hooks/killed-hook-is-a-failure", "runtime.md#lifecycle 4: a failing hook MUST be an error", "R-177")
def killed_hook(t: Context) -> None:
    hook(t, "createRuntime", "--kill", "9")
    t.refused()


@case(
    "hooks/startContainer-failure",
    "runtime.md#lifecycle 7: a failing hook MUST be an error and stop the container",
    "R-153",
)
def start_container_failure(t: Context) -> None:
    hook(t, "startContainer", "--fail")
    t.args("--touch", "/ran", "--pause")
    container = t.container().create()
    t.fails(t.runtime.call("start", container.id), "start")
    t.check(not os.path.exists(t.path("/ran")), "the program ran")


@case(
    "hooks/startContainer-failure-does-not-run-the-program", "runtime.md#lifecycle 7: stop the container", "R-153"
)
def start_container_failure_program(t: Context) -> None:
    hook(t, "startContainer", "--fail")
    t.args("--touch", "/ran", "--pause")
    container = t.container().create()
    t.runtime.call("start", container.id)
    container.wait(5)
    t.check(not os.path.exists(t.path("/ran")), "the program ran")


@case(
    "hooks/poststart-failure",
    "runtime.md#lifecycle 9: a failing hook MUST be an error and stop the container (since 1.3.0)",
    "R-154",
)
def poststart_failure(t: Context) -> None:
    hook(t, "poststart", "--fail")
    t.args("--pause")
    container = t.container().create()
    t.fails(t.runtime.call("start", container.id), "start")
    container.wait(5)


@case(
    "hooks/poststart-failure-destroys",
    "runtime.md#lifecycle 9: after a failing hook MUST continue at step 12: destroyed, then poststop",
    "R-154",
)
def poststart_failure_destroys(t: Context) -> None:
    hook(t, "poststart", "--fail")
    hook(t, "poststop")
    t.args("--pause")
    container = t.container().create()
    t.fails(t.runtime.call("start", container.id), "start")
    t.fails(t.runtime.call("state", container.id), "state of a container that is destroyed")
    t.check("poststop" in tags(t), "poststop did not run")


@case(
    "hooks/poststop-failure",
    "runtime.md#lifecycle 13: a failing hook MUST only be a warning, the others still run",
    "R-090",
)
def poststop_failure(t: Context) -> None:
    failing(t, "poststop", "poststop")
    container = t.container().create().start()
    container.wait()
    t.works(container.delete(), "delete")
    t.equal(tags(t), ["poststop-fails", "poststop"], "hooks")
    t.fails(container.try_state(), "state after delete")


@case("hooks/ignoring-stdin-is-fine", "config.md#hooks: the state is passed over stdin", "R-178", level="common")
def ignores_stdin(t: Context) -> None:
    t.config["annotations"] = {"big": "x" * 200000}
    for kind in ("prestart", "createRuntime", "createContainer", "poststart", "poststop"):
        t.config.setdefault("hooks", {})[kind] = [
            {"path": t.probe, "args": ["hook", "--only", "none", "--out", "/dev/null"]}
        ]
    whole_life(t)


@case(
    "hooks/network-is-made-before-createRuntime",
    "config.md#createruntime: called after the namespaces are created",
    "R-168",
    "R-151",
)
def namespaces_exist(t: Context) -> None:
    hook(t, "createRuntime", "--print")
    t.args("--only", "ns")
    container = t.container().create()
    state = json.loads(entry(t, "createRuntime")["stdin"])
    t.equal(state["pid"], container.pid, "pid")
    t.check(os.readlink(f"/proc/{state['pid']}/ns/net") != os.readlink("/proc/self/ns/net"), "no network namespace")


@case("hooks/unknown-kind-is-ignored", "config.md#extensibility: unknown properties MUST be ignored", "R-181")
def unknown_kind(t: Context) -> None:
    t.config["hooks"] = {"someday": [{"path": "/none"}]}
    t.go()


@case("hooks/empty-lists", "config.md#hooks: each array is OPTIONAL", "R-166")
def empty(t: Context) -> None:
    t.config["hooks"] = {kind: [] for kind in ALL}
    t.go()
