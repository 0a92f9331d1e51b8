"""JSON and JSON lines as records.  Memory is bounded by one row, whatever the file's size; bad rows keep their reasons."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from app.data.encoding import LONGEST_LINE, Source, line_lists, lines, recode
from app.errors import DatasetError, Place

Read = Iterator[tuple[int, Mapping[str, Any] | str, str | bytes]]
"""(number, record, source text) or (number, reason, source text)."""
NOT_UTF8 = "it is not UTF-8"
BLOCK = 1 << 20
WHOLE_OBJECT = 16 * 2**20
"""Bytes of a JSON file that is one object; a list may have any size."""
SPACED_COLON = re.compile(rb'"\s+:')
_BLANK = re.compile(r"\s*")
_NOT_JSON = re.compile(rb"[:\[,]\s*-?(NaN|Infinity)\b")


def jsonl_rows(source: Source) -> Read:
    """One JSON object a line.  number: the line, from 1."""
    for first, batch in line_lists(source):
        yield from rows_of_lines(source, first, batch)


def rows_of_lines(source: Source, first: int, batch: Sequence[bytes | None]) -> Read:
    """The records of some lines of a file.  first: the number of the first."""
    for number, line in enumerate(batch, start=first):
        if line is None:
            yield number, f"the line is longer than {LONGEST_LINE // 2**20} MiB", ""
        elif line and not line.isspace():
            record = parse(line)
            if record == NOT_UTF8:
                line = recode(source, line).encode()
                record = parse(line)
            yield number, record, line


def parse(line: bytes) -> dict[str, Any] | str:
    """The object a line holds, or the reason why it cannot be used."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as problem:
        return json_reason(str(problem), line)
    if type(record) is not dict:
        return "it is not a JSON object"
    if _maybe_repeated(line, record) and (key := repeated_key(line)):
        return f"the key {key!r} stands in it twice"
    return record


def json_reason(problem: str, line: bytes) -> str:
    """Why a text is not JSON, in words."""
    if _NOT_JSON.search(line):
        return "it holds NaN or Infinity, which is not JSON"
    if b"\x00" in line:
        return "it holds NUL bytes"
    if "valid UTF-8" in problem:
        return NOT_UTF8
    if "surrogate" in problem:
        return "it holds half of a surrogate pair"
    if "depth" in problem or "recursion" in problem:
        return "it is nested too deeply"
    if "unexpected end" in problem or "EOF" in problem:
        return "it ends in the middle of the object"
    return "it is not valid JSON: " + problem.partition(": line")[0]


def _maybe_repeated(line: bytes, record: dict[str, Any]) -> bool:
    """Cheap: in valid JSON each key is followed by a colon, so a repeated one leaves more colons than keys.

    As many colons as the outer object has keys: then nothing is repeated, and nothing nested has keys.  A colon after an
    escaped quote stands inside a string.  Where that count could deceive (a key that ends with a
    backslash, blanks before a colon) the slow check decides.
    """
    colons = line.count(b'":')
    if colons != len(record):
        escaped = line.count(b'\\":')
        if colons - escaped != _keys(record) or (escaped and b'\\\\":' in line):
            return True
    return (b'" ' in line or b"\t" in line or b"\r" in line) and SPACED_COLON.search(line) is not None


def _keys(value: Any) -> int:
    count, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if type(one) is dict:
            count += len(one)
            waiting.extend(one.values())
        elif type(one) is list:
            waiting.extend(one)
    return count


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
    with source.open_text() as stream:
        first = _first_sign(stream.read(BLOCK))
    if first == "[":
        yield from _list_rows(source)
    elif _is_lines(source):
        yield from jsonl_rows(source)
    else:
        yield from _object_rows(source)


def _first_sign(text: str) -> str:
    return text.lstrip("\ufeff \t\r\n")[:1]


def _is_lines(source: Source) -> bool:
    """Whether the first line alone is an object and another follows."""
    found = lines(source)
    first, second = next(found, (0, None)), next(found, (0, None))
    return first[1] is not None and second[1] is not None and isinstance(parse(first[1]), dict)


