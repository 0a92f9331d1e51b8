"""A small line chart drawn with QPainter: few ticks, no frame; a part of it can be looked at closely.

It is given at most a few hundred points a curve, however many were measured (app/workflow/curves.py).  Who looks at a part is shown
these first, and ``looked`` asks for those that lie between them.

pyqtgraph would do, but it brings numpy: about 1.5 s of import and 46 MB (measured), which the window's budgets of
100 ms and 120 MB cannot pay for curves of some hundred points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QGuiApplication,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QWheelEvent,
)
from PySide6.QtWidgets import QMenu, QSizePolicy, QWidget

from ui.language import tr
from ui.theme import font, theme, tokens

Points = list[tuple[float, float]]
_BOTTOM, _TOP = 20, 14
SMALLEST = 1e-6
"""Of the whole x axis, what can be looked at."""
LOOK_MS = 120
DENSE = 0.6
"""Points a px from which a curve is a band of peaks, drawn as such."""
PIECE = 4
"""Corners of a broad curve or an area that are drawn in one go: the cost grows with their square (270 steep ones: 47 ms, in pieces 4)."""
DRAG = 4
"""px from which a press that moves is no click."""


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


def ticks_around(low: float, top: float, most: int = 3) -> list[float]:
    """Round numbers from the last at or before ``low`` to the first at or after ``top``."""
    step = nice_ticks(top - low, most)[1]
    return [step * number for number in range(math.floor(low / step + 1e-9), math.ceil(top / step - 1e-9) + 1)]


def nice_ticks(top: float, most: int = 4) -> list[float]:
    """Round numbers from 0 to at least ``top``, at most ``most`` steps."""
    if not math.isfinite(top) or top <= 0:
        return [0.0, 1.0]
    rough = top / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]


@dataclass(frozen=True, slots=True)
class _Place:
    """From figures to px and back.  low, high: of the x axis; top: of the y axis, which begins at 0."""

    frame: QRectF
    low: float
    high: float
    top: float

    def x(self, value: float) -> float:
        return self.frame.left() + self.frame.width() * (value - self.low) / (self.high - self.low)

    def point(self, point: tuple[float, float]) -> QPointF:
        return QPointF(self.x(point[0]), self.frame.bottom() - self.frame.height() * max(min(point[1] / self.top, 1.05), 0.0))

    def value(self, x: float) -> float:
        return self.low + (x - self.frame.left()) / max(self.frame.width(), 1.0) * (self.high - self.low)


def _between(points: Points, low: float, high: float) -> Points:
    """Those from the last before ``low`` to the first behind ``high``; points may come back on the axis (a run that was resumed)."""
    first = next((number for number, point in enumerate(points) if point[0] >= low), len(points))
    last = next((number for number in range(len(points) - 1, -1, -1) if points[number][0] <= high), -1)
    return points[max(first - 1, 0) : last + 2]


def _area(painter: QPainter, places: list[QPointF], floor: float, token: str) -> None:
    """Fill down to the floor; hard edges, because the curve is drawn over them and smooth ones cost three times as much."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.color(token))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
    for first in range(0, len(places) - 1, PIECE):
        part = places[first : first + PIECE + 1]
        painter.drawPolygon([QPointF(part[0].x(), floor), *part, QPointF(part[-1].x(), floor)])
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)


def _curve(painter: QPainter, series: Series, place: _Place) -> None:
    if not series.points:
        return
    places = [place.point(point) for point in series.points]
    if series.fill:
        _area(painter, places, place.frame.bottom(), series.fill)
    dense = len(places) > DENSE * place.frame.width()
    pen = QPen(theme.color(series.token), 1.0 if dense else tokens()["stroke"]["chart"])
    pen.setCosmetic(dense)  # one px of any screen, which Qt draws without the work of an outline
    if series.dash:
        pen.setDashPattern([3, 2])
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    piece = len(places) if dense or series.dash else PIECE
    for first in range(0, len(places) - 1, piece):
        painter.drawPolyline(places[first : first + piece + 1])
    if series.dots or len(places) == 1:
        painter.setPen(QPen(theme.color("surface"), 1))
        painter.setBrush(theme.color(series.token))
        for spot in places:
            painter.drawEllipse(spot, 3.2, 3.2)


