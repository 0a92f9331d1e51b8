"""Dialogs, only to decide.  Buttons are verbs; Esc is the safe one."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFileDialog, QLineEdit, QWidget

from ui.language import tr
from ui.theme import theme
from ui.widgets.buttons import Button
from ui.widgets.text import Label, column, row

DATA_FILES = "Data (*.csv *.tsv *.json *.jsonl *.parquet *.xlsx *.txt *.md *.pdf *.docx *.gz);;All files (*)"
KIT_FILES = "Kits (*.nwkit)"


def choose_file(parent: QWidget, title: str, kinds: str) -> Path | None:
    """A file that the user names, or None."""
    chosen, _ = QFileDialog.getOpenFileName(parent, tr(title), "", tr(kinds))
    return Path(chosen) if chosen else None


def choose_place(parent: QWidget, title: str, name: str, kinds: str) -> Path | None:
    """Where to write a file, or None; ``name`` is offered."""
    chosen, _ = QFileDialog.getSaveFileName(parent, tr(title), name, tr(kinds))
    return Path(chosen) if chosen else None


class _Decision(QDialog):
    def __init__(self, parent: QWidget, title: str, text: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr(title))
        self.answer = ""
        self.setModal(True)
        body = Label(text, "body", "secondary", wrap=True)
        body.setMinimumWidth(432)  # of the text: a minimum of the dialog itself would cut long words on its buttons
        self.middle = column()
        self.buttons = row(None)
        self.setLayout(column(Label(title, "title"), 8, body, 12, self.middle, 16, self.buttons, margins=(24, 20, 24, 20)))
        theme.dress(self)

    def offer(self, key: str, text: str, kind: str = "outline") -> Button:
        """Add a button that ends the dialog with ``key``."""
        button = Button(text, kind, clicked=lambda: self._end(key))
        self.buttons.addWidget(button)
        return button

    def _end(self, key: str) -> None:
        self.answer = key
        self.accept()


def ask_close(parent: QWidget, running: int) -> bool | None:
    """True: keep running in the background; False: stop and save; None: do not close."""
    text = ("One run is not finished. It can go on in the background: the next window shows it again. "
            "Or it stops now and saves what it has reached, so that you can continue later.") if running == 1 else (
            f"{running} runs are not finished. They can go on in the background: the next window shows them again. "
            "Or they stop now and save what they have reached, so that you can continue later.")
    dialog = _Decision(parent, "Close the window while work is running?", text)
    dialog.offer("stay", "Do not close", "quiet")
    dialog.offer("stop", "Stop and save")
    dialog.offer("keep", "Keep running", "filled").setDefault(True)
    dialog.exec()
    return {"keep": True, "stop": False}.get(dialog.answer)


def ask_passphrase(parent: QWidget) -> str:
    """The profile's passphrase, or nothing."""
    dialog = _Decision(parent, "This profile opens with a passphrase",
                       "Your data is encrypted with it. It is not kept anywhere.")
    field = QLineEdit()
    field.setEchoMode(QLineEdit.EchoMode.Password)
    field.setAccessibleName(tr("Passphrase"))
    dialog.middle.addWidget(field)
    dialog.offer("", "Not now", "quiet")
    dialog.offer("open", "Open the profile", "filled").setDefault(True)
    field.setFocus(Qt.FocusReason.OtherFocusReason)
    dialog.exec()
    return field.text() if dialog.answer == "open" else ""


def tell(parent: QWidget, title: str, text: str) -> None:
    """Explain something; there is nothing to decide."""
    dialog = _Decision(parent, title, text)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.offer("", "Close", "filled").setDefault(True)
    dialog.open()


def ask(parent: QWidget, title: str, text: str, verb: str, *, safe: str = "Keep it", danger: bool = True) -> bool:
    """Whether to do something that cannot be undone."""
    dialog = _Decision(parent, title, text)
    dialog.offer("", safe, "outline").setDefault(True)
    dialog.offer("do", verb, "dangerfilled" if danger else "filled")
    dialog.exec()
    return dialog.answer == "do"


def ask_text(parent: QWidget, title: str, label: str, text: str, verb: str) -> str:
    """A line of text, or nothing."""
    dialog = _Decision(parent, title, label)
    field = QLineEdit(text)
    field.setAccessibleName(tr(label))
    field.selectAll()
    dialog.middle.addWidget(field)
    dialog.offer("", "Cancel", "outline")
    dialog.offer("do", verb, "filled").setDefault(True)
    field.setFocus(Qt.FocusReason.OtherFocusReason)
    dialog.exec()
    return field.text().strip() if dialog.answer == "do" else ""


def ask_typed(parent: QWidget, title: str, text: str, name: str, verb: str) -> bool:
    """Whether to erase something for good: only when its name has been typed."""
    dialog = _Decision(parent, title, text)
    field = QLineEdit()
    field.setAccessibleName(tr(f"Type {name} to confirm"))
    dialog.middle.addWidget(Label(f"Type “{name}” to confirm.", "small", "secondary", wrap=True))
    dialog.middle.addWidget(field)
    dialog.offer("", "Keep it", "outline").setDefault(True)
    button = dialog.offer("do", verb, "dangerfilled")
    reason = f"{verb}: type the name first"
    button.allow(reason)
    field.textChanged.connect(lambda typed: button.allow("" if typed == name else reason))
    field.setFocus(Qt.FocusReason.OtherFocusReason)
    dialog.exec()
    return dialog.answer == "do"
