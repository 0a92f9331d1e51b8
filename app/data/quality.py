"""What is measured of a row, and how the measures become one figure for a row and one for a dataset.

Each measure has a score, a number in its own unit, and a part: what the score means, 0 (bad) to 1 (good).

    quality of a row    = the smallest of its parts: a row is as good as its weakest side
    score of a dataset  = 100 x the mean quality of its rows
    part of a dataset   = 100 x the mean of that part over the rows that have it

A measure that cannot be taken of a row (no label to compare, text too short to tell its language) gives it no part.
Where a part is relative, the dataset's own rows are the standard: see :func:`parts`.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from app.store.profile import project_dir
from app.store.records import Row

Values = npt.NDArray[np.float32]

_WORD = re.compile(r"\w+")
_C1 = re.compile("[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufffd]")
_OPENING = {")": "(", "]": "[", "}": "{"}
_ENDS = tuple(".!?。！？:;)]}\"'”’»`|*")
_GOES_ON = ("and", "or", "the", "a", "an", "of", "und", "oder", "der", "weil", "dass", "ein", "eine", "y", "o", "el", "la", "de", "que",
            "och", "eller", "att", "ett")
_BROKEN_OFF = (",", "-", "…", "...", *(f" {word}" for word in _GOES_ON))
"""Ends after which something was to come, in English, German, Spanish and Swedish."""
CLOSED, BARE, OPEN = 1.0, 0.5, 0.0
"""How an answer ends: as a whole one, in the middle of nothing that tells, or broken off."""
MOST_CHARACTERS = 20_000
"""Of a longer text the start alone is measured; its length counts whole."""


def question_of(row: Row) -> str:
    """What the answer answers: the last message before it; earlier turns and system words are left out."""
    return row.prompt[-1]["content"] if row.prompt else ""


# -- scores of one text -----------------------------------------------------------------------------------------------
def repetition(text: str) -> float:
    """Share of words 0..1 in word 4-grams that stood before in this text; for long unbroken text, what zlib saves beyond half.

    After Rae et al. 2021 (Gopher), table A1, which counts characters in repeated n-grams.
    """
    words = _WORD.findall(text[:MOST_CHARACTERS].casefold())
    if len(words) < 8:
        raw = text[:MOST_CHARACTERS].encode("utf-8", "replace")
        return max(0.0, 0.5 - len(zlib.compress(raw, 1)) / len(raw)) * 2 if len(raw) > 200 else 0.0
    seen, repeated = set[tuple[str, ...]](), 0
    for start in range(len(words) - 3):
        gram = tuple(words[start : start + 4])
        repeated += gram in seen
        seen.add(gram)
    return repeated / (len(words) - 3)


def encoding_damage(text: str) -> float:
    """Damaged places in 1,000 characters: replacement and control characters, and what looks like text read in a wrong encoding.

    Source: ftfy's badness (Speer 2019), which counts sequences that hardly occur in text.
    """
    from ftfy.badness import badness

    looked = text[:MOST_CHARACTERS]
    if not looked or (looked.isascii() and looked.isprintable()):
        return 0.0
    return 1000 * (len(_C1.findall(looked)) + int(badness(looked))) / len(looked)


def completeness(answer: str) -> float:
    """CLOSED, BARE or OPEN.  Valid JSON is closed; brackets and code fences left open count as broken off, so do a comma, an ellipsis
    and a word like "and" at the end."""
    text = answer.strip()[-MOST_CHARACTERS:]
    if text.startswith(("{", "[")) and _is_json(text):
        return CLOSED
    if not text or text.count("```") % 2 or text.endswith(_BROKEN_OFF) or _unclosed(text):
        return OPEN
    return CLOSED if text.endswith(_ENDS) else BARE


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _unclosed(text: str) -> bool:
    """Whether more brackets are opened than closed; a lone closing one is a list's mark ("a)")."""
    return any(text.count(opening) > text.count(closing) for closing, opening in _OPENING.items())


def words(text: str) -> frozenset[str]:
    """Its different words, case folded."""
    return frozenset(_WORD.findall(text[:MOST_CHARACTERS].casefold()))


def overlap(question: str, answer: str, common: frozenset[str] = frozenset()) -> float:
    """Share 0..1 of the answer's different words that stand in the question; NaN for an answer without words of its own.

    common: words that many answers have (the names of JSON fields, say), which are not counted.
    """
    said = words(answer) - common
    return len(said & words(question)) / len(said) if said else float("nan")


def toxicity(text: str) -> float:
    """Entries of resources/lexicons/toxicity.txt in 100 words.  Its limits stand in that file."""
    words = _WORD.findall(text[:MOST_CHARACTERS].casefold())
    if not words:
        return 0.0
    single, phrases = _lexicon()
    hits = sum(word in single for word in words)
    if phrases:
        line = " ".join(words)
        hits += sum(line.count(phrase) for phrase in phrases)
    return 100 * hits / len(words)


@cache
def _lexicon() -> tuple[frozenset[str], tuple[str, ...]]:
    lines = (project_dir() / "resources" / "lexicons" / "toxicity.txt").read_text(encoding="utf-8").splitlines()
    entries = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return frozenset(entry for entry in entries if " " not in entry), tuple(entry for entry in entries if " " in entry)


