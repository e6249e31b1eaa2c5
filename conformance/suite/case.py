"""The register of cases, and the two ways in which one ends early."""

from collections.abc import Callable

_slowness = [1.0]


def be_patient(factor: float) -> None:
    """Multiply every time limit: --slowness."""
    _slowness[0] = factor


def patience(seconds: float) -> float:
    """Return a time limit as it is on this machine."""
    return seconds * _slowness[0]


class Failed(Exception):
    """The runtime does not do what the cited sentence asks."""


class Skipped(Exception):
    """The case says nothing here, for the reason given (kernel, host or an optional operation)."""


class Case:
    """One case: `section/claim`, the sentence of the specification, requirement numbers, level, function."""

    def __init__(self, name: str, cite: str, requirements: tuple[str, ...], level: str, function: Callable) -> None:
        self.name, self.cite, self.requirements, self.level, self.function = (
            name,
            cite,
            requirements,
            level,
            function,
        )


CASES: dict[str, Case] = {}


def case(name: str, cite: str, *requirements: str, level: str = "MUST") -> Callable:
    """Register the function below as a case. level: MUST, SHOULD, MAY or common (what callers expect)."""

    def register(function: Callable) -> Callable:
        if name in CASES:
            raise ValueError(f"two cases are called {name}")
        CASES[name] = Case(name, cite, requirements, level, function)
        return function

    return register
