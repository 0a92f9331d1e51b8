"""Parquet, Excel, PDF and Word: formats whose libraries trust what they read, so each is looked at first.

PDF and Word are read in a child process with limits on time and memory.
"""

from __future__ import annotations

import datetime
import decimal
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from app.errors import DatasetError, Place

Read = Iterator[tuple[int, Mapping[str, Any] | str, str]]
MOST_UNPACKED = 400 * 2**20
MOST_RATIO = 200
RATIO_FROM = 8 * 2**20
MOST_COLUMNS = 1000
BATCH = 2000
CHILD_SECONDS = 60


def _damaged(path: Path, kind: str, why: object) -> DatasetError:
    text = str(why).strip().splitlines()
    return DatasetError(
        f"dataset.damaged_{kind.lower()}",
        f"The {kind} file is damaged or not what its name says; nothing was imported.",
        where=Place.of(path),
        why=f"{text[0][:300] if text else 'It cannot be parsed'}.",
        remedy="Open it in the program that made it and save it again.",
    )


def check_zip(path: Path, kind: str) -> None:
    """Refuse a zip container that is a bomb or whose names lead out of it.  Nothing is unpacked to disk in any case."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as problem:
        raise _damaged(path, kind, problem) from problem
    for entry in entries:
        name = PurePosixPath(entry.filename.replace("\\", "/"))
        link = (entry.external_attr >> 16) & 0o170000 == 0o120000
        if name.is_absolute() or ".." in name.parts or link:
            raise DatasetError(
                "dataset.unsafe_archive",
                f"The {kind} file holds a name that leads out of it; nothing was imported.",
                where=Place.of(path, field=entry.filename[:200]),
                why="Such a file was made to do harm.",
                remedy="Do not use it.",
            )
    total = sum(entry.file_size for entry in entries)
    packed = max(sum(entry.compress_size for entry in entries), 1)
    if total > MOST_UNPACKED or (total > RATIO_FROM and total / packed > MOST_RATIO):
        raise DatasetError(
            "dataset.bomb",
            f"The {kind} file grows beyond all measure; nothing was imported.",
            where=Place.of(path),
            why=f"It unpacks to {total / 2**20:,.0f} MiB, {total / packed:,.0f} times its size.",
            remedy="Save the data as CSV or JSON lines.",
        )


def _plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def parquet_rows(path: Path) -> Read:
    """A Parquet file in batches.  Extension types are refused: reading one may run code (CVE-2023-47248)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, memory_map=False, arrow_extensions_enabled=False) as file:
            _check_schema(file.schema_arrow, path)
            for batch in file.iter_batches(batch_size=BATCH):
                batch.validate(full=True)
                for record in batch.to_pylist():
                    number += 1
                    yield number, {str(name): _plain(value) for name, value in record.items()}, ""
    except (pa.ArrowException, OSError, ValueError, OverflowError, UnicodeError) as problem:
        raise _damaged(path, "Parquet", problem) from problem


def _check_schema(schema: Any, path: Path) -> None:
    import pyarrow as pa

    for column in schema:
        metadata = column.metadata or {}
        if isinstance(column.type, pa.BaseExtensionType) or b"ARROW:extension:name" in metadata:
            raise DatasetError(
                "dataset.extension_type",
                f"Column {column.name!r} has an extension type; nothing was imported.",
                where=Place.of(path, field=column.name),
                why="Reading such a type may run code from the file.",
                remedy="Save the column as text or numbers.",
            )


def xlsx_rows(path: Path) -> Read:
    """The first sheet, header in its first row.  Only cells that exist are read, whatever size the sheet claims."""
    check_zip(path, "Excel")
    from openpyxl import load_workbook
    from openpyxl.worksheet._reader import WorkSheetParser

    try:
        book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        with sheet._get_source() as stream:  # openpyxl's own iteration fills gaps: one far cell makes billions
            parser = WorkSheetParser(
                stream,
                sheet._shared_strings,
                data_only=True,
                epoch=book.epoch,
                date_formats=book._date_formats,
                timedelta_formats=book._timedelta_formats,
            )
            yield from _sheet_rows(parser.parse(), path)
        book.close()
    except DatasetError:
        raise
    except Exception as problem:  # openpyxl raises whatever its XML parser and its own code happen to raise
        raise _damaged(path, "Excel", f"{type(problem).__name__}: {problem}") from problem


def _sheet_rows(rows: Iterator[tuple[int, list[dict[str, Any]]]], path: Path) -> Read:
    header: dict[int, str] = {}
    for number, cells in rows:
        values = {cell["column"]: _plain(cell["value"]) for cell in cells if cell["value"] is not None}
        if not values:
            continue
        if not header:
            header = {column: str(value) for column, value in values.items()}
            if len(header) > MOST_COLUMNS:
                raise _damaged(path, "Excel", f"The first row has {len(header):,} cells; at most {MOST_COLUMNS:,} are read")
            continue
        stray = next((column for column in values if column not in header), None)
        if stray is not None:
            yield (
                number,
                f"it has a cell in column {stray}, which the header does not name",
                json.dumps(values, default=str)[:2000],
            )
        else:
            yield number, {name: values.get(column) for column, name in header.items()}, ""


def document_rows(path: Path) -> Read:
    """PDF or Word text, one row a page or paragraph, read by a child process with limits."""
    kind = "PDF" if path.suffix.lower() == ".pdf" else "Word"
    if kind == "Word":
        check_zip(path, kind)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "app.data.documents", str(path)],
            capture_output=True,
            timeout=CHILD_SECONDS,
            stdin=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parents[2],
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise _damaged(path, kind, f"It could not be read in {CHILD_SECONDS} seconds") from problem
    if done.returncode != 0:
        raise _damaged(
            path,
            kind,
            done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            and done.stderr.decode("utf-8", "replace").strip().splitlines()[-1]
            or "It needs too much memory",
        )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    if not found:
        raise DatasetError(
            "dataset.empty",
            f"The {kind} file holds no text; nothing was imported.",
            where=Place.of(path),
            why="A scanned document has pictures only.",
            remedy="Run text recognition (OCR) on it first.",
        )
    for number, record in enumerate(found, start=1):
        yield number, record, ""


READERS: dict[str, Callable[[Path], Read]] = {
    ".parquet": parquet_rows,
    ".xlsx": xlsx_rows,
    ".pdf": document_rows,
    ".docx": document_rows,
}
