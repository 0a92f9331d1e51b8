"""data.assess: scores beside the rows, a report of the whole, the worst rows first; nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config.artifacts import Report, Rows
from app.data import assess as module
from app.data import browse, quality_views, search
from app.data.assess_node import Assess, AssessParams
from app.data.browse import RowFilter
from app.data.spread import sample_rows
from app.errors import Cancelled, DatasetError
from app.evaluation.likelihood import answer_nll
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.context import FakeContext, make_rows
from tests.data.served import Body, serving
from tests.tiny import tiny_llama

INSTRUCTION = "Say which kind of thing this is."
GOOD = [(f"the {size} {kind} lies on table {number}", label) for number in range(20) for size in ("red", "old")
        for kind, label in (("apple", "fruit"), ("hammer", "tool"))]
BAD = {
    "language": ("der alte Hammer liegt dort drüben auf dem Tisch neben der Tür", "tool"),
    "encoding": ("the cafÃ© apple liesâ€™ on table", "fruit"),
    "agreement": ("the old hammer lies on the table today", "fruit"),
    "repetition": ("the red apple lies and " * 3, "fruit"),
    "toxicity": ("the stupid idiot apple", "fruit"),
    "complete": ("the old apple lies on a table", '{"fruit": '),
}


def _row(question: str, answer: str, position: int) -> Row:
    return Row("chat", [{"role": "user", "content": f"{INSTRUCTION}\n\n{question}"}, {"role": "assistant", "content": answer}],
               position=position)


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Callable[..., tuple[FakeContext, dict[str, Any]]]:
    """Assess rows; the first call makes them, later ones go on with the same version."""
    made: list[Rows] = []

    def go(pairs: list[tuple[str, str]] = GOOD, *, base: str = "", cancel: Any = None, **params: Any):
        if not made:
            made.append(make_rows(store, [_row(*pair, number) for number, pair in enumerate(pairs, start=1)]))
            store.db.execute("INSERT INTO dataset_versions (dataset, version, state, rows, created) VALUES (?, 1, 'ready', ?, 0)",
                             (made[0].dataset, len(pairs)))
        ctx = FakeContext(store, tmp_path, inputs={"rows": made[0]}, base_model=base)
        ctx.cancel = cancel
        return ctx, Assess(AssessParams.model_validate({"relevance": {"rows": 0}, **params})).run(ctx)

    return go


def _scores(store: Store, rows: Rows, position: int) -> dict[str, float]:
    row = browse.whole_row(store, rows.dataset, rows.version, position, RowFilter())
    assert row is not None
    return dict(row.scores)


def test_each_kind_of_damage_shows_in_its_own_score_and_comes_first(run, store: Store) -> None:
    ctx, made = run([*GOOD, *BAD.values()])
    rows, report = made["rows"], json.loads(Path(made["assessment"].path).read_text(encoding="utf-8"))
    assert rows == ctx.input("rows")
    for position, part in enumerate(BAD, start=len(GOOD) + 1):
        found = _scores(store, rows, position)
        assert found["quality"] < 0.5, part
    worst = {one["position"]: one["part"] for one in report["worst"][: len(BAD)]}
    assert worst == dict(enumerate(BAD, start=len(GOOD) + 1))
    assert report["poor"] == len(BAD)
    assert ctx.said("6 of 86 rows are worth a look")


def test_a_sound_dataset_scores_near_100(run, store: Store) -> None:
    _, made = run()
    summary = made["assessment"].summary
    assert summary["score"] > 97
    assert summary["poor"] == 0
    assert set(summary["parts"]) == {"length", "language", "repetition", "encoding", "complete", "agreement", "toxicity"}


def test_the_window_reads_score_parts_distributions_and_worst_rows_first(run, store: Store) -> None:
    _, made = run([*GOOD, *BAD.values()])
    rows = made["rows"]
    found = quality_views.assessment(store, rows.dataset, 1)
    assert found is not None
    assert found.score == made["assessment"].summary["score"]
    assert next(one.measure.name for one in found.distributions) == "length"
    assert all(sum(one.counts) == one.rows and len(one.edges) == len(one.counts) + 1 for one in found.distributions)
    search.prepare(store, rows.dataset, 1, words=False)
    wanted = RowFilter(score="quality")
    places = browse.find(store, rows.dataset, 1, wanted).places
    values = [one.score or 0.0 for one in browse.read_rows(store, rows.dataset, 1, places, wanted)]
    assert len(set(places)) == 86
    assert values == sorted(values)
    assert quality_views.assessment(store, rows.dataset, 2) is None
    assert [one.name for one in quality_views.scores_of(store, rows.dataset)][-1] == "quality"


def test_two_rows_of_equal_content_both_stand_in_the_list(run, store: Store) -> None:
    _, made = run([*GOOD, GOOD[0]])
    search.prepare(store, made["rows"].dataset, 1, words=False)
    assert sorted(browse.find(store, made["rows"].dataset, 1, RowFilter(score="length")).places) == list(range(1, 82))


def test_a_second_assessment_replaces_the_first(run, store: Store) -> None:
    run()
    _, made = run(languages=["de"])
    assert _scores(store, made["rows"], 1)["quality"] < 0.2


def test_no_version_is_made_and_no_row_is_changed(run, store: Store) -> None:
    _, made = run([*GOOD, *BAD.values()])
    with open_dataset(store, made["rows"].dataset) as db:
        assert db.conn.execute("SELECT DISTINCT version, state FROM version_rows").fetchall() == [(1, "kept")]
    assert isinstance(made["assessment"], Report)


def test_a_row_that_cannot_be_measured_is_named(run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = module._of_text

    def breaks(row: Row, *rest: Any) -> dict[str, float]:
        if row.position == 7:
            raise ValueError("odd")
        return whole(row, *rest)

    monkeypatch.setattr(module, "_of_text", breaks)
    with pytest.raises(DatasetError, match="failed on row 7"):
        run()


def test_difficulty_is_the_ratio_of_two_losses_and_is_made_once_for_a_step_that_was_stopped(run, store: Store, tmp_path: Path,
                                                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    from app.data.base_model import BaseReader

    base = tiny_llama(tmp_path / "tiny", dtype="bfloat16")
    asked: list[int] = []
    real = BaseReader.ifd

    def ifd(self: BaseReader, rows: list[Row], alive: Callable[[], None]) -> Any:
        found = real(self, rows, alive)
        asked.extend(row.position for row in rows)
        return found

    monkeypatch.setattr(BaseReader, "ifd", ifd)
    with pytest.raises(Cancelled):
        run(base=str(base), difficulty={"rows": 80}, cancel=lambda: "save" if asked else None)
    assert len(asked) == 64
    _, made = run(base=str(base), difficulty={"rows": 80})
    assert sorted(asked) == list(range(1, 81))
    assert 0.5 < _scores(store, made["rows"], 3)["ifd"] < 2
    assert made["assessment"].summary["tokens_read"] > 0


def test_a_newer_version_of_the_node_does_not_go_on_with_scores_by_the_old_rules(run, tmp_path: Path,
                                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    from app.data.base_model import BaseReader

    base, asked = tiny_llama(tmp_path / "tiny"), list[int]()
    monkeypatch.setattr(BaseReader, "ifd", lambda _self, rows, _alive: asked.extend(row.position for row in rows) or np.zeros(len(rows), np.float32))
    with pytest.raises(Cancelled):
        run(base=str(base), difficulty={"rows": 80}, cancel=lambda: "save" if asked else None)
    asked.clear()
    monkeypatch.setattr(Assess, "version", Assess.version + 1)
    run(base=str(base), difficulty={"rows": 80})
    assert sorted(asked) == list(range(1, 81))


def test_a_stopped_step_does_not_take_scores_of_an_earlier_assessment_for_its_own(run, store: Store, tmp_path: Path,
                                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    from app.data.base_model import BaseReader

    bases, asked = [str(tiny_llama(tmp_path / name)) for name in ("first", "second")], list[int]()
    for base, value in zip(bases, (0.25, 0.75), strict=True):
        monkeypatch.setattr(BaseReader, "ifd", lambda _self, rows, _alive, value=value: asked.extend(row.position for row in rows)
                            or np.full(len(rows), value, np.float32))
        asked.clear()
        if value == 0.75:
            with pytest.raises(Cancelled):
                run(base=base, difficulty={"rows": 80}, cancel=lambda: "save" if asked else None)
            assert len(asked) == 64
        _, made = run(base=base, difficulty={"rows": 80})
    assert sorted(asked) == list(range(1, 81)), "no row is measured twice"
    assert {_scores(store, made["rows"], position)["ifd"] for position in range(1, 81)} == {0.75}


def test_a_stop_does_not_wait_for_the_model_to_read_a_block(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.data import base_model

    read: list[int] = []
    real = base_model.BaseReader._hidden
    monkeypatch.setattr(base_model, "BATCH_TOKENS", 1)  # a row
    monkeypatch.setattr(base_model.BaseReader, "_hidden", lambda self, rows: read.append(len(rows)) or real(self, rows))
    with pytest.raises(Cancelled):
        run(base=str(tiny_llama(tmp_path / "tiny")), difficulty={"rows": 80}, cancel=lambda: "save" if read else None)
    assert read == [1]


def test_difficulty_equals_the_evaluation_of_the_same_answers(store: Store, tmp_path: Path) -> None:
    import torch

    from app.data.base_model import BaseReader

    reader = BaseReader(store, tiny_llama(tmp_path / "tiny"))
    reader._model.float()
    rows = [_row(*pair, number) for number, pair in enumerate(GOOD[:5])]
    encoded = [reader.encode(row) for row in rows]
    tokenizer = reader._tokenizer
    tokenizer.padding_side = "left"

    def mean(prompts: list[list[int]]) -> list[float]:
        means = []
        for prompt, row in zip(prompts, rows, strict=True):
            sums, counts = answer_nll(reader._model, tokenizer, [prompt], [row.answer], batch=1, progress=lambda _: None)
            whole = torch.tensor([prompt + encoded[rows.index(row)].answer])
            end = -float(reader._model(whole).logits[0, -2].log_softmax(-1)[tokenizer.eos_token_id])
            means.append((sums[0] - end) / (counts[0] - 1))
        return means

    with torch.inference_mode():
        expected = [one / two for one, two in zip(mean([one.prompt for one in encoded]),
                                                  mean([[tokenizer.bos_token_id]] * len(rows)), strict=True)]
    assert reader.ifd(rows).tolist() == pytest.approx(expected, rel=1e-4)


def test_relevance_sees_an_answer_to_another_question(run, store: Store) -> None:
    topics = ("bread", "whales", "trains", "winter", "guitars", "tax law", "the moon", "coffee", "bridges", "horses", "paper", "chess",
              "bees", "glass", "opera", "volcanoes", "shoes", "cheese", "rivers", "robots")
    pairs = [(f"What do you know about {topic}?", f"I know a good deal about {topic}: there is much to say on {topic}.") for topic in topics]
    pairs[0] = (pairs[0][0], pairs[1][1])
    _, made = run(pairs, relevance={"rows": 100})
    found = [_scores(store, made["rows"], position)["relevance"] for position in range(1, len(topics) + 1)]
    assert found[0] < 1 < min(found[1:])
    assert made["assessment"].summary["worst"][0]["position"] == 1


def test_a_served_model_grades_some_rows_and_what_it_cost_is_told(run, store: Store) -> None:
    def grade(body: Body) -> Any:
        text = body["messages"][1]["content"]
        if "hammer" in text and "fruit" in text:
            return {"correct": 1, "complete": 1, "clear": 1}
        return "no json" if "table 3" in text else {"correct": 5, "complete": 5, "clear": 3}

    with serving(store, grade) as served:
        _, made = run([*GOOD, BAD["agreement"]], labels=False, judge={"rows": 100, "model": "teacher", "rubric": "Be kind."})
    summary = made["assessment"].summary
    assert "Be kind." in served.question()
    assert served.headers[0]["x-neuroweaver-step"] == "run_test/step"
    assert _scores(store, made["rows"], 1)["judge"] == pytest.approx(10 / 12)
    assert _scores(store, made["rows"], 81)["judge"] == 0
    assert "judge" not in _scores(store, made["rows"], 13)
    assert summary["worst"][0]["position"] == 81
    assert summary["asked"]["questions"] == 81
    assert summary["asked"]["unusable"] == 4


def test_what_was_told_of_a_row_stays_though_its_copies_were_not_looked_at(run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITTEN", 8)
    with serving(store, lambda _body: {"correct": 5, "complete": 5, "clear": 5}):
        ctx, made = run(GOOD[:10] * 8, labels=False, judge={"rows": 40, "model": "teacher"})
    with open_dataset(store, made["rows"].dataset) as db:
        looked_at = {row.hash for row in sample_rows(db, 1, 40, ctx.seed)}
        told = db.conn.execute("SELECT r.hash FROM rows r JOIN scores s ON s.row = r.id AND s.name = 'judge'")
        assert {digest.hex() for (digest,) in told} == looked_at


def test_no_model_is_asked_unless_it_is_wanted(run) -> None:
    _, made = run()
    assert made["assessment"].summary["asked"] is None
    assert Assess(AssessParams.model_validate({"judge": {"model": "teacher"}})).asks() == ""
