"""What works on every page: keys of one's own, high contrast, another language, notices, the tray, the tour, diagnostics, first start."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication, QKeySequence
from PySide6.QtTest import QTest

from app import doctor
from app.store import Store, settings
from app.store.profile import Profile
from app.workflow.views import EndedRun
from tests.ui.conftest import shut
from tests.ui.test_theme import contrast
from ui import firstrun, language
from ui.main import open_window
from ui.shortcuts import Shortcuts, keys
from ui.theme import CONTRAST, theme, tokens
from ui.tour import STOPS, Tour
from ui.tray import Tray
from ui.widgets.buttons import Button
from ui.widgets.text import Label

# ---- keys ------------------------------------------------------------------------------------------------------------------


def test_no_two_actions_have_the_same_keys():
    given = [key.default for key in keys()]
    assert len(set(given)) == len(given) >= 15


def test_own_keys_take_the_place_of_the_default():
    own = Shortcuts({"run": "F5", "help": ""})
    assert (own.of("run"), own.of("help"), own.of("find")) == ("F5", "", "Ctrl+K")
    assert own.taken("find", "F5").name == "run"
    assert own.taken("run", "F5") is None
    assert own.taken("find", "") is None
    assert own.changed("run", "Ctrl+R") == {"help": ""}


def test_changed_keys_work_at_once_and_stand_in_the_tooltips(qtbot, window):
    settings.put(window.background.store, "shortcuts", {"page.runs": "F8"})
    qtbot.waitUntil(lambda: window.shortcuts.of("page.runs") == "F8", timeout=5000)
    assert window.rail.buttons["runs"].toolTip() == "Runs  F8"
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=2000)
    QTest.keyClick(window, Qt.Key.Key_F8)
    qtbot.waitUntil(lambda: window.page().title == "Runs", timeout=5000)


def test_keys_that_are_taken_are_refused_with_the_reason(qtbot, window):
    window.go("settings")
    page = window._pages["settings"]
    window.show()
    qtbot.waitUntil(lambda: page._sequences["run"].keySequence().toString() == "Ctrl+R", timeout=5000)
    page._sequences["run"].setKeySequence(QKeySequence("Ctrl+K"))
    page._key_typed("run")
    assert "taken by “Find or do”" in page._key_note.words()
    assert page._sequences["run"].keySequence().toString() == "Ctrl+R"
    page._sequences["run"].setKeySequence(QKeySequence("F5"))
    page._key_typed("run")
    qtbot.waitUntil(lambda: settings.get(window.background.store, "shortcuts") == {"run": "F5"}, timeout=5000)


# ---- look and language -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_high_contrast_makes_every_text_and_line_strong(mode):
    colours = tokens()[mode + CONTRAST]["color"]
    for text in ("text", "textSecondary", "textTertiary", "accentText"):
        assert contrast(colours[text], colours["surface"]) >= 7
    for line in ("border", "borderSubtle", "borderStrong"):
        assert contrast(colours[line], colours["surface"]) >= 3
    assert tokens()[mode + CONTRAST].keys() == tokens()[mode].keys()


def test_high_contrast_is_a_choice_that_is_kept(qtbot, window):
    window.set_theme("contrast")
    assert theme.mode.endswith(CONTRAST)
    qtbot.waitUntil(lambda: settings.get(window.background.store, "theme") == "contrast", timeout=5000)
    theme.apply("light")


@pytest.fixture
def german():
    language.use("de")
    yield
    language.use("en")


def test_words_are_translated_where_they_are_shown_and_figures_stay(qtbot, qapp, german):
    label, button = Label("Settings"), Button("Import", "filled", "upload")
    for widget in (label, button):
        qtbot.addWidget(widget)
    assert label.text() == "Einstellungen"
    assert label.words() == "Settings", "the program goes on with its own words"
    assert button.text().strip() == "Importieren"
    label.say("1,204 rows, version 3")
    assert label.text() == "1,204 Zeilen, Version 3"
    label.say("a name of the user's")
    assert label.text() == "a name of the user's"


def test_a_window_in_another_language_is_so_on_its_rail(qtbot, profile, german):
    opened = open_window(profile, start_service=False)
    qtbot.waitUntil(lambda: opened.background.store is not None, timeout=10_000)
    assert opened.rail.buttons["datasets"].text() == "Datensätze"
    shut(qtbot, opened)


def test_the_choice_is_kept_beside_the_store_and_a_missing_file_is_english(profile: Profile, tmp_path: Path):
    profile.create()
    assert language.chosen(profile) == "en"
    language.choose(profile, "xx")
    assert language.chosen(profile) == "xx"
    language.use("xx")
    assert language.tr("Settings") == "Settings"
    language.use("../../secrets")
    assert language.tr("Settings") == "Settings"
    language.use("en")


def test_every_translation_fits_its_words():
    known = set(language.words_of(Path(language.__file__).parent))
    assert len(known) > 300
    for name in language.languages()[1:]:
        words = json.loads((language.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        assert all(language._fits(value, key.count("{}")) for key, value in words.items())
        assert sum(key in known for key in words) >= 0.9 * len(words), "most of its keys are still words of the window"


def test_the_list_of_words_to_translate_can_be_written(tmp_path: Path):
    count = language.write_template(tmp_path / "words.json")
    assert len(json.loads((tmp_path / "words.json").read_text(encoding="utf-8"))) == count > 300


# ---- notices and tray ------------------------------------------------------------------------------------------------------


@pytest.fixture
def settled(qtbot, window):
    """The window once it remembers everything."""
    qtbot.waitUntil(lambda: window.tray is not None, timeout=10_000)
    return window


class Sign:
    """A tray that remembers what it was told."""

    there = True

    def __init__(self):
        self.told = []

    def tell(self, title, text, then):
        self.told.append((text, then))
        return True

    def end(self):
        pass


def test_the_end_of_long_work_is_told_once(qtbot, settled, monkeypatch):
    window = settled
    window.tray = Sign()
    monkeypatch.setattr("ui.window.window_is_seen", lambda: False)
    window._told = 0.0
    now = time.time()
    window._tell_ended([EndedRun("run_done", "Sample", "done", now - 400, now), EndedRun("x", "Short", "done", now - 3, now)])
    assert [text for text, _ in window.tray.told] == ["Sample: done after 6 min 40 s"]
    window.tray.told[0][1]()
    qtbot.waitUntil(lambda: window.page().title == "Runs", timeout=5000)
    window._changed({"runs"})
    qtbot.wait(300)
    assert len(window.tray.told) == 1


def test_a_user_who_wants_no_notice_gets_none(settled):
    window = settled
    window.tray, window._notify = Sign(), False
    window._tell_ended([EndedRun("x", "Sample", "done", 0.0, time.time())])
    assert window.tray.told == []


def test_a_seen_window_says_it_in_its_corner(settled, monkeypatch):
    window = settled
    window.tray = Sign()
    monkeypatch.setattr("ui.window.window_is_seen", lambda: True)
    window._tell_ended([EndedRun("x", "Sample", "failed", 0.0, 100.0)])
    assert window.tray.told == []
    assert window._toast.isVisibleTo(window)


def test_without_a_tray_nothing_is_shown_and_nothing_fails(window, monkeypatch):
    monkeypatch.setattr("ui.tray.QSystemTrayIcon.isSystemTrayAvailable", lambda: False)
    tray = Tray(window, lambda: None, lambda: None)
    assert not tray.there
    assert tray.tell("a", "b", lambda: None) is False
    tray.end()


def test_a_closed_window_that_keeps_serving_goes_into_the_tray_and_comes_back(qtbot, settled):
    window = settled
    window.tray = Sign()
    settings.put(window.background.store, "keep_serving_after_close", True)
    window.background.store.db.execute("UPDATE runs SET state = 'done' WHERE state IN ('running', 'queued')")
    window.close()
    qtbot.waitUntil(lambda: bool(window.tray.told), timeout=5000)
    assert not window.isVisible()
    assert window.background.store is not None, "it still watches"
    window.come_forward()
    assert window.isVisible()


def test_page_and_parts_are_as_they_were(qtbot, profile, runs):
    first = open_window(profile, start_service=False)
    qtbot.waitUntil(lambda: first.tray is not None, timeout=10_000)
    first.go("workflow")
    qtbot.waitUntil(lambda: first.page().title == "Workflow" and bool(first.page()._name), timeout=20_000)
    first.splits["workflow"] = [500, 700]
    first._finish(keep=False)
    qtbot.waitUntil(lambda: first.background.store is None, timeout=10_000)
    shut(qtbot, first)
    second = open_window(profile, start_service=False)
    qtbot.waitUntil(lambda: second.page().title == "Workflow", timeout=20_000)
    assert second.splits["workflow"] == [500, 700]
    shut(qtbot, second)


# ---- tour, diagnostics, first start ----------------------------------------------------------------------------------------


def test_the_tour_goes_through_its_stops_and_is_not_shown_again(qtbot, window):
    window.tour()
    tour = window._tour
    titles = []
    for _ in STOPS:
        titles.append(tour._title.words())
        QTest.keyClick(tour, Qt.Key.Key_Right)
    assert titles == [title for _, title, _ in STOPS]
    qtbot.waitUntil(lambda: settings.get(window.background.store, "tour_seen") is True, timeout=5000)


def test_the_tour_can_be_left_at_once_and_fits_a_small_window(qtbot, window):
    window.resize(QSize(1024, 680))
    tour = Tour(window)
    with qtbot.waitSignal(tour.ended, timeout=2000):
        tour.begin()
        assert tour.rect().contains(tour._card.geometry())
        QTest.keyClick(tour, Qt.Key.Key_Escape)


CANARY = "Canary-Anna-Mueller"


def test_diagnostics_name_states_and_codes_and_nothing_private(profile: Profile, monkeypatch):
    monkeypatch.setenv("HOME", str(profile.home.parent))
    with Store.open(profile) as store:
        store.db["datasets"].insert({"id": CANARY, "name": CANARY, "key": "00" * 32, "created": 0.0, "origin": json.dumps({"file": CANARY})})
        store.db["runs"].insert({"id": "r", "number": 1, "name": CANARY, "document": CANARY, "document_hash": "", "resolved": CANARY,
                                 "state": "failed", "seed": 0, "created": 0.0})
        store.db["steps"].insert({"run": "r", "id": CANARY, "position": 0, "node": "data.refine", "title": CANARY, "needs": "[]",
                                  "params": CANARY, "bindings": "{}", "state": "failed", "ended": 5.0,
                                  "why": json.dumps({"code": "dataset.bad_row", "what": CANARY, "where": {"file": f"/home/{CANARY}"}})})
        text = doctor.diagnostics(store)
    assert CANARY not in text
    assert str(profile.home.parent) not in text
    assert re.search(r"data\.refine dataset\.bad_row", text)
    assert "runs failed: 1" in text
    assert "datasets: 1" in text


def test_diagnostics_are_copied(qtbot, window):
    window.copy_diagnostics()
    qtbot.waitUntil(lambda: "NeuroWeaver diagnostics" in QGuiApplication.clipboard().text(), timeout=20_000)


def test_the_first_start_offers_drives_and_takes_one(qtbot, qapp, monkeypatch, tmp_path):
    home = tmp_path / "data" / "NeuroWeaver"
    monkeypatch.setattr(firstrun, "drives", lambda: [firstrun.Drive("/", tmp_path / "small", int(1e9), int(2e9), standard=True),
                                                     firstrun.Drive("/data", home, int(500e9), int(900e9), standard=False)])
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "user"))
    dialog = firstrun.FirstStart()
    qtbot.addWidget(dialog)
    assert dialog.chosen() == home, "the standard place is too small"
    (tmp_path / "file").write_text("")
    dialog.take(tmp_path / "file" / "x")
    assert not dialog._problem.isHidden()
    dialog.use.click()
    assert dialog.result() == 1
    assert (home / "datasets").is_dir()
