"""A hostile process in a pid namespace that the runtime comes into: what it can get of the runtime's stages."""

import json
import os
import subprocess

import pytest

from . import host
from .bundles import PROBE_SOURCE, namespaces
from .host import until

RW = {"root": {"readonly": False}}
MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
USERNS = {
    "linux": {
        "namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "user"),
        "uidMappings": MAPS,
        "gidMappings": MAPS,
    }
}
SECONDS = 2.5
OTHER_USER = {"process": {"user": {"uid": 1000, "gid": 1000}}}  # whose program the spy may not trace anyway


@pytest.fixture(scope="session")
def spy(tools):
    """The static program `spy`."""
    path = os.path.join(os.path.dirname(tools["probe"]), "spy")
    subprocess.run(
        ["gcc", "-O1", "-static", "-o", path, os.path.join(os.path.dirname(PROBE_SOURCE), "spy.c")], check=True
    )
    return path


def capabilities(*names):
    return {"process": {"capabilities": {k: list(names) for k in ("bounding", "effective", "permitted")}}}


@pytest.fixture
def attack(container, spy, work, run):
    """attack(edits of the spy, edits of the victim) -> what the spy won while victims were run beside it."""

    def go(*edits, join=("pid",), hook=True):
        secret = os.path.join(work, "secret")
        host.write(secret, "secret of the host")
        one = container(RW, *edits, args=["/bin/spy", secret, str(SECONDS)])
        os.link(spy, one.bundle.inside("bin/spy"))
        one.create().start()
        paths = {kind: "/proc/%d/ns/%s" % (one.pid, kind) for kind in join}
        joined = {"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount", **paths)}}
        victims = 0
        while host.alive(one.pid):
            with_hook = {"hooks": {"createContainer": [{"path": "/bin/sleep", "args": ["sleep", "0.02"]}]}}
            result = run(joined, OTHER_USER, with_hook if hook and not victims % 2 else {})
            if host.alive(one.pid):
                result.ok()
            victims += 1
        assert victims > 3
        one.wait()
        one.delete().ok()
        won = json.loads(until(one.out))
        print(won)
        assert won["seen"] > 100, "the spy saw nothing: the test proves nothing"
        return won

    return go


NOTHING = dict.fromkeys(("root", "cwd", "fd", "mem", "trace"), 0)


def test_a_spy_without_special_capabilities_gets_nothing(attack):
    """S-01."""
    won = attack()
    assert {key: won[key] for key in NOTHING} == NOTHING


@pytest.mark.xfail(
    reason="without a user namespace CAP_SYS_PTRACE of the container is the host's: as with runc and crun"
)
def test_a_spy_that_may_trace_gets_nothing_of_the_host(attack):
    """CVE-2016-9962: CAP_SYS_PTRACE overrules that the stages are not dumpable."""
    won = attack(capabilities("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE"))
    assert (won["root"], won["cwd"], won["fd"]) == (0, 0, 0)


def test_a_spy_with_every_capability_of_a_user_namespace_gets_nothing(attack):
    """S-01: the memory of a stage belongs to the user namespace that it was started in, not to the one it joins.

    Without hooks: a createContainer hook is an ordinary program of the host inside the container's namespaces,
    and can be traced there by the specification.
    """
    everything = capabilities(
        "CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE", "CAP_SETUID"
    )
    won = attack(USERNS, everything, join=("pid", "user"), hook=False)
    assert (won["root"], won["cwd"], won["fd"]) == (0, 0, 0)
