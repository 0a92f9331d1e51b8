"""The YAML editor: Scintilla with Lexilla's YAML lexer, or a plain field where they cannot be imported.

Both have the same face: ``text``, ``set_text``, ``show_problems``, ``go_to`` and the signals ``changed`` and ``moved``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Protocol

from PySide6.QtCore import QEvent, Signal
from PySide6.QtGui import QColor, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QVBoxLayout, QWidget

from ui.language import tr
from ui.theme import theme, tokens
from ui.widgets.text import column

WIDE_LETTER = 9
"""px a letter of an annotation takes at most, with what stands left of it; Scintilla does not wrap them."""
_STYLES = {0: "color.text", 1: "syntax.comment", 2: "syntax.key", 3: "syntax.bool", 4: "syntax.number", 5: "syntax.anchor",
           6: "syntax.comment", 7: "syntax.string", 8: "syntax.error", 9: "color.text"}
"""Lexilla's YAML style numbers (SCE_YAML_*) and the tokens that colour them."""
_DEFAULT, _LINE_NUMBER, _CALL_TIP, _ANNOTATION = 32, 33, 38, 60
_MARK = 1
_INACTIVE_BACK = 17
"""SC_ELEMENT_SELECTION_INACTIVE_BACK: a selection stays as it is while the caret is in the find bar."""
_FOLDERS = 0xFE000000 - (1 << 32)
"""SC_MASK_FOLDERS, as the signed number that the binding takes."""
_REST_MS = 450


class Problem(Protocol):
    """One fault on a line; see app.workflow.canvas.Fault."""

    @property
    def line(self) -> int: ...
    @property
    def message(self) -> str: ...
    @property
    def hint(self) -> str: ...


class Editor(QWidget):
    """Base of both editors."""

    changed = Signal()
    moved = Signal(int, int)
    """Line and column of the caret, both from 1."""
    wants_words = Signal(int, int)
    """Something was typed after which a completion may help, or one was asked for: line and column of the caret."""
    hovers = Signal(int, int)
    """The pointer rests on a place: its line and column.  (0, 0) once it has moved on."""

    def text(self) -> str:
        """The text."""
        raise NotImplementedError

    def annotation(self, line: int) -> str:
        """What is said of a line (from 1), or ""."""
        raise NotImplementedError

    def set_text(self, text: str) -> None:
        """Replace the text; it cannot be undone to the one before."""
        raise NotImplementedError

    def show_problems(self, problems: Sequence[Problem]) -> None:
        """Write each fault under its line and mark the line."""
        raise NotImplementedError

    def go_to(self, line: int) -> None:
        """Put the caret on a line and show it."""
        raise NotImplementedError

    def caret(self) -> tuple[int, int]:
        """Line and column of the caret, both from 1."""
        raise NotImplementedError

    def selection(self) -> tuple[int, int]:
        """Start and end of the selected text, in characters of the text; equal where nothing is selected."""
        raise NotImplementedError

    def select(self, start: int, end: int) -> None:
        """Select part of the text and show it, without taking the focus."""
        raise NotImplementedError

    def offer(self, words: Sequence[str], typed: int) -> None:
        """Open the list of words that may stand at the caret; ``typed`` characters before it belong to the word."""

    def tell(self, said: str) -> None:
        """Show a hint at the place the pointer rests on; "" takes it away."""

    def read_only(self) -> None:
        """Only for reading from now on."""
        raise NotImplementedError


def make_editor(name: str) -> Editor:
    """The best editor that this installation has."""
    try:
        return ScintillaEditor(name)
    except (ImportError, OSError):
        return PlainEditor(name)


def _said(problem: Problem) -> str:
    return f"  {problem.message} {problem.hint}".rstrip()


