"""Do the labels agree?  A linear model learns them from the other rows and says whether it would give each row its own.

Only answers that are labels can be looked at so: short ones that repeat, or the fields of a JSON answer whose values do.
Out of fold, and rows with the same question in one fold, so that no row vouches for itself or for its copy.
After Northcutt et al. 2021 (confident learning), with the margin of a linear SVM in place of probabilities.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

FOLDS = 5
LEAST_REPEATS = 2
"""Values of a field must repeat at least so often on average to be labels."""
LONGEST_LABEL = 80
MOST_FIT = 20_000
"""Rows that the models learn from at most; all rows are judged."""
MOST_CLASSES = 500

Values = npt.NDArray[np.float32]


def label_values(answer: str) -> dict[str, str]:
    """The short values of an answer by field: those of a JSON object, or the whole of a short answer under ""."""
    text = answer.strip()
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return {str(name): str(value) for name, value in found.items()
                if isinstance(value, str | int | float | bool) and len(str(value)) <= LONGEST_LABEL}
    return {"": text} if 0 < len(text) <= LONGEST_LABEL else {}


def label_fields(questions: Sequence[str], labels: Sequence[dict[str, str]]) -> list[str]:
    """Fields that hold labels: most rows have them, their values repeat, and they are not quoted from the question."""
    columns: dict[str, Counter[str]] = {}
    quoted: Counter[str] = Counter()
    for question, row in zip(questions, labels, strict=True):
        for name, value in row.items():
            columns.setdefault(name, Counter())[value] += 1
            quoted[name] += value in question
    return sorted(
        name for name, counts in columns.items()
        if 2 <= len(counts) <= MOST_CLASSES and counts.total() >= LEAST_REPEATS * len(counts) and 2 * counts.total() >= len(labels)
        and 2 * quoted[name] < counts.total()
    )


def fold_of(question: str) -> int:
    """The fold of a question, whatever its case and blanks."""
    folded = " ".join(question.casefold().split())
    return hashlib.sha256(folded.encode("utf-8", "replace")).digest()[0] % FOLDS


class LabelModels:
    """Linear models, one for each label field and fold, learned from the rows outside the fold.

    Takes at most MOST_FIT rows; memory grows with their words, not with the dataset.  ``fields`` is empty where the answers
    are no labels.
    """

    def __init__(self, questions: Sequence[str], answers: Sequence[str], seed: int) -> None:
        labels = [label_values(answer) for answer in answers]
        folds = [fold_of(question) for question in questions]
        self.fields = label_fields(questions, labels)
        self._models: dict[tuple[str, int], Any] = {}
        for name in self.fields:
            for fold in range(FOLDS):
                chosen = [number for number, row in enumerate(labels) if name in row and folds[number] != fold]
                fitted = _fit([questions[number] for number in chosen], [labels[number][name] for number in chosen], seed)
                if fitted is not None:
                    self._models[name, fold] = fitted

    def agreement(self, questions: Sequence[str], answers: Sequence[str]) -> Values:
        """(rows,) float32: 1 where the label is the model's clear choice, .5 at a tie, towards 0 where another is much likelier.

        Several fields: their mean.  NaN where there is no label or no other row has it.  logistic(2 x margin) of the given
        label over the best other one; not a calibrated probability.
        """
        sums, counts = np.zeros(len(questions)), np.zeros(len(questions))
        labels, folds = [label_values(answer) for answer in answers], [fold_of(question) for question in questions]
        for (name, fold), model in self._models.items():
            chosen = [number for number, row in enumerate(labels) if folds[number] == fold and name in row]
            if not chosen:
                continue
            margins = _margins(model, [questions[number] for number in chosen], [labels[number][name] for number in chosen])
            for number, margin in zip(chosen, margins, strict=True):
                if math.isfinite(margin):
                    sums[number] += 1 / (1 + math.exp(-2 * margin))
                    counts[number] += 1
        with np.errstate(invalid="ignore"):
            found: Values = (sums / np.where(counts == 0, np.nan, counts)).astype(np.float32)
        return found


def _fit(questions: Sequence[str], labels: Sequence[str], seed: int) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    if len(set(labels)) < 2:
        return None
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=100_000)
    model = make_pipeline(features, LinearSVC(random_state=seed))
    try:
        model.fit(list(questions), list(labels))
    except ValueError:  # no question has a word
        return None
    return model


def _margins(model: Any, questions: Sequence[str], labels: Sequence[str]) -> list[float]:
    """Decision value of each given label minus that of the best other one; NaN for a label the model never saw."""
    classes = {str(name): place for place, name in enumerate(model.classes_)}
    values = np.asarray(model.decision_function(list(questions)), float)
    if values.ndim == 1:
        values = np.stack([-values, values], 1)
    margins = []
    for row, label in zip(values, labels, strict=True):
        place = classes.get(label)
        margins.append(float("nan") if place is None else float(row[place] - np.delete(row, place).max()))
    return margins
