"""`process` as one record."""

import pytest

from pyoci.plan.process import make_process
from pyoci.tables.capabilities import NAMES
from tests.unit.plan.places import EVERY_CAPABILITY, config_of


def process_of(*, known=EVERY_CAPABILITY, annotations=None, linux=None, **process):
    config = config_of(process=process, **(linux or {}))
    config["annotations"] = annotations or {}
    return make_process(config, known, "c1")


def setup_of(**arguments):
    setup, warnings = process_of(**arguments)
    assert warnings == []
    return setup


def test_what_is_not_said_has_its_documented_default():
    setup = setup_of()
    assert (setup.uid, setup.gid, setup.groups, setup.umask) == (0, 0, [], 0o022)
    assert (setup.bounding, setup.permitted, setup.effective, setup.inheritable, setup.ambient) == (0, 0, 0, 0, 0)
    assert (setup.env, setup.rlimits, setup.no_new_privileges, setup.keyring) == ([], [], False, "_ses.c1")
    for left_alone in ("oom_score_adj", "scheduler", "io_priority", "memory_policy", "personality"):
        assert getattr(setup, left_alone) is None


def test_zero_is_said_and_none_is_not():
    assert setup_of(oomScoreAdj=0).oom_score_adj == 0
    assert setup_of(user={"uid": 0, "gid": 0, "umask": 0}).umask == 0


def test_of_two_entries_of_one_name_the_last_wins_at_the_first_s_place():
    assert setup_of(env=["A=1", "B=2", "A=3"]).env == ["A=3", "B=2"]
    assert setup_of(env=["A=1", "A", "AB=1"]).env == ["A", "AB=1"]


def test_an_environment_without_doubles_is_passed_on_as_it_is():
    given = ["B=2", "A=1=1", "EMPTY=", "="]
    assert setup_of(env=given).env == given


def test_the_annotation_keeps_the_caller_s_groups_and_only_as_one():
    key = "run.oci.keep_original_groups"
    user = {"uid": 1, "gid": 2, "additionalGids": [3]}
    assert setup_of(user=user, annotations={key: "1"}).groups is None
    for value in ("0", "", "true"):
        assert setup_of(user=user, annotations={key: value}).groups == [3]


def test_an_ambient_capability_that_cannot_be_raised_is_noted():
    """R-226: it must be permitted and inheritable."""
    both, one = ["CAP_KILL", "CAP_CHOWN"], ["CAP_KILL"]
    for sets in ({"permitted": one, "inheritable": both}, {"permitted": both, "inheritable": one}):
        assert "ambient" in warned({**sets, "ambient": both}) and "[CAP_CHOWN]" in warned({**sets, "ambient": both})
    assert warned({"permitted": both, "inheritable": both, "ambient": both}) == ""


def warned(sets):
    setup, warnings = process_of(capabilities=sets)
    assert warnings == []
    return " ".join(setup.notes)


# ---- capabilities -------------------------------------------------------------------------------------------


def test_each_capability_has_the_kernel_s_bit():
    """linux/capability.h: CHOWN is 0, SYS_ADMIN 21, AUDIT_READ 37, CHECKPOINT_RESTORE 40."""
    sets = {"bounding": ["CAP_CHOWN"], "permitted": ["CAP_SYS_ADMIN"], "effective": ["CAP_AUDIT_READ"],
            "inheritable": ["CAP_CHECKPOINT_RESTORE"], "ambient": ["CAP_CHOWN", "CAP_KILL"]}  # fmt: skip
    setup, _ = process_of(capabilities=sets)
    assert setup.bounding == 1
    assert setup.permitted == 1 << 21
    assert setup.effective == 1 << 37
    assert setup.inheritable == 1 << 40
    assert setup.ambient == 1 | 1 << 5


def test_all_names_make_the_full_mask():
    assert setup_of(capabilities={"bounding": list(NAMES)}).bounding == (1 << len(NAMES)) - 1


