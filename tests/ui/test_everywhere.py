"""What works on every page: keys of one's own, high contrast, another language, notices, the tray, the tour, diagnostics, first start."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QLocale, QSize, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDoubleSpinBox, QWidget

from app import doctor
from app.config import forms, views
from app.errors import WorkflowError
from app.gateway.client import Piece
from app.store import Store, settings
from app.store.profile import Profile
from app.workflow import registry
from app.workflow.views import EndedRun
from tests.ui.conftest import shut
from tests.ui.test_theme import contrast
from ui import firstrun, language, main
from ui.main import open_window
from ui.pages.help import texts, title_of
from ui.pages.playground import figures_of
from ui.palette import Deed, matching
from ui.shortcuts import PLACES, Shortcuts, keys, shortcuts
from ui.theme import CONTRAST, theme, tokens
from ui.tour import STOPS, Tour
from ui.tray import Tray
from ui.widgets.buttons import Button
from ui.widgets.feedback import ErrorBanner
from ui.widgets.sidelist import SideLine, SideList
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Badge, Label, column

NONE, CTRL, SHIFT, KEYPAD = (getattr(Qt.KeyboardModifier, f"{name}Modifier") for name in ("No", "Control", "Shift", "Keypad"))

# ---- keys ------------------------------------------------------------------------------------------------------------------


def test_no_two_actions_heard_together_have_the_same_keys():
    assert len(keys()) >= 50
    assert {key.place for key in keys()} == set(PLACES)
    clashes = [(key.name, other.name) for key in keys() if (other := shortcuts.taken(key.name, key.default))]
    assert clashes == []


def test_own_keys_take_the_place_of_the_default():
    own = Shortcuts({"run": "F5", "help": ""})
    assert (own.of("run"), own.of("help"), own.of("find")) == ("F5", "", "Ctrl+K")
    assert own.taken("find", "F5").name == "run"
    assert own.taken("run", "F5") is None
    assert own.taken("find", "") is None
    assert own.changed_by("run", "Ctrl+R") == {"help": ""}


@pytest.mark.parametrize(("name", "wanted", "taken"), [
    pytest.param("canvas.fit", "Ctrl+K", "find", id="the window's are heard everywhere"),
    pytest.param("find", "L", "canvas.link", id="and so may not take a page's"),
    pytest.param("canvas.fit", "Ctrl+S", "workflow.save", id="a part hears its page's"),
    pytest.param("workflow.save", "Ctrl+H", "text.replace", id="and the other way round"),
    pytest.param("canvas.delete", "Y", "", id="free"),
    pytest.param("text.find", "Ctrl+G", "", id="two parts of a page do not meet"),
    pytest.param("review.keep", "A", "review.redact", id="the same place"),
    pytest.param("rows.edit", "K", "", id="two pages do not meet"),
    pytest.param("canvas.fit", "Backspace", "canvas.delete", id="a second key counts too"),
])
def test_keys_are_taken_where_both_actions_are_heard(name, wanted, taken):
    found = Shortcuts().taken(name, wanted)
    assert (found.name if found else "") == taken


@pytest.mark.parametrize(("place", "key", "modifiers", "deed"), [
    pytest.param("workflow/canvas", Qt.Key.Key_Backspace, NONE, "canvas.delete", id="second key"),
    pytest.param("workflow/canvas", Qt.Key.Key_Enter, KEYPAD, "canvas.open", id="Enter of the digit block"),
    pytest.param("workflow/canvas", Qt.Key.Key_Plus, SHIFT, "canvas.in", id="a sign that needs Shift"),
    pytest.param("workflow/canvas", Qt.Key.Key_F, SHIFT, "", id="a letter with Shift is another"),
    pytest.param("workflow/canvas", Qt.Key.Key_Z, CTRL | SHIFT, "workflow.redo", id="the page's"),
    pytest.param("workflow/canvas", Qt.Key.Key_H, CTRL, "", id="another part's"),
    pytest.param("workflow/text", Qt.Key.Key_Enter, Qt.KeyboardModifier.AltModifier, "text.mend", id="text"),
    pytest.param("review", Qt.Key.Key_K, CTRL, "", id="with Ctrl it is another"),
    pytest.param("playground", Qt.Key.Key_Return, CTRL, "playground.ask", id="playground"),
    pytest.param("runs", Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier, "queue.up", id="queue"),
])
def test_a_key_means_what_the_list_says_where_it_is_heard(place, key, modifiers, deed):
    assert Shortcuts().deed(place, QKeyEvent(QEvent.Type.KeyPress, key.value, modifiers)) == deed


def test_a_letter_of_another_script_means_nothing_and_breaks_nothing():
    assert Shortcuts().deed("workflow/canvas", QKeyEvent(QEvent.Type.KeyPress, ord("Ж"), NONE, "ж")) == ""


def test_changed_keys_work_at_once_and_stand_in_the_tooltips(qtbot, window):
    settings.put(window.background.store, "shortcuts", {"page.runs": "F8", "workflow.save": "F9", "canvas.fit": "W"})
    qtbot.waitUntil(lambda: shortcuts.of("page.runs") == "F8", timeout=5000)
    assert window.rail.buttons["runs"].toolTip() == "Runs  F8"
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=2000)
    QTest.keyClick(window, Qt.Key.Key_F8)
    qtbot.waitUntil(lambda: window.page().title == "Runs", timeout=5000)


def test_a_pages_own_keys_change_in_deed_tooltip_and_menu(qtbot, window, monkeypatch):
    window.go("workflow")
    page = window.page()
    qtbot.waitUntil(lambda: bool(page._name) and bool(page.pane.scene.cards), timeout=20_000)
    done = []
    monkeypatch.setattr(page.pane.view, "fit", lambda: done.append("fit"))
    monkeypatch.setattr(page, "save", lambda: done.append("save"))
    shortcuts.take({"canvas.fit": "W", "workflow.save": "F9", "canvas.rename": "R"})
    for key in (Qt.Key.Key_F, Qt.Key.Key_W, Qt.Key.Key_F9):
        QTest.keyClick(page.pane.view, key)
    QTest.keyClick(page.editor.field, Qt.Key.Key_F9)
    assert done == ["fit", "save", "save"]
    assert page._save.toolTip() == "Save to a file  F9"
    menu = page.pane.make_menu()
    assert "Rename\tR" in [action.text() for action in menu.actions()]
    menu.deleteLater()


@pytest.fixture
def key_page(qtbot, window):
    window.go("settings")
    window.show()
    page = window.page()
    qtbot.waitUntil(lambda: not page._stale, timeout=5000)
    qtbot.wait(200)

    def press(name: str, wanted: str) -> str:
        page._key_table.select_key(name)
        page._sequence.setKeySequence(QKeySequence(wanted))
        page._sequence.editingFinished.emit()
        return page._key_note.words()

    return page, press


def test_all_keys_are_in_one_list_with_the_users_own_strong(key_page):
    page, press = key_page
    press("canvas.fit", "W")
    shown = {key: [cell.text for cell in cells] for key, cells in page._key_table._table.rows}
    assert list(shown) == [key.name for key in keys()]
    assert shown["canvas.fit"] == ["Show all", "Workflow, canvas", "W"]
    assert shown["workflow.redo"][2] == "Ctrl+Shift+Z, Ctrl+Y"
    assert page._key_table._table.rows[[key.name for key in keys()].index("canvas.fit")][1][2].strong


@pytest.mark.parametrize(("name", "wanted", "why"), [
    pytest.param("run", "Ctrl+K", "taken by “Find or do”", id="the window's"), pytest.param("canvas.fit", "L", "taken by “Link a step”", id="the place's"),
    pytest.param("canvas.fit", "Tab", "moves through the window", id="navigation"),
])
def test_keys_that_are_taken_are_refused_with_the_reason(key_page, name, wanted, why):
    page, press = key_page
    before = shortcuts.of(name)
    assert why in press(name, wanted)
    assert shortcuts.of(name) == before
    assert page._sequence.keySequence() == QKeySequence(before)


def test_own_keys_are_kept_switched_off_and_taken_back(qtbot, window, key_page):
    page, press = key_page
    assert press("run", "F5") == press("canvas.link", "") == ""
    qtbot.waitUntil(lambda: settings.get(window.background.store, "shortcuts") == {"run": "F5", "canvas.link": ""}, timeout=5000)
    page._key_table.select_key("canvas.link")
    page._reset_one.click()
    qtbot.waitUntil(lambda: settings.get(window.background.store, "shortcuts") == {"run": "F5"}, timeout=5000)


def test_two_actions_with_the_same_keys_are_shown(key_page):
    page, _ = key_page
    shortcuts.take({"text.find": "Ctrl+K"})  # kept by an older version, say
    cells = dict(page._key_table._table.rows)["text.find"]
    assert (cells[2].text, cells[2].tone) == ("Ctrl+K, also: Find or do", "danger")


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


def test_a_button_that_gets_words_later_has_room_for_them(qtbot, qapp):
    button = Button("", "link", size="small")
    qtbot.addWidget(button)
    button.say("Undo")
    button.show()
    assert button.sizeHint().width() > button.fontMetrics().horizontalAdvance("Undo")


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
    assert label.text() == "1.204 Zeilen, Version 3"
    label.say("a name of the user's")
    assert label.text() == "a name of the user's"


@pytest.mark.parametrize(("said", "shown"), [
    pytest.param("Rows 1 to 20 of 1,048,576", "Zeilen 1 bis 20 von 1.048.576", id="figures as Germans write them"),
    pytest.param("2.5 Wh", "2,5 Wh", id="a figure with a unit"), pytest.param("€0.42", "0,42 €", id="money"),
    pytest.param("127.0.0.1:8000", "127.0.0.1:8000", id="no figure: an address"), pytest.param("v0.1.2", "v0.1.2", id="nor a version"),
    pytest.param("Rename My notes", "My notes umbenennen", id="a name in a sentence"),
    pytest.param("Refused: out of scope 27/30; wrongly 1/80", "Abgelehnt: außerhalb der Aufgabe 27/30; zu Unrecht 1/80", id="words in words"),
    pytest.param("Nothing is running.\nSaved as x.gguf. No problems", "Nichts läuft.\nGespeichert als x.gguf. Keine Probleme", id="sentences"),
    pytest.param("my rows", "my rows", id="a name that ends like a count"), pytest.param("Hello Run", "Hello Run", id="a name with our word"),
    pytest.param("Change “thresold” to “threshold”", "„thresold“ zu „threshold“ ändern", id="two names"),
    pytest.param("{x} is damaged.", "{x} ist beschädigt.", id="braces of the user's"),
])
def test_a_sentence_is_found_with_what_stands_in_its_holes(german, said, shown):
    assert language.tr(said) == shown


def test_the_users_own_words_are_never_translated(qtbot, qapp, german):
    label, table = Label("Settings", own=True), Table([Column("Name"), Column("State")], "Runs")
    for widget in (label, table):
        qtbot.addWidget(widget)
    table.show_rows([("a", (Cell("Done", own=True), Cell("Done")))])
    lines, badge = SideList("Datasets"), Badge("3 May 1990", own=True)
    for widget in (lines, badge):
        qtbot.addWidget(widget)
    lines.show_lines([SideLine("a", "Done", "3 rows", own=True)], "a")
    assert label.text() == "Settings"
    assert (lines.model().index(0, 0).data(), badge.accessibleName()) == ("Done, 3 Zeilen", "3 May 1990")
    assert [table.model().index(0, column).data() for column in (0, 1)] == ["Done", "Fertig"]
    assert table.model().headerData(1, Qt.Orientation.Horizontal) == "Zustand"


def test_the_palette_finds_words_of_the_language(german):
    assert [deed.text for deed in matching([Deed("Import a file", "", print), Deed("Copy diagnostics", "", print)], "datei imp")] == ["Import a file"]


def test_a_window_in_another_language_is_so_on_its_rail(qtbot, profile, german):
    opened = open_window(profile, start_service=False)
    qtbot.waitUntil(lambda: opened.background.store is not None, timeout=10_000)
    assert opened.rail.buttons["datasets"].text() == "Datensätze"
    shut(qtbot, opened)


@pytest.mark.parametrize(("system", "first"), [("de_AT", "de"), ("en_GB", "en"), ("fr_FR", "en"), ("C", "en")])
def test_the_first_start_speaks_the_language_of_the_computer_if_it_can(profile: Profile, monkeypatch: pytest.MonkeyPatch, system, first):
    monkeypatch.setattr(language.QLocale, "system", lambda: QLocale(system))
    assert language.chosen(profile) == first


def test_the_choice_is_kept_beside_the_store_and_a_missing_file_is_english(profile: Profile, tmp_path: Path):
    profile.create()
    language.choose(profile, "xx")
    assert language.chosen(profile) == "xx"
    language.use("xx")
    assert language.tr("Settings") == "Settings"
    language.use("../../secrets")
    assert language.tr("Settings") == "Settings"
    language.use("en")


OTHERS = language.languages()[1:]


@pytest.fixture(params=OTHERS)
def other(request: pytest.FixtureRequest):
    """Each language there is a file for, in force."""
    language.use(request.param)
    yield request.param
    language.use("en")


def translation(name: str) -> dict[str, str]:
    words: dict[str, str] = json.loads((language.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return words


@pytest.mark.parametrize("name", OTHERS)
def test_every_translation_fits_its_words(name):
    assert [key for key, value in translation(name).items() if not language.fits(key, value)] == []


@pytest.mark.parametrize("name", OTHERS)
def test_a_translation_is_complete(name):
    """Every word of the window's sources; a new one may wait, but not more than one in fifty."""
    known = language.words_of(Path(language.__file__).parent)
    done = {key.replace("{*}", "{}") for key in translation(name)}
    missing = [word for word in known if word not in done]
    assert len(known) > 1000
    assert len(missing) <= len(known) / 50, missing


