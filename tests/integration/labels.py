"""What the tests of labels need: profiles loaded into AppArmor, a policy loaded into SELinux."""

import ctypes
import os
import re
import shutil
import subprocess

import pytest

from . import host
from .host import read

PROFILE = """
profile %s flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  signal,
  ptrace,
  mount,
  umount,
  unix,
  deny /**/forbidden* w,
}
"""
SELINUXFS = "/sys/fs/selinux"
POLICY = "PYOCI_TEST_SELINUX_POLICY"
# What podman searches the one-line message of the runtime for, and the end by which it knows what was set.
PODMAN = re.compile(r"`/proc/[a-z0-9-].+/attr.*`")


def apparmor_is_on():
    try:
        read("/proc/self/attr/apparmor/current")
    except OSError:
        return False
    return True


def requires_apparmor():
    if not apparmor_is_on() or not shutil.which("apparmor_parser"):
        pytest.skip("needs AppArmor and apparmor_parser: tests/vm/run has them")


class Profile:
    """An AppArmor profile that allows all but to write to /forbidden."""

    def __init__(self, name):
        self.name = name
        self._parse("--replace")

    def _parse(self, what):
        text = PROFILE % self.name
        subprocess.run(["apparmor_parser", what, "--skip-cache"], input=text, text=True, check=True)

    def remove(self):
        self._parse("--remove")


def requires_selinux():
    """SELinux in the kernel, with the policy of tests/data/selinux.conf; it is loaded here where there is none."""
    if "selinuxfs" not in read("/proc/filesystems"):
        pytest.skip("needs a kernel booted with selinux=1: see tests/vm/README.md")
    subprocess.run(["modprobe", "overlay"], check=False)  # no autoloading under a policy that knows no modprobe
    if read("/proc/self/attr/current").startswith("kernel"):
        if not os.environ.get(POLICY):
            pytest.skip("$%s names no policy: see tests/vm/README.md" % POLICY)
        if not os.path.exists(SELINUXFS + "/load"):
            host.mount("selinuxfs", SELINUXFS, "selinuxfs")
        with open(os.environ[POLICY], "rb") as file:
            data = file.read()
        fd = os.open(SELINUXFS + "/load", os.O_WRONLY)
        os.write(fd, data)
        os.close(fd)
        host.write(SELINUXFS + "/enforce", "1")
    if ":kernel_t:" not in read("/proc/self/attr/current"):
        pytest.skip("another policy than that of the tests is loaded")


def label_of(pid):
    """What a process runs under, as the kernel tells it from outside."""
    return read("/proc/%d/attr/current" % pid).rstrip("\0\n")


def profile_of(pid):
    return read("/proc/%d/attr/apparmor/current" % pid).strip()


def label_of_keyring(name):
    """The SELinux label of the session keyring of that name (keyctl(2), KEYCTL_GET_SECURITY)."""
    for line in read("/proc/keys").splitlines():
        if " %s: " % name in line:
            serial = int(line.split()[0], 16)
            text = ctypes.create_string_buffer(256)
            length = ctypes.CDLL(None, use_errno=True).syscall(250, 17, serial, text, 256)
            assert length > 0, os.strerror(ctypes.get_errno())
            return text.value.decode()
    raise AssertionError("no keyring %s: %s" % (name, read("/proc/keys")))
