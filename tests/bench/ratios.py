"""From samples to figures: medians of the ratios of each round, and the budget.

A machine that does other work makes both runtimes slower at the same time.  So each round measures all of them in
turn, and what is compared is the round, not the mean.
"""

import statistics
from typing import NamedTuple

from tests.bench.runtimes import Sample


class Figures(NamedTuple):
    """Of one row and runtime: rounds, wall and CPU in ms, and the ratios to the peer (None for want of samples)."""

    rounds: int
    least_ms: float
    median_ms: float
    cpu_ms: float
    wall_ratio: "float | None"
    cpu_ratio: "float | None"


def median_ratio(values: list[float], peer: list[float]) -> "float | None":
    """The median of value/peer over the rounds that both have; None when there is none."""
    pairs = [value / other for value, other in zip(values, peer, strict=False) if other > 0]
    return statistics.median(pairs) if pairs else None


def figures(samples: list[Sample], peer: list[Sample]) -> Figures:
    """`samples` must not be empty; round i of both lists was measured at the same time."""
    wall = [sample.wall for sample in samples]
    cpu = [sample.cpu for sample in samples]
    return Figures(
        len(samples),
        min(wall) * 1e3,
        statistics.median(wall) * 1e3,
        statistics.median(cpu) * 1e3,
        median_ratio(wall, [sample.wall for sample in peer]),
        median_ratio(cpu, [sample.cpu for sample in peer]),
    )


def missed(budget: dict[str, float], ratios: "dict[str, float | None]") -> list[str]:
    """One line for each row whose wall ratio is above the budget, or was not measured."""
    lines = []
    for row, most in budget.items():
        ratio = ratios.get(row)
        if ratio is None:
            lines.append("%s: not measured, may be %.2f of the peer's wall time" % (row, most))
        elif ratio > most:
            lines.append("%s: %.2f of the peer's wall time, may be %.2f" % (row, ratio, most))
    return lines
