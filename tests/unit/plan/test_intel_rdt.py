import pytest

from pyoci.plan.intel_rdt import make_intel_rdt

AT = ".linux.intelRdt"


def test_no_object_no_class_and_an_empty_one_a_class_of_its_own():
    assert make_intel_rdt({}, "web1") is None
    plan = make_intel_rdt({"intelRdt": {}}, "web1")
    assert (plan.name, plan.lines, plan.monitor, plan.must_exist) == ("web1", [], "", False)


def test_lines_are_written_in_the_order_of_the_specification_with_their_places():
    given = {"schemata": ["L2:0=f", "", "MB:0=10"], "memBwSchema": "MB:0=20", "l3CacheSchema": "L3:0=f"}
    plan = make_intel_rdt({"intelRdt": given}, "web1")
    assert plan.lines == [
        (AT + ".l3CacheSchema", "L3:0=f"),
        (AT + ".memBwSchema", "MB:0=20"),
        (AT + ".schemata[0]", "L2:0=f"),
        (AT + ".schemata[2]", "MB:0=10"),
    ]


@pytest.mark.parametrize(
    ("given", "name", "must_exist"),
    [
        ({"closID": "gold"}, "gold", True),
        ({"closID": "gold", "enableMonitoring": True}, "gold", True),
        ({"closID": "gold", "schemata": ["L3:0=f"]}, "gold", False),
        ({"closID": "gold", "schemata": []}, "gold", True),
        ({"closID": "/"}, "", True),
        ({"schemata": ["L3:0=f"]}, "web1", False),
    ],
)
def test_only_a_named_class_without_lines_has_to_be_there(given, name, must_exist):
    plan = make_intel_rdt({"intelRdt": given}, "web1")
    assert (plan.name, plan.must_exist) == (name, must_exist)


def test_a_monitoring_group_has_the_containers_name():
    assert make_intel_rdt({"intelRdt": {"closID": "gold", "enableMonitoring": True}}, "web1").monitor == "web1"
    assert make_intel_rdt({"intelRdt": {"closID": "gold", "enableMonitoring": False}}, "web1").monitor == ""
