"""What is measured: each scenario is a method that runs once for one runtime and returns rows of samples."""

import os
import signal
from pathlib import Path

from tests.bench.configs import Bundles
from tests.bench.runtimes import Fail, PeakMeter, Runtime, Sample, reap, reap_orphans

SCENARIOS = {
    "version": "COMMAND --version",
    "run": "run /bin/true with a small config",
    "realistic": "run /bin/true as docker asks for it",
    "mounts500": "run /bin/true with 500 read-only bind mounts",
    "lifecycle": "create, start and delete, each and their sum",
    "lifecycle-realistic": "the same as docker asks for it",
    "kill": "kill ID KILL of a running container",
    "state": "state of a running container",
    "exec": "exec /bin/true in a running container",
    "exec-realistic": "the same as docker asks for it",
    "list100": "list with 100 containers",
    "memory": "peak memory of create and state; memory of the init that waits for start",
    "floor-mem": "the smallest memory limit with which run works",
}
# Share of --rounds, for what takes long or hardly varies.
SHARE = {"mounts500": 0.25, "list100": 0.5, "memory": 0.15}
MANY_CONTAINERS = 100
FOREVER = ("/bin/sleep", "100000")
LARGEST_FLOOR_KIB = 65536
FLOOR_STEP_KIB = 64

Rows = dict[str, Sample]
Sizes = dict[str, int]


