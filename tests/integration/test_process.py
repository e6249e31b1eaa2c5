"""The program's identity: user, groups, umask, capabilities, limits, environment (config.md#process)."""

import ctypes
import os
import signal
import struct

import pytest

from .bundles import DROP, namespaces
from .host import requires

RW = {"root": {"readonly": False}}
SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
INFINITY = 18446744073709551615


def user(**fields):
    return {"process": {"user": fields}}


def caps(**sets):
    return {"process": {"capabilities": sets}}


def mask(*numbers):
    return sum(1 << n for n in numbers)


@pytest.mark.parametrize(("uid", "gid"), [(0, 0), (1000, 1000), (1, 0), (0, 1), (4294967294, 4294967294)])
def test_uid_and_gid(inspect, uid, gid):
    """R-219."""
    report = inspect(user(uid=uid, gid=gid))
    assert report["uid"] == [uid] * 3
    assert report["gid"] == [gid] * 3
    assert report["status"]["Uid"].split() == [str(uid)] * 4
    assert report["groups"] == []


def test_additional_groups_are_exactly_those(inspect):
    """R-219, S-23: none of the caller's stays."""
    report = inspect(
        user(uid=1000, gid=7, additionalGids=[5, 20, 4294967294]), preexec_fn=lambda: os.setgroups([1, 2])
    )
    assert sorted(report["groups"]) == [5, 20, 4294967294]
    report = inspect(user(uid=1000, gid=7), preexec_fn=lambda: os.setgroups([1, 2]))
    assert report["groups"] == []


@pytest.mark.parametrize("value", [4294967295, 4294967296, -1, "0", 1.5, True, None, [0]], ids=repr)
def test_user_ids_out_of_range_are_refused(run, value):
    """S-21."""
    run(user(uid=value)).failed("process.user.uid")


@pytest.mark.parametrize(("given", "seen"), [(None, 0o022), (0, 0), (0o077, 0o077), (0o777, 0o777)])
def test_umask(inspect, given, seen):
    """R-221: 0022 when not given, whatever the caller has."""
    report = inspect(user(uid=0, gid=0, umask=given), preexec_fn=lambda: os.umask(0o013))
    assert report["umask"] == seen


def test_capability_sets_of_root_without_new_privileges(inspect):
    report = inspect()
    kept = mask(29, 5, 10)
    assert report["caps"] == {
        "effective": kept,
        "permitted": kept,
        "inheritable": 0,
        "bounding": kept,
        "ambient": 0,
    }


def test_capability_sets_of_another_user(inspect):
    """Without ambient ones nothing survives the execve."""
    report = inspect(user(uid=1000, gid=1000))
    kept = mask(29, 5, 10)
    assert report["caps"] == {"effective": 0, "permitted": 0, "inheritable": 0, "bounding": kept, "ambient": 0}


def test_ambient_capabilities_survive(inspect):
    both = ["CAP_NET_BIND_SERVICE", "CAP_KILL"]
    edit = caps(bounding=both, effective=both, permitted=both, inheritable=both, ambient=["CAP_KILL"])
    report = inspect(user(uid=1000, gid=1000), edit)
    assert report["caps"] == {
        "effective": mask(5),
        "permitted": mask(5),
        "inheritable": mask(5, 10),
        "bounding": mask(5, 10),
        "ambient": mask(5),
    }


def test_inheritable_is_empty_unless_given(inspect):
    """S-17."""
    assert inspect(user(uid=1000, gid=1000))["caps"]["inheritable"] == 0
    assert inspect(caps(inheritable=["CAP_KILL"]))["caps"]["inheritable"] == mask(5)


@pytest.mark.parametrize(
    "value", [DROP, {}, {k: [] for k in SETS}, dict.fromkeys(SETS)], ids=["absent", "empty", "lists", "null"]
)
@pytest.mark.parametrize("uid", [0, 1000])
def test_no_capabilities_means_none(inspect, value, uid):
    """R-225, S-18."""
    report = inspect(
        user(uid=uid, gid=0), {"process": {"capabilities": None}}, {"process": {"capabilities": value}}
    )
    assert set(report["caps"].values()) == {0}


