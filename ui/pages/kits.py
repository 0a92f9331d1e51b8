"""Kits: which one fits this computer, and did it help?"""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QGridLayout, QLineEdit, QPlainTextEdit, QWidget

from ui import words
from ui.background import query
from ui.pages.base import Page
from ui.widgets.buttons import Button, Segments
from ui.widgets.feedback import EmptyState
from ui.widgets.kit import KitCardWidget
from ui.widgets.text import Icon, Label, clear, column, row
from ui.widgets.verdict import Ring

_DOMAINS = [("", "All"), ("legal", "Legal"), ("healthcare", "Healthcare"), ("finance", "Finance")]


class KitsPage(Page):
    """A gallery; each card shows what it needs, whether it fits, and the measured result."""

    title = "Kits"
    subtitle = "Ready-made specialisations with data, tests and a measured result"
    watches = frozenset({"runs", "evaluations"})
    margins = (28, 20, 28, 24)

    def build(self) -> None:
        self._cards: list[Any] = []
        self._last: dict[str, Any] = {}
        self._fit: dict[str, str] = {}
        self._wanted = ""
        self._domain = Segments(_DOMAINS, name="Field")
        self._domain.chosen.connect(lambda _key: self._lay_out())
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search kits")
        self.search.setAccessibleName("Search kits")
        self.search.setProperty("soft", True)
        self.search.setFixedWidth(260)
        self.search.textChanged.connect(lambda _text: self._lay_out())
        self._judged = Label("", "body", "secondary")
        self.body.addLayout(row(self._domain, self.search, None, Icon("cpu"), self._judged, gap=12))
        self._grid = QGridLayout()
        self._grid.setSpacing(16)
        for place in range(3):
            self._grid.setColumnStretch(place, 1)
        self.body.addLayout(self._grid)
        self._empty = EmptyState("No kit matches. Kits are folders in “kits”, each with a kit.yaml.", "library-big")
        self.body.addWidget(self._empty)
        self.body.addStretch(1)
        note = ("Right answers in percent on questions held back from training. The bar is the 95 % margin of the "
                "difference, drawn at tuned.")
        self._legend = QWidget()
        self._legend.setLayout(row(Ring("base"), Label("base", "small", "secondary"), 4, Ring("tuned"),
                                   Label("tuned", "small", "secondary"), 10, Label(note, "small", "tertiary"), None, gap=6))
        self.body.addWidget(self._legend)
        self.widgets: list[KitCardWidget] = []

    def refresh(self) -> None:
        from app.config import views as kits
        from app.training import views as training
        from app.workflow import views as workflow

        query(self, kits.kits, done=self._show_kits)
        query(self, training.computer, done=self._show_computer, slow=True)
        query(self, workflow.last_of_kits, done=self._show_last)

    def open(self, argument: str) -> None:
        """Show what is inside a kit."""
        self._wanted = argument
        self._open_wanted()

    def _open_wanted(self) -> None:
        card = next((card for card in self._cards if card.name == self._wanted), None)
        if card is not None:
            self._wanted = ""
            self._details(card)

    def _show_kits(self, cards: list[Any]) -> None:
        self._cards = cards
        self._lay_out()
        self._open_wanted()

    def _show_last(self, last: dict[str, Any]) -> None:
        self._last = last
        self._lay_out()

    def _show_computer(self, found: Any) -> None:
        self._judged.say(f"Judged for this computer, {found.cores} cores, {words.size(found.memory_total)} memory")
        self._fit = {"smollm2-135m-instruct": found.fits[0].state}
        self._lay_out()

    def _lay_out(self) -> None:
        clear(self._grid)
        typed, domain = self.search.text().lower(), self._domain.choice()
        shown = [card for card in self._cards if (not domain or card.domain.lower() == domain)
                 and typed in f"{card.title} {card.description} {card.name}".lower()]
        self.widgets = [KitCardWidget(card, self._fit.get(card.base_model, ""), self._last.get(card.name), self._run(card),
                                      partial(self._details, card), first=number == 0)
                        for number, card in enumerate(shown)]
        for number, widget in enumerate(self.widgets):
            self._grid.addWidget(widget, *divmod(number, 3))
        self._empty.setVisible(not shown)
        self._legend.setVisible(bool(shown))

    def _run(self, card: Any) -> Any:
        return lambda button: self.shell.run(card.name, busy=button)

    def run_primary(self) -> None:
        if self.widgets:
            self.widgets[0].run_button.click()

    def _details(self, card: Any) -> None:
        dialog = KitDetails(self, card)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()


class KitDetails(QDialog):
    """The kit's own description and document."""

    def __init__(self, page: Page, card: Any) -> None:
        super().__init__(page)
        self.setWindowTitle(card.title)
        self.resize(760, 620)
        text = QPlainTextEdit()
        text.setReadOnly(True)
        text.setProperty("code", True)
        text.setAccessibleName("The kit's document")
        buttons = row(None, gap=8)
        if page.shell.has("workflow"):
            buttons.addWidget(Button("Open in Workflow", clicked=lambda: self._leave(page, card)))
        buttons.addWidget(Button("Close", "filled", clicked=self.close))
        self.setLayout(column(Label(card.title, "title"), 4, Label(card.description, "body", "secondary", wrap=True), 12, text,
                              12, buttons, margins=(24, 20, 24, 20)))
        from app.config import views

        query(page, views.kit_document, card.name, key=f"details {card.name}",
              done=lambda found: text.setPlainText(found.text))

    def _leave(self, page: Page, card: Any) -> None:
        self.close()
        page.shell.go("workflow", card.name)
