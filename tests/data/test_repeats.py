"""Of rows that repeat each other the best stays and says why; contradictions are no repeats; splits do not leak."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config.artifacts import Rows
from app.data.refine_node import Refine, RefineParams
from app.errors import Cancelled
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.context import FakeContext, make_rows

LONG = " ".join(f"word{number}" for number in range(60))


def chat(question: str, answer: str, split: str = "train", **meta: Any) -> Row:
    return Row("chat", messages=[{"role": "user", "content": question}, {"role": "assistant", "content": answer}], split=split, meta=meta)


class Bench:
    """Refines rows and reads what was decided of each."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder

    def given(self, rows: list[Row]) -> Rows:
        made = make_rows(self.store, rows)
        self.store.db["dataset_versions"].insert({"dataset": made.dataset, "version": 1, "state": "ready", "rows": made.rows,
                                                  "shape": rows[0].shape, "origin": "{}", "created": 0.0})
        return made

    def refine(self, given: Rows, **params: Any) -> Rows:
        self.ctx = FakeContext(self.store, self.folder, inputs={"rows": given})
        made: Any = Refine(RefineParams.model_validate({"split": {}, **params})).run(self.ctx)
        self.report: dict[str, Any] = made["report"].summary
        return made["rows"]  # type: ignore[no-any-return]

    def said(self, rows: Rows) -> dict[int, tuple[str, str, str]]:
        """(state, reason, detail) of each row of which something is said."""
        with open_dataset(self.store, rows.dataset) as db:
            return {position: tuple(rest) for position, *rest in db.conn.execute(
                "SELECT position, state, reason, detail FROM version_rows WHERE version = ? AND reason IS NOT NULL", (rows.version,))}

    def rate(self, rows: Rows, position: int, rating: int) -> None:
        with open_dataset(self.store, rows.dataset) as db, db.write() as conn:
            conn.execute("INSERT INTO ratings (row, rating, at) SELECT row, ?, 0 FROM version_rows WHERE version = 1 AND position = ?",
                         (rating, position))

    def score(self, rows: Rows, position: int, value: float) -> None:
        with open_dataset(self.store, rows.dataset) as db, db.write() as conn:
            conn.execute("INSERT INTO scores (row, name, value) SELECT row, 'quality', ? FROM version_rows WHERE version = 1 AND position = ?",
                         (value, position))


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, tmp_path)


def _rows(*ends: str) -> list[Row]:
    return [Row("text", text=f"{LONG} {end}", split="train", meta={"number": number}) for number, end in enumerate(ends)]


@pytest.mark.parametrize(("ends", "rated", "scored", "best", "why"), [
    pytest.param(("a.", "b.", "c."), {}, {}, 1, "first in the dataset", id="equal: the first"),
    pytest.param(("a.", "much longer b.", "c."), {}, {}, 2, "longer answer", id="longer"),
    pytest.param(("b\u00c3\u00a9 longer and longer.", "b.", "c."), {}, {}, 2, "no damaged letters, first in the dataset", id="mojibake"),
    pytest.param(("and the longer one goes on (", "b.", "c."), {}, {}, 2, "its answer does not break off, first in the dataset", id="cut off"),
    pytest.param(("a.", "much longer b.", "c."), {}, {3: 0.9, 1: 0.2}, 3, "better quality score", id="quality"),
    pytest.param(("a.", "much longer b.", "c."), {1: 1}, {3: 0.9}, 1, "rated good", id="rating before quality"),
    pytest.param(("a.", "b.", "c."), {1: -1}, {}, 2, "rated better, first in the dataset", id="rated bad"),
])
def test_best_row_stays_and_says_why(
    bench: Bench, ends: tuple[str, ...], rated: dict[int, int], scored: dict[int, float], best: int, why: str
) -> None:
    given = bench.given(_rows(*ends))
    for position, rating in rated.items():
        bench.rate(given, position, rating)
    for position, value in scored.items():
        bench.score(given, position, value)
    said = bench.said(bench.refine(given))
    others = [position for position in (1, 2, 3) if position != best]
    assert said[best] == ("kept", "best_of_repeats", f"stays for rows {others[0]}, {others[1]}: {why}")
    for other in others:
        state, reason, detail = said[other]
        assert (state, reason) == ("removed", "near_duplicate")
        assert re.match(rf"row {best}, [89]\d % alike; that row stays: ", detail)


