"""The list at the left of a page: short or hundreds of lines long, by mouse and by keys; and words too long for their place."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextDocument

from tests.ui.conftest import shut
from ui.main import open_window
from ui.pages import pages
from ui.rail import NavButton
from ui.theme import CONTRAST, theme
from ui.widgets.buttons import ARROW, WIDEST, Choice
from ui.widgets.sidelist import SideLine, SideList
from ui.widgets.table import Cell, Column, Table
from ui.widgets.text import Label

LONG = "x" * 120


@pytest.fixture
def lines(qtbot, qapp) -> SideList:
    made = SideList("Models")
    qtbot.addWidget(made)
    made.resize(190, 600)
    made.show()
    made.show_lines([SideLine("", "first"), *(SideLine(str(n), f"Version {n}", "today") for n in range(3)), SideLine("", "second"),
                     SideLine("3", LONG, own=True)], "1")
    return made


def test_showing_lines_tells_nobody_and_a_click_tells_the_key(lines, qtbot):
    told = []
    lines.chosen.connect(told.append)
    lines.show_lines(lines.lines(), "2")
    assert (told, lines.key()) == ([], "2")
    qtbot.mouseClick(lines.viewport(), Qt.MouseButton.LeftButton, pos=lines.visualRect(lines.model().index(1, 0)).center())
    assert told == ["0"]


def test_arrow_keys_step_over_headings(lines, qtbot):
    told = []
    lines.chosen.connect(told.append)
    for _ in range(3):
        qtbot.keyClick(lines, Qt.Key.Key_Down)
    assert told == ["2", "3"]


def test_a_heading_cannot_be_chosen(lines, qtbot):
    qtbot.mouseClick(lines.viewport(), Qt.MouseButton.LeftButton, pos=lines.visualRect(lines.model().index(0, 0)).center())
    assert lines.key() == "1"


def test_the_line_says_all_its_words_to_who_cannot_see_it(lines):
    lines.show_lines([SideLine("a", "Version 2", "today 10:00", "Live", "success")], "a")
    assert lines.model().index(0, 0).data() == "Version 2, Live, today 10:00"


def test_other_lines_keep_what_was_scrolled_to(lines):
    many = [SideLine(str(n), f"Version {n}", "today") for n in range(100)]
    lines.show_lines(many, "50")
    lines.verticalScrollBar().setValue(1000)
    lines.show_lines([*many, SideLine("100", "Version 100", "today")], "50")
    assert lines.verticalScrollBar().value() == 1000


def test_two_hundred_models_scroll_and_leave_the_window_its_size(qtbot, profile, runs):
    window = open_window(profile, start_service=False)
    qtbot.waitUntil(lambda: window.background.store is not None, timeout=10_000)
    for n in range(200):
        window.background.store.db["models"].insert({"id": f"m{n}", "name": f"model-{n}", "created": n, "live": None})
        window.background.store.db["model_versions"].insert({"id": f"model-{n}@1", "model": f"m{n}", "version": 1, "state": "registered",
                                                             "format": "gguf", "path": "/x", "files": "[]", "proof": "{}",
                                                             "lineage": "{}", "run": None, "created": n})
    window.resize(1280, 800)
    window.go("models")
    page = window.page()
    qtbot.waitUntil(lambda: len(page.list.lines()) >= 400, timeout=10_000)
    assert window.minimumSizeHint().height() < 700
    page.list.scrollToBottom()
    first = page.list.model().index(1, 0)
    assert page.list.visualRect(first).bottom() < 0  # scrolled away
    shut(qtbot, window)


# ---- words too long for their place ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize(("words", "own", "way"), [
    ("שלום, run 1", False, Qt.LayoutDirection.LeftToRight), ("שלום", True, Qt.LayoutDirection.RightToLeft),
    ("Run 1 of שלום", False, Qt.LayoutDirection.LeftToRight)])
def test_a_sentence_keeps_its_order_beside_a_name_written_from_right_to_left(qtbot, qapp, words, own, way, wrap):
    label = Label(words, wrap=wrap, own=own)
    qtbot.addWidget(label)
    text = QTextDocument()
    text.setHtml(label.text()) if wrap else text.setPlainText(label.text())
    assert text.firstBlock().textDirection() == way


def test_a_choice_shows_its_longest_entry_whole_where_it_may(qtbot, qapp):
    choice = Choice("Language")
    qtbot.addWidget(choice)
    choice.addItems(["English", "Deutsch", "SmolLM2 135M"])
    theme.dress(choice)
    choice.resize(choice.sizeHint())
    for number in range(choice.count()):
        choice.setCurrentIndex(number)
        assert choice._cut() == choice.currentText()


def test_a_choice_of_a_long_name_pushes_nothing_aside_and_says_it_whole_in_the_tooltip(qtbot, qapp):
    choice = Choice("Model")
    qtbot.addWidget(choice)
    choice.addItems(["short", LONG])
    choice.setCurrentText(LONG)
    choice.resize(choice.sizeHint())
    choice.show()
    assert choice.width() <= WIDEST
    assert choice.toolTip() == LONG
    cut = choice._cut()
    assert cut.endswith("…")
    assert choice.fontMetrics().horizontalAdvance(cut) <= choice.width() - ARROW
    choice.setCurrentText("short")
    assert choice.toolTip() == ""


@pytest.mark.parametrize("focused", [False, True], ids=["at rest", "with the focus"])
def test_a_short_table_shows_all_its_rows_without_scrolling(qtbot, window, focused):
    table = Table([Column("Name"), Column("Cost", 90, right=True)], "Results")
    table.show_rows([(str(n), (Cell(f"row {n}"), Cell("1"))) for n in range(5)])
    table.fit_height()  # before it has the style sheet, as pages do
    table.setParent(window)
    table.setFixedWidth(400)
    table.show()
    if focused:
        window.activateWindow()
        table.setFocus()
        qtbot.waitUntil(table.hasFocus, timeout=5000)
    last = table.visualRect(table.model().index(4, 0))
    assert last.bottom() < table.viewport().height()
    assert table.verticalScrollBar().maximum() == 0


@pytest.mark.parametrize("mode", ["light", "dark", "light" + CONTRAST, "dark" + CONTRAST])
def test_high_contrast_marks_what_is_chosen_by_more_than_a_tint(lines, qtbot, mode):
    table = Table([Column("Name", 120), Column("Value", 120)], "Rows")
    qtbot.addWidget(table)
    table.show_rows([("a", [Cell("one"), Cell("1")]), ("b", [Cell("two"), Cell("2")])])
    table.selectRow(0)
    table.resize(300, 120)
    table.show()
    theme.apply(mode)
    marked = []
    button = NavButton(pages()[0])
    qtbot.addWidget(button)
    button.setChecked(True)
    button.resize(188, 32)
    grabbed = [(view.viewport().grab(), view.visualRect(view.selectionModel().currentIndex())) for view in (lines, table)]
    for grab, chosen in [*grabbed, (button.grab(), button.rect())]:
        picture = grab.toImage()
        ink = theme.color("text").name()
        inside = [picture.pixelColor(x, chosen.center().y()).name() for x in range(chosen.left(), chosen.left() + 12)]
        marked.append(inside.count(ink))
    theme.apply("light")
    assert [count >= 3 for count in marked] == [mode.endswith(CONTRAST)] * 3, marked
