"""What is planned for a unit, what goes to systemd, and what into the record."""

import json
import os

import pytest

from pyoci.cgroup.driver import Cgroup
from pyoci.cgroup.layout import NO_CGROUPS, Hierarchy, Layout
from pyoci.errors import ConfigError, HostError, OperationError
from pyoci.systemd import bus
from pyoci.systemd.cgroup import UnitCgroup

from .fake import SYSTEMD, FakeSystemd

UNIFIED = Layout("unified", [], Hierarchy((), "/sys/fs/cgroup", "/a/b", unified=True), ("memory", "pids", "cpu"))
HYBRID = Layout(
    "hybrid",
    [Hierarchy(("devices",), "/cg/devices"), Hierarchy(("name=systemd",), "/cg/systemd")],
    Hierarchy((), "/cg/unified", unified=True),
)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """fake(options) -> FakeSystemd at the place of both buses."""
    made = []
    monkeypatch.setattr(bus, "_SYSTEM_PRIVATE", str(tmp_path / "none"))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=%s/bus" % tmp_path)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=%s/bus" % tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    def make(**options):
        made.append(FakeSystemd(str(tmp_path / "bus"), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def planned(layout=UNIFIED, path="a-b.slice:p:n", resources=None, annotations=None, **more):
    return Cgroup.for_container(layout, path, "id", resources, manager="systemd", annotations=annotations, **more)


def below(tmp_path):
    """A version 2 tree of plain files, with the unit's directory as systemd would make it."""
    path = tmp_path / "system.slice" / "p-n.scope"
    path.mkdir(parents=True)
    (path / "cgroup.type").write_text("domain\n")
    for name in ("cgroup.procs", "pids.max"):
        (path / name).write_text("")
    return Layout("unified", [], Hierarchy((), str(tmp_path), unified=True), ("pids",))


def test_the_directories_are_the_units_in_every_hierarchy():
    assert [x.path for x in planned().directories] == ["/sys/fs/cgroup/a.slice/a-b.slice/p-n.scope"]
    assert [x.path for x in planned(HYBRID, ":p:n").directories] == [
        "/cg/devices/system.slice/p-n.scope", "/cg/systemd/system.slice/p-n.scope",
        "/cg/unified/system.slice/p-n.scope",
    ]  # fmt: skip
    assert planned(path=None).unit == "pyoci-id.scope"


def test_planning_as_root_asks_nobody(monkeypatch):
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
    assert planned().steps() == [("systemd starts unit p-n.scope in a-b.slice", ".linux.cgroupsPath")]


def test_a_users_units_lie_below_his_service_manager(fake):
    fake(group="/user.slice/user-7.slice/user@7.service")
    cgroup = planned(path=":p:n", in_user_namespace=True)
    (directory,) = cgroup.directories
    assert directory.path == "/sys/fs/cgroup/user.slice/user-7.slice/user@7.service/user.slice/p-n.scope"
    assert cgroup.limits == []
    assert cgroup.to_record()["user"] is True


def test_a_user_needs_version_2(fake):
    with pytest.raises(HostError, match="needs cgroup v2"):
        planned(HYBRID, in_user_namespace=True)


def test_without_cgroups_there_are_no_units():
    with pytest.raises(HostError, match="needs systemd"):
        planned(NO_CGROUPS)


def test_a_record_survives_json_and_gives_the_same_unit():
    cgroup = planned(HYBRID)
    record = json.loads(json.dumps(cgroup.to_record()))
    again = Cgroup.from_record(record)
    assert isinstance(again, UnitCgroup)
    assert again.to_record() == cgroup.to_record()
    assert again.unit == "p-n.scope"


def test_a_quota_is_rounded_for_files_as_systemd_does_it():
    cgroup = planned(resources={"cpu": {"quota": 33333}})
    assert [limit.describe() for limit in cgroup.limits if limit.controller == "cpu"] == ["cpu.max = 34000"]


def test_the_unit_is_made_around_the_process_with_all_its_limits(fake, tmp_path):
    systemd = fake()
    layout = below(tmp_path / "cg")
    resources = {"pids": {"limit": 5}}
    annotations = {"org.systemd.property.TimeoutStopSec": "3", "org.systemd.property.DefaultDependencies": "true"}
    cgroup = planned(layout, ":p:n", resources, annotations)
    cgroup.create()
    assert systemd.calls == []
    assert cgroup.clone_fd() == -1
    assert not cgroup.created
    assert cgroup.adopt(77)
    assert cgroup.created
    unit, mode, properties, _ = systemd.calls[-1][1]
    assert (unit, mode) == ("p-n.scope", "replace")
    on = ("b", True)
    assert properties == [
        ("Description", ("s", "pyoci container p-n.scope")),
        ("Slice", ("s", "system.slice")),
        ("Delegate", on),
        ("PIDs", ("au", [77])),
        ("CollectMode", ("s", "inactive-or-failed")),
        ("MemoryAccounting", on),
        ("CPUAccounting", on),
        ("IOAccounting", on),
        ("TasksAccounting", on),
        ("DefaultDependencies", ("b", False)),
        ("TasksMax", ("t", 5)),
        ("TimeoutStopUSec", ("t", 3000000)),
        ("DefaultDependencies", on),
    ]


def test_a_unit_named_as_a_slice_is_one_and_init_is_moved_by_us(fake, tmp_path):
    systemd = fake()
    layout = below(tmp_path / "cg")
    os.rename(tmp_path / "cg/system.slice/p-n.scope", tmp_path / "cg/system.slice/pod.slice")
    cgroup = planned(layout, ":x:pod.slice")
    cgroup.adopt(77)
    properties = dict(systemd.calls[-1][1][2])
    assert properties["Wants"] == ("as", ["system.slice"])
    assert not {"Slice", "PIDs", "Delegate"} & properties.keys()
    assert (tmp_path / "cg/system.slice/pod.slice/cgroup.procs").read_text() == "77"


def test_somebody_elses_unit_is_an_error_and_stays(fake, tmp_path):
    systemd = fake(errors={"StartTransientUnit": [SYSTEMD + "UnitExists"] * 2})
    layout = below(tmp_path / "cg")
    cgroup = planned(layout, ":p:n")
    with pytest.raises(OperationError, match="UnitExists"):
        cgroup.adopt(77)
    before = len(systemd.calls)
    Cgroup.from_record(json.loads(json.dumps(cgroup.to_record()))).remove()
    cgroup.remove()
    assert len(systemd.calls) == before
    assert (tmp_path / "cg/system.slice/p-n.scope").is_dir()


def test_a_place_in_use_is_refused_before_anything_is_made(fake, tmp_path):
    systemd = fake()
    layout = below(tmp_path / "cg")
    (tmp_path / "cg/system.slice/p-n.scope/cgroup.procs").write_text("1\n")
    cgroup = planned(layout, ":p:n")
    with pytest.raises(OperationError, match="not empty: 1 process"):
        cgroup.create()
    cgroup.remove()
    assert systemd.calls == []


def test_a_property_that_systemd_refuses_is_named_by_its_annotation(fake, tmp_path):
    fake(errors={"StartTransientUnit": ["org.x.UnknownProperty FooBar, or"]})
    cgroup = planned(below(tmp_path / "cg"), ":p:n", None, {"org.systemd.property.FooBar": "1"})
    with pytest.raises(OperationError) as caught:
        cgroup.adopt(77)
    assert caught.value.where == '.annotations["org.systemd.property.FooBar"]'


def test_a_value_of_the_wrong_type_is_blamed_on_the_annotations(fake, tmp_path):
    fake(errors={"StartTransientUnit": ["System.Error.Failed to set unit properties: Unexpected message contents"]})
    cgroup = planned(below(tmp_path / "cg"), ":p:n", None, {"org.systemd.property.KillSignal": "'x'"})
    with pytest.raises(OperationError) as caught:
        cgroup.adopt(77)
    assert caught.value.where == ".annotations"


def test_a_bad_annotation_is_refused_when_planned():
    with pytest.raises(ConfigError, match="names no property"):
        planned(annotations={"org.systemd.property.X": "1"})


@pytest.mark.parametrize("made", [False, True])
def test_a_unit_with_processes_is_not_stopped(fake, tmp_path, monkeypatch, made):
    """Stopping kills: the record of a create that was killed, or an old one, may name the unit of somebody else."""
    monkeypatch.setattr("pyoci.systemd.cgroup._PATIENCE_S", 0.1)
    systemd = fake()
    layout = below(tmp_path / "cg")
    (tmp_path / "cg/system.slice/p-n.scope/cgroup.procs").write_text("1\n")
    cgroup = planned(layout, ":p:n")
    cgroup.created = made
    if made:
        with pytest.raises(OperationError, match="unable to remove container's cgroup") as caught:
            cgroup.remove()
        assert "holds process 1" in caught.value.cause
    else:
        cgroup.remove()
    assert systemd.calls == []


@pytest.mark.parametrize("made", [False, True])
def test_an_empty_unit_is_stopped(fake, tmp_path, made):
    systemd = fake()
    cgroup = planned(below(tmp_path / "cg"), ":gone:n")
    cgroup.created = made
    cgroup.remove()
    assert systemd.members()[-2:] == ["StopUnit", "ResetFailedUnit"]


def test_without_a_bus_the_directories_go_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(bus, "_SYSTEM_PRIVATE", str(tmp_path / "none"))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=%s/bus" % tmp_path)
    place = tmp_path / "cg" / "system.slice" / "p-n.scope"
    place.mkdir(parents=True)
    cgroup = planned(Layout("unified", [], Hierarchy((), str(tmp_path / "cg"), unified=True), ()), ":p:n")
    cgroup.created = True
    cgroup.remove()
    assert not place.exists()


def test_an_update_that_systemd_refuses_is_taken_back(fake, tmp_path):
    systemd = fake(errors={"SetUnitProperties": ["x.No"]})
    layout = below(tmp_path / "cg")
    file = tmp_path / "cg/system.slice/p-n.scope/pids.max"
    file.write_text("9")
    (file.parent / "cgroup.controllers").write_text("pids\n")
    cgroup = planned(layout, ":p:n")
    with pytest.raises(OperationError, match="unable to set properties"):
        cgroup.update({"pids": {"limit": 5}})
    assert file.read_text() == "9"
    cgroup.update({"pids": {"limit": 5}})
    assert file.read_text() == "5"
    assert systemd.calls[-1] == ("SetUnitProperties", ["p-n.scope", True, [("TasksMax", ("t", 5))]])


def test_version_1_is_told_the_device_rules(fake, tmp_path, monkeypatch):
    systemd = fake()
    hierarchy = Hierarchy(("devices",), str(tmp_path / "devices"))
    layout = Layout("legacy", [hierarchy], None)
    os.mkdir(tmp_path / "devices")
    cgroup = planned(layout, ":p:n", {"devices": [{"allow": False, "access": "rwm"}]})
    cgroup.adopt(77)
    properties = dict(systemd.calls[-1][1][2])
    assert properties["DevicePolicy"] == ("s", "strict")
    assert "BlockIOAccounting" in properties
    assert (tmp_path / "devices/system.slice/p-n.scope").is_dir()
