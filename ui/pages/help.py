"""Help: short texts, what changed, and what the product is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QTextBrowser, QWidget

from app.store.profile import project_dir
from ui.background import query
from ui.language import current, tr
from ui.pages.base import Page
from ui.widgets.richtext import show_markdown
from ui.widgets.sidelist import SideLine, SideList
from ui.widgets.text import Line, column, row

if TYPE_CHECKING:
    from app.config.about import Part

ABOUT = "About NeuroWeaver"
LIST_WIDTH = 230
OF_PAGE = {"Datasets": "Data", "Runs": "Training and proof", "Models": "Training and proof", "Workflow": "Workflow",
           "Playground": "Endpoint", "Endpoint": "Endpoint", "Costs": "Costs and privacy", "Settings": "Costs and privacy"}


def texts() -> dict[str, Path]:
    """Title and file of each help text, in order; the changelog last."""
    folder = project_dir() / "resources"
    files = [*sorted((folder / "help").glob("*.md")), folder / "changelog.md"]
    return {title_of(file): file for file in files}


def in_language(file: Path) -> Path:
    """The same text in the language in force, where there is one."""
    other = file.parent / current() / file.name
    return other if other.is_file() else file


def title_of(file: Path) -> str:
    """The first heading of a Markdown file."""
    with file.open(encoding="utf-8") as stream:
        return stream.readline().lstrip("# ").strip()


class HelpPage(Page):
    """Contents left, text right."""

    title = "Help"
    subtitle = "Everything here is on this computer"
    margins = (0, 0, 0, 0)
    scrolls = False

    def build(self) -> None:
        """A list of texts and the text."""
        self._files = texts()
        self.list = SideList("Contents")
        self.list.setFixedWidth(LIST_WIDTH)
        self.list.chosen.connect(self._show)
        self._text = QTextBrowser()
        self._text.setOpenExternalLinks(False)
        self._text.setAccessibleName(tr("Text"))
        self._text.setFrameShape(QTextBrowser.Shape.NoFrame)
        self._text.document().setDocumentMargin(28)
        self._text.setStyleSheet("border: none;")
        self._text.setMaximumWidth(820)
        holder = QWidget()
        holder.setLayout(column(self.list, margins=(0, 8, 0, 0)))
        line = row(holder, Line("v"), self._text, gap=0)
        line.addStretch(0)
        line.setStretch(2, 1)
        self.body.addLayout(line, 1)
        self._choose(next(iter(self._files)))

    def _choose(self, title: str) -> None:
        self.list.show_lines([SideLine(one, one) for one in [*self._files, ABOUT]], title)
        self._show(title)

    def open(self, argument: str) -> None:
        """Show a text by its title, or the one that belongs to a page."""
        wanted = OF_PAGE.get(argument, argument)
        if wanted in (*self._files, ABOUT):
            self._choose(wanted)

    def refresh(self) -> None:
        """Ask for the parts if they are to be shown."""
        if self.list.key() == ABOUT:
            self._ask_parts()

    def _show(self, title: str) -> None:
        if title == ABOUT:
            self._text.setMarkdown(f"# {tr(ABOUT)}\n\n{tr('Reading what it is made of.')}")
            self._ask_parts()
        elif title in self._files:
            show_markdown(self._text, in_language(self._files[title]).read_text(encoding="utf-8"))

    def _ask_parts(self) -> None:
        if self.background.store is not None:
            query(self, _parts, done=self._show_parts, slow=True)

    def _show_parts(self, found: list[Part]) -> None:
        if self.list.key() != ABOUT:
            return
        lines = [f"# {tr(ABOUT)}", "", tr("Version 0.1.0. No telemetry, no account; nothing leaves this computer."), "",
                 tr(f"It is made of {len(found)} parts; each keeps its own licence."), "",
                 f"| {tr('Part')} | {tr('Version')} | {tr('Licence')} |", "|---|---|---|"]
        lines += [f"| {part.name} | {part.version} | {part.licence.replace('|', '/')} |" for part in found]
        self._text.setMarkdown("\n".join(lines))


def _parts(_store: object) -> list[Part]:
    from app.config.about import parts

    return parts()
