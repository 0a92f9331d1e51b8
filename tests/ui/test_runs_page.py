"""The Runs page: list, live run, finished run, failed run, and its buttons."""

from __future__ import annotations

import json
import sys
import types

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QFontMetrics, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.store import Store
from app.store.series import SeriesWriter
from tests.ui.conftest import shut
from ui import language
from ui.main import open_window
from ui.widgets.chart import Axes, Chart, Series, nice_ticks, tick_labels
from ui.widgets.steps import StepStrip
from ui.widgets.table import _made_font
from ui.widgets.text import Label

LEFT = Qt.MouseButton.LeftButton


def _opened(qtbot, window, run):
    window.go("runs", run)
    pane = window._pages["runs"].pane
    qtbot.waitUntil(lambda: pane._view is not None and (bool(pane._found) or run == "run_failed")
                    and not pane._turns.busy and not pane.charts.turns.busy, timeout=4000)
    return pane


def test_the_list_shows_the_newest_first_with_state_and_result(qtbot, window):
    window.go("runs")
    table = window._pages["runs"].table
    qtbot.waitUntil(lambda: table.model().rowCount() == 3, timeout=3000)
    rows = [[table.model().index(line, place).data() for place in (0, 2, 4)] for line in range(3)]
    assert rows == [["3", "Running", ""], ["2", "Failed", ""], ["1", "Done", "Better +54.5"]]


def test_a_running_run_shows_time_steps_answers_and_curves(qtbot, window, runs):
    pane = _opened(qtbot, window, runs["running"])
    assert pane._left.words().endswith("left")
    assert pane.answers.words()[:2] == ["Improving so far", "Nothing wrong so far"]
    assert pane.charts.cards["loss"].chart.accessibleName().startswith("Mistakes fell from 2.9")
    assert pane.charts.cards["power"]._term.words() == "estimated"
    assert "train\tx" not in pane.charts.cards["loss"].chart.raw()
    assert len(pane.charts.cards["loss"].chart.raw().splitlines()) > 100
    assert [button.text().strip() for button in pane.buttons if not button.isHidden()] == [
        "Pause", "Stop and save", "Stop and discard"]


def test_a_run_that_only_prepares_rows_leads_to_them_and_has_no_charts_of_training(qtbot, window, runs, store):
    store.db.execute("DELETE FROM steps WHERE run = ? AND node NOT LIKE 'data%'", (runs["done"],))
    outputs = {"rows": {"kind": "rows", "dataset": "ds_1", "version": 2, "rows": 3, "splits": {}}}
    store.db.execute("UPDATE steps SET outputs = ? WHERE run = ? AND node = 'data.refine'", (json.dumps(outputs), runs["done"]))
    pane = _opened(qtbot, window, runs["done"])
    assert [button.text().strip() for button in pane.buttons if not button.isHidden()] == ["Make a kit", "Show the rows"]
    assert {key for key, card in pane.charts.cards.items() if not card.isHidden()} == {"device", "memory", "power", "cost"}
    went = []
    window.go = lambda *to: went.append(to)
    pane._rows.click()
    assert went == [("datasets", "ds_1@2")]
    del window.go
    _opened(qtbot, window, runs["running"])
    assert not any(card.isHidden() for card in pane.charts.cards.values())


def test_a_finished_run_shows_the_verdict_its_interval_and_every_arm(qtbot, window, runs):
    pane = _opened(qtbot, window, runs["done"])
    assert pane.answers.words()[0] == "Better"
    assert not pane.result.isHidden()
    model = pane.result.table.model()
    assert [model.index(line, 0).data() for line in range(model.rowCount())] == [
        "Best constant answer", "Classic linear model, same rows", "Base model", "Base model with examples", "Tuned model"]
    assert [model.index(1, place).data() for place in (1, 3)] == ["36.0", "cannot"]


