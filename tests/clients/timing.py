"""How long engines take to run /bin/true, with pyoci and with runc, in turns.

python -m tests.clients.timing [ROUNDS] [RUNTIME]      (as root; prints a table)
"""

import os
import shutil
import statistics
import sys
import tempfile
import time

from tests.integration import host

from . import images, podman_engine
from .containerd_engine import Containerd
from .docker.conftest import Docker
from .engine import Cli, runtime_under_test
from .images import NAME

PEER = shutil.which("runc") or "/usr/sbin/runc"


def measure(rounds, commands):
    """{name: [seconds]}; the order turns with each round, and the first round is thrown away."""
    names = list(commands)
    taken = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = time.perf_counter()
            commands[name]().ok()
            if number:
                taken[name].append(time.perf_counter() - started)
    return taken


def report(engine, taken):
    """One line: medians, and the median of the ratios of one round."""
    ratios = [ours / theirs for ours, theirs in zip(taken["pyoci"], taken["runc"], strict=True)]
    ours, theirs = (1000 * statistics.median(taken[name]) for name in ("pyoci", "runc"))
    print("%-8s pyoci %6.0f ms   runc %6.0f ms   ratio %.2f" % (engine, ours, theirs, statistics.median(ratios)))


def docker(folder, sockets, archive, runtime, rounds):
    engine = Docker(folder, sockets, runtime)
    engine.start()
    try:
        cli = Cli(["docker", "-H", engine.socket], folder)
        cli("load", "--input", archive).ok()
        run = ["run", "--rm", "--network", "none"]
        taken = measure(rounds, {
            "pyoci": lambda: cli(*run, NAME, "true"),
            "runc": lambda: cli(*run, "--runtime", "peer", NAME, "true"),
        })  # fmt: skip
        report("docker", taken)
    finally:
        engine.stop()


def ctr(folder, sockets, archive, runtime, rounds):
    engine = Containerd(folder + "/containerd", sockets, runtime, cri=False)
    try:
        cli = engine.ctr(folder)
        cli("images", "import", "--snapshotter", "native", archive).ok()
        run = ["run", "--rm", "--snapshotter", "native", "--runc-binary"]
        taken = measure(rounds, {
            "pyoci": lambda: cli(*run, runtime, NAME, "box", "true"),
            "runc": lambda: cli(*run, PEER, NAME, "box", "true"),
        })  # fmt: skip
        report("ctr", taken)
    finally:
        engine.stop()


def podman(folder, sockets, archive, runtime, rounds):
    os.makedirs(folder + "/podman")
    ours, theirs = (podman_engine.make(folder + "/podman", path, folder) for path in (runtime, PEER))
    ours("load", "--input", archive).ok()
    taken = measure(rounds, {
        "pyoci": lambda: ours("run", "--rm", NAME, "true"),
        "runc": lambda: theirs("run", "--rm", NAME, "true"),
    })  # fmt: skip
    report("podman", taken)
    ours("rmi", "--force", "--all")
    for point in sorted((m[0] for m in host.mount_table() if m[0].startswith(folder)), reverse=True):
        host.umount(point)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    runtime = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else runtime_under_test()
    host.become_test_host()
    folder, sockets = tempfile.mkdtemp(prefix="pyoci-timing-"), tempfile.mkdtemp(prefix="pt", dir="/run")
    try:
        archive = images.write_archive(folder + "/image.tar")
        for engine in (ctr, docker, podman):
            engine(folder, sockets, archive, runtime, rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(sockets, ignore_errors=True)


if __name__ == "__main__":
    main()
