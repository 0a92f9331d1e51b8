"""The canvas with all around it: palette, view with its tools and overview, inspector.  It shows a text and tells the next one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QMenu, QPlainTextEdit, QSplitter, QWidget

from app.errors import NeuroWeaverError
from app.workflow.canvas import PaletteEntry, Picture, Status, picture
from ui.canvas.deeds import Deeds
from ui.canvas.inspector import Inspector
from ui.canvas.items import GroupItem, port_token
from ui.canvas.scene import CanvasScene, face
from ui.canvas.steps import StepPalette
from ui.canvas.view import CanvasView, Minimap
from ui.language import tr
from ui.shortcuts import NOTE, shortcuts
from ui.widgets.buttons import Button
from ui.widgets.text import Dot, Icon, Label, column, row

_KINDS = ("rows", "model", "report", "file")


class Strip(QFrame):
    """A line or two over the canvas: why something was refused, or that the text cannot be read."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self.setProperty("banner", "danger")
        self._icon, self.label = Icon("circle-alert", "danger"), Label("", "small", "danger", wrap=True)
        self.go = Button("Show the line", "link", size="small")
        self._line = row(self._icon, self.label, self.go, gap=8, margins=(10, 4, 6, 4))
        self.setLayout(self._line)
        self.hide()

    def say(self, words: str, *, leads: bool = False) -> None:
        """Show words, or go away."""
        self.label.say(words)
        self.go.setVisible(leads)
        self.setVisible(bool(words))
        self.fit(self._over.width())
        self.raise_()

    def fit(self, room: int) -> None:
        """As wide as the words, where there is room for them, else in more lines: a reason that is cut is none."""
        words = self.label.fontMetrics().horizontalAdvance(self.label.accessibleName())
        button = self.go.sizeHint().width() + 8 if self.go.isVisibleTo(self) else 0
        width = min(words + button + 48, max(room - 24, 100))
        self.resize(width, self._line.totalHeightForWidth(width))


