"""create, start, state, kill, delete: what each may do in which status (runtime.md#lifecycle)."""

import datetime
import json
import os
import re
import shutil
import signal
import time

import pytest

from .bundles import DROP
from .host import alive, cgroup_of, children, read, requires, stat_fields, until, write

RW = {"root": {"readonly": False}}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")


def test_create_does_not_run_the_program_and_start_does(container):
    """R-040, R-044."""
    one = container(RW, args=["/bin/touch", "/data/ran"]).create()
    assert one.status() == "created"
    time.sleep(0.2)
    assert not os.path.exists(one.bundle.inside("/data/ran"))
    one.start()
    assert one.wait() == 0
    assert os.path.exists(one.bundle.inside("/data/ran"))
    assert one.status() == "stopped"
    one.delete().ok()


def test_status_goes_created_running_stopped_and_then_the_container_is_absent(container, pyoci):
    """R-065, R-028."""
    one = container().create()
    seen = [one.status()]
    one.start()
    seen.append(one.status())
    one.end()
    seen.append(one.status())
    assert seen == ["created", "running", "stopped"]
    one.delete().ok()
    pyoci("state", one.id).failed("does not exist")


def test_commands_that_succeed_print_nothing(container):
    """R-039."""
    one = container()
    assert one.try_create().ok().text == ""
    for arguments in (["start"], ["kill"], ["delete", "--force"]):
        verb, flags = arguments[0], arguments[1:]
        tail = [one.id, "KILL"] if verb == "kill" else [one.id]
        result = one.runtime(verb, *flags, *tail).ok()
        assert result.err == "", result
        assert verb == "start" or result.out == "", result


def test_state_has_the_keys_of_the_specification(container):
    """R-063, R-064, R-066, R-072, R-293."""
    one = container({"annotations": {"a.b": "c", "empty": "", "ünï": "✓"}}).create()
    state = one.state()
    assert state["ociVersion"] == "1.3.0"
    assert state["id"] == one.id
    assert state["pid"] == one.pid
    assert state["bundle"] == one.bundle.path
    assert state["rootfs"] == one.bundle.rootfs
    assert state["annotations"] == {"a.b": "c", "empty": "", "ünï": "✓"}
    assert RFC3339.match(state["created"]), state["created"]
    made = datetime.datetime.fromisoformat(state["created"][:19] + "+00:00")
    assert abs(made.timestamp() - time.time()) < 60
    assert "owner" in state
    one.kill("KILL").ok()
    one.wait()
    assert one.state()["pid"] == 0
    one.delete().ok()


def test_state_is_printed_for_people_too(container):
    """R-067: one key a line, indented by two spaces."""
    one = container().create()
    out = one.runtime("state", one.id).ok().out
    assert out == json.dumps(json.loads(out), indent=2, ensure_ascii=False) + "\n"
    one.delete("--force").ok()


def test_state_of_an_unknown_id_fails(pyoci):
    pyoci("state", "nobody-home").failed("does not exist")


def test_bundle_defaults_to_the_current_directory(pyoci, bundle, fresh_id, container):
    """R-040, R-306."""
    one = container()
    pid_file = os.path.join(pyoci.work, "relative.pid")
    pyoci("create", "--pid-file", "../relative.pid", one.id, cwd=one.bundle.path).ok()
    one.pid_file = pid_file
    assert one.state()["bundle"] == one.bundle.path
    one.delete("--force").ok()


def test_a_symlinked_bundle_is_reported_resolved(container, work):
    """R-186."""
    one = container()
    link = os.path.join(work, "link")
    os.symlink(one.bundle.path, link)
    one.runtime("create", "--bundle", link, "--pid-file", one.pid_file, one.id).ok()
    assert one.state()["bundle"] == one.bundle.path
    one.delete("--force").ok()


