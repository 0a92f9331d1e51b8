"""One reader a format: each yields (row number, record or reason).  A fault of the whole file is a DatasetError."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.data.encoding import LONGEST_LINE, Source, open_source, text_lines
from app.data.guard import MARK, unguarded
from app.data.header import missing_header
from app.data.json_reader import Read, json_rows, jsonl_rows
from app.errors import DatasetError, Place

PASSAGE = 1600
"""Characters of a row made from running text: paragraphs are joined up to this, so that a row has some context."""
MOST_COLUMNS = 1000
_QUOTED = re.compile(r'"[^"]*"')
_SEPARATOR = re.compile(r"sep=(.)")
"""A first line that some programs write for Excel."""


def csv_rows(source: Source, delimiter: str | None = None) -> Read:
    """A table with a header line.  The delimiter is recognised from it.  number: the line a row begins on."""
    csv.field_size_limit(LONGEST_LINE)
    mark = delimiter or _delimiter(source)
    reader = csv.reader(text_lines(source), delimiter=mark, strict=True)
    start = 1
    try:
        header = next(reader)
        if _SEPARATOR.fullmatch(mark.join(header)):
            header = next(reader)
        start, width = reader.line_num + 1, len(header)
        ours = header[-1:] == [MARK]  # a table that we exported, with guarded cells
        names = [unguarded(name) for name in header[:-1]] if ours else [
            name if name.strip() else f"column {number}" for number, name in enumerate(header, start=1)]
        _check_header(names, source)
        source.warnings.extend(missing_header(names))
        for cells in reader:
            number, start = start, reader.line_num + 1
            if len(cells) == width:
                values = map(unguarded, cells) if ours else cells
                yield number, dict(zip(names, values)), mark.join(cells)  # noqa: B905  # without the mark's own column
            elif any(cell.strip() for cell in cells):
                yield number, f"it has {len(cells)} cells; the header has {width}", mark.join(cells)
    except csv.Error as problem:
        raise _bad_table(source, problem, start, reader.line_num) from problem


def _delimiter(source: Source) -> str:
    head = next(text_lines(source), "")
    told = _SEPARATOR.fullmatch(head.strip("\r\n"))
    return told.group(1) if told else max(",;\t|", key=_QUOTED.sub("", head).count)


def _bad_table(source: Source, problem: csv.Error, start: int, line: int) -> DatasetError:
    words = str(problem)
    unclosed = "unexpected end" in words or "field larger" in words
    old_mac = "new-line character" in words
    return DatasetError(
        "dataset.bad_csv",
        "The table cannot be read; nothing was imported.",
        where=Place.of(source.path, start if unclosed else line),
        why="A quote is opened in this row and never closed." if unclosed else
        "Its lines end in a carriage return alone." if old_mac else f"{words[:1].upper()}{words[1:]}.",
        remedy="Save it again with the usual line ends." if old_mac else "Mend that line.",
    )


def _check_header(header: list[str], source: Source) -> None:
    if len(header) > MOST_COLUMNS:
        raise DatasetError(
            "dataset.too_many_columns",
            f"The table has {len(header):,} columns; nothing was imported.",
            where=Place.of(source.path, 1),
            why=f"At most {MOST_COLUMNS:,} are read.",
            remedy="Leave out the columns that are not needed.",
        )
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        raise DatasetError(
            "dataset.repeated_column",
            f"Two columns are called {repeated!r}; nothing was imported.",
            where=Place.of(source.path, 1, field=repeated),
            why="Which of the two counts cannot be told.",
            remedy="Rename one of them.",
        )


def text_rows(source: Source) -> Read:
    """Plain text: paragraphs, parted by blank lines, joined to passages.  number: of the passage, from 1."""
    name = source.path.name
    for number, (line, text) in enumerate(_passages(text_lines(source)), start=1):
        yield number, {"text": text, "document": name, "line": line}, text


def markdown_rows(source: Source) -> Read:
    """Markdown: passages as in plain text, each with the headings above it; a heading begins a new one."""
    name, trail = source.path.name, [""] * 6
    for number, (line, text) in enumerate(_passages(text_lines(source), _is_heading), start=1):
        first = text.partition("\n")[0]
        if _is_heading(first):
            level = len(first) - len(first.lstrip("#"))
            trail[level - 1 :] = [first.lstrip("#").strip()] + [""] * (6 - level)
        heading = " > ".join(part for part in trail if part)
        yield number, {"text": text, "document": name, "line": line, "heading": heading}, text


def _is_heading(line: str) -> bool:
    level = len(line) - len(line.lstrip("#"))
    return 1 <= level <= 6 and line[level : level + 1] == " "


def _passages(lines: Iterator[str], begins: Callable[[str], bool] = lambda _: False) -> Iterator[tuple[int, str]]:
    """(line, text): whole paragraphs up to PASSAGE characters; a longer paragraph is divided between lines or words."""
    kept: list[str] = []
    first, size = 0, 0
    for number, line in enumerate(lines, start=1):
        line = line.rstrip()
        full = size >= PASSAGE if line.strip() else size >= PASSAGE // 2
        if kept and (full or begins(line)):
            yield from _divided(first, kept)
            kept, size = [], 0
        if line.strip() or kept:
            first = first if kept else number
            kept.append(line)
            size += len(line) + 1
    yield from _divided(first, kept)


def _divided(first: int, kept: list[str]) -> Iterator[tuple[int, str]]:
    text = "\n".join(kept).strip("\n")
    while len(text) > 2 * PASSAGE:
        cut = text.rfind(" ", PASSAGE // 2, PASSAGE)
        cut = PASSAGE if cut < 0 else cut
        yield first, text[:cut]
        text = text[cut:].lstrip()
    if text.strip():
        yield first, text


TEXT_KINDS: dict[str, Callable[[Source], Read]] = {
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".json": json_rows,
    ".csv": csv_rows,
    ".tsv": lambda source: csv_rows(source, "\t"),
    ".txt": text_rows,
    ".md": markdown_rows,
    ".markdown": markdown_rows,
}
CONTAINERS = (".parquet", ".xlsx", ".pdf", ".docx")


@dataclass(frozen=True, slots=True)
class Rows:
    """An opened file.  fraction: how much of it was read, 0..1.

    warnings: complete once the first row was read.  late: those that only reading to the end brings.
    text: the same file from its start, where it is JSON lines in UTF-8 (read in batches); else None.
    """

    rows: Read
    warnings: list[str]
    fraction: Callable[[], float]
    late: Callable[[], list[str]]
    text: Source | None = None


def kind_of(path: Path) -> str:
    """The ending that says how to read a file; of "x.csv.gz" it is ".csv"."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def open_rows(path: Path) -> Rows:
    """The rows of a file by its name's ending.  Raises DatasetError for a kind that is not supported."""
    kind = kind_of(path)
    if kind in CONTAINERS and path.suffix.lower() != ".gz":
        from app.data import containers

        notes: list[str] = []
        return Rows(containers.READERS[kind](path, notes), notes, lambda: 0.0, list)
    if kind not in TEXT_KINDS:
        raise DatasetError(
            "dataset.unknown_kind",
            "Files of this kind cannot be imported.",
            where=Place.of(path),
            why=f"Its name ends in {path.suffix or 'nothing'!r}.",
            remedy="Use CSV, TSV, JSON, JSONL, Parquet, XLSX, TXT, Markdown, PDF or DOCX; text ones also as .gz.",
        )
    source = open_source(path)
    batched = kind in (".jsonl", ".ndjson") and source.encoding in ("utf-8", "utf-8-sig")
    return Rows(TEXT_KINDS[kind](source), source.warnings, source.fraction, source.late_warnings, source if batched else None)