@pytest.mark.parametrize("fields", [2, 14], ids=["few fields", "more than there is room for"])
def test_the_arms_and_their_whole_result_keep_their_room_beside_any_number_of_fields(qtbot, window, runs, profile, fields):
    arms = {"base": "Base model", "base_examples": "Base model with examples", "classic": "Classic linear model, same rows"}
    report = {"table": [{"arm": arm, "label": label, "fields": {f"field {n}": 0.5 for n in range(fields)}, "score": 0.4}
                        for arm, label in arms.items()]}
    with Store.open(profile) as store:
        store.db.execute("UPDATE evaluations SET report = ?", (json.dumps(report),))
    window.resize(1024, 680)
    table = _opened(qtbot, window, runs["done"]).result.table
    longest = max(QFontMetrics(_made_font("bodyStrong", False)).horizontalAdvance(label) for label in arms.values())
    assert table.columnWidth(0) >= longest + 30  # the dot before it and the room around it
    assert table.model().headerData(1, Qt.Orientation.Horizontal) == "All"
    assert table.columnViewportPosition(1) + table.columnWidth(1) <= table.viewport().width()


def test_a_finished_run_says_what_was_refused_and_what_was_refused_wrongly(qtbot, window, runs):
    pane = _opened(qtbot, window, runs["done"])
    sentence = "Out of scope: 27 of 30 refused as it should; 1 of 60 task questions refused wrongly."
    assert sentence in pane.answers._parts[0][1].words()
    assert sentence in [label.words() for label in pane.result.findChildren(Label)]
    model = pane.result.behaviour.model()
    assert [[model.index(line, place).data() for place in range(3)] for line in range(2)] == [
        ["Base model", "0 of 30 (0 to 11 %)", "0 of 60 (0 to 6 %)"], ["Tuned model", "27 of 30 (74 to 96 %)", "1 of 60 (0 to 9 %)"]]


def test_a_finished_run_shows_questions_with_both_answers(qtbot, window, runs):
    window.go("runs", runs["done"])
    shown = window.page().pane.samples
    qtbot.waitUntil(lambda: not shown.isHidden() and shown._question.toPlainText() == "Notice 1", timeout=3000)  # where it helped most
    assert (shown._base.toPlainText(), shown._tuned.toPlainText()) == ("none", "MIT")
    assert (shown._base_score.words(), shown._tuned_score.words()) == ("0 % right", "100 % right")
    assert not shown._previous.isEnabled()
    assert shown._previous.toolTip() == "This is the first one"
    shown._next.click()
    assert shown._question.toPlainText() == "Notice 0"
    assert not shown._next.isEnabled()


def test_a_comparison_of_texts_is_shown_in_nats_and_without_a_question(qtbot, window, runs, profile):
    report = {"table": [{"arm": "base", "label": "Base model", "fields": {}, "score": 2.1},
                        {"arm": "tuned", "label": "Tuned model", "fields": {}, "score": 1.9}], "notes": ["Nothing was asked."]}
    with Store.open(profile) as store:
        store.db.execute("UPDATE evaluations SET metric = 'nll', items = 40, base = 2.1, tuned = 1.9, difference = -0.2, low = -0.25, "
                         "high = -0.15, report = ?", (json.dumps(report),))
        store.db.execute("UPDATE samples SET prompt = '', expected = 'A text', base = '2.100 nats a word piece'")
    pane = _opened(qtbot, window, runs["done"])
    assert pane.answers._parts[0][1].words() == "−0.200 nats a word piece (−0.250 to −0.150) on 40 held-back texts: 1.900 against 2.100."
    model = pane.result.table.model()
    assert [[model.index(line, place).data() for place in range(2)] for line in range(2)] == [["Base model", "2.100"], ["Tuned model", "1.900"]]
    assert model.headerData(1, Qt.Orientation.Horizontal) == "Nats a word piece"
    qtbot.waitUntil(lambda: not pane.samples.isHidden(), timeout=3000)
    assert (pane.samples._asked.isHidden(), pane.samples._expected.toPlainText()) == (True, "A text")
    assert (pane.samples._expected_words.words(), pane.samples._base.toPlainText(), pane.samples._base_score.words()) == (
        "Text, held back from training", "2.100 nats a word piece", "")


def test_a_run_without_an_evaluation_shows_no_samples(qtbot, window, runs):
    window.go("runs", runs["failed"])
    pane = window.page().pane
    qtbot.waitUntil(lambda: pane._view is not None, timeout=3000)
    qtbot.wait(200)
    assert pane.samples.isHidden()


