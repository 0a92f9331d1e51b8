"""What the Datasets page says in words.  Plain functions over the views, so that tests read them without a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING

from app.data.reasons import reason_words
from ui import words
from ui.language import tr
from ui.widgets.table import Cell, Column

if TYPE_CHECKING:
    from app.data.browse import RowView, WholeRow
    from app.data.lineage import Making, Story
    from app.data.views import VersionView

SPLIT_WORDS = {"train": "training", "calibration": "checks in training", "test": "held back", "": "not split"}
STATE_WORDS = {"ready": "", "writing": "being written", "failed": "failed", "paused": "paused"}
ROW_STATES = {"": "All rows", "kept": "In use", "removed": "Removed", "changed": "Changed", "added": "Added", "back": "Restored",
              "set_aside": "Set aside at import"}
STATE_TOKENS = {"kept": "textDisabled", "removed": "textTertiary", "changed": "accentText", "added": "success", "back": "success",
                "set_aside": "warning"}
RATING_WORDS = {1: "Good", 0: "Unclear", -1: "Bad"}
FIELD_WORDS = {"system": "System", "user": "Question", "assistant": "Answer", "tool": "Tool", "text": "Text", "chosen": "Preferred answer",
               "rejected": "Rejected answer"}
KIND_WORDS = {"removed": "removed", "changed": "changed", "flagged": "flagged", "added": "added", "restored": "restored",
              "back": "restored", "gone": "gone"}
SHARED_FROM, SHARED_BY = 24, 0.75
"""A shorter start that questions have in common is shown with each, and one that fewer of them have."""


def state_words(one: RowView | WholeRow) -> str:
    """What happened to a row, with its reason."""
    if one.state == "set_aside":
        return one.reason
    word = ROW_STATES[one.state] if one.state else ""
    said = reason_words(one.reason) + (f" ({one.detail})" if one.detail else "") if one.reason else ""
    return f"{word}: {said}" if said else word


class RowCells:
    """Rows as cells; what most questions of a page begin with is left out (Row, Question, Answer, Use, Quality, State)."""

    columns = (Column("Row", 84, right=True), Column("Question"), Column("Answer"), Column("Use", 112), Column("Quality", 76, right=True),
               Column("State", 168))
    QUESTION, ANSWER, USE, QUALITY = 1, 2, 3, 4

    def __init__(self) -> None:
        self._shared: str | None = None

    def begin(self) -> None:
        """Other rows come."""
        self._shared = None

    def see(self, found: Sequence[RowView]) -> None:
        """The first of them say what they share."""
        if self._shared is None and found:
            self._shared = shared_start([one.prompt for one in found if one.prompt][:40])

    def __call__(self, one: RowView) -> list[Cell]:
        return row_cells(one, self._shared or "")


def row_cells(one: RowView, shared: str = "") -> list[Cell]:
    """One row of the table; ``shared``: what most questions begin with."""
    gone = one.state in ("removed", "set_aside")
    text = f"… {one.prompt[len(shared):]}" if shared and one.prompt.startswith(shared) else one.prompt
    score = "" if one.score is None else f"{one.score:.2f}" if abs(one.score) < 100 else f"{one.score:,.0f}"
    tone = "danger" if one.score is not None and one.score < 0.5 else "text"
    rating = "" if one.rating is None else f"{tr(RATING_WORDS[one.rating])}, "
    said = rating + tr(state_words(one))
    state = Cell(said, "textTertiary" if gone else "textSecondary" if one.state == "kept" else STATE_TOKENS[one.state],
                 STATE_TOKENS.get(one.state, "textDisabled"))
    struck = one.state == "removed"
    return [Cell(f"{one.position:,}", "textSecondary"), Cell(text, "textTertiary" if gone else "text", struck=struck),
            Cell(one.answer, "textTertiary" if gone else "text", struck=struck),
            Cell(tr(SPLIT_WORDS.get(one.split, one.split)) if one.state != "set_aside" else "", "textSecondary"), Cell(score, tone), state]


def shared_start(texts: list[str]) -> str:
    """What most texts begin with, up to a word's end; "" where that is too little to leave out."""
    if len(texts) < 2:
        return ""
    middle = sorted(texts)[len(texts) // 2]  # texts with the same start lie side by side: what over half of them share, this one has
    alike = sorted((_alike(middle, one) for one in texts), reverse=True)
    cut = middle.rfind(" ", 0, alike[ceil(SHARED_BY * len(texts)) - 1]) + 1
    return middle[:cut] if cut >= SHARED_FROM else ""


def _alike(one: str, other: str) -> int:
    """How many letters two texts begin with in common."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def version_words(one: VersionView) -> str:
    """"Version 2" and its state where it is not ready."""
    state = STATE_WORDS.get(one.state, one.state)
    return f"Version {one.version}" + (f", {state}" if state else "")


def counts_words(did: Mapping[str, Mapping[str, int]]) -> str:
    """What a step did: "removed 3 near duplicates and 1 leak into the test, changed 5 redacted"."""
    parts = []
    for kind, reasons in did.items():
        most_first = sorted(reasons.items(), key=lambda one: -one[1])
        named = [_count_words(kind, name, count) for name, count in most_first if count]
        if named:
            parts.append(f"{KIND_WORDS.get(kind, kind)} " + ", ".join(named[:-1]) + (" and " if named[1:] else "") + named[-1])
    return "; ".join(parts)


def _count_words(kind: str, reason: str, count: int) -> str:
    """"3 near duplicates", "5 (redacted)", "2"."""
    if kind == "removed":
        return f"{count:,} {reason_words(reason, count)}"
    return f"{count:,} ({reason_words(reason)})" if reason else f"{count:,}"


def story_words(story: Story) -> str:
    """One line on what made a version."""
    did = counts_words(story.did)
    origin = f"from {story.file}" if story.file else ""
    return did or origin or (f"{story.rejected:,} rows set aside" if story.rejected else "no row changed")


def making_words(making: Making | None) -> str:
    """How a step that made rows fared: "12 of 40 candidates passed, €0.004"."""
    if making is None:
        return ""
    cost = f", {words.money(making.cost, making.currency)}" if making.cost is not None else ""
    return f"{making.made:,} of {making.candidates:,} candidates passed{cost}"


def rows_words(first: int, last: int, total: int, complete: bool) -> str:
    """"Rows 524,281 to 524,299 of 1,048,576"; counts from 0 come in."""
    if last < first:
        return "No such rows" if complete else "Looking"
    return f"Rows {first + 1:,} to {last + 1:,} of {total:,}" + ("" if complete else " so far")
