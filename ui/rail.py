"""The left rail: who you are, find, pages in their groups, marks.  208 px, 56 px when narrow."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QSizePolicy, QVBoxLayout, QWidget

from ui.language import tr
from ui.pages import PageSpec
from ui.shortcuts import page_key, shortcuts
from ui.theme import font, pixmap, theme, tokens
from ui.widgets.buttons import Button
from ui.widgets.text import KeyCap, Label, column, row

WIDE, NARROW = tokens()["size"]["rail"], 56


class NavButton(QAbstractButton):
    """One page: icon, name, mark."""

    def __init__(self, spec: PageSpec) -> None:
        super().__init__()
        self.spec = spec
        self.mark, self.mark_token, self.mark_dot = "", "textTertiary", ""
        self._narrow = False
        self.setCheckable(True)
        self.setText(tr(spec.title))
        self.setAccessibleName(tr(spec.title))
        self._show_keys()
        shortcuts.changed.connect(self._show_keys)
        self.setFixedHeight(32)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def _show_keys(self) -> None:
        self.setToolTip(f"{self.text()}  {shortcuts.words(page_key(self.spec.name))}".strip())

    def show_mark(self, text: str, dot: str = "") -> None:
        """Percent of a run, a state, a count; ``dot`` is a colour token."""
        if (text, dot) != (self.mark, self.mark_dot):
            self.mark, self.mark_dot = text, dot
            self.setAccessibleDescription(tr(text))
            self.update()

    def narrow(self, narrow: bool) -> None:
        """Icons only."""
        self._narrow = narrow
        self.update()

    def sizeHint(self) -> QSize:
        """As wide as the rail."""
        return QSize(WIDE - 20, 32)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the state's ground, icon, name, mark and focus ring."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = "selected" if self.isChecked() else "hover" if self.underMouse() else ""
        if ground:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color(ground))
            painter.drawRoundedRect(QRectF(self.rect()), 6, 6)
        if self.isChecked():
            painter.fillRect(0, 4, theme.chosen_mark, self.height() - 8, theme.color("text"))
        token = "accentText" if self.isChecked() else "textSecondary"
        left = (self.width() - 16) // 2 if self._narrow else 8
        painter.drawPixmap(left, 8, pixmap(self.spec.icon, token))
        if not self._narrow:
            self._words(painter, token)
        if self.hasFocus():
            painter.setPen(QPen(theme.color("focus"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 6, 6)
        painter.end()

    def _words(self, painter: QPainter, token: str) -> None:
        painter.setFont(font("bodyStrong"))
        painter.setPen(theme.color(token))
        painter.drawText(QRect(34, 0, self.width() - 42, 32), Qt.AlignmentFlag.AlignVCenter, self.text())
        if not self.mark:
            return
        small = font("small")
        small.setWeight(small.Weight.Medium)
        painter.setFont(small)
        painter.setPen(theme.color("accentText" if self.isChecked() else "textTertiary"))
        painter.drawText(QRect(34, 0, self.width() - 42, 32),
                         Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, self.mark)
        if self.mark_dot:
            width = painter.fontMetrics().horizontalAdvance(self.mark)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color(self.mark_dot))
            painter.drawEllipse(QRectF(self.width() - 8 - width - 13, 12.5, 7, 7))


class _Sign(QWidget):
    """The product's mark: woven threads."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(28, 28)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw three warps and two wefts."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("text"))
        painter.drawRoundedRect(0, 0, 28, 28, 7, 7)
        painter.translate(6, 6)
        painter.setPen(QPen(theme.color("surface"), 1.75, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        for x in (2.5, 8.0, 13.5):
            painter.drawLine(QPointF(x, 3), QPointF(x, 13))
        for left, right, y in ((1, 4, 5.5), (6.5, 13.5, 5.5), (1, 9, 10.5), (12, 15, 10.5)):
            painter.drawLine(QPointF(left, y), QPointF(right, y))
        painter.end()


class Rail(QWidget):
    """All pages that exist."""

    chosen = Signal(str)
    asked = Signal()

    def __init__(self, specs: list[PageSpec]) -> None:
        super().__init__()
        self.setObjectName("rail")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(tr("Pages"))
        self._group = QButtonGroup(self)
        self.buttons: dict[str, NavButton] = {}
        self._labels: list[QWidget] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(10, 14, 10, 10)
        self._layout.setSpacing(2)
        self._top()
        self._fill(specs)
        self.setFixedWidth(WIDE)

    def _top(self) -> None:
        name = Label("NeuroWeaver", "bold")
        self.where = Label("On this computer", "small", "tertiary", elide=True)
        words = QWidget()
        words.setLayout(column(name, self.where))
        name.setMinimumHeight(16)
        top = row(_Sign(), words, gap=10, margins=(8, 0, 8, 0))
        top.setStretch(1, 1)
        head = QWidget()
        head.setLayout(top)
        head.setFixedHeight(40)
        self._find = Button("Find or do", "outline", "search", tooltip="Find or do", keys="find", clicked=self.asked.emit)
        self._find.setObjectName("find")
        self._find.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._cap = KeyCap("find")
        self._cap.setParent(self._find)
        shortcuts.changed.connect(self._place_cap)
        self._labels += [words, self._cap]
        for part, space in ((head, 8), (self._find, 8)):
            self._layout.addWidget(part)
            self._layout.addSpacing(space)

    def _fill(self, specs: list[PageSpec]) -> None:
        group = ""
        for spec in [s for s in specs if not s.bottom]:
            if spec.group and spec.group != group:
                label = Label(spec.group, "group", "tertiary")
                label.setContentsMargins(8, 12, 0, 4)
                self._layout.addWidget(label)
                self._labels.append(label)
            group = spec.group
            self._add(spec)
        self._layout.addStretch(1)
        for spec in [s for s in specs if s.bottom]:
            self._add(spec)

    def _add(self, spec: PageSpec) -> None:
        button = NavButton(spec)
        button.clicked.connect(lambda _checked=False, name=spec.name: self.chosen.emit(name))
        self._group.addButton(button)
        self.buttons[spec.name] = button
        self._layout.addWidget(button)

    def choose(self, name: str) -> None:
        """Mark a page as the one shown."""
        if name in self.buttons:
            self.buttons[name].setChecked(True)

    def narrow(self, narrow: bool) -> None:
        """Collapse to icons or open out."""
        self.setFixedWidth(NARROW if narrow else WIDE)
        for label in self._labels:
            label.setVisible(not narrow)
        self._find.setText("" if narrow else f" {tr('Find or do')}")  # its name for a reader stays
        for button in self.buttons.values():
            button.narrow(narrow)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the key cap at the right of the field."""
        super().resizeEvent(event)
        self._place_cap()

    def _place_cap(self) -> None:
        self._cap.adjustSize()
        self._cap.move(self._find.width() - self._cap.width() - 8, 7)
