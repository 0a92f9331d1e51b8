"""The order in which rows are learned, kept as a score of the version, so that no row changes for it."""

from __future__ import annotations

import hashlib

import numpy as np

from app.config.node import StepContext
from app.data.derive import Derivation
from app.data.lookup import scores_at
from app.data.select import Choice
from app.errors import Place, UsageError
from app.store.datasets import order_name

AT_ONCE = 5_000
_KEEP = "INSERT OR REPLACE INTO scores (row, name, value) SELECT row, ?, ? FROM version_rows WHERE version = ? AND position = ?"


def note_order(ctx: StepContext, making: Derivation, choice: Choice, order: str, by: str) -> str:
    """Keep the place of each chosen row, from 1; rows of equal score in the order of choice, rows without one in the middle.

    The scores of the parent version count.  Returns what an artifact's content hash must add, "" without an order.  Raises
    UsageError if no row has the score.
    """
    if order == "as_is":
        return ""
    by_position = np.argsort(choice.chosen, kind="stable")
    values = np.empty(len(by_position))
    values[by_position] = scores_at(making.db, making.parent, by, choice.chosen[by_position])
    if not np.isfinite(values).any():
        raise UsageError("select.no_score", f"The rows have no score {by!r} to order them by.", where=Place.of(field="order_by"),
                         remedy="Put data.assess before this step (with difficulty: {rows: 1000} for ifd), or order by length.")
    values[np.isnan(values)] = np.nanmedian(values)
    ordered = np.argsort(values if order == "easy_first" else -values, kind="stable")
    place = np.empty(len(ordered), np.int64)
    place[ordered] = np.arange(1, len(ordered) + 1)
    for start in range(0, len(by_position), AT_ONCE):  # in the order of the table
        some, name = by_position[start : start + AT_ONCE], order_name(making.version)
        with making.db.write() as conn:
            conn.executemany(_KEEP, ((name, float(place[number]), making.parent, int(choice.chosen[number])) for number in some))
        ctx.progress(0.9, f"{start + len(some):,} of {len(by_position):,} rows put in their order")
    return "+" + hashlib.sha256(choice.chosen[ordered].tobytes()).hexdigest()[:16]
