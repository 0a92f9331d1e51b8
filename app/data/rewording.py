"""Change how a text is written and not what it says: synonyms, case, slips of the keyboard, blanks, forms of numbers and dates.

Every rule yields edits; those that touch a kept span are left out before any is made.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from app.store.profile import project_dir

Span = tuple[int, int]
Edit = tuple[int, int, str]
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_TOKEN = re.compile(r"(?<!\S)\S*(?:\d|@|://|[/\\_{}<>=])\S*")
"""What is more code than word: numbers, addresses, paths, markup."""
_GROUPED = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w,])(?!\.\d)")
_ISO_DATE = re.compile(r"(?<![\w-])(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(?![\w-])")
_LONG_DATE = re.compile(r"(?<!\w)([12]?\d|3[01]) (January|February|March|April|May|June|July|August|September|October|November|December) "
                        r"(\d{4})(?!\w)")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
_NEIGHBOURS = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuiopqsdfghjklaxcvbnmz", strict=True))
SHORTEST_WORD = 4
"""Shorter words get no slip: too much of them would change."""


def reword(text: str, rule: str, chance: random.Random, kept: Sequence[Span], strength: float) -> str:
    """The text after one rule; unchanged where the rule finds nothing.

    rule: a key of RULES.  kept: spans that stay letter by letter.  strength: share 0..1 of the places that the rule may change,
    at least one.
    """
    closed = [*kept, *(match.span() for match in _TOKEN.finditer(text))] if rule not in ("numbers", "spacing") else list(kept)
    possible = [edit for edit in RULES[rule](text, chance) if not any(edit[0] < end and start < edit[1] for start, end in closed)]
    if not possible:
        return text
    count = len(possible) if rule in ("casing", "numbers") else max(1, round(strength * len(possible)))
    for start, end, words in sorted(chance.sample(possible, count), reverse=True):
        text = text[:start] + words + text[end:]
    return text


def _synonyms(text: str, chance: random.Random) -> Iterator[Edit]:
    groups = synonyms()
    for match in _WORD.finditer(text):
        word = match.group()
        if (others := groups.get(word.lower())) and (word.islower() or word.istitle()):
            other = chance.choice(others)
            yield *match.span(), other.capitalize() if word.istitle() else other


def _casing(text: str, chance: random.Random) -> Iterator[Edit]:
    change = chance.choice((str.lower, str.upper, str.capitalize))
    for match in _WORD.finditer(text):
        if (word := change(match.group())) != match.group():
            yield *match.span(), word


def _typos(text: str, chance: random.Random) -> Iterator[Edit]:
    for match in _WORD.finditer(text):
        word = match.group()
        if len(word) >= SHORTEST_WORD and (slip := chance.choice(_SLIPS)(word, chance)) != word:
            yield *match.span(), slip


def _swapped(word: str, chance: random.Random) -> str:
    place = chance.randrange(1, len(word) - 1)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _dropped(word: str, chance: random.Random) -> str:
    place = chance.randrange(1, len(word))
    return word[:place] + word[place + 1 :]


def _doubled(word: str, chance: random.Random) -> str:
    place = chance.randrange(1, len(word))
    return word[:place] + word[place - 1] + word[place:]


def _missed(word: str, chance: random.Random) -> str:
    place = chance.randrange(1, len(word))
    return word[:place] + _NEIGHBOURS.get(word[place], word[place]) + word[place + 1 :]


_SLIPS: tuple[Callable[[str, random.Random], str], ...] = (_swapped, _dropped, _doubled, _missed)


def _spacing(text: str, chance: random.Random) -> Iterator[Edit]:
    for match in re.finditer(r"(?<=\S) (?=\S)", text):
        yield *match.span(), chance.choice(("  ", "\n", " \t", "   "))


def _numbers(text: str, _chance: random.Random) -> Iterator[Edit]:
    """10,000 to 10000 (not back: 90210 may be a code); 2024-03-05 to 5 March 2024 and back.

    Forms that mean different things in different countries are left alone.
    """
    for match in _GROUPED.finditer(text):
        yield *match.span(), match.group().replace(",", "")
    for match in _ISO_DATE.finditer(text):
        yield *match.span(), f"{int(match[3])} {_MONTHS[int(match[2]) - 1]} {match[1]}"
    for match in _LONG_DATE.finditer(text):
        yield *match.span(), f"{match[3]}-{_MONTHS.index(match[2]) + 1:02d}-{int(match[1]):02d}"


@cache
def synonyms() -> dict[str, tuple[str, ...]]:
    """The other words of each word's group, from resources/lexicons/synonyms-en.txt."""
    lines = (project_dir() / "resources" / "lexicons" / "synonyms-en.txt").read_text(encoding="utf-8").splitlines()
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        if line.strip() and not line.startswith("#"):
            group = [word.strip() for word in line.split(",")]
            for word in group:
                found.setdefault(word, tuple(other for other in group if other != word))
    return found


RULES: dict[str, Callable[[str, random.Random], Iterator[Edit]]] = {
    "synonym": _synonyms, "casing": _casing, "typos": _typos, "spacing": _spacing, "numbers": _numbers,
}
ENGLISH_ONLY = ("synonym", "numbers")
