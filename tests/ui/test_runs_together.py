"""Runs as a list: searching, comparing, ordering what waits, tags and notes, cloning."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from app.workflow import views


@pytest.fixture
def page(qtbot, window):
    window.go("runs")
    found = window._pages["runs"]
    window.show()
    qtbot.waitUntil(lambda: len(found.table._table.rows) == 3, timeout=10_000)
    return found


def names(page):
    return [cells[1].text for _, cells in page.table._table.rows]


def test_two_runs_can_be_laid_side_by_side(qtbot, page):
    page.choosing.click()
    assert not page.compare.isEnabled()
    for key in ("run_done", "run_live"):
        page.table.opened.emit(key)
    assert page.compare.isEnabled()
    page.compare.click()
    qtbot.waitUntil(lambda: page._stack.currentWidget() is page.comparison, timeout=5000)
    assert page.header.title.words() == "Compare runs"
    assert page.comparison._curves.count() >= 4
    page._back.click()
    assert page._stack.currentWidget() is page._list
    assert not page.choosing.isChecked()


def test_a_fifth_run_is_too_many_and_the_button_says_so(page):
    page.choosing.click()
    for number in range(5):
        page._clicked(f"run_{number}")
    assert not page.compare.isEnabled()
    assert "5 chosen" in page.compare.toolTip()


def test_runs_are_found_by_their_tags(qtbot, page):
    page.background.store.db.execute("UPDATE runs SET tags = ? WHERE id = 'run_failed'", (json.dumps(["paper"]),))
    qtbot.waitUntil(lambda: any("paper" in name for name in names(page)), timeout=5000)
    page.search.setText("sample pap")
    assert names(page) == ["Sample · paper"]
    page.search.setText("")
    assert len(names(page)) == 3


def queued(page, count):
    store = page.background.store
    for number in range(count):
        store.db["runs"].insert({"id": f"run_q{number}", "number": 10 + number, "name": f"Waits {number}", "document": "", "document_hash": "",
                                 "resolved": "{}", "state": "queued", "seed": 0, "created": 1.0})


@pytest.mark.parametrize("by", ["keys", "drag"])
def test_waiting_runs_are_put_in_another_order(qtbot, page, by):
    queued(page, 3)
    qtbot.waitUntil(page.queue.isVisible, timeout=5000)
    assert page.queue.order() == ["run_q0", "run_q1", "run_q2"]
    page.queue.list.setCurrentRow(2)
    if by == "keys":
        for _ in range(2):
            QTest.keyClick(page.queue.list, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    else:
        page.queue.list.insertItem(0, page.queue.list.takeItem(2))  # what a drop does before it tells
        page.queue.list.moved.emit()
    store = page.background.store
    qtbot.waitUntil(lambda: [line.id for line in views.waiting(store)] == ["run_q2", "run_q0", "run_q1"], timeout=5000)
    qtbot.wait(600)
    assert page.queue.order() == ["run_q2", "run_q0", "run_q1"]


def test_a_run_between_two_steps_says_which_run_it_waits_for(qtbot, page):
    store = page.background.store
    queued(page, 1)
    store.db.execute("UPDATE runs SET state = 'running', started = 2.0 WHERE id = 'run_q0'")
    busy = store.row("SELECT runs.number FROM runs JOIN steps ON steps.run = runs.id WHERE steps.state = 'running'")["number"]
    qtbot.waitUntil(lambda: len(names(page)) == 4, timeout=5000)
    cells = next(row for key, row in page.table._table.rows if key == "run_q0")
    assert [cells[2].text, cells[3].text] == ["Waiting", f"Waits for run {busy}"]
    page.open("run_q0")
    qtbot.waitUntil(lambda: page.pane._left.words() == "Waiting", timeout=5000)
    assert page.pane._view.line.waits_for == busy
    store.db.execute("UPDATE steps SET state = 'done' WHERE state = 'running'")
    qtbot.waitUntil(lambda: page.pane._left.words() == "Starting", timeout=5000)


def test_a_single_waiting_run_needs_no_order(qtbot, page):
    queued(page, 1)
    qtbot.waitUntil(lambda: len(names(page)) == 4, timeout=5000)
    assert not page.queue.isVisible()


@pytest.fixture
def one(qtbot, page):
    page.open("run_done")
    qtbot.waitUntil(lambda: page.pane.notes._run == "run_done", timeout=5000)
    return page.pane.notes


def test_tags_and_note_are_kept_when_the_field_is_left(qtbot, page, one):
    one.tags.setText("paper, final")
    one.tags.editingFinished.emit()
    one.note.setText("the one we use")
    one.note.editingFinished.emit()
    store = page.background.store
    qtbot.waitUntil(lambda: store.row("SELECT tags, note FROM runs WHERE id = 'run_done'") == {
        "tags": '["paper","final"]', "note": "the one we use"}, timeout=5000)


def test_tags_that_cannot_be_kept_say_why_and_stay_to_be_mended(qtbot, page, one):
    one.tags.setText("good, " + "x" * 60)
    one.tags.editingFinished.emit()
    qtbot.waitUntil(lambda: page.banner.isVisible(), timeout=5000)
    one.note.setText("a note")  # which the store tells back, with the tags as they were
    one.note.editingFinished.emit()
    qtbot.waitUntil(lambda: one._stored["note"] == "a note", timeout=5000)
    assert one.tags.text() == "good, " + "x" * 60
    one.tags.setText("good")
    one.tags.editingFinished.emit()
    qtbot.waitUntil(lambda: one._stored["tags"] == "good", timeout=5000)


def test_the_command_of_a_run_is_copied_and_its_copy_is_saved_where_the_user_says(qtbot, page, one, monkeypatch):
    store = page.background.store
    store.db.execute("UPDATE runs SET resolved = ? WHERE id = 'run_done'", (json.dumps(
        {"name": "Sample", "base_model": "x", "seed": 1, "steps": {"a": {"node": "data.refine", "title": "A", "needs": [], "inputs": {}, "params": {}}}}),))
    one._copy()
    qtbot.waitUntil(lambda: "main.py run" in QGuiApplication.clipboard().text(), timeout=5000)
    one._clone()
    qtbot.waitUntil(lambda: page.shell.page().title == "Workflow" and "copy of run" in page.shell.page().header.subtitle.words(), timeout=20_000)
    workflow, asked = page.shell.page(), []
    assert workflow.header.subtitle.words().endswith("not in a file of yours yet")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a, **_k: (asked.append(1), ("", ""))[1])
    workflow.save()
    assert asked == [1]  # a copy lies among the drafts, where nobody would look for it
