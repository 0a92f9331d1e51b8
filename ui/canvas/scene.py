"""The scene: items kept in step with a document's picture, so that selection and focus outlast every edit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QObject, QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPen, QPixmap
from PySide6.QtWidgets import QGraphicsPathItem, QGraphicsScene

from app.workflow.canvas import Card, Fault, Link, Picture, StepState
from ui import words
from ui.canvas.curve import link_path
from ui.canvas.items import CardItem, Face, GroupItem, LinkItem, NoteItem, port_token
from ui.canvas.layout import HEIGHT, WIDTH, Places, layered
from ui.theme import theme

DOTS = 20
MARGIN = 400
CROWD, BATCH = 60, 12
FRAME_SECONDS = 0.006
"""What drawing cards anew may take of one frame."""


class CanvasScene(QGraphicsScene):
    """Cards, links, notes and groups of one picture."""

    changed_selection = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.picture = Picture()
        self.cards: dict[str, CardItem] = {}
        self.links: dict[Link, LinkItem] = {}
        self.notes: dict[str, NoteItem] = {}
        self.groups: dict[str, GroupItem] = {}
        self.hurried = False
        """Zooming: cards are scaled, and drawn anew when it ends."""
        self.late: dict[CardItem, None] = {}
        """Cards whose picture is of another scale; they are drawn in the next frames."""
        self.rushed = False
        """This frame is one of a zoom over a crowd: curves are thin, cards are scaled without care."""
        self._pens: dict[str, QPen] = {}
        self._until = 0.0
        self._tile, self._tile_of = QPixmap(), (0, "")
        self._filling = self._dimmed = False
        self._dragged: QGraphicsPathItem | None = None
        self.setItemIndexMethod(QGraphicsScene.ItemIndexMethod.BspTreeIndex)
        self.selectionChanged.connect(self._selected)

    @property
    def crowded(self) -> bool:
        """More cards than can be drawn at full quality in each frame of a zoom; they are when it ends."""
        return len(self.cards) > CROWD

    # ---- filling -----------------------------------------------------------------------------------------------------

    def show_picture(self, picture: Picture, faces: Mapping[str, Face], faulty: set[str]) -> None:
        """Take over a picture; what is the same stays the same item."""
        self._filling = True
        self.picture = picture
        places = self.places(picture)
        for gone in [name for name in self.cards if picture.card(name) is None]:
            self._remove(self.cards.pop(gone))
        for card in picture.cards:
            item = self.cards.get(card.id)
            if item is None:
                item = self.cards[card.id] = CardItem(card)
                self.addItem(item)
            item.show_card(card, faces.get(card.id, Face()), card.id in faulty)
            item.setPos(*places[card.id])
        self.cards = {card.id: self.cards[card.id] for card in picture.cards}  # Tab follows the document
        self._links(picture)
        self._marks(picture)
        self._filling = False
        self._resize()

    def show_faces(self, faces: Mapping[str, Face], faulty: set[str]) -> None:
        """Only the states changed."""
        for name, item in self.cards.items():
            item.show_card(item.card, faces.get(name, Face()), name in faulty)

    def places(self, picture: Picture) -> Places:
        """Where the cards stand: as written, else by layers."""
        found = layered([card.id for card in picture.cards], edges(picture))
        return found | {card.id: (round(card.position[0]), round(card.position[1])) for card in picture.cards if card.position}

    def _links(self, picture: Picture) -> None:
        wanted = dict.fromkeys(picture.links)
        for link in [link for link in self.links if link not in wanted or self.links[link].scene() is None]:
            item = self.links.pop(link)
            item.detach()
            self._remove(item)
        for link in wanted:
            if link not in self.links:
                self.links[link] = LinkItem(link, self.cards[link.source], self.cards[link.target])
                self.addItem(self.links[link])
            self.links[link].route()

    def _marks(self, picture: Picture) -> None:
        for kept, wanted in ((self.notes, {note.id for note in picture.notes}), (self.groups, {group.id for group in picture.groups})):
            for gone in [name for name in kept if name not in wanted]:
                self._remove(kept.pop(gone))
        for note in picture.notes:
            if note.id not in self.notes:
                self.notes[note.id] = NoteItem(note)
                self.addItem(self.notes[note.id])
            self.notes[note.id].show_note(note)
        for group in picture.groups:
            if group.id not in self.groups:
                self.groups[group.id] = GroupItem(group)
                self.addItem(self.groups[group.id])
            self.groups[group.id].surround(group, [self.cards[name] for name in group.steps if name in self.cards])

    def _remove(self, item: Any) -> None:
        if isinstance(item, CardItem):
            self.late.pop(item, None)
            for link in list(item.links):
                link.detach()
                if self.links.pop(link.link, None) is not None:
                    self.removeItem(link)
        if item.scene() is self:
            self.removeItem(item)

    def _resize(self) -> None:
        area = self.content()
        self.setSceneRect(area.adjusted(-MARGIN, -MARGIN, MARGIN, MARGIN))

    def content(self) -> QRectF:
        """The rectangle around all that there is."""
        area = QRectF()
        for item in (*self.cards.values(), *self.notes.values(), *self.groups.values()):
            area = area.united(item.sceneBoundingRect())
        return area if not area.isEmpty() else QRectF(0, 0, 3 * WIDTH, 3 * HEIGHT)

    def card_moved(self, card: CardItem) -> None:
        """A frame follows its cards while one is dragged."""
        for group in self.groups.values():
            if not self._filling and card.card.id in group.mark.steps:
                group.surround(group.mark, [self.cards[name] for name in group.mark.steps if name in self.cards])

    def dim(self, on: bool) -> None:
        """Grey what is shown: the text cannot be read now."""
        if on != self._dimmed:
            self._dimmed = on
            self.update()

    def drawForeground(self, painter: QPainter, area: QRectF | Any) -> None:
        """The veil over a picture that is not of the present text."""
        if self._dimmed:
            veil = theme.color("window")
            veil.setAlphaF(0.6)
            painter.fillRect(area, veil)

    # ---- choosing ------------------------------------------------------------------------------------------------------

    def chosen(self) -> list[str]:
        """Ids of the selected cards, in the document's order."""
        return [name for name in self.cards if self.cards[name].isSelected()]

    def choose(self, names: list[str]) -> None:
        """Select these cards alone."""
        self.clearSelection()
        for name in names:
            if name in self.cards:
                self.cards[name].setSelected(True)

    def _selected(self) -> None:
        if not self._filling:
            for link in self.links.values():
                if link.link.way == "implied":
                    link.update()
            self.changed_selection.emit()

    def card_at(self, point: QPointF, *, reach: float = 0) -> CardItem | None:
        """The topmost card under a scene point."""
        area = QRectF(point.x() - reach, point.y() - reach, 2 * reach + 1, 2 * reach + 1)
        return next((item for item in self.items(area) if isinstance(item, CardItem)), None)

    # ---- a link being dragged ---------------------------------------------------------------------------------------------

    def drag_link(self, start: QPointF, end: QPointF, kind: str, *, refused: bool = False) -> None:
        """Show a link that follows the pointer, red where it could not end."""
        if self._dragged is None:
            self._dragged = QGraphicsPathItem()
            self._dragged.setZValue(3)
            self.addItem(self._dragged)
        self._dragged.setPath(link_path(start, end))
        self._dragged.setPen(QPen(theme.color("danger" if refused else port_token(kind)), 2, Qt.PenStyle.DashLine))

    def end_drag(self) -> None:
        """Take it away."""
        if self._dragged is not None:
            self.removeItem(self._dragged)
            self._dragged = None
        for card in self.cards.values():
            if card.target:
                card.target = ""
                card.update()

    def drawBackground(self, painter: QPainter, area: QRectF | Any) -> None:
        """Ground and a grid of dots; no dots where they would run together."""
        painter.fillRect(area, theme.color("window"))
        scale = painter.worldTransform().m11()
        if scale < 0.45:
            return
        size = max(round(DOTS * scale), 1)
        if self._tile_of != (size, theme.mode):
            self._tile, self._tile_of = _tile(size), (size, theme.mode)
        shift = painter.worldTransform()
        seen = shift.mapRect(area).toAlignedRect()
        painter.save()
        painter.resetTransform()
        painter.drawTiledPixmap(seen, self._tile, QPoint(round(seen.x() - shift.dx()) % size, round(seen.y() - shift.dy()) % size))
        painter.restore()

    # ---- time ----------------------------------------------------------------------------------------------------------------

    def begin_frame(self) -> None:
        """From now on cards may be drawn anew for a few milliseconds; what is late comes in the next frame."""
        self._until = time.perf_counter() + FRAME_SECONDS
        self.rushed = self.hurried and self.crowded
        self._pens.clear()

    def plain_pen(self, kind: str) -> QPen:
        """The pen of a link while there is no time for more: one pixel of the type's colour."""
        if kind not in self._pens:
            self._pens[kind] = QPen(theme.color(port_token(kind)), 0)
        return self._pens[kind]

    def in_time(self, card: CardItem) -> bool:
        """Whether a card may be drawn anew in this frame; one that may not is noted."""
        if time.perf_counter() < self._until:
            self.late.pop(card, None)
            return True
        self.late[card] = None
        return False

    def draw_late(self) -> None:
        """Ask for the next few that are late."""
        for card in list(self.late)[:BATCH]:
            del self.late[card]
            if card.scene() is self:
                card.update()


