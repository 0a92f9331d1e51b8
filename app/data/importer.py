"""Read a file into a new dataset version: rows kept with their number, bad rows set aside with their reason.

The version is "writing" until everything is in; a failure or a stop leaves no row of it behind.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from app.data.mapping import ColumnMapping
from app.data.parsing import Head, Job, Tail, check_present, mapping_for, nothing_usable, read_file
from app.errors import DatasetError, Place
from app.store import Store
from app.store.blocks import Block
from app.store.datasets import LONGEST_NAME, DatasetDb, create_dataset, dataset_name, disk_full, open_dataset
from app.store.versions import VersionWriter, drop_if_unused

Progress = Callable[[float, str], None]
"""(fraction 0..1, message).  May raise Cancelled, to stop: then nothing is kept."""
OnBad = Literal["set_aside", "stop"]
SPARE = 64 * 2**20


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


def _job(path: Path, mapping: ColumnMapping | Mapping[str, Any] | None, split_field: str | None) -> Job:
    check_present(path)
    return Job(str(path.resolve()), mapping_for(mapping), split_field)


def import_file(
    store: Store,
    path: str | Path,
    *,
    name: str | None = None,
    mapping: ColumnMapping | Mapping[str, Any] | None = None,
    split_field: str | None = None,
    on_bad: OnBad = "set_aside",
    progress: Progress | None = None,
    rejects_file: bool = True,
) -> ImportResult:
    """Import a file as a new version of the dataset called ``name`` (default: the file's name).

    on_bad: "set_aside" keeps bad rows apart with their reasons; "stop" makes the first one a failure.
    rejects_file: write those rows to a file too, which is not encrypted; they are in the store in any case.
    Raises DatasetError where the file as a whole cannot be used, StoreError store.disk_full; then nothing is kept.
    """
    path = Path(path)
    job = _job(path, mapping, split_field)
    _check_room(store, path)
    known = dataset_name(name) if name else default_name(path)
    dataset = _dataset(store, known)
    try:
        with open_dataset(store, dataset) as db:
            return _Import(store, db, job, known, on_bad, progress or (lambda _fraction, _message: None), rejects_file).run()
    finally:
        drop_if_unused(store, dataset)


def default_name(path: Path) -> str:
    """What a file's dataset is called: the file's name without the endings that say how to read it."""
    name = Path(path.stem if path.suffix.lower() == ".gz" else path.name).stem
    return "".join(sign if sign.isprintable() else "_" for sign in name)[:LONGEST_NAME]


def _check_room(store: Store, path: Path) -> None:
    size, free = path.stat().st_size, shutil.disk_usage(store.profile.datasets).free
    if free < size + SPARE:
        raise disk_full(store.profile.datasets, f"the file has {size / 2**20:,.0f} MiB and {free / 2**20:,.0f} MiB are free")


def _dataset(store: Store, name: str) -> str:
    with store.write():
        found = store.row("SELECT id FROM datasets WHERE name = ? AND key IS NOT NULL ORDER BY created DESC LIMIT 1", (name,))
        return str(found["id"]) if found else create_dataset(store, name)


class _Import:
    """One import on its way."""

    def __init__(self, store: Store, db: DatasetDb, job: Job, name: str, on_bad: OnBad, progress: Progress, rejects_file: bool) -> None:
        self._store, self._db, self._job, self._name, self._rejects_file = store, db, job, name, rejects_file
        self._on_bad, self._progress = on_bad, progress
        self._rows, self._fraction, self._began = 0, 0.0, time.monotonic()

    def run(self) -> ImportResult:
        parts = read_file(self._job, self._tell)
        head = next(parts)
        if not isinstance(head, Head):
            raise nothing_usable(Path(self._job.path), [])
        origin = {
            "file": Path(self._job.path).name,
            "mapping": head.mapping,
            "split_field": head.split_field,
            "columns": head.columns,
        }
        with VersionWriter(self._store, self._db, origin=origin, wait=self._wait) as writer:
            tail = None
            for part in parts:
                if isinstance(part, Tail):
                    tail = part
                elif isinstance(part, tuple):
                    self._write(writer, *part)
            if tail is None or not tail.rows:
                raise nothing_usable(Path(self._job.path), [(one[0], one[1]) for one in tail.first_rejects] if tail else [])
            shape = str(head.mapping["shape"])
            writer.finish(
                rows=tail.rows,
                rejected=tail.rejected,
                splits=tail.splits,
                shape=shape,
                content_hash=tail.content_hash,
                report={"warnings": head.warnings + tail.warnings},
            )
        warnings = head.warnings + tail.warnings + self._repeated(writer.version, tail.content_hash)
        rejects = _rejects_file(self._store, self._db, writer.version) if tail.rejected and self._rejects_file else None
        return ImportResult(
            self._db.dataset,
            writer.version,
            tail.rows,
            tail.rejected,
            rejects,
            warnings,
            self._name,
            tail.content_hash,
            tail.splits,
            shape,
        )

    def _write(self, writer: VersionWriter, block: Block, fraction: float) -> None:
        if block.rejects and self._on_bad == "stop":
            number, reason, _ = block.rejects[0]
            raise DatasetError(
                "dataset.bad_row",
                "A row cannot be used; nothing was imported.",
                where=Place.of(self._job.path, number),
                why=f"{reason[:1].upper()}{reason[1:]}.",
                remedy="Mend the row, or import with on_bad: set_aside.",
            )
        self._rows += writer.write(block)
        self._fraction = fraction
        self._tell()

    def _tell(self) -> None:
        rate = self._rows / max(time.monotonic() - self._began, 1e-3)
        self._progress(min(self._fraction, 0.99), f"{self._rows:,} rows, {rate:,.0f} a second")

    def _wait(self) -> None:
        self._progress(0.0, "Waiting for another import into this dataset")

    def _repeated(self, version: int, content_hash: str) -> list[str]:
        found = self._store.row(
            "SELECT version FROM dataset_versions WHERE dataset = ? AND version != ? AND state = 'ready' "
            "AND content_hash = ? ORDER BY version DESC",
            (self._db.dataset, version, content_hash),
        )
        return [f"Version {version} has the same content as version {found['version']}."] if found else []


def _rejects_file(store: Store, db: DatasetDb, version: int) -> str:
    """What was set aside, as JSON lines; readable by its owner alone, erased with the dataset."""
    folder = store.profile.datasets / "rejects"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{db.dataset}-v{version}.jsonl"
    with path.open("wb") as stream:
        for number, reason, raw in db.conn.execute(
            "SELECT number, reason, raw FROM rejects WHERE version = ? ORDER BY number", (version,)
        ):
            stream.write(orjson.dumps({"row": number, "reason": reason, "raw": raw}) + b"\n")
    return str(path)
