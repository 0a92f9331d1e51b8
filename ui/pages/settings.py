"""Settings: where the data is, what energy and hardware cost, how the window looks, the endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QKeySequence
from PySide6.QtWidgets import QAbstractSpinBox, QDoubleSpinBox, QKeySequenceEdit, QLineEdit, QSpinBox, QWidget

from ui import words
from ui.background import command, query
from ui.language import choose, chosen, languages, own_name, tr
from ui.pages.base import Page
from ui.shortcuts import NAVIGATION, PLACES, key_words, keys, shortcuts
from ui.theme import tokens
from ui.widgets.buttons import Button, Choice, Segments, Switch
from ui.widgets.listing import Panel
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Label, Line, column, row

REFUSED_SHOWN, KEY_ROWS = 8, 9
CURRENCIES = ("EUR", "USD", "GBP", "CHF", "SEK", "DKK", "NOK", "PLN")


class SettingsPage(Page):
    """Everything a user may set; each change is kept at once."""

    title = "Settings"
    subtitle = "Each change is kept at once"
    watches = frozenset({"settings"})

    def build(self) -> None:
        self._fields: dict[str, Any] = {}
        self._loading = True

    def parts(self) -> Iterator[None]:
        """One panel a subject."""
        for made in (self._look, self._data, self._privacy, self._costs, self._work, self._endpoint, self._keyboard):
            panel = made()
            panel.setMaximumWidth(760)
            self.body.addWidget(panel)
            yield
        self.body.addStretch(1)

    def _line(self, panel: Panel, name: str, help_text: str, field: QWidget) -> Label:
        title = Label(name, "strong")
        hint = Label(help_text, "small", "tertiary", elide=True)
        if panel.body.count():
            panel.body.addWidget(Line())
        holder, line = QWidget(), row(title, hint, field, gap=12, margins=(16, 8, 16, 8))
        line.setStretch(1, 1)
        holder.setLayout(line)
        title.setMinimumWidth(190)
        field.setAccessibleName(tr(name))
        panel.body.addWidget(holder)
        return hint

    def _look(self) -> Panel:
        panel = Panel("Window")
        self._theme = Segments([("system", "As the system"), ("light", "Light"), ("dark", "Dark"), ("contrast", "High contrast")],
                               name="Theme")
        self._theme.chosen.connect(self.shell.set_theme)
        self._line(panel, "Theme", "", self._theme)
        self._language = Choice("Language")
        for name in languages():
            self._language.addItem(own_name(name), name)
        self._language.activated.connect(lambda _place: self._choose_language(self._language.currentData()))
        self._line(panel, "Language", "Taken at the next start. A file in resources/translations adds one", self._language)
        self._switch(panel, "notify", "Say when long work ends", "By the system's notice while the window is not looked at")
        self._line(panel, "Tour", "What is where, in five steps", Button("Show the tour", "outline", size="small", clicked=self.shell.tour))
        self._line(panel, "Diagnostics", "Versions and states for a report; never your data",
                   Button("Copy diagnostics", "outline", "copy", size="small", clicked=self.shell.copy_diagnostics))
        return panel

    def _choose_language(self, name: str) -> None:
        command(self, _keep_language, name)

    def _keyboard(self) -> Panel:
        panel = Panel("Keys")
        self._key_table = Table([Column("What it does"), Column("Where", 190), Column("Keys", 250)], "Actions and their keys")
        self._key_table.setFixedHeight((1 + KEY_ROWS) * int(tokens()["size"]["tableRow"]))
        self._key_table.picked.connect(self._key_picked)
        self._sequence = QKeySequenceEdit()
        self._sequence.setMaximumSequenceLength(1)
        self._sequence.setClearButtonEnabled(True)
        self._sequence.setFixedWidth(150)
        self._sequence.setAccessibleName(tr("New keys"))
        self._sequence.editingFinished.connect(self._key_typed)
        inner = self._sequence.findChild(QLineEdit)
        if inner is not None:
            inner.setAccessibleName(tr("New keys"))
        self._key_note = Label("", "small", "danger", elide=True)
        self._reset_one = Button("As delivered", "outline", size="small", clicked=self._reset_key)
        holder = QWidget()
        line = row(Label("New keys", "strong"), self._sequence, self._key_note, self._reset_one,
                   Button("All as delivered", "outline", size="small", clicked=lambda: self._take_keys({})), gap=12, margins=(16, 8, 16, 8))
        line.setStretch(2, 1)
        holder.setLayout(line)
        panel.body.addLayout(column(self._key_table, margins=(6, 0, 6, 0)))
        panel.body.addWidget(Line())
        panel.body.addWidget(holder)
        shortcuts.changed.connect(self._show_keys)
        self._show_keys()
        self._key_table.select_key(keys()[0].name)
        return panel

    def _key_picked(self, name: str) -> None:
        self._sequence.setKeySequence((shortcuts.sequences(name) or [QKeySequence()])[0])
        self._key_note.say("")
        self._reset_one.setEnabled(name in shortcuts.own)

    def _key_typed(self) -> None:
        """Give the chosen action the keys that were pressed, unless they have a meaning where it is heard."""
        name, sequence = self._key_table.key(), self._sequence.keySequence()
        wanted = sequence.toString(QKeySequence.SequenceFormat.PortableText)
        if not name or wanted == shortcuts.of(name) or sequence in shortcuts.sequences(name)[:1]:
            return
        taken = shortcuts.taken(name, wanted)
        if taken or wanted in NAVIGATION:
            self._key_picked(name)
            self._key_note.say(f"{wanted} is taken by “{taken.words}”. Give that one other keys first." if taken else
                               f"{wanted} moves through the window and stays what it is.")
        else:
            self._take_keys(shortcuts.changed_by(name, wanted))

    def _reset_key(self) -> None:
        """The chosen action's own keys again, unless another one has them now."""
        name = self._key_table.key()
        default = next((key.default for key in keys() if key.name == name), "")
        if taken := shortcuts.taken(name, default):
            self._key_note.say(f"{default} is taken by “{taken.words}”. Give that one other keys first.")
        elif name:
            self._take_keys(shortcuts.changed_by(name, default))

    def _take_keys(self, own: dict[str, str]) -> None:
        shortcuts.take(own)
        self._keep("shortcuts", own)

    def _show_keys(self) -> None:
        self._key_table.show_rows([(key.name, (Cell(key.words), Cell(PLACES[key.place], "textSecondary"), _keys_cell(key.name)))
                                   for key in keys()])
        if name := self._key_table.key():
            self._key_picked(name)

    def _data(self) -> Panel:
        panel = Panel("Data")
        open_folder = Button("Open", "outline", "folder-open", size="small", tooltip="The variable NEUROWEAVER_HOME names another",
                             clicked=self._open_folder)
        self._folder = self._line(panel, "Data folder", "", open_folder)
        self._key_place = Label("", "body", "secondary")
        self._line(panel, "Key of the encrypted store", "", self._key_place)
        return panel

    def _privacy(self) -> Panel:
        panel = Panel("Privacy")
        self._switch(panel, "offline", "Offline mode", "No process of NeuroWeaver may connect to another computer")
        self._refused_note = Label("", "body", "secondary")
        self._line(panel, "Refused so far", "Connections that a program of ours tried to open in offline mode", self._refused_note)
        self._refused = Table([Column("Time", 150), Column("Program", 200), Column("Wanted to reach")], "Newest refused connections")
        panel.body.addWidget(self._refused)
        self._line(panel, "Telemetry", "There is no code that sends any", Label("None", "body", "secondary"))
        return panel

    def _show_refused(self, count: int, newest: list[Any]) -> None:
        self._refused_note.say("One attempt" if count == 1 else f"{count:,} attempts" if count else "None")
        self._refused.show_rows([(str(number), (Cell(words.clock(one.at, with_seconds=True)), Cell(f"{one.program}, process {one.pid}"),
                                                Cell(one.target))) for number, one in enumerate(newest)])
        self._refused.fit_height()
        self._refused.setVisible(bool(newest))

    def _costs(self) -> Panel:
        panel = Panel("Costs")
        currency = Choice("Currency")
        currency.addItems(CURRENCIES)
        currency.currentTextChanged.connect(lambda text: self._keep("currency", text))
        self._fields["currency"] = currency
        self._line(panel, "Currency", "Of the prices below", currency)
        self._number(panel, "tariff_per_kwh", "Price of electricity", "From your bill", " per kWh", 0.0, 10.0, 3)
        self._number(panel, "budget_per_month", "Budget a month", "0 for none; Home warns from 80 % on", "", 0.0, 1e6, 2)
        self._number(panel, "hardware_price", "Price of this computer", "What it would cost to replace", "", 0.0, 1e6, 0)
        self._number(panel, "hardware_life_hours", "Its working life", "Hours of work until it is replaced", " h", 1.0, 1e6, 0)
        self._number(panel, "cpu_watts_idle", "Power at rest", "Used where no sensor can be read", " W", 0.0, 2000.0, 0)
        self._number(panel, "cpu_watts_full", "Power at full load", "Used where no sensor can be read", " W", 0.0, 5000.0, 0)
        return panel

    def _work(self) -> Panel:
        panel = Panel("Work")
        self._whole(panel, "threads", "Threads for training", "0 chooses for this processor", "", 0, 256)
        self._switch(panel, "keep_serving_after_close", "Keep serving after close", "The endpoint goes on without the window")
        return panel

    def _endpoint(self) -> Panel:
        panel = Panel("Endpoint")
        self._switch(panel, "endpoint.enabled", "Endpoint", "Other programs on this computer may ask with the key")
        self._whole(panel, "endpoint.port", "Port", "Taken at the next start of the service", "", 1024, 65535)
        self._whole(panel, "engine.idle_seconds", "Unload an idle model after", "It loads again when asked", " s", 10, 86400)
        more = Button("Key and snippets", "outline", "key-round", size="small", clicked=lambda: self.shell.go("endpoint"))
        self._line(panel, "Key", "Shown, copied and renewed on the Endpoint page", more)
        return panel

    def _number(self, panel: Panel, key: str, name: str, hint: str, unit: str, low: float, high: float, digits: int) -> None:
        field = QDoubleSpinBox()
        field.setDecimals(digits)
        field.setRange(low, high)
        self._spin(panel, field, key, name, hint, unit)

    def _whole(self, panel: Panel, key: str, name: str, hint: str, unit: str, low: int, high: int) -> None:
        field = QSpinBox()
        field.setRange(low, high)
        self._spin(panel, field, key, name, hint, unit)
        field.setGroupSeparatorShown(key != "endpoint.port")  # a name, not an amount

    def _spin(self, panel: Panel, field: QSpinBox | QDoubleSpinBox, key: str, name: str, hint: str, unit: str) -> None:
        field.setSuffix(tr(unit))
        field.setGroupSeparatorShown(True)
        field.setFixedWidth(150)
        field.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        field.editingFinished.connect(lambda: self._keep(key, field.value()))
        self._fields[key] = field
        self._line(panel, name, hint, field)

    def _switch(self, panel: Panel, key: str, name: str, hint: str) -> None:
        field = Switch(name)
        field.clicked.connect(lambda: self._keep(key, field.isChecked()))
        self._fields[key] = field
        self._line(panel, name, hint, field)

    def refresh(self) -> None:
        """Ask for all settings."""
        query(self, _all_settings, done=self._show)

    def _show(self, values: Mapping[str, Any]) -> None:
        self._loading = True
        self._theme.choose(values["theme"])
        self._folder.say(values["folder"])
        self._key_place.say(KEY_WORDS[values["key_storage"]])
        self._show_refused(*values["refused"])
        self._language.setCurrentIndex(max(self._language.findData(values["language"]), 0))
        for key, field in self._fields.items():
            if isinstance(field, Choice):
                field.setCurrentText(str(values[key]))
            elif isinstance(field, Switch):
                field.setChecked(bool(values[key]))
            elif not field.hasFocus():
                field.setValue(values[key])
        self._loading = False

    def _keep(self, key: str, value: Any) -> None:
        if self._loading:
            return
        from app.store import settings

        command(self, settings.put, key, value)

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self._folder.words()))


KEY_WORDS = {"keyring": "In the system keyring, readable only with your login",
             "passphrase": "Made from your passphrase, kept nowhere",
             "file": "In a file that only your user can read (no system keyring was found)"}


def _keys_cell(name: str) -> Cell:
    """An action's keys; strong where they are the user's, red with the other's name where two actions share them."""
    said = ", ".join(key_words(one) for one in shortcuts.sequences(name)) or "–"
    if other := shortcuts.taken(name, shortcuts.of(name)):
        return Cell(f"{said}, also: {tr(other.words)}", "danger")
    return Cell(said, strong=name in shortcuts.own)


def _keep_language(store: Any, name: str) -> None:
    choose(store.profile, name)


def _all_settings(store: Any) -> dict[str, Any]:
    from app.config.offline import refused
    from app.store import settings

    values = {key: settings.get(store, key) for key in settings.DEFAULTS}
    return values | {"language": chosen(store.profile), "folder": str(store.profile.home), "key_storage": store.key.storage,
                     "refused": refused(store.profile.logs, REFUSED_SHOWN)}
