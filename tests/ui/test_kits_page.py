"""The Kits page: cards with fit, version and measured result; one click to run; kit files are made, opened and removed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QPushButton

from app.config import views
from app.store import Profile, Store
from app.workflow.kit_opening import open_kit
from ui.kitmaking import MakeKitDialog
from ui.pages.kits import KitDetails
from ui.widgets.kit import cannot_run, older_kit
from ui.widgets.text import Badge, Label

KIT: dict[str, Any] = {
    "kit": {"title": "Contract archive", "domain": "own", "version": 3, "licence": "NOASSERTION", "needs_data": ["import.path"],
            "summary": "Labels clauses in your own contracts. Private data, redacted before training.",
            "measured": {"machine": "8 cores, no graphics card", "seconds": 1440, "items": 90, "base": 0.2, "tuned": 0.7, "difference": 0.5,
                         "interval": [0.4, 0.6], "verdict": "better", "refused": {"out of scope": [27, 30]}, "refused_wrongly": [1, 90]}},
    "name": "Contract archive", "base_model": "smollm2-135m-instruct", "seed": 0,
    "steps": {"import": {"node": "dataset.import", "mapping": {"shape": "chat", "prompt": "q", "answer": "a"}}}}


def put_kit(profile: Profile, name: str, base: str = "smollm2-135m-instruct", **about: Any) -> Path:
    folder = profile.kits / name
    folder.mkdir(parents=True)
    (folder / "model-card.md").write_text("# Model card: ours\n")
    (folder / "kit.yaml").write_text(yaml.safe_dump({**KIT, "base_model": base, "kit": {**KIT["kit"], **about}}))
    return folder


@pytest.fixture
def kits(profile: Profile) -> None:
    put_kit(profile, "archive")
    put_kit(profile, "huge", "qwen3-2000b", title="Clauses, 2000B", domain="finance", base_parameters=2 * 10**12)
    put_kit(profile, "away", "qwen3-1b", title="Clauses, away", domain="healthcare", base_parameters=10**8)


def shown(qtbot, window) -> Any:
    window.go("kits")
    page = window.page()
    qtbot.waitUntil(lambda: bool(page._fits) and 0 < len(page._cards) == len(page.widgets) and not page._turns.busy, timeout=10_000)
    return page


def card_of(page: Any, name: str) -> Any:
    return next(widget for widget in page.widgets if widget.name == name)


def said(widget: Any) -> list[str]:
    return [label.words() for label in widget.findChildren(Label) if not label.isHidden()]


def badges(widget: Any) -> list[str]:
    return [badge.words() for badge in widget.findChildren(Badge) if not badge.isHidden() and badge.words()]


def test_a_card_shows_domain_base_licence_rows_version_fit_and_the_makers_result(qtbot, kits, window):
    widget = card_of(shown(qtbot, window), "archive")
    words = said(widget)
    for expected in ("Contract archive", "Labels clauses in your own contracts.", "SmolLM2 135M", "yours", "24 min", "not stated",
                     "version 3", "+50.0 points (40.0 to 60.0)", "measured by its maker, 8 cores, no graphics card",
                     "Refused: out of scope 27/30; wrongly 1/90"):
        assert expected in words, expected
    assert badges(widget)[:2] == ["My kit", "Needs your data"]
    assert widget.run_button.text().strip() == "Run on a file"


def test_the_shipped_kits_come_first_and_the_first_has_the_one_filled_button(qtbot, kits, window):
    page = shown(qtbot, window)
    users = [card.users for card in page._cards]
    assert users == sorted(users)
    assert users[0] is False
    filled = [widget.name for widget in page.widgets if widget.run_button.property("kind") == "filled"]
    assert filled == [page.widgets[0].name]


def test_the_fit_badge_says_need_and_free_memory(qtbot, kits, window):
    widget = card_of(shown(qtbot, window), "archive")
    badge = next(badge for badge in widget.findChildren(Badge) if badge.words() in ("Fits", "Tight"))
    assert "of memory" in badge.toolTip()
    assert "free now" in badge.toolTip()


@pytest.mark.parametrize(("name", "badge", "reason"), [
    pytest.param("huge", "Too large", "Close other programs", id="too large"),
    pytest.param("away", "Not here", "qwen3-1b is not on this computer", id="base not here"),
])
def test_a_kit_that_cannot_run_here_says_why_instead_of_running(qtbot, kits, window, monkeypatch, name, badge, reason):
    told: list[str] = []
    monkeypatch.setattr("ui.pages.kits.tell", lambda _parent, title, text: told.append(f"{title}. {text}"))
    widget = card_of(shown(qtbot, window), name)
    assert badge in badges(widget)
    assert widget.run_button.text() == "Why not here?"
    widget.run_button.click()
    assert reason in told[0]


@pytest.mark.parametrize(("typed", "domain", "names"), [
    pytest.param("", "mine", {"archive", "huge", "away"}, id="my kits"),
    pytest.param("archive", "", {"archive"}, id="words"),
    pytest.param("", "finance", {"huge"}, id="a domain"),
    pytest.param("nothing like it", "", set(), id="none"),
])
def test_search_and_domain_choose_the_cards(qtbot, kits, window, typed, domain, names):
    page = shown(qtbot, window)
    page._domain.choose(domain)
    page._domain.chosen.emit(domain)
    page.search.setText(typed)
    qtbot.waitUntil(lambda: not page._turns.busy, timeout=5000)
    ours = {widget.name for widget in page.widgets} & {"archive", "huge", "away"}
    assert ours == names
    assert page._empty.isHidden() is bool(page.widgets)


def started(window, monkeypatch) -> list[tuple[str, Path | None]]:
    asked: list[tuple[str, Path | None]] = []
    monkeypatch.setattr(window, "run", lambda source, busy=None, data=None: asked.append((source, data)))
    return asked


def test_one_click_runs_a_kit_that_has_its_rows(qtbot, kits, window, monkeypatch):
    asked = started(window, monkeypatch)
    card_of(shown(qtbot, window), "legal").run_button.click()
    assert asked == [("legal", None)]


@pytest.mark.parametrize("chosen", ["/data/mine.csv", ""])
def test_a_kit_without_rows_asks_for_a_file_and_no_file_means_no_run(qtbot, kits, window, monkeypatch, chosen):
    asked = started(window, monkeypatch)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a, **_k: (chosen, ""))
    card_of(shown(qtbot, window), "archive").run_button.click()
    assert asked == ([("archive", Path(chosen))] if chosen else [])


def drop(widget: Any, *files: str) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(file) for file in files])
    widget.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier))


def test_a_file_dropped_on_a_kit_without_rows_runs_it(qtbot, kits, window, monkeypatch):
    asked = started(window, monkeypatch)
    page = shown(qtbot, window)
    drop(card_of(page, "archive"), "/data/mine.csv")
    assert asked == [("archive", Path("/data/mine.csv"))]
    assert not card_of(page, "legal").acceptDrops()


def test_the_run_gets_the_file(qtbot, kits, window, profile, tmp_path):
    """Through the real shell: a queued run whose import reads the chosen file."""
    data = tmp_path / "mine.jsonl"
    data.write_text('{"q": "a", "a": "b"}\n')
    window.attach_service = lambda: None
    page = shown(qtbot, window)
    page._run(next(card for card in page._cards if card.name == "archive"), card_of(page, "archive").run_button, data)

    def queued() -> bool:
        with Store.open(profile) as store:
            row = store.row("SELECT resolved, kit_version FROM runs WHERE kit = 'archive'")
        return row is not None and str(data) in row["resolved"] and row["kit_version"] == 3

    qtbot.waitUntil(queued, timeout=10_000)


@pytest.mark.parametrize(("version", "digest", "words"), [
    pytest.param(2, "x", "Run 4 used version 2 of this kit; this is version 3.", id="older version"),
    pytest.param(3, "x", "This kit has changed since run 4.", id="other content"),
    pytest.param(3, "same", "", id="the same"),
    pytest.param(None, "", "", id="from before versions were recorded"),
])
def test_a_result_of_another_version_says_so(version, digest, words):
    card = SimpleNamespace(version="3", hash="same")
    assert older_kit(card, SimpleNamespace(number=4, kit_version=version, kit_hash=digest)) == words
    assert older_kit(card, None) == ""


def test_the_card_of_a_run_with_an_older_version_says_so(qtbot, kits, profile, window):
    with Store.open(profile) as store:
        store.db.execute("UPDATE runs SET kit = 'archive', kit_version = 2, kit_hash = 'x' WHERE id = 'run_done'")
    page = shown(qtbot, window)
    qtbot.waitUntil(lambda: "archive" in page._last, timeout=5000)
    words = said(card_of(page, "archive"))
    assert "Run 1 used version 2 of this kit; this is version 3." in words
    assert "run 1 on this computer, 60 questions" in words
    assert "Refused: out of scope 27/30; wrongly 1/60" in words


@pytest.mark.parametrize(("state", "here", "runs"), [("fits", True, True), ("tight", True, True), ("too_large", True, False),
                                                     ("fits", False, False)])
def test_only_what_cannot_run_is_held_back(state, here, runs):
    fit = SimpleNamespace(state=state, here=here, need=1e9, free=2e9, context=1024)
    assert (cannot_run(SimpleNamespace(base_model="x"), fit) == "") is runs
    assert cannot_run(SimpleNamespace(base_model="x"), None) == ""


@pytest.mark.parametrize(("width", "across"), [(1440, 3), (1024, 2)])
def test_a_narrow_window_has_fewer_cards_in_a_row(qtbot, kits, window, width, across):
    page = shown(qtbot, window)
    window.resize(width, 700)
    qtbot.waitUntil(lambda: page._across == across, timeout=3000)
    assert page._grid.columnCount() >= across
    assert {page._grid.getItemPosition(number)[1] for number in range(page._grid.count())} == set(range(across))


# -- kit files ------------------------------------------------------------------------------------------------------
def dialog_of(qtbot, kind: type) -> Any:
    qtbot.waitUntil(lambda: any(isinstance(w, kind) and w.isVisible() for w in QApplication.topLevelWidgets()), timeout=5000)
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible())


def test_a_kit_is_made_from_the_run_page_and_opened_from_the_toast(qtbot, window, runs, profile, tmp_path, monkeypatch):
    target = tmp_path / "clauses.nwkit"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_a, **_k: (str(target), ""))
    with Store.open(profile) as store:
        make_real(store, tmp_path)
    window.go("runs", "run_done")
    pane = window.page().pane
    qtbot.waitUntil(lambda: not pane._kit.isHidden(), timeout=5000)
    pane._kit.click()
    dialog = dialog_of(qtbot, MakeKitDialog)
    qtbot.waitUntil(lambda: dialog.save.isEnabled(), timeout=10_000)
    assert "“frage”" in dialog._carries.words()
    assert "Never in it: rows" in " ".join(said(dialog))
    dialog.title.setText("Clauses")
    dialog.save.click()
    qtbot.waitUntil(target.exists, timeout=10_000)
    qtbot.waitUntil(lambda: "Clauses is saved" in window._toast._label.words(), timeout=5000)
    window._toast._action.click()
    qtbot.waitUntil(lambda: (profile.kits / "clauses" / "kit.yaml").is_file(), timeout=10_000)
    qtbot.waitUntil(lambda: window.page() is window._pages.get("kits"), timeout=5000)


def make_real(store: Store, tmp_path: Path) -> None:
    """The sample run with a document that resolves, as a finished run has."""
    import orjson

    from app.workflow import runs

    text = yaml.safe_dump({"base_model": "smollm2-135m-instruct", "steps": {"source": {
        "node": "dataset.import", "path": str(tmp_path / "x.jsonl"), "mapping": {"shape": "chat", "prompt": "frage", "answer": "antwort"}}}})
    resolved = runs.check_text(text).sound().resolved
    store.db.execute("UPDATE runs SET resolved = ? WHERE id = 'run_done'", (orjson.dumps(resolved).decode(),))
    store.db.execute("DELETE FROM steps WHERE run = 'run_done' AND id != 'source'")


def test_a_run_that_is_going_makes_no_kit(qtbot, window, runs):
    window.go("runs", "run_live")
    pane = window.page().pane
    qtbot.waitUntil(lambda: pane._view is not None, timeout=5000)
    assert pane._kit.isHidden()


def packed(tmp_path: Path, name: str = "given.nwkit") -> Path:
    from app.config import kit_file

    (tmp_path / name).write_bytes(kit_file.pack("archive", yaml.safe_dump(KIT), "# Card\n"))
    return tmp_path / name


def test_a_dropped_kit_file_is_opened_and_a_dropped_data_file_is_not_taken_for_one(qtbot, window, profile, tmp_path, monkeypatch):
    asked: list[Path] = []
    monkeypatch.setattr(window, "_ask_mapping", lambda: asked.extend(window._to_import))
    drop(window, str(packed(tmp_path)), "/data/rows.csv")
    qtbot.waitUntil(lambda: (profile.kits / "contract-archive" / "kit.yaml").is_file(), timeout=10_000)
    assert asked == [Path("/data/rows.csv")]
    page = shown(qtbot, window)
    qtbot.waitUntil(lambda: any(card.name == "contract-archive" for card in page._cards), timeout=5000)


def test_a_file_that_is_no_kit_is_refused_in_words(qtbot, window, tmp_path):
    (tmp_path / "bad.nwkit").write_bytes(b"not a kit")
    window.open_kit(tmp_path / "bad.nwkit")
    qtbot.waitUntil(lambda: "damaged, or it is none" in window.page().banner.accessibleName(), timeout=5000)


def test_a_kit_of_mine_can_be_removed_and_brought_back(qtbot, window, profile, store, tmp_path):
    open_kit(store, packed(tmp_path))
    page = shown(qtbot, window)
    page._details(next(card for card in page._cards if card.users))
    dialog = dialog_of(qtbot, KitDetails)
    qtbot.waitUntil(lambda: dialog._text.toPlainText() == "Card", timeout=5000)
    dialog._which._buttons["document"].click()
    qtbot.waitUntil(lambda: "Contract archive" in dialog._text.toPlainText(), timeout=5000)
    next(button for button in dialog.findChildren(QPushButton) if button.accessibleName() == "Remove").click()
    qtbot.waitUntil(lambda: not any(card.users for card in page._cards), timeout=5000)
    window._toast._action.click()
    qtbot.waitUntil(lambda: any(card.users for card in page._cards), timeout=5000)
    assert [card.name for card in views.kits(store) if card.users] == ["contract-archive"]


def test_a_shipped_kit_cannot_be_removed(qtbot, window):
    page = shown(qtbot, window)
    page._details(next(card for card in page._cards if card.name == "legal"))
    dialog = dialog_of(qtbot, KitDetails)
    assert not [button for button in dialog.findChildren(QPushButton) if button.accessibleName() == "Remove"]
    dialog.close()
