"""Axes, labels, ROC curves and the trade-off plot."""

import dataclasses
import math
import re
from itertools import pairwise

import pytest

from tests.report.evidence_case import make_audit, make_bank_audit, make_evidence
from tfunlearn.report.evidence_page.margins import _round_values
from tfunlearn.report.evidence_page.roc import roc_chart
from tfunlearn.report.labels import apart
from tfunlearn.report.log_axis import LogAxis
from tfunlearn.report.tradeoff import tradeoff


def test_a_log_axis_is_linear_in_the_powers():
    axis = LogAxis(1e-3, 1.0, 30, 0)
    assert [axis.at(value) for value in (1e-3, 1e-2, 1.0)] == pytest.approx([30, 20, 0])
    assert axis.at(0) == axis.at(-1.0) == axis.at(1e-9) == 30
    assert axis.powers() == pytest.approx([1e-3, 1e-2, 0.1, 1.0])
    around = LogAxis.around([0.08, 3.0], 0, 1)
    assert 0 < around.at(0.08) < around.at(3.0) < 1
    assert around.round_values() == [0.1, 0.2, 0.5, 1.0, 2.0]


def test_labels_keep_apart_and_inside():
    places = apart([5, 6, 7, 90, 99], 10, 100)
    assert all(b - a >= 10 for a, b in pairwise(places))
    assert places[0] == 5
    assert places[-1] == 90


@pytest.mark.parametrize(("low", "high"), [(-3.3, 17.2), (-0.02, 0.03), (4.1, 5.9), (-900, 1200)])
def test_margin_ticks_are_few_round_and_inside(low, high):
    values = _round_values(low, high)
    assert 2 <= len(values) <= 7
    assert low <= values[0] < values[-1] <= high
    assert all(len(f"{abs(value):g}".replace(".", "").strip("0")) <= 2 for value in values)


def points(path):
    """Returns the corners of a path of horizontal and vertical steps."""
    x, y = (float(text) for text in re.match(r"M([\d.]+) ([\d.]+)", path).groups())
    found = [(x, y)]
    for kind, text in re.findall(r"([HV])([\d.]+)", path):
        x, y = (float(text), y) if kind == "H" else (x, float(text))
        found.append((x, y))
    return found


def test_a_roc_curve_never_shows_more_than_was_measured():
    fpr, tpr = (0.0, 0.0, 0.01, 0.1, 1.0), (0.0, 0.001, 0.02, 0.5, 1.0)
    svg = roc_chart([(0, fpr, tpr)], 100, "curve")
    corners = points(re.search(r'class="roc s0" d="([^"]*)"', svg)[1])
    across, up = LogAxis(1e-4, 1, 60, 334), LogAxis(1e-4, 1, 262, 8)
    assert corners[0] == pytest.approx((60, up.at(0.001)), abs=0.06)
    assert corners[-1] == pytest.approx((334, 8), abs=0.06)
    for before, f, t in ((0.001, 0.01, 0.02), (0.02, 0.1, 0.5)):
        for height in (before, t):
            assert any(math.hypot(x - across.at(f), y - up.at(height)) < 0.1 for x, y in corners), (
                f,
                height,
            )
    shaded = float(re.search(r'class="unseen" x="60" y="8" width="([\d.]+)"', svg)[1])
    assert shaded == pytest.approx(across.at(0.01) - 60, abs=0.06)
    chance = re.search(r'class="chance" d="M60 262L334 8"', svg)
    assert chance is not None


def test_a_roc_chart_without_curves_is_none():
    assert roc_chart([], 100, "none") == ""
    assert roc_chart([(0, (), ())], 100, "none") == ""


def test_rates_below_the_axis_stay_on_it():
    svg = roc_chart([(7, (0.0, 1e-6, 1.0), (0.0, 1e-5, 1.0))], 10_000_000, "low")
    assert "nan" not in svg
    assert 'class="unseen" x="60" y="8" width="0.0"' in svg
    corners = points(re.search(r'class="roc s1" d="([^"]*)"', svg)[1])
    assert all(60 <= x <= 334 and 8 <= y <= 262 for x, y in corners)


def test_the_figure_shows_every_place_with_its_interval(tmp_path):
    audit = make_audit()
    figure = audit.plot(tmp_path / "audit.png")
    panels = {axes.get_title(): axes for axes in figure.subfigs[2].axes}
    for name, own in audit.evidence.items():
        shown = [one for one in own.figures if one.percentile is not None]
        axes = panels[name]
        assert [text.get_text() for text in axes.get_yticklabels()] == [o.label for o in shown]
        assert list(axes.lines[0].get_xdata()) == [one.percentile for one in shown]
        segments = axes.collections[0].get_segments()
        assert [(a[0], b[0]) for a, b in segments] == [
            (pytest.approx(one.low), pytest.approx(one.high)) for one in shown
        ]


def test_a_figure_without_evidence_has_no_places(report):
    assert len(report.plot().subfigs) == 2
    own = make_evidence(0)
    bare = dataclasses.replace(own, figures=own.figures[-1:])
    assert len(make_audit({"finetune": bare}).plot().subfigs) == 2
    assert make_bank_audit(reference_values={}, reference_seeds=()).plot() is not None


def test_the_tradeoff_has_a_numbered_dot_per_unlearned_model():
    report = make_audit(names=("original", "slow", "fast"))
    markup = tradeoff(report)
    assert len(re.findall("<circle", markup)) == 2
    names = re.findall(r"<li>(.*?)<span>(.*?)</span>", markup)
    gap = f"{report.average_gap('slow'):.3f}"
    assert names == [("slow", f"gap {gap}, 2.5 s"), ("fast", f"gap {gap}, 2.5 s")]
    assert "retraining" in markup
    assert "doing nothing" in markup


def test_the_tradeoff_takes_two_models_with_time_and_gap(report):
    assert tradeoff(report) == ""
    assert tradeoff(make_audit(names=("original", "one"))) == ""


def test_a_gap_or_a_time_of_nothing_is_drawn_at_the_end(make, row):
    rows = (
        row("r", 0.9, 0.98, 0.88, 0.3, 0.5, 0.0),
        row("a", 0.9, 0.98, 0.88, 0.3, 0.5, 0.0),
        row("<b>", 0.9, 0.98, 0.88, 0.3, 0.5, 4.0),
    )
    markup = tradeoff(make(rows=rows, references=("r",), original=None))
    assert "nan" not in markup
    assert "&lt;b&gt;" in markup
    assert "retraining" not in markup
    assert "doing nothing" not in markup