class CanvasPane(QWidget):
    """One document as a picture."""

    edited = Signal(str, str)
    """The new text, and what was done."""
    undo_asked = Signal()
    redo_asked = Signal()
    again_asked = Signal(str)
    """Run the document, this step and what builds on it anew."""
    line_asked = Signal(int)
    """Show this line of the text."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = CanvasScene(self)
        self.deeds = Deeds(self.scene, self)
        self.view = CanvasView(self.scene)
        self.palette_ = StepPalette()
        self.inspector = Inspector()
        self.status = Status()
        self.trouble: NeuroWeaverError | None = None
        self._note: QPlainTextEdit | None = None
        self._note_done: Callable[[str], object] = lambda _words: None
        self._tools()
        ground = QSplitter(Qt.Orientation.Vertical)
        ground.setHandleWidth(1)
        top = QWidget()
        across = row(self.palette_, self.view, gap=0)
        across.setStretch(1, 1)
        top.setLayout(across)
        ground.addWidget(top)
        ground.addWidget(self.inspector)
        ground.setSizes([560, 250])
        ground.setStretchFactor(0, 1)
        ground.setCollapsible(0, False)
        self.setLayout(column(ground))
        self._wire()

    def _tools(self) -> None:
        """Buttons, legend, overview and strip lie over the view."""
        self.undo = Button("", "outline", "undo-2", tooltip="Undo", keys="workflow.undo", clicked=self.undo_asked.emit)
        self.redo = Button("", "outline", "redo-2", tooltip="Redo", keys="workflow.redo", clicked=self.redo_asked.emit)
        self.scale = Button("100 %", "outline", tooltip="To 100 %", keys="canvas.full", clicked=self.view.full_size)
        self._buttons = QWidget(self.view)
        self._buttons.setLayout(row(
            self.undo, self.redo, Button("Tidy", "outline", "layout-grid", tooltip="Place all steps in order", clicked=self.deeds.tidy),
            Button("", "outline", "maximize", tooltip="Show all", keys="canvas.fit", clicked=self.view.fit), self.scale,
            Button("", "outline", "message-square", tooltip="Add a note", keys="canvas.note", clicked=self._new_note), gap=4))
        self._legend = QWidget(self.view)
        marks = [row(Dot(port_token(kind), 8), Label(kind, "small", "tertiary"), gap=5) for kind in _KINDS]
        self._legend.setLayout(row(*marks, gap=12))
        self._legend.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.minimap = Minimap(self.view)
        self.strip = Strip(self.view)
        self.strip.go.clicked.connect(self._go_to_trouble)
        self.hint = Label("Drag a step here, or type its name on the left.", "body", "tertiary", parent=self.view)
        self.hint.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.view.installEventFilter(self)

    def _wire(self) -> None:
        deeds, view = self.deeds, self.view
        deeds.edited.connect(self._did)
        deeds.refused.connect(self.strip.say)
        view.said.connect(self._tell)
        view.linked.connect(deeds.link)
        view.moved.connect(deeds.move)
        view.dropped.connect(lambda node, spot: deeds.add(node, spot))
        view.asked.connect(self.do)
        view.menu_asked.connect(self._menu)
        view.note_opened.connect(self.write_note)
        view.zoomed.connect(lambda scale: self.scale.say(f"{100 * scale:.0f} %"))
        self.palette_.wanted.connect(self._add)
        self.scene.changed_selection.connect(self.show_chosen)
        self.inspector.set_value.connect(deeds.set_parameter)
        self.inspector.unset_value.connect(deeds.unset_parameter)
        self.inspector.renamed.connect(self._rename)
        self.inspector.asked.connect(self.do)

    # ---- showing -----------------------------------------------------------------------------------------------------------

    def load(self, text: str, path: str) -> None:
        """Another document."""
        self.deeds.path = path
        self.status = Status()
        self.scene.clearSelection()
        self.show_text(text)
        self.view.fit_once()

    def show_text(self, text: str) -> None:
        """The same document with another text; one that cannot be read leaves the last good picture, greyed."""
        self.deeds.text = text
        try:
            shown = picture(text, self.deeds.path)
        except NeuroWeaverError as problem:
            self._block(problem)
            return
        self._block(None)
        self._show(shown)

    def _show(self, shown: Picture) -> None:
        faces, faulty = self._faces(shown)
        self.scene.show_picture(shown, faces, faulty)
        self.hint.setVisible(not shown.cards)
        self.show_chosen()
        self.minimap.wake()

    def _block(self, problem: NeuroWeaverError | None) -> None:
        self.trouble = problem
        line = f"Line {problem.where.line}: " if problem is not None and problem.where.line else ""
        self.deeds.blocked = f"{line}{problem.message} The canvas shows the last text that could be read." if problem else ""
        self.scene.dim(problem is not None)
        self.inspector.setEnabled(problem is None)
        self.palette_.setEnabled(problem is None)
        self.strip.say(self.deeds.blocked, leads=bool(problem and problem.where.line))
        self._place()

    def _faces(self, shown: Picture) -> tuple[dict[str, Any], set[str]]:
        by_step: dict[str, list[Any]] = {}
        for fault in self.status.faults:
            by_step.setdefault(fault.step, []).append(fault)
        faces = {card.id: face(card, self.status.states.get(card.id), by_step.get(card.id, [])) for card in shown.cards}
        return faces, {card.id for card in shown.cards if card.trouble or by_step.get(card.id)}

    def show_status(self, status: Status) -> None:
        """The check's answer and the newest run's states; of a text that cannot be read there are none, and the last ones stay."""
        if self.trouble is not None:
            return
        self.status = status
        self.scene.show_faces(*self._faces(self.scene.picture))
        self.show_chosen()
        self.minimap.wake()

    def show_palette(self, entries: list[PaletteEntry]) -> None:
        """The nodes that can be added."""
        self.palette_.show_entries(entries)

    def show_history(self, undo: str, redo: str) -> None:
        """What undo and redo would do."""
        self.undo.allow("" if undo else "Nothing to undo", f"Undo: {undo}")
        self.redo.allow("" if redo else "Nothing to redo", f"Redo: {redo}")

    def show_chosen(self) -> None:
        """The inspector follows the selection."""
        chosen = self.scene.chosen()
        card = self.scene.picture.card(chosen[0]) if len(chosen) == 1 else None
        if card is not None and self.deeds.blocked and card.id == self.inspector.step:
            return  # what the text says of it cannot be read now
        if card is None:
            self.inspector.show_none(f"{len(chosen)} steps chosen." if chosen else "Choose a step to see its settings.")
            return
        faults = [fault for fault in self.status.faults if fault.step == card.id]
        self.inspector.show_step(card, self.deeds.own(card.id), "the document it extends", faults)

    # ---- doing -----------------------------------------------------------------------------------------------------------------

    def _did(self, text: str, words: str) -> None:
        self.show_text(text)
        self.edited.emit(text, words)

    def do(self, deed: str) -> None:
        """Carry out what a key, a menu or a button asked for."""
        self.strip.say(self.deeds.blocked, leads=self.trouble is not None)
        simple = {"delete": self.deeds.delete, "copy": self.deeds.copy, "cut": self.deeds.cut, "paste": self.deeds.paste,
                  "duplicate": self.deeds.duplicate, "tidy": self.deeds.tidy, "undo": self.undo_asked.emit,
                  "redo": self.redo_asked.emit, "all": self._all, "add": self.palette_.field.setFocus, "open": self._open,
                  "again": self._again, "rename": self._name, "link": self._link_menu, "note": self._new_note, "group": self.deeds.group}
        simple[deed]()

    def _all(self) -> None:
        self.scene.choose(list(self.scene.cards))

    def _add(self, node: str) -> None:
        if name := self.deeds.add(node):
            self.view.ensureVisible(self.scene.cards[name], 40, 80)
            self.view.setFocus()

    def _open(self) -> None:
        """Enter goes to the first field."""
        first = next(iter(self.inspector.rows.values()), None) if self.inspector.step else None
        if first is not None:
            first.editor.setFocus()

    def _again(self) -> None:
        """Only a step that has run can be run again."""
        chosen = self.scene.chosen()
        if len(chosen) == 1 and chosen[0] in self.status.states:
            self.again_asked.emit(chosen[0])
        else:
            self._tell("Choose one step that has run.")

    def _name(self) -> None:
        groups = [item for item in self.scene.selectedItems() if isinstance(item, GroupItem)]
        if groups:
            mark, corner = groups[0].mark, groups[0].boundingRect().topLeft()
            self._ask(mark.title, corner, (200, 34), partial(self.deeds.title_group, mark.id))
        elif self.inspector.step:
            self.inspector.name.setFocus()
            self.inspector.name.selectAll()

    def _rename(self, old: str, new: str) -> None:
        if not self.deeds.rename(old, new):
            self.inspector.keep_name()

    def _tell(self, words: str) -> None:
        self.strip.say(words or self.deeds.blocked, leads=not words and self.trouble is not None)
        self._place()

    def _go_to_trouble(self) -> None:
        if self.trouble is not None and self.trouble.where.line:
            self.line_asked.emit(self.trouble.where.line)

    # ---- notes ---------------------------------------------------------------------------------------------------------------

    def _new_note(self) -> None:
        spot = self.view.mapToScene(self.view.viewport().rect().center()) - QPointF(100, 45)
        if name := self.deeds.note(spot):
            self.write_note(name)

    def write_note(self, name: str) -> None:
        """A field over the note; it is kept when the focus leaves."""
        note = self.scene.notes[name].note
        self._ask(note.text, QPointF(note.x, note.y), (note.width, note.height), partial(self.deeds.write_note, name))

    def _ask(self, text: str, spot: QPointF, size: tuple[float, float],
             done: Callable[[str], object]) -> None:
        field = QPlainTextEdit(self.view)
        field.setPlainText(text)
        field.setAccessibleName(tr("Text"))
        corner = self.view.mapFromScene(spot)
        field.setGeometry(corner.x(), corner.y(), max(round(size[0] * self.view.scale_now()), 180),
                          max(round(size[1] * self.view.scale_now()), 60))
        field.installEventFilter(self)
        self._note, self._note_done = field, done
        field.show()
        field.setFocus()
        field.selectAll()

    def end_note(self, *, keep: bool = True) -> None:
        """Take the field away and keep what it says."""
        if self._note is None:
            return
        field, self._note = self._note, None
        words = field.toPlainText().strip()
        field.hide()
        field.deleteLater()
        if keep:
            self._note_done(words)
        self.view.setFocus()

    # ---- menus -----------------------------------------------------------------------------------------------------------------

    def _menu(self, spot: QPoint) -> None:
        self.make_menu().popup(spot)

    def make_menu(self) -> QMenu:
        """What can be done with the selection."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        chosen, any_chosen = self.scene.chosen(), bool(self.scene.selectedItems())
        for words, deed, allowed in (("Rename", "rename", len(chosen) == 1), ("Copy", "copy", bool(chosen)), ("Paste", "paste", True),
                                     ("Duplicate", "duplicate", bool(chosen)), ("Remove", "delete", any_chosen),
                                     ("Link to", "link", len(chosen) == 1), ("Group", "group", bool(chosen)), ("Add a note", "note", True),
                                     ("Run again from here", "again", len(chosen) == 1 and chosen[0] in self.status.states)):
            action = menu.addAction(f"{tr(words)}\t{shortcuts.words(f'canvas.{deed}')}", partial(self.do, deed))
            action.setEnabled(allowed)
        lines = menu.addMenu(tr("Align"))
        lines.setEnabled(len(chosen) > 1)
        for words, how in (("Left edges", "left"), ("Top edges", "top"), ("In a row", "row"), ("In a column", "column")):
            lines.addAction(tr(words), partial(self.deeds.align, how))
        menu.addAction(tr("Tidy all"), self.deeds.tidy)
        card = self.scene.picture.card(chosen[0]) if len(chosen) == 1 else None
        if card is not None and card.line:
            menu.addAction(tr("Show in the text"), partial(self.line_asked.emit, card.line))
        return menu

    def _link_menu(self) -> None:
        menu = self.make_link_menu()
        if menu is not None:
            chosen = self.scene.cards[self.scene.chosen()[0]]
            menu.popup(self.view.viewport().mapToGlobal(self.view.mapFromScene(chosen.sceneBoundingRect().bottomRight())))

    def make_link_menu(self) -> QMenu | None:
        """Where the chosen step's outputs can go; what cannot be says why."""
        chosen = self.scene.chosen()
        if len(chosen) != 1:
            self._tell("Choose one step to link from.")
            return None
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        for output, target, port, reason in self.deeds.targets(chosen[0]):
            action = menu.addAction(tr(f"{output} to {target}, {port}"), partial(self.deeds.link, chosen[0], output, target, port))
            action.setEnabled(not reason)
            action.setToolTip(tr(reason))
        if menu.isEmpty():
            self._tell(f"No other step takes what {chosen[0]} gives.")
        return menu

    # ---- the things over the view --------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the tools in their corners; end the writing of a note."""
        if watched is self.view and event.type() in (QEvent.Type.Resize, QEvent.Type.Show):
            self._place()
        if watched is self._note and self._note is not None:
            if event.type() == QEvent.Type.FocusOut:
                self.end_note()
            elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
                if event.key() == Qt.Key.Key_Escape:
                    self.end_note(keep=False)
                    return True
                if shortcuts.deed(NOTE, event) == "note.done":
                    self.end_note()
                    return True
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The tools keep their corners."""
        super().resizeEvent(event)
        self._place()

    def _place(self) -> None:
        width, height = self.view.width(), self.view.height()
        for widget in (self._buttons, self._legend, self.hint):
            widget.adjustSize()
        self.strip.fit(width)
        self._buttons.move(12, height - self._buttons.height() - 12)
        self._legend.move(width - self._legend.width() - 14, 10)
        self.minimap.move(width - self.minimap.width() - 12, height - self.minimap.height() - 12)
        self.minimap.setVisible(width > 520)
        self.strip.move(12, 36)
        self.hint.move((width - self.hint.width()) // 2, (height - self.hint.height()) // 2)
