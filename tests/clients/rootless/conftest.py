"""podman as an ordinary user, who exists only in a mount namespace with its own /etc/passwd and /etc/subuid."""

import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from tests.integration import host

from .. import podman_engine
from ..engine import ENVIRONMENT, stop

UID = 34567
NAME = "pyoci-client"
UNPRIVILEGED = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "--inh-caps=-all"]
FILES = {
    "passwd": "%s:x:%d:%d::{home}:/bin/sh\n" % (NAME, UID, UID),
    "group": "%s:x:%d:\n" % (NAME, UID),
    "subuid": "%s:500000:65536\n" % NAME,
    "subgid": "%s:500000:65536\n" % NAME,
}
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


@pytest.fixture(scope="module")
def installed(workshop):
    """The runtime at a place where everybody may execute it."""
    if os.environ.get("PYOCI_CLIENTS_RUNTIME"):
        return os.path.abspath(os.environ["PYOCI_CLIENTS_RUNTIME"])
    target, wheels = workshop + "/installed", workshop + "/wheels"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels]
    subprocess.run(build, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL, timeout=120)
    wheel = os.path.join(wheels, os.listdir(wheels)[0])
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", target, wheel]
    subprocess.run(pip, check=True, timeout=120)
    _start_with(target + "/bin/pyoci-boot", interpreter())
    return target + "/bin/pyoci"


def interpreter():
    """A Python that an ordinary user may execute: ours, or the system's."""
    for path in (sys.executable, "/usr/bin/python3"):
        probe = [*UNPRIVILEGED, "unshare", "--user", path, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        if subprocess.run(probe, check=False, cwd="/", stderr=subprocess.DEVNULL).returncode == 0:
            return path
    pytest.skip("others may not execute this interpreter: " + sys.executable)


def _start_with(boot, python):
    with open(boot, encoding="utf-8") as file:
        lines = file.readlines()
    lines[0] = "#!%s\n" % python
    with open(boot, "w", encoding="utf-8") as file:
        file.writelines(lines)


class User:
    """The user's mount namespace and home."""

    def __init__(self, folder):
        self.home = folder + "/home"
        self.runtime_dir = folder + "/xdg"
        etc = folder + "/etc"
        os.mkdir(etc)
        script = []
        for name, text in FILES.items():
            with open("/etc/" + name, "a+") as old, open("%s/%s" % (etc, name), "w") as new:
                old.seek(0)
                new.write(old.read() + text.format(home=self.home))
            script.append("mount --bind %s/%s /etc/%s" % (etc, name, name))
        for path in (self.home, self.runtime_dir):
            os.mkdir(path, 0o700)
            os.chown(path, UID, UID)
        ready = folder + "/ready"
        script.append("touch %s; exec sleep 100000" % ready)
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", "\n".join(script)]
        self.holder = subprocess.Popen(command, env=ENVIRONMENT)
        host.until(lambda: os.path.exists(ready))

    def prefix(self):
        return ["nsenter", "--target", str(self.holder.pid), "--mount", *UNPRIVILEGED]

    def environment(self):
        return {"HOME": self.home, "XDG_RUNTIME_DIR": self.runtime_dir, "USER": NAME, "LOGNAME": NAME}


@pytest.fixture(scope="module")
def user(archive):
    for program in ("podman", "newuidmap", "setpriv", "nsenter"):
        if not shutil.which(program):
            pytest.skip("%s is not installed" % program)
    folder = tempfile.mkdtemp(prefix="pyoci-rootless-", dir="/tmp")
    os.chmod(folder, 0o755)
    one = User(folder)
    yield one
    stop(one.holder)
    shutil.rmtree(folder, ignore_errors=True)


def command_line(user, installed, output):
    folder = user.home + "/podman"
    if not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
        os.chown(folder, UID, UID)
    cli = podman_engine.make(folder, installed, output, user.environment())
    cli.prefix = [*user.prefix(), *cli.prefix]
    cli.engine, cli.mount_failure, cli.at_once = "rootless", 126, ["--time", "0"]
    cli.build_flags = ["--network", "host"]  # its own would need /dev/net/tun
    return cli


@pytest.fixture(scope="module")
def storage(user, installed, workshop, archive):
    cli = command_line(user, installed, workshop)
    cli("load", "--input", archive, cwd="/").ok()
    yield cli
    cli("rm", "--force", "--all", "--time", "0", cwd="/")
    cli("rmi", "--force", "--all", cwd="/")
    cli("unshare", "rm", "-rf", user.home + "/podman/root", cwd="/")
    pause = user.home + "/podman/tmp/pause.pid"  # the process that holds the user namespace
    if os.path.exists(pause):
        os.kill(int(host.read(pause)), 9)


@pytest.fixture
def cli(storage, user, installed, tmp_path):
    folder = tempfile.mkdtemp(dir=user.home)
    os.chown(folder, UID, UID)
    os.chmod(folder, 0o777)
    one = command_line(user, installed, folder)
    os.chdir("/")
    yield one
    one("pod", "rm", "--force", "--all", "--time", "0")
    one("rm", "--force", "--all", "--time", "0")
