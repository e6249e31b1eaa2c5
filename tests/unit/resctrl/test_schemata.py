import pytest

from pyoci.resctrl.schemata import differs, values

KERNEL = "    L3:0=007ff;1=0f0\n    MB:0= 100;1=  30\nL2:0=f\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("L3:0=7f0;1=1F", ("L3", {"0": 0x7F0, "1": 0x1F})),
        ("   L3CODE: 0 = f ; ", ("L3CODE", {"0": 15})),
        ("MB:0=20;1= 70", ("MB", {"0": 20, "1": 70})),
        ("SMBA:0=20", ("SMBA", {"0": 20})),
        ("MB:", ("MB", {})),
        ("L3", None),
        ("L3:0", None),
        ("L3:0=", None),
        ("L3:0=xyz", None),
        ("MB:0=f", None),
        ("", None),
    ],
)
def test_a_line_is_a_resource_and_a_value_for_each_domain(line, expected):
    assert values(line) == expected


@pytest.mark.parametrize(
    ("wanted", "difference"),
    [
        ("L3:0=7ff;1=f0", ""),
        ("L3:1=00f0", ""),
        ("L3:", ""),
        ("MB:0=100", ""),
        ("MB:1=30", ""),
        ("MB:1=21", ""),  # rounded up by the kernel
        ("MB:1=20", "it has MB:0= 100;1=  30"),
        ("MB:1=31", "it has MB:0= 100;1=  30"),
        ("L3:0=7fe", "it has L3:0=007ff;1=0f0"),
        ("L3:1=ef", "it has L3:0=007ff;1=0f0"),  # bit masks are not rounded
        ("L3:2=f0", "it has L3:0=007ff;1=0f0"),
        ("L3DATA:0=f", "it has no line L3DATA:"),
        ("something else", "it has no such line"),
    ],
)
def test_a_wanted_line_is_compared_by_value_with_what_the_kernel_shows(wanted, difference):
    assert differs(wanted, KERNEL, step=10) == difference


def test_without_a_step_nothing_is_rounded():
    assert differs("MB:1=21", KERNEL) != ""
    assert differs("MB:1=30", KERNEL) == ""
