"""Cut a document into passages that end at a paragraph or a sentence and overlap, each with its place in the document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SENTENCE = re.compile(r".+?(?:(?<![.!?…。！？])[.!?…。！？]++[\"'”’»)\]]*+(?=\s|$)|\n\s*\n|$)", re.DOTALL)
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Passage:
    """Part of a document.  start, end: characters of the document, so that document[start:end] == text."""

    text: str
    start: int
    end: int


def sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence without the blanks around it; an empty line ends one too."""
    found = []
    for match in _SENTENCE.finditer(text):
        start, end = match.span()
        inner = match.group()
        start += len(inner) - len(inner.lstrip())
        end -= len(inner) - len(inner.rstrip())
        if start < end:
            found.append((start, end))
    return found


def passages(text: str, size: int, overlap: int) -> Iterator[Passage]:
    """Passages of whole sentences, at most ``size`` characters (a longer sentence is cut), each beginning up to ``overlap``
    characters before the end of the one before it."""
    spans = [piece for span in sentences(text) for piece in _cut(span, size)]
    first = 0
    while first < len(spans):
        start, last = spans[first][0], first
        while last + 1 < len(spans) and spans[last + 1][1] - start <= size:
            last += 1
        end = spans[last][1]
        yield Passage(text[start:end], start, end)
        if last + 1 == len(spans):
            return
        following, reach = last + 1, spans[last + 1][1]
        while following - 1 > first and end - spans[following - 1][0] <= overlap and reach - spans[following - 1][0] <= size:
            following -= 1
        first = following


def _cut(span: tuple[int, int], size: int) -> Iterator[tuple[int, int]]:
    start, end = span
    while end - start > size:
        yield start, start + size
        start += size
    yield start, end


def one_line(text: str) -> str:
    """The text with every run of blanks as one."""
    return _BLANKS.sub(" ", text).strip()
