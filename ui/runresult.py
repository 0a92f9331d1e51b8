"""The result of a finished run: the verdict with its interval, and every arm that was measured on the same questions."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QWidget

from ui import words
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Card, Label, Line, clear, column, row
from ui.widgets.verdict import Interval, verdict_badge

_ARMS = {"constant": "Best constant answer", "classic": "Classic linear model, same rows", "base": "Base model",
         "base_examples": "Base model with examples", "tuned": "Tuned model"}
_HEADINGS = {False: ("On the same held-back questions, %", Column("All", 90, right=True)),
             True: ("On the same held-back texts; lower is better", Column("Nats a word piece", 160, right=True))}
"""Of the arms and of their whole result; True: the metric is a likelihood."""
FEW_FIELDS, WIDE, NARROW = 4, (0, 130), (250, 84)
"""So many fields fit beside the names in a narrow window.  Width of the names (0: what is left) and of a field, px, for few and for
more: these scroll sideways, and neither the names nor the whole result give way to them."""
INSET = (6, 0, 6, 4)
"""Around a table, so that its words begin where the card's heading does, px."""


class RunResult(Card):
    """Hidden until there is a verdict."""

    def __init__(self) -> None:
        super().__init__()
        self._room = column()
        self.setLayout(self._room)
        self._shown: Any = None
        self.table: Table | None = None
        self.behaviour: Table | None = None

    def show_result(self, verdict: Any) -> None:
        """Fill it once for each verdict."""
        self.setVisible(verdict is not None)
        if verdict is None or verdict == self._shown:
            return
        self._shown = verdict
        clear(self._room)
        head = QWidget()
        interval = Interval(verdict.base, verdict.tuned, None, (verdict.base + verdict.low, verdict.base + verdict.high), verdict.metric)
        interval.setFixedWidth(360)
        margin = Label(words.margin(verdict.metric, verdict.difference, verdict.low, verdict.high), "small", "tertiary")
        head.setLayout(row(Label("Base against tuned", "heading"), verdict_badge(verdict.verdict), margin, None, interval,
                           gap=10, margins=(16, 10, 16, 4)))
        self._room.addWidget(head)
        self._add_table(verdict.report, verdict.metric)
        self._add_behaviour(verdict.report.get("behaviour") or {})
        for sentence in advice(verdict.report):
            self._room.addWidget(Line())
            self._room.addLayout(row(Label(sentence, "small", "secondary", wrap=True), margins=(16, 8, 16, 10)))

    def _add_table(self, report: Any, metric: str) -> None:
        arms = list(report.get("table") or [])
        if not arms:
            return
        fields = list(dict.fromkeys(field for arm in arms for field in arm.get("fields", {})))
        heading, whole = _HEADINGS[words.is_nll(metric)]
        names, each = WIDE if len(fields) <= FEW_FIELDS else NARROW
        columns = [Column(heading, names), whole, *(Column(words.metric_name(field).capitalize(), each, right=True) for field in fields)]
        self.table = Table(columns, "Result by arm")
        self.table.show_rows([(str(arm.get("arm")), _arm(arm, fields, metric)) for arm in arms])
        self.table.fit_height()
        self._room.addLayout(column(self.table, margins=INSET))

    def _add_behaviour(self, found: Any) -> None:
        """What each arm refused, where the questions hold some that should be refused."""
        kinds, wrongly = list(found.get("kinds") or []), found.get("refused_wrongly") or {}
        self.behaviour = None
        if not kinds:
            return
        columns = [Column("On questions it should refuse"), *(Column(f"{one['kind'].capitalize()}: refused", 190, right=True)
                                                              for one in kinds), Column("Refused wrongly", 190, right=True)]
        self.behaviour = Table(columns, "Refusals by arm")
        self.behaviour.show_rows([(arm, _refusals(arm, [*(one["arms"][arm] for one in kinds), wrongly[arm]])) for arm in wrongly])
        self.behaviour.fit_height()
        self._room.addLayout(column(self.behaviour, margins=INSET))


def _refusals(arm: str, shares: list[Any]) -> list[Cell]:
    tuned = arm == "tuned"
    return [_name(arm, _ARMS.get(arm, arm)), *(Cell(words.share(one["count"], one["items"], *one["interval"]), strong=tuned)
                                               for one in shares)]


def _name(arm: str, label: str) -> Cell:
    return Cell(label, dot={"base": "chart.base", "tuned": "chart.tuned"}.get(arm, "surface"), strong=arm == "tuned")


def _arm(arm: Any, fields: list[str], metric: str) -> list[Cell]:
    tuned = arm.get("arm") == "tuned"
    values = [arm.get("score"), *(arm.get("fields", {}).get(field) for field in fields)]
    name = str(arm.get("label") or _ARMS.get(str(arm.get("arm")), arm.get("arm")))
    return [_name(str(arm.get("arm")), name), *(Cell(_score(metric, value), strong=tuned) for value in values)]


def _score(metric: str, value: Any) -> str:
    return words.score(metric, value) if isinstance(value, int | float) else "cannot"


def advice(report: Any) -> list[str]:
    """What the report itself says should be known: what was refused, and where a classic classifier does as well."""
    said = report.get("advice") or report.get("notes") or []
    refused = (report.get("behaviour") or {}).get("sentences") or []
    return [*map(str, refused), *([said] if isinstance(said, str) else map(str, said))]
