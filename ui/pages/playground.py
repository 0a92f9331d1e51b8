"""Playground: the same question to base and tuned, side by side, through the endpoint that other programs use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent, QTextCursor
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QDoubleSpinBox,
    QPlainTextEdit,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from app.errors import NeuroWeaverError
from ui.background import query
from ui.language import tr
from ui.pages.base import Page
from ui.shortcuts import shortcuts
from ui.widgets.buttons import Button, Choice, Segments
from ui.widgets.feedback import EmptyState
from ui.widgets.listing import Panel, Table
from ui.widgets.text import Badge, Card, KeyCap, Label, Line, column, row
from ui.widgets.verdict import Ring
from ui.words import is_base

if TYPE_CHECKING:
    from app.gateway.client import Piece
    from app.gateway.views import EndpointView, Served

EARLIER = 8
SHOWN_QUESTION = 600


@dataclass
class Asked:
    """One question of this session and its answers by side."""

    question: str
    answers: dict[str, str] = field(default_factory=dict)


class _Line(QObject):
    """Carries pieces from the worker thread to the window."""

    piece = Signal(object)
    failed = Signal(object)


class Answer(Card):
    """One model's answer as it is written, with measured figures below."""

    finished = Signal()

    def __init__(self, side: str) -> None:
        super().__init__()
        self.side, self.model = side, ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._line: _Line | None = None
        self._name = Label("", "small", "secondary", elide=True, own=True)
        self._state = Badge("", "neutral")
        self._state.hide()
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.text.setStyleSheet("border: none;")
        who = "tuned model" if side == "tuned" else "base model"
        self.text.setAccessibleName(tr(f"Answer of the {who}"))
        self.text.setPlaceholderText(tr(f"The {who}'s answer appears here as it is written."))
        self._figures = Label("", "small", "secondary", wrap=True)
        copy = Button("", "quiet", "copy", size="small", tooltip="Copy the answer", clicked=self._copy)
        head = row(Ring(side), Label("Tuned" if side == "tuned" else "Base", "bold"), self._name, self._state, gap=8,
                   margins=(16, 10, 12, 10))
        head.setStretch(2, 1)
        foot = row(self._figures, copy, margins=(16, 6, 8, 6))
        foot.setStretch(0, 1)
        self.setLayout(column(head, Line(), column(self.text, margins=(8, 6, 8, 6)), Line(),
                              foot))
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # both are equally wide, whatever one says

    def serve(self, model: str) -> None:
        """Which model answers on this side."""
        self.model = model
        self._name.say(model or "not served")

    @property
    def busy(self) -> bool:
        """Whether an answer is being written."""
        return self._thread is not None and self._thread.is_alive()

    def ask(self, base_url: str, key: str, question: str, options: dict[str, Any]) -> None:
        """Start writing; pieces arrive on the main thread."""
        self.text.clear()
        self._figures.say("")
        self._state.show()
        self._state.show_state("Writing", "accent", "loader")
        self._stop = threading.Event()
        line = self._line = _Line(self)
        line.piece.connect(self._piece, Qt.ConnectionType.QueuedConnection)
        line.failed.connect(self._failed, Qt.ConnectionType.QueuedConnection)
        self._thread = threading.Thread(target=_write, args=(line, base_url, key, self.model, question, self._stop, options),
                                        name=f"answer-{self.side}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Break the answer off; the engine is freed."""
        self._stop.set()

    def _piece(self, piece: Any) -> None:
        if not piece.done:
            self.text.moveCursor(QTextCursor.MoveOperation.End)
            self.text.insertPlainText(piece.text)
            return
        stopped = piece.finish == "stopped"
        self._state.show_state("Stopped" if stopped else "Done", "neutral" if stopped else "success",
                               "square" if stopped else "check")
        self._figures.say(figures_of(piece))
        self.finished.emit()

    def _failed(self, problem: Any) -> None:
        self._state.show_state("Failed", "danger", "circle-x", tooltip=problem.message)
        self._figures.say(problem.message)
        self.finished.emit()

    def _copy(self) -> None:
        QApplication.clipboard().setText(self.text.toPlainText())


def figures_of(piece: Piece) -> str:
    """The measured figures of an answer in words."""
    parts = [f"{piece.first_seconds:.2f} s to first word" if piece.first_seconds is not None else "no words",
             f"{piece.tokens_per_second:.0f} word pieces/s" if piece.tokens_per_second else "",
             "cut at the length limit" if piece.finish == "length" else ""]
    return "; ".join(tr(part) for part in parts if part)


def _write(line: _Line, base_url: str, key: str, model: str, question: str, stop: threading.Event,
           options: dict[str, Any]) -> None:
    from app.errors import ServingError
    from app.gateway.client import stream_chat

    try:
        for piece in stream_chat(base_url, key, model, [{"role": "user", "content": question}], stop=stop, **options):
            line.piece.emit(piece)
    except NeuroWeaverError as problem:
        _tell(line, problem)
    except RuntimeError:  # the window closed and took the signal with it
        return
    except Exception as caught:  # a mistake in the program, said in words
        _tell(line, ServingError("window.unexpected", "The answer could not be read.", why=f"{caught}.", remedy="Ask again."))


def _tell(line: _Line, problem: NeuroWeaverError) -> None:
    try:
        line.failed.emit(problem)
    except RuntimeError:  # the window closed
        return


class Question(QPlainTextEdit):
    """The field for the question; its keys ask."""

    def __init__(self, ask: Callable[[], None]) -> None:
        super().__init__()
        self._ask = ask
        self.setPlaceholderText(tr("Ask both models"))
        self.setAccessibleName(tr("Your question"))
        self.setFixedHeight(84)
        self.setTabChangesFocus(True)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Its keys ask, everything else types."""
        if shortcuts.deed("playground", event) == "playground.ask":
            self._ask()
            return
        super().keyPressEvent(event)


class PlaygroundPage(Page):
    """Do I believe it?"""

    title = "Playground"
    subtitle = "Base against tuned, on your own questions"
    watches = frozenset({"deployments", "settings"})
    scrolls = False

    def build(self) -> None:
        """Choice of model, two answers, earlier questions, the field."""
        self._view: EndpointView | None = None
        self._asked: list[Asked] = []
        self._tuned_choice, self._base_choice = Choice("Tuned model"), Choice("Base model")
        for box in (self._base_choice, self._tuned_choice):
            box.setMinimumWidth(190)
            box.currentTextChanged.connect(lambda _text: self._choose())
            self.header.actions.addWidget(box)
        self._mode = Segments([("both", "Side by side"), ("one", "One model")], name="How many models answer")
        self._mode.chosen.connect(lambda _mode: self._choose())
        self._length, self._warmth = self._options()
        self._top = QWidget()
        self._top.setLayout(row(self._mode, None, Label("Longest answer", "small", "secondary"), self._length,
                                Label("Randomness", "small", "secondary"), self._warmth, gap=8))
        self.body.addWidget(self._top)
        self.base, self.tuned = Answer("base"), Answer("tuned")
        for answer in (self.base, self.tuned):
            answer.finished.connect(self._finished)
        self._answers = QWidget()
        self._answers.setLayout(row(self.base, self.tuned, gap=16))
        self._answers.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._said = Label("", "body", wrap=True, own=True)
        self._said_card = Card("well")
        self._said_card.setLayout(column(Label("Your question", "small", "tertiary"), 2, self._said, margins=(16, 10, 16, 12)))
        self._said_card.hide()
        self.body.addWidget(self._said_card)
        self._empty = EmptyState("No model is served yet. Run a kit, or release a model, and ask it here.", "message-square",
                                 Button("Open kits", "outline", clicked=lambda: self.shell.go("kits")))
        self.body.addWidget(self._answers, 1)
        self._empty.hide()
        self.body.addWidget(self._empty, 1)
        self._history = Table([("Question", "text"), ("Base", "text"), ("Tuned", "text")], name="Earlier questions")
        self._history_panel = Panel("Earlier in this session")
        self._history_panel.body.addWidget(self._history)
        self._history_panel.hide()
        self.body.addWidget(self._history_panel)
        self._bottom = QWidget()
        self._bottom.setLayout(self._ask_line())
        self.body.addWidget(self._bottom)
        self._show_button()

    def _options(self) -> tuple[QSpinBox, QDoubleSpinBox]:
        length, warmth = QSpinBox(), QDoubleSpinBox()
        length.setRange(8, 2048)
        length.setValue(256)
        length.setSuffix(tr(" word pieces"))
        length.setAccessibleName(tr("Longest answer"))
        warmth.setRange(0.0, 2.0)
        warmth.setSingleStep(0.1)
        for box in (length, warmth):
            box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        warmth.setAccessibleName(tr("Randomness"))
        warmth.setToolTip(tr("Temperature: 0 gives the same answer each time"))
        return length, warmth

    def _ask_line(self) -> Any:
        self._question = Question(self._ask)
        self._button = Button("Ask", "filled", "send", keys="playground.ask", clicked=self._ask)
        hint = Label("Private, stays on this computer", "small", "tertiary")
        side = column(hint, None, row(KeyCap("playground.ask"), None, self._button), gap=6)
        line = row(self._question, side, gap=12)
        line.setStretch(0, 1)
        return line

    def refresh(self) -> None:
        """Ask what is served."""
        from app.gateway import views

        query(self, views.endpoint, done=self._show)

    def _show(self, view: EndpointView) -> None:
        self._view = view
        bases = [one for one in view.served if is_base(one)]
        tuned = [one for one in view.served if not is_base(one)]
        self._fill(self._base_choice, bases or tuned)
        self._fill(self._tuned_choice, tuned or bases)
        for part in (self._top, self._answers, self._bottom, self._tuned_choice):
            part.setVisible(bool(view.served))
        self._empty.setVisible(not view.served)
        self._choose()

    @staticmethod
    def _fill(box: Choice, served: list[Served]) -> None:
        names = [one.alias for one in served]
        if names == [box.itemText(index) for index in range(box.count())]:
            return
        before = box.currentText()
        box.blockSignals(True)
        box.clear()
        box.addItems(names)
        box.setCurrentText(before if before in names else names[0] if names else "")
        box.blockSignals(False)

    def _choose(self) -> None:
        self.base.serve(self._base_choice.currentText())
        self.tuned.serve(self._tuned_choice.currentText())
        both = self._mode.choice() == "both"
        self.base.setVisible(both)
        self._base_choice.setVisible(both and bool(self.tuned.model))
        self._show_button()

    def _show_button(self) -> None:
        ready = self._view is not None and self._view.base_url is not None and bool(self.tuned.model)
        busy = self.base.busy or self.tuned.busy
        self._button.say("Stop" if busy else "Ask")
        self._button.show_icon("square" if busy else "send")
        self._button.allow("" if ready else self._why_not(), "Stop writing" if busy else "")

    def _why_not(self) -> str:
        if self._view is None or self._view.base_url is None:
            return "Ask: the service has to run and the endpoint to be on"
        return "Ask: release a model first"

    def _ask(self) -> None:
        if self.base.busy or self.tuned.busy:
            self.base.stop()
            self.tuned.stop()
            return
        question = self._question.toPlainText().strip()
        view = self._view
        if not question or view is None or view.base_url is None or not self.tuned.model:
            return
        self._remember()
        self._asked.append(Asked(question))
        self._said.say(question if len(question) <= SHOWN_QUESTION else f"{question[:SHOWN_QUESTION]} …")
        self._said_card.show()
        options = {"max_tokens": self._length.value(), "temperature": self._warmth.value()}
        for answer in self._sides():
            answer.ask(view.base_url, view.key, question, options)
        self._show_button()

    def _sides(self) -> list[Answer]:
        return [self.tuned] if self._mode.choice() == "one" else [self.base, self.tuned]

    def _finished(self) -> None:
        if self._asked:
            self._asked[-1].answers = {side.side: side.text.toPlainText() for side in self._sides()}
        self._show_button()

    def _remember(self) -> None:
        done = [one for one in self._asked if one.answers][-EARLIER:]
        self._history_panel.setVisible(bool(done))
        self._history.show_rows([[one.question.replace("\n", " "), one.answers.get("base", "–").replace("\n", " "),
                                  one.answers.get("tuned", "–").replace("\n", " ")] for one in reversed(done[-3:])])

    def run_primary(self) -> None:
        """Ctrl+R asks."""
        self._ask()

    def open(self, argument: str) -> None:
        """Choose a tuned model by its name."""
        self._tuned_choice.setCurrentText(argument)
