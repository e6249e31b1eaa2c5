"""What a hostile image or a careless caller must not achieve (security.md, table S)."""

import os
import stat
import sys
import time

import pytest

from . import host
from .bundles import DROP, bind, entry, namespaces
from .host import mount, read, umount, until, write

RW = {"root": {"readonly": False}}


@pytest.fixture
def outside(work):
    """A folder of the host that nobody may touch; checked at the end."""
    path = os.path.join(work, "outside")
    os.mkdir(path)
    write(path + "/file", "precious\n")
    before = os.stat(path).st_mtime_ns
    yield path
    assert sorted(os.listdir(path)) == ["file"], "something was made on the host"
    assert read(path + "/file") == "precious\n"
    assert os.stat(path).st_mtime_ns == before


def settled(run, here, **more):
    """The container either runs or is refused cleanly; nothing else."""
    result = run(of=here, timeout=20, **more)
    assert "Traceback" not in result.text, result
    assert result.code in (0, 1), result
    return result


# ---- destinations of mounts (S-05, S-06) ----

LINKS = {
    "absolute": lambda outside: outside,
    "relative": lambda outside: "../" * 20 + outside.lstrip("/"),
    "dangling": lambda outside: outside + "/new",
    "chain": lambda outside: "/second",
    "loop": lambda outside: "/data/evil",
}


@pytest.mark.parametrize("kind", LINKS)
@pytest.mark.parametrize("last", ["", "/deeper"])
@pytest.mark.parametrize("source", ["folder", "file", "tmpfs"])
def test_a_destination_through_a_symlink_stays_inside(run, bundle, outside, work, kind, last, source):
    what = work + "/src"
    os.mkdir(what)
    write(what + "/f", "")
    place = "/data/evil" + last
    edit = {"folder": bind(place, what), "file": bind(place, what + "/f"), "tmpfs": entry(place, "tmpfs", "x")}[
        source
    ]
    here = bundle(RW, {"mounts+": [edit]})
    os.symlink(LINKS[kind](outside), here.inside("/data/evil"))
    os.symlink(outside + "/new", here.inside("/second"))
    settled(run, here)


@pytest.mark.parametrize(
    "place", ["/data/../../../..%s/new", "/../..%s/new", "../..%s/new", "/data/./..//..%s/new"]
)
def test_dots_in_a_destination_stay_inside(run, bundle, outside, work, place):
    os.mkdir(work + "/src")
    settled(run, bundle(RW, {"mounts+": [bind(place % outside, work + "/src")]}))


def test_a_destination_through_an_earlier_bind_stays_inside(run, bundle, outside, work):
    """S-05: the link lies in a volume."""
    volume = work + "/volume"
    os.mkdir(volume)
    os.symlink(outside, volume + "/evil")
    here = bundle(RW, {"mounts+": [bind("/data", volume), entry("/data/evil/new", "tmpfs", "x")]})
    settled(run, here)


@pytest.mark.parametrize("turn", range(3))
def test_a_destination_that_is_swapped_while_mounting_stays_inside(run, bundle, outside, work, turn):
    """S-05: folder and symlink take turns as fast as they can."""
    volume = work + "/volume"
    os.makedirs(volume + "/x/y")
    os.symlink(outside, volume + "/evil")
    pid = os.fork()
    if pid == 0:
        while True:
            for a, b in (("x", "real"), ("evil", "x"), ("x", "evil"), ("real", "x")):
                try:
                    os.rename(volume + "/" + a, volume + "/" + b)
                except OSError:
                    pass
    try:
        places = [entry("/data/x/y%d" % n, "tmpfs", "x") for n in range(30)]
        settled(run, bundle(RW, {"mounts+": [bind("/data", volume), *places]}))
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


# ---- /dev, /proc, /sys of the image ----


