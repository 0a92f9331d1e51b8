"""The tour: five short texts beside what they speak of.  It can be left at any time and seen again."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QWidget

from ui.language import tr
from ui.theme import theme
from ui.widgets.buttons import Button
from ui.widgets.text import Label, column, row

STOPS = (
    ("home", "What this computer can do", "Home says which models fit and offers the starter kit: one click runs the whole way, from "
     "data to an answer, in some minutes."),
    ("datasets", "Your data stays yours", "Drop a file anywhere. It is copied into an encrypted store on this computer; every row that is "
     "removed can be brought back."),
    ("workflow", "One plan, two views", "The picture and the text are the same document. Change either; the other follows."),
    ("runs", "Is it better?", "A run ends with a verdict: better, worse or no difference shown, with its interval, beside "
     "simpler answers."),
    ("endpoint", "Use it from other programs", "The tuned model answers at a local address that speaks the OpenAI protocol. There is no "
     "account and no telemetry; offline mode refuses every connection to other computers."),
)
WIDTH, GAP, RING = 340, 16, 4


class Tour(QWidget):
    """Lies over the window; ``ended`` when it was seen or left."""

    ended = Signal()

    def __init__(self, window: Any) -> None:
        super().__init__(window)
        self._window, self._at = window, 0
        self.setAccessibleName(tr("Tour"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._card = QFrame(self)
        self._card.setProperty("popup", True)
        self._card.setFixedWidth(WIDTH)
        self._title, self._text = Label("", "heading"), Label("", "body", "secondary", wrap=True)
        self._count = Label("", "small", "tertiary")
        self._skip = Button("Skip the tour", "quiet", size="small", clicked=self.end)
        self._next = Button("Next", "filled", size="small", clicked=self.step)
        self._card.setLayout(column(self._title, self._text, row(self._count, None, self._skip, self._next), gap=10,
                                    margins=(18, 16, 18, 14)))
        window.installEventFilter(self)
        self.hide()

    def begin(self) -> None:
        """From the first stop."""
        self._at = 0
        self.setGeometry(self._window.rect())
        theme.dress(self)
        self.show()
        self.raise_()
        self.setFocus()
        self._show()

    def step(self) -> None:
        """The next stop; after the last one it is over."""
        self._at += 1
        if self._at >= len(STOPS):
            self.end()
        else:
            self._show()

    def end(self) -> None:
        """Leave it."""
        self._window.removeEventFilter(self)
        self.hide()
        self.ended.emit()
        self.deleteLater()

    def _show(self) -> None:
        _, title, text = STOPS[self._at]
        self._title.say(title)
        self._text.say(text)
        self._count.say(f"{self._at + 1} of {len(STOPS)}")
        last = self._at == len(STOPS) - 1
        self._next.say("Done" if last else "Next")
        self._skip.setVisible(not last)
        self._text.setFixedHeight(max(self._text.heightForWidth(WIDTH - 36), 20))
        self._card.adjustSize()
        spot = self._spot()
        top = min(max(spot.top() - 8, GAP), self.height() - self._card.height() - GAP)
        self._card.move(QPoint(spot.right() + GAP, top))
        self._next.setFocus()
        self.update()

    def _spot(self) -> QRect:
        """What the stop speaks of, in the window's coordinates."""
        button = self._window.rail.buttons.get(STOPS[self._at][0])
        if button is None:
            return QRect(GAP, GAP, 1, 1)
        return QRect(button.mapTo(self._window, QPoint(0, 0)), button.size())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Dim everything but the thing spoken of, which gets a ring."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = theme.color("text" if theme.mode.startswith("light") else "sunken")
        veil.setAlpha(96)
        spot = self._spot().adjusted(-RING, -RING, RING, RING)
        for part in (QRect(0, 0, self.width(), spot.top()), QRect(0, spot.bottom(), self.width(), self.height() - spot.bottom()),
                     QRect(0, spot.top(), spot.left(), spot.height() - 1),
                     QRect(spot.right(), spot.top(), self.width() - spot.right(), spot.height() - 1)):
            painter.fillRect(part, veil)
        painter.setPen(QPen(theme.color("focus"), 2))
        painter.drawRoundedRect(spot, 8, 8)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc leaves, Enter and the arrows go on."""
        if event.key() == Qt.Key.Key_Escape:
            self.end()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Right, Qt.Key.Key_Space):
            self.step()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep over the window when its size changes."""
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self.setGeometry(self._window.rect())
            self._show()
        return False
