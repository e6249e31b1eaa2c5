#!/usr/bin/env python3
"""Compare OCI runtimes: wall time, CPU time and memory, all of them in turn in every round.

    tests/bench/bench.py [--rounds N] [--only SCENARIO,...] [NAME=COMMAND ...]

COMMAND is a runtime's command line up to its subcommand, as in `old=/opt/pyoci-0.1/bin/pyoci` or
'traced=strace -fc pyoci'.  Without any: the pyoci beside this interpreter or in PATH, runc and crun.  Ratios are to
the peer (--peer, runc unless said).  On a loaded machine believe the CPU ratios first: waiting stretches with the
load, work hardly does.

Needs root and a static busybox.  Exit status: 0; 1 when --check finds the budget missed; 2 for wrong usage.
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
import tomllib
from pathlib import Path

# Run as a file, from anywhere.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.configs import Bundles, remove_cgroups
from tests.bench.ratios import Figures, figures, missed
from tests.bench.runtimes import Fail, PeakMeter, Runtime, Sample, on_alarm, reap_orphans
from tests.bench.scenarios import SCENARIOS, SHARE, Scenarios

BUDGET = Path(__file__).parent / "budget.toml"
PR_SET_CHILD_SUBREAPER = 36
FEWEST_ROUNDS = 3


class Bench:
    """The rounds and what came of them."""

    def __init__(self, scenarios: Scenarios, runtimes: list[Runtime], rounds: int, quiet_s: float) -> None:
        self.scenarios = scenarios
        self.runtimes = runtimes
        self.rounds = rounds
        self.quiet_s = quiet_s
        self.samples: dict[str, dict[str, list[Sample]]] = {}  # row, runtime
        self.sizes: dict[str, dict[str, list[int]]] = {}  # KiB
        self.failures: dict[tuple[str, str], str] = {}

    def measure(self, scenario: str) -> None:
        """All rounds of one scenario, the order rotating; what fails once is not asked again."""
        rounds = 1 if scenario == "floor-mem" else max(FEWEST_ROUNDS, round(self.rounds * SHARE.get(scenario, 1)))
        warm_up = 0 if scenario in ("memory", "floor-mem") else 1
        for number in range(rounds + warm_up):
            for index in range(len(self.runtimes)):
                runtime = self.runtimes[(index + number) % len(self.runtimes)]
                if (scenario, runtime.name) not in self.failures:
                    self._measure_one(scenario, runtime, counts=number >= warm_up)
        print("# %s: done" % scenario, file=sys.stderr, flush=True)

    def _measure_one(self, scenario: str, runtime: Runtime, *, counts: bool) -> None:
        wait_for_quiet(self.quiet_s)
        try:
            if scenario == "memory":
                sizes = self.scenarios.sizes(runtime)
            elif scenario == "floor-mem":
                sizes = {"smallest limit for run": self.scenarios.floor(runtime)}
            else:
                sizes = {}
                for row, sample in self.scenarios.measure(scenario, runtime).items():
                    if counts:
                        self.samples.setdefault(row, {}).setdefault(runtime.name, []).append(sample)
            for row, kib in sizes.items():
                self.sizes.setdefault(row, {}).setdefault(runtime.name, []).append(kib)
        except (Fail, OSError, ValueError, KeyError) as error:
            self.failures[scenario, runtime.name] = "%s" % error

    def table(self, peer: str) -> dict[str, dict[str, Figures]]:
        """Figures by row and runtime."""
        return {
            row: {
                runtime.name: figures(by_name[runtime.name], by_name.get(peer, []))
                for runtime in self.runtimes
                if runtime.name in by_name
            }
            for row, by_name in self.samples.items()
        }


def wait_for_quiet(most_s: float) -> None:
    """Wait until nothing else has been runnable three times in a row, at most `most_s` seconds."""
    deadline = time.monotonic() + most_s
    quiet = 0
    while quiet < 3 and time.monotonic() < deadline:
        _, _, rest = Path("/proc/stat").read_text().partition("procs_running ")
        quiet = quiet + 1 if int(rest.split()[0]) <= 1 else 0
        time.sleep(0.004)


def print_table(table: dict[str, dict[str, Figures]], bench: Bench, peer: str) -> None:
    """What stands on standard output."""
    columns = "%-20s %-12s %6s %9s %9s %9s %7s %7s"
    print(columns % ("row", "runtime", "rounds", "least ms", "median ms", "cpu ms", "x wall", "x cpu"))
    for row, by_name in table.items():
        for name, found in by_name.items():
            numbers = ["%9.2f" % number for number in (found.least_ms, found.median_ms, found.cpu_ms)]
            shares = ["-" if ratio is None else "%7.2f" % ratio for ratio in (found.wall_ratio, found.cpu_ratio)]
            print(columns % (row, name, found.rounds, *numbers, *shares))
    for row, sizes in bench.sizes.items():
        base = statistics.median(sizes[peer]) if sizes.get(peer) else 0
        for name, values in sizes.items():
            size = statistics.median(values)
            print("%-38s %-12s %8d KiB %s" % (row, name, size, "%7.2f" % (size / base) if base else "-"))
    for (scenario, name), why in bench.failures.items():
        print("not measured: %s with %s: %s" % (scenario, name, why))
    print("ratios: medians of each round's ratio to %s" % peer)


def as_json(table: dict[str, dict[str, Figures]], bench: Bench, peer: str) -> dict[str, object]:
    """What --json writes."""
    return {
        "peer": peer,
        "commands": {runtime.name: runtime.argv for runtime in bench.runtimes},
        "rows": {row: {name: found._asdict() for name, found in by_name.items()} for row, by_name in table.items()},
        "kib": {
            row: {name: statistics.median(v) for name, v in sizes.items()} for row, sizes in bench.sizes.items()
        },
        "failures": {"%s/%s" % key: why for key, why in bench.failures.items()},
    }


def default_commands() -> list[str]:
    """pyoci as it is installed beside this interpreter or in PATH, and those of its peers that are installed."""
    beside = Path(sys.executable).with_name("pyoci")
    found = {"pyoci": str(beside) if beside.exists() else shutil.which("pyoci")}
    found.update({name: shutil.which(name) for name in ("runc", "crun")})
    for name, command in found.items():
        if not command:
            print("not measured: %s is not installed" % name)
    return ["%s=%s" % (name, command) for name, command in found.items() if command]


def state_parent() -> "str | None":
    """State lies on a tmpfs, as /run is wherever containers run in earnest; None: where temporary files lie."""
    tmpfs = {
        line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "tmpfs"
    }
    return next((path for path in ("/run", "/dev/shm") if path in tmpfs), None)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    known = "\n".join("  %-20s %s" % item for item in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="scenarios:\n" + known,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runtime", nargs="*", metavar="NAME=COMMAND")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", metavar="SCENARIO,...", default=",".join(SCENARIOS))
    parser.add_argument("--peer", help="the runtime that ratios are to (default: runc, else the last named)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here")
    parser.add_argument("--check", action="store_true", help="hold the first runtime against budget.toml")
    parser.add_argument("--busybox", default=shutil.which("busybox"), help="a static busybox")
    parser.add_argument(
        "--quiet", type=float, default=0, metavar="S", help="before each round wait up to S seconds for idleness"
    )
    arguments = parser.parse_args()
    arguments.only = arguments.only.split(",")
    unknown = set(arguments.only) - set(SCENARIOS)
    if unknown:
        parser.error("unknown scenario: %s" % ", ".join(sorted(unknown)))
    arguments.runtime = arguments.runtime or default_commands()
    names = [text.partition("=")[0] for text in arguments.runtime]
    if not all("=" in text for text in arguments.runtime) or len(set(names)) != len(names):
        parser.error("runtimes are NAME=COMMAND, each with a name of its own")
    arguments.peer = arguments.peer or ("runc" if "runc" in names else names[-1])
    if arguments.peer not in names:
        parser.error("no runtime is called %s" % arguments.peer)
    if os.geteuid() != 0:
        parser.error("containers with these configurations need root")
    if not arguments.busybox:
        parser.error("no busybox found")
    return arguments


def main() -> int:
    """See the module."""
    arguments = read_arguments()
    signal.signal(signal.SIGALRM, on_alarm)
    # Inits whose maker has ended fall to us, so that their CPU time is counted and no zombie stays.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with (
        tempfile.TemporaryDirectory(prefix="pyoci-bench-") as work_name,
        tempfile.TemporaryDirectory(prefix="pyoci-bench-", dir=state_parent()) as state_name,
    ):
        work, state = Path(work_name), Path(state_name)
        runtimes = [
            Runtime(name, command, work, state)
            for name, _, command in (text.partition("=") for text in arguments.runtime)
        ]
        scenarios = Scenarios(Bundles(work, arguments.busybox), PeakMeter(arguments.busybox, work))
        bench = Bench(scenarios, runtimes, arguments.rounds, arguments.quiet)
        try:
            for scenario in arguments.only:
                bench.measure(scenario)
        finally:
            scenarios.stop_all()
            reap_orphans()
            remove_cgroups()
    table = bench.table(arguments.peer)
    print_table(table, bench, arguments.peer)
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(table, bench, arguments.peer), indent=1) + "\n")
    return check(table, runtimes[0].name, arguments.peer) if arguments.check else 0


def check(table: dict[str, dict[str, Figures]], name: str, peer: str) -> int:
    """Hold the figures of the runtime `name` against the budget."""
    budget = tomllib.loads(BUDGET.read_text())
    if peer != budget["peer"]:
        print("the budget is in shares of %s, not of %s" % (budget["peer"], peer))
        return 2
    ratios = {row: by_name[name].wall_ratio for row, by_name in table.items() if name in by_name}
    lines = missed(budget["wall"], ratios)
    for line in lines:
        print("budget missed: " + line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
