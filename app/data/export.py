"""Write a dataset version to a file: everything that came in comes out again, with the split beside it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from app.errors import DatasetError, Place, UsageError
from app.store import Store
from app.store.datasets import DatasetDb, open_dataset
from app.store.records import Row

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet; an apostrophe before it makes it text."""
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written."""

    dataset: str
    version: int
    rows: int
    file: str


def find_version(store: Store, dataset: str, version: int | None) -> tuple[str, int]:
    """(id, version) of a dataset named by id or name; the newest ready version if none is given."""
    found = store.row(
        "SELECT id FROM datasets WHERE key IS NOT NULL AND (id = ? OR name = ?) ORDER BY created DESC", (dataset, dataset)
    )
    if found is None:
        raise UsageError("dataset.unknown", f"There is no dataset {dataset!r}.", remedy="List them with: main.py datasets")
    versions = [
        row["version"]
        for row in store.rows(
            "SELECT version FROM dataset_versions WHERE dataset = ? AND state = 'ready' ORDER BY version", (found["id"],)
        )
    ]
    if not versions or (version is not None and version not in versions):
        raise UsageError(
            "dataset.no_such_version",
            f"Dataset {dataset!r} has no version {version if version else 'that is ready'}.",
            remedy=f"It has: {', '.join(map(str, versions)) or 'none'}.",
        )
    return str(found["id"]), version if version is not None else int(versions[-1])


def flat(row: Row) -> dict[str, Any]:
    """A row as columns that an import recognises again."""
    if row.shape == "text":
        record: dict[str, Any] = {"text": row.text}
    elif row.shape == "preference":
        record = {"prompt": row.messages[-1]["content"]} if row.messages else {}
        record |= {"chosen": row.chosen, "rejected": row.rejected}
    elif [message["role"] for message in row.messages] == ["user", "assistant"]:
        record = {"prompt": row.messages[0]["content"], "answer": row.messages[1]["content"]}
    else:
        record = {"messages": row.messages}
    record |= {name: value for name, value in row.meta.items() if name not in record}
    return record | ({"split": row.split} if row.split else {})


def export_version(
    store: Store, dataset: str, *, version: int | None = None, to: Path, progress: Progress | None = None
) -> ExportResult:
    """Write the kept rows as JSONL, CSV or Parquet by the name's ending; written beside and renamed.

    In CSV a cell that begins like a formula gets an apostrophe before it, so that no spreadsheet runs it.
    """
    identity, number = find_version(store, dataset, version)
    writers = {".jsonl": _write_jsonl, ".csv": _write_csv, ".parquet": _write_parquet}
    writer = writers.get(to.suffix.lower())
    if writer is None:
        raise UsageError(
            "dataset.unknown_export",
            "Files of this kind cannot be written.",
            where=Place.of(to),
            remedy="Let the name end in .jsonl, .csv or .parquet.",
        )
    beside = to.with_name(f".{to.name}.part")
    try:
        with open_dataset(store, identity) as db:
            count = writer(db, number, beside)
        beside.replace(to)
    except OSError as problem:
        beside.unlink(missing_ok=True)
        raise DatasetError(
            "dataset.unwritable",
            "The file could not be written.",
            where=Place.of(to),
            why=f"{problem.strerror or problem}.",
            remedy="Choose another folder or make room.",
        ) from problem
    if progress is not None:
        progress(1.0, f"{count:,} rows written")
    return ExportResult(identity, number, count, str(to))


def _records(db: DatasetDb, version: int) -> Iterator[dict[str, Any]]:
    return (flat(row) for row in db.iter_rows(version))


def _write_jsonl(db: DatasetDb, version: int, path: Path) -> int:
    count = 0
    with path.open("wb") as stream:
        for count, record in enumerate(_records(db, version), start=1):  # noqa: B007  # the last value is the count
            stream.write(orjson.dumps(record) + b"\n")
    return count


def _columns(db: DatasetDb, version: int) -> list[str]:
    names: dict[str, None] = {}
    for record in _records(db, version):
        names.update(dict.fromkeys(record))
    return list(names)


def _write_csv(db: DatasetDb, version: int, path: Path) -> int:
    columns, count = _columns(db, version), 0
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([safe_cell(name) for name in columns])
        for count, record in enumerate(_records(db, version), start=1):  # noqa: B007
            writer.writerow([safe_cell(record.get(name)) for name in columns])
    return count


def safe_cell(value: Any) -> str:
    """A CSV cell that no spreadsheet takes for a formula."""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text


def _write_parquet(db: DatasetDb, version: int, path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns, count = _columns(db, version), 0
    schema = pa.schema([(name, pa.string()) for name in columns])
    with pq.ParquetWriter(path, schema) as writer:
        batch: list[dict[str, Any]] = []
        for count, record in enumerate(_records(db, version), start=1):  # noqa: B007
            batch.append({name: _text(record.get(name)) for name in columns})
            if len(batch) == 5000:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch.clear()
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    return count


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
