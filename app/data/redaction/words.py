"""Lists of words that lie beside the code, one file a list, with comments."""

from __future__ import annotations

import functools
from pathlib import Path


@functools.cache
def lines(file: str) -> tuple[str, ...]:
    """The words of a file in this folder, in order; a line that begins with "#" says what they are."""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    return tuple(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


@functools.cache
def listed(file: str) -> frozenset[str]:
    """The same as a set."""
    return frozenset(lines(file))