def test_a_failed_run_says_what_why_and_what_next(qtbot, window, runs):
    pane = _opened(qtbot, window, runs["failed"])
    assert not pane.problem.isHidden()
    assert "step 31" in pane.problem.accessibleName()
    assert "Resume with a smaller step size" in pane.problem.accessibleName()
    assert [button.text().strip() for button in pane.buttons if not button.isHidden()] == ["Resume"]


@pytest.fixture
def commands(monkeypatch):
    """What the buttons asked of app.workflow.runs."""
    asked: list[tuple[str, ...]] = []
    fake = types.ModuleType("app.workflow.runs")
    fake.cancel = lambda _store, run, mode: asked.append(("cancel", run, mode))  # type: ignore[attr-defined]
    fake.resume = lambda _store, run: asked.append(("resume", run))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "app.workflow.runs", fake)
    monkeypatch.setattr("app.workflow.runs", fake, raising=False)
    for function in (fake.cancel, fake.resume):
        function.__module__, function.__qualname__ = "app.workflow.runs", str(id(function))
    return asked


@pytest.mark.parametrize(("button", "mode"), [("_pause", "pause"), ("_save", "save")])
def test_stopping_keeps_what_was_reached(qtbot, window, runs, commands, button, mode):
    pane = _opened(qtbot, window, runs["running"])
    getattr(pane, button).click()
    qtbot.waitUntil(lambda: commands == [("cancel", "run_live", mode)], timeout=3000)


@pytest.mark.parametrize(("answer", "asked"), [(True, [("cancel", "run_live", "discard")]), (False, [])])
def test_discarding_asks_first(qtbot, window, runs, commands, monkeypatch, answer, asked):
    monkeypatch.setattr("ui.dialogs.ask", lambda *_a, **_k: answer)
    pane = _opened(qtbot, window, runs["running"])
    pane._discard.click()
    qtbot.wait(300)
    assert commands == asked


def test_a_failed_run_can_be_resumed(qtbot, window, runs, commands):
    pane = _opened(qtbot, window, runs["failed"])
    pane._resume.click()
    qtbot.waitUntil(lambda: commands == [("resume", "run_failed")], timeout=3000)


def test_a_new_figure_reaches_the_curve_by_itself(qtbot, window, runs, profile):
    pane = _opened(qtbot, window, runs["running"])
    before = len(pane.charts.cards["loss"].chart.raw().splitlines())
    with Store.open(profile) as store, SeriesWriter(store, runs["running"], "train") as series:
        series.metric("train.loss", 1.23, x=147)
    qtbot.waitUntil(lambda: len(pane.charts.cards["loss"].chart.raw().splitlines()) == before + 1, timeout=4000)


@pytest.mark.parametrize(("top", "ticks"), [(3.0, [0, 1, 2, 3]), (0.0043, [0, 0.002, 0.004, 0.006]), (0.0, [0, 1]),
                                            (float("nan"), [0, 1]), (400, [0, 200, 400])])
def test_ticks_are_round_and_few(top, ticks):
    assert nice_ticks(top, 3) == pytest.approx(ticks)


def test_a_chart_without_points_says_so_and_one_with_a_point_draws(qtbot, qapp):
    chart = Chart("Mistakes")
    qtbot.addWidget(chart)
    chart.resize(300, 180)
    chart.show()
    assert chart.accessibleName() == "Mistakes: nothing measured yet"
    chart.show_series([Series("unseen", [(1.0, 2.0)], dots=True)], Axes("steps", 10))
    assert not chart.grab().isNull()
    QApplication.processEvents()


def test_the_crosshair_tells_what_was_measured_and_where_and_goes_when_the_page_scrolls(qtbot, qapp):
    chart = Chart("Mistakes")
    qtbot.addWidget(chart)
    chart.resize(300, 180)
    chart.show()
    curves = [Series("training", [(float(step), 2.0) for step in range(0, 400, 10)]), Series("unseen", [(0.0, 3.0), (360.0, 1.5)])]
    chart.show_series(curves, Axes("steps", 400))
    assert chart._told(curves, 388.4) == ["steps 390", "training 2", "unseen 1.5 (360)"]
    assert chart._told([Series("training", [])], 5.0) == []
    QTest.mouseMove(chart, QPoint(200, 90))
    qtbot.waitUntil(lambda: chart._cursor is not None, timeout=3000)
    down = QPoint(0, -120)
    chart.wheelEvent(QWheelEvent(QPointF(200, 90), QPointF(200, 90), down, down, Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
                                 Qt.ScrollPhase.NoScrollPhase, False))
    assert chart._cursor is None


