"""What the Datasets page reads: datasets and versions, one page of rows at a time, what was set aside and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from app.data.mapping_preview import MappingPreview, preview_mapping
from app.store import Store
from app.store.datasets import decode, open_dataset

__all__ = [
    "DatasetView",
    "MappingPreview",
    "RejectView",
    "RowView",
    "VersionView",
    "import_for_window",
    "overview",
    "preview_mapping",
    "rejects",
    "rows_page",
    "whole_row",
]
PAGE_ROWS = 100
PREVIEW_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version of a dataset.  report: what refine did, as its step wrote it."""

    version: int
    state: str
    rows: int
    rejected: int
    removed: int
    splits: Mapping[str, int]
    shape: str
    note: str
    origin: Mapping[str, Any]
    report: Mapping[str, Any]
    created: float


@dataclass(frozen=True, slots=True)
class DatasetView:
    """One dataset with its versions, the newest first."""

    id: str
    name: str
    created: float
    versions: list[VersionView]

    @property
    def newest(self) -> VersionView | None:
        """The newest version that can be read."""
        return next((version for version in self.versions if version.state == "ready"), None)


@dataclass(frozen=True, slots=True)
class RowView:
    """One row for the table.  Texts are cut; :func:`whole_row` has them all."""

    position: int
    split: str
    state: str
    reason: str
    detail: str
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class RejectView:
    """A row of the file that was set aside at import."""

    number: int
    reason: str
    raw: str


def import_for_window(store: Store, path: str, mapping: Mapping[str, str] | None = None) -> Any:
    """Import a dropped file, with what was recognised or MappingPreview.for_import(); see :func:`app.data.api.import_file`."""
    from app.data import api

    return api.import_file(store, Path(path), mapping=mapping)


def overview(store: Store) -> list[DatasetView]:
    """All datasets that were not erased, the newest first."""
    found = store.rows("SELECT id, name, created FROM datasets WHERE key IS NOT NULL ORDER BY created DESC")
    versions: dict[str, list[VersionView]] = {}
    for row in store.rows("SELECT * FROM dataset_versions ORDER BY version DESC"):
        versions.setdefault(row["dataset"], []).append(_version(row))
    return [DatasetView(row["id"], row["name"], row["created"], versions.get(row["id"], [])) for row in found]


def _version(row: Mapping[str, Any]) -> VersionView:
    return VersionView(
        row["version"],
        row["state"],
        row["rows"],
        row["rejected"],
        row["removed"],
        orjson.loads(row["splits"]),
        row["shape"] or "",
        row["note"] or "",
        orjson.loads(row["origin"]),
        orjson.loads(row["report"]),
        row["created"],
    )


def rows_page(store: Store, dataset: str, version: int, state: str, after: int) -> list[RowView]:
    """PAGE_ROWS rows after a position (0: from the start), by the key and never by counting.

    state: "kept", "removed" or "" for both.
    """
    where = "AND v.state = :state" if state else ""
    with open_dataset(store, dataset) as db:
        found = db.conn.execute(
            "SELECT v.position, v.split, v.state, v.reason, v.detail, r.payload FROM version_rows v JOIN rows r ON r.id = v.row "
            f"WHERE v.version = :version AND v.position > :after {where} ORDER BY v.position LIMIT :limit",
            {"version": version, "after": after, "state": state, "limit": PAGE_ROWS},
        ).fetchall()
    return [_row(*values) for values in found]


def _row(position: int, split: str, state: str, reason: str | None, detail: str | None, payload: bytes) -> RowView:
    row = decode(payload)
    prompt = "" if row.shape == "text" else row.prompt[-1]["content"] if row.prompt else ""
    return RowView(position, split, state, reason or "", detail or "", _cut(prompt), _cut(row.answer))


def _cut(text: str) -> str:
    line = " ".join(text[: 2 * PREVIEW_CHARACTERS].split())
    return line[:PREVIEW_CHARACTERS]


def whole_row(store: Store, dataset: str, version: int, position: int) -> dict[str, Any]:
    """The stored content of one row, for reading it whole."""
    with open_dataset(store, dataset) as db:
        found = db.conn.execute(
            "SELECT r.payload FROM version_rows v JOIN rows r ON r.id = v.row WHERE v.version = ? AND v.position = ?",
            (version, position),
        ).fetchone()
    return dict(orjson.loads(found[0])) if found else {}


def rejects(store: Store, dataset: str, version: int) -> list[RejectView]:
    """The first PAGE_ROWS rows that were set aside at import."""
    with open_dataset(store, dataset) as db:
        found = db.conn.execute(
            "SELECT number, reason, raw FROM rejects WHERE version = ? ORDER BY number LIMIT ?", (version, PAGE_ROWS)
        ).fetchall()
    return [RejectView(number, reason, _cut(raw)) for number, reason, raw in found]
