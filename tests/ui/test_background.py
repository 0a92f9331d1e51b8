"""Work off the main thread."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QObject

from app.errors import DatasetError
from tests.ui.conftest import lanes
from ui import background as module
from ui.background import Background, command


@pytest.fixture
def background(qtbot, profile):
    made = Background(profile)
    with qtbot.waitSignal(made.opened, timeout=10_000):
        made.open()
    yield made
    made.close()
    assert lanes() == []


def _later(_store, seconds, value):
    time.sleep(seconds)
    return value


def test_answers_arrive_on_the_main_thread(qtbot, background):
    found = []
    background.submit(None, lambda store: threading.current_thread().name,
                      done=lambda name: found.append((name, threading.current_thread() is threading.main_thread())))
    qtbot.waitUntil(lambda: found == [("quick-0", True)], timeout=3000)


def test_only_the_newest_answer_arrives(qtbot, background):
    owner, found = QObject(), []
    for value in range(5):
        background.submit(owner, _later, 0.01, value, done=found.append)
    qtbot.waitUntil(lambda: found != [], timeout=3000)
    qtbot.wait(150)
    assert found == [4]


def test_a_long_question_that_was_asked_anew_is_not_begun(qtbot, background):
    owner, begun, found = QObject(), [], []

    def ask(_store, value):
        begun.append(value)
        time.sleep(0.1)
        return value

    for value in range(6):
        background.submit(owner, ask, value, done=found.append, latest=True)
    qtbot.waitUntil(lambda: found == [5], timeout=5000)
    assert len(begun) <= 2, "at most the one under way and the newest"
    qtbot.waitUntil(lambda: background.quiet, timeout=3000)


def test_slow_work_does_not_hold_up_quick_work(qtbot, background):
    found = []
    for _ in range(4):
        background.submit(None, _later, 1.0, "slow", lane="slow", key=str(_), done=found.append)
    background.submit(None, _later, 0.0, "quick", done=found.append)
    qtbot.waitUntil(lambda: found != [], timeout=800)
    assert found == ["quick"]


def test_changes_of_one_kind_are_made_in_the_order_they_were_asked_for(qtbot, background):
    made, owner = [], QObject()

    def change(_store, seconds, value):
        time.sleep(seconds)
        made.append(value)

    for value, seconds in enumerate((0.2, 0.0, 0.1, 0.0)):
        background.submit(owner, change, seconds, value, lane="slow", in_order=True)
    qtbot.waitUntil(lambda: len(made) == 4, timeout=3000)
    assert made == [0, 1, 2, 3]


def test_a_failed_change_does_not_stop_the_next(qtbot, background):
    owner, found = QObject(), []

    def change(_store, works):
        if not works:
            raise DatasetError("test", "No.")
        return works

    for works in (False, True):
        background.submit(owner, change, works, lane="slow", in_order=True, done=found.append)
    qtbot.waitUntil(lambda: found == [True], timeout=3000)


def test_no_answer_after_the_owner_is_gone(qtbot, background):
    owner, found = QObject(), []
    background.submit(owner, _later, 0.1, 1, done=found.append)
    owner.deleteLater()
    qtbot.wait(300)
    assert found == []


def test_no_answer_after_closing(qtbot, profile):
    made, found = Background(profile), []
    with qtbot.waitSignal(made.opened, timeout=10_000):
        made.open()
    made.submit(None, _later, 0.1, 1, done=found.append)
    made.close()
    qtbot.wait(200)
    assert found == []


def _known(_store):
    raise DatasetError("dataset.odd", "It is odd.")


def _mistake(_store):
    raise KeyError("nobody foresaw this")


@pytest.mark.parametrize(("function", "code", "words"), [
    pytest.param(_known, "dataset.odd", "It is odd.", id="an error of ours stays itself"),
    pytest.param(_mistake, "window.unexpected", "nobody foresaw this", id="a mistake is said in words"),
])
def test_failures_arrive_as_errors(qtbot, background, function, code, words):
    found = []
    background.submit(None, function, failed=found.append)
    qtbot.waitUntil(lambda: found != [], timeout=3000)
    assert (found[0].code, words in found[0].message) == (code, True)


def test_a_change_by_another_connection_is_told_with_its_table(qtbot, background, profile):
    from app.store import Store, settings

    with Store.open(profile) as other:
        qtbot.wait(400)
        with qtbot.waitSignal(background.changed, timeout=3000) as told:
            settings.put(other, "theme", "dark")
    assert told.args[0] == {"settings"}


def test_what_the_user_does_is_told_at_once_however_calm_it_was(qtbot, profile, monkeypatch):
    from app.store import settings, watcher

    monkeypatch.setattr(watcher, "CALM_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(module, "CALM_POLL_SECONDS", 60.0)
    made = Background(profile)
    with qtbot.waitSignal(made.opened, timeout=10_000):
        made.open()
    qtbot.wait(400)
    page = SimpleNamespace(background=made, show_error=None)
    with qtbot.waitSignal(made.changed, timeout=5000) as told:
        command(page, settings.put, "theme", "dark")
    assert told.args[0] == {"settings"}
    made.close()


def test_a_wrong_key_is_refused_in_words(qtbot, profile):
    from app.store import Store

    Store.open(profile).close()
    (profile.home / "catalogue.key").write_text("00" * 32)
    made = Background(profile)
    with qtbot.waitSignal(made.refused, timeout=10_000) as told:
        made.open()
    made.close()
    assert told.args[0].code == "store.wrong_key"
