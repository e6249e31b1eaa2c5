"""pause, resume, ps and events: the specification has none of them, callers use all of them."""

import json
import os

from suite import cgroups
from suite.case import case
from suite.container import Container, Result
from suite.context import Context

WHERE = "no sentence of the specification; containerd, dockerd, podman and CRI-O: "


def frozen(container: Container) -> bool:
    """What the kernel says of the container's cgroup."""
    found = cgroups.of_process(container.pid)
    if "freezer" in found:
        with open(f"{found['freezer']}/freezer.state", encoding="utf-8") as file:
            return file.read().strip() == "FROZEN"
    with open(f"{found['']}/cgroup.events", encoding="utf-8") as file:
        return "frozen 1" in file.read()


def paused(t: Context, *arguments: str) -> Container:
    """Return a paused container."""
    container = t.running(*arguments)
    t.works(t.runtime.call("pause", container.id), "pause")
    return container


@case("pause/freezes", WHERE + "pause returns when every process has stopped", "R-124", level="common")
def freezes(t: Context) -> None:
    container = paused(t, "--child", "--child")
    t.check(frozen(container), "the kernel does not report the cgroup as frozen")
    t.equal(container.state()["status"], "paused", "status")


@case("pause/resume", WHERE + "resume lets every process run on", "R-124", level="common")
def resume(t: Context) -> None:
    container = paused(t)
    t.works(t.runtime.call("resume", container.id), "resume")
    t.check(not frozen(container), "the cgroup is still frozen")
    t.equal(container.state()["status"], "running", "status")


@case("pause/stopped", WHERE + "only what lives can be paused", "R-124", level="common")
def pause_stopped(t: Context) -> None:
    container = t.container().create().start()
    container.wait()
    t.fails(t.runtime.call("pause", container.id), "pause of a stopped container")
    t.fails(t.runtime.call("resume", container.id), "resume of a stopped container")
    t.equal(container.state()["status"], "stopped", "status")


@case("pause/unknown", WHERE + "an unknown id is an error", "R-124", level="common")
def pause_unknown(t: Context) -> None:
    for verb in ("pause", "resume"):
        t.fails(t.runtime.call(verb, f"{t.token}-none"), f"{verb} of an unknown id")


@case(
    "pause/created-then-started", WHERE + "a created container can be paused and resumed", "R-124", level="common"
)
def pause_created(t: Context) -> None:
    t.args("--touch", "/ran")
    container = t.container().create()
    t.works(t.runtime.call("pause", container.id), "pause of a created container")
    t.check(frozen(container), "the cgroup is not frozen")
    t.check(not os.path.exists(t.path("/ran")), "the program ran")
    t.works(t.runtime.call("resume", container.id), "resume")
    t.equal(container.state()["status"], "created", "status after resume")
    container.start().wait()
    t.check(os.path.exists(t.path("/ran")), "the program did not run")


@case("pause/kill", WHERE + "SIGKILL ends a paused container", "R-079", level="common")
def kill_paused(t: Context) -> None:
    container = paused(t, "--child")
    t.works(container.kill("KILL"), "kill of a paused container")
    t.equal(container.wait(), 137, "exit status")
    t.equal(container.state()["status"], "stopped", "status")


@case("pause/delete-force", WHERE + "delete --force removes a paused container", "R-085", level="common")
def delete_paused(t: Context) -> None:
    container = paused(t, "--child")
    t.fails(container.delete(), "delete of a paused container without --force")
    t.works(container.delete("--force"), "delete --force")
    t.check(container.try_state().status != 0, "the container still exists")


@case("pause/sub-cgroup", WHERE + "pause stops what is in cgroups below the container's", "R-124", level="common")
def pause_below(t: Context) -> None:
    container = t.running()
    found = cgroups.of_process(container.pid)
    top = found.get("freezer") or found[""]
    os.mkdir(f"{top}/below")
    with open(f"{top}/below/cgroup.procs", "w", encoding="utf-8") as file:
        file.write(str(container.pid))
    t.works(t.runtime.call("pause", container.id), "pause")
    t.check(frozen(container), "the sub-cgroup is not frozen")
    t.works(t.runtime.call("resume", container.id), "resume")
    t.check(not frozen(container), "the sub-cgroup is still frozen")


def pids(t: Context, container: Container) -> list[int]:
    """Return what `ps --format json` prints, sorted."""
    result = t.works(t.runtime.call("ps", "--format", "json", container.id), "ps --format json")
    return sorted(json.loads(result.stdout) or [])


@case("ps/json", WHERE + "ps --format json prints the host's pids as an array", "R-115", level="common")
def ps_json(t: Context) -> None:
    container = t.running("--child", "--child")
    listed = cgroups.of_process(container.pid)
    with open(f"{listed.get('devices') or listed['']}/cgroup.procs", encoding="utf-8") as file:
        t.equal(pids(t, container), sorted(int(pid) for pid in file.read().split()), "pids")


@case("ps/created-and-paused", WHERE + "ps works whether or not the program runs", "R-117", level="common")
def ps_created(t: Context) -> None:
    t.args("--pause")
    container = t.container().create()
    t.equal(pids(t, container), [container.pid], "pids of a created container")
    container.start()
    t.works(t.runtime.call("pause", container.id), "pause")
    t.equal(pids(t, container), [container.pid], "pids of a paused container")


@case("ps/unknown-format", WHERE + "an unknown format is an error", "R-115", level="common")
def ps_format(t: Context) -> None:
    container = t.running()
    t.fails(t.runtime.call("ps", "--format", "xml", container.id), "ps --format xml")


def events(t: Context, *arguments: str) -> Result:
    """Run `events`; skips the case where the runtime has no such command."""
    result = t.runtime.call("events", *arguments)
    t.need("unknown command" not in result.stderr, "the runtime has no command `events`")
    return result


@case("events/stats", WHERE + "events --stats prints one JSON object: type, id, data", "R-121", level="common")
def events_stats(t: Context) -> None:
    t.config["linux"]["resources"]["pids"] = {"limit": 40}
    t.config["linux"]["resources"]["memory"] = {"limit": 64 << 20}
    container = t.running("--child")
    lines = t.works(events(t, "--stats", container.id), "events --stats").stdout.splitlines()
    t.equal(len(lines), 1, "number of lines")
    event = json.loads(lines[0])
    t.equal((event["type"], event["id"]), ("stats", container.id), "type and id")
    t.equal(event["data"]["pids"], {"current": 2, "limit": 40}, "pids")
    t.equal(event["data"]["memory"]["usage"]["limit"], 64 << 20, "memory.usage.limit")
    t.check(event["data"]["cpu"]["usage"]["total"] > 0, "no cpu.usage.total")


@case("events/stopped", WHERE + "a stopped container has no events", "R-121", level="common")
def events_stopped(t: Context) -> None:
    container = t.container().create().start()
    container.wait()
    t.fails(events(t, "--stats", container.id), "events of a stopped container")


@case("events/interval", WHERE + "an interval that is not positive is an error", "R-121", level="common")
def events_interval(t: Context) -> None:
    container = t.running()
    for text in ("0s", "-1s"):
        t.fails(events(t, f"--interval={text}", container.id), f"events --interval={text}")
