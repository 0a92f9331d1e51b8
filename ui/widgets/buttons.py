"""Buttons, segmented choices and the switch."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QComboBox,
    QFrame,
    QPushButton,
    QSizePolicy,
    QStyleOptionComboBox,
)

from ui.language import tr
from ui.shortcuts import shortcuts
from ui.theme import icon, pixmap, theme
from ui.widgets.text import row

_ICON_TOKENS = {"filled": "onAccent", "danger": "danger", "dangerfilled": "onDanger", "link": "accentText",
                "quiet": "textSecondary", "outline": "text"}
ARROW, WIDEST = 48, 260
"""What a choice's frame and arrow take of its width, and the width that a long entry can make it ask for, px."""


class Button(QPushButton):
    """kind: filled (one a view), outline, quiet, link, danger, dangerfilled; size: normal, small, large.

    keys: the action of ui/shortcuts.py that does the same; its keys stand in the tooltip.
    """

    def __init__(self, text: str = "", kind: str = "outline", icon_name: str = "", *, size: str = "normal",
                 tooltip: str = "", keys: str = "", clicked: Callable[[], object] | None = None) -> None:
        text, tooltip = tr(text), tr(tooltip)
        super().__init__(f" {text}" if text and icon_name else text)
        self._icon_name, self._kind = icon_name, kind
        self.setProperty("kind", kind)
        self.setProperty("scale", size)
        self.setProperty("square", not text)
        self.setIconSize(QSize(16, 16) if size != "small" else QSize(14, 14))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(text or tooltip)
        self._tip, self._keys = tooltip, keys
        self._show_tip()
        if keys:
            shortcuts.changed.connect(self._show_tip)
        self._tint()
        if clicked is not None:
            self.clicked.connect(lambda _checked=False: clicked())

    def say(self, text: str) -> None:
        """Change the words."""
        text = tr(text)
        self.setText(f" {text}" if self._icon_name and text else text)
        self.setAccessibleName(text or self._tip)
        if self.property("square") == bool(text):  # the style sheet gives a button without words a width of its own
            self.setProperty("square", not text)
            self.style().polish(self)

    def allow(self, reason: str = "", tooltip: str = "") -> None:
        """Enable it, or disable it with the reason, which stands in the tooltip and is read aloud."""
        self.setEnabled(not reason)
        self._tip = tr(reason or tooltip)
        self._show_tip()
        self.setAccessibleDescription(tr(reason))

    def _show_tip(self) -> None:
        words = shortcuts.words(self._keys) if self._keys and self.isEnabled() else ""
        self.setToolTip(f"{self._tip or self.accessibleName()}  {words}" if words else self._tip)

    def show_icon(self, name: str) -> None:
        """Change the icon."""
        self._icon_name = name
        self._tint()

    def _tint(self) -> None:
        self._tinted = theme.mode
        if self._icon_name:
            self.setIcon(icon(self._icon_name, _ICON_TOKENS[self._kind]))

    def changeEvent(self, event: QEvent) -> None:
        """Tint the icon again when the theme changes; a style change also comes with each new parent, 20 times while a page is built."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and self._tinted != theme.mode:
            self._tint()


class Link(Button):
    """A small link that takes the room there is; a longer name is cut with an ellipsis and stands whole in the tooltip."""

    def __init__(self, text: str, *, clicked: Callable[[], object]) -> None:
        super().__init__(text, "link", size="small", clicked=clicked)
        self._whole = tr(text)
        self.setProperty("flush", True)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Cut the name anew."""
        super().resizeEvent(event)
        shown = self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, self.width() - 4)
        self.setText(shown)
        self.setToolTip(self._whole if shown != self._whole else "")


class Segments(QFrame):
    """A choice of a few, side by side."""

    chosen = Signal(str)

    def __init__(self, options: list[tuple[str, str]], *, size: str = "normal", name: str = "") -> None:
        super().__init__()
        self.setProperty("seg", True)
        self.setProperty("scale", size)
        self.setAccessibleName(tr(name))
        self.setFixedHeight(26 if size == "small" else 32)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QPushButton] = {}
        for key, text in options:
            button = QPushButton(tr(text))
            button.setCheckable(True)
            button.setAccessibleName(tr(text))
            button.clicked.connect(lambda _checked=False, key=key: self.chosen.emit(key))
            self._group.addButton(button)
            self._buttons[key] = button
        self.setLayout(row(*self._buttons.values(), gap=2, margins=(2, 2, 2, 2)))
        if options:
            self._buttons[options[0][0]].setChecked(True)

    def choose(self, key: str) -> None:
        """Set the choice without telling."""
        if key in self._buttons:
            self._buttons[key].setChecked(True)

    def choice(self) -> str:
        """The key of the choice."""
        return next((key for key, button in self._buttons.items() if button.isChecked()), "")


