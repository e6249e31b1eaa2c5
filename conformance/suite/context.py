"""What a case is given: a bundle with a small valid config, containers, and comparisons that say what they saw."""

import copy
import fnmatch
import json
import os
import signal
import time
from collections.abc import Callable

from . import cgroups, sandbox, system
from .case import Failed, Skipped, patience
from .container import Container, Result, Runtime

CAPABILITIES = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
]


def base_config() -> dict:
    """Return the config that every case starts from: five namespaces, /proc and an empty /dev."""
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {
            "cwd": "/",
            "args": ["/probe"],
            "env": ["PATH=/bin:/"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": {name: list(CAPABILITIES) for name in ("bounding", "effective", "permitted")},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        ],
        "linux": {
            "namespaces": [{"type": name} for name in ("pid", "mount", "ipc", "uts", "network")],
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        },
    }  # fmt: skip


class Output:
    """What the probe printed: facts by key, and actions in order."""

    def __init__(self, data: dict) -> None:
        self.data = data

    def __getitem__(self, key: str):
        return self.data[key]

    def action(self, do: str, argument: str | None = None, nth: int = 0) -> dict:
        found = [a for a in self.data["actions"] if a["do"] == do and argument in (None, a.get("arg"))]
        if len(found) <= nth:
            raise Failed(f"the probe did not report {do} {argument}")
        return found[nth]

    def text(self, path: str) -> str:
        """Return the text of a file read with --read; fails when the container could not read it."""
        action = self.action("read", path)
        if "errno" in action:
            raise Failed(f"{path} cannot be read in the container: {action['errno']}")
        return action["text"]

    def mounts(self) -> list[dict]:
        if self.data["mountinfo"] is None:
            raise Failed("no /proc/self/mountinfo in the container")
        return [system.parse_mountinfo_line(line) for line in self.data["mountinfo"]]

    def mount(self, point: str) -> dict:
        """Return the uppermost mount at `point`."""
        found = [line for line in self.mounts() if line["point"] == point]
        if not found:
            raise Failed(f"nothing is mounted at {point}")
        return found[-1]


class Context:
    """The helper of one case. config: change it before `container()`; work: a directory of this case alone."""

    def __init__(self, box: sandbox.Sandbox, runtime: Runtime, number: int) -> None:
        self.box, self.runtime = box, runtime
        self.token = f"{box.token}-{number}-{os.getpid()}"
        self.work = f"{box.base}/{self.token}"
        self.probe = box.probe
        os.mkdir(self.work, 0o755)
        self.config = base_config()
        self.config["linux"]["cgroupsPath"] = f"/{self.token}"
        self.containers: list[Container] = []
        self._undo: list[Callable[[], None]] = []
        self._count = 0
        self.bundle = self.make_bundle("bundle")
        self.rootfs = f"{self.bundle}/rootfs"

    # ---- bundles and containers ----

    def make_bundle(self, name: str) -> str:
        bundle = f"{self.work}/{name}"
        for path in (
            bundle,
            f"{bundle}/rootfs",
            *(f"{bundle}/rootfs/{d}" for d in ("proc", "dev", "sys", "tmp", "etc")),
        ):
            os.mkdir(path, 0o755)
        os.chmod(f"{bundle}/rootfs/tmp", 0o1777)
        os.link(self.box.probe, f"{bundle}/rootfs/probe")
        return bundle

    def path(self, name: str) -> str:
        """Return the path of a file of the container's root filesystem, as the host sees it."""
        return f"{self.rootfs}/{name.lstrip('/')}"

    def write(self, name: str, text: str = "", mode: int = 0o644) -> str:
        """Write a file in the root filesystem, with parents; returns the host's path of it."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def mkdir(self, name: str, mode: int = 0o755) -> str:
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return path

    def host_dir(self, name: str, mode: int = 0o755) -> str:
        """Make a directory of the host beside the bundle."""
        path = f"{self.work}/{name}"
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return path

    def host_file(self, name: str, text: str = "", mode: int = 0o644) -> str:
        path = f"{self.work}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def host_mount(self, source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
        """Mount in the case's own mount namespace; taken back when the case ends."""
        system.mount(source, target, fstype, flags, data)
        self._undo.append(lambda: system.umount(target))

    def args(self, *arguments: str) -> "Context":
        self.config["process"]["args"] = ["/probe", *arguments]
        return self

    def write_config(self, text: str | None = None, bundle: str | None = None) -> None:
        with open(f"{bundle or self.bundle}/config.json", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(json.dumps(self.config) if text is None else text)

    def container(self, name: str | None = None, text: str | None = None, bundle: str | None = None) -> Container:
        """Write config.json and return a container that is not created yet."""
        self.write_config(text, bundle)
        self._count += 1
        made = Container(self.runtime, name or f"{self.token}-{self._count}", bundle or self.bundle, self.work)
        self.containers.append(made)
        return made

    def go(self, *arguments: str, status: int = 0) -> Output:
        """Create, start, wait, delete; returns what the probe printed. Fails unless it exits with `status`."""
        if arguments:
            self.args(*arguments)
        container = self.container().create().start()
        code = container.wait()
        said = container.errors().strip()
        if code != status:
            raise Failed(f"the container exited with {code}, not {status}{': ' + said[-200:] if said else ''}")
        output = self.output(container)
        deleted = container.delete()
        if deleted.status:
            raise Failed(f"delete of the stopped container failed, {deleted.why}")
        return output

    def output(self, container: Container, timeout: float = 5.0) -> Output:
        """Return the probe's output, waiting for it to appear."""
        deadline = time.monotonic() + patience(timeout)
        while True:
            text = container.output()
            if text.endswith("\n"):
                return Output(json.loads(text.splitlines()[-1]))
            if time.monotonic() > deadline:
                raise Failed(f"the container's program printed nothing: {container.errors().strip()[-200:]!r}")
            time.sleep(0.01)

    def running(self, *arguments: str) -> Container:
        """Return a running container: the probe has printed and now pauses."""
        self.args(*arguments, "--pause")
        container = self.container().create().start()
        self.output(container)
        return container

    def refused(self, text: str | None = None, late: bool = False) -> str:
        """Create must fail and leave nothing; with `late` the error may come at start (process properties)."""
        container = self.container(text=text)
        result = container.try_create()
        if result.status == 0 and late:
            result = self.runtime.call("start", container.id)
            if result.status:
                container.delete("--force")
                return result.stderr
        if result.status == 0:
            raise Failed("accepted, where an error is due")
        if result.status < 0:
            raise Failed(f"the runtime died of signal {-result.status}")
        if container.try_state().status == 0:
            raise Failed("create failed, but the container exists")
        return result.stderr

    # ---- comparisons ----

    def check(self, truth: object, what: str) -> None:
        if not truth:
            raise Failed(what)

    def equal(self, got: object, want: object, what: str) -> None:
        if got != want:
            raise Failed(f"{what}: got {got!r}, want {want!r}")

    def need(self, truth: object, reason: str) -> None:
        if not truth:
            raise Skipped(reason)

    def fails(self, result: Result, what: str) -> Result:
        if result.status == 0:
            raise Failed(f"{what}: succeeded, where an error is due")
        return result

    def works(self, result: Result, what: str) -> Result:
        if result.status:
            raise Failed(f"{what}: {result.why}")
        return result

    def until(self, test: Callable[[], object], what: str, timeout: float = 5.0) -> None:
        timeout = patience(timeout)
        deadline = time.monotonic() + timeout
        while not test():
            if time.monotonic() > deadline:
                raise Failed(f"{what} (waited {timeout:g} s)")
            time.sleep(0.02)

    # ---- pieces of configuration ----

    def namespace(self, kind: str, path: str | None = None) -> None:
        """Ask for a namespace of the kind (in place of an entry for it): new, or joined by path."""
        entry = {"type": kind} if path is None else {"type": kind, "path": path}
        spaces = self.config["linux"]["namespaces"]
        spaces[:] = [n for n in spaces if n["type"] != kind] + [entry]

    def without_namespace(self, kind: str) -> None:
        spaces = self.config["linux"]["namespaces"]
        spaces[:] = [n for n in spaces if n["type"] != kind]

    def mount(self, destination: str, **fields) -> None:
        self.config["mounts"].append({"destination": destination, **fields})

    def bind(self, source: str, destination: str, *options: str) -> None:
        self.mount(destination, type="bind", source=source, options=["bind", *options])

    def user_namespace(self, host: int = 100000, size: int = 65536) -> None:
        """Ask for a user namespace whose ids are host.. on the host; gives the rootfs to it."""
        self.namespace("user")
        for key in ("uidMappings", "gidMappings"):
            self.config["linux"][key] = [{"containerID": 0, "hostID": host, "size": size}]

    def holder(self, kind: str, setup: Callable[[], None] | None = None) -> str:
        """Start a process in a new namespace of the kind; returns the path of its namespace file."""
        pid = hold(kind, setup)
        self._undo.append(lambda: end(pid))
        inside = pid
        if kind in ("pid", "time"):
            self.until(lambda: sandbox.children(pid), "no child in the new namespace")
            inside = sandbox.children(pid)[0]
        return f"/proc/{inside}/ns/{system.NAMESPACE_FILE[kind]}"

    def copy(self) -> dict:
        return copy.deepcopy(self.config)

    def cgroup_file(self, container: Container, controller: str, v1: str, v2: str | None = None) -> str:
        """Return the text of a cgroup file of the container: v1's name, or v2's where the controller is on v2."""
        found = cgroups.of_process(container.pid)
        if controller in found:
            path = f"{found[controller]}/{v1}"
        elif "" in found and v2 and os.path.exists(f"{found['']}/{v2}"):
            path = f"{found['']}/{v2}"
        else:
            raise Skipped(f"this host has no {controller} controller in a form that the case knows")
        with open(path, encoding="utf-8") as file:
            return file.read().strip()

    # ---- the end ----

    def close(self) -> list[str]:
        """Check that nothing is left of the containers, then clean up. Returns what was left behind."""
        names = []
        for container in self.containers:
            if container.try_state().status == 0:
                names.append(container.id)
                container.delete("--force")
        while self._undo:
            try:
                self._undo.pop()()
            except OSError:
                pass
        return names


def leftovers(context: Context, mounts: set[str]) -> list[str]:
    """Return what containers left: processes, mounts, cgroups, state. Called when all of them are deleted."""
    found = []
    sandbox.reap()
    deadline = time.monotonic() + 1.0
    while (
        pids := [pid for pid in sandbox.descendants(os.getpid()) if sandbox.alive(pid)]
    ) and time.monotonic() < deadline:
        time.sleep(0.02)
        sandbox.reap()
    found += [f"process {pid} ({_command(pid)})" for pid in pids]
    found += [f"mount {line['point']}" for line in system.mountinfo() if str(line["point"]) not in mounts]
    groups = cgroups.named(context.token)
    found += [f"{len(groups)} cgroups, {groups[0]} first"] if groups else []
    if os.path.isdir(context.runtime.root):
        found += [
            f"state {name}"
            for name in os.listdir(context.runtime.root)
            if fnmatch.fnmatch(name, f"{context.token}*")
        ]
    return found


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return "gone"


def hold(kind: str, setup: Callable[[], None] | None) -> int:
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            system.prctl(system.PR_SET_PDEATHSIG, signal.SIGKILL)
            system.unshare(system.NAMESPACE_FLAG[kind])
            if setup:
                setup()
            if kind in ("pid", "time") and os.fork() == 0:
                system.prctl(system.PR_SET_PDEATHSIG, signal.SIGKILL)
                while True:
                    signal.pause()
            os.write(told, b"x")
            while True:
                signal.pause()
        finally:
            os._exit(1)
    os.close(told)
    done = os.read(ready, 1)
    os.close(ready)
    if not done:
        raise Skipped(f"this host gives no new {kind} namespace")
    return pid


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