def test_a_bounding_set_alone_bounds(inspect):
    report = inspect({"process": {"noNewPrivileges": False, "capabilities": None}}, caps(bounding=["CAP_CHOWN"]))
    assert report["caps"]["bounding"] == mask(0)


@pytest.mark.parametrize("name", ["CAP_NOPE", "CHOWN", "cap_chown", "CAP_CHOWN ", "CAP_"])
def test_an_unknown_capability_is_a_warning_and_never_another_capability(run, name):
    """R-224, S-19."""
    edit = caps(bounding=[name, "CAP_KILL"], effective=[name], permitted=[name])
    result = run(edit, args=["/bin/probe", "--only", "status"]).ok()
    assert name in result.err
    assert '"bounding":32' in result.out
    assert '"permitted":0' in result.out


def test_an_ungrantable_capability_is_a_warning(run):
    """R-224: one that the caller does not hold itself."""
    result = run(
        caps(**{k: ["CAP_SYS_BOOT", "CAP_KILL"] for k in ("bounding", "effective", "permitted")}),
        args=["/bin/probe", "--only", "status"],
        wrap=["setpriv", "--bounding-set", "-sys_boot"],
    ).ok()
    assert "CAP_SYS_BOOT" in result.err
    assert '"bounding":32' in result.out


@pytest.mark.parametrize("value", [True, False])
def test_no_new_privileges(inspect, value):
    """R-227."""
    report = inspect({"process": {"noNewPrivileges": value}})
    assert report["no_new_privs"] == int(value)
    assert report["keepcaps"] == 0
    assert report["securebits"] == 0


LIMITS = [
    "AS",
    "CORE",
    "CPU",
    "DATA",
    "FSIZE",
    "LOCKS",
    "MEMLOCK",
    "MSGQUEUE",
    "NICE",
    "NOFILE",
    "NPROC",
    "RSS",
    "RTPRIO",
    "RTTIME",
    "SIGPENDING",
    "STACK",
]


@pytest.mark.parametrize("name", ["RLIMIT_" + n for n in LIMITS])
def test_every_limit_can_be_lowered(inspect, name):
    """R-223."""
    low = {
        "RLIMIT_AS": 1 << 30,
        "RLIMIT_DATA": 1 << 29,
        "RLIMIT_STACK": 1 << 20,
        "RLIMIT_MEMLOCK": 65536,
        "RLIMIT_FSIZE": 1 << 20,
    }.get(name, 40)
    soft, hard = (0, 0) if name in ("RLIMIT_NICE", "RLIMIT_RTPRIO") else (low, low + 5)
    report = inspect(
        {"process": {"rlimits": [{"type": name, "soft": soft, "hard": hard}]}}, user(uid=1000, gid=1000)
    )
    assert report["rlimits"][name] == [soft, hard]


def test_limits_can_be_infinite(inspect):
    limit = {"type": "RLIMIT_CORE", "soft": INFINITY, "hard": INFINITY}
    assert inspect({"process": {"rlimits": [limit]}})["rlimits"]["RLIMIT_CORE"] == [INFINITY, INFINITY]


def test_limits_that_are_not_given_are_the_callers(inspect):
    import resource

    report = inspect({"process": {"rlimits": None}})
    assert report["rlimits"]["RLIMIT_NOFILE"] == list(resource.getrlimit(resource.RLIMIT_NOFILE))
    core = [v % (1 << 64) for v in resource.getrlimit(resource.RLIMIT_CORE)]
    assert report["rlimits"]["RLIMIT_CORE"] == core


