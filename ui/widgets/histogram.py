"""Bars over a value's range: how many rows have which score.  A click or Enter on a bar asks for its rows."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui.language import tr
from ui.theme import font, theme

_BOTTOM, _TOP, _SIDE = 18, 6, 6
LEAST = 3.0
"""Height of a bar that is not empty, px: one row among a million can be seen and clicked."""


class Histogram(QWidget):
    """``chosen(low, high)``: the range of the bar that was clicked."""

    chosen = Signal(float, float)

    def __init__(self, name: str, edges: Sequence[float], counts: Sequence[int], unit: str = "") -> None:
        super().__init__()
        self._name, self._edges, self._counts, self._unit = name, list(edges), list(counts), unit
        self._at = -1
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumHeight(84)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        most = max(range(len(self._counts)), key=self._counts.__getitem__, default=0)
        spread = f"from {_short(edges[0])} to {_short(edges[-1])}"
        self.setAccessibleName(tr(f"{name}: {spread}; most rows, {self._counts[most]:,}, {self._range(most)}"))
        self.setAccessibleDescription(tr("Left and right choose a bar, Enter shows its rows"))

    def sizeHint(self) -> QSize:
        """A card's inside."""
        return QSize(220, 84)

    def _range(self, bar: int) -> str:
        low, high = self._bounds(bar)
        return f"from {_short(low)} to {_short(high)}" if low != high else f"at {_short(low)}"

    def _bounds(self, bar: int) -> tuple[float, float]:
        return self._edges[bar], self._edges[min(bar + 1, len(self._edges) - 1)]

    def _bar(self, bar: int) -> QRectF:
        width = (self.width() - 2 * _SIDE) / len(self._counts)
        room = self.height() - _TOP - _BOTTOM
        height = max(room * self._counts[bar] / max(self._counts), LEAST) if self._counts[bar] else 0.0
        return QRectF(_SIDE + bar * width, _TOP + room - height, max(width - 1, 1), height)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Bars, the axis, the ends of the range."""
        painter = QPainter(self)
        painter.setPen(Qt.PenStyle.NoPen)
        for bar in range(len(self._counts)):
            painter.setBrush(theme.color("accent" if bar == self._at else "chart.tuned"))
            painter.drawRect(self._bar(bar))
        painter.setPen(theme.color("border"))
        bottom = self.height() - _BOTTOM
        painter.drawLine(_SIDE, bottom, self.width() - _SIDE, bottom)
        painter.setFont(font("axis"))
        painter.setPen(theme.color("textTertiary"))
        line = QRectF(_SIDE, bottom + 2, self.width() - 2 * _SIDE, _BOTTOM - 2)
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft, tr(_short(self._edges[0])))
        painter.drawText(line, Qt.AlignmentFlag.AlignRight, tr(_short(self._edges[-1])))
        if self._at >= 0:
            painter.setPen(theme.color("text"))
            painter.drawText(line, Qt.AlignmentFlag.AlignHCenter, tr(f"{self._counts[self._at]:,} rows {self._range(self._at)}"))
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(theme.color("focus"))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 4, 4)
        painter.end()

    def _look_at(self, bar: int) -> None:
        if bar != self._at:
            self._at = bar
            self.update()

    def _choose(self) -> None:
        if 0 <= self._at < len(self._counts) and self._counts[self._at]:
            low, high = self._bounds(self._at)
            # the outer bars hold what lies beyond them too
            self.chosen.emit(-1e300 if self._at == 0 else low, 1e300 if self._at == len(self._counts) - 1 else high)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """The bar under the pointer."""
        width = (self.width() - 2 * _SIDE) / len(self._counts)
        bar = int((event.position().x() - _SIDE) // width)
        self._look_at(bar if 0 <= bar < len(self._counts) else -1)

    def leaveEvent(self, event: QEvent) -> None:
        """None."""
        self._look_at(-1)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Show its rows."""
        self.mouseMoveEvent(event)
        self._choose()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right move, Enter shows the rows."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if step is not None:
            self._look_at(min(max(self._at + step, 0), len(self._counts) - 1))
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._choose()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the ring."""
        super().focusInEvent(event)
        self.update()


def _short(value: float) -> str:
    """Three figures; a millionth is nothing here, and a thousand is written out."""
    return f"{value:,.0f}" if abs(value) >= 1000 else "0" if abs(value) < 0.0005 else f"{value:.3g}"
