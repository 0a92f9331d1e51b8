"""What holds in every state of every page and dialog: each control has a name for a screen reader, and Tab reaches it.  No word is cut in
the smallest window, in any language.

The walk leaves pictures of the states, and of the pages in dark too, in .artefacts/screenshots, to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QMenu,
    QScrollArea,
    QTabBar,
    QWidget,
)

from app.store import Profile, Store
from app.store.profile import project_dir
from tests.ui.conftest import shut
from tests.ui.states import PAGES, STATES, Stage, State, fill_all
from ui import language
from ui.main import open_window
from ui.theme import theme
from ui.widgets.buttons import Button
from ui.widgets.lineage import LineagePane
from ui.widgets.text import Label

PICTURES = project_dir() / ".artefacts" / "screenshots"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Profile, dict[str, object]]:
    home = tmp_path_factory.mktemp("states")
    profile = Profile(home / "profile")
    with Store.open(profile) as store:
        return profile, fill_all(store, home)


@pytest.fixture
def stage(qtbot, profile: Profile, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """A window on the filled store, or on an empty one; in another language, or in English."""
    wanted = request.param if isinstance(request.param, str) else "en"
    shown, there = request.getfixturevalue("filled") if request.param else (profile, {})
    language.use(wanted)
    window = open_window(shown, start_service=False)
    window.resize(1440, 900)
    yield Stage(window, lambda reached: qtbot.waitUntil(reached, timeout=20_000), there, tmp_path)
    theme.apply("light")
    shut(qtbot, window)
    language.use("en")


def spoken(control: QWidget) -> str:
    """What a screen reader says for it."""
    text = control.text() if isinstance(control, QAbstractButton) else ""
    return control.accessibleName() or text


def controls(shown: QWidget) -> list[QWidget]:
    """What takes the keyboard and stands for itself: the field inside a spin box or a combo box is part of it."""
    inner = (QComboBox, QAbstractSpinBox, QAbstractItemView)
    return [one for one in shown.findChildren(QWidget)
            if one.isVisible() and one.isEnabled() and one.focusPolicy() != Qt.FocusPolicy.NoFocus and one.focusProxy() is None
            and not isinstance(one, QScrollArea | QTabBar | QMenu)
            and not any(isinstance(over, inner) for over in _over(one, shown))]


def _over(one: QWidget, top: QWidget) -> Iterator[QWidget]:
    while (parent := one.parentWidget()) is not None and parent is not top:
        yield parent
        one = parent


def reached(shown: QWidget) -> set[QWidget]:
    """What Tab comes to: Qt's own ring of the window, which the focus goes round."""
    top = shown.window()
    ring, one = {top}, top.nextInFocusChain()
    while one not in ring:
        ring.add(one)
        one = one.nextInFocusChain()
    return {one for one in ring if one.focusPolicy() & Qt.FocusPolicy.TabFocus and one.isVisible() and one.isEnabled()}


def named(found: list[QWidget]) -> list[str]:
    return [f"{type(one).__name__} “{spoken(one)}” in {type(one.parent()).__name__}" for one in found]


def look(shown: QWidget, name: str) -> None:
    file = PICTURES / theme.mode / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    assert shown.grab().save(str(file), "PNG", 85)  # type: ignore[call-overload]


def settle(stage: Stage) -> None:
    """Until all is answered, and drawn: a page may take a few turns for that."""
    QApplication.processEvents()
    stage.wait(lambda: stage.window.background.quiet)
    QTest.qWait(80)


@pytest.mark.parametrize(("stage", "states"), [
    pytest.param(empty, [state for state in STATES if state.empty == (not empty)], id="filled" if empty else "empty") for empty in (True, False)
], indirect=["stage"])
def test_every_control_of_every_state_has_a_name_and_is_reached_by_tab(stage: Stage, states: list[State]):
    stage.wait(lambda: stage.window.tray is not None)
    theme.apply("light")
    nameless, unreached, seen = {}, {}, 0
    for state in states:
        shown = state.show(stage)
        settle(stage)
        look(shown, state.name)
        found = controls(shown)
        seen += len(found)
        ring = reached(shown)
        if faults := [one for one in found if not spoken(one).strip()]:
            nameless[state.name] = named(faults)
        if faults := [one for one in found if one.focusPolicy() & Qt.FocusPolicy.TabFocus and one not in ring]:
            unreached[state.name] = named(faults)
        stage.leave(shown)
    theme.apply("dark")
    for name in PAGES:
        stage.go(name)
        settle(stage)
        look(stage.window, name if stage.there else f"{name}-empty")
    assert nameless == {}
    assert unreached == {}
    assert seen > 5 * len(states), "the walk saw what it was to look at"


def cut(page: QWidget) -> list[str]:
    """Buttons and labels with less room than their words need, and pages that scroll sideways.  What ends with an ellipsis is whole in its
    tooltip; a picture may be wider than the page."""
    found = [f"{type(one).__name__} “{one.text()}”" for one in page.findChildren(QWidget) if one.isVisible() and one.width() < one.sizeHint().width() - 1
             and ((isinstance(one, Button) and not one.property("flush")) or (isinstance(one, Label) and not one._elide and not one._wrap))]
    return found + [f"{type(page).__name__} by {area.horizontalScrollBar().maximum()} px" for area in page.findChildren(QScrollArea)
                    if area.isVisible() and area.horizontalScrollBar().maximum() > 0 and not isinstance(area, LineagePane)]


@pytest.mark.parametrize("stage", [pytest.param(name, id=name) for name in language.languages()], indirect=True)
def test_no_word_is_cut_in_the_smallest_window(stage: Stage):
    stage.wait(lambda: stage.window.tray is not None)
    stage.window.resize(1024, 680)
    found = {}
    for name in PAGES:
        page = stage.go(name, {"models": "sample@2", "runs": stage.there["done"], "datasets": stage.there["dataset"]}.get(name, ""))
        settle(stage)
        if faults := cut(page):
            found[name] = faults
    assert found == {}
