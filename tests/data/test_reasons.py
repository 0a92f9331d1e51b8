"""Every reason that a step of the refinery can write beside a row has words for the window."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest

from app.data import by_hand, cleaning, remap, repeats
from app.data.augment_node import Method
from app.data.methods import VERSIONS
from app.data.reasons import REASONS, reason_words
from app.data.refine import Rules, bad
from app.store.records import Row

ROOM = Path(cleaning.__file__).parent
DEEDS = {"remove": 1, "flag": 1, "change": 2, "add": 1}
"""Where a reason stands among what a Derivation is told."""


def derivations() -> list[ast.Call]:
    """Every call in the room that tells a Derivation what became of a row."""
    found = []
    for file in sorted(ROOM.rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in DEEDS:
                holder = ast.unparse(call.func.value)
                if holder in ("d", "making", "derivation", "derived", "self._derived"):
                    found.append(call)
    return found


def said(call: ast.Call) -> str:
    """The source of a reason."""
    assert isinstance(call.func, ast.Attribute)
    return ast.unparse(call.args[min(DEEDS[call.func.attr], len(call.args) - 1)])


MADE_UP = {
    "*reason": [found[0] for row, rules in (
        (Row("text", text=" "), Rules()), (Row("text", text="a \ufffd"), Rules()), (Row("text", text="a"), Rules(shortest=2)),
        (Row("text", text="ab"), Rules(longest=1)), (Row("text", text="a plain English sentence"), Rules(languages=("de",))),
    ) if (found := bad(row, rules))],
    "remap.UNFIT": [remap.UNFIT], "remap.MAPPED": [remap.MAPPED], "remap.FITS_NOW": [remap.FITS_NOW],
    "did[0][0]": [cleaning.MARKUP, cleaning.BOILERPLATE, cleaning.LETTERS, cleaning.BLANKS],
    "f'made_{task.method}'": [f"made_{name}" for name in VERSIONS],
    "f'reworded_{task.method}'": [f"reworded_{name}" for name in get_args(Method)],
}
"""Reasons that are put together where they are written."""


def test_the_room_was_read() -> None:
    assert len(derivations()) >= 8
    assert len(MADE_UP["*reason"]) == 5


@pytest.mark.parametrize("call", derivations(), ids=lambda call: ast.unparse(call)[:60])
def test_a_reason_that_a_step_writes_has_words(call: ast.Call) -> None:
    written = said(call)
    names = MADE_UP.get(written) or [ast.literal_eval(written)]
    assert [name for name in names if name not in REASONS] == []


@pytest.mark.parametrize("name", [*repeats.REASONS, repeats.STAYS, by_hand.EDITED, by_hand.TAKEN_OUT, "redacted"])
def test_a_reason_that_is_handed_on_has_words(name: str) -> None:
    assert name in REASONS


def test_one_row_and_several_are_said_in_words() -> None:
    assert [reason_words("leak", count) for count in (1, 2)] == ["leak into the test", "leaks into the test"]
    assert reason_words("of_a_strangers_step") == "of a strangers step"
