"""One recogniser: a form, a check of its digits, and the words that usually stand beside it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

from app.data.redaction.quick import Quick

BEFORE, AFTER = 56, 32
"""Characters beside a candidate in which a telling word counts."""
LIKELY = 0.9
"""From this certainty on, a finding needs no telling word beside it."""
_STOPS = re.compile(
    r"\d[\d \-/.]{4,}\d|(?<![Nn]r)(?<![Nn][o0])(?<![NnÚú]m)(?<![Tt]el)(?<![Mm]ob)(?<!\b[A-Za-z])[.!?]\s+(?=[A-ZÄÖÜÅÁÉÍÓÚÑ¿¡])|"
    r"\n\s*\n"
)
_CLAUSE = re.compile(r"[,;:\n\d]|\. ")
_SEPARATORS = str.maketrans("", "", " \t\n\r.-/()")


class Candidate(NamedTuple):
    """Something found in a view: where, how certain (0..1), and how ("checksum", "context", "form")."""

    start: int
    end: int
    entity: str
    score: float
    how: str


class Finder(Protocol):
    """Anything that looks for one kind of thing in a text."""

    @property
    def entity(self) -> str:
        """What it finds."""

    @property
    def gate(self) -> Gate:
        """What a text must hold before it is worth looking."""

    def find(self, text: str) -> Iterable[Candidate]:
        """All candidates, certain or not."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Cheap signs a text must show.  digits: at least so many; sign: one of these characters."""

    digits: int = 0
    sign: str = ""

    def open(self, text: str, digits: int) -> bool:
        """Whether a text with so many digits may hold one."""
        return digits >= self.digits and (not self.sign or any(sign in text for sign in self.sign))


def compact(found: str) -> str:
    """A number without its separators, in capitals."""
    return found.translate(_SEPARATORS).upper()


Kind = Literal["digit", "letter"]
_NUMBERS: dict[Kind, re.Pattern[str]] = {
    "digit": re.compile(r"\d(?<!\w\d)"), "letter": re.compile(r"[A-Za-z](?<!\w[A-Za-z])(?=\w*[ \-]?\d)")
}


@lru_cache(32)
def _places(text: str, kind: Kind) -> list[int]:
    return [match.start() for match in _NUMBERS[kind].finditer(text)]


def at_numbers(pattern: re.Pattern[str], text: str, kinds: tuple[Kind, ...] = ("digit", "letter")) -> Iterator[re.Match[str]]:
    """As the pattern's own finditer, for one that matches only where a number begins ("digit") or a word that holds a digit or is
    followed by a number ("letter"): most of a text need not be looked at."""
    places, done = _places(text, kinds[0]), 0
    for place in sorted([*places, *_places(text, kinds[1])]) if len(kinds) > 1 else places:
        if place >= done and (match := pattern.match(text, place)):
            done = match.end()
            yield match


def words(listed: str) -> Quick:
    """Finds any of these words (with commas between), whatever their case; "~" at the end lets a word go on."""
    return Quick(any_word(listed))


def any_word(listed: str) -> re.Pattern[str]:
    """The pattern of :func:`words`."""
    parts = [
        re.escape(word.rstrip("~")).replace(r"\ ", r"[\s\-]*") + ("" if word.endswith("~") else r"(?![^\W\d_])")
        for word in listed.split(", ")
    ]
    return re.compile(rf"(?<![^\W\d_])(?:{'|'.join(parts)})", re.IGNORECASE)


def before(text: str, start: int) -> str:
    """What stands before a candidate, as far as it belongs to it: not across another number or the end of a sentence."""
    first = cut = max(0, start - BEFORE)
    for stop in _STOPS.finditer(text, first, start + 1):  # one more, so that a sentence's first letter is seen
        cut = stop.end() if stop.end() <= start else cut
    return text[cut:start]


def behind(text: str, end: int) -> str:
    """What stands behind a candidate in the same clause."""
    return _CLAUSE.split(text[end : end + AFTER], maxsplit=1)[0]


def told(context: Quick, text: str, start: int, end: int) -> bool:
    """Whether a telling word stands beside a candidate."""
    places = context.places(text)
    nearest = bisect_left(places, start - BEFORE)
    if nearest == len(places) or places[nearest] >= end + AFTER:
        return False
    return bool(context.pattern.search(before(text, start)) or context.pattern.search(behind(text, end)))


@dataclass(frozen=True, slots=True)
class Recogniser:
    """Finds one form.  ``pattern``: its group "x", if it has one, is the finding.

    check(number without separators): True, False, or None where it cannot tell.  Certainties: ``alone`` for the form (and
    right check digits, where there is a check) by itself, ``near`` with one of the words of ``context`` beside it, ``wrong``
    where the check digits are wrong but the words are there: a mistyped number is private too.
    """

    entity: str
    pattern: re.Pattern[str]
    alone: float
    near: float = 0.97
    wrong: float = 0.0
    check: Callable[[str], bool | None] | None = None
    context: Quick | None = None
    gate: Gate = Gate(digits=6)
    begins: tuple[Kind, ...] = ()
    """Where alone it can begin, as :func:`at_numbers` takes it; empty: anywhere."""

    def find(self, text: str) -> Iterator[Candidate]:
        """Every match that is worth something."""
        if not self.alone and (self.context is None or not self.context.places(text)):
            return
        group = "x" if "x" in self.pattern.groupindex else 0
        for match in at_numbers(self.pattern, text, self.begins) if self.begins else self.pattern.finditer(text):
            start, end = match.span(group)
            score, how = self._judge(text, match.group(group), start, end)
            if score > 0:
                yield Candidate(start, end, self.entity, score, how)

    def _judge(self, text: str, found: str, start: int, end: int) -> tuple[float, str]:
        right = self.check(compact(found)) if self.check is not None else None
        if right is False and not self.wrong:
            return 0.0, ""
        near = self.context is not None and told(self.context, text, start, end)
        if right is False:
            return (self.wrong, "context,wrong_check") if near else (0.0, "")
        said = "checksum" if right else "form"
        return (self.near, f"{said},context") if near else (self.alone, said)
