"""A version derived row by row: what it did is counted, kept over failures and kills, and can be taken back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.config.artifacts import Rows
from app.config.node import REGISTERED, Node, Params
from app.data.derive import Derivation, undo
from app.errors import Cancelled, DatasetError, StoreError, UsageError
from app.store import Profile, Store
from app.store.datasets import open_dataset
from app.store.profile import project_dir
from app.store.records import Row
from app.store.versions import recover
from tests.context import FakeContext, make_rows


def text(words: str, split: str = "train") -> Row:
    return Row("text", text=words, meta={"page": words}, split=split)


@pytest.fixture
def rows(store: Store) -> Rows:
    given = make_rows(store, [text(f"row {number}") for number in range(1, 8)])
    store.db["dataset_versions"].insert({"dataset": given.dataset, "version": 1, "state": "ready", "rows": 7, "shape": "text",
                                         "origin": '{"file": "a.jsonl"}', "created": 0.0})
    return given


@pytest.fixture
def ctx(store: Store, tmp_path: Path) -> FakeContext:
    return FakeContext(store, tmp_path)


def derive(ctx: FakeContext, rows: Rows, **params: Any) -> Derivation:
    return Derivation(ctx, rows, node="data.test", note="Tested", params=params)


def texts(store: Store, dataset: str, version: int) -> dict[int, str]:
    with open_dataset(store, dataset) as db:
        return {row.position: row.text for row in db.iter_rows(version)}


def test_each_decision_is_in_the_version_and_in_the_report(ctx: FakeContext, rows: Rows, store: Store) -> None:
    with derive(ctx, rows) as d:
        for row in d.rows():
            if row.position == 2:
                d.remove(row, "too_short", "5 characters")
            elif row.position == 3:
                d.change(row, text("mended"), "repaired")
            elif row.position == 4:
                d.set_split(4, "test")
                d.score(row, quality=0.25)
        place = d.add(text("new"), "synthetic", "from row 1")
        made = d.finish({"own": 1})
    assert place == 8
    assert texts(store, rows.dataset, 2) == {1: "row 1", 3: "mended", 4: "row 4", 5: "row 5", 6: "row 6", 7: "row 7", 8: "new"}
    report = made["report"].summary
    assert (report["removed"], report["changed"], report["added"]) == ({"too_short": 1}, {"repaired": 1}, {"synthetic": 1})
    assert (report["own"], report["checked"], report["kept"], made["rows"].splits) == (1, 7, 7, {"train": 6, "test": 1})
    assert texts(store, rows.dataset, 1)[2] == "row 2", "the parent is untouched"
    with open_dataset(store, rows.dataset) as db:
        assert db.conn.execute("SELECT r.payload, s.name, s.value FROM scores s JOIN rows r ON r.id = s.row").fetchall() == [
            (b'{"meta":{"page":"row 4"},"shape":"text","text":"row 4"}', "quality", 0.25)]
    assert store.row("SELECT parent, note, state, removed FROM dataset_versions WHERE version = 2") == {
        "parent": 1, "note": "Tested", "state": "ready", "removed": 1}


@pytest.mark.parametrize(("positions", "expected"), [
    pytest.param([2], {2: "row 2"}, id="removed row is back"),
    pytest.param([3], {3: "row 3"}, id="changed row has its old text"),
    pytest.param([8], {8: None}, id="added row is gone"),
    pytest.param([2, 3, 8], {2: "row 2", 3: "row 3", 8: None}, id="all at once")])
def test_undo_takes_back_these_rows_alone(ctx: FakeContext, rows: Rows, store: Store, positions: list[int],
                                          expected: dict[int, str | None]) -> None:
    test_each_decision_is_in_the_version_and_in_the_report(ctx, rows, store)
    before = texts(store, rows.dataset, 2)
    made = undo(store, rows.dataset, 2, positions)
    after = texts(store, rows.dataset, made.version)
    wanted = {place: words for place, words in {**before, **expected}.items() if words is not None}
    assert after == wanted
    assert made.rows == len(wanted)


def test_undo_reaches_over_later_versions(ctx: FakeContext, rows: Rows, store: Store) -> None:
    with derive(ctx, rows) as d:
        for row in d.rows():
            if row.position == 2:
                d.remove(row, "bad")
        second = d.finish({})["rows"]
    with derive(ctx, second, other=True) as d:
        for row in d.rows():
            if row.position == 5:
                d.remove(row, "bad")
        third = d.finish({})["rows"]
    made = undo(store, third.dataset, third.version, [2])
    assert set(texts(store, rows.dataset, made.version)) == {1, 2, 3, 4, 6, 7}


def test_undo_of_an_untouched_row_is_refused_and_no_version_stays(ctx: FakeContext, rows: Rows, store: Store) -> None:
    test_each_decision_is_in_the_version_and_in_the_report(ctx, rows, store)
    with pytest.raises(UsageError, match="Row 5"):
        undo(store, rows.dataset, 2, [2, 5])
    assert store.row("SELECT state FROM dataset_versions WHERE version = 3") == {"state": "failed"}


def broken_at(ctx: FakeContext, rows: Rows, bad: int, seen: list[int], problem: Exception) -> Any:
    with derive(ctx, rows) as d:
        for row in d.rows():
            seen.append(row.position)
            d.change(row, text(f"done {row.position}"), "done")
            if row.position == bad:
                raise problem
        return d.finish({})["rows"]


def test_failure_names_the_row_keeps_the_rows_before_and_goes_on_there(ctx: FakeContext, rows: Rows, store: Store) -> None:
    seen: list[int] = []
    with pytest.raises(DatasetError, match=r"row 4.*what was done before it is kept.*ValueError: odd") as caught:
        broken_at(ctx, rows, 4, seen, ValueError("odd"))
    assert (caught.value.code, caught.value.where.field) == ("dataset.row_failed", "row 4")
    assert store.row("SELECT state FROM dataset_versions WHERE version = 2") == {"state": "paused"}
    assert texts(store, rows.dataset, 2)[4] == "row 4", "the row that failed is as it was"
    seen.clear()
    made = broken_at(ctx, rows, 0, seen, ValueError())
    assert seen == [4, 5, 6, 7], "rows that were done are not done again"
    assert texts(store, made.dataset, made.version) == {number: f"done {number}" for number in range(1, 8)}
    assert made.version == 2


@pytest.mark.parametrize(("problem", "state"), [
    pytest.param(Cancelled(save=True), "paused", id="stop and save"),
    pytest.param(Cancelled(save=False), "failed", id="stop and discard"),
    pytest.param(UsageError("x", "Does not fit."), "failed", id="parameters that do not fit"),
    pytest.param(StoreError("x", "No room."), "paused", id="disk full")])
def test_what_stays_of_a_version_that_was_cut_off(ctx: FakeContext, rows: Rows, store: Store, problem: Exception, state: str) -> None:
    with pytest.raises(type(problem)):
        broken_at(ctx, rows, 4, [], problem)
    assert store.row("SELECT state FROM dataset_versions WHERE version = 2") == {"state": state}
    with open_dataset(store, rows.dataset) as db:
        left = db.conn.execute("SELECT count(*) FROM rows").fetchone()[0]
    assert left == (10 if state == "paused" else 7)


def test_other_parameters_begin_anew_and_take_the_paused_version_out(ctx: FakeContext, rows: Rows, store: Store) -> None:
    with pytest.raises(DatasetError):
        broken_at(ctx, rows, 4, [], ValueError())
    with derive(ctx, rows, strict=True) as d:
        assert [row.position for row in d.rows()] == list(range(1, 8))
        d.finish({})
    assert store.rows("SELECT version, state FROM dataset_versions ORDER BY version") == [
        {"version": 1, "state": "ready"}, {"version": 2, "state": "failed"}, {"version": 3, "state": "ready"}]


def test_a_newer_version_of_the_node_begins_anew_and_does_not_mix_its_rules_with_the_old_ones(
        ctx: FakeContext, rows: Rows, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tested(Node[Params]):
        name, version = "data.test", 1

    monkeypatch.setitem(REGISTERED, "data.test", Tested)
    with pytest.raises(DatasetError):
        broken_at(ctx, rows, 4, [], ValueError())
    monkeypatch.setattr(Tested, "version", 2)
    seen: list[int] = []
    made = broken_at(ctx, rows, 0, seen, ValueError())
    assert (seen, made.version) == (list(range(1, 8)), 3)
    assert store.row("SELECT state FROM dataset_versions WHERE version = 2") == {"state": "failed"}


def test_taking_out_a_paused_version_leaves_rows_that_a_later_one_uses(ctx: FakeContext, rows: Rows, store: Store) -> None:
    with pytest.raises(DatasetError):
        broken_at(ctx, rows, 4, [], ValueError())
    later = Derivation(ctx, rows, node="data.other", note="Other", params={})
    with later as d:
        d.add(text("done 1"), "same content as in the paused one")
        d.add(text("its own"), "new")
        d.finish({})
    with derive(ctx, rows, strict=True) as d:
        d.finish({})
    assert list(texts(store, rows.dataset, 3).values())[-2:] == ["done 1", "its own"]


def test_nothing_left_is_refused(ctx: FakeContext, rows: Rows, store: Store) -> None:
    with pytest.raises(UsageError, match=r"every row.*bad"), derive(ctx, rows) as d:
        for row in d.rows():
            d.remove(row, "bad")
        d.finish({})
    assert store.row("SELECT state FROM dataset_versions WHERE version = 2") == {"state": "failed"}


KILLED = """
import os, signal, sys
from pathlib import Path
from app.config.artifacts import Rows
from app.data import derive
from app.store import Profile, Store
from app.store.records import Row
from tests.context import FakeContext
derive.BATCH_ROWS = 2
rows = Rows.model_validate_json(sys.argv[1])
with Store.open(Profile(Path(sys.argv[2]))) as store:
    with derive.Derivation(FakeContext(store, Path(sys.argv[3])), rows, node="data.test", note="Tested", params={}) as d:
        for row in d.rows():
            d.change(row, Row("text", text=f"done {row.position}", split="train"), "done")
            if row.position == 6:
                os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_step_goes_on_behind_what_was_written(ctx: FakeContext, rows: Rows, store: Store, profile: Profile,
                                                       tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, rows.model_dump_json(), str(profile.home), str(tmp_path)],
                          cwd=project_dir(), env=os.environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert recover(store) == [(rows.dataset, 2)]
    assert store.row("SELECT state FROM dataset_versions WHERE version = 2") == {"state": "paused"}
    seen: list[int] = []
    made = broken_at(ctx, rows, 0, seen, ValueError())
    assert 1 not in seen
    assert seen[-1] == 7
    assert texts(store, made.dataset, made.version) == {number: f"done {number}" for number in range(1, 8)}


