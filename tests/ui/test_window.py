"""The shell: every page opens, keys work, nothing nameless, nothing heavy, nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, QSize, Qt, QTimer, QUrl
from PySide6.QtGui import QDropEvent, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QComboBox, QDialog, QLineEdit, QPlainTextEdit, QPushButton

from app.config.presence import Presence
from app.errors import DatasetError
from ui.background import Background
from ui.dialogs import ask_close
from ui.main import called_first, server_name
from ui.pages import SPECS, pages
from ui.theme import theme, tokens
from ui.window import Window

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "numpy", "pandas", "pyarrow", "llama_cpp")


def test_the_rail_has_the_pages_that_exist_and_no_other(window):
    assert list(window.rail.buttons) == [spec.name for spec in SPECS if spec.exists]
    assert {"home", "kits", "workflow", "runs"} <= set(window.rail.buttons)


def test_the_first_window_is_no_larger_than_the_screen(qtbot, profile):
    made = Window(Background(profile), start_service=False)
    qtbot.addWidget(made)
    room = made.screen().availableSize()
    assert room.height() < 900  # or this would show nothing
    assert made.size() == QSize(1440, 900).boundedTo(room).expandedTo(made.minimumSize())


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("name", [spec.name for spec in pages()])
def test_a_page_opens_and_shows_no_failure(qtbot, window, name, mode):
    theme.apply(mode)
    window.go(name)
    page = window.page()
    assert page is window._pages[name]
    qtbot.waitUntil(lambda: not page._stale, timeout=3000)
    qtbot.wait(250)
    assert page._around.isHidden(), page.banner.accessibleName()
    assert not window.grab().toImage().isNull()


@pytest.mark.parametrize(("name", "whole"), [
    ("settings", lambda page: page._key_table.window() is page.window() and "endpoint.port" in page._fields),
    ("workflow", lambda page: page.editor.window() is page.pane.window() is page.window()),
    ("datasets", lambda page: [pane.window() for pane in page._panes.values()] == [page.window()] * 4)])
def test_a_page_built_in_parts_is_whole_before_it_is_shown(qtbot, window, name, whole):
    shown = []
    window.stack.currentChanged.connect(lambda _place: shown.append(whole(window.stack.currentWidget())))
    window.go(name)
    window._next_stage()
    window._next_stage()
    window.go("home")  # asked for when it stands in its place without its parts
    assert (window.stack.currentWidget(), shown) == (window._made["home"], [])
    window.go(name)
    qtbot.waitUntil(lambda: bool(shown), timeout=5000)
    assert shown == [True]
    assert window.stack.count() == 2


_FOCUSABLE = (QAbstractButton, QLineEdit, QPlainTextEdit, QComboBox, QAbstractItemView)


@pytest.mark.parametrize("name", [spec.name for spec in pages()])
def test_all_that_takes_the_focus_has_a_name(qtbot, window, name):
    window.go(name)
    qtbot.wait(300)
    found = [w for kind in _FOCUSABLE for w in window.findChildren(kind)
             if w.focusPolicy() & Qt.FocusPolicy.TabFocus and w.isVisible() and not w.objectName().startswith("qt_")]
    assert len(found) > 4
    nameless = [f"{type(w).__name__} in {type(w.parent()).__name__}" for w in found
                if not (w.accessibleName() or (isinstance(w, QPushButton) and w.text()))]
    assert nameless == []


def _press(window, keys: str) -> None:
    action = next(a for a in window.actions() if a.shortcut() == QKeySequence(keys))
    action.trigger()


def test_ctrl_and_a_number_goes_to_that_page(window):
    for position, spec in enumerate(pages()[:9], start=1):
        _press(window, f"Ctrl+{position}")
        assert window.page() is window._pages[spec.name]


def test_find_or_do_goes_where_the_typed_words_lead(qtbot, window):
    _press(window, "Ctrl+K")
    assert window._palette.isVisible()
    QTest.keyClicks(window._palette._field, "go to runs")
    QTest.keyClick(window._palette._field, Qt.Key.Key_Return)
    assert not window._palette.isVisible()
    assert window.page() is window._pages["runs"]


def test_a_click_on_ground_that_takes_no_focus_closes_the_palette(qtbot, window):
    window.find_or_do()
    assert window._palette.isVisible()
    qtbot.mouseClick(window.page().header.title, Qt.MouseButton.LeftButton)
    assert not window._palette.isVisible()


def test_the_palette_says_that_nothing_was_found_and_enter_does_nothing(window):
    window.find_or_do()
    QTest.keyClicks(window._palette._field, "zzzz")
    assert [window._palette._list.item(row).text() for row in range(window._palette._list.count())] == ["Nothing of that name"]
    QTest.keyClick(window._palette._field, Qt.Key.Key_Return)
    assert window.page().title == "Home"


def test_the_palette_sets_the_theme_and_the_store_keeps_it(qtbot, window, profile):
    from app.store import Store, settings

    _press(window, "Ctrl+K")
    QTest.keyClicks(window._palette._field, "dark")
    QTest.keyClick(window._palette._field, Qt.Key.Key_Return)
    assert theme.mode == "dark"

    def kept() -> bool:
        with Store.open(profile) as store:
            return settings.get(store, "theme") == "dark"

    qtbot.waitUntil(kept, timeout=3000)


def test_the_rail_shows_percent_of_the_run_and_the_endpoint(qtbot, window):
    qtbot.waitUntil(lambda: window.rail.buttons["runs"].mark == "37 %", timeout=3000)
    assert window.rail.buttons["endpoint"].mark == ""  # deployed, but no service answers


def test_the_rail_says_on_while_the_service_answers(qtbot, window, monkeypatch):
    monkeypatch.setattr("app.config.presence.find_service", lambda _profile: Presence(1, 0.0, "http://127.0.0.1:1/v1"))
    window._changed({"deployments"})
    qtbot.waitUntil(lambda: window.rail.buttons["endpoint"].mark == "on", timeout=3000)


def test_pages_hear_that_the_endpoint_answers_at_last(qtbot, window, monkeypatch):
    window.go("endpoint")
    page = window.page()
    qtbot.waitUntil(lambda: page._view is not None, timeout=3000)
    assert page._state.words() == "Not running"
    monkeypatch.setattr("app.gateway.views.find_service", lambda _profile: Presence(1, 0.0, "http://127.0.0.1:1/v1"))
    monkeypatch.setattr("app.config.presence.find_service", lambda _profile: Presence(1, 0.0, "http://127.0.0.1:1/v1"))
    window.status.ask()
    qtbot.waitUntil(lambda: page._state.words() == "On, for programs on this computer", timeout=3000)
    assert page._address.words() == "http://127.0.0.1:1/v1"


def test_a_narrow_window_keeps_only_icons(qtbot, window):
    window.resize(1100, 760)
    qtbot.waitUntil(lambda: window.rail.width() == 56, timeout=2000)
    window.resize(1440, 900)
    qtbot.waitUntil(lambda: window.rail.width() == 208, timeout=2000)


def _drop(window, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    window.dropEvent(QDropEvent(QPointF(300, 300), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
                                Qt.KeyboardModifier.NoModifier))


def test_a_file_dropped_anywhere_is_shown_before_it_is_imported(qtbot, window, tmp_path):
    from ui.mapping import MappingDialog

    file = tmp_path / "mine.csv"
    file.write_text("question,answer\nWhich law?,Swedish law\n", encoding="utf-8")
    _drop(window, file)
    dialog = window.findChild(MappingDialog)
    qtbot.waitUntil(dialog.import_button.isEnabled, timeout=10_000)
    dialog.import_button.click()
    qtbot.waitUntil(lambda: "One row from mine is imported." in window._toast.accessibleName(), timeout=20_000)


def test_several_dropped_files_are_shown_one_after_the_other(qtbot, window, tmp_path):
    from ui.mapping import MappingDialog

    files = [tmp_path / f"{name}.csv" for name in ("first", "second")]
    data = QMimeData()
    for file in files:
        file.write_text("question,answer\nWhich law?,Swedish law\n", encoding="utf-8")
    data.setUrls([QUrl.fromLocalFile(str(file)) for file in files])
    window.dropEvent(QDropEvent(QPointF(300, 300), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
                                Qt.KeyboardModifier.NoModifier))
    shown = window.findChildren(MappingDialog)
    assert [dialog.windowTitle() for dialog in shown] == ["Import first.csv, 1 more to come"]
    shown[0].reject()
    qtbot.waitUntil(lambda: [one.windowTitle() for one in window.findChildren(MappingDialog) if one.isVisible()] == ["Import second.csv"],
                    timeout=10_000)


def test_an_import_that_fails_is_told_on_the_page(qtbot, window, tmp_path, monkeypatch):
    def importing(_store, _path, _mapping):
        raise DatasetError("dataset.empty", "The file is empty.", remedy="Choose another file.")

    monkeypatch.setattr("app.data.views.import_for_window", importing)
    window._import(tmp_path / "mine.csv", {})
    page = window.page()
    qtbot.waitUntil(lambda: not page._around.isHidden(), timeout=3000)
    assert "The file is empty." in page.banner.accessibleName()


@pytest.mark.parametrize(("answer", "closes", "kept"), [
    pytest.param(True, True, True, id="keep running"), pytest.param(False, True, False, id="stop and save"),
    pytest.param(None, False, None, id="do not close")])
def test_closing_while_work_runs_asks(qtbot, window, monkeypatch, answer, closes, kept):
    asked, settled = [], []
    monkeypatch.setattr("ui.dialogs.ask_close", lambda _parent, running: asked.append(running) or answer)
    monkeypatch.setattr("ui.service_link.settle", lambda _store, _place, _page, _splits, stop: settled.append(stop))
    window._start_service = True
    window.close()
    qtbot.waitUntil(lambda: asked == [1], timeout=3000)
    qtbot.wait(300)
    assert window.isVisible() is not closes
    assert settled == ([] if kept is None else [not kept])


def test_a_second_start_brings_the_first_forward(qtbot, window, profile):
    from ui.main import _listen

    name = server_name(profile)
    assert not called_first(name, ["x"])
    server = _listen(name, window)
    window.showMinimized()
    assert called_first(name, ["x"])
    qtbot.waitUntil(lambda: not window.isMinimized(), timeout=3000)
    server.close()


def test_closing_leaves_no_thread_and_no_running_timer(qtbot, window):
    from tests.ui.conftest import lanes

    for spec in pages():
        window.go(spec.name)
    qtbot.wait(200)
    window._settled = True
    window.close()
    qtbot.waitUntil(lambda: lanes() == [], timeout=5000)
    assert not window.status._timer.isActive()


_CHILD = """
import json, sys, time
from pathlib import Path
from app.store.profile import Profile
from ui.main import make_application, open_window
from ui.pages import pages
app = make_application(["child"])
window = open_window(Profile.default(), start_service=False)
end = time.monotonic() + 2.0
for spec in pages():
    window.go(spec.name)
    stop = time.monotonic() + 0.5
    while time.monotonic() < stop:
        app.processEvents()
        time.sleep(0.01)
