"""A small line chart drawn with QPainter: few points, few ticks, no frame.

pyqtgraph would do, but it brings numpy: about 1.5 s of import and 46 MB (measured), which the window's budgets of
100 ms and 120 MB cannot pay for curves of some hundred points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QAction, QContextMenuEvent, QGuiApplication, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QMenu, QSizePolicy, QWidget

from ui.theme import font, theme, tokens

Points = list[tuple[float, float]]
_BOTTOM, _TOP = 20, 14


@dataclass(slots=True)
class Series:
    """One curve.  token: a chart colour; dash and dots are the second mark that joins it; fill: area to zero."""

    name: str
    points: Points
    token: str = "chart.tuned"
    dash: bool = False
    dots: bool = False
    fill: str = ""


@dataclass(slots=True)
class Axes:
    """What the axes show.  x_end: the right end where it is known ahead (steps planned, minutes expected)."""

    x_unit: str = "steps"
    x_end: float | None = None
    y_end: float | None = None
    digits: int = 0
    note: tuple[float, float, str] | None = field(default=None)
    """A labelled point: x, y, words."""


def tick_labels(ticks: list[float]) -> list[str]:
    """As many decimals as the step between two ticks needs, the same for all, so that no two labels are equal."""
    step = ticks[1] - ticks[0]
    digits = next((count for count in range(7) if abs(round(step, count) - step) < step * 1e-6), 7)
    return [f"{tick:,.{digits}f}" if tick else "0" for tick in ticks]


def nice_ticks(top: float, most: int = 4) -> list[float]:
    """Round numbers from 0 to at least ``top``, at most ``most`` steps."""
    if not math.isfinite(top) or top <= 0:
        return [0.0, 1.0]
    rough = top / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]


class Chart(QWidget):
    """Curves over steps or minutes; crosshair on hover, pinned by a click; raw data by right click."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._series: list[Series] = []
        self._axes = Axes()
        self._cursor: float | None = None
        self._pinned = False
        self.setMouseTracking(True)
        self.setMinimumHeight(90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(f"{name}: nothing measured yet")

    def sizeHint(self) -> QSize:
        """A card's inside."""
        return QSize(240, 100)

    def show_series(self, series: list[Series], axes: Axes) -> None:
        """Draw these from now on."""
        if series == self._series and axes == self._axes:
            return
        self._series, self._axes = series, axes
        self.setAccessibleName(self._sentence())
        self.update()

    def _sentence(self) -> str:
        for series in self._series:
            if len(series.points) > 1:
                first, last = series.points[0], series.points[-1]
                verb = "fell" if last[1] < first[1] else "rose" if last[1] > first[1] else "stayed"
                span = f"{last[0] - first[0]:.0f} {self._axes.x_unit}"
                return f"{self._name} {verb} from {first[1]:.3g} to {last[1]:.3g} in {span}"
        return f"{self._name}: nothing measured yet"

    # ---- geometry ----------------------------------------------------------------------------------------------

    def _ends(self) -> tuple[list[float], list[float]]:
        xs = [point[0] for series in self._series for point in series.points]
        ys = [point[1] for series in self._series for point in series.points]
        x_end = max([*xs, self._axes.x_end or 0.0], default=1.0)
        y_end = self._axes.y_end or max(ys, default=1.0)
        return nice_ticks(x_end, 3) if x_end > 0 else [0.0, 1.0], nice_ticks(y_end, 3)

    def _frame(self, labels: list[str]) -> QRectF:
        metrics = self.fontMetrics()
        left = max(metrics.horizontalAdvance(label) for label in labels) + 6.0
        return QRectF(left, _TOP, self.width() - left - 4, self.height() - _TOP - _BOTTOM)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Grid, curves, note, crosshair."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.setFont(font("axis"))
        painter.setFont(font("axis"))
        if not any(series.points for series in self._series):
            painter.setPen(theme.color("textTertiary"))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "Nothing measured yet")
            painter.end()
            return
        x_ticks, y_ticks = self._ends()
        frame = self._frame(tick_labels(y_ticks))
        x_top = self._x_top(x_ticks)
        self._grid(painter, frame, x_ticks, x_top, y_ticks)
        for series in self._series:
            self._curve(painter, series, frame, x_top, y_ticks[-1])
        self._note(painter, frame, x_top, y_ticks[-1])
        self._crosshair(painter, frame, x_top, y_ticks[-1])
        painter.end()

    def _x_top(self, ticks: list[float]) -> float:
        xs = [point[0] for series in self._series for point in series.points]
        return max([*xs, self._axes.x_end or ticks[-1]])

    def _grid(self, painter: QPainter, frame: QRectF, x_ticks: list[float], x_top: float, y_ticks: list[float]) -> None:
        for tick, label in zip(y_ticks, tick_labels(y_ticks), strict=True):
            y = frame.bottom() - frame.height() * tick / y_ticks[-1]
            painter.setPen(QPen(theme.color("chart.grid"), 1))
            painter.drawLine(QPointF(frame.left(), y), QPointF(frame.right(), y))
            painter.setPen(theme.color("chart.axis"))
            painter.drawText(QRectF(0, y - 8, frame.left() - 6, 16),
                             Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, label)
        last = f"{x_top:,.0f} {self._axes.x_unit}" if x_top >= 3 else f"{x_top:.1f} {self._axes.x_unit}"
        right = frame.right() - painter.fontMetrics().horizontalAdvance(last)
        painter.drawText(QPointF(right, self.height() - 4), last)
        for tick, label in zip(x_ticks, tick_labels(x_ticks), strict=True):
            width = painter.fontMetrics().horizontalAdvance(label)
            x = frame.left() + frame.width() * tick / x_top - width / 2
            if x + width < right - 10:
                painter.drawText(QPointF(max(x, frame.left() - 4), self.height() - 4), label)

    def _place(self, point: tuple[float, float], frame: QRectF, x_top: float, y_top: float) -> QPointF:
        return QPointF(frame.left() + frame.width() * point[0] / x_top,
                       frame.bottom() - frame.height() * max(min(point[1] / y_top, 1.05), 0.0))

    def _curve(self, painter: QPainter, series: Series, frame: QRectF, x_top: float, y_top: float) -> None:
        if not series.points:
            return
        places = [self._place(point, frame, x_top, y_top) for point in series.points]
        if series.fill:
            area = QPolygonF([QPointF(places[0].x(), frame.bottom()), *places, QPointF(places[-1].x(), frame.bottom())])
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color(series.fill))
            painter.drawPolygon(area)
        pen = QPen(theme.color(series.token), tokens()["stroke"]["chart"])
        if series.dash:
            pen.setDashPattern([3, 2])
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(places))
        if series.dots or len(places) == 1:
            painter.setPen(QPen(theme.color("surface"), 1))
            painter.setBrush(theme.color(series.token))
            for place in places:
                painter.drawEllipse(place, 3.2, 3.2)

    def _note(self, painter: QPainter, frame: QRectF, x_top: float, y_top: float) -> None:
        if self._axes.note is None:
            return
        x, y, words = self._axes.note
        place = self._place((x, y), frame, x_top, y_top)
        width = painter.fontMetrics().horizontalAdvance(words)
        top = max(place.y() - 30, frame.top() - 4)
        painter.setPen(QPen(theme.color("textTertiary"), 1))
        painter.drawLine(QPointF(place.x(), top + 4), QPointF(place.x(), place.y() - 6))
        painter.setPen(theme.color("text"))
        left = min(max(place.x() - width / 2, frame.left()), frame.right() - width)
        painter.drawText(QPointF(left, top), words)

    # ---- looking closely -----------------------------------------------------------------------------------------

    def _crosshair(self, painter: QPainter, frame: QRectF, x_top: float, y_top: float) -> None:
        if self._cursor is None or not frame.left() <= self._cursor <= frame.right():
            return
        at = (self._cursor - frame.left()) / frame.width() * x_top
        lines = [f"{self._axes.x_unit} {at:,.1f}"]
        for series in self._series:
            if near := self._nearest(series, at):
                lines.append(f"{series.name} {near[1]:,.4g}")
                painter.setBrush(theme.color(series.token))
                painter.setPen(Qt.PenStyle.NoPen)
                painter.drawEllipse(self._place(near, frame, x_top, y_top), 3.5, 3.5)
        painter.setPen(QPen(theme.color("borderStrong"), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(self._cursor, frame.top()), QPointF(self._cursor, frame.bottom()))
        self._bubble(painter, lines)

    @staticmethod
    def _nearest(series: Series, at: float) -> tuple[float, float] | None:
        return min(series.points, key=lambda point: abs(point[0] - at), default=None)

    def _bubble(self, painter: QPainter, lines: list[str]) -> None:
        metrics = painter.fontMetrics()
        width, height = max(metrics.horizontalAdvance(line) for line in lines) + 16, 15 * len(lines) + 8
        x = (self._cursor or 0.0) + 10
        if x + width > self.width():
            x = (self._cursor or 0.0) - 10 - width
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("tooltip"))
        painter.drawRoundedRect(QRectF(x, _TOP, width, height), 4, 4)
        painter.setPen(theme.color("onTooltip"))
        for number, line in enumerate(lines):
            painter.drawText(QPointF(x + 8, _TOP + 16 + 15 * number), line)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """The crosshair follows until it is pinned."""
        if not self._pinned:
            self._cursor = event.position().x()
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click pins the crosshair, another frees it."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._pinned = not self._pinned
            self._cursor = event.position().x()
            self.update()

    def leaveEvent(self, event: object) -> None:
        """The crosshair goes with the mouse, unless pinned."""
        if not self._pinned:
            self._cursor = None
            self.update()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Copy the figures behind the picture."""
        menu = QMenu(self)
        action = QAction("Copy the raw data", menu)
        action.triggered.connect(lambda _checked=False: QGuiApplication.clipboard().setText(self.raw()))
        menu.addAction(action)
        menu.exec(event.globalPos())
        menu.deleteLater()

    def raw(self) -> str:
        """All points as tab-separated lines: series, x, y."""
        lines = [f"series\t{self._axes.x_unit}\tvalue"]
        lines += [f"{series.name}\t{x:g}\t{y:g}" for series in self._series for x, y in series.points]
        return "\n".join(lines)


class Swatch(QWidget):
    """A line's look in the legend."""

    def __init__(self, token: str, dash: bool = False) -> None:
        super().__init__()
        self._token, self._dash = token, dash
        self.setFixedSize(16, 8)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the line."""
        painter = QPainter(self)
        pen = QPen(theme.color(self._token), 2)
        if self._dash:
            pen.setDashPattern([2, 1.5])
        painter.setPen(pen)
        painter.drawLine(0, 4, 16, 4)
        painter.end()
