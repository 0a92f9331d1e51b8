"""Datasets: what is here, its versions, its rows, how good they are, and what the model is fed of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFileDialog, QMenu, QStackedWidget, QWidget

from ui.background import command, query
from ui.dataset.datawords import STATE_WORDS
from ui.dataset.quality import QualityPane
from ui.dataset.rowspane import RowsPane
from ui.dataset.seen import SeenPane
from ui.dataset.versions import VersionsPane
from ui.language import tr
from ui.pages.base import Page
from ui.widgets.buttons import Button, Tabs
from ui.widgets.feedback import EmptyState
from ui.widgets.listing import figures
from ui.widgets.sidelist import SideLine, SideList
from ui.widgets.text import Card, Icon, Label, Line, clear, column, row

if TYPE_CHECKING:
    from app.data.views import DatasetView, VersionView
    from app.data.workflows import Way

LIST_WIDTH = 200
LIST_HIDDEN_BELOW = 1000
"""Width of the page under which the list makes room for the row that was chosen."""
EXPORTS = "JSON lines (*.jsonl);;CSV, safe for spreadsheets (*.csv);;Parquet (*.parquet)"
TABS = [("rows", "Rows"), ("quality", "Quality"), ("seen", "As the model sees it"), ("versions", "Versions")]


class DatasetsPage(Page):
    """Datasets left; the chosen version right, in four parts."""

    title = "Datasets"
    subtitle = "Encrypted on this computer, each with a key of its own"
    watches = frozenset({"datasets", "dataset_versions"})
    margins = (0, 0, 0, 0)
    scrolls = False

    def build(self) -> None:
        """List, figures, tabs."""
        self._dataset, self._version = "", 0
        self._views: list[DatasetView] = []
        self._position = 0
        self._make_actions()
        self._stack = QStackedWidget()
        self._stack.addWidget(EmptyState("No data yet. Drop a file here or start with a kit's data.", "table-2",
                                         Button("Import", "outline", clicked=self.shell.import_file),
                                         Button("Open kits", "outline", clicked=lambda: self.shell.go("kits"))))
        whole = row(self._side(), Line("v"), self._right(), gap=0)
        whole.setStretch(2, 1)
        holder = QWidget()
        holder.setLayout(whole)
        self._stack.addWidget(holder)
        self.body.addWidget(self._stack, 1)
        self._show_actions()

    def _make_actions(self) -> None:
        self._review = Button("Review private data", "quiet", "shield", tooltip="Look at what was found, row by row",
                              clicked=self._open_review)
        self._compare = Button("Compare versions", "outline", "git-branch", clicked=self._compare_versions)
        self._export = Button("Export", "outline", "download", tooltip="Write the rows that the filter shows to a file",
                              clicked=self._export_file)
        self._prepare = Button("Prepare", "outline", "workflow", tooltip="Measure, clean, refine, redact, divide or choose the "
                               "rows of this version, or make more", clicked=self._open_steps)
        self._more = Button("", "outline", "ellipsis", tooltip="Another name, erase", clicked=self._open_menu)
        self._import = Button("Import", "filled", "upload", clicked=self.shell.import_file)
        for button in (self._review, self._prepare, self._compare, self._export, self._more, self._import):
            self.header.actions.addWidget(button)
        self.menu = QMenu(self)
        self.menu.addAction(tr("Rename this dataset"), self._rename)
        self.menu.addAction(tr("Erase this dataset"), self._ask_erase)

    def _side(self) -> QWidget:
        self.list = SideList("Datasets")
        self.list.chosen.connect(self._choose)
        self._side_list = QWidget()
        self._side_list.setFixedWidth(LIST_WIDTH)
        layout = column(self.list, column(_drop_hint(), margins=(8, 8, 8, 12)), margins=(0, 10, 0, 0))
        layout.setStretch(0, 1)
        self._side_list.setLayout(layout)
        return self._side_list

    def _right(self) -> QWidget:
        self._figures = column()
        self.tabs = Tabs(TABS, name="Parts of the dataset")
        self.tabs.chosen.connect(self._show_tab)
        self._parts = QStackedWidget()
        panel = QWidget()
        layout = column(column(self._figures, margins=(20, 14, 20, 6)), column(self.tabs, margins=(20, 0, 20, 0)), self._parts)
        layout.setStretch(2, 1)
        panel.setLayout(layout)
        return panel

    def parts(self) -> Iterator[None]:
        """One tab after the other, each made in one turn and put in place in the next."""
        self.rows = RowsPane(self)
        self.rows.changed.connect(self._choose_version)
        self.rows.row_chosen.connect(self._remember_row)
        self.rows.panel_shown.connect(lambda _shown: self._make_room())
        yield
        self._parts.addWidget(self.rows)
        yield
        self.quality, self.seen = QualityPane(self, partial(self.ask_step, "data.assess")), SeenPane(self)
        self.quality.rows_wanted.connect(self._show_scored)
        self.seen.moved.connect(self._next_row)
        yield
        self._parts.addWidget(self.quality)
        self._parts.addWidget(self.seen)
        yield
        self.versions = VersionsPane(self)
        self.versions.chosen.connect(self._choose_version)
        self._panes = {"rows": self.rows, "quality": self.quality, "seen": self.seen, "versions": self.versions}
        yield
        self._parts.addWidget(self.versions)

    # ---- datasets and versions -------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Ask for datasets and versions."""
        from app.data import views

        query(self, views.overview, done=self._show)

    def open(self, argument: str) -> None:
        """Show a dataset by its id, or a version of it by "id@version"."""
        dataset, _, version = argument.partition("@")
        self._dataset, self._version = dataset, int(version or 0)
        self.mark_stale()

    def _show(self, found: list[DatasetView]) -> None:
        self._views = found
        self._stack.setCurrentIndex(1 if found else 0)
        ids = [view.id for view in found]
        if self._dataset not in ids:
            self._dataset, self._version = (ids[0], 0) if ids else ("", 0)
        chosen = self._chosen()
        if chosen is not None:
            versions = [one.version for one in chosen.versions]
            if self._version not in versions:
                self._version = chosen.newest.version if chosen.newest else versions[0] if versions else 0
            self._show_version(chosen)
        self.list.show_lines([SideLine(view.id, view.name, _list_note(view), own=True) for view in found], self._dataset)
        self._show_actions()

    def _chosen(self) -> DatasetView | None:
        return next((view for view in self._views if view.id == self._dataset), None)

    def _choose(self, dataset: str) -> None:
        self._dataset, self._version, self._position = dataset, 0, 0
        self._show(self._views)

    def _choose_version(self, version: int) -> None:
        self._version = version
        self.mark_stale()

    def _show_version(self, view: DatasetView) -> None:
        one = next((version for version in view.versions if version.version == self._version), None)
        if one is None:
            return
        if one.state == "ready":
            self.rows.show_version(self._dataset, one)  # first: they are read while the rest of the page is filled
        state = STATE_WORDS.get(one.state, one.state)
        self.header.say("Datasets", f"{view.name}, version {one.version}{', ' + state if state else ''}")
        self._show_figures(one)
        self.tabs.count("versions", len([version for version in view.versions if version.state != "failed"]))
        self._show_tab(self.tabs.choice())

    def _show_figures(self, one: VersionView) -> None:
        clear(self._figures)
        pairs = [(f"{one.rows:,}", f"rows kept of {one.rows + one.removed:,}"), (f"{one.removed:,}", "removed, can be restored")]
        assessed = one.report.get("assessment")
        if isinstance(assessed, dict):
            pairs.append((f"{assessed['score']:.0f}", "quality, of 100"))
        if one.rejected:
            pairs.append((f"{one.rejected:,}", "set aside at import"))
        if one.splits:
            pairs.append((f"{one.splits.get('test', 0):,}", "held back for the test"))
        self._figures.addWidget(figures(*pairs))

    # ---- parts -----------------------------------------------------------------------------------------------------

    def _show_tab(self, key: str) -> None:
        self.tabs.choose(key)
        self._parts.setCurrentWidget(self._panes[key])
        if key == "quality":
            self.quality.show_version(self._dataset, self._version)
        elif key == "seen":
            self.seen.show_row(self._dataset, self._version, self._position)
        elif key == "versions":
            self.versions.show_dataset(self._dataset, self._version)

    def _remember_row(self, position: int) -> None:
        self._position = position

    def _next_row(self, step: int) -> None:
        from app.data import browse

        query(self, browse.neighbour, self._dataset, self._version, self.seen.position, step, done=self._show_seen)

    def _show_seen(self, position: int) -> None:
        self._position = position
        self.seen.show_row(self._dataset, self._version, position)

    def _show_scored(self, score: str, low: float, high: float) -> None:
        self._show_tab("rows")
        self.rows.filters.set(score=score, low=low if low > -1e300 else None, high=high if high < 1e300 else None)

    def _make_room(self) -> None:
        self._side_list.setVisible(not self.rows.panel.isVisibleTo(self) or self.width() >= LIST_HIDDEN_BELOW)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Narrow: the chosen row takes the room of the list."""
        super().resizeEvent(event)
        self._make_room()

    # ---- deeds -----------------------------------------------------------------------------------------------------

    def _show_actions(self) -> None:
        from app.data import views

        chosen = self._chosen()
        ready = [one for one in chosen.versions if one.state == "ready"] if chosen is not None else []
        for button in (self._export, self._more):
            button.setVisible(chosen is not None)
        self._prepare.setVisible(self._shown() is not None)
        self._compare.setVisible(len(ready) > 1)
        self._review.hide()
        self.background.forget(self, "findings")  # of a version shown before
        if any(one.version == self._version for one in ready):
            query(self, views.open_findings, self._dataset, self._version, done=self._show_review, slow=True, key="findings")

    def _show_review(self, waiting: int | None) -> None:
        """A version that was redacted can be reviewed; the button counts what waits for a person."""
        from ui.review import review_words

        self._review.setVisible(waiting is not None)
        self._review.say(review_words(waiting or 0))

    def _open_review(self) -> None:
        from ui.review import open_review

        open_review(self, self._dataset, self._version)

    def _compare_versions(self) -> None:
        chosen = self._chosen()
        one = next((version for version in chosen.versions if version.version == self._version), None) if chosen else None
        ready = [version.version for version in chosen.versions if version.state == "ready"] if chosen else []
        if one is None or len(ready) < 2:
            return
        other = one.parent or next((version for version in ready if version < self._version), ready[0])
        self._show_tab("versions")
        self.versions.compare.offer(self._dataset, ready)
        self.versions.show_difference(min(int(other), self._version), max(int(other), self._version))

    def _export_file(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, tr("Export these rows"), "", tr(EXPORTS))
        if chosen:
            self.export_to(Path(chosen))

    def export_to(self, path: Path) -> None:
        """Write the rows of the chosen version that the filter shows to a file; all in use without one."""
        from app.data import views

        command(self, views.export_for_window, self._dataset, self._version, str(path), self.rows.filters.wanted(), busy=self._export,
                done=lambda done: self.shell.toast(f"{done.rows:,} rows are written to {path.name}."))

    def _open_menu(self) -> None:
        self.menu.popup(self._more.mapToGlobal(self._more.rect().bottomLeft()))

    def _open_steps(self) -> None:
        self.steps_menu().popup(self._prepare.mapToGlobal(self._prepare.rect().bottomLeft()))

    def steps_menu(self) -> QMenu:
        """What can be done to the rows of the version shown."""
        from ui.dataset.step import STEPS

        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        for node, words, about in STEPS:
            menu.addAction(tr(words), partial(self.ask_step, node)).setToolTip(tr(about))
        menu.addSeparator()
        menu.addAction(tr("Make more rows"), self.ask_more_rows)
        menu.addAction(tr("Map the columns anew"), self.ask_mapping)
        return menu

    def ask_step(self, node: str) -> None:
        """Show the settings of a step; a run does it on the version shown."""
        from ui.dataset.step import StepDialog

        if (found := self._shown()) is not None:
            StepDialog(self, node, found[0].name, found[0].id, found[1].version).open()

    def ask_more_rows(self) -> None:
        """Ask how, then make rows from the version shown."""
        from ui.dataset.more import MoreRowsDialog

        if (found := self._shown()) is not None:
            MoreRowsDialog(self, found[0].name, self.make_rows).open()

    def make_rows(self, way: Way, wanted: int, model: str, base: str) -> None:
        """Start a run that makes some rows from the version shown."""
        from app.data import workflows

        if (found := self._shown()) is not None:
            view, one = found
            sources = one.splits.get("train", 0) if one.splits else one.rows
            self._start(workflows.more_rows(view.name, view.id, one.version, way, wanted, sources, model=model, base=base))

    def ask_mapping(self) -> None:
        """Show which column of the version shown plays which part, and start a run that changes it."""
        from ui.mapping import MappingDialog, of_version

        if (found := self._shown()) is not None:
            view, one = found
            MappingDialog(self, self.background, of_version(view.name, view.id, one.version), self.map_anew).open()

    def map_anew(self, mapping: dict[str, str]) -> None:
        """Start a run that gives the columns of the version shown other parts."""
        from app.data import workflows

        if (found := self._shown()) is not None:
            self._start(workflows.remap(found[0].name, found[0].id, found[1].version, mapping))

    def _shown(self) -> tuple[DatasetView, VersionView] | None:
        """The dataset and its version on the page, if that can be read."""
        view = self._chosen()
        one = next((one for one in view.versions if one.version == self._version and one.state == "ready"), None) if view else None
        return (view, one) if view is not None and one is not None else None

    def _start(self, document: str) -> None:
        command(self, _submit, document, busy=self._prepare, done=lambda run: self.shell.go("runs", run))

    def _rename(self) -> None:
        from ui.dialogs import ask_text

        chosen = self._chosen()
        if chosen is not None and (name := ask_text(self, "Rename this dataset", "Name", chosen.name, "Rename")):
            self.rename_to(name)

    def rename_to(self, name: str) -> None:
        """Give the chosen dataset another name."""
        from app.data import lineage

        command(self, lineage.rename, self._dataset, name)

    def _ask_erase(self) -> None:
        from app.data import lineage

        query(self, lineage.what_goes, self._dataset, done=self._confirm_erase)

    def _confirm_erase(self, goes: dict[str, int]) -> None:
        from ui import words
        from ui.dialogs import ask_typed

        chosen = self._chosen()
        if chosen is None:
            return
        count = goes["versions"]
        said = (f"This goes for good: {goes['rows']:,} rows in {count} version{'s' if count != 1 else ''}, {words.size(goes['bytes'])}. "
                "Its key is deleted first, so that nobody can read what is left of the file.")
        if goes["models"]:
            said += f" {goes['models']} trained model{'s stay' if goes['models'] != 1 else ' stays'}, without the data behind it."
        if ask_typed(self, f"Erase {words.short(chosen.name)}?", said, chosen.name, "Erase for good"):
            self.erase(chosen.id)

    def erase(self, dataset: str) -> None:
        """Erase a dataset for good."""
        from app.data import views

        command(self, views.erase_for_window, dataset, busy=self._more, done=lambda _none: self.shell.toast("The dataset is erased."))


def _list_note(view: DatasetView) -> str:
    newest = view.newest
    return f"{newest.rows:,} row{'s' * (newest.rows != 1)}, version {newest.version}" if newest else "no version can be read"


def _submit(store: Any, document: str) -> str:
    from app.workflow import runs

    return runs.submit_text(store, document)


def _drop_hint() -> QWidget:
    area = Card("drop")
    area.setLayout(row(None, column(Icon("file-input", "textSecondary", 20), gap=4), Label("Drop files anywhere", "small", "tertiary"),
                       None, gap=8, margins=(8, 12, 8, 12)))
    return area


