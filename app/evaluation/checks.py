"""Mechanical checks of an answer against the expected one.  Each field scores 0..1; an unreadable answer scores 0."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from app.config.node import Params

LONGEST_ANSWER = 20_000
"""Characters of an answer that are read; more is a runaway, not an answer."""
LONGEST_EXPRESSION = 400
_WORD = re.compile(r"\w+")


class FieldCheck(Params):
    """How one field of a JSON answer is checked."""

    check: Literal["equals", "spdx", "verbatim"] = Field(
        "equals",
        description="equals: the same text; spdx: the same licence expression after normalisation; verbatim: the "
        "words stand letter for letter in the question, scored by their overlap (word F1) with the expected words",
    )


class Task(Params):
    """What an answer looks like and how it is scored."""

    format: Literal["text", "json"] = Field("text", description="text: exact match and word F1; json: field by field")
    fields: Mapping[str, FieldCheck] = Field(default_factory=dict, description="Fields of a JSON answer and their checks")
    behaviour_field: str = Field(
        "",
        description="Field of a JSON answer that refuses, for example refusal. A row whose expected answer has it asks for "
        "something the model should not answer; such rows are counted apart from the task's",
    )

    @model_validator(mode="after")
    def _refusals_stand_apart(self) -> Task:
        if self.behaviour_field and self.behaviour_field in self.fields:
            raise ValueError(f"behaviour_field is {self.behaviour_field}, which is also a field of the task")
        return self


def word_f1(answer: str, expected: str) -> float:
    """Harmonic mean of word precision and recall, case folded.  Source: Rajpurkar et al. 2016 (SQuAD)."""
    got, wanted = Counter(_WORD.findall(answer.casefold())), Counter(_WORD.findall(expected.casefold()))
    common = sum((got & wanted).values())
    if not common:
        return 0.0
    precision, recall = common / sum(got.values()), common / sum(wanted.values())
    return 2 * precision * recall / (precision + recall)


def parse_object(answer: str) -> dict[str, Any] | None:
    """The answer as one JSON object, or None.  Text around it, NaN and duplicate keys make it unreadable."""
    text = answer.strip()
    if len(text) > LONGEST_ANSWER:
        return None
    try:
        found = json.loads(text, parse_constant=_refuse, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def refusal(task: Task, answer: str) -> str:
    """What an answer refuses with, for example "out of scope"; "" where it is an answer."""
    found = parse_object(answer) if task.behaviour_field else None
    return str((found or {}).get(task.behaviour_field) or "")


def check_field(check: FieldCheck, value: Any, expected: Any, question: str) -> float:
    """The score of one field, 0..1."""
    if not isinstance(value, str):
        return float(value == expected and not isinstance(value, dict | list))
    if check.check == "verbatim":
        return word_f1(value, str(expected)) if is_quote(value, question) else 0.0
    if check.check == "spdx":
        return float(same_expression(value, str(expected)))
    return float(value.strip() == str(expected).strip())


def is_quote(value: Any, question: str) -> bool:
    """Whether the value is text that stands letter for letter in the question."""
    return isinstance(value, str) and bool(value.strip()) and value in question


@functools.cache
def _licensing() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def same_expression(value: str, expected: str) -> bool:
    """Whether two licence expressions mean the same: "MIT OR Apache-2.0" equals "apache-2.0 or MIT"."""
    if value == expected:
        return True
    first, second = _normal(value), _normal(expected)
    return first is not None and first == second


@functools.lru_cache(maxsize=4096)
def _normal(expression: str) -> Any:
    if len(expression) > LONGEST_EXPRESSION:
        return None
    try:
        parsed = _licensing().parse(expression)
        return parsed.simplify() if parsed is not None else None
    except Exception:  # the library raises its own kinds for what is no expression
        return None


def score(task: Task, answer: str, expected: str, question: str) -> dict[str, float]:
    """The scores of one answer by field name.

    A text task has "exact" and "f1".  A JSON task has "valid", each of its fields, and for each quote whether it is one
    at all ("quote_verbatim": it stands letter for letter in the question, right words or not).
    Where a refusal is expected there is only "refused": 1 where the answer is that refusal and nothing else.  An answer
    that refuses a task's question has no field right.
    """
    if refusal(task, expected):
        return {"refused": float(parse_object(answer) == parse_object(expected))}
    if task.format == "text":
        return {"exact": float(answer.strip() == expected.strip()), "f1": word_f1(answer, expected)}
    wanted = parse_object(expected) or {}
    found = parse_object(answer)
    given = None if refusal(task, answer) else found
    fields = {
        name: check_field(check, given.get(name), wanted.get(name), question) if given is not None else 0.0
        for name, check in task.fields.items()
    }
    quotes = {
        f"{name}_verbatim": float(given is not None and is_quote(given.get(name), question))
        for name, check in task.fields.items()
        if check.check == "verbatim"
    }
    return {"valid": float(found is not None), **fields, **quotes}


def headline(task: Task, scores: Mapping[str, float]) -> float:
    """One figure for an item: the mean of a JSON task's fields, a text task's word F1, or whether it refused as it should."""
    if scores.keys() == {"refused"}:
        return scores["refused"]
    if task.format == "text":
        return scores["f1"]
    return sum(scores[name] for name in task.fields) / len(task.fields)
