"""Home once something ran: work, money, alerts that lead somewhere, gauges that keep their place."""

from __future__ import annotations

import time

import pytest
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QWidget

from app.config.templates import SAMPLE, file_of
from app.store import settings
from app.workflow.dashboard import Gauge
from ui.dashboard import _GaugeCard
from ui.widgets.buttons import Button
from ui.widgets.text import Label


@pytest.fixture
def view(qtbot, window):
    window.show()
    home = window._pages["home"]
    qtbot.waitUntil(lambda: home._dashboard is not None, timeout=10_000)
    return home._dashboard


def words_in(layout) -> list[str]:
    found = []
    for place in range(layout.count()):
        item = layout.itemAt(place)
        widget = item.widget()
        if widget is not None:
            found += [widget.words()] if hasattr(widget, "words") else [widget.accessibleName()]
        elif item.layout() is not None:
            found += words_in(item.layout())
    return found


def test_a_sample_is_offered_until_the_starter_kit_has_run_here(qtbot, window, monkeypatch):
    home, asked = window._pages["home"], []
    monkeypatch.setattr(window, "run", lambda source, busy=None: asked.append(source))
    qtbot.waitUntil(lambda: home.run_button is not None, timeout=10_000)
    store = window.background.store
    store.db.execute("UPDATE runs SET kit = NULL")
    home.mark_stale()
    qtbot.waitUntil(lambda: not home._last and home.sample_button is not None, timeout=10_000)
    home.sample_button.click()
    assert asked == [str(file_of(SAMPLE))]
    store.db.execute("UPDATE runs SET kit = 'legal' WHERE state = 'done'")
    home.mark_stale()
    qtbot.waitUntil(lambda: home.sample_button is None, timeout=10_000)


def test_what_runs_and_what_went_wrong_are_there_and_lead_to_it(qtbot, window, view):
    assert "Sample" in view._next.words()
    assert any("37 %" in said or "Train" in said for said in words_in(view._work))
    view._next_button.click()
    qtbot.waitUntil(lambda: window.page().title == "Runs", timeout=5000)


def test_money_is_set_against_the_budget(qtbot, window, view):
    settings.put(window.background.store, "budget_per_month", 1000.0)
    qtbot.waitUntil(lambda: "of €1,000" in view._budget.words(), timeout=10_000)
    assert "word pieces this month" in view._budget.words()


def test_gauges_keep_their_place_when_figures_arrive(qtbot, window, view):
    before = dict(view._cards)
    assert [card._chart._name for card in before.values()][:3] == ["Processor", "Memory", "Power"]
    window.background.store.db.execute("INSERT INTO metrics (run, step, name, at, value) VALUES ('', '', 'system.cpu_percent', ?, 12.0)", (time.time(),))
    window._pages["home"].mark_stale()
    qtbot.waitUntil(lambda: view._cards["system.cpu_percent"]._figure.words() == "12 %", timeout=10_000)
    assert view._cards == before


def test_a_gauge_shows_its_figure_whole_also_beside_a_long_name(qtbot):
    card = _GaugeCard(Gauge("system.disk", "Free on the disk that holds the data", "GB", 1056.2, ()))
    qtbot.addWidget(card)
    card.resize(150, 120)
    card.show()
    assert card.width() == 150
    name = next(label for label in card.findChildren(Label) if label.words().startswith("Free"))
    assert (card._figure.width() >= card._figure.sizeHint().width(), name.text().endswith("…")) == (True, True)


@pytest.mark.parametrize("width", [1440, 1024])
def test_gauges_have_room_for_their_names_in_every_window(qtbot, window, view, width):
    window.resize(width, 900)
    names = [next(label for label in card.findChildren(Label) if label is not card._figure) for card in view._cards.values()]
    qtbot.waitUntil(lambda: window.width() == width and not any(name.text().endswith("…") for name in names), timeout=5000)


def test_small_sums_are_whole_in_the_smallest_window(qtbot, window, view):
    window.resize(1024, 680)
    for label in (view._today, view._month):
        label.say("under €0.001")
    words = view._today.fontMetrics().horizontalAdvance("€0.001")
    qtbot.waitUntil(lambda: window.width() == 1024 and all(label.width() >= words and label.height() >= label.heightForWidth(label.width())
                                                           for label in (view._today, view._month)), timeout=5000)


def test_an_alert_leads_to_its_page(qtbot, window, view):
    store = window.background.store
    store.db.execute("UPDATE deployments SET state = 'failed', why = NULL")
    qtbot.waitUntil(lambda: any("is not served" in said for said in words_in(view._alerts)), timeout=10_000)
    line = next(view._alerts.itemAt(place).widget() for place in range(view._alerts.count())
                if "is not served" in view._alerts.itemAt(place).widget().accessibleName())
    line.findChild(Button).click()
    qtbot.waitUntil(lambda: window.page().title == "Endpoint", timeout=5000)


def test_nothing_is_painted_again_that_says_the_same(qtbot, window, view):
    from app.training.views import computer
    from app.workflow.dashboard import dashboard

    home, store = window._pages["home"], window.background.store
    found, machine = dashboard(store), computer(store)
    qtbot.waitUntil(lambda: window.background.quiet, timeout=10_000)

    def painted_by_showing() -> list[str]:
        watch = Paints()
        for widget in home.findChildren(QWidget):
            widget.installEventFilter(watch)
        home._show_dashboard(found)
        home._show_computer(machine)
        qtbot.wait(50)
        return watch.seen

    qtbot.waitUntil(lambda: painted_by_showing() == [], timeout=5000)  # the page settles; what is shown anew each time never does


class Paints(QObject):
    """Names what is painted."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            self.seen.append(type(watched).__name__)
        return False
