"""Kits: which one fits this computer, and did it help?"""

from __future__ import annotations

import html
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QDialog, QGridLayout, QLineEdit, QTextBrowser, QWidget

from ui import words
from ui.background import command, query
from ui.dialogs import DATA_FILES, choose_file, tell
from ui.kitmaking import MakeKitDialog
from ui.language import tr
from ui.pages.base import Page
from ui.theme import tokens
from ui.turns import Turns
from ui.widgets.buttons import Button, Segments
from ui.widgets.feedback import EmptyState
from ui.widgets.kit import KitCardWidget
from ui.widgets.richtext import show_markdown
from ui.widgets.text import Icon, Label, column, row
from ui.widgets.verdict import Ring

MINE = "mine"
_DOMAINS = [("", "All"), ("legal", "Legal"), ("healthcare", "Healthcare"), ("finance", "Finance"), (MINE, "My kits")]
Says = tuple[Any, Any, Any, bool]
"""What a card is made from: the kit, whether it fits, its newest run, whether it is the first."""
CARD_WIDTH = 340
"""A card is at least so wide; a narrow window has fewer in a row."""


class KitsPage(Page):
    """A gallery; each card shows what it needs, whether it fits, and the measured result."""

    title = "Kits"
    subtitle = "Ready-made specialisations with data, tests and a measured result"
    watches = frozenset({"runs", "evaluations"})
    margins = (28, 20, 28, 24)

    def build(self) -> None:
        self._cards: list[Any] = []
        self._last: dict[str, Any] = {}
        self._fits: dict[str, Any] = {}
        self._wanted = ""
        self._across = 3
        self.header.actions.addWidget(Button("Open a kit file", icon_name="folder-open", clicked=self.shell.open_kit,
                                             tooltip="Open a kit that somebody shares"))
        self.header.actions.addWidget(Button("Make a kit from a run", icon_name="plus", clicked=self.make_kit,
                                             tooltip="One file without a row, for others to run on their data"))
        self._domain = Segments(_DOMAINS, name="Field")
        self._domain.chosen.connect(lambda _key: self._lay_out())
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Search kits"))
        self.search.setAccessibleName(tr("Search kits"))
        self.search.setProperty("soft", True)
        self.search.setMaximumWidth(260)
        self.search.setMinimumWidth(120)
        self.search.textChanged.connect(lambda _text: self._lay_out())
        self._judged = Label("", "body", "secondary", elide=True)
        head = row(self._domain, self.search, 12, Icon("cpu"), self._judged, gap=12)
        head.setStretch(4, 1)
        self.body.addLayout(head)
        self._grid = QGridLayout()
        self._grid.setSpacing(16)
        self.body.addLayout(self._grid)
        self._empty = EmptyState("No kit matches. Kits are folders in “kits”, or files that others share with you.", "library-big")
        self.body.addWidget(self._empty)
        self.body.addStretch(1)
        note = ("Points are percent right on rows held back from training. The bar is the 95 % margin of the difference, drawn at "
                "tuned.")
        self._legend = QWidget()
        legend = row(Ring("base"), Label("base", "small", "secondary"), 4, Ring("tuned"),
                     Label("tuned", "small", "secondary"), 10, Label(note, "small", "tertiary", elide=True), gap=6)
        legend.setStretch(legend.count() - 1, 1)
        self._legend.setLayout(legend)
        self.body.addWidget(self._legend)
        self.widgets: list[KitCardWidget] = []
        self._made: list[tuple[Says, KitCardWidget]] = []
        self._turns = Turns(self)

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

    # ---- showing ------------------------------------------------------------------------------------------------

    def _show_kits(self, cards: list[Any]) -> None:
        from app.training import views as training

        self._cards = sorted(cards, key=lambda card: card.users)
        bases = tuple({card.base_model: card.parameters for card in cards if card.base_model}.items())
        query(self, training.fits, bases, done=self._show_fits, slow=True)
        self._lay_out()
        self._open_wanted()

    def _show_last(self, last: dict[str, Any]) -> None:
        self._last = last
        self._lay_out()

    def _show_computer(self, found: Any) -> None:
        self._judged.say(f"Judged for this computer, {found.cores} cores, {words.size(found.memory_total)} memory")

    def _show_fits(self, found: dict[str, Any]) -> None:
        self._fits = found
        self._lay_out()

    def _lay_out(self) -> None:
        """The cards that are chosen: one that would say the same stays, the others are made in a turn each and then all are shown."""
        typed, domain = self.search.text().lower(), self._domain.choice()
        chosen = [card for card in self._cards if _in_domain(card, domain)
                  and typed in f"{card.title} {card.description} {card.name} {card.domain}".lower()]
        wanted = [(card, self._fits.get(card.base_model), self._last.get(card.name), number == 0) for number, card in enumerate(chosen)]
        known = [says for says, _ in self._made]
        missing = [says for says in wanted if says not in known]
        if missing:
            self._turns.begin(*(partial(self._make, says) for says in missing), partial(self._place, wanted))
        else:
            self._turns.begin()
            self._place(wanted)

    def _make(self, says: Says) -> None:
        card, fit, last, first = says
        widget = KitCardWidget(card, fit, last, partial(self._run, card), partial(self._why, card), partial(self._details, card),
                               first=first)
        widget.hide()
        widget.setParent(self)  # it takes on the style here, not together with the others
        self._made.append((says, widget))

    def _place(self, wanted: list[Says]) -> None:
        for says, widget in self._made:
            self._grid.removeWidget(widget)
            if says not in wanted:
                widget.hide()
                widget.deleteLater()
        self._made = [(says, widget) for says, widget in self._made if says in wanted]
        self.widgets = [next(widget for known, widget in self._made if known == says) for says in wanted]
        for place in range(3):
            self._grid.setColumnStretch(place, 1 if place < self._across else 0)
        for number, widget in enumerate(self.widgets):
            self._grid.addWidget(widget, *divmod(number, self._across))
            widget.show()
        self._empty.setVisible(not wanted)
        self._legend.setVisible(bool(wanted))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A narrow window has fewer cards in a row."""
        super().resizeEvent(event)
        across = min(max((self.width() - 56) // CARD_WIDTH, 1), 3)
        if across != self._across:
            self._across = across
            self._lay_out()

    # ---- doing --------------------------------------------------------------------------------------------------

    def _run(self, card: Any, button: Button, data: Path | None) -> None:
        """Start it; a kit without rows asks for the user's file."""
        if card.needs_data and data is None:
            data = choose_file(self, f"Choose the data for {card.title}", DATA_FILES)
            if data is None:
                return
        self.shell.run(card.name, busy=button, data=data)

    def run_primary(self) -> None:
        if self.widgets:
            self.widgets[0].run_button.click()

    def make_kit(self) -> None:
        """Choose a finished run and write its kit file."""
        _show(MakeKitDialog(self))

    def _why(self, card: Any, reason: str) -> None:
        tell(self, f"Why {card.title} cannot run here", reason)

    def _details(self, card: Any) -> None:
        _show(KitDetails(self, card))


