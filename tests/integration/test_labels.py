"""Labels of security modules where the kernel has no such module, and attr files that something hides."""

import json
import os
import subprocess
import sys

import pytest

from .host import read, requires, write

NO_APPARMOR = "AppArmor is disabled or not supported"
NO_SELINUX = "selinux is disabled or not supported"

# In a mount namespace of its own, with a file over our own attr file: first a careless writer, then us.
COVERED = """
import os, sys
from pyoci.init.labels import Labels
from pyoci.errors import OperationError
own = "/proc/%d/task/%d/attr/exec" % (os.getpid(), os.getpid())
assert os.system("mount --bind %s %s" % (sys.argv[1], own)) == 0
with open("/proc/thread-self/attr/exec", "w") as file:
    file.write("taken in")
proc_fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
try:
    Labels("", "a:b:c:s0").open(proc_fd)
except OperationError as error:
    print(error.message)
"""


def test_a_file_over_the_attr_file_is_found_out(work):
    """CVE-2019-16884."""
    fake = work + "/fake"
    write(fake, "")
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(os.path.dirname(__file__)))}
    argv = ["unshare", "--mount", sys.executable, "-c", COVERED, fake]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment)
    assert read(fake) == "taken in"
    assert "open `/proc/thread-self/attr/exec`: invalid cross-device link" in done.stdout


@pytest.mark.parametrize("command", ["run", "create"])
def test_a_profile_where_there_is_no_apparmor_is_an_error(run, container, command):
    """R-228."""
    requires("no_apparmor")
    edit = {"process": {"apparmorProfile": "p"}}
    result = run(edit) if command == "run" else container(edit).try_create()
    result.failed(NO_APPARMOR, ".process.apparmorProfile")


@pytest.mark.parametrize("command", ["run", "create"])
def test_a_label_where_there_is_no_selinux_is_an_error(run, container, command):
    """R-229."""
    requires("no_selinux")
    edit = {"process": {"selinuxLabel": "a:b:c:s0"}}
    result = run(edit) if command == "run" else container(edit).try_create()
    result.failed(NO_SELINUX, ".process.selinuxLabel")
    run({"linux": {"mountLabel": "a:b:c:s0"}}).failed(NO_SELINUX, ".linux.mountLabel")


def test_exec_refuses_labels_likewise(container, pyoci, work):
    """R-228, R-229."""
    requires("no_apparmor", "no_selinux")
    one = container(args=("/bin/sleep", "1000")).create().start()
    for flags, words in (
        (["--apparmor", "p"], (NO_APPARMOR, ".process.apparmorProfile")),
        (["--process-label", "a:b:c:s0"], (NO_SELINUX, ".process.selinuxLabel")),
    ):
        pyoci("exec", *flags, one.id, "/bin/true").failed(*words, code=255)
    write(work + "/p.json", json.dumps({"cwd": "/", "args": ["/bin/true"], "apparmorProfile": "p"}))
    pyoci("exec", "--process", work + "/p.json", one.id).failed(NO_APPARMOR, "at: .apparmorProfile", code=255)
    pyoci("exec", one.id, "/bin/true").ok()
    one.end()


def test_check_tells_of_both(bundle, pyoci):
    requires("no_apparmor", "no_selinux")
    edit = {"process": {"apparmorProfile": "p", "selinuxLabel": "l"}, "linux": {"mountLabel": "m"}}
    result = pyoci("check", "--bundle", bundle(edit).path)
    assert result.code == 1
    for line in (
        ".process.apparmorProfile: AppArmor profile is specified",
        ".process.selinuxLabel: selinux label is",
        ".linux.mountLabel: selinux label is",
    ):
        assert line in result.text


def test_plan_shows_labels_on_any_host(bundle, pyoci):
    edit = {"process": {"apparmorProfile": "prof", "selinuxLabel": "lab"}, "linux": {"mountLabel": "m"}}
    text = pyoci("plan", "--bundle", bundle(edit).path).ok().out
    for words in ("AppArmor profile prof", "SELinux context lab", "labelled lab", "context=m"):
        assert words in text
