"""Earlier versions of a document: what changed in each, and a button that takes one back."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QDialog, QListWidget, QListWidgetItem, QPlainTextEdit, QTextEdit, QWidget

from ui import words
from ui.background import query
from ui.language import tr
from ui.theme import theme
from ui.widgets.buttons import Button
from ui.widgets.feedback import EmptyState
from ui.widgets.text import Label, Line, column, row

_TINTS = {"added": "successTint", "removed": "dangerTint"}
_SIGNS = {"added": "+ ", "removed": "− ", "same": "  ", "gap": "⋯"}


class VersionsDialog(QDialog):
    """The versions left, the newest first; right what differs from the text as it is now.  ``chosen``: the text to restore, or ""."""

    def __init__(self, parent: Any, name: str, present: str) -> None:
        super().__init__(parent)
        self.background = parent.background
        self._name, self._present, self.chosen, self._text = name, present, "", ""
        self.setWindowTitle(tr("Versions"))
        self.resize(900, 560)
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Versions"))
        self.list.setFixedWidth(220)
        self.list.currentItemChanged.connect(lambda *_: self._ask())
        self.view = QPlainTextEdit()
        self.view.setReadOnly(True)
        self.view.setProperty("code", True)
        self.view.setAccessibleName(tr("What restoring this version would change"))
        self.view.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.note = Label("", "small", "secondary")
        self.restore = Button("Restore this version", "filled", "history", clicked=self._restore)
        self.restore.allow("Choose a version")
        body = row(self.list, Line("v"), column(self.note, self.view, gap=8), gap=12)
        body.setStretch(2, 1)
        self._body = QWidget()
        self._body.setLayout(body)
        self._none = EmptyState("No version yet. Each save and each run keeps one.", "history")
        self._none.hide()
        buttons = row(None, Button("Close", "quiet", clicked=self.reject), self.restore)
        layout = column(Label("Versions", "title"), self._body, self._none, buttons, gap=12, margins=(20, 16, 20, 16))
        for place in (1, 2):
            layout.setStretch(place, 1)
        self.setLayout(layout)
        query(self, _versions, name, done=self._fill)

    def show_error(self, problem: Any) -> None:
        """Say what failed, in place of the comparison."""
        self.note.say(str(problem))

    def _fill(self, found: list[Any]) -> None:
        self._body.setVisible(bool(found))
        self._none.setVisible(not found)
        for one in found:
            item = QListWidgetItem(tr(f"Version {one.version}\n{words.day(one.created)}"))
            item.setData(Qt.ItemDataRole.UserRole, one.version)
            self.list.addItem(item)
        if found:
            self.list.setCurrentRow(0)

    def _ask(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            query(self, _comparison, self._name, item.data(Qt.ItemDataRole.UserRole), self._present, key="diff", done=self._show)

    def _show(self, found: tuple[str, list[Any]]) -> None:
        self._text, lines = found
        added, removed = (sum(line.kind == kind for line in lines) for kind in ("added", "removed"))
        self.note.say(f"Restoring adds {added} and removes {removed} lines." if lines else "The same as the text now.")
        self.view.setPlainText("\n".join(_SIGNS[line.kind] + line.text for line in lines))
        self.view.setExtraSelections([self._tint(number, _TINTS[line.kind]) for number, line in enumerate(lines) if line.kind in _TINTS])
        self.restore.allow("" if lines else "The text is the same already")

    def _tint(self, number: int, token: str) -> QTextEdit.ExtraSelection:
        mark = QTextEdit.ExtraSelection()
        mark.cursor = QTextCursor(self.view.document().findBlockByNumber(number))
        style = QTextCharFormat()
        style.setBackground(QColor(theme.color(token)))
        style.setProperty(QTextCharFormat.Property.FullWidthSelection, True)
        mark.format = style
        return mark

    def _restore(self) -> None:
        self.chosen = self._text
        self.accept()


def _versions(store: Any, name: str) -> list[Any]:
    from app.config import versions

    return versions.versions(store, name)


def _comparison(store: Any, name: str, version: int, present: str) -> tuple[str, list[Any]]:
    from app.config import versions

    text = versions.text_of(store, name, version)
    return text, versions.compare(present, text)


def ask_version(parent: QWidget, name: str, present: str) -> str:
    """The text of the version to go back to, or ""."""
    dialog = VersionsDialog(parent, name, present)
    dialog.exec()
    chosen = dialog.chosen
    dialog.deleteLater()
    return chosen
