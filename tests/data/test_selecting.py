"""data.select: what is chosen, what a budget ends, what stays untouched, and that it can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config.artifacts import Rows
from app.data import api, base_model, embedding, select
from app.data.select_node import Select, SelectParams
from app.errors import Cancelled, UsageError
from app.store import Store
from app.store.datasets import open_dataset, order_name
from app.store.records import Row
from app.workflow.planner import missing
from tests.context import FakeContext, make_rows
from tests.tiny import tiny_llama

KINDS = ["fruit", "tool", "animal", "town"]


def _rows() -> list[Row]:
    """80 training rows of four kinds (in turn), 10 for calibration, 10 for test."""
    splits = ["train"] * 80 + ["calibration"] * 10 + ["test"] * 10
    return [Row("chat", [{"role": "user", "content": f"{KINDS[n % 4]} {n} " + "word " * (n % 5)},
                         {"role": "assistant", "content": KINDS[n % 4]}],
                meta={"kind": KINDS[n % 4]}, split=split, position=n + 1) for n, split in enumerate(splits)]


class Bench:
    """Selects from the same version again and again."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.source: Rows = make_rows(store, _rows())
        store.db.execute("INSERT INTO dataset_versions (dataset, version, state, shape, rows, created) "
                         "VALUES (?, 1, 'ready', 'chat', 100, 0)", (self.source.dataset,))

    def run(self, *, base: str = "", seed: int = 0, cancel: Any = None, **params: Any) -> tuple[Rows, dict[str, Any]]:
        ctx = FakeContext(self.store, self.folder, inputs={"rows": self.source}, base_model=base, seed=seed)
        ctx.cancel = cancel
        made: dict[str, Any] = Select(SelectParams.model_validate(params)).run(ctx)
        return made["rows"], made["report"].summary

    def kept(self, rows: Rows, split: str = "train") -> list[int]:
        with open_dataset(self.store, rows.dataset) as db:
            return [row.position for row in db.iter_rows(rows.version, split)]

    def score(self, name: str, value: Callable[[int], float | None]) -> None:
        with open_dataset(self.store, self.source.dataset) as db:
            scores = [(row.hash, name, value(row.position)) for row in db.iter_rows(1)]
            db.put_scores((digest, name, found) for digest, name, found in scores if found is not None)


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, tmp_path)


