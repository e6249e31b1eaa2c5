"""Golden plans: tests/golden/NAME/plan.txt is what `pyoci plan` says to config.json on the host of facts.json.

After an intended change write them anew, and read the diff before committing it:

    PYOCI_GOLDEN=write python -m pytest tests/unit/test_golden_plans.py

facts.json: about (what the case is for); mountinfo, cgroup (lines of /proc/self/mountinfo and /proc/self/cgroup),
controllers (cgroup v2's cgroup.controllers); capabilities (hex mask), kcore; id, bundle, rootfs; optional
no_pivot, keyring (the options --no-pivot and not --no-new-keyring).
"""

import json
import os
from pathlib import Path

import pytest

from pyoci.cgroup.driver import Cgroup
from pyoci.cgroup.layout import parse_layout
from pyoci.config.load import load_config_text
from pyoci.default_spec import make_default_spec
from pyoci.plan.facts import Facts
from pyoci.plan.make import make_plan
from pyoci.plan.render import LAST_LINE, render

GOLDEN = Path(__file__).parent.parent / "golden"
NAMES = sorted(path.name for path in GOLDEN.iterdir())
WRITE = os.environ.get("PYOCI_GOLDEN") == "write"


def rendered(name: str) -> str:
    """The plan of one case, and what the user would be warned of."""
    config = load_config_text((GOLDEN / name / "config.json").read_bytes())
    host = json.loads((GOLDEN / name / "facts.json").read_text())
    layout = parse_layout("\n".join(host["mountinfo"]), "\n".join(host["cgroup"]))
    layout.controllers = tuple(host["controllers"])
    linux = config.get("linux", {})
    cgroup = Cgroup.for_container(layout, linux.get("cgroupsPath"), host["id"], linux.get("resources"))
    plan = make_plan(
        config,
        Facts(layout, int(host["capabilities"], 16), kcore=host["kcore"]),
        cgroup,
        container_id=host["id"],
        bundle=host["bundle"],
        rootfs=host["rootfs"],
        no_pivot=host.get("no_pivot", False),
        keyring=host.get("keyring", True),
    )
    warnings = "".join("warning: %s\n" % text for text in plan.warnings + cgroup.warnings)
    directories = "".join("cgroup %s\n" % directory.path for directory in cgroup.directories)
    joined = "init joins its cgroup after step %d of rootfs\n" % plan.join_index
    return directories + joined + warnings + render(plan)


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_is_the_golden_one(name: str) -> None:
    path = GOLDEN / name / "plan.txt"
    text = rendered(name)
    if WRITE:
        path.write_text(text)
    assert text == path.read_text(), "an intended change? then see the head of this file"


@pytest.mark.parametrize("name", NAMES)
def test_every_case_says_what_it_is_for_and_every_line_where_it_comes_from(name: str) -> None:
    assert json.loads((GOLDEN / name / "facts.json").read_text())["about"]
    steps = [line for line in rendered(name).splitlines() if line.startswith("  ")]
    assert len(steps) > 5
    for line in steps:
        _, mark, place = line.rpartition(" # ")
        assert mark
        assert place.startswith((".", "default:", "--")), line


def test_all_cases_together_end_with_the_promise_that_a_plan_makes() -> None:
    assert len(NAMES) >= 14
    for name in NAMES:
        assert rendered(name).endswith("\n\n" + LAST_LINE + "\n")


@pytest.mark.parametrize(("name", "unified"), [("default-hybrid", False), ("default-unified", True)])
def test_the_default_cases_are_what_pyoci_spec_writes(name: str, unified: bool) -> None:
    text = (GOLDEN / name / "config.json").read_text()
    assert json.loads(text) == make_default_spec(unified_cgroups=unified)


def test_nothing_of_this_machine_gets_into_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another working directory, other environment, no /proc to look at: the same plan."""
    before = {name: rendered(name) for name in NAMES}
    monkeypatch.chdir("/")
    for variable in ("PATH", "HOME", "LISTEN_FDS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "stat", _refuse)
    monkeypatch.setattr(os, "readlink", _refuse)
    for name, text in before.items():
        assert rendered(name) == text


def _refuse(*arguments: object, **options: object) -> None:
    raise AssertionError("the plan looked at %r" % (arguments,))
