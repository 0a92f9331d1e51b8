"""Finding and fetching a model in the window: off in offline mode, with size, licence and fit; the run is shown."""

from __future__ import annotations

import pytest

from app.integrations import hub
from app.integrations.hub import Found
from ui.hubdialog import HubDialog

FOUND = [Found("someone/small", 1000, "apache-2.0", 135_000_000, gated=False), Found("someone/huge", 5, "", 70_000_000_000, gated=False),
         Found("someone/gated", 3, "other", None, gated=True)]


@pytest.fixture
def dialog(qtbot, window):
    window.go("models")
    page = window._pages["models"]
    made = HubDialog(page)
    qtbot.addWidget(made)
    made.show()
    return made


def test_the_dialog_says_before_a_search_that_offline_mode_is_on(qtbot, dialog):
    qtbot.waitUntil(lambda: "offline mode is on" in dialog.note.words(), timeout=5000)


def test_offline_mode_says_that_it_is_on(qtbot, dialog, monkeypatch):
    monkeypatch.setenv("NEUROWEAVER_HUB", "https://hub.example")
    dialog.words.setText("small")
    dialog.ask()
    qtbot.waitUntil(lambda: "Offline mode is on" in dialog.note.words(), timeout=5000)


@pytest.fixture
def found(qtbot, dialog, monkeypatch):
    monkeypatch.setattr(hub, "search", lambda _store, _words: FOUND)
    dialog.ask()
    qtbot.waitUntil(lambda: len(dialog._fits) >= 2, timeout=10_000)
    return dialog


def test_each_model_has_its_size_licence_and_fit(found):
    texts = {key: [cell.text for cell in cells] for key, cells in found.table._table.rows}
    assert texts["someone/small"] == ["someone/small", "0.14 B", "apache-2.0", "1,000", "Fits"]
    assert texts["someone/huge"][-1] == "Too large"
    assert texts["someone/gated"][0] == "someone/gated, asks for consent"


def test_a_chosen_model_is_fetched_by_a_run(qtbot, found, window, monkeypatch):
    monkeypatch.setattr(hub, "check_allowed", lambda _store: None)
    assert not found.fetch.isEnabled()
    found.table.select_key("someone/gated")
    assert "consent" in found.fetch.toolTip()
    found.table.select_key("someone/small")
    assert found.fetch.isEnabled()
    found.fetch.click()
    qtbot.waitUntil(lambda: window.page().title == "Runs", timeout=10_000)
    row = window.background.store.row("SELECT name FROM runs WHERE state = 'queued'")
    assert row == {"name": "Fetch someone/small"}
