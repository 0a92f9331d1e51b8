"""Whether an answer still holds for a changed question: quotes, numbers, codes and names of the answer must still stand in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_HARD = re.compile(r"(?<!\w)\w*\d[\w./:+-]*\w|\d|\b[A-Z][\w.+-]*[A-Z0-9][\w.+-]*\b|(?<=[\w,] )[A-ZÄÖÜÅ][a-zäöüåß]+\b")
"""A number, a code ("GPL-2.0", "E11.9", "VAT"), or a word with a capital that does not begin a sentence."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
MOST_DEPTH = 20
MOST_CHARACTERS = 20_000
"""Longer questions and answers are not reworded: each word of the answer is looked for in the question."""


def parse(answer: str) -> Any:
    """The JSON value of an answer that is an object or a list; None for any other text."""
    text = answer.strip()
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def same_form(answer: str, model: str) -> bool:
    """Whether an answer has the form of another one: JSON with the same keys and kinds of values, or plain text."""
    wanted, found = parse(model), parse(answer)
    if wanted is None:
        return found is None
    return found is not None and _kind(found) == _kind(wanted)


def _kind(value: Any, depth: int = 0) -> Any:
    if isinstance(value, dict) and depth < MOST_DEPTH:
        return {str(key): _kind(part, depth + 1) for key, part in sorted(value.items())}
    if isinstance(value, bool) or value is None:
        return "truth"
    return "number" if isinstance(value, int | float) else type(value).__name__


def leaves(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """(path, text) of every text and number in a JSON value."""
    if depth > MOST_DEPTH:
        return
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part, path, depth + 1)
    elif isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield path, str(value)


def kept_words(question: str, answer: str) -> list[str]:
    """What of an answer stands in its question and must stay there: quotes as a whole, numbers, codes and names; longest first."""
    value = parse(answer)
    texts = [text for _, text in leaves(value)] if value is not None else [answer.strip()]
    found = {text for text in texts if text and (text in question if " " in text else _stands(text, question))}
    for text in texts:
        found.update(hard for match in _HARD.finditer(text) if _stands(hard := match.group(), question))
    return sorted(found, key=lambda text: (-len(text), text))


def _stands(word: str, text: str) -> bool:
    """Whether a word stands in a text, and not only as a part of another one."""
    return any(not (_in_word(text[start - 1 : start]) or _in_word(text[end : end + 1])) for start, end in places(word, text))


def _in_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


def places(words: str, text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of every place where these words stand in a text."""
    start = text.find(words)
    while words and start >= 0:
        yield start, start + len(words)
        start = text.find(words, start + 1)


def lost(question: str, answer: str, changed: str) -> str | None:
    """The first word or quote that the answer needs and the changed question no longer has; None if all are there."""
    return next((words for words in kept_words(question, answer) if not _still(words, question, changed)), None)


def _still(words: str, text: str, changed: str) -> bool:
    """Whether words of a text stand in the changed one too, by themselves where they did: the 12 of "clause 12" is not in "clause 112"."""
    return _stands(words, changed) if _stands(words, text) else words in changed


def lost_number(text: str, changed: str) -> str | None:
    """A number of a text that a rewording dropped, or one that it made up; None if both have the same."""
    before, after = set(_NUMBER.findall(text)), set(_NUMBER.findall(changed))
    return min(before ^ after, default=None)


def quote_fields(question: str, answer: str, shortest: int = 8) -> set[str]:
    """Paths of a JSON answer's fields that quote the question: texts of some length that stand in it."""
    return {path for path, text in leaves(parse(answer)) if len(text) >= shortest and text in question}


def unquoted(question: str, answer: str, fields: set[str]) -> str | None:
    """The first of these fields whose text does not stand in the question; None if all do."""
    return next((path for path, text in leaves(parse(answer)) if path in fields and text not in question), None)