class ScintillaEditor(Editor):
    """Syntax colours, folding, faults as annotations under their lines."""

    def __init__(self, name: str) -> None:
        super().__init__()
        from lexilla import create_lexer
        from lexilla.pyside6_scintilla import set_lexer
        from pyside6_scintilla import ScintillaEdit

        self.field: Any = ScintillaEdit(self)
        self.field.setAccessibleName(tr(name))
        self.field.setFrameShape(self.field.Shape.NoFrame)
        self.setFocusProxy(self.field)
        lexer = create_lexer("yaml")
        if lexer is not None:
            set_lexer(self.field, lexer)
        self._set_up()
        self._colour()
        self.setLayout(column(self.field))
        self._known = ""
        self._annotating = False
        self._rests = 0
        self.field.notifyChange.connect(self._changed)
        self.field.updateUi.connect(lambda *_: self._tell())
        self.field.charAdded.connect(self._typed)
        self.field.dwellStart.connect(self._rest)
        self.field.dwellEnd.connect(lambda *_: self.hovers.emit(0, 0))

    def _set_up(self) -> None:
        field = self.field
        field.setCodePage(65001)
        field.setTabWidth(2)
        field.setUseTabs(False)
        field.setIndent(2)
        field.setScrollWidthTracking(True)
        field.setScrollWidth(1)
        field.setMarginTypeN(0, 1)  # line numbers
        field.setMarginWidthN(0, 44)
        field.setMarginWidthN(1, 12)
        field.setMarginMaskN(1, 0)
        field.setMarginLeft(8)
        field.setExtraAscent(2)
        field.setExtraDescent(3)
        field.setCaretLineVisible(True)
        field.markerDefine(_MARK, 22)  # SC_MARK_BACKGROUND: the whole line
        field.annotationSetVisible(3)  # ANNOTATION_INDENTED
        field.setProperty("fold", "1")
        field.setMarginTypeN(2, 0)
        field.setMarginMaskN(2, _FOLDERS)
        field.setMarginWidthN(2, 14)
        field.setMarginSensitiveN(2, True)
        field.setAutomaticFold(7)  # show, click and change are Scintilla's own business
        for mark, shape in ((30, 2), (31, 6), (25, 5), (26, 5), (27, 5), (28, 5), (29, 5)):  # arrows; nothing within a fold
            field.markerDefine(mark, shape)
        field.autoCSetIgnoreCase(True)
        field.autoCSetOrder(2)  # as given: the likeliest first
        field.autoCSetSeparator(ord("\n"))
        field.autoCSetMaxHeight(10)
        field.autoCSetDropRestOfWord(False)
        field.setMouseDwellTime(_REST_MS)
        field.callTipUseStyle(2)

    def _colour(self) -> None:
        field, family = self.field, tokens()["font"]["mono"][0]
        field.styleSetFont(_DEFAULT, family)
        field.styleSetSizeFractional(_DEFAULT, 950)  # hundredths of a point: 12.5 px at 96 dpi
        field.styleSetFore(_DEFAULT, _bgr("color.text"))
        field.styleSetBack(_DEFAULT, _bgr("color.surface"))
        field.styleClearAll()
        for number, token in _STYLES.items():
            field.styleSetFore(number, _bgr(token))
        field.styleSetFore(_LINE_NUMBER, _bgr("color.textTertiary"))
        field.styleSetBack(_LINE_NUMBER, _bgr("color.surface"))
        field.styleSetFont(_ANNOTATION, tokens()["font"]["ui"][0])
        field.styleSetFore(_ANNOTATION, _bgr("color.danger"))
        field.styleSetBack(_ANNOTATION, _bgr("color.dangerTint"))
        field.setMarginBackN(1, _bgr("color.surface"))
        field.setFoldMarginColour(True, _bgr("color.surface"))
        field.setFoldMarginHiColour(True, _bgr("color.surface"))
        for mark in (30, 31):
            field.markerSetFore(mark, _bgr("color.textTertiary"))
            field.markerSetBack(mark, _bgr("color.textTertiary"))
        field.styleSetFont(_CALL_TIP, tokens()["font"]["ui"][0])
        field.styleSetSizeFractional(_CALL_TIP, 900)
        field.styleSetFore(_CALL_TIP, _bgr("color.text"))
        field.styleSetBack(_CALL_TIP, _bgr("color.sunken"))
        field.setCaretFore(_bgr("color.accentText"))
        field.setCaretLineBack(_bgr("color.window"))
        field.setSelBack(True, _bgr("color.selected"))
        field.setElementColour(_INACTIVE_BACK, 0xFF000000 - (1 << 32) | _bgr("color.selected"))
        field.markerSetBack(_MARK, _bgr("color.dangerTint"))

    def _changed(self) -> None:
        """Scintilla also notifies of colours and annotations; only another text counts."""
        if not self._annotating and (text := self.text()) != self._known:
            self._known = text
            self.changed.emit()

    def _tell(self) -> None:
        position = self.field.currentPos()
        self.moved.emit(self.field.lineFromPosition(position) + 1, self.field.column(position) + 1)

    def text(self) -> str:
        return bytes(self.field.getText(self.field.textLength() + 1).data()).rstrip(b"\0").decode("utf-8", errors="replace")

    def set_text(self, text: str) -> None:
        locked = self.field.readOnly()
        self.field.setReadOnly(False)
        self.field.setText(text)
        self.field.emptyUndoBuffer()
        self.field.setReadOnly(locked)

    def show_problems(self, problems: Sequence[Problem]) -> None:
        self._annotating = True  # it notifies once a line, and reading 2,000 lines 2,000 times takes 50 ms
        self.field.annotationClearAll()
        self._annotating = False
        self.field.markerDeleteAll(_MARK)
        by_line: dict[int, list[str]] = {}
        for problem in problems:
            by_line.setdefault(max(problem.line - 1, 0), []).append(_said(problem))
        room = max(self.field.viewport().width() // WIDE_LETTER, 40)
        for line, said in by_line.items():
            self.field.annotationSetText(line, "\n".join(part for text in said for part in textwrap.wrap(text, room)))
            self.field.annotationSetStyle(line, _ANNOTATION)
            self.field.markerAdd(line, _MARK)
        self._show_said()

    def _show_said(self) -> None:
        """Scroll to what is said under the caret's line, where that line is the last one that is seen."""
        line = self.field.lineFromPosition(self.field.currentPos())
        place = self.field.visibleFromDocLine(line) - self.field.firstVisibleLine()
        below = place + self.field.annotationLines(line) + 1 - self.field.linesOnScreen()
        if 0 <= place < self.field.linesOnScreen() and below > 0:
            self.field.lineScroll(0, below)

    def annotation(self, line: int) -> str:
        length = self.field.annotationLines(line - 1)
        return "" if not length else bytes(self.field.annotationText(line - 1).data()).decode()

    def caret(self) -> tuple[int, int]:
        position = self.field.currentPos()
        line = self.field.lineFromPosition(position)
        return line + 1, self._characters(self.field.positionFromLine(line), position) + 1

    def _characters(self, start: int, end: int) -> int:
        """How many characters lie between two positions, which count bytes."""
        return int(self.field.countCharacters(start, end))

    def selection(self) -> tuple[int, int]:
        return self._characters(0, self.field.selectionStart()), self._characters(0, self.field.selectionEnd())

    def select(self, start: int, end: int) -> None:
        text = self.text()
        first, last = (len(text[:place].encode()) for place in (start, end))
        self.field.ensureVisible(self.field.lineFromPosition(first))
        self.field.setSel(first, last)
        self.field.scrollCaret()

    def _typed(self, sign: int) -> None:
        if chr(sign).isalnum() or chr(sign) in "_. {[":
            self.wants_words.emit(*self.caret())
        elif chr(sign) == "\n":
            self._keep_indent()

    def _keep_indent(self) -> None:
        """A new line begins like the one above; below a key without a value one level deeper."""
        line = self.field.lineFromPosition(self.field.currentPos())
        above = self.text().split("\n")[line - 1] if line else ""
        deeper = 2 if above.rstrip().endswith(":") else 0
        self.field.setLineIndentation(line, len(above) - len(above.lstrip(" ")) + deeper)
        self.field.gotoPos(self.field.lineIndentPosition(line))

    def offer(self, words: Sequence[str], typed: int) -> None:
        if words and self.field.hasFocus():
            before = self.field.currentPos() - typed  # a word of a document is ASCII
            self.field.autoCShow(self.field.currentPos() - before, "\n".join(words))
        else:
            self.field.autoCCancel()

    def _rest(self, x: int, y: int) -> None:
        position = self.field.positionFromPointClose(x, y)
        if position >= 0:
            self._rests = position
            line = self.field.lineFromPosition(position)
            self.hovers.emit(line + 1, self._characters(self.field.positionFromLine(line), position) + 1)

    def tell(self, said: str) -> None:
        if said:
            self.field.callTipShow(self._rests, said)
        else:
            self.field.callTipCancel()

    def read_only(self) -> None:
        self.field.setReadOnly(True)

    def go_to(self, line: int) -> None:
        self.field.ensureVisible(line - 1)
        self.field.gotoLine(line - 1)
        self.setFocus()  # passed on: Scintilla's own setFocus(bool) hides the widget's

    def changeEvent(self, event: QEvent) -> None:
        """Take the new theme's colours."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and hasattr(self, "field"):
            self._colour()


def _bgr(token: str) -> int:
    group, _, key = token.rpartition(".")
    colour = QColor(theme.color(key if group == "color" else token))
    return colour.red() | colour.green() << 8 | colour.blue() << 16


class PlainEditor(Editor):
    """A plain field; faults are listed under it and their lines marked."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.field = QPlainTextEdit()
        self.field.setProperty("code", True)
        self.field.setAccessibleName(tr(name))
        self.field.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setFocusProxy(self.field)
        self._list = QPlainTextEdit()
        self._list.setReadOnly(True)
        self._list.setAccessibleName(tr("Problems"))
        self._list.setMaximumHeight(90)
        self._list.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.field)
        layout.addWidget(self._list)
        self.field.textChanged.connect(self.changed.emit)
        self.field.cursorPositionChanged.connect(self._tell)

    def _tell(self) -> None:
        cursor = self.field.textCursor()
        self.moved.emit(cursor.blockNumber() + 1, cursor.positionInBlock() + 1)

    def text(self) -> str:
        return self.field.toPlainText()

    def set_text(self, text: str) -> None:
        self.field.setPlainText(text)

    def show_problems(self, problems: Sequence[Problem]) -> None:
        marks = []
        for problem in problems:
            mark = QTextEdit.ExtraSelection()
            mark.cursor = QTextCursor(self.field.document().findBlockByNumber(max(problem.line - 1, 0)))
            mark.format.setBackground(theme.color("dangerTint"))
            mark.format.setProperty(0x06000, True)  # the full width of the line
            marks.append(mark)
        self.field.setExtraSelections(marks)
        self._list.setPlainText("\n".join(f"Line {problem.line}:{_said(problem)}" for problem in problems))
        self._list.setVisible(bool(problems))

    def annotation(self, line: int) -> str:
        found = [said for said in self._list.toPlainText().splitlines() if said.startswith(f"Line {line}:")]
        return "\n".join(found)

    def caret(self) -> tuple[int, int]:
        cursor = self.field.textCursor()
        return cursor.blockNumber() + 1, cursor.positionInBlock() + 1

    def selection(self) -> tuple[int, int]:
        cursor = self.field.textCursor()
        return cursor.selectionStart(), cursor.selectionEnd()

    def select(self, start: int, end: int) -> None:
        cursor = self.field.textCursor()
        cursor.setPosition(start)
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        self.field.setTextCursor(cursor)

    def read_only(self) -> None:
        self.field.setReadOnly(True)

    def go_to(self, line: int) -> None:
        self.field.setTextCursor(QTextCursor(self.field.document().findBlockByNumber(line - 1)))
        self.field.setFocus()
