"""The strip of three answers, the dot-and-bar interval, verdict badges."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QSizePolicy, QWidget

from ui import words
from ui.language import tr
from ui.theme import font, theme
from ui.widgets.text import Badge, Icon, Label, Line, column, row

_QUESTIONS = (("badge-check", "Is it better?"), ("shield-check", "Is it safe?"), ("coins", "What does it cost?"))
APART = 4
"""px between two captions."""


class Answers(QFrame):
    """Is it better? Is it safe? What does it cost?  A word first, the evidence under it."""

    def __init__(self, size: str = "answer") -> None:
        super().__init__()
        self.setProperty("card", True)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._parts: list[tuple[Label, Label, QWidget]] = []
        layout = row(gap=0)
        for number, (icon, question) in enumerate(_QUESTIONS):
            if number:
                layout.addWidget(Line("v"))
            answer, evidence = Label("", size, wrap=True), Label("", "small", "secondary", wrap=True)
            part = QWidget()
            part.setLayout(column(row(Icon(icon), Label(question, "smallstrong", "tertiary"), None, gap=6), 3, answer, 2,
                                  evidence, None, margins=(18, 14, 18, 14)))
            layout.addWidget(part, 1)
            self._parts.append((answer, evidence, part))
        self.setLayout(layout)

    def fill(self, answers: Iterable[tuple[str, str]]) -> None:
        """Three pairs of word and evidence."""
        for (word, evidence), (label, below, part), (_, question) in zip(answers, self._parts, _QUESTIONS, strict=True):
            label.say(word)
            below.say(evidence)
            part.setAccessibleName(tr(f"{question} {word}. {evidence}"))

    def words(self) -> list[str]:
        """The three answers as shown."""
        return [label.words() for label, _, _ in self._parts]


def verdict_badge(verdict: str) -> Badge:
    """better, worse, no_difference, or "" where nothing was measured."""
    return Badge(*words.VERDICTS.get(verdict, words.NOT_MEASURED))


class Ring(QWidget):
    """The form of base (a grey ring) and tuned (a blue disc) on every page.  side: "base" or "tuned"."""

    def __init__(self, side: str) -> None:
        super().__init__()
        self._side = side
        self.setFixedSize(12, 12)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw ring or disc."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.color(f"chart.{self._side}"), 2))
        if self._side == "tuned":
            painter.setBrush(theme.color("chart.tuned"))
        painter.drawEllipse(2, 2, 8, 8)
        painter.end()


class Interval(QWidget):
    """Base as a grey ring, tuned as a blue disc, on a scale from 0 to 1; a bar shows a 95 % interval where known.

    For a likelihood the scale goes from 0 to a little more than the highest figure.
    """

    def __init__(self, base: float, tuned: float, base_bar: tuple[float, float] | None = None,
                 tuned_bar: tuple[float, float] | None = None, metric: str = "") -> None:
        super().__init__()
        figures = [words.score(metric, value) for value in (base, tuned)]
        self._marks = [(base, base_bar, "chart.base", tr(f"base {figures[0]}")),
                       (tuned, tuned_bar, "chart.tuned", tr(f"tuned {figures[1]}"))]
        self._top = 1.1 * max(base, tuned, *(tuned_bar or ()), 0.1) if words.is_nll(metric) else 1.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(36)
        self.setAccessibleName(tr(f"Base {figures[0]}, tuned {figures[1]} nats a word piece" if words.is_nll(metric) else
                                  f"Base {figures[0]}, tuned {figures[1]} of 100"))

    def sizeHint(self) -> QSize:
        """Wide enough for both labels."""
        return QSize(220, 36)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the scale, the bars, the marks and their labels."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font("axis"))
        y = 12.0
        painter.setPen(QPen(theme.color("chart.grid"), 1))
        painter.drawLine(QPointF(4, y), QPointF(self.width() - 4, y))
        for value, bar, token, _ in self._marks:
            self._mark(painter, y, value, bar, token)
        self._captions(painter, y)
        painter.end()

    def _x(self, value: float) -> float:
        return 10 + (self.width() - 20) * min(max(value / self._top, 0.0), 1.0)

    def _mark(self, painter: QPainter, y: float, value: float, bar: tuple[float, float] | None, token: str) -> None:
        if bar is not None:
            painter.setPen(QPen(theme.color(token), 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawLine(QPointF(self._x(bar[0]), y), QPointF(self._x(bar[1]), y))
        ring = token == "chart.base"
        painter.setPen(QPen(theme.color(token), 2))
        painter.setBrush(theme.color("surface" if ring else token))
        painter.drawEllipse(QPointF(self._x(value), y), 4.5, 4.5)

    def _captions(self, painter: QPainter, y: float) -> None:
        metrics = painter.fontMetrics()
        widths = [metrics.horizontalAdvance(text) + 4 for *_, text in self._marks]
        centres = [self._x(value) for value, *_ in self._marks]
        lefts = side_by_side(centres, widths, self.width())
        for (*_, text), width, left, token in zip(self._marks, widths, lefts, ("textTertiary", "text"), strict=True):
            painter.setPen(theme.color(token))
            painter.drawText(QRectF(left, y + 6, width, 16), Qt.AlignmentFlag.AlignCenter, text)


def side_by_side(centres: list[float], widths: list[int], room: float) -> list[float]:
    """Where two captions begin: under their marks, inside 0 to ``room``, and apart, as long as there is room for both; px."""
    first, second = (0, 1) if centres[0] <= centres[1] else (1, 0)
    apart = (widths[0] + widths[1]) / 2 + APART
    push = max(apart - (centres[second] - centres[first]), 0) / 2
    left = min(max(centres[first] - push - widths[first] / 2, 0), room - widths[0] - widths[1] - APART)
    right = min(max(centres[second] + push - widths[second] / 2, left + widths[first] + APART), room - widths[second])
    return [left, right] if first == 0 else [right, left]
