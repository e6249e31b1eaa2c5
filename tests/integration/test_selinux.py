"""process.selinuxLabel and linux.mountLabel under a kernel that has SELinux (config.md, config-linux.md).

On a machine without it these are skipped; tests/vm/README.md tells how to run them.
"""

import os
import shutil

import pytest

from .bundles import entry
from .host import read, until
from .labels import PODMAN, label_of, label_of_keyring, requires_selinux

BOX = "system_u:system_r:box_t:s0:c1,c2"
OTHER = "system_u:system_r:other_t:s0:c3"
LOCKED = "system_u:system_r:locked_t:s0"
FILES = "system_u:object_r:box_file_t:s0:c1,c2"
SLEEP = ("/bin/sleep", "1000")


@pytest.fixture(scope="module", autouse=True)
def selinux():
    requires_selinux()


def under(label, *edits):
    return [{"process": {"selinuxLabel": label}}, *edits]


def test_the_program_and_its_keyring_have_the_label(container):
    """R-229."""
    one = container(*under(BOX), args=SLEEP, name="labelled-keys").create()
    assert label_of_keyring("_ses.labelled-keys") == BOX
    one.start()
    until(lambda: label_of(one.pid) == BOX, what="the label of init")
    one.end()


def test_a_program_without_a_label_keeps_the_callers(inspect):
    assert inspect()["attr_current"].rstrip("\0\n") == label_of(os.getpid())


def test_exec_takes_the_label_of_the_container_or_one_of_its_own(container, pyoci):
    """R-229."""
    one = container(*under(BOX), args=SLEEP).create().start()

    def label(*flags):
        result = pyoci("exec", *flags, one.id, "/bin/probe", "--only", "proc").ok()
        return result.json()["attr_current"].rstrip("\0\n")

    assert label() == BOX
    assert label("--process-label", OTHER) == OTHER
    one.end()


def test_a_label_that_the_policy_does_not_have_is_an_error_of_create(container):
    """R-229, R-033."""
    result = container(*under("no:such:label:s0")).try_create()
    result.failed("process.selinuxLabel", "invalid argument", "the policy has no such context")
    assert PODMAN.search(result.err.splitlines()[0]).group().endswith("/exec`")


def test_a_label_that_the_policy_forbids_is_enforced_by_the_kernel(run):
    """Not by us: the write succeeds, and execve is refused."""
    assert "ermission denied" in run(*under(LOCKED)).failed(code=255).err


def contexts(report):
    """mount point -> the context in its superblock's options."""
    found = {}
    for line in report["mountinfo"]:
        point, options = line.split()[4], line.split(" - ")[1].split(None, 2)[2]
        for key in ("fscontext", "defcontext", "rootcontext", "context"):
            if key + "=" in options:
                found[point] = (key, options.split(key + "=", 1)[1])
                break
    return found


def test_mounts_have_the_label(inspect):
    """R-261: as an option where the filesystem takes one, as an attribute of the root of mqueue, else not."""
    covered = "/data/sub"
    report = inspect(
        {"linux": {"mountLabel": FILES, "maskedPaths": ["/proc/bus", "/proc/kcore"]}},
        {"mounts+": [entry("/mnt", "tmpfs", "tmpfs"), entry("/data", "tmpfs", "tmpfs", "size=1m")]},
        probe=["--mkdir", covered],
    )
    seen = contexts(report)
    for point in ("/dev", "/dev/pts", "/dev/shm", "/mnt", "/data", "/proc/bus"):
        assert seen[point][0] == "context", (point, seen)
        assert seen[point][1].startswith('"%s"' % FILES), seen[point]
    assert not {"/proc", "/sys", "/dev/mqueue"} & seen.keys()


def test_mqueue_has_the_label_as_an_attribute(container):
    """R-261."""
    one = container({"linux": {"mountLabel": FILES}}, args=SLEEP).create().start()
    root = "/proc/%d/root/dev/" % one.pid
    assert os.getxattr(root + "mqueue", "security.selinux").rstrip(b"\0").decode() == FILES
    assert os.getxattr(root + "shm", "security.selinux").rstrip(b"\0").decode() == FILES
    one.end()


@pytest.mark.parametrize("kind", ["context", "fscontext", "rootcontext"])
def test_the_annotation_chooses_the_kind_of_context(inspect, kind):
    """R-278."""
    report = inspect(
        {"linux": {"mountLabel": FILES}, "annotations": {"run.oci.mount_context_type": kind}},
        {"mounts": [entry("/proc", "proc", "proc"), entry("/mnt", "tmpfs", "tmpfs")]},
    )
    assert contexts(report)["/mnt"][0] == kind


def test_a_context_that_a_filesystem_does_not_take_is_an_error(run):
    """R-278: a tmpfs has no default context, since its files have no labels on a disk."""
    kind = {"run.oci.mount_context_type": "defcontext"}
    edit = {"linux": {"mountLabel": FILES}, "annotations": kind, "mounts": [entry("/mnt", "tmpfs", "tmpfs")]}
    run(edit, {"linux": {"maskedPaths": [], "readonlyPaths": []}}).failed(
        ".mounts[0]", "defcontext=" + FILES, "invalid argument"
    )


def test_a_context_of_the_mount_itself_goes_before(inspect):
    given = "system_u:object_r:file_t:s0:c3"
    report = inspect(
        {"linux": {"mountLabel": FILES}},
        {"mounts+": [entry("/mnt", "tmpfs", "tmpfs", 'context="%s"' % given)]},
    )
    assert contexts(report)["/mnt"][1].startswith(given)


def test_contexts_reach_a_filesystem_with_long_options(inspect, work):
    """mount(2) wants them in quotes, since categories are parted by commas."""
    if "overlay" not in read("/proc/filesystems"):
        pytest.skip("no overlay: tests/vm/run has it only with systemd")
    lower = "%s/%s" % (work, "l" * 200)
    for name in ("u", "w", "l" * 200):
        os.mkdir("%s/%s" % (work, name))
    options = ["lowerdir=%s:%s" % (lower, lower + "/."), "upperdir=%s/u" % work, "workdir=%s/w" % work]
    report = inspect({"linux": {"mountLabel": FILES}}, {"mounts+": [entry("/mnt", "overlay", "overlay", *options)]})
    assert contexts(report)["/mnt"][1].startswith('"%s"' % FILES)
    shutil.rmtree(work + "/w")
