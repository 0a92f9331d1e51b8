"""Whether a candidate is good enough to become a row.  Each refusal has one word, by which it is counted.

The order is the order of cost: form, length, words, language, source, then likeness to other rows.
"""

from __future__ import annotations

import re
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


@dataclass(frozen=True, slots=True)
class Limits:
    """Lengths in characters."""

    question: tuple[int, int]
    answer: tuple[int, int]
    near: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """reason: a key of REASONS, "" for a good candidate.  detail: what exactly, without words of other rows."""

    reason: str = ""
    detail: str = ""


def judge(task: Task, found: Candidate, limits: Limits, near: Nearest, held_out: HeldOut) -> Verdict:
    """The first reason against a candidate, or a good verdict."""
    if verdict := _form(task, found, limits) or _words(task, found):
        return verdict
    if verdict := _label(task, found) if task.passage is None else _source(task, found):
        return verdict
    if close := held_out.too_close(found.question):
        return Verdict("test_leak", f"row {close[0]}, {100 * close[1]:.0f} % alike")
    if like := near.find(found.question, limits.near):
        return Verdict("near_duplicate", f"row {like[0]}, {100 * like[1]:.0f} % alike")
    return Verdict()


def _form(task: Task, found: Candidate, limits: Limits) -> Verdict | None:
    for text, (shortest, longest) in ((found.question, limits.question), (found.answer, limits.answer)):
        if len(text) < shortest:
            return Verdict("too_short")
        if len(text) > longest:
            return Verdict("too_long")
        if encoding_damage(text) > MOST_DAMAGED:
            return Verdict("broken_encoding")
    if task.passage is None and not preserving.same_form(found.answer, task.row.answer):
        return Verdict("answer_form")
    return None


def _words(task: Task, found: Candidate) -> Verdict | None:
    source = task.passage.text if task.passage is not None else asked(task.row)
    if refuses(found.answer) and not refuses(task.row.answer):
        return Verdict("refusal")
    if max(repetition(found.question), repetition(found.answer)) > MOST_REPEATED:
        return Verdict("repetition")
    if completeness(found.answer) == OPEN and (task.passage is not None or completeness(task.row.answer) != OPEN):
        return Verdict("incomplete")
    if _folded(found.question) == _folded(found.answer):
        return Verdict("copy")
    expected, told = languages().tell(source), languages().tell(found.question)
    if expected and told and expected != told:
        return Verdict("language", f"{told} in place of {expected}")
    return None


def _source(task: Task, found: Candidate) -> Verdict | None:
    """The question must be one, about this, and do without the passage; what the answer says must stand in the quoted sentence."""
    if not _ASKS.search(found.question):
        return Verdict("no_question")
    if _PASSAGE.search(found.question) or _PASSAGE.search(found.answer):
        return Verdict("points_at_passage")
    said, known = _long_words(found.answer), _long_words(task.quoted)
    made_up = set(_NUMBER.findall(found.answer)) - set(_NUMBER.findall(task.quoted))
    if made_up or len(said & known) < LEAST_SHARED * len(said):
        return Verdict("answer_not_in_source", min(made_up, default=""))
    return None if _long_words(found.question) & known else Verdict("question_not_from_source")


def _long_words(text: str) -> set[str]:
    return {word for word in _WORD.findall(text.casefold()) if len(word) > 3}


def _label(task: Task, found: Candidate) -> Verdict | None:
    """Fields that quote the question must do so in the new row; a question to a kept answer must hold what that needs."""
    before, answer = asked(task.row), task.row.answer
    if task.method == "invert":
        words = preserving.lost(before, answer, found.question)
        return Verdict("lost_words", words) if words else None
    field = preserving.unquoted(found.question, found.answer, preserving.quote_fields(before, answer))
    return Verdict("answer_quote", field) if field else None


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
