"""Which mounts criu is not to save, and where they are to come from."""

from pyoci.criu.mounts import freer, places, read_table, saved_names, swapped

TABLE = rb"""100 90 0:50 / / rw - overlay overlay rw
101 100 0:51 / /proc rw - proc proc rw
102 100 8:1 /etc/hosts /etc/hosts ro - ext4 /dev/sda rw
103 100 8:1 /tree /run/a\040tree rw - ext4 /dev/sda rw
104 103 0:60 / /run/a\040tree/below rw - tmpfs tmpfs rw
105 104 0:61 / /run/a\040tree/below/deep rw - tmpfs tmpfs rw
106 101 0:6 /null /proc/keys rw - devtmpfs devtmpfs rw
107 100 0:6 /zero /dev/zero rw - devtmpfs devtmpfs rw
108 103 0:70 / /run/a\040tree/own rw - tmpfs tmpfs rw
109 100 0:71 / /mnt rw - tmpfs tmpfs rw
"""
LINKS = {"/var/run/a tree": "/run/a tree", "/gone": ""}


def locate(path):
    return LINKS.get(path, path)


def names(binds, **more):
    settings = {"others": (), "masks": (), "devices": (), **more}
    pairs = saved_names(read_table(TABLE), binds, locate, **settings)
    return {pair["key"]: pair["val"] for pair in pairs}


def test_a_table_is_read_with_its_escapes():
    table = read_table(TABLE)
    assert (table[3].number, table[3].parent, table[3].path) == (103, 100, "/run/a tree")


def test_bind_mounts_are_found_behind_symlinks_and_named_by_their_destination():
    assert names([("/etc/hosts", False), ("/var/run/a tree", False)]) == {
        "/etc/hosts": "/etc/hosts",
        "/run/a tree": "/var/run/a tree",
    }


def test_what_is_no_mount_any_more_is_left_out():
    assert names([("/gone", True), ("/etc", False)]) == {}


def test_mounts_that_came_along_are_named_too_but_not_the_containers_own():
    found = names([("/var/run/a tree", True)], others=["/run/a tree/own"])
    assert found == {
        "/run/a tree": "/var/run/a tree",
        "/run/a tree/below": "/var/run/a tree/below",
        "/run/a tree/below/deep": "/var/run/a tree/below/deep",
    }


def test_masks_and_devices():
    assert names([], masks=["/proc/keys", "/proc/kcore"], devices=["/dev/zero", "/dev/null"]) == {
        "/proc/keys": "/dev/null",
        "/dev/zero": "/dev/zero",
    }


def test_each_name_gets_its_place():
    table = read_table(
        b"1 0 8:1 / / rw - ext4 x rw\n2 1 8:2 / /srv/tree/below rw - ext4 y rw\n3 1 8:3 / /srv/treeless rw\n"
    )
    pairs = places(table, [("/data", "/srv/tree", True), ("/one", "/srv/tree", False)], ["/dev/zero"])
    assert {pair["key"]: pair["val"] for pair in pairs} == {
        "/dev/null": "/dev/null",
        "/dev/zero": "/dev/zero",
        "/data": "/srv/tree",
        "/data/below": "/srv/tree/below",
        "/one": "/srv/tree",
    }


def test_what_is_saved_under_a_name_finds_its_place():
    """The two lists are made from different sides, and have to agree."""
    saved = set(names([("/var/run/a tree", True)], others=["/run/a tree/own"]).values())
    host = rb"1 0 8:1 / / rw - x x x" + b"\n2 1 8:2 / /srv/below rw - x x x\n3 2 8:3 / /srv/below/deep rw - x x x\n"
    found = {pair["key"] for pair in places(read_table(host), [("/var/run/a tree", "/srv", True)], [])}
    assert saved <= found


def test_a_mount_that_lacks_an_option_is_told():
    """`locate` stands for a container that put a symlink in the place of a read-only mount."""
    table = read_table(TABLE)
    moved = {"/etc/hosts": "/run/a tree"}
    assert freer(table, [("/proc", []), ("/etc/hosts", ["ro"]), ("/gone", ["ro"])], locate) == ("", "")
    assert freer(table, [("/etc/hosts", ["ro", "nosuid"])], locate) == ("/etc/hosts", "nosuid")
    assert freer(table, [("/etc/hosts", ["ro"])], lambda path: moved.get(path, path)) == ("/etc/hosts", "ro")


def test_two_mounts_that_have_each_others_place_are_found():
    meant = {"/a": (1, 10), "/b": (1, 11), "/c": (2, 10)}
    assert swapped(meant, meant) == ("", "")
    assert swapped({**meant, "/a": (1, 11), "/b": (1, 10)}, meant) == ("/a", "/b")
    assert swapped({"/c": (1, 10)}, meant) == ("/c", "/a")
    assert swapped({"/a": (1, 99), "/new": (1, 10)}, meant) == ("", "")  # the host has replaced what was there
    same = {"/a": (1, 10), "/b": (1, 10)}
    assert swapped(same, same) == ("", "")