def _object_rows(source: Source) -> Read:
    with source.open_text() as stream:
        text = stream.read(WHOLE_OBJECT + 1)
    if len(text) > WHOLE_OBJECT:
        raise _bad(
            source,
            None,
            None,
            f"It is one object of more than {WHOLE_OBJECT // 2**20} MiB",
            "Save it as a list of objects, or as JSON lines (.jsonl): one object a line, any size.",
        )
    raw = text.lstrip("\ufeff").encode("utf-8", "replace")
    record = parse(raw)
    if isinstance(record, str):
        place = _place(raw)
        raise _bad(source, *place, record[:1].upper() + record[1:])
    lists = (value for value in record.values() if isinstance(value, list) and value and isinstance(value[0], dict))
    inner = [record] if "messages" in record or "conversations" in record else next(lists, [record])
    for number, one in enumerate(inner, start=1):
        yield (number, one, orjson.dumps(one)) if isinstance(one, dict) else (number, "it is not a JSON object", str(one))


def _place(raw: bytes) -> tuple[int | None, int | None]:
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        return problem.lineno, problem.colno
    return None, None


class _Window:
    """Decoded text read a block at a time; what was used is dropped, and its line breaks are counted."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.text, self.at, self.line, self.ended = stream, "", 0, 1, False
        self.more()

    def more(self) -> bool:
        """Read on (as much again as is there); False at the end of the file."""
        self.line += self.text.count("\n", 0, self.at)
        rest = self.text[self.at :]
        block = self._stream.read(max(BLOCK, len(rest)))
        self.text, self.at, self.ended = rest + block, 0, not block
        return bool(block)

    def blank(self) -> str:
        """Skip white space; the sign after it, or "" at the end."""
        while True:
            found = _BLANK.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def here(self) -> tuple[int, int]:
        """(line, column) from 1."""
        return self.line + self.text.count("\n", 0, self.at), self.at - self.text.rfind("\n", 0, self.at)


def _list_rows(source: Source) -> Read:
    """The objects of a list, one at a time.  number: place in the list, from 1."""
    with source.open_text() as stream:
        window = _Window(stream)
        window.at = len(window.text) - len(window.text.lstrip("\ufeff \t\r\n")) + 1
        number, sign = 0, window.blank()
        while sign != "]":
            number += 1
            item = _item(window, source)
            record = parse(item)
            yield number, record, item
            sign = window.blank()
            if sign == ",":
                window.at += 1
                sign = window.blank()
                sign = "" if sign == "]" else sign
            elif sign != "]":
                sign = ""
            if not sign:
                raise _bad(source, *window.here(), "The list is not closed, or a comma is missing or too many")
        window.at += 1
        if window.blank():
            raise _bad(source, *window.here(), "Something follows the list")


_DECODER = json.JSONDecoder()


def _item(window: _Window, source: Source) -> bytes:
    """The source text of the item that begins here."""
    while True:
        try:
            _, end = _DECODER.raw_decode(window.text, window.at)
            if end < len(window.text) or window.ended:
                text, window.at = window.text[window.at : end], end
                return text.encode("utf-8", "replace")
        except RecursionError as problem:
            raise _bad(source, *window.here(), "It is nested too deeply") from problem
        except ValueError as problem:
            if window.ended:
                raise _broken(window, source, problem) from problem
        if len(window.text) - window.at > LONGEST_LINE:
            raise _bad(source, *window.here(), f"One row is longer than {LONGEST_LINE // 2**20} MiB, or is not closed")
        window.more()


def _broken(window: _Window, source: Source, problem: ValueError) -> DatasetError:
    at = getattr(problem, "pos", window.at)
    window.at = min(at, len(window.text))
    reason = "The file ends in the middle of a row" if at >= len(window.text.rstrip()) else getattr(problem, "msg", str(problem))
    return _bad(source, *window.here(), reason)


def _bad(source: Source, line: int | None, column: int | None, why: str, remedy: str = "") -> DatasetError:
    return DatasetError(
        "dataset.bad_json",
        "The file is not JSON that can be read; nothing was imported.",
        where=Place.of(source.path, line, column),
        why=f"{why}.",
        remedy=remedy or "Mend the file, or save it as JSON lines so that bad rows can be set aside.",
    )
