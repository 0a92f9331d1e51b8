"""The rows that a filter finds in a version, on their way into a table: found slice by slice, read page by page."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from ui.background import query

if TYPE_CHECKING:
    from app.data.browse import Part, RowFilter, RowView
    from ui.dataset.datawords import RowCells
    from ui.pages.base import Page
    from ui.widgets.rows import RowsTable


class FoundRows(QObject):
    """places: where they are, so far; complete: whether these are all.  key: names its questions on the page.

    ``begun``: other rows are about to be shown; ``changed``: places or complete did.
    """

    begun = Signal()
    changed = Signal()

    def __init__(self, page: Page, table: RowsTable, cells: RowCells, key: str) -> None:
        super().__init__(table)
        self._page, self._table, self._cells, self._key = page, table, cells, key
        self._of: tuple[str, int, RowFilter] | None = None
        self.places: Sequence[int] = range(0)
        self.complete = True
        table.asked.connect(self._read)

    def find(self, dataset: str, version: int, wanted: RowFilter) -> None:
        """Look for rows from the start."""
        from app.data import browse

        self._of = dataset, version, wanted
        query(self._page, browse.find_first, *self._of, self._table.page_rows(), done=self._begin, key=self._key)

    def show_none(self) -> None:
        """There is nothing to look for."""
        self.places, self.complete = range(0), True
        self._page.background.forget(self._page, self._key)
        self._table.show_places(self.places)
        self.changed.emit()

    def _begin(self, part: Part) -> None:
        self.places = part.places if isinstance(part.places, range) else array("I", part.places)
        self._cells.begin()
        self._cells.see(part.rows)
        self.begun.emit()
        self._table.show_places(self.places, part.rows)
        self._go_on(part)

    def _go_on(self, part: Part) -> None:
        from app.data import browse

        self.complete = part.after is None
        self.changed.emit()
        if self._of is None:
            return
        wanted = self._of[2]
        if part.after is not None:
            query(self._page, browse.find, *self._of, part.after, done=self._more, key=self._key, scan=True)
        elif wanted.by_content and (wanted.words.strip() or not wanted.score) and len(self.places) > 1:
            query(self._page, browse.in_order, *self._of, self.places, done=self._in_order, key=self._key, scan=True)

    def _more(self, part: Part) -> None:
        if isinstance(self.places, array):
            self.places.extend(part.places)
        self._table.grow()
        self._go_on(part)

    def _in_order(self, places: Sequence[int]) -> None:
        self.places = places
        self._table.reorder(places)

    def _read(self, places: list[int]) -> None:
        from app.data import browse

        if self._of is not None:
            query(self._page, browse.read_rows, *self._of[:2], places, self._of[2], done=self._show, failed=self._not_read,
                  key=f"{self._key}, rows")

    def _show(self, found: list[RowView]) -> None:
        self._cells.see(found)
        self._table.answer(found)

    def _not_read(self, problem: Any) -> None:
        self._table.answer(None)
        self._page.show_error(problem)
