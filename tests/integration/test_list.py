"""list: formats, order, what is skipped (requirements K)."""

import os

import pytest

from .host import write

HEADER = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]


def test_json_of_no_container_decodes_to_nothing(pyoci, work):
    """R-118."""
    os.mkdir(pyoci.root, 0o700)
    assert pyoci("list", "--format", "json").ok().json() in (None, [])
    assert pyoci("list", "--format=json").ok().err == ""


def test_json_has_the_keys_of_state_and_the_owner(container, pyoci):
    """R-118."""
    one, two = container({"annotations": {"k": "v"}}).create(), container().create().start()
    listed = {c["id"]: c for c in pyoci("list", "-f", "json").ok().json()}
    assert set(listed) == {one.id, two.id}
    state = one.state()
    for key in ("ociVersion", "id", "status", "pid", "bundle", "rootfs", "created", "annotations"):
        assert listed[one.id][key] == state[key], key
    assert listed[one.id]["owner"] == "root"
    assert listed[two.id]["status"] == "running"
    two.end()
    listed = {c["id"]: c for c in pyoci("list", "-f", "json").ok().json()}
    assert listed[two.id]["status"] == "stopped"
    assert listed[two.id]["pid"] == 0
    one.delete("--force").ok()
    two.delete().ok()


def test_table_has_six_columns_at_fixed_places(container, pyoci):
    """R-119: columns at least 12 wide, 3 blanks between them."""
    one = container().create()
    lines = pyoci("list").ok().out.splitlines()
    assert lines[0].split() == HEADER
    row = lines[1].split()
    assert row[0] == one.id
    assert row[1] == str(one.pid)
    assert row[2] == "created"
    assert row[3] == one.bundle.path
    assert row[5] == "root"
    for word in HEADER:
        assert lines[1][lines[0].index(word) - 1] == " " or word == "ID"
    width = max(12, len(one.id) + 3)
    assert lines[0].index("PID") == width
    one.delete("--force").ok()


@pytest.mark.parametrize("flag", ["-q", "--quiet"])
def test_quiet_prints_ids_only(container, pyoci, flag):
    both = sorted(container().create().id for _ in range(2))
    assert sorted(pyoci("list", flag).ok().out.split()) == both
    for name in both:
        pyoci("delete", "--force", name).ok()


def test_an_unknown_format_is_refused(pyoci):
    pyoci("list", "--format", "yaml").failed()


def test_a_damaged_entry_is_told_and_skipped(container, pyoci):
    """R-120."""
    one = container().create()
    os.mkdir(os.path.join(pyoci.root, "junk"))
    write(os.path.join(pyoci.root, "file"), "x")
    result = pyoci("list", "-f", "json").ok()
    assert [c["id"] for c in result.json()] == [one.id]
    assert "Traceback" not in result.err
    os.rmdir(os.path.join(pyoci.root, "junk"))
    os.unlink(os.path.join(pyoci.root, "file"))
    one.delete("--force").ok()


def test_a_missing_explicit_root_is_an_error(pyoci, work):
    """R-120."""
    result = pyoci("list", root=False, options=["--root", work + "/absent"])
    result.failed("no such file or directory")


def test_list_and_state_do_not_make_the_state_root(pyoci, work):
    pyoci("list")
    pyoci("state", "x")
    assert not os.path.exists(pyoci.root)


def test_list_fits_thirty_containers(container, pyoci):
    made = [container().create() for _ in range(30)]
    assert len(pyoci("list", "-q").ok().out.split()) == 30
    for one in made:
        one.delete("--force").ok()