@pytest.fixture
def by_kind(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An encoder that puts each kind on an axis of its own; counts the rows it was given."""
    given: list[int] = []

    class ByKind:
        def __init__(self, store: Store) -> None: ...

        def encode(self, texts: list[str], alive: Callable[[], None]) -> np.ndarray:
            alive()
            given.append(len(texts))
            numbers = [int(text.split()[1]) for text in texts]
            return np.stack([np.eye(8)[n % 4] + 0.001 * n * np.eye(8)[4] for n in numbers]).astype(np.float32)

    monkeypatch.setattr(embedding, "Encoder", ByKind)
    return given


def test_held_out_rows_are_never_touched_and_what_is_not_chosen_can_come_back(bench: Bench) -> None:
    rows, report = bench.run(budget={"rows": 20})
    assert rows.splits == {"train": 20, "calibration": 10, "test": 10}
    assert report["removed"] == {"not_selected": 60}
    gone = sorted(set(range(1, 81)) - set(bench.kept(rows)))
    back = api.undo(bench.store, rows.dataset, rows.version, gone[:5])
    assert back.splits["train"] == 25


def test_another_seed_chooses_other_rows(bench: Bench) -> None:
    assert bench.kept(bench.run(budget={"rows": 20})[0]) == bench.kept(bench.run(budget={"rows": 20})[0])
    assert bench.kept(bench.run(budget={"rows": 20})[0]) != bench.kept(bench.run(budget={"rows": 20}, seed=1)[0])


@pytest.mark.parametrize("by", [pytest.param("kind", id="a column"), pytest.param("", id="the answer")])
def test_strata_are_kept_in_proportion(bench: Bench, by: str) -> None:
    kept = bench.kept(bench.run(method="stratified", by=by, budget={"share": 0.25})[0])
    assert np.bincount([(position - 1) % 4 for position in kept]).tolist() == [5, 5, 5, 5]


@pytest.mark.parametrize("method", ["diverse", "clusters"])
def test_meaning_spreads_the_choice_and_is_read_once(bench: Bench, by_kind: list[int], method: str) -> None:
    kept = bench.kept(bench.run(method=method, clusters=4, budget={"rows": 4})[0])
    assert sorted((position - 1) % 4 for position in kept) == [0, 1, 2, 3]
    bench.run(method=method, budget={"rows": 8})
    assert sum(by_kind) == 80


def test_a_choice_that_was_stopped_leaves_no_version_and_keeps_what_it_read(bench: Bench, by_kind: list[int],
                                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "BLOCK_ROWS", 16)
    with pytest.raises(Cancelled):
        bench.run(method="diverse", budget={"rows": 4}, cancel=lambda: "save" if len(by_kind) == 2 else None)
    assert bench.store.row("SELECT count(*) AS n FROM dataset_versions WHERE state IN ('ready', 'writing')")["n"] == 1
    bench.run(method="diverse", budget={"rows": 4})
    assert sum(by_kind) == 80


def test_a_limit_takes_out_what_is_under_it_and_says_so_and_lets_pass_what_has_no_score(bench: Bench) -> None:
    bench.score("quality", lambda position: None if position == 1 else position / 100)
    rows, report = bench.run(at_least={"quality": 0.5})
    assert bench.kept(rows) == [1, *range(50, 81)]
    assert report["failed_limits"] == 48
    with open_dataset(bench.store, rows.dataset) as db:
        found = db.conn.execute("SELECT reason, detail FROM version_rows WHERE version = ? AND position = 2", (rows.version,)).fetchone()
    assert found == ("not_selected", "quality 0.02 is under 0.5")


@pytest.mark.parametrize("named", [
    {"at_least": {"s": 40}}, {"at_most": {"s": 40}}, {"method": "difficulty", "difficulty": {"score": "s"}},
    {"order": "easy_first", "order_by": "s"}], ids=["at least", "at most", "difficulty", "order"])
def test_a_new_assessment_is_seen_by_the_step_cache(bench: Bench, named: dict[str, Any]) -> None:
    def mark(**params: Any) -> str:
        return Select(SelectParams.model_validate(params)).heeds(bench.store, {"rows": bench.source})

    def marks() -> tuple[str, str]:
        return mark(**named), mark(budget={"rows": 5})

    bench.score("s", lambda position: position)
    first = marks()
    bench.score("other", lambda position: position)
    assert marks() == first
    bench.score("s", lambda position: 101 - position)  # the same values on other rows
    assert (marks()[0] != first[0], marks()[1] == first[1]) == (True, True)


def test_difficulty_takes_the_middle(bench: Bench) -> None:
    bench.score("ifd", lambda position: position)
    rows, _ = bench.run(method="difficulty", difficulty={"low": 0.5, "high": 0.75})
    assert set(bench.kept(rows)) <= set(range(40, 77))
    assert len(bench.kept(rows)) > 15


def test_a_stop_does_not_wait_for_the_model_to_read_a_block(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = base_model.BaseReader._hidden
    monkeypatch.setattr(base_model, "BATCH_TOKENS", 1)  # a row
    monkeypatch.setattr(base_model.BaseReader, "_hidden", lambda self, rows: read.append(len(rows)) or real(self, rows))
    with pytest.raises(Cancelled):
        bench.run(method="similar", base=str(tiny_llama(tmp_path / "tiny")), budget={"rows": 10}, cancel=lambda: "save" if read else None)
    assert read == [1]


def test_likeness_to_the_query_set_by_the_model_s_own_states(bench: Bench, tmp_path: Path) -> None:
    base = str(tiny_llama(tmp_path / "tiny"))
    rows, _ = bench.run(method="similar", base=base, budget={"rows": 10})
    assert len(bench.kept(rows)) == 10
    with open_dataset(bench.store, rows.dataset) as db:
        likeness = db.scores_of(1, "rds")
    assert len(likeness) == 80
    chosen = np.mean([likeness[position] for position in bench.kept(rows)])
    assert chosen > np.mean(list(likeness.values()))


@pytest.mark.usefixtures("by_kind")
@pytest.mark.parametrize("method", ["random", "stratified", "diverse", "clusters", "similar"])
def test_a_budget_in_tokens_is_filled_with_rows_that_are_much_shorter_than_others(bench: Bench, tmp_path: Path, method: str,
                                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "SPARE", 0.05)  # as if those in front were twenty times shorter than the average
    _, report = bench.run(base=str(tiny_llama(tmp_path / "tiny")), method=method, by="kind", budget={"tokens": 600})
    assert 500 < report["tokens"] <= 600


def test_a_budget_in_tokens_is_filled_and_not_exceeded(bench: Bench, tmp_path: Path) -> None:
    base = str(tiny_llama(tmp_path / "tiny"))
    _, report = bench.run(base=base, budget={"tokens": 600})
    assert 500 < report["tokens"] <= 600
    assert report["limit"] == "600 tokens"


def test_minutes_count_at_the_speed_that_was_measured_here(bench: Bench, tmp_path: Path) -> None:
    base = str(tiny_llama(tmp_path / "tiny"))
    with pytest.raises(UsageError, match="measured speed"):
        bench.run(base=base, budget={"minutes": 1})
    bench.store.db.execute("INSERT INTO events (run, step, at, level, kind, message, data) VALUES "
                           "('r', 's', 0, 'info', 'estimate', '', '{\"setting\": {\"model\": \"tiny\"}}')")
    for value in (1.0, 10.0, 10.0, 10.0):
        bench.store.db.execute("INSERT INTO metrics (run, step, name, value, at) VALUES ('r', 's', 'train.tokens_per_second', ?, 0)", (value,))
    _, report = bench.run(base=base, budget={"minutes": 2, "epochs": 2})
    assert 500 < report["tokens"] <= 600
    assert "measured here" in report["limit"]


def test_the_learning_order_follows_the_score_and_is_part_of_what_the_rows_are(bench: Bench) -> None:
    bench.score("length", lambda position: -position)
    easy, _ = bench.run(order="easy_first", order_by="length")
    hard, _ = bench.run(order="hard_first", order_by="length")
    assert easy.content_hash != hard.content_hash
    with open_dataset(bench.store, easy.dataset) as db:
        assert db.scores_of(easy.version, order_name(easy.version)) == {position: 81 - position for position in range(1, 81)}
        assert db.scores_of(hard.version, order_name(hard.version)) == {position: position for position in range(1, 81)}
    assert missing(bench.store, easy) is None, "the step is answered from the cache, and a run that trains on it can be resumed"
    bench.store.db.execute("UPDATE dataset_versions SET content_hash = 'other' WHERE version = ?", (easy.version,))
    assert "has changed" in str(missing(bench.store, easy))


@pytest.mark.parametrize(("params", "words"), [
    pytest.param({"at_least": {"quality": 0.5}}, "no score 'quality'", id="not assessed"),
    pytest.param({"method": "difficulty"}, "no score 'ifd'", id="no difficulty"),
    pytest.param({"order": "easy_first"}, "no score 'ifd' to order", id="no order"),
    pytest.param({"method": "stratified", "by": "colour"}, "no column or label 'colour'", id="no column"),
    pytest.param({"method": "similar", "like": "test"}, "test rows cannot", id="test rows as queries"),
    pytest.param({"method": "similar", "like": "nowhere"}, "no dataset 'nowhere'", id="unknown query set"),
])
def test_what_is_missing_is_named_and_no_version_is_made(bench: Bench, tmp_path: Path, params: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        bench.run(base=str(tiny_llama(tmp_path / "tiny")), **params)
    assert not bench.store.rows("SELECT 1 FROM dataset_versions WHERE version > 1 AND state = 'ready'")


def test_a_limit_that_no_row_passes_makes_no_version(bench: Bench) -> None:
    bench.score("quality", lambda position: 0.1)
    with pytest.raises(UsageError, match="No row passes"):
        bench.run(at_least={"quality": 0.5})


def test_columns_travel_with_the_chosen_rows(bench: Bench) -> None:
    rows, _ = bench.run(budget={"rows": 5})
    with open_dataset(bench.store, rows.dataset) as db:
        assert all(row.meta["kind"] == row.answer for row in db.iter_rows(rows.version, "train"))


