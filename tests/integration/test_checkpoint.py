"""checkpoint and restore (R-134 to R-136), with the system's criu, where it works on this kernel.

Another one is tried by mounting it there: unshare -m sh -c 'mount --bind NEW/criu /usr/sbin/criu && pytest ...'.
"""

import json
import os
import shutil
import signal
import stat
import subprocess

import pytest

from . import host
from .bundles import DEFAULT_NAMESPACES, bind, entry, namespaces
from .runtime import Children, Runtime

COUNT = "i=0; while :; do i=$((i+1)); echo $i > /tmp/new; mv /tmp/new /tmp/count; sleep 0.05; done"
TMP = {"mounts+": [entry("/tmp", "tmpfs", "tmpfs")]}


@pytest.fixture(autouse=True)
def criu(pyoci):
    """Skip, with criu's own words, where checkpoints cannot work."""
    probe = pyoci("checkpoint", "--help")
    if probe.code:
        pytest.skip("no usable criu: " + " ".join(probe.err.split()))


class Saver:
    """Checkpoints and restores of one bundle; cleans up what it restored."""

    def __init__(self, pyoci, work, fresh_id):
        self.pyoci, self.work, self.fresh_id = pyoci, work, fresh_id
        self.images = os.path.join(work, "images")
        self.restored = []
        self.process = None

    def checkpoint(self, container, *flags, **more):
        result = self.pyoci("checkpoint", "--image-path", self.images, *flags, container.id, **more)
        if not result.code and "--leave-running" not in flags and "--pre-dump" not in flags:
            Children.wait(container.pid, 10)
            container.gone = True
        return result

    def log(self, name):
        return host.read(os.path.join(self.images, name))

    def start(self, bundle, *flags, name=None, **more):
        """Start a restore; gives (its Process, the id)."""
        name = name or self.fresh_id()
        self.restored.append(name)
        arguments = ["restore", "--bundle", bundle.path, "--image-path", self.images, *flags, name]
        self.process = self.pyoci.spawn(*arguments, **more)
        return self.process, name

    def restore(self, bundle, *flags, **more):
        """A detached restore, that must succeed; gives its id."""
        process, name = self.start(bundle, "--detach", *flags, **more)
        result = process.wait()
        assert result.code == 0, "%r\n%s" % (result, self.log("restore.log")[-3000:])
        return name

    def pid(self, name):
        return self.pyoci.state(name)["pid"]

    def inside(self, name, path):
        return "/proc/%d/root%s" % (self.pid(name), path)

    def clean(self):
        for name in self.restored:
            self.pyoci("delete", "--force", name)


@pytest.fixture
def saver(pyoci, work, fresh_id):
    one = Saver(pyoci, work, fresh_id)
    yield one
    one.clean()


@pytest.fixture
def counting(container):
    """counting(edit, ...) -> a running container that counts in /tmp/count."""

    def make(*edits, script=COUNT, create=None, **more):
        one = container(TMP, *edits, args=("/bin/sh", "-c", script), **more).create(**(create or {})).start()
        host.until(lambda: count_in(one.pid) > 2, what="the container to count")
        return one

    return make


def count_in(pid):
    try:
        return int(host.read("/proc/%d/root/tmp/count" % pid))
    except (FileNotFoundError, ValueError):
        return 0


