"""The short ways of an import do the same as the long one: row by row, and for batches of JSON lines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.data.batches import Maker, Totals, blocks, payload_of
from app.data.encoding import line_lists, open_source
from app.data.json_reader import jsonl_rows
from app.data.line_batches import line_blocks
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
    assert Maker(mapping, "", Totals())._short(record) is not None


def _short(mapping: ColumnMapping, record: dict[str, Any]) -> bytes | str:
    try:
        return Maker(mapping, "", Totals()).make(record, "")[0]
    except BadRow as problem:
        return str(problem)


def _long(mapping: ColumnMapping, record: dict[str, Any]) -> bytes | str:
    try:
        return payload_of(to_row(record, mapping, "", mapping.used()))
    except BadRow as problem:
        return str(problem)


PLAIN_LINE = {"id": 1, "q": "x", "a": "é", "b": None, "c": 1.5, "s": "train"}
ODD_LINES: list[str | dict[str, Any]] = [
    PLAIN_LINE | {"q": ""},
    PLAIN_LINE | {"a": " \t"},
    PLAIN_LINE | {"q": 7},
    PLAIN_LINE | {"a": ["x"]},
    PLAIN_LINE | {"b": {"deep": [1]}},
    PLAIN_LINE | {"c": 1e300},
    PLAIN_LINE | {"id": 2**64 - 1},
    PLAIN_LINE | {"q": 'says "x": y'},
    PLAIN_LINE | {"b": "a\x00b"},
    PLAIN_LINE | {"q": "cafÃ©"},
    PLAIN_LINE | {"q": "zero\u200bwidth"},
    PLAIN_LINE | {"s": "Validation "},
    PLAIN_LINE | {"s": "nowhere"},
    PLAIN_LINE | {"a": "x" * 2_000_001},
    {"q": "other", "a": "columns"},
    {"a": "no question"},
    json.dumps(PLAIN_LINE).replace('"b":', '"b" :'),
    json.dumps(PLAIN_LINE).replace('"id"', '"q": "twice", "id"'),
    json.dumps(PLAIN_LINE).replace('"id"', '"q" : "twice", "id"'),
    json.dumps(PLAIN_LINE) + "\r",
]
BROKEN: list[str | dict[str, Any]] = ["", "  ", "{", "[1]", "7", '{"q": NaN, "a": "y"}', '{"q": "\\ud800", "a": "y"}', "{}"]


@pytest.mark.parametrize("mapping", [PAIR, ColumnMapping(shape="text", text="q"), TALK])
@pytest.mark.parametrize("split", ["", "s"])
@pytest.mark.parametrize("odd", [[], ODD_LINES, *([one] for one in BROKEN), BROKEN])
def test_batch_of_lines_gives_what_the_ordinary_way_gives(
    mapping: ColumnMapping, split: str, odd: list[str | dict[str, Any]], tmp_path: Path
) -> None:
    plain = [PLAIN_LINE | {"id": number, "q": f"x {number}"} for number in range(30)]
    texts = [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in [*plain[:20], *odd, *plain[20:]]]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    source = open_source(path)
    fast, slow = Totals(), Totals()
    quick = list(line_blocks(line_lists(source), source, mapping, split, fast))
    ordinary = list(blocks(jsonl_rows(source), Maker(mapping, split, slow), slow))
    assert [(one.count, one.places, one.spans, one.hashes, one.payloads, one.rejects) for one in quick] == [
        (one.count, one.places, one.spans, one.hashes, one.payloads, one.rejects) for one in ordinary
    ]
    assert fast.digest.digest() == slow.digest.digest()
    assert replace(fast, digest=None) == replace(slow, digest=None)


def test_lines_alike_do_not_go_the_ordinary_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Maker, "make", None)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"q": f"{number}", "a": "é", "id": number}) + "\n" for number in range(50)))
    source = open_source(path)
    (block,) = line_blocks(line_lists(source), source, PAIR, "", Totals())
    assert block.count == 50
