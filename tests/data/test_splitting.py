"""Splits have their shares, keep together what belongs together, and stay when the dataset grows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config.artifacts import Rows
from app.data import near
from app.data.split_node import Split, SplitParams
from app.data.splitting import assign, draw, fill
from app.errors import UsageError
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.context import FakeContext, make_rows
from tests.data.test_near import crowd

SHARES = {"test": 0.1, "calibration": 0.05}
NAMES = ("train", "test", "calibration")


def drawn(count: int, seed: int = 0) -> Any:
    return np.array([draw(seed, f"doc-{number}") for number in range(count)])


@pytest.mark.parametrize("groups", [1, 2, 3, 10, 1000])
def test_no_split_stays_empty_while_there_are_groups_enough(groups: int) -> None:
    found = Counter(assign(drawn(groups), SHARES).tolist())
    assert len(found) == min(groups, 3)
    assert found[0] == max(found.values())


def test_groups_stay_in_their_split_when_the_dataset_grows() -> None:
    assert (assign(drawn(900, 3), SHARES)[:500] == assign(drawn(500, 3), SHARES)).all()


def test_filled_shares_are_as_near_as_whole_groups_allow() -> None:
    sizes = np.array([1 + number % 7 for number in range(400)])
    chosen = fill(drawn(400), sizes, SHARES)
    rows = [int(sizes[chosen == number].sum()) / int(sizes.sum()) for number in range(3)]
    assert rows == pytest.approx([0.85, 0.1, 0.05], abs=7 / sizes.sum())


class Bench:
    """Splits rows through the node."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder

    def split(self, rows: list[Row], **params: Any) -> dict[int, str]:
        given = make_rows(self.store, rows, name=f"d{len(rows)}")
        self.store.db["dataset_versions"].insert({"dataset": given.dataset, "version": 1, "state": "ready", "rows": given.rows,
                                                  "shape": "text", "origin": "{}", "created": 0.0})
        self.ctx = FakeContext(self.store, self.folder, inputs={"rows": given})
        self.made: Any = Split(SplitParams.model_validate(params)).run(self.ctx)
        return self.places(self.made["rows"])

    def places(self, rows: Rows) -> dict[int, str]:
        with open_dataset(self.store, rows.dataset) as db:
            return {row.position: row.split for row in db.iter_rows(rows.version)}


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, tmp_path)


def text(number: int, words: int = 20, split: str = "", **meta: Any) -> Row:
    return Row("text", text=" ".join(f"w{number}x{place}" for place in range(words)), split=split, meta=meta)


def test_shares_are_about_as_asked(bench: Bench) -> None:
    found = Counter(bench.split([text(number) for number in range(2000)], shares={"test": 0.2, "calibration": 0.1}).values())
    assert 320 < found["test"] < 480
    assert 140 < found["calibration"] < 260


def test_rows_of_one_document_stay_together(bench: Bench) -> None:
    places = bench.split([text(number, document=f"d{number % 40}") for number in range(400)])
    where: dict[int, set[str]] = {}
    for position, split in places.items():
        where.setdefault((position - 1) % 40, set()).add(split)
    assert {len(splits) for splits in where.values()} == {1}
    assert set.union(*where.values()) == set(NAMES)


def test_near_duplicates_stay_together_by_a_chain_too(bench: Bench) -> None:
    windows = [Row("text", text=" ".join(f"c{chain}w{start + place}" for place in range(40))) for chain in range(120) for start in (0, 6, 12, 18)]
    places = bench.split(windows, shares={"test": 0.4})
    groups = [{places[4 * chain + step] for step in range(1, 5)} for chain in range(120)]
    assert {len(splits) for splits in groups} == {1}
    assert set.union(*groups) == {"train", "test"}
    apart = bench.split(windows, shares={"test": 0.4}, near_duplicates={"enabled": False})
    assert any(len({apart[4 * chain + step] for step in range(1, 5)}) > 1 for chain in range(120))


