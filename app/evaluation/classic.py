"""What needs no language model: the best constant answer, and a linear classifier on TF-IDF, trained on the same rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from app.evaluation.checks import Task, parse_object

LEAST_REPEATS = 2
"""A field is a label, and so a classifier's business, if its values repeat at least this often on average."""


def constant_answer(task: Task, answers: Sequence[str]) -> str:
    """The most frequent answer of the training rows; field by field for a JSON task."""
    if task.format == "text":
        return Counter(answers).most_common(1)[0][0]
    objects = [found for answer in answers if (found := parse_object(answer))]
    columns = _columns(task, objects)
    return task.written({name: json.loads(Counter(column).most_common(1)[0][0]) for name, column in columns.items()})


def _columns(task: Task, objects: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Values by field as JSON text, so that each kind of value can be counted and predicted; a missing one is null."""
    rows = [task.read(one) for one in objects]
    return {name: [json.dumps(row[name], ensure_ascii=False, sort_keys=True) for row in rows] for name in task.fields}


def label_fields(task: Task, answers: Sequence[str]) -> dict[str, list[str]]:
    """Values by field, as JSON text, for the fields that a classifier can learn; "" names the whole answer of a text task."""
    if task.format == "text":
        columns = {"": list(answers)}
    else:
        written = _columns(task, [parse_object(answer) or {} for answer in answers])
        columns = {name: values for name, values in written.items() if task.fields[name].check != "verbatim"}
    return {
        name: values
        for name, values in columns.items()
        if len(set(values)) > 1 and len(values) >= LEAST_REPEATS * len(set(values))
    }


def classic_answers(
    task: Task, questions: Sequence[str], answers: Sequence[str], asked: Sequence[str], seed: int
) -> list[str] | None:
    """The linear model's answers to ``asked`` (test questions), or None where no field is a label.

    Fields it cannot write (a quote) are left out of its JSON.
    """
    columns = label_fields(task, answers)
    if not columns:
        return None
    known, unknown = _features(questions, asked)
    predicted = {name: _predict(known, values, unknown, seed) for name, values in columns.items()}
    if task.format == "text":
        return predicted[""]
    return [
        task.written({name: json.loads(values[number]) for name, values in predicted.items()}) for number in range(len(asked))
    ]


def with_refusals(
    answers: Sequence[str], questions: Sequence[str], taught: Sequence[tuple[str, str]], asked: Sequence[str], seed: int
) -> list[str]:
    """``answers``, each replaced by a refusal where a linear model trained to tell refusals from the task finds one.

    questions: the task's training questions.  taught: training questions to refuse, each with its answer.
    """
    if not taught:
        return list(answers)
    labels = [""] * len(questions) + [answer for _, answer in taught]
    known, unknown = _features([*questions, *(question for question, _ in taught)], asked)
    found = _predict(known, labels, unknown, seed)
    return [refused or answer for refused, answer in zip(found, answers, strict=True)]


def _features(questions: Sequence[str], asked: Sequence[str]) -> tuple[Any, Any]:
    """TF-IDF of words and pieces of words, weighed by ``questions``: (questions, features) and (asked, features), sparse."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    known = features.fit_transform(list(questions))
    return known, features.transform(list(asked))


def _predict(known: Any, labels: Sequence[str], unknown: Any, seed: int) -> list[str]:
    from sklearn.svm import LinearSVC

    return [str(label) for label in LinearSVC(random_state=seed).fit(known, list(labels)).predict(unknown)]
