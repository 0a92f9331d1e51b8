"""Endpoint: on or off, address, key, a snippet that works, and what is being asked."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QWidget

from ui.background import command, query
from ui.language import tr
from ui.pages.base import Page
from ui.widgets.buttons import Button, Choice, Segments, Switch
from ui.widgets.listing import FigureStrip, Panel, Table
from ui.widgets.text import Badge, Card, Label, Line, column, row
from ui.words import is_base

if TYPE_CHECKING:
    from app.gateway.views import EndpointView
    from app.store import Store

STATES = {"ready": ("Ready", "success"), "idle": ("Loads when asked", "neutral"), "starting": ("Loading", "accent"),
          "failed": ("Failed", "danger"), "stopped": ("Off", "neutral")}
NOT_YET = ("Not measured yet", "it comes with the first answers")
HIDDEN = "•" * 24


class EndpointPage(Page):
    """How another program uses a model of this computer."""

    title = "Endpoint"
    subtitle = "Listens on this computer only and speaks the OpenAI protocol"
    watches = frozenset({"deployments", "requests", "api_keys", "settings"})

    def build(self) -> None:
        """On or off, address, key and model left, snippet right; figures, models, requests below."""
        self._view: EndpointView | None = None
        self._shown = False
        self._runnable = ""
        self._keep = Button("Keep serving after close", "outline", "power", clicked=self._keep_serving)
        self._keep.setCheckable(True)
        self._keep.setToolTip(tr("The endpoint goes on without the window"))
        self._copy_all = Button("Copy snippet", "filled", "copy", clicked=self._copy_snippet)
        self.header.actions.addWidget(self._keep)
        self.header.actions.addWidget(self._copy_all)
        top = row(self._address_panel(), self._snippet_panel(), gap=16)
        top.setStretch(0, 1)
        top.setStretch(1, 1)
        self.body.addLayout(top)
        self._figures = FigureStrip(["Requests today", "First word after", "Speed of one answer", "Word pieces today"])
        self.body.addWidget(self._figures)
        self._models = Table([("Model", "text"), ("Version", "text"), ("Engine", "fit"), ("State", "fit")], name="Served models")
        self._models_panel = self._holding("Models served", self._models)
        self.body.addWidget(self._models_panel)
        names = ("Status", "Question", "Answer", "First word", "Whole")
        self._requests = Table([("Time", "fit"), ("Call", "text"), ("Model", "text"), *((name, "figure") for name in names)],
                               name="Requests")
        self._requests_panel = self._holding("Requests", self._requests)
        self._empty = Label("No program has asked yet. Copy the snippet above into a terminal to try it.", "body", "secondary",
                            wrap=True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setMinimumHeight(72)
        self._requests_panel.body.addWidget(self._empty)
        self.body.addWidget(self._requests_panel)
        self.body.addStretch(1)

    def _holding(self, heading: str, content: QWidget) -> Panel:
        panel = Panel(heading)
        panel.body.addWidget(content)
        return panel

    def _address_panel(self) -> Card:
        panel = Card()
        panel.setAccessibleName(tr("Address and key"))
        self._switch = Switch("Endpoint on or off", checked=True)
        self._switch.clicked.connect(self._toggle)
        self._state, self._reach = Label("", "heading"), Label("", "small", "tertiary", elide=True)
        head = row(self._switch, column(self._state, self._reach), gap=12, margins=(16, 12, 16, 10))
        head.setStretch(1, 1)
        self._address, self._key = Label("", "code"), Label(HIDDEN, "code", elide=True)
        self._copies = [_copy_button("the address", self._copy_address), _copy_button("the key", self._copy_key),
                        _copy_button("the model's name", self._copy_model)]
        self._reveal = Button("", "quiet", "eye", size="small", tooltip="Show the key", clicked=self._show_key)
        self._renew = Button("Renew", "quiet", "rotate-ccw", size="small",
                             tooltip="Make a new key; the old one stops working at once", clicked=self._renew_key)
        self._model = Choice("Model in the snippet")
        self._model.setMinimumWidth(180)
        self._model.currentTextChanged.connect(lambda _text: self._show_snippet())
        panel.setLayout(column(
            head, Line(), self._field("Address", self._address, self._copies[0]),
            self._field("Key", self._key, self._reveal, self._renew, self._copies[1]),
            self._field("Model", self._model, self._copies[2]), None))
        return panel

    @staticmethod
    def _field(name: str, value: QWidget, *buttons: QWidget) -> Any:
        label = Label(name, "body", "secondary")
        label.setFixedWidth(80)
        line = row(label, value, *buttons, gap=8, margins=(16, 7, 12, 7))
        line.setStretch(1, 1)
        return line

    def _snippet_panel(self) -> Card:
        self._kind = Segments([("curl", "curl"), ("python", "Python")], size="small", name="Language of the snippet")
        self._kind.chosen.connect(lambda _kind: self._show_snippet())
        self._snippet = QPlainTextEdit()
        self._snippet.setReadOnly(True)
        self._snippet.setProperty("code", True)
        self._snippet.setProperty("well", True)
        self._snippet.setAccessibleName(tr("Snippet"))
        self._snippet.setFixedHeight(172)
        panel = Card()
        panel.setLayout(column(row(Label("Use it from your program", "heading"), None, self._kind), 8, self._snippet,
                               margins=(16, 10, 14, 14)))
        return panel

    def refresh(self) -> None:
        """Ask for the endpoint's state."""
        from app.gateway import views

        query(self, views.endpoint, done=self._show)
        query(self, _keeps_serving, done=self._keep.setChecked)

    def _show(self, view: EndpointView) -> None:
        self._view = view
        self._switch.setChecked(view.enabled)
        on = view.enabled and view.base_url is not None
        self._state.say("On, for programs on this computer" if on else "Not running" if view.enabled else "Off")
        self._reach.say("Nobody else on the network can reach it" if on else
                        "It begins with the service" if view.enabled else "Programs are refused")
        self._address.say(view.base_url or "Not running")
        self._show_key_text()
        names = [served.alias for served in sorted(view.served, key=is_base)]
        if names != [self._model.itemText(index) for index in range(self._model.count())]:
            self._model.clear()
            self._model.addItems(names)
        self._models_panel.note.say("" if names else "None yet: run a kit, or release a model on the Models page")
        self._models.setVisible(bool(names))
        self._models.show_rows([[_named(one.alias), _named(one.version), one.engine, self._badge(one.state, one.why)]
                                for one in view.served])
        self._show_requests(view)
        self._show_snippet()
        self._show_what_can_be_copied(view)

    def _show_what_can_be_copied(self, view: EndpointView) -> None:
        """A button whose field is empty would do nothing."""
        named = self._model.currentText()
        for button, there, what in zip(self._copies, (view.base_url, view.key, named), ("address", "key", "model's name"), strict=True):
            button.allow("" if there else f"There is no {what} yet", f"Copy the {what}")
        self._model.setEnabled(bool(named))
        for button in (self._reveal, self._renew):
            button.setVisible(bool(view.key))

    @staticmethod
    def _badge(state: str, why: str) -> Badge:
        words, kind = STATES.get(state, (state, "neutral"))
        return Badge(words, kind, tooltip=why)

    def _show_requests(self, view: EndpointView) -> None:
        self._empty.setVisible(not view.recent)
        self._requests.setVisible(bool(view.recent))
        self._figures.fill(endpoint_figures(view))
        self._requests_panel.note.say("the newest first" if view.recent else "")
        self._requests.show_rows([
            [time.strftime("%H:%M:%S", time.localtime(one.at)), one.route, _named(one.model or "–"), self._status(one),
             f"{one.prompt_tokens:,}", f"{one.completion_tokens:,}",
             "–" if one.first_token_seconds is None else f"{one.first_token_seconds:.2f} s", f"{one.seconds:.2f} s"]
            for one in view.recent[:20]])

    @staticmethod
    def _status(one: Any) -> Label:
        label = Label(str(one.status), "body", "danger" if one.status >= 400 else "")
        label.setToolTip(tr(one.error))
        return label

    def _show_snippet(self) -> None:
        from app.gateway import views

        view = self._view
        missing = view is None or view.base_url is None or not self._model.currentText()
        self._copy_all.allow("Copy snippet: the endpoint has to be on and a model served" if missing else "",
                             "Paste it into a terminal or a program")
        if view is None or view.base_url is None or missing:
            self._snippet.setPlainText(tr("The snippet appears when the endpoint is on and a model is served."))
            return
        make = views.curl_snippet if self._kind.choice() == "curl" else views.python_snippet
        self._runnable = make(view.base_url, view.key, self._model.currentText())
        self._snippet.setPlainText(self._runnable if self._shown else self._runnable.replace(view.key, HIDDEN))

    def _show_key(self) -> None:
        self._shown = not self._shown
        self._reveal.show_icon("eye-off" if self._shown else "eye")
        self._show_key_text()
        self._show_snippet()

    def _show_key_text(self) -> None:
        key = self._view.key if self._view else ""
        self._key.say(key if self._shown and key else HIDDEN if key else "Made at the first start")

    def _copy(self, text: str, what: str) -> None:
        if text:
            QApplication.clipboard().setText(text)
            self.shell.toast(f"The {what} is copied.")

    def _copy_address(self) -> None:
        self._copy(self._view.base_url or "" if self._view else "", "address")

    def _copy_key(self) -> None:
        self._copy(self._view.key if self._view else "", "key")

    def _copy_model(self) -> None:
        self._copy(self._model.currentText(), "model's name")

    def _copy_snippet(self) -> None:
        self._copy(self._runnable, "snippet")

    def _toggle(self) -> None:
        from app.store import settings

        command(self, settings.put, "endpoint.enabled", self._switch.isChecked(), busy=self._switch)

    def _keep_serving(self) -> None:
        from app.store import settings

        keep = self._keep.isChecked()
        command(self, settings.put, "keep_serving_after_close", keep, done=lambda _n: self.shell.toast(
            "The endpoint will go on when the window closes." if keep else "The endpoint will stop when the window closes."))

    def _renew_key(self) -> None:
        from app.gateway import keys

        command(self, keys.renew, busy=self._renew,
                done=lambda _key: self.shell.toast("There is a new key. Programs that use the old one are refused."))


