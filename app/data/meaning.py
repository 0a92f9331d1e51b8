"""Rows that say the same in other words: pairs of sentence vectors (embedding.py) whose cosine reaches a threshold.

Neighbours come from a graph index (usearch, HNSW: Malkov and Yashunin 2016, arXiv 1603.09320), which may miss one in some
hundred; each pair's cosine is then taken from the vectors.  An encoder hardly sees numbers and negations, so two rows that
name different numbers, or of which one denies more than the other, never count as the same.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from app.data.embedding import DIMENSIONS, Vectors, text_vectors
from app.data.lookup import Marked
from app.data.near import Barred, Edges, Near, Tell
from app.data.rowtext import text_of
from app.store.datasets import DatasetDb
from app.store.records import Row

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
NEIGHBOURS = 16
ROUNDS = 8
"""A row of a crowd sees its nearest neighbours only; when those are gone, the rest is looked at again."""
BLOCK = 1024
_NUMBER = re.compile(r"\d+")
_DENIAL = re.compile(r"\b(?:not|no|never|none|without|cannot|nicht|kein\w*|nie|ohne|nunca|sin|inte|ej|aldrig|utan)\b|n['’]t\b", re.I)


def find_same_meaning(
    db: DatasetDb, version: int, positions: Numbers, rank: Numbers, within: Flags, threshold: float, tell: Tell, *, barred: Barred
) -> Near:
    """For each row the row that stays in its place, and its cosine to that one: as near.find_near does by letters.

    positions: of all rows, in order.  within: rows that count.  Memory: about 1.4 kB a row that counts.
    """
    search = _Search(rank, threshold, barred)
    total = int(within.sum())

    def alive() -> None:
        tell(0.9 * search.count / max(total, 1), f"{search.count:,} of {total:,} rows read for their meaning")

    def vectors_of(numbers: Numbers) -> Iterator[tuple[Numbers, list[Row], Vectors]]:
        wanted, done = Marked(positions[numbers]), 0
        source = text_vectors(db, text_of, alive)
        for block, vectors in source.blocks(row for row in db.iter_rows(version) if row.position in wanted):
            yield numbers[done : done + len(block)], block, vectors
            done += len(block)

    for numbers, rows, vectors in vectors_of(np.flatnonzero(within)):
        search.add(numbers, rows, vectors)
        alive()
    search.run(tell)
    if len(chained := search.chained()):
        needed = np.unique(np.concatenate([chained, search.found.keeper[chained]]))
        parts = [vectors for _, _, vectors in vectors_of(needed)]
        search.unchain(chained, needed, np.concatenate(parts))
    return search.found


class _Search:
    """The index and what is known of each row."""

    def __init__(self, rank: Numbers, threshold: float, barred: Barred) -> None:
        from usearch.index import Index

        self._rank, self._threshold, self._barred = rank, threshold, barred
        self._index = Index(ndim=DIMENSIONS, metric="cos", dtype="f16")
        self._facts = np.zeros(len(rank), np.int64)
        self._alive = np.zeros(len(rank), bool)
        self.count = 0
        self.found = Near(np.arange(len(rank)), np.zeros(len(rank)))

    def add(self, numbers: Numbers, rows: list[Row], vectors: Vectors) -> None:
        """Rows with their vectors; a row without any word is like none."""
        full = np.flatnonzero(vectors.any(axis=1))
        self._facts[numbers] = [_facts(text_of(row)) for row in rows]
        self._index.add(numbers[full], vectors[full])
        self._alive[numbers[full]] = True
        self.count += len(rows)

    def run(self, tell: Tell) -> None:
        """Keep each row that says the same as no better one that is kept, of its nearest neighbours."""
        for number in range(ROUNDS):
            gone = self.found.settle(self._rank, list(self._edges(tell, number)))
            if not gone:
                break
            self._alive[gone] = False
            self._index.remove(np.array(sorted(gone)))

    def chained(self) -> Numbers:
        """Rows that went for one which went itself in a later round; now they name the one that stays."""
        keeper = self.found.keeper
        chained = np.flatnonzero(keeper[keeper] != keeper)
        while (keeper[keeper] != keeper).any():
            keeper[:] = keeper[keeper]
        return chained

    def unchain(self, chained: Numbers, numbers: Numbers, vectors: Vectors) -> None:
        """Such rows stay after all, unless they are as alike as asked to the one that stays.  vectors: of these numbers."""
        keeper = self.found.keeper[chained]
        cosine = (vectors[np.searchsorted(numbers, chained)] * vectors[np.searchsorted(numbers, keeper)]).sum(axis=1)
        back = (cosine < self._threshold) | (self._facts[chained] != self._facts[keeper]) | self._barred(chained, keeper)
        self.found.alike[chained] = np.where(back, 0, cosine)
        self.found.keeper[chained] = np.where(back, chained, keeper)

    def _edges(self, tell: Tell, number: int) -> Iterator[Edges]:
        """(better, worse, cosine) of neighbours that are alike enough."""
        alive = np.flatnonzero(self._alive)
        for start in range(0, len(alive), BLOCK):
            asked = alive[start : start + BLOCK]
            found = self._index.search(np.asarray(self._index.get(asked), np.float32), min(NEIGHBOURS, len(alive)))
            keys = np.asarray(found.keys).reshape(len(asked), -1).astype(np.int64)
            cosine = 1 - np.asarray(found.distances, np.float64).reshape(keys.shape)
            one, place = np.nonzero(cosine >= self._threshold)
            first, second, share = asked[one], keys[one, place], cosine[one, place]
            counts = (first != second) & (self._facts[first] == self._facts[second]) & ~self._barred(first, second)
            first, second, share = first[counts], second[counts], share[counts]
            better = self._rank[first] < self._rank[second]
            yield np.where(better, first, second), np.where(better, second, first), share
            tell(0.9 + 0.1 * number / ROUNDS, f"{start + len(asked):,} of {len(alive):,} rows compared in meaning")


def _facts(text: str) -> int:
    """A number that is equal for texts with the same numbers and as many denials."""
    said = sorted(_NUMBER.findall(text)), len(_DENIAL.findall(text))
    return zlib.crc32(repr(said).encode())
