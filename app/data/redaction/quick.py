"""Patterns that begin with one of some words, looked for only where a word begins like one of them.

Python's own search tries every alternative at every place of a text: with a hundred words that is most of the time that looking
for private data takes.  What is found is the same (test_detection.py holds both against each other).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any

LETTERS = 3
"""Letters by which a beginning is told."""
_START = re.compile(rf"(?<![^\W\d_])[^\W\d_]{{1,{LETTERS}}}")
NO_LETTERS = "".join(sign for sign in map(chr, range(32, 0x180)) if not sign.isalpha())
"""Signs that a pattern is tried with, to see that it begins with letters alone."""
MOST_KNOWN = 20_000
"""Beginnings whose answer a pattern remembers."""


@lru_cache(16)
def beginnings(text: str) -> dict[str, list[int]]:
    """Where words begin, by their first letters in small."""
    found: dict[str, list[int]] = {}
    plain = text.isascii()
    for match in _START.finditer(text.lower() if plain else text):
        start = match.group() if plain else _small(match.group())
        if start in found:
            found[start].append(match.start())
        else:
            found[start] = [match.start()]
    return found


def _small(letters: str) -> str:
    """In small letters; also what Python takes for equal to an "i"."""
    small = letters.lower()
    return small if small.isascii() else small.replace("\u0307", "").replace("\u0131", "i")


class Quick:
    """A compiled pattern that can only match where a word begins (a run of letters), and begins with letters.

    Whether it can begin with some letters is asked of the package regex, whose search tells where a text ended too early.
    Searching raises ValueError for a pattern that can begin with a sign that is no letter.
    """

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        self._known: dict[str, bool] = {}

    @cached_property
    def _begun(self) -> Any:
        import regex  # when it is used: compiling all patterns a second time takes a quarter of a second

        begun = regex.compile(self.pattern.pattern, self.pattern.flags & re.VERBOSE | regex.IGNORECASE)
        if begun.match("") or any(begun.match(sign, partial=True) for sign in NO_LETTERS):
            raise ValueError(f"{self.pattern.pattern[:60]!r} can begin with something else than letters")
        return begun

    def places(self, text: str) -> list[int]:
        """Where it may match, in order."""
        known = self._known
        found: list[int] = []
        for start, places in beginnings(text).items():
            if known[start] if start in known else self._learn(start):
                found += places
        found.sort()
        return found

    def _learn(self, start: str) -> bool:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        fits = self._known[start] = self._begun.match(start, partial=True) is not None
        return fits

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        """As the pattern's own."""
        done = 0
        for place in self.places(text):
            if place >= done and (match := self.pattern.match(text, place)):
                done = match.end()
                yield match

    def search(self, text: str) -> re.Match[str] | None:
        """As the pattern's own."""
        return next(self.finditer(text), None)
