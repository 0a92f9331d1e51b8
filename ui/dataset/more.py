"""Make more rows: known ones in other words, or new ones by a model; asked in a dialog, made by a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractSpinBox, QDialog, QGridLayout, QSpinBox

from ui import words
from ui.background import query
from ui.language import tr
from ui.widgets.buttons import Button, Choice
from ui.widgets.text import Label, column, row

if TYPE_CHECKING:
    from app.data.workflows import Way
    from ui.pages.base import Page

WAYS = (("rules", "Known rows in other words, by rules", "Synonyms, case, slips of the keyboard, blanks, forms of numbers. Costs next to "
         "nothing; the answers stay as they are."),
        ("paraphrase", "Known rows in other words, by a model", "The answers stay as they are; what they quote stays in the question."),
        ("model", "New rows by a model", "From documents or from rows that exist. A row is kept only if it passes the checks; the starter "
         "model writes few that do."))
USUAL, MOST = 200, 1_000_000


class MoreRowsDialog(QDialog):
    """``take(way, rows, model, base)`` gets what the user wants; the model is a served one, or else the base one is served first."""

    def __init__(self, page: Page, name: str, take: Callable[[Way, int, str, str], object]) -> None:
        super().__init__(page)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(tr(f"More rows for {name}"))
        self.setModal(True)
        self.setMinimumWidth(520)
        self._take = take
        self.way, self.model, self.count = Choice("How they are made"), Choice("The model that writes"), QSpinBox()
        for way, said, _ in WAYS:
            self.way.addItem(tr(said), way)
        self.way.activated.connect(lambda _index: self._show_way())
        self.count.setRange(1, MOST)
        self.count.setValue(USUAL)
        self.count.setGroupSeparatorShown(True)
        self.count.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        self.count.setSuffix(tr(" rows"))
        self.count.setAccessibleName(tr("How many rows"))
        self._about = Label("", "small", "secondary", wrap=True)
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        for line, (title, field) in enumerate((("How", self.way), ("Model", self.model), ("How many", self.count))):
            grid.addWidget(Label(title, "strong"), line, 0)
            grid.addWidget(field, line, 1)
        after = Label("A run makes a new version; only rows for training are sources. What it cost and how many candidates passed stands "
                      "with the run and under Versions.", "small", "tertiary", wrap=True)
        self.make = Button("Make rows", "filled", "play", clicked=self._make)
        self.make.setDefault(True)
        foot = row(None, Button("Cancel", "outline", clicked=self.reject), self.make)
        self.setLayout(column(Label(f"More rows for {words.short(name)}", "title"), 12, grid, 8, self._about, 8, after, 16, foot,
                              margins=(24, 20, 24, 20)))
        self._show_way()
        query(page, _models, done=self._know_models, key="models that write")

    def _know_models(self, found: list[tuple[str, str, str]]) -> None:
        for said, served, base in found:
            self.model.addItem(tr(said), (served, base))

    def _show_way(self) -> None:
        way = str(self.way.currentData())
        self._about.say(next(said for name, _, said in WAYS if name == way))
        self.model.setEnabled(way != "rules")

    def _make(self) -> None:
        served, base = self.model.currentData() or ("", "")
        self._take(self.way.currentData(), self.count.value(), served, base)
        self.accept()


def _models(store: Any) -> list[tuple[str, str, str]]:
    """(name for a person, name it is served by, base model) of models that can write: those served, then the base models."""
    from app.gateway import views
    from app.training import preview

    served = [(f"{one.alias}, served now", one.alias, "") for one in views.served(store)]
    return served + [(words.model_name(name), "", name) for name in preview.models(store)]
