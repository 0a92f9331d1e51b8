"""The strip of a run's steps: state, what it is doing, a bar."""

from __future__ import annotations

from typing import Any

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from ui import words
from ui.language import tr
from ui.widgets.feedback import Bar
from ui.widgets.text import Icon, Label, clear, column, row

_SIGNS = {"done": ("circle-check", "success"), "running": ("circle-play", "accentText"),
          "failed": ("circle-x", "danger"), "paused": ("pause", "warning"), "cancelled": ("square", "textTertiary"),
          "queued": ("circle", "textTertiary")}
_BARS = {"done": "success", "failed": "danger", "paused": "warning"}


SIGN, GAP, TIGHT = 23, 14, 8
"""Width of the sign with the room behind it, and between two steps, and between narrow ones, px."""


class StepStrip(QWidget):
    """One cell a step; the running one is wider."""

    def __init__(self) -> None:
        super().__init__()
        self._row = row(gap=GAP)
        self.setLayout(self._row)
        self._cells: dict[str, _Cell] = {}

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Without room for both, the names stay and the signs go; the bars say the same by colour."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        shares = [self._row.stretch(number) for number in range(len(self._cells))]
        room = 10 * (self.width() - GAP * (len(shares) - 1)) / max(sum(shares), 1)
        narrow = any(cell.name_width() > room for cell in self._cells.values())
        self._row.setSpacing(TIGHT if narrow else GAP)
        for cell in self._cells.values():
            cell.fit(narrow, roomy=all(one.note_width() <= room for one in self._cells.values()))

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
        self._fit()


class _Cell(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._icon, self._name = Icon("circle"), Label("", "strong", elide=True)
        self._note, self._bar = Label("", "small", "tertiary", elide=True), Bar()
        self._top, self._under = row(self._icon, self._name, gap=7), row(self._note)
        self._top.setStretch(1, 1)
        self._narrow = self._roomy = self._waits = False
        self.setLayout(column(self._top, self._under, 8, self._bar))
        self.fit(False, roomy=False)

    def fit(self, narrow: bool, *, roomy: bool) -> None:
        """Narrow: without the sign, and without words for what has not begun.  Roomy: the words stand beside the sign."""
        self._narrow, self._roomy = narrow, roomy
        self._icon.setVisible(not narrow)
        self._note.setVisible(not (narrow and self._waits))
        self._under.setContentsMargins(SIGN if roomy and not narrow else 0, 0, 0, 0)

    def name_width(self) -> int:
        """What sign and name take, px."""
        return SIGN + self._name.fontMetrics().horizontalAdvance(tr(self._name.words()))

    def note_width(self) -> int:
        """What the words take beside the sign, px."""
        return SIGN + self._note.fontMetrics().horizontalAdvance(tr(self._note.words()))

    def show_step(self, step: Any) -> None:
        icon, token = _SIGNS.get(step.state, _SIGNS["queued"])
        name = words.STEP_WORDS.get(step.node, (step.title, ""))[0]
        self._icon.show_icon("triangle-alert" if step.flagged else icon, "warning" if step.flagged else token)
        self._name.say(name)
        self._name.tone({"done": "success", "running": "", "failed": "danger"}.get(step.state, "tertiary"))
        self._note.say(_note(step))
        self._waits = step.state == "queued"
        self.fit(self._narrow, roomy=self._roomy)
        self._bar.show_fraction(1.0 if step.state == "done" else step.progress, _BARS.get(step.state, "accent"))
        self.setAccessibleName(tr(f"{name}: {words.STATES.get(step.state, step.state)}. {_note(step)}"))


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
