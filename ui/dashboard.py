"""Home's lower half once something ran: the machine now, work, spending, models, what is wrong, what to do next."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QWidget

from ui import words
from ui.language import tr
from ui.widgets.buttons import Button, Link
from ui.widgets.chart import Axes, Chart, Series
from ui.widgets.feedback import Bar
from ui.widgets.text import Card, Dot, Icon, Label, clear, column, row

ACROSS, MOST_MODELS, GAUGE = 4, 5, 150
"""Gauges in a line; models named; px below which a gauge has no room for its name: then half as many stand in a line."""
STATES = {"ready": ("served", "success"), "idle": ("on demand", "success"), "starting": ("starting", "accentText"),
          "failed": ("failed", "danger"), "stopped": ("stopped", "textDisabled")}


class _GaugeCard(Card):
    """A name, the newest figure, the last quarter of an hour."""

    def __init__(self, gauge: Any) -> None:
        super().__init__()
        self._figure = Label("", "figure2")
        self._chart = Chart(gauge.words)
        self._chart.setMinimumHeight(64)
        head = row(Label(gauge.words, "strong", elide=True), self._figure)
        head.setStretch(0, 1)
        self.setLayout(column(head, self._chart, gap=4, margins=(14, 10, 14, 4)))
        self.show_gauge(gauge)

    def show_gauge(self, gauge: Any) -> None:
        """Newer figures."""
        self._figure.say(f"{gauge.now:,.0f} {gauge.unit}" if gauge.unit != "GB" else f"{gauge.now:,.1f} GB")
        shifted = [((at + 900) / 60, value) for at, value in gauge.points]
        self._chart.show_series([Series(gauge.words, shifted, fill="chart.band")],
                                Axes(x_unit="min", x_end=15, y_end=100 if gauge.unit == "%" else None))


class DashboardView(QWidget):
    """``show_dashboard`` fills it; cards stay where they are, so that nothing jumps."""

    def __init__(self, shell: Any) -> None:
        super().__init__()
        self._shell = shell
        self._shown: dict[str, Any] = {}
        self._cards: dict[str, _GaugeCard] = {}
        self._next, self._next_button = Label("", "body", wrap=True), Button("Open", "outline", size="small")
        self._go: tuple[str, str] = ("kits", "")
        self._next_button.clicked.connect(lambda: shell.go(*self._go))
        self._alerts, self._work, self._models = column(gap=6), column(gap=6), column(gap=6)
        self._gauges = QGridLayout()
        self._gauges.setSpacing(12)
        self._today, self._month, self._budget = (Label("", role, tone, wrap=True) for role, tone in (
            ("figure2", ""), ("figure2", ""), ("small", "tertiary")))
        self._spent = Bar(6)
        ahead = row(Icon("arrow-right", "accentText"), self._next, self._next_button, gap=10, margins=(16, 12, 16, 12))
        ahead.setStretch(1, 1)
        first = Card()
        first.setLayout(ahead)
        sums = row(column(Label("Today", "small", "tertiary"), self._today, None),
                   column(Label("This month", "small", "tertiary"), self._month, None), gap=12)
        for place in range(2):
            sums.setStretch(place, 1)
        money = column(sums, 8, self._spent, self._budget, gap=2)
        cards = row(_card("Work", self._work), _card("Models", self._models), _card("Spent", money), gap=12)
        for place in range(3):
            cards.setStretch(place, 1)
        self.setLayout(column(first, self._alerts, cards, Label("This computer, the last quarter of an hour", "heading"), self._gauges,
                              gap=14))

    def show_dashboard(self, found: Any) -> None:
        """Fill what differs from what is shown: a window that is looked at costs next to nothing."""
        self._next.say(found.next.words)
        self._next_button.say(found.next.button)
        self._go = (found.next.page, found.next.argument)
        self.show_gauges(found.gauges)
        if self._differs("alerts", found.alerts):
            clear(self._alerts)
            for alert in found.alerts:
                self._alerts.addWidget(self._alert(alert))
        if self._differs("work", (found.running, found.waiting)):
            self._show_work(found)
        if self._differs("models", found.models):
            self._show_models(found)
        self._show_money(found)

    def _differs(self, part: str, value: Any) -> bool:
        before, self._shown[part] = self._shown.get(part), value
        return bool(before != value)

    def _show_models(self, found: Any) -> None:
        clear(self._models)
        for model in found.models[:MOST_MODELS]:
            said, token = STATES.get(model.state, (model.state, "textTertiary"))
            name = Label(model.alias, "strong", elide=True, own=True)
            name.setMinimumWidth(40)
            line = row(Dot(token), name, Label(said, "small", "secondary"), gap=8)
            line.setStretch(1, 1)
            self._models.addLayout(line)
        if (more := len(found.models) - MOST_MODELS) > 0:
            self._models.addWidget(Link(f"{more:,} more", clicked=partial(self._shell.go, "endpoint")))
        if not found.models:
            self._models.addWidget(Label("Nothing is served.", "body", "secondary"))

    def show_gauges(self, gauges: Any) -> None:
        """Newer figures of the machine."""
        names = [gauge.name for gauge in gauges]
        if names != list(self._cards):
            clear(self._gauges)
            self._cards = {gauge.name: _GaugeCard(gauge) for gauge in gauges}
            self._place_gauges()
        for gauge in gauges:
            self._cards[gauge.name].show_gauge(gauge)

    def _place_gauges(self) -> None:
        across = ACROSS if self.width() >= ACROSS * (GAUGE + self._gauges.spacing()) else ACROSS // 2
        for number, card in enumerate(self._cards.values()):
            self._gauges.addWidget(card, number // across, number % across)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Two lines of gauges where four have no room side by side."""
        super().resizeEvent(event)
        self._place_gauges()

    def _alert(self, alert: Any) -> QWidget:
        line = Card()
        go = Button("Look at it", "link", size="small", clicked=partial(self._shell.go, alert.page, alert.argument))
        layout = row(Icon("circle-alert" if alert.level == "danger" else "triangle-alert", alert.level),
                     Label(alert.words, "body", wrap=True), go, gap=10, margins=(16, 8, 16, 8))
        layout.setStretch(1, 1)
        line.setLayout(layout)
        line.setAccessibleName(tr(alert.words))
        return line

    def _show_work(self, found: Any) -> None:
        clear(self._work)
        for line in found.running:
            bar = Bar(4)
            bar.show_fraction(line.progress)
            name = Link(f"{line.name}, run {line.number}", clicked=partial(self._shell.go, "runs", line.id))
            doing = Label(words.reached(line), "small", "secondary", elide=True)
            self._work.addLayout(column(name, doing, bar, gap=4))
        waits = len(found.waiting)
        if waits:
            self._work.addWidget(Label(f"{waits} run{'s' if waits != 1 else ''} waiting", "small", "secondary"))
        if not found.running and not waits:
            self._work.addWidget(Label("Nothing is running.", "body", "secondary"))

    def _show_money(self, found: Any) -> None:
        self._today.say(words.money(found.today.total, found.currency))
        self._month.say(words.money(found.month.total, found.currency))
        self._spent.setVisible(found.budget > 0)
        pieces = f"{found.month.tokens:,} word pieces this month"
        if found.budget > 0:
            part = found.month.total / found.budget
            self._spent.show_fraction(min(part, 1.0), "danger" if part >= 1 else "warning" if part >= 0.8 else "accent")
            self._budget.say(f"{100 * part:.0f} % of {words.money(found.budget, found.currency)}. {pieces}")
        else:
            self._budget.say(f"No budget is set. {pieces}")


def _card(title: str, inside: Any) -> Card:
    card = Card()
    card.setLayout(column(Label(title, "heading"), inside, None, gap=8, margins=(16, 12, 16, 12)))
    return card
