"""Lists of words that lie beside the code, one file a list, with comments."""

from __future__ import annotations

import functools
from pathlib import Path

CAPITAL = "A-Z" + "".join(sign for first, last in ((0xC0, 0x24F), (0x1E00, 0x1EFF)) for sign in map(chr, range(first, last + 1))
                          if sign.isupper())
"""Capital letters of the Latin script, for a set in a pattern: names come from Łódź, İzmir and Plzeň too."""


@functools.cache
def lines(file: str) -> tuple[str, ...]:
    """The words of a file in this folder, in order; a line that begins with "#" says what they are."""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    return tuple(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


@functools.cache
def listed(file: str) -> frozenset[str]:
    """The same as a set."""
    return frozenset(lines(file))
