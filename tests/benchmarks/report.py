"""The tables that show what a bench found: for a terminal, and in Markdown."""

from collections.abc import Sequence
from statistics import median

from .measure import Finding, Section

VERDICTS = {None: "", True: "met", False: "MISSED"}


def as_text(section: Section) -> str:
    rows = _rows(section)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_markdown(section: Section) -> str:
    (title, *heads), *rows = _rows(section)
    lines = [["", *heads], ["---"] * (len(heads) + 1), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    drawn = f"\n\n![{title}]({section.chart})" if section.chart else ""
    return f"## {title[0].upper()}{title[1:]}\n\n{table}{drawn}\n"


def _rows(section: Section) -> list[list[str]]:
    """Return the cells, heads first, without the columns in which nothing stands."""
    beside = list(dict.fromkeys(name for finding in section.findings for name in finding.beside))
    ratio = "ratio" if section.yardstick else ""
    heads = [section.title, section.measured, section.yardstick, ratio, *beside, "target", ""]
    rows = [heads, *(_cells(finding, beside) for finding in section.findings)]
    filled = [any(column) for column in zip(*rows[1:], strict=True)]
    return [[cell for cell, is_filled in zip(row, filled, strict=True) if is_filled] for row in rows]


def _cells(finding: Finding, beside: list[str]) -> list[str]:
    return [
        finding.what,
        _figures(finding.runs, finding.unit),
        _figures(finding.yardstick, finding.unit),
        "" if finding.ratio is None else f"{finding.ratio:.2f}",
        *(_figures(finding.beside.get(name, ()), finding.unit) for name in beside),
        finding.target,
        VERDICTS[finding.is_met],
    ]


def _figures(runs: Sequence[float], unit: str) -> str:
    """Return the median, then the least and the greatest if they differ."""
    if not runs:
        return ""
    low, middle, high = map(figure, (min(runs), median(runs), max(runs)))
    spread = f" ({low} - {high})" if low != high else ""
    return f"{middle} {unit}".rstrip() + spread


def figure(value: float) -> str:
    """Return two or three digits of a number, or all before its point."""
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2g}"
