"""Runs: the list, and one run with its steps, three answers and curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLineEdit, QStackedWidget, QWidget

from ui import words
from ui.background import command, query
from ui.language import tr
from ui.pages.base import Page
from ui.runcompare import RunCompare
from ui.runqueue import RunQueue
from ui.runview import GOING, RunPane
from ui.widgets.buttons import Button
from ui.widgets.feedback import EmptyState
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Card, column, row

if TYPE_CHECKING:
    from app.errors import NeuroWeaverError

MOST_COMPARED = 4
THROTTLE_MS = 500
"""A running run changes four times a second; twice a second is enough to look at."""
WIDE = 1060
"""px from which all columns have room."""
_COLUMNS = (Column("No.", 60), Column("Name"), Column("State", 120), Column("Doing", 140),
            Column("Result", 165), Column("Time", 100, right=True), Column("Cost", 115, right=True), Column("Started", 115))


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
        self.table.opened.connect(self._clicked)
        start = Button("Run the starter kit", "filled", "play", clicked=lambda: self.shell.run("legal"))
        self._empty = EmptyState("Nothing has run. The starter kit shows the whole way, from data to an endpoint.",
                                 "activity", start)
        self._lines: list[Any] = []
        self._chosen: dict[str, None] = {}
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Search names, tags and notes"))
        self.search.setAccessibleName(tr("Search names, tags and notes"))
        self.search.setFixedWidth(280)
        self.search.textChanged.connect(lambda _text: self._fill())
        self.choosing = Button("Compare runs", "outline", "scale", tooltip="Choose two to four runs", clicked=self._choose_mode)
        self.choosing.setCheckable(True)
        self.compare = Button("Show side by side", "outline", clicked=self._ask_comparison)
        self.compare.hide()
        self.queue = RunQueue()
        self.queue.reordered.connect(self._reorder)
        card = Card()
        card.setLayout(column(self.table, margins=(8, 4, 8, 8)))
        self._list = QWidget()
        whole = column(row(self.search, None, self.compare, self.choosing, gap=8), self.queue, card, gap=16, margins=(28, 20, 28, 24))
        whole.setStretch(2, 1)
        self._list.setLayout(whole)
        self.comparison = RunCompare()
        for view in (self._empty, self._list, self.comparison):
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

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A narrow table leaves out when a run began, which its order shows."""
        super().resizeEvent(event)
        self.table.setColumnHidden(len(_COLUMNS) - 1, self.width() < WIDE)

    @property
    def pane(self) -> RunPane:
        """The view of one run, made a moment after the page or when first needed."""
        if self._made is None:
            self._made = RunPane(self)
            self._stack.addWidget(self._made)
            for button in self._made.buttons:
                self.header.actions.addWidget(button)
        return self._made

    def store_changed(self, tables: set[str]) -> None:
        """Figures of the machine come all the time; only a run that is going draws them."""
        if self._draws_figures() or self.watches & tables - {"metrics"}:
            super().store_changed(tables)

    def _draws_figures(self) -> bool:
        view = self.pane._view if self._run and self._made is not None else None
        return bool(self._run) and (view is None or view.line.state in GOING)

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
            query(self, views.waiting, done=self.queue.show_lines)

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
        self.choosing.setChecked(False)
        self._choose_mode()
        self.header.say(self.title, self.subtitle)
        self._stack.setCurrentWidget(self._list)
        self.refresh()

    def show_runs(self, lines: list[Any]) -> None:
        """Fill the list."""
        if self._run or self._stack.currentWidget() is self.comparison:
            return
        self._stack.setCurrentWidget(self._list if lines else self._empty)
        self._new.setVisible(bool(lines))
        self._lines = lines
        self._fill()

    def _fill(self) -> None:
        parts = self.search.text().casefold().split()
        shown = [line for line in self._lines
                 if all(part in f"{line.name} {' '.join(line.tags)} {line.note}".casefold() for part in parts)]
        self.table.show_rows([(line.id, _cells(line, chosen=line.id in self._chosen)) for line in shown])

    # ---- comparing and ordering ------------------------------------------------------------------------------------

    def _clicked(self, run: str) -> None:
        if not self.choosing.isChecked():
            self.open(run)
            return
        if run in self._chosen:
            del self._chosen[run]
        else:
            self._chosen[run] = None
        count = len(self._chosen)
        self.compare.allow("" if 2 <= count <= MOST_COMPARED else f"Choose two to {MOST_COMPARED} runs; {count} chosen")
        self._fill()

    def _choose_mode(self) -> None:
        """While it is on, a click chooses a run in place of opening it."""
        on = self.choosing.isChecked()
        self._chosen.clear()
        self.compare.setVisible(on)
        self.compare.allow(f"Choose two to {MOST_COMPARED} runs")
        self._fill()

    def _ask_comparison(self) -> None:
        from app.workflow import runbook

        query(self, runbook.compare, list(self._chosen), done=self._show_comparison, slow=True)

    def _show_comparison(self, found: Any) -> None:
        self.comparison.show_comparison(found)
        self._back.show()
        self._new.hide()
        self.header.say("Compare runs", f"{len(found.lines)} runs side by side")
        self._stack.setCurrentWidget(self.comparison)

    def _reorder(self, order: list[str]) -> None:
        from app.workflow import runbook

        self.queue.settled = False
        command(self, runbook.reorder, order, done=lambda _: self._settle(), failed=self._not_reordered)

    def _not_reordered(self, problem: NeuroWeaverError) -> None:
        self._settle()
        self.show_error(problem)

    def _settle(self) -> None:
        self.queue.settled = True
        self.mark_stale()

    def run_primary(self) -> None:
        if self._run:
            self.pane.resume()

    def stop_and_save(self) -> None:
        if self._run:
            self.pane.stop("save")


def _cells(line: Any, *, chosen: bool = False) -> list[Cell]:
    doing, state = words.reached(line) if line.state in ("running", "paused", "failed") else "", line.state
    if line.waits_for:
        doing, state = f"Waits for run {line.waits_for}", "queued"
    found = line.verdict
    word = words.VERDICTS[found.verdict][0] if found else ""
    margin = f" {words.change(found.metric, found.difference)}" if found else ""
    return [Cell(str(line.number), "textTertiary", dot="accent" if chosen else ""),
            Cell(" · ".join([line.name, *line.tags]), strong=True, own=True),
            Cell(words.STATES.get(state, state), dot=words.STATE_TOKENS.get(state, "textDisabled")),
            Cell(doing, "textSecondary"), Cell(word + margin),
            Cell(words.duration(line.seconds) if line.seconds is not None else "", "textSecondary"),
            Cell(words.money(line.cost.total, line.cost.currency) if line.cost else "", "textSecondary"),
            Cell(words.day(line.started or line.created), "textTertiary")]
