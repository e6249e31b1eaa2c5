"""The mount option table and its parser."""

import os
import re

import pytest

from pyoci.tables import mount_options
from pyoci.tables.mount_options import OPTIONS, attr_text, flag_text, parse_options

HEADER = "/usr/include/linux/mount.h"


def defined_in_header() -> dict[str, int]:
    found = {}
    with open(HEADER) as file:
        for name, value in re.findall(
            r"^#define (M(?:S|OUNT_ATTR)_\w+)\s+(0x[\da-f]+|\d+|\(1<<\d+\))", file.read(), re.M
        ):
            found[name] = eval(value)
    return found


@pytest.mark.skipif(not os.path.exists(HEADER), reason="no " + HEADER)
def test_every_constant_is_the_kernel_header_s():
    header = defined_in_header()
    ours = {name: value for name, value in vars(mount_options).items() if name.startswith(("MS_", "MOUNT_ATTR_"))}
    derived = {"MS_ATIMES"}
    assert len(ours) > 30
    for name in ours.keys() - derived:
        assert ours[name] == header[name], name


def test_words_that_set_and_words_that_clear_name_the_same_numbers():
    pairs = [("ro", "rw"), ("nosuid", "suid"), ("nodev", "dev"), ("noexec", "exec"), ("sync", "async"),
             ("mand", "nomand"), ("nosymfollow", "symfollow"), ("noatime", "atime"), ("nodiratime", "diratime"),
             ("silent", "loud"), ("relatime", "norelatime"), ("iversion", "noiversion"),
             ("strictatime", "nostrictatime"), ("lazytime", "nolazytime"), ("rro", "rrw"), ("rnosuid", "rsuid"),
             ("rnodev", "rdev"), ("rnoexec", "rexec"), ("rnoatime", "ratime"), ("rnodiratime", "rdiratime"),
             ("rrelatime", "rnorelatime"), ("rstrictatime", "rnostrictatime"),
             ("rnosymfollow", "rsymfollow")]  # fmt: skip
    for on, off in pairs:
        assert OPTIONS[on][1] is True
        assert OPTIONS[off][1] is False
        assert OPTIONS[on][0] == OPTIONS[off][0]
        assert OPTIONS[on][2:4] == OPTIONS[off][2:4], (on, off)


def test_a_later_word_overrides_an_earlier_one():
    parsed = parse_options(["ro", "nosuid", "rw"])
    assert (parsed.set_flags, parsed.clear_flags) == (0x2, 0x1)
    assert (parsed.attr_set, parsed.attr_clr) == (0x2, 0x1)
    parsed = parse_options(["rw", "ro"])
    assert (parsed.set_flags, parsed.clear_flags, parsed.attr_set, parsed.attr_clr) == (1, 0, 1, 0)


@pytest.mark.parametrize(
    ("words", "attr", "flags"),
    [
        (["noatime"], 0x10, 0x400),
        (["strictatime"], 0x20, 0x1000000),
        (["relatime"], 0x00, 0x200000),
        (["noatime", "relatime"], 0x00, 0x200000),
        (["relatime", "noatime"], 0x10, 0x400),
        (["noatime", "strictatime"], 0x20, 0x1000000),
        (["noatime", "atime"], 0x00, 0),
        (["strictatime", "atime"], 0x20, 0x1000000),
        (["strictatime", "nostrictatime"], 0x00, 0),
        (["noatime", "norelatime"], 0x10, 0x400),
        (["atime"], 0x00, 0),
    ],
)
def test_the_last_atime_word_wins(words, attr, flags):
    parsed = parse_options(words)
    assert (parsed.attr_set, parsed.attr_clr) == (attr, 0x70)
    assert parsed.set_flags == flags
    assert not parsed.set_flags & parsed.clear_flags


def test_atime_words_leave_the_other_attributes_alone():
    parsed = parse_options(["nodiratime", "ro", "noatime", "strictatime"])
    assert attr_text(parsed.attr_set) == "MOUNT_ATTR_RDONLY|MOUNT_ATTR_STRICTATIME|MOUNT_ATTR_NODIRATIME"


def test_recursive_words_are_kept_apart_from_the_plain_ones():
    parsed = parse_options(["rbind", "rro", "rnosuid", "rsuid", "rnoatime", "rnosymfollow"])
    assert (parsed.set_flags, parsed.attr_set, parsed.attr_clr) == (0, 0, 0)
    assert parsed.rec_attr_set == 0x1 | 0x10 | 0x200000
    assert parsed.rec_attr_clr == 0x2 | 0x70
    assert (parsed.bind, parsed.rbind) == (True, True)


def test_rrelatime_is_the_zero_of_the_choice():
    assert (parse_options(["rrelatime"]).rec_attr_set, parse_options(["rrelatime"]).rec_attr_clr) == (0, 0x70)


def test_propagation_words_stay_in_their_order():
    assert parse_options(["rslave", "rshared"]).propagation == [0x84000, 0x104000]


def test_superblock_words_are_fsconfig_words_in_order():
    parsed = parse_options(["sync", "dirsync", "nolazytime", "silent", "iversion"])
    assert parsed.superblock == ["sync", "dirsync", "nolazytime"]
    assert flag_text(parsed.set_flags) == "MS_SYNCHRONOUS|MS_DIRSYNC|MS_SILENT|MS_I_VERSION"
    assert parsed.attr_set == 0


def test_unknown_words_are_data_in_their_order():
    assert parse_options(["mode=755", "nosuid", "size=64k", "acl"]).data == ["mode=755", "size=64k", "acl"]


def test_switches():
    parsed = parse_options(["defaults", "bind", "remount", "ridmap", "tmpcopyup"])
    assert (parsed.bind, parsed.rbind, parsed.remount) == (True, False, True)
    assert (parsed.idmap, parsed.ridmap, parsed.tmpcopyup) == (True, True, True)
    assert parse_options(["idmap"]).ridmap is False


def test_flags_print_as_words_and_unknown_bits_in_hex():
    assert flag_text(0x5000) == "MS_BIND|MS_REC"
    assert flag_text(0) == "0"
    assert flag_text(0x1 | 1 << 30) == "MS_RDONLY|0x40000000"
    assert attr_text(0x70) == "MOUNT_ATTR__ATIME"