@pytest.mark.parametrize("target", ["outside", "absolute-inside", "file"])
@pytest.mark.parametrize("mounted", [True, False], ids=["with-tmpfs", "without"])
def test_dev_as_a_symlink(run, bundle, outside, target, mounted):
    """S-12."""

    def edit(config):
        if not mounted:
            config["mounts"] = [m for m in config["mounts"] if not m["destination"].startswith("/dev")]

    here = bundle(RW, edit)
    os.rmdir(here.inside("/dev"))
    os.symlink(
        {"outside": outside, "absolute-inside": "/data", "file": outside + "/file"}[target], here.inside("/dev")
    )
    settled(run, here)


@pytest.mark.parametrize("name", ["null", "ptmx", "fd", "stdin", "core", "pts", "shm"])
def test_things_in_dev_as_symlinks(run, bundle, outside, name):
    """S-10, S-12, S-14."""

    def edit(config):
        config["mounts"] = [m for m in config["mounts"] if not m["destination"].startswith("/dev")]

    for target in (outside + "/file", outside + "/new"):
        here = bundle(RW, edit)
        os.symlink(target, here.inside("/dev", name))
        settled(run, here)


@pytest.mark.parametrize("place", ["/proc", "/sys"])
@pytest.mark.parametrize("target", ["outside", "/data", "file"])
def test_proc_and_sys_as_symlinks_are_refused(run, bundle, outside, place, target):
    """S-08, R-207: they must be mounted on a real folder."""
    here = bundle(RW)
    os.rmdir(here.inside(place))
    if target == "file":
        here.file(place, "x")
    else:
        os.symlink(outside if target == "outside" else target, here.inside(place))
    settled(run, here).failed(place)


def test_a_folder_bound_over_proc_is_refused(run, bundle, work):
    """S-07."""
    os.mkdir(work + "/fake")
    run({"mounts+": [bind("/proc", work + "/fake")]}).failed("/proc")


@pytest.mark.parametrize("path", ["/dev/../../../..%s/node", "/data/evil/node"])
def test_a_device_stays_inside(run, bundle, outside, path):
    """S-16."""
    place = path % outside if "%s" in path else path
    here = bundle(RW, {"linux": {"devices": [{"path": place, "type": "c", "major": 1, "minor": 3}]}})
    os.symlink(outside, here.inside("/data/evil"))
    settled(run, here)


def test_null_that_is_a_link_is_not_used_to_mask(run, bundle, outside):
    """S-10: the mask's source is the null device or create fails."""

    def edit(config):
        config["mounts"] = [m for m in config["mounts"] if not m["destination"].startswith("/dev")]
        config["linux"]["maskedPaths"] = ["/data/secret"]

    here = bundle(RW, edit, args=["/bin/probe", "--read", "/data/secret", "--write", "/data/secret=x"])
    here.file("/data/secret", "hidden")
    os.symlink(outside + "/file", here.inside("/dev/null"))
    result = settled(run, here)
    assert "precious" not in result.out
    assert "hidden" not in result.out


@pytest.mark.parametrize("field", ["maskedPaths", "readonlyPaths"])
def test_masked_and_read_only_paths_stay_inside(run, bundle, outside, field):
    here = bundle(RW, {"linux": {field: ["/data/evil", "/data/evil/file", "/data/../../../.." + outside]}})
    os.symlink(outside, here.inside("/data/evil"))
    settled(run, here)
    host.write(outside + "/file", "precious\n")


def test_cwd_through_a_descriptor_of_the_host_is_refused(run, bundle):
    """S-03, CVE-2024-21626."""
    for number in range(3, 20):
        for tail in ("", "/..", "/../../.."):
            here = "/proc/self/fd/%d%s" % (number, tail)
            result = run({"process": {"cwd": here}}, RW, args=["/bin/probe", "--list", "."])
            assert "Traceback" not in result.text
            if result.code == 0:
                assert "vmlinuz" not in result.out
                assert '"cwd":"/' in result.out, result.out


def test_cwd_through_a_symlink_to_a_descriptor(run, bundle):
    here = bundle(RW, {"process": {"cwd": "/data/evil"}}, args=["/bin/probe", "--list", "/proc/self/cwd"])
    os.symlink("/proc/self/fd/7", here.inside("/data/evil"))
    result = settled(run, here)
    if result.code == 0:
        assert "usr" not in result.out


