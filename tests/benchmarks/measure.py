"""What a bench found: runs in turns, medians, ratios, targets, and the table that shows them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

COLUMNS = "{:<40} {:>11} {:<17} {:>11} {:<17} {:>5}  {:<13} {}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the table; *runs* and those of the yardstick were taken in turns, so they pair up."""

    what: str
    unit: str
    runs: Sequence[float]
    yardstick: Sequence[float] = ()
    at_least: float | None = None
    at_most: float | None = None
    ratio_at_least: float | None = None

    @property
    def ratio(self) -> float | None:
        """Return the median of the ratios of each round, as a machine's mood changes between rounds."""
        pairs = zip(self.runs, self.yardstick, strict=bool(self.yardstick))
        return median([run / other for run, other in pairs]) if self.yardstick else None

    @property
    def is_met(self) -> bool | None:
        """Tell whether the target is met, or return None if there is none."""
        value = median(self.runs)
        if self.at_least is not None:
            return value >= self.at_least
        if self.at_most is not None:
            return value <= self.at_most
        if self.ratio_at_least is not None and self.ratio is not None:
            return self.ratio >= self.ratio_at_least
        return None

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:,g} {self.unit}"
        if self.at_most is not None:
            return f"<= {self.at_most:,g} {self.unit}"
        return f"ratio >= {self.ratio_at_least:g}" if self.ratio_at_least is not None else ""

    def __str__(self) -> str:
        verdict = {None: "", True: "met", False: "MISSED"}[self.is_met]
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        figures = [*_figures(self.runs, self.unit), *_figures(self.yardstick, self.unit)]
        return COLUMNS.format(f"  {self.what}", *figures, ratio, self.target, verdict).rstrip()


class Section(NamedTuple):
    """Findings that were measured together, and what the yardstick of them is."""

    title: str
    findings: list[Finding]
    yardstick: str = ""

    def heading(self, measured: str) -> str:
        return COLUMNS.format(
            self.title, measured, "", self.yardstick, "", "ratio" if self.yardstick else "", "target", ""
        ).rstrip()


def in_turns(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Run A B C A B C ... and return the runs of each, so that no one has the quiet minutes for itself."""
    taken = [[measure() for measure in measures] for _ in range(rounds)]
    return [list(runs) for runs in zip(*taken, strict=True)]


def _figures(runs: Sequence[float], unit: str) -> tuple[str, str]:
    if not runs:
        return "", ""
    spread = f"{min(runs):,.0f} - {max(runs):,.0f}" if len(runs) > 1 else ""
    return f"{median(runs):,.0f} {unit}", spread
