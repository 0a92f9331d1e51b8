"""Rows on their way into a dataset.  Light: the child that parses a file imports this and no database."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

SPLIT_CODES = {"": 0, "train": 1, "calibration": 2, "test": 3}
LENGTH_BITS = 25


@dataclass(slots=True)
class Block:
    """Rows on their way into a dataset, packed so that SQLite unpacks them without a Python step for each.

    places: JSON list, position * 4 + split code (SPLIT_CODES).  spans: JSON list, offset in ``payloads`` << 25 | length.
    hashes: 16 bytes a row.  rejects: (number, reason, raw text) of rows set aside.
    """

    count: int
    places: bytes
    spans: bytes
    hashes: bytes
    payloads: bytes
    rejects: Sequence[tuple[int, str, str]] = ()


def pack(
    positions: Sequence[int],
    hashes: Sequence[bytes],
    payloads: Sequence[bytes],
    splits: Sequence[str],
    rejects: Sequence[tuple[int, str, str]] = (),
) -> Block:
    """Rows, given column by column, as a block."""
    lengths = list(map(len, payloads))
    offsets = itertools.accumulate(lengths, initial=0)
    spans = [offset << LENGTH_BITS | length for length, offset in zip(lengths, offsets)]  # noqa: B905  # one offset more
    places = [position << 2 | SPLIT_CODES[split] for position, split in zip(positions, splits, strict=True)]
    return Block(len(lengths), orjson.dumps(places), orjson.dumps(spans), b"".join(hashes), b"".join(payloads), rejects)