class Tabs(QFrame):
    """Parts of a page, one shown at a time; each may carry a count."""

    chosen = Signal(str)

    def __init__(self, options: list[tuple[str, str]], *, name: str = "") -> None:
        super().__init__()
        self.setProperty("tabs", True)
        self.setAccessibleName(tr(name))
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QPushButton] = {}
        self._titles = {key: tr(text) for key, text in options}
        for key, text in options:
            button = QPushButton(tr(text))
            button.setProperty("tab", True)
            button.setCheckable(True)
            button.setAccessibleName(tr(text))
            button.clicked.connect(lambda _checked=False, key=key: self.chosen.emit(key))
            self._group.addButton(button)
            self._buttons[key] = button
        self.setLayout(row(*self._buttons.values(), None, gap=16))
        self._buttons[options[0][0]].setChecked(True)

    def choose(self, key: str) -> None:
        """Set the choice without telling."""
        self._buttons[key].setChecked(True)

    def choice(self) -> str:
        """The key of the choice."""
        return next(key for key, button in self._buttons.items() if button.isChecked())

    def count(self, key: str, number: int | None) -> None:
        """Show a count beside a title; None for none."""
        text = self._titles[key] if number is None else f"{self._titles[key]}  {number:,}"
        self._buttons[key].setText(text)
        self._buttons[key].setAccessibleName(text)


class Switch(QAbstractButton):
    """On or off, 30 x 18 px."""

    def __init__(self, name: str, *, checked: bool = False) -> None:
        super().__init__()
        self.setCheckable(True)
        self.setChecked(checked)
        self.setAccessibleName(tr(name))
        self.setToolTip(tr(name))
        self.setFixedSize(34, 24)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw track, knob and focus ring."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        track = "accent" if self.isChecked() else "borderStrong"
        painter.setBrush(theme.color(track if self.isEnabled() else "border"))
        painter.drawRoundedRect(2, 3, 30, 18, 9, 9)
        painter.setBrush(theme.color("onAccent"))
        painter.drawEllipse(16 if self.isChecked() else 4, 5, 14, 14)
        if self.hasFocus():
            pen = painter.pen()
            pen.setStyle(Qt.PenStyle.SolidLine)
            pen.setColor(theme.color("focus"))
            pen.setWidth(2)
            painter.setPen(pen)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(1, 1, 32, 22, 11, 11)
        painter.end()


class Choice(QComboBox):
    """A field that opens a list; its words are cut with an ellipsis where there is no room, and stand whole in the tooltip.

    The arrow is drawn here, because a style sheet cannot tint one.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(tr(name))
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.currentTextChanged.connect(lambda _text: self._tell_whole())

    def sizeHint(self) -> QSize:
        """As wide as its longest entry (Qt counts less for the frame than is drawn), but not so wide that it pushes others aside."""
        longest = max((self.fontMetrics().horizontalAdvance(self.itemText(number)) for number in range(self.count())), default=0)
        asked = super().sizeHint()
        return QSize(min(max(asked.width(), longest + ARROW + 1), WIDEST), asked.height())

    def minimumSizeHint(self) -> QSize:
        """The same: layouts must not give it more than that for a long entry."""
        return super().minimumSizeHint().boundedTo(self.sizeHint())

    def _cut(self) -> str:
        return self.fontMetrics().elidedText(self.currentText(), Qt.TextElideMode.ElideRight, self.width() - ARROW)

    def _tell_whole(self) -> None:
        self.setToolTip(self.currentText() if self._cut() != self.currentText() else "")

    def resizeEvent(self, event: QResizeEvent) -> None:
        """More or fewer words have room."""
        super().resizeEvent(event)
        self._tell_whole()

    def initStyleOption(self, option: QStyleOptionComboBox) -> None:
        """Qt would cut the words in the middle of a letter."""
        super().initStyleOption(option)
        option.currentText = self._cut()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the field, then its arrow."""
        super().paintEvent(event)
        painter = QPainter(self)
        token = "textSecondary" if self.isEnabled() else "textDisabled"
        painter.drawPixmap(self.width() - 24, (self.height() - 16) // 2, pixmap("chevron-down", token))
        painter.end()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scrolling a page must not change a choice that happens to lie under the pointer."""
        event.ignore()