@pytest.mark.parametrize(("run", "words"), [("done", "best, step "), ("running", "best so far, step ")])
def test_the_best_point_of_a_finished_run_is_the_best(qtbot, window, runs, run, words):
    pane = _opened(qtbot, window, runs[run])
    assert pane.charts.cards["loss"].chart._axes.note[2].startswith(words)


@pytest.mark.parametrize("top", [0.0098, 0.012, 0.7, 3, 97, 12_500])
def test_no_two_ticks_have_the_same_label(top: float) -> None:
    labels = tick_labels(nice_ticks(top))
    assert len(labels) == len(set(labels)) > 1
    assert [float(label.replace(",", "")) for label in labels] == pytest.approx(nice_ticks(top))


# ---- looking closely ---------------------------------------------------------------------------------------------------


@pytest.fixture
def chart(qtbot, qapp):
    made = Chart("Mistakes")
    qtbot.addWidget(made)
    made.resize(400, 180)
    made.show_series([Series("training", [(float(x), 1.0 + x % 7) for x in range(1001)])], Axes("steps"))
    made.show()
    return made


def wheel(chart, x: float, turn: int, modifier=Qt.KeyboardModifier.ControlModifier) -> None:
    event = QWheelEvent(QPointF(x, 90), chart.mapToGlobal(QPointF(x, 90)), QPoint(), QPoint(0, turn), Qt.MouseButton.NoButton, modifier,
                        Qt.ScrollPhase.NoScrollPhase, False)
    chart.wheelEvent(event)


def test_the_wheel_zooms_at_the_pointer_and_scrolls_without_ctrl(chart):
    under = chart._under(200)
    wheel(chart, 200, 240, Qt.KeyboardModifier.NoModifier)
    assert chart.span() == (0.0, 1000.0)
    wheel(chart, 200, 480)
    low, high = chart.span()
    assert high - low == pytest.approx(1000 / 1.0015**480)
    assert chart._under(200) == pytest.approx(under, rel=1e-6)
    wheel(chart, 200, -4800)
    assert chart.span() == (0.0, 1000.0), "never past what there is"


def test_dragging_moves_a_part_stops_at_the_ends_and_a_click_still_pins(qtbot, chart):
    chart.look_at((400.0, 600.0))
    QTest.mousePress(chart, LEFT, pos=QPoint(300, 90))
    QTest.mouseMove(chart, QPoint(100, 90))
    QTest.mouseRelease(chart, LEFT, pos=QPoint(100, 90))
    assert chart.span() == pytest.approx((500.0, 700.0))
    assert not chart._pinned
    chart.move_by(9)
    assert chart.span() == pytest.approx((800.0, 1000.0))
    QTest.mouseClick(chart, LEFT, pos=QPoint(200, 90))
    assert chart._pinned
    QTest.mouseDClick(chart, LEFT, pos=QPoint(200, 90))
    assert chart.span() == (0.0, 1000.0)


@pytest.mark.parametrize(("key", "span"), [
    pytest.param(Qt.Key.Key_Plus, (433.3, 566.7), id="closer"), pytest.param(Qt.Key.Key_Minus, (350.0, 650.0), id="further"),
    pytest.param(Qt.Key.Key_Right, (440.0, 640.0), id="right"), pytest.param(Qt.Key.Key_0, (0.0, 1000.0), id="all"),
])
def test_keys_zoom_and_move(chart, key, span):
    chart.look_at((400.0, 600.0))
    QTest.keyClick(chart, key)
    assert chart.span() == pytest.approx(span, abs=0.1)


