"""Which rows are shown: search words, state, and behind one button use, reason, rating and score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QGridLayout, QLineEdit, QWidget

from app.data.reasons import reason_words
from ui.dataset.datawords import RATING_WORDS, ROW_STATES, SPLIT_WORDS
from ui.language import tr
from ui.theme import icon
from ui.widgets.buttons import Button, Choice
from ui.widgets.text import Label, column, row

if TYPE_CHECKING:
    from app.data.browse import RowFilter
    from app.data.measures import Measure

TYPING_MS = 220
STATES = ("", "kept", "removed", "changed", "added", "back", "set_aside")


class FilterBar(QWidget):
    """``changed`` when other rows are wanted; :meth:`wanted` says which."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Search"))
        self.search.setAccessibleName(tr("Search in the rows"))
        self.search.setToolTip(tr('Words in any order; "words in quotation marks" as they stand; the last word also as a beginning'))
        self.search.setProperty("soft", True)
        self._glass = QAction(icon("search", "textTertiary"), "", self.search)
        self.search.addAction(self._glass, QLineEdit.ActionPosition.LeadingPosition)
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_MS)
        self._typing.timeout.connect(self.changed)
        self.search.textEdited.connect(lambda _text: self._typing.start())
        self.search.returnPressed.connect(self._now)
        self.state = Choice("Which rows")
        self.state.setProperty("soft", True)
        for key in STATES:
            self.state.addItem(tr(ROW_STATES[key]), key)
        self.state.activated.connect(lambda _index: self.changed.emit())
        self.more = Button("Filter", "outline", "list-filter", clicked=self._open)
        self.clear = Button("", "quiet", "x", tooltip="Show all rows again", clicked=self.reset)
        self.popup = FilterPopup(self)
        self.popup.changed.connect(self._popup_changed)
        layout = row(self.search, self.state, self.more, self.clear, gap=8)
        layout.setStretch(0, 1)
        self.setLayout(layout)
        self._mark()
        self.changed.connect(self._mark)

    def wanted(self) -> RowFilter:
        """The filter as the fields say."""
        from app.data.browse import RowFilter

        return RowFilter(state=self.state.currentData(), words=self.search.text(), **self.popup.values())

    def offer(self, rows: int, reasons: dict[str, int], measures: list[Measure]) -> None:
        """What there is to choose from in this version."""
        self.search.setPlaceholderText(tr(f"Search in {rows:,} row{'s' * (rows != 1)}"))
        self.popup.offer(reasons, measures)

    def set(self, *, state: str = "", score: str = "", low: float | None = None, high: float | None = None) -> None:
        """Ask for some rows from elsewhere on the page."""
        self._typing.stop()
        self.search.clear()
        self.state.setCurrentIndex(max(self.state.findData(state), 0))
        self.popup.set(score, low, high)
        self.changed.emit()

    def reset(self) -> None:
        """All rows."""
        self.set()

    def score(self) -> str:
        """Title of the score that is chosen, or of the one shown beside."""
        return self.popup.score_title()

    def _now(self) -> None:
        self._typing.stop()
        self.changed.emit()

    def _open(self) -> None:
        self.popup.adjustSize()
        self.popup.move(self.more.mapToGlobal(QPoint(self.more.width() - self.popup.width(), self.more.height() + 4)))
        self.popup.show()
        self.popup.first.setFocus()

    def _popup_changed(self) -> None:
        self._mark()
        self.changed.emit()

    def _mark(self) -> None:
        count = self.popup.count()
        self.more.say(f"Filter, {count}" if count else "Filter")
        self.clear.setVisible(bool(count or self.search.text() or self.state.currentIndex()))


