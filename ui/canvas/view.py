"""The view on the canvas: pan, zoom, choose, move, draw links, keys.  What a gesture means it tells by signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QGraphicsView, QWidget

from app.workflow.canvas import refusal
from ui.canvas.items import REACH, CardItem, NoteItem
from ui.canvas.layout import HEIGHT, WIDTH
from ui.canvas.scene import CanvasScene
from ui.language import tr
from ui.shortcuts import CANVAS, shortcuts
from ui.theme import theme

if TYPE_CHECKING:
    from PySide6.QtWidgets import QGraphicsItem

MIME = "application/x-neuroweaver-node"
SMALLEST, LARGEST = 0.1, 3.0
SETTLE_MS = 140
"""After the last zoom, before the cards are drawn at the new scale."""
NUDGE, LEAP = 4, 20


class CanvasView(QGraphicsView):
    """Shows a CanvasScene."""

    moved = Signal(object)
    """Items that were dragged: {("card", id) or ("note", id): (x, y)}."""
    linked = Signal(str, str, str, str)
    """A link was drawn: source, output, target, port."""
    dropped = Signal(str, QPointF)
    """A node was dropped: its name, the scene point."""
    said = Signal(str)
    """Something to tell the user now (why a link is refused), or "" when it is over."""
    zoomed = Signal(float)
    asked = Signal(str)
    """A key asked for a deed: delete, undo, redo, copy, cut, paste, duplicate, all, add, open, link, group, tidy."""
    menu_asked = Signal(QPoint)
    note_opened = Signal(str)

    def __init__(self, scene: CanvasScene) -> None:
        super().__init__(scene)
        self.canvas = scene
        self.setAccessibleName(tr("Workflow canvas"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setDragMode(QGraphicsView.DragMode.RubberBandDrag)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.MinimalViewportUpdate)
        self.setOptimizationFlags(QGraphicsView.OptimizationFlag.DontAdjustForAntialiasing)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAcceptDrops(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)  # scrolling copies what is drawn already
        self._pan_from: QPoint | None = None
        self._space = self._fitted = False
        self._start: tuple[CardItem, str] | None = None
        """Card and output that a link is being drawn from."""
        self._before: dict[tuple[str, str], tuple[float, float]] = {}
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._settled)
        self._more = QTimer(self)
        self._more.setSingleShot(True)
        self._more.timeout.connect(self._draw_late)
        scene.changed_selection.connect(self._name_choice)

    # ---- zoom and pan ------------------------------------------------------------------------------------------------------

    def scale_now(self) -> float:
        """The present scale, 1 at 100 %."""
        return self.transform().m11()

    def zoom(self, factor: float, around: QPointF | None = None) -> None:
        """Scale about a viewport point, by default the middle."""
        wanted = min(max(self.scale_now() * factor, SMALLEST), LARGEST)
        point = (around or QPointF(self.viewport().rect().center())).toPoint()
        before = self.mapToScene(point)
        self.canvas.hurried = True
        self._settle.start()
        self.setTransform(self.transform().fromScale(wanted, wanted))
        self._bring(before, point)
        self.zoomed.emit(wanted)

    def _bring(self, spot: QPointF, point: QPoint) -> None:
        shift = self.mapFromScene(spot) - point
        self.pan(-shift.x(), -shift.y())

    def _settled(self) -> None:
        self.canvas.hurried = False
        self.viewport().update()

    def settle(self) -> None:
        """End a zoom now."""
        self._settle.stop()
        self._settled()

    def _draw_late(self) -> None:
        self.canvas.draw_late()
        if self.canvas.late:  # those out of sight ask for no frame
            self._more.start()

    def full_size(self) -> None:
        """100 %."""
        self.zoom(1 / self.scale_now())

    def fit(self) -> None:
        """All cards, at 100 % at most."""
        area = self.canvas.content().adjusted(-24, -48, 24, 72)
        room = self.viewport().rect()
        share = min(room.width() / area.width(), room.height() / area.height(), 1.0)
        self.setTransform(self.transform().fromScale(max(share, SMALLEST), max(share, SMALLEST)))
        self.centerOn(area.center())
        self.zoomed.emit(self.scale_now())

    def pan(self, right: float, down: float) -> None:
        """Move what is shown, in pixels."""
        across, along = self.horizontalScrollBar(), self.verticalScrollBar()
        across.setValue(across.value() - round(right))
        along.setValue(along.value() - round(down))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Ctrl zooms at the pointer; else it scrolls, with Shift sideways."""
        turn = event.angleDelta()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom(1.0015 ** (turn.y() or turn.x()), event.position())
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.pan(turn.y() / 2 or turn.x() / 2, 0)
        else:
            self.pan(turn.x() / 2, turn.y() / 2)
        event.accept()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The first size fits the picture."""
        super().resizeEvent(event)
        if not self._fitted and self.canvas.cards and self.isVisible():
            self._fitted = True
            self.fit()

    def fit_once(self) -> None:
        """Another document was opened: fit it when the size is known."""
        self._fitted = self.isVisible() and self.width() > 200
        if self._fitted:
            self.fit()

    # ---- mouse ---------------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A port begins a link; the middle button or Space pans; else Qt chooses and moves."""
        if event.button() == Qt.MouseButton.MiddleButton or (event.button() == Qt.MouseButton.LeftButton and self._space):
            self._pan_from = event.position().toPoint()
            self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
            return
        point = self.mapToScene(event.position().toPoint())
        card = self.canvas.card_at(point, reach=REACH)
        if event.button() == Qt.MouseButton.LeftButton and card is not None and (port := card.port_near(point, output=True)):
            self._start = (card, port)
            return
        super().mousePressEvent(event)
        self._before = self._places()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Pan, draw a link, or leave it to Qt."""
        if self._pan_from is not None:
            step = event.position().toPoint() - self._pan_from
            self._pan_from = event.position().toPoint()
            self.pan(step.x(), step.y())
        elif self._start is not None:
            self._draw_link(self.mapToScene(event.position().toPoint()))
        else:
            super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End what was begun."""
        if self._pan_from is not None:
            self._pan_from = None
            self.viewport().setCursor(Qt.CursorShape.OpenHandCursor if self._space else Qt.CursorShape.ArrowCursor)
        elif self._start is not None:
            self._end_link(self.mapToScene(event.position().toPoint()))
        else:
            super().mouseReleaseEvent(event)
            self._tell_moves()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """A note is written; a card is opened."""
        item = self.itemAt(event.position().toPoint())
        if isinstance(item, NoteItem):
            self.note_opened.emit(item.note.id)
        elif isinstance(item, CardItem):
            self.asked.emit("open")
        else:
            super().mouseDoubleClickEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The menu of what is under the pointer; the Menu key opens it too."""
        item: QGraphicsItem | None = self.itemAt(event.pos())
        if item is not None and not item.isSelected() and event.reason() == QContextMenuEvent.Reason.Mouse:
            self.canvas.clearSelection()
            item.setSelected(True)
        self.menu_asked.emit(event.globalPos())

    def _places(self) -> dict[tuple[str, str], tuple[float, float]]:
        cards = {("card", name): (item.x(), item.y()) for name, item in self.canvas.cards.items()}
        return cards | {("note", name): (item.x(), item.y()) for name, item in self.canvas.notes.items()}

    def _tell_moves(self) -> None:
        now, self._before = self._places(), self._before or self._places()
        changed = {key: (round(place[0]), round(place[1])) for key, place in now.items() if place != self._before.get(key, place)}
        self._before = {}
        if changed:
            self.moved.emit(changed)

    # ---- links -----------------------------------------------------------------------------------------------------------------

    def _target(self, point: QPointF) -> tuple[CardItem, str] | None:
        """The card and port that a link dropped here would end at: the port under the pointer, else the first that fits."""
        card = self.canvas.card_at(point, reach=REACH)
        if card is None or self._start is None or card is self._start[0]:
            return None
        kind = self._kind()
        near = card.port_near(point, output=False)
        return card, near or next((port.name for port in card.card.inputs if port.kind == kind), "")

    def _kind(self) -> str:
        assert self._start is not None
        return next((port.kind for port in self._start[0].card.outputs if port.name == self._start[1]), "")

    def _why_not(self, target: tuple[CardItem, str]) -> str:
        assert self._start is not None
        (source, output), (card, port) = self._start, target
        if not port:
            return f"{card.card.id} has no input that takes {self._kind()}."
        return refusal(self.canvas.picture, source.card.id, output, card.card.id, port)

    def _draw_link(self, point: QPointF) -> None:
        assert self._start is not None
        source, output = self._start
        target = self._target(point)
        reason = self._why_not(target) if target else ""
        end = target[0].port_at(target[1], output=False) if target and target[1] and not reason else point
        self.canvas.drag_link(source.port_at(output, output=True), end, self._kind(), refused=bool(reason))
        for card in self.canvas.cards.values():
            wanted = target[1] if target and card is target[0] and not reason else ""
            if card.target != wanted:
                card.target = wanted
                card.update()
        self.said.emit(reason)

    def _end_link(self, point: QPointF) -> None:
        assert self._start is not None
        target = self._target(point)
        reason = self._why_not(target) if target else ""
        (source, output), port = self._start, target[1] if target else ""
        self._start = None
        self.canvas.end_drag()
        self.said.emit(reason)
        if target is not None and not reason:
            self.linked.emit(source.card.id, output, target[0].card.id, port)

    # ---- dropping a node -----------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """A node of the palette may be dropped; files go to the window."""
        if event.mimeData().hasFormat(MIME):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """The same while it moves."""
        if event.mimeData().hasFormat(MIME):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:
        """Add it where it fell."""
        node = bytes(event.mimeData().data(MIME).data()).decode()
        self.dropped.emit(node, self.mapToScene(event.position().toPoint()) - QPointF(WIDTH / 2, HEIGHT / 2))
        event.acceptProposedAction()

    # ---- keys ----------------------------------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Tab goes from card to card while there is one further; our keys come before the window's."""
        if isinstance(event, QKeyEvent):
            if event.type() == QEvent.Type.ShortcutOverride and shortcuts.deed(CANVAS, event):
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress and event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
                back = event.key() == Qt.Key.Key_Backtab or bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
                if self.step(-1 if back else 1):
                    event.accept()
                    return True
        return super().event(event)

    def step(self, way: int) -> bool:
        """Select the next card (or the one before); False past the last, so that the focus can go on."""
        names, chosen = list(self.canvas.cards), self.canvas.chosen()
        if not names:
            return False
        at = names.index(chosen[-1]) + way if chosen else (0 if way > 0 else len(names) - 1)
        if not 0 <= at < len(names):
            return False
        self.canvas.choose([names[at]])
        self.ensureVisible(self.canvas.cards[names[at]], 40, 60)
        return True

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """What the view itself does it does here, arrows move, Esc leaves; the rest is told."""
        key, shift = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        arrows: dict[int, tuple[int, int]] = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1),
                                              Qt.Key.Key_Down: (0, 1)}
        views: dict[str, Callable[[], object]] = {"canvas.fit": self.fit, "canvas.full": self.full_size,
                                                  "canvas.in": lambda: self.zoom(1.2), "canvas.out": lambda: self.zoom(1 / 1.2)}
        deed = shortcuts.deed(CANVAS, event)
        if deed in views:
            views[deed]()
        elif deed and deed != "workflow.save":  # the page's own affair
            self.asked.emit(deed.partition(".")[2])
        elif key in arrows:
            self._nudge(*arrows[key], LEAP if shift else NUDGE)
        elif key == Qt.Key.Key_Escape:
            self._start = None
            self.canvas.end_drag()
            self.canvas.clearSelection()
            self.said.emit("")
        elif key == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._space = True
            self.viewport().setCursor(Qt.CursorShape.OpenHandCursor)
        else:
            super().keyPressEvent(event)
            return
        event.accept()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Space let go: the pointer chooses again."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._space = False
            self.viewport().unsetCursor()
        super().keyReleaseEvent(event)

    def _nudge(self, right: int, down: int, far: int) -> None:
        chosen = [item for item in self.canvas.selectedItems() if isinstance(item, CardItem | NoteItem)]
        if not chosen:
            self.pan(-right * far * 4, -down * far * 4)
            return
        self._before = self._places()
        for item in chosen:
            item.moveBy(right * far, down * far)
        self._tell_moves()

    def _name_choice(self) -> None:
        """A reader hears what is selected."""
        cards = [self.canvas.cards[name].card for name in self.canvas.chosen()]
        said = "; ".join(f"{card.id}, {card.title}, {self.canvas.cards[card.id].face.words}" for card in cards[:3])
        self.setAccessibleDescription(tr(f"Selected: {said}" if said else "Nothing selected"))

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Tabbing in selects the first card."""
        super().focusInEvent(event)
        if event.reason() == Qt.FocusReason.TabFocusReason and not self.canvas.chosen():
            self.step(1)
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """The ring goes."""
        super().focusOutEvent(event)
        self._space = False
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The scene, and the focus ring where only the keyboard shows what is meant."""
        self.canvas.begin_frame()
        super().paintEvent(event)
        if self.canvas.late:
            self._more.start()
        if self.hasFocus() and not self.canvas.selectedItems():
            painter = QPainter(self.viewport())
            painter.setPen(QPen(theme.color("focus"), 2))
            painter.drawRect(QRectF(self.viewport().rect()).adjusted(1, 1, -1, -1))
            painter.end()

    def changeEvent(self, event: QEvent) -> None:
        """Another theme: everything is drawn anew."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self.canvas.update()


class Minimap(QWidget):
    """All cards, small, with the part that is shown; a click goes there."""

    def __init__(self, view: CanvasView) -> None:
        super().__init__(view)
        self._view = view
        self.setFixedSize(132, 76)
        self.setAccessibleName(tr("Overview"))
        self.setToolTip(tr("Click to go there"))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.setInterval(40)
        self._turn.timeout.connect(self.update)
        for bar in (view.horizontalScrollBar(), view.verticalScrollBar()):
            bar.valueChanged.connect(lambda _value: self.wake())
        view.zoomed.connect(lambda _scale: self.wake())
        view.canvas.changed.connect(lambda _areas: self.wake())

    def wake(self) -> None:
        """Draw again soon, at most 25 times a second."""
        if not self._turn.isActive():
            self._turn.start()

    def _frame(self) -> tuple[QRectF, float, QPointF]:
        """The scene's part that is drawn, the scale, where it begins."""
        area = self._view.canvas.content().adjusted(-30, -30, 30, 30)
        share = min((self.width() - 8) / area.width(), (self.height() - 8) / area.height())
        start = QPointF((self.width() - area.width() * share) / 2, (self.height() - area.height() * share) / 2)
        return area, share, start

    def paintEvent(self, event: QPaintEvent) -> None:
        """Cards as blocks, faulty ones red, and the frame of what is seen."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.color("border"), 1))
        painter.setBrush(theme.color("surface"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        area, share, start = self._frame()
        painter.setPen(Qt.PenStyle.NoPen)
        for card in self._view.canvas.cards.values():
            painter.setBrush(theme.color("danger" if card.fault else "focus" if card.isSelected() else "borderStrong"))
            spot = start + (card.pos() - area.topLeft()) * share
            painter.drawRoundedRect(QRectF(spot.x(), spot.y(), max(WIDTH * share, 2), max(HEIGHT * share, 2)), 1.5, 1.5)
        seen = self._view.mapToScene(self._view.viewport().rect()).boundingRect().intersected(area)
        spot = start + (seen.topLeft() - area.topLeft()) * share
        painter.setPen(QPen(theme.color("focus"), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(spot.x(), spot.y(), seen.width() * share, seen.height() * share), 3, 3)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go there."""
        area, share, start = self._frame()
        self._view.centerOn(area.topLeft() + (event.position() - start) / share)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go along."""
        self.mousePressEvent(event)
