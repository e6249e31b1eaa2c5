"""Fixtures: see `runtime`, `bundles` and `host` for what they hand out."""

import os
import shutil
import signal
import socket
import tempfile
import time

import pytest

from . import host
from .bundles import Bundle, default_config, programs
from .runtime import Children, Container, Report, Runtime

HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN = "pt%d" % os.getpid()


def pytest_collection_modifyitems(items):
    """Everything here needs root; say so once per test when it is missing."""
    no_root = pytest.mark.skip(reason="needs root")
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.root)
            if os.geteuid() != 0:
                item.add_marker(no_root)


@pytest.fixture(scope="session")
def workshop():
    """The folder for everything of this session; also makes this process the host of the containers."""
    host.become_test_host()
    old = os.umask(0o022)
    folder = tempfile.mkdtemp(prefix=TOKEN + "w-")  # no id is the beginning of its name
    os.chmod(folder, 0o755)
    yield folder
    os.umask(old)
    host.remove_cgroups(host.cgroup_dirs(TOKEN))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def tools(workshop):
    folder = os.path.join(workshop, "tools")
    os.mkdir(folder)
    return programs(folder)


@pytest.fixture
def work(workshop):
    """A folder for one test."""
    folder = tempfile.mkdtemp(prefix="t-", dir=workshop)
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def left_behind(root, mounts):
    """What there is that was not there before: a list of sentences.  Removes it as well."""
    left = []
    if os.path.isdir(root):
        names = sorted(n for n in os.listdir(root) if not n.startswith("."))
        if names:
            left.append("state: %s" % names)
    cgroups = {c for c in host.cgroup_dirs(TOKEN) if not c.endswith("/" + TOKEN)}
    if cgroups:
        left.append("cgroups: %s" % sorted(cgroups))
    processes = {}
    for _ in range(100):
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
    now = host.mount_table()
    if now != mounts:
        new = [m for m in now if m not in mounts]
        left.append("mounts: new %s, lost %s" % (new, [m for m in mounts if m not in now]))
        for m in new:
            host.umount(m[0])
    host.remove_cgroups(cgroups)
    Children.collect()
    Children.ended.clear()
    return left


@pytest.fixture(autouse=True)
def nothing_left(work):
    """Fail the test when it leaves a mount, a cgroup, a process or a state directory."""
    mounts = host.mount_table()
    yield
    left = left_behind(os.path.join(work, "state"), mounts)
    if left:
        pytest.fail("the test left behind: " + "; ".join(left))


@pytest.fixture
def pyoci(work):
    """The runtime under test: pyoci("state", "x") -> Result."""
    return Runtime(work)


@pytest.fixture
def fresh_id(request):
    """Makes ids that are unique on this machine."""
    numbers = iter(range(10000))
    return lambda: "%s-%d" % (TOKEN, next(numbers))


@pytest.fixture
def bundle(work, tools, fresh_id):
    """Factory: bundle(edit, ..., args=[...]) -> Bundle with a cgroup path of its own."""
    count = iter(range(10000))

    def make(*edits, args=("/bin/probe",)):
        config = default_config(args)
        config["linux"]["cgroupsPath"] = "/%s/c%s" % (TOKEN, fresh_id())
        return Bundle(os.path.join(work, "b%d" % next(count)), config, tools).edit(*edits)

    return make


@pytest.fixture
def container(pyoci, bundle, fresh_id):
    """Factory: container(edit, ..., args=[...]) -> Container, not created yet; deleted at the end in any case."""
    made = []

    def make(*edits, args=("/bin/probe", "--pause"), of=None, name=None):
        one = Container(pyoci, of or bundle(*edits, args=args), name or fresh_id())
        made.append(one)
        return one

    yield make
    for one in made:
        one.clean()


@pytest.fixture
def run(pyoci, bundle, fresh_id):
    """run(edit, ..., args=[...]) -> Result of `run`."""

    def go(*edits, args=("/bin/true",), flags=(), of=None, name=None, **more):
        where = of or bundle(*edits, args=args)
        return pyoci("run", "--bundle", where.path, *flags, name or fresh_id(), **more)

    return go


@pytest.fixture
def inspect(run):
    """inspect(edit, ..., probe=[...]) -> Report of a container that runs the probe with these arguments."""

    def go(*edits, probe=(), **more):
        result = run(*edits, args=["/bin/probe", *probe], **more).ok()
        report = Report(result.json())
        report["stderr"] = result.err
        return report

    return go


@pytest.fixture
def cgroup_dir():
    """cgroup_dir(pid, controller) -> the directory of a process in that hierarchy."""
    return host.cgroup_of


@pytest.fixture
def console(work):
    """A listening socket; console(folder) -> (path, function that returns the pty's master)."""
    servers = []

    def make(path=None):
        path = path or os.path.join(work, "console.sock")
        server = socket.socket(socket.AF_UNIX)
        servers.append(server)
        folder = os.open(os.path.dirname(path), os.O_PATH)
        server.bind("/proc/self/fd/%d/%s" % (folder, os.path.basename(path)))
        os.close(folder)
        server.listen()
        server.settimeout(host.patience(10))

        def receive():
            peer, _ = server.accept()
            with peer:
                peer.settimeout(host.patience(10))
                data, descriptors, _, _ = socket.recv_fds(peer, 4096, 8)
                rest = peer.recv(10)
            assert data
            assert rest == b""
            assert len(descriptors) == 1
            return descriptors[0]

        return path, receive

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def busy(work):
    """The path of a socket that is listened on, but whose queue is full."""
    path = work + "/busy.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(path)
            yield path
