"""The curves of a run, live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QGridLayout, QWidget

from ui import words
from ui.runwords import power_source
from ui.widgets.chart import Axes, Chart, Series, Swatch
from ui.widgets.text import Card, Label, column, row

Curves = Mapping[str, list[tuple[float, float]]]


class ChartCard(Card):
    """Name, legend, the newest figure, the curve."""

    def __init__(self, name: str, term: str, legend: list[tuple[str, str, bool]]) -> None:
        super().__init__()
        self._figure, self._note = Label("", "figure2"), Label("", "small", "tertiary", elide=True)
        self._name = Label(name, "strong")
        self._name.setToolTip(term)
        self._term = Label("", "small", "tertiary")
        self.chart = Chart(name)
        top = row(self._name, self._term, None, gap=6)
        for text, token, dash in legend:
            top.addWidget(Swatch(token, dash))
            top.addWidget(Label(text, "small", "secondary"))
        below = row(self._figure, self._note, gap=5)
        below.setStretch(1, 1)
        below.setAlignment(self._note, Qt.AlignmentFlag.AlignBottom)
        layout = column(top, below, self.chart, margins=(16, 10, 16, 6))
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self.setMinimumHeight(172)

    def show_curve(self, figure: str, note: str, series: list[Series], axes: Axes, term: str = "") -> None:
        """Update all of it."""
        self._figure.say(figure)
        self._note.say(note)
        self._term.say(term)
        self.chart.show_series(series, axes)


@dataclass(frozen=True, slots=True)
class _Spec:
    key: str
    name: str
    term: str
    legend: tuple[tuple[str, str, bool], ...] = ()


_SPECS = (
    _Spec("loss", "Mistakes", "Loss: how surprised the model is by the right answer, in nats a word piece",
          (("training", "chart.base", False), ("unseen", "chart.tuned", False))),
    _Spec("speed", "Speed", "Throughput in tokens"),
    _Spec("rate", "Step size", "Learning rate"), _Spec("norm", "Push", "Gradient norm: how strongly each step pulls"),
    _Spec("device", "Load", "Load of the device that trains"), _Spec("memory", "Memory", "Memory of the device that trains"),
    _Spec("power", "Power", "Electrical power of this computer"),
    _Spec("cost", "Cost", "Electricity and wear of the machine",
          (("all", "chart.tuned", False), ("power", "chart.s3", False))))


class RunCharts(QWidget):
    """Eight cards in three rows; the mistakes, which matter most, take two places."""

    def __init__(self) -> None:
        super().__init__()
        self.cards: dict[str, ChartCard] = {}
        self._waiting: tuple[Curves, Any] | None = None
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(16)
        for third in range(3):
            self._grid.setColumnStretch(third, 1)
            self._grid.setRowStretch(third, 1)
            self._grid.setRowMinimumHeight(third, 172)
        self._parts: list[Callable[[], None]] = []
        self._drawer = QTimer(self)
        self._drawer.timeout.connect(self._draw_one)
        self._builder = QTimer(self)
        self._builder.timeout.connect(self._build_one)
        self._builder.start(0)

    def _build_one(self) -> None:
        """One card a turn of the event loop: all at once would hold it up for a tenth of a second."""
        number = len(self.cards)
        spec = _SPECS[number]
        card = self.cards[spec.key] = ChartCard(spec.name, spec.term, list(spec.legend))
        line, place = divmod(number + (number > 0), 3)
        self._grid.addWidget(card, line, place, 1, 2 if number == 0 else 1)
        if len(self.cards) == len(_SPECS):
            self._builder.stop()
            if self._waiting is not None:
                self.show_curves(*self._waiting)

    def show_curves(self, found: Curves, view: Any) -> None:
        """Draw what was measured so far."""
        self._waiting = (found, view)
        if self._builder.isActive():
            return
        planned = found.get("train.total_steps", [])
        x_end = planned[-1][1] if planned else None
        self._parts = [lambda: self._loss(found, x_end), lambda: self._rate(found, x_end), lambda: self._norm(found, x_end),
                       lambda: self._speed(found), lambda: self._device(found, view), lambda: self._power(found, view),
                       lambda: self._cost(found, view)]
        self._drawer.start(0)

    def _draw_one(self) -> None:
        """One chart a turn, like building them."""
        if self._parts:
            self._parts.pop(0)()
        if not self._parts:
            self._drawer.stop()

    def _loss(self, found: Curves, x_end: float | None) -> None:
        train, unseen = found.get("train.loss", []), found.get("train.eval_loss", [])
        best = min(unseen, key=lambda point: point[1], default=None)
        note = (best[0], best[1], f"best so far, step {best[0]:.0f}") if best else None
        newest = unseen or train
        which = "on unseen answers" if unseen else "on training answers" if train else ""
        self.cards["loss"].show_curve(
            f"{newest[-1][1]:.2f}" if newest else "", which,
            [Series("training", train, "chart.base"), Series("unseen", unseen, dots=True)], Axes("steps", x_end, note=note))

    def _rate(self, found: Curves, x_end: float | None) -> None:
        points = found.get("train.learning_rate", [])
        scaled = [(x, 1e4 * y) for x, y in points]
        self.cards["rate"].show_curve(f"{scaled[-1][1]:.2f}" if scaled else "", "× 10⁻⁴" if scaled else "",
                                      [Series("step size", scaled)], Axes("steps", x_end), "learning rate")

    def _norm(self, found: Curves, x_end: float | None) -> None:
        points = found.get("train.grad_norm", [])
        self.cards["norm"].show_curve(f"{points[-1][1]:.2f}" if points else "", "", [Series("push", points)],
                                      Axes("steps", x_end), "gradient norm")

    def _speed(self, found: Curves) -> None:
        points = found.get("train.tokens_per_second", [])
        self.cards["speed"].show_curve(f"{points[-1][1]:,.0f}" if points else "", "word pieces a second" if points else "",
                                       [Series("speed", points)], Axes("min"), "throughput")

    def _device(self, found: Curves, view: Any) -> None:
        card = "system.gpu_percent" in found
        load = found.get("system.gpu_percent" if card else "system.cpu_percent", [])
        memory = found.get("system.gpu_memory_mb" if card else "system.memory_mb", [])
        total = float(view.machine.get("gpu_memory_mb" if card else "memory_mb") or 0)
        term = "graphics card" if card else "processor"
        self.cards["device"].show_curve(f"{load[-1][1]:.0f} %" if load else "", "", [Series("load %", load)],
                                        Axes("min", y_end=100.0), term)
        self.cards["memory"].show_curve(
            f"{memory[-1][1] / 1000:.1f} GB" if memory else "", f"of {total / 1000:.0f} GB" if total and memory else "",
            [Series("memory GB", [(x, y / 1000) for x, y in memory], "chart.s3", dash=True)],
            Axes("min", y_end=total / 1000 or None), term)

    def _power(self, found: Curves, view: Any) -> None:
        points = found.get("system.watts", [])
        cost = view.line.cost
        used = f"{words.energy(cost.watt_hours)} so far" if cost else ""
        source = power_source(cost.source if cost else view.watts_source)
        self.cards["power"].show_curve(f"{points[-1][1]:.0f} W" if points else "", used if points else "",
                                       [Series("power", points, fill="chart.band")], Axes("min"), source if points else "")

    def _cost(self, found: Curves, view: Any) -> None:
        total, power = found.get("cost.total", []), found.get("cost.energy", [])
        currency = view.line.cost.currency if view.line.cost else "EUR"
        self.cards["cost"].show_curve(
            words.money(total[-1][1], currency) if total else "", "so far" if total and view.line.state == "running" else "",
            [Series("all", total, fill="chart.band"), Series("power", power, "chart.s3", fill="chart.s3")], Axes("min"))