def _tile(size: int) -> QPixmap:
    tile = QPixmap(size, size)
    tile.fill(theme.color("window"))
    painter = QPainter(tile)
    painter.fillRect(0, 0, 1, 1, theme.color("borderStrong" if theme.mode.startswith("dark") else "border"))
    painter.end()
    return tile


def edges(picture: Picture) -> list[tuple[str, str]]:
    """Pairs of steps where one waits for the other."""
    return list(dict.fromkeys((link.source, link.target) for link in picture.links if link.way != "implied"))


def face(card: Card, state: StepState | None, faults: list[Fault]) -> Face:
    """The state line of a card: its problems first, then how the newest run went."""
    if card.trouble or faults:
        count, line = max(len(faults), 1), next((fault.line for fault in faults if fault.line), card.line)
        return Face("circle-alert", f"{count} problem{'s' if count > 1 else ''}" + (f", line {line}" if line else ""), "danger")
    if state is None:
        return Face("", "Not run yet", "textTertiary")
    if state.state == "running":
        return Face("loader", f"{100 * state.progress:.0f} %  {state.message}".rstrip(), "accentText", state.progress)
    if state.changed:
        return Face("circle-dashed", "Changed, will run", "textSecondary")
    took = f" in {words.duration(state.seconds)}" if state.seconds is not None else ""
    shown = {"done": Face("history", "Reused", "success") if state.cached else Face("circle-check", f"Done{took}", "success"),
             "failed": Face("circle-x", state.why or "Failed", "danger"), "queued": Face("clock", "Waits", "textSecondary"),
             "paused": Face("pause", "Stopped and saved", "warning"), "cancelled": Face("square", "Stopped", "textSecondary")}
    return shown.get(state.state, Face("", state.state, "textSecondary"))
