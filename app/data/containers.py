"""Parquet, Excel, PDF and Word: formats whose libraries trust what they read, so each is looked at first.

All of it runs in the child of parsing.py, which has limits on time and memory and may crash without harm.
"""

from __future__ import annotations

import datetime
import decimal
import itertools
import json
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from app.data.header import is_column_name, missing_header
from app.errors import DatasetError, Place

Read = Iterator[tuple[int, Mapping[str, Any] | str, str]]
"""Readers take the file and a list to which they add what the user should know."""
_Numbered = tuple[int, dict[int, Any]]
"""A row of a sheet: its number, and its filled cells by their column."""
MOST_UNPACKED = 1024 * 2**20
MOST_RATIO = 200
RATIO_FROM = 8 * 2**20
MOST_COLUMNS = 1000
MOST_TITLE_ROWS = 5
BATCH = 2000
HELD_WHOLE = {"xl/sharedStrings.xml": 48 * 2**20, "xl/styles.xml": 16 * 2**20, "word/document.xml": 48 * 2**20}
"""Bytes of the parts that the libraries hold in memory whole."""


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
        drive = PureWindowsPath(entry.filename).drive
        link = (entry.external_attr >> 16) & 0o170000 == 0o120000
        if name.is_absolute() or drive or ".." in name.parts or link:
            raise DatasetError(
                "dataset.unsafe_archive",
                f"The {kind} file holds a name that leads out of it; nothing was imported.",
                where=Place.of(path, field=entry.filename[:200]),
                why="Such a file was made to do harm.",
                remedy="Do not use it.",
            )
        if entry.flag_bits & 1:
            raise _damaged(path, kind, "It is encrypted with a password")
        if entry.file_size > HELD_WHOLE.get(entry.filename, MOST_UNPACKED):
            raise DatasetError(
                "dataset.too_heavy",
                f"The {kind} file needs too much memory to read; nothing was imported.",
                where=Place.of(path, field=entry.filename[:200]),
                why=f"This part has {entry.file_size / 2**20:,.0f} MiB.",
                remedy="Save the data as CSV or JSON lines.",
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
    if isinstance(value, decimal.Decimal | datetime.timedelta | uuid.UUID):
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


def parquet_rows(path: Path, _notes: list[str]) -> Read:
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


def xlsx_rows(path: Path, notes: list[str]) -> Read:
    """The first sheet, header in its first row.  Only cells that exist are read, whatever size the sheet claims."""
    check_zip(path, "Excel")
    from openpyxl import load_workbook
    from openpyxl.worksheet._reader import WorkSheetParser

    try:
        book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
        sheet, *others = book.worksheets
        notes += _unread(sheet.title, [other.title for other in others if other.max_row is None or other.max_row > 1])
        with sheet._get_source() as stream:  # openpyxl's own iteration fills gaps: one far cell makes billions
            parser = WorkSheetParser(
                stream,
                sheet._shared_strings,
                data_only=True,
                epoch=book.epoch,
                date_formats=book._date_formats,
                timedelta_formats=book._timedelta_formats,
            )
            yield from _sheet_rows(parser.parse(), path, notes)
        book.close()
    except DatasetError:
        raise
    except Exception as problem:  # openpyxl raises whatever its XML parser and its own code happen to raise
        raise _damaged(path, "Excel", f"{type(problem).__name__}: {problem}") from problem


def _unread(read: str, others: list[str]) -> list[str]:
    return [f"Only the first sheet, “{read}”, was read; “{'”, “'.join(others[:5])}” {'was' if len(others) == 1 else 'were'} not. "
            "Save a sheet as a file of its own to import it."] if others else []


def _sheet_rows(rows: Iterator[tuple[int, list[dict[str, Any]]]], path: Path, notes: list[str]) -> Read:
    header: dict[int, str] = {}
    filled = ((number, {cell["column"]: _plain(cell["value"]) for cell in cells if cell["value"] is not None}) for number, cells in rows)
    for number, values in _below_title(((number, values) for number, values in filled if values), notes):
        if not header:
            header = {column: str(value) for column, value in values.items()}
            if len(set(header.values())) < len(header):
                raise _damaged(path, "Excel", "Two columns of the first row have the same name")
            if len(header) > MOST_COLUMNS:
                raise _damaged(path, "Excel", f"The first row has {len(header):,} cells; at most {MOST_COLUMNS:,} are read")
            notes += missing_header(header.values())
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


def _below_title(rows: Iterator[_Numbered], notes: list[str]) -> Iterator[_Numbered]:
    """Without the title of a sheet: rows of one cell above the first with several, if that can be the names of the columns."""
    first = list(itertools.islice(rows, MOST_TITLE_ROWS + 1))
    title = next((place for place, (_, values) in enumerate(first) if len(values) > 1), 0)
    names = list(first[title][1].values()) if title else []
    if title and len(set(names)) == len(names) and all(isinstance(name, str) and is_column_name(name) for name in names):
        notes.append(f"“{str(*first[0][1].values())[:40]}” above the names of the columns was taken for a title, and left out.")
        first = first[title:]
    return itertools.chain(first, rows)


def document_rows(path: Path, _notes: list[str]) -> Read:
    """PDF or Word text: one row a page or a passage.  Runs in the child of parsing.py, which has limits."""
    kind = "PDF" if path.suffix.lower() == ".pdf" else "Word"
    if kind == "Word":
        check_zip(path, kind)
    from app.data.documents import pdf_pages, word_passages

    empty = True
    try:
        for number, record in pdf_pages(path) if kind == "PDF" else word_passages(path):
            empty = False
            yield number, record, record["text"]
    except Exception as problem:  # the libraries raise whatever their parsers happen to raise
        raise _damaged(path, kind, f"{type(problem).__name__}: {problem}") from problem
    if empty:
        raise DatasetError(
            "dataset.empty",
            f"The {kind} file holds no text; nothing was imported.",
            where=Place.of(path),
            why="It has no text at all; a scanned document has pictures only.",
            remedy="Run text recognition (OCR) on it first.",
        )


READERS: dict[str, Callable[[Path, list[str]], Read]] = {
    ".parquet": parquet_rows,
    ".xlsx": xlsx_rows,
    ".pdf": document_rows,
    ".docx": document_rows,
}