def _named(name: str) -> Label:
    """A model's name in a table: the user's words, cut where there is no room."""
    return Label(name, "body", elide=True, own=True)


def _copy_button(what: str, act: Callable[[], object]) -> Button:
    return Button("Copy", "outline", "copy", size="small", tooltip=f"Copy {what}", clicked=act)


def _keeps_serving(store: Store) -> bool:
    from app.store import settings

    return bool(settings.get(store, "keep_serving_after_close"))


def endpoint_figures(view: EndpointView) -> list[tuple[str, str]]:
    """(figure, what it rests on) for each field of the strip, from the newest answered requests."""
    answered = [one for one in view.recent if one.status < 400]
    first = sorted(one.first_token_seconds for one in answered if one.first_token_seconds is not None)
    speeds = sorted(one.completion_tokens / (one.seconds - (one.first_token_seconds or 0.0)) for one in answered
                    if one.completion_tokens > 1 and one.seconds > (one.first_token_seconds or 0.0))
    refused = f"{view.refused_today:,} refused" if view.refused_today else "none refused"
    return [(f"{view.requests_today:,}", refused),
            (f"{statistics.median(first):.2f} s", f"median of {len(first):,} answers") if first else NOT_YET,
            (f"{statistics.median(speeds):.0f} word pieces/s", f"median of {len(speeds):,} answers") if speeds else NOT_YET,
            (f"{view.tokens_today:,}", "questions and answers")]
