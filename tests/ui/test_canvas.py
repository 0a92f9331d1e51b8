"""The canvas by mouse and keyboard: every deed is an edit of the text, every refusal has its reason."""

from __future__ import annotations

import random

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QDropEvent, QGuiApplication, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.config.yaml_source import parse
from app.workflow.canvas import Fault, Status, StepState
from tests.ui.conftest import CANVAS
from ui.canvas.curve import link_path
from ui.canvas.history import History
from ui.canvas.pane import CanvasPane
from ui.canvas.scene import face

CTRL, SHIFT, NONE = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier
pytestmark = pytest.mark.usefixtures("nodes")


def steps(pane: CanvasPane):
    return parse(pane.deeds.text).value.get("steps", {})


def spot(pane: CanvasPane, point: QPointF) -> QPoint:
    return pane.view.mapFromScene(point)


def middle(pane: CanvasPane, name: str) -> QPoint:
    return spot(pane, pane.scene.cards[name].pos() + QPointF(84, 40))


def port(pane: CanvasPane, name: str, which: str, *, output: bool) -> QPoint:
    return spot(pane, pane.scene.cards[name].port_at(which, output=output))


def drag(pane: CanvasPane, start: QPoint, end: QPoint, *, release: bool = True) -> None:
    area = pane.view.viewport()
    QTest.mousePress(area, Qt.MouseButton.LeftButton, NONE, start)
    for share in (0.3, 0.7, 1.0):
        QTest.mouseMove(area, start + (end - start) * share)
    if release:
        QTest.mouseRelease(area, Qt.MouseButton.LeftButton, NONE, end)


def key(pane: CanvasPane, which: Qt.Key, modifier: Qt.KeyboardModifier = NONE) -> None:
    QTest.keyClick(pane.view, which, modifier)


# ---- what is seen -----------------------------------------------------------------------------------------------------------


def test_every_step_has_a_card_and_every_link_a_curve(pane):
    assert list(pane.scene.cards) == ["source", "refine", "train", "evaluate"]
    assert {(link.source, link.target) for link in pane.scene.links} == {
        ("source", "refine"), ("refine", "train"), ("train", "evaluate"), ("refine", "evaluate")}
    assert all(not item.boundingRect().isEmpty() for item in pane.scene.links.values())


def test_cards_do_not_lie_on_each_other(pane):
    cards = list(pane.scene.cards.values())
    for number, one in enumerate(cards):
        for two in cards[number + 1:]:
            assert abs(one.x() - two.x()) >= 168 or abs(one.y() - two.y()) >= 78


@pytest.mark.parametrize(("state", "faults", "words", "token"), [
    (None, [], "Not run yet", "textTertiary"),
    (StepState("running", False, 0.61, "step 146 of 240", None, False), [], "61 %  step 146 of 240", "accentText"),
    (StepState("done", True, 1, "", 2, False), [], "Reused", "success"),
    (StepState("done", False, 1, "", 14, False), [], "Done in 14 s", "success"),
    (StepState("done", False, 1, "", 14, True), [], "Changed, will run", "textSecondary"),
    (StepState("failed", False, 0.1, "", None, False, "Training stopped."), [], "Training stopped.", "danger"),
    (StepState("queued", False, 0, "", None, False), [], "Waits", "textSecondary"),
    (StepState("paused", False, 0.5, "", None, False), [], "Stopped and saved", "warning"),
    (StepState("done", True, 1, "", 2, False), [Fault(12, 3, "x", "", "train"), Fault(13, 3, "y", "", "train")], "2 problems, line 12",
     "danger"),
])
def test_a_card_says_its_problems_first_then_its_state(pane, state, faults, words, token):
    made = face(pane.scene.picture.card("train"), state, faults)
    assert (made.words, made.token) == (words, token)
    assert (made.progress is not None) == (state is not None and state.state == "running")


def test_states_arrive_on_the_cards(pane):
    pane.show_status(Status((), {"train": StepState("running", False, 0.5, "", None, False)}, "r", 1))
    assert pane.scene.cards["train"].face.progress == 0.5
    pane.show_status(Status((Fault(8, 1, "Unknown key", "", "train", "epoch"),)))
    assert pane.scene.cards["train"].fault
    assert not pane.scene.cards["source"].fault


def test_painting_reaches_every_pixel_kind(pane, qtbot):
    pane.deeds.note(QPointF(0, 300))
    pane.scene.choose(["source", "refine"])
    pane.deeds.group()
    pane.view.settle()
    qtbot.waitUntil(lambda: not pane.scene.late, timeout=5000)
    shot = pane.grab().toImage()
    colours = {shot.pixelColor(x, y).name() for x in range(0, shot.width(), 3) for y in range(0, shot.height(), 3)}
    assert len(colours) > 20