def test_a_counter_goes_on_where_it_was(counting, saver, pyoci, work):
    """R-134, R-135, R-136."""
    edit = {"linux": {"resources": {"pids": {"limit": 77}}}}
    container = counting(edit)
    with open("/proc/%d/root/tmp/token" % container.pid, "w", encoding="utf-8") as file:
        file.write("of the first life")
    before = count_in(container.pid)
    saver.checkpoint(container).ok()
    pyoci("state", container.id).failed("container does not exist")
    assert pyoci.left() == []
    assert host.cgroup_dirs(os.path.basename(container.bundle.config["linux"]["cgroupsPath"])) == set()
    assert stat.S_IMODE(os.stat(saver.images).st_mode) == 0o700

    pid_file = os.path.join(work, "restored.pid")
    name = saver.restore(container.bundle, "--pid-file", pid_file)
    state = pyoci.state(name)
    pid = state["pid"]
    assert (state["status"], state["bundle"]) == ("running", container.bundle.path)
    assert host.read(pid_file) == str(pid)
    at_first = count_in(pid)
    assert before <= at_first
    host.until(lambda: count_in(pid) > at_first, what="the restored container to count on")
    assert host.read(saver.inside(name, "/tmp/token")) == "of the first life"
    assert host.read(os.path.join(host.cgroup_of(pid, "pids"), "pids.max")) == "77\n"
    assert host.cgroup_of(pid, "pids").endswith(container.bundle.config["linux"]["cgroupsPath"])
    assert "NSpid:\t%d\t1\n" % pid in host.read("/proc/%d/status" % pid)
    assert not os.path.exists(os.path.join(pyoci.root, name, "criu-root"))


def test_the_restored_container_is_like_any_other(counting, saver, pyoci):
    container = counting()
    saver.checkpoint(container).ok()
    name = saver.restore(container.bundle)
    assert "root:" not in pyoci("exec", name, "/bin/echo", "here").ok().err
    pyoci("pause", name).ok()
    assert pyoci.state(name)["status"] == "paused"
    pyoci("resume", name).ok()
    pid = saver.pid(name)
    pyoci("kill", name, "KILL").ok()
    assert Children.wait(pid, 10) == 128 + signal.SIGKILL
    assert pyoci.state(name)["status"] == "stopped"
    pyoci("delete", name).ok()


def test_it_can_be_saved_again_after_it_was_restored(counting, saver, pyoci):
    container = counting()
    saver.checkpoint(container).ok()
    name = saver.restore(container.bundle)
    pid = saver.pid(name)
    count = count_in(pid)
    saver.images += "-again"
    pyoci("checkpoint", "--image-path", saver.images, name).ok()
    Children.wait(pid, 10)
    assert count_in(saver.pid(saver.restore(container.bundle))) >= count


def test_the_same_id_can_be_restored(counting, saver, pyoci):
    container = counting()
    saver.checkpoint(container).ok()
    assert saver.restore(container.bundle, name=container.id) == container.id
    assert container.status() == "running"


def test_leave_running(counting, saver, pyoci):
    container = counting()
    saver.checkpoint(container, "--leave-running").ok()
    assert container.state()["pid"] == container.pid
    assert container.status() == "running"
    count = count_in(container.pid)
    host.until(lambda: count_in(container.pid) > count, what="it to go on")


def test_a_paused_container_can_be_saved(counting, saver, pyoci):
    container = counting()
    pyoci("pause", container.id).ok()
    count = count_in(container.pid)
    saver.checkpoint(container).ok()
    assert count_in(saver.pid(saver.restore(container.bundle))) >= count


def test_a_paused_container_stays_paused_when_it_is_left(counting, saver, pyoci):
    container = counting()
    pyoci("pause", container.id).ok()
    saver.checkpoint(container, "--leave-running").ok()
    assert container.status() == "paused"


def test_only_what_runs_can_be_saved(container, saver, pyoci):
    """R-035."""
    one = container().create()
    saver.checkpoint(one).failed("Container cannot be checkpointed in created state")
    one.end()
    saver.checkpoint(one).failed("Container cannot be checkpointed in stopped state")
    pyoci("checkpoint", "nobody").failed("container does not exist")
    assert not os.path.exists(saver.images)


def test_work_files_go_to_the_work_path(counting, saver, work):
    container = counting()
    place = os.path.join(work, "new", "work")
    saver.checkpoint(container, "--work-path", place).ok()
    assert os.path.exists(os.path.join(place, "dump.log"))
    assert not os.path.exists(os.path.join(saver.images, "dump.log"))
    saver.restore(container.bundle, "--work-path", place)
    assert os.path.exists(os.path.join(place, "restore.log"))


