"""Runs side by side: results in a table, curves over one another, the settings in which they differ."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QScrollArea, QWidget

from ui import words
from ui.widgets.chart import Axes, Chart, Series, Swatch
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Card, Label, clear, column, row

TOKENS = ("chart.tuned", "chart.s3", "chart.s4", "chart.s5")
NAMES = {"train.loss": ("Mistakes in training", "steps"), "train.eval_loss": ("Mistakes on unseen rows", "steps"),
         "train.learning_rate": ("Step size", "steps"), "train.grad_norm": ("Push", "steps"),
         "train.tokens_per_second": ("Speed, word pieces a second", "min"), "cost.total": ("Cost", "min")}


class RunCompare(QScrollArea):
    """Filled by ``show_comparison``."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._results, self._curves, self._settings = column(), QGridLayout(), column()
        self._curves.setSpacing(16)
        inner = QWidget()
        inner.setObjectName("scrolled")
        inner.setLayout(column(self._results, self._curves, self._settings, None, gap=16, margins=(28, 18, 28, 24)))
        self.setWidget(inner)

    def show_comparison(self, found: Any) -> None:
        """Replace what is shown."""
        for layout in (self._results, self._curves, self._settings):
            clear(layout)
        names = [f"{line.name}, run {line.number}" for line in found.lines]
        self._results.addWidget(_card("Results", self._result_table(found.lines, names)))
        for number, (name, curves) in enumerate(found.curves.items()):
            self._curves.addWidget(_chart(name, curves, names), number // 2, number % 2)
        table = Table([Column("Setting", 300), *(Column(name) for name in names)], "Settings that differ")
        table.show_rows([(one.path, [Cell(one.path, mono=True), *(Cell(value or "not there", "text" if value else "textTertiary")
                                                                   for value in one.values)]) for one in found.differences])
        table.fit_height()
        same = Label("They ran with the same settings.", "body", "secondary")
        self._settings.addWidget(_card("What is different", table if found.differences else same))

    @staticmethod
    def _result_table(lines: Any, names: list[str]) -> Table:
        table = Table([Column("Name"), Column("State", 110), Column("Result", 230), Column("Base", 90, right=True),
                       Column("Tuned", 90, right=True), Column("Time", 120, right=True), Column("Cost", 110, right=True)], "Results")
        table.show_rows([(line.id, _result(line, name)) for line, name in zip(lines, names, strict=True)])
        table.fit_height()
        return table


def _result(line: Any, name: str) -> list[Cell]:
    verdict = line.verdict
    word, token, _ = words.VERDICTS[verdict.verdict] if verdict else words.NOT_MEASURED
    said, base, tuned = word, "", ""
    if verdict:
        said = f"{word} {words.change(verdict.metric, verdict.difference)} ({words.bounds(verdict.metric, verdict.low, verdict.high)})"
        base, tuned = (words.score(verdict.metric, value) for value in (verdict.base, verdict.tuned))
    return [Cell(name, strong=True, own=True),
            Cell(words.STATES.get(line.state, line.state), dot=words.STATE_TOKENS.get(line.state, "textDisabled")),
            Cell(said, {"neutral": "textSecondary"}.get(token, token)),
            Cell(base), Cell(tuned),
            Cell(words.duration(line.seconds) if line.seconds is not None else ""),
            Cell(words.money(line.cost.total, line.cost.currency) if line.cost else "")]


def _chart(name: str, curves: Any, names: list[str]) -> Card:
    title, unit = NAMES.get(name, (name, "steps"))
    chart = Chart(title)
    chart.setMinimumHeight(150)
    chart.show_series([Series(run, points, token, dash=bool(number % 2)) for number, (run, points, token) in
                       enumerate(zip(names, curves, TOKENS, strict=False)) if points], Axes(x_unit=unit))
    legend = row(Label(title, "strong"), None, gap=8)
    for number, (run, token) in enumerate(zip(names, TOKENS, strict=False)):
        legend.addWidget(Swatch(token, bool(number % 2)))
        legend.addWidget(Label(run, "small", "secondary"))
    card = Card()
    card.setLayout(column(legend, chart, gap=6, margins=(16, 10, 16, 6)))
    return card


def _card(title: str, inside: QWidget) -> Card:
    card = Card()
    card.setLayout(column(Label(title, "heading"), inside, gap=8, margins=(16, 12, 16, 12)))
    return card
