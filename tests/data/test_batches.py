"""The short way of an import does the same as the long one, for every row that it takes."""

from __future__ import annotations

from typing import Any

import pytest

from app.data.batches import Totals, _Maker, payload_of
from app.data.mapping import BadRow, ColumnMapping, to_row

PAIR = ColumnMapping(shape="chat", prompt="q", answer="a")
TALK = ColumnMapping(shape="chat", messages="m")
TEXT = ColumnMapping(shape="text", text="t")
USER, REPLY = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}
CASES: list[tuple[ColumnMapping, dict[str, Any]]] = [
    (PAIR, {"q": "x", "a": "y"}),
    (PAIR, {"z": 1, "q": "x", "b": None, "a": "é", "c": 1.5, "d": True}),
    (PAIR, {"q": "x", "a": "y", "deep": {"b": 1, "a": [2]}}),
    (PAIR, {"q": 7, "a": "y"}),
    (PAIR, {"q": "x", "a": ""}),
    (PAIR, {"q": " ", "a": "y"}),
    (PAIR, {"q": "x"}),
    (PAIR, {"q": "x\x00", "a": "y"}),
    (PAIR, {"q": "x" * 2_000_001, "a": "y"}),
    (TALK, {"m": [USER, REPLY], "id": 3}),
    (TALK, {"m": [{"role": "system", "content": ""}, USER, REPLY]}),
    (TALK, {"m": [{"from": "human", "value": "x"}, REPLY]}),
    (TALK, {"m": [{"role": "USER", "content": "x"}, REPLY]}),
    (TALK, {"m": [REPLY]}),
    (TALK, {"m": [REPLY, USER]}),
    (TALK, {"m": []}),
    (TALK, {"m": ["x"]}),
    (TEXT, {"t": "x", "line": 2}),
    (TEXT, {"t": None}),
]


@pytest.mark.parametrize(("mapping", "record"), CASES)
def test_short_and_long_way_agree(mapping: ColumnMapping, record: dict[str, Any]) -> None:
    assert _short(mapping, record) == _long(mapping, record)


@pytest.mark.parametrize(("mapping", "record"), [CASES[0], CASES[1], CASES[9], CASES[17]])
def test_ordinary_rows_go_the_short_way(mapping: ColumnMapping, record: dict[str, Any]) -> None:
    assert _Maker(mapping, "", Totals())._short(record) is not None


def _short(mapping: ColumnMapping, record: dict[str, Any]) -> bytes | str:
    try:
        return _Maker(mapping, "", Totals()).make(record, "")[0]
    except BadRow as problem:
        return str(problem)


def _long(mapping: ColumnMapping, record: dict[str, Any]) -> bytes | str:
    try:
        return payload_of(to_row(record, mapping, "", mapping.used()))
    except BadRow as problem:
        return str(problem)
