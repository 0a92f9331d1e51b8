"""Whether a candidate is good enough to become a row.  Each refusal has one word, by which it is counted.

The order is the order of cost: form, length, words, language, source, then likeness to other rows.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

from app.data import preserving
from app.data.closeness import HeldOut, Nearest, asked
from app.data.methods import Candidate, Task
from app.data.quality import OPEN, Languages, completeness, encoding_damage, repetition

REASONS = {
    "cut_off": "cut off", "bad_shape": "not in the asked form", "refused": "too long to ask",
    "too_short": "too short", "too_long": "too long", "broken_encoding": "unreadable characters",
    "answer_form": "answer of another form", "refusal": "a refusal in place of an answer", "repetition": "repeats itself",
    "incomplete": "breaks off",
    "copy": "question and answer the same", "language": "another language", "no_question": "no question",
    "points_at_passage": "speaks of “the text”", "answer_not_in_source": "answer not in the sentence it rests on",
    "question_not_from_source": "question about something else", "answer_quote": "answer quotes what the question does not say",
    "lost_words": "question without words that the answer needs", "test_leak": "too close to a held-out row",
    "near_duplicate": "like a row that exists", "not_needed": "not needed any more",
    "asked_back": "answered otherwise when asked again",
    "nothing_to_change": "nothing to change", "changed_number": "another number",
}
_REFUSALS = (
    "as an ai", "as a language model", "i'm sorry", "i am sorry", "i cannot", "i can't", "i am unable", "i'm unable",
    "i do not have access", "i don't have access", "als ki", "es tut mir leid", "ich kann nicht", "lo siento", "no puedo",
    "jag kan inte", "jag kan tyvärr", "som en ai",
)
_PASSAGE = re.compile(
    r"\b(the|this|that|given|above|provided|following) (passage|text|excerpt|sentence|paragraph|quote)\b"
    r"|\b(der|dieser|im|des) (text|textes|abschnitt|satz|passage)\b|\b(el|este) (texto|pasaje)\b|\b(texten|stycket|meningen)\b",
    re.IGNORECASE)
_ASKS = re.compile("[?\uff1f\u061f\u037e]\\s*\\Z")
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
MOST_REPEATED = 0.3
MOST_DAMAGED = 5.0
"""Damaged places in 1,000 characters."""
LEAST_SHARED = 0.6
"""Share of an answer's longer words that must stand in the sentence it rests on."""


LEAST_AGREED = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """Lengths in characters."""

    question: tuple[int, int]
    answer: tuple[int, int]
    near: float


def judge(task: Task, found: Candidate, limits: Limits, near: Nearest, held_out: HeldOut) -> str:
    """The first reason against a candidate, a key of REASONS; "" for a good one."""
    rests = _label if task.passage is None else _source
    if reason := _form(task, found, limits) or _words(task, found) or rests(task, found):
        return reason
    if held_out.too_close(found.question):
        return "test_leak"
    return "near_duplicate" if near.find(found.question, limits.near) else ""


def _form(task: Task, found: Candidate, limits: Limits) -> str:
    for text, (shortest, longest) in ((found.question, limits.question), (found.answer, limits.answer)):
        if len(text) < shortest:
            return "too_short"
        if len(text) > longest:
            return "too_long"
        if encoding_damage(text) > MOST_DAMAGED:
            return "broken_encoding"
    if task.passage is None and not preserving.same_form(found.answer, task.row.answer):
        return "answer_form"
    return ""


def _words(task: Task, found: Candidate) -> str:
    source = task.passage.text if task.passage is not None else asked(task.row)
    if refuses(found.answer) and not refuses(task.row.answer):
        return "refusal"
    if max(repetition(found.question), repetition(found.answer)) > MOST_REPEATED:
        return "repetition"
    if completeness(found.answer) == OPEN and (task.passage is not None or completeness(task.row.answer) != OPEN):
        return "incomplete"
    if _folded(found.question) == _folded(found.answer):
        return "copy"
    expected, told = languages().tell(source), languages().tell(found.question)
    if expected and told and expected != told:
        return "language"
    return ""


def _source(task: Task, found: Candidate) -> str:
    """The question must be one, about this, and do without the passage; what the answer says must stand in the quoted sentence."""
    if not _ASKS.search(found.question):
        return "no_question"
    if _PASSAGE.search(found.question) or _PASSAGE.search(found.answer):
        return "points_at_passage"
    said, known = _long_words(found.answer), _long_words(task.quoted)
    made_up = set(_NUMBER.findall(found.answer)) - set(_NUMBER.findall(task.quoted))
    if made_up or len(said & known) < LEAST_SHARED * len(said):
        return "answer_not_in_source"
    return "" if _long_words(found.question) & known else "question_not_from_source"


def _long_words(text: str) -> set[str]:
    return {word for word in _WORD.findall(text.casefold()) if len(word) > 3}


def _label(task: Task, found: Candidate) -> str:
    """Fields that quote the question must do so in the new row; a question to a kept answer must hold what that needs."""
    before, answer = asked(task.row), task.row.answer
    if task.method == "invert":
        return "lost_words" if preserving.lost(before, answer, found.question) is not None else ""
    quoting = preserving.quote_fields(before, answer)
    return "answer_quote" if preserving.unquoted(found.question, found.answer, quoting) is not None else ""


def agree(first: str, second: str) -> bool:
    """Whether two answers to one question say the same: F1 of their words at least LEAST_AGREED (Rajpurkar et al. 2016)."""
    one, other = Counter(_WORD.findall(first.casefold())), Counter(_WORD.findall(second.casefold()))
    return 2 * (one & other).total() >= LEAST_AGREED * (one.total() + other.total())


def refuses(text: str) -> bool:
    """Whether a text begins as a model's refusal does."""
    start = text[:80].casefold().replace("’", "'")
    return any(words in start for words in _REFUSALS)


@cache
def languages() -> Languages:
    """Loaded once; a text of a few letters has no language."""
    return Languages()


def _folded(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))