@pytest.mark.parametrize("kind", ["fifo", "huge", "outside", "device", "folder"])
def test_a_hostile_passwd_does_not_hang_or_leak(run, bundle, outside, kind):
    """S-22."""
    here = bundle(RW, {"process": {"user": {"uid": 1000, "gid": 1000}}}, args=["/bin/probe", "--only", "env"])
    os.makedirs(here.inside("/etc"), exist_ok=True)
    path = here.inside("/etc/passwd")
    write(outside + "/file", "precious\n")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "huge":
        with open(path, "wb") as file:
            file.truncate(1 << 40)
    elif kind == "outside":
        os.symlink(outside + "/file", path)
    elif kind == "device":
        os.symlink("/dev/zero", path)
    else:
        os.mkdir(path)
    result = settled(run, here)
    assert result.code == 0, result
    assert "HOME=/" in result.out


# ---- nothing of the image or the caller is executed by the runtime ----


def test_modules_in_the_image_are_not_imported(run, bundle, outside):
    """P-02: imports after the pivot would take the image's files."""
    here = bundle(RW)
    evil = "open('/data/owned', 'w').write('x')\n"
    version = "python%d.%d" % sys.version_info[:2]
    for base in ("/usr/lib/" + version, "/usr/local/lib/" + version, sys.prefix + "/lib/" + version, "/", "/lib"):
        for name in (
            "os",
            "json",
            "traceback",
            "linecache",
            "encodings/__init__",
            "encodings/idna",
            "struct",
            "pwd",
        ):
            here.file("%s/%s.py" % (base, name), evil)
    for place in ("/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime"):
        here.file(place, "garbage")
    run(of=here).ok()
    assert not os.path.exists(here.inside("/data/owned"))
    here.edit({"process": {"args": ["/nope"]}})
    run(of=here).failed()
    assert not os.path.exists(here.inside("/data/owned"))


@pytest.mark.parametrize("where", ["cwd", "bundle", "pythonpath", "home"])
def test_modules_of_the_caller_are_not_imported(run, bundle, work, where):
    """P-01."""
    if "PYTHONPATH" in os.environ:
        pytest.skip("the runtime itself is found through PYTHONPATH here")
    folder = work + "/evil"
    os.mkdir(folder)
    mark = work + "/owned"
    evil = "open(%r, 'w').write('x')\n" % mark
    here = bundle()
    place = here.path if where == "bundle" else folder
    for name in (
        "json",
        "os",
        "re",
        "errno",
        "sitecustomize",
        "usercustomize",
        "pyoci",
        "_json",
        "signal",
        "select",
    ):
        write("%s/%s.py" % (place, name), evil)
    env = dict(os.environ)
    if where == "pythonpath":
        env.update(PYTHONPATH=folder, PYTHONSTARTUP=folder + "/os.py", PYTHONDONTWRITEBYTECODE="1")
    if where == "home":
        version = "python%d.%d" % sys.version_info[:2]
        site = folder + "/.local/lib/%s/site-packages" % version
        os.makedirs(site)
        write(site + "/x.pth", "import sys; open(%r, 'w')\n" % mark)
        write(site + "/usercustomize.py", evil)
        env["HOME"] = folder
    run(of=here, env=env, cwd={"cwd": folder, "bundle": here.path}.get(where)).ok()
    assert not os.path.exists(mark)


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONHOME": "/nowhere"},
        {"PYTHONINSPECT": "1"},
        {"PYTHONWARNINGS": "error"},
        {"PYTHONVERBOSE": "1"},
        {"PYTHONOPTIMIZE": "2"},
        {"PYTHONDONTWRITEBYTECODE": ""},
        {"PYTHONMALLOC": "debug"},
        {"PYTHONHASHSEED": "x"},
        {"PYTHONUTF8": "9"},
        {"LD_DEBUG": "all"},
        {"PYTHONPLATLIBDIR": "nope"},
        {"PYTHONTRACEMALLOC": "5"},
        {"PYTHONDEVMODE": "1"},
    ],
    ids=str,
)
def test_variables_of_the_interpreter_are_ignored(run, variables):
    """P-01, P-22."""
    result = run(env={**os.environ, **variables}, args=["/bin/echo", "fine"]).ok()
    assert result.out == "fine\n" or "LD_DEBUG" in variables
    assert result.err == "" or "LD_DEBUG" in variables


