"""What the Datasets page reads of datasets and versions, and what it does with a whole one; rows are in browse.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from app.data.mapping_preview import MappingPreview, preview_mapping
from app.store import Store
from app.store.datasets import reading

if TYPE_CHECKING:
    from app.data.browse import RowFilter

__all__ = [
    "DatasetView",
    "MappingPreview",
    "VersionView",
    "erase_for_window",
    "export_for_window",
    "import_for_window",
    "open_findings",
    "overview",
    "preview_mapping",
]


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version of a dataset.  report: what refine did, as its step wrote it."""

    version: int
    parent: int | None
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


def import_for_window(store: Store, path: str, mapping: Mapping[str, str] | None = None) -> Any:
    """Import a dropped file, with what was recognised or MappingPreview.for_import(); see :func:`app.data.api.import_file`."""
    from app.data import api

    return api.import_file(store, Path(path), mapping=mapping, rejects_file=False)


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
        row["parent"],
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


def open_findings(store: Store, dataset: str, version: int) -> int | None:
    """Findings of a version that wait for a person; None where it was never redacted.

    Here and not with the review, which loads the whole redaction: the page asks for each version it shows.
    """
    with reading(store, dataset) as db:
        found = db.conn.execute(
            "SELECT count(*), coalesce(sum(decision = 'open'), 0) FROM findings WHERE version = ?", (version,)
        ).fetchone()
    return int(found[1]) if found[0] else None


def export_for_window(store: Store, dataset: str, version: int, path: str, wanted: RowFilter) -> Any:
    """Write to a file what a filter shows of a version; removed rows only where it asks for them by their state or reason."""
    from app.data import api

    shown = wanted if wanted.state or wanted.reason else replace(wanted, state="kept")
    return api.export_version(store, dataset, version, to=path, wanted=shown)


def erase_for_window(store: Store, dataset: str) -> None:
    """Erase a dataset for good; see :func:`app.data.api.erase`."""
    from app.data import api

    api.erase(store, dataset)
