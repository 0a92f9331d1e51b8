"""The strip of a run's steps: state, what it is doing, a bar."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QWidget

from ui import words
from ui.widgets.feedback import Bar
from ui.widgets.text import Icon, Label, clear, column, row

_SIGNS = {"done": ("circle-check", "success"), "running": ("circle-play", "accentText"),
          "failed": ("circle-x", "danger"), "paused": ("pause", "warning"), "cancelled": ("square", "textTertiary"),
          "queued": ("circle", "textTertiary")}
_BARS = {"done": "success", "failed": "danger", "paused": "warning"}


class StepStrip(QWidget):
    """One cell a step; the running one is wider."""

    def __init__(self) -> None:
        super().__init__()
        self._row = row(gap=14)
        self.setLayout(self._row)
        self._cells: dict[str, _Cell] = {}

    def show_steps(self, steps: list[Any]) -> None:
        """Update the cells, made anew only when the steps differ."""
        if [step.id for step in steps] != list(self._cells):
            clear(self._row)
            self._cells = {step.id: _Cell() for step in steps}
            for cell in self._cells.values():
                self._row.addWidget(cell, 10)
        for number, step in enumerate(steps):
            self._cells[step.id].show_step(step)
            self._row.setStretch(number, 14 if step.state == "running" else 10)


class _Cell(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._icon, self._name = Icon("circle"), Label("", "strong", elide=True)
        self._note, self._bar = Label("", "small", "tertiary", elide=True), Bar()
        top = row(self._icon, self._name, gap=7)
        top.setStretch(1, 1)
        self.setLayout(column(top, row(23, self._note, gap=0), 8, self._bar))

    def show_step(self, step: Any) -> None:
        icon, token = _SIGNS.get(step.state, _SIGNS["queued"])
        name = words.STEP_WORDS.get(step.node, (step.title, ""))[0]
        self._icon.show_icon("triangle-alert" if step.flagged else icon, "warning" if step.flagged else token)
        self._name.say(name)
        self._name.tone({"done": "success", "running": "", "failed": "danger"}.get(step.state, "tertiary"))
        self._note.say(_note(step))
        self._bar.show_fraction(1.0 if step.state == "done" else step.progress, _BARS.get(step.state, "accent"))
        self.setAccessibleName(f"{name}: {words.STATES.get(step.state, step.state)}. {_note(step)}")


def _note(step: Any) -> str:
    if step.flagged:
        return str(step.flagged)
    if step.state == "done":
        return "used again, nothing changed" if step.cached else words.duration(step.seconds or 0)
    if step.state == "running":
        return str(step.message) or f"{100 * step.progress:.0f} %"
    if step.state == "queued":
        return words.STEP_WORDS.get(step.node, ("", ""))[1]
    return words.STATES.get(step.state, str(step.state))
