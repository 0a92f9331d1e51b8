"""One step of the refinery on the version shown: its settings as a form made from its node, done by a run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QGridLayout, QWidget

from ui import words
from ui.background import command, query
from ui.canvas.inspector import FieldRow
from ui.language import tr
from ui.widgets.buttons import Button, Choice
from ui.widgets.feedback import ErrorBanner, LoadingBar
from ui.widgets.text import Label, Line, column, row, scrolling

if TYPE_CHECKING:
    from app.config.forms import FormField
    from app.errors import NeuroWeaverError
    from ui.pages.base import Page

STEPS = (
    ("data.assess", "Measure quality", "Every row gets scores and the dataset one figure with its parts. No row is changed."),
    ("data.clean", "Clean the texts", "Letters of a wrong encoding, markup, blanks and boilerplate are mended; answers that break off are "
     "flagged."),
    ("data.refine", "Remove repeats and contradictions", "Of rows that say the same the best one stays, and says why. Rows that contradict "
     "each other are flagged."),
    ("data.redact", "Replace private data", "Names, numbers and addresses get stand-ins, the same person the same one. What is uncertain "
     "waits for your review."),
    ("data.split", "Hold rows back for the test", "Each row goes to training, checks or test; rows that are alike stay together."),
    ("data.select", "Choose rows to train on", "By chance, kind, difference, difficulty or likeness, within a budget of rows, tokens or "
     "minutes."),
)
"""Node, what the menu says, what it does."""


class StepDialog(QDialog):
    """The settings of one of STEPS; Start makes a run of it on a version of a dataset and shows that."""

    def __init__(self, page: Page, node: str, name: str, dataset: str, version: int) -> None:
        super().__init__(page)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        _, title, about = next(one for one in STEPS if one[0] == node)
        self.setWindowTitle(tr(title))
        self.setModal(True)
        self.resize(680, 560)
        self._page, self.background, self.show_error = page, page.background, self._failed
        self._node, self._of = node, (name, dataset, version)
        self.given: dict[str, Any] = {}
        """Settings that are not the node's own, as a document has them."""
        self.rows: dict[tuple[str, ...], FieldRow] = {}
        self.model = Choice("Base model")
        self._model_line = QWidget()
        self._model_line.setLayout(row(Label("Base model", "strong"), self.model, None, gap=12))
        self._model_line.hide()
        self._loading, self._banner = LoadingBar(), ErrorBanner()
        self._banner.closed.connect(self._banner.hide)
        self._banner.hide()
        self.start = Button("Start", "filled", "play", clicked=self._start)
        self.start.setDefault(True)
        self.start.allow("Reading the settings")
        after = "" if node == "data.assess" else " A new version is made; this one stays, and every change can be undone."
        self.setLayout(self._layout(title, f"{name}, version {version}. {about}{after}"))
        self._loading.begin()
        query(self, _form, node, done=self._show, slow=True)

    def _layout(self, title: str, about: str) -> Any:
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(24)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnMinimumWidth(0, 240)
        self._grid.setColumnStretch(1, 1)
        area = scrolling(column(self._grid, None, margins=(24, 8, 24, 8)), "Settings of the step")
        head = column(Label(title, "title"), 4, Label(about, "body", "secondary", wrap=True), 8, self._banner, self._model_line,
                      margins=(24, 20, 24, 10))
        foot = row(None, Button("Cancel", "outline", clicked=self.reject), self.start, gap=8, margins=(24, 10, 24, 16))
        whole = column(head, self._loading, Line(), area, Line(), foot)
        whole.setStretch(3, 1)
        return whole

    # ---- the form --------------------------------------------------------------------------------------------------

    def _show(self, found: tuple[Any, list[FormField], list[str]]) -> None:
        """A field for each parameter; the base model where the step may need one."""
        from app.config import forms

        model, fields, bases = found
        self._loading.end()
        for name in bases:
            self.model.addItem(words.model_name(name), name)
        self._model_line.setVisible(bool(bases))
        section = ""
        for field in fields:
            place = self._grid.rowCount()
            if field.section != section:
                section = field.section
                self._grid.addWidget(Label(section, "heading"), place, 0, 1, 2)
                place += 1
            made = self.rows[field.path] = FieldRow(field, partial(forms.wrong, model, field.path))
            made.show_value(field.default, "default", "")
            made.changed.connect(partial(self._set, field.path))
            made.reset.connect(partial(self._reset, field))
            self._grid.addWidget(made, place, 0, Qt.AlignmentFlag.AlignTop)
            self._grid.addLayout(column(20, Label(field.help, "small", "secondary", wrap=True), None), place, 1)
        self.start.allow()

    def _set(self, path: tuple[str, ...], value: Any) -> None:
        inside = self.given
        for key in path[:-1]:
            inside = inside.setdefault(key, {})
        inside[path[-1]] = value
        self.rows[path].show_value(value, "here", "")

    def _reset(self, field: FormField) -> None:
        inside: Any = self.given
        for key in field.path[:-1]:
            inside = inside.get(key, {})
        inside.pop(field.path[-1], None)
        self.rows[field.path].show_value(field.default, "default", "")

    # ---- starting --------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        wrong = next((line for line in self.rows.values() if not line.take()), None)
        if wrong is not None:
            wrong.editor.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        base = str(self.model.currentData() or "")
        command(self, _submit, self._node, *self._of, dict(self.given), base, busy=self.start, done=self._begun)

    def _begun(self, run: str) -> None:
        page = self._page
        self.accept()
        page.shell.go("runs", run)

    def _failed(self, problem: NeuroWeaverError) -> None:
        self._loading.end()
        self._banner.show_problem(problem)


def _form(store: Any, node: str) -> tuple[Any, list[FormField], list[str]]:
    """The parameter model of a node, its fields, and the base models to choose from where it may need one; imports the nodes."""
    from app.config import forms
    from app.training import preview
    from app.workflow import registry

    found = registry.find(node)
    return found.params_model, forms.fields(found.params_model), preview.models(store) if found.accelerator else []


def _submit(store: Any, node: str, name: str, dataset: str, version: int, params: dict[str, Any], base: str) -> str:
    from app.data import workflows
    from app.workflow import runs

    title = next(title for known, title, _ in STEPS if known == node)
    return runs.submit_text(store, workflows.one_step(f"{title}: {name}", dataset, version, node, params, base))
