"""One reader a format: each yields (row number, record or reason).  A fault of the whole file is a DatasetError."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from app.data.encoding import LONGEST_LINE, Source, lines, open_source
from app.errors import DatasetError, Place

Read = Iterator[tuple[int, Mapping[str, Any] | str, str]]
"""(number, record, "") or (number, reason, raw text)."""
RAW = 2_000
"""Characters of a set-aside row that are kept."""
WHOLE_JSON = 64 * 2**20
_SPACED_COLON = re.compile(rb'"\s+:')


def jsonl_rows(source: Source) -> Read:
    """One JSON object a line."""
    for number, line in lines(source):
        if line is None:
            yield number, f"the line is longer than {LONGEST_LINE // 2**20} MiB", ""
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as problem:
            yield number, _json_reason(str(problem), line), line[:RAW].decode("utf-8", "replace")
            continue
        if not isinstance(record, dict):
            yield number, "it is not a JSON object", line[:RAW].decode("utf-8", "replace")
        elif _maybe_repeated(line, record) and (key := repeated_key(line)):
            yield number, f"the key {key!r} stands in it twice", line[:RAW].decode("utf-8", "replace")
        else:
            yield number, record, ""


def _json_reason(problem: str, line: bytes) -> str:
    if re.search(rb"[:\[,]\s*-?(NaN|Infinity)\b", line):
        return "it holds NaN or Infinity, which is not JSON"
    if "surrogate" in problem:
        return "it holds half of a surrogate pair"
    if "recursion" in problem:
        return "it is nested too deeply"
    return "it is not valid JSON: " + problem.partition(": line")[0]


def _maybe_repeated(line: bytes, record: Any) -> bool:
    """Cheap: every key of valid JSON is followed by a colon, so a repeated one leaves more colons than keys."""
    return line.count(b'":') != _keys(record) or _SPACED_COLON.search(line) is not None


def _keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_keys(inner) for inner in value.values() if isinstance(inner, dict | list))
    return sum(_keys(inner) for inner in value if isinstance(inner, dict | list)) if isinstance(value, list) else 0


def repeated_key(text: bytes) -> str:
    """The first key that stands twice in one object, or ""."""
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in items]
        if len(set(names)) != len(names):
            found.append(next(name for name in names if names.count(name) > 1))

    try:
        json.loads(text, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return ""
    return found[0] if found else ""


def json_rows(source: Source) -> Read:
    """A JSON file: a list of objects, an object that holds one list, or (by its looks) JSON lines."""
    with source.open_bytes() as stream:
        text = stream.read(WHOLE_JSON + 1)
    if len(text) > WHOLE_JSON:
        raise DatasetError(
            "dataset.too_large_json",
            "The JSON file is too large to be read whole; nothing was imported.",
            where=Place.of(source.path),
            why=f"It has more than {WHOLE_JSON // 2**20} MiB.",
            remedy="Save it as JSON lines (.jsonl): one object a line, any size.",
        )
    try:
        content = orjson.loads(text.decode(source.encoding))
    except (orjson.JSONDecodeError, UnicodeError) as problem:
        if text.lstrip().startswith(b"{") and b"\n{" in text:
            yield from jsonl_rows(source)
            return
        line = getattr(problem, "lineno", None)
        raise DatasetError(
            "dataset.bad_json",
            "The file is not valid JSON; nothing was imported.",
            where=Place.of(source.path, line, getattr(problem, "colno", None)),
            why=_json_reason(str(problem), text[-4096:]) + ".",
            remedy="Mend the file, or save it as JSON lines so that bad rows can be set aside.",
        ) from problem
    yield from _records(content, source, text)


def _records(content: Any, source: Source, text: bytes) -> Read:
    if isinstance(content, dict):
        content = next((value for value in content.values() if isinstance(value, list)), [content])
    if not isinstance(content, list):
        raise DatasetError(
            "dataset.no_rows",
            "The JSON file holds no rows; nothing was imported.",
            where=Place.of(source.path),
            why="It is neither a list of objects nor an object with one.",
            remedy="Choose another file.",
        )
    if key := repeated_key(text):
        raise DatasetError(
            "dataset.repeated_key",
            "A key stands twice in one object; nothing was imported.",
            where=Place.of(source.path, field=key),
            why="Which of the two counts cannot be told.",
            remedy="Mend the file.",
        )
    for number, record in enumerate(content, start=1):
        if isinstance(record, dict):
            yield number, record, ""
        else:
            yield number, "it is not a JSON object", str(record)[:RAW]


def csv_rows(source: Source, delimiter: str | None = None) -> Read:
    """A table with a header line.  The delimiter is recognised from it."""
    csv.field_size_limit(LONGEST_LINE)
    with source.open_text() as stream:
        head = stream.readline(LONGEST_LINE)
        mark = delimiter or max(",;\t|", key=head.count)
        stream.seek(0)
        reader = csv.reader(stream, delimiter=mark, strict=True)
        try:
            header = next(reader)
            header[0] = header[0].removeprefix("\ufeff")
            _check_header(header, source)
            start = reader.line_num + 1
            for cells in reader:
                number, start = start, reader.line_num + 1
                if len(cells) == len(header):
                    yield number, dict(zip(header, cells, strict=True)), ""
                elif any(cell.strip() for cell in cells):
                    yield number, f"it has {len(cells)} cells; the header has {len(header)}", mark.join(cells)[:RAW]
        except csv.Error as problem:
            unclosed = "unexpected end" in str(problem) or "field larger" in str(problem)
            raise DatasetError(
                "dataset.bad_csv",
                "The table cannot be read; nothing was imported.",
                where=Place.of(source.path, start if unclosed and "start" in locals() else reader.line_num),
                why="A quote is opened and never closed." if unclosed else f"{problem}.",
                remedy="Mend that line.",
            ) from problem
        except UnicodeError as problem:
            raise DatasetError(
                "dataset.bad_encoding",
                "The file changes its encoding; nothing was imported.",
                where=Place.of(source.path, reader.line_num + 1),
                why=f"{problem}.",
                remedy="Save it as UTF-8.",
            ) from problem


def _check_header(header: list[str], source: Source) -> None:
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
    """Plain text and Markdown: one row a paragraph (blank lines part them), with the line it begins on."""
    paragraph: list[str] = []
    first = 0
    with source.open_text() as stream:
        for number, line in enumerate(io.TextIOWrapper(stream.detach(), source.encoding, errors="replace"), start=1):
            if line.strip():
                first = first or number
                paragraph.append(line.rstrip())
            elif paragraph:
                yield first, {"text": "\n".join(paragraph).lstrip("\ufeff"), "line": first}, ""
                paragraph, first = [], 0
    if paragraph:
        yield first, {"text": "\n".join(paragraph).lstrip("\ufeff"), "line": first}, ""


def read_rows(path: Path) -> tuple[Read, list[str]]:
    """The rows of a file by its name's ending, and warnings.  Raises DatasetError for a kind that is not supported."""
    kind = Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if kind in (".parquet", ".xlsx", ".pdf", ".docx"):
        from app.data import containers

        return containers.READERS[kind](path), []
    readers = {
        ".jsonl": jsonl_rows,
        ".ndjson": jsonl_rows,
        ".json": json_rows,
        ".csv": csv_rows,
        ".txt": text_rows,
        ".md": text_rows,
        ".markdown": text_rows,
        ".tsv": lambda source: csv_rows(source, "\t"),
    }
    if kind not in readers:
        raise DatasetError(
            "dataset.unknown_kind",
            "Files of this kind cannot be imported.",
            where=Place.of(path),
            why=f"Its name ends in {kind or 'nothing'!r}.",
            remedy="Use CSV, TSV, JSON, JSONL, Parquet, XLSX, TXT, Markdown, PDF or DOCX; text ones also as .gz.",
        )
    source = open_source(path)
    return readers[kind](source), list(source.warnings)
