"""Records become blocks of stored rows: mapped, checked, canonical JSON, hashed.  The inner loop of every import.

Ordinary rows take a short way that does the same as ``to_row`` and ``encode``; whatever looks unusual takes the long
one, which knows the reasons (tests/data/test_batches.py holds the two against each other).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson
import xxhash

from app.data.mapping import LONGEST_TEXT, SPLIT_WORDS, BadRow, ColumnMapping, to_row
from app.data.repair import mend_row
from app.store.blocks import Block, pack
from app.store.records import Row, encode

BLOCK_ROWS = 4000
BLOCK_BYTES = 4 * 2**20
RAW = 2_000
"""Characters of a set-aside row that are kept."""
INVISIBLE = re.compile(b"\xe2\x80[\x8b\x8e\x8f\xaa-\xae]|\xe2\x81[\xa0-\xa9]|\xef\xbb\xbf")
"""Zero-width and direction marks in UTF-8 (not the joiners, which emoji and several scripts need)."""
MOJIBAKE = re.compile(b"\xc3[\x82\x83]\xc2[\x80-\xbf]|\xc3\xa2\xe2\x82\xac|\xc3\x83\xc6\x92")
"""UTF-8 that was read as Windows-1252 and saved again."""
EXACT = 2.0**63

_LONG_INTEGER = re.compile(rb"[\[:,]\s*-?[0-9]{19,}\s*[,\]}]")

Record = tuple[int, Mapping[str, Any] | str, str | bytes]
"""(number, record, its source text if there is one) or (number, reason, source text)."""


@dataclass
class Totals:
    """What the whole import came to.  digest: over row hashes and splits in order."""

    rows: int = 0
    rejected: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    mended: int = 0
    invisible: int = 0
    first_rejects: list[tuple[int, str]] = field(default_factory=list)
    digest: Any = field(default_factory=xxhash.xxh3_128)

    def warnings(self) -> list[str]:
        """What the user should know about the rows that were kept."""
        found = []
        if self.mended:
            found.append(f"{self.mended:,} rows held garbled letters (such as Ã© for é); they were mended.")
        if self.invisible:
            found.append(f"{self.invisible:,} rows hold invisible or direction-changing characters; they were kept as they are.")
        return found

    def splits_or_none(self) -> dict[str, int]:
        """Rows of each split; empty where the source has no split."""
        return {} if set(self.splits) <= {""} else self.splits


def blocks(records: Iterable[Record], maker: Maker, totals: Totals) -> Iterator[Block]:
    """Blocks of rows; ``totals`` (the maker's too) is kept up to date before each."""
    part, digest_of = Part(), xxhash.xxh3_128_digest
    for number, record, raw in records:
        if isinstance(record, str):
            part.rejects.append((number, record, as_text(record, raw)))
            part.size += RAW
        else:
            try:
                payload, split = maker.make(record, raw)
            except BadRow as problem:
                part.rejects.append((number, str(problem), as_text(record, raw)))
                part.size += RAW
            else:
                part.numbers.append(number)
                part.payloads.append(payload)
                part.hashes.append(digest_of(payload))
                part.splits.append(split)
                part.size += len(payload)
        if part.size > BLOCK_BYTES or len(part.numbers) + len(part.rejects) >= BLOCK_ROWS:
            yield part.close(totals)
            part = Part()
    if part.numbers or part.rejects:
        yield part.close(totals)


class Part:
    """Rows of the block that is being filled, column by column."""

    __slots__ = ("hashes", "numbers", "payloads", "rejects", "size", "splits")

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.hashes: list[bytes] = []
        self.payloads: list[bytes] = []
        self.splits: list[str] = []
        self.rejects: list[tuple[int, str, str]] = []
        self.size = 0

    def close(self, totals: Totals) -> Block:
        totals.rows += len(self.numbers)
        totals.rejected += len(self.rejects)
        totals.first_rejects += [(number, reason) for number, reason, _ in self.rejects[: 10 - len(totals.first_rejects)]]
        counts = Counter(self.splits)
        for split, count in counts.items():
            totals.splits[split] = totals.splits.get(split, 0) + count
        parts = (
            self.hashes
            if counts.keys() <= {""}
            else chain.from_iterable((digest, split.encode()) for digest, split in zip(self.hashes, self.splits, strict=True))
        )
        totals.digest.update(b"".join(parts))
        clean = [(number, reason, raw.encode("utf-8", "replace").decode()) for number, reason, raw in self.rejects]
        return pack(self.numbers, self.hashes, self.payloads, self.splits, clean)


def as_text(record: Mapping[str, Any] | str, raw: str | bytes) -> str:
    """The beginning of a record as it is kept among the rows set aside: its source text, or else its JSON."""
    if isinstance(raw, bytes):
        return raw[: 4 * RAW].decode("utf-8", "replace").rstrip("\r\n")[:RAW]
    return raw[:RAW] if raw or isinstance(record, str) else json.dumps(record, default=str, ensure_ascii=False)[:RAW]


class Maker:
    """Makes the payload of a record, the short way where it can."""

    def __init__(self, mapping: ColumnMapping, split_field: str, totals: Totals) -> None:
        self._mapping, self._split_field, self._totals = mapping, split_field, totals
        self._used = mapping.used() | ({split_field} if split_field else set())
        self._known: tuple[str, ...] = ()
        self._meta: tuple[str, ...] = ()
        self._values = _getter(())
        self._quick = _quick(mapping)

    def make(self, record: Mapping[str, Any], raw: str | bytes) -> tuple[bytes, str]:
        """(payload, split).  Raises BadRow."""
        split = self._split(record) if self._split_field else ""
        payload = self._short(record) if self._quick is not None else None
        if payload is None:
            payload = self._long(record, raw)
        if not payload.isascii() and INVISIBLE.search(payload):
            self._totals.invisible += 1
        return payload, split

    def _split(self, record: Mapping[str, Any]) -> str:
        value = record.get(self._split_field)
        known = SPLIT_WORDS.get(value) if isinstance(value, str) else None
        if known is not None:
            return known
        word = str(value if value is not None else "").strip().casefold()
        if word not in SPLIT_WORDS:
            raise BadRow(f"its split is {value!r}; train, calibration or test is needed")
        return SPLIT_WORDS[word]

    def _short(self, record: Any) -> bytes | None:
        """The payload of an ordinary record, or None.  Keys are put in order here, so that orjson need not sort them."""
        columns = tuple(record)
        if columns != self._known:
            self._learn(columns)
        meta = None
        if self._meta:
            values = self._values(record)
            kinds = set(map(type, values))
            if not kinds <= PLAIN and (not kinds <= _NUMBERS or not _all_exact(values)):
                return None
            meta = dict(zip(self._meta, values))  # noqa: B905  # both come from self._meta
        content = self._quick(record, meta)
        if content is None:
            return None
        payload = orjson.dumps(content)
        if len(payload) > LONGEST_TEXT or b"\\u0000" in payload or (not payload.isascii() and MOJIBAKE.search(payload)):
            return None
        return payload

    def _learn(self, columns: tuple[str, ...]) -> None:
        self._known = columns
        self._meta = tuple(sorted(name for name in columns if name not in self._used))
        self._values = _getter(self._meta)

    def _long(self, record: Mapping[str, Any], raw: str | bytes) -> bytes:
        row = to_row(record, self._mapping, "", self._used)
        if isinstance(raw, bytes) and _LONG_INTEGER.search(raw) and (name := inexact(row.meta)):
            raise BadRow(f"{name} holds a whole number beyond 64 bits, which cannot be kept exactly")
        if mend_row(row):
            self._totals.mended += 1
        payload = payload_of(row)
        if b"\\u0000" in payload and (name := _with_nul(row.meta)):
            raise BadRow(f"{name} holds a NUL character")
        return payload


PLAIN = frozenset({str, int, bool, type(None)})
_NUMBERS = PLAIN | {float}


def _all_exact(values: Iterable[Any]) -> bool:
    return all(type(value) is not float or -EXACT < value < EXACT for value in values)


def _getter(names: tuple[str, ...]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    if len(names) == 1:
        only = names[0]
        return lambda record: (record[only],)
    return itemgetter(*names) if names else lambda _record: ()


def _quick(mapping: ColumnMapping) -> Any:
    """A function from a record and its metadata to its content, or None where the long way is needed."""
    if mapping.shape == "text":
        return _quick_text(mapping.text)
    if mapping.shape == "chat" and not mapping.system:
        if mapping.messages:
            return _quick_messages(mapping.messages)
        if not mapping.context:
            return _quick_pair(mapping.prompt, mapping.answer)
    return None


def _quick_text(name: str) -> Any:
    def make(record: dict[str, Any], meta: dict[str, Any] | None) -> dict[str, Any] | None:
        text = record.get(name)
        if type(text) is not str or not text or text.isspace():
            return None
        return {"meta": meta, "shape": "text", "text": text} if meta else {"shape": "text", "text": text}

    return make


def _quick_pair(prompt: str, answer: str) -> Any:
    def make(record: dict[str, Any], meta: dict[str, Any] | None) -> dict[str, Any] | None:
        question, reply = record.get(prompt), record.get(answer)
        if type(question) is not str or type(reply) is not str:
            return None
        if not question or not reply or question.isspace() or reply.isspace():
            return None
        messages = [{"content": question, "role": "user"}, {"content": reply, "role": "assistant"}]
        return {"messages": messages, "meta": meta, "shape": "chat"} if meta else {"messages": messages, "shape": "chat"}

    return make


def _quick_messages(name: str) -> Any:
    """Messages with role and content alone, in the canonical words; a question at least, an answer last."""

    def make(record: dict[str, Any], meta: dict[str, Any] | None) -> dict[str, Any] | None:
        value = record.get(name)
        if type(value) is not list:
            return None
        messages: list[dict[str, str]] = []
        asked, role = False, None
        for one in value:
            if type(one) is not dict or len(one) != 2:
                return None
            role, content = one.get("role"), one.get("content")
            if type(content) is not str or not content or content.isspace() or role not in _ROLES:
                return None
            asked = asked or role == "user"
            messages.append({"content": content, "role": role})
        if not asked or role != "assistant":
            return None
        return {"messages": messages, "meta": meta, "shape": "chat"} if meta else {"messages": messages, "shape": "chat"}

    return make


_ROLES = ("user", "assistant", "system")


def inexact(meta: Mapping[str, Any]) -> str:
    """The first column with a number of the size at which whole numbers are read as floats, or ""."""
    for name, value in meta.items():
        if any(isinstance(one, float) and not -EXACT < one < EXACT for one in _leaves(value)):
            return str(name)
    return ""


def _with_nul(meta: Mapping[str, Any]) -> str:
    """The first column that holds a NUL character, or ""."""
    for name, value in meta.items():
        if any(isinstance(one, str) and "\0" in one for one in _leaves(value)):
            return str(name)
    return ""


def _leaves(value: Any) -> Iterator[Any]:
    open_ = [value]
    while open_:
        one = open_.pop()
        if isinstance(one, dict | list):
            open_.extend(one.values() if isinstance(one, dict) else one)
        else:
            yield one


def payload_of(row: Row) -> bytes:
    """The canonical JSON of a row.  Raises BadRow where it has none."""
    try:
        return encode(row)[1]
    except (orjson.JSONEncodeError, RecursionError) as problem:
        reason = str(problem)
        words = (
            "it is nested too deeply"
            if "ecursion" in reason
            else "it holds half of a surrogate pair"
            if "surrogate" in reason or "UTF-8" in reason
            else reason
        )
        raise BadRow(words) from problem
