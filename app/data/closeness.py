"""Which row a new text nearly repeats: of those that exist, of those just made, and of those held back for testing.

A text is the set of its hashed word 3-shingles.  Shingles that most rows share (an instruction before every question) say
nothing about a row and are left out.  Rows are found by the eight smallest hashes of each set: two texts with a Jaccard
similarity of .7 share none of them with a chance of .3^8, below one in ten thousand; of .5, one in 250.  What is found is compared
exactly.  Source: bottom-k sketches, Cohen and Kaplan 2007.  96 bytes a row.
"""

from __future__ import annotations

import heapq
import re
from array import array
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xxhash

from app.data.rowtext import in_blocks
from app.store.records import Row

if TYPE_CHECKING:
    from app.data.embedding import Encoder, Vectors

SMALLEST = 8
MOST_COMPARED = 32
"""Rows compared exactly for one text: those that share the most."""
REMEMBERED = 20_000
"""Made texts kept in memory: more than are ever unwritten."""
MOST_SHARING = 1000
"""Rows looked at for one hash; one that more rows share says little."""
SAMPLE_ROWS = 400
BLOCK = 64
USUAL_SHARE = 0.5
"""From this share of the rows on, a shingle is part of the form and not of the content."""
MOST_HELD_OUT = 50_000
"""Held-out rows whose meaning is compared; 77 MB."""
_WORD = re.compile(r"\w+")


def asked(row: Row) -> str:
    """What makes a row: its question, or its text where it has none."""
    return row.prompt[-1]["content"] if row.prompt else row.text


@dataclass(frozen=True, slots=True)
class Form:
    """The shingles that most rows share."""

    usual: frozenset[int] = frozenset()

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Form:
        """Learned from the first rows; a handful of rows have no form."""
        sets = [shingle_set(asked(row)) for row in islice(rows, SAMPLE_ROWS)]
        counts = Counter(one for each in sets for one in each)
        return cls(frozenset(one for one, count in counts.items() if len(sets) >= 8 and count >= USUAL_SHARE * len(sets)))

    def own(self, text: str) -> frozenset[int]:
        """The shingles of a text without those; all of them where nothing else is left."""
        every = shingle_set(text)
        return (every - self.usual) or every

    def own_words(self, text: str) -> str:
        """The text without words that stand in such shingles alone."""
        kept = [text[start:end] for start, end, usual in self._words(text) if not usual]
        return " ".join(kept) if kept else text

    def fixed_spans(self, text: str) -> list[tuple[int, int]]:
        """(start, end) of the words of the form in a text."""
        return [(start, end) for start, end, usual in self._words(text) if usual]

    def _words(self, text: str) -> list[tuple[int, int, bool]]:
        """(start, end, whether it belongs to the form) of each word."""
        spans = [match.span() for match in _WORD.finditer(text)]
        usual = [False] * len(spans)
        words = [text[start:end].casefold() for start, end in spans]
        for place in range(len(words) - 2):
            if _hash(words[place : place + 3]) in self.usual:
                usual[place : place + 3] = [True] * 3
        return [(start, end, fixed) for (start, end), fixed in zip(spans, usual, strict=True)]


def shingle_set(text: str) -> frozenset[int]:
    """Hashed word 3-shingles, case folded; a shorter text is one."""
    words = _WORD.findall(text.casefold())
    return frozenset(_hash(words[start : start + 3]) for start in range(max(len(words) - 2, 1)))


def _hash(words: list[str]) -> int:
    return int(xxhash.xxh3_64_intdigest(" ".join(words).encode("utf-8", "replace")))


def jaccard(first: frozenset[int], second: frozenset[int]) -> float:
    """Size of the intersection over size of the union, 0..1."""
    return len(first & second) / (len(first | second) or 1)


