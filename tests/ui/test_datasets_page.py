"""The Datasets page: a table that reads only what is seen, filters, the chosen row, versions, quality, what the model is fed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication, QDialog, QLineEdit, QPushButton

from app.data import browse, by_hand, lineage, views
from app.data.browse import RowFilter, RowView
from app.data.lineage import Making
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.data.versions import imported
from tests.ui.conftest import shut
from tests.ui.filled_datasets import fill_datasets
from ui.dataset import datawords
from ui.dataset.more import MoreRowsDialog
from ui.dataset.step import STEPS, StepDialog
from ui.main import open_window
from ui.mapping import MappingDialog
from ui.pages.runs import RunsPage
from ui.widgets.histogram import Histogram
from ui.widgets.rows import PAGE
from ui.widgets.table import _fitted, _metrics
from ui.window import Window

ROWS = 400


@pytest.fixture
def dataset(store: Store, tmp_path) -> str:
    return fill_datasets(store, tmp_path / "step", ROWS)


@pytest.fixture
def window(store: Store, dataset, qtbot) -> Iterator[Window]:
    opened = open_window(store.profile, start_service=False)
    qtbot.waitUntil(lambda: opened.background.store is not None, timeout=10_000)
    opened.resize(1440, 900)
    yield opened
    shut(qtbot, opened)


@pytest.fixture
def page(window, qtbot):
    window.go("datasets")
    shown = window.page()
    qtbot.waitUntil(lambda: ready(shown) and len(shown.rows.table.places) == ROWS and bool(shown.rows._measures), timeout=10_000)
    return shown


def ready(page) -> bool:
    """Whether all that can be seen has been read."""
    table = page.rows.table
    first, last = table.in_view()
    return last >= first and not table._pages.missing(first, last)


def table_text(page, column=1):
    first, last = page.rows.table.in_view()
    return [page.rows.table.model().index(row, column).data() for row in range(first, last + 1)]


def shown(page, qtbot, words: str) -> None:
    """Wait until the foot says so and the rows are there."""
    qtbot.waitUntil(lambda: words in page.rows.where.words() and (ready(page) or not len(page.rows.table.places)), timeout=10_000)


# ---- the table -------------------------------------------------------------------------------------------------------------


def test_the_scroll_bar_spans_all_rows_and_only_what_is_seen_is_read(page):
    table = page.rows.table
    assert table.model().rowCount() == ROWS
    assert len(table._pages._pages) * PAGE <= table.in_view()[1] + PAGE
    assert page.rows.where.words().startswith("Rows 1 to ")
    assert page.rows.where.words().endswith(f" of {ROWS}")


def test_go_to_row_reads_the_page_there(page, qtbot):
    page.rows.number.setText("300")
    page.rows._go()
    shown(page, qtbot, "Rows 300 to ")
    assert table_text(page, 0)[0] == "300"
    assert page.rows.table.place() == 300


def test_what_is_passed_by_is_not_read(page, qtbot):
    asked = []
    page.rows.table.asked.connect(asked.append)
    bar = page.rows.table.verticalScrollBar()
    for value in range(0, bar.maximum(), bar.maximum() // 40):
        bar.setValue(value)
    bar.setValue(bar.maximum())
    qtbot.waitUntil(lambda: ready(page), timeout=10_000)
    assert len(asked) <= 2
    assert table_text(page, 0)[-1] == "400"


def test_typing_a_letter_does_not_look_through_the_rows(page):
    before = len(page.rows.table._pages._pages)
    page.rows.table.keyboardSearch("z")
    assert len(page.rows.table._pages._pages) == before
    assert page.rows.table.currentIndex().row() == -1


def test_pages_read_long_ago_are_given_up(page, qtbot, monkeypatch):
    monkeypatch.setattr("ui.widgets.rows.MOST_PAGES", 4)
    for row in (0, 130, 260, 399):
        page.rows.table.go_to(row)
        qtbot.waitUntil(lambda: ready(page), timeout=10_000)
    assert len(page.rows.table._pages._pages) <= 4


def test_a_failed_read_is_told_and_can_be_tried_again(page, qtbot, monkeypatch):
    def broken(*_):
        raise RuntimeError("disk")

    real = browse.read_rows
    monkeypatch.setattr(browse, "read_rows", broken)
    page.rows.table.reload()
    qtbot.waitUntil(lambda: page.banner.isVisible(), timeout=10_000)
    monkeypatch.setattr(browse, "read_rows", real)
    page.rows.table.reload()
    qtbot.waitUntil(lambda: ready(page), timeout=10_000)


# ---- finding ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "count", "word"), [
    pytest.param("removed", 21, "Removed: near duplicate", id="removed"), pytest.param("changed", 108, "Changed: redacted", id="changed"),
    pytest.param("kept", 379, "In use", id="kept")])
def test_rows_of_a_state(page, qtbot, state, count, word):
    page.rows.filters.set(state=state)
    shown(page, qtbot, f"of {count}")
    assert word in " ".join(table_text(page, 5))


def test_nothing_found_is_said(page, qtbot):
    page.rows.filters.set(state="added")
    shown(page, qtbot, "No such rows")


def test_search_prepares_its_index_and_finds(page, qtbot):
    qtbot.keyClicks(page.rows.filters.search, '"governed by" new')
    shown(page, qtbot, "of 58")
    assert all("Governing law" in text for text in table_text(page, 2))
    page.rows.filters.search.selectAll()
    qtbot.keyClicks(page.rows.filters.search, "nosuchword")
    shown(page, qtbot, "No such rows")
    assert page.rows.filters.clear.isVisible()
    page.rows.filters.clear.click()
    shown(page, qtbot, f"of {ROWS}")


def test_the_worst_rows_come_first_and_their_score_is_named(page, qtbot):
    page.rows.filters.set(score="repetition")
    qtbot.waitUntil(lambda: page.rows.table.model().headerData(4, Qt.Orientation.Horizontal) == "Repetition", timeout=10_000)
    qtbot.waitUntil(lambda: ready(page), timeout=10_000)
    values = [float(text) for text in table_text(page, 4)]
    assert values == sorted(values, reverse=True)  # of repetition, more is worse


def test_filters_combine(page, qtbot):
    popup = page.rows.filters.popup
    qtbot.waitUntil(lambda: popup._reason.findData("near_duplicate") > 0, timeout=10_000)
    popup._use.setCurrentIndex(popup._use.findData("test"))
    popup._reason.setCurrentIndex(popup._reason.findData("near_duplicate"))
    popup.changed.emit()
    shown(page, qtbot, "of 3")
    assert page.rows.filters.more.accessibleName() == "Filter, 2"


def test_rows_that_were_set_aside_show_why(page, qtbot):
    page._choose_version(1)
    qtbot.waitUntil(lambda: page.rows._version == 1, timeout=10_000)
    page.rows.filters.set(state="set_aside")
    shown(page, qtbot, "of 2")
    assert table_text(page, 5) == ["not valid JSON", "answer is empty"]
    page.rows.table.go_to(0)
    qtbot.waitUntil(lambda: page.rows.panel.isVisible() and page.rows.panel.shown.raw.startswith("{"), timeout=10_000)
    assert not page.rows.panel._edit.isVisible()


# ---- one row ---------------------------------------------------------------------------------------------------------------


def choose(page, qtbot, position):
    page.window().activateWindow()  # keys go to the active window alone
    qtbot.waitUntil(page.window().isActiveWindow, timeout=10_000)
    page.rows.go_to_position(position)
    qtbot.waitUntil(lambda: page.rows.panel.isVisible() and page.rows.panel.shown.position == position, timeout=10_000)
    return page.rows.panel


def test_a_changed_row_shows_what_went_and_what_came(page, qtbot):
    panel = choose(page, qtbot, 9)
    assert ("out", "Jane Doe") in panel._text.pieces()
    assert any(kind == "in" and "[PERSON_0412]" in text for kind, text in panel._text.pieces())


def test_a_row_is_rated_by_key(page, qtbot, store, dataset):
    choose(page, qtbot, 10)
    page.rows.table.setFocus()
    qtbot.keyClick(page.rows.table, "3")
    qtbot.waitUntil(lambda: browse.whole_row(store, dataset, 3, 10, browse.RowFilter()).rating == -1, timeout=10_000)
    qtbot.waitUntil(lambda: page.rows.panel._ratings[-1].isChecked(), timeout=10_000)
    qtbot.waitUntil(lambda: any("Bad" in text for text in table_text(page, 5)), timeout=10_000)
    page.rows.panel._ratings[-1].click()
    qtbot.waitUntil(lambda: browse.whole_row(store, dataset, 3, 10, browse.RowFilter()).rating is None, timeout=10_000)


def test_a_row_is_mended_in_a_new_version_and_that_is_undone(page, qtbot, window, store, dataset):
    panel = choose(page, qtbot, 12)
    page.rows.table.setFocus()
    qtbot.keyClick(page.rows.table, "E")
    assert panel.editing
    panel._fields["messages.1"].setPlainText("Exclusion of liability")
    panel.save.click()
    qtbot.waitUntil(lambda: page._version == 4 and page.rows._version == 4, timeout=10_000)
    assert browse.whole_row(store, dataset, 4, 12, browse.RowFilter()).row.answer == "Exclusion of liability"
    assert "Row 12 is changed in version 4." in window._toast.accessibleName()
    window._toast._act()
    qtbot.waitUntil(lambda: window._toast.accessibleName() == "Undone in version 4.", timeout=10_000)  # one sitting, one version
    assert browse.whole_row(store, dataset, 4, 12, browse.RowFilter()).row.answer != "Exclusion of liability"


def test_rows_mended_one_after_the_other_are_one_version_and_the_table_stays_where_it_is(page, qtbot, store, dataset):
    for number in (12, 13, 14):
        panel = choose(page, qtbot, number)
        panel.edit()
        panel._fields["messages.1"].setPlainText(f"Label {number}")
        panel.save.click()
        qtbot.waitUntil(lambda number=number: page.rows._version == 4 and ready(page)
                        and browse.whole_row(store, dataset, 4, number, browse.RowFilter()).row.answer == f"Label {number}", timeout=10_000)
        if number == 12:  # a version begins, which is shown from its top
            qtbot.waitUntil(lambda panel=panel: not panel.isVisible(), timeout=10_000)
    assert panel.isVisible()
    assert page.rows.table.place() == 14
    assert [story.version for story in lineage.history(store, dataset)] == [4, 3, 2, 1]


def test_escape_leaves_the_fields_then_the_panel(page, qtbot):
    panel = choose(page, qtbot, 12)
    panel.edit()
    qtbot.keyClick(panel, Qt.Key.Key_Escape)
    assert not panel.editing
    qtbot.keyClick(panel, Qt.Key.Key_Escape)
    assert not panel.isVisible()


def test_several_removed_rows_are_restored_together(page, qtbot, store, dataset):
    page.rows.filters.set(state="removed")
    shown(page, qtbot, "of 21")
    page.rows.table.selectAll()
    assert page.rows._undo_many.isVisible()
    page.rows._undo_many.click()
    qtbot.waitUntil(lambda: page._version == 4, timeout=10_000)
    assert lineage.history(store, dataset)[0].did == {"restored": {"not_redacted": 21}}
    assert views.overview(store)[0].newest.rows == ROWS


def test_a_row_is_removed_by_key(page, qtbot, store, dataset):
    choose(page, qtbot, 20)
    page.rows.table.setFocus()
    qtbot.keyClick(page.rows.table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: page._version == 4, timeout=10_000)
    found = browse.whole_row(store, dataset, 4, 20, browse.RowFilter())
    assert (found.state, found.reason) == ("removed", by_hand.TAKEN_OUT)


# ---- the other parts -------------------------------------------------------------------------------------------------------


def test_quality_shows_the_score_and_leads_to_the_rows_of_a_bar(page, qtbot):
    page._show_tab("quality")
    qtbot.waitUntil(lambda: page.quality.found is not None, timeout=10_000)
    assert page.quality._score.words() == "88"
    picture = next(one for one in page.quality.findChildren(Histogram) if one._name == "Quality")
    bar = next(number for number, count in enumerate(picture._counts) if count > 3)
    for _ in range(bar + 1):
        qtbot.keyClick(picture, Qt.Key.Key_Right)
    qtbot.keyClick(picture, Qt.Key.Key_Return)
    assert page.tabs.choice() == "rows"
    low, high = picture._bounds(bar)
    qtbot.waitUntil(lambda: 0 < len(page.rows.table.places) < ROWS and ready(page), timeout=10_000)
    values = [float(text) for text in table_text(page, 4)]
    assert all(low - 0.005 <= value <= high + 0.005 for value in values)


def test_a_version_that_was_not_assessed_says_so(page, qtbot):
    page._choose_version(1)
    page._show_tab("quality")
    qtbot.waitUntil(lambda: page.rows._version == 1 and page.quality._stack.currentIndex() == 0, timeout=10_000)


def test_what_the_model_is_fed_is_shown_with_what_it_learns(page, qtbot):
    choose(page, qtbot, 10)
    page._show_tab("seen")
    qtbot.waitUntil(lambda: "word pieces" in page.seen.said.words(), timeout=60_000)
    kinds = dict(page.seen.text.pieces())
    assert kinds["same"] == "Payment<|im_end|>"
    assert kinds["muted"].endswith("<|im_start|>assistant\n")
    assert page.seen._title.words() == "Row 10"


def test_versions_tell_what_each_step_did(page, qtbot):
    page._show_tab("versions")
    qtbot.waitUntil(lambda: len(page.versions.stories) == 3, timeout=10_000)
    said = [datawords.story_words(story) for story in page.versions.stories]
    assert said == ["changed 108 (redacted)", "removed 17 near duplicates and 4 leaks into the test", "from Contract archive.jsonl"]


def test_two_versions_are_compared_row_by_row(page, qtbot):
    page._compare.click()
    compare = page.versions.compare
    qtbot.waitUntil(lambda: compare.difference is not None and len(compare.table.places) == 108, timeout=10_000)
    assert compare.said.words() == "From version 2 to 3: 108 changed (108 redacted)."
    compare.table.go_to(0)
    qtbot.waitUntil(lambda: ("out", "Jane Doe") in compare.before.pieces(), timeout=10_000)
    assert not any(kind == "out" for kind, _ in compare.after.pieces())
    compare.show_pair(page._dataset, 1, 3)
    qtbot.waitUntil(lambda: compare.difference.old == 1 and compare.kind.count() == 2, timeout=10_000)


# ---- the dataset as a whole ------------------------------------------------------------------------------------------------


def test_a_dataset_is_renamed(page, qtbot, store, dataset):
    page.rename_to("Contracts")
    qtbot.waitUntil(lambda: "Contracts, version 3" in page.header.subtitle.words(), timeout=10_000)
    page.rename_to("Licence notices")
    qtbot.waitUntil(lambda: page.banner.isVisible(), timeout=10_000)


def test_erasing_asks_to_type_the_name_and_lists_what_goes(page, qtbot, store, dataset, monkeypatch):
    seen = []

    def answer(dialog: QDialog) -> int:
        field = dialog.findChild(QLineEdit)
        button = next(one for one in dialog.findChildren(QPushButton) if one.property("kind") == "dangerfilled")
        seen.append((dialog.windowTitle(), button.isEnabled()))
        field.setText("Contract archive")
        assert button.isEnabled()
        button.click()
        return 0

    monkeypatch.setattr(QDialog, "exec", answer)
    page._ask_erase()
    qtbot.waitUntil(lambda: [view.name for view in views.overview(store)] == ["Licence notices"], timeout=10_000)
    assert seen == [("Erase Contract archive?", False)]
    qtbot.waitUntil(lambda: not list(store.profile.datasets.glob(f"{dataset}.db*")), timeout=10_000)
    qtbot.waitUntil(lambda: "Licence notices" in page.header.subtitle.words(), timeout=10_000)


@pytest.mark.parametrize(("state", "count"), [pytest.param("", 379, id="in use"), pytest.param("removed", 21, id="removed"),
                                              pytest.param("changed", 108, id="changed")])
def test_the_rows_of_a_state_are_exported(page, qtbot, tmp_path, state, count):
    page.rows.filters.set(state=state)
    file = tmp_path / "out.jsonl"
    page.export_to(file)
    qtbot.waitUntil(file.exists, timeout=20_000)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == count
    assert ("reason" in rows[0]) == bool(state)


def test_what_a_filter_by_score_and_words_shows_is_exported(page, qtbot, store, dataset, tmp_path):
    page.rows.filters.search.setText("sublicense")
    page.rows.filters.popup.set("quality", None, 0.85)
    file = tmp_path / "worst.jsonl"
    page.export_to(file)
    qtbot.waitUntil(file.exists, timeout=20_000)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    wanted = RowFilter("kept", score="quality", high=0.85, words="sublicense")
    found = [row.position for row in browse.iter_found(store, dataset, 3, wanted)]
    assert 3 < len(rows) == len(found) < 57
    with open_dataset(store, dataset) as db:
        scores = db.scores_of(3, "quality")
    assert [scores[position] for position in found] == sorted(scores[position] for position in found)
    assert all("sublicense" in row["prompt"] and "reason" not in row for row in rows)


def test_several_dropped_files_are_shown_one_after_the_other(page, qtbot, window, tmp_path):
    files = []
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"prompt": "q", "completion": "a"}\n', encoding="utf-8")
        files.append(QUrl.fromLocalFile(str(tmp_path / name)))
    data = QMimeData()
    data.setUrls(files)
    window.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier))
    for name in ("a", "b"):
        dialog = next_dialog(qtbot, window, f"Import {name}.jsonl")
        qtbot.waitUntil(lambda dialog=dialog: dialog.import_button.isEnabled(), timeout=20_000)
        dialog.import_button.click()
    qtbot.waitUntil(lambda: {"a", "b"} <= {view.name for view in page._views if view.newest}, timeout=30_000)


def next_dialog(qtbot, window, title):
    def found():
        return [one for one in QApplication.topLevelWidgets() if isinstance(one, QDialog) and one.isVisible()
                and one.windowTitle().startswith(title)]

    qtbot.waitUntil(lambda: bool(found()), timeout=20_000)
    return found()[0]


def test_preference_and_text_rows_are_shown_too(page, qtbot, store):
    imported(store, [Row("preference", [{"role": "user", "content": "Which?"}], chosen="this", rejected="that")], "pairs")
    qtbot.waitUntil(lambda: any(view.name == "pairs" for view in page._views), timeout=10_000)
    page._choose(next(view.id for view in page._views if view.name == "pairs"))
    qtbot.waitUntil(lambda: len(page.rows.table.places) == 1 and ready(page), timeout=10_000)
    panel = choose(page, qtbot, 1)
    assert [text for kind, text in panel._text.pieces() if kind == "heading"] == ["Question", "Preferred answer", "Rejected answer"]


def test_rows_of_text_have_one_column_for_it(page, qtbot, store, dataset):
    imported(store, [Row("text", text="A passage of a contract.")], "passages")
    qtbot.waitUntil(lambda: any(view.name == "passages" for view in page._views), timeout=10_000)
    page._choose(next(view.id for view in page._views if view.name == "passages"))
    qtbot.waitUntil(lambda: len(page.rows.table.places) == 1 and ready(page), timeout=10_000)
    table = page.rows.table
    titles = [table.model().headerData(column, Qt.Orientation.Horizontal) for column in (1, 2)]
    assert (table.isColumnHidden(1), titles[1], table_text(page, 2)) == (True, "Text", ["A passage of a contract."])
    page._choose(dataset)
    qtbot.waitUntil(lambda: len(table.places) == ROWS and ready(page), timeout=10_000)
    titles = [table.model().headerData(column, Qt.Orientation.Horizontal) for column in (1, 2)]
    assert (table.isColumnHidden(1), titles) == (False, ["Question", "Answer"])


def test_the_chosen_row_takes_the_lists_room_in_a_narrow_window(page, qtbot, window):
    window.resize(1024, 680)
    qtbot.waitUntil(lambda: window.width() == 1024, timeout=5000)
    choose(page, qtbot, 3)
    assert not page._side_list.isVisible()
    page.rows._close_panel()
    assert page._side_list.isVisible()


READ = "Read the licence notice. "


@pytest.mark.parametrize(("texts", "shared"), [
    pytest.param([f"{READ}Answer: MIT"] * 2, f"{READ}Answer: ", id="the last word stays"),
    pytest.param([f"{READ}MIT", f"{READ}BSD"], READ, id="a long common start"),
    pytest.param([f"{READ}{one}" for one in ("MIT", "BSD", "ISC")] + ["Help, I feel ill"], READ, id="one of four is another question"),
    pytest.param([f"{READ}MIT", f"{READ}BSD", "Help, I feel ill", "What is this?"], "", id="half of them are"),
    pytest.param(["Read this", "Read that"], "", id="too short to leave out"),
    pytest.param([f"{READ}Answer: MIT"], "", id="one row"), pytest.param([], "", id="none")])
def test_what_most_questions_begin_with_is_left_out(texts, shared):
    assert datawords.shared_start(texts) == shared


@pytest.mark.parametrize(("place", "words"), [
    pytest.param((524_280, 524_298, 1_048_576, True), "Rows 524,281 to 524,299 of 1,048,576", id="in the middle"),
    pytest.param((0, 18, 4180, False), "Rows 1 to 19 of 4,180 so far", id="still looking"),
    pytest.param((0, -1, 0, True), "No such rows", id="none"), pytest.param((0, -1, 0, False), "Looking", id="none yet")])
def test_where_the_table_is(place, words):
    assert datawords.rows_words(*place) == words


def test_the_review_is_offered_where_something_was_found(page, qtbot, store, dataset):
    assert not page._review.isVisible()
    with open_dataset(store, dataset) as db:
        db.conn.execute('INSERT INTO findings (version, position, field, start, "end", entity, score, detector) '
                        "VALUES (3, 4, 'messages.0', 0, 6, 'PERSON', 0.6, 'model')")
    page.mark_stale()
    qtbot.waitUntil(lambda: page._review.isVisible() and "1 open" in page._review.accessibleName(), timeout=10_000)
    page._review.click()
    dialog = next_dialog(qtbot, page, "Private data review")
    qtbot.waitUntil(lambda: dialog.summary is not None, timeout=10_000)
    dialog.reject()


@pytest.mark.parametrize("text", ["short", "Licensee may not sublicense the Software without consent " * 40, "الترخيص " * 60, "条款" * 80,
                                  "i" * 500, ""])
@pytest.mark.parametrize("room", [0, 5, 40, 260])
def test_a_cell_is_cut_where_it_ends(qapp, text, room):
    shown, wide = _fitted(text, room, "body")
    assert wide <= max(room, 0)
    if room >= 40:  # room for an ellipsis
        assert _metrics("body").horizontalAdvance(shown) <= room + 2
        assert (shown == text) == (_metrics("body").horizontalAdvance(text) <= room)


# ---- runs that the page starts ---------------------------------------------------------------------------------------------


def steps_of(store):
    rows = store.rows("SELECT node, params FROM steps ORDER BY position")
    return [(row["node"], json.loads(row["params"])) for row in rows]


def test_more_rows_are_made_by_a_run_on_the_version_shown(page, qtbot, window, store, dataset):
    page.ask_more_rows()
    dialog = window.findChild(MoreRowsDialog)
    qtbot.waitUntil(lambda: dialog.model.count() > 0, timeout=10_000)
    assert not dialog.model.isEnabled()  # rules need none
    dialog.count.setValue(30)
    dialog.make.click()
    qtbot.waitUntil(lambda: isinstance(window.page(), RunsPage), timeout=10_000)
    (opened, given), (made, params) = steps_of(store)
    assert (opened, given["dataset"], given["version"], made) == ("dataset.open", dataset, 3, "data.augment")
    assert params["copies"] * params["share"] * 300 == pytest.approx(30, rel=0.2)


@pytest.mark.parametrize(("way", "node"), [("paraphrase", "data.augment"), ("model", "data.synthesise")])
def test_a_model_that_makes_rows_is_named(page, qtbot, window, store, way, node):
    page.make_rows(way, 25, "house", "")
    qtbot.waitUntil(lambda: isinstance(window.page(), RunsPage), timeout=10_000)
    (_, (found, params)) = steps_of(store)
    assert (found, params["model"]) == (node, "house")
    assert params.get("methods", ["paraphrase"]) == ["paraphrase"] or params["rows"] == 25


def test_what_making_rows_cost_stands_under_versions():
    assert datawords.making_words(Making(40, 12, 0.0042, "EUR")) == "12 of 40 candidates passed, €0.004"
    assert datawords.making_words(Making(40, 12)) == "12 of 40 candidates passed"
    assert datawords.making_words(None) == ""


@pytest.mark.parametrize("node", [node for node, _, _ in STEPS])
def test_a_step_runs_on_the_version_shown_with_the_settings_of_its_form(page, qtbot, window, store, dataset, node):
    assert [one.text() for one in page.steps_menu().actions()][: len(STEPS)] == [title for _, title, _ in STEPS]
    page.ask_step(node)
    dialog = window.findChild(StepDialog)
    qtbot.waitUntil(lambda: bool(dialog.rows), timeout=10_000)
    assert (dialog.model.count() > 0) == (node in ("data.assess", "data.select"))
    given = {"data.assess": (("judge", "rows"), "7"), "data.clean": (("boilerplate", "share"), "0.5"), "data.refine": (("min_length",), "3"),
             "data.redact": (("threshold",), "0.6"), "data.split": (("shares",), "{test: 0.2}"), "data.select": (("budget", "minutes"), "2.5")}
    path, text = given[node]
    field = dialog.rows[path].editor
    field.selectAll()
    qtbot.keyClicks(field, text)
    qtbot.keyClick(field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: isinstance(window.page(), RunsPage), timeout=10_000)
    (opened, source), (found, params) = steps_of(store)
    for key in path:
        params = params[key]
    assert (opened, source["dataset"], source["version"], found) == ("dataset.open", dataset, 3, node)
    assert params == yaml.safe_load(text)


def test_a_setting_that_cannot_be_keeps_the_step_from_starting(page, qtbot, window, store):
    page.ask_step("data.redact")
    dialog = window.findChild(StepDialog)
    qtbot.waitUntil(lambda: bool(dialog.rows), timeout=10_000)
    field = dialog.rows[("threshold",)].editor
    field.selectAll()
    qtbot.keyClicks(field, "7")
    dialog.start.click()
    assert dialog.isVisible()
    assert field.property("error")
    field.selectAll()
    qtbot.keyClicks(field, "0.7")
    dialog.rows[("entities",)].editor.selectAll()
    qtbot.keyClicks(dialog.rows[("entities",)].editor, "PERSON, EMIAL")
    dialog.start.click()
    qtbot.waitUntil(lambda: dialog._banner.isVisibleTo(dialog), timeout=10_000)
    assert dialog.isVisible()
    assert not store.rows("SELECT 1 FROM runs")
    dialog.reject()


def test_columns_are_mapped_anew_by_a_run(page, qtbot, window, store, dataset):
    page.ask_mapping()
    dialog = window.findChild(MappingDialog)
    qtbot.waitUntil(lambda: dialog.preview is not None, timeout=10_000)
    assert dialog.import_button.text().strip() == "Map anew"
    assert dialog.mapping()["shape"] == dialog.preview.shape
    page.map_anew({"shape": "prompt", "prompt": "completion", "answer": "prompt"})
    qtbot.waitUntil(lambda: isinstance(window.page(), RunsPage), timeout=10_000)
    assert steps_of(store)[1][0] == "data.remap"
    assert steps_of(store)[1][1]["mapping"]["prompt"] == "completion"


def test_a_question_that_begins_otherwise_is_shown_from_its_start():
    rows = [RowView(1, "train", "kept", "", "", question, "answer") for question in (f"{READ}MIT", "Help, I feel ill")]
    assert [datawords.row_cells(one, READ)[1].text for one in rows] == ["… MIT", "Help, I feel ill"]
