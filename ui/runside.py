"""The run page's right panel: events, log, settings."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QStackedWidget, QWidget

from ui import words
from ui.language import tr
from ui.widgets.buttons import Segments
from ui.widgets.text import Card, Icon, Label, Line, clear, column, row, scrolling

_SIGNS = {"good": ("badge-check", "success"), "info": ("info", "textTertiary"),
          "warning": ("triangle-alert", "warning"), "error": ("circle-alert", "danger")}
SHOWN = 60
QUIET = "Nothing to tell yet. What training notices, saves and decides appears here."


class RunSide(Card):
    """Three views of what was said."""

    def __init__(self) -> None:
        super().__init__()
        self._tabs = Segments([("events", "Events"), ("log", "Log"), ("settings", "Settings")], size="small",
                              name="Events, log or settings")
        self._tabs.chosen.connect(self._choose)
        self._shown: list[Any] | None = None
        self._room = column()
        area = scrolling(self._room, "Events")
        self._log, self._settings = _text("Log of the newest step"), _text("Settings of this run")
        self._stack = QStackedWidget()
        for view in (area, self._log, self._settings):
            self._stack.addWidget(view)
        head = row(self._tabs, None, margins=(14, 10, 14, 8))
        self.setLayout(column(head, Line(), self._stack, margins=(1, 0, 1, 10)))
        self.setMinimumWidth(260)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def _choose(self, key: str) -> None:
        self._stack.setCurrentIndex(["events", "log", "settings"].index(key))

    def show_events(self, events: list[Any]) -> None:
        """The newest first; made anew only when there is something new."""
        events = events[:SHOWN]
        if events == self._shown:
            return
        self._shown = events
        clear(self._room)
        if not events:
            self._room.addLayout(column(Label(QUIET, "small", "tertiary", wrap=True), margins=(14, 10, 14, 10)))
        for event in events:
            self._room.addWidget(_line(event))
            self._room.addWidget(Line())
        self._room.addStretch(1)

    def show_log(self, text: str) -> None:
        """The end of the worker's output."""
        _keep_place(self._log, text or tr("Nothing was printed."), follow=True)

    def show_settings(self, text: str) -> None:
        """The document as it was submitted."""
        _keep_place(self._settings, text)


def _text(name: str) -> QPlainTextEdit:
    field = QPlainTextEdit()
    field.setReadOnly(True)
    field.setProperty("code", True)
    field.setAccessibleName(tr(name))
    field.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
    return field


def _keep_place(field: QPlainTextEdit, text: str, *, follow: bool = False) -> None:
    """Show it where it was scrolled to.  follow: at its end, if that was seen."""
    if field.toPlainText() != text:
        bar = field.verticalScrollBar()
        before, at_end = bar.value(), bar.value() == bar.maximum()
        field.setPlainText(text)
        bar.setValue(bar.maximum() if follow and at_end else before)


def _line(event: Any) -> QWidget:
    line = QWidget()
    time = Label(words.clock(event.at, with_seconds=True), "code", "tertiary")
    text = column(Label(event.message, "small", wrap=True))
    if event.detail:
        text.addWidget(Label(event.detail, "small", "tertiary", wrap=True))
    icon = Icon(*_SIGNS.get(event.level, _SIGNS["info"]))
    layout = row(time, icon, text, gap=8, margins=(14, 7, 14, 7))
    layout.setStretch(2, 1)
    for widget in (time, icon):
        layout.setAlignment(widget, Qt.AlignmentFlag.AlignTop)
    line.setLayout(layout)
    return line
