"""What a bench found: runs in turns, medians, ratios and targets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the table; *runs*, those of the yardstick and those *beside* were taken in turns.

    Targets compare the median of the runs, the median of the ratios of each round, as a machine's mood
    changes between rounds, or what is more than the yardstick's median.
    """

    what: str
    unit: str
    runs: Sequence[float]
    yardstick: Sequence[float] = ()
    beside: Mapping[str, Sequence[float]] = field(default_factory=dict)
    at_least: float | None = None
    at_most: float | None = None
    ratio_at_least: float | None = None
    ratio_at_most: float | None = None
    excess_at_most: float | None = None

    @property
    def ratio(self) -> float | None:
        if not self.yardstick or not all(self.yardstick):
            return None
        return median([run / other for run, other in zip(self.runs, self.yardstick, strict=True)])

    @property
    def is_met(self) -> bool | None:
        """Tell whether the targets are met, or return None if there is none."""
        verdicts = [held for held, _ in self._targets()]
        return all(verdicts) if verdicts else None

    @property
    def target(self) -> str:
        if self.at_least is not None and self.at_least == self.at_most:
            return f"exactly {self.at_least:,g} {self.unit}".rstrip()
        return ", ".join(text.rstrip() for _, text in self._targets())

    def _targets(self) -> Iterator[tuple[bool, str]]:
        value = median(self.runs)
        if self.at_least is not None:
            yield value >= self.at_least, f">= {self.at_least:,g} {self.unit}"
        if self.at_most is not None:
            yield value <= self.at_most, f"<= {self.at_most:,g} {self.unit}"
        if self.ratio_at_least is not None and self.ratio is not None:
            yield self.ratio >= self.ratio_at_least, f"ratio >= {self.ratio_at_least:g}"
        if self.ratio_at_most is not None and self.ratio is not None:
            yield self.ratio <= self.ratio_at_most, f"ratio <= {self.ratio_at_most:g}"
        if self.excess_at_most is not None:
            excess = value - median(self.yardstick)
            yield excess <= self.excess_at_most, f"<= {self.excess_at_most:g} {self.unit} more"


class Section(NamedTuple):
    """Findings that were measured together, what was measured, and what the yardstick of them is.

    With *chart* they are drawn too, into a file of that name.
    """

    title: str
    findings: list[Finding]
    yardstick: str = ""
    measured: str = ""
    chart: str = ""


def in_turns(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Run A B C A B C ... and return the runs of each, so that no one has the quiet minutes for itself."""
    taken = [[measure() for measure in measures] for _ in range(rounds)]
    return [list(runs) for runs in zip(*taken, strict=True)]