class Nearest:
    """Finds the row that a text is most like.  text_of: the text of the row at a position.

    What is made on the way is kept apart, and joins the others when there is much of it; the newest texts stay in memory, because
    they may not be written yet.
    """

    def __init__(self, rows: Iterable[Row], form: Form, text_of: Callable[[int], str]) -> None:
        self._form, self._text_of = form, text_of
        hashes, places = array("Q"), array("q")
        for row in rows:
            smallest = _smallest(form.own(asked(row)))
            hashes.extend(smallest)
            places.extend([row.position] * len(smallest))
        self._hashes, self._places = _in_order(hashes, places)
        self._added: dict[int, list[int]] = defaultdict(list)
        self._texts: OrderedDict[int, str] = OrderedDict()

    def find(self, text: str, least: float) -> tuple[int, float] | None:
        """(position, Jaccard similarity) of the row most like a text, if it is at least ``least``."""
        own = self._form.own(text)
        best: tuple[int, float] | None = None
        for position in self._candidates(own):
            other = self._texts[position] if position in self._texts else self._text_of(position)
            alike = jaccard(own, self._form.own(other))
            if alike >= least and (best is None or alike > best[1]):
                best = position, alike
        return best

    def add(self, position: int, text: str) -> None:
        """Remember a text that was just made."""
        self._texts[position] = text
        for one in _smallest(self._form.own(text)):
            self._added[one].append(position)
        if len(self._texts) > 2 * REMEMBERED:
            self._settle()

    def _settle(self) -> None:
        """Put what was added among the others, and forget the older texts."""
        hashes, places = _in_order(*zip(*((one, place) for one, listed in self._added.items() for place in listed), strict=True))
        where = np.searchsorted(self._hashes, hashes, "right")
        self._hashes, self._places = np.insert(self._hashes, where, hashes), np.insert(self._places, where, places)
        self._added.clear()
        while len(self._texts) > REMEMBERED:
            self._texts.popitem(last=False)

    def _candidates(self, own: frozenset[int]) -> list[int]:
        shared: Counter[int] = Counter()
        for one in _smallest(own):
            first, last = (int(np.searchsorted(self._hashes, np.uint64(one), side)) for side in ("left", "right"))
            shared.update(self._places[first : min(last, first + MOST_SHARING)].tolist())
            shared.update(self._added.get(one, ()))
        return [position for position, _ in shared.most_common(MOST_COMPARED)]


def _in_order(hashes: Sequence[int], places: Sequence[int]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    every = np.asarray(hashes, np.uint64)
    order = np.argsort(every, kind="stable")
    return every[order], np.asarray(places, np.int64)[order]


def _smallest(shingles: frozenset[int]) -> list[int]:
    return heapq.nsmallest(SMALLEST, shingles)


class HeldOut:
    """Rows kept for testing, which nothing that is made may come close to: in words, and in meaning where asked.

    words: Jaccard similarity, meaning: cosine of the packaged encoder's vectors, from which a text counts as too close; 0 for
    meaning: it is not looked at.
    """

    def __init__(
        self, rows: Callable[[], Iterable[Row]], form: Form, text_of: Callable[[int], str], encoder: Callable[[], Encoder],
        *, words: float, meaning: float,
    ) -> None:
        self._form, self._words, self._meaning, self._load = form, words, meaning, encoder
        self._nearest = Nearest(rows(), form, text_of)
        self._encoder: Encoder | None = None
        self._vectors: Vectors | None = None
        self._positions: list[int] = []
        if meaning:
            self._read(islice(rows(), MOST_HELD_OUT))

    def _read(self, rows: Iterable[Row]) -> None:
        parts = []
        for block in in_blocks(rows, BLOCK):
            self._encoder = self._encoder or self._load()
            parts.append(self._encoder.encode([self._form.own_words(asked(row)) for row in block]))
            self._positions += [row.position for row in block]
        if parts:
            self._vectors = np.concatenate(parts)

    def too_close(self, text: str) -> tuple[int, float] | None:
        """(position, similarity) of a held-out row that a text is too close to."""
        found = self._nearest.find(text, self._words)
        if found is not None or self._vectors is None or self._encoder is None:
            return found
        own = self._encoder.encode([self._form.own_words(text)])[0]
        likeness = self._vectors @ own
        place = int(likeness.argmax())
        return (self._positions[place], float(likeness[place])) if likeness[place] >= self._meaning else None
