"""Rows of hundreds of kilobytes: as few of them in memory as of their bytes; and samples that every seed finds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.config.artifacts import Rows
from app.data import derive, rowtext, spread
from app.data.derive import Derivation
from app.data.rowtext import in_blocks
from app.data.spread import sample_rows
from app.store import Store, datasets
from app.store.datasets import DatasetDb, open_dataset
from app.store.records import Row
from tests.context import FakeContext, make_rows

LONG, COUNT = 200_000, 200
SMALL = 1_000_000
"""Bytes that may be held at once here, where it is 16 MB else; the rows have 40 MB."""


@pytest.fixture
def rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> Rows:
    for module, name in ((datasets, "PAGE_BYTES"), (rowtext, "MOST_CHARACTERS"), (spread, "SAMPLE_BYTES"), (derive, "BATCH_BYTES")):
        monkeypatch.setattr(module, name, SMALL)
    monkeypatch.setattr(derive, "BATCH_SECONDS", 60.0)
    given = make_rows(store, (Row("text", text=f"{number} " + LONG * "x") for number in range(COUNT)))
    store.db["dataset_versions"].insert({"dataset": given.dataset, "version": 1, "state": "ready", "rows": COUNT, "shape": "text",
                                         "origin": "{}", "created": 0.0})
    return given


def pages(db: DatasetDb, _ctx: FakeContext, given: Rows) -> Iterator[Any]:
    return db.iter_rows(given.version)


def blocks(db: DatasetDb, _ctx: FakeContext, given: Rows) -> Iterator[Any]:
    return (row for block in in_blocks(db.iter_rows(given.version), COUNT) for row in block)


def sample(db: DatasetDb, _ctx: FakeContext, given: Rows) -> Iterator[Any]:
    return iter(sample_rows(db, given.version, COUNT, 0))


def change(_db: DatasetDb, ctx: FakeContext, given: Rows) -> Iterator[Any]:
    with Derivation(ctx, given, node="data.test", note="", params={}) as d:
        for row in d.rows():
            d.change(row, Row("text", text=f"{row.position} " + LONG * "y"), "changed")
            yield row
        d.finish({})


@pytest.mark.parametrize(("read", "least"), [(pages, COUNT), (blocks, COUNT), (change, COUNT), (sample, 1)])
def test_memory_is_bounded_by_bytes(store: Store, rows: Rows, tmp_path: Path, least: int,
                                    read: Callable[[DatasetDb, FakeContext, Rows], Iterator[Any]]) -> None:
    ctx = FakeContext(store, tmp_path)
    with open_dataset(store, rows.dataset) as db:
        tracemalloc.start()
        try:
            seen = sum(1 for _ in read(db, ctx, rows))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert seen >= least
    assert peak < COUNT * LONG / 2, "libraries that are loaded meanwhile take some megabytes"


@pytest.mark.parametrize("seed", [0, 42, 20261126, 2**31, 2**32 - 1])
def test_every_seed_finds_a_sample_spread_over_the_rows(store: Store, seed: int) -> None:
    given = make_rows(store, (Row("text", text=str(number)) for number in range(3000)))
    with open_dataset(store, given.dataset) as db:
        places = [row.position for row in sample_rows(db, given.version, 300, seed)]
    assert 250 < len(places) <= 300
    assert max(later - earlier for earlier, later in zip([0, *places], [*places, 3001], strict=True)) < 150