def test_a_crowd_is_drawn_fast_while_it_is_zoomed_and_well_afterwards(pane, qtbot):
    from tests.bench.canvas_frames import document

    pane.load(document(80), "")
    qtbot.waitUntil(lambda: not pane.scene.late and pane.scene.cards["s79"]._kept is not None, timeout=10_000)
    before = pane.scene.cards["s0"]._key
    pane.view.zoom(1.2)
    pane.view.grab()
    assert pane.scene.rushed
    assert pane.scene.cards["s0"]._key == before
    qtbot.waitUntil(lambda: not pane.scene.rushed and not pane.scene.late, timeout=10_000)
    pane.view.grab()
    assert pane.scene.cards["s0"]._key != before


# ---- mouse ------------------------------------------------------------------------------------------------------------------


def test_a_click_selects_and_fills_the_form(pane):
    QTest.mouseClick(pane.view.viewport(), Qt.MouseButton.LeftButton, NONE, middle(pane, "train"))
    assert pane.scene.chosen() == ["train"]
    assert pane.inspector.step == "train"
    assert ("lora", "r") in pane.inspector.rows


def test_dragging_a_card_writes_its_place_and_nothing_else(pane):
    before = pane.deeds.text.splitlines()
    drag(pane, middle(pane, "train"), middle(pane, "train") + QPoint(30, 50))
    place = steps(pane)["train"]["position"]
    assert place == [round(pane.scene.cards["train"].x()), round(pane.scene.cards["train"].y())]
    changed = [line for line in pane.deeds.text.splitlines() if line not in before]
    assert len(changed) == 1
    assert "train" in changed[0]


def test_a_rubber_band_selects_what_it_touches(pane):
    area = pane.scene.content()
    drag(pane, spot(pane, area.topLeft() - QPointF(10, 10)), spot(pane, area.bottomRight() + QPointF(10, 10)))
    assert pane.scene.chosen() == list(pane.scene.cards)


def test_a_link_is_drawn_from_port_to_port(pane):
    pane.deeds.add("data.refine", QPointF(0, 220))
    pane.view.fit()
    drag(pane, port(pane, "source", "rows", output=True), port(pane, "refine-2", "rows", output=False))
    assert steps(pane)["refine-2"]["needs"] == "source"
    assert ("source", "refine-2") in {(link.source, link.target) for link in pane.scene.links}


@pytest.mark.parametrize(("source", "output", "target", "into", "words"), [
    ("source", "rows", "evaluate", "model", "evaluate takes model at “model”, but source gives rows at “rows”."),
    ("train", "model", "refine", "rows", "refine takes rows at “rows”, but train gives model at “model”."),
    ("refine", "report", "train", "rows", "train takes rows at “rows”, but refine gives report at “report”."),
])
def test_a_wrong_link_is_refused_while_it_is_drawn(pane, source, output, target, into, words):
    before = pane.deeds.text
    drag(pane, port(pane, source, output, output=True), port(pane, target, into, output=False), release=False)
    assert pane.strip.label.words() == words
    QTest.mouseRelease(pane.view.viewport(), Qt.MouseButton.LeftButton, NONE, port(pane, target, into, output=False))
    assert pane.strip.label.words() == words
    assert pane.deeds.text == before


def test_a_reason_is_shown_whole_however_narrow_the_canvas(pane):
    reason = "'שלום' cannot be the name of a step. Use a small letter first, then small letters, figures, - and _."
    pane.strip.say(reason)
    pane.strip.fit(260)
    label = pane.strip.label
    assert label.fontMetrics().horizontalAdvance(reason) > 2 * pane.strip.width()
    assert label.height() >= label.heightForWidth(label.width())
    assert pane.strip.height() > 3 * label.fontMetrics().height()


def test_a_circle_is_refused(pane):
    pane.deeds.add("data.refine", QPointF(0, 220))
    pane.deeds.link("refine", "rows", "refine-2", "rows")
    before = pane.deeds.text
    pane.deeds.link("refine-2", "rows", "refine", "rows")
    assert "would make a circle" in pane.strip.label.words()
    assert pane.deeds.text == before


