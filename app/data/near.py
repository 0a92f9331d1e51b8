"""Near duplicates: MinHash candidates from rensa, verified with the true Jaccard of word 3-shingles."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

PERMUTATIONS, BANDS = 128, 32
_WORD = re.compile(r"\w+")
Text = Callable[[int], str]


def shingles(text: str) -> frozenset[str]:
    """Word 3-shingles, case folded; a shorter text is one shingle."""
    words = _WORD.findall(text.casefold())
    return frozenset(" ".join(words[start : start + 3]) for start in range(max(len(words) - 2, 1)))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """Size of the intersection over size of the union, 0..1."""
    return len(first & second) / (len(first | second) or 1)


class NearIndex:
    """Remembers texts by key and finds an earlier one that is at least ``threshold`` alike.

    text_of(key) reads a text again: only the signatures stay in memory (about 1.5 kB a row).
    """

    def __init__(self, threshold: float, seed: int, text_of: Text) -> None:
        from rensa import RMinHash, RMinHashLSH

        self._threshold, self._seed = threshold, seed
        self._make = RMinHash
        self._index = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=BANDS)
        self._shingles = lru_cache(maxsize=20_000)(lambda key: shingles(text_of(key)))

    def find_or_add(self, key: int, text: str) -> tuple[int, float] | None:
        """(key, likeness) of the most alike earlier text, or None, and then this one is remembered."""
        own = shingles(text)
        signature = self._make(num_perm=PERMUTATIONS, seed=self._seed)
        signature.update(list(own))
        best: tuple[int, float] | None = None
        for other in self._index.query(signature):
            alike = jaccard(own, self._shingles(other))
            if alike >= self._threshold and (best is None or alike > best[1]):
                best = (other, alike)
        if best is None:
            self._index.insert(key, signature)
        return best
