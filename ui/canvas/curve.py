"""The curve of a link: of the canvas and of every graph that is drawn like it."""

from __future__ import annotations

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainterPath

from ui.canvas.layout import HEIGHT

LANE = 28.0
"""How far below a row of cards a link runs back to the next row."""


def link_path(start: QPointF, end: QPointF, under: float = HEIGHT / 2, over: float = HEIGHT / 2) -> QPainterPath:
    """From an output to an input: a curve, or around both cards where the input lies to the left.

    under, over: how far the first card reaches below its port, and above it.
    """
    path = QPainterPath(start)
    if end.x() >= start.x() + 12:
        bend = min(max((end.x() - start.x()) / 2, 18), 90)
        path.cubicTo(start + QPointF(bend, 0), end - QPointF(bend, 0), end)
        return path
    out, side = 22.0, end.x() - 22.0
    middle = start.y() + under + LANE if end.y() > start.y() else start.y() - over - LANE
    turn = min(16.0, abs(end.y() - middle) / 2) * (1 if end.y() > middle else -1)
    path.cubicTo(start + QPointF(out, 0), QPointF(start.x() + out, middle), QPointF(start.x(), middle))
    path.lineTo(end.x(), middle)
    path.cubicTo(QPointF(side + 6, middle), QPointF(side, middle), QPointF(side, middle + turn))
    path.lineTo(side, end.y() - turn)
    path.cubicTo(QPointF(side, end.y()), QPointF(side + 6, end.y()), end)
    return path
