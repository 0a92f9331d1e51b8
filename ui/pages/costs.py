"""Costs: what was spent today and this month, where it went, and how the sum comes about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from ui import words
from ui.background import query
from ui.pages.base import Page
from ui.runwords import power_source
from ui.theme import font, theme
from ui.widgets.buttons import Button
from ui.widgets.chart import nice_ticks
from ui.widgets.feedback import EmptyState
from ui.widgets.listing import Panel
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Card, Label, column, row

if TYPE_CHECKING:
    from app.costguard.views import CostsView, Item, Spend

KINDS = {"run": "Run", "answers": "Answers"}


class Days(QWidget):
    """A bar a day: wear blue below, power orange on it, so that the sum explains itself."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(170)
        self._days: list[tuple[float, float, float]] = []
        self._currency = "EUR"

    def show_days(self, days: list[tuple[float, float, float]], currency: str) -> None:
        """(time, energy cost, wear cost) a day."""
        self._days, self._currency = days, currency
        total = sum(energy + wear for _, energy, wear in days)
        self.setAccessibleName(f"{words.money(total, currency)} on {len(days)} days with work")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw grid, bars and labels."""
        painter = QPainter(self)
        painter.setFont(font("axis"))
        left, bottom, height = 64, self.height() - 22, self.height() - 40
        ticks = nice_ticks(max((energy + wear for _, energy, wear in self._days), default=0.0) or 1e-9)
        for tick in ticks:
            y = bottom - height * tick / ticks[-1]
            painter.setPen(theme.color("chart.grid"))
            painter.drawLine(left, round(y), self.width() - 16, round(y))
            painter.setPen(theme.color("textTertiary"))
            painter.drawText(QRectF(0, y - 8, left - 8, 16), Qt.AlignmentFlag.AlignRight, words.money(tick, self._currency))
        self._bars(painter, left, bottom, height, ticks[-1])
        painter.end()

    def _bars(self, painter: QPainter, left: int, bottom: int, height: int, top: float) -> None:
        if not self._days:
            return
        room = (self.width() - 16 - left) / max(len(self._days), 7)
        width = min(room * 0.6, 42)
        for number, (at, energy, wear) in enumerate(self._days):
            x, base = left + number * room + (room - width) / 2, float(bottom)
            for value, token in ((wear, "chart.tuned"), (energy, "chart.s3")):
                part = height * value / top
                painter.fillRect(QRectF(x, base - part, width, part), theme.color(token))
                base -= part
            painter.setPen(theme.color("textTertiary"))
            painter.drawText(QRectF(x - 20, bottom + 4, width + 40, 16), Qt.AlignmentFlag.AlignHCenter,
                             words.day(at + 1).rpartition(" ")[0])


class CostsPage(Page):
    """What does it cost?"""

    title = "Costs"
    subtitle = "Electricity and wear of this computer, metered for each run and request"
    watches = frozenset({"usage", "settings"})

    def build(self) -> None:
        """Two sums, the days, where it goes, the assumptions."""
        self.header.actions.addWidget(Button("Prices", "outline", "settings", clicked=lambda: self.shell.go("settings")))
        titles = {"today": "Today", "month": "This month", "answers": "For 1,000 answers"}
        self._sums = {name: (Label("", "display"), Label("", "small", "secondary", wrap=True)) for name in titles}
        cards = row(gap=16)
        for name, (figure, under) in self._sums.items():
            card = Card()
            card.setLayout(column(Label(titles[name], "smallstrong", "tertiary"), 4, figure, 4, under, margins=(18, 14, 18, 14)))
            cards.addWidget(card, 1)
        self.body.addLayout(cards)
        self._days = Days()
        self._days_panel = Panel("The last 30 days", "blue: wear, orange: power")
        self._days_panel.body.addLayout(column(self._days, margins=(8, 8, 8, 8)))
        self.body.addWidget(self._days_panel)
        self._table = Table([Column("Kind", 100), Column("What"), Column("Word pieces", 120, right=True),
                             Column("Time", 120, right=True), Column("Energy", 120, right=True), Column("", 180),
                             Column("Cost", 120, right=True)], "Where it goes")
        self._table.opened.connect(self._open_item)
        self._items_panel = Panel("Where it goes", "this month")
        self._items_panel.body.addLayout(column(self._table, margins=(6, 0, 6, 6)))
        self._empty = EmptyState("Nothing has been charged yet. Each step of a run and each answer is metered here.", "coins")
        self._items_panel.body.addWidget(self._empty)
        self.body.addWidget(self._items_panel)
        self._how = Label("", "small", "secondary", wrap=True)
        self.body.addWidget(self._how)
        self.body.addStretch(1)

    def refresh(self) -> None:
        """Ask for the sums."""
        from app.costguard import views

        query(self, views.costs, done=self._show)

    def _show(self, view: CostsView) -> None:
        self._sum("today", view.today, view.currency)
        self._sum("month", view.month, view.currency)
        figure, under = self._sums["answers"]
        measured = view.per_thousand is not None
        figure.say(words.money(view.per_thousand or 0.0, view.currency) if measured else "Not measured yet")
        under.say("From this month's requests" if measured else "It comes with the first request to the endpoint")
        self._days_panel.setVisible(bool(view.days))
        self._days.show_days(view.days, view.currency)
        self._table.setVisible(bool(view.items))
        self._empty.setVisible(not view.items)
        self._table.show_rows([(item.run, item_cells(item, view.currency)) for item in view.items])
        self._table.fit_height()
        per_hour = view.hardware_price / view.hardware_life_hours
        self._how.say(f"Power: energy times {words.money(view.tariff, view.currency)} a kWh. Wear: "
                      f"{words.money(view.hardware_price, view.currency)} over {view.hardware_life_hours:,.0f} hours, which is "
                      f"{words.money(per_hour, view.currency)} an hour of work. Both are set in Settings.")

    def _sum(self, name: str, spend: Spend, currency: str) -> None:
        figure, under = self._sums[name]
        figure.say(words.money(spend.total, currency))
        under.say(f"Power {words.money(spend.energy_cost, currency)} ({words.energy(spend.energy_wh)}, "
                  f"{power_source(spend.source)}), wear {words.money(spend.wear_cost, currency)}" if spend.source
                  else "Nothing was charged")

    def _open_item(self, run: str) -> None:
        if run:
            self.shell.go("runs", run)


def item_cells(item: Item, currency: str) -> list[Cell]:
    """One line of where it goes."""
    spend = item.spend
    return [Cell(KINDS.get(item.kind, item.kind), tone="textSecondary"), Cell(item.name or "unnamed"), Cell(f"{spend.tokens:,}"),
            Cell(words.duration(spend.seconds)), Cell(words.energy(spend.energy_wh)),
            Cell(power_source(spend.source), tone="textTertiary"), Cell(words.money(spend.total, currency), strong=True)]
