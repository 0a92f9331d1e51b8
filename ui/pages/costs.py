"""Costs: what was spent today and this month, where it went, and how the sum comes about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui import words
from ui.background import query
from ui.language import tr
from ui.pages.base import Page
from ui.runwords import power_source
from ui.theme import font, theme
from ui.widgets.buttons import Button
from ui.widgets.chart import Swatch, nice_ticks, tick_labels
from ui.widgets.feedback import EmptyState
from ui.widgets.listing import FigureStrip, Panel
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Label, clear, column, row

if TYPE_CHECKING:
    from app.costguard.views import CostsView, Item, Spend
    from app.store import Store

DAYS, NOON = 30, 12 * 3600
KINDS = {"run": "A run", "answers": "Answers"}


class Days(QWidget):
    """A bar a day: power orange below, wear blue on it, so that the sum explains itself."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumHeight(170)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._days: list[tuple[float, float, float]] = []
        self._currency = "EUR"

    def show_days(self, days: list[tuple[float, float, float]], currency: str) -> None:
        """(time, energy cost, wear cost) a day."""
        self._days, self._currency = days, currency
        total = sum(energy + wear for _, energy, wear in days)
        self.setAccessibleName(tr(f"{words.money(total, currency)} on {len(days)} days with work"))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw grid, bars and labels."""
        painter = QPainter(self)
        painter.setFont(font("axis"))
        left, bottom, height = 64, self.height() - 22, self.height() - 40
        ticks = nice_ticks(max((energy + wear for _, energy, wear in self._days), default=0.0) or 0.01)
        for tick, label in zip(ticks, tick_labels(ticks), strict=True):
            y = bottom - height * tick / ticks[-1]
            painter.setPen(theme.color("chart.grid"))
            painter.drawLine(left, round(y), self.width() - 16, round(y))
            painter.setPen(theme.color("textTertiary"))
            painter.drawText(QRectF(0, y - 8, left - 8, 16), Qt.AlignmentFlag.AlignRight, tr(words.sign(self._currency) + label))
        self._bars(painter, left, bottom, height, ticks[-1])
        painter.end()

    def _bars(self, painter: QPainter, left: int, bottom: int, height: int, top: float) -> None:
        room = (self.width() - 16 - left) / DAYS
        width = min(room * 0.7, 26)
        today = datetime.now().astimezone().date()
        for at, energy, wear in self._days:
            ago = (today - datetime.fromtimestamp(at + NOON).astimezone().date()).days
            x, base = left + (DAYS - 1 - ago) * room + (room - width) / 2, float(bottom)
            for value, token in ((energy, "chart.s3"), (wear, "chart.tuned")):
                part = height * value / top
                painter.fillRect(QRectF(x, base - part, width, part), theme.color(token))
                base -= part
        painter.setPen(theme.color("textTertiary"))
        for ago in range(0, DAYS, 7):
            day = today - timedelta(days=ago)
            box = QRectF(left + (DAYS - 1 - ago) * room - 30, bottom + 4, room + 60, 16)
            painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, tr(f"{day.day} {day:%b}" if ago else "today"))


class Parts(QWidget):
    """A line for each kind of work: its name, a bar of power and wear, the sum."""

    def __init__(self) -> None:
        super().__init__()
        self._room = column(gap=0)
        self.setLayout(self._room)

    def show_parts(self, parts: list[Part], currency: str) -> None:
        """The dearest first."""
        clear(self._room)
        most = max((part.total for part in parts), default=0.0)
        for part in parts:
            words_of = QWidget()
            words_of.setFixedWidth(132)
            words_of.setLayout(column(Label(part.name, "strong"), Label(part.what, "small", "tertiary", elide=True)))
            line = QWidget()
            line.setLayout(row(words_of, SplitBar(part.energy / (most or 1), part.wear / (most or 1)),
                               Label(words.money(part.total, currency), "strong"), gap=10, margins=(16, 5, 16, 5)))
            line.setAccessibleName(tr(f"{part.name}: {words.money(part.total, currency)}, {part.what}"))
            self._room.addWidget(line)


class SplitBar(QWidget):
    """Power, then wear, as shares of the dearest line."""

    def __init__(self, energy: float, wear: float) -> None:
        super().__init__()
        self._shares = (energy, wear)
        self.setFixedHeight(12)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw both parts."""
        painter = QPainter(self)
        x = 0.0
        for share, token in zip(self._shares, ("chart.s3", "chart.tuned"), strict=True):
            painter.fillRect(QRectF(x, 0, share * self.width(), self.height()), theme.color(token))
            x += share * self.width()
        painter.end()


@dataclass(frozen=True, slots=True)
class Part:
    """What one kind of work cost this month."""

    name: str
    what: str
    energy: float
    wear: float

    @property
    def total(self) -> float:
        """Power and wear."""
        return self.energy + self.wear


