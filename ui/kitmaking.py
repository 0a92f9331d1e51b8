"""Make a kit from a run: what it is called, what its file carries and what it never does, and where to write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QAbstractSpinBox, QDialog, QGridLayout, QLineEdit, QPlainTextEdit, QSpinBox, QWidget

from ui.background import command, query
from ui.dialogs import KIT_FILES, choose_place
from ui.language import tr
from ui.widgets.buttons import Button, Choice
from ui.widgets.feedback import ErrorBanner
from ui.widgets.text import Icon, Label, Line, column, row

if TYPE_CHECKING:
    from app.errors import NeuroWeaverError
    from ui.pages.base import Page

DOMAINS = (("own", "Own field"), ("legal", "Legal"), ("healthcare", "Healthcare"), ("finance", "Finance"))
NEVER = "Never in it: rows, questions, answers, samples, prompts, paths, and the names of your files, datasets, steps and models."


class MakeKitDialog(QDialog):
    """For one run, or for one that is chosen here.  Esc leaves everything as it is."""

    def __init__(self, page: Page, run: str = "") -> None:
        super().__init__(page)
        self.setWindowTitle(tr("Make a kit from a run"))
        self.setMinimumWidth(620)
        self._page, self.background, self.show_error = page, page.background, page.show_error
        self.run = Choice("From run")
        self.title, self.summary = QLineEdit(), QPlainTextEdit()
        self.licence, self.version = QLineEdit(), QSpinBox()
        self.domain = Choice("Field")
        for key, text in DOMAINS:
            self.domain.addItem(tr(text), key)
        for field, name in ((self.title, "Title"), (self.summary, "What it teaches"), (self.licence, "Licence"),
                            (self.version, "Version")):
            field.setAccessibleName(tr(name))
        self.title.setMaxLength(60)
        self.title.setPlaceholderText(tr("Kit from this run"))
        self.summary.setPlaceholderText(tr("What it teaches, for whom, and what it is not. These words go into the file."))
        self.summary.setFixedHeight(72)
        self.licence.setPlaceholderText(tr("Not stated; for example CC0-1.0"))
        self.version.setRange(1, 9999)
        self.version.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        self._carries, self._sign = Label("", "small", "secondary", wrap=True), Icon("info", "textTertiary")
        self._sign.hide()
        self._banner = ErrorBanner()
        self._banner.closed.connect(self._banner.hide)
        self._banner.hide()
        self.save = Button("Save the kit file", "filled", "save", clicked=self._save)
        self.save.setDefault(True)
        self.save.allow("Save: choose a run first")
        self._lay_out()
        self.run.activated.connect(lambda _index: self._look())
        self._find(run)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        grid.setRowMinimumHeight(2, 80)
        fields: list[tuple[str, QWidget]] = [("From run", self.run), ("Title", self.title), ("What it teaches", self.summary),
                                             ("Field", self.domain), ("Licence", self.licence), ("Version", self.version)]
        for number, (name, field) in enumerate(fields):
            grid.addWidget(Label(name, "strong"), number, 0)
            grid.addWidget(field, number, 1)
        never = row(Icon("shield-check", "success"), Label(NEVER, "small", "secondary", wrap=True), gap=8)
        carries = row(self._sign, self._carries, gap=8)
        for line in (never, carries):
            line.setStretch(1, 1)
        foot = row(None, Button("Cancel", "outline", clicked=self.reject), self.save, gap=8)
        self.setLayout(column(Label("Make a kit from a run", "title"), 4,
                              Label("One file that others run on their own data.", "body", "secondary"), 12, self._banner, grid, 14,
                              Line(), 12, never, 6, carries, 16, foot, margins=(24, 20, 24, 20)))

    # ---- which run ---------------------------------------------------------------------------------------------

    def _find(self, run: str) -> None:
        from app.workflow import views

        query(self, views.runs, key="runs for a kit", done=lambda lines: self.show_runs(lines, run))

    def show_runs(self, lines: list[Any], wanted: str) -> None:
        """All finished runs, the newest first; the wanted one is chosen."""
        for line in (line for line in lines if line.state == "done"):
            self.run.addItem(tr(f"Run {line.number}, {line.name}"), line.id)
        self.run.setCurrentIndex(max(self.run.findData(wanted), 0) if self.run.count() else -1)
        if self.run.count():
            self._look()
        else:
            self._say("No run is finished yet. A kit states what its run measured.")

    def _look(self) -> None:
        """Make it once without writing, to say what it carries."""
        query(self, _made, self.run.currentData(), slow=True, key="look at a kit", done=self.show_made,
              failed=self._failed)

    def show_made(self, made: Any) -> None:
        """What of the user's own words is in it."""
        names = ", ".join(f"“{name}”" for name in made.carried)
        said = f"These names of columns and answer fields are in it: {names}." if names else "No name of a column is in it."
        left = f" Left out: {', '.join(made.left_out)}." if made.left_out else ""
        self._banner.hide()
        self._say(f"In it: the steps and their settings, the measured figures. {said}{left}")
        self.title.setPlaceholderText(tr(made.title))
        self.save.allow("", "Choose where the file goes")

    def _say(self, words: str) -> None:
        self._sign.show()
        self._carries.say(words)
        self._fit()

    def _failed(self, problem: NeuroWeaverError) -> None:
        self._banner.show_problem(problem)
        self.save.allow(f"Save: {problem.what}")
        self._fit()

    def _fit(self) -> None:
        """As high as its words need at this width; it would lay the fields over one another."""
        layout = self.layout()
        if layout is not None:
            layout.activate()
            self.resize(self.width(), max(layout.totalHeightForWidth(self.width()), layout.totalMinimumSize().height()))

    # ---- writing -----------------------------------------------------------------------------------------------

    def _save(self) -> None:
        from app.workflow import kit_making

        title = self.title.text().strip() or self.title.placeholderText()
        to = choose_place(self, "Save the kit file", f"{kit_making.slug(title)}.nwkit", KIT_FILES)
        if to is None:
            return
        about = kit_making.About(title, self.summary.toPlainText().strip(), str(self.domain.currentData()),
                                 self.licence.text().strip(), self.version.value())
        command(self, kit_making.export_kit, self.run.currentData(), to, about, busy=self.save,
                done=lambda made: self._saved(made, to), failed=self._failed)

    def _saved(self, made: Any, to: Any) -> None:
        shell = self._page.shell
        self.accept()
        shell.toast(f"{made.title} is saved: {len(made.content):,} bytes, no rows.", action="Add to my kits",
                    then=lambda: shell.open_kit(to))


def _made(store: Any, run: str) -> Any:
    """The kit of a run; what makes one is imported on the lane, which takes a tenth of a second."""
    from app.workflow import kit_making

    return kit_making.make_kit(store, run)