def test_the_default_directory_is_checkpoint(counting, saver, pyoci, work):
    container = counting()
    pyoci("checkpoint", "--leave-running", container.id, cwd=work).ok()
    assert os.path.exists(os.path.join(work, "checkpoint", "inventory.img"))


# ---- mounts ----


def test_bind_mounts_are_those_of_the_host_again(counting, saver, work):
    os.mkdir(work + "/shared")
    os.mkdir(work + "/tree")
    for place in ("/file", "/shared/note"):
        with open(work + place, "w", encoding="utf-8") as file:
            file.write("old")
    mounts = [
        bind("/etc/file", work + "/file", "bind", "ro"),
        bind("/data", work + "/shared", "bind", "rw"),
        bind("/link/tree", work + "/tree", "rbind", "rw"),
    ]
    edit = {"mounts+": mounts, "root": {"readonly": False}}

    container = counting(edit)
    saver.checkpoint(container).ok()
    for place in ("/file", "/shared/note"):
        with open(work + place, "w", encoding="utf-8") as file:
            file.write("new")
    shutil.rmtree(container.bundle.inside("/link"))  # as in a root filesystem unpacked again
    name = saver.restore(container.bundle)
    assert host.read(saver.inside(name, "/etc/file")) == "new"
    assert host.read(saver.inside(name, "/data/note")) == "new"
    assert os.path.samefile(saver.inside(name, "/link/tree"), work + "/tree")
    options = {m.point: m.options for m in host.mountinfo(saver.pid(name))}
    assert "ro" in options["/etc/file"]
    assert "rw" in options["/data"]


def test_a_mount_point_behind_a_symlink(counting, saver, bundle, work):
    os.mkdir(work + "/shared")
    where = bundle(
        {"mounts+": [bind("/var/run/shared", work + "/shared", "bind")]}, TMP, args=("/bin/sh", "-c", COUNT)
    )
    os.mkdir(where.inside("/var"))
    os.symlink("/run", where.inside("/var/run"))
    container = counting(of=where)
    saver.checkpoint(container).ok()
    name = saver.restore(container.bundle)
    assert os.path.samefile(saver.inside(name, "/run/shared"), work + "/shared")


def test_mounts_below_a_recursive_bind(counting, saver, work):
    os.makedirs(work + "/tree/below")
    host.mount("tmpfs", work + "/tree/below", "tmpfs")
    try:
        with open(work + "/tree/below/note", "w", encoding="utf-8") as file:
            file.write("of the host")
        container = counting({"mounts+": [bind("/data", work + "/tree", "rbind", "rprivate")]})
        saver.checkpoint(container).ok()
        name = saver.restore(container.bundle)
        assert host.read(saver.inside(name, "/data/below/note")) == "of the host"
        saver.clean()
    finally:
        host.umount(work + "/tree/below")


def test_masked_and_read_only_paths_stay(counting, saver):
    container = counting()
    before = sorted((m.point, "ro" in m.options) for m in host.mountinfo(container.pid))
    saver.checkpoint(container).ok()
    name = saver.restore(container.bundle)
    assert sorted((m.point, "ro" in m.options) for m in host.mountinfo(saver.pid(name))) == before
    for path in ("/proc/keys", "/proc/timer_list"):
        if (path, False) in before or (path, True) in before:
            assert os.stat(saver.inside(name, path)).st_rdev == os.makedev(1, 3)


def test_a_filesystem_that_was_remounted_leaves_the_hosts_as_it_is(counting, saver):
    """The mount points are made in the host's namespaces, where sysfs is the host's."""

    def of_host():
        return [
            line.partition(" - ")[2] for line in host.read("/proc/self/mountinfo").splitlines() if " /sys " in line
        ]

    before = of_host()
    remount = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["remount", "ro"]}
    container = counting({"mounts+": [remount]})
    saver.checkpoint(container).ok()
    saver.restore(container.bundle)
    after = of_host()
    if after != before:
        subprocess.run(["mount", "-o", "remount,rw", "/sys"], check=True)
    assert after == before