@pytest.mark.parametrize(
    "limits",
    [
        [{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}],
        [{"type": "NOFILE", "soft": 1, "hard": 1}],
        [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}, {"type": "RLIMIT_CORE", "soft": 2, "hard": 2}],
        [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}],
        [{"type": "RLIMIT_CORE", "soft": -1, "hard": 1}],
        [{"type": "RLIMIT_CORE", "soft": 1}],
        [{"soft": 1, "hard": 1}],
    ],
    ids=["unknown", "no-prefix", "twice", "soft>hard", "negative", "no-hard", "no-type"],
)
def test_bad_limits_are_refused(run, limits):
    run({"process": {"rlimits": limits}}).failed("process.rlimits")


@pytest.mark.parametrize("number", [8, 16, 64])
def test_a_small_limit_of_open_files(inspect, number):
    """R-289."""
    report = inspect({"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": number, "hard": number}]}})
    assert report["rlimits"]["RLIMIT_NOFILE"] == [number, number]


def test_a_limit_of_one_process_still_starts_the_program(inspect):
    report = inspect(
        user(uid=1000, gid=1000), {"process": {"rlimits": [{"type": "RLIMIT_NPROC", "soft": 1, "hard": 1}]}}
    )
    assert report["rlimits"]["RLIMIT_NPROC"] == [1, 1]


@pytest.mark.parametrize("value", [0, 1, 500, 1000])
def test_oom_score_adj(inspect, value):
    """R-230."""
    assert inspect({"process": {"oomScoreAdj": value}})["oom_score_adj"] == "%d\n" % value


@pytest.mark.parametrize("value", [-1, -500, -1000])
def test_oom_score_adj_may_be_below_the_callers(inspect, value):
    """R-230: with the right to."""
    requires("sys_resource")
    assert inspect({"process": {"oomScoreAdj": value}})["oom_score_adj"] == "%d\n" % value


def test_oom_score_adj_without_the_right_to_lower_it_is_an_error(run):
    """R-230: and no other value."""
    without = ["setpriv", "--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource"]
    run({"process": {"oomScoreAdj": -500}}, wrap=without).failed("process.oomScoreAdj", "permission denied")


def test_oom_score_adj_is_the_callers_when_not_given(inspect):
    """R-160."""

    def raise_mine():
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("321")

    assert inspect(preexec_fn=raise_mine)["oom_score_adj"] == "321\n"


@pytest.mark.parametrize("value", [1001, -1001, "5", 1.5])
def test_oom_score_adj_out_of_range_is_refused(run, value):
    run({"process": {"oomScoreAdj": value}}).failed("process.oomScoreAdj")


def test_environment_is_exactly_the_configured_one_and_home(inspect):
    """R-149, R-218, S-43."""
    env = ["PATH=/bin", "A=1,2", "EMPTY=", "Ü=ß", "B=x=y z"]
    report = inspect({"process": {"env": env}}, env={**os.environ, "LEAK": "secret"})
    assert sorted(report["env"]) == sorted([*env, "HOME=/"])


def test_home_comes_from_the_passwd_of_the_image(inspect, bundle):
    """R-112, R-218."""
    for uid, home in ((0, "/root"), (1000, "/home/u"), (77, "/")):
        here = bundle(user(uid=uid, gid=uid))
        here.file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\nbroken line\n")
        assert "HOME=" + home in inspect(of=here)["env"]


def test_a_home_in_the_environment_stays(inspect):
    assert "HOME=/mine" in inspect({"process": {"env+": ["HOME=/mine"]}})["env"]


def test_the_last_of_equal_variables_wins(inspect):
    env = [e for e in inspect({"process": {"env+": ["V=1", "V=2"]}})["env"] if e.startswith("V=")]
    assert env[-1] == "V=2"
    assert len(env) == 1


@pytest.mark.parametrize("entry", ["FOO", "=x", ""], ids=["no-sign", "no-name", "empty"])
def test_malformed_variables_are_refused(run, entry):
    """R-218."""
    run({"process": {"env+": [entry]}}).failed("process.env[2]")


