"""Labels in the design's type roles, badges, key caps, hairlines and simple layouts."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeVar
from unicodedata import bidirectional

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLabel, QLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from ui.language import tr
from ui.shortcuts import shortcuts
from ui.theme import pixmap, tokens

Item = QWidget | QLayout | int | None
Margins = tuple[int, int, int, int]
L = TypeVar("L", bound=QBoxLayout)
_LINES = {"answer": 24, "card": 22, "group": 14, "figure2": 26, "strong": 20, "bold": 20, "smallstrong": 16}


class Label(QLabel):
    """Text in a type role ("body", "small", "title", ...) and a tone ("", "secondary", "tertiary", "success", ...).

    ``wrap`` breaks lines at the role's line height; ``elide`` cuts with an ellipsis and keeps the whole in the tooltip; ``own`` is for
    the user's words, which are never translated.
    """

    def __init__(self, text: str = "", role: str = "body", tone: str = "", *, wrap: bool = False,
                 elide: bool = False, own: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._role, self._wrap, self._elide, self._plain, self._own = role, wrap, elide, "", own
        self._line = int(tokens()["type"].get(role, {}).get("line", _LINES.get(role, 20)))
        self.setProperty("type", role)
        self.setProperty("tone", tone)
        self.setTextFormat(Qt.TextFormat.RichText if wrap else Qt.TextFormat.PlainText)
        self.setWordWrap(wrap)
        if not wrap:
            self.setMinimumHeight(self._line)
        if elide:
            self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.say(text)

    def say(self, text: str) -> None:
        """Show a text."""
        if text == self._plain and text:
            return
        self._plain, shown = text, self._shown(text)
        self.setAccessibleName(shown)
        if self._wrap:
            body = html.escape(shown).replace("\n", "<br>")
            self.setText(f'<p style="line-height:{self._line}px;margin:0">{body}</p>' if text else "")
        elif self._elide:
            self._fit()
        else:
            self.setText(shown)

    def _shown(self, text: str) -> str:
        return text if self._own else left_to_right(tr(text))

    def words(self) -> str:
        """The text as given."""
        return self._plain

    def tone(self, tone: str) -> None:
        """Change the colour's meaning."""
        if self.property("tone") != tone:
            self.setProperty("tone", tone)
            self.style().unpolish(self)
            self.style().polish(self)

    def _fit(self) -> None:
        whole = self._shown(self._plain)
        shown = self.fontMetrics().elidedText(whole, Qt.TextElideMode.ElideRight, max(self.width(), 10))
        self.setText(shown)
        self.setToolTip(whole if shown != whole else "")

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Cut the text anew."""
        super().resizeEvent(event)
        if self._elide:
            self._fit()


def left_to_right(text: str) -> str:
    """A sentence of ours in its order also where it begins with a user's name that is written from right to left."""
    first = next((way for letter in text if (way := bidirectional(letter)) in ("L", "R", "AL")), "L")
    return text if first == "L" else f"\u200e{text}"


