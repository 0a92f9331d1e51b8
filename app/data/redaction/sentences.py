"""Texts cut into sentences, so that names are looked for only where there can be one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.data.redaction.words import CAPITAL

LONGEST = 600
"""Characters of a sentence; a longer one is cut at a blank."""
_END = re.compile(  # the sign comes first, so that nothing else is looked at in most places
    rf"[.!?](?<!\b[{CAPITAL}][.!?])(?<!\b(?:Dr|Mr|Ms|St|Sr|No|Nr|bz|ca|Fr|Hr)[.!?])(?<!\b(?:Mrs|Sra|Dra|Art|Abs|Inc|Ltd|Str|Tel|geb|med|"
    r"jur)[.!?])(?<!\bProf[.!?])"
    rf"['\")\]]?\s+(?=[\"'(\[¿¡]?[{CAPITAL}\d])|\s*\n\s*"
)


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """(start, sentence) for each sentence or line of a text."""
    start = 0
    for end in _END.finditer(text):
        yield from _short(text, start, end.end())
        start = end.end()
    yield from _short(text, start, len(text))


def _short(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    while end - start > LONGEST:
        blank = text.rfind(" ", start + LONGEST // 2, start + LONGEST)
        stop = blank + 1 if blank > 0 else start + LONGEST
        yield start, text[start:stop]
        start = stop
    if start < end:
        yield start, text[start:end]
