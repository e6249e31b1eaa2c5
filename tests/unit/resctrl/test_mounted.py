import inspect

import pytest

from pyoci.resctrl import mounted

OTHER = "25 1 0:22 / /sys rw,nosuid - sysfs sysfs rw\n"


@pytest.mark.parametrize(
    ("mountinfo", "path", "in_mbps"),
    [
        ("", None, False),
        (OTHER, None, False),
        ("26 25 0:23 / /sys/fs/resctrl rw,relatime shared:9 - resctrl resctrl rw\n", "/sys/fs/resctrl", False),
        ("26 25 0:23 / /mnt/a\\040b rw - resctrl none rw,cdp,mba_MBps\n", "/mnt/a b", True),
        ("26 25 0:23 /gold /mnt/part rw - resctrl none rw\n", None, False),
        ("26 25 0:23 / /mnt/resctrl rw - tmpfs resctrl rw\n", None, False),
        ("26 25 0:23 / /a rw - resctrl none rw\n27 25 0:23 / /b rw - resctrl none rw\n", "/a", False),
    ],
)
def test_the_mount_of_the_whole_of_resctrl_is_found(mountinfo, path, in_mbps):
    found = mounted.parse(OTHER + mountinfo)
    assert (found and found.path) == path
    assert found is None or found.in_mbps == in_mbps


def test_nobody_can_say_where_resctrl_is_but_the_kernel(monkeypatch):
    """No argument, no variable: what mountinfo says here is the answer."""
    assert not inspect.signature(mounted.find).parameters
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        expected = mounted.parse(file.read())
    for name in ("RESCTRL", "PYOCI_RESCTRL", "RESCTRL_ROOT"):
        monkeypatch.setenv(name, "/tmp")
    found = mounted.find()
    assert (found and found.path) == (expected and expected.path)
