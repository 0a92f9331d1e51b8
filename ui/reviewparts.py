"""What the review of private data shows of a row: its text with the findings marked, and a line for each finding."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QWidget

from ui.language import tr
from ui.theme import theme
from ui.widgets.text import Badge, Icon, Label, column, row

if TYPE_CHECKING:
    from app.data.redaction.views import FindingView, TextView

LONGEST = 44
_STATES = {"accepted": ("redacted", "accent"), "rejected": ("kept", "neutral")}


class FindingLine(QWidget):
    """One finding: what it is, how certain, what stands there and what will, and by which signs.  picked: it was clicked."""

    picked = Signal()

    def __init__(self, one: FindingView, decision: str, replacement: str, *, chosen: bool) -> None:
        super().__init__()
        self._chosen = chosen
        self.setAccessibleName(f"{tr(one.label)}: {one.text}. {tr(one.why)}" + (f" {tr('Chosen.')}" if chosen else ""))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        head = row(Label(one.label, "strong"), None, gap=8)
        if decision in _STATES:
            words, kind = _STATES[decision]
            head.addWidget(Badge(words, kind, "check" if decision == "accepted" else ""))
        head.addWidget(Label(f"certainty {one.score:.2f}", "small", "tertiary"))
        chips = row(Badge(cut(one.text), "warning", tooltip=one.text, own=True), Icon("arrow-right", "textTertiary", 14),
                    Badge(cut(replacement if decision != "rejected" else one.text), "accent", own=True), None, gap=8)
        self.setLayout(column(head, chips, Label(one.why, "small", "tertiary", elide=True), gap=4, margins=(24, 9, 20, 9)))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Choose it."""
        super().mouseReleaseEvent(event)
        self.picked.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The chosen one is tinted and has a bar at its left."""
        if self._chosen:
            painter = QPainter(self)
            painter.fillRect(self.rect(), theme.color("sunken"))
            painter.fillRect(0, 0, 3, self.height(), theme.color("accent"))
            painter.end()


class MarkedText(QLabel):
    """A text with its findings marked; the chosen one underlined."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.RichText)
        self._shown: tuple[TextView, FindingView | None] | None = None

    def show_text(self, text: TextView, chosen: FindingView | None) -> None:
        """Show one text of a row."""
        self._shown = (text, chosen)
        self.setAccessibleName(text.text)
        self._draw()

    def _draw(self) -> None:
        if self._shown is None:
            return
        (text, chosen), out, done = self._shown, [], 0
        for one in text.findings:
            out.append(html.escape(text.text[done : one.start]))
            line = ";text-decoration:underline" if one is chosen else ""
            style = f"background-color:{theme.name('warningTint')};color:{theme.name('warning')}{line}"
            out.append(f'<span style="{style}">{html.escape(text.text[one.start : one.end])}</span>')
            done = one.end
        out.append(html.escape(text.text[done:]))
        body = "".join(out).replace("\n", "<br>")
        self.setText(f'<p style="line-height:24px;margin:0">{body}</p>')

    def changeEvent(self, event: QEvent) -> None:
        """Take the colours of another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self._draw()


def cut(text: str) -> str:
    """A text in one line, at most LONGEST characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST else flat[: LONGEST - 1] + "…"
