"""A table: rows of 32 px, figures right-aligned, a state as dot and word, no cell widgets."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QPointF, QRect, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QFontMetricsF, QPainter, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from ui.language import tr
from ui.theme import font, theme, tokens

AnyIndex = QModelIndex | QPersistentModelIndex
DOT = 9
"""Width of a dot's picture, px."""
FIRST_JOINED = "\u0590"
"""From here on there are scripts whose letters change with their neighbours (Hebrew, Arabic, Devanagari, ...)."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column.  width: px, or 0 to take the room that is left."""

    title: str
    width: int = 0
    right: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell.  tone and dot: colour tokens.  own: the user's words, which are never translated."""

    text: str
    tone: str = "text"
    dot: str = ""
    strong: bool = False
    mono: bool = False
    struck: bool = False
    own: bool = False


class CellModel(QAbstractTableModel):
    """A model of :class:`Cell`; subclasses say how many rows there are and what stands in each."""

    def __init__(self, columns: Sequence[Column], parent: QWidget) -> None:
        super().__init__(parent)
        self.columns = columns

    def cell(self, row: int, column: int) -> Cell:
        """What stands there."""
        raise NotImplementedError

    def columnCount(self, parent: AnyIndex = QModelIndex()) -> int:  # noqa: B008  # Qt's own signature
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        cell = self.cell(index.row(), index.column())
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return cell.text
        if role == Qt.ItemDataRole.ForegroundRole:
            return QColor(theme.color(cell.tone))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if self.columns[index.column()].right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.FontRole:
            return _font(cell)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Vertical:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return tr(self.columns[section].title)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if self.columns[section].right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None


class _Model(CellModel):
    """All rows at once, each with its key."""

    def __init__(self, columns: Sequence[Column], parent: QWidget) -> None:
        super().__init__(columns, parent)
        self.rows: list[tuple[str, Sequence[Cell]]] = []

    def cell(self, row: int, column: int) -> Cell:
        found = self.rows[row][1][column]
        words = found.text if found.own else tr(found.text)
        return found if words == found.text else replace(found, text=words)

    def rowCount(self, parent: AnyIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.rows)


def _font(cell: Cell) -> QFont:
    return _made_font("code" if cell.mono else "bodyStrong" if cell.strong else "body", cell.struck)


@functools.cache
def _made_font(role: str, struck: bool) -> QFont:
    made = font(role)
    made.setStrikeOut(struck)
    made.setStyleStrategy(QFont.StyleStrategy.PreferNoShaping)  # Latin without kerning in two thirds of the time; what must be shaped is
    return made


class _Advances(dict[str, int]):
    """How far each letter takes the pen, px, in 64ths; asked once a letter."""

    def __init__(self, role: str) -> None:
        self._metrics = QFontMetricsF(_made_font(role, False))

    def __missing__(self, letter: str) -> int:
        self[letter] = found = round(64 * self._metrics.horizontalAdvance(letter))
        return found


_advances = functools.cache(_Advances)


@functools.lru_cache(maxsize=4096)
def _fitted(text: str, room: int, role: str) -> tuple[str, int]:
    """What of a text fits into so many px, with an ellipsis if not all does, and its width.

    Summed letter by letter, which takes a small part of the time that Qt needs to lay the text out; scripts that join letters are
    left to Qt.
    """
    if room <= 0:
        return "", 0
    if not text.isascii() and max(text[:room]) >= FIRST_JOINED:
        shown = _metrics(role).elidedText(text[:room], Qt.TextElideMode.ElideRight, room)
        return shown, _metrics(role).horizontalAdvance(shown)
    advances, wide, most, cut = _advances(role), 0, 64 * room, 0
    ends = most - advances["…"]
    for place, letter in enumerate(text):
        wide += advances[letter]
        if wide <= ends:
            cut = place + 1
        elif wide > most:
            return text[:cut].rstrip() + "…", room
    return text, -(-wide // 64)


@functools.cache
def _metrics(role: str) -> QFontMetrics:
    return QFontMetrics(_made_font(role, False))


@functools.cache
def _baseline(role: str) -> int:
    """From the middle of a row down to the line that letters stand on, px."""
    return (_metrics(role).ascent() - _metrics(role).descent()) // 2


@functools.cache
def _colour(_mode: str, token: str) -> QColor:
    return theme.color(token)


@functools.cache
def _dot(_mode: str, token: str, scale: float) -> QPixmap:
    """A state's dot, DOT px wide."""
    found = QPixmap(round(DOT * scale), round(DOT * scale))
    found.setDevicePixelRatio(scale)
    found.fill(Qt.GlobalColor.transparent)
    painter = QPainter(found)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_colour(_mode, token))
    painter.drawEllipse(QPointF(DOT / 2, DOT / 2), 3.5, 3.5)
    painter.end()
    return found


