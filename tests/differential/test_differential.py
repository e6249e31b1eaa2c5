"""pyoci against runc and crun: the probe in the container must see the same, but for the listed differences.

An unlisted difference fails; so does a listed one that no longer occurs (the last test here; it needs a whole run).
"""

import json
import os
import shutil

import pytest

from ..integration import host
from ..integration.runtime import Container, Report, Runtime
from . import matrix
from .compare import differences, flatten

PEERS = ("runc", "crun")
# fmt: off
LOOKS = [
    "--list", "/", "--list", "/dev", "--stat", "/dev/null", "--stat", "/dev/ptmx", "--stat", "/proc", "--stat",
    "/dev", "--stat", "/dev/shm", "--openrw", "/dev/null", "--touch", "/x", "--touch", "/tmp/x", "--list",
    "/sys/fs/cgroup", "--read", "/proc/sys/net/ipv4/ip_forward", "--read", "/proc/1/oom_score_adj", "--stat",
    "/data", "--list", "/data",
]
# fmt: on
LIMIT_FILES = {
    "memory": [
        "memory.limit_in_bytes",
        "memory.soft_limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.max",
        "memory.low",
    ],
    "cpu": ["cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.max", "cpu.weight"],
    "pids": ["pids.max"],
    "cpuset": ["cpuset.cpus", "cpuset.mems"],
    "devices": ["devices.list"],
}
done = set()
compared = set()


class Context:
    """See matrix."""


@pytest.fixture
def context(work, tools, debian):
    c = Context()
    c.folder = os.path.join(work, "volume")
    os.mkdir(c.folder)
    for name in ("hosts", "hostname", "resolv.conf"):
        host.write(os.path.join(c.folder, name), name + "\n")
    c.tools = os.path.dirname(tools["probe"])
    c.debian, c.no_debian = debian
    return c


@pytest.fixture
def pause(pyoci, bundle, fresh_id, context):
    """A standing container whose namespaces others join."""
    one = Container(pyoci, bundle(args=["/bin/probe", "--pause"]), fresh_id()).create().start()
    context.pause = {kind: "/proc/%d/ns/%s" % (one.pid, kind) for kind in ("net", "ipc", "uts", "pid")}
    yield one
    one.clean()


def look(runtime, bundle, edits, name, tools):
    """The flat fields of one container: the probe's report, limits, and the exit status."""
    here = bundle(*edits)
    args = here.config["process"]["args"][:1] + LOOKS
    if here.config["root"]["path"] != "rootfs":
        args = here.config["process"]["args"] + LOOKS
    here.edit(
        {"process": {"args": [*args, "--pause"]}, "linux": {"cgroupsPath": "/%s/%s" % (name.split("-")[0], name)}}
    )
    one = Container(runtime, here, name)
    try:
        one.create()
        limits = {}
        for controller, files in LIMIT_FILES.items():
            try:
                path = host.cgroup_of(one.pid, controller)
            except LookupError:
                continue
            for file in files:
                if os.path.exists(path + "/" + file):
                    limits["limits." + file] = sorted(host.read(path + "/" + file).splitlines())
        one.start()
        report = Report(one.report())
        names = [(name, "ID"), (here.path, "BUNDLE"), (one.process.out_path, "OUT"), (one.process.err_path, "ERR")]
        names += [("host:" + k, os.readlink("/proc/self/ns/" + k)) for k in report["ns"]]
        names.sort(key=lambda pair: -len(pair[0]))  # the id may be the beginning of a folder's name
        fields = flatten(report, names)
        fields.update(limits)
        fields["exit"] = one.end()
        one.delete("--force").ok()
        one.gone = True
        return fields
    finally:
        if not one.gone:
            one.clean()


@pytest.mark.parametrize("case", matrix.CASES)
def test_the_container_is_the_same_as_the_peers(
    pyoci, bundle, fresh_id, context, pause, tools, known, case, request
):
    if case == "debian" and not context.debian:
        pytest.skip(context.no_debian)
    mine = look(pyoci, bundle, matrix.CASES[case](context), fresh_id(), tools)
    unknown = []
    for peer in PEERS:
        command = shutil.which(peer)
        if not command:
            continue
        folder = os.path.join(pyoci.work, peer)
        os.mkdir(folder)
        theirs = look(Runtime(folder, [command]), bundle, matrix.CASES[case](context), fresh_id(), tools)
        compared.add(peer)
        for field, values in differences(mine, theirs).items():
            if not known.find(case, peer, field):
                unknown.append("%s: %s: pyoci %r, %s %r" % (case, field, values[0], peer, values[1]))
    done.add(case)
    path = os.environ.get("PYOCI_DIFFERENCES_OUT")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in unknown)
    if not compared:
        pytest.skip("neither runc nor crun is installed")
    assert not unknown, "\n".join(["not in differences.toml:", *unknown])


def test_every_listed_difference_still_occurs(known):
    if done != set(matrix.CASES) and done != set(matrix.CASES) - {"debian"}:
        pytest.skip("needs the whole matrix in one run, and all of it passing the comparison")
    stale = known.stale(compared)
    assert not stale, "differences.toml lists what no longer occurs: %s" % stale