def test_what_the_kernel_or_the_caller_lacks_is_left_out_and_told_once():
    setup, warnings = process_of(
        known=0b11, capabilities={"bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_FUTURE"], "effective": ["CAP_KILL"]}
    )
    assert (setup.bounding, setup.effective) == (1, 0)
    assert warnings == ["ignoring unknown or unavailable capabilities: [CAP_KILL CAP_FUTURE]"]


# ---- limits, scheduling, memory -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "soft", "late"),
    [
        ("RLIMIT_NOFILE", 31, True),
        ("RLIMIT_NOFILE", 32, False),
        ("RLIMIT_AS", (1 << 30) - 1, True),
        ("RLIMIT_AS", 1 << 30, False),
        ("RLIMIT_DATA", 1 << 20, True),
        ("RLIMIT_STACK", 65536, True),
        ("RLIMIT_STACK", 8 << 20, False),
        ("RLIMIT_CORE", 0, False),
        ("RLIMIT_CPU", 1, False),
    ],
)
def test_only_limits_that_the_waiting_init_could_not_live_with_are_late(name, soft, late):
    (limit,) = setup_of(rlimits=[{"type": name, "soft": soft, "hard": 1 << 63}]).rlimits
    assert (limit.late, limit.soft, limit.hard) == (late, soft, 1 << 63)
    assert limit.where == ".process.rlimits[0]"


def test_a_scheduler_is_the_numbers_of_sched_setattr():
    deadline = {"policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN"],
                "runtime": 1, "deadline": 2, "period": 3}  # fmt: skip
    assert setup_of(scheduler=deadline).scheduler == (6, 5, 0, 0, (1, 2, 3))
    assert setup_of(scheduler={"policy": "SCHED_FIFO", "priority": 7}).scheduler == (1, 0, 0, 7, (0, 0, 0))
    assert setup_of(scheduler={"policy": "SCHED_OTHER", "nice": -5}).scheduler == (0, 0, -5, 0, (0, 0, 0))


def test_an_io_priority_is_class_and_level_in_one_number():
    assert setup_of(ioPriority={"class": "IOPRIO_CLASS_RT", "priority": 3}).io_priority == 1 << 13 | 3
    assert setup_of(ioPriority={"class": "IOPRIO_CLASS_IDLE"}).io_priority == 3 << 13


@pytest.mark.parametrize(
    ("nodes", "mask"),
    [("0", 0b1), ("0,2-3", 0b1101), (" 1 , 0", 0b11), ("63", 1 << 63), ("64", 1 << 64), ("0-127", (1 << 128) - 1)],
)
def test_a_node_list_becomes_a_mask_of_whole_words(nodes, mask):
    policy = {"mode": "MPOL_BIND", "nodes": nodes}
    mode, data, bits = setup_of(linux={"memoryPolicy": policy}).memory_policy
    assert mode == 2
    assert int.from_bytes(data, "little") == mask
    assert len(data) % 8 == 0
    # set_mempolicy(2): the kernel looks at maxnode - 1 bits, and may read whole words
    assert mask.bit_length() <= bits - 1 <= len(data) * 8


def test_flags_of_a_memory_policy_are_part_of_its_mode_and_no_nodes_are_no_mask():
    policy = {"mode": "MPOL_PREFERRED", "flags": ["MPOL_F_STATIC_NODES"]}
    assert setup_of(linux={"memoryPolicy": policy}).memory_policy == (0x8001, b"", 0)
    assert setup_of(linux={"memoryPolicy": {"mode": "MPOL_DEFAULT", "nodes": ""}}).memory_policy == (0, b"", 0)


def test_a_personality_is_the_number_of_personality_2():
    assert setup_of(linux={"personality": {"domain": "LINUX32"}}).personality == 8
    assert setup_of(linux={"personality": {"domain": "LINUX"}}).personality == 0