@pytest.mark.parametrize("most", [near.MOST_FURTHER, 3], ids=["all compared", "not all compared"])
def test_a_crowd_is_kept_together_or_it_is_said_that_it_may_not_be(bench: Bench, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(near, "WINDOW", 2)
    monkeypatch.setattr(near, "MOST_FURTHER", most)
    places = bench.split([Row("text", text=words) for words in crowd()], shares={"test": 0.4}, near_duplicates={"threshold": 0.6})
    families = [{places[number + 1] for number in range(family, 60, 3)} for family in range(3)]
    together = {len(splits) for splits in families} == {1}
    assert together != bench.ctx.said("rows that are alike can stand in different splits")


def test_document_and_its_near_duplicate_in_another_stay_together(bench: Bench) -> None:
    rows = [text(number, document=f"d{number // 5}") for number in range(200)]
    rows[3] = Row("text", text=rows[197].text + " and more", meta=rows[3].meta)
    places = bench.split(rows, shares={"test": 0.5})
    assert len({places[position] for position in (1, 2, 3, 4, 5, 196, 197, 198, 199, 200)}) == 1


def test_label_has_the_same_share_in_each_split(bench: Bench) -> None:
    rows = [text(number, label="rare" if number % 10 == 0 else "common") for number in range(1000)]
    places = bench.split(rows, stratify_field="label", shares={"test": 0.2, "calibration": 0.1})
    counts = Counter((places[number + 1], rows[number].meta["label"]) for number in range(1000))
    assert [counts[split, "rare"] for split in NAMES] == [70, 20, 10]
    assert [counts[split, "common"] for split in NAMES] == [630, 180, 90]


def test_split_that_a_row_has_stays_and_its_near_duplicate_follows(bench: Bench) -> None:
    rows = [text(number, split="test" if number < 3 else "") for number in range(60)]
    rows[50] = Row("text", text=rows[0].text + " more")
    places = bench.split(rows, shares={"calibration": 0.1})
    assert [places[position] for position in (1, 2, 3, 51)] == ["test"] * 4
    assert list(places.values()).count("test") == 4


def test_rows_are_divided_anew_where_asked(bench: Bench) -> None:
    places = bench.split([text(number, split="test") for number in range(100)], again=True)
    assert Counter(places.values())["train"] > 70


@pytest.mark.parametrize(("alike", "told"), [pytest.param(0, False, id="rows of their own"), pytest.param(150, True, id="large groups")])
def test_a_split_far_from_its_share_is_told(bench: Bench, alike: int, told: bool) -> None:
    rows = [Row("text", text=f"{text(number % 2).text} more{number}") for number in range(alike)]
    places = Counter(bench.split([*rows, *(text(number) for number in range(10, 310 - alike))], shares={"test": 0.1}).values())
    assert bench.ctx.said(f"test has {places['test']} of 300 rows, where 10% were asked for") == told
    assert (15 <= places["test"] <= 60) != told


def test_source_that_splits_a_group_is_told(bench: Bench) -> None:
    rows = [text(number, split="train") for number in range(20)]
    rows[7] = Row("text", text=rows[3].text + " more", split="test")
    bench.split(rows)
    assert bench.ctx.said("1 groups straddle")


@pytest.mark.parametrize(("params", "code"), [
    pytest.param({"shares": {"test": 0.7, "calibration": 0.4}}, "split.bad_shares", id="more than all"),
    pytest.param({"shares": {"tset": 0.1}}, "split.bad_shares", id="unknown split"),
    pytest.param({"group_field": "case"}, "split.no_column", id="unknown group"),
    pytest.param({"stratify_field": "case"}, "split.no_column", id="unknown label"),
    pytest.param({"stratify_field": "many"}, "split.too_many_values", id="no label"),
])
def test_what_does_not_fit_is_refused_and_no_version_stays(bench: Bench, params: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        bench.split([text(number, words=3, many=number) for number in range(1100)], **params)
    assert caught.value.code == code
    assert [row["state"] for row in bench.store.rows("SELECT state FROM dataset_versions WHERE version > 1")] in ([], ["failed"])
