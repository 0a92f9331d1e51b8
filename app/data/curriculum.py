"""The order in which rows are learned, kept as a score of the version, so that no row changes for it."""

from __future__ import annotations

import hashlib

import numpy as np

from app.data.select import Choice
from app.errors import Place, UsageError
from app.store.datasets import DatasetDb, order_name


def note_order(db: DatasetDb, scored: int, version: int, choice: Choice, order: str, by: str) -> str:
    """Keep the place of each chosen row, from 1; rows of equal score in the order of choice, rows without one in the middle.

    scored: the version whose scores count.  Returns what an artifact's content hash must add, "" without an order.  Raises
    UsageError if no row has the score.
    """
    if order == "as_is":
        return ""
    scores = db.scores_of(scored, by)
    if not scores:
        raise UsageError("select.no_score", f"The rows have no score {by!r} to order them by.", where=Place.of(field="order_by"),
                         remedy="Put data.assess before this step (with difficulty: {rows: 1000} for ifd), or order by length.")
    middle = float(np.median(list(scores.values())))
    values = np.array([scores.get(int(position), middle) for position in choice.chosen])
    places = np.argsort(values if order == "easy_first" else -values, kind="stable")
    ordered = choice.chosen[places]
    with db.write() as conn:
        conn.executemany(
            "INSERT OR REPLACE INTO scores (row, name, value) SELECT row, ?, ? FROM version_rows WHERE version = ? AND position = ?",
            ((order_name(version), float(place), scored, int(position)) for place, position in enumerate(ordered, start=1)))
    return "+" + hashlib.sha256(ordered.tobytes()).hexdigest()[:16]