class CellPen:
    """Draws cells itself: through the style sheet a screen of rows takes 35 ms.

    It is called for every cell that is seen, so colours, fonts, dots and cut texts are kept, what is set already is not set again, and
    nothing is drawn by layout flags.
    """

    def __init__(self, painter: QPainter) -> None:
        self._painter, self._mode, self._scale = painter, theme.mode, painter.device().devicePixelRatioF()
        self._font: tuple[str, bool] = ("", False)
        self._tone = ""

    def ground(self, left: int, top: int, width: int, height: int, selected: bool, *, line: bool = True, first: bool = True) -> None:
        """What lies behind the cells of a row.  line: below it, which the last one leaves to what follows.  first: it begins the row."""
        if selected:
            self._painter.fillRect(left, top, width, height, _colour(self._mode, "selected"))
            self._painter.fillRect(left, top, theme.chosen_mark if first else 0, height, _colour(self._mode, "text"))
        if line:
            self._painter.fillRect(left, top + height - 1, width, 1, _colour(self._mode, "borderSubtle"))

    def write(self, cell: Cell, left: int, top: int, width: int, height: int, right: bool) -> None:
        """What stands in a cell."""
        if not cell.text:
            return
        painter, indent = self._painter, 10
        if cell.dot:
            indent = 20
            painter.drawPixmap(QPointF(left + 8 - DOT / 2, top + (height - DOT) / 2), _dot(self._mode, cell.dot, self._scale))
        role = "code" if cell.mono else "bodyStrong" if cell.strong else "body"
        text, wide = _fitted(cell.text, width - indent - 10, role)
        if self._font != (role, cell.struck):
            self._font = role, cell.struck
            painter.setFont(_made_font(role, cell.struck))
        if self._tone != cell.tone:
            self._tone = cell.tone
            painter.setPen(_colour(self._mode, cell.tone))
        painter.drawText(left + width - 10 - wide if right else left + indent, top + height // 2 + _baseline(role), text)


class _Delegate(QStyledItemDelegate):
    """One cell at a time, for tables of some rows."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        model: Any = index.model()
        column = index.column()
        rectangle: QRect = option.rect
        place = rectangle.x(), rectangle.y(), rectangle.width(), rectangle.height()
        pen = CellPen(painter)
        pen.ground(*place, selected=bool(option.state & QStyle.StateFlag.State_Selected), line=index.row() + 1 < model.rowCount(),
                   first=column == 0)
        pen.write(model.cell(index.row(), column), *place, right=model.columns[column].right)


class CellView(QTableView):
    """What all tables have in common: the look, whole rows selected, no cell widgets."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setItemDelegate(_Delegate(self))
        self.setAccessibleName(tr(name))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(int(tokens()["size"]["tableRow"]))
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setFixedHeight(int(tokens()["size"]["tableRow"]))

    def take(self, model: CellModel) -> None:
        """Show a model, its columns as wide as they say."""
        self.setModel(model)
        header = self.horizontalHeader()
        for number, column in enumerate(model.columns):
            stretch = QHeaderView.ResizeMode.Stretch if not column.width else QHeaderView.ResizeMode.Fixed
            words = header.fontMetrics().horizontalAdvance(tr(column.title)) + 24
            header.setSectionResizeMode(number, stretch)
            if column.width:
                self.setColumnWidth(number, max(column.width, words))


class Table(CellView):
    """Shows rows of :class:`Cell`; each row has a key, given back by ``opened`` (click, Enter) and ``picked``."""

    opened = Signal(str)
    picked = Signal(str)

    def __init__(self, columns: Sequence[Column], name: str) -> None:
        super().__init__(name)
        self._table = _Model(columns, self)
        self.take(self._table)
        self.activated.connect(lambda index: self.opened.emit(self._table.rows[index.row()][0]))
        self.clicked.connect(lambda index: self.opened.emit(self._table.rows[index.row()][0]))
        self.selectionModel().currentRowChanged.connect(self._pick)

    def show_rows(self, rows: Sequence[tuple[str, Sequence[Cell]]]) -> None:
        """Replace the rows; the row with the same key stays selected."""
        if list(rows) == self._table.rows:
            return
        key = self.key()
        self._table.beginResetModel()
        self._table.rows = list(rows)
        self._table.endResetModel()
        if key:
            self.select_key(key)

    def key(self) -> str:
        """The key of the selected row, or ""."""
        row = self.currentIndex().row()
        return self._table.rows[row][0] if 0 <= row < len(self._table.rows) else ""

    def select_key(self, key: str) -> None:
        """Select a row by its key."""
        for number, (other, _) in enumerate(self._table.rows):
            if other == key:
                self.setCurrentIndex(self._table.index(number, 0))

    def fit_height(self) -> None:
        """Be as high as the rows and the line around them while it has the focus, for short tables inside a page."""
        rows = self._table.rowCount() * self.verticalHeader().defaultSectionSize()
        self.setFixedHeight(int(tokens()["size"]["tableRow"]) + rows + 2 * int(tokens()["stroke"]["focus"]))
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def _pick(self, index: QModelIndex) -> None:
        if index.isValid() and index.row() < len(self._table.rows):
            self.picked.emit(self._table.rows[index.row()][0])
