"""What the window, the command line and HTTP call: import, list, export, erase."""

from __future__ import annotations

from typing import Any

from app.data.derive import Derived, undo
from app.data.export import ExportResult, export_version, find_version
from app.data.importer import ImportResult, import_file
from app.data.mapping_preview import MappingPreview, preview_mapping
from app.errors import UsageError
from app.store import Store
from app.store.datasets import erase_dataset
from app.store.versions import recover

__all__ = [
    "Derived",
    "ExportResult",
    "ImportResult",
    "MappingPreview",
    "erase",
    "export_version",
    "find_version",
    "import_file",
    "list_datasets",
    "preview_mapping",
    "recover",
    "undo",
]


def list_datasets(store: Store) -> list[dict[str, Any]]:
    """Datasets that were not erased, each with its versions, oldest first.  Mends what a crash left half written."""
    recover(store)
    found = store.rows("SELECT id, name FROM datasets WHERE key IS NOT NULL ORDER BY created")
    versions: dict[str, list[dict[str, Any]]] = {}
    for row in store.rows("SELECT dataset, version, rows, state FROM dataset_versions ORDER BY version"):
        versions.setdefault(row.pop("dataset"), []).append(row)
    return [{"dataset": row["id"], "name": row["name"], "versions": versions.get(row["id"], [])} for row in found]


def erase(store: Store, dataset: str) -> None:
    """Erase a dataset (id or name) for good: its key goes first, then its file, which nobody can read any more."""
    found = store.row(
        "SELECT id FROM datasets WHERE key IS NOT NULL AND (id = ? OR name = ?) ORDER BY created DESC", (dataset, dataset)
    )
    if found is None:
        raise UsageError("dataset.unknown", f"There is no dataset {dataset!r}.", remedy="List them with: main.py datasets")
    erase_dataset(store, str(found["id"]))
