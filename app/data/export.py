"""Write a dataset version to a file: everything that came in comes out again, with the split beside it.

Columns have the names they had in the imported file.  An instruction with further input comes out as one text, which
an import turns into the same row.  JSON lines keep every value as it is.  Parquet keeps the types of the columns
(text, whole numbers, numbers, truth values; lists and objects as JSON text).  CSV has text alone; there a cell that
begins like a formula gets an apostrophe before it, so that no spreadsheet runs it (guard.py; our import takes it off).
"""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from app.data.browse import RowFilter, iter_found
from app.data.guard import MARK, guarded, is_guarded
from app.errors import DatasetError, Place, UsageError
from app.store import Store
from app.store.datasets import DatasetDb, disk_full, open_dataset
from app.store.records import Row

BATCH = 5000
Progress = Callable[[float, str], None]
Record = dict[str, Any]
KEPT = RowFilter("kept")


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


def flat(row: Row, mapping: Mapping[str, Any], split_name: str) -> Record:
    """A row as columns, named as in the file it came from (mapping: of the import, empty if unknown)."""
    record = _content(row, mapping)
    for name, value in row.meta.items():
        record[_free(name, "metadata", record, row.meta)] = value
    if row.split:
        record[_free(split_name, "used", record, {})] = row.split
    return record


def _free(name: str, suffix: str, record: Record, later: Mapping[str, Any]) -> str:
    """The name, or where a column is called so, name_suffix (as often as needed): so that no value is lost."""
    found = name
    while found in record or (found != name and found in later):
        found = f"{found}_{suffix}"
    return found


def _content(row: Row, mapping: Mapping[str, Any]) -> Record:
    if row.shape == "text":
        return {mapping.get("text") or "text": row.text}
    if row.shape == "preference":
        return _preference(row, mapping)
    system, turns = _without_system(row, mapping)
    prompt, answer = mapping.get("prompt"), mapping.get("answer")
    if [message["role"] for message in turns] == ["user", "assistant"] and not mapping.get("messages"):
        return system | {prompt or "prompt": turns[0]["content"], answer or "answer": turns[1]["content"]}
    return system | {mapping.get("messages") or "messages": turns}


def _preference(row: Row, mapping: Mapping[str, Any]) -> Record:
    chosen, rejected = mapping.get("chosen") or "chosen", mapping.get("rejected") or "rejected"
    system, turns = _without_system(row, mapping)
    answers = {chosen: row.chosen, rejected: row.rejected}
    if not turns:
        return system | answers
    if len(turns) == 1 and turns[0]["role"] == "user":
        return system | {mapping.get("prompt") or "prompt": turns[0]["content"]} | answers
    ends = ({"role": "assistant", "content": row.chosen}, {"role": "assistant", "content": row.rejected})
    return system | {chosen: [*turns, ends[0]], rejected: [*turns, ends[1]]}


def _without_system(row: Row, mapping: Mapping[str, Any]) -> tuple[Record, list[dict[str, str]]]:
    column = mapping.get("system")
    if column and row.messages and row.messages[0]["role"] == "system":
        return {column: row.messages[0]["content"]}, row.messages[1:]
    return {}, row.messages


def export_version(
    store: Store, dataset: str, version: int | None = None, *, to: str | Path, progress: Progress | None = None,
    wanted: RowFilter = KEPT
) -> ExportResult:
    """Write the kept rows as JSONL, CSV or Parquet by the name's ending; written beside and renamed.

    wanted: what a filter finds instead, in its order; each row with its reason, where others than the kept ones can be among them.

    Raises UsageError for an unknown dataset, version or ending; DatasetError or StoreError where it cannot be written:
    then a file that was there before is still there.
    """
    to = Path(to)
    identity, number = find_version(store, dataset, version)
    writer = {".jsonl": _write_jsonl, ".csv": _write_csv, ".parquet": _write_parquet}.get(to.suffix.lower())
    if writer is None:
        raise UsageError(
            "dataset.unknown_export",
            "Files of this kind cannot be written.",
            where=Place.of(to),
            remedy="Let the name end in .jsonl, .csv or .parquet.",
        )
    beside = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        with open_dataset(store, identity) as db:
            count = writer(_Source(store, db, number, progress, wanted), beside)
        beside.replace(to)
    except OSError as problem:
        raise _unwritable(to, problem) from problem
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return ExportResult(identity, number, count, str(to))


