"""What stands on the canvas: cards with ports, links, notes and groups.  They paint; the scene decides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QFont, QFontMetricsF, QPainter, QPainterPath, QPainterPathStroker, QPen, QPixmap, QTextOption
from PySide6.QtWidgets import QGraphicsItem, QGraphicsSceneHoverEvent, QStyleOptionGraphicsItem, QWidget

from app.workflow.canvas import Card, GroupMark, Link, NoteMark
from ui.canvas.curve import link_path
from ui.canvas.layout import HEIGHT, WIDTH
from ui.language import tr
from ui.theme import font, pixmap, theme

PORT = 5.0
REACH = 12.0
"""How near to a port's middle counts as on it, in scene units."""
_PAD = 8
_AREA = QRectF(-_PAD, -_PAD, WIDTH + 2 * _PAD, HEIGHT + 2 * _PAD)
_ICONS = {"dataset.import": "file-input", "data.refine": "funnel", "data.clean": "pen-line",
          "data.split": "git-branch", "train": "graduation-cap", "evaluate": "scale",
          "model.export": "box", "model.register": "badge-check", "model.deploy": "plug", "data": "table-2", "dataset": "table-2",
          "feedback": "thumbs-up", "model": "box"}
Movable = QGraphicsItem.GraphicsItemFlag.ItemIsMovable
Selectable = QGraphicsItem.GraphicsItemFlag.ItemIsSelectable


def icon_of(node: str) -> str:
    """The icon of a node, by its name or its room."""
    return _ICONS.get(node) or _ICONS.get(node.partition(".")[0], "workflow")


def port_token(kind: str) -> str:
    """The colour of a port type."""
    return f"port.{kind}" if kind in ("rows", "model", "report", "file") else "textTertiary"


@dataclass(frozen=True, slots=True)
class Face:
    """The state line of a card: icon, words, the colour's meaning; progress 0 to 1 where a step runs, else None."""

    icon: str = ""
    words: str = ""
    token: str = "textSecondary"
    progress: float | None = None


