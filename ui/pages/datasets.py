"""Datasets: what is here, its versions, its rows, what was set aside or removed and why."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QFileDialog, QPlainTextEdit, QStackedWidget, QVBoxLayout, QWidget

from ui import words
from ui.background import command, query
from ui.pages.base import Page
from ui.widgets.buttons import Button, Segments
from ui.widgets.feedback import EmptyState
from ui.widgets.listing import Entry, figures
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Card, Icon, Label, Line, clear, column, row

if TYPE_CHECKING:
    from app.data.views import DatasetView, RejectView, RowView, VersionView

LIST_WIDTH = 220
PAGE_ROWS = 100
SHARED_FROM = 24
"""A shorter common start of all questions is shown with each."""
SPLIT_WORDS = {"train": "training", "calibration": "checks in training", "test": "held back", "": "not split"}
EXPORTS = "JSON lines (*.jsonl);;CSV, safe for spreadsheets (*.csv);;Parquet (*.parquet)"
REASON_WORDS = {"near_duplicate": ("near duplicate", "near duplicates"), "exact_duplicate": ("duplicate", "duplicates"),
                "leak": ("leak into the test", "leaks into the test")}
STATE_WORDS = {"ready": "", "writing": "being read", "failed": "failed"}


class DatasetsPage(Page):
    """Datasets left; the chosen version's rows right."""

    title = "Datasets"
    subtitle = "Encrypted on this computer, each with a key of its own"
    watches = frozenset({"datasets", "dataset_versions"})
    margins = (0, 0, 0, 0)
    scrolls = False

    def build(self) -> None:
        """List, figures, table, the row that was clicked."""
        self._dataset, self._version, self._after = "", 0, [0]
        self._views: list[DatasetView] = []
        self._export = Button("Export", "outline", "download", clicked=self._export_file)
        self._import = Button("Import", "filled", "upload", clicked=self.shell.import_file)
        self.header.actions.addWidget(self._export)
        self.header.actions.addWidget(self._import)
        self._stack = QStackedWidget()
        self._stack.addWidget(EmptyState("No data yet. Drop a file here or start with a kit's data.", "table-2",
                                         Button("Import", "outline", clicked=self.shell.import_file),
                                         Button("Open kits", "outline", clicked=lambda: self.shell.go("kits"))))
        self._list = QVBoxLayout()
        self._list.setContentsMargins(8, 12, 8, 12)
        self._list.setSpacing(4)
        side = QWidget()
        side.setFixedWidth(LIST_WIDTH)
        side.setLayout(column(self._list, None, column(_drop_hint(), margins=(12, 0, 12, 12))))
        whole = row(side, Line("v"), self._right(), gap=0)
        whole.setStretch(2, 1)
        holder = QWidget()
        holder.setLayout(whole)
        self._stack.addWidget(holder)
        self.body.addWidget(self._stack, 1)
        self._export.hide()

    def _right(self) -> QWidget:
        self._versions = row(gap=6)
        self._figures = column()
        self._note = Label("", "small", "secondary", wrap=True)
        self._filter = Segments([("", "All"), ("kept", "Kept"), ("removed", "Removed"), ("rejects", "Set aside at import")],
                                size="small", name="Which rows")
        self._filter.chosen.connect(lambda _key: self._restart())
        self._rows = Table([Column("Row", 90, right=True), Column("Use", 90), Column("Question"), Column("Answer"),
                            Column("State", 220)], "Rows")
        self._rows.picked.connect(self._ask_whole)
        self._where = Label("", "small", "tertiary")
        self._previous = Button("Before", "outline", size="small", clicked=self._before)
        self._next = Button("Next", "outline", size="small", clicked=self._more)
        card = Card()
        card.setLayout(column(row(self._filter, None, self._where, self._previous, self._next, margins=(12, 8, 12, 8)), Line(),
                              column(self._rows, margins=(6, 0, 6, 4))))
        self._whole = QPlainTextEdit()
        self._whole.setReadOnly(True)
        self._whole.setProperty("code", True)
        self._whole.setAccessibleName("The row, whole")
        self._whole.setFixedHeight(150)
        self._whole.hide()
        panel = QWidget()
        layout = column(self._versions, self._figures, self._note, card, self._whole, gap=14, margins=(24, 18, 24, 18))
        layout.setStretch(3, 1)
        panel.setLayout(layout)
        return panel

    def refresh(self) -> None:
        """Ask for datasets and versions."""
        from app.data import views

        query(self, views.overview, done=self._show)

    def open(self, argument: str) -> None:
        """Show a dataset by its id."""
        self._dataset, self._version = argument, 0
        self.mark_stale()

    def _show(self, found: list[DatasetView]) -> None:
        self._views = found
        self._stack.setCurrentIndex(1 if found else 0)
        self._export.setVisible(bool(found))
        ids = [view.id for view in found]
        if self._dataset not in ids:
            self._dataset, self._version = (ids[0], 0) if ids else ("", 0)
        clear(self._list)
        for view in found:
            self._list.addWidget(self._entry(view))
        chosen = self._chosen()
        if chosen is None:
            return
        versions = [one.version for one in chosen.versions]
        if self._version not in versions:
            self._version = chosen.newest.version if chosen.newest else versions[0] if versions else 0
        self._show_versions(chosen)

    def _chosen(self) -> DatasetView | None:
        return next((view for view in self._views if view.id == self._dataset), None)

    def _entry(self, view: DatasetView) -> QWidget:
        newest = view.newest
        note = f"{newest.rows:,} rows, version {newest.version}" if newest else "no version can be read"
        return Entry(view.name, note, chosen=view.id == self._dataset, clicked=lambda: self._choose(view.id))

    def _choose(self, dataset: str) -> None:
        self._dataset, self._version = dataset, 0
        self._show(self._views)

    def _show_versions(self, view: DatasetView) -> None:
        clear(self._versions)
        for one in reversed(view.versions[:8]):
            button = Button(version_words(one), "outline", size="small", tooltip=f"{words.day(one.created)} {one.note}".strip(),
                            clicked=partial(self._choose_version, one.version))
            button.setCheckable(True)
            button.setChecked(one.version == self._version)
            self._versions.addWidget(button)
        self._versions.addStretch(1)
        chosen = next((version for version in view.versions if version.version == self._version), None)
        if chosen is not None:
            self._show_figures(view, chosen)
            self._restart()

    def _choose_version(self, version: int) -> None:
        self._version = version
        chosen = self._chosen()
        if chosen is not None:
            self._show_versions(chosen)

    def _show_figures(self, view: DatasetView, one: VersionView) -> None:
        self.header.say("Datasets", f"{view.name}, version {one.version}")
        clear(self._figures)
        pairs = [(f"{one.rows:,}", "rows kept"), (f"{one.removed:,}", "removed"), (f"{one.rejected:,}", "set aside at import")]
        pairs += [(f"{count:,}", SPLIT_WORDS.get(name, name)) for name, count in one.splits.items()]
        self._figures.addWidget(figures(*pairs))
        self._note.say(report_words(one))
        self._note.setVisible(bool(report_words(one)))

    # ---- rows ---------------------------------------------------------------------------------------------------

    def _restart(self) -> None:
        self._after = [0]
        self._whole.hide()
        self._ask_rows()

    def _more(self) -> None:
        self._after.append(self._last)
        self._ask_rows()

    def _before(self) -> None:
        if len(self._after) > 1:
            self._after.pop()
        self._ask_rows()

    def _ask_rows(self) -> None:
        from app.data import views

        if not self._dataset or not self._version:
            return
        if self._filter.choice() == "rejects":
            query(self, views.rejects, self._dataset, self._version, done=self._show_rejects, key="rows")
        else:
            query(self, views.rows_page, self._dataset, self._version, self._filter.choice(), self._after[-1],
                  done=self._show_rows, key="rows")

    def _show_rows(self, found: list[RowView]) -> None:
        self._last = found[-1].position if found else 0
        shared = shared_start([one.prompt for one in found])
        self._rows.show_rows([(str(one.position), row_cells(one, shared)) for one in found])
        self._where.say(f"Rows {found[0].position:,} to {found[-1].position:,}" if found else "No such rows")
        self._turning(first=len(self._after) <= 1, last=len(found) < PAGE_ROWS)

    def _turning(self, *, first: bool, last: bool) -> None:
        self._previous.allow("These are the first rows" if first else "", "Rows before")
        self._next.allow("These are the last rows" if last else "", "Rows after")

    def _show_rejects(self, found: list[RejectView]) -> None:
        self._rows.show_rows([("", [Cell(f"{one.number:,}"), Cell(""), Cell(one.raw, mono=True), Cell(""),
                                    Cell(one.reason, tone="warning")]) for one in found])
        self._where.say(f"{len(found):,} shown" if found else "No row was set aside")
        self._turning(first=True, last=True)

    def _ask_whole(self, key: str) -> None:
        from app.data import views

        if key:
            query(self, views.whole_row, self._dataset, self._version, int(key), done=self._show_whole)

    def _show_whole(self, content: dict[str, Any]) -> None:
        self._whole.setPlainText(json.dumps(content, indent=1, ensure_ascii=False))
        self._whole.show()

    def _export_file(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Export this version", "", EXPORTS)
        if chosen:
            self.export_to(Path(chosen))

    def export_to(self, path: Path) -> None:
        """Write the chosen version to a file."""
        from app.data import api

        command(self, _export, api.export_version, self._dataset, self._version, path, busy=self._export,
                done=lambda done: self.shell.toast(f"{done.rows:,} rows are written to {path.name}."))


def _drop_hint() -> QWidget:
    area = Card("drop")
    area.setLayout(row(None, column(Icon("file-input", "textSecondary", 20), gap=4), Label("Drop files anywhere", "small", "tertiary"),
                       None, gap=8, margins=(8, 12, 8, 12)))
    return area


def _export(store: Any, function: Any, dataset: str, version: int, path: Path) -> Any:
    return function(store, dataset, version=version, to=path)


def version_words(one: VersionView) -> str:
    """"Version 2" and its state where it is not ready."""
    state = STATE_WORDS.get(one.state, one.state)
    return f"Version {one.version}" + (f", {state}" if state else "")


def report_words(one: VersionView) -> str:
    """What refine removed, by reason."""
    reasons = one.report.get("removed") or one.report.get("reasons") or {}
    if not isinstance(reasons, dict) or not reasons:
        return ""
    said = [f"{count:,} {_reason(str(name), count)}" for name, count in reasons.items() if count]
    return f"Removed, and kept for restoring: {', '.join(said)}." if said else ""


def _reason(name: str, count: int) -> str:
    plain = name.replace("_", " ")
    return REASON_WORDS.get(name, (plain, plain))[count != 1]


def shared_start(texts: list[str]) -> int:
    """Characters that all texts begin with, up to a word's end; 0 where that is too little to leave out."""
    if len(texts) < 2:
        return 0
    first, last = min(texts), max(texts)  # what these two share, all share
    start = next((n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), min(len(first), len(last)))
    cut = first.rfind(" ", 0, start) + 1
    return cut if cut >= SHARED_FROM else 0


def row_cells(one: RowView, shared: int = 0) -> list[Cell]:
    """One row of the table; ``shared``: how much of the question all rows shown have in common."""
    removed = one.state == "removed"
    state = Cell(f"{one.reason.replace('_', ' ')} {one.detail}".strip() if removed else "kept",
                 tone="warning" if removed else "textSecondary", dot="warning" if removed else "success")
    return [Cell(f"{one.position:,}", tone="textSecondary"), Cell(SPLIT_WORDS.get(one.split, one.split), tone="textSecondary"),
            Cell(f"… {one.prompt[shared:]}" if shared else one.prompt), Cell(one.answer), state]
