"""Numbers, money and states in words."""

from __future__ import annotations

import pytest

from ui import words
from ui.runwords import answers, power_source, time_left
from ui.widgets.verdict import APART, side_by_side


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "under 1 s"), (14, "14 s"), (60, "1 min"), (700, "11 min 40 s"),
                                               (7500, "2 h 5 min")])
def test_durations(seconds, text):
    assert words.duration(seconds) == text


@pytest.mark.parametrize(("amount", "text"), [(0.003, "€0.003"), (0.0, "€0.00"), (0.0002, "under €0.001"), (0.42, "€0.42"),
                                              (1234.6, "€1,235")])
def test_money(amount, text):
    assert words.money(amount, "EUR") == text


def test_other_currencies_keep_their_name():
    assert words.money(2, "NOK") == "NOK 2.00"


@pytest.mark.parametrize(("value", "text"), [(2.5, "2.5 Wh"), (120, "0.12 kWh")])
def test_energy(value, text):
    assert words.energy(value) == text


def test_an_interval_below_zero_has_real_minus_signs():
    assert words.margin("f1", -0.031, -0.09, 0.028) == "−3.1 points (−9.0 to 2.8)"


@pytest.mark.parametrize(("metric", "figures"), [
    pytest.param("right_fields", ["31.0", "−3.1", "points, −9.0 to 2.8", "1,200 questions", "held-back questions"], id="shares"),
    pytest.param("nll", ["0.310", "−0.031", "nats a word piece, −0.090 to 0.028", "1,200 texts", "held-back texts"], id="likelihood"),
])
def test_a_result_is_written_in_the_unit_of_its_metric(metric, figures):
    assert [words.score(metric, 0.31), words.change(metric, -0.031), words.under_change(metric, -0.09, 0.028),
            words.counted(metric, 1200), words.held_back(metric)] == figures


def test_a_likelihood_is_told_in_german():
    from ui import language

    language.use("de")
    try:
        assert language.tr(words.margin("nll", -0.031, -0.09, 0.028)) == "−0,031 Nats je Wortteil (−0,090 bis 0,028)"
        assert language.tr("−0.031 nats a word piece (−0.090 to 0.028) on 40 held-back texts: 1.711 against 1.742.") == (
            "−0,031 Nats je Wortteil (−0,090 bis 0,028) bei 40 zurückgehaltenen Texten: 1,711 gegen 1,742.")
        assert language.tr("Perplexity over all word pieces: base 7.10, tuned 5.53.") == (
            "Perplexität über alle Wortteile: Grundmodell 7,10, angepasst 5,53.")
    finally:
        language.use("en")


@pytest.mark.parametrize(("source", "text"), [("nvml", "measured at the card"), ("estimate", "estimated"), ("", "")])
def test_a_power_figure_says_whether_it_was_measured(source, text):
    assert power_source(source) == text


@pytest.fixture
def view(store, runs):
    from app.workflow import views

    return views.run(store, runs["running"])


def test_the_time_left_is_a_measurement_only_after_ten_seconds(view):
    step = next(step for step in view.steps if step.state == "running")
    assert time_left(view, now=step.started + 5)[0] == "Measuring speed"
    assert time_left(view, now=step.started + 60)[0] == "5 min left"


def test_without_evaluation_nothing_is_called_better(view):
    word, _ = answers(view, {})[0]
    assert word == "Not measured yet"


def test_rising_mistakes_are_not_called_improving(view):
    word, _ = answers(view, {"train.eval_loss": [(1, 2.0), (2, 2.4)]})[0]
    assert word == "Not improving so far"


def test_curves_are_thinned_and_keep_peaks_and_their_last_point(store, runs):
    from app.store.series import SeriesWriter
    from app.workflow.curves import CHART_POINTS, curves

    with SeriesWriter(store, runs["running"], "train") as series:
        for step in range(5000):
            series.metric("train.extra", 1.0 if step != 1234 else 9.0, x=step)
    points = curves(store, runs["running"])["train.extra"]
    assert CHART_POINTS / 2 <= len(points) <= CHART_POINTS + 1
    assert points[-1] == (4999.0, 1.0)
    assert (1234.0, 9.0) in points, "no peak is lost"
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    part = curves(store, runs["running"], ["train.extra"], (1200.0, 1300.0))
    assert part == {"train.extra": [(float(x), 9.0 if x == 1234 else 1.0) for x in range(1200, 1301)]}


def test_marks_of_the_rail(store, runs):
    from app.workflow import views

    assert views.rail_marks(store) == {"runs": ("37 %", "accentText"), "endpoint": ("on", "success")}


@pytest.mark.parametrize(("name", "shown"), [("Contracts", "Contracts"), ("x" * 36, "x" * 36), ("x" * 37, "x" * 35 + "…"),
                                             ("a" * 34 + " word", "a" * 34 + "…")])
def test_a_long_name_is_short_in_a_title(name, shown):
    assert words.short(name) == shown


@pytest.mark.parametrize("room", [130.0, 200.0])
@pytest.mark.parametrize("marks", [(10, 60), (10, 12), (60, 10), (190, 195), (100, 100), (10, 190)], ids=str)
def test_captions_of_base_and_tuned_never_lie_over_one_another(room, marks):
    widths = [50, 70]
    lefts = side_by_side([float(min(mark, room - 10)) for mark in marks], widths, room)
    assert min(lefts) >= 0
    assert all(left + width <= room for left, width in zip(lefts, widths, strict=True))
    first, second = sorted(range(2), key=lambda n: lefts[n])
    assert lefts[second] >= lefts[first] + widths[first] + APART