# ---- what the container must not see ----


def test_the_environment_of_the_caller_stays_outside(container):
    """S-43: also in the waiting init's /proc entry."""
    one = container().create(env={**os.environ, "SECRET": "sesame"})
    one.start()
    assert "SECRET" not in read("/proc/%d/environ" % one.pid)
    one.end()
    one.delete().ok()


def test_the_waiting_init_cannot_be_traced(container):
    """S-01: not dumpable."""
    one = container().create()
    assert os.stat("/proc/%d/environ" % one.pid).st_uid == 0
    assert os.stat("/proc/%d" % one.pid).st_mode & stat.S_IFDIR
    one.delete("--force").ok()


def test_a_container_user_cannot_trace_the_waiting_init(container):
    """Its own namespaces' root may not read the memory of init before the program runs."""
    one = container({"process": {"user": {"uid": 1000, "gid": 1000}}}).create()
    assert os.stat("/proc/%d/mem" % one.pid).st_uid == 0
    one.delete("--force").ok()


def test_the_interpreter_cannot_be_overwritten_from_inside(container):
    """S-02, CVE-2019-5736: /proc/PID/exe of the waiting init is on a read-only mount or sealed."""
    one = container().create()
    exe = "/proc/%d/exe" % one.pid
    with pytest.raises(OSError):
        os.close(os.open(exe, os.O_WRONLY))
    fd = os.open(exe, os.O_PATH)
    try:
        sealed = os.fstatvfs(fd).f_flag & os.ST_RDONLY
    finally:
        os.close(fd)
    link = os.readlink(exe)
    assert sealed or "memfd" in link, "%s is writable" % link
    one.delete("--force").ok()


def test_the_program_cannot_write_to_what_started_it(run, bundle):
    """S-02: `#!/proc/self/exe` makes the kernel run the runtime's own file."""
    here = bundle(RW, args=["/bin/evil"])
    here.file("/bin/evil", "#!/proc/self/exe\n", 0o755)
    before = {p: os.stat(p).st_mtime_ns for p in (sys.executable, os.path.realpath(sys.executable))}
    run(of=here, timeout=20)
    assert {p: os.stat(p).st_mtime_ns for p in before} == before


@pytest.mark.parametrize("propagation", ["shared", "private", "slave"])
def test_the_mount_table_of_the_host_does_not_change(container, work, propagation):
    """S-29: whatever the propagation of the place where the bundle is."""
    flags = {"shared": host.MS_SHARED, "private": host.MS_PRIVATE, "slave": host.MS_SLAVE}[propagation]
    one = container({"mounts+": [entry("/data", "tmpfs", "x"), bind("/mnt", "/usr", "rbind", "ro")]})
    mount(one.bundle.path, one.bundle.path, None, host.MS_BIND)
    mount(None, one.bundle.path, None, flags)
    try:
        before = host.mount_table()
        one.create()
        assert host.mount_table() == before
        one.start()
        assert host.mount_table() == before
        one.end()
        one.delete().ok()
        assert host.mount_table() == before
    finally:
        umount(one.bundle.path)


def test_the_old_root_cannot_be_reached(inspect):
    """S-29."""
    report = inspect(probe=["--list", "/..", "--list", "/proc/1/root", "--list", "/proc/1/cwd/../.."])
    for action in report["actions"]:
        assert "usr" not in action.get("names", []), action


def test_a_session_of_its_own(inspect):
    """S-31."""
    report = inspect({"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount")}})
    assert report["sid"] != os.getsid(0)
    assert report["tty"]["controlling"] == 0


