"""From the command line to criu's options."""

import pytest

from pyoci.cli.parse import read
from pyoci.criu.options import config_file, dump_options, network_lock, page_server, restore_options
from pyoci.errors import HostError, UsageError

NEW = (4, 2, 0)
OLD = (3, 15, 0)
NETWORK = 0x40000000


def dump(line="", config=None, version=NEW):
    return dump_options(read(["checkpoint", *line.split(), "c1"]).options, config or {}, version)


def restore(line="", config=None, version=NEW):
    return restore_options(read(["restore", *line.split(), "c1"]).options, config or {}, version)


def test_what_is_asked_of_criu_without_any_option():
    wanted = dump(config={"annotations": {"org.criu.config": ""}})
    switches = {name for name, value in wanted.items() if value is True}
    assert switches == {"manage_cgroups", "notify_scripts", "orphan_pts_master"}
    assert (wanted["manage_cgroups_mode"], wanted["empty_ns"], wanted["log_file"]) == (3, NETWORK, "dump.log")
    assert not {"ps", "parent_img", "track_mem", "network_lock", "config_file"} & wanted.keys()
    again = restore(config={"annotations": {"org.criu.config": ""}})
    switches = {name for name, value in again.items() if value is True}
    assert switches == {"manage_cgroups", "notify_scripts", "orphan_pts_master", "evasive_devices", "rst_sibling"}
    assert again["log_file"] == "restore.log"


@pytest.mark.parametrize(
    "name",
    ["tcp-established", "ext-unix-sk", "shell-job", "lazy-pages", "file-locks", "auto-dedup"],
)
def test_switches_of_both(name):
    assert dump("--" + name)[name.replace("-", "_")] is True
    assert restore("--" + name)[name.replace("-", "_")] is True


@pytest.mark.parametrize("name", ["leave-running", "tcp-skip-in-flight", "link-remap"])
def test_switches_of_the_checkpoint(name):
    assert dump("--" + name)[name.replace("-", "_")] is True


def test_values():
    assert dump("--manage-cgroups-mode strict")["manage_cgroups_mode"] == 5
    assert dump("--manage-cgroups-mode ignore")["manage_cgroups_mode"] == 0
    assert dump("--page-server h:27")["ps"] == {"address": "h", "port": 27}
    wanted = dump("--parent-path ../first")
    assert (wanted["parent_img"], wanted["track_mem"]) == ("../first", True)
    assert dump("--network-lock skip")["network_lock"] == 3
    assert dump("--empty-ns network")["empty_ns"] == NETWORK
    assert restore("--tcp-close")["tcp_close"] is True
    assert restore("--lsm-profile apparmor:x")["lsm_profile"] == "apparmor:x"
    assert restore("--lsm-mount-context system_u:x")["lsm_mount_context"] == "system_u:x"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10.0.0.1:1", {"address": "10.0.0.1", "port": 1}),
        ("[::1]:65535", {"address": "::1", "port": 65535}),
    ],
)
def test_page_servers(text, value):
    assert page_server(text) == value


@pytest.mark.parametrize("text", ["", "h", "h:", ":1", "::1:5", "h:x", "h:0", "h:65536", "h:-1", "h:1 "])
def test_what_is_no_page_server(text):
    with pytest.raises(UsageError, match=r"page server|port number"):
        page_server(text)


@pytest.mark.parametrize("line", ["--manage-cgroups-mode props", "--empty-ns pid", "--network-lock no"])
def test_values_that_make_no_sense(line):
    with pytest.raises(UsageError):
        dump(line)


def test_a_security_profile_needs_a_type():
    with pytest.raises(UsageError):
        restore("--lsm-profile x")


@pytest.mark.parametrize(
    ("version", "word", "works"),
    [(OLD, "nftables", False), ((3, 17, 0), "nftables", True), ((3, 17, 1), "skip", False), (NEW, "skip", True)],
)
def test_network_locks_depend_on_criu(version, word, works):
    if works:
        assert network_lock(word, version) in (2, 3)
        return
    with pytest.raises(HostError, match=r"needs criu 3"):
        network_lock(word, version)


@pytest.mark.parametrize("line", ["--lsm-profile a:b", "--lsm-mount-context c"])
def test_security_options_depend_on_criu(line):
    with pytest.raises(HostError, match=r"needs criu 3\.16 or later"):
        restore(line, version=OLD)


def test_the_file_of_further_options(monkeypatch, tmp_path):
    ours, other = tmp_path / "pyoci.conf", tmp_path / "runc.conf"
    monkeypatch.setattr("pyoci.criu.options.CONFIG_FILES", (str(ours), str(other)))
    assert config_file({}) == ""
    other.touch()
    assert config_file({}) == str(other)
    ours.touch()
    assert config_file({}) == str(ours)
    assert config_file({"annotations": {"org.criu.config": "/x"}}) == "/x"
    assert config_file({"annotations": {"org.criu.config": ""}}) == ""