def test_a_mount_in_the_place_of_a_read_only_one_is_refused(counting, saver, work):
    """The container moves the directories of two mount points, so that each has the other's name."""
    os.mkdir(work + "/kept")
    os.mkdir(work + "/free")
    mounts = [bind("/tmp/a/m", work + "/kept", "bind", "ro"), bind("/tmp/b/m", work + "/free", "bind", "rw")]
    container = counting({"mounts+": mounts})
    inside = "/proc/%d/root/tmp" % container.pid
    os.rename(inside + "/a", inside + "/c")
    os.symlink("b", inside + "/a")
    result = saver.checkpoint(container)
    result.failed("the mount at /tmp/a/m is not ro", "operation not permitted")
    assert container.status() == "running"
    os.unlink(inside + "/a")
    os.rename(inside + "/c", inside + "/a")
    saver.checkpoint(container).ok()
    saver.restore(container.bundle)


def test_mounts_that_are_moved_while_they_are_saved_are_refused(counting, saver, work):
    """After the names were found, and before criu reads what is mounted: it calls a script in between."""
    os.mkdir(work + "/kept")
    os.mkdir(work + "/free")
    with open(work + "/criu.conf", "w", encoding="utf-8") as file:
        file.write("action-script %s/move\n" % work)
    mounts = [bind("/tmp/a/m", work + "/kept", "bind", "ro"), bind("/tmp/b/m", work + "/free", "bind", "rw")]
    container = counting({"mounts+": mounts, "annotations": {"org.criu.config": work + "/criu.conf"}})
    with open(work + "/move", "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\n[ "$CRTOOLS_SCRIPT_ACTION" = network-lock ] || exit 0\n')
        file.write("cd /proc/%d/root/tmp && mv a c && mv b a && mv c b\n" % container.pid)
    os.chmod(work + "/move", 0o755)
    saver.checkpoint(container).failed("the mount at /tmp/a/m is not ro")
    assert container.status() == "running"
    count = count_in(container.pid)
    host.until(lambda: count_in(container.pid) > count, what="it to go on")


# ---- namespaces ----


def test_loopback_is_up_in_the_new_network(counting, saver, pyoci):
    container = counting()
    saver.checkpoint(container).ok()
    name = saver.restore(container.bundle)
    shown = subprocess.run(
        ["nsenter", "-t", str(saver.pid(name)), "-n", "cat", "/proc/net/if_inet6"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "lo" in shown.stdout, shown


@pytest.mark.parametrize("kind", ["network", "ipc", "uts"])
def test_a_namespace_by_path_is_joined_again(container, counting, saver, kind):
    holder = container().create()
    path = "/proc/%d/ns/%s" % (holder.pid, {"network": "net"}.get(kind, kind))
    others = [name for name in DEFAULT_NAMESPACES if name != kind]
    edit = {"linux": {"namespaces": namespaces(*others, **{kind: path})}}
    if kind == "uts":
        edit = {**edit, "hostname": "box"}
    guest = counting(edit)
    saver.checkpoint(guest).ok()
    name = saver.restore(guest.bundle)
    mine = "/proc/%d/ns/%s" % (saver.pid(name), os.path.basename(path))
    assert os.readlink(mine) == os.readlink(path)


def test_a_namespace_by_path_that_is_gone_is_named(counting, container, saver, pyoci):
    holder = container().create()
    others = [name for name in DEFAULT_NAMESPACES if name != "network"]
    guest = counting({"linux": {"namespaces": namespaces(*others, network="/proc/%d/ns/net" % holder.pid)}})
    saver.checkpoint(guest).ok()
    holder.end()
    process, _ = saver.start(guest.bundle, "--detach")
    process.wait().failed(".linux.namespaces", "no such file or directory")
    assert pyoci.left() == [holder.id]


def test_a_user_namespace(counting, saver, work):
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    edit = {
        "linux": {
            "namespaces": namespaces("user", *DEFAULT_NAMESPACES),
            "uidMappings": maps,
            "gidMappings": maps,
        }
    }
    container = counting(edit)
    saver.checkpoint(container).ok()
    name = saver.restore(container.bundle)
    assert host.read("/proc/%d/uid_map" % saver.pid(name)).split() == ["0", "100000", "65536"]
    count = count_in(saver.pid(name))
    host.until(lambda: count_in(saver.pid(name)) > count, what="it to go on")


def test_a_cgroup_namespace(counting, saver):
    host.requires("cgroupns")
    container = counting({"linux": {"namespaces": namespaces("cgroup", *DEFAULT_NAMESPACES)}})
    saver.checkpoint(container).ok()
    name = saver.restore(container.bundle)
    assert os.readlink("/proc/%d/ns/cgroup" % saver.pid(name)) != os.readlink("/proc/self/ns/cgroup")


# ---- descriptors and terminals ----


class Pipes:
    """Three pipes for a container's standard streams, and what comes out of them."""

    def __init__(self):
        (self.stdin, self.input), (self.output, self.stdout), (self.errors, self.stderr) = (
            os.pipe() for _ in range(3)
        )

    def given(self):
        return {"stdin": self.stdin, "stdout": self.stdout, "stderr": self.stderr}

    def keep_ours(self):
        for fd in (self.stdin, self.stdout, self.stderr):
            os.close(fd)

    def close(self):
        for fd in (self.input, self.output, self.errors):
            os.close(fd)


def read_line(fd, timeout=10):
    os.set_blocking(fd, False)
    data = b""

    def complete():
        nonlocal data
        try:
            data += os.read(fd, 4096)
        except BlockingIOError:
            pass
        return data.endswith(b"\n")

    host.until(complete, timeout, "a line")
    return data.decode()


def test_standard_streams_are_the_new_callers(container, saver):
    script = "i=0; while read line; do i=$((i+1)); echo got $line; echo $i >&2; done; sleep 1000"
    old, new = Pipes(), Pipes()
    one = container(TMP, args=("/bin/sh", "-c", script)).create(**old.given()).start()
    old.keep_ours()
    os.write(old.input, b"first\n")
    assert read_line(old.output) == "got first\n"
    assert read_line(old.errors) == "1\n"
    saver.checkpoint(one).ok()
    old.close()
    saver.restore(one.bundle, **new.given())
    new.keep_ours()
    os.write(new.input, b"second\n")
    assert read_line(new.output) == "got second\n"
    assert read_line(new.errors) == "2\n"
    saver.clean()
    new.close()


def test_a_pipe_of_the_programs_own_is_saved(container, saver):
    """Also where it has put it in the place of what it was given."""
    count = "while read line; do i=$((i+1)); echo $i > /tmp/new; mv /tmp/new /tmp/count; done"
    script = "(while :; do echo x; sleep 0.05; done) | " + count
    one = container(TMP, args=("/bin/sh", "-c", script)).create().start()
    host.until(lambda: count_in(one.pid) > 2, what="it to count")
    saver.checkpoint(one).ok()
    name = saver.restore(one.bundle)
    count = count_in(saver.pid(name))
    host.until(lambda: count_in(saver.pid(name)) > count, what="its inner pipe to work")


def test_a_file_of_the_host_goes_on_being_written(container, saver):
    """criu insists on the file's size: it has to be the same file, or one that is as long."""
    one = container(args=("/bin/sh", "-c", "while :; do echo more; sleep 0.05; done")).create().start()
    host.until(lambda: "more" in one.out(), what="its output")
    saver.checkpoint(one).ok()
    size = os.stat(one.process.out_path).st_size
    with open(one.process.out_path, "ab") as out, open(one.process.err_path, "ab") as err:
        saver.restore(one.bundle, stdout=out, stderr=err)
    host.until(lambda: os.stat(one.process.out_path).st_size > size, what="output in the file")
    assert set(one.out().split()) == {"more"}


def test_preserved_descriptors(container, saver):
    old, new = os.pipe(), os.pipe()

    def as_three(fd):
        def give():
            os.dup2(fd, 3)

        return {"preexec_fn": give, "close_fds": False}

    one = container(TMP, args=("/bin/sh", "-c", "while :; do echo x >&3; sleep 0.05; done"))
    one.create("--preserve-fds", "1", **as_three(old[1])).start()
    os.close(old[1])
    assert "x" in read_line(old[0])
    saver.checkpoint(one).ok()
    process, _ = saver.start(one.bundle, "--detach")
    process.wait().failed("descriptor 3", "--preserve-fds 1")
    saver.restore(one.bundle, "--preserve-fds", "1", **as_three(new[1]))
    os.close(new[1])
    assert "x" in read_line(new[0])
    saver.clean()
    os.close(old[0])
    os.close(new[0])


def test_a_terminal(container, saver, console, work):
    terminal = {"process": {"terminal": True}}
    path, receive = console()
    one = container(terminal, args=("/bin/sh",)).create("--console-socket", path)
    master = receive()
    one.start()
    os.write(master, b"word=sesame\n")
    read_until(master, "sesame")
    saver.checkpoint(one).ok()
    os.close(master)
    path, receive = console(work + "/other.sock")
    saver.restore(one.bundle, "--console-socket", path)
    master = receive()
    os.write(master, b"echo open $word now\n")
    read_until(master, "open sesame now")
    saver.clean()
    os.close(master)


def read_until(fd, words):
    os.set_blocking(fd, False)
    text = ""

    def there():
        nonlocal text
        try:
            text += os.read(fd, 4096).decode()
        except BlockingIOError:
            pass
        return words in text

    host.until(there, what="%r on the terminal" % words)


def test_a_terminal_needs_a_console_socket(container, saver, console, pyoci):
    path, receive = console()
    one = container({"process": {"terminal": True}}, args=("/bin/sh",)).create("--console-socket", path)
    master = receive()
    one.start()
    saver.checkpoint(one).ok()
    os.close(master)
    process, _ = saver.start(one.bundle, "--detach")
    process.wait().failed("cannot allocate tty if pyoci will detach without setting console socket")
    assert pyoci.left() == []


def test_in_the_foreground_the_exit_status_is_the_programs(container, saver, pyoci):
    one = container(TMP, args=("/bin/sh", "-c", "while ! test -e /tmp/go; do sleep 0.05; done; exit 7"))
    one.create().start()
    saver.checkpoint(one).ok()
    process, name = saver.start(one.bundle)
    host.until(
        lambda: pyoci("state", name).code == 0 and pyoci.state(name)["status"] == "running", what="it to run"
    )
    with open(saver.inside(name, "/tmp/go"), "w", encoding="utf-8"):
        pass
    assert process.wait().code == 7
    assert pyoci.left() == []


# ---- hooks ----


def test_hooks_of_the_runtime_run_and_those_of_the_program_do_not(counting, saver, work):
    def hook(kind):
        script = "cat > %s/%s.json; readlink /proc/self/ns/mnt > %s/%s.ns" % (work, kind, work, kind)
        return [{"path": "/bin/sh", "args": ["sh", "-c", script]}]

    kinds = ("prestart", "createRuntime", "poststart", "poststop")
    container = counting({"hooks": {kind: hook(kind) for kind in kinds}})
    assert not os.path.exists(work + "/poststop.json")
    saver.checkpoint(container).ok()
    assert json.loads(host.read(work + "/poststop.json"))["status"] == "stopped"
    for kind in kinds:
        os.unlink("%s/%s.json" % (work, kind))
    name = saver.restore(container.bundle)
    for kind in ("prestart", "createRuntime"):
        state = json.loads(host.read("%s/%s.json" % (work, kind)))
        assert (state["id"], state["pid"]) == (name, saver.pid(name))
        assert host.read("%s/%s.ns" % (work, kind)).strip() == os.readlink("/proc/self/ns/mnt")
    assert not os.path.exists(work + "/poststart.json")
    assert not os.path.exists(work + "/poststop.json")


def test_a_failing_hook_undoes_the_restore(counting, saver, pyoci):
    container = counting()
    saver.checkpoint(container).ok()
    container.bundle.edit({"hooks": {"createRuntime": [{"path": "/bin/false"}]}})
    process, _ = saver.start(container.bundle, "--detach")
    process.wait().failed("error running createRuntime hook #0: exit status 1")
    assert pyoci.left() == []


def test_the_output_of_hooks_goes_where_annotations_say(counting, saver, work):
    container = counting()
    saver.checkpoint(container).ok()
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo said; echo wept >&2"]}
    names = {"run.oci.hooks.stdout": work + "/out", "run.oci.hooks.stderr": work + "/err"}
    container.bundle.edit({"hooks": {"createRuntime": [hook]}, "annotations": names})
    saver.restore(container.bundle)
    assert (host.read(work + "/out"), host.read(work + "/err")) == ("said\n", "wept\n")


# ---- failures ----

UNLINKED = "echo > /tmp/a; exec 9< /tmp/a; ln /tmp/a /tmp/b; rm /tmp/a; " + COUNT


def test_a_checkpoint_that_fails_names_cause_and_log_and_the_container_runs_on(counting, saver):
    container = counting(script=UNLINKED)
    result = saver.checkpoint(container)
    result.failed(
        "criu failed: type DUMP", os.path.join(saver.images, "dump.log"), "Can't create link remap for /tmp/a"
    )
    assert container.status() == "running"
    count = count_in(container.pid)
    host.until(lambda: count_in(container.pid) > count, what="it to go on")
    saver.checkpoint(container, "--link-remap").ok()
    saver.restore(container.bundle)


def test_the_annotation_names_a_file_of_options_for_criu(counting, saver, work):
    """R-136."""
    with open(work + "/criu.conf", "w", encoding="utf-8") as file:
        file.write("link-remap\n")
    container = counting({"annotations": {"org.criu.config": work + "/criu.conf"}}, script=UNLINKED)
    saver.checkpoint(container).ok()


def test_a_restore_that_fails_leaves_nothing(counting, saver, pyoci):
    container = counting()
    saver.checkpoint(container).ok()
    os.truncate(os.path.join(saver.images, "core-1.img"), 20)
    process, _ = saver.start(container.bundle, "--detach")
    process.wait().failed("criu failed: type RESTORE", os.path.join(saver.images, "restore.log"), "Error")
    assert pyoci.left() == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: shutil.rmtree(folder), ["--image-path", "no such file or directory"]),
        (lambda folder: os.unlink(folder + "/descriptors.json"), ["descriptors.json", "no such file or directory"]),
    ],
)
def test_images_that_are_not_there(counting, saver, pyoci, spoil, words):
    container = counting()
    saver.checkpoint(container).ok()
    spoil(saver.images)
    process, _ = saver.start(container.bundle, "--detach")
    process.wait().failed(*words)
    assert pyoci.left() == []


