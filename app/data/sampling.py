"""Orders in which rows are chosen: whoever wants k rows takes the first k.

Each order is nested (the first k are among the first k + 1) and depends on its input and the seed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from app.data.patience import patiently

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Tell = Callable[[float], None]
CHUNK = 20_000
"""Rows whose vectors are compared with each other; bounds k-center's memory (31 MB) and time."""
FIT_ROWS = 50_000
"""Rows that clusters are learned from at most."""
LIST_NUMBERS = 20_000_000
"""Bounds the best lists of a query set: queries x places, 8 bytes each and a quarter more."""
MERGED, LOOKED_THROUGH = 4096, 64


def shuffled(count: int, seed: int) -> Numbers:
    """All rows in random order."""
    return np.asarray(np.random.default_rng(seed).permutation(count), np.int64)


def stratified(strata: Numbers, seed: int, *, equal: bool) -> Numbers:
    """All rows so that every beginning holds the strata in proportion to their sizes, or equal numbers of each while they last.

    strata: (rows,) the number of each row's stratum.  Within a stratum: random.
    """
    order = shuffled(len(strata), seed)
    by_stratum = order[np.argsort(strata[order], kind="stable")]
    sizes = np.bincount(strata) if len(strata) else np.zeros(0, np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(sizes) else sizes
    of_row = strata[by_stratum]
    rank = np.arange(len(strata)) - starts[of_row]
    key = rank.astype(np.float64) if equal else (rank + 0.5) / sizes[of_row]
    return np.asarray(by_stratum[np.argsort(key, kind="stable")], np.int64)


def mid_range(values: npt.NDArray[np.float64], low: float, high: float, seed: int) -> Numbers:
    """Rows whose score lies between two quantiles (0..1) of the known scores, in random order; rows without a score (NaN) never."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(0, np.int64)
    least, most = np.quantile(known, [low, high])
    order = shuffled(len(values), seed)
    return np.asarray(order[(values[order] >= least) & (values[order] <= most)], np.int64)


def k_center(blocks: Iterable[Vectors], count: int, share: float, seed: int, tell: Tell = lambda _share: None) -> Numbers:
    """About ``share`` of the rows, each far from those before it, the farthest first.

    blocks: vectors of length one, in row order; count: rows in all.  Greedy k-center (Gonzalez 1985; Sener and Savarese 2018) on
    chunks of CHUNK rows, merged by how far each row was from the chosen ones when it was chosen (as Mirzasoleiman et al. 2013
    part the rows).  Far out is not the same as good: clean first.
    """
    chosen: list[Numbers] = []
    far: list[npt.NDArray[np.float32]] = []
    seen = 0
    for chunk in _chunks(blocks):
        wanted = min(len(chunk), int(np.ceil(share * len(chunk))))
        rows, away = _greedy(chunk, wanted, seed, _part(tell, seen / max(count, 1), len(chunk) / max(count, 1)))
        chosen.append(rows + seen)
        far.append(away)
        seen += len(chunk)
    if not chosen:
        return np.zeros(0, np.int64)
    order = np.argsort(-np.concatenate(far), kind="stable")
    return np.concatenate(chosen)[order]


def _part(tell: Tell, start: float, size: float) -> Tell:
    return lambda share: tell(start + share * size)


def _chunks(blocks: Iterable[Vectors]) -> Iterator[Vectors]:
    waiting: list[Vectors] = []
    size = 0
    for block in blocks:
        waiting.append(block)
        size += len(block)
        if size >= CHUNK:
            yield np.concatenate(waiting)
            waiting, size = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _greedy(vectors: Vectors, wanted: int, seed: int, tell: Tell) -> tuple[Numbers, npt.NDArray[np.float32]]:
    rows, away = np.zeros(wanted, np.int64), np.zeros(wanted, np.float32)
    distance = np.full(len(vectors), np.inf, np.float32)
    following = int(np.random.default_rng(seed).integers(len(vectors))) if wanted else 0
    for place in range(wanted):
        rows[place], away[place] = following, distance[following]
        np.minimum(distance, 1 - vectors @ vectors[following], out=distance)
        distance[following] = -1  # never again
        following = int(distance.argmax())
        if place % 64 == 0:
            tell(place / wanted)
    return rows, away


def clusters(
    blocks: Callable[[], Iterable[Vectors]], count: int, number: int, seed: int, waiting: Callable[[], None] = lambda: None
) -> Numbers:
    """The cluster of each row, (rows,): k-means in mini-batches on at most FIT_ROWS rows (Sculley 2010), then the nearest centre.

    blocks: gives the vectors in row order each time it is called.  waiting: called while the clusters are learned; may raise.
    """
    def learn() -> Any:
        from sklearn.cluster import MiniBatchKMeans  # seconds, on a busy machine

        return MiniBatchKMeans(min(number, len(learned)), random_state=seed, n_init=1, batch_size=4096).fit(learned)

    generator = np.random.default_rng(seed)
    share = min(1.0, FIT_ROWS / max(count, 1))
    sample = [block[generator.random(len(block)) < share] if share < 1 else block for block in blocks()]
    learned = np.concatenate(sample)
    model = patiently(learn, waiting)
    return np.concatenate([model.predict(block) for block in blocks()]).astype(np.int64)


def nearest_to_queries(
    blocks: Iterable[Vectors], count: int, queries: Vectors, wanted: int, alive: Callable[[], None] = lambda: None
) -> tuple[Numbers, npt.NDArray[np.float32]]:
    """(order, likeness of each row to its nearest query, (rows,)): queries take turns, each the row most like it that is left.

    As Ivison et al. 2025 (arXiv 2503.01807) choose by round robin.  A query's list is bounded by LIST_NUMBERS; when all are used
    up the rows most like any query follow.  alive: called now and then; may raise.
    """
    best = _Best(len(queries), max(1, min(wanted, count, max(LIST_NUMBERS // len(queries), 4 * wanted // len(queries) + 64))))
    likeness = np.zeros(count, np.float32)
    seen = 0
    for block in blocks:
        alike = (block @ queries.T).astype(np.float32)
        likeness[seen : seen + len(block)] = alike.max(1)
        best.add(seen, alike.T, alive)
        seen += len(block)
    return _round_robin(best.ordered(alive), likeness, wanted, alive), likeness


class _Best:
    """The rows most like each query: ``length`` of them, and room for as many more as are sorted out together."""

    def __init__(self, queries: int, length: int) -> None:
        self._length = length
        width = length + max(length // 4, MERGED)
        self._rows, self._alike = np.zeros((queries, width), np.int32), np.zeros((queries, width), np.float32)
        self._filled = 0

    def add(self, start: int, alike: npt.NDArray[np.float32], alive: Callable[[], None]) -> None:
        """alike: (queries, rows) of the rows from number ``start`` on."""
        for first in range(0, alike.shape[1], MERGED):
            part = alike[:, first : first + MERGED]
            if self._filled + part.shape[1] > self._rows.shape[1]:
                self._sort_out(alive)
            place = slice(self._filled, self._filled + part.shape[1])
            self._rows[:, place] = np.arange(start + first, start + first + part.shape[1])
            self._alike[:, place] = part
            self._filled = place.stop

    def _sort_out(self, alive: Callable[[], None]) -> None:
        """Keep the best, row by row of the table, so that what is made meanwhile is small."""
        kept = min(self._length, self._filled)
        for rows, alike in zip(self._rows, self._alike, strict=True):
            top = np.argpartition(-alike[: self._filled], kept - 1)[:kept]
            top.sort()
            rows[:kept], alike[:kept] = rows[top], alike[top]
            alive()
        self._filled = kept

    def ordered(self, alive: Callable[[], None]) -> npt.NDArray[np.int32]:
        """(queries, rows): those most like each query, the best first; of equals the earlier row."""
        self._sort_out(alive)
        for rows, alike in zip(self._rows, self._alike, strict=True):
            rows[: self._filled] = rows[: self._filled][np.argsort(-alike[: self._filled], kind="stable")]
            alive()
        return self._rows[:, : self._filled]


def _round_robin(lists: npt.NDArray[np.int32], likeness: npt.NDArray[np.float32], wanted: int, alive: Callable[[], None]) -> Numbers:
    taken = np.zeros(len(likeness), bool)
    at, order = [0] * len(lists), list[int]()
    open_lists = list(range(len(lists)))
    while open_lists and len(order) < wanted:
        alive()
        for query in list(open_lists):
            place = at[query] = _first_free(lists[query], at[query], taken)
            if place == lists.shape[1]:
                open_lists.remove(query)
            elif len(order) < wanted:
                row = int(lists[query, place])
                taken[row] = True
                order.append(row)
    rest = np.argsort(-likeness, kind="stable")
    return np.concatenate([np.array(order, np.int64), rest[~taken[rest]]]).astype(np.int64)


def _first_free(rows: npt.NDArray[np.int32], start: int, taken: npt.NDArray[np.bool_]) -> int:
    """The first place from ``start`` on whose row is not taken; the end if there is none."""
    while start < len(rows):
        free = ~taken[rows[start : start + LOOKED_THROUGH]]
        if free.any():
            return start + int(free.argmax())
        start += LOOKED_THROUGH
    return len(rows)
