"""The mapping editor: what was recognised, what a change of it does, and what an import gets."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QLabel

from app.data.views import overview
from ui.mapping import MappingDialog, of_file

FOREIGN = "sachverhalt,beurteilung,topic\nWhich law?,Swedish law,law\n,No question here,law\n"


@pytest.fixture
def show(qtbot, window, tmp_path):
    """Write a file, open the dialog on it and wait for the first answer."""
    taken = []

    def opened(name: str, text: str) -> MappingDialog:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        dialog = MappingDialog(window, window.background, of_file(file), taken.append)
        dialog.open()
        dialog.taken = taken
        qtbot.waitUntil(lambda: dialog.preview is not None or not dialog._banner.isHidden(), timeout=10_000)
        return dialog

    return opened


def _choose(dialog, box, text):
    box.setCurrentIndex(box.findText(text))
    box.activated.emit(box.currentIndex())


def _said(dialog):
    return [label.accessibleName() for label in dialog.findChildren(QLabel) if label.isVisible()]


def test_what_is_recognised_can_be_imported_at_once(qtbot, show):
    dialog = show("a.jsonl", '{"instruction": "Translate", "input": "Frist", "output": "deadline", "id": 7}\n')
    assert dialog.mapping() == {"shape": "instruction", "prompt": "instruction", "context": "input", "answer": "output"}
    assert "recognised from the columns; change it if it is wrong" in _said(dialog)
    assert {"Translate\n\nFrist", "deadline", "id: 7"} <= set(_said(dialog))  # a row as it will be stored, with what is kept
    dialog.import_button.click()
    assert dialog.taken[0]["prompt"] == "instruction"


def test_an_unknown_shape_is_mapped_by_hand(qtbot, show):
    dialog = show("b.csv", FOREIGN)
    assert not dialog.import_button.isEnabled()
    assert dialog.import_button.accessibleDescription().startswith("Import: ")
    _choose(dialog, dialog.shape, "Question and answer")
    qtbot.waitUntil(lambda: set(dialog._roles) == {"prompt", "answer", "system"}, timeout=10_000)
    assert not dialog.import_button.isEnabled()
    for role, column in (("prompt", "sachverhalt"), ("answer", "beurteilung")):
        before = dialog.preview
        _choose(dialog, dialog._roles[role], column)
        qtbot.waitUntil(lambda before=before: dialog.preview is not before, timeout=10_000)
    assert dialog.import_button.isEnabled()
    assert [stored.problem != "" for stored in dialog.preview.rows] == [False, True]
    qtbot.waitUntil(lambda: "will be set aside" in _said(dialog), timeout=10_000)
    dialog.import_button.click()
    assert {"prompt": "sachverhalt", "answer": "beurteilung"}.items() <= dialog.taken[0].items()


def test_cancel_imports_nothing(qtbot, show, store):
    dialog = show("c.csv", "question,answer\nWhich law?,Swedish law\n")
    dialog.reject()
    assert dialog.taken == []
    assert overview(store) == []


def test_a_file_that_cannot_be_read_says_why_and_cannot_be_imported(show):
    dialog = show("d.jsonl", "")
    assert "empty" in dialog._banner.accessibleName()
    assert not dialog.import_button.isEnabled()
    assert dialog.import_button.toolTip().startswith("Import: ")