def test_a_source_may_not_be_reached_by_the_image(run, bundle, outside):
    """S-45: sources are looked up on the host, once; a relative one is below the bundle."""
    here = bundle(RW, {"mounts+": [bind("/data", "rootfs/link")]})
    os.symlink("/tmp", here.inside("/link"))
    settled(run, here)


def test_ids_never_become_other_paths(pyoci, work):
    """S-34: delete --force ../victim."""
    victim = work + "/victim"
    os.makedirs(victim)
    write(victim + "/state.json", "{}")
    os.makedirs(pyoci.root, 0o700)
    for name in ("../victim", "..", ".", "./../victim", "/", "../victim/", victim, "x/../../victim", "..\n"):
        for verb in (["delete", "--force"], ["state"], ["kill"], ["start"]):
            result = pyoci(*verb, name)
            assert "Traceback" not in result.text
    assert os.path.exists(victim + "/state.json")
    assert os.path.isdir(pyoci.root)


def test_a_link_in_the_state_root_is_not_followed(container, pyoci, work):
    """P-16."""
    one = container().create()
    os.symlink(one.id, pyoci.root + "/alias")
    result = pyoci("delete", "--force", "alias")
    assert "Traceback" not in result.text
    assert one.status() == "created"
    if os.path.lexists(pyoci.root + "/alias"):
        os.unlink(pyoci.root + "/alias")
    one.delete("--force").ok()


def test_annotations_change_nothing(inspect):
    """S-44: those that engines pass on from images."""
    notes = {"run.oci.handler": "krun", "module.wasm.image/variant": "compat", "org.opencontainers.image.x": "1"}
    assert inspect({"annotations": notes})["pid"] == 1


def test_a_user_namespace_is_really_used_when_asked_for(run):
    """S-46."""
    maps = [{"containerID": 0, "hostID": 100000, "size": 1}]
    run({"linux": {"uidMappings": maps, "gidMappings": maps}}).failed("uidMappings")


def test_masks_hold_against_the_root_of_the_container(inspect, bundle):
    """They cannot be unmounted without the capability, and are masks by every path."""
    looks = ["--syscall", "166", "s:/data/secret", "2", "--read", "/data/secret"]
    looks += ["--read", "/proc/self/root/data/secret", "--read", "/proc/1/root/data/secret"]
    here = bundle({"linux": {"maskedPaths": ["/data/secret"]}}, args=["/bin/probe", *looks])
    here.file("/data/secret", "hidden")
    report = inspect(of=here)
    assert report.errno("syscall") == "EPERM"
    assert "hidden" not in str(report["actions"])
    assert report.text("/data/secret") == ""


def test_no_process_of_the_runtime_is_left_in_the_namespaces(container):
    one = container().create().start()
    inode = os.readlink("/proc/%d/ns/pid" % one.pid)
    inside = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.readlink("/proc/%s/ns/pid" % name) == inode:
                    inside.append(int(name))
            except OSError:
                continue
    assert inside == [one.pid]
    one.end()
    one.delete().ok()


def test_hostile_names_in_the_config_do_not_reach_a_shell(run, work):
    mark = work + "/owned"
    text = "x; touch %s; $(touch %s) `touch %s`" % (mark, mark, mark)
    run({"hostname": "h", "annotations": {text: text}, "process": {"env+": ["X=" + text]}}).ok()
    assert not os.path.exists(mark)


def test_the_runtime_is_gone_while_the_container_runs(container):
    one = container().create().start()
    until(lambda: one.report())
    time.sleep(0.05)
    assert list(host.children()) == [one.pid]
    one.end()
    one.delete().ok()


def test_no_cgroup_namespace_keeps_the_cgroup_tree_read_only(inspect):
    """S-24."""
    place = "/sys/fs/cgroup/x" if host.is_cgroup2() else "/sys/fs/cgroup/memory/x"
    edit = {"linux": {"namespaces": namespaces("pid", "network", "ipc", "uts", "mount")}}
    report = inspect(edit, {"process": {"capabilities": DROP}}, probe=["--mkdir", place])
    assert report.errno("mkdir") in ("EROFS", "EACCES")
