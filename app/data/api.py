"""What the window, the command line and HTTP call: import, list, export, erase."""

from __future__ import annotations

import time
from typing import Any

import orjson

from app.data.export import ExportResult, export_version, find_version
from app.data.importer import ImportResult, Preview, import_file, preview
from app.store import Store

__all__ = [
    "ExportResult",
    "ImportResult",
    "Preview",
    "erase",
    "export_version",
    "find_version",
    "import_file",
    "list_datasets",
    "preview",
]


def list_datasets(store: Store) -> list[dict[str, Any]]:
    """Datasets that were not erased, each with its versions, oldest first."""
    found = store.rows("SELECT id, name FROM datasets WHERE key IS NOT NULL ORDER BY created")
    versions: dict[str, list[dict[str, Any]]] = {}
    for row in store.rows("SELECT dataset, version, rows, state, splits FROM dataset_versions ORDER BY version"):
        versions.setdefault(row["dataset"], []).append(
            {"version": row["version"], "rows": row["rows"], "state": row["state"], "splits": orjson.loads(row["splits"])}
        )
    return [{"dataset": row["id"], "name": row["name"], "versions": versions.get(row["id"], [])} for row in found]


def erase(store: Store, dataset: str) -> None:
    """Erase a dataset for good: its key goes first, then its file, which nobody can read any more."""
    identity, _ = find_version(store, dataset, None)
    store.db.execute("UPDATE datasets SET key = NULL, erased = ? WHERE id = ?", (time.time(), identity))
    for file in store.profile.datasets.glob(f"{identity}.db*"):
        file.unlink(missing_ok=True)
    for file in (store.profile.datasets / "rejects").glob(f"{identity}-v*.jsonl"):
        file.unlink(missing_ok=True)
