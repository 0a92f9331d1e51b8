"""Colours, type and icons: everything comes from resources/themes/tokens.json.

One QSS template is filled from the tokens; widgets that paint themselves ask the same object.  A theme change sets the style
sheet of the dressed widgets anew, which sends all that they hold a StyleChange: painted widgets repaint,
:class:`ui.widgets.buttons.Button` tints its icon again.  Pages and what else is hidden take on the theme when they are shown.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from string import Template
from typing import Any
from weakref import WeakSet

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import QApplication, QWidget
from shiboken6 import isValid

RESOURCES = Path(__file__).resolve().parent.parent / "resources"
CONTRAST = " contrast"
_FONT_FILES = ("Inter-Regular.otf", "Inter-Medium.otf", "Inter-SemiBold.otf", "InterDisplay-SemiBold.otf",
               "JetBrainsMono-Regular.ttf")


@functools.cache
def tokens() -> dict[str, Any]:
    """The design tokens as they stand in the file."""
    loaded: dict[str, Any] = json.loads((RESOURCES / "themes" / "tokens.json").read_text(encoding="utf-8"))
    return loaded | {f"{mode}{CONTRAST}": _contrast(loaded[mode]) for mode in ("light", "dark")}


def _contrast(mode: dict[str, Any]) -> dict[str, Any]:
    """The same keys with more contrast: lines as strong as fields' borders, all words as strong as text, one ground."""
    colours, stronger = mode["color"], {
        "borderSubtle": "borderStrong", "border": "borderStrong", "borderStrong": "text", "textSecondary": "text",
        "textTertiary": "text", "textDisabled": "textTertiary", "window": "surface", "sunken": "surface", "accentText": "text",
        "focus": "text"}
    charts = mode["chart"] | {"grid": colours["border"], "axis": colours["text"]}
    return mode | {"color": colours | {key: colours[source] for key, source in stronger.items()}, "chart": charts}


class Theme:
    """The colours in force.  ``choice`` is what the user set: light, dark, contrast or system.

    mode: "light" or "dark", with CONTRAST behind it where more contrast was asked for.
    """

    def __init__(self) -> None:
        self.choice = "system"
        self.mode = "light"
        self._dressed: WeakSet[QWidget] = WeakSet()

    def name(self, token: str) -> str:
        """The colour of a token as #RRGGBB; "chart.s3" and "syntax.key" name the other groups."""
        group, _, key = token.rpartition(".")
        value: str = tokens()[self.mode][group or "color"][key]
        return value

    @property
    def chosen_mark(self) -> int:
        """Pixels of the bar beside a chosen line; only where more contrast was asked for: a tint alone says too little there."""
        return 4 if self.mode.endswith(CONTRAST) else 0

    def color(self, token: str) -> QColor:
        """The colour of a token."""
        return QColor(self.name(token))

    def apply(self, choice: str) -> None:
        """Take light, dark, contrast or system into force for the whole application."""
        self.choice = choice
        self.mode = {"system": _system_mode, "contrast": _contrast_mode}.get(choice, lambda: choice)()
        _pixmap.cache_clear()
        app = QApplication.instance()
        if isinstance(app, QApplication):
            app.setPalette(self._palette())
            for widget in self._dressed:
                if isValid(widget) and not widget.isHidden():
                    self.dress(widget)

    def dress(self, widget: QWidget) -> None:
        """Give a widget the style sheet of the theme in force, once it is built; what it holds inherits it, and so do dialogs over it.

        The parts of the window are dressed one by one, and those that are hidden when the theme changes call this again when they
        are shown: to restyle all pages at once took four times as long as what can be seen of it (measured).  An application's
        sheet would tell every widget of a new style each time that something around it gets a parent, layer by layer: half of what
        building a page took (measured).
        """
        self._dressed.add(widget)
        if widget.property("dressed") != self.mode:
            widget.setProperty("dressed", self.mode)
            widget.setStyleSheet(self.style_sheet())

    def style_sheet(self) -> str:
        """The QSS of this theme."""
        text = (RESOURCES / "themes" / "window.qss").read_text(encoding="utf-8")
        families = {name: f'"{tokens()["font"][name][0]}"' for name in ("ui", "display", "mono")}
        return Template(text).substitute(tokens()[self.mode]["color"], **families)

    def _palette(self) -> QPalette:
        palette = QPalette()
        roles = {QPalette.ColorRole.Window: "surface", QPalette.ColorRole.Base: "surface",
                 QPalette.ColorRole.Text: "text", QPalette.ColorRole.WindowText: "text",
                 QPalette.ColorRole.Button: "surface", QPalette.ColorRole.ButtonText: "text",
                 QPalette.ColorRole.Highlight: "selected", QPalette.ColorRole.HighlightedText: "text",
                 QPalette.ColorRole.PlaceholderText: "textTertiary", QPalette.ColorRole.Link: "accentText"}
        for role, token in roles.items():
            palette.setColor(role, self.color(token))
        return palette


theme = Theme()


def _system_mode() -> str:
    """What the system wishes: light or dark, and more contrast where it says so (Qt 6.10 and newer can tell)."""
    hints = QGuiApplication.styleHints()
    mode = "dark" if hints.colorScheme() == Qt.ColorScheme.Dark else "light"
    wishes = hints.accessibility() if hasattr(hints, "accessibility") else None
    strong = wishes is not None and wishes.contrastPreference() == Qt.ContrastPreference.HighContrast
    return f"{mode}{CONTRAST}" if strong else mode


def _contrast_mode() -> str:
    return _system_mode().removesuffix(CONTRAST) + CONTRAST


def load_fonts() -> None:
    """Make the bundled fonts known and set the application's font, with figures of equal width."""
    for file in _FONT_FILES:
        QFontDatabase.addApplicationFont(str(RESOURCES / "fonts" / file))
    QApplication.setFont(font("body"))


def font(role: str) -> QFont:
    """The font of a type role in the tokens ("body", "figure", "axis", ...)."""
    spec = tokens()["type"][role]
    made = QFont(tokens()["font"][spec["family"]])
    made.setPixelSize(round(spec["size"]))
    made.setWeight(QFont.Weight(spec["weight"]))
    made.setFeature(QFont.Tag("tnum"), 1)
    return made


def pixmap(name: str, token: str = "textSecondary", size: int = 16) -> QPixmap:
    """A Lucide icon tinted with a colour token, sharp on this screen."""
    ratio = QGuiApplication.primaryScreen().devicePixelRatio() if QGuiApplication.primaryScreen() else 1.0
    return _pixmap(name, theme.name(token), size, ratio)


def icon(name: str, token: str = "textSecondary", size: int = 16) -> QIcon:
    """The same as an icon for buttons; greyed where disabled."""
    made = QIcon(pixmap(name, token, size))
    made.addPixmap(pixmap(name, "textDisabled", size), QIcon.Mode.Disabled)
    return made


@functools.lru_cache(maxsize=512)
def _pixmap(name: str, colour: str, size: int, ratio: float) -> QPixmap:
    from PySide6.QtSvg import QSvgRenderer

    width = tokens()["stroke"]["icon"]  # in the icon's own grid of 24
    text = (RESOURCES / "icons" / f"{name}.svg").read_text(encoding="utf-8")
    text = text.replace("currentColor", colour).replace('stroke-width="2"', f'stroke-width="{width}"')
    drawn = QPixmap(round(size * ratio), round(size * ratio))
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    QSvgRenderer(QByteArray(text.encode())).render(painter, QRectF(0, 0, size * ratio, size * ratio))
    painter.end()
    drawn.setDevicePixelRatio(ratio)
    return drawn