@pytest.mark.parametrize("name", ["a.b-c_d+e", "0", "-x", "A" * 200])
def test_good_ids_are_accepted(container, pyoci, name):
    """R-042.  An id with a leading hyphen needs the separator."""
    one = container(args=["/bin/true"])
    words = ["--", name] if name.startswith("-") else [name]
    pyoci("create", "--bundle", one.bundle.path, *words).ok()
    assert pyoci.left() == [name]
    pyoci("delete", "--force", *words).ok()


BAD_IDS = ["", ".", "..", "a b", "../x", "a/b", "/", "é", "a\n", "a*", "a:b", "A" * 2000]


@pytest.mark.parametrize("name", BAD_IDS, ids=repr)
def test_bad_ids_are_refused_and_nothing_is_made(pyoci, bundle, name, work):
    """R-007, R-042, S-34."""
    before = sorted(os.listdir(work))
    made = bundle()
    result = pyoci("create", "--bundle", made.path, name)
    result.failed("invalid container ID format" if name else "container id cannot be empty")
    assert "cgroupsPath" not in result.text  # the id is to blame, not what is made of it
    assert pyoci.left() == []
    now = [n for n in os.listdir(work) if n not in before and not n.split(".")[0].isdigit()]
    assert set(now) <= {"b0", "state"}, now


@pytest.mark.parametrize("verb", ["state", "start", "kill", "delete"])
@pytest.mark.parametrize("name", ["", "../x", "..", "a/b"])
def test_every_command_refuses_a_bad_id(pyoci, verb, name):
    result = pyoci(verb, name)
    assert result.code == 1, result
    assert "Traceback" not in result.text


@pytest.mark.parametrize("verb", ["create", "start", "state", "kill", "delete", "run"])
def test_a_missing_id_is_an_error(pyoci, verb):
    """R-006, R-007."""
    result = pyoci(verb)
    assert result.code == 1, result
    assert "Traceback" not in result.text


def test_the_id_is_taken_as_long_as_the_container_exists(container, run, pyoci):
    """R-042, R-052."""
    one = container().create()
    pid = one.pid
    again = container(name=one.id)
    again.gone = True
    again.pid_file += "2"
    again.try_create().failed("already exists")
    assert run(name=one.id).code == 1
    assert one.status() == "created"
    assert one.state()["pid"] == pid
    assert alive(pid)
    one.delete("--force").ok()
    run(name=one.id).ok()


def test_config_is_read_once(container):
    """R-043: later edits have no effect on start, state and delete."""
    one = container(RW, {"annotations": {"v": "1"}}, args=["/bin/touch", "/data/first"]).create()
    one.bundle.edit({"annotations": {"v": "2"}, "process": {"args": ["/bin/touch", "/data/second"]}})
    one.start()
    assert one.wait() == 0
    assert os.path.exists(one.bundle.inside("/data/first"))
    assert not os.path.exists(one.bundle.inside("/data/second"))
    assert one.state()["annotations"] == {"v": "1"}
    one.delete().ok()


def test_everything_works_after_the_bundle_is_gone(container):
    """R-073, R-165."""
    one = container().create().start()
    os.rename(one.bundle.path, one.bundle.path + ".gone")
    shutil.rmtree(one.bundle.path + ".gone", ignore_errors=True)
    assert one.status() == "running"
    one.end()
    assert one.status() == "stopped"
    one.delete().ok()


def test_namespaces_mounts_and_limits_exist_at_created(container):
    """R-044."""
    one = container({"linux": {"resources": {"pids": {"limit": 77}}}}).create()
    pid = one.pid
    for kind in ("pid", "net", "ipc", "uts", "mnt"):
        assert os.readlink("/proc/%d/ns/%s" % (pid, kind)) != os.readlink("/proc/self/ns/" + kind), kind
    assert " /dev/mqueue " in read("/proc/%d/mountinfo" % pid)
    assert read(cgroup_of(pid, "pids") + "/pids.max").strip() == "77"
    one.delete("--force").ok()


def test_nothing_of_the_runtime_stays_after_create(container):
    """R-049: init is the child of the caller's subreaper, and the only process."""
    one = container().create()
    assert list(children()) == [one.pid]
    assert not children(one.pid)
    one.delete("--force").ok()


