"""The statistics of the benchmark."""

import tomllib
from pathlib import Path

import pytest

from tests.bench import ratios
from tests.bench.configs import PROFILE, realistic_config, spec_config
from tests.bench.ratios import figures, median_ratio, missed
from tests.bench.runtimes import Sample
from tests.bench.scenarios import SCENARIOS, SHARE, Scenarios


def test_the_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_the_medians():
    """A slow hour in the middle: both runtimes take ten times as long, the ratio stays."""
    ours = [1.0, 1.1, 10.0, 11.0, 10.5]
    peer = [2.0, 2.2, 20.0, 22.0, 21.0]
    assert median_ratio(ours, peer) == pytest.approx(0.5)
    assert median_ratio([1, 9, 1], [2, 1, 2]) == pytest.approx(0.5), "one bad round does not move it"


def test_rounds_that_only_one_has_do_not_count():
    assert median_ratio([1.0, 5.0], [2.0]) == pytest.approx(0.5)
    assert median_ratio([1.0], []) is None
    assert median_ratio([], [1.0]) is None
    assert median_ratio([1.0], [0.0]) is None


def test_figures_are_milliseconds_with_the_ratios_beside_them():
    ours = [Sample(0.010, 0.004), Sample(0.030, 0.006), Sample(0.020, 0.005)]
    peer = [Sample(0.020, 0.010), Sample(0.030, 0.010), Sample(0.080, 0.010)]
    found = figures(ours, peer)
    assert (found.rounds, found.least_ms, found.median_ms, found.cpu_ms) == pytest.approx((3, 10, 20, 5))
    assert found.wall_ratio == pytest.approx(0.5)
    assert found.cpu_ratio == pytest.approx(0.5)


def test_the_peer_s_ratio_to_itself_is_one():
    samples = [Sample(0.010, 0.004), Sample(0.030, 0.006)]
    assert figures(samples, samples)[-2:] == (1.0, 1.0)


def test_the_budget_is_missed_by_what_is_above_it_and_by_what_was_not_measured():
    budget = {"run": 0.7, "create": 0.7, "start": 0.7, "delete": 0.7}
    found = {"run": 0.7, "create": 0.71, "start": None}
    lines = missed(budget, found)
    assert [line.partition(":")[0] for line in lines] == ["create", "start", "delete"]
    assert "0.71" in lines[0]
    assert "not measured" in lines[1]


def test_the_cpu_time_of_an_init_is_added_and_its_wall_time_is_not():
    assert Sample(1.0, 0.5).plus(0.25) == Sample(1.0, 0.75)


def test_the_committed_budget_names_rows_that_are_measured():
    budget = tomllib.loads((Path(ratios.__file__).parent / "budget.toml").read_text())
    assert budget["peer"] == "runc"
    assert set(budget["wall"]) == {"run", "realistic", "lifecycle", "realistic-lifecycle"}
    assert all(most <= 0.7 for most in budget["wall"].values())


def test_every_scenario_has_its_method():
    for name in SCENARIOS.keys() - {"memory", "floor-mem"}:
        assert hasattr(Scenarios, "_" + name.replace("-", "_")), name
    assert SHARE.keys() <= SCENARIOS.keys()


def test_the_configs_are_old_enough_for_old_peers_and_their_profile_is_there():
    assert spec_config(("x",))["ociVersion"] == "1.0.2"
    assert realistic_config(("x",), "/side", "/cg")["linux"]["seccomp"]["syscalls"]
    assert PROFILE.exists()
