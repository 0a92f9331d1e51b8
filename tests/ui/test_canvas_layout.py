"""Places of cards and the undo stack, without a window."""

from __future__ import annotations

import itertools
import random

import pytest

from ui.canvas import history
from ui.canvas.history import History
from ui.canvas.layout import HEIGHT, WIDTH, aligned, layered


def overlap(places) -> bool:
    spots = list(places.values())
    return any(abs(a[0] - b[0]) < WIDTH and abs(a[1] - b[1]) < HEIGHT for n, a in enumerate(spots) for b in spots[n + 1:])


@pytest.mark.parametrize("seed", range(20))
def test_no_card_lies_on_another_and_each_has_a_place(seed):
    chance = random.Random(seed)
    names = [f"s{number}" for number in range(chance.randint(1, 60))]
    edges = [(chance.choice(names), chance.choice(names)) for _ in range(chance.randint(0, 90))]  # circles and loops among them
    places = layered(names, edges)
    assert set(places) == set(names)
    assert not overlap(places)


def test_a_step_stands_right_of_what_it_needs_or_in_a_later_row():
    names = [f"s{number}" for number in range(12)]
    edges = list(itertools.pairwise(names))
    places = layered(names, edges)
    assert all(places[one][0] < places[two][0] or places[one][1] < places[two][1] for one, two in edges)


def test_the_same_graph_has_the_same_places():
    names, edges = ["a", "b", "c"], [("a", "b"), ("a", "c")]
    assert layered(names, edges) == layered(names, edges)
    assert layered([], []) == {}


@pytest.mark.parametrize(("how", "wanted"), [
    ("left", {"a": (0, 9), "b": (0, 300)}), ("top", {"a": (50, 9), "b": (0, 9)}),
    ("row", {"b": (0, 9), "a": (204, 9)}), ("column", {"a": (0, 9), "b": (0, 127)}),
])
def test_cards_are_aligned(how, wanted):
    assert aligned({"a": (50, 9), "b": (0, 300)}, how) == wanted


def test_undo_and_redo_go_through_the_texts():
    stack = History("a")
    stack.add("b", "Add x")
    stack.add("c", "Remove x")
    assert (stack.undo_words, stack.redo_words) == ("Remove x", "")
    assert [stack.undo(), stack.undo(), stack.undo()] == ["b", "a", "a"]
    assert stack.redo_words == "Add x"
    assert stack.redo() == "b"
    stack.add("d", "Move x")
    assert stack.redo() == "d"
    assert stack.undo() == "b"


def test_a_change_to_the_same_text_is_none():
    stack = History("a")
    stack.add("a", "Nothing")
    assert stack.undo_words == ""


def test_typing_counts_as_one_change_until_it_pauses(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(history.time, "monotonic", lambda: now[0])
    stack = History("")
    for text in ("h", "he", "hel"):
        stack.add(text, "Typing", joins=True)
        now[0] += history.BURST / 2
    now[0] += history.BURST
    stack.add("hello", "Typing", joins=True)
    assert [stack.undo(), stack.undo()] == ["hel", ""]


def test_the_stack_is_bounded():
    stack = History("0")
    for number in range(history.MOST * 2):
        stack.add(f"{number} x", "Edit")
    steps = 0
    while stack.undo_words:
        stack.undo()
        steps += 1
    assert steps == history.MOST - 1
