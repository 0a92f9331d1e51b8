"""How the window says that something happened, failed, or is not there yet."""

from __future__ import annotations

import json
from collections.abc import Callable

from PySide6.QtCore import QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QSizePolicy, QWidget

from app.errors import NeuroWeaverError
from ui.language import tr
from ui.theme import theme
from ui.widgets.buttons import Button
from ui.widgets.text import Icon, Label, column, row

TOAST_MS = 6000


class ErrorBanner(QFrame):
    """What, why, what next, in that order; the code and its place under "Show details"."""

    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("banner", "danger")
        self._what = Label("", "bold", "danger", wrap=True)
        self._why = Label("", "small", "secondary", wrap=True)
        self._details = QPlainTextEdit()
        self._details.setReadOnly(True)
        self._details.setProperty("code", True)
        self._details.setAccessibleName(tr("Details of the failure"))
        self._details.setMaximumHeight(120)
        self._details.hide()
        self._more = Button("Show details", "link", size="small", clicked=self._toggle)
        close = Button("", "quiet", "x", size="small", tooltip="Close", clicked=self._close)
        words = column(self._what, self._why, gap=2)
        line = row(Icon("circle-alert", "danger"), words, self._more, close, gap=10)
        line.setStretch(1, 1)
        self.setLayout(column(line, self._details, gap=6, margins=(12, 8, 8, 8)))

    def show_problem(self, problem: NeuroWeaverError) -> None:
        """Fill and show it."""
        self._what.say(problem.what)
        self._why.say(" ".join(part for part in (problem.why, problem.remedy) if part))
        self._details.setPlainText(json.dumps(problem.as_json(), indent=1, ensure_ascii=False))
        self.setAccessibleName(tr(f"{problem.what} {problem.why} {problem.remedy}"))
        self.show()

    def _toggle(self) -> None:
        shown = self._details.isHidden()
        self._details.setVisible(shown)
        self._more.say("Hide details" if shown else "Show details")

    def _close(self) -> None:
        self.closed.emit()


class Toast(QFrame):
    """Bottom right, six seconds, one action.  Failures stay."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._over = parent
        self.setProperty("popup", True)
        self._label = Label("", "body", wrap=True)
        self._label.setFixedWidth(300)
        self._action = Button("", "link", size="small", clicked=self._act)
        self._then: Callable[[], object] | None = None
        close = Button("", "quiet", "x", size="small", tooltip="Close", clicked=self.hide)
        self.setLayout(row(self._label, self._action, close, gap=8, margins=(16, 10, 8, 10)))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.hide)
        self.hide()

    def say(self, text: str, action: str = "", then: Callable[[], object] | None = None, *, stays: bool = False) -> None:
        """Show a sentence and an action."""
        self._label.say(text)
        self._action.setVisible(bool(action))
        self._action.say(action)
        self._then = then
        self.setAccessibleName(tr(text))
        theme.dress(self)
        self.show()  # first: what was never shown has not the fonts of the style sheet, and is too narrow for its words
        self.adjustSize()
        self.place()
        self.raise_()
        if stays:
            self._timer.stop()
        else:
            self._timer.start(TOAST_MS)

    def place(self) -> None:
        """Keep to the corner."""
        self.move(self._over.width() - self.width() - 24, self._over.height() - self.height() - 44)

    def _act(self) -> None:
        self.hide()
        if self._then is not None:
            self._then()


class EmptyState(QWidget):
    """What is not there yet, in the design's words, with the buttons that help."""

    def __init__(self, text: str, icon: str, *buttons: QWidget) -> None:
        super().__init__()
        label = Label(text, "body", "secondary", wrap=True)
        label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        label.setFixedWidth(420)
        picture = Icon(icon, "textTertiary", 24)
        for widget in (picture, label):
            widget.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        layout = column(None, row(None, picture, None), row(None, label, None), row(None, *buttons, None), None, gap=14)
        self.setLayout(layout)
        self.setAccessibleName(tr(text))


class Bar(QWidget):
    """A thin progress bar; None shows that the length is not known yet."""

    def __init__(self, height: int = 4, token: str = "accent") -> None:
        super().__init__()
        self._fraction: float | None = 0.0
        self._token = token
        self.setFixedHeight(height)
        self.setMinimumWidth(20)

    def show_fraction(self, fraction: float | None, token: str = "accent") -> None:
        """0..1, or None while nothing can be said."""
        if (fraction, token) != (self._fraction, self._token):
            self._fraction, self._token = fraction, token
            self.setAccessibleName(tr("Not started" if fraction is None else f"{fraction:.0%} done"))
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw track and bar."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        radius = self.height() / 2
        painter.setBrush(theme.color("sunken"))
        painter.drawRoundedRect(QRectF(self.rect()), radius, radius)
        if self._fraction:
            painter.setBrush(theme.color(self._token))
            width = max(self.width() * min(self._fraction, 1.0), self.height())
            painter.drawRoundedRect(QRectF(0, 0, width, self.height()), radius, radius)
        painter.end()


class LoadingBar(Bar):
    """A thin bar that appears only after 300 ms, so that quick answers do not flicker."""

    def __init__(self) -> None:
        super().__init__(2)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(300)
        self._timer.timeout.connect(self.show)
        self.show_fraction(0.4)
        self.hide()

    def begin(self) -> None:
        """Reading has begun."""
        self._timer.start()

    def end(self) -> None:
        """It is there."""
        self._timer.stop()
        self.hide()