class FilterPopup(QFrame):
    """Use, reason, rating and score."""

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setProperty("popup", True)
        self.setAccessibleName(tr("Filter"))
        self.first = self._use = _choice("Use of the rows", [("Any use", None), *((SPLIT_WORDS[key].capitalize(), key)
                                                                                   for key in ("train", "calibration", "test", ""))])
        self._reason = _choice("Reason", [("Any reason", "")])
        self._rating = _choice("Rating by a person", [("Any rating", None), *((word, key) for key, word in RATING_WORDS.items())])
        self._score = _choice("Score", [("Not by a score", "")])
        self._order = _choice("Order", [("Lowest first", False), ("Highest first", True)])
        self._low, self._high = _bound("Lowest score"), _bound("Highest score")
        self._measures: dict[str, Measure] = {}
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        between = QWidget()
        between.setLayout(row(self._low, Label("to", "small", "tertiary"), self._high, gap=6))
        for number, (words, field) in enumerate((("Use", self._use), ("Reason", self._reason), ("Rating", self._rating),
                                                 ("Score", self._score), ("Between", between), ("Order", self._order))):
            grid.addWidget(Label(words, "small", "secondary"), number, 0)
            grid.addWidget(field, number, 1)
        self.setLayout(column(grid, margins=(16, 14, 16, 16)))
        for box in (self._use, self._reason, self._rating, self._order):
            box.activated.connect(lambda _index: self.changed.emit())
        self._score.activated.connect(lambda _index: self._score_chosen())
        for bound in (self._low, self._high):
            bound.editingFinished.connect(self._bounds_given)
        self._allow_bounds()

    def offer(self, reasons: dict[str, int], measures: list[Measure]) -> None:
        """Reasons and scores of the version shown."""
        self._measures = {measure.name: measure for measure in measures}
        _refill(self._reason, [("Any reason", ""), *((f"{reason_words(name, count).capitalize()}, {count:,}", name)
                                                     for name, count in sorted(reasons.items(), key=lambda one: -one[1]))])
        _refill(self._score, [("Not by a score", ""), *((measure.title, measure.name) for measure in measures)])
        self._allow_bounds()

    def values(self) -> dict[str, Any]:
        """As app.data.browse.RowFilter takes them."""
        score = str(self._score.currentData() or "")
        found: dict[str, Any] = {"split": self._use.currentData(), "reason": self._reason.currentData() or "",
                                    "rating": self._rating.currentData(), "score": score}
        if score:
            found |= {"low": _number(self._low), "high": _number(self._high), "descending": bool(self._order.currentData())}
        return found

    def score_title(self) -> str:
        """What the chosen score is called."""
        measure = self._measures.get(str(self._score.currentData() or "quality"))
        return measure.title if measure else "Quality"

    def count(self) -> int:
        """How many of them are set."""
        return sum(box.currentIndex() > 0 for box in (self._use, self._reason, self._rating, self._score))

    def set(self, score: str, low: float | None, high: float | None) -> None:
        """Only a score, or nothing, without telling."""
        for box in (self._use, self._reason, self._rating):
            box.setCurrentIndex(0)
        self._score.setCurrentIndex(max(self._score.findData(score), 0))
        for field, value in ((self._low, low), (self._high, high)):
            field.setText("" if value is None else f"{value:.6g}")
        self._worst_first()
        self._allow_bounds()

    def _score_chosen(self) -> None:
        self._low.clear()
        self._high.clear()
        self._worst_first()
        self._allow_bounds()
        self.changed.emit()

    def _worst_first(self) -> None:
        measure = self._measures.get(str(self._score.currentData() or ""))
        self._order.setCurrentIndex(1 if measure is not None and measure.better == "low" else 0)

    def _bounds_given(self) -> None:
        if self._low.isModified() or self._high.isModified():
            self._low.setModified(False)
            self._high.setModified(False)
            self.changed.emit()

    def _allow_bounds(self) -> None:
        measure = self._measures.get(str(self._score.currentData() or ""))
        self._score.setToolTip(tr(measure.meaning if measure else ""))
        for field in (self._low, self._high, self._order):
            field.setEnabled(measure is not None)


def _choice(name: str, options: list[tuple[str, object]]) -> Choice:
    box = Choice(name)
    box.setMinimumWidth(200)
    for text, key in options:
        box.addItem(tr(text), key)
    return box


def _refill(box: Choice, options: list[tuple[str, object]]) -> None:
    """Other options; what was chosen stays chosen if it is still there."""
    chosen = box.currentData()
    box.clear()
    for text, key in options:
        box.addItem(tr(text), key)
    box.setCurrentIndex(max(box.findData(chosen), 0))


def _bound(name: str) -> QLineEdit:
    field = QLineEdit()
    field.setAccessibleName(tr(name))
    field.setPlaceholderText(tr("any"))
    field.setFixedWidth(84)
    return field


def _number(field: QLineEdit) -> float | None:
    try:
        value = float(field.text().replace(",", "."))
    except ValueError:
        value = float("nan")
    wrong = bool(field.text().strip()) and value != value
    field.setProperty("error", wrong)
    field.style().unpolish(field)
    field.style().polish(field)
    return None if value != value else value
