"""What the window shows of an assessment: the dataset's score with its parts, distributions, and the worst rows first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.data.quality import BY_NAME, MEASURES, Measure, question_of
from app.data.views import PAGE_ROWS, PREVIEW_CHARACTERS
from app.store import Store
from app.store.datasets import decode, open_dataset

__all__ = ["MEASURES", "Assessment", "Distribution", "Measure", "Scored", "assessment", "row_scores", "scored_rows", "scores_of"]


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


@dataclass(frozen=True, slots=True)
class Scored:
    """A row with one of its scores; texts are cut.  ``key`` is where the next page begins."""

    position: int
    split: str
    prompt: str
    answer: str
    value: float
    key: tuple[float, int, int]


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


def scores_of(store: Store, dataset: str, version: int) -> list[Measure]:
    """Measures of which this version's rows have scores, also those that they brought from an earlier version."""
    with open_dataset(store, dataset) as db:
        return [measure for measure in MEASURES if db.conn.execute(
            "SELECT 1 FROM version_rows v JOIN scores s ON s.row = v.row AND s.name = ?2 "
            "WHERE v.version = ?1 AND v.state = 'kept' LIMIT 1", (version, measure.name)).fetchone()]


def scored_rows(store: Store, dataset: str, version: int, name: str, after: tuple[float, int, int] | None = None, *,
                descending: bool = False) -> list[Scored]:
    """PAGE_ROWS kept rows by one score, the lowest first, after a ``key`` (None: from the start); by the index, never by counting.

    Rows without this score are left out.
    """
    compare, order = ("<=", "DESC") if descending else (">=", "ASC")
    where = ""
    given: tuple[float, ...] = ()
    if after is not None:
        value, row, position = after
        beyond = "<" if descending else ">"
        where = f"AND (s.value, s.row) {compare} (?, ?) AND (s.value != ? OR s.row != ? OR v.position {beyond} ?)"
        given = (value, row, value, row, position)
    with open_dataset(store, dataset) as db:
        found = db.conn.execute(
            "SELECT s.value, s.row, v.position, v.split, r.payload FROM scores s CROSS JOIN version_rows v ON v.row = s.row "
            f"AND v.version = ? AND v.state = 'kept' JOIN rows r ON r.id = s.row WHERE s.name = ? {where} "
            f"ORDER BY s.value {order}, s.row {order}, v.position {order} LIMIT ?", (version, name, *given, PAGE_ROWS)).fetchall()
    return [_scored(*values) for values in found]


def _scored(value: float, row: int, position: int, split: str, payload: bytes) -> Scored:
    content = decode(payload)
    return Scored(position, split, _cut(question_of(content)), _cut(content.answer), value, (value, row, position))


def _cut(text: str) -> str:
    return " ".join(text[: 2 * PREVIEW_CHARACTERS].split())[:PREVIEW_CHARACTERS]


def row_scores(store: Store, dataset: str, version: int, position: int) -> dict[str, float]:
    """All scores of one row by name."""
    with open_dataset(store, dataset) as db:
        return dict(db.conn.execute(
            "SELECT s.name, s.value FROM version_rows v JOIN scores s ON s.row = v.row WHERE v.version = ? AND v.position = ?",
            (version, position)).fetchall())
