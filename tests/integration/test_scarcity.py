"""Scarcity: a full or read-only state root, few descriptors, processes and namespaces (security.md, table R).

Every command ends with a clean refusal or with success, and leaves nothing.
"""

import os
import resource
import signal

import pytest

from . import host
from .conftest import TOKEN
from .host import hierarchies, mount, requires, umount, write
from .test_robustness import RICH


@pytest.fixture
def small_root(pyoci):
    """The state root on a tmpfs of a few pages; small_root(pages, inodes) mounts it."""
    places = []

    def make(size, inodes=1000, flags=0):
        os.makedirs(pyoci.root, 0o700, exist_ok=True)
        mount("tmpfs", pyoci.root, "tmpfs", flags, "size=%d,nr_inodes=%d,mode=700" % (size, inodes))
        places.append(pyoci.root)

    yield make
    for place in places:
        umount(place)


@pytest.mark.parametrize("pages", [1, 2, 3, 4, 6, 8, 12])
def test_a_full_state_root_is_a_clean_refusal_or_success(container, pyoci, small_root, pages):
    """R-20."""
    small_root(4096 * pages)
    one = container(RICH)
    result = one.try_create()
    assert "Traceback" not in result.text, result
    if result.code == 0:
        one.start()
        one.end()
        one.delete().ok()
    else:
        one.gone = True
        assert pyoci.left() == [], result
    assert pyoci.left() == []


@pytest.mark.parametrize("inodes", [1, 2, 3, 4, 5, 6, 8])
def test_a_state_root_without_inodes(container, pyoci, small_root, inodes):
    small_root(1 << 20, inodes)
    one = container(RICH)
    result = one.try_create()
    assert "Traceback" not in result.text, result
    if result.code == 0:
        one.start()
        one.end()
        one.delete().ok()
    one.gone = True
    assert pyoci.left() == [], result


@pytest.mark.parametrize("verb", ["start", "kill", "delete"])
def test_a_root_that_fills_up_later_does_not_stop_the_end(container, pyoci, small_root, verb):
    """R-20: delete needs no new space."""
    small_root(1 << 18)
    one = container().create()
    if verb != "start":
        one.start()
    with open(pyoci.root + "/filler", "wb") as file:
        try:
            while True:
                file.write(b"x" * 4096)
                file.flush()
        except OSError:
            pass
        finally:
            try:
                file.close()
            except OSError:
                pass
    if verb == "start":
        one.start()
    if verb == "kill":
        one.end()
    one.delete("--force").ok()
    os.unlink(pyoci.root + "/filler")


@pytest.mark.parametrize("kind", ["read-only", "file", "dangling", "below-file"])
def test_an_unusable_state_root_is_a_clean_refusal(container, pyoci, small_root, work, kind):
    """R-21."""
    one = container()
    one.gone = True
    root = pyoci.root
    if kind == "read-only":
        small_root(1 << 20, flags=host.MS_RDONLY)
    elif kind == "file":
        write(root, "x")
    elif kind == "dangling":
        os.symlink(work + "/absent/absent", root)
    else:
        write(root, "x")
        pyoci.root = root + "/below"
    result = one.try_create()
    assert result.code == 1, result
    assert "Traceback" not in result.text
    pyoci.root = root
    if kind != "read-only" and os.path.lexists(root):
        os.unlink(root)


# ---- limits of the caller ----


@pytest.mark.parametrize("size", [0, 1, 100, 4096])
def test_a_file_size_limit_of_the_caller(container, pyoci, size):
    """R-22: RLIMIT_FSIZE; Python ignores SIGXFSZ, a program does not."""
    one = container()

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    result = one.try_create(preexec_fn=limit)
    assert result.code in (0, 1, 128 + signal.SIGXFSZ), result
    assert "Traceback" not in result.text
    if result.code:
        pyoci("delete", "--force", one.id).ok()
        one.gone = True
    else:
        one.delete("--force").ok()
    assert pyoci.left() == []


@pytest.mark.parametrize("number", [4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32])
def test_few_descriptors_for_the_caller(container, pyoci, number):
    """R-22: refused cleanly at every level, or it works."""
    one = container(RICH, {"process": {"rlimits": None}})

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))

    result = one.try_create(preexec_fn=limit)
    assert "Traceback" not in result.text, result
    if result.code == 0:
        one.delete("--force").ok()
    else:
        one.gone = True
        assert pyoci.left() == [], result


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 8, 12])
def test_few_processes_for_the_caller(container, pyoci, limit):
    """R-23: the caller's cgroup has a small pids.max."""
    requires("v1:pids")
    path = os.path.join(hierarchies()["pids"], TOKEN, "few")
    os.makedirs(path)
    write(path + "/pids.max", str(limit))
    one = container(RICH)
    try:
        result = one.try_create(preexec_fn=lambda: write(path + "/cgroup.procs", "0"))
        assert "Traceback" not in result.text, result
        if result.code == 0:
            one.delete("--force").ok()
        else:
            one.gone = True
            pyoci("delete", "--force", one.id).ok()
            assert pyoci.left() == [], result
    finally:
        host.remove_cgroups([path])


@pytest.mark.parametrize(
    ("name", "kind"), [("net", "network"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid"), ("mnt", "mount")]
)
def test_a_namespace_that_is_used_up_is_named(container, pyoci, name, kind):
    """R-24: user.max_NAME_namespaces is 0 in a user namespace of the caller."""
    requires("userns")
    one = container()
    one.gone = True
    knob = "/proc/sys/user/max_%s_namespaces" % name
    # An own user namespace with the limit lowered; the caller is root of it.
    script = 'echo 0 > %s && exec "$@"' % knob
    wrap = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
    wrap += ["sh", "-c", script, "sh"]
    options = ["--cgroup-manager", "disabled"]
    one.bundle.edit({"linux": {"resources": None, "cgroupsPath": None}})
    result = pyoci("create", "--bundle", one.bundle.path, one.id, wrap=wrap, options=options)
    result.failed("no space left on device")
    assert "max_%s_namespaces" % name in result.text or "%s namespace" % kind in result.text, result
    assert pyoci.left() == []
