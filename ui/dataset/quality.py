"""How good the rows of a version are: the score with its parts, how each measure is spread, and the way to the worst rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QStackedWidget, QWidget

from ui.background import query
from ui.language import tr
from ui.widgets.buttons import Button
from ui.widgets.feedback import Bar, EmptyState
from ui.widgets.histogram import Histogram
from ui.widgets.listing import Panel
from ui.widgets.text import Card, Label, clear, column, row, scrolling

if TYPE_CHECKING:
    from app.data.quality_views import Assessment, Distribution
    from ui.pages.base import Page

COLUMNS = 3
BETTER = {"high": "more is better", "low": "less is better", "middle": "the middle is best"}


class QualityPane(QWidget):
    """``rows_wanted(score, low, high)``: the rows behind a bar, or the worst ones (no bounds: ±1e300).  measure: asked for by a button."""

    rows_wanted = Signal(str, float, float)

    def __init__(self, page: Page, measure: Callable[[], object]) -> None:
        super().__init__()
        self._page = page
        self.found: Assessment | None = None
        self._score = Label("", "display")
        self._said = Label("", "body", "secondary", wrap=True)
        self._parts = QGridLayout()
        self._parts.setHorizontalSpacing(14)
        self._parts.setVerticalSpacing(4)
        self._parts.setContentsMargins(16, 8, 16, 12)
        self._grid = QGridLayout()
        self._grid.setSpacing(12)
        self._notes = Label("", "small", "tertiary", wrap=True)
        worst = Button("Show the worst rows first", "outline", "list-filter",
                       clicked=lambda: self.rows_wanted.emit("quality", -1e300, 1e300))
        panel = Panel("What the score is made of", "0 bad, 100 good")
        panel.body.addLayout(self._parts)
        head = row(column(row(self._score, Label("of 100", "body", "tertiary"), None, gap=6), self._said, gap=2), worst, gap=16)
        head.setStretch(0, 1)
        area = scrolling(column(head, panel, Label("How the rows are spread", "heading"),
                                Label("A click on a bar shows its rows.", "small", "tertiary"), self._grid, self._notes, None, gap=12,
                                margins=(20, 16, 20, 20)), "Quality of this version")
        self._stack = QStackedWidget()
        self._stack.addWidget(EmptyState("The quality of this version has not been measured. It is measured row by row; no row is changed.",
                                         "gauge", Button("Measure quality", "outline", "gauge", clicked=measure)))
        self._stack.addWidget(area)
        self.setLayout(column(self._stack))

    def show_version(self, dataset: str, version: int) -> None:
        """Ask for the assessment of a version."""
        from app.data import quality_views

        query(self._page, quality_views.assessment, dataset, version, done=self._show, key="assessment")

    def _show(self, found: Assessment | None) -> None:
        from app.data.measures import BY_NAME

        same, self.found = found == self.found, found
        self._stack.setCurrentIndex(0 if found is None else 1)
        if found is None or same:
            return
        self._score.say(f"{found.score:.0f}")
        are = "is" if found.poor == 1 else "are"
        self._said.say(f"{found.poor:,} of {found.rows:,} rows {are} worth a look: quality under {found.poor_under:g}.")
        clear(self._parts)
        titles = {name: measure.title for name, measure in BY_NAME.items()}
        for number, (name, value) in enumerate(sorted(found.parts.items(), key=lambda one: one[1])):
            self._add_part(number, titles.get(name, name), value)
        clear(self._grid)
        for number, one in enumerate(found.distributions):
            self._grid.addWidget(self._card(one), number // COLUMNS, number % COLUMNS)
        languages = ", ".join(f"{name} {count:,}" for name, count in found.languages.items())
        self._notes.say("\n".join([*found.notes, f"Languages: {languages}." if languages else "", found.formula]).strip())

    def _add_part(self, number: int, title: str, value: float) -> None:
        bar = Bar(6)
        bar.show_fraction(value / 100)
        figure = Label(f"{value:.0f}", "strong")
        figure.setAlignment(Qt.AlignmentFlag.AlignRight)
        bar.setAccessibleName(tr(f"{title}: {value:.0f} of 100"))
        self._parts.addWidget(Label(title, "small", "secondary"), number, 0)
        self._parts.addWidget(bar, number, 1)
        self._parts.addWidget(figure, number, 2)
        self._parts.setColumnStretch(1, 1)

    def _card(self, one: Distribution) -> QWidget:
        measure = one.measure
        picture = Histogram(measure.title, one.edges, one.counts, measure.unit)
        picture.setToolTip(tr(f"{measure.meaning}; {BETTER[measure.better]}"))
        picture.chosen.connect(lambda low, high: self.rows_wanted.emit(measure.name, low, high))
        card = Card()
        median = f"median {one.median:.3g}" + (f" {measure.unit}" if measure.unit else "")
        missing = self.found.rows - one.rows if self.found is not None else 0
        note = median + (f", {missing:,} rows without" if missing > 0 else "")
        card.setLayout(column(Label(measure.title, "strong"), Label(note, "small", "tertiary", elide=True), picture, gap=2,
                              margins=(12, 10, 12, 8)))
        return card
