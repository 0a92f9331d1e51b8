"""Ctrl+K: find a page or do a thing, by typing part of its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QKeyEvent, QPainter
from PySide6.QtWidgets import QFrame, QLineEdit, QListWidget, QListWidgetItem, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ui.language import tr
from ui.theme import font, icon, theme
from ui.widgets.text import column

_KEYS = Qt.ItemDataRole.UserRole + 1


@dataclass(frozen=True, slots=True)
class Deed:
    """One entry."""

    text: str
    icon: str
    act: Callable[[], object]
    keys: str = ""


class _WithKeys(QStyledItemDelegate):
    """An entry with its keys at the right."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().paint(painter, option, index)
        painter.save()
        painter.setFont(font("small"))
        painter.setPen(theme.color("textTertiary"))
        area: QRect = option.rect.adjusted(0, 0, -12, 0)
        painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, index.data(_KEYS))
        painter.restore()


def matching(deeds: list[Deed], typed: str) -> list[Deed]:
    """Entries whose words contain all typed parts, those that begin with the text first."""
    parts = typed.lower().split()
    found = [deed for deed in deeds if all(part in tr(deed.text).lower() for part in parts)]
    return sorted(found, key=lambda deed: not tr(deed.text).lower().startswith(typed.lower()))


class Palette(QFrame):
    """A field and a list over the window; Esc closes, Enter acts."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._over = parent
        parent.installEventFilter(self)
        self.setProperty("popup", True)
        self.setAccessibleName(tr("Find or do"))
        self._deeds: list[Deed] = []
        self._field = QLineEdit()
        self._field.setPlaceholderText(tr("Find a page, or do something"))
        self._field.setAccessibleName(tr("Find or do"))
        self._field.textChanged.connect(self._filter)
        self._field.returnPressed.connect(self._act)
        self._field.installEventFilter(self)
        self._list = QListWidget()
        self._list.setObjectName("results")
        self._list.setItemDelegate(_WithKeys(self._list))
        self._list.setIconSize(QSize(16, 16))
        self._list.setAccessibleName(tr("What was found"))
        self._list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._list.itemClicked.connect(lambda _item: self._act())
        self.setLayout(column(self._field, self._list, gap=8, margins=(10, 10, 10, 10)))
        self.setFixedSize(520, 380)
        self.hide()

    def ask(self, deeds: list[Deed]) -> None:
        """Open with these entries."""
        theme.dress(self)
        self._deeds = deeds
        self._field.clear()
        self._filter("")
        self.move((self._over.width() - self.width()) // 2, 80)
        self.show()
        self.raise_()
        self._field.setFocus()

    def _filter(self, typed: str) -> None:
        self._list.clear()
        for deed in matching(self._deeds, typed):
            item = QListWidgetItem(icon(deed.icon), tr(deed.text))
            item.setData(Qt.ItemDataRole.UserRole, deed.text)
            item.setData(_KEYS, deed.keys)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{tr(deed.text)}, {deed.keys}" if deed.keys else tr(deed.text))
            self._list.addItem(item)
        self._list.setCurrentRow(0)
        if not self._list.count():
            nothing = QListWidgetItem(tr("Nothing of that name"))
            nothing.setFlags(Qt.ItemFlag.NoItemFlags)
            self._list.addItem(nothing)

    def _act(self) -> None:
        item = self._list.currentItem()
        self.hide()
        if item is not None and item.data(Qt.ItemDataRole.UserRole):
            text = item.data(Qt.ItemDataRole.UserRole)
            next(deed for deed in self._deeds if deed.text == text).act()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrows move in the list while typing; Esc closes; a click elsewhere closes, also where nothing takes the focus."""
        if event.type() == (QEvent.Type.FocusOut if watched is self._field else QEvent.Type.MouseButtonPress):
            self.hide()
        if watched is self._field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()))
            if step is not None:
                self._list.setCurrentRow((self._list.currentRow() + step) % max(self._list.count(), 1))
                return True
            if event.key() == Qt.Key.Key_Escape:
                self.hide()
                return True
        return super().eventFilter(watched, event)
