"""The Workflow page: faults on their lines, a run button that says why not."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.config.document import Checked
from app.config.views import DocumentView
from app.errors import ConfigError, Place
from app.workflow.canvas import Fault
from ui.editor.field import Editor, PlainEditor, ScintillaEditor, make_editor

TEXT = "name: x\nsteps:\n  refine: {node: data.refine, near_duplicates: {treshold: 0.7}}\n"
FAULT = Fault(3, 30, "Unknown setting “treshold”.", "Did you mean “threshold”?")


def test_scintilla_is_the_editor_here(qtbot, qapp):
    editor = make_editor("Document")
    qtbot.addWidget(editor)
    assert isinstance(editor, ScintillaEditor)


def test_a_plain_editor_stands_in_where_scintilla_cannot_be_imported(qtbot, qapp, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyside6_scintilla", None)
    editor = make_editor("Document")
    qtbot.addWidget(editor)
    assert isinstance(editor, PlainEditor)


@pytest.fixture(params=[ScintillaEditor, PlainEditor])
def editor(qtbot, qapp, request) -> Editor:
    made = request.param("Document")
    qtbot.addWidget(made)
    made.resize(600, 400)
    made.show()
    return made


def test_the_text_comes_back_as_it_went_in(editor):
    editor.set_text(TEXT + "# größer, 日本\n")
    assert editor.text() == TEXT + "# größer, 日本\n"


def test_a_fault_stands_at_its_line_and_goes_again(qtbot, editor):
    changes = []
    editor.set_text(TEXT)
    editor.changed.connect(lambda: changes.append(1))
    editor.show_problems([FAULT])
    assert "treshold" in editor.annotation(3)
    assert editor.annotation(2) == ""
    editor.show_problems([])
    assert editor.annotation(3) == ""
    qtbot.wait(50)
    assert changes == []  # showing faults is no edit, else checking would never end


def test_moving_the_caret_is_told(qtbot, editor):
    editor.set_text(TEXT)
    with qtbot.waitSignal(editor.moved, timeout=1000, check_params_cb=lambda line, _column: line == 3):
        editor.go_to(3)


@pytest.fixture
def page(qtbot, window, monkeypatch):
    monkeypatch.setattr("app.workflow.runs.check_text", _checked)
    window.go("workflow")
    found = window._pages["workflow"]
    found.show_document(DocumentView("mine", "/tmp/mine.yaml", TEXT, saved=True))
    return found


def _checked(text, _path):
    fault = ConfigError("config.unknown_key", FAULT.message, where=Place(None, FAULT.line, FAULT.column), remedy=FAULT.hint)
    return Checked("x", fault=fault if "treshold" in text else None)


def test_the_run_button_says_what_to_fix_first(qtbot, page):
    qtbot.waitUntil(lambda: page.run_button.text().strip() == "Run: fix 1 problem first", timeout=3000)
    assert not page.run_button.isEnabled()
    assert "threshold" in page.editor.annotation(3)


def test_mending_the_document_frees_the_button(qtbot, page):
    qtbot.waitUntil(lambda: page._problems and page._problems[0].message == FAULT.message, timeout=3000)
    page.editor.set_text(TEXT.replace("treshold", "threshold"))
    qtbot.waitUntil(page.run_button.isEnabled, timeout=3000)
    assert page._right_side.saved_word.words() == "Changed"


def test_an_edited_text_is_run_as_it_stands(qtbot, page, window, monkeypatch):
    started = []
    monkeypatch.setattr(window, "run", lambda source, busy=None: started.append(source))
    page.editor.set_text("name: edited\n")
    qtbot.waitUntil(page.run_button.isEnabled, timeout=3000)
    page.run_primary()
    qtbot.waitUntil(lambda: bool(started), timeout=3000)
    from pathlib import Path

    assert Path(started[0]).read_text(encoding="utf-8") == "name: edited\n"


# ---- canvas and text are one document ---------------------------------------------------------------------------------------

FLOW = """# mine
name: Sample
steps:
  source: {node: dataset.import, path: rows.jsonl}  # raw
  refine: {node: data.refine, needs: source}
