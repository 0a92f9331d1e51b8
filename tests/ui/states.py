"""Every page and dialog in the states that are looked at, for pictures (screenshots.py) and for what holds everywhere.

``fill_all`` makes the store they are shown on; its figures are no measurements.  A state brings the window there and gives back the
widget to look at: the window, or a dialog.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from app.integrations.hub import Found
from app.store import Store
from tests.ui.filled import DOCUMENT, fill
from tests.ui.filled_datasets import fill_datasets
from tests.ui.test_review import redacted

FOUND = [Found("someone/small-instruct", 120_400, "apache-2.0", 135_000_000, gated=False),
         Found("someone/huge", 5_300, "", 70_000_000_000, gated=False), Found("someone/asks-first", 300, "other", None, gated=True)]
FAULTY = "name: My notices\nbase_model: smollm2-135m-instruct\nsteps:\n  source: {node: dataset.import, path: notices.jsonl}\n" \
         "  refine: {node: data.refine, needs: source, near_duplicates: {thresold: 0.7}}\n"
FILE = "frage,antwort,topic\nWhich law?,Swedish law,law\n,No question here,law\n"


def fill_all(store: Store, folder: Path) -> dict[str, Any]:
    """Runs, datasets with versions and findings, a model with two versions, requests."""
    found: dict[str, Any] = dict(fill(store))
    found["dataset"] = fill_datasets(store, folder / "step")
    found["review"] = redacted(store, folder / "letters")
    now = time.time()
    store.db["models"].insert({"id": "m1", "name": "sample", "created": now, "live": "sample@1"})
    for number, state in ((1, "released"), (2, "registered")):
        store.db["model_versions"].insert({
            "id": f"sample@{number}", "model": "m1", "version": number, "state": state, "format": "gguf", "path": "/x/q8.gguf",
            "files": json.dumps([{"quantization": name, "path": f"/x/{name}.gguf", "size": size} for name, size in
                                 (("q8_0", 145_000_000), ("q4_k_m", 98_000_000))]),
            "proof": json.dumps({"passed": True, "files": [
                {"quantization": name, "same_answers": same, "quality_lost": lost, "template_identical": True}
                for name, same, lost in (("q8_0", 0.99, 0.001), ("q4_k_m", 0.93, 0.02))]}),
            "lineage": json.dumps({"dataset": found["dataset"], "dataset_version": number}), "run": "run_done", "created": now - 60 * number})
    store.db["deployments"].insert({"alias": "base", "model_version": "base:smollm2-135m-instruct", "engine": "llama_cpp", "path": "/x",
                                    "state": "ready", "created": now, "updated": now})
    document = yaml.safe_load(DOCUMENT)
    steps = {name: {"node": step.pop("node"), "needs": _names(step.pop("needs", [])), "inputs": {}, "params": step}
             for name, step in document["steps"].items()}
    resolved = {**document, "steps": steps}
    store.db.execute("UPDATE runs SET resolved = ? WHERE id = ?", (json.dumps(resolved), found["done"]))
    store.db["api_keys"].insert({"id": "k", "name": "first", "key": "nw-sample", "created": now})
    for number in range(6):
        store.db["requests"].insert({"id": str(number), "at": now - 40 * number, "route": "/v1/chat/completions", "model": "sample",
                                     "status": 429 if number == 2 else 200, "seconds": 0.4 + number / 7,
                                     "error": "The queue is full." if number == 2 else None})
    for number in (4, 5):
        store.db["runs"].insert({"id": f"run_{number}", "number": number, "name": "Waits", "document": "", "document_hash": "", "resolved": "{}",
                                 "state": "queued", "seed": 0, "created": now + number})
    return found


def _names(needs: str | list[str]) -> list[str]:
    """What a step needs, as a planned document has it."""
    return [needs] if isinstance(needs, str) else needs


@dataclass
class Stage:
    """wait: lets the window live until something holds.  there: what fill_all gave, {} on an empty store."""

    window: Any
    wait: Callable[[Callable[[], bool]], None]
    there: dict[str, Any]
    folder: Path

    def go(self, name: str, argument: str = "") -> Any:
        """A page, once it has asked for what it shows."""
        self.window.go(name, argument)
        page = self.window.page()
        self.wait(lambda: page.isVisible() and not page._stale)
        return page

    def leave(self, shown: QWidget) -> None:
        """Close what a state opened over the window."""
        if shown is not self.window:
            shown.close()
        for part in (self.window._palette, self.window._toast, getattr(self.window, "_tour", None)):
            if part is not None:
                part.hide()
        self.window.page().hide_error()
        QApplication.processEvents()

    def modal(self, ask: Callable[[], object]) -> QDialog:
        """A dialog that would wait for an answer, shown without waiting."""
        shown: list[QDialog] = []
        waiting = QDialog.exec
        QDialog.exec = lambda dialog: shown.append(dialog) or 0  # type: ignore[method-assign, assignment, return-value]
        try:
            ask()
        finally:
            QDialog.exec = waiting  # type: ignore[method-assign]
        shown[0].show()
        return shown[0]


@dataclass(frozen=True)
class State:
    """name: of its picture.  empty: on a store without anything."""

    name: str
    show: Callable[[Stage], QWidget]
    empty: bool = False


def _page(name: str, argument: str = "") -> Callable[[Stage], QWidget]:
    def show(stage: Stage) -> QWidget:
        stage.go(name, str(stage.there.get(argument, argument)))
        return stage.window  # type: ignore[no-any-return]

    return show


def _dataset(stage: Stage, tab: str = "rows") -> Any:
    page = stage.go("datasets", stage.there["dataset"])
    stage.wait(lambda: page._dataset == stage.there["dataset"] and page._version > 0)
    page._show_tab(tab)
    return page


def _tab(name: str) -> Callable[[Stage], QWidget]:
    def show(stage: Stage) -> QWidget:
        _dataset(stage, name)
        return stage.window  # type: ignore[no-any-return]

    return show


def _row(stage: Stage) -> QWidget:
    page = _dataset(stage)
    stage.wait(lambda: page.rows.table.model().rowCount() > 5)
    page.rows.go_to_position(24)
    stage.wait(lambda: page.rows.panel.isVisible())
    return stage.window  # type: ignore[no-any-return]


def _row_edit(stage: Stage) -> QWidget:
    _row(stage)
    page = stage.window.page()
    stage.wait(lambda: page.rows.panel.shown is not None)
    page.rows.panel.edit()
    return stage.window  # type: ignore[no-any-return]


def _versions_compared(stage: Stage) -> QWidget:
    page = _dataset(stage)
    stage.wait(lambda: page._compare.isVisibleTo(page))
    page._compare_versions()
    return stage.window  # type: ignore[no-any-return]


def _step(stage: Stage) -> QWidget:
    from ui.dataset.step import StepDialog

    page = _dataset(stage)
    page.ask_step("data.select")
    dialog = stage.window.findChild(StepDialog)
    stage.wait(lambda: bool(dialog.rows))
    return dialog  # type: ignore[no-any-return]  # Qt finds it by its class, and says only that it is something


def _review(stage: Stage) -> QWidget:
    from ui.review import open_review

    dialog = open_review(stage.go("datasets"), *stage.there["review"])
    stage.wait(lambda: bool(dialog.rows) and dialog.summary is not None)
    return dialog


def _mapping(stage: Stage) -> QWidget:
    from ui.mapping import MappingDialog, of_file

    file = stage.folder / "letters.csv"
    file.write_text(FILE, encoding="utf-8")
    dialog = MappingDialog(stage.window, stage.window.background, of_file(file), lambda _mapping: None)
    dialog.open()
    stage.wait(lambda: dialog.preview is not None)
    return dialog


def _workflow(stage: Stage) -> Any:
    page = stage.go("workflow")
    if not page._path.endswith("legal/kit.yaml"):
        page.open("legal")
    stage.wait(lambda: page._path.endswith("legal/kit.yaml") and bool(page.pane.scene.cards) and page._problems is not None)
    page.show_views("both")
    page._right_side.show_side("text")
    page._right_side.finder.hide()
    page.pane.view.fit()
    return page


def _workflow_step(stage: Stage) -> QWidget:
    page = _workflow(stage)
    page.pane.scene.choose(list(page.pane.scene.cards)[:1])
    return stage.window  # type: ignore[no-any-return]


def _workflow_text(stage: Stage) -> QWidget:
    page = _workflow(stage)
    page._right_side.finder.open(replace=True)
    page._right_side.finder.what.setText("e")
    return stage.window  # type: ignore[no-any-return]


def _workflow_resolved(stage: Stage) -> QWidget:
    _workflow(stage)._right_side.show_side("resolved")
    return stage.window  # type: ignore[no-any-return]


def _workflow_faulty(stage: Stage) -> QWidget:
    from app.config.views import DocumentView

    page = _workflow(stage)
    page.show_document(DocumentView("My notices", "", FAULTY, saved=False))
    stage.wait(lambda: bool(page._problems))
    return stage.window  # type: ignore[no-any-return]


def _workflow_versions(stage: Stage) -> QWidget:
    from ui.editor.versions import VersionsDialog

    page = _workflow(stage)
    dialog = VersionsDialog(page, page.version_name, page.history.text)
    dialog.show()
    return dialog


def _workflow_menu(stage: Stage) -> QWidget:
    page = _workflow(stage)
    page.pane.scene.choose(list(page.pane.scene.cards)[:2])
    menu = page.pane.make_menu()
    menu.popup(stage.window.mapToGlobal(stage.window.rect().center()))
    return menu  # type: ignore[no-any-return]


def _run_lower(stage: Stage) -> QWidget:
    page = stage.go("runs", stage.there["done"])
    bar = page.pane.verticalScrollBar()
    stage.wait(lambda: bar.maximum() > 100 and len(page.pane.charts.cards) == 8)
    bar.setValue(bar.maximum())
    return stage.window  # type: ignore[no-any-return]


def _runs(stage: Stage) -> Any:
    page = stage.go("runs")
    page.show_list()
    stage.wait(lambda: page.table.model().rowCount() > 2)
    return page


def _run_list(stage: Stage) -> QWidget:
    _runs(stage)
    return stage.window  # type: ignore[no-any-return]


def _runs_compared(stage: Stage) -> QWidget:
    page = _runs(stage)
    page.choosing.click()
    for run in (stage.there["done"], stage.there["running"]):
        page.table.opened.emit(run)
    page.compare.click()
    stage.wait(lambda: page._stack.currentWidget() is page.comparison)
    return stage.window  # type: ignore[no-any-return]


def _kit_inside(stage: Stage) -> QWidget:
    page = stage.go("kits")
    stage.wait(lambda: bool(page.widgets))
    page._details(page._cards[0])
    return next(one for one in page.findChildren(QDialog) if one.isVisible())


def _make_kit(stage: Stage) -> QWidget:
    from ui.kitmaking import MakeKitDialog

    dialog = MakeKitDialog(stage.go("runs"), stage.there["done"])
    dialog.open()
    stage.wait(lambda: dialog.run.count() > 0)
    return dialog


def _model(stage: Stage) -> QWidget:
    page = stage.go("models", "sample@2")
    stage.wait(lambda: page._view is not None)
    return stage.window  # type: ignore[no-any-return]


def _models_compared(stage: Stage) -> QWidget:
    _model(stage)
    stage.window.page().compare_with("sample@1")
    return stage.window  # type: ignore[no-any-return]


def _hub(stage: Stage) -> QWidget:
    from ui.hubdialog import HubDialog

    dialog = HubDialog(stage.go("models"))
    dialog.show()
    dialog._show(FOUND)
    stage.wait(lambda: len(dialog._fits) >= 2)
    dialog.table.select_key(FOUND[0].repo)
    return dialog


def _export(stage: Stage) -> QWidget:
    from ui.exportdialog import ExportDialog

    dialog = ExportDialog(stage.go("models"), "sample@2", "sample, version 2")
    dialog.show()
    stage.wait(lambda: bool(dialog.choices))
    return dialog


def _settings_lower(stage: Stage) -> QWidget:
    from PySide6.QtWidgets import QScrollArea

    page = stage.go("settings")
    bar = page.findChild(QScrollArea).verticalScrollBar()
    stage.wait(lambda: bar.maximum() > 100)
    bar.setValue(bar.maximum())
    return stage.window  # type: ignore[no-any-return]


def _palette(stage: Stage) -> QWidget:
    stage.go("home")
    stage.window.find_or_do()
    return stage.window  # type: ignore[no-any-return]


def _tour(stage: Stage) -> QWidget:
    stage.go("home")
    stage.window.tour()
    return stage.window  # type: ignore[no-any-return]


def _failed(stage: Stage) -> QWidget:
    from app.errors import DatasetError, Place

    stage.go("endpoint").show_error(DatasetError(
        "dataset.bad_json", "A row is not valid JSON; nothing was imported.", where=Place("notices.jsonl", line=412),
        why="The line ends inside a string.", remedy="Mend the line, or import with “set bad rows aside”."))
    stage.window.toast("Removed 12 rows.", action="Undo", then=lambda: None, stays=True)
    return stage.window  # type: ignore[no-any-return]


def _first_start(_stage: Stage) -> QWidget:
    from ui.firstrun import FirstStart

    dialog = FirstStart()
    dialog.show()
    return dialog


def _close(stage: Stage) -> QWidget:
    from ui.dialogs import ask_close

    return stage.modal(lambda: ask_close(stage.window, 2))


def _passphrase(stage: Stage) -> QWidget:
    from ui.dialogs import ask_passphrase

    return stage.modal(lambda: ask_passphrase(stage.window))


def _erase(stage: Stage) -> QWidget:
    from ui.dialogs import ask_typed

    return stage.modal(lambda: ask_typed(stage.window, "Erase “Contract archive” for good?", "4 versions with 400 rows go, and all "
                                         "that was decided about them. No run or model is touched. This cannot be undone.",
                                         "Contract archive", "Erase for good"))


PAGES = ("home", "kits", "datasets", "workflow", "runs", "models", "playground", "endpoint", "costs", "settings", "help")
STATES = [
    *(State(f"{name}-empty", _page(name), empty=True) for name in PAGES if name not in ("settings", "help")),
    State("home", _page("home")), State("kits", _page("kits")), State("kit-inside", _kit_inside),
    State("datasets", _tab("rows")), State("datasets-row", _row), State("datasets-row-edit", _row_edit),
    State("datasets-quality", _tab("quality")), State("datasets-seen", _tab("seen")), State("datasets-versions", _tab("versions")),
    State("datasets-compared", _versions_compared), State("datasets-step", _step), State("review", _review), State("mapping", _mapping),
    State("workflow", _workflow_step), State("workflow-find", _workflow_text), State("workflow-resolved", _workflow_resolved),
    State("workflow-menu", _workflow_menu), State("workflow-faulty", _workflow_faulty), State("workflow-versions", _workflow_versions),
    State("runs", _run_list), State("run-live", _page("runs", "running")), State("run-done", _page("runs", "done")),
    State("run-done-lower", _run_lower), State("run-failed", _page("runs", "failed")), State("runs-compared", _runs_compared),
    State("make-kit", _make_kit), State("models", _model), State("models-compared", _models_compared), State("hub", _hub),
    State("export", _export),
    State("playground", _page("playground")), State("endpoint", _page("endpoint")), State("costs", _page("costs")),
    State("settings", _page("settings")), State("settings-lower", _settings_lower), State("help", _page("help")),
    State("palette", _palette), State("tour", _tour), State("failed", _failed), State("first-start", _first_start),
    State("close", _close), State("passphrase", _passphrase), State("erase", _erase)]
