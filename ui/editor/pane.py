"""The right half of the Workflow page: the text, what runs in the end, find and replace, faults with their mends."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QCursor, QKeyEvent
from PySide6.QtWidgets import QMenu, QStackedWidget, QWidget

from ui.background import query
from ui.editor.field import make_editor
from ui.editor.find import FindBar
from ui.editor.resolved import ResolvedPane
from ui.editor.versions import ask_version
from ui.language import tr
from ui.shortcuts import TEXT, shortcuts
from ui.widgets.buttons import Button, Segments
from ui.widgets.text import Dot, Icon, Label, Line, column, row

WORDS_MS = 60
"""After the last key, before completions are asked for."""


class TextPane(QWidget):
    """``edited`` carries a changed text with words for the undo list: a replacement, a mend, a layout, an earlier version."""

    edited = Signal(str, str)

    def __init__(self, page: Any) -> None:
        super().__init__()
        self._page = page
        self.editor = make_editor("The workflow document")
        self.finder = FindBar(self.editor)
        self.resolved = ResolvedPane()
        self.setMinimumWidth(320)
        self._mend: Any = None
        whole = QWidget()
        layout = column(self.finder, self.editor)
        layout.setStretch(1, 1)
        whole.setLayout(layout)
        self._stack = QStackedWidget()
        self._stack.addWidget(whole)
        self._stack.addWidget(self.resolved)
        around = column(self._tools(), Line(), self._stack, Line(), self._foot())
        around.setStretch(2, 1)
        self.setLayout(around)
        self._wire()

    def _tools(self) -> QWidget:
        self.shown = Segments([("text", "Text"), ("resolved", "Resolved")], size="small", name="Text shown")
        self.shown.chosen.connect(self.show_side)
        tools = QWidget()
        tools.setLayout(row(
            self.shown, None,
            Button("", "quiet", "search", size="small", tooltip="Find and replace", keys="text.replace",
                   clicked=partial(self.finder.open, replace=True)),
            Button("", "quiet", "list-filter", size="small", tooltip="Lay out", keys="text.format", clicked=self.lay_out),
            Button("", "quiet", "history", size="small", tooltip="Earlier versions", clicked=self.show_versions),
            gap=2, margins=(12, 5, 12, 5)))
        return tools

    def _foot(self) -> QWidget:
        self.state_icon, self.state = Icon("circle-dashed", "textTertiary"), Label("", "small", "secondary")
        self.place = Label("", "small", "tertiary")
        self.saved_dot, self.saved_word = Dot("success"), Label("", "small", "tertiary")
        self.next = Button("Go to it", "link", size="small")
        self.mend = Button("", "link", size="small", tooltip="Mend it", keys="text.mend", clicked=self._take_mend)
        self.mend.hide()
        foot = QWidget()
        foot.setLayout(row(self.state_icon, self.state, self.next, self.mend, None, self.saved_dot, self.saved_word, self.place, gap=8,
                           margins=(16, 6, 16, 6)))
        return foot

    def _wire(self) -> None:
        self._words = QTimer(self)
        self._words.setSingleShot(True)
        self._words.setInterval(WORDS_MS)
        self._words.timeout.connect(self.ask_words)
        self.editor.moved.connect(lambda line, col: self.place.say(f"Line {line}, column {col}"))
        self.editor.wants_words.connect(lambda *_: self._words.start())
        self.editor.hovers.connect(self._hover)
        self.finder.replaced.connect(self.edited)
        self.resolved.asked.connect(lambda _chosen: self._ask_resolved())
        for child in (self.editor, *self.editor.findChildren(QWidget)):
            child.installEventFilter(self)

    # ---- the two sides ---------------------------------------------------------------------------------------------------

    def show_side(self, which: str) -> None:
        """The text, or what runs in the end."""
        self.shown.choose(which)
        self._stack.setCurrentIndex(int(which == "resolved"))
        if which == "resolved":
            self._ask_resolved()

    def text_changed(self) -> None:
        """The document is another: what is resolved follows, if it is seen."""
        if self._stack.currentIndex() == 1:
            self._ask_resolved()

    def _ask_resolved(self) -> None:
        page = self._page
        query(page, _resolved, page.history.text, page._path, self.resolved.chosen(), slow=True, key="resolved",
              done=self.resolved.show_view)

    # ---- words and hints -------------------------------------------------------------------------------------------------

    def ask_words(self) -> None:
        """What may stand at the caret."""
        if self._page.background.store is not None:
            line, place = self.editor.caret()
            query(self._page, _complete, self.editor.text(), self._page._path, line, place, key="complete", failed=_quiet,
                  done=self._offer)

    def _offer(self, found: Any) -> None:
        self.editor.offer([one.insert for one in found.entries], found.typed)

    def _hover(self, line: int, place: int) -> None:
        if line == 0:
            self.editor.tell("")
        elif self._page.background.store is not None:
            query(self._page, _describe, self.editor.text(), self._page._path, line, place, key="describe", failed=_quiet,
                  done=self.editor.tell)

    # ---- mending ---------------------------------------------------------------------------------------------------------

    def show_faults(self, faults: list[Any]) -> None:
        """Annotate the lines, and offer the first mend beside their number."""
        self.editor.show_problems(faults)
        self._show_mend([])
        if faults:
            query(self._page, _fixes, self._page.history.text, faults[:1], key="mend", failed=_quiet, done=self._show_mend)

    def _show_mend(self, found: list[Any]) -> None:
        self._mend = found[0] if found else None
        if found:
            self.mend.say(found[0].words)
        self.mend.setVisible(bool(found))
        for part in (self.saved_dot, self.saved_word, self.place):  # there is not room for all
            part.setVisible(not found)

    def _take_mend(self) -> None:
        if self._mend is not None:
            self.edited.emit(self._mend.text, self._mend.words)

    def ask_fixes(self) -> None:
        """A menu with the ways to mend the faults of the caret's line, or of the first line that has one."""
        faults = self._page.problems or []
        line = self.editor.caret()[0]
        here = [fault for fault in faults if fault.line == line] or faults[:1]
        query(self._page, _fixes, self._page.history.text, here, key="fixes", done=self._menu)

    def _menu(self, found: list[Any]) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for fix in found:
            menu.addAction(tr(fix.words), partial(self.edited.emit, fix.text, fix.words))
        if not found:
            menu.addAction(tr("Nothing here can be mended by itself")).setEnabled(False)
        menu.popup(QCursor.pos())

    def lay_out(self) -> None:
        """Two spaces a level, no stray blanks; comments and values stay."""
        query(self._page, _formatted, self._page.history.text, key="format", done=lambda text: self.edited.emit(text, "Lay out"))

    def show_versions(self) -> None:
        """Earlier versions, and the way back to one."""
        chosen = ask_version(self._page, self._page.version_name, self._page.history.text)
        if chosen:
            self.edited.emit(chosen, "Restore a version")

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys of the text: find, replace, complete, mend, lay out."""
        return shortcuts.obeyed(event, self._deed) or super().eventFilter(watched, event)

    def _deed(self, event: QKeyEvent) -> Any:
        return {"text.find": self.finder.open, "text.next": partial(self.finder.step, 1), "text.mend": self.ask_fixes,
                "text.replace": partial(self.finder.open, replace=True), "text.complete": self.ask_words,
                "text.format": self.lay_out}.get(shortcuts.deed(TEXT, event))


def _quiet(_problem: Any) -> None:
    """Help that fails is no help; the text itself is checked elsewhere."""


def _complete(store: Any, *values: Any) -> Any:
    from app.workflow import assist

    return assist.complete(store, *values)


def _describe(store: Any, *values: Any) -> str:
    from app.workflow import assist

    return assist.describe(store, *values)


def _fixes(_store: Any, text: str, faults: list[Any]) -> list[Any]:
    from app.workflow import assist

    return [fix for fault in faults for fix in assist.fixes(text, fault)]


def _resolved(_store: Any, *values: Any) -> Any:
    from app.workflow import assist

    return assist.resolved(*values)


def _formatted(_store: Any, text: str) -> str:
    from app.config.formatting import formatted

    return formatted(text)
