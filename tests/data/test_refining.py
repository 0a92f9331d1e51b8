"""Refine: repeats, leaks, empty, foreign and overlong rows go, with their reasons, and can come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.config.artifacts import Rows
from app.data import api, near
from app.data.refine_node import Refine, RefineParams
from app.errors import Cancelled, UsageError
from app.store import Store
from app.store.datasets import open_dataset
from tests.context import FakeContext
from tests.data.test_near import crowd, jaccard, shingles


def _text(start: int, length: int = 60) -> str:
    """Words that no other start shares."""
    return " ".join(f"w{start}x{number}" for number in range(length))


def _changed(text: str, words: int) -> str:
    """The text with its last words exchanged."""
    kept = text.split()
    return " ".join([*kept[: len(kept) - words], *(f"new{number}" for number in range(words))])


class Bench:
    """Imports rows and refines them through the node."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.source: Any = None

    def refine(self, rows: list[dict[str, Any]], **params: Any) -> tuple[Rows, dict[str, Any], FakeContext]:
        path = self.folder / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = api.import_file(self.store, path, name="rows")
        self.source = Rows(
            content_hash=done.content_hash, dataset=done.dataset, version=done.version, rows=done.rows, splits=done.splits
        )
        return self.again(**params)

    def again(self, **params: Any) -> tuple[Rows, dict[str, Any], FakeContext]:
        ctx = FakeContext(self.store, self.folder, inputs={"rows": self.source})
        made: dict[str, Any] = Refine(RefineParams.model_validate(params)).run(ctx)
        return made["rows"], made["report"].summary, ctx

    def removed(self, rows: Rows) -> dict[int, str]:
        with open_dataset(self.store, rows.dataset) as db:
            found = db.conn.execute(
                "SELECT position, reason FROM version_rows WHERE version = ? AND state = 'removed'", (rows.version,)
            )
            return dict(found.fetchall())

    def splits(self, rows: Rows) -> dict[int, str]:
        with open_dataset(self.store, rows.dataset) as db:
            return {row.position: row.split for row in db.iter_rows(rows.version)}


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, tmp_path)


def test_exact_repeats_go_whatever_their_case_and_blanks(bench: Bench) -> None:
    rows, report, _ = bench.refine([{"text": "The same words here"}, {"text": "the  SAME words\nhere"}, {"text": "Other words"}])
    assert bench.removed(rows) == {2: "exact_duplicate"}
    assert report["removed"] == {"exact_duplicate": 1}


def test_planted_near_repeats_are_found_at_the_threshold_and_not_below(bench: Bench) -> None:
    pairs = [(_text(start), _changed(_text(start), 3 + start % 25)) for start in range(100)]
    likeness = [jaccard(shingles(first), shingles(second)) for first, second in pairs]
    above = {2 * place + 2 for place, alike in enumerate(likeness) if alike >= 0.7}
    assert 20 < len(above) < 80, "the pairs stand on both sides of the threshold"
    rows, _, _ = bench.refine([{"text": text} for pair in pairs for text in pair])
    assert bench.removed(rows) == dict.fromkeys(above, "near_duplicate")


def test_near_repeats_stay_where_they_are_not_looked_for(bench: Bench) -> None:
    rows, _, _ = bench.refine(
        [{"text": _text(1)}, {"text": _changed(_text(1), 2)}], near_duplicates={"enabled": False}
    )
    assert bench.removed(rows) == {}


def test_rows_that_were_not_compared_with_all_are_counted_and_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WINDOW", 2), ("SMALL_GROUP", 1_000), ("MOST_FURTHER", 3)):
        monkeypatch.setattr(near, name, value)
    _, report, ctx = bench.refine([{"text": text} for text in crowd()], near_duplicates={"threshold": 0.6})
    assert report["not_all_compared"] > 0
    assert any("not every pair of them was compared" in warning for warning in report["warnings"])
    assert ctx.said("near duplicates can be left among them")


def test_of_a_leak_the_test_row_stays(bench: Bench) -> None:
    rows, report, _ = bench.refine(
        [
            {"text": _text(1), "split": "train"},
            {"text": _text(2), "split": "train"},
            {"text": _changed(_text(1), 2), "split": "test"},
            {"text": _text(2), "split": "calibration"},
            {"text": _text(9), "split": "train"},
        ]
    )
    assert bench.removed(rows) == {1: "leak", 2: "leak"}
    assert report["removed"] == {"leak": 2}
    assert bench.splits(rows) == {3: "test", 4: "calibration", 5: "train"}


def test_broken_short_and_long_rows_go_with_their_reason(bench: Bench) -> None:
    rows, _, _ = bench.refine(
        [{"text": "a good long row"}, {"text": "bro\ufffdken letters"}, {"text": "ab"}, {"text": "x" * 200}],
        min_length=5,
        max_length=100,
    )
    assert bench.removed(rows) == {2: "broken_encoding", 3: "too_short", 4: "too_long"}


