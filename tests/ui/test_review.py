"""The review of private data: keys decide, rules decide many, and the reviewed version holds what was decided."""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from app.data.redact_node import Redact, RedactParams
from app.data.redaction import views
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.context import FakeContext, make_rows
from ui.review import ReviewDialog, open_review, review_words
from ui.reviewparts import FindingLine

TEXTS = ("A. Castellano called about the lease; M. Birkwood wrote to jane.doe@example.com.", "S. Calder paid, says A. Castellano.",
         "Dr. Anna Müller, IBAN GB82 WEST 1234 5698 7654 32.")


def redacted(store: Store, folder: Path) -> tuple[str, int]:
    """A dataset with three uncertain names in two rows, redacted without the names model."""
    given = make_rows(store, [Row("text", text=text) for text in TEXTS], name="letters")
    store.db["dataset_versions"].insert({"dataset": given.dataset, "version": 1, "state": "ready", "rows": 3, "shape": "text", "origin": "{}", "created": 0.0})
    made: Any = Redact(RedactParams(names_model=False)).run(FakeContext(store, folder, inputs={"rows": given}))
    return made["rows"].dataset, made["rows"].version


@pytest.fixture
def review(qtbot: Any, window: Any, store: Store, tmp_path: Path) -> Callable[[], ReviewDialog]:
    dataset, version = redacted(store, tmp_path)

    def opened() -> ReviewDialog:
        window.go("datasets")
        dialog = open_review(window.page(), dataset, version)
        qtbot.waitUntil(lambda: bool(dialog.rows) and dialog.summary is not None, timeout=10_000)
        dialog.dataset, dialog.version = dataset, version
        return dialog

    return opened


def lines(dialog: ReviewDialog) -> list[str]:
    return [line.accessibleName() for line in dialog.findChildren(FindingLine) if line.isVisibleTo(dialog)]


def test_it_shows_the_row_what_was_found_in_it_and_how_well_that_was_measured(qtbot: Any, review: Callable[[], ReviewDialog]) -> None:
    dialog = review()
    qtbot.waitUntil(lambda: len(lines(dialog)) >= 3, timeout=10_000)  # shown by the layout a turn later
    assert dialog.where.words() == "Row 1, three findings"
    assert dialog.finding().text == "A. Castellano"
    assert [line.split(".")[0] for line in lines(dialog)] == ["Person: A", "Person: M", "E-mail: jane"]
    assert "jane.doe@example.com" in dialog.text.accessibleName()
    assert "Measured on" in dialog.note.words()
    assert dialog.summary.lines[0].label == "Person"
    assert dialog.count.words() == "0 of 4"


def test_keys_redact_keep_and_go_on(qtbot: Any, review: Callable[[], ReviewDialog], store: Store) -> None:
    dialog = review()
    qtbot.keyClick(dialog, Qt.Key.Key_A)
    assert dialog.finding().text == "M. Birkwood"
    qtbot.keyClick(dialog, Qt.Key.Key_K)
    assert dialog.where.words().startswith("Row 2")
    assert dialog.finding().text == "S. Calder"
    qtbot.keyClick(dialog, Qt.Key.Key_J)
    assert dialog.finding().text == "A. Castellano"
    qtbot.waitUntil(lambda: dialog.summary.open == 2, timeout=10_000)
    assert dialog.count.words() == "2 of 4"