"""


@pytest.fixture
def both(qtbot, window, tmp_path):
    """The page with a file of its own, both views ready."""
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW, encoding="utf-8")
    window.go("workflow")
    found = window._pages["workflow"]
    qtbot.waitUntil(lambda: found._ready and bool(found._name), timeout=20_000)
    window.show()
    found.open(str(file))
    qtbot.waitUntil(lambda: found._path == str(file) and list(found.pane.scene.cards) == ["source", "refine"], timeout=10_000)
    return found


def test_an_edit_of_the_canvas_is_in_the_text_at_once(both):
    both.pane.scene.choose(["refine"])
    both.pane.deeds.set_parameter("refine", ("min_length",), 9)
    assert "needs: source, min_length: 9}" in both.editor.text()
    assert both.editor.text() == both.history.text
    assert both._right_side.saved_word.words() == "Changed"


def test_an_edit_of_the_text_is_on_the_canvas_shortly(qtbot, both):
    both.editor.set_text(FLOW + "  train: {node: train.qlora, needs: refine}\n")
    qtbot.waitUntil(lambda: "train" in both.pane.scene.cards, timeout=3000)


def test_one_undo_stack_serves_both_views(qtbot, both):
    both.pane.deeds.delete()
    both.editor.set_text(FLOW.replace("# mine", "# typed"))
    qtbot.waitUntil(lambda: both.pane.deeds.text.startswith("# typed"), timeout=3000)
    both.pane.scene.choose(["refine"])
    both.pane.deeds.delete()
    assert "refine" not in both.editor.text()
    assert both.pane.undo.toolTip().startswith("Undo: Remove refine")
    both.pane.undo.click()
    assert "refine" in both.pane.scene.cards
    both.undo()
    assert both.editor.text() == FLOW
    assert both.pane.deeds.text == FLOW
    both.redo()
    both.redo()
    assert list(both.pane.scene.cards) == ["source"]
    assert not both.pane.redo.isEnabled()


@pytest.mark.parametrize(("keys", "back"), [(Qt.Key.Key_Z, True), (Qt.Key.Key_Y, False)])
def test_undo_keys_in_the_text_are_the_documents(both, keys, back):
    both.pane.deeds.set_parameter("refine", ("min_length",), 9)
    if not back:
        both.undo()
    both.editor.setFocus()
    QTest.keyClick(both.editor.field, keys, Qt.KeyboardModifier.ControlModifier)
    assert ("min_length" in both.pane.deeds.text) is not back
    assert both.editor.text() == both.pane.deeds.text


def test_a_broken_text_greys_the_canvas_and_names_the_line(qtbot, both):
    both.editor.set_text(FLOW + "  x: [\n")
    qtbot.waitUntil(lambda: both.pane.trouble is not None, timeout=3000)
    assert list(both.pane.scene.cards) == ["source", "refine"]
    qtbot.waitUntil(lambda: bool(both._problems), timeout=5000)
    assert not both.run_button.isEnabled()
    both.undo()
    assert both.pane.trouble is None


def test_a_fault_stands_in_the_text_on_the_card_and_in_the_form(qtbot, both):
    both.pane.scene.choose(["refine"])
    both.editor.set_text(FLOW.replace("needs: source}", "needs: source, min_length: -3}"))
    qtbot.waitUntil(lambda: both.pane.scene.cards["refine"].fault, timeout=5000)
    assert both.pane.scene.cards["refine"].face.words == "1 problem, line 5"
    assert "greater than or equal to 0" in both.editor.annotation(5)
    assert "greater than or equal to 0" in both.pane.inspector.rows["min_length",].said.words()


def test_the_newest_run_shows_on_the_cards_and_an_edit_does_not_clear_it(qtbot, both):
    qtbot.waitUntil(lambda: both.pane.scene.cards["source"].face.words != "Not run yet", timeout=5000)
    assert both.pane.status.number == 3
    both.pane.deeds.set_parameter("refine", ("min_length",), 9)
    assert both.pane.status.number == 3


def test_a_step_that_has_run_can_be_run_again_with_what_builds_on_it(qtbot, both, monkeypatch):
    qtbot.waitUntil(lambda: "refine" in both.pane.status.states and both.run_button.isEnabled(), timeout=10_000)
    ran = []
    monkeypatch.setattr(both, "run_primary", lambda: ran.append(True))
    store = both.background.store
    store.db.execute("UPDATE steps SET hash = id WHERE run = ?", (both.pane.status.run,))
    for name in ("source", "refine"):
        store.db["step_cache"].insert({"hash": name, "run": "r", "step": name, "outputs": "{}", "created": 0.0})
    both.pane.scene.choose(["refine"])
    action = next(one for one in both.pane.make_menu().actions() if one.text().startswith("Run again from here"))
    assert action.isEnabled()
    action.trigger()
    qtbot.waitUntil(lambda: ran == [True], timeout=5000)
    assert [row["hash"] for row in store.rows("SELECT hash FROM step_cache")] == ["source"]
    both.pane.scene.clearSelection()
    both.pane.do("again")
    assert "Choose one step" in both.pane.strip.label.words()


def test_a_draft_is_kept_and_comes_back(qtbot, both):
    both.pane.deeds.set_parameter("refine", ("min_length",), 9)
    qtbot.waitUntil(lambda: both._right_side.saved_word.words() == "Changed, draft kept", timeout=8000)
    path = both._path
    both.new()
    assert list(both.pane.scene.cards) == []
    both.open(path)
    qtbot.waitUntil(lambda: both._path == path, timeout=5000)
    assert "min_length: 9" in both.editor.text()
    both.undo()
    assert both.editor.text() == FLOW


def test_saving_writes_the_file_of_the_document(qtbot, both):
    from pathlib import Path

    both.pane.deeds.set_parameter("refine", ("min_length",), 9)
    both.save()
    qtbot.waitUntil(lambda: both._right_side.saved_word.words() == "Saved", timeout=5000)
    assert Path(both._path).read_text(encoding="utf-8") == both.editor.text()


def test_either_view_can_be_alone(both):
    for which, canvas, text in (("canvas", True, False), ("text", False, True), ("both", True, True)):
        both.show_views(which)
        assert (both.pane.isVisible(), both._right_side.isVisible()) == (canvas, text)
