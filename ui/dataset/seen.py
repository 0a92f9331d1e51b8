"""As the model sees it: the exact text that training feeds for a row, with the part that is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from ui import words
from ui.background import query
from ui.widgets.buttons import Button, Choice
from ui.widgets.feedback import LoadingBar
from ui.widgets.richtext import RichText
from ui.widgets.text import Label, Line, column, row

if TYPE_CHECKING:
    from app.training.preview import Fed
    from ui.pages.base import Page


class SeenPane(QWidget):
    """``moved(step)``: the row before (-1) or after (+1) is wanted."""

    moved = Signal(int)

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._dataset, self._version, self.position = "", 0, 0
        self.model = Choice("Base model")
        self.model.activated.connect(lambda _index: self._ask())
        self._title = Label("", "heading")
        self.said = Label("", "small", "secondary", wrap=True)
        self._before = Button("Previous", "outline", size="small", clicked=lambda: self.moved.emit(-1))
        self._after = Button("Next", "outline", size="small", clicked=lambda: self.moved.emit(1))
        self._loading = LoadingBar()
        self.text = RichText("The text that the model is fed", mono=True)
        legend = row(Label("Grey is read and not learned; the strong text is what the model learns to write.", "small", "tertiary"), None)
        head = row(self._title, None, Label("Base model", "small", "secondary"), self.model, self._before, self._after, gap=8)
        whole = column(column(head, self.said, legend, gap=6, margins=(20, 14, 20, 10)), self._loading, Line(),
                       column(self.text, margins=(14, 4, 14, 4)))
        whole.setStretch(3, 1)
        self.setLayout(whole)

    def show_row(self, dataset: str, version: int, position: int) -> None:
        """Show one row; 0 for the first of the version."""
        from app.training import preview

        self._dataset, self._version, self.position = dataset, version, position
        if not self.model.count():
            query(self._page, preview.models, done=self._models, key="seen models")
        self._ask()

    def _models(self, names: list[str]) -> None:
        for name in names:
            self.model.addItem(words.model_name(name), name)

    def _ask(self) -> None:
        if not self._version:
            return
        self._loading.begin()
        query(self._page, _fed, self._dataset, self._version, self.position, str(self.model.currentData() or ""), done=self._show,
              failed=self._failed, key="seen", slow=True)

    def _failed(self, problem: Any) -> None:
        self._loading.end()
        self.text.show_pieces([])
        self.said.say(f"{problem.what} {problem.why}")
        self._page.show_error(problem)

    def _show(self, answer: tuple[int, Fed | None]) -> None:
        self._loading.end()
        self.position, found = answer
        self._title.say(f"Row {self.position:,}" if found is not None else "No row")
        if found is None:
            self.said.say("This version has no such row in use.")
            self.text.show_pieces([])
            return
        self.said.say(seen_words(found))
        self.text.show_pieces([("muted", found.prompt), ("same", found.answer)])


def seen_words(found: Fed) -> str:
    """How many word pieces a row has and how many are learned."""
    if found.left_out:
        return f"Training leaves this row out. {found.left_out}"
    return f"{found.tokens:,} word pieces, {found.learned:,} of them learned: the answer and its end mark."


def _fed(store: Any, dataset: str, version: int, position: int, model: str) -> tuple[int, Fed | None]:
    from app.data import browse
    from app.training import preview

    row_found = browse.row_in_use(store, dataset, version, position)
    return (position, None) if row_found is None else (row_found.position, preview.fed(store, row_found, model))