class CardItem(QGraphicsItem):
    """One step, 168 x 78.  Its picture is kept at the present scale, so that panning is copying."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.card = card
        self.face = Face()
        self.fault = False
        self.target = ""
        """The input port that a dragged link would end at."""
        self._kept: QPixmap | None = None
        self._whole = QRectF()
        self._key: object = None
        self.links: set[LinkItem] = set()
        self.setFlags(Movable | Selectable | QGraphicsItem.GraphicsItemFlag.ItemSendsGeometryChanges)
        self.setAcceptHoverEvents(True)
        self.setZValue(2)

    def show_card(self, card: Card, face: Face, fault: bool) -> None:
        """Show a step as it is now."""
        if (card, face, fault) != (self.card, self.face, self.fault):
            self.card, self.face, self.fault, self._key = card, face, fault, None
            self.update()
        self.card = card
        said = [f"{card.title}: {card.about}".rstrip(": "), card.note, face.words]
        self.setToolTip(tr("\n".join(part for part in said if part)))

    def boundingRect(self) -> QRectF:
        """Card, ports and outline."""
        return _AREA

    def shape(self) -> QPainterPath:
        """The card and its ports."""
        path = QPainterPath()
        path.addRect(QRectF(-REACH, 0, WIDTH + 2 * REACH, HEIGHT))
        return path

    def port_at(self, port: str, *, output: bool) -> QPointF:
        """The middle of a port, in scene units; of the side for one that is not there."""
        ports = self.card.outputs if output else self.card.inputs
        names = [each.name for each in ports]
        share = (names.index(port) + 1) / (len(names) + 1) if port in names else 0.5
        return self.pos() + QPointF(WIDTH if output else 0.0, round(HEIGHT * share))

    def port_near(self, point: QPointF, *, output: bool, reach: float = REACH) -> str:
        """The port under a scene point, or ""."""
        ports = self.card.outputs if output else self.card.inputs
        near = [(_length(self.port_at(each.name, output=output) - point), each.name) for each in ports]
        distance, name = min(near, default=(math.inf, ""))
        return name if distance <= reach else ""

    def itemChange(self, change: QGraphicsItem.GraphicsItemChange, value: Any) -> Any:
        """Links follow."""
        if change == QGraphicsItem.GraphicsItemChange.ItemPositionHasChanged:
            for link in self.links:
                link.route()
            scene: Any = self.scene()
            if scene is not None:
                scene.card_moved(self)
        return super().itemChange(change, value)

    def hoverMoveEvent(self, event: QGraphicsSceneHoverEvent) -> None:
        """A port says what it gives or takes."""
        for output in (True, False):
            if name := self.port_near(event.scenePos(), output=output):
                port = next(each for each in (self.card.outputs if output else self.card.inputs) if each.name == name)
                optional = "" if output or port.needed else ", may stay open"
                self.setToolTip(tr(f"{'Gives' if output else 'Takes'} {port.kind} at “{name}”{optional}"))
                self.setCursor(Qt.CursorShape.CrossCursor)
                return
        self.unsetCursor()
        self.show_card(self.card, self.face, self.fault)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        """Copy the kept picture; draw it anew where scale, content or theme changed."""
        scene: Any = self.scene()
        if scene.rushed and self._kept is not None and not self.isSelected():
            painter.drawPixmap(_AREA, self._kept, self._whole)
            return
        scale = option.levelOfDetailFromTransform(painter.worldTransform()) * (widget.devicePixelRatioF() if widget else 1.0)
        hurried = self._key is not None and scene.hurried
        if self._key != (scale, theme.mode) and not hurried and scene.in_time(self):
            self._kept, self._key = self._drawn(scale), (scale, theme.mode)
            self._whole = QRectF(self._kept.rect())
        if self._kept is None:
            painter.fillRect(QRectF(0, 0, WIDTH, HEIGHT), theme.color("surface"))
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self._key != (scale, theme.mode) and not scene.crowded)
        painter.drawPixmap(_AREA, self._kept, self._whole)
        if self.isSelected():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(theme.color("focus"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(-2, -2, WIDTH + 4, HEIGHT + 4), 10, 10)
            self._ports(painter)
        if self.target:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(theme.color("focus"), 2))
            painter.drawEllipse(self.port_at(self.target, output=False) - self.pos(), PORT + 3, PORT + 3)

    def _drawn(self, scale: float) -> QPixmap:
        area = _AREA
        drawn = QPixmap(max(round(area.width() * scale), 1), max(round(area.height() * scale), 1))
        drawn.fill(Qt.GlobalColor.transparent)
        painter = QPainter(drawn)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing
                               | QPainter.RenderHint.SmoothPixmapTransform)
        painter.scale(drawn.width() / area.width(), drawn.height() / area.height())
        painter.translate(_PAD, _PAD)
        self._body(painter)
        self._ports(painter)
        painter.end()
        return drawn

    def _body(self, painter: QPainter) -> None:
        painter.setPen(QPen(theme.color("danger" if self.fault else "border"), 1,
                            Qt.PenStyle.SolidLine if self.card.own else Qt.PenStyle.DashLine))
        painter.setBrush(theme.color("surface"))
        painter.drawRoundedRect(QRectF(0.5, 0.5, WIDTH - 1, HEIGHT - 1), 8, 8)
        painter.drawPixmap(QPointF(12, 12), pixmap(icon_of(self.card.node), "textSecondary"))
        strong = font("bodyStrong")
        strong.setWeight(QFont.Weight.DemiBold)
        room = WIDTH - 46 - (20 if self.card.note else 0)
        _words(painter, strong, "text", QRectF(36, 9, room, 20), self.card.id)
        if self.card.note:
            painter.drawPixmap(QPointF(WIDTH - 27, 12), pixmap("message-square", "textTertiary", 14))
        mono = font("code")
        mono.setPixelSize(11)
        _words(painter, mono, "textTertiary", QRectF(12, 30, WIDTH - 24, 18), self.card.node or tr("no node"))
        left = 12.0
        if self.face.icon:
            painter.drawPixmap(QPointF(12, 52), pixmap(self.face.icon, self.face.token, 14))
            left = 31.0
        _words(painter, font("small"), self.face.token, QRectF(left, 50, WIDTH - left - 10, 18), tr(self.face.words))
        if self.face.progress is not None:
            self._bar(painter, self.face.progress)

    def _bar(self, painter: QPainter, share: float) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("border"))
        painter.drawRoundedRect(QRectF(12, HEIGHT - 8, WIDTH - 24, 3), 1.5, 1.5)
        painter.setBrush(theme.color("accent"))
        painter.drawRoundedRect(QRectF(12, HEIGHT - 8, (WIDTH - 24) * min(max(share, 0.0), 1.0), 3), 1.5, 1.5)

    def _ports(self, painter: QPainter) -> None:
        for output, ports in ((False, self.card.inputs), (True, self.card.outputs)):
            for port in ports:
                colour = theme.color(port_token(port.kind))
                painter.setPen(QPen(colour if not port.needed else theme.color("window"), 1.5))
                painter.setBrush(theme.color("surface") if not port.needed else colour)
                painter.drawEllipse(self.port_at(port.name, output=output) - self.pos(), PORT, PORT)


def _words(painter: QPainter, role: QFont, token: str, area: QRectF, text: str) -> None:
    painter.setFont(role)
    painter.setPen(theme.color(token))
    shown = QFontMetricsF(role).elidedText(text, Qt.TextElideMode.ElideRight, area.width())
    painter.drawText(area, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)


def _length(point: QPointF) -> float:
    return math.hypot(point.x(), point.y())


class LinkItem(QGraphicsItem):
    """A link in the colour of what flows; dotted where it is implied, grey where only the order counts."""

    def __init__(self, link: Link, source: CardItem, target: CardItem) -> None:
        super().__init__()
        self.link, self._source, self._target = link, source, target
        self._path, self._area = QPainterPath(), QRectF()
        source.links.add(self)
        target.links.add(self)
        if link.way != "implied":
            self.setFlag(Selectable)
        self.setZValue(1)
        words = f"{link.source} gives {link.kind} to {link.target}" if link.kind else f"{link.target} waits for {link.source}"
        self.setToolTip(tr(words + (", found among what it needs" if link.way == "implied" else "")))
        self.route()

    def detach(self) -> None:
        """Its cards forget it."""
        self._source.links.discard(self)
        self._target.links.discard(self)

    def route(self) -> None:
        """Lead it anew between its cards."""
        self.prepareGeometryChange()
        start = self._source.port_at(self.link.output, output=True)
        above = start.y() - self._source.y()
        self._path = link_path(start, self._target.port_at(self.link.port, output=False), HEIGHT - above, above)
        self._area = self._path.boundingRect().adjusted(-4, -4, 4, 4)

    def boundingRect(self) -> QRectF:
        """The curve and its width."""
        return self._area

    def shape(self) -> QPainterPath:
        """A band wide enough to be clicked."""
        stroker = QPainterPathStroker()
        stroker.setWidth(10)
        return stroker.createStroke(self._path)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        """Draw the curve; implied ones only beside a selected card."""
        implied = self.link.way == "implied"
        if implied and not (self._source.isSelected() or self._target.isSelected()):
            return
        scene: Any = self.scene()
        if scene.rushed:
            painter.setPen(scene.plain_pen(self.link.kind))
            painter.drawPath(self._path)
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        chosen = self.isSelected()
        pen = QPen(theme.color("focus" if chosen else port_token(self.link.kind)), 3 if chosen else 1.25 if implied else 2)
        if implied or self.link.way == "order":
            pen.setStyle(Qt.PenStyle.DotLine if implied else Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(self._path)


class NoteItem(QGraphicsItem):
    """A remark on the canvas."""

    def __init__(self, note: NoteMark) -> None:
        super().__init__()
        self.note = note
        self.setFlags(Movable | Selectable)
        self.setZValue(0.5)
        self.setPos(note.x, note.y)
        self.setToolTip(tr("Double-click to write"))

    def show_note(self, note: NoteMark) -> None:
        """Show a note as it is now."""
        self.prepareGeometryChange()
        self.note = note
        self.setPos(note.x, note.y)
        self.update()

    def boundingRect(self) -> QRectF:
        """Its rectangle."""
        return QRectF(-2, -2, self.note.width + 4, self.note.height + 4)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        """Draw it on the warning tint, which no card has."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.color("focus"), 2) if self.isSelected() else QPen(theme.color("border"), 1))
        painter.setBrush(theme.color("warningTint"))
        painter.drawRoundedRect(QRectF(0, 0, self.note.width, self.note.height), 6, 6)
        painter.setFont(font("small"))
        painter.setPen(theme.color("text"))
        words = QTextOption()
        words.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        painter.drawText(QRectF(10, 8, self.note.width - 20, self.note.height - 16), self.note.text or tr("Write a note"), words)