def test_a_used_id_is_refused(counting, saver):
    container = counting()
    saver.checkpoint(container, "--leave-running").ok()
    process, _ = saver.start(container.bundle, "--detach", name=container.id)
    process.wait().failed("container with given ID already exists")
    assert container.status() == "running"


def test_a_pid_file_that_cannot_be_written_undoes_the_restore(counting, saver, pyoci):
    container = counting()
    saver.checkpoint(container).ok()
    process, _ = saver.start(container.bundle, "--detach", "--pid-file", "/nowhere/pid")
    process.wait().failed("pid file /nowhere/pid")
    assert pyoci.left() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_runtime_killed_in_the_middle_of_a_restore(counting, saver, pyoci, work, number):
    """In a hook, when init exists and is not restored yet."""
    container = counting()
    saver.checkpoint(container).ok()
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo > %s/there; exec sleep 30" % work]}
    container.bundle.edit({"hooks": {"createRuntime": [hook]}})
    process, name = saver.start(container.bundle, "--detach")
    host.until(lambda: os.path.exists(work + "/there"), what="the hook")
    process.signal(number)
    process.wait()
    if number == signal.SIGKILL:
        assert pyoci.left() == [name]
        pyoci("delete", "--force", name).ok()
    assert pyoci.left() == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--manage-cgroups-mode", "lax"], ["invalid manage-cgroups-mode"]),
        (["--page-server", "nowhere"], ["Use --page-server ADDRESS:PORT"]),
        (["--empty-ns", "mount"], ["not supported"]),
        (["--status-fd", "77"], ["invalid --status-fd argument 77", "bad file descriptor"]),
        (["--parent-path", "/tmp"], ["--parent-path must be relative"]),
        (["--parent-path", "../nowhere"], ["invalid --parent-path", "no such file or directory"]),
        (["--network-lock", "chain"], ["invalid --network-lock"]),
        (["--image-path", "/dev/null/x"], ["--image-path", "not a directory"]),
    ],
)
def test_wrong_options_are_named(counting, saver, flags, words):
    """R-134."""
    container = counting()
    saver.checkpoint(container, *flags).failed(*words)
    assert container.status() == "running"


