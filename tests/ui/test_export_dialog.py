"""Export in the window: sizes before, a copy of what is there, a run for what is not, a reason for what cannot be."""

from __future__ import annotations

import threading

import pytest

from app.registry import api, exporting
from app.registry.exporting import Choice, Choices
from tests.registry.gguf_maker import Gguf
from ui.exportdialog import ExportDialog

CHOICES = Choices((Choice("q8_0", 145_000_000, "notices-q8_0.gguf", True, 0.001, True, ""),
                   Choice("f16", 270_000_000, "", False, None, None, ""),
                   Choice("q4_k_m", None, "", False, None, None, "This machine cannot write q4_k_m.")), 9_000_000_000)


@pytest.fixture
def dialog(qtbot, window, monkeypatch):
    monkeypatch.setattr(exporting, "choices", lambda _store, _id: CHOICES)
    window.go("models")
    made = ExportDialog(window._pages["models"], "notices@1", "notices, version 1")
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: bool(made.choices), timeout=5000)
    return made


def test_the_recommended_file_is_chosen_and_sizes_are_told(dialog):
    assert dialog.table.key() == "q8_0"
    assert dialog.act.accessibleName() == "Save a copy"
    sizes = [dialog.table.model().index(place, 1).data() for place in range(3)]
    assert sizes == ["145 MB", "about 270 MB", "–"]


@pytest.mark.parametrize(("key", "verb", "fault"), [
    ("q8_0", "Save a copy", ""), ("f16", "Make the file", ""), ("q4_k_m", "Make the file", "This machine cannot write q4_k_m.")])
def test_the_button_says_what_it_does_or_why_it_cannot(dialog, key, verb, fault):
    dialog.table.select_key(key)
    assert (dialog.act.accessibleName(), dialog.act.isEnabled()) == (verb, not fault)
    assert dialog.act.accessibleDescription() == fault
    assert ("A run makes it" in dialog.note.words()) == (key == "f16")


def test_making_a_file_starts_a_run_and_shows_it(qtbot, window, dialog, monkeypatch):
    monkeypatch.setattr(exporting, "document", lambda _store, version, kind: (
        f'name: Export {version} as {kind}\nsteps:\n  open: {{node: model.open, version: "{version}"}}\n'))
    dialog.table.select_key("f16")
    dialog.act.click()
    qtbot.waitUntil(lambda: not dialog.isVisible(), timeout=5000)
    row = window.background.store.row("SELECT name, state FROM runs ORDER BY number DESC LIMIT 1")
    assert row == {"name": "Export notices@1 as f16", "state": "queued"}
    assert window.page() is window._pages["runs"]


def test_a_copy_is_saved_where_the_user_says(qtbot, window, tmp_path):
    from app.config.artifacts import Model

    file = Gguf(template="x").write(tmp_path / "made-q8_0.gguf")
    details = {"files": [{"quantization": "q8_0", "path": str(file)}]}
    version = api.register(window.background.store, Model(content_hash="h", path=str(file), format="gguf", name="Made", details=details))
    window.go("models", version.id)
    page = window._pages["models"]
    qtbot.waitUntil(lambda: page._view is not None and page._view.line.id == version.id, timeout=5000)
    page._export.click()
    dialog = page.findChild(ExportDialog)
    qtbot.waitUntil(lambda: bool(dialog.choices), timeout=5000)
    assert "came as a GGUF" not in dialog.note.words()
    dialog.save_to(tmp_path / "missing" / "copy.gguf")
    qtbot.waitUntil(lambda: "folder does not exist" in dialog.note.words(), timeout=5000)
    dialog.save_to(tmp_path / "copy.gguf")
    qtbot.waitUntil(lambda: (tmp_path / "copy.gguf").is_file(), timeout=5000)
    assert (tmp_path / "copy.gguf").read_bytes() == file.read_bytes()


def test_a_copy_tells_how_far_it_is_and_can_be_cancelled(qtbot, dialog, monkeypatch, tmp_path):
    half, going = threading.Event(), threading.Event()

    def slow_copy(_store, _version, _kind, _place, told):
        told(0.37)
        half.set()
        assert going.wait(10)
        told(0.5)
        raise AssertionError("it was cancelled")

    monkeypatch.setattr(exporting, "save_copy", slow_copy)
    dialog.save_to(tmp_path / "copy.gguf")
    assert half.wait(10)
    qtbot.waitUntil(lambda: dialog.note.words() == "Copying to copy.gguf: 37 %", timeout=5000)
    assert (dialog.leave.accessibleName(), dialog.act.isEnabled()) == ("Cancel", False)
    dialog.leave.click()
    assert dialog.isVisible(), "it closes when the copy is over, not under it"
    going.set()
    qtbot.waitUntil(lambda: "cancelled; nothing of it is left" in dialog.note.words(), timeout=5000)
    assert (dialog.leave.accessibleName(), dialog.act.isEnabled()) == ("Close", True)


@pytest.mark.parametrize(("fault", "words", "offered"), [
    pytest.param("", "The run that exported it can make it again.", True, id="its run is there"),
    pytest.param("Its file is missing on this computer. The run that made it is not in the store.", "is not in the store", False, id="it is gone")])
def test_a_missing_file_is_told_on_the_page_with_the_way_to_make_it_again(qtbot, window, tmp_path, monkeypatch, fault, words, offered):
    from app.config.artifacts import Model

    file = Gguf(template="x").write(tmp_path / "made-q8_0.gguf")
    details = {"files": [{"quantization": "q8_0", "path": str(file)}]}
    version = api.register(window.background.store, Model(content_hash="h", path=str(file), format="gguf", name="Made", details=details))
    next(window.background.store.profile.models.rglob("*.gguf")).unlink()
    lost = Choice("q8_0", 145, "", False, None, None, fault, missing=True)
    monkeypatch.setattr(exporting, "choices", lambda _store, _id: Choices((lost,), 9_000_000_000))
    window.go("models", version.id)
    page = window._pages["models"]
    qtbot.waitUntil(lambda: words in page._missing.words() and page._missing_line.isVisibleTo(page), timeout=5000)
    assert page._again.isVisibleTo(page) is offered
    page._missing_line.hide()
    page._show_missing(object(), Choices((lost,), 9_000_000_000))
    assert page._missing_line.isHidden(), "an answer about a version that was shown before"
    page._export.click()
    opened = page.findChild(ExportDialog)
    qtbot.waitUntil(lambda: bool(opened.choices), timeout=5000)
    assert (opened.act.accessibleName(), opened.act.isEnabled()) == ("Make the file", offered)
