"""How well the detector does on labelled sentences: recall and precision of each entity, with Wilson intervals."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from app.data.redaction.entities import ENTITIES
from app.data.redaction.labelled import Labelled
from app.store.profile import project_dir

FILE = project_dir() / "resources" / "redaction-quality.json"
"""The table that the newest run of tests/bench/redaction_quality.py wrote."""
Found = tuple[int, int, str]
Find = Callable[[Sequence[str]], Iterable[Sequence[Found]]]


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, with the 95 % interval of Wilson (1927)."""

    good: int
    of: int

    @property
    def value(self) -> float:
        """0..1; 1 where there was nothing to get wrong."""
        return self.good / self.of if self.of else 1.0

    def interval(self) -> tuple[float, float]:
        """95 % interval of the share."""
        if not self.of:
            return 0.0, 1.0
        z, n, p = 1.959964, self.of, self.value
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "good": self.good,
            "of": self.of,
            "value": round(self.value, 4),
            "interval": [round(end, 4) for end in self.interval()],
        }


@dataclass(slots=True)
class Line:
    """One entity's result.  named: of what was found, how much under its own name."""

    recall: Share
    precision: Share
    named: Share


@dataclass(slots=True)
class Measured:
    """The whole table, and what was missed or wrongly flagged, for looking at."""

    sentences: int
    entities: dict[str, Line]
    disguises: dict[str, Share]
    structured_recall: Share
    structured_precision: Share
    clean: Share
    missed: list[tuple[str, str, str]]
    wrong: list[tuple[str, str, str]]

    def as_json(self) -> dict[str, Any]:
        """What resources/redaction-quality.json holds."""
        return {
            "sentences": self.sentences,
            "structured": {"recall": self.structured_recall.as_json(), "precision": self.structured_precision.as_json()},
            "sentences_without_private_data_left_alone": self.clean.as_json(),
            "disguises": {name: share.as_json() for name, share in self.disguises.items()},
            "entities": {
                name: {part: getattr(line, part).as_json() for part in ("recall", "precision", "named")}
                for name, line in self.entities.items()
            },
        }


def measure(rows: Sequence[Labelled], find: Find) -> Measured:
    """Compare what is found with the labels.

    A labelled span counts as found where every letter and digit of it is covered, under whatever name: then it does not
    leave.  A finding counts as right where most of it lies in labelled spans.
    """
    good, of, named, right, said = Counter[str](), Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    hidden_good, hidden_of = Counter[str](), Counter[str]()
    missed, wrong, clean = [], [], [0, 0]
    for row, found in zip(rows, find([row.text for row in rows]), strict=True):
        covered = {place for start, end, _ in found for place in range(start, end)}
        for start, end, entity in row.spans:
            of[entity] += 1
            whole = all(place in covered for place in range(start, end) if row.text[place].isalnum())
            good[entity] += whole
            named[entity] += whole and any(name == entity and first < end and start < last for first, last, name in found)
            if not whole:
                missed.append((entity, row.text[start:end], row.text))
            if row.disguise and entity != "PERSON":
                hidden_of[row.disguise] += 1
                hidden_good[row.disguise] += whole
        own = {place for start, end, _ in row.spans for place in range(start, end)}
        for start, end, entity in found:
            said[entity] += 1
            if sum(place in own for place in range(start, end)) >= 0.5 * (end - start):
                right[entity] += 1
            else:
                wrong.append((entity, row.text[start:end], row.text))
        if not row.spans:
            clean[0] += not found
            clean[1] += 1
    lines = {
        name: Line(Share(good[name], of[name]), Share(right[name], said[name]), Share(named[name], good[name]))
        for name in ENTITIES
        if of[name] or said[name]
    }
    firm = [name for name in lines if ENTITIES[name].structured]
    return Measured(
        len(rows),
        lines,
        {name: Share(hidden_good[name], hidden_of[name]) for name in sorted(hidden_of)},
        Share(sum(good[name] for name in firm), sum(of[name] for name in firm)),
        Share(sum(right[name] for name in firm), sum(said[name] for name in firm)),
        Share(*clean),
        missed,
        wrong,
    )


@cache
def published() -> dict[str, Any]:
    """The measured table that came with this version, or {} where there is none."""
    if not FILE.exists():
        return {}
    loaded: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return loaded
