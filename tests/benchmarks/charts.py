"""A chart of what a bench found, as SVG that follows the reader's light or dark scheme."""

from collections.abc import Iterator
from itertools import chain
from statistics import median
from xml.sax.saxutils import escape

from .measure import Finding, Section
from .report import figure

NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
WIDTH = 800
LEFT = 260  # where bars begin
LONGEST = WIDTH - LEFT - 90
TOP = 76
BAR = 11
GAP = 15
# Told apart by colour-blind readers too (Okabe and Ito); what is measured stands out.
COLOURS = ("#0072b2", "#8c959f", "#e69f00", "#cc79a7")
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .value { font-size: 11px }
  .paper { fill: #ffffff }
  .axis { stroke: #8c959f }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .paper { fill: #0d1117 } }
"""


def draw(section: Section) -> str:
    """Draw a group of bars for each finding; those of the same unit share a scale."""
    runs = [
        {section.measured: finding.runs, section.yardstick: finding.yardstick, **finding.beside}
        for finding in section.findings
    ]
    # Not of what cannot do it, nor of a yardstick that there is not.
    groups = [{name: median(each) for name, each in by_name.items() if each} for by_name in runs]
    names = [name for name in dict.fromkeys(chain(*runs)) if any(name in group for group in groups)]
    colours = dict(zip(names, COLOURS, strict=False))
    greatest: dict[str, float] = {}
    for finding, group in zip(section.findings, groups, strict=True):
        greatest[finding.unit] = max(greatest.get(finding.unit, 1), *group.values())
    title = section.title[0].upper() + section.title[1:]
    marks = [
        f'<text class="title" x="16" y="28">{escape(title)}</text>',
        *_legend(colours),
    ]
    y = TOP
    for finding, group in zip(section.findings, groups, strict=True):
        marks += _group(finding, group, colours, LONGEST / greatest[finding.unit], y)
        y += len(group) * BAR + GAP
    marks.append(f'<line class="axis" x1="{LEFT}" x2="{LEFT}" y1="{TOP - 6}" y2="{y - GAP + 6}"/>')
    return "\n".join(
        [
            f'<svg {NAMESPACE} width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">',
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{y}" rx="6"/>',
            *marks,
            "</svg>\n",
        ]
    )


def _legend(colours: dict[str, str]) -> Iterator[str]:
    x = 16.0
    for name, colour in colours.items():
        yield f'<rect x="{x:.0f}" y="42" width="12" height="12" rx="2" fill="{colour}"/>'
        yield f'<text x="{x + 18:.0f}" y="53">{escape(name)}</text>'
        x += 50 + 7.2 * len(name)


def _group(
    finding: Finding, group: dict[str, float], colours: dict[str, str], scale: float, y: float
) -> Iterator[str]:
    label = f"{finding.what}, {finding.unit}" if finding.unit else finding.what
    middle = y + len(group) * BAR / 2 + 4
    yield f'<text x="{LEFT - 12}" y="{middle:.0f}" text-anchor="end">{escape(label)}</text>'
    for name, value in group.items():
        length = value * scale
        yield f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 2}" fill="{colours[name]}"/>'
        yield f'<text class="value" x="{LEFT + length + 5:.1f}" y="{y + 9}">{figure(value)}</text>'
        y += BAR