def test_the_last_decision_can_be_taken_back(qtbot: Any, review: Callable[[], ReviewDialog], store: Store) -> None:
    dialog = review()
    qtbot.keyClick(dialog, Qt.Key.Key_K)
    qtbot.waitUntil(lambda: dialog.summary.open == 3, timeout=10_000)
    qtbot.keyClick(dialog, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert dialog.finding().text == "A. Castellano"
    qtbot.waitUntil(lambda: dialog.summary.open == 4, timeout=10_000)


def test_what_was_decided_goes_into_a_new_version(qtbot: Any, review: Callable[[], ReviewDialog], store: Store) -> None:
    dialog = review()
    assert not dialog.apply.isEnabled()
    assert dialog.apply.accessibleDescription().endswith("nothing was decided yet")
    qtbot.keyClick(dialog, Qt.Key.Key_K)
    qtbot.keyClick(dialog, Qt.Key.Key_E)
    dialog.field.setText("[CALLER]")
    qtbot.keyClick(dialog.field, Qt.Key.Key_Return)
    qtbot.waitUntil(dialog.apply.isEnabled, timeout=10_000)
    made: list[int] = []
    dialog.applied.connect(made.append)
    dialog.apply.click()
    qtbot.waitUntil(lambda: bool(made), timeout=10_000)
    with open_dataset(store, dialog.dataset) as db:
        first = next(db.iter_rows(made[0]))
    assert first.text == "A. Castellano called about the lease; [CALLER] wrote to [EMAIL_1]."


def test_escape_leaves_an_edit_and_not_the_review(qtbot: Any, review: Callable[[], ReviewDialog]) -> None:
    dialog = review()
    qtbot.keyClick(dialog, Qt.Key.Key_E)
    assert dialog.field.isVisible()
    qtbot.keyClick(dialog.field, Qt.Key.Key_Escape)
    assert dialog.isVisible()
    assert dialog.field.isHidden()
    assert dialog.finding().text == "A. Castellano"


def test_an_always_rule_decides_the_same_text_in_other_rows(qtbot: Any, review: Callable[[], ReviewDialog], store: Store) -> None:
    dialog = review()
    dialog.add_rule("keep", whole=False)
    qtbot.waitUntil(lambda: dialog.summary.open == 2, timeout=10_000)
    assert views.rules_of(store, dialog.dataset)[0].folded == "a. castellano"


def test_an_always_rule_is_taken_back_and_what_it_decided_waits_again(qtbot: Any, review: Callable[[], ReviewDialog], store: Store) -> None:
    dialog = review()
    assert "Take a rule back" not in [one.text() for one in dialog.rules_menu([]).actions()]
    dialog.add_rule("keep", whole=True)
    qtbot.waitUntil(lambda: dialog.summary.open == 0 and dialog.row_now() is None, timeout=10_000)
    (rule,) = views.rules_of(store, dialog.dataset)
    listed = dialog.rules_menu([rule]).actions()[-1].menu().actions()
    assert dialog.always.isEnabled()
    assert [one.text() for one in listed] == ["Keep: Person"]
    listed[0].trigger()
    qtbot.waitUntil(lambda: dialog.summary.open >= 4, timeout=10_000)
    assert views.rules_of(store, dialog.dataset) == []


def test_it_shows_recall_and_precision_of_each_kind(review: Callable[[], ReviewDialog]) -> None:
    dialog = review()
    line = next(line for line in dialog.summary.lines if line.entity == "EMAIL")
    assert line.recall
    assert line.precision
    shown = [dialog.grid.itemAtPosition(row, 3).widget().words() for row in range(1 + len(dialog.summary.lines))]
    assert shown[0] == "Correct"
    assert f"{floor(1000 * line.precision[0]) / 10:.1f} %" in shown


def test_all_findings_can_be_looked_at(qtbot: Any, review: Callable[[], ReviewDialog]) -> None:
    dialog = review()
    dialog.filter.choose("all")
    dialog._restart()
    qtbot.waitUntil(lambda: len(dialog.rows) == 3, timeout=10_000)


def test_when_nothing_waits_it_says_so(qtbot: Any, review: Callable[[], ReviewDialog]) -> None:
    dialog = review()
    for _ in range(4):
        qtbot.keyClick(dialog, Qt.Key.Key_A)
    qtbot.waitUntil(lambda: dialog.empty.isVisibleTo(dialog), timeout=10_000)
    assert not dialog.redact.isEnabled()
    qtbot.keyClick(dialog, Qt.Key.Key_A)  # and a key does nothing


def test_what_was_left_for_later_comes_again(qtbot: Any, review: Callable[[], ReviewDialog]) -> None:
    dialog = review()
    qtbot.keyClick(dialog, Qt.Key.Key_A)
    for _ in range(4):
        qtbot.keyClick(dialog, Qt.Key.Key_J)
    qtbot.waitUntil(lambda: dialog.finding() is not None, timeout=10_000)
    assert (dialog.row_now().position, dialog.finding().text) == (1, "M. Birkwood")


def test_one_button_is_filled_and_all_have_names(review: Callable[[], ReviewDialog]) -> None:
    buttons = [button for button in review().findChildren(QPushButton) if button.isVisible()]
    assert [button.accessibleName() for button in buttons if button.property("kind") == "filled"] == ["Redact"]
    assert all(button.accessibleName() for button in buttons)


@pytest.mark.parametrize(("waiting", "words"), [(0, "Review private data"), (12, "Review private data (12 open)"), (1200, "Review private data (1,200 open)")])
def test_the_button_says_how_many_wait(waiting: int, words: str) -> None:
    assert review_words(waiting) == words
