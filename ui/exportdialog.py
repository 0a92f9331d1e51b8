"""Export a version: choose a file by size and quality; it is copied where it is there, and made by a run where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QDialog

from ui import words
from ui.background import command, query
from ui.dialogs import choose_place
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


class ExportDialog(QDialog):
    """``page`` is the Models page, whose shell shows the run; ``version`` an id, ``title`` its words."""

    def __init__(self, page: Any, version: str, title: str) -> None:
        super().__init__(page)
        self._page, self.background, self._version = page, page.background, version
        self.choices: dict[str, Choice] = {}
        self.setWindowTitle("Export")
        self.resize(680, 420)
        self.table = Table(_COLUMNS, "Files to export")
        self.table.picked.connect(self._picked)
        self.note = Label("", "small", "secondary", wrap=True)
        self.loading = LoadingBar()
        self.act = Button(SAVE, "filled", "download", clicked=self._act)
        self.act.allow("Choose a file")
        layout = column(Label(f"Export {title}", "title"), self.loading, self.table, self.note,
                        row(None, Button("Close", "quiet", clicked=self.reject), self.act), gap=12, margins=(20, 16, 20, 16))
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self.loading.begin()
        query(self, _choices, version, done=self._show, slow=True)

    def show_error(self, problem: Any) -> None:
        """Say what failed in place of the note."""
        self.loading.end()
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
        self.note.say("" if one is None else one.fault or NOTES[verb] + free)

    def _act(self) -> None:
        one = self.choices[self.table.key()]
        if not one.file:
            command(self, _submit, self._version, one.quantization, busy=self.act, done=self._begun)
        elif place := choose_place(self, "Save a copy", one.file, "Models (*.gguf)"):
            self.save_to(place)

    def save_to(self, place: Path) -> None:
        """Copy the chosen file there."""
        self.loading.begin()
        self.note.say(f"Copying to {place.name}")
        command(self, _save, self._version, self.table.key(), str(place), busy=self.act, done=self._saved)

    def _saved(self, place: Path) -> None:
        self.loading.end()
        self._page.shell.toast(f"Saved as {place.name}.")
        self.accept()

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
    said = "There" if one.file else "Made by a run"
    return Cell(f"Recommended, {said.lower()}" if one.recommended else said, "success" if one.recommended else "textSecondary",
                "success" if one.recommended else "")


def _choices(store: Any, version: str) -> Any:
    from app.registry import exporting

    return exporting.choices(store, version)


def _save(store: Any, *values: Any) -> Any:
    from app.registry import exporting

    return exporting.save_copy(store, *values)


def _submit(store: Any, version: str, quantization: str) -> str:
    from app.registry import exporting
    from app.workflow import runs

    return runs.submit_text(store, exporting.document(store, version, quantization))