class Languages:
    """Tells languages (py3langid); ``expected`` holds those of the dataset, ISO 639-1."""

    LEAST_LETTERS, SURE = 20, 0.5

    def __init__(self) -> None:
        from py3langid import langid

        identifier: Any = langid.LanguageIdentifier
        self._model: Any = identifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
        self.expected: frozenset[str] = frozenset()

    def tell(self, text: str) -> str:
        """The language of a text, or "" where it is too short or strange to tell."""
        return self.look(text)[0]

    def look(self, text: str) -> tuple[str, float]:
        """(language, probability 0..1 that the text is in an expected one); ("", NaN) where it cannot be told."""
        ranked = self._rank(text)
        if not ranked:
            return "", float("nan")
        return str(ranked[0][0]), sum(float(share) for name, share in ranked if name in self.expected)

    def _rank(self, text: str) -> list[tuple[str, float]]:
        looked = text[:600]
        if sum(map(str.isalpha, looked)) < self.LEAST_LETTERS:
            return []
        ranked: list[tuple[str, float]] = self._model.rank(looked)
        return ranked if ranked[0][1] >= self.SURE else []


# -- parts of many rows -----------------------------------------------------------------------------------------------
def parts(scores: Mapping[str, Values]) -> dict[str, Values]:
    """What the scores of a dataset's rows mean: (rows,) float32 in 0..1 for each measure, NaN where a row has no score.

    Fixed:     language from .5 (1) to .1 (0); repetition from .3 (1) to .8 (0); encoding from 0 (1) to 20 in 1,000 (0); toxicity
               from 0 (1) to 5 in 100 words (0); agreement from .3 (1) to .05 (0); ifd from 1 (1) to 1.5 (0): above 1 the question
               does not help to say the answer (Li et al. 2023, arXiv 2308.12032); judge as it is.
    Relative:  length, logarithm: 1 up to 3 spreads from the median, 0 from 5 on (a spread is 1.48 x the median distance from the
               median, as in a normal distribution).
    relevance: from 1 (1) to 0 (0), where answers are made for their questions at all: the median row has at least 1.
    overlap:   from half the median (1) to 0 (0), where answers take up their questions' words at all: the median is at least .5.
    complete:  an answer that ends bare (no full stop) counts as broken off where at least 8 of 10 others end closed.
    """
    return {name: _PARTS[name](values).astype(np.float32) for name, values in scores.items() if name in _PARTS}


def _falling(values: Values, good: float, bad: float) -> Values:
    """1 at ``good``, 0 at ``bad``, straight between them, flat outside."""
    share: Values = np.clip((bad - values) / (bad - good), 0.0, 1.0)
    return share


def _length(values: Values) -> Values:
    known = np.log(np.maximum(values, 1.0))
    middle = np.nanmedian(known)
    spread = max(1.4826 * float(np.nanmedian(np.abs(known - middle))), 0.25)
    return _falling(np.abs(known - middle) / spread, 3.0, 5.0)


def _from_median(values: Values, least: float, good: Callable[[float], float]) -> Values:
    """Falls from ``good(median)`` to 0; no part at all where the median is under ``least``."""
    known = values[np.isfinite(values)]
    middle = float(np.median(known)) if len(known) else 0.0
    return _falling(values, good(middle), 0.0) if middle >= least else np.full_like(values, np.nan)


def _complete(values: Values) -> Values:
    known = values[np.isfinite(values)]
    strict = len(known) > 0 and float(np.mean(known == CLOSED)) >= 0.8
    meant = values.copy()
    meant[values == BARE] = 0.0 if strict else 1.0
    return meant


_PARTS: dict[str, Callable[[Values], Values]] = {
    "length": _length,
    "language": lambda values: _falling(values, 0.5, 0.1),
    "repetition": lambda values: _falling(values, 0.3, 0.8),
    "encoding": lambda values: _falling(values, 0.0, 20.0),
    "complete": _complete,
    "relevance": lambda values: _from_median(values, 1.0, lambda _median: 1.0),
    "overlap": lambda values: _from_median(values, 0.5, lambda median: median / 2),
    "agreement": lambda values: _falling(values, 0.3, 0.05),
    "toxicity": lambda values: _falling(values, 0.0, 5.0),
    "ifd": lambda values: _falling(values, 1.0, 1.5),
    "judge": lambda values: values,
}


def weakest(made: Mapping[str, Values]) -> Values:
    """Quality of each row, (rows,) float32 in 0..1: its smallest part; 1 for a row without any."""
    if not made:
        raise ValueError("no part was measured")
    table = np.stack(list(made.values()))
    lowest: Values = np.where(np.isnan(table), 1.0, table).min(0).astype(np.float32)
    return lowest


def dataset_score(made: Mapping[str, Values], quality: Values) -> tuple[float, dict[str, float]]:
    """(score, score of each part that at least one row has), 0 to 100."""
    each = {name: 100 * float(np.nanmean(values)) for name, values in made.items() if np.isfinite(values).any()}
    return 100 * float(quality.mean()), each


BINS = 24


def histogram(values: Values) -> dict[str, list[float]] | None:
    """{"edges": BINS + 1 values, "counts": BINS}; one bin where all are equal, None where there is none.

    The edges run from the smallest to the largest score; the outer hundredths are drawn into the outer bins, so that one
    very long row does not press all others into one bar.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return None
    low, high = np.quantile(known, [0.005, 0.995])
    if low == high:
        low, high = known.min(), known.max()
    if low == high:
        return {"edges": [float(low), float(high)], "counts": [len(known)]}
    counts, edges = np.histogram(np.clip(known, low, high), BINS, (low, high))
    return {"edges": [float(edge) for edge in edges], "counts": [int(count) for count in counts]}
