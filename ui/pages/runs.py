"""Runs: the list, and one run with its steps, three answers and curves."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QStackedWidget, QWidget

from ui import words
from ui.background import query
from ui.pages.base import Page
from ui.runview import RunPane
from ui.widgets.buttons import Button
from ui.widgets.feedback import EmptyState
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Card, column

THROTTLE_MS = 500
"""A running run changes four times a second; twice a second is enough to look at."""
_COLUMNS = (Column("Run", 60), Column("Name"), Column("State", 120), Column("Doing", 170),
            Column("Result", 220), Column("Time", 110, right=True), Column("Cost", 120, right=True), Column("Started", 130))


class RunsPage(Page):
    """Two views: all runs, one run."""

    title = "Runs"
    subtitle = "What ran, what is running, and what came of it"
    watches = frozenset({"runs", "steps", "metrics", "events", "usage", "evaluations"})
    margins = (0, 0, 0, 0)
    scrolls = False

    def build(self) -> None:
        self._run = ""
        self._stack = QStackedWidget()
        self.table = Table(_COLUMNS, "Runs")
        self.table.opened.connect(self.open)
        start = Button("Run the starter kit", "filled", "play", clicked=lambda: self.shell.run("legal"))
        self._empty = EmptyState("Nothing has run. The starter kit shows the whole way, from data to an endpoint.",
                                 "activity", start)
        card = Card()
        card.setLayout(column(self.table, margins=(8, 4, 8, 8)))
        self._list = QWidget()
        self._list.setLayout(column(card, margins=(28, 24, 28, 24)))
        for view in (self._empty, self._list):
            self._stack.addWidget(view)
        self.body.addWidget(self._stack)
        self._back = Button("All runs", "quiet", "activity", clicked=self.show_list)
        self._back.hide()
        self._new = Button("New run", "filled", "plus", tooltip="Choose a kit to run", clicked=lambda: self.shell.go("kits"))
        self._new.hide()
        self.header.actions.addWidget(self._back)
        self.header.actions.addWidget(self._new)
        self._made: RunPane | None = None
        QTimer.singleShot(50, self, lambda: self.pane)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(THROTTLE_MS)
        self._rest.timeout.connect(self._refresh_if_seen)

    @property
    def pane(self) -> RunPane:
        """The view of one run, made a moment after the page or when first needed."""
        if self._made is None:
            self._made = RunPane(self)
            self._stack.addWidget(self._made)
            for button in self._made.buttons:
                self.header.actions.addWidget(button)
        return self._made

    def mark_stale(self) -> None:
        self._stale = True
        if not self._rest.isActive():
            self._rest.start()

    def refresh(self) -> None:
        from app.workflow import views

        if self._run:
            self.pane.ask(self._run)
        else:
            query(self, views.runs, done=self.show_runs)

    def open(self, argument: str) -> None:
        """Show one run."""
        self._run = argument
        self._stack.setCurrentWidget(self.pane)
        self._back.show()
        self._new.hide()
        self.pane.begin()
        if self.background.store is not None:
            self.refresh()

    def show_list(self) -> None:
        """Back to all runs."""
        self._run = ""
        self._back.hide()
        self.pane.leave()
        self.header.say(self.title, self.subtitle)
        self._stack.setCurrentWidget(self._list)
        self.refresh()

    def show_runs(self, lines: list[Any]) -> None:
        """Fill the list."""
        if self._run:
            return
        self._stack.setCurrentWidget(self._list if lines else self._empty)
        self._new.setVisible(bool(lines))
        self.table.show_rows([(line.id, _cells(line)) for line in lines])

    def run_primary(self) -> None:
        if self._run:
            self.pane.resume()

    def stop_and_save(self) -> None:
        if self._run:
            self.pane.stop("save")


def _cells(line: Any) -> list[Cell]:
    seconds = (line.ended or 0) - line.started if line.started and line.ended else None
    doing = f"{line.step}, {100 * line.progress:.0f} %" if line.state in ("running", "paused", "failed") else ""
    found = line.verdict
    word = words.VERDICTS[found.verdict][0] if found else ""
    margin = f" {words.signed(100 * found.difference)}" if found else ""
    return [Cell(str(line.number), "textTertiary"), Cell(line.name, strong=True),
            Cell(words.STATES.get(line.state, line.state), dot=words.STATE_TOKENS.get(line.state, "textDisabled")),
            Cell(doing, "textSecondary"), Cell(word + margin),
            Cell(words.duration(seconds) if seconds is not None else "", "textSecondary"),
            Cell(words.money(line.cost.total, line.cost.currency) if line.cost else "", "textSecondary"),
            Cell(words.day(line.started or line.created), "textTertiary")]
