"""The graph of where a version comes from: boxes in reading order, by mouse and by keys, spoken with what they come from."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from app.registry.lineage_graph import LineageGraph, LineageNode
from ui.canvas.layout import columns
from ui.widgets.lineage import NARROW, LineagePane

GRAPH = LineageGraph()
GRAPH.add(LineageNode("data", "table-2", "Notices", "version 3", "datasets", "d"))
GRAPH.add(LineageNode("base", "hard-drive", "small", "base model"))
GRAPH.add(LineageNode("train", "graduation-cap", "Training", "seed 7", "runs", "r"), before="data")
GRAPH.add(LineageNode("version", "badge-check", "Version 3", "", current=True), before="train")
GRAPH.add(LineageNode("served", "plug", "notices", "served", "playground", "notices"), before="version")
GRAPH.edges.append(("base", "train"))


@pytest.fixture
def pane(qtbot, qapp):
    made = LineagePane()
    qtbot.addWidget(made)
    made.resize(900, 200)
    made.show()
    made.show_graph(GRAPH, lambda page: page != "datasets")
    return made


def test_a_box_stands_right_of_what_it_comes_from(pane):
    for one, other in GRAPH.edges:
        assert pane.boxes[one].geometry().right() < pane.boxes[other].geometry().left()


def test_no_box_lies_on_another(pane):
    boxes = list(pane.boxes.values())
    assert not any(a.geometry().intersects(b.geometry()) for place, a in enumerate(boxes) for b in boxes[place + 1:])


def test_a_late_source_stands_beside_what_it_goes_into():
    stacks = columns(["a", "b", "c", "late"], [("a", "b"), ("b", "c"), ("late", "c")])
    assert [sorted(stack) for stack in stacks] == [["a"], ["b", "late"], ["c"]]


def test_a_box_opens_its_page_and_one_without_a_page_is_no_button(qtbot, pane):
    with qtbot.waitSignal(pane.opened) as told:
        qtbot.mouseClick(pane.boxes["train"], Qt.MouseButton.LeftButton)
    assert told.args == ["runs", "r"]
    assert {name for name, box in pane.boxes.items() if box.isEnabled()} == {"train", "served"}


def test_the_arrow_keys_follow_the_curves(qtbot, pane):
    pane.boxes["train"].setFocus()
    qtbot.keyClick(pane.boxes["train"], Qt.Key.Key_Right)  # the version itself leads nowhere
    assert pane.focusWidget() is pane.boxes["served"]
    qtbot.keyClick(pane.boxes["served"], Qt.Key.Key_Left)
    assert pane.focusWidget() is pane.boxes["train"]
    with qtbot.waitSignal(pane.opened):
        qtbot.keyClick(pane.boxes["train"], Qt.Key.Key_Space)


def test_each_box_says_what_it_is_and_what_it_comes_from(pane):
    box = pane.boxes["train"]
    assert box.accessibleName() == "Training, seed 7"
    assert box.accessibleDescription() == "From: Notices version 3; small base model"


def test_without_room_it_scrolls_sideways(pane):
    pane.resize(300, 200)
    assert {box.width() for box in pane.boxes.values()} == {NARROW}
    assert pane.horizontalScrollBar().maximum() > 0
    assert pane.height() > pane.widget().height()


def test_an_empty_graph_takes_no_room(pane):
    pane.show_graph(LineageGraph(), lambda _page: True)
    assert pane.boxes == {}
    assert pane.height() < 10