class Icon(QWidget):
    """One Lucide icon in a colour token."""

    def __init__(self, name: str, token: str = "textTertiary", size: int = 16, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name, self._token, self._size = name, token, size
        self.setFixedSize(size, size)

    def show_icon(self, name: str, token: str) -> None:
        """Show another icon."""
        if (name, token) != (self._name, self._token):
            self._name, self._token = name, token
            self.update()

    def sizeHint(self) -> QSize:
        """Its own size."""
        return QSize(self._size, self._size)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the icon in the theme of the moment."""
        painter = QPainter(self)
        painter.drawPixmap(0, 0, pixmap(self._name, self._token, self._size))
        painter.end()


def row(*items: Item, gap: int = 8, margins: Margins = (0, 0, 0, 0)) -> QHBoxLayout:
    """A row: widgets and layouts; a number is a fixed space, None takes the room that is left."""
    return _fill(QHBoxLayout(), items, gap, margins)


def column(*items: Item, gap: int = 0, margins: Margins = (0, 0, 0, 0)) -> QVBoxLayout:
    """A column, like :func:`row`."""
    return _fill(QVBoxLayout(), items, gap, margins)


def scrolling(layout: QLayout, name: str) -> QScrollArea:
    """What scrolls up and down where there is no room for all of it, and never sideways.  name: for who cannot see it."""
    inner = QWidget()
    inner.setObjectName("scrolled")
    inner.setLayout(layout)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    area.setAccessibleName(tr(name))
    return area


def _fill(layout: L, items: Iterable[Item], gap: int, margins: Margins) -> L:
    layout.setSpacing(gap)
    layout.setContentsMargins(*margins)
    for item in items:
        if item is None:
            layout.addStretch(1)
        elif isinstance(item, int):
            layout.addSpacing(item)
        elif isinstance(item, QLayout):
            layout.addLayout(item)
        else:
            layout.addWidget(item)
    return layout


def clear(layout: QLayout) -> None:
    """Take everything out of a layout and delete the widgets."""
    while layout.count():
        item = layout.takeAt(0)
        if item is None:
            continue
        if (widget := item.widget()) is not None:
            widget.hide()
            widget.deleteLater()
        elif (inner := item.layout()) is not None:
            clear(inner)


class Line(QFrame):
    """A hairline."""

    def __init__(self, direction: str = "h") -> None:
        super().__init__()
        self.setProperty("line", direction)


class Dot(QWidget):
    """A small disc in a colour token: a state, always with its word beside it."""

    def __init__(self, token: str = "textDisabled", size: int = 7) -> None:
        super().__init__()
        self._token, self._size = token, size
        self.setFixedSize(size, size)

    def colour(self, token: str) -> None:
        """Change the colour."""
        self._token = token
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the disc."""
        from ui.theme import theme

        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color(self._token))
        painter.drawEllipse(0, 0, self._size, self._size)
        painter.end()


_BADGE_TONES = {"neutral": "secondary", "accent": "accent", "success": "success", "warning": "warning",
                "danger": "danger"}
_BADGE_TOKENS = {"neutral": "textSecondary", "accent": "accentText", "success": "success", "warning": "warning",
                 "danger": "danger"}


class Badge(QFrame):
    """Icon and word on a tint, 20 px high.  kind: neutral, accent, success, warning, danger.  own: the user's words, as in a Label."""

    def __init__(self, text: str, kind: str = "neutral", icon: str = "", tooltip: str = "", *, own: bool = False) -> None:
        super().__init__()
        self._own = own
        self._label = Label(text, "smallstrong", _BADGE_TONES[kind], own=own)
        self._icon = Icon(icon or "circle", _BADGE_TOKENS[kind], 14)
        self._icon.setVisible(bool(icon))
        self.setLayout(row(self._icon, self._label, gap=5, margins=(7, 0, 7, 0)))
        self.setFixedHeight(20)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.show_state(text, kind, icon, tooltip)

    def show_state(self, text: str, kind: str, icon: str = "", tooltip: str = "") -> None:
        """Change what it says."""
        self.setProperty("badge", kind)
        self.setAccessibleName(text if self._own else tr(text))
        self.setToolTip(tooltip if self._own else tr(tooltip))
        self._label.say(text)
        self._label.tone(_BADGE_TONES[kind])
        self._icon.show_icon(icon or "circle", _BADGE_TOKENS[kind])
        self._icon.setVisible(bool(icon))
        self.style().unpolish(self)
        self.style().polish(self)

    def words(self) -> str:
        """What it says."""
        return self._label.words()


class KeyCap(QLabel):
    """The keys of an action of ui/shortcuts.py, as in menus."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.setFixedHeight(18)
        self._follow()
        shortcuts.changed.connect(self._follow)

    def _follow(self) -> None:
        words = shortcuts.words(self._name)
        self.setText(words if words.endswith("+") else words.replace("+", " "))
        self.setProperty("keycap", bool(words))
        self.style().polish(self)
        self.adjustSize()


class Card(QFrame):
    """A bordered surface.  kind: "true" (card), "foot", "drop", "well"."""

    def __init__(self, kind: str = "true") -> None:
        super().__init__()
        self.setProperty("card", kind)