def test_what_is_drawn_of_a_part_reaches_over_both_ends(chart):
    chart.look_at((400.3, 400.6))
    assert [x for x, _ in chart._drawn()[0].points] == [400.0, 401.0]
    chart.show_part(300.0, 500.0, [Series("training", [(400.0, 1.0), (400.4, 5.0), (401.0, 1.0)])])
    assert [y for _, y in chart._drawn()[0].points] == [1.0, 5.0, 1.0]
    chart.look_at((0.0, 300.0))
    assert len(chart._drawn()[0].points) == 302, "another part is drawn from what there is of all"


def test_a_part_of_a_long_run_gets_its_own_points(qtbot, window, runs, profile):
    with Store.open(profile) as store, SeriesWriter(store, runs["done"], "train") as series:
        for step in range(241, 6000):
            series.metric("train.loss", 1.0, x=step)
    pane = _opened(qtbot, window, runs["done"])
    chart = pane.charts.cards["loss"].chart
    qtbot.waitUntil(lambda: chart.span()[1] >= 5999, timeout=5000)
    whole = len(chart._series[0].points)
    assert whole <= 801
    chart.look_at((1000.0, 1010.0))
    qtbot.waitUntil(lambda: [x for x, _ in chart._drawn()[0].points] == [float(x) for x in range(999, 1012)], timeout=5000)


def test_a_run_without_curves_shows_none_of_the_run_before(qtbot, window, runs):
    pane = _opened(qtbot, window, runs["done"])
    assert pane.charts.cards["loss"]._figure.words()
    _opened(qtbot, window, runs["failed"])
    qtbot.waitUntil(lambda: window.background.quiet and not pane.charts.turns.busy, timeout=5000)
    assert pane.charts.cards["loss"]._figure.words() == ""
    assert pane.charts.cards["loss"].chart._series[0].points == []


@pytest.mark.parametrize("words", ["en", "de"])
def test_the_names_of_a_runs_steps_are_whole_on_a_small_laptop(qtbot, profile, runs, words, request):
    request.addfinalizer(lambda: language.use("en"))
    language.use(words)
    window = open_window(profile, start_service=False)
    qtbot.waitUntil(lambda: window.background.store is not None, timeout=10_000)
    window.resize(1280, 800)
    window.go("runs", runs["running"])
    strip = window.page().pane.findChild(StepStrip)
    qtbot.waitUntil(lambda: len(strip._cells) == 7 and strip.width() > 300, timeout=10_000)
    assert [cell._name.text() for cell in strip._cells.values() if "…" in cell._name.text()] == []
    shut(qtbot, window)


def test_a_run_has_room_for_its_name_in_the_list_on_a_small_laptop(qtbot, window):
    window.resize(1280, 800)
    window.go("runs")
    table = window.page().table
    qtbot.waitUntil(lambda: table.model().rowCount() > 2, timeout=10_000)
    assert table.columnWidth(1) >= 160


def test_the_end_of_a_long_log_is_shown_and_followed_in_any_language(qtbot, profile, runs, request):
    request.addfinalizer(lambda: language.use("en"))
    language.use("de")
    file = profile.step_folder(runs["done"], "deploy") / "output.txt"
    file.parent.mkdir(parents=True)
    file.write_text("".join(f"{n:05d} a line of the log\n" for n in range(50_000)), encoding="utf-8")
    window = open_window(profile, start_service=False)
    qtbot.waitUntil(lambda: window.background.store is not None, timeout=10_000)
    side = _opened(qtbot, window, runs["done"]).side
    side._choose("log")
    qtbot.waitUntil(lambda: "49999 a line" in side._log.toPlainText(), timeout=5000)
    first, second, *_ = side._log.toPlainText().splitlines()
    assert first == f"… earlier lines: {file}"
    assert second.endswith(" a line of the log")
    assert len(second) == len("00000 a line of the log")
    bar = side._log.verticalScrollBar()
    bar.setValue(bar.maximum())
    side.show_log(side._log.toPlainText() + "50000 a line of the log\n")
    assert bar.value() == bar.maximum() > 100
    bar.setValue(7)
    side.show_log(side._log.toPlainText() + "50001 a line of the log\n")
    assert bar.value() == 7
    shut(qtbot, window)
