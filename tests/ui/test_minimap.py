"""The canvas's overview: every card in its place, faults seen at once, a click and a drag go there."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtTest import QTest

from app.workflow.canvas import Fault, Status
from ui.canvas.items import HEIGHT, WIDTH
from ui.canvas.pane import CanvasPane
from ui.theme import theme

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def on_map(pane: CanvasPane, name: str) -> QPoint:
    """Where the middle of a card lies in the overview."""
    area, share, start = pane.minimap._frame()
    middle = pane.scene.cards[name].pos() + QPointF(WIDTH / 2, HEIGHT / 2)
    return (start + (middle - area.topLeft()) * share).toPoint()


def seen(pane: CanvasPane) -> QPointF:
    return pane.view.mapToScene(pane.view.viewport().rect().center())


def close_up(pane: CanvasPane, name: str) -> None:
    for _ in range(20):
        pane.view.zoom(1.2)
    pane.view.centerOn(pane.scene.cards[name])


def picture(pane: CanvasPane) -> QImage:
    return pane.minimap.grab().toImage()


def test_a_click_shows_the_place_that_was_clicked(pane):
    close_up(pane, "source")
    before = seen(pane)
    QTest.mouseClick(pane.minimap, LEFT, NONE, on_map(pane, "evaluate"))
    there = pane.scene.cards["evaluate"].pos() + QPointF(WIDTH / 2, HEIGHT / 2)
    assert (seen(pane) - there).manhattanLength() < (before - there).manhattanLength() / 4


def test_a_drag_takes_the_view_along(pane):
    close_up(pane, "source")
    start, end = on_map(pane, "source"), on_map(pane, "evaluate")
    there, left = pane.scene.cards["evaluate"].pos() + QPointF(WIDTH / 2, HEIGHT / 2), []
    QTest.mousePress(pane.minimap, LEFT, NONE, start)
    for part in (1, 2, 3):
        QTest.mouseMove(pane.minimap, start + (end - start) * (part / 3))
        left.append(round((seen(pane) - there).manhattanLength()))
    QTest.mouseRelease(pane.minimap, LEFT, NONE, end)
    assert left == sorted(set(left), reverse=True), "nearer with every move"


@pytest.mark.parametrize("name", ["source", "refine", "train", "evaluate"])
def test_every_card_is_drawn_where_it_stands(pane, name):
    pane.view.fit()
    assert QColor(picture(pane).pixel(on_map(pane, name))) == QColor(theme.color("borderStrong"))


def test_a_faulty_card_is_red_and_a_chosen_one_blue(pane):
    pane.show_status(Status((Fault(8, 1, "It must be more than 0", "", "train", "epochs"),)))
    pane.scene.choose(["refine"])
    drawn = picture(pane)
    assert QColor(drawn.pixel(on_map(pane, "train"))) == QColor(theme.color("danger"))
    assert QColor(drawn.pixel(on_map(pane, "refine"))) == QColor(theme.color("focus"))


def test_the_frame_follows_what_is_seen(qtbot, pane):
    close_up(pane, "source")
    first = picture(pane)
    pane.view.centerOn(pane.scene.cards["evaluate"])
    qtbot.waitUntil(lambda: picture(pane) != first, timeout=2000)


def test_an_empty_document_has_an_empty_overview(pane):
    pane.load("name: Sample\nsteps: {}\n", "")
    QTest.mouseClick(pane.minimap, LEFT, NONE, pane.minimap.rect().center())
    assert not picture(pane).isNull()


def test_it_makes_way_in_a_narrow_canvas(qtbot, pane):
    assert pane.minimap.isVisibleTo(pane)
    pane.view.setFixedWidth(400)
    qtbot.waitUntil(lambda: not pane.minimap.isVisibleTo(pane), timeout=2000)
