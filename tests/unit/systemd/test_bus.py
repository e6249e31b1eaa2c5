"""The client against a fake bus: who is called, in which order, and what an answer does."""

import pytest

from pyoci.errors import HostError, OperationError
from pyoci.systemd import bus
from pyoci.systemd.bus import addresses, may_be_reached, open_bus, parse_address
from pyoci.systemd.unit import Systemd, UnitExistsError

from .fake import SYSTEMD, FakeSystemd
from .recorded import HELLO

START = ["AddMatch", "Subscribe", "StartTransientUnit"]


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """systemd(options of FakeSystemd) -> (the fake, a client of it)."""
    made = []
    monkeypatch.setattr(bus, "_SYSTEM_PRIVATE", str(tmp_path / "none"))

    def make(**options):
        path = str(tmp_path / "bus")
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=" + path)
        fake = FakeSystemd(path, **options)
        made.append(fake)
        client = Systemd.connect(user=False)
        made.append(client)
        return fake, client

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("how", [{}, {"early": True}, {"bytewise": True}, {"raw": HELLO}])
def test_a_unit_is_started_and_its_job_waited_for(systemd, how):
    fake, client = systemd(**how)
    client.start("x.scope", [("PIDs", ("au", [5]))])
    assert fake.members() == ["Hello", *START]
    assert fake.calls[-1][1] == ["x.scope", "replace", [("PIDs", ("au", [5]))], []]
    assert "arg2='x.scope'" in fake.calls[1][1][0]


def test_a_job_that_fails_is_an_error_and_the_unit_is_forgotten(systemd):
    fake, client = systemd(result="failed")
    with pytest.raises(OperationError, match=r"unable to start unit x\.scope: its job ended as failed"):
        client.start("x.scope", [])
    assert fake.members()[-1] == "ResetFailedUnit"


def test_a_failed_unit_of_that_name_is_forgotten_and_the_start_tried_again(systemd):
    fake, client = systemd(errors={"StartTransientUnit": [SYSTEMD + "UnitExists"]})
    client.start("x.scope", [])
    assert fake.members()[-3:] == ["StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"]


def test_a_unit_of_that_name_that_lives_is_somebody_elses(systemd):
    _, client = systemd(errors={"StartTransientUnit": [SYSTEMD + "UnitExists"] * 2})
    with pytest.raises(UnitExistsError, match=r"unable to start unit x\.scope: fake UnitExists"):
        client.start("x.scope", [])


def test_what_may_not_be_started_is_an_error_with_its_words(systemd):
    _, client = systemd(errors={"StartTransientUnit": ["org.freedesktop.DBus.Error.AccessDenied"]})
    with pytest.raises(OperationError, match="fake AccessDenied") as caught:
        client.start("x.scope", [])
    assert type(caught.value) is OperationError
    assert caught.value.where == ".linux.cgroupsPath"
    assert "root" in caught.value.fix


def test_a_job_without_an_end_is_an_error_in_time(systemd, monkeypatch):
    _, client = systemd(result=None)
    monkeypatch.setattr(bus, "_PATIENCE_S", 0.2)
    with pytest.raises(OperationError, match="is not done"):
        client.start("x.scope", [])


def test_a_bus_that_does_not_answer_is_an_error_in_time(systemd, monkeypatch):
    fake, client = systemd()
    monkeypatch.setattr(bus, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(fake, "send", lambda peer, data: None)
    with pytest.raises(HostError, match="cannot talk to systemd") as caught:
        client.version()
    assert "no answer" in caught.value.cause


def test_stopping_waits_and_forgets(systemd):
    fake, client = systemd()
    client.stop("x.scope")
    assert fake.members()[-2:] == ["StopUnit", "ResetFailedUnit"]


def test_stopping_what_is_gone_is_fine(systemd):
    gone = SYSTEMD + "NoSuchUnit"
    _, client = systemd(errors={"StopUnit": [gone], "ResetFailedUnit": [gone]})
    client.stop("x.scope")


def test_properties_are_set_for_this_boot_only(systemd):
    fake, client = systemd(errors={"SetUnitProperties": ["", SYSTEMD + "NoSuchUnit"][1:]})
    client.set_properties("x.scope", [])
    with pytest.raises(OperationError, match="unable to set properties"):
        client.set_properties("x.scope", [("TasksMax", ("t", 5))])
    client.set_properties("x.scope", [("TasksMax", ("t", 5))])
    assert fake.calls[-1] == ("SetUnitProperties", ["x.scope", True, [("TasksMax", ("t", 5))]])


def test_processes_are_attached(systemd):
    fake, client = systemd(errors={"AttachProcessesToUnit": ["x.Refused"]})
    with pytest.raises(OperationError, match="fake Refused"):
        client.attach("x.scope", 9)
    client.attach("x.scope", 9)
    assert fake.calls[-1] == ("AttachProcessesToUnit", ["x.scope", "", [9]])


def test_what_systemd_is(systemd):
    fake, client = systemd(group="/user.slice/user@1.service")
    assert (client.version(), client.version()) == (252, 252)
    assert fake.members().count("Get") == 1
    assert client.control_group() == "/user.slice/user@1.service"


def test_a_bus_that_lets_nobody_in_is_an_error(systemd):
    with pytest.raises(HostError) as caught:
        systemd(refuses=True)
    assert "REJECTED" in caught.value.cause


def test_systemds_own_socket_serves_where_there_is_no_bus_and_is_not_greeted(tmp_path, monkeypatch):
    path = str(tmp_path / "private")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=%s/none" % tmp_path)
    monkeypatch.setattr(bus, "_SYSTEM_PRIVATE", path)
    fake = FakeSystemd(path)
    client = Systemd.connect(user=False)
    client.start("x.scope", [])
    assert fake.members() == ["Subscribe", "StartTransientUnit"]
    client.close()
    fake.close()


@pytest.mark.parametrize("name", ["getuid", "getgid"])
def test_rights_that_the_caller_has_not_do_not_go_to_a_bus_of_his(monkeypatch, name):
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/a/bus")
    assert addresses(user=False)[0] == ("/a/bus", True)
    monkeypatch.setattr(bus.os, name, lambda: 4711)
    assert addresses(user=False)[0] == (bus._SYSTEM, True)


def test_a_user_has_a_bus_of_his_own(monkeypatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/a/bus,guid=1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert addresses(user=True) == [
        ("/a/bus", True), ("/run/user/7/bus", True), ("/run/user/7/systemd/private", False),
    ]  # fmt: skip
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    assert addresses(user=True) == []
    with pytest.raises(HostError, match="systemd of this user"):
        open_bus(user=True)


@pytest.mark.parametrize("user", [True, False])
def test_where_there_is_no_systemd_the_error_says_so(tmp_path, monkeypatch, user):
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=%s/none" % tmp_path)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=%s/none" % tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(bus, "_SYSTEM_PRIVATE", "%s/none" % tmp_path)
    assert not may_be_reached(user=user)
    with pytest.raises(HostError, match="cannot be reached") as caught:
        open_bus(user=user)
    assert "no such file or directory" in caught.value.cause
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(("text", "paths"), [
    ("", []), ("tcp:host=a", []), ("unix:path=/a%20b", ["/a b"]), ("unix:abstract=x,guid=1", ["\0x"]),
    ("unix:path=/a;unix:path=/b", ["/a", "/b"]), ("unix:path=/a%zz", ["/a%zz"]), ("unix:runtime=yes", []),
])  # fmt: skip
def test_addresses_are_read(text, paths):
    assert parse_address(text) == paths