def test_held_out_row_stays_before_a_better_one(bench: Bench) -> None:
    rows = [Row("text", text=f"{LONG} and much more words here.", split="train"), Row("text", text=f"{LONG} x", split="test")]
    given = bench.given(rows)
    bench.rate(given, 1, 1)
    said = bench.said(bench.refine(given))
    assert said[1][:2] == ("removed", "leak")
    assert said[1][2].endswith("that row stays: held out")


def test_chain_of_likenesses_removes_no_row_that_is_unlike_the_one_that_stays(bench: Bench) -> None:
    windows = [Row("text", text=" ".join(f"w{100 + start + number}" for number in range(60)), split="train") for start in (0, 8, 16)]
    said = bench.said(bench.refine(bench.given(windows)))
    assert said[2][:2] == ("removed", "near_duplicate")
    assert 3 not in said, "it is like the second row alone, and that one is gone"


def test_copies_of_a_removed_row_name_the_row_that_stays(bench: Bench) -> None:
    rows = _rows("end", "end", "a longer end here")
    said = bench.said(bench.refine(bench.given([*rows[:1], Row("text", text=rows[1].text.upper(), split="train"), rows[2]])))
    assert {position: detail.split(",")[0] for position, (_, _, detail) in said.items() if position != 3} == {1: "row 3", 2: "row 3"}


CONTRADICTION = [chat("May he let the flat?", "Yes."), chat("may he  let the flat?", "No, he may not."), chat("And the shed?", "Yes.")]


@pytest.mark.parametrize(("what", "states"), [
    pytest.param("flag", {1: "kept", 2: "kept"}, id="flag"),
    pytest.param("keep_best", {1: "removed", 2: "kept"}, id="keep the best"),
    pytest.param("remove", {1: "removed", 2: "removed"}, id="remove both"),
    pytest.param("ignore", {}, id="ignore"),
])
def test_contradictions_are_handled_as_asked(bench: Bench, what: str, states: dict[int, str]) -> None:
    said = bench.said(bench.refine(bench.given(CONTRADICTION), contradictions=what))
    assert {position: state for position, (state, _, _) in said.items()} == states
    assert all(reason == "contradictory" for _, reason, _ in said.values())
    if what == "flag":
        assert said[1][2] == "row 2 answers the same question otherwise"
        assert bench.report["flagged"] == {"contradictory": 2}
    if what == "keep_best":
        assert said[1][2] == "row 2 answers the same question otherwise and stays: longer answer"


def test_near_equal_rows_that_contradict_each_other_are_no_repeats(bench: Bench) -> None:
    said = bench.said(bench.refine(bench.given([chat(LONG, "yes"), chat(LONG, "no"), chat(LONG, "Yes!")])))
    assert said == {
        1: ("removed", "near_duplicate", "row 3, 100 % alike; that row stays: its answer does not break off"),
        2: ("kept", "contradictory", "row 3 answers the same question otherwise"),
        3: ("kept", "contradictory", "row 2 answers the same question otherwise; stays for row 1: its answer does not break off"),
    }


def test_long_answers_that_differ_in_a_word_are_repeats_and_no_contradiction(bench: Bench) -> None:
    said = bench.said(bench.refine(bench.given([chat("How?", LONG), chat("How?", f"{LONG} more")])))
    assert {position: value[:2] for position, value in said.items()} == {1: ("removed", "near_duplicate"), 2: ("kept", "best_of_repeats")}


def test_copies_of_a_contradictory_row_go_with_it(bench: Bench) -> None:
    made = bench.refine(bench.given([*CONTRADICTION, chat("MAY he let the flat?", "yes.")]), contradictions="remove")
    assert {position: value[:2] for position, value in bench.said(made).items()} == dict.fromkeys((1, 2, 4), ("removed", "contradictory"))


def test_open_question_with_many_answers_is_no_contradiction(bench: Bench) -> None:
    given = bench.given([chat("Tell me a word.", f"answer{number}") for number in range(40)])
    assert bench.said(bench.refine(given)) == {}


def test_contradiction_across_splits_is_a_leak(bench: Bench) -> None:
    said = bench.said(bench.refine(bench.given([chat(LONG, "yes", "train"), chat(LONG, "no", "test")])))
    assert said[1][:2] == ("removed", "leak")


def test_rows_without_words_repeat_only_what_is_equal(bench: Bench) -> None:
    said = bench.said(bench.refine(bench.given([Row("text", text=text) for text in ("!!!", "???", "!!!  ")])))
    assert {position: value[:2] for position, value in said.items()} == {1: ("kept", "best_of_repeats"), 3: ("removed", "exact_duplicate")}