class GroupItem(QGraphicsItem):
    """A titled frame around its steps; it follows them."""

    def __init__(self, group: GroupMark) -> None:
        super().__init__()
        self.mark = group
        self._area = QRectF()
        self.setFlags(Selectable)
        self.setZValue(0)

    def surround(self, group: GroupMark, cards: list[CardItem]) -> None:
        """Take the place of its cards."""
        self.prepareGeometryChange()
        self.mark = group
        area = QRectF()
        for card in cards:
            area = area.united(QRectF(card.pos().x(), card.pos().y(), WIDTH, HEIGHT))
        self._area = area.adjusted(-16, -34, 16, 16) if cards else QRectF()

    def boundingRect(self) -> QRectF:
        """Its frame."""
        return self._area.adjusted(-2, -2, 2, 2)

    def shape(self) -> QPainterPath:
        """Its title line only: inside it, a rubber band can begin."""
        path = QPainterPath()
        path.addRect(QRectF(self._area.left(), self._area.top(), self._area.width(), 26))
        return path

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        """Draw frame and title."""
        if self._area.isEmpty():
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.color("focus"), 2) if self.isSelected() else QPen(theme.color("border"), 1))
        painter.setBrush(QBrush(theme.color("sunken")))
        painter.drawRoundedRect(self._area, 10, 10)
        strong = font("small")
        strong.setWeight(QFont.Weight.Medium)
        _words(painter, strong, "textSecondary", QRectF(self._area.left() + 14, self._area.top() + 5, self._area.width() - 28, 20),
               self.mark.title or "Group")
