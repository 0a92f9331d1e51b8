"""Mechanical checks of an answer against the expected one.  Each field scores 0..1; an unreadable answer scores 0."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field, model_validator

from app.config.node import SHAREABLE, Params

LONGEST_ANSWER = 20_000
"""Characters of an answer that are read; more is a runaway, not an answer."""
LONGEST_EXPRESSION = 400
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")


class FieldCheck(Params):
    """How one field of a JSON answer is checked."""

    check: Literal["equals", "json", "spdx", "verbatim"] = Field(
        "equals",
        description="equals: the same text or number; json: the same value, objects and lists included; spdx: the same "
        "licence expression after normalisation; verbatim: the words stand letter for letter in the question, scored by "
        "their overlap (word F1) with the expected words.  A value that is rightly left out is right",
    )
    path: str = Field(
        "",
        description="Where the value stands in a nested answer, keys joined by dots (timing.repeat.period); empty: the field's name",
        json_schema_extra=SHAREABLE,
    )
    balances: str = Field(
        "",
        description="For an object of numbers checked as json: another such field that must add up to the same, for example credit",
        json_schema_extra=SHAREABLE,
    )


class Task(Params):
    """What an answer looks like and how it is scored."""

    format: Literal["text", "json"] = Field("text", description="text: exact match and word F1; json: field by field")
    fields: Mapping[str, FieldCheck] = Field(
        default_factory=dict, description="Fields of a JSON answer and their checks", json_schema_extra=SHAREABLE
    )
    headline: Literal["mean", "all"] = Field(
        "mean", description="The one figure of a JSON answer.  mean: of its fields' scores; all: 1 if every field is right, else 0"
    )
    behaviour_field: str = Field(
        "",
        description="Field of a JSON answer that refuses, for example refusal. A row whose expected answer has it asks for "
        "something the model should not answer; such rows are counted apart from the task's",
        json_schema_extra=SHAREABLE,
    )

    @model_validator(mode="after")
    def _refusals_stand_apart(self) -> Task:
        if self.behaviour_field and self.behaviour_field in self.fields:
            raise ValueError(f"behaviour_field is {self.behaviour_field}, which is also a field of the task")
        return self

    @model_validator(mode="after")
    def _places_are_apart(self) -> Task:
        places = sorted(f"{check.path or name}." for name, check in self.fields.items())
        for first, second in itertools.pairwise(places):
            if second.startswith(first):
                raise ValueError(f"two fields stand at the same place: {first[:-1]} and {second[:-1]}")
        return self

    @model_validator(mode="after")
    def _objects_balance_objects(self) -> Task:
        for name, check in self.fields.items():
            other = self.fields.get(check.balances)
            if check.balances and not (check.check == "json" and other is not None and other.check == "json"):
                raise ValueError(f"{name} balances {check.balances}: both must be fields of the task that are checked as json")
        return self

    def read(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The value of each field of a JSON answer; None where it has none."""
        return {name: _value_at(answer, check.path or name) for name, check in self.fields.items()}

    def written(self, values: Mapping[str, Any]) -> str:
        """The JSON answer with these values of its fields; None is left out.  The inverse of :meth:`read`."""
        answer: dict[str, Any] = {}
        for name, value in values.items():
            if value is not None:
                *folders, last = (self.fields[name].path or name).split(".")
                inner = answer
                for folder in folders:
                    inner = inner.setdefault(folder, {})
                inner[last] = value
        return json.dumps(answer, ensure_ascii=False)


def _value_at(answer: Any, path: str) -> Any:
    for key in path.split("."):
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer


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
    if isinstance(value, dict | list):
        return float(check.check == "json" and same_json(value, expected))
    if not isinstance(value, str) or expected is None:
        return float(same_json(value, expected))
    if check.check == "verbatim":
        return word_f1(value, str(expected)) if is_quote(value, question) else 0.0
    if check.check == "spdx":
        return float(same_expression(value, str(expected)))
    return float(value.strip() == str(expected).strip())


def same_json(value: Any, expected: Any) -> bool:
    """Whether two JSON values are the same: 2 is 2.0, true is not 1, the order of keys does not matter."""
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(same_json(value[key], expected[key]) for key in value)
    if isinstance(value, list) and isinstance(expected, list):
        return len(value) == len(expected) and all(map(same_json, value, expected))
    return isinstance(value, bool) == isinstance(expected, bool) and bool(value == expected)


def balances(first: Any, second: Any) -> bool:
    """Whether both are objects of names and numbers that add up to the same, to the last decimal (.1 and .2 make .3)."""
    left, right = _total(first), _total(second)
    return left is not None and left == right


def _total(value: Any) -> Decimal | None:
    """The sum of an object of plain numbers; None for anything else: no numbers at all, text, truth, huge, tiny."""
    if not isinstance(value, dict) or not value:
        return None
    numbers = [str(one) for one in value.values() if isinstance(one, int | float)]
    if len(numbers) < len(value) or not all(map(_NUMBER.fullmatch, numbers)):
        return None
    return sum(map(Decimal, numbers), Decimal())


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

    A text task has "exact" and "f1".  A JSON task has "valid", each of its fields, for each quote whether it is one at all
    ("quote_verbatim": it stands letter for letter in the question, right words or not; or it is rightly left out), for
    each field that must balance another whether it does ("debit_balances", right numbers or not), and "all" if that is its
    headline.
    Where a refusal is expected there is only "refused": 1 where the answer is that refusal and nothing else.  An answer
    that refuses a task's question has no field right.
    """
    if refusal(task, expected):
        return {"refused": float(parse_object(answer) == parse_object(expected))}
    if task.format == "text":
        return {"exact": float(answer.strip() == expected.strip()), "f1": word_f1(answer, expected)}
    wanted = task.read(parse_object(expected) or {})
    parsed = parse_object(answer)
    given = task.read(parsed) if parsed is not None and not refusal(task, answer) else None
    fields = {
        name: check_field(check, given[name], wanted[name], question) if given is not None else 0.0
        for name, check in task.fields.items()
    }
    quotes = {
        f"{name}_verbatim": float(given is not None and (is_quote(given[name], question) or given[name] is wanted[name] is None))
        for name, check in task.fields.items()
        if check.check == "verbatim"
    }
    sums = {
        f"{name}_balances": float(given is not None and balances(given[name], given[check.balances]))
        for name, check in task.fields.items()
        if check.balances
    }
    whole = {"all": float(all(value == 1.0 for value in fields.values()))} if task.headline == "all" else {}
    return {"valid": float(parsed is not None), **fields, **quotes, **sums, **whole}


def headline(task: Task, scores: Mapping[str, float]) -> float:
    """One figure for an item: the mean of a JSON task's fields or whether all are right, a text task's word F1, or whether
    it refused as it should."""
    if scores.keys() == {"refused"}:
        return scores["refused"]
    if task.format == "text":
        return scores["f1"]
    if task.headline == "all":
        return scores["all"]
    return sum(scores[name] for name in task.fields) / len(task.fields)
