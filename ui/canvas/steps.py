"""The palette: every node that can be added, found by typing, added by Enter, double click or dragging."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QMimeData, QObject, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QListWidget, QListWidgetItem, QWidget

from app.workflow.canvas import PaletteEntry
from ui.canvas.items import icon_of
from ui.canvas.view import MIME
from ui.language import tr
from ui.theme import font, icon, theme
from ui.widgets.text import column

WIDTH, ROOM, TWO_LINES = 190, 108, 48
"""Of the palette, and of a title in it, which else breaks over two lines of this height, px."""
_ROOMS = {"dataset": "Data", "data": "Data", "train": "Training", "feedback": "Training"}
_NODE = Qt.ItemDataRole.UserRole


class _Nodes(QListWidget):
    """A list whose entries are dragged as nodes."""

    def mimeData(self, items: Sequence[QListWidgetItem]) -> QMimeData:
        """The node's name, under a type of our own."""
        made = QMimeData()
        if items:
            made.setData(MIME, str(items[0].data(_NODE)).encode())
        return made


class StepPalette(QWidget):
    """Search field and list."""

    wanted = Signal(str)
    """Add this node."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(WIDTH)
        self._entries: list[PaletteEntry] = []
        self.field = QLineEdit()
        self.field.setPlaceholderText(tr("Add a step"))
        self.field.setAccessibleName(tr("Add a step"))
        self.field.setProperty("soft", True)
        self.field.setClearButtonEnabled(True)
        self.field.textChanged.connect(lambda _text: self._fill())
        self.field.returnPressed.connect(self._add)
        self.field.installEventFilter(self)
        self.list = _Nodes()
        self.list.setAccessibleName(tr("Steps to add"))
        self.list.setObjectName("results")
        self.list.setIconSize(QSize(16, 16))
        self.list.setWordWrap(True)
        self.list.setDragEnabled(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemActivated.connect(lambda _item: self._add())
        self.setLayout(column(self.field, self.list, gap=6, margins=(8, 10, 8, 8)))

    def show_entries(self, entries: list[PaletteEntry]) -> None:
        """Fill it."""
        self._entries = entries
        self._fill()

    def _fill(self) -> None:
        typed = self.field.text().lower().split()
        self.list.clear()
        room = ""
        order = sorted(self._entries, key=lambda entry: (("Data", "Training", "Result").index(_room(entry)), tr(entry.title)))
        for entry in order:
            if not all(part in f"{entry.title} {tr(entry.title)} {entry.node} {entry.about}".lower() for part in typed):
                continue
            if _room(entry) != room:
                room = _room(entry)
                self._head(room)
            self._entry(entry)
        rows = [row for row in range(self.list.count()) if self.list.item(row).flags() & Qt.ItemFlag.ItemIsSelectable]
        if typed and rows:
            self.list.setCurrentRow(rows[0])
        if not rows and self._entries:
            self._head("Nothing of that name")

    def _head(self, words: str) -> None:
        item = QListWidgetItem(tr(words))
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        item.setFont(font("axis"))
        item.setForeground(theme.color("textTertiary"))
        self.list.addItem(item)

    def _entry(self, entry: PaletteEntry) -> None:
        item = QListWidgetItem(icon(icon_of(entry.node), "textDisabled" if entry.trouble else "textSecondary"), tr(entry.title))
        item.setData(_NODE, entry.node)
        item.setToolTip(tr(f"{entry.node}\n{entry.trouble or entry.about}"))
        if self.list.fontMetrics().horizontalAdvance(item.text()) > ROOM:
            item.setSizeHint(QSize(ROOM, TWO_LINES))
        if entry.trouble:
            item.setFlags(Qt.ItemFlag.ItemIsEnabled)
            item.setForeground(theme.color("textDisabled"))
        self.list.addItem(item)

    def _add(self) -> None:
        item = self.list.currentItem()
        if item is not None and item.data(_NODE) and item.flags() & Qt.ItemFlag.ItemIsSelectable:
            self.wanted.emit(str(item.data(_NODE)))
            self.field.clear()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrows in the field move in the list."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up):
            self.list.setFocus()
            self.list.event(event)
            return True
        return super().eventFilter(watched, event)

    def changeEvent(self, event: QEvent) -> None:
        """Tint the icons again when the theme changes."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and hasattr(self, "list") and self._entries:
            self._fill()


def _room(entry: PaletteEntry) -> str:
    return _ROOMS.get(entry.room, "Result")
