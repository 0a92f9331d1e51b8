"""Endpoint: on or off, address, key, a snippet that works, and what is being asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QApplication, QComboBox, QPlainTextEdit, QWidget

from ui.background import command, query
from ui.pages.base import Page
from ui.widgets.buttons import Button, Segments, Switch
from ui.widgets.feedback import EmptyState
from ui.widgets.listing import Panel, Table
from ui.widgets.text import Badge, Label, Line, column, row

if TYPE_CHECKING:
    from app.gateway.views import EndpointView

STATES = {"ready": ("Ready", "success"), "idle": ("Loads when asked", "neutral"), "starting": ("Loading", "accent"),
          "failed": ("Failed", "danger"), "stopped": ("Off", "neutral")}
HIDDEN = "•" * 24


class EndpointPage(Page):
    """How another program uses a model of this computer."""

    title = "Endpoint"
    subtitle = "Listens on this computer only and speaks the OpenAI protocol"
    watches = frozenset({"deployments", "requests", "api_keys", "settings"})

    def build(self) -> None:
        """Three panels: address and key, snippet, requests."""
        self._view: EndpointView | None = None
        self._shown = False
        self._switch = Switch("Endpoint on or off", checked=True)
        self._switch.clicked.connect(self._toggle)
        self._state = Badge("Asking", "neutral")
        self.header.actions.addWidget(self._state)
        self.header.actions.addWidget(self._switch)
        self.body.addWidget(self._address_panel())
        self.body.addWidget(self._snippet_panel())
        self._models = Table([("Model", "text"), ("Version", "text"), ("Engine", "fit"), ("State", "fit")], name="Served models")
        self._models_panel = self._holding("Models served", self._models)
        self.body.addWidget(self._models_panel)
        names = ("Status", "Question", "Answer", "First word", "Whole")
        self._requests = Table([("Time", "fit"), ("Call", "text"), ("Model", "text"), *((name, "figure") for name in names)],
                               name="Requests")
        self._requests_panel = self._holding("Requests", self._requests)
        self._empty = EmptyState("No program has asked yet. Copy the snippet above into a terminal to try it.", "plug")
        self._requests_panel.body.addWidget(self._empty)
        self.body.addWidget(self._requests_panel)
        self.body.addStretch(1)

    def _holding(self, heading: str, content: QWidget) -> Panel:
        panel = Panel(heading)
        panel.body.addWidget(content)
        return panel

    def _address_panel(self) -> Panel:
        panel = Panel("Address and key")
        self._address, self._key = Label("", "code"), Label(HIDDEN, "code")
        self._reveal = Button("", "quiet", "eye", size="small", tooltip="Show the key", clicked=self._show_key)
        copy_address = Button("Copy", "outline", "copy", size="small", tooltip="Copy the address", clicked=self._copy_address)
        copy_key = Button("Copy", "outline", "copy", size="small", tooltip="Copy the key", clicked=self._copy_key)
        self._renew = Button("Renew", "quiet", "rotate-ccw", size="small",
                             tooltip="Make a new key; the old one stops working at once", clicked=self._renew_key)
        panel.body.addLayout(self._field("Address", self._address, copy_address))
        panel.body.addWidget(Line())
        panel.body.addLayout(self._field("Key", self._key, self._reveal, self._renew, copy_key))
        return panel

    @staticmethod
    def _field(name: str, value: Label, *buttons: QWidget) -> Any:
        label = Label(name, "body", "secondary")
        label.setFixedWidth(80)
        line = row(label, value, *buttons, gap=8, margins=(16, 7, 12, 7))
        line.setStretch(1, 1)
        return line

    def _snippet_panel(self) -> Panel:
        self._kind = Segments([("curl", "curl"), ("python", "Python")], size="small", name="Language of the snippet")
        self._kind.chosen.connect(lambda _kind: self._show_snippet())
        self._model = QComboBox()
        self._model.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self._model.setMinimumWidth(180)
        self._model.setAccessibleName("Model in the snippet")
        self._model.currentTextChanged.connect(lambda _text: self._show_snippet())
        panel = Panel("Use it from another program", "", self._model, self._kind,
                      Button("Copy", "outline", "copy", size="small", tooltip="Copy the snippet", clicked=self._copy_snippet))
        self._snippet = QPlainTextEdit()
        self._snippet.setReadOnly(True)
        self._snippet.setProperty("code", True)
        self._snippet.setAccessibleName("Snippet")
        self._snippet.setFixedHeight(150)
        panel.body.addLayout(column(self._snippet, margins=(8, 6, 8, 8)))
        return panel

    def refresh(self) -> None:
        """Ask for the endpoint's state."""
        from app.gateway import views

        query(self, views.endpoint, done=self._show)

    def _show(self, view: EndpointView) -> None:
        self._view = view
        self._switch.setChecked(view.enabled)
        on = view.enabled and view.base_url is not None
        self._state.show_state("On" if on else "Off", "success" if on else "neutral")
        self._address.say(view.base_url or "Not running")
        self._show_key_text()
        names = [served.alias for served in view.served]
        if names != [self._model.itemText(index) for index in range(self._model.count())]:
            self._model.clear()
            self._model.addItems(names)
        self._models_panel.note.say("" if names else "None yet: run a kit, or release a model on the Models page")
        self._models.setVisible(bool(names))
        self._models.show_rows([[one.alias, one.version, one.engine, self._badge(one.state, one.why)] for one in view.served])
        self._show_requests(view)
        self._show_snippet()

    @staticmethod
    def _badge(state: str, why: str) -> Badge:
        words, kind = STATES.get(state, (state, "neutral"))
        return Badge(words, kind, tooltip=why)

    def _show_requests(self, view: EndpointView) -> None:
        self._empty.setVisible(not view.recent)
        self._requests.setVisible(bool(view.recent))
        self._requests_panel.note.say(
            f"today {view.requests_today:,} requests, {view.refused_today:,} refused, {view.tokens_today:,} word pieces")
        self._requests.show_rows([
            [time.strftime("%H:%M:%S", time.localtime(one.at)), one.route, one.model or "–", self._status(one),
             f"{one.prompt_tokens:,}", f"{one.completion_tokens:,}",
             "–" if one.first_token_seconds is None else f"{one.first_token_seconds:.2f} s", f"{one.seconds:.2f} s"]
            for one in view.recent[:20]])

    @staticmethod
    def _status(one: Any) -> Label:
        label = Label(str(one.status), "body", "danger" if one.status >= 400 else "")
        label.setToolTip(one.error)
        return label

    def _show_snippet(self) -> None:
        from app.gateway import views

        view = self._view
        if view is None or view.base_url is None or not self._model.currentText():
            self._snippet.setPlainText("The snippet appears when the endpoint is on and a model is served.")
            return
        make = views.curl_snippet if self._kind.choice() == "curl" else views.python_snippet
        self._snippet.setPlainText(make(view.base_url, view.key, self._model.currentText()))

    def _show_key(self) -> None:
        self._shown = not self._shown
        self._reveal.show_icon("eye-off" if self._shown else "eye")
        self._show_key_text()

    def _show_key_text(self) -> None:
        key = self._view.key if self._view else ""
        self._key.say(key if self._shown and key else HIDDEN if key else "Made when the endpoint first starts")

    def _copy(self, text: str, what: str) -> None:
        if text:
            QApplication.clipboard().setText(text)
            self.shell.toast(f"The {what} is copied.")

    def _copy_address(self) -> None:
        self._copy(self._view.base_url or "" if self._view else "", "address")

    def _copy_key(self) -> None:
        self._copy(self._view.key if self._view else "", "key")

    def _copy_snippet(self) -> None:
        self._copy(self._snippet.toPlainText(), "snippet")

    def _toggle(self) -> None:
        from app.store import settings

        command(self, settings.put, "endpoint.enabled", self._switch.isChecked(), busy=self._switch)

    def _renew_key(self) -> None:
        from app.gateway import keys

        command(self, keys.renew, busy=self._renew,
                done=lambda _key: self.shell.toast("There is a new key. Programs that use the old one are refused."))
