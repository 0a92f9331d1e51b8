"""Find a base model on the Hub and fetch it: a search, a list with size and fit, and a run that can be paused."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QDialog, QLineEdit

from ui.background import command, query
from ui.language import tr
from ui.widgets.buttons import Button
from ui.widgets.kit import FIT_BADGES
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Label, column, row

_COLUMNS = (Column("Model"), Column("Parameters", 110, right=True), Column("Licence", 120), Column("Fetched", 110, right=True),
            Column("Fits here", 110))


class HubDialog(QDialog):
    """``page`` is the Models page, whose shell shows the run."""

    def __init__(self, page: Any) -> None:
        super().__init__(page)
        self._page, self.background = page, page.background
        self._found: list[Any] = []
        self._fits: dict[str, Any] = {}
        self.setWindowTitle(tr("Find a model"))
        self.resize(820, 520)
        self.words = QLineEdit()
        self.words.setPlaceholderText(tr("Name or owner, for example qwen3 0.6b"))
        self.words.setAccessibleName(tr("Search the Hub"))
        self.words.returnPressed.connect(self.ask)
        self._ask = Button("Search", "outline", "search", clicked=self.ask)
        self.table = Table(_COLUMNS, "Models found")
        self.table.picked.connect(self._picked)
        self.note = Label("Only safetensors are listed. Weights, configuration and tokenizer are fetched and checked; no code, no token.",
                          "small", "secondary", wrap=True)
        self.fetch = Button("Fetch", "filled", "download", clicked=self._fetch)
        self.fetch.allow("Choose a model")
        top = row(self.words, self._ask, gap=8)
        top.setStretch(0, 1)
        layout = column(Label("Find a model", "title"), top, self.note, self.table,
                        row(None, Button("Close", "quiet", clicked=self.reject), self.fetch), gap=12, margins=(20, 16, 20, 16))
        layout.setStretch(3, 1)
        self.setLayout(layout)
        self.words.setFocus()
        query(self, _offline, done=self._say_offline)

    def _say_offline(self, on: bool) -> None:
        """Before anybody types in vain; what was answered meanwhile stays."""
        if on and not self._found:
            self.note.say("This needs the network, and offline mode is on. Its switch is in Settings, under Privacy.")
            self.note.tone("warning")

    def show_error(self, problem: Any) -> None:
        """Say what failed in place of the note."""
        self.note.say(str(problem))
        self.note.tone("danger")

    def ask(self) -> None:
        """Search; offline mode says that it is on."""
        self.note.say("Asking the Hub")
        self.note.tone("secondary")
        query(self, _search, self.words.text(), done=self._show, slow=True)

    def _show(self, found: list[Any]) -> None:
        self._found = found
        self.note.say(f"{len(found)} found, the most fetched first." if found else "Nothing found.")
        self._fill()
        query(self, _fits, tuple((one.repo, one.parameters) for one in found), done=self._know_fits, slow=True)

    def _know_fits(self, found: dict[str, Any]) -> None:
        self._fits = found
        self._fill()

    def _fill(self) -> None:
        self.table.show_rows([(one.repo, self._cells(one)) for one in self._found])

    def _cells(self, one: Any) -> list[Cell]:
        fit = self._fits.get(one.repo)
        said, kind, _ = FIT_BADGES[fit.state] if fit else ("not known", "neutral", "")
        size = f"{one.parameters / 1e9:,.2f} B" if one.parameters else "–"
        name = one.repo + (tr(", asks for consent") if one.gated else "")
        return [Cell(name, strong=True, own=True), Cell(size), Cell(one.licence or "not stated"),
                Cell(f"{one.downloads:,}"), Cell(said, {"neutral": "textTertiary"}.get(kind, kind))]

    def _picked(self, repo: str) -> None:
        one = next((found for found in self._found if found.repo == repo), None)
        self.fetch.allow("Choose a model" if one is None else
                         "Its owner asks for consent: fetch it by hand, then import the folder" if one.gated else "")

    def _fetch(self) -> None:
        command(self, _submit, self.table.key(), busy=self.fetch, done=self._begun)

    def _begun(self, run: str) -> None:
        self.accept()
        self._page.shell.go("runs", run)


def _offline(store: Any) -> bool:
    from app.store import settings

    return bool(settings.get(store, "offline"))


def _search(store: Any, said: str) -> list[Any]:
    from app.integrations import hub

    return hub.search(store, said)


def _fits(store: Any, bases: tuple[tuple[str, int | None], ...]) -> dict[str, Any]:
    from app.training import views

    return views.fits(store, bases)


def _submit(store: Any, repo: str) -> str:
    from app.integrations import hub
    from app.workflow import runs

    return runs.submit_text(store, hub.submit(store, repo))

