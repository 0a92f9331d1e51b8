"""Which of several rows that say the same is the best, and in what it is better.

The order, the first difference decides: held out (test, then calibration) before training, so that a test stays what it is;
the rating a person gave; the quality score, if the dataset was assessed; an answer that ends before one that breaks off; no
damaged letters; the longer answer; the earlier row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from app.data.lookup import looked_up
from app.data.quality import completeness
from app.data.repair import damaged
from app.store.datasets import DatasetDb
from app.store.records import Row

Numbers = npt.NDArray[np.int64]
ORDER = ("test", "calibration", "train", "")
"""Splits, the one whose rows stay first."""
RATING, QUALITY = "rating", "quality"
_WORDS = {
    "split": "held out", RATING: "rated better", QUALITY: "better quality score", "whole": "its answer does not break off",
    "undamaged": "no damaged letters", "length": "longer answer",
}
FIRST = "first in the dataset"
_ROUGH = 20
"""Quality scores count in steps of 1/20: smaller differences say nothing."""


class Ranking:
    """What decides between rows; they come with :meth:`add`, numbered from 0."""

    def __init__(self) -> None:
        self.positions = array("q")
        self.splits = array("b")
        self._own = {name: array("q") for name in ("whole", "undamaged", "length")}

    def add(self, row: Row) -> None:
        """One more row."""
        self.positions.append(row.position)
        self.splits.append(ORDER.index(row.split) if row.split in ORDER else len(ORDER) - 1)
        answer = row.answer
        self._own["whole"].append(int(2 * completeness(answer)))
        self._own["undamaged"].append(not damaged(answer))
        self._own["length"].append(len("".join(answer.split())))  # blanks say nothing

    def order(self, db: DatasetDb, version: int) -> Order:
        """The order of all rows that came.  db, version: where they came from, for ratings and scores."""
        positions = np.array(self.positions, np.int64)
        better = {"split": -np.array(self.splits, np.int64)}
        better[RATING] = _steps(looked_up(db, positions, "SELECT v.position, x.rating FROM version_rows v JOIN ratings x ON "
                                          "x.row = v.row WHERE v.version = ?", version, missing=0))
        better[QUALITY] = _steps(looked_up(db, positions, "SELECT v.position, x.value FROM version_rows v JOIN scores x ON "
                                           f"x.row = v.row AND x.name = '{QUALITY}' WHERE v.version = ?", version, missing=0), _ROUGH)
        return Order(positions, better | {name: np.array(values, np.int64) for name, values in self._own.items()})


def _steps(values: npt.NDArray[np.float64], steps: int = 1) -> Numbers:
    return np.asarray(np.rint(steps * values), np.int64)


class Order:
    """rank: (rows,) a different number for each row, the best row has the lowest."""

    def __init__(self, positions: Numbers, better: dict[str, Numbers]) -> None:
        self.positions, self._better = positions, better
        self.rank = np.empty(len(positions), np.int64)
        self.rank[np.lexsort((positions, *(-values for values in reversed(better.values()))))] = np.arange(len(positions))

    def why(self, best: int, others: list[int]) -> str:
        """In what a row is better than others that are worse: for each of them what decided."""
        decided = dict.fromkeys(word for other in others for word in self._differences(best, other))
        return ", ".join(decided)

    def _differences(self, best: int, other: int) -> Iterator[str]:
        for name, values in self._better.items():
            if values[best] > values[other]:
                yield "rated good" if name == RATING and values[best] > 0 else _WORDS[name]
                return
        yield FIRST
