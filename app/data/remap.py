"""Rows of a version read anew: as the columns they came from, with other parts for them.

A stored row holds every column of its file: those that play a part in its texts, the others as metadata.  So a mapping can be
changed after the import, from the rows as they are now (mended, redacted), and taken back like every other version.  What two columns
were put together to (an instruction with further input) stays together.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from app.data.export import flat
from app.data.mapping import BadRow, ColumnMapping, to_row
from app.data.mapping_preview import MappingPreview, sample, shown
from app.store import Store
from app.store.datasets import reading
from app.store.records import Row

LOOKED_AT = 50
UNFIT, FITS_NOW, MAPPED = "does_not_fit", "fits_now", "mapped_anew"
_TOGETHER = "Columns that were put together at the import (a question with its further input) stay together."


def mapping_before(store: Store, dataset: str, version: int) -> dict[str, str]:
    """The mapping by which a version's rows came to be; empty if it is not known."""
    found = store.row("SELECT origin FROM dataset_versions WHERE dataset = ? AND version = ?", (dataset, version)) or {}
    return {str(role): str(column) for role, column in (orjson.loads(found.get("origin") or "{}").get("mapping") or {}).items() if column}


def preview(store: Store, dataset: str, version: int, mapping: Mapping[str, str] | None = None, rows: int = 5) -> MappingPreview:
    """The first rows of a version as another mapping would store them; None: as they are stored now."""
    before = mapping_before(store, dataset, version)
    with reading(store, dataset) as db:
        found = [(row.position, columns(row, before)) for row in itertools.islice(db.iter_rows(version, batch=LOOKED_AT), LOOKED_AT)]
    names = {name for _, record in found for name in record}
    asked = mapping if mapping is not None else {role: name for role, name in before.items() if role == "shape" or name in names}
    notes = [_TOGETHER] if before.get("context") else []
    return shown(sample(found, asked or None, None, rows, notes))


def columns(row: Row, before: Mapping[str, str]) -> dict[str, Any]:
    """A row as the columns it came from.  Its split is no column: a row keeps the one it has."""
    return flat(replace(row, split=""), before, "")


def remapped(row: Row, before: Mapping[str, str], mapping: ColumnMapping) -> Row:
    """A row by another mapping.  Raises BadRow."""
    return replace(to_row(columns(row, before), mapping, "", mapping.used()), split=row.split, position=row.position)


def fitting_rejects(conn: Any, version: int, mapping: ColumnMapping) -> Iterator[tuple[int, Row]]:
    """(number in the file, row) of what was set aside at the import, is kept as a whole, and fits a mapping."""
    after = (-1, -1)
    while found := conn.execute("SELECT number, rowid, raw FROM rejects WHERE version = ? AND (number, rowid) > (?, ?) "
                                "ORDER BY number, rowid LIMIT 500", (version, *after)).fetchall():
        for number, _, raw in found:
            with contextlib.suppress(BadRow, orjson.JSONDecodeError):
                record = orjson.loads(raw)
                if isinstance(record, dict):
                    yield number, to_row(record, mapping, "split" if "split" in record else "", mapping.used())
        after = found[-1][:2]
