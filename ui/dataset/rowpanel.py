"""One row whole: what it says, what happened to it, its scores; rate it, mend it, take it out or back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QScrollArea, QStackedWidget, QWidget

from ui.dataset.datawords import FIELD_WORDS, RATING_WORDS, SPLIT_WORDS, state_words
from ui.language import tr
from ui.shortcuts import ROW, shortcuts
from ui.widgets.buttons import Button
from ui.widgets.richtext import Piece, RichText
from ui.widgets.text import Label, Line, clear, column, row

if TYPE_CHECKING:
    from app.data.browse import WholeRow
    from app.data.measures import Measure
    from app.store.records import Row

WIDTH = 330
RATING_KEYS = {1: "rows.good", 0: "rows.unsure", -1: "rows.bad"}
"""Actions of ui/shortcuts.py."""


class RowPanel(QWidget):
    """Beside the table.  It asks for nothing itself: what is wanted goes out as signals."""

    rated = Signal(object)
    """1, 0, -1, or None to take the rating back."""
    edited = Signal(object)
    """Texts by field, as app.data.by_hand takes them."""
    undo = Signal()
    remove = Signal()
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(WIDTH)
        self.setAccessibleName(tr("The chosen row"))
        self.shown: WholeRow | None = None
        self._title = Label("", "heading")
        self._said = Label("", "small", "secondary", wrap=True)
        close = Button("", "quiet", "x", size="small", tooltip="Close", clicked=self.closed.emit)
        self._ratings = {value: self._rating_button(value) for value in RATING_WORDS}
        self._text = RichText("The row, whole")
        self._edit = Button("Edit", "outline", "pen-line", size="small", tooltip="Mend this row in a new version", keys="rows.edit",
                            clicked=self.edit)
        self._undo = Button("Restore", "outline", "undo-2", size="small", keys="rows.undo", clicked=self.undo.emit)
        self._remove = Button("", "outline", "trash-2", size="small", tooltip="Take this row out in a new version", keys="rows.remove",
                              clicked=self.remove.emit)
        self._rating_row = QWidget()
        self._rating_row.setLayout(row(*self._ratings.values(), None, gap=6))
        reading = QWidget()
        read = column(column(self._rating_row, margins=(14, 10, 14, 0)), column(self._text, margins=(6, 2, 4, 0)), Line(),
                      row(self._edit, self._undo, self._remove, None, gap=6, margins=(14, 10, 14, 12)))
        read.setStretch(1, 1)
        reading.setLayout(read)
        self._stack = QStackedWidget()
        self._stack.addWidget(reading)
        self._stack.addWidget(self._editing())
        head = row(column(self._title, self._said, gap=2), close, gap=8, margins=(14, 12, 8, 10))
        head.setStretch(0, 1)
        whole = column(head, Line(), self._stack)
        whole.setStretch(2, 1)
        self.setLayout(whole)

    def _rating_button(self, value: int) -> Button:
        words = RATING_WORDS[value]
        button = Button(words, "outline", {1: "thumbs-up", 0: "circle-help", -1: "thumbs-down"}[value], size="small",
                        tooltip=f"Rate this row: {words.lower()}", keys=RATING_KEYS[value])
        button.setCheckable(True)
        button.clicked.connect(lambda checked: self._rate(value, checked))
        return button

    def _rate(self, value: int, checked: bool) -> None:
        self.rated.emit(value if checked else None)

    def _editing(self) -> QWidget:
        self._fields: dict[str, QPlainTextEdit] = {}
        self._form = column(gap=4, margins=(14, 8, 14, 8))
        inner = QWidget()
        inner.setObjectName("scrolled")
        inner.setLayout(self._form)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setAccessibleName(tr("Texts of the row"))
        area.setWidget(inner)
        self.save = Button("Keep as a new version", "outline", "check", size="small", keys="row.keep", clicked=self._save)
        holder = QWidget()
        layout = column(area, Line(), row(self.save, Button("Cancel", "quiet", size="small", clicked=self.read), None, gap=6,
                                          margins=(14, 10, 14, 12)))
        layout.setStretch(0, 1)
        holder.setLayout(layout)
        return holder

    # ---- reading ---------------------------------------------------------------------------------------------------

    def show_row(self, found: WholeRow | None, pieces: Sequence[Piece]) -> None:
        """Fill it; pieces: the texts as :func:`row_pieces` makes them."""
        self.shown = found
        self.read()
        if found is None:
            return
        self._title.say(f"Row {found.position:,}")
        use = SPLIT_WORDS.get(found.split, found.split)
        self._said.say(state_words(found) + (f", {use}" if found.row is not None and use else ""))
        for value, button in self._ratings.items():
            button.setChecked(found.rating == value)
        self._rating_row.setVisible(found.row is not None)
        self._text.show_pieces(pieces)
        touched = found.state in ("removed", "changed", "added", "back")
        self._undo.setVisible(touched)
        self._undo.say({"removed": "Restore", "added": "Take out again"}.get(found.state, "Take back"))
        self._edit.setVisible(found.row is not None and found.state != "removed")
        self._remove.setVisible(found.row is not None and found.state != "removed")

    def read(self) -> None:
        """Show the row, not the fields."""
        self._stack.setCurrentIndex(0)

    # ---- editing ---------------------------------------------------------------------------------------------------

    def edit(self) -> None:
        """Show a field for each text."""
        if self.shown is None or self.shown.row is None or self.shown.state == "removed":
            return
        from app.data.by_hand import texts_of

        clear(self._form)
        self._fields = {}
        for name, text in texts_of(self.shown.row).items():
            words = field_words(self.shown.row, name)
            field = self._fields[name] = QPlainTextEdit(text)
            field.setAccessibleName(tr(words))
            field.setTabChangesFocus(True)
            field.setMinimumHeight(110)
            self._form.addWidget(Label(words, "small", "secondary"))
            self._form.addWidget(field, 1)
        self._stack.setCurrentIndex(1)
        list(self._fields.values())[-1].setFocus()

    def texts(self) -> dict[str, str]:
        """What the fields say."""
        return {name: field.toPlainText() for name, field in self._fields.items()}

    @property
    def editing(self) -> bool:
        """Whether the fields are shown."""
        return self._stack.currentIndex() == 1

    def _save(self) -> None:
        self.edited.emit(self.texts())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc: back to reading, then close."""
        if event.key() == Qt.Key.Key_Escape and self.editing:
            self.read()
        elif event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        elif self.editing and shortcuts.deed(ROW, event) == "row.keep":
            self._save()
        else:
            super().keyPressEvent(event)


