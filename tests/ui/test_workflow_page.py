"""The Workflow page: faults on their lines, a run button that says why not."""

from __future__ import annotations

import pytest

from app.config.views import DocumentView
from app.workflow.views import Problem
from ui.widgets.code import Editor, PlainEditor, ScintillaEditor, make_editor

TEXT = "name: x\nsteps:\n  refine: {node: data.refine, near_duplicates: {treshold: 0.7}}\n"
FAULT = Problem(3, 30, "Unknown setting “treshold”.", "Did you mean “threshold”?")


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
    monkeypatch.setattr("app.workflow.views.problems", _problems)
    window.go("workflow")
    found = window._pages["workflow"]
    found.show_document(DocumentView("mine", "/tmp/mine.yaml", TEXT, saved=True))
    return found


def _problems(_store, text, _path):
    return [FAULT] if "treshold" in text else []


_problems.__module__, _problems.__qualname__ = "app.workflow.views", "problems"


def test_the_run_button_says_what_to_fix_first(qtbot, page):
    qtbot.waitUntil(lambda: page.run_button.text().strip() == "Run: fix 1 problem first", timeout=3000)
    assert not page.run_button.isEnabled()
    assert "threshold" in page.editor.annotation(3)


def test_mending_the_document_frees_the_button(qtbot, page):
    qtbot.waitUntil(lambda: page._problems and page._problems[0].message == FAULT.message, timeout=3000)
    page.editor.set_text(TEXT.replace("treshold", "threshold"))
    qtbot.waitUntil(page.run_button.isEnabled, timeout=3000)
    assert page._saved_word.words() == "Changed"


def test_an_edited_text_is_run_as_it_stands(qtbot, page, window, monkeypatch):
    started = []
    monkeypatch.setattr(window, "run", lambda source, busy=None: started.append(source))
    page.editor.set_text("name: edited\n")
    qtbot.waitUntil(page.run_button.isEnabled, timeout=3000)
    page.run_primary()
    qtbot.waitUntil(lambda: bool(started), timeout=3000)
    from pathlib import Path

    assert Path(started[0]).read_text(encoding="utf-8") == "name: edited\n"