def test_null_bytes_are_refused_everywhere(run):
    """S-28, R-213."""
    for edit, place in (
        ({"process": {"env+": ["A=b\0c"]}}, "process.env[2]"),
        ({"process": {"args": ["/bin/true", "a\0b"]}}, "process.args[1]"),
        ({"process": {"cwd": "/\0"}}, "process.cwd"),
        ({"hostname": "a\0b"}, "hostname"),
        ({"mounts+": [{"destination": "/a\0b", "type": "tmpfs", "source": "x"}]}, "mounts[7].destination"),
        ({"root": {"path": "rootfs\0x"}}, "root.path"),
    ):
        run(edit).failed(place)


def test_arguments_arrive_unchanged(inspect):
    """R-013."""
    args = ["--tag", "a b", "--tag", "ü✓\n\t'\"\\", "--tag", ""]
    assert inspect(probe=args)["args"] == ["/bin/probe", *args]


def test_cwd(inspect):
    assert inspect({"process": {"cwd": "/home"}})["cwd"] == "/home"


def test_a_missing_cwd_is_made(inspect, bundle):
    """R-217."""
    here = bundle(RW, {"process": {"cwd": "/made/deep"}}, args=["/bin/probe", "--stat", "/made"])
    report = inspect(of=here)
    assert report["cwd"] == "/made/deep"
    assert report.stat("/made")["mode"] == 0o755


def test_the_working_directory_may_be_one_that_only_root_may_enter(inspect, bundle):
    """R-113: the change of directory counts when either the runtime's user or the container's has the right."""
    here = bundle({"process": {"cwd": "/root", "user": {"uid": 1000, "gid": 1000}}})
    os.chmod(here.inside("/root"), 0o700)
    assert inspect(of=here)["cwd"] == "/root"


def test_the_working_directory_may_be_one_that_root_without_capabilities_may_not_enter(inspect, bundle):
    here = bundle({"process": {"cwd": "/home", "capabilities": {}}})
    os.chown(here.inside("/home"), 1000, 1000)
    os.chmod(here.inside("/home"), 0o700)
    assert inspect(of=here)["cwd"] == "/home"


@pytest.mark.parametrize("cwd", ["relative", "", DROP, 5, "/bin/probe"], ids=repr)
def test_a_bad_cwd_is_refused(run, cwd):
    run({"process": {"cwd": cwd}}).failed("cwd" if cwd != "/bin/probe" else "not a directory")


def test_the_program_is_found_through_the_path_of_the_container(inspect, bundle):
    """R-216: folders and files that cannot be executed are passed over."""
    here = bundle({"process": {"env": ["PATH=/a:/b:/c:/bin"]}}, RW, args=["probe", "--tag", "found"])
    os.makedirs(here.inside("/a/probe"))
    here.file("/b/probe", "no", 0o644)
    report = inspect(of=here, env={"PATH": "/nowhere:" + os.environ["PATH"]})
    assert report["args"][0] == "probe"
    assert report["tag"] == "found"


@pytest.mark.parametrize("args", [[], DROP, None, "sh", [5], [""]], ids=repr)
def test_bad_args_are_refused(run, args):
    run({"process": {"args": args}}).failed()


def test_signals_are_as_fresh(inspect):
    """R-155, P-08."""

    def dirty():
        for number in (1, 2, 13, 15, 25, 34):
            signal.signal(number, signal.SIG_IGN)
        # The C library hides 32 from signal(2); x86_64's rt_sigaction(2) does not.
        ctypes.CDLL(None).syscall(13, 32, struct.pack("=QQQQ", 1, 0, 0, 0), None, 8)
        signal.pthread_sigmask(signal.SIG_BLOCK, {10, 12, 20})

    report = inspect(preexec_fn=dirty)
    assert report["signals_ignored"] == []
    assert report["signals_blocked"] == []
    assert report["status"]["SigIgn"].strip("0") == ""
    assert report["status"]["SigCgt"].strip("0") == ""


def test_the_program_leads_its_own_session(inspect):
    """R-157, S-31."""
    report = inspect()
    assert report["sid"] == report["pid"] == report["pgid"] == 1
    host = inspect({"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount")}})
    assert host["sid"] == host["pid"] == host["pgid"]