def test_a_file_of_a_newer_version_is_refused_and_untouched(rows: Rows, store: Store) -> None:
    with open_dataset(store, rows.dataset) as db:
        db.conn.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer version"):
        open_dataset(store, rows.dataset)


_LONG = "WITH RECURSIVE t (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t WHERE i < 20000000) "


@pytest.mark.parametrize("statement", [
    pytest.param(_LONG + "SELECT count(*) FROM t", id="reading"),
    pytest.param("INSERT INTO ratings (row, rating, at) " + _LONG + "SELECT i, 1, 0 FROM t", id="writing"),
])
def test_a_statement_that_takes_long_is_stopped_and_what_was_done_is_kept(statement: str, ctx: FakeContext, rows: Rows, store: Store) -> None:
    asked: list[None] = []
    with pytest.raises(Cancelled), derive(ctx, rows) as d:
        for row in d.rows():
            d.flag(row, "seen")
        ctx.cancel = lambda: "save" if len(asked) > 3 else asked.append(None)  # type: ignore[func-returns-value]  # append gives None: that is used
        with d.db.write() as conn:
            conn.execute(statement)
    ctx.cancel = None
    with derive(ctx, rows) as d:
        assert d.resumed
        assert not list(d.rows())
        assert d.counts()["flagged"] == {"seen": 7}
        assert d.db.conn.execute("SELECT count(*) FROM ratings").fetchone() == (0,)


def test_what_is_kept_in_the_middle_of_a_row_stays_when_the_row_fails(ctx: FakeContext, rows: Rows, store: Store) -> None:
    with pytest.raises(DatasetError, match="failed on row 1"), derive(ctx, rows) as d:
        for row in d.rows():
            d.add(text("kept"), "made")
            d.keep()
            d.add(text("lost"), "made")
            raise ValueError(row.position)
    with derive(ctx, rows) as d:
        assert d.resumed
        assert [row.position for row in d.rows()] == [1, 2, 3, 4, 5, 6, 7]
        made: dict[str, Any] = d.finish({})
    assert list(texts(store, rows.dataset, made["rows"].version).values())[7:] == ["kept"]