def test_foreign_rows_go(bench: Bench) -> None:
    english = "The tenant shall pay the rent on the first day of every month without any deduction."
    german = "Der Mieter zahlt die Miete am ersten Tag eines jeden Monats ohne jeden Abzug an den Vermieter."
    rows, _, _ = bench.refine([{"text": english}, {"text": german}], languages=["en"])
    assert bench.removed(rows) == {2: "language"}


def test_removed_row_comes_back_and_nothing_else_changes(bench: Bench) -> None:
    first, _, _ = bench.refine([{"text": "one and the same"}, {"text": "one and the same"}, {"text": "other"}, {"text": "OTHER"}])
    assert set(bench.removed(first)) == {2, 4}
    back = api.undo(bench.store, first.dataset, first.version, [2])
    restored = Rows(content_hash=back.content_hash, dataset=back.dataset, version=back.version, rows=back.rows)
    assert bench.removed(restored) == {4: "exact_duplicate"}
    assert restored.rows == 3
    assert set(bench.removed(first)) == {2, 4}, "the earlier version is untouched"
    found = bench.store.row("SELECT shape FROM dataset_versions WHERE version = ?", (back.version,))
    assert found == {"shape": "text"}


def test_rows_of_one_group_stay_in_one_split(bench: Bench) -> None:
    given = [{"text": _text(number, 12), "case": f"case {number % 50}"} for number in range(400)]
    rows, _, _ = bench.refine(given, group_field="case", split={"test": 0.2, "calibration": 0.1})
    where: dict[int, set[str]] = {}
    for position, split in bench.splits(rows).items():
        where.setdefault((position - 1) % 50, set()).add(split)
    assert {len(splits) for splits in where.values()} == {1}
    assert set.union(*where.values()) == {"train", "calibration", "test"}
    again, _, _ = bench.again(group_field="case", split={"test": 0.2, "calibration": 0.1})
    assert again.content_hash == rows.content_hash, "the same seed divides the same way"


def test_own_split_is_kept(bench: Bench) -> None:
    rows, _, _ = bench.refine([{"text": _text(number), "split": "test" if number == 3 else "train"} for number in range(9)])
    assert rows.splits == {"train": 8, "test": 1}


def test_group_that_a_row_lacks_is_refused_and_no_version_stays(bench: Bench) -> None:
    with pytest.raises(UsageError) as caught:
        bench.refine([{"text": "a row"}], group_field="case")
    assert caught.value.code == "split.no_column"
    states = bench.store.rows("SELECT state FROM dataset_versions ORDER BY version")
    assert [row["state"] for row in states] == ["ready", "failed"]


def test_stopping_leaves_no_row_of_the_new_version(bench: Bench) -> None:
    bench.refine([{"text": _text(number, 8)} for number in range(1200)])
    ctx = FakeContext(bench.store, bench.folder, inputs={"rows": bench.source})
    ctx.cancel = "discard"
    with pytest.raises(Cancelled):
        Refine(RefineParams()).run(ctx)
    with open_dataset(bench.store, bench.source.dataset) as db:
        assert [row[0] for row in db.conn.execute("SELECT DISTINCT version FROM version_rows ORDER BY version")] == [1, 2]


@pytest.mark.parametrize("params", [{"near_duplicate": {}}, {"near_duplicates": {"treshold": 0.5}}, {"min_length": -1}])
def test_misspelt_or_impossible_parameter_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RefineParams.model_validate(params)


def test_every_kind_of_removal_is_undone_with_the_row_as_it_was(bench: Bench) -> None:
    english = "The tenant shall pay the rent on the first day of every month without any deduction."
    long = " ".join(f"In the year {year} the landlord repaired the roof and the walls." for year in range(1990, 2010))
    rows, _, _ = bench.refine(
        [
            {"text": english, "split": "test"},
            {"text": english, "split": "train"},
            {"text": long, "split": "train"},
            {"text": long.upper(), "split": "train"},
            {"text": long.removesuffix(" In the year 2009 the landlord repaired the roof and the walls."), "split": "train"},
            {"text": "\u200b\u2060 \ufeff", "split": "train"},
            {"text": "bro\ufffdken letters", "split": "train"},
            {"text": "ab", "split": "train"},
            {"text": "x" * 3000, "split": "train"},
            {"text": "Der Mieter zahlt die Miete am ersten Tag eines jeden Monats ohne jeden Abzug.", "split": "train"},
        ],
        min_length=5,
        max_length=2000,
        languages=["en"],
    )
    assert bench.removed(rows) == {
        2: "leak",
        4: "exact_duplicate",
        5: "near_duplicate",
        6: "empty",
        7: "broken_encoding",
        8: "too_short",
        9: "too_long",
        10: "language",
    }
    back = api.undo(bench.store, rows.dataset, rows.version, sorted(bench.removed(rows)))
    with open_dataset(bench.store, rows.dataset) as db:
        assert [(row.position, row.hash, row.split) for row in db.iter_rows(back.version)] == [
            (row.position, row.hash, row.split) for row in db.iter_rows(bench.source.version)
        ]
