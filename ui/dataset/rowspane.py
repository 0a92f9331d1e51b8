"""The rows of one version: search and filters above, a table of any length, the chosen row beside it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QIntValidator, QResizeEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from ui.background import command, query
from ui.dataset.datawords import RowCells, rows_words
from ui.dataset.filters import FilterBar
from ui.dataset.found import FoundRows
from ui.dataset.rowpanel import RATING_KEYS, RowPanel, row_pieces
from ui.language import tr
from ui.shortcuts import Heard
from ui.widgets.buttons import Button
from ui.widgets.feedback import Bar
from ui.widgets.rows import RowsTable
from ui.widgets.text import Label, Line, column, row

if TYPE_CHECKING:
    from app.data.browse import RowFilter, WholeRow
    from app.data.measures import Measure
    from app.data.search import Prepared
    from app.data.views import VersionView
    from ui.pages.base import Page

LOOK_AGAIN_SECONDS = 2.0
PICK_MS = 60
WIDE = 800
"""px from which all columns are shown."""


class RowsPane(QWidget):
    """``changed(version)``: a new version was made here by hand; ``row_chosen(position)``: for the other parts of the page."""

    changed = Signal(int)
    row_chosen = Signal(int)
    panel_shown = Signal(bool)

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._dataset, self._version, self._total = "", 0, 0
        self._wanted: RowFilter | None = None
        self._offers_due = False
        self._indexed: set[tuple[str, int, bool]] = set()
        """Of which it is known that they are whole."""
        self._measures: list[Measure] = []
        self._asked_at = 0.0
        self.filters = FilterBar()
        self.filters.changed.connect(self.look_for)
        self._cells = RowCells()
        self.table = RowsTable(RowCells.columns, self._cells, "Rows")
        self.found = FoundRows(page, self.table, self._cells, "find")
        self.found.begun.connect(self._begun)
        self.found.changed.connect(self._say_where)
        self.table.seen.connect(lambda _first, _last: self._say_where())
        self.table.picked.connect(self._pick)
        self._picking = QTimer(self)
        self._picking.setSingleShot(True)
        self._picking.setInterval(PICK_MS)
        self._picking.timeout.connect(lambda: self._ask_whole(self.table.place()))
        self.table.selection_changed.connect(self._say_chosen)
        self.panel = RowPanel()
        self.panel.hide()
        self.panel.closed.connect(self._close_panel)
        self.panel.rated.connect(self.rate)
        self.panel.edited.connect(self._edit)
        self.panel.undo.connect(self.undo)
        self.panel.remove.connect(self.remove)
        left = QWidget()
        body = column(column(self.filters, margins=(20, 12, 20, 10)), self._progress_line(), Line(),
                      column(self.table, margins=(8, 0, 8, 0)), Line(), self._foot())
        body.setStretch(3, 1)
        left.setLayout(body)
        self._line = Line("v")
        self._line.hide()
        whole = row(left, self._line, self.panel, gap=0)
        whole.setStretch(0, 1)
        self.setLayout(whole)
        self._keys()

    def _progress_line(self) -> QWidget:
        self._bar = Bar(3)
        self._doing = Label("", "small", "tertiary", elide=True)
        self._progress = QWidget()
        layout = row(self._doing, self._bar, gap=12, margins=(20, 0, 20, 8))
        layout.setStretch(0, 1)
        layout.setStretch(1, 1)
        self._progress.setLayout(layout)
        self._progress.hide()
        return self._progress

    def _foot(self) -> QWidget:
        self.where = Label("", "small", "secondary")
        self._chosen = Label("", "small", "tertiary")
        self._undo_many = Button("Undo", "outline", "undo-2", size="small", clicked=self.undo)
        self._remove_many = Button("Remove", "outline", "trash-2", size="small", clicked=self.remove)
        self.number = QLineEdit()
        self.number.setAccessibleName(tr("Go to row"))
        self.number.setPlaceholderText(tr("Go to row"))
        self.number.setToolTip(tr("A row's number, then Enter"))
        self.number.setValidator(QIntValidator(1, 2_000_000_000, self))
        self.number.setProperty("soft", True)
        self.number.setFixedWidth(104)
        self.number.returnPressed.connect(self._go)
        for button in (self._undo_many, self._remove_many):
            button.hide()  # until several rows are selected
        holder = QWidget()
        holder.setLayout(row(self.where, None, self._chosen, self._undo_many, self._remove_many, self.number, gap=10,
                             margins=(20, 6, 20, 6)))
        return holder

    def _keys(self) -> None:
        for name, field in (("rows.search", self.filters.search), ("rows.goto", self.number)):
            Heard(name, self, field.setFocus, Qt.ShortcutContext.WidgetWithChildrenShortcut, tip=field)
        for value, name in RATING_KEYS.items():
            Heard(name, self.table, partial(self.rate, value))
        for name, deed in (("rows.edit", self._begin_edit), ("rows.remove", self.remove), ("rows.undo", self.undo)):
            Heard(name, self.table, deed)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A narrow table leaves out what stands beside it anyway."""
        super().resizeEvent(event)
        self._fit_columns()

    def _fit_columns(self) -> None:
        room = self.width() - (self.panel.width() if self.panel.isVisibleTo(self) else 0)
        for number in (RowCells.USE, RowCells.QUALITY):
            self.table.setColumnHidden(number, room < WIDE)

    # ---- finding ---------------------------------------------------------------------------------------------------

    def show_version(self, dataset: str, one: VersionView) -> None:
        """Show the rows of a version; the filter stays as it is."""
        same = (dataset, one.version) == (self._dataset, self._version)
        self._dataset, self._version, self._total = dataset, one.version, one.rows + one.removed
        self._reasons: dict[str, int] = {}
        self._offers_due = True
        self._show_shape(one.shape)
        if same and self._wanted is not None:
            self.table.reload()
        else:
            self.look_for()

    def _show_shape(self, shape: str) -> None:
        """Rows of text have no question."""
        self.table.setColumnHidden(RowCells.QUESTION, shape == "text")
        self.table.retitle(RowCells.ANSWER, "Text" if shape == "text" else "Answer")

    def _ask_offers(self) -> None:
        """What the filter offers: asked for when the rows stand, because the reasons of a million rows take a core's tenth of a second."""
        from app.data import browse, quality_views

        self._offers_due = False
        query(self._page, browse.reasons, self._dataset, self._version, done=self._offer_reasons, key="reasons", scan=True)
        query(self._page, quality_views.scores_of, self._dataset, done=self._offer_measures, key="measures")

    def _offer_reasons(self, found: dict[str, dict[str, int]]) -> None:
        self._reasons = {}
        for reasons in found.values():
            for name, count in reasons.items():
                self._reasons[name] = self._reasons.get(name, 0) + count
        self.filters.offer(self._total, self._reasons, self._measures)

    def _offer_measures(self, found: list[Measure]) -> None:
        self._measures = found
        self.filters.offer(self._total, self._reasons, found)

    def look_for(self) -> None:
        """Look for what the filter says from the start."""
        from app.data import search

        if not self._version:
            return
        self._wanted = wanted = self.filters.wanted()
        if not wanted.by_content or self._index() in self._indexed:
            self._stop_preparing()
            self._find()
            return
        self._asked_at = 0.0
        self._show_progress("Preparing the search" if wanted.words.strip() else "Preparing the order", None)
        query(self._page, search.prepare, self._dataset, self._version, bool(wanted.words.strip()), done=self._prepared, key="prepare",
              scan=True)

    def _index(self) -> tuple[str, int, bool]:
        """Names the index that the search needs."""
        return self._dataset, self._version, self._wanted is not None and bool(self._wanted.words.strip())

    def _prepared(self, state: Prepared) -> None:
        """The index is further; go on until it is complete, and show meanwhile what it holds."""
        from app.data import search

        if self._wanted is None or not self._wanted.by_content:
            return
        if state.complete:
            self._indexed.add(self._index())
            self._stop_preparing()
            self._find()
            return
        self._show_progress(f"Preparing the search, {state.share:.0%} of the rows are in it", state.share)
        if not len(self.found.places) or not self._asked_at or self.table.currentIndex().row() < 0:
            now = time.monotonic()
            if now - self._asked_at > LOOK_AGAIN_SECONDS:
                self._asked_at = now
                self._find()
        query(self._page, search.prepare, self._dataset, self._version, True, done=self._prepared, key="prepare", scan=True)

    def _stop_preparing(self) -> None:
        self._progress.hide()
        self._page.background.forget(self._page, "prepare")

    def _show_progress(self, words: str, share: float | None) -> None:
        self._doing.say(words)
        self._bar.show_fraction(share)
        self._progress.show()

    def _find(self) -> None:
        if self._wanted is not None:
            self.found.find(self._dataset, self._version, self._wanted)

    def _begun(self) -> None:
        """Other rows are about to be shown."""
        self.table.retitle(RowCells.QUALITY, self.filters.score())
        self._close_panel()
        if self._offers_due:
            QTimer.singleShot(0, self, self._ask_offers)

    # ---- places ----------------------------------------------------------------------------------------------------

    def _say_where(self) -> None:
        first, last = self.table.in_view()
        self.where.say(rows_words(first, last, len(self.found.places), self.found.complete))

    def _say_chosen(self) -> None:
        count = self.table.chosen_count()
        self._chosen.say(f"{count:,} rows selected" if count > 1 else "")
        many = count > 1 and self._wanted is not None and self._wanted.state != "set_aside"
        self._undo_many.setVisible(many)
        self._remove_many.setVisible(many and self._wanted is not None and self._wanted.state != "removed")

    def go_to_position(self, position: int) -> None:
        """Show the row of this number, or the next one in the list."""
        from app.data import browse

        if not len(self.found.places) or self._wanted is None or self._wanted.state == "set_aside":
            return
        if self._wanted.score:
            place = next((n for n, one in enumerate(self.found.places) if one == position), -1)
        else:
            place = browse.number_of(self.found.places, position)
        if place < 0 or place >= len(self.found.places):
            self._page.shell.toast(f"Row {position:,} is not in this list.")
        else:
            self.table.go_to(place)

    def _go(self) -> None:
        if self.number.text():
            self.go_to_position(int(self.number.text()))
            self.table.setFocus()

    # ---- one row ---------------------------------------------------------------------------------------------------

    def _pick(self, place: int) -> None:
        """The row is read whole when the selection rests on it, not while it runs by."""
        if place < 0:
            self._picking.stop()
            self._close_panel()
        else:
            self._picking.start()

    def _ask_whole(self, place: int) -> None:
        if place < 0:
            return
        query(self._page, _whole, self._dataset, self._version, place, self._wanted, list(self._measures), done=self._show_whole,
              key="whole")

    def _show_whole(self, found: tuple[WholeRow | None, list[tuple[str, str]]]) -> None:
        whole, pieces = found
        self.panel.show_row(whole, pieces)
        self._show_panel(whole is not None)
        if whole is not None and whole.row is not None:
            self.row_chosen.emit(whole.position)

    def _close_panel(self) -> None:
        self._show_panel(False)

    def _show_panel(self, shown: bool) -> None:
        self.panel.setVisible(shown)
        self._line.setVisible(shown)
        self._fit_columns()
        self.panel_shown.emit(shown)

    def _begin_edit(self) -> None:
        if self.panel.isVisible():
            self.panel.edit()

    def _positions(self) -> list[int]:
        """Rows that a deed is about: all selected ones."""
        if self._wanted is None or self._wanted.state == "set_aside":
            return []
        place = self.table.place()
        return self.table.chosen() or ([place] if place >= 0 else [])

    def rate(self, value: int | None) -> None:
        """Rate the selected rows."""
        from app.data import by_hand

        if positions := self._positions():
            command(self._page, by_hand.rate, self._dataset, self._version, positions, value, done=lambda _count: self._read_again())

    def _read_again(self) -> None:
        """What is shown of the chosen rows."""
        self.table.reload()
        self._ask_whole(self.table.place())

    def _edit(self, texts: dict[str, str]) -> None:
        from app.data import by_hand

        if self.panel.shown is not None:
            position = self.panel.shown.position
            command(self._page, by_hand.edit, self._dataset, self._version, position, texts, busy=self.panel.save,
                    done=lambda made: self._made(made, f"Row {position:,} is changed", [position]))

    def remove(self) -> None:
        """Take the selected rows out."""
        from app.data import by_hand

        if positions := self._positions():
            command(self._page, by_hand.take_out, self._dataset, self._version, positions, busy=self._remove_many,
                    done=lambda made: self._made(made, _counted(len(positions), "removed"), positions))

    def undo(self) -> None:
        """The selected rows as they were before."""
        from app.data import by_hand

        if positions := self._positions():
            command(self._page, by_hand.take_back, self._dataset, self._version, positions, busy=self._undo_many,
                    done=lambda made: self._made(made, _counted(made.report["restored"], "as before"), [], _bare_words(made.report)))

    def _made(self, made: Any, words: str, positions: list[int], note: str = "") -> None:
        self._page.shell.toast(f"{words} in version {made.version}.{note}", action="Undo" if positions else "",
                               then=lambda: self._undo_made(made.version, positions))
        if made.version == self._version:  # the same sitting: these rows alone are other ones now
            self._read_again()
        self.changed.emit(made.version)

    def _undo_made(self, version: int, positions: list[int]) -> None:
        from app.data import by_hand

        command(self._page, by_hand.take_back, self._dataset, version, positions, done=lambda made: self._made(made, "Undone", []))


def _counted(count: int, words: str) -> str:
    return f"One row is {words}" if count == 1 else f"{count:,} rows are {words}"


def _bare_words(report: Mapping[str, Any]) -> str:
    """A warning where rows that are back hold what a redaction would have replaced."""
    count = report.get("not_redacted", 0)
    return f" Private data is not replaced in {count:,} of them." if count > 1 else " Its private data is not replaced." if count else ""


def _whole(store: Any, dataset: str, version: int, place: int, wanted: Any, measures: list[Any]) -> Any:
    """A row and its texts, compared word by word: off the main thread."""
    from app.data import browse

    found = browse.whole_row(store, dataset, version, place, wanted)
    return found, row_pieces(found, measures)
