"""What a user writes on a run, and doing it again: tags, a note, a copy of its workflow, its command."""

from __future__ import annotations

from typing import Any

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLineEdit

from ui.background import command, query
from ui.language import tr
from ui.widgets.buttons import Button
from ui.widgets.text import Card, Label, column, row


class RunNotes(Card):
    """Kept when a field is left."""

    def __init__(self, page: Any) -> None:
        super().__init__()
        self._page, self._run = page, ""
        self.tags, self.note = _field("For example pilot, v2", "Tags, with commas between them"), _field("A note for later", "Note")
        self.tags.editingFinished.connect(lambda: self._keep("tags", self.tags.text()))
        self.note.editingFinished.connect(lambda: self._keep("note", self.note.text()))
        self._kept, self._stored = {"tags": "", "note": ""}, {"tags": "", "note": ""}
        again = Button("Change and run again", "outline", "copy", size="small", tooltip="Open a copy of its workflow", clicked=self._clone)
        copy = Button("Copy command", "outline", "copy", size="small", tooltip="A command line that makes the same run", clicked=self._copy)
        fields = row(Label("Tags", "strong"), self.tags, 12, Label("Note", "strong"), self.note, 12, again, copy, gap=8)
        fields.setStretch(1, 1)
        fields.setStretch(4, 2)
        self.setLayout(column(fields, margins=(16, 10, 16, 10)))

    def show_line(self, line: Any) -> None:
        """Another run, or the same one again; what is being written, and what was refused, is not touched."""
        same, self._run = line.id == self._run, line.id
        for name, field, text in (("tags", self.tags, ", ".join(line.tags)), ("note", self.note, line.note)):
            if not same or (text != self._stored[name] and not field.hasFocus()):
                field.setText(text)
                self._kept[name] = self._stored[name] = text

    def _keep(self, name: str, text: str) -> None:
        from app.workflow import runbook

        if self._run and text != self._kept[name]:
            self._kept[name] = text
            command(self._page, runbook.set_tags if name == "tags" else runbook.set_note, self._run, text)

    def _clone(self) -> None:
        from app.workflow import runbook

        command(self._page, runbook.clone, self._run, done=lambda path: self._page.shell.go("workflow", path))

    def _copy(self) -> None:
        from app.workflow import runbook

        query(self._page, runbook.command, self._run, done=self._copied)

    def _copied(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self._page.shell.toast("The command is on the clipboard. It makes this run again, with every setting written out.")


def _field(hint: str, name: str) -> QLineEdit:
    field = QLineEdit()
    field.setPlaceholderText(tr(hint))
    field.setToolTip(tr(name))
    field.setAccessibleName(tr(name))
    field.setMinimumWidth(120)
    return field