def test_affinity_of_the_caller_is_not_inherited(inspect):
    """R-159."""
    requires("two_cpus")
    everything = sorted(os.sched_getaffinity(0))
    report = inspect(preexec_fn=lambda: os.sched_setaffinity(0, everything[:1]))
    assert report["sched"]["affinity"] == everything


def test_the_program_is_dumpable_and_has_no_death_signal(inspect):
    report = inspect()
    assert report["dumpable"] == 1
    assert report["pdeathsig"] == 0
    assert report["subreaper"] == 0


@pytest.mark.parametrize(
    ("given", "policy", "nice"),
    [
        ({"policy": "SCHED_BATCH", "nice": 5}, 3, 5),
        ({"policy": "SCHED_OTHER", "nice": 19}, 0, 19),
        ({"policy": "SCHED_IDLE"}, 5, None),
    ],
)
def test_scheduler(inspect, given, policy, nice):
    """R-231."""
    sched = inspect({"process": {"scheduler": given}})["sched"]
    assert sched["policy"] == policy
    if nice is not None:
        assert sched["nice"] == nice


def test_a_realtime_scheduler(inspect):
    requires("sys_nice", "no_rt_group")
    sched = inspect({"process": {"scheduler": {"policy": "SCHED_FIFO", "priority": 3}}})["sched"]
    assert (sched["policy"], sched["priority"]) == (1, 3)


DEADLINE = {"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 10000000, "period": 20000000}


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, 0x01),
        ({**DEADLINE, "flags": ["SCHED_FLAG_RECLAIM"]}, 0x02),
        ({**DEADLINE, "flags": ["SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_RESET_ON_FORK"]}, 0x05),
    ],
    ids=["reset-on-fork", "reclaim", "two"],
)
def test_flags_of_the_scheduler(inspect, given, flags):
    """R-231: as sched_getattr(2) tells them."""
    requires("sys_nice")
    sched = inspect({"process": {"scheduler": given}}, {"linux": {"resources": DROP, "cgroupsPath": DROP}})["sched"]
    assert (sched["policy"], sched["flags"]) == (6 if "runtime" in given else 0, flags)
    if "runtime" in given:
        assert [sched[key] for key in ("runtime", "deadline", "period")] == [1000000, 10000000, 20000000]


def test_flags_that_keep_what_is_there(inspect):
    """R-231: the caller's policy, or its priority, stays."""

    def be_batch():
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, 3)

    keep = {"policy": "SCHED_OTHER", "nice": 7, "flags": ["SCHED_FLAG_KEEP_POLICY"]}
    sched = inspect({"process": {"scheduler": keep}}, preexec_fn=be_batch)["sched"]
    assert (sched["policy"], sched["nice"]) == (3, 7)
    keep = {"policy": "SCHED_IDLE", "flags": ["SCHED_FLAG_KEEP_PARAMS"]}
    sched = inspect({"process": {"scheduler": keep}}, preexec_fn=be_batch)["sched"]
    assert (sched["policy"], sched["getpriority"]) == (3, 3), "with its parameters the kernel keeps the policy too"


