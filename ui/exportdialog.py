"""Export a version: choose a file by size and quality; it is copied where it is there, and made by a run where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QDialog

from app.errors import Cancelled
from ui import words
from ui.background import command, query
from ui.dialogs import choose_place
from ui.language import tr
from ui.widgets.buttons import Button
from ui.widgets.feedback import LoadingBar
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Label, column, row

if TYPE_CHECKING:
    from pathlib import Path

    from app.registry.exporting import Choice, Choices

_COLUMNS = (Column("File", 90), Column("Size", 110, right=True), Column("Quality lost", 110, right=True), Column("State"))
SAVE, MAKE = "Save a copy", "Make the file"
NOTES = {SAVE: "The file is copied as it is and checked against the sum that was written down when it was registered.",
         MAKE: "This file is not there yet. A run makes it from the original, asks both the same questions, and adds it to this version; "
               "then a copy can be saved here."}
AGAIN = ("This version's file is missing on this computer. A run makes it again from the original, asks both the same questions, and "
         "adds it to this version.")
LOOK_MS = 150


@dataclass(slots=True)
class _Copy:
    """What the window and the thread that copies tell each other.  done: 0..1."""

    name: str
    done: float = 0.0
    stopped: bool = False

    def told(self, done: float) -> None:
        if self.stopped:
            raise Cancelled
        self.done = done


class ExportDialog(QDialog):
    """``page`` is the Models page, whose shell shows the run; ``version`` an id, ``title`` its words."""

    def __init__(self, page: Any, version: str, title: str) -> None:
        super().__init__(page)
        self._page, self.background, self._version = page, page.background, version
        self.choices: dict[str, Choice] = {}
        self.setWindowTitle(tr("Export"))
        self.resize(680, 420)
        self.table = Table(_COLUMNS, "Files to export")
        self.table.picked.connect(self._picked)
        self.note = Label("", "small", "secondary", wrap=True)
        self.loading = LoadingBar()
        self.act = Button(SAVE, "filled", "download", clicked=self._act)
        self.act.allow("Choose a file")
        self.leave = Button("Close", "quiet", clicked=self.reject)
        self._copy: _Copy | None = None
        self._look = QTimer(self)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self._show_progress)
        layout = column(Label(f"Export {title}", "title"), self.loading, self.table, self.note,
                        row(None, self.leave, self.act), gap=12, margins=(20, 16, 20, 16))
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self.loading.begin()
        query(self, choices_of, version, done=self._show, slow=True)

    def show_error(self, problem: Any) -> None:
        """Say what failed in place of the note."""
        self._copied()
        self.note.say(str(problem))
        self.note.tone("danger")

    def _show(self, found: Choices) -> None:
        self.loading.end()
        self.choices = {one.quantization: one for one in found.files}
        self._free = found.free
        self.table.show_rows([(one.quantization, _cells(one)) for one in found.files])
        self.table.select_key(next((one.quantization for one in found.files if one.recommended), found.files[0].quantization))

    def _picked(self, key: str) -> None:
        one = self.choices.get(key)
        verb = SAVE if one is None or one.file else MAKE
        self.act.say(verb)
        self.act.allow("Choose a file" if one is None else one.fault)
        self.note.tone("secondary")
        free = f" Free on this disk: {words.size(self._free)}." if one is not None and not one.file else ""
        self.note.say("" if one is None else one.fault or (AGAIN if one.missing else NOTES[verb]) + free)

    def _act(self) -> None:
        one = self.choices[self.table.key()]
        if not one.file:
            command(self, _submit, self._version, one.quantization, busy=self.act, done=self._begun)
        elif place := choose_place(self, "Save a copy", one.file, "Models (*.gguf)"):
            self.save_to(place)

    def save_to(self, place: Path) -> None:
        """Copy the chosen file there; it can be cancelled."""
        self._copy = _Copy(place.name)
        self.note.tone("secondary")
        self.table.setEnabled(False)
        self.leave.say("Cancel")
        self.loading.show()
        self._show_progress()
        self._look.start()
        command(self, _save, self._version, self.table.key(), str(place), self._copy, busy=self.act, done=self._saved)

    def _show_progress(self) -> None:
        if self._copy is not None:
            self.loading.show_fraction(self._copy.done)
            self.note.say(f"Copying to {self._copy.name}: {100 * self._copy.done:.0f} %")

    def _saved(self, place: Path | None) -> None:
        self._copied()
        if place is None:
            self.note.say("The copy was cancelled; nothing of it is left.")
        else:
            self._page.shell.toast(f"Saved as {place.name}.")
            self.accept()

    def _copied(self) -> None:
        """The copy is over, however it ended."""
        self._copy = None
        self._look.stop()
        self.loading.end()
        self.table.setEnabled(True)
        self.leave.say("Close")

    def reject(self) -> None:
        """Cancel the copy that is under way; close where there is none."""
        if self._copy is not None:
            self._copy.stopped = True
        else:
            super().reject()

    def _begun(self, run: str) -> None:
        self.accept()
        self._page.shell.go("runs", run)


def _cells(one: Choice) -> list[Cell]:
    tone = "textTertiary" if one.fault else "text"
    size = "–" if one.size is None else words.size(one.size) if one.file else f"about {words.size(one.size)}"
    lost = "–" if one.quality_lost is None else f"{100 * one.quality_lost:.1f} %"
    return [Cell(one.quantization, tone, mono=True), Cell(size, tone), Cell(lost, tone), _state(one)]


def _state(one: Choice) -> Cell:
    if one.fault:
        return Cell("Not available", "textTertiary")
    if one.passed is False:
        return Cell("Its proof failed", "danger", "danger")
    if one.missing:
        return Cell("Missing, made again by a run", "warning", "warning")
    said = "There" if one.file else "Made by a run"
    return Cell(f"Recommended, {said.lower()}" if one.recommended else said, "success" if one.recommended else "textSecondary",
                "success" if one.recommended else "")


def choices_of(store: Any, version: str) -> Choices:
    """What may be exported of a version; off the main thread."""
    from app.registry import exporting

    return exporting.choices(store, version)


def _save(store: Any, version: str, quantization: str, place: str, copy: _Copy) -> Path | None:
    """The place, or None if the user cancelled."""
    from app.registry import exporting

    try:
        return exporting.save_copy(store, version, quantization, place, copy.told)
    except Cancelled:
        return None


def _submit(store: Any, version: str, quantization: str) -> str:
    from app.registry import exporting
    from app.workflow import runs

    return runs.submit_text(store, exporting.document(store, version, quantization))
