"""Titled panels and short tables: figures right-aligned, hairlines between rows, one fixed line a row."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from ui.language import tr
from ui.widgets.text import Card, Label, Line, clear, column, row

ROW = 32
Cell = str | QWidget


class Panel(Card):
    """A card with a heading line; ``note`` stands small beside the heading, ``actions`` at the right."""

    def __init__(self, heading: str, note: str = "", *actions: QWidget) -> None:
        super().__init__()
        self.setAccessibleName(tr(heading))
        self.note = Label(note, "small", "tertiary", elide=True)
        head = row(Label(heading, "heading"), self.note, *actions, gap=8, margins=(16, 8, 12, 8))
        head.setStretch(1, 1)
        self.body = column()
        self.setLayout(column(head, Line(), self.body))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)


class Table(QWidget):
    """A table of some dozens of rows; long ones belong in a model and view.

    columns: (heading, kind) with kind "text" (takes the room that is left), "fit" (as wide as needed) or "figure".
    """

    def __init__(self, columns: Sequence[tuple[str, str]], *, name: str = "") -> None:
        super().__init__()
        self._columns = list(columns)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(16, 0, 16, 4)
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(0)
        self.setAccessibleName(tr(name))
        for position, (_, kind) in enumerate(self._columns):
            self._grid.setColumnStretch(position, 1 if kind == "text" else 0)

    def retitle(self, headings: Sequence[str]) -> None:
        """Other words over the columns, from the next rows on."""
        self._columns = [(heading, kind) for heading, (_, kind) in zip(headings, self._columns, strict=True)]

    def show_rows(self, rows: Sequence[Sequence[Cell]]) -> None:
        """Replace what is shown."""
        clear(self._grid)
        for position, (heading, kind) in enumerate(self._columns):
            label = Label(heading, "small", "tertiary")
            label.setAlignment(self._side(kind))
            label.setFixedHeight(28)
            self._grid.addWidget(label, 0, position)
        for number, cells in enumerate(rows):
            self._grid.addWidget(Line(), 2 * number + 1, 0, 1, len(self._columns))
            for position, cell in enumerate(cells):
                self._put(cell, 2 * number + 2, position)

    def _put(self, cell: Cell, line: int, position: int) -> None:
        kind = self._columns[position][1]
        widget = cell if isinstance(cell, QWidget) else Label(cell, "body", elide=kind == "text")
        if isinstance(widget, Label):
            widget.setFixedHeight(ROW)
            widget.setAlignment(self._side(kind))
            self._grid.addWidget(widget, line, position)
        else:
            self._grid.addWidget(widget, line, position, self._side(kind))

    @staticmethod
    def _side(kind: str) -> Qt.AlignmentFlag:
        side = Qt.AlignmentFlag.AlignRight if kind == "figure" else Qt.AlignmentFlag.AlignLeft
        return side | Qt.AlignmentFlag.AlignVCenter


class FigureStrip(Card):
    """Figures side by side in one card: the name, the figure, what it rests on."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._cells = [(Label("", "answer", elide=True), Label("", "small", "tertiary", wrap=True)) for _ in names]
        layout = row(gap=0)
        for number, (name, (figure, note)) in enumerate(zip(names, self._cells, strict=True)):
            if number:
                layout.addWidget(Line("v"))
            layout.addLayout(column(Label(name, "small", "tertiary"), 4, figure, 2, note, None, margins=(18, 12, 14, 12)), 1)
        self.setLayout(layout)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def fill(self, pairs: Sequence[tuple[str, str]]) -> None:
        """One (figure, note) for each name."""
        for (figure, note), (label, below) in zip(pairs, self._cells, strict=True):
            label.say(figure)
            below.say(note)

    def words(self) -> list[str]:
        """The figures as shown."""
        return [figure.words() for figure, _ in self._cells]


def figures(*pairs: tuple[str, str]) -> QWidget:
    """Large figures side by side, each with its words below."""
    cells = [column(Label(value, "figure"), Label(words, "small", "secondary"), gap=2) for value, words in pairs]
    holder = QWidget()
    holder.setLayout(row(*cells, None, gap=32))
    return holder