def test_what_steps_say_of_themselves_and_their_settings_is_translated(other):
    ours = [node for node in registry.nodes().values() if node.__module__.startswith("app.")]  # other tests have nodes of their own
    said = [words for node in ours for words in (node.title, *(field.help for field in forms.fields(node.params_model)))]
    missing = [words for words in said if words and language.tr(words) == words]
    assert len(said) > 150
    assert len(missing) <= len(said) / 50, missing


def test_the_very_first_question_is_asked_in_the_language_of_the_computer(qapp, monkeypatch):
    asked = []
    monkeypatch.setattr(language.QLocale, "system", lambda: QLocale("de"))
    monkeypatch.setattr(main, "is_first_start", lambda: True)
    monkeypatch.setattr(main.sys, "setswitchinterval", lambda _seconds: None)
    monkeypatch.setattr(firstrun, "ask_home", lambda: asked.append(language.current()))
    try:
        assert main.run_window(["neuroweaver"]) == 0  # it was put off
    finally:
        language.use("en")
    assert asked == ["de"]


def test_fields_of_figures_have_the_language_s_signs(qtbot, other):
    field = QDoubleSpinBox()
    qtbot.addWidget(field)
    field.setValue(0.25)
    assert field.text() == QLocale(other).toString(0.25, "f", 2) == language.tr("0.25")


