"""What the window shows of an assessment: the dataset's score with its parts and distributions.

The rows in the order of a score are found by app.data.browse, like all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.data.measures import BY_NAME, MEASURES, Measure
from app.store import Store
from app.store.datasets import reading


@dataclass(frozen=True, slots=True)
class Distribution:
    """One measure over the rows of a version.  edges: one more than counts.  part: its score 0..100, None where it has none."""

    measure: Measure
    rows: int
    median: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    part: float | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """What data.assess found of a version.  score and parts 0..100; poor: rows whose quality is under ``poor_under``."""

    version: int
    rows: int
    score: float
    parts: Mapping[str, float]
    formula: str
    poor: int
    poor_under: float
    languages: Mapping[str, int]
    distributions: tuple[Distribution, ...]
    notes: tuple[str, ...]


def assessment(store: Store, dataset: str, version: int) -> Assessment | None:
    """The newest assessment of this very version; None if there is none."""
    found = store.row("SELECT json_extract(report, '$.assessment') AS said FROM dataset_versions WHERE dataset = ? AND version = ?",
                      (dataset, version))
    if found is None or found["said"] is None:
        return None
    said: dict[str, Any] = orjson.loads(found["said"])
    measures = [_distribution(name, one, said["parts"].get(name)) for name, one in said["measures"].items() if name in BY_NAME]
    order = {measure.name: place for place, measure in enumerate(MEASURES)}
    return Assessment(
        version, said["rows"], said["score"], said["parts"], said["formula"], said["poor"], said["poor_under"], said["languages"],
        tuple(sorted(measures, key=lambda one: order[one.measure.name])), tuple(said["notes"]))


def _distribution(name: str, said: Mapping[str, Any], part: float | None) -> Distribution:
    bars = said["histogram"]
    return Distribution(BY_NAME[name], said["rows"], said["median"], tuple(bars["edges"]), tuple(bars["counts"]), part)


def scores_of(store: Store, dataset: str) -> list[Measure]:
    """Measures of which rows of this dataset have scores."""
    with reading(store, dataset) as db:
        return [measure for measure in MEASURES
                if db.conn.execute("SELECT 1 FROM scores WHERE name = ? LIMIT 1", (measure.name,)).fetchone()]