def test_stopped_comparison_goes_on_and_decides_the_same(bench: Bench) -> None:
    given = bench.given(_rows(*(f"end {number % 7} {'x' * (number % 5)}" for number in range(700))))
    whole = bench.refine(given)
    expected = bench.said(whole)
    with open_dataset(bench.store, given.dataset) as db, db.write() as conn:
        conn.execute("DELETE FROM version_rows WHERE version = 2")
    bench.store.db.execute("DELETE FROM dataset_versions WHERE version = 2")
    ctx = FakeContext(bench.store, bench.folder, inputs={"rows": given})
    ctx.cancel = lambda: "pause" if ctx.fraction > 0.85 else None
    with pytest.raises(Cancelled):
        Refine(RefineParams(split={})).run(ctx)
    again = bench.refine(given)
    assert bench.said(again) == expected
    assert again.content_hash == whole.content_hash


# -- meaning --------------------------------------------------------------------------------------------------------------------


def _vectors(texts: list[str]) -> Any:
    """Stands in for the encoder: the first word is the meaning, the last a small change of it."""
    found = np.zeros((len(texts), 384), np.float32)
    for number, text in enumerate(texts):
        words = text.split()
        found[number, sum(map(ord, words[0])) % 200] = 1
        found[number, 200 + sum(map(ord, words[-1])) % 180] = 0.15
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def meanings(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.data import embedding

    def text_vectors(db: Any, text_of: Any, _alive: Any) -> embedding.RowVectors:
        return embedding.RowVectors(db, "test", lambda rows: _vectors([text_of(row) for row in rows]))

    monkeypatch.setattr("app.data.meaning.text_vectors", text_vectors)


@pytest.mark.usefixtures("meanings")
def test_rows_of_one_meaning_leave_the_best(bench: Bench) -> None:
    texts = ["rent is due monthly", "rent must be paid each month", "roof leaks", "rent is not due monthly", "rent is 500", "rent is 600"]
    said = bench.said(bench.refine(bench.given([Row("text", text=text, split="train") for text in texts]),
                                   semantic_duplicates={"enabled": True, "threshold": 0.9}))
    assert {position: value[:2] for position, value in said.items()} == {1: ("removed", "semantic_duplicate"), 2: ("kept", "best_of_repeats")}
    assert said[1][2].startswith("row 2, 0.9")


@pytest.mark.usefixtures("meanings")
def test_crowd_of_one_meaning_leaves_one_row_and_the_held_out_one_stays(bench: Bench) -> None:
    rows = [Row("text", text=f"rent {''.join(chr(97 + number % 26) for _ in range(number % 9 + 1))} z{chr(97 + number % 20)}{chr(97 + number // 20)}",
                split="test" if number == 70 else "train") for number in range(200)]
    made = bench.refine(bench.given(rows), near_duplicates={"enabled": False}, semantic_duplicates={"enabled": True, "threshold": 0.9})
    with open_dataset(bench.store, made.dataset) as db:
        assert [row.position for row in db.iter_rows(made.version)] == [71]
    assert set(bench.report["removed"]) <= {"leak", "exact_duplicate"}, "each names the row that stays"


def test_packaged_encoder_finds_a_paraphrase_and_spares_what_differs(bench: Bench) -> None:
    texts = ["The tenant has to pay the rent on the first day of each month.",
             "On the first day of every month the tenant must pay the rent.",
             "The tenant does not have to pay the rent on the first day of each month.",
             "The landlord repairs the roof."]
    said = bench.said(bench.refine(bench.given([Row("text", text=text) for text in texts]),
                                   semantic_duplicates={"enabled": True, "threshold": 0.9}))
    assert {position for position, value in said.items() if value[0] == "removed"} in ({1}, {2})


def test_instruction_that_questions_share_makes_no_repeats(bench: Bench) -> None:
    instruction = " ".join(f"rule{number}" for number in range(200))
    rows = [chat(f"{instruction}\n\n{' '.join(f'thing{number}x{word}' for word in range(25))}", f"answer {number}")
            for number in range(12)]
    copy = chat(rows[3].messages[0]["content"] + " please", "answer 3")
    made = bench.refine(bench.given([*rows, copy]))
    assert {position for position, (state, *_) in bench.said(made).items() if state == "removed"} == {13}


def test_rows_of_two_instructions_that_ask_about_the_same_are_not_equal(bench: Bench) -> None:
    rows = [chat(f"{LONG} {task}.\n\nthing{number}", "yes") for number in range(10) for task in ("one", "two")]
    made = bench.refine(bench.given(rows), near_duplicates={"enabled": False})
    assert bench.said(made) == {}