def parts_of_month(store: Store) -> list[Part]:
    """This month's charges by kind of work, in today's currency, the dearest first."""
    from app.costguard.views import month_start
    from app.store import settings

    found = store.rows(
        "SELECT CASE u.scope WHEN 'request' THEN 'answers' ELSE coalesce(s.node, u.step) END AS node, count(*) AS n, "
        "count(DISTINCT u.run) AS runs, sum(u.seconds) AS seconds, "
        "sum(u.energy_cost) AS energy, sum(u.wear_cost) AS wear FROM usage u LEFT JOIN steps s ON s.run = u.run AND s.id = u.step "
        "WHERE u.scope IN ('step', 'request') AND u.currency = ? AND u.at >= ? GROUP BY 1 ORDER BY sum(u.energy_cost + u.wear_cost) "
        "DESC", (settings.get(store, "currency"), month_start()))
    return [_part(row) for row in found]


def _part(row: Mapping[str, Any]) -> Part:
    if row["node"] == "answers":
        return Part("Answer", f"{row['n']:,} request{'s' * (row['n'] != 1)}", row["energy"], row["wear"])
    name = words.STEP_WORDS.get(row["node"], (row["node"], ""))[0]
    what = f"{row['runs']} run{'s' * (row['runs'] != 1)}, {words.duration(row['seconds'])}"
    return Part(name, what, row["energy"], row["wear"])


class CostsPage(Page):
    """What does it cost?"""

    title = "Costs"
    subtitle = "Electricity and wear of this computer, metered for each run and request"
    watches = frozenset({"usage", "settings"})

    def build(self) -> None:
        """Two sums, the days, where it goes, the assumptions."""
        self.header.actions.addWidget(Button("Prices and tariff", "filled", "settings",
                                             tooltip="What power and hardware cost: in Settings",
                                             clicked=lambda: self.shell.go("settings")))
        self._sums = FigureStrip(["Today", "This month", "For 1,000 answers"])
        self.body.addWidget(self._sums)
        self._days = Days()
        self._days_panel = Panel("Spend of the last 30 days", "", *_legend())
        self._days_panel.body.addLayout(column(self._days, margins=(8, 8, 8, 8)))
        self._parts = Parts()
        self._parts_panel = Panel("Where it goes", "this month", *_legend())
        self._parts_panel.body.addLayout(column(self._parts, None, margins=(0, 6, 0, 6)))
        for panel in (self._days_panel, self._parts_panel):
            panel.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        middle = row(self._days_panel, self._parts_panel, gap=16)
        middle.setStretch(0, 5)
        middle.setStretch(1, 4)
        self.body.addLayout(middle)
        self._table = Table([Column("Kind", 100), Column("What"), Column("Word pieces", 120, right=True),
                             Column("Time", 120, right=True), Column("Energy", 120, right=True), Column("", 180),
                             Column("Cost", 120, right=True)], "Each run and model")
        self._table.opened.connect(self._open_item)
        self._items_panel = Panel("Each run and model", "this month, click a run to open it")
        self._items_panel.body.addLayout(column(self._table, margins=(6, 0, 6, 6)))
        self._empty = EmptyState("Nothing has been charged yet. Each step of a run and each answer is metered here.", "coins")
        self._empty.setMinimumHeight(150)
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
        measured = view.per_thousand is not None
        answers = (words.money(view.per_thousand or 0.0, view.currency), "from this month's requests") if measured else (
            "Not measured yet", "it comes with the first request to the endpoint")
        self._sums.fill([sum_words(view.today, view.currency), sum_words(view.month, view.currency), answers])
        self._days_panel.setVisible(bool(view.days))
        self._parts_panel.setVisible(bool(view.days))
        self._currency = view.currency
        self._days.show_days(view.days, view.currency)
        query(self, parts_of_month, done=lambda parts: self._parts.show_parts(parts, self._currency))
        self._table.setVisible(bool(view.items))
        self._empty.setVisible(not view.items)
        self._table.show_rows([(item.run, item_cells(item, view.currency)) for item in view.items])
        self._table.fit_height()
        per_hour = view.hardware_price / view.hardware_life_hours
        self._how.say(f"Power: energy times {words.money(view.tariff, view.currency)} a kWh. Wear: "
                      f"{words.money(view.hardware_price, view.currency)} over {view.hardware_life_hours:,.0f} hours, which is "
                      f"{words.money(per_hour, view.currency)} an hour of work. Both are set in Settings.")

    def _open_item(self, run: str) -> None:
        if run:
            self.shell.go("runs", run)


def sum_words(spend: Spend, currency: str) -> tuple[str, str]:
    """A sum, and what it is made of."""
    made = (f"power {words.money(spend.energy_cost, currency)} ({words.energy(spend.energy_wh)}, {power_source(spend.source)}), "
            f"wear {words.money(spend.wear_cost, currency)}") if spend.source else "nothing was charged"
    return words.money(spend.total, currency), made


def _legend() -> list[QWidget]:
    return [Swatch("chart.s3"), Label("power", "small", "secondary"), Swatch("chart.tuned"), Label("wear", "small", "secondary")]


def item_cells(item: Item, currency: str) -> list[Cell]:
    """One line of where it goes."""
    spend = item.spend
    return [Cell(KINDS.get(item.kind, item.kind), tone="textSecondary"), Cell(item.name or "unnamed"), Cell(f"{spend.tokens:,}"),
            Cell(words.duration(spend.seconds)), Cell(words.energy(spend.energy_wh)),
            Cell(power_source(spend.source), tone="textTertiary"), Cell(words.money(spend.total, currency), strong=True)]