window.status.end()
window.background.close()
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def test_no_training_library_is_ever_imported(profile, runs):
    done = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, timeout=60, cwd=ROOT,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.strip().splitlines()[-1])
    assert "sqlcipher3" in loaded  # the store was really read
    assert [name for name in HEAVY if name in loaded] == []


def test_the_first_frame_waits_for_no_database_library():
    done = subprocess.run([sys.executable, "-c", "import sys, ui.main; print([n for n in ('sqlcipher3', 'sqlite_utils', 'pydantic') if n in sys.modules])"],
                          capture_output=True, text=True, timeout=60, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_timers_have_owners(window):
    for spec in pages():
        window.go(spec.name)
    assert all(timer.parent() is not None for timer in window.findChildren(QTimer))


# ---- the theme -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def light():
    theme.apply("light")
    yield
    theme.apply("system")


def _dark(widget) -> bool:
    return tokens()["dark"]["color"]["surface"] in widget.styleSheet()


def test_a_theme_reaches_what_is_seen_at_once_and_another_page_when_it_is_shown(light, window):
    window.go("settings")
    hidden = window.page()
    window.go("home")
    theme.apply("dark")
    assert [_dark(part) for part in (window.page(), window.rail, window.status)] == [True, True, True]
    assert not _dark(hidden)
    window.go("settings")
    assert _dark(hidden)


def test_what_opens_over_the_window_wears_the_theme_in_force(light, qtbot, window, monkeypatch):
    window.toast("Before")
    window.find_or_do()
    window._palette.hide()
    theme.apply("dark")
    window.toast("After")
    window.find_or_do()
    window.tour()
    shown = []
    monkeypatch.setattr(QDialog, "exec", lambda dialog: shown.append(dialog) or 0)
    ask_close(window, 1)
    assert [_dark(part) for part in (window._toast, window._palette, window._tour, *shown)] == [True] * 4
    window._tour.end()
