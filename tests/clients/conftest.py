"""Fixtures for all engines.  `clients` tests run only when they are asked for by path or marker."""

import os
import re
import shutil
import signal
import tempfile
import time

import pytest

from tests.integration import host
from tests.integration.runtime import Children

from . import images
from .engine import runtime_under_test

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 180  # seconds for a test and the removal of its containers


def pytest_collection_modifyitems(items):
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.clients)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))


def pytest_report_header():
    return "runtime: " + runtime_under_test()


@pytest.fixture(scope="session")
def runtime():
    """The path of the runtime that the engines are told to use."""
    path = runtime_under_test()
    if not os.path.exists(path):
        pytest.fail("there is no runtime at %s" % path)
    return path


@pytest.fixture(scope="session", autouse=True)
def workshop():
    """One folder for everything; also makes this process the one that orphans fall to."""
    host.become_test_host()
    folder = tempfile.mkdtemp(prefix="pyoci-clients-", dir="/tmp")
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def archive(workshop):
    """The test image as a file."""
    return images.write_archive(workshop + "/image.tar")


@pytest.fixture(scope="session")
def socket_folder():
    """Short names: sockets' paths hold 108 bytes at most."""
    folder = tempfile.mkdtemp(prefix="pc", dir="/run")
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def bounded():
    """The last resort: commands have limits of their own, but a test that hangs must not take all of CI's time."""

    def too_late(*_):
        pytest.fail("no end after %d s" % LIMIT)

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# Parents of the containers' cgroups, which the engines themselves make and never remove.
PARENTS = {"docker", "kubepods", "libpod_parent", "default", "pyoci-clients", "buildah", "conmon", "pod1"}


def cgroups():
    """The cgroups of engines: what else happens on this machine is not ours to judge."""
    return {place for place in host.cgroup_dirs("") if PARENTS & set(place.split("/"))}


def is_parent(name):
    """Whether a directory holds others' cgroups; those of podman's pods, 64 digits, are left under runc as well."""
    return name in PARENTS or re.fullmatch(r"[0-9a-f]{64}", name)


def kept():
    """What the runtime keeps of containers with names as podman and buildah give them."""
    names = os.listdir("/run/pyoci") if os.path.isdir("/run/pyoci") else ()
    return {name for name in names if re.fullmatch(r"[0-9a-f]{64}|buildah-.*", name)}


def deserted(places):
    """Those without a process below them.  Once our children are gone, others are of another run of these tests."""
    busy = {place for place in places if _processes(place)}
    return {place for place in places if not any((other + "/").startswith(place + "/") for other in busy)}


def _processes(place):
    try:
        return host.read(place + "/cgroup.procs")
    except OSError:  # gone, or a threaded one
        return ""


@pytest.fixture(scope="module", autouse=True)
def nothing_left(workshop):
    """An engine's tests leave no process, mount, cgroup or state behind."""
    mounts, before = host.mount_table(), cgroups()
    states = kept()
    yield
    left = []
    processes = {}
    for _ in range(300):
        Children.collect()
        processes = host.children()
        if not processes:
            break
        time.sleep(0.01)
    for pid in processes:
        os.kill(pid, signal.SIGKILL)
        Children.wait(pid, 5)
    if processes:
        left.append("processes: %s" % processes)
    new = [mount for mount in host.mount_table() if mount not in mounts]
    for mount in reversed(new):
        host.umount(mount[0])
    if new:
        left.append("mounts: %s" % new)
    new = deserted(cgroups() - before)
    dirs = {place for place in new if not is_parent(place.rsplit("/", 1)[1])}
    host.remove_cgroups(new)
    if dirs:
        left.append("cgroups: %s" % sorted(dirs))
    if kept() - states:
        left.append("state: %s" % sorted(kept() - states))
    if left:
        pytest.fail("left behind: " + "; ".join(left))
