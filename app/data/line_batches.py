"""JSON lines a batch at a time: column by column in C where rows are alike, the ordinary way for every row that is not.

Gives the same rows, reasons and warnings as ``blocks(jsonl_rows(...))``, at a third of the time
(tests/data/test_batches.py holds the two against each other).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import orjson
import xxhash

from app.data.batches import BLOCK_ROWS, EXACT, INVISIBLE, MOJIBAKE, PLAIN, Maker, Part, Totals, as_text, blocks
from app.data.encoding import Source
from app.data.json_reader import SPACED_COLON, parse, rows_of_lines
from app.data.mapping import LONGEST_TEXT, SPLIT_WORDS, BadRow, ColumnMapping
from app.store.blocks import Block

Lines = Sequence[bytes | None]
Odd = set[int]
"""Places in the batch of rows that take the ordinary way."""


def line_blocks(
    batches: Iterable[tuple[int, Lines]], source: Source, mapping: ColumnMapping, split_field: str, totals: Totals
) -> Iterator[Block]:
    """Blocks of the lines of a file (batches: as encoding.line_lists gives them); ``totals`` is up to date before each."""
    maker, columns = Maker(mapping, split_field, totals), _Columns(mapping, split_field)
    for first, lines in _at_most(BLOCK_ROWS, batches):
        part = columns.part(first, lines, maker, totals)
        if part is not None:
            yield part.close(totals)
        else:
            yield from blocks(rows_of_lines(source, first, lines), maker, totals)


def _at_most(most: int, batches: Iterable[tuple[int, Lines]]) -> Iterator[tuple[int, Lines]]:
    """The same lines, at most so many at a time."""
    for first, lines in batches:
        for start in range(0, len(lines), most):
            yield first + start, lines[start : start + most]


class _Columns:
    """Makes a batch of rows of one mapping, where most of them have the same columns with plain values."""

    def __init__(self, mapping: ColumnMapping, split_field: str) -> None:
        self._used = mapping.used()
        self._split_field = split_field
        self._needed, self._payloads = _shape(mapping)

    def part(self, first: int, lines: Lines, maker: Maker, totals: Totals) -> Part | None:
        """The rows of a batch, or None where it must go the ordinary way as a whole."""
        lines = lines[:-1] if lines and lines[-1] == b"" else lines
        if not self._needed or not lines:
            return None
        try:
            records = list(map(orjson.loads, lines))  # type: ignore[arg-type]  # None is a line too long: TypeError
        except (orjson.JSONDecodeError, TypeError):
            return None
        if set(map(type, records)) != {dict}:
            return None
        odd, names = _odd_keys(records)
        odd |= _perhaps_repeated(lines, records)  # type: ignore[arg-type]
        if not set(self._needed) <= set(names):
            return None
        self._add_odd_cells(records, names, odd)
        if 2 * len(odd) > len(lines):
            return None
        places = [place for place in range(len(records)) if place not in odd] if odd else list(range(len(records)))
        chosen = [records[place] for place in places] if odd else records
        splits = self._take_splits(chosen, names)
        payloads = self._payloads(chosen, self._needed)
        strange = _strange(payloads, totals)
        if strange or odd:
            done = {places[one]: (payloads[one], splits[one]) for one in range(len(places)) if one not in strange}
            return _mended(first, lines, done, maker)  # type: ignore[arg-type]
        return _part(range(first, first + len(lines)), payloads, splits)

    def _add_odd_cells(self, records: list[dict[str, Any]], names: tuple[str, ...], odd: Odd) -> None:
        """Find the rows with a value that is not plain (the needed ones: text with something in it)."""
        places = [place for place in range(len(records)) if place not in odd] if odd else range(len(records))
        chosen = [records[place] for place in places] if odd else records
        for name in names:
            kept = name in self._used and name not in self._needed
            is_split = bool(self._split_field) and name == self._split_field  # a column may be called ""
            test = _odd_texts if name in self._needed else _odd_splits if is_split else _odd_values
            if not kept:
                odd.update(places[one] for one in test(list(map(itemgetter(name), chosen))))

    def _take_splits(self, records: list[dict[str, Any]], names: tuple[str, ...]) -> list[str]:
        """The splits, taken out of the records."""
        if not self._split_field or self._split_field not in names:
            return [""] * len(records)
        return [SPLIT_WORDS[record.pop(self._split_field)] for record in records]


def _odd_keys(records: list[dict[str, Any]]) -> tuple[Odd, tuple[str, ...]]:
    """(places of rows with other columns than most, the columns of most)."""
    keys = list(map(tuple, records))
    if len(set(keys)) == 1:
        return set(), keys[0]
    ((most, _),) = Counter(keys).most_common(1)
    return {place for place, one in enumerate(keys) if one != most}, most


def _perhaps_repeated(lines: Sequence[bytes], records: list[dict[str, Any]]) -> Odd:
    """Rows in which a key may stand twice: other than one colon a key, or blanks before a colon."""
    text, found = b"\n".join(lines), set[int]()
    if text.count(b'":') != sum(map(len, records)):  # no row has fewer colons than keys, so equal sums are equal row by row
        found = {place for place, line in enumerate(lines) if line.count(b'":') != len(records[place])}
    if (b"\t" in text or b"\r" in text or b'" ' in text) and SPACED_COLON.search(text):
        found |= {place for place, line in enumerate(lines) if SPACED_COLON.search(line)}
    return found


def _odd_texts(column: list[Any]) -> Iterable[int]:
    if set(map(type, column)) == {str} and all(column) and not any(map(str.isspace, column)):
        return ()
    return [place for place, one in enumerate(column) if type(one) is not str or not one or one.isspace()]


def _odd_values(column: list[Any]) -> Iterable[int]:
    if set(map(type, column)) <= PLAIN:
        return ()
    return [
        place
        for place, one in enumerate(column)
        if type(one) not in PLAIN and (type(one) is not float or not -EXACT < one < EXACT)
    ]


def _odd_splits(column: list[Any]) -> Iterable[int]:
    return [place for place, one in enumerate(column) if type(one) is not str or one not in SPLIT_WORDS]


def _strange(payloads: list[bytes], totals: Totals) -> Odd:
    """Payloads that need a closer look; counts invisible characters in the others."""
    text = b"".join(payloads)
    plain = text.isascii()
    mojibake = not plain and MOJIBAKE.search(text) is not None
    found: Odd = set()
    if mojibake or (b"\\" in text and b"\\u0000" in text) or max(map(len, payloads), default=0) > LONGEST_TEXT:
        found = {
            place
            for place, one in enumerate(payloads)
            if len(one) > LONGEST_TEXT or b"\\u0000" in one or (mojibake and MOJIBAKE.search(one))
        }
    if not plain and INVISIBLE.search(text):
        totals.invisible += sum(INVISIBLE.search(one) is not None for place, one in enumerate(payloads) if place not in found)
    return found


def _part(numbers: Iterable[int], payloads: list[bytes], splits: list[str]) -> Part:
    part = Part()
    part.numbers, part.payloads, part.splits = list(numbers), payloads, splits
    part.hashes = list(map(xxhash.xxh3_128_digest, payloads))
    return part


def _mended(first: int, lines: Sequence[bytes], done: dict[int, tuple[bytes, str]], maker: Maker) -> Part:
    """The batch in order: what is done ({place: (payload, split)}), and every other row made the ordinary way."""
    rejects: list[tuple[int, str, str]] = []
    for place in range(len(lines)):
        if place in done:
            continue
        record = parse(lines[place])
        try:
            if isinstance(record, str):
                raise BadRow(record)
            done[place] = maker.make(record, lines[place])
        except BadRow as problem:
            rejects.append((first + place, str(problem), as_text("", lines[place])))
    order = sorted(done)
    part = _part([first + place for place in order], [done[place][0] for place in order], [done[place][1] for place in order])
    part.rejects = rejects
    return part


Payloads = Callable[[list[dict[str, Any]], list[str]], list[bytes]]


def _shape(mapping: ColumnMapping) -> tuple[list[str], Payloads]:
    """(columns that must hold text, a function from records and those columns to payloads); no columns: not made here."""
    if mapping.shape == "text":
        return [mapping.text], _texts
    if mapping.kind() == "prompt" and not mapping.system and mapping.prompt != mapping.answer:
        return [mapping.prompt, mapping.answer], _pairs
    return [], _texts


def _texts(records: list[dict[str, Any]], needed: list[str]) -> list[bytes]:
    """Payloads; what is left of a record is its metadata."""
    (name,) = needed
    made: list[bytes] = []
    for record in records:
        content: dict[str, Any] = {"shape": "text", "text": record.pop(name)}
        made.append(orjson.dumps(content | {"meta": record} if record else content, None, orjson.OPT_SORT_KEYS))
    return made


def _pairs(records: list[dict[str, Any]], needed: list[str]) -> list[bytes]:
    prompt, answer = needed
    dumps, ordered = orjson.dumps, orjson.OPT_SORT_KEYS
    made: list[bytes] = []
    for record in records:
        content: dict[str, Any] = {
            "messages": [{"content": record.pop(prompt), "role": "user"}, {"content": record.pop(answer), "role": "assistant"}],
            "shape": "chat",
        }
        if record:
            content["meta"] = record
        made.append(dumps(content, None, ordered))
    return made
