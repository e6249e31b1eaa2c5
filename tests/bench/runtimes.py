"""One runtime's command, started and measured from outside."""

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

PATIENCE_S = 60


class Fail(Exception):
    """A runtime could not do what it was asked to."""


class Sample(NamedTuple):
    """Seconds from the start to the reaped end, and CPU seconds of all that was reaped."""

    wall: float
    cpu: float

    def plus(self, cpu: float) -> "Sample":
        """The same with the CPU time of a container's init on top."""
        return Sample(self.wall, self.cpu + cpu)


class Runtime:
    """`name` in the tables, the command line up to the subcommand, and a state root of its own."""

    def __init__(self, name: str, command: str, work: Path, state: Path) -> None:
        self.name = name
        self.argv = shlex.split(command)
        self.root = str(state / name)
        self.errors = str(work / "stderr")
        self.pid_file = str(work / "pid")
        os.mkdir(self.root, 0o700)

    def call(self, *words: str) -> Sample:
        """Run one command of the runtime.  Fail when its status is not 0."""
        sample, status = self.try_call(*words)
        if status:
            lines = [*Path(self.errors).read_text(errors="replace").splitlines(), ""]
            raise Fail("%s: status %d: %s" % (words[0], os.waitstatus_to_exitcode(status), lines[0][-300:]))
        return sample

    def try_call(self, *words: str) -> tuple[Sample, int]:
        """(the sample, the wait status).  Killed, and Fail, after PATIENCE_S seconds."""
        argv = [*self.argv, *([] if words[0].startswith("-") else ["--root", self.root]), *words]
        started = time.perf_counter()
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=_streams(self.errors))
        signal.alarm(PATIENCE_S)
        try:
            _, status, used = os.wait4(pid, 0)
            ended = time.perf_counter()
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            os.wait4(pid, 0)
            raise Fail("%s: no end after %d s, killed" % (words[0], PATIENCE_S)) from None
        finally:
            signal.alarm(0)
        return Sample(ended - started, used.ru_utime + used.ru_stime), status

    def create(self, container_id: str, bundle: str) -> tuple[Sample, int]:
        """(the sample, the pid of init)."""
        sample = self.call("create", "--bundle", bundle, "--pid-file", self.pid_file, container_id)
        return sample, int(Path(self.pid_file).read_text())


def on_alarm(*_: object) -> None:
    """Ends a wait4 that takes too long."""
    raise TimeoutError


def _streams(errors: str) -> list[tuple[int, ...]]:
    null = os.devnull
    return [
        (os.POSIX_SPAWN_OPEN, 0, null, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]  # type: ignore[list-item]


def reap(pid: int) -> float:
    """Wait for a container's init, which falls to us as child subreaper; its CPU seconds."""
    try:
        used = os.wait4(pid, 0)[2]
    except ChildProcessError:
        deadline = time.monotonic() + 10
        while os.path.exists("/proc/%d" % pid) and time.monotonic() < deadline:
            time.sleep(0.001)
        return 0.0
    return used.ru_utime + used.ru_stime


def reap_orphans() -> float:
    """Collect what else has ended; CPU seconds."""
    seconds = 0.0
    while True:
        try:
            pid, _, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return seconds
        if not pid:
            return seconds
        seconds += used.ru_utime + used.ru_stime


class PeakMeter:
    """Peak memory of one command, by busybox's `time`.

    wait4's own figure would carry this process's size across the spawn; so something small stands between.  Some
    builds of busybox print four times too much: they are calibrated on one that tells its own peak.
    """

    def __init__(self, busybox: str, work: Path) -> None:
        self.busybox = busybox
        self.out = work / "peak"
        shown = subprocess.run(
            [busybox, "time", "-f", "%M", busybox, "grep", "VmHWM", "/proc/self/status"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.unit = max(1, round(int(shown.stderr.split()[-1]) / int(shown.stdout.split()[1])))

    def peak_kib(self, runtime: Runtime, *words: str) -> int:
        """KiB of the largest single process of the command."""
        argv = [
            self.busybox,
            "time",
            "-o",
            str(self.out),
            "-f",
            "%M",
            *runtime.argv,
            "--root",
            runtime.root,
            *words,
        ]
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=_streams(runtime.errors))
        status = os.wait4(pid, 0)[1]
        figures = self.out.read_text().split()
        if status or not figures:
            raise Fail("%s: status %d" % (words[0], status))
        return int(figures[-1]) // self.unit