def test_a_node_is_dropped_where_it_falls(pane):
    item = next(pane.palette_.list.item(row) for row in range(pane.palette_.list.count())
                if pane.palette_.list.item(row).text() == "Export")
    data = pane.palette_.list.mimeData([item])
    where = QPointF(300, 400)
    pane.view.dropEvent(QDropEvent(where, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, NONE))
    assert steps(pane)["export"]["node"] == "model.export"
    card = pane.scene.cards["export"]
    assert abs(spot(pane, card.pos() + QPointF(84, 39)).x() - 300) <= 2


def test_ctrl_and_the_wheel_zoom_at_the_pointer(pane):
    at = QPointF(middle(pane, "source"))
    before, spot_before = pane.view.scale_now(), pane.view.mapToScene(at.toPoint())
    turn = QWheelEvent(at, pane.view.viewport().mapToGlobal(at), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, CTRL,
                       Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(pane.view.viewport(), turn)
    assert pane.view.scale_now() > before
    moved = pane.view.mapToScene(at.toPoint()) - spot_before
    assert abs(moved.x()) < 2
    assert abs(moved.y()) < 2
    key(pane, Qt.Key.Key_0)
    assert pane.view.scale_now() == pytest.approx(1)
    assert pane.scale.text() == "100 %"


# ---- keys -------------------------------------------------------------------------------------------------------------------


def test_tab_goes_from_card_to_card_and_then_on(pane):
    for name in pane.scene.cards:
        key(pane, Qt.Key.Key_Tab)
        assert pane.scene.chosen() == [name]
    assert not pane.view.step(1)
    key(pane, Qt.Key.Key_Backtab, SHIFT)
    assert pane.scene.chosen() == ["train"]


def test_arrows_move_and_delete_removes(pane):
    pane.scene.choose(["train"])
    x = pane.scene.cards["train"].x()
    key(pane, Qt.Key.Key_Right)
    key(pane, Qt.Key.Key_Down, SHIFT)
    assert steps(pane)["train"]["position"][0] == x + 4
    key(pane, Qt.Key.Key_Delete)
    assert list(steps(pane)) == ["source", "refine", "evaluate"]
    assert "needs" not in steps(pane)["evaluate"]
    assert "# clean" in pane.deeds.text


def test_a_chosen_link_is_removed_alone(pane):
    link = next(item for one, item in pane.scene.links.items() if (one.source, one.target) == ("source", "refine"))
    link.setSelected(True)
    key(pane, Qt.Key.Key_Delete)
    assert steps(pane)["refine"] == {"node": "data.refine"}


def test_copy_paste_and_duplicate(pane):
    pane.scene.choose(["refine", "train"])
    key(pane, Qt.Key.Key_C, CTRL)
    assert parse(QGuiApplication.clipboard().text()).value["steps"]["train"]["epochs"] == 2
    key(pane, Qt.Key.Key_V, CTRL)
    assert steps(pane)["train-2"]["needs"] == "refine-2"
    assert pane.scene.chosen() == ["refine-2", "train-2"]
    key(pane, Qt.Key.Key_D, CTRL)
    assert "train-3" in steps(pane)
    key(pane, Qt.Key.Key_X, CTRL)
    assert "train-3" not in steps(pane)


def test_pasting_something_else_says_why_not(pane):
    QGuiApplication.clipboard().setText("hello")
    key(pane, Qt.Key.Key_V, CTRL)
    assert "The clipboard holds no steps" in pane.strip.label.words()


def test_undo_and_redo_are_asked_for(pane, qtbot):
    for which, modifier, signal in ((Qt.Key.Key_Z, CTRL, pane.undo_asked), (Qt.Key.Key_Y, CTRL, pane.redo_asked),
                                    (Qt.Key.Key_Z, CTRL | SHIFT, pane.redo_asked)):
        with qtbot.waitSignal(signal, timeout=2000):
            key(pane, which, modifier)


def test_the_link_menu_offers_what_fits_and_says_why_the_rest_does_not(pane):
    pane.deeds.add("data.refine", QPointF(0, 220))
    pane.scene.choose(["train"])
    actions = {action.text(): action for action in pane.make_link_menu().actions()}
    assert actions["model to evaluate, model"].isEnabled()
    pane.scene.choose(["refine"])
    actions = {action.text(): action for action in pane.make_link_menu().actions()}
    actions["rows to refine-2, rows"].trigger()
    assert steps(pane)["refine-2"]["needs"] == "refine"


def test_typing_in_the_palette_finds_and_enter_adds(pane):
    pane.scene.choose(["refine"])
    pane.palette_.field.setText("fine-t")
    QTest.keyClick(pane.palette_.field, Qt.Key.Key_Return)
    assert steps(pane)["qlora"]["needs"] == "refine"
    assert pane.palette_.field.text() == ""


# ---- aligning, notes, groups, names ----------------------------------------------------------------------------------------------


def test_align_and_tidy(pane):
    pane.scene.choose(["source", "train"])
    pane.deeds.align("left")
    assert steps(pane)["source"]["position"][0] == steps(pane)["train"]["position"][0]
    pane.deeds.tidy()
    assert len({tuple(step["position"]) for step in steps(pane).values()}) == 4


def test_notes_are_written_and_removed(pane):
    key(pane, Qt.Key.Key_N)
    pane._note.setPlainText("Ask Anna")
    QTest.keyClick(pane._note, Qt.Key.Key_Return, CTRL)
    assert pane.scene.notes["note-1"].note.text == "Ask Anna"
    pane.scene.clearSelection()
    pane.scene.notes["note-1"].setSelected(True)
    key(pane, Qt.Key.Key_Delete)
    assert "canvas" not in parse(pane.deeds.text).value


def test_a_group_follows_its_steps_and_outlives_a_rename(pane):
    pane.scene.choose(["source", "refine"])
    key(pane, Qt.Key.Key_G, CTRL)
    frame = pane.scene.groups["group-1"].boundingRect()
    assert frame.contains(pane.scene.cards["source"].sceneBoundingRect())
    pane.scene.choose(["source"])
    pane.inspector.name.setText("rows")
    pane.inspector.name.editingFinished.emit()
    assert pane.scene.groups["group-1"].mark.steps == ("rows", "refine")
    assert steps(pane)["refine"]["needs"] == "rows"
    pane.scene.choose(["rows", "refine"])
    key(pane, Qt.Key.Key_Delete)
    assert pane.scene.groups == {}


def test_a_name_that_is_taken_is_refused_and_the_old_one_stays(pane):
    pane.scene.choose(["source"])
    pane.inspector.name.setText("train")
    pane.inspector.name.editingFinished.emit()
    assert "There is a step 'train' already" in pane.strip.label.words()
    assert pane.inspector.name.text() == "source"


# ---- the form ---------------------------------------------------------------------------------------------------------------------


def row_of(pane: CanvasPane, step: str, *path: str):
    pane.scene.choose([step])
    return pane.inspector.rows[path]


def enter(field, text: str) -> None:
    field.editor.setFocus()
    field.editor.selectAll()
    QTest.keyClicks(field.editor, text)
    QTest.keyClick(field.editor, Qt.Key.Key_Return)


def test_a_value_is_set_shown_as_set_and_reset(pane):
    before = pane.deeds.text
    field = row_of(pane, "train", "lora", "r")
    assert field.said.words() == "default"
    enter(field, "8")
    assert steps(pane)["train"]["lora"] == {"r": 8}
    assert field.said.words() == "set here"
    field.back.click()
    assert pane.deeds.text == before
    assert field.editor.text() == "16"


@pytest.mark.parametrize(("path", "typed", "words"), [
    (("epochs",), "0", "greater than 0"), (("lora", "r"), "x", "valid integer"), (("warmup",), "0.9", "less than or equal to 0.5"),
    (("epochs",), "[", ""),
])
def test_a_wrong_value_is_said_under_the_field_and_not_written(pane, path, typed, words):
    before = pane.deeds.text
    field = row_of(pane, "train", *path)
    enter(field, typed)
    assert words in field.said.words()
    assert field.editor.property("error")
    assert pane.deeds.text == before


def test_an_emptied_field_goes_back_to_the_default(pane):
    field = row_of(pane, "train", "epochs")
    assert field.said.words() == "set here"
    field.editor.selectAll()
    QTest.keyClick(field.editor, Qt.Key.Key_Delete)
    QTest.keyClick(field.editor, Qt.Key.Key_Return)
    assert "epochs" not in steps(pane)["train"]
    assert field.editor.text() == "2"


def test_lists_choices_and_switches(pane):
    enter(row_of(pane, "refine", "languages"), "en, no")
    assert steps(pane)["refine"]["languages"] == ["en", "no"]
    field = row_of(pane, "refine", "near_duplicates", "enabled")
    field.editor.setCurrentText("Off")
    field.editor.activated.emit(1)
    assert steps(pane)["refine"]["near_duplicates"] == {"enabled": False}
    method = row_of(pane, "train", "method")
    method.editor.setCurrentText("qlora")
    method.editor.activated.emit(2)
    assert steps(pane)["train"]["method"] == "qlora"


def test_every_field_has_a_name_and_its_help(pane):
    for name in pane.scene.cards:
        pane.scene.choose([name])
        assert pane.inspector.rows
        for path, field in pane.inspector.rows.items():
            assert field.editor.accessibleName()
            assert ".".join(path) in field.toolTip()


def test_a_fault_of_the_check_stands_at_its_field(pane):
    pane.scene.choose(["train"])
    pane.show_status(Status((Fault(8, 1, "It cannot be.", "", "train", "epochs"), Fault(8, 1, "Unknown key 'epoch'.", "", "train", "epoch"))))
    assert pane.inspector.rows["epochs",].said.words() == "It cannot be."
    assert "Unknown key" in pane.inspector._fault.words()


def test_an_inherited_value_says_where_it_comes_from(pane):
    pane.load("extends: kits/legal\nsteps:\n  refine: {min_length: 5}\n", "")
    assert row_of(pane, "refine", "min_length").said.words() == "set here"
    assert row_of(pane, "train", "epochs").said.words() == "set by the document it extends"
    assert not pane.inspector.name.isEnabled()
    key(pane, Qt.Key.Key_Delete)
    assert "inherits" in pane.strip.label.words()


# ---- a text that cannot be read ----------------------------------------------------------------------------------------------------


def test_a_broken_text_keeps_the_last_picture_and_blocks_edits(pane):
    pane.show_status(Status((), {"train": StepState("done", True, 1, "", 2, False)}, "r", 1))
    pane.show_text(CANVAS + "  x: [\n")
    pane.show_status(Status((Fault(11, 1, "Not valid", ""),)))
    assert pane.scene.cards["train"].face.words == "Reused"
    assert list(pane.scene.cards) == ["source", "refine", "train", "evaluate"]
    assert pane.strip.label.words().startswith("Line 11: The document is not valid YAML")
    assert not pane.inspector.isEnabled()
    pane.scene.choose(["train"])
    key(pane, Qt.Key.Key_Delete)
    assert "train" in pane.scene.cards
    pane.show_text(CANVAS)
    assert pane.strip.label.words() == ""
    assert pane.inspector.isEnabled()


def test_the_selection_outlasts_an_edit_of_the_text(pane):
    pane.scene.choose(["train"])
    item = pane.scene.cards["train"]
    pane.show_text(CANVAS.replace("epochs: 2", "epochs: 3"))
    assert pane.scene.chosen() == ["train"]
    assert pane.scene.cards["train"] is item
    assert pane.inspector.rows["epochs",].editor.text() == "3"


def test_a_link_back_runs_below_the_card_it_leaves():
    path = link_path(QPointF(500, 40), QPointF(0, 200), under=39)
    at = [path.pointAtPercent(share / 100) for share in range(101)]
    assert at[0] == QPointF(500, 40)
    assert (at[-1].x(), at[-1].y()) == pytest.approx((0, 200), abs=0.5)
    assert all(point.y() > 79 for point in at if 30 < point.x() < 470)


@pytest.mark.parametrize("seed", range(2))
def test_any_row_of_deeds_leaves_a_readable_text_and_can_be_undone_to_the_first(pane, seed):
    chance = random.Random(seed)
    stack = History(CANVAS)
    pane.edited.connect(lambda text, words: stack.add(text, words))
    deeds = ["duplicate", "copy", "paste", "delete", "group", "tidy", "all", "cut"]
    for _ in range(40):
        names = list(pane.scene.cards)
        pane.scene.choose(chance.sample(names, min(len(names), chance.randint(0, 2))))
        if chance.random() < 0.3 and len(names) > 1:
            one, two = chance.sample(pane.scene.picture.cards, 2)
            if one.outputs and two.inputs:
                pane.deeds.link(one.id, chance.choice(one.outputs).name, two.id, chance.choice(two.inputs).name)
        elif chance.random() < 0.3 or len(names) < 2:
            pane.deeds.add(chance.choice(["data.refine", "train.qlora", "model.export", "model.deploy"]))
        elif len(names) < 25 or chance.random() < 0.5:
            deed = chance.choice(deeds)
            pane.do("delete" if len(names) > 25 else deed)
        else:
            pane.deeds.move({("card", chance.choice(names)): (chance.randint(-500, 500), chance.randint(-500, 500))})
        assert list(steps(pane) or {}) == list(pane.scene.cards)
        assert all(link.scene() is pane.scene for link in pane.scene.links.values())
    assert stack.undo_words
    while stack.undo_words:
        pane.show_text(stack.undo())
    assert pane.deeds.text == CANVAS
    assert list(pane.scene.cards) == ["source", "refine", "train", "evaluate"]
