"""The list at the left of a page: a name and a note a line, under headings; hundreds of lines cost no more than those that are seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import QFrame, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from ui.language import tr
from ui.theme import font, theme
from ui.widgets.table import AnyIndex

LINE, ALONE, HEADING, APART = 52, 34, 30, 6
"""Heights of a line, of one without a note and of a heading, and room between a line's tint and the list's edge, px."""
_LINE_ROLE = Qt.ItemDataRole.UserRole
_TONES = {"accent": ("accentTint", "accentText"), "success": ("successTint", "success"), "danger": ("dangerTint", "danger"),
          "neutral": ("sunken", "textSecondary")}


@dataclass(frozen=True, slots=True)
class SideLine:
    """key: given back by ``chosen``.  own: the title is the user's.  mark: a word at the right, in a tone of a badge.  tip: more words."""

    key: str
    title: str
    note: str = ""
    mark: str = ""
    tone: str = "neutral"
    own: bool = False
    tip: str = ""

    @property
    def heading(self) -> bool:
        """Whether it stands over others and cannot be chosen."""
        return not self.key

    def shown_title(self) -> str:
        """The title in the language in force."""
        return self.title if self.own else tr(self.title)


class _Lines(QAbstractListModel):
    def __init__(self, parent: QListView) -> None:
        super().__init__(parent)
        self.lines: list[SideLine] = []

    def rowCount(self, parent: AnyIndex = QModelIndex()) -> int:  # noqa: B008  # Qt's own signature
        return 0 if parent.isValid() else len(self.lines)

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        line = self.lines[index.row()]
        if role == _LINE_ROLE:
            return line
        if role == Qt.ItemDataRole.DisplayRole:  # what is read aloud, too
            return ", ".join(part for part in (line.shown_title(), tr(line.mark), tr(line.note)) if part)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tr(line.tip) or line.shown_title()
        return None

    def flags(self, index: AnyIndex) -> Qt.ItemFlag:
        if self.lines[index.row()].heading:
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable


class _Painter(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index: AnyIndex) -> QSize:
        line: SideLine = index.data(_LINE_ROLE)
        return QSize(10, HEADING if line.heading else LINE if line.note else ALONE)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        line: SideLine = index.data(_LINE_ROLE)
        area: QRect = option.rect.adjusted(APART, 2, -APART, -2)
        state: QStyle.StateFlag = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if line.heading:
            _write(painter, area.adjusted(8, 8, -8, 0), line.shown_title(), "axis", "textTertiary")
        else:
            chosen = bool(state & QStyle.StateFlag.State_Selected)
            if chosen or state & QStyle.StateFlag.State_MouseOver:
                _tint(painter, area, "selected" if chosen else "hover", 6)
            if chosen:
                painter.fillRect(area.left(), area.top() + 4, theme.chosen_mark, area.height() - 8, theme.color("text"))
            if state & QStyle.StateFlag.State_HasFocus:
                painter.setPen(QPen(theme.color("focus"), 2))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRoundedRect(area.adjusted(1, 1, -1, -1), 6, 6)
            self._words(painter, area.adjusted(10, 6 if line.note else 5, -8, -6), line, "accentText" if chosen else "text")
        painter.restore()

    @staticmethod
    def _words(painter: QPainter, area: QRect, line: SideLine, tone: str) -> None:
        first = QRect(area.left(), area.top(), area.width(), 20)
        if line.mark:
            tint, ink = _TONES[line.tone]
            words = tr(line.mark)
            wide = QFontMetrics(font("small")).horizontalAdvance(words) + 14
            badge = QRect(first.right() - wide + 1, first.top(), wide, 20)
            _tint(painter, badge, tint, 4)
            _write(painter, badge.adjusted(7, 0, -6, 0), words, "small", ink)
            first.setRight(badge.left() - 6)
        _write(painter, first, line.shown_title(), "bodyStrong", tone)
        _write(painter, QRect(area.left(), area.top() + 20, area.width(), 16), tr(line.note), "small", "textTertiary")


def _tint(painter: QPainter, area: QRect, token: str, radius: int) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.color(token))
    painter.drawRoundedRect(area, radius, radius)


def _write(painter: QPainter, area: QRect, text: str, role: str, token: str) -> None:
    letters = font(role)
    painter.setFont(letters)
    painter.setPen(theme.color(token))
    shown = QFontMetrics(letters).elidedText(text, Qt.TextElideMode.ElideRight, area.width())
    painter.drawText(area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)


class SideList(QListView):
    """``chosen`` carries the key of the line that a click or an arrow key chose."""

    chosen = Signal(str)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName("side")
        self._lines = _Lines(self)
        self.setModel(self._lines)
        self.setItemDelegate(_Painter(self))
        self.setAccessibleName(tr(name))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setMouseTracking(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self._telling = True
        self.selectionModel().currentChanged.connect(self._tell)

    def show_lines(self, lines: Sequence[SideLine], chosen: str) -> None:
        """Replace the lines, if they say something new, and choose one without telling; what was scrolled to stays."""
        self._telling = False
        before, at = self.key(), self.verticalScrollBar().value()
        if list(lines) != self._lines.lines:
            self._lines.beginResetModel()
            self._lines.lines = list(lines)
            self._lines.endResetModel()
            self.doItemsLayout()
        row = next((number for number, line in enumerate(self._lines.lines) if line.key and line.key == chosen), -1)
        if row != self.currentIndex().row():
            self.setCurrentIndex(self._lines.index(row) if row >= 0 else QModelIndex())  # which scrolls to it
        if self.key() == before:
            self.verticalScrollBar().setValue(at)
        self._telling = True

    def lines(self) -> list[SideLine]:
        """What is shown."""
        return list(self._lines.lines)

    def key(self) -> str:
        """The key of the chosen line, or ""."""
        row = self.currentIndex().row()
        return self._lines.lines[row].key if 0 <= row < len(self._lines.lines) else ""

    def _tell(self, index: QModelIndex) -> None:
        if self._telling and index.isValid():
            self.chosen.emit(self.key())