def _unwritable(to: Path, problem: OSError) -> Exception:
    if problem.errno == errno.ENOSPC:
        return disk_full(to, problem.strerror or "no space left")
    return DatasetError(
        "dataset.unwritable",
        "The file could not be written.",
        where=Place.of(to),
        why=f"{problem.strerror or problem}.",
        remedy="Choose another folder.",
    )


class _Source:
    """The rows of a version as flat records; may be read twice."""

    def __init__(self, store: Store, db: DatasetDb, version: int, progress: Progress | None, wanted: RowFilter) -> None:
        self._store, self._wanted = store, wanted
        found = (
            store.row("SELECT origin, rows FROM dataset_versions WHERE dataset = ? AND version = ?", (db.dataset, version)) or {}
        )
        origin = orjson.loads(found.get("origin") or "{}")
        self._mapping: Mapping[str, Any] = origin.get("mapping") or {}
        self._split = str(origin.get("split_field") or "split")
        self._order = {str(name): place for place, name in enumerate(origin.get("columns") or ())}
        self._total, self._db, self._version, self._progress = int(found.get("rows") or 0), db, version, progress

    def records(self) -> Iterator[Record]:
        for count, record in enumerate(self._records(), start=1):
            if self._progress is not None and count % BATCH == 0:
                self._progress(min(count / max(self._total, 1), 0.99), f"{count:,} rows written")
            yield {name: record[name] for name in sorted(record, key=self._place)} if self._order else record

    def _records(self) -> Iterator[Record]:
        if self._wanted == KEPT:
            yield from (flat(row, self._mapping, self._split) for row in self._db.iter_rows(self._version))
            return
        for found in iter_found(self._store, self._db.dataset, self._version, self._wanted):
            record = flat(found.row, self._mapping, self._split) if found.row else {"row": found.position, "raw": found.raw}
            if self._wanted.state != KEPT.state:
                record |= {_free("reason", "of_state", record, {}): f"{found.reason} {found.detail}".strip()}
            yield record

    def _place(self, name: str) -> int:
        return self._order.get(name, len(self._order))

    def columns(self) -> dict[str, set[type]]:
        """Every column with the types of its values, in the order of the file."""
        found: dict[str, set[type]] = {}
        for record in self.records():
            for name, value in record.items():
                found.setdefault(name, set()).add(_type_of(value))
        return {name: found[name] for name in sorted(found, key=self._place)}


def _type_of(value: Any) -> type:
    """The type of a value; a whole number that no 64-bit column with a sign holds counts as mixed."""
    return object if type(value) is int and not -(2**63) <= value < 2**63 else type(value)


def _write_jsonl(source: _Source, path: Path) -> int:
    count = 0
    with path.open("wb") as stream:
        for record in source.records():
            stream.write(orjson.dumps(record) + b"\n")
            count += 1
        _keep(stream)
    return count


def _keep(stream: Any) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _write_csv(source: _Source, path: Path) -> int:
    columns, count = list(source.columns()), 0
    marked = any(is_guarded(cell) for cell in columns) or any(
        is_guarded(value) for record in source.records() for value in record.values()
    )
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        header = [guarded(name) for name in columns] + ([MARK] if marked else [])
        odd = any(sign in name for name in header for sign in ";\t|")  # so that the comma is recognised
        csv.writer(stream, quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL).writerow(header)
        for record in source.records():
            cells = [guarded(_cell(record.get(name))) for name in columns]
            writer.writerow([*cells, ""] if marked else cells)
            count += 1
        _keep(stream)
    return count


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _write_parquet(source: _Source, path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {name: _arrow_kind(types) for name, types in source.columns().items()}
    arrow = {"text": pa.string(), "json": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    schema = pa.schema([(name, arrow[kind]) for name, kind in kinds.items()])
    batch: list[Record] = []
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        for record in source.records():
            count += 1
            batch.append({name: _arrow_value(record.get(name), kind) for name, kind in kinds.items()})
            if len(batch) == BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch.clear()
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    with path.open("rb+") as stream:
        _keep(stream)
    return count


def _arrow_kind(types: set[type]) -> str:
    """The Parquet type of a column; a column of mixed types is JSON text."""
    known = types - {type(None)}
    if known <= {str}:
        return "text"
    single = {frozenset({int}): "int", frozenset({float}): "float", frozenset({int, float}): "float", frozenset({bool}): "bool"}
    return single.get(frozenset(known), "json")


def _arrow_value(value: Any, kind: str) -> Any:
    if value is None or kind == "text" or kind == "bool":
        return value
    if kind == "json":
        return json.dumps(value, ensure_ascii=False)
    return float(value) if kind == "float" else value
