"""The curves of a run, live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from ui import words
from ui.language import tr
from ui.runwords import power_source
from ui.turns import Turns
from ui.widgets.chart import Axes, Chart, Series, Swatch
from ui.widgets.text import Card, Label, column, row

Curves = Mapping[str, list[tuple[float, float]]]


class ChartCard(Card):
    """Name, legend, the newest figure, the curve."""

    def __init__(self, name: str, term: str, legend: list[tuple[str, str, bool]]) -> None:
        super().__init__()
        self._figure, self._note = Label("", "figure2"), Label("", "small", "tertiary", elide=True)
        self._name = Label(name, "strong")
        self._name.setToolTip(tr(term))
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
class _Line:
    """A curve of a card.  names: of the measured series, the first that there is; factor: from its unit to the shown one."""

    words: str
    names: tuple[str, ...]
    token: str = "chart.tuned"
    factor: float = 1.0
    dash: bool = False
    dots: bool = False
    fill: str = ""

    def points(self, found: Curves) -> list[tuple[float, float]]:
        """In the shown unit."""
        points = next((found[name] for name in self.names if name in found), [])
        return points if self.factor == 1.0 else [(x, self.factor * y) for x, y in points]

    def series(self, found: Curves) -> Series:
        """For the chart."""
        return Series(self.words, self.points(found), self.token, dash=self.dash, dots=self.dots, fill=self.fill)


@dataclass(frozen=True, slots=True)
class _Spec:
    key: str
    name: str
    term: str
    lines: tuple[_Line, ...]
    legend: tuple[tuple[str, str, bool], ...] = ()

    def series(self, found: Curves) -> list[Series]:
        return [line.series(found) for line in self.lines]


_SPECS = (
    _Spec("loss", "Mistakes", "Loss: how surprised the model is by the right answer, in nats a word piece",
          (_Line("training", ("train.loss",), "chart.base"), _Line("unseen", ("train.eval_loss",), dots=True)),
          (("training", "chart.base", False), ("unseen", "chart.tuned", False))),
    _Spec("speed", "Speed", "Throughput in tokens", (_Line("speed", ("train.tokens_per_second",)),)),
    _Spec("rate", "Step size", "Learning rate", (_Line("step size", ("train.learning_rate",), factor=1e4),)),
    _Spec("norm", "Push", "Gradient norm: how strongly each step pulls", (_Line("push", ("train.grad_norm",)),)),
    _Spec("device", "Load", "Load of the device that trains", (_Line("load %", ("system.gpu_percent", "system.cpu_percent")),)),
    _Spec("memory", "Memory", "Memory of the device that trains",
          (_Line("memory GB", ("system.gpu_memory_mb", "system.memory_mb"), "chart.s3", 1e-3, dash=True),)),
    _Spec("power", "Power", "Electrical power of this computer", (_Line("power", ("system.watts",), fill="chart.band"),)),
    _Spec("cost", "Cost", "Electricity and wear of the machine",
          (_Line("all", ("cost.total",), fill="chart.band"), _Line("power", ("cost.energy",), "chart.s3", fill="chart.s3")),
          (("all", "chart.tuned", False), ("power", "chart.s3", False))))


TRAINING = frozenset({"loss", "speed", "rate", "norm"})
"""Cards that only a run with a training step has something for."""
ROW_HEIGHT = 172


class RunCharts(QWidget):
    """Eight cards in three rows; the mistakes, which matter most, take two places.  A run that trains nothing has four."""

    looked = Signal(str, object, float, float)
    """A part of a card's axis is looked at: its key, names of its series, from, to."""

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
            self._grid.setRowMinimumHeight(third, ROW_HEIGHT)
        self._trains = True
        self.turns = Turns(self)
        self.turns.begin(*(partial(self._build, number, spec) for number, spec in enumerate(_SPECS)), self._built)

    def _build(self, number: int, spec: _Spec) -> None:
        card = self.cards[spec.key] = ChartCard(spec.name, spec.term, list(spec.legend))
        names = [name for line in spec.lines for name in line.names]
        card.chart.looked.connect(lambda low, high: self.looked.emit(spec.key, names, low, high))
        line, place = divmod(number + (number > 0), 3)
        self._grid.addWidget(card, line, place, 1, 2 if number == 0 else 1)

    def _built(self) -> None:
        if self._waiting is not None:
            self.show_curves(*self._waiting)

    def show_curves(self, found: Curves, view: Any) -> None:
        """Draw what was measured so far."""
        self._waiting = (found, view)
        if len(self.cards) < len(_SPECS):
            return
        self._arrange(any(step.node.startswith("train.") for step in view.steps))
        planned = found.get("train.total_steps", [])
        x_end = planned[-1][1] if planned else None
        self.turns.begin(lambda: self._loss(found, x_end, view.line.state), lambda: self._rate(found, x_end),
                         lambda: self._norm(found, x_end), lambda: self._speed(found), lambda: self._device(found, view),
                         lambda: self._power(found, view), lambda: self._cost(found, view))

    def _arrange(self, trains: bool) -> None:
        """Only the cards that this run has something for."""
        if trains == self._trains:
            return
        self._trains = trains
        shown = [key for key in self.cards if trains or key not in TRAINING]
        for key, card in self.cards.items():
            self._grid.removeWidget(card)
            card.setVisible(key in shown)
        for number, key in enumerate(shown):
            line, place = divmod(number + (trains and number > 0), 3)
            self._grid.addWidget(self.cards[key], line, place, 1, 2 if trains and number == 0 else 1)
        self._grid.setRowMinimumHeight(2, ROW_HEIGHT if trains else 0)
        self._grid.setRowStretch(2, int(trains))

    def _show(self, key: str, found: Curves, axes: Axes, figure: str, note: str = "", term: str = "") -> None:
        spec = next(spec for spec in _SPECS if spec.key == key)
        self.cards[key].show_curve(figure, note, spec.series(found), axes, term)

    def begin(self) -> None:
        """Another run is about to be shown: nothing of the one before is left."""
        self._waiting = None
        if len(self.cards) == len(_SPECS):
            self.turns.begin()
        for card in self.cards.values():
            card.chart.show_all()
            card.show_curve("", "", [], Axes())

    def show_part(self, key: str, part: tuple[float, float], found: Curves) -> None:
        """The points of a part that is looked at closely."""
        spec = next(spec for spec in _SPECS if spec.key == key)
        self.cards[key].chart.show_part(*part, spec.series(found))

    def _loss(self, found: Curves, x_end: float | None, state: str) -> None:
        train, unseen = found.get("train.loss", []), found.get("train.eval_loss", [])
        best = min(unseen, key=lambda point: point[1], default=None)
        word = "best" if state == "done" else "best so far"
        note = (best[0], best[1], f"{word}, step {best[0]:.0f}") if best else None
        newest = unseen or train
        which = "on unseen answers" if unseen else "on training answers" if train else ""
        self._show("loss", found, Axes("steps", x_end, note=note), f"{newest[-1][1]:.2f}" if newest else "", which)

    def _rate(self, found: Curves, x_end: float | None) -> None:
        points = found.get("train.learning_rate", [])
        self._show("rate", found, Axes("steps", x_end), f"{1e4 * points[-1][1]:.2f}" if points else "", "× 10⁻⁴" if points else "",
                   "learning rate")

    def _norm(self, found: Curves, x_end: float | None) -> None:
        points = found.get("train.grad_norm", [])
        self._show("norm", found, Axes("steps", x_end), f"{points[-1][1]:.2f}" if points else "", term="gradient norm")

    def _speed(self, found: Curves) -> None:
        points = found.get("train.tokens_per_second", [])
        self._show("speed", found, Axes("min"), f"{points[-1][1]:,.0f}" if points else "", "word pieces a second" if points else "",
                   "throughput")

    def _device(self, found: Curves, view: Any) -> None:
        card = "system.gpu_percent" in found
        load = found.get("system.gpu_percent" if card else "system.cpu_percent", [])
        memory = found.get("system.gpu_memory_mb" if card else "system.memory_mb", [])
        total = float(view.machine.get("gpu_memory_mb" if card else "memory_mb") or 0)
        term = "graphics card" if card else "processor"
        self._show("device", found, Axes("min", y_end=100.0), f"{load[-1][1]:.0f} %" if load else "", term=term)
        self._show("memory", found, Axes("min", y_end=total / 1000 or None), f"{memory[-1][1] / 1000:.1f} GB" if memory else "",
                   f"of {total / 1000:.0f} GB" if total and memory else "", term)

    def _power(self, found: Curves, view: Any) -> None:
        points = found.get("system.watts", [])
        cost = view.line.cost
        used = f"{words.energy(cost.watt_hours)} so far" if cost else ""
        source = power_source(cost.source if cost else view.watts_source)
        self._show("power", found, Axes("min"), f"{points[-1][1]:.0f} W" if points else "", used if points else "",
                   source if points else "")

    def _cost(self, found: Curves, view: Any) -> None:
        total = found.get("cost.total", [])
        currency = view.line.cost.currency if view.line.cost else "EUR"
        self._show("cost", found, Axes("min"), words.money(total[-1][1], currency) if total else "",
                   "so far" if total and view.line.state == "running" else "")