def _in_domain(card: Any, domain: str) -> bool:
    return not domain or (card.users if domain == MINE else card.domain.lower() == domain)


def _show(dialog: QDialog) -> None:
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.open()


class KitDetails(QDialog):
    """What a kit says of itself, and its document."""

    def __init__(self, page: KitsPage, card: Any) -> None:
        super().__init__(page)
        self.setWindowTitle(tr(card.title))
        self.resize(760, 620)
        self._page, self._card = page, card
        self.background, self.show_error = page.background, page.show_error  # it asks by itself: no answer once it is closed
        self._texts = {"card": "", "document": ""}
        self._text = QTextBrowser()
        self._text.setOpenLinks(False)
        self._text.document().setDocumentMargin(14)
        self._text.setAccessibleName(tr("The kit's model card or document"))
        self._which = Segments([("card", "Model card"), ("document", "Document")], size="small", name="Model card or document")
        self._which.chosen.connect(lambda _key: self._show())
        buttons = row(gap=8)
        if card.users:
            buttons.addWidget(Button("Remove", "danger", "trash-2", tooltip="Take it out of your kits", clicked=self._remove))
        buttons.addStretch(1)
        if page.shell.has("workflow"):
            buttons.addWidget(Button("Open in Workflow", clicked=self._leave))
        buttons.addWidget(Button("Close", "filled", clicked=self.close))
        self.setLayout(column(Label(card.title, "title"), 4, Label(card.description, "body", "secondary", wrap=True), 12,
                              row(self._which, None), 8, self._text, 12, buttons, margins=(24, 20, 24, 20)))
        from app.config import views

        query(self, views.kit_card, card.name, done=partial(self._fill, "card"))
        query(self, views.kit_document, card.name, done=lambda found: self._fill("document", found.text))

    def _fill(self, which: str, text: str) -> None:
        self._texts[which] = text
        self._show()

    def _show(self) -> None:
        text = self._texts[self._which.choice()]
        if self._which.choice() == "card":
            show_markdown(self._text, text)
        else:
            self._text.setHtml(f'<pre style="font-family:{tokens()["font"]["mono"][0]}">{html.escape(text)}</pre>')

    def _leave(self) -> None:
        self.close()
        self._page.shell.go("workflow", self._card.name)

    def _remove(self) -> None:
        from app.workflow import kit_opening

        page, name, title = self._page, self._card.name, self._card.title
        self.close()

        def undo() -> None:
            command(page, kit_opening.restore_kit, name, done=lambda _n: page.mark_stale())

        def removed(_place: Any) -> None:
            page.mark_stale()
            page.shell.toast(f"Removed {title}.", action="Undo", then=undo)

        command(page, kit_opening.remove_kit, name, done=removed)