class Chart(QWidget):
    """Curves over steps or minutes; crosshair on hover, pinned by a click; raw data by right click.

    Ctrl and the wheel zoom into the x axis, dragging moves along it, a double click shows all; with the keyboard +, -, the arrows, 0.
    """

    looked = Signal(float, float)
    """A part of the x axis is looked at: its points may be shown with ``show_part``."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._series: list[Series] = []
        self._axes = Axes()
        self._cursor: float | None = None
        self._pinned = False
        self._part: tuple[float, float] | None = None
        """What of the x axis is shown; None for all."""
        self._close: tuple[float, float, list[Series]] | None = None
        """A part with its own points."""
        self._fresh = False
        """Whether they are from after the newest of all points."""
        self._grip: tuple[float, float] | None = None
        """Where a drag began and where it is, px."""
        self._look = QTimer(self)
        self._look.setSingleShot(True)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self._ask)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMouseTracking(True)
        self.setMinimumHeight(90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(tr(f"{name}: nothing measured yet"))

    def sizeHint(self) -> QSize:
        """A card's inside."""
        return QSize(240, 100)

    def show_series(self, series: list[Series], axes: Axes) -> None:
        """Draw these from now on."""
        if series == self._series and axes == self._axes:
            return
        self._series, self._axes = series, axes
        self.setAccessibleName(tr(self._sentence()))
        if self._part is not None:
            self._fresh = False
            self.look_at(self._part)
        self.update()

    def show_all(self) -> None:
        """Something else is about to be drawn."""
        self._close = None
        self.look_at(None)

    def show_part(self, low: float, high: float, series: list[Series]) -> None:
        """The points of a part, all that were measured there or its lowest and highest ones; drawn while what is looked at lies in it."""
        self._close, self._fresh = (low, high, series), True
        self.update()

    # ---- a part of it --------------------------------------------------------------------------------------------

    def _whole(self) -> float:
        """The right end of the whole x axis: what is expected, else a round number, so that it does not move with every point."""
        last = max((point[0] for series in self._series for point in series.points), default=0.0)
        return max(last, self._axes.x_end or (nice_ticks(last, 3)[-1]))

    def span(self) -> tuple[float, float]:
        """What of the x axis is shown."""
        return self._part or (0.0, self._whole())

    def look_at(self, part: tuple[float, float] | None) -> None:
        """Show a part of the x axis, moved to where there is something; None or all of it shows all."""
        whole = self._whole()
        if part is not None and part[1] - part[0] < whole:
            wide = max(part[1] - part[0], whole * SMALLEST)
            low = min(max(part[0], 0.0), whole - wide)
            self._part = (low, low + wide)
            self._look.start()
        else:
            self._part = None
            self._look.stop()
        self.update()

    def zoom(self, factor: float, around: float | None = None) -> None:
        """factor: above 1 shows less of the axis; around: a place on it that stays where it is, by default the middle."""
        low, high = self.span()
        spot = (low + high) / 2 if around is None else around
        self.look_at((spot - (spot - low) / factor, spot + (high - spot) / factor))

    def move_by(self, share: float) -> None:
        """Along the axis by a share of what is shown."""
        low, high = self.span()
        if self._part is not None:
            self.look_at((low + share * (high - low), high + share * (high - low)))

    def _ask(self) -> None:
        low, high = self.span()
        near = self._close if self._fresh else None
        if near is None or not (near[0] <= low and high <= near[1] and near[1] - near[0] <= 4 * (high - low)):
            self.looked.emit(max(low - (high - low), 0.0), high + (high - low))

    def _drawn(self) -> list[Series]:
        """The curves cut to what is shown, with one point beyond each end."""
        if self._part is None:
            return self._series
        low, high = self._part
        near = self._close
        series = near[2] if near is not None and near[0] <= low and high <= near[1] else self._series
        return [replace(one, points=_between(one.points, low, high)) for one in series]

    def _sentence(self) -> str:
        for series in self._series:
            if len(series.points) > 1:
                first, last = series.points[0], series.points[-1]
                verb = "fell" if last[1] < first[1] else "rose" if last[1] > first[1] else "stayed"
                span = f"{last[0] - first[0]:.0f} {self._axes.x_unit}"
                return f"{self._name} {verb} from {first[1]:.3g} to {last[1]:.3g} in {span}"
        return f"{self._name}: nothing measured yet"

    # ---- geometry ----------------------------------------------------------------------------------------------

    def _ends(self, drawn: list[Series]) -> tuple[list[float], list[float]]:
        ys = [point[1] for series in drawn for point in series.points]
        return ticks_around(*self.span()), nice_ticks(self._axes.y_end or max(ys, default=1.0), 3)

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
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, tr("Nothing measured yet"))
        else:
            self._draw(painter)
        if self.hasFocus():
            painter.setPen(QPen(theme.color("focus"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 4, 4)
        painter.end()

    def _draw(self, painter: QPainter) -> None:
        drawn = self._drawn()
        x_ticks, y_ticks = self._ends(drawn)
        place = _Place(self._frame(tick_labels(y_ticks)), *self.span(), y_ticks[-1])
        self._grid(painter, place, x_ticks, y_ticks)
        painter.save()
        if self._part is not None:
            painter.setClipRect(place.frame.adjusted(-1, -_TOP, 1, 1))
        for series in drawn:
            _curve(painter, series, place)
        self._note(painter, place)
        painter.restore()
        self._crosshair(painter, place, drawn)

    def _grid(self, painter: QPainter, place: _Place, x_ticks: list[float], y_ticks: list[float]) -> None:
        frame = place.frame
        for tick, label in zip(y_ticks, tick_labels(y_ticks), strict=True):
            y = frame.bottom() - frame.height() * tick / y_ticks[-1]
            painter.setPen(QPen(theme.color("chart.grid"), 1))
            painter.drawLine(QPointF(frame.left(), y), QPointF(frame.right(), y))
            painter.setPen(theme.color("chart.axis"))
            painter.drawText(QRectF(0, y - 8, frame.left() - 6, 16),
                             Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, tr(label))
        last = tr(self._last_words(place.high))
        right = frame.right() - painter.fontMetrics().horizontalAdvance(last)
        painter.drawText(QPointF(right, self.height() - 4), last)
        for tick, label in zip(x_ticks, tick_labels(x_ticks), strict=True):
            width = painter.fontMetrics().horizontalAdvance(label)
            x = place.x(tick) - width / 2
            if tick >= place.low and x + width < right - 10:
                painter.drawText(QPointF(max(x, frame.left() - 4), self.height() - 4), tr(label))

    def _last_words(self, high: float) -> str:
        if self._part is not None:
            low, high = self._part
            digits = max(0, 1 - math.floor(math.log10(high - low)))
            return f"{high:,.{digits}f} {self._axes.x_unit}"
        return f"{high:,.0f} {self._axes.x_unit}" if high >= 3 else f"{high:.1f} {self._axes.x_unit}"

    def _note(self, painter: QPainter, place: _Place) -> None:
        if self._axes.note is None:
            return
        x, y, words = self._axes.note
        words = tr(words)
        spot, frame = place.point((x, y)), place.frame
        if not frame.left() <= spot.x() <= frame.right():
            return
        width = painter.fontMetrics().horizontalAdvance(words)
        top = max(spot.y() - 30, frame.top() - 4)
        painter.setPen(QPen(theme.color("textTertiary"), 1))
        painter.drawLine(QPointF(spot.x(), top + 4), QPointF(spot.x(), spot.y() - 6))
        painter.setPen(theme.color("text"))
        left = min(max(spot.x() - width / 2, frame.left()), frame.right() - width)
        painter.drawText(QPointF(left, top), words)

    # ---- looking closely -----------------------------------------------------------------------------------------

    def _crosshair(self, painter: QPainter, place: _Place, drawn: list[Series]) -> None:
        frame = place.frame
        if self._cursor is None or not frame.left() <= self._cursor <= frame.right():
            return
        at = place.value(self._cursor)
        lines = [tr(line) for line in self._told(drawn, at)]
        if not lines:
            return
        for series in drawn:
            if near := self._nearest(series, at):
                painter.setBrush(theme.color(series.token))
                painter.setPen(Qt.PenStyle.NoPen)
                painter.drawEllipse(place.point(near), 3.5, 3.5)
        painter.setPen(QPen(theme.color("borderStrong"), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(self._cursor, frame.top()), QPointF(self._cursor, frame.bottom()))
        self._bubble(painter, lines)

    def _told(self, drawn: list[Series], at: float) -> list[str]:
        """The nearest place where something was measured, and the value of each series there, or nearest to it and where that is."""
        found = [(series.name, near) for series in drawn if (near := self._nearest(series, at))]
        if not found:
            return []
        places = "{:,.0f}" if self._axes.x_unit == "steps" else "{:,.1f}"
        here = places.format(min((near[0] for _, near in found), key=lambda x: abs(x - at)))
        lines = [f"{self._axes.x_unit} {here}"]
        for name, (x, y) in found:
            there = places.format(x)
            lines.append(f"{name} {y:,.4g}" + (f" ({there})" if there != here else ""))
        return lines

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

    def _under(self, x: float) -> float:
        """The place on the x axis under a px."""
        _, y_ticks = self._ends(self._drawn())
        return _Place(self._frame(tick_labels(y_ticks)), *self.span(), y_ticks[-1]).value(x)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Ctrl zooms at the pointer; without it the page scrolls."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier and self._series:
            self.zoom(1.0015 ** (event.angleDelta().y() or event.angleDelta().x()), self._under(event.position().x()))
            event.accept()
        else:
            self.leaveEvent(event)  # it scrolls away from under the pointer, of which Qt tells only when that moves
            event.ignore()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """The crosshair follows until it is pinned; a drag moves what is shown."""
        x = event.position().x()
        if self._grip is not None and self._part is not None:
            self.move_by((self._grip[1] - x) / max(self.width(), 1))
            self._grip = (self._grip[0], x)
        if not self._pinned:
            self._cursor = x
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A drag or a click begins."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._grip = (event.position().x(), event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A click pins the crosshair, another frees it."""
        grip, self._grip = self._grip, None
        if grip is not None and abs(event.position().x() - grip[0]) < DRAG:
            self._pinned = not self._pinned
            self._cursor = event.position().x()
            self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show all again."""
        self.look_at(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Zoom and move as with the mouse."""
        deeds: dict[int, Callable[[], object]] = {
            Qt.Key.Key_Plus: lambda: self.zoom(1.5), Qt.Key.Key_Minus: lambda: self.zoom(1 / 1.5), Qt.Key.Key_0: lambda: self.look_at(None),
            Qt.Key.Key_Left: lambda: self.move_by(-0.2), Qt.Key.Key_Right: lambda: self.move_by(0.2)}
        deed = deeds.get(event.key())
        if deed is None:
            super().keyPressEvent(event)
        else:
            deed()

    def leaveEvent(self, event: object) -> None:
        """The crosshair goes with the mouse, unless pinned."""
        if not self._pinned:
            self._cursor = None
            self.update()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Copy the figures behind the picture, zoom."""
        menu = QMenu(self)
        menu.addAction(tr("Copy the raw data"), lambda: QGuiApplication.clipboard().setText(self.raw()))
        menu.addAction(tr("Zoom in") + "\tCtrl+Wheel", lambda: self.zoom(2))
        menu.addAction(tr("Show all"), lambda: self.look_at(None)).setEnabled(self._part is not None)
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