def test_the_memory_can_be_saved_in_steps(counting, saver):
    container = counting()
    last = saver.images
    saver.images = last + "-first"
    first = saver.checkpoint(container, "--pre-dump")
    if first.code:
        assert "criu is missing features: mem_track" in first.err, first
        assert container.status() == "running"
        pytest.skip("this kernel does not track changes of memory: " + " ".join(first.err.split()))
    assert container.status() == "running"
    assert not os.path.exists(os.path.join(saver.images, "descriptors.json"))
    saver.images = last
    saver.checkpoint(container, "--parent-path", "../" + os.path.basename(last) + "-first").ok()
    assert os.path.islink(os.path.join(last, "parent"))
    saver.restore(container.bundle)


@pytest.mark.parametrize("mode", ["soft", "full", "ignore"])
def test_modes_of_caring_for_cgroups(counting, saver, mode):
    container = counting()
    saver.checkpoint(container, "--manage-cgroups-mode", mode).ok()
    name = saver.restore(container.bundle, "--manage-cgroups-mode", mode)
    assert host.cgroup_of(saver.pid(name), "pids").endswith(container.bundle.config["linux"]["cgroupsPath"])


def test_another_cgroup_at_the_restore(counting, saver, fresh_id):
    container = counting()
    saver.checkpoint(container).ok()
    path = container.bundle.config["linux"]["cgroupsPath"] + "-moved"
    container.bundle.edit({"linux": {"cgroupsPath": path}})
    name = saver.restore(container.bundle)
    assert host.cgroup_of(saver.pid(name), "pids").endswith(path)


# ---- other runtimes ----


def test_an_image_of_runc_can_be_restored_and_the_other_way_round(counting, saver, pyoci, work):
    runc = shutil.which("runc")
    if runc is None:
        pytest.skip("runc is not installed")
    other = Runtime(work, [runc])
    other.root = os.path.join(work, "runc-state")
    with open(os.devnull, "r+b") as null:
        container = counting(create={"stdout": null, "stderr": null})
        saver.checkpoint(container).ok()
        name = container.id + "-runc"
        other(
            "restore", "--detach", "--bundle", container.bundle.path, "--image-path", saver.images, name,
            stdin=null, stdout=null, stderr=null,
        ).ok()  # fmt: skip
        pid = other.state(name)["pid"]
        count = count_in(pid)
        saver.images += "-runc"
        other("checkpoint", "--image-path", saver.images, name).ok()
        Children.wait(pid, 10)
    shutil.rmtree(other.root, ignore_errors=True)
    assert count_in(saver.pid(saver.restore(container.bundle))) >= count