def test_create_without_process_succeeds_and_start_fails(container):
    """R-047, R-057."""
    one = container({"process": DROP}).create()
    assert one.status() == "created"
    one.runtime("start", one.id).failed()
    one.delete("--force").ok()


def test_start_works_once(container):
    """R-055."""
    one = container().create().start()
    one.runtime("start", one.id).failed("cannot start an already running container")
    assert one.status() == "running"
    one.end()
    one.runtime("start", one.id).failed("cannot start a container that has stopped")
    one.delete().ok()


def test_start_of_an_unknown_id_fails(pyoci):
    pyoci("start", "nobody-home").failed("does not exist")


def test_start_fails_at_once_when_init_died_before(container):
    """R-059."""
    one = container().create()
    os.kill(one.pid, signal.SIGKILL)
    result = one.runtime("start", one.id, timeout=10)
    result.failed()
    one.delete("--force").ok()


def test_start_reads_no_stdin_and_writes_no_stdout(container):
    """R-058."""
    one = container().create()
    result = one.runtime("start", one.id).ok()
    assert result.out == ""
    one.end()
    one.delete().ok()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("/nope", ["/nope", "no such file or directory"]),
        ("nope", ['exec: "nope": executable file not found in $PATH']),
        ("/etc", ["/etc", "permission denied"]),
        ("/data/plain", ["/data/plain", "permission denied"]),
    ],
    ids=["missing", "not-in-path", "directory", "not-executable"],
)
def test_a_missing_program_fails_create_with_the_words_that_engines_look_for(container, program, words):
    """R-030, R-031, R-045."""
    one = container(args=[program])
    one.bundle.file("/data/plain", "x", 0o644)
    os.makedirs(one.bundle.inside("/etc"), exist_ok=True)
    one.gone = True
    one.try_create().failed(*words)
    assert one.runtime.left() == []
    assert not os.path.exists(one.pid_file)


def test_exec_failure_after_release_is_told_on_stderr_of_the_container(container):
    """R-061: a script whose interpreter is missing."""
    one = container(args=["/bin/script"])
    one.bundle.file("/bin/script", "#!/no/such/interpreter\n", 0o755)
    result = one.try_create()
    if result.code == 0:
        one.start()
        assert one.wait() not in (0, None)
        assert "no such file or directory" in one.err()
        one.delete().ok()
    else:
        one.gone = True
        result.failed("no such file or directory")


def test_delete_of_a_running_container_is_refused(container):
    """R-083."""
    one = container().create().start()
    one.delete().failed("that is not stopped: running")
    assert one.status() == "running"
    assert alive(one.pid)
    one.end()
    one.delete().ok()


def test_delete_of_a_created_container_kills_it(container):
    """R-084."""
    one = container().create()
    pid = one.pid
    one.delete().ok()
    until(lambda: not alive(pid), what="the end of init")


def test_delete_force_works_in_every_status_and_twice(container):
    """R-085."""
    for step in ("created", "running", "stopped"):
        one = container().create()
        if step != "created":
            one.start()
        if step == "stopped":
            one.end()
        pid = one.pid
        one.delete("--force").ok()
        assert not alive(pid)
        result = one.delete("--force").ok()
        assert result.text == ""


def test_delete_without_force_of_an_unknown_id_fails(pyoci):
    """R-086."""
    pyoci("delete", "nobody-home").failed("does not exist")
    assert pyoci("delete", "--force", "nobody-home").ok().text == ""


def test_a_leftover_directory_of_a_crashed_create_goes_with_delete_though_it_fails(pyoci):
    """R-086."""
    os.makedirs(os.path.join(pyoci.root, "leftover"), 0o700)
    pyoci("delete", "leftover").failed("does not exist")
    assert pyoci.left() == []


def test_a_leftover_directory_of_a_crashed_create_goes_with_delete_force(pyoci, container):
    one = container().create()
    os.mkdir(os.path.join(pyoci.root, "leftover"))
    pyoci("delete", "--force", "leftover").ok()
    assert pyoci.left() == [one.id]
    one.delete("--force").ok()


