"""The questions of an evaluation with both answers, one at a time: where the tuned model helped least, or most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QPlainTextEdit, QWidget

from ui import words
from ui.language import tr
from ui.widgets.buttons import Button, Segments
from ui.widgets.text import Card, Label, Line, column, row
from ui.widgets.verdict import Ring

if TYPE_CHECKING:
    from app.store import Store

HEIGHT = 112


@dataclass(frozen=True, slots=True)
class Sample:
    """One question, or one text (metric "nll").  Scores are shares of what was asked that is right, 0 to 1, or nats a word piece."""

    prompt: str
    expected: str
    base: str
    tuned: str
    base_score: float
    tuned_score: float
    metric: str = ""


def samples(store: Store, run: str) -> list[Sample]:
    """The kept questions of a run's newest evaluation, where the tuned model helped least first."""
    found = store.rows(
        "SELECT s.prompt, s.expected, s.base, s.tuned, s.base_score, s.tuned_score, e.metric FROM samples s "
        "JOIN evaluations e ON e.id = s.evaluation WHERE e.id = (SELECT max(id) FROM evaluations WHERE run = ?) "
        "ORDER BY s.position", (run,))
    return [Sample(**row) for row in map(dict, found)]


class RunSamples(Card):
    """Hidden until an evaluation kept samples."""

    def __init__(self) -> None:
        super().__init__()
        self._all: list[Sample] = []
        self._shown: list[Sample] = []
        self._at = 0
        self.hide()

    def _build(self) -> None:
        """Made when there is something to show: it would hold up a run that has no evaluation yet."""
        self._order = Segments([("most", "Where it helped most"), ("least", "Least")], size="small", name="Which answers first")
        self._order.chosen.connect(lambda _key: self._arrange())
        self._where = Label("", "small", "tertiary")
        self._previous = Button("Previous", size="small", clicked=lambda: self._go(-1))
        self._next = Button("Next", size="small", clicked=lambda: self._go(1))
        self._heading = Label("Answers side by side", "heading")
        head = row(self._heading, self._order, None, self._where, self._previous, self._next, gap=10,
                   margins=(16, 10, 12, 10))
        self._question, self._expected = _text("Question"), _text("Right answer")
        self._base, self._tuned = _text("Answer of the base model"), _text("Answer of the tuned model")
        self._base_score, self._tuned_score = Label("", "small", "tertiary"), Label("", "small", "tertiary")
        self._expected_words = Label("Right answer", "smallstrong", "secondary")
        self._asked = _part(self._question, Label("Question, held back from training", "smallstrong", "secondary"))
        upper = row(self._asked, _part(self._expected, self._expected_words), gap=12)
        lower = row(_part(self._base, Ring("base"), Label("Base", "smallstrong", "secondary"), self._base_score),
                    _part(self._tuned, Ring("tuned"), Label("Tuned", "smallstrong", "secondary"), self._tuned_score), gap=12)
        for line in (upper, lower):
            line.setStretch(0, 1)
            line.setStretch(1, 1)
        self.setLayout(column(head, Line(), column(upper, lower, gap=10, margins=(14, 10, 14, 14))))

    def show_samples(self, found: list[Sample]) -> None:
        """Fill it; nothing is shown where no evaluation kept any."""
        if found and self.layout() is None:
            self._build()
        if found != self._all:
            self._all = found
            self._arrange()
        self.setVisible(bool(found))

    def _arrange(self) -> None:
        if not self._all:
            return
        self._shown = list(reversed(self._all)) if self._order.choice() == "most" else self._all
        self._at = 0
        self._show()

    def _go(self, by: int) -> None:
        self._at += by
        self._show()

    def _show(self) -> None:
        if not self._shown:
            return
        one = self._shown[self._at]
        for field, text in ((self._question, one.prompt), (self._expected, one.expected), (self._base, one.base),
                            (self._tuned, one.tuned)):
            field.setPlainText(text or "Nothing was answered.")
        read = words.is_nll(one.metric)  # nothing was asked: the text stands alone, and in place of each answer its figure
        if read:
            self._base.setPlainText(tr(one.base))
            self._tuned.setPlainText(tr(one.tuned))
        self._heading.say("Both models on the same text" if read else "Answers side by side")
        self._asked.setVisible(not read)
        self._expected_words.say("Text, held back from training" if read else "Right answer")
        self._base_score.say("" if read else f"{100 * one.base_score:.0f} % right")
        self._tuned_score.say("" if read else f"{100 * one.tuned_score:.0f} % right")
        self._where.say(f"{self._at + 1} of {len(self._shown)} kept")
        self._previous.allow("This is the first one" if self._at == 0 else "")
        self._next.allow("This is the last one" if self._at + 1 == len(self._shown) else "")


def _text(name: str) -> QPlainTextEdit:
    field = QPlainTextEdit()
    field.setReadOnly(True)
    field.setProperty("code", True)
    field.setProperty("well", True)
    field.setAccessibleName(tr(name))
    field.setFixedHeight(HEIGHT)
    return field


def _part(field: QPlainTextEdit, *heading: QWidget) -> QWidget:
    part = QWidget()
    part.setLayout(column(row(*heading, None, gap=6), 5, field))
    return part
