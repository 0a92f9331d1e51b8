"""The text view: completion, hints, mends, find and replace, layout, versions, and what runs in the end."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.config import versions
from app.config.templates import templates
from app.workflow.canvas import Fault
from ui.editor import pane as pane_module
from ui.editor.field import PlainEditor, ScintillaEditor
from ui.editor.find import FindBar
from ui.editor.versions import VersionsDialog

FLOW = """# mine
name: Sample
steps:
  source: {node: dataset.import, path: rows.jsonl}  # raw
  refine:
    node: data.refine
    needs: source
"""


@pytest.fixture
def page(qtbot, window, tmp_path):
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW, encoding="utf-8")
    window.go("workflow")
    found = window._pages["workflow"]
    qtbot.waitUntil(lambda: found._ready and bool(found._name), timeout=20_000)
    window.show()
    found.open(str(file))
    qtbot.waitUntil(lambda: found._path == str(file) and found.problems == [], timeout=10_000)
    return found


@pytest.fixture
def side(page):
    return page._right_side


def put(page, text):
    page.editor.set_text(text)


def test_words_that_fit_are_offered_while_typing(qtbot, page, side, monkeypatch):
    offered = []
    monkeypatch.setattr(side.editor, "offer", lambda words, typed: offered.append((list(words), typed)))
    put(page, FLOW + "    min_l")
    page.editor.select(len(FLOW) + 9, len(FLOW) + 9)
    side.ask_words()
    qtbot.waitUntil(lambda: bool(offered), timeout=3000)
    assert offered[-1][0][0] == "min_length: "
    assert offered[-1][1] == 5


def test_a_key_press_asks_for_words(qtbot, page, side, monkeypatch):
    asked = []
    monkeypatch.setattr(pane_module, "_complete", lambda store, *values: asked.append(values) or pane_empty())
    page.editor.setFocus()
    page.editor.select(len(FLOW), len(FLOW))
    QTest.keyClicks(page.editor.field, "de")
    qtbot.waitUntil(lambda: bool(asked), timeout=3000)
    assert asked[-1][-2:] == (8, 3)


def pane_empty():
    from app.workflow.assist import Completion

    return Completion()


def test_the_chosen_word_replaces_what_was_typed(qtbot, page, side):
    put(page, FLOW + "    min_l")
    page.window().activateWindow()
    page.editor.setFocus()
    qtbot.waitUntil(page.editor.field.hasFocus, timeout=2000)
    page.editor.select(len(FLOW) + 9, len(FLOW) + 9)
    side.ask_words()
    qtbot.waitUntil(page.editor.field.autoCActive, timeout=3000)
    QTest.keyClick(page.editor.field, Qt.Key.Key_Return)
    assert page.editor.text() == FLOW + "    min_length: "


def test_a_hint_says_what_the_key_under_the_pointer_means(qtbot, page, side, monkeypatch):
    said = []
    monkeypatch.setattr(page.editor, "tell", said.append)
    side._page.editor.hovers.disconnect()
    page.editor.hovers.connect(side._hover)
    monkeypatch.setattr(side.editor, "tell", said.append)
    side._hover(7, 6)
    qtbot.waitUntil(lambda: bool(said), timeout=3000)
    assert said == ["Steps that must be done before"]


def test_a_mend_is_offered_beside_the_fault_and_is_one_undo(qtbot, page, side):
    put(page, FLOW + "    min_lenght: 4\n")
    qtbot.waitUntil(side.mend.isVisible, timeout=5000)
    assert side.mend.text().strip() == "Change “min_lenght” to “min_length”"
    side.mend.click()
    assert "min_length: 4" in page.editor.text()
    qtbot.waitUntil(lambda: page.problems == [], timeout=5000)
    assert not side.mend.isVisible()
    page.undo()
    assert "min_lenght: 4" in page.editor.text()


def test_alt_enter_opens_the_mends_of_the_line(qtbot, page, side, monkeypatch):
    shown = []
    monkeypatch.setattr(side, "_menu", lambda found: shown.append([fix.words for fix in found]))
    put(page, FLOW + "    min_lenght: 4\n")
    qtbot.waitUntil(lambda: bool(page.problems), timeout=5000)
    QTest.keyClick(page.editor.field, Qt.Key.Key_Return, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: bool(shown), timeout=3000)
    assert shown == [["Change “min_lenght” to “min_length”", "Remove “min_lenght”"]]


def test_laying_out_is_one_change_of_the_document(qtbot, page, side):
    untidy = FLOW.replace("    node: data.refine", "      node: data.refine").replace("    needs: source", "      needs: source")
    put(page, untidy + "\n\n\n")
    side.lay_out()
    qtbot.waitUntil(lambda: page.editor.text() == FLOW, timeout=3000)
    assert page.history.undo_words == "Lay out"


def test_an_earlier_version_can_be_compared_and_restored(qtbot, page, side, monkeypatch):
    versions.save(page.background.store, page._path, FLOW.replace("Sample", "Earlier"))
    dialog = VersionsDialog(page, page.version_name, page.history.text)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: dialog.restore.isEnabled(), timeout=3000)
    assert "− name: Sample" in dialog.view.toPlainText()
    assert "+ name: Earlier" in dialog.view.toPlainText()
    dialog.restore.click()
    assert dialog.chosen == FLOW.replace("Sample", "Earlier")
    monkeypatch.setattr(pane_module, "ask_version", lambda *_: dialog.chosen)
    side.show_versions()
    assert "name: Earlier" in page.editor.text()
    page.undo()
    assert page.editor.text() == FLOW


def test_what_runs_is_shown_with_who_set_it_and_follows_the_environment(qtbot, page, side):
    put(page, FLOW.replace("steps:", "environments:\n  strict: {steps: {refine: {min_length: 50}}}\nsteps:"))
    side.show_side("resolved")
    qtbot.waitUntil(lambda: "min_length: 1 " in side.resolved.editor.text(), timeout=5000)
    assert "# default" in side.resolved.editor.text()
    side.resolved.environment.setCurrentText("strict")
    side.resolved.asked.emit("strict")
    qtbot.waitUntil(lambda: "min_length: 50" in side.resolved.editor.text(), timeout=5000)
    assert side.resolved.environment.currentText() == "strict"
    line = next(line for line in side.resolved.editor.text().splitlines() if "min_length" in line)
    assert line.endswith("# line 4")


def test_a_run_keeps_a_version(qtbot, page, window, monkeypatch):
    started = []
    monkeypatch.setattr(window, "run", lambda source, busy=None: started.append(source))
    put(page, FLOW + "    min_length: 4\n")
    qtbot.waitUntil(page.run_button.isEnabled, timeout=5000)
    page.run_primary()
    qtbot.waitUntil(lambda: bool(started), timeout=5000)
    assert versions.text_of(page.background.store, page.version_name).endswith("min_length: 4\n")


def test_a_template_begins_a_workflow(qtbot, page):
    qtbot.waitUntil(lambda: len(page._templates) == len(templates()) >= 5, timeout=5000)
    page.new(page._templates[0])
    assert page.editor.text() == page._templates[0].text()


# ---- find and replace, in both editors -----------------------------------------------------------------------------------


@pytest.fixture(params=[ScintillaEditor, PlainEditor])
def bar(qtbot, qapp, request) -> FindBar:
    editor = request.param("Document")
    qtbot.addWidget(editor)
    editor.set_text("größe: 1\nGröße: 2\n日本: größe\n")
    made = FindBar(editor)
    qtbot.addWidget(made)
    made.replaced.connect(lambda text, words: editor.set_text(text))
    editor.show()
    made.open(replace=True)
    return made


def test_steps_go_round_in_both_directions(bar):
    bar.what.setText("größe")
    bar._editor.select(0, 0)
    seen = []
    for by in (1, 1, 1, 1, -1):
        bar.step(by)
        seen.append(bar._editor.selection())
    assert seen == [(0, 5), (9, 14), (22, 27), (0, 5), (22, 27)]
    assert bar._count.words() == "3 of 3"


@pytest.mark.parametrize(("what", "by", "case", "pattern", "expected"), [
    pytest.param("größe", "size", False, False, "size: 1\nsize: 2\n日本: size\n", id="any case"),
    pytest.param("größe", "size", True, False, "size: 1\nGröße: 2\n日本: size\n", id="this case"),
    pytest.param(r"^(\w+): (\d)", r"\2: \1", False, True, "1: größe\n2: Größe\n日本: größe\n", id="pattern"),
    pytest.param(r"\d", r"\2", False, False, "größe: 1\nGröße: 2\n日本: größe\n", id="a pattern's signs as text")])
def test_everything_is_replaced_at_once(bar, what, by, case, pattern, expected):
    bar.what.setText(what)
    bar.by.setText(by)
    bar.case.setChecked(case)
    bar.pattern.setChecked(pattern)
    bar.replace_all()
    assert bar._editor.text() == expected


def test_one_place_is_replaced_and_the_next_is_chosen(bar):
    bar.what.setText("größe")
    bar.by.setText("x")
    bar._editor.select(0, 5)
    bar.replace_one()
    assert bar._editor.text() == "x: 1\nGröße: 2\n日本: größe\n"
    assert bar._editor.selection() == (5, 10)


@pytest.mark.parametrize(("what", "words"), [("(", "Not a pattern"), ("zzz", "0 found"), ("", "")])
def test_the_bar_says_how_many_there_are(bar, what, words):
    bar.pattern.setChecked(True)
    bar.what.setText(what)
    assert bar._count.words() == words
    bar.step(1)


def test_a_replacement_that_is_none_changes_nothing(bar):
    bar.pattern.setChecked(True)
    bar.what.setText("größe")
    bar.by.setText(r"\9")
    bar.replace_all()
    assert bar._editor.text().startswith("größe")
    assert bar._count.words() == "Not a replacement"


def test_what_is_said_under_the_last_line_is_scrolled_to(page, side):
    text = FLOW + "# more\n" * 60 + "wrong: 1"
    put(page, text)
    page.editor.select(len(text), len(text))
    field = side.editor.field
    side.editor.show_problems([Fault(len(text.splitlines()), 1, "Unknown key 'wrong'", "")])
    last = field.visibleFromDocLine(field.lineCount() - 1) + field.annotationLines(field.lineCount() - 1)
    assert field.annotationLines(field.lineCount() - 1) > 0
    assert last < field.firstVisibleLine() + field.linesOnScreen()
    field.lineScroll(0, -30)
    top = field.firstVisibleLine()
    side.editor.show_problems([Fault(len(text.splitlines()), 1, "Unknown key 'wrong'", "")])
    assert field.firstVisibleLine() == top  # who looks elsewhere stays there