def test_delete_removes_sub_cgroups(container):
    """R-082, R-088."""
    one = container().create().start()
    base = cgroup_of(one.pid, "pids")
    os.makedirs(base + "/a/b")
    os.mkdir(base + "/c")
    one.end()
    one.delete().ok()
    assert not os.path.exists(base)


def test_delete_leaves_the_parent_of_the_cgroup(container):
    """R-087."""
    one = container().create()
    path = cgroup_of(one.pid, "pids")
    foreign = os.path.dirname(path) + "-foreign"
    os.mkdir(foreign)
    one.delete("--force").ok()
    assert os.path.isdir(foreign)
    assert os.path.isdir(os.path.dirname(path))
    os.rmdir(foreign)


def test_a_zombie_init_counts_as_stopped(container):
    """R-069."""
    one = container().create().start()
    os.kill(one.pid, signal.SIGKILL)
    until(lambda: stat_fields(one.pid)[0] == "Z", what="the zombie")
    spawned = one.runtime.spawn("state", one.id)
    os.waitid(os.P_PID, spawned.pid, os.WEXITED | os.WNOWAIT)
    assert stat_fields(one.pid)[0] == "Z"
    assert '"stopped"' in spawned.wait().ok().out
    one.delete().ok()


def test_init_stays_in_its_cgroup_from_create_to_delete(container):
    """R-308."""
    one = container().create()
    path = cgroup_of(one.pid, "pids")
    assert read(path + "/cgroup.procs").split() == [str(one.pid)]
    one.start()
    assert read(path + "/cgroup.procs").split() == [str(one.pid)]
    one.end()
    assert os.path.isdir(path)
    one.delete().ok()
    assert not os.path.exists(path)


def test_a_cgroup_with_processes_is_refused(container):
    """R-053."""
    requires("cgroup1")
    one = container().create()
    other = container(lambda c: c["linux"].update(cgroupsPath=one.bundle.config["linux"]["cgroupsPath"]))
    other.gone = True
    other.try_create().failed("not empty")
    assert alive(one.pid)
    assert os.path.isdir(cgroup_of(one.pid, "pids"))
    one.delete("--force").ok()


def test_the_state_root_is_closed_to_others(container, pyoci):
    """R-054, S-35: whatever the umask, the root of a user namespace reaches the start socket."""
    one = container()
    before = os.umask(0o077)
    try:
        one.create()
    finally:
        os.umask(before)
    assert os.stat(pyoci.root).st_mode & 0o777 == 0o700
    assert os.stat(os.path.join(pyoci.root, one.id)).st_mode & 0o777 == 0o711
    one.delete("--force").ok()


def test_umask_of_the_caller_does_not_open_the_state_root(container, pyoci):
    one = container().create(preexec_fn=lambda: os.umask(0))
    for base, _, files in os.walk(pyoci.root):
        for path in (base, *(base + "/" + f for f in files)):
            if not os.path.islink(path):
                assert os.lstat(path).st_mode & 0o022 == 0 or base.startswith(pyoci.root + "/"), path
    assert os.stat(pyoci.root).st_mode & 0o077 == 0
    one.delete("--force").ok()


@pytest.mark.parametrize("root", ["", "/"])
def test_the_root_directory_is_no_state_root(pyoci, root):
    """R-014."""
    result = pyoci("list", root=False, options=["--root", root])
    assert result.code == 1, result
    assert "Traceback" not in result.text


def test_state_works_with_a_foreign_file_in_the_state_root(container, pyoci):
    """R-296, R-120."""
    one = container().create()
    write(pyoci.root + "/stray", "x")
    os.mkdir(pyoci.root + "/junk")
    assert one.status() == "created"
    listed = pyoci("list", "--format", "json").ok().json()
    assert [c["id"] for c in listed] == [one.id]
    one.delete("--force").ok()
    os.unlink(pyoci.root + "/stray")
    os.rmdir(pyoci.root + "/junk")
