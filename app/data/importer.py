"""Read a file into a new dataset version: rows kept with their number, bad rows set aside with their reason.

The version is "writing" until everything is in; a failure or a stop leaves no row of it behind.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import xxhash

from app.data.mapping import BadRow, ColumnMapping, check, recognise, to_row
from app.data.readers import read_rows
from app.errors import DatasetError, Place
from app.store import Store
from app.store.datasets import DatasetDb, VersionWriter, create_dataset, encode, open_dataset

BATCH = 5000
LOOKED_AT = 50
"""Rows from which shape and mapping are recognised."""
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did.  rejects_file: JSON lines of what was set aside, or None."""

    dataset: str
    version: int
    rows: int
    rejected: int
    rejects_file: str | None
    warnings: list[str]
    name: str
    content_hash: str
    splits: dict[str, int]
    shape: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would do, from the first rows."""

    mapping: ColumnMapping
    label: str
    columns: list[str]
    rows: list[dict[str, Any]]
    warnings: list[str]


@dataclass
class _Tally:
    rows: int = 0
    rejected: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    digest: Any = field(default_factory=xxhash.xxh3_128)


def preview(path: Path, mapping: ColumnMapping | None = None) -> Preview:
    """Look at a file without importing it.  Raises DatasetError as the import would."""
    reader, warnings = _open(path)
    first = [record for _, record, _ in itertools.islice(reader, LOOKED_AT) if isinstance(record, Mapping)]
    chosen = mapping or recognise(first, Place.of(path))
    columns = list(dict.fromkeys(str(name) for record in first for name in record))
    return Preview(chosen, chosen.label(), columns, [dict(record) for record in first[:5]], warnings)


def _open(path: Path) -> tuple[Iterator[tuple[int, Mapping[str, Any] | str, str]], list[str]]:
    if not path.is_file():
        raise DatasetError(
            "dataset.no_such_file",
            "There is no such file.",
            where=Place.of(path),
            why="The path names no file.",
            remedy="Check the path.",
        )
    if path.stat().st_size == 0:
        raise DatasetError(
            "dataset.empty",
            "The file is empty; nothing was imported.",
            where=Place.of(path),
            why="It has 0 bytes.",
            remedy="Choose another file.",
        )
    return read_rows(path)


def import_file(
    store: Store,
    path: Path,
    *,
    name: str | None = None,
    mapping: ColumnMapping | Mapping[str, Any] | None = None,
    split_field: str | None = None,
    progress: Progress | None = None,
) -> ImportResult:
    """Import a file as a new version of the dataset called ``name`` (default: the file's name).

    Raises DatasetError where the file as a whole cannot be used; then nothing is kept.
    """
    path = Path(path)
    reader, warnings = _open(path)
    head = list(itertools.islice(reader, LOOKED_AT))
    first = [record for _, record, _ in head if isinstance(record, Mapping)]
    if not first:
        raise _nothing_usable(path, [(number, str(reason)) for number, reason, _ in head])
    place = Place.of(path)
    chosen = recognise(first, place) if mapping is None else mapping
    if not isinstance(chosen, ColumnMapping):
        chosen = ColumnMapping.model_validate(dict(chosen))
    check(chosen, first, place)
    split = _split_field(split_field, first, place)
    known = name or path.name.split(".")[0]
    dataset = _dataset(store, known)
    with open_dataset(store, dataset) as db:
        writer = VersionWriter(store, db, origin={"file": path.name, "mapping": chosen.model_dump(), "split_field": split})
        with writer:
            tally = _fill(db, writer, itertools.chain(head, reader), chosen, split, path, progress)
            if not tally.rows:
                raise _nothing_usable(path, writer.first_rejects())
            content = tally.digest.hexdigest()
            writer.finish(rows=tally.rows, rejected=tally.rejected, splits=tally.splits, shape=chosen.shape, content_hash=content)
        rejects = _rejects_file(store, db, dataset, writer.version) if tally.rejected else None
    return ImportResult(
        dataset, writer.version, tally.rows, tally.rejected, rejects, warnings, known, content, tally.splits, chosen.shape
    )


def _split_field(given: str | None, first: list[Mapping[str, Any]], place: Place) -> str:
    names = {str(name) for record in first for name in record}
    if given is not None and given and given not in names:
        raise DatasetError(
            "dataset.no_such_column",
            f"There is no column {given!r} that says the split.",
            where=Place(place.file, field=given),
            why=f"The file has: {', '.join(sorted(names)[:20])}.",
            remedy="Correct split_field, or leave it out.",
        )
    return given if given is not None else "split" if "split" in names else ""


def _dataset(store: Store, name: str) -> str:
    found = store.row("SELECT id FROM datasets WHERE name = ? AND key IS NOT NULL ORDER BY created DESC LIMIT 1", (name,))
    return str(found["id"]) if found else create_dataset(store, name)


def _nothing_usable(path: Path, rejects: list[tuple[int, str]]) -> DatasetError:
    number, reason = rejects[0] if rejects else (None, "it has no rows")
    return DatasetError(
        "dataset.nothing_usable",
        "No row of this file can be used; nothing was imported.",
        where=Place.of(path, number),
        why=f"The first one: {reason}.",
        remedy="Mend the file, or correct the mapping.",
    )


def _fill(
    db: DatasetDb,
    writer: VersionWriter,
    rows: Iterable[tuple[int, Mapping[str, Any] | str, str]],
    mapping: ColumnMapping,
    split: str,
    path: Path,
    progress: Progress | None,
) -> _Tally:
    tally, used, began = _Tally(), mapping.used(), time.monotonic()
    batch: list[tuple[int, bytes, bytes, str]] = []
    for number, record, raw in rows:
        if isinstance(record, str):
            writer.reject(number, record, raw)
            tally.rejected += 1
            continue
        try:
            row = to_row(record, mapping, split, used)
            digest, payload = encode(row)
        except (BadRow, orjson.JSONEncodeError) as problem:
            writer.reject(number, str(problem), json.dumps(record, default=str)[:2000])
            tally.rejected += 1
            continue
        batch.append((number, digest, payload, row.split))
        tally.digest.update(digest)
        tally.digest.update(row.split.encode())
        tally.splits[row.split] = tally.splits.get(row.split, 0) + 1
        if len(batch) >= BATCH:
            tally.rows += writer.write(batch)
            batch.clear()
            if progress is not None:
                progress(0.0, f"{tally.rows:,} rows, {tally.rows / max(time.monotonic() - began, 1e-3):,.0f} a second")
    tally.rows += writer.write(batch)
    if set(tally.splits) == {""}:
        tally.splits = {}
    return tally


def _rejects_file(store: Store, db: DatasetDb, dataset: str, version: int) -> str:
    """What was set aside, as JSON lines that can be mended and imported."""
    folder = store.profile.datasets / "rejects"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{dataset}-v{version}.jsonl"
    with path.open("wb") as stream:
        for number, reason, raw in db.conn.execute(
            "SELECT number, reason, raw FROM rejects WHERE version = ? ORDER BY number", (version,)
        ):
            stream.write(orjson.dumps({"row": number, "reason": reason, "raw": raw}) + b"\n")
    return str(path)
