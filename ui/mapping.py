"""The mapping editor: what a file (or a dataset) holds, which column plays which part, and the first rows as they will be stored.

It is read on the slow lane by :func:`app.data.views.preview_mapping`, or :func:`app.data.remap.preview`; each change of the mapping asks
again, and only the newest answer is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QGridLayout, QWidget

from ui import words
from ui.language import tr
from ui.theme import theme
from ui.widgets.buttons import Button, Choice
from ui.widgets.feedback import ErrorBanner, LoadingBar
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Badge, Card, Icon, Label, Line, clear, column, row, scrolling

if TYPE_CHECKING:
    from app.data.views import MappingPreview
    from app.errors import NeuroWeaverError
    from ui.background import Background

UNSET = "(none)"
PARTS = {"system": "System", "user": "Question", "assistant": "Answer", "tool": "Tool", "chosen": "Preferred",
         "rejected": "Rejected", "text": "Text"}


@dataclass(frozen=True, slots=True)
class Source:
    """What is mapped.  verb, deed: of the button, and its tooltip; note: what becomes of the rest; recognised: what is said of the first
    mapping shown; read(store, *values, mapping): the preview."""

    title: str
    verb: str
    deed: str
    note: str
    recognised: str
    read: Callable[..., MappingPreview]
    values: tuple[Any, ...]
    more: str = ""

    @property
    def wait(self) -> str:
        """Why the button cannot be pressed yet."""
        return f"{self.verb}: the rows are being read"


def of_file(path: Path, left: int = 0) -> Source:
    """A file to be imported.  left: how many more files wait to be shown after this one."""
    return Source(f"Import {words.short(path.name)}", "Import", "Import the whole file",
                  "The file is copied into the encrypted store, never changed. Columns without a part stay with their row.",
                  "recognised from the columns; change it if it is wrong", _read, (str(path),), f", {left} more to come" if left else "")


def of_version(name: str, dataset: str, version: int) -> Source:
    """A version of a dataset, whose columns get other parts."""
    return Source(f"Map the columns of {words.short(name)} anew", "Map anew", "Make a new version of all rows with these parts",
                  "This makes a new version; the one before stays. Columns without a part stay with their row.",
                  "as it is now", _read_version, (dataset, version))


class MappingDialog(QDialog):
    """Shows what a mapping would do.  ``take`` gets it when the user presses the button; Esc cancels."""

    def __init__(self, parent: QWidget, background: Background, source: Source, take: Callable[[dict[str, Any]], object]) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(tr(source.title + source.more))
        self.setModal(True)
        self.resize(920, 720)
        self._background, self._source, self._take = background, source, take
        self.preview: MappingPreview | None = None
        self._roles: dict[str, Choice] = {}
        self._filling = False
        self.shape = Choice("Shape of the rows")
        self.shape.setMinimumWidth(240)
        self.shape.activated.connect(lambda _index: self._ask_shape())
        self._found = Label("Reading the rows", "body", "secondary")
        self._loading = LoadingBar()
        self._fields = QGridLayout()
        self._fields.setHorizontalSpacing(12)
        self._fields.setVerticalSpacing(8)
        self._fields.setColumnStretch(3, 1)
        self._columns = Table([Column("Column", 190), Column("Becomes", 150), Column("The first values")], "Columns")
        self._columns.verticalHeader().setDefaultSectionSize(28)
        self._rows = column(gap=10)
        self._problems = column(gap=4)
        self._banner = ErrorBanner()
        self._banner.closed.connect(self._banner.hide)
        self._banner.hide()
        self.import_button = Button(source.verb, "filled", "upload", clicked=self._import)
        self.import_button.setDefault(True)
        self.import_button.allow(self._source.wait)
        self._lay_out()
        theme.dress(self)
        self.ask(None)

    def _lay_out(self) -> None:
        area = scrolling(column(
            row(Label("The rows are", "strong"), self.shape, self._found, None, gap=10), 12, self._fields, 16,
            Label("Columns", "heading"), 4, self._columns, 16, Label("The first rows as they will be stored", "heading"), 6, self._rows,
            None, margins=(24, 4, 24, 12)), "How the rows are understood")
        copied = Label(self._source.note, "small", "tertiary", elide=True)
        foot = row(copied, Button("Cancel", "outline", clicked=self.reject), self.import_button, gap=8)
        foot.setStretch(0, 1)
        whole = column(column(Label(self._source.title, "title"), margins=(24, 20, 24, 10)), self._loading,
                       column(self._banner, margins=(24, 0, 24, 0)), area, Line(), column(self._problems, margins=(24, 10, 24, 0)),
                       column(foot, margins=(24, 10, 24, 16)))
        whole.setStretch(3, 1)
        self.setLayout(whole)

    # ---- asking ----------------------------------------------------------------------------------------------------

    def ask(self, mapping: dict[str, str] | None) -> None:
        """Read the first rows with a mapping, or with what is recognised."""
        self._loading.begin()
        self.import_button.allow(self._source.wait)
        self._background.submit(self, self._source.read, *self._source.values, mapping, lane="slow", key="mapping",
                                done=self.show_preview, failed=self._failed)

    def _ask_shape(self) -> None:
        if not self._filling:
            self.ask({"shape": str(self.shape.currentData())})

    def _ask_roles(self) -> None:
        if not self._filling:
            self.ask(self.mapping())

    def mapping(self) -> dict[str, str]:
        """The shape and the column of each part, as the fields say."""
        chosen = {role: box.currentText() for role, box in self._roles.items() if box.currentIndex() > 0}
        return {"shape": str(self.shape.currentData() or ""), **chosen}

    # ---- showing ---------------------------------------------------------------------------------------------------

    def show_preview(self, found: MappingPreview) -> None:
        """Fill all of it."""
        self._loading.end()
        self._banner.hide()
        recognised = self.preview is None and bool(found.shape)
        self.preview = found
        self._filling = True
        self._show_shape(found)
        self._show_fields(found)
        self._filling = False
        if recognised:
            self._found.say(self._source.recognised)
        elif not found.shape:
            self._found.say("not recognised: choose what the rows are")
        else:
            self._found.say("")
        labels = {choice.role: choice.label for shape in found.shapes if shape.shape == found.shape for choice in shape.roles}
        self._columns.show_rows([(one.name, _column_cells(one, labels)) for one in found.columns])
        self._columns.fit_height()
        clear(self._rows)
        for stored in found.rows:
            self._rows.addWidget(_stored(stored))
        if not found.rows:
            self._rows.addWidget(Label("They appear here as soon as the columns are chosen.", "body", "tertiary"))
        self._show_problems(found)

    def _show_shape(self, found: MappingPreview) -> None:
        if not self.shape.count():
            for choice in found.shapes:
                self.shape.addItem(tr(choice.label), choice.shape)
        self.shape.setPlaceholderText(tr("Choose"))
        self.shape.setCurrentIndex(self.shape.findData(found.shape))

    def _show_fields(self, found: MappingPreview) -> None:
        choices = next((shape.roles for shape in found.shapes if shape.shape == found.shape), ())
        names = [one.name for one in found.columns]
        if [choice.role for choice in choices] != list(self._roles):
            clear(self._fields)
            self._roles = {}
            for number, choice in enumerate(choices):
                self._add_field(number, choice, names)
        for role, box in self._roles.items():
            wanted = found.mapping.get(role, "")
            box.setCurrentIndex(names.index(wanted) + 1 if wanted in names else 0)

    def _add_field(self, number: int, choice: Any, names: list[str]) -> None:
        box = self._roles[choice.role] = Choice(f"Column for: {choice.label}")
        box.addItem(tr("Choose a column") if choice.needed else tr(UNSET))
        box.addItems(names)
        box.setMinimumWidth(240)
        box.activated.connect(lambda _index: self._ask_roles())
        self._fields.addWidget(Label(choice.label, "strong"), number, 0)
        self._fields.addWidget(Icon("arrow-right", "textTertiary", 14), number, 1)
        self._fields.addWidget(box, number, 2)
        self._fields.addWidget(Label("" if choice.needed else "optional", "small", "tertiary"), number, 3)

    def _show_problems(self, found: MappingPreview) -> None:
        clear(self._problems)
        sign = ("triangle-alert", "warning") if found.usable else ("circle-alert", "danger")
        for icon, token, sentence in [*((*sign, text) for text in found.problems),
                                      *(("info", "textTertiary", text) for text in found.notes)]:
            line = row(Icon(icon, token), Label(sentence, "small", "secondary", wrap=True), gap=8)
            line.setStretch(1, 1)
            holder = QWidget()
            holder.setLayout(line)
            self._problems.addWidget(holder)
        why = f"{self._source.verb}: {found.problems[0] if found.problems else 'choose the columns first'}"
        self.import_button.allow("" if found.usable else why, self._source.deed)

    def _failed(self, problem: NeuroWeaverError) -> None:
        self._loading.end()
        self._found.say("")
        self._banner.show_problem(problem)
        self.import_button.allow(f"{self._source.verb}: {problem.what}")

    def _import(self) -> None:
        if self.preview is not None and self.preview.usable:
            self._take(self.preview.for_import())
            self.accept()


def _read(_store: object, path: str, mapping: dict[str, str] | None) -> MappingPreview:
    from app.data.views import preview_mapping

    return preview_mapping(path, mapping)


def _read_version(store: Any, dataset: str, version: int, mapping: dict[str, str] | None) -> MappingPreview:
    from app.data import remap

    return remap.preview(store, dataset, version, mapping)


def _column_cells(one: Any, labels: dict[str, str]) -> list[Cell]:
    becomes = "Training or test" if one.role == "split" else labels.get(one.role, "kept as it is")
    values = "   ·   ".join(" ".join(sample.split()) for sample in one.samples)
    return [Cell(one.name, strong=True, own=True), Cell(becomes, "text" if one.role else "textTertiary"),
            Cell(values or "empty", "textSecondary", own=bool(values))]


def _stored(stored: Any) -> QWidget:
    """One row as it will be stored, or why it will be set aside."""
    card = Card()
    card.setAccessibleName(tr(f"Row {stored.number}"))
    head = row(Label(f"Row {stored.number}", "smallstrong", "tertiary"), gap=8)
    if stored.split:
        head.addWidget(Badge({"train": "training", "test": "test"}.get(stored.split, "checks in training"), "neutral"))
    if stored.problem:
        head.addWidget(Badge("will be set aside", "warning", "triangle-alert"))
    head.addStretch(1)
    grid = QGridLayout()
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(4)
    grid.setColumnStretch(1, 1)
    lines = [(PARTS.get(part, part), text, "") for part, text in stored.parts]
    lines += [("Kept with it", "   ".join(f"{name}: {value}" for name, value in stored.meta.items()), "tertiary")] * bool(stored.meta)
    for number, (name, text, tone) in enumerate(lines):
        label = Label(name, "small", "tertiary")
        label.setFixedWidth(84)
        grid.addWidget(label, number, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(Label(text, "small", tone, wrap=True, own=True), number, 1)
    whole = column(head, grid, gap=6, margins=(14, 9, 14, 10))
    if stored.problem:
        whole.addWidget(Label(stored.problem[:1].upper() + stored.problem[1:] + ("" if stored.problem.endswith(".") else "."), "small",
                              "warning", wrap=True))
    card.setLayout(whole)
    return card