def field_words(content: Row, name: str) -> str:
    """What a text of a row is, for a person: "Question"."""
    group, _, number = name.partition(".")
    role = content.messages[int(number)]["role"] if group == "messages" else group
    return FIELD_WORDS.get(role, role)


def row_pieces(found: WholeRow | None, measures: Sequence[Measure]) -> list[Piece]:
    """The texts of a row under headings; where it was changed, what went and what came."""
    from app.data.by_hand import texts_of
    from app.data.difference import word_diff

    if found is None:
        return []
    if found.row is None:
        return [("heading", "As it stood in the file"), ("same", found.raw)]
    before = texts_of(found.before) if found.before is not None else {}
    pieces: list[Piece] = []
    for name, text in texts_of(found.row).items():
        pieces.append(("heading", field_words(found.row, name)))
        pieces += word_diff(before[name], text) if before.get(name, text) != text else [("same", text)]
    if found.note:
        pieces += [("heading", "Note of the rating"), ("same", found.note)]
    if found.scores:
        titles = {measure.name: measure.title for measure in measures}
        said = ", ".join(f"{tr(titles.get(name, name))} {tr(f'{value:.3g}')}" for name, value in found.scores.items())
        pieces += [("heading", "Scores"), ("muted", said)]
    if found.row.meta:
        pieces += [("heading", "Kept with it"), ("muted", "\n".join(f"{name}: {value}" for name, value in found.row.meta.items()))]
    return pieces
