"""What the dataset's tables say of rows, as one array for all of them: eight bytes a row and no object."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from app.store.datasets import DatasetDb

Numbers = npt.NDArray[np.int64]
FETCHED = 20_000
_SCORES = ("SELECT v.position, s.value FROM version_rows v JOIN scores s ON s.row = v.row AND s.name = ? "
           "WHERE v.version = ? AND v.state = 'kept'")


def looked_up(db: DatasetDb, positions: Numbers, sql: str, *values: Any, missing: float = np.nan) -> npt.NDArray[np.float64]:
    """(positions,) what a query of (position, value) says of each; ``missing`` where it says nothing.

    positions: in order.  Rows of the query that are at none of them are left out.
    """
    found = np.full(len(positions), missing, np.float64)
    cursor = db.conn.execute(sql, values)
    while block := cursor.fetchmany(FETCHED):
        at, value = np.array(block, np.float64).T
        at = at.astype(np.int64)
        place = np.minimum(np.searchsorted(positions, at), max(len(positions) - 1, 0))
        known = positions[place] == at if len(positions) else np.zeros(len(at), bool)
        found[place[known]] = value[known]
    return found


def scores_at(db: DatasetDb, version: int, name: str, positions: Numbers) -> npt.NDArray[np.float64]:
    """(positions,) one score of the rows at these positions, in order; NaN for a row that does not have it."""
    return looked_up(db, positions, _SCORES, name, version)


class Marked:
    """A set of positions: a byte for each place up to the last of them, and no object for each."""

    def __init__(self, positions: Numbers) -> None:
        self._flags = np.zeros(int(positions.max(initial=-1)) + 1, bool)
        self._flags[positions] = True

    def __contains__(self, position: int) -> bool:
        return position < len(self._flags) and bool(self._flags[position])
