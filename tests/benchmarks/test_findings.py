"""What a bench says of what it found: verdicts, tables and charts."""

from xml.etree import ElementTree

import pytest

from . import charts, report
from .measure import Finding, Section


def finding(runs, yardstick=(), **targets):
    return Finding(what="a save", unit="ms", runs=runs, yardstick=yardstick, **targets)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(finding([1]), None, id="without a target there is none"),
        pytest.param(finding([9, 2, 1], at_most=2), True, id="the median counts, not the slowest run"),
        pytest.param(finding([3], at_most=2), False, id="more than the most is missed"),
        pytest.param(finding([1], at_least=2), False, id="less than the least is missed"),
        pytest.param(finding([0], at_least=0, at_most=0), True, id="exactly none is met by none"),
        pytest.param(finding([1], at_least=2, at_most=2), False, id="exactly two is missed by one"),
        pytest.param(finding([22], [20], ratio_at_most=1.1), True, id="a ratio up to its bound is met"),
        pytest.param(finding([23], [20], ratio_at_most=1.1), False, id="a ratio beyond its bound is missed"),
        pytest.param(finding([17], [20], ratio_at_least=0.9), False, id="a ratio under its bound is missed"),
        pytest.param(
            finding([1, 200], [2, 100], ratio_at_least=1.25, ratio_at_most=1.25),
            True,
            id="the ratio is the median of those of each round",
        ),
        pytest.param(finding([26], [0], excess_at_most=24), False, id="more above the yardstick is missed"),
        pytest.param(finding([24], [0], excess_at_most=24), True, id="a yardstick of none has an excess"),
    ],
)
def test_the_verdict_on_a_target(found, expected):
    assert found.is_met is expected


def section():
    both = [
        Finding(what="save", unit="", runs=[1], beside={"peer": [2]}, at_least=1, at_most=1),
        Finding(what="view & range", unit="", runs=[1], at_most=0),
    ]
    return Section("requests to B2", both, measured="b2fields", chart="requests.svg")


def test_the_table_shows_figures_targets_and_verdicts():
    assert report.as_text(section()).splitlines() == [
        "requests to B2  b2fields  peer  target",
        "save            1         2     exactly 1  met",
        "view & range    1               <= 0       MISSED",
    ]


def test_the_markdown_table_shows_the_same_and_the_chart():
    assert report.as_markdown(section()).splitlines()[2:] == [
        "|  | b2fields | peer | target |  |",
        "| --- | --- | --- | --- | --- |",
        "| save | 1 | 2 | exactly 1 | met |",
        "| view & range | 1 |  | <= 0 | MISSED |",
        "",
        "![requests to B2](requests.svg)",
    ]


def test_the_chart_has_a_bar_for_each_figure():
    page = ElementTree.fromstring(charts.draw(section()))  # noqa: S314 - our own drawing
    marks = [mark.text for mark in page.iter("{http://www.w3.org/2000/svg}text")]
    assert marks == ["Requests to B2", "b2fields", "peer", "save", "1", "2", "view & range", "1"]
