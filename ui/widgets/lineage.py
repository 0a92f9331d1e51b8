"""Where something comes from, as boxes and curves; each box that leads somewhere is a button."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QFrame, QScrollArea, QWidget

from ui.canvas.curve import link_path
from ui.canvas.layout import columns
from ui.language import tr
from ui.theme import font, pixmap, theme

if TYPE_CHECKING:
    from app.registry.lineage_graph import LineageGraph, LineageNode

WIDE, NARROW, TALL = 168, 116, 48
GAP_X, GAP_Y, EDGE = 28, 12, 3
_STEPS = {Qt.Key.Key_Left: 0, Qt.Key.Key_Right: 1}


class LineagePane(QScrollArea):
    """Draws a graph from left to right; it scrolls sideways where there is no room.  ``opened(page, argument)``."""

    opened = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(tr("Where it comes from"))
        self._drawing = _Drawing()
        self.setWidget(self._drawing)

    @property
    def boxes(self) -> Mapping[str, Box]:
        """The boxes by id, in reading order."""
        return self._drawing.boxes

    def show_graph(self, graph: LineageGraph, has: Callable[[str], bool]) -> None:
        """Draw it.  has: whether there is such a page."""
        self._drawing.show_graph(graph, has, self.opened.emit)
        self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Boxes are as wide as there is room."""
        super().resizeEvent(event)
        self._place()

    def _place(self) -> None:
        size = self._drawing.place(self.viewport().width())
        self._drawing.resize(size)
        bar = self.horizontalScrollBar().sizeHint().height() if size.width() > self.viewport().width() else 0
        self.setFixedHeight(size.height() + bar)


class _Drawing(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("scrolled")
        self.boxes: dict[str, Box] = {}
        self._stacks: list[list[str]] = []
        self._edges: list[tuple[str, str]] = []

    def show_graph(self, graph: LineageGraph, has: Callable[[str], bool], opened: Callable[[str, str], object]) -> None:
        for box in self.boxes.values():
            box.hide()
            box.deleteLater()
        self._edges, self._stacks = graph.edges, columns(graph.nodes, graph.edges)
        self.boxes = {}
        for name in (name for stack in self._stacks for name in stack):
            self.boxes[name] = box = Box(graph.nodes[name], self)
            node = box.node
            box.setEnabled(bool(node.page) and has(node.page))
            box.clicked.connect(lambda _checked=False, node=node: opened(node.page, node.argument))
        for name, box in self.boxes.items():
            box.beside = ([self.boxes[one] for one, other in self._edges if other == name],
                          [self.boxes[other] for one, other in self._edges if one == name])
            box.say()
            box.show()

    def place(self, room: int) -> QSize:
        """Put the boxes into columns; returns the size of it all, px."""
        count, tallest = len(self._stacks), max((len(stack) for stack in self._stacks), default=0)
        wide = max(min((room - 2 * EDGE + GAP_X) // max(count, 1) - GAP_X, WIDE), NARROW)
        height = max(tallest * (TALL + GAP_Y) - GAP_Y, 0)
        for number, stack in enumerate(self._stacks):
            top = (height - len(stack) * (TALL + GAP_Y) + GAP_Y) // 2
            for place, name in enumerate(stack):
                self.boxes[name].setGeometry(EDGE + number * (wide + GAP_X), EDGE + top + place * (TALL + GAP_Y), wide, TALL)
        self.update()
        return QSize(max(count * (wide + GAP_X) - GAP_X, 0) + 2 * EDGE, height + 2 * EDGE)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The curves; the boxes lie on them."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.color("borderStrong"), 1.5))
        for one, other in self._edges:
            start, end = self.boxes[one].geometry(), self.boxes[other].geometry()
            painter.drawPath(link_path(QPointF(start.right() + 1, start.center().y()), QPointF(end.left(), end.center().y())))
        painter.end()


class Box(QAbstractButton):
    """One box.  beside: the boxes it comes from, and those that come from it; the arrow keys go there."""

    def __init__(self, node: LineageNode, parent: QWidget) -> None:
        super().__init__(parent)
        self.node = node
        self.beside: tuple[list[Box], list[Box]] = ([], [])
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def say(self) -> None:
        """Name it, with what it comes from, for who cannot see the curves."""
        name = ", ".join(part for part in (tr(self.node.title), tr(self.node.detail)) if part)
        sources = "; ".join(one.node.title + (f" {one.node.detail}" if one.node.detail else "") for one in self.beside[0])
        self.setAccessibleName(name)
        self.setAccessibleDescription(tr("From: {sources}").format(sources=sources) if sources else "")
        self.setToolTip(name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right follow the curves to the nearest box that leads somewhere."""
        side = _STEPS.get(Qt.Key(event.key()))
        if side is None:
            super().keyPressEvent(event)
        elif target := self._next(side):
            target.setFocus(Qt.FocusReason.OtherFocusReason)

    def _next(self, side: int) -> Box | None:
        near = self.beside[side]
        return next((box for box in near if box.isEnabled()), None) or next((found for box in near if (found := box._next(side))), None)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Icon, words, small words; the version that is looked at on the selected ground."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = "selected" if self.node.current else "hover" if self.isEnabled() and self.underMouse() else "surface"
        painter.setBrush(theme.color(ground))
        line = "focus" if self.hasFocus() else "accent" if self.node.current else "border"
        painter.setPen(QPen(theme.color(line), 2 if self.hasFocus() else 1))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 8, 8)
        painter.drawPixmap(QPointF(10, 8), pixmap(self.node.icon, "accentText" if self.node.current else "textSecondary"))
        for role, token, top, text in (("bodyStrong", "text", 4, self.node.title), ("small", "textTertiary", 24, self.node.detail)):
            painter.setFont(font(role))
            painter.setPen(theme.color(token))
            room = QRectF(34, top, self.width() - 42, 20)
            shown = painter.fontMetrics().elidedText(tr(text), Qt.TextElideMode.ElideRight, int(room.width()))
            painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
        painter.end()