@pytest.mark.parametrize(
    "given",
    [
        {"policy": "SCHED_ISO"},
        {"policy": "SCHED_DEADLINE", "runtime": 20000000, "deadline": 10000000, "period": 10000000},
        {"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3},
    ],
    ids=["no-such-policy-in-linux", "rule", "too-small"],
)
def test_a_scheduler_that_the_kernel_refuses_is_an_error(run, given):
    """R-231."""
    run({"process": {"scheduler": given}}).failed("process.scheduler")


def test_clamps_of_utilization_are_put_back_or_refused_in_the_kernels_words(run):
    """R-231: a kernel without CONFIG_UCLAMP_TASK refuses them."""
    flags = ["SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"]
    result = run({"process": {"scheduler": {"policy": "SCHED_OTHER", "flags": flags}}})
    if result.code:
        result.failed("process.scheduler", "operation not supported")


@pytest.mark.parametrize(
    "given",
    [
        {"policy": "SCHED_NOPE"},
        {"nice": 3},
        {"policy": "SCHED_OTHER", "nice": 20},
        {"policy": "SCHED_FIFO", "nice": 1, "priority": 1},
        {"policy": "SCHED_OTHER", "priority": 3},
        {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NOPE"]},
        {"policy": "SCHED_OTHER", "runtime": 5},
    ],
)
def test_a_bad_scheduler_is_refused(run, given):
    run({"process": {"scheduler": given}}).failed("process.scheduler")


@pytest.mark.parametrize(("name", "number"), [("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)])
def test_io_priority(inspect, name, number):
    """R-232."""
    sched = inspect({"process": {"ioPriority": {"class": name, "priority": 4}}})["sched"]
    assert sched["ioprio_class"] == number
    assert sched["ioprio_level"] == 4


@pytest.mark.parametrize(
    "given",
    [{"class": "IOPRIO_CLASS_X", "priority": 1}, {"class": "IOPRIO_CLASS_BE", "priority": 8}, {"priority": 1}],
)
def test_a_bad_io_priority_is_refused(run, given):
    run({"process": {"ioPriority": given}}).failed("process.ioPriority")


def test_personality(inspect):
    """R-256."""
    edit = {"linux": {"personality": {"domain": "LINUX32"}}}
    report = inspect(edit)
    assert report["sched"]["personality"] == 8
    assert report["uname"]["machine"] in ("i686", "armv8l")
    assert inspect({"linux": {"personality": {"domain": "LINUX"}}})["sched"]["personality"] == 0


def test_memory_policy(inspect):
    """R-255."""
    edit = {"linux": {"memoryPolicy": {"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}}}
    sched = inspect(edit)["sched"]
    assert (sched["mempolicy"], sched["mempolicy_nodes"]) == (3, [0])


@pytest.mark.parametrize(
    "given",
    [
        {"mode": "MPOL_NOPE"},
        {"mode": "MPOL_BIND", "nodes": "x"},
        {"mode": "MPOL_BIND"},
        {"mode": "MPOL_BIND", "nodes": "0-9876543210"},
        {"mode": "MPOL_DEFAULT", "flags": ["X"]},
    ],
)
def test_a_bad_memory_policy_is_refused(run, given):
    run({"linux": {"memoryPolicy": given}}).failed("linux.memoryPolicy")


def test_apparmor_asked_for_on_a_host_without_it_is_an_error(run):
    """R-228, S-33."""
    requires("no_apparmor")
    run({"process": {"apparmorProfile": "some-profile"}}).failed("pparmor")
    run({"process": {"apparmorProfile": ""}}).ok()


def test_selinux_asked_for_on_a_host_without_it_is_an_error(run):
    """R-229."""
    requires("no_selinux")
    run({"process": {"selinuxLabel": "a:b:c:s0"}}).failed("selinux")
    run({"linux": {"mountLabel": "a:b:c:s0"}}).failed("mountLabel")
    run({"process": {"selinuxLabel": ""}}).ok()


def test_a_setuid_program_gains_nothing_with_no_new_privileges(inspect, bundle):
    """S-32."""
    for nnp, euid in ((True, 1000), (False, 0)):
        here = bundle({"process": {"noNewPrivileges": nnp}}, user(uid=1000, gid=1000), args=["/bin/suid"])
        with open(here.inside("/bin/probe"), "rb") as file:
            data = file.read()
        with open(here.inside("/bin/suid"), "wb") as file:
            file.write(data)
        os.chmod(here.inside("/bin/suid"), 0o4755)
        assert inspect(of=here)["uid"][1] == euid


def test_a_new_session_keyring_is_joined(inspect, run):
    """R-150."""
    report = inspect(name="keys-1", flags=())
    assert report["keyring"].endswith("_ses.keys-1"), report["keyring"]
    other = inspect(name="keys-2", flags=("--no-new-keyring",))
    assert "_ses.keys-2" not in (other["keyring"] or "")
