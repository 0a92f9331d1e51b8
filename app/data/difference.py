"""What two versions of a dataset do not have in common, and two texts side by side."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.store import Store
from app.store.datasets import reading

MOST_WORDS = 3_000
"""Longer texts that differ in the middle are shown as replaced whole: comparing takes time with the square of the words."""
Kind = Literal["same", "out", "in"]
Piece = tuple[Kind, str]
_WORD = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Difference:
    """From version ``old`` to ``new``: rows by kind and reason.

    kinds: "removed", "back" (removed before, kept now), "changed", "added", "gone" (added before, not there now); moved: rows
    whose use (training, held back) changed.
    """

    old: int
    new: int
    kinds: Mapping[str, Mapping[str, int]]
    moved: int

    def count(self, kind: str) -> int:
        """Rows of one kind."""
        return sum(self.kinds.get(kind, {}).values())


def compare(store: Store, dataset: str, old: int, new: int) -> Difference:
    """Count what differs, by reason; about a second for a million rows."""
    kinds: dict[str, dict[str, int]] = {}
    with reading(store, dataset) as db:
        for kind, reason, count in db.conn.execute(
            "SELECT CASE WHEN p.position IS NULL THEN 'added' WHEN v.state = p.state THEN 'changed' WHEN v.state = 'removed' "
            "THEN 'removed' ELSE 'back' END, coalesce(v.reason, ''), count(*) FROM version_rows v LEFT JOIN version_rows p "
            "ON p.version = :old AND p.position = v.position WHERE v.version = :new AND (p.position IS NULL OR v.state != p.state "
            "OR (v.row != p.row AND v.state = 'kept')) GROUP BY 1, 2", {"old": old, "new": new}):
            kinds.setdefault(kind, {})[reason] = count
        gone = db.conn.execute("SELECT count(*) FROM version_rows p WHERE p.version = ? AND NOT EXISTS (SELECT 1 FROM version_rows v "
                               "WHERE v.version = ? AND v.position = p.position)", (old, new)).fetchone()[0]
        moved = db.conn.execute("SELECT count(*) FROM version_rows v JOIN version_rows p ON p.version = ? AND p.position = v.position "
                                "WHERE v.version = ? AND v.split != p.split", (old, new)).fetchone()[0]
    return Difference(old, new, kinds | ({"gone": {"": gone}} if gone else {}), moved)


def word_diff(before: str, after: str) -> list[Piece]:
    """Two texts as one list of pieces: what both have, what went out, what came in."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    start = next((n for n, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new)))
    left = min(len(old), len(new)) - start
    end = next((n for n in range(left) if old[-1 - n] != new[-1 - n]), left)
    middle = _between(old[start : len(old) - end], new[start : len(new) - end])
    return _joined([("same", "".join(old[:start])), *middle, ("same", "".join(old[len(old) - end :]))])


def _between(old: list[str], new: list[str]) -> list[Piece]:
    if max(len(old), len(new)) > MOST_WORDS:
        return [("out", "".join(old)), ("in", "".join(new))]
    found: list[Piece] = []
    for verb, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if verb == "equal":
            found.append(("same", "".join(old[a:b])))
        else:
            found += [("out", "".join(old[a:b])), ("in", "".join(new[c:d]))]
    return found


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Without empty pieces; neighbours of one kind as one."""
    joined: list[Piece] = []
    for kind, text in pieces:
        if text and joined and joined[-1][0] == kind:
            joined[-1] = (kind, joined[-1][1] + text)
        elif text:
            joined.append((kind, text))
    return joined