def test_what_an_answer_took_is_told_in_the_language(other):
    told = figures_of(Piece("", done=True, seconds=2.65, finish="length", first_seconds=1.65, tokens=25))
    assert told.split("; ") == [language.tr(part) for part in ("1.65 s to first word", "24 word pieces/s", "cut at the length limit")]
    assert not set(told.split("; ")) & {"1.65 s to first word", "24 word pieces/s", "cut at the length limit"}


def test_each_kit_says_in_the_language_what_it_does(other):
    texts_of = [f"{sentence.rstrip('.')}." for card in views.kits(None) for sentence in card.description.split(". ")]
    assert len(texts_of) >= 9
    assert [text for text in texts_of if language.tr(text) == text] == []


def test_each_help_text_is_there_and_its_title_is_the_one_in_the_list(other):
    for title, file in texts().items():
        if file.parent.name == "help":
            assert title_of(file.parent / other / file.name) == language.tr(title)


@pytest.mark.parametrize("name", language.languages())
def test_what_a_help_text_quotes_stands_in_the_window(name):
    shown = set(language.words_of(Path(language.__file__).parent)) if name == "en" else set(translation(name).values())
    files = [file for file in texts().values() if file.parent.name == "help"]
    said = " ".join((file if name == "en" else file.parent / name / file.name).read_text(encoding="utf-8") for file in files)
    quoted = set(re.findall("[“„]([^”“]+)[”“]", " ".join(said.split()))) - {"…"}
    assert len(quoted) > 5
    assert quoted - shown == set()


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


def test_a_failure_in_many_words_is_shown_whole(qtbot, qapp):
    banner, holder = ErrorBanner(), QWidget()
    holder.setLayout(column(banner, None))
    qtbot.addWidget(holder)
    holder.resize(620, 400)
    holder.show()
    banner.show_problem(WorkflowError("x", "It failed.", why="A reason that takes more than a line of the window to tell. " * 3, remedy="Try again."))
    qtbot.waitUntil(lambda: banner._why.height() >= banner._why.heightForWidth(banner._why.width()) > 40, timeout=2000)
