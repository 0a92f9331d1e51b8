"""Runs that wait, in the order in which they will start or go on; drag them, or move them by keys."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QDropEvent, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem

from ui.language import tr
from ui.shortcuts import shortcuts
from ui.widgets.text import Card, Label, column

ROW = 30


class _List(QListWidget):
    moved = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Waiting runs, in their order"))
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def dropEvent(self, event: QDropEvent) -> None:
        """A row stands elsewhere now."""
        super().dropEvent(event)
        self.moved.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move the chosen row."""
        if by := {"queue.up": -1, "queue.down": 1}.get(shortcuts.deed("runs", event), 0):
            self.shift(by)
        else:
            super().keyPressEvent(event)

    def shift(self, by: int) -> None:
        """Move the chosen row up (-1) or down (1)."""
        at = self.currentRow()
        if at >= 0 and 0 <= at + by < self.count():
            self.insertItem(at + by, self.takeItem(at))
            self.setCurrentRow(at + by)
            self.moved.emit()


class RunQueue(Card):
    """Shown while at least two runs wait.  ``reordered`` carries their ids, the first to start first."""

    reordered = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.settled = True
        """Whether the store knows the order that is shown; until it does, what the store says is older."""
        self.list = _List()
        self.list.moved.connect(lambda: self.reordered.emit(self.order()))
        self.setLayout(column(Label("Waiting, in this order. Drag to change it.", "heading"), self.list, gap=6, margins=(16, 12, 16, 12)))
        self.hide()

    def order(self) -> list[str]:
        """Ids as they stand."""
        return [str(self.list.item(row).data(Qt.ItemDataRole.UserRole)) for row in range(self.list.count())]

    def show_lines(self, lines: list[Any]) -> None:
        """Fill it; the chosen row stays chosen."""
        if not self.settled:
            return
        if [line.id for line in lines] != self.order():
            chosen = self.list.currentItem().data(Qt.ItemDataRole.UserRole) if self.list.currentItem() else ""
            self.list.clear()
            for line in lines:
                item = QListWidgetItem(tr(f"{line.name}, run {line.number}"))
                item.setData(Qt.ItemDataRole.UserRole, line.id)
                item.setSizeHint(QSize(200, ROW))
                self.list.addItem(item)
                if line.id == chosen:
                    self.list.setCurrentItem(item)
            self.list.setFixedHeight(min(len(lines), 6) * ROW + 8)
        self.setVisible(len(lines) > 1)
