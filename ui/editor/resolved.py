"""The document as it runs: everything inherited and every default filled in, each value with who set it."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from ui.editor.field import make_editor
from ui.language import tr
from ui.widgets.buttons import Choice
from ui.widgets.text import Label, Line, column, row

OWN = "The document's own"
ORIGIN_COLUMN = 28


class ResolvedPane(QWidget):
    """Read only.  ``asked``: another environment was chosen (None: the document's own)."""

    asked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.environment = Choice("Environment")
        self.environment.activated.connect(lambda _place: self.asked.emit(self.chosen()))
        self.note = Label("", "small", "secondary", elide=True)
        self.editor = make_editor("The resolved document")
        self.editor.read_only()
        layout = column(row(Label("Environment", "small", "secondary"), self.environment, None, gap=8, margins=(16, 6, 16, 2)),
                        row(self.note, margins=(16, 0, 16, 6)), Line(), self.editor)
        layout.setStretch(3, 1)
        self.setLayout(layout)

    def chosen(self) -> str | None:
        """The environment that is looked at; None for what the document says itself."""
        return None if self.environment.currentIndex() <= 0 else self.environment.currentText()

    def show_view(self, view: Any) -> None:
        """Fill it; a document that cannot be resolved says why."""
        chosen = self.chosen()
        self.environment.clear()
        self.environment.addItems([tr(OWN), *view.environments])
        if chosen is not None and chosen in view.environments:
            self.environment.setCurrentText(chosen)
        self.environment.setEnabled(bool(view.environments))
        if view.problem:
            self.note.say(view.problem)
            return
        used = f"environment {view.chosen}" if view.chosen else "no environment"
        self.note.say(f"What runs, with {used}; behind each value, who set it.")
        self.editor.set_text("\n".join(with_origin(line.text, line.origin) for line in view.lines) + "\n")


def with_origin(text: str, origin: str) -> str:
    """A line with who set its value as a comment, in a column of its own."""
    return f"{text.ljust(ORIGIN_COLUMN)}  # {origin}" if origin else text
