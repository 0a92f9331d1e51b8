"""A table of a million rows: the scroll bar spans all of them, and only the pages that are looked at are read.

The table knows the places of its rows (numbers; see app.data.browse) and asks for records by them: ``asked`` goes out when a page
that can be seen is missing, :meth:`RowsTable.answer` brings it in.  One question is under way at a time; when the answer comes, what
can be seen then is asked for, so that dragging the scroll bar asks for where it rests and not for all it passes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from PySide6.QtCore import QItemSelection, QItemSelectionRange, QModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QWidget

from ui.theme import theme
from ui.widgets.table import AnyIndex, Cell, CellModel, CellPen, CellView, Column

PAGE, MOST_PAGES = 16, 256
WAITING = Cell("", "textTertiary")
Cells = Callable[[Any], Sequence[Cell]]


class _Pages(CellModel):
    """The pages that were read last; a row that is not there is blank."""

    def __init__(self, columns: Sequence[Column], cells: Cells, parent: QWidget) -> None:
        super().__init__(columns, parent)
        self.places: Sequence[int] = range(0)
        self._shown = 0
        self._cells = cells
        self._pages: OrderedDict[int, list[tuple[Any, Sequence[Cell]]]] = OrderedDict()

    def rowCount(self, parent: AnyIndex = QModelIndex()) -> int:  # noqa: B008  # Qt's own signature
        return 0 if parent.isValid() else self._shown

    def cell(self, row: int, column: int) -> Cell:
        held = self._held(row)
        return held[1][column] if held else WAITING

    def record(self, row: int) -> Any:
        """What was read for a row, or None."""
        held = self._held(row)
        return held[0] if held else None

    def cells(self, row: int) -> Sequence[Cell] | None:
        """What stands in a row, or None if it has not been read."""
        held = self._held(row)
        return held[1] if held else None

    def _held(self, row: int) -> tuple[Any, Sequence[Cell]] | None:
        page = self._pages.get(row // PAGE)
        return page[row % PAGE] if page is not None and row % PAGE < len(page) else None

    def begin(self, places: Sequence[int], first: Sequence[Any] = ()) -> None:
        """Show other rows; the first of them may be there already."""
        self.beginResetModel()
        self.places, self._shown = places, len(places)
        self._pages.clear()
        for start in range(0, len(first), PAGE):
            self._pages[start // PAGE] = [(one, self._cells(one)) for one in first[start : start + PAGE]]
        self.endResetModel()

    def grow(self) -> None:
        """More places were added at the end."""
        if len(self.places) > self._shown:
            self._pages.pop(self._shown // PAGE, None)  # it was not full
            self.beginInsertRows(QModelIndex(), self._shown, len(self.places) - 1)
            self._shown = len(self.places)
            self.endInsertRows()

    def missing(self, first: int, last: int) -> list[int]:
        """Pages of these rows that were not read; touches the others."""
        pages = range(first // PAGE, last // PAGE + 1)
        for page in pages:
            if page in self._pages:
                self._pages.move_to_end(page)
        return [page for page in pages if page not in self._pages]

    def fill(self, page: int, records: Sequence[Any]) -> None:
        """A page was read."""
        self._pages[page] = [(one, self._cells(one)) for one in records]
        while len(self._pages) > MOST_PAGES:
            self._pages.popitem(last=False)
        top = page * PAGE
        self.dataChanged.emit(self.index(top, 0), self.index(min(top + PAGE, self._shown) - 1, len(self.columns) - 1))

    def forget(self) -> None:
        """What was read may be old."""
        self._pages.clear()


class RowsTable(CellView):
    """Shows the rows at some places.  ``picked``: the place of the current row, -1 for none; ``seen``: first and last row, from 0."""

    asked = Signal(object)
    """Places to be read; answer with :meth:`answer`."""
    picked = Signal(int)
    seen = Signal(int, int)
    selection_changed = Signal()

    def __init__(self, columns: Sequence[Column], cells: Cells, name: str) -> None:
        super().__init__(name)
        self._pages = _Pages(columns, cells, self)
        self.take(self._pages)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self._under_way: list[int] = []
        self._look = QTimer(self)
        self._look.setSingleShot(True)
        self._look.setInterval(0)
        self._look.timeout.connect(self.look)
        self.verticalScrollBar().valueChanged.connect(lambda _value: self._look.start())
        self.selectionModel().currentRowChanged.connect(self._pick)

    # ---- what is shown ---------------------------------------------------------------------------------------------

    @property
    def places(self) -> Sequence[int]:
        """Where the rows are, in order."""
        return self._pages.places

    def show_places(self, places: Sequence[int], first: Sequence[Any] = ()) -> None:
        """Show these rows from the top.  first: records of the first of them, whole pages unless there are no more."""
        self._under_way = []
        self._pages.begin(places, first)
        self.scrollToTop()
        self.picked.emit(-1)
        self.look()

    def grow(self) -> None:
        """More places were added to the sequence given."""
        self._pages.grow()
        self.look()

    def reorder(self, places: Sequence[int]) -> None:
        """The same rows, now in their final order; what can be seen stays where it is if the order there is the same."""
        first, last = self.in_view()
        if list(places[first : last + 1]) == list(self.places[first : last + 1]) and len(places) == len(self.places):
            self._pages.places = places
            self._pages.forget()
        else:
            self._under_way = []
            self._pages.begin(places)
        self.look()

    def retitle(self, number: int, title: str) -> None:
        """Another heading over a column."""
        self._pages.columns = [Column(title, one.width, one.right) if place == number else one
                               for place, one in enumerate(self._pages.columns)]
        self._pages.headerDataChanged.emit(Qt.Orientation.Horizontal, number, number)

    def reload(self) -> None:
        """Read what can be seen again."""
        self._pages.forget()
        self._under_way = []
        self.look()

    def in_view(self) -> tuple[int, int]:
        """First and last row that can be seen, from 0; (0, -1) if there is none."""
        total = len(self.places)
        first = self.rowAt(0)
        last = self.rowAt(self.viewport().height() - 1)
        return (0, -1) if total == 0 else (max(first, 0), last if last >= 0 else total - 1)

    def page_rows(self) -> int:
        """Rows of the pages that can be seen at the top."""
        return PAGE * (self.viewport().height() // self.verticalHeader().defaultSectionSize() // PAGE + 1)

    def look(self) -> None:
        """Ask for the pages that can be seen and are missing."""
        self._look.stop()
        first, last = self.in_view()
        self.seen.emit(first, last)
        if self._under_way or last < first:
            return
        if missing := self._pages.missing(first, last):
            self._under_way = missing
            self.asked.emit([place for page in missing for place in self.places[page * PAGE : (page + 1) * PAGE]])

    def answer(self, records: Sequence[Any] | None) -> None:
        """The records of the places that were asked for last; None if they could not be read."""
        pages, self._under_way = self._under_way, []
        if records is None:
            return
        start = 0
        for page in pages:
            size = len(self.places[page * PAGE : (page + 1) * PAGE])
            self._pages.fill(page, records[start : start + size])
            start += size
        self._look.start()

    # ---- going places ----------------------------------------------------------------------------------------------

    def go_to(self, row: int) -> None:
        """Show a row, counted from 0, and make it the current one."""
        if self.places:
            index = self._pages.index(min(max(row, 0), len(self.places) - 1), 0)
            self.scrollTo(index, QAbstractItemView.ScrollHint.PositionAtTop)
            self.look()  # before anybody asks more of the row that becomes the current one
            self.setCurrentIndex(index)

    def place(self) -> int:
        """The place of the current row, or -1."""
        row = self.currentIndex().row()
        return self.places[row] if 0 <= row < len(self.places) else -1

    def record(self) -> Any:
        """What was read for the current row, or None."""
        return self._pages.record(self.currentIndex().row())

    def chosen(self) -> list[int]:
        """Places of all selected rows."""
        return [place for one in self._ranges() for place in self.places[one.top() : one.bottom() + 1]]

    def chosen_count(self) -> int:
        """How many rows are selected."""
        return sum(one.height() for one in self._ranges())

    def _ranges(self) -> Iterable[QItemSelectionRange]:
        return cast("Iterable[QItemSelectionRange]", self.selectionModel().selection())  # its stub does not say that it can be walked

    def _pick(self, index: QModelIndex) -> None:
        if index.isValid():
            self.picked.emit(self.places[index.row()])

    def selectionChanged(self, selected: QItemSelection, deselected: QItemSelection) -> None:
        """Tell."""
        super().selectionChanged(selected, deselected)
        self.selection_changed.emit()

    # ---- Qt --------------------------------------------------------------------------------------------------------

    def keyboardSearch(self, search: str) -> None:
        """Nothing: Qt would look through a million rows for one that begins with the key."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        """More rows may be seen now."""
        super().resizeEvent(event)
        self._look.start()

    def paintEvent(self, event: QPaintEvent) -> None:
        """All rows that can be seen, in one go: Qt's way over a delegate takes twice as long.  Rows that come in a moment stay blank."""
        first, last = self.in_view()
        if last >= first and self._pages.missing(first, last) and not self._under_way:
            self._look.start()
        painter = QPainter(self.viewport())
        painter.fillRect(event.rect(), theme.color("surface"))
        header, pen, chosen = self.horizontalHeader(), CellPen(painter), self.selectionModel()
        columns = [(number, header.sectionViewportPosition(number), header.sectionSize(number), column.right)
                   for number, column in enumerate(self._pages.columns) if not header.isSectionHidden(number)]
        height, width = self.verticalHeader().defaultSectionSize(), header.length()
        for row in range(first, last + 1):
            held = self._pages.cells(row)
            if held is None:
                continue
            top = self.rowViewportPosition(row)
            pen.ground(0, top, width, height, chosen.isRowSelected(row))
            for number, left, wide, right in columns:
                pen.write(held[number], left, top, wide, height, right)
        painter.end()