class Scenarios:
    """The methods named after SCENARIOS; containers that several rounds use stand until `stop_all`."""

    def __init__(self, bundles: Bundles, meter: PeakMeter) -> None:
        self.bundles = bundles
        self.meter = meter
        self.count = 0
        self.standing: dict[tuple[str, str], list[tuple[Runtime, str, int]]] = {}

    def measure(self, scenario: str, runtime: Runtime) -> Rows:
        """One round of one scenario."""
        rows: Rows = getattr(self, "_" + scenario.replace("-", "_"))(runtime)
        return rows

    def stop_all(self) -> None:
        """Kill and delete the standing containers."""
        for containers in self.standing.values():
            for runtime, container_id, pid in containers:
                stop(runtime, container_id, pid)
        self.standing.clear()
        reap_orphans()

    def _new_id(self) -> str:
        self.count += 1
        return "bench-%d-%d" % (os.getpid(), self.count)

    # ---- commands -------------------------------------------------------------------------------------------

    def _version(self, runtime: Runtime) -> Rows:
        return {"version": runtime.call("--version")}

    def _run_once(self, runtime: Runtime, kind: str) -> Sample:
        bundle = self.bundles.make(kind)
        sample = runtime.call("run", "--bundle", bundle, self._new_id())
        return sample.plus(reap_orphans())

    def _run(self, runtime: Runtime) -> Rows:
        return {"run": self._run_once(runtime, "spec")}

    def _realistic(self, runtime: Runtime) -> Rows:
        return {"realistic": self._run_once(runtime, "realistic")}

    def _mounts500(self, runtime: Runtime) -> Rows:
        return {"mounts500": self._run_once(runtime, "mounts500")}

    def _lifecycle(self, runtime: Runtime, kind: str = "spec", prefix: str = "") -> Rows:
        container_id = self._new_id()
        created, pid = runtime.create(container_id, self.bundles.make(kind))
        started = runtime.call("start", container_id)
        init_cpu = reap(pid)
        deleted = runtime.call("delete", container_id)
        parts = (created, started, deleted)
        whole = Sample(
            sum(part.wall for part in parts), sum(part.cpu for part in parts) + init_cpu + reap_orphans()
        )
        return {
            prefix + "create": created,
            prefix + "start": started,
            prefix + "delete": deleted,
            prefix + "lifecycle": whole,
        }

    def _lifecycle_realistic(self, runtime: Runtime) -> Rows:
        return self._lifecycle(runtime, "realistic", "realistic-")

    def _kill(self, runtime: Runtime) -> Rows:
        container_id, pid = self._started(runtime, "spec")
        try:
            return {"kill": runtime.call("kill", container_id, "KILL")}
        finally:
            stop(runtime, container_id, pid)

    def _state(self, runtime: Runtime) -> Rows:
        return {"state": runtime.call("state", self._stand(runtime, "spec"))}

    def _exec(self, runtime: Runtime) -> Rows:
        sample = runtime.call("exec", self._stand(runtime, "spec"), "/bin/true")
        return {"exec": sample.plus(reap_orphans())}

    def _exec_realistic(self, runtime: Runtime) -> Rows:
        sample = runtime.call("exec", self._stand(runtime, "realistic"), "/bin/true")
        return {"realistic-exec": sample.plus(reap_orphans())}

    def _list100(self, runtime: Runtime) -> Rows:
        containers = self.standing.setdefault(("list", runtime.name), [])
        while len(containers) < MANY_CONTAINERS:
            container_id = self._new_id()
            _, pid = runtime.create(container_id, self.bundles.make("spec", FOREVER))
            containers.append((runtime, container_id, pid))
        return {"list100": runtime.call("list")}

    def _started(self, runtime: Runtime, kind: str) -> tuple[str, int]:
        container_id = self._new_id()
        _, pid = runtime.create(container_id, self.bundles.make(kind, FOREVER))
        runtime.call("start", container_id)
        return container_id, pid

    def _stand(self, runtime: Runtime, kind: str) -> str:
        containers = self.standing.setdefault((kind, runtime.name), [])
        if not containers:
            containers.append((runtime, *self._started(runtime, kind)))
        return containers[0][1]

    # ---- memory, in KiB -------------------------------------------------------------------------------------

    def sizes(self, runtime: Runtime) -> Sizes:
        """The scenario `memory`."""
        container_id = self._new_id()
        bundle = self.bundles.make("realistic")
        found = {
            "create, peak": self.meter.peak_kib(
                runtime, "create", "--bundle", bundle, "--pid-file", runtime.pid_file, container_id
            )
        }
        pid = int(Path(runtime.pid_file).read_text())
        try:
            shares = _rollup(pid)
            found["waiting init, PSS"] = shares["Pss:"]
            found["waiting init, private"] = shares["Private_Dirty:"] + shares["Private_Clean:"]
            charged = _charged_kib(pid)
            if charged is not None:
                found["waiting init, charged to its cgroup"] = charged
            found["state, peak"] = self.meter.peak_kib(runtime, "state", container_id)
        finally:
            stop(runtime, container_id, pid)
        return found

    def floor(self, runtime: Runtime) -> int:
        """The scenario `floor-mem`: by bisection, to FLOOR_STEP_KIB."""
        low, high = 0, LARGEST_FLOOR_KIB
        if not self._runs_within(runtime, high):
            raise Fail("does not run with %d KiB" % high)
        while high - low > FLOOR_STEP_KIB:
            middle = (low + high) // 2
            if self._runs_within(runtime, middle):
                high = middle
            else:
                low = middle
        return high

    def _runs_within(self, runtime: Runtime, kib: int) -> bool:
        """Three times of three."""
        for _ in range(3):
            container_id = self._new_id()
            bundle = self.bundles.make("spec", memory_kib=kib)
            _, status = runtime.try_call("run", "--bundle", bundle, container_id)
            reap_orphans()
            if status:
                runtime.try_call("delete", "--force", container_id)
                reap_orphans()
                return False
        return True


def stop(runtime: Runtime, container_id: str, pid: int) -> None:
    """Kill and delete one container, whatever its state."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    reap(pid)
    runtime.try_call("delete", container_id)


def _rollup(pid: int) -> Sizes:
    lines = Path("/proc/%d/smaps_rollup" % pid).read_text().splitlines()[1:]
    return {fields[0]: int(fields[1]) for fields in (line.split() for line in lines)}


def _charged_kib(pid: int) -> "int | None":
    """What its memory cgroup counts; None without one."""
    for line in Path("/proc/%d/cgroup" % pid).read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for file in ("memory/%s/memory.usage_in_bytes", "%s/memory.current"):
            found = Path("/sys/fs/cgroup", file % path.strip("/"))
            if controllers in ("memory", "") and path != "/" and found.exists():
                return int(found.read_text()) // 1024
    return None
