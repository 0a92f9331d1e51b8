"""Patterns that begin with one of some words, looked for only where a word begins like one of them.

Python's own search tries every alternative at every place of a text: with a hundred words that is most of the time that looking
for private data takes.  What is found is the same (test_detection.py holds both against each other).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from re import _constants as codes  # type: ignore[attr-defined]  # Python's own, not public: see Quick
from re import _parser as parser  # type: ignore[attr-defined]  # the same
from typing import Any

LETTERS = 3
"""Letters by which a beginning is told."""
MOST_SIGNS = 16
"""Of a set of signs in a pattern; what a larger one allows is not spelled out."""
_START = re.compile(rf"(?<![^\W\d_])[^\W\d_]{{1,{LETTERS}}}")
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
    small = letters.casefold()
    return small if small.isascii() else small.replace("\u0307", "").replace("\u0131", "i")


class Quick:
    """A compiled pattern that can only match where a word begins (a run of letters), and begins with letters.

    How it can begin is read from what Python's own parser makes of it, which is not public: another Python has to pass
    test_detection.py first.  Raises ValueError for a pattern that can begin with something else.
    """

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        self._starts = tuple(_starts(pattern))
        self._known: dict[str, bool] = {}
        if "" in self._starts:
            raise ValueError(f"{pattern.pattern[:60]!r} can begin with something else than letters")

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
        fits = self._known[start] = start.startswith(self._starts)
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


def _starts(pattern: re.Pattern[str]) -> set[str]:
    """The beginnings, at most LETTERS letters in small, one of which every match has."""
    open_, ended = _walk(parser.parse(pattern.pattern, pattern.flags), {""})
    found = open_ | ended
    return {one for one in found if not any(one != other and one.startswith(other) for other in found)}


def _walk(items: Any, open_: set[str]) -> tuple[set[str], set[str]]:
    """(beginnings that go on behind these items, those that are known as far as they can be)."""
    ended: set[str] = set()
    for code, given in items:
        if code in (codes.AT, codes.ASSERT, codes.ASSERT_NOT):
            continue
        going, over = _step(code, given, open_)
        ended |= over
        open_ = {one for one in going if len(one) < LETTERS}
        ended |= {one[:LETTERS] for one in going if len(one) >= LETTERS}
        if not open_:
            break
    return open_, ended


def _step(code: Any, given: Any, open_: set[str]) -> tuple[set[str], set[str]]:
    if code is codes.BRANCH:
        walked = [_walk(branch, open_) for branch in given[1]]
        return set().union(*(going for going, _ in walked)), set().union(*(over for _, over in walked))
    if code is codes.SUBPATTERN:
        return _walk(given[3], open_)
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        least, most, inner = given
        going, over = _walk(inner, open_)
        skipped = open_ if least == 0 else set()
        return (going | skipped, over) if most == 1 else (skipped, over | going)
    signs = _signs(code, given)
    if signs is None:
        return set(), open_
    letters = {_small(sign) for sign in signs if sign.isalpha()}
    stops = open_ if any(not sign.isalpha() for sign in signs) else set()
    return {one + letter for one in open_ for letter in letters}, stops


def _signs(code: Any, given: Any) -> set[str] | None:
    """The signs that one item allows; None where they are too many."""
    if code is codes.LITERAL:
        return {chr(given)}
    if code is not codes.IN or len(given) > MOST_SIGNS:
        return None
    found: set[str] = set()
    for kind, value in given:
        if kind is codes.LITERAL:
            found.add(chr(value))
        elif kind is codes.RANGE and value[1] - value[0] < MOST_SIGNS:
            found |= {chr(sign) for sign in range(value[0], value[1] + 1)}
        else:
            return None
    return found
