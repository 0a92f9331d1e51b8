"""The shingles of all texts of a dataset, in a scratch file: eight bytes each, so that memory stays small whatever the rows.

The file has no name and goes with the process; what it holds are hashes with a salt that is kept nowhere (shingles.py).
"""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from app.data.shingles import HASH_BITS, MOST_TEXTS, PIECE, Batch, Flags, Hashes, Numbers, Shingler
from app.store.datasets import disk_full

MOST_THREADS = 4
AHEAD = 2
"""Batches that wait for each thread."""
FEWEST_COUNTERS, MOST_COUNTERS = 1 << 20, 1 << 27
COUNTERS_A_TEXT = 128
OFTEN = 255
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Hashed:
    """A batch of texts with the digests of what they ask and answer; asked: whether a text asks anything."""

    shingles: Hashes
    counts: Numbers
    digests: Hashes
    asked: Flags
    questions: Hashes
    answers: Hashes
    answer_words: Numbers


_NO_HASH: Hashes = np.zeros(0, np.uint64)
_NOTHING = _Hashed(_NO_HASH, np.zeros(0, np.int64), _NO_HASH, np.zeros(0, bool), _NO_HASH, _NO_HASH, np.zeros(0, np.int64))


class ShingleFile:
    """Texts go in with :meth:`add`, numbered from 0; after :meth:`seal` their sets can be read.  Use it in ``with``.

    After :meth:`seal`: sizes (shingles of each text), digests (equal where case and blanks alone differ), asked (whether the text
    came with a question), questions and answers (their digests; answers by their words alone), answer_words (how many).

    texts: about how many will come.  folder: where the scratch file may lie.
    """

    def __init__(self, folder: Path, texts: int) -> None:
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder, prefix="near-")  # noqa: SIM115
        self._shingler = Shingler()
        self._threads = max(1, min(MOST_THREADS, os.cpu_count() or 1))
        self._pool = ThreadPoolExecutor(self._threads, "shingles")
        self._counting = threading.Lock()
        counters = min(max(COUNTERS_A_TEXT * texts, FEWEST_COUNTERS), MOST_COUNTERS)
        self._counters = np.zeros(1 << (counters - 1).bit_length(), np.uint8)
        self._waiting: list[tuple[str, str, str]] = []
        self._characters = 0
        self._running: deque[Future[_Hashed]] = deque()
        self._done: list[_Hashed] = []

    def add(self, text: str, question: str = "", answer: str = "") -> None:
        """One more text, and what it asks and answers if that is to be compared too.  Raises StoreError store.disk_full."""
        self._waiting.append((text, question, answer))
        self._characters += len(text)
        if self._characters >= PIECE or len(self._waiting) == MOST_TEXTS:
            self._hand_over()

    def _hand_over(self) -> None:
        self._running.append(self._pool.submit(self._hash, self._waiting))
        self._waiting, self._characters = [], 0
        while len(self._running) > AHEAD * self._threads:
            self._take(self._running.popleft().result())

    def _hash(self, given: list[tuple[str, str, str]]) -> _Hashed:
        texts, questions, answers = zip(*given, strict=True)
        batch = self._shingler.batch(texts)
        self._count(batch)
        asked = np.array([bool(question) for question in questions])
        none = np.zeros(len(texts), np.uint64)
        asking = (self._shingler.digests(questions), *self._shingler.said(answers)) if asked.any() else (none, none, none.astype(np.int64))
        return _Hashed(batch.shingles, batch.counts, batch.digests, asked, *asking)

    def _count(self, batch: Batch) -> None:
        places = self._bucket(batch.shingles)
        places.sort()
        firsts = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]])) if len(places) else np.zeros(0, np.int64)
        counts = np.diff(firsts, append=len(places))
        places = places[firsts]
        with self._counting:
            self._counters[places] = np.minimum(self._counters[places] + counts, OFTEN)

    def _bucket(self, shingles: Hashes) -> npt.NDArray[np.uint32]:
        return shingles.astype(np.uint32) & np.uint32(len(self._counters) - 1)

    def _take(self, batch: _Hashed) -> None:
        try:
            self._file.write(batch.shingles.data)
        except OSError as problem:
            if problem.errno == errno.ENOSPC:
                raise disk_full(self._folder, problem.strerror or "no space left") from problem
            raise
        self._done.append(replace(batch, shingles=_NO_HASH))  # an empty slice would hold on to all that it was cut from

    def seal(self) -> None:
        """All texts are in."""
        if self._waiting:
            self._hand_over()
        while self._running:
            self._take(self._running.popleft().result())
        self._file.flush()
        done = [_NOTHING, *self._done]
        self.sizes: Numbers = np.concatenate([batch.counts for batch in done])
        self.digests: Hashes = np.concatenate([batch.digests for batch in done])
        self.asked: Flags = np.concatenate([batch.asked for batch in done])
        self.questions: Hashes = np.concatenate([batch.questions for batch in done])
        self.answers: Hashes = np.concatenate([batch.answers for batch in done])
        self.answer_words: Numbers = np.concatenate([batch.answer_words for batch in done])
        self._done.clear()
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])
        filled = self._starts[-1] > 0
        self._flat: Hashes = np.asarray(np.memmap(self._file, np.uint64, "r")) if filled else np.zeros(0, np.uint64)

    def span(self, first: int, last: int) -> tuple[Hashes, npt.NDArray[np.uint8]]:
        """(shingles of texts first to last - 1, one after the other; in how many texts each stands, at most OFTEN and never
        too low)."""
        shingles = np.array(self._flat[self._starts[first] : self._starts[last]])
        return shingles, self._counters.take(self._bucket(shingles))

    def spans(self) -> Iterator[tuple[int, int]]:
        """(first, last) that cover all texts, with some PIECE shingles each."""
        first, total = 0, len(self.sizes)
        while first < total:
            last = int(np.searchsorted(self._starts, self._starts[first] + PIECE, "right")) - 1
            last = min(max(last, first + 1), first + MOST_TEXTS, total)
            yield first, last
            first = last

    def shared(self, first: Numbers, second: Numbers) -> Numbers:
        """How many shingles two texts have in common, for some pairs of texts; (pairs,) int64.  At most MOST_TEXTS pairs."""
        texts = np.concatenate([first, second])
        sizes = self.sizes[texts]
        ends = np.cumsum(sizes)
        index = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self._starts[texts] - ends + sizes, sizes)
        pair = np.tile(np.arange(len(first), dtype=np.uint64), 2) << np.uint64(HASH_BITS)
        found = self._flat[index] | np.repeat(pair, sizes)
        found.sort()
        twice: Flags = found[1:] == found[:-1]
        return np.bincount((found[1:][twice] >> np.uint64(HASH_BITS)).astype(np.int64), minlength=len(first))

    def on_all_cores(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """work(task) of each task in their order, a few ahead at a time."""
        running: deque[Future[R]] = deque()
        for task in tasks:
            running.append(self._pool.submit(work, task))
            if len(running) > AHEAD * self._threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._flat = np.zeros(0, np.uint64)
        self._file.close()
