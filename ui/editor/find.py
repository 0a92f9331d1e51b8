"""Find and replace in a text: a bar over the field.  What it replaces is one change of the document, undone in one go."""

from __future__ import annotations

import re
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from ui.editor.field import Editor
from ui.language import tr
from ui.widgets.buttons import Button
from ui.widgets.text import Label, Line, column, row

MOST_SHOWN = 10_000


class FindBar(QWidget):
    """Two fields and their buttons.  ``replaced`` carries the text then and words for the undo list."""

    replaced = Signal(str, str)

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        self.what, self.by = _field("Find"), _field("Replace with")
        self.case = _toggle("Aa", "Match case", self._look)
        self.pattern = _toggle(".*", "Regular expression", self._look)
        self._count = Label("", "small", "tertiary")
        previous = Button("", "quiet", "chevron-up", size="small", tooltip="Find before  Shift+Enter", clicked=lambda: self.step(-1))
        following = Button("", "quiet", "chevron-down", size="small", tooltip="Find next  Enter", clicked=lambda: self.step(1))
        close = Button("", "quiet", "x", size="small", tooltip="Close  Esc", clicked=self.close_bar)
        self._second = QWidget()
        self._second.setLayout(row(self.by, Button("Replace", "outline", size="small", clicked=self.replace_one),
                                   Button("Replace all", "outline", size="small", clicked=self.replace_all), None, gap=6))
        first = row(self.what, self.case, self.pattern, previous, following, self._count, None, close, gap=6)
        self.setLayout(column(column(first, self._second, gap=6, margins=(12, 6, 12, 6)), Line()))
        self.what.textChanged.connect(lambda _text: self._look())
        for field in (self.what, self.by):
            field.installEventFilter(self)
        self.hide()

    def open(self, *, replace: bool = False) -> None:
        """Show the bar with what is selected; ``replace``: the second field too."""
        start, end = self._editor.selection()
        chosen = self._editor.text()[start:end]
        self._second.setVisible(replace)
        self.show()
        if chosen and "\n" not in chosen:
            self.what.setText(chosen)
        self.what.selectAll()
        self.what.setFocus()
        self._look()

    def close_bar(self) -> None:
        """Hide it and go back to the text."""
        self.hide()
        self._editor.setFocus()

    def places(self) -> list[tuple[int, int]]:
        """Where it is found; [] for an empty word or a pattern that is none."""
        found = self._search()
        if found is None:
            return []
        return [match.span() for _, match in zip(range(MOST_SHOWN), found.finditer(self._editor.text()), strict=False)
                if match.end() > match.start()]

    def _search(self) -> re.Pattern[str] | None:
        word = self.what.text()
        if not word:
            return None
        try:
            return re.compile(word if self.pattern.isChecked() else re.escape(word),
                              re.MULTILINE | (0 if self.case.isChecked() else re.IGNORECASE))
        except re.error:
            return None

    def _look(self) -> None:
        places = self.places()
        broken = bool(self.what.text()) and self._search() is None
        self._count.say("Not a pattern" if broken else f"{len(places):,} found" if self.what.text() else "")
        self._count.tone("danger" if broken else "tertiary")

    def step(self, by: int) -> None:
        """Go to the next place (1) or the one before (-1), round at the ends."""
        places = self.places()
        self._look()
        if not places:
            return
        start, end = self._editor.selection()
        ahead = [place for place in places if (place[0] >= end and place != (start, end) if by > 0 else place[1] <= start)]
        chosen = (ahead[0] if ahead else places[0]) if by > 0 else (ahead[-1] if ahead else places[-1])
        self._editor.select(*chosen)
        self._count.say(f"{places.index(chosen) + 1:,} of {len(places):,}")

    def replace_one(self) -> None:
        """Replace the place that is selected, and go on to the next."""
        start, end = self._editor.selection()
        found = self._search()
        text = self._editor.text()
        match = found.fullmatch(text, start, end) if found is not None else None
        if match is not None and end > start:
            self._put(lambda: text[:start] + self._new(match) + text[end:], "Replace")
            self._editor.select(start, start)
        self.step(1)

    def replace_all(self) -> None:
        """Replace every place at once."""
        found = self._search()
        if found is not None:
            self._put(lambda: found.sub(self._new, self._editor.text()), "Replace all")

    def _put(self, make: Callable[[], str], words: str) -> None:
        self._look()
        try:
            text = make()
        except (re.error, IndexError):
            self._count.say("Not a replacement")
            return
        if text != self._editor.text():
            self.replaced.emit(text, words)

    def _new(self, match: re.Match[str]) -> str:
        return match.expand(self.by.text()) if self.pattern.isChecked() else self.by.text()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Enter goes on, Esc closes."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape:
                self.close_bar()
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                back = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
                self.replace_one() if watched is self.by else self.step(-1 if back else 1)
                return True
        return super().eventFilter(watched, event)


def _field(name: str) -> QLineEdit:
    field = QLineEdit()
    field.setPlaceholderText(tr(name))
    field.setAccessibleName(tr(name))
    field.setFixedWidth(200)
    return field


def _toggle(text: str, name: str, changed: Callable[[], None]) -> Button:
    button = Button(text, "outline", size="small", tooltip=name, clicked=changed)
    button.setCheckable(True)
    button.setAccessibleName(tr(name))
    return button
