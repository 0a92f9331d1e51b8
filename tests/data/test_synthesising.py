"""Rows made by a served model: only good ones, each with its origin, none near the test rows, and nothing lost by a stop."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config.artifacts import Rows
from app.data.candidates import REASONS
from app.data.synthesise_node import Synthesise, SynthesiseParams
from app.errors import Cancelled, NeuroWeaverError, UsageError
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.context import FakeContext, make_rows
from tests.data.served import Body, Refuse, serving

PLACES = ("harbour", "library", "station", "museum", "garden", "market", "theatre", "airport", "castle", "bridge", "school", "hospital",
          "prison", "temple", "factory", "stadium", "tower", "canal", "palace", "square", "church", "quarry", "mill", "ferry")


def fact(number: int) -> str:
    place = PLACES[number % len(PLACES)]
    return f"The old {place} of district number{number} was opened in {1800 + number} by the {place} society."


def document(number: int, split: str = "train") -> Row:
    return Row("text", text=f"Chapter {number}\n\n{fact(2 * number)} {fact(2 * number + 1)}", split=split,
               meta={"licence": "CC0", "page": number})


def seed(number: int, split: str = "train") -> Row:
    return Row("chat", split=split, meta={"licence": "CC0"},
               messages=[{"role": "user", "content": f"When was the {PLACES[number % len(PLACES)]} of district number{number} opened?"},
                         {"role": "assistant", "content": f"It was opened in {1800 + number}."}])


def coded(number: int, split: str = "train") -> Row:
    quote = f"standard error {number}7"
    return Row("chat", split=split, messages=[
        {"role": "user", "content": f"The log of machine number{number} says {quote} since noon."},
        {"role": "assistant", "content": json.dumps({"quote": quote, "code": f"E{number}"})}])


def part(body: Body, name: str) -> str:
    """What stands below a heading of the prompt."""
    text = body["messages"][-1]["content"]
    return str(text.split(f"{name}:\n", 1)[1].split("\n\n")[0])


def from_sentence(body: Body) -> Any:
    words = part(body, "Fact").split()
    return {"question": f"When was {' '.join(words[:6]).lower()} opened?", "answer": " ".join(words)}


def another(body: Body) -> Any:
    """A good row from a row."""
    place = part(body, "Question").split()[-2]
    if "another question to which" in body["messages"][-1]["content"]:
        return {"question": f"In which year did {place} see its opening ceremony, they ask for seed{body['seed']}?"}
    return {"question": f"Who paid for the {place} building works of year{body['seed']}?", "answer": f"The council paid for {place}."}


class Bench:
    """Puts rows into the store and makes others from them."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.ctx = FakeContext(store, folder)
        self.source: Any = None

    def start(self, rows: list[Row]) -> Bench:
        self.source = make_rows(self.store, [Row(row.shape, row.messages, row.text, meta=row.meta, split=row.split, position=number)
                                             for number, row in enumerate(rows, start=1)])
        self.store.db["dataset_versions"].insert({"dataset": self.source.dataset, "version": 1, "state": "ready", "rows": len(rows),
                                                  "shape": rows[0].shape, "created": 0.0})
        return self

    def make(self, answer: Callable[[Body], Any], wanted: int = 8, **params: Any) -> tuple[list[Row], dict[str, Any]]:
        self.ctx = FakeContext(self.store, self.folder, inputs={"rows": self.source})
        checks = {"test_meaning": 0, **params.pop("checks", {})}
        given = SynthesiseParams.model_validate({"rows": wanted, "model": "teacher", "checks": checks, **params})
        with serving(self.store, answer):
            made: dict[str, Any] = Synthesise(given).run(self.ctx)
        return self.rows(made["rows"]), made["report"].summary

    def rows(self, version: Rows) -> list[Row]:
        with open_dataset(self.store, version.dataset) as db:
            return list(db.iter_rows(version.version, after=self.source.rows))


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, tmp_path)


def test_a_row_made_from_a_document_names_the_sentence_it_rests_on(bench: Bench) -> None:
    documents = [document(number) for number in range(6)]
    made, report = bench.start(documents).make(from_sentence, 6)
    assert (len(made), report["made"], report["passed"]) == (6, 6, 1.0)
    for row in made:
        source = next(one for one in documents if one.meta["page"] == row.meta["page"])
        start, end = map(int, row.meta["origin_span"].split("-"))
        assert source.text[start:end] == row.meta["origin_quote"]
        assert row.answer == row.meta["origin_quote"]
        assert {name: row.meta[name] for name in ("licence", "origin", "origin_method", "origin_model", "origin_prompt")} == {
            "licence": "CC0", "origin": "synthetic", "origin_method": "questions", "origin_model": "teacher@1", "origin_prompt": "questions/1"}
        assert row.meta["origin_row"]
        assert row.split == "train"


def test_new_rows_are_spread_over_the_sources_and_come_from_training_rows_alone(bench: Bench) -> None:
    rows = [document(number, "test" if number % 3 == 2 else "train") for number in range(60)]
    made, report = bench.start(rows).make(from_sentence, 20)
    pages = sorted(row.meta["page"] for row in made)
    assert len(made) == 20
    assert not [page for page in pages if page % 3 == 2]
    assert pages[0] < 10
    assert pages[-1] > 30
    assert report["sources"] == 40


@pytest.mark.parametrize(("change", "reason"), [
    pytest.param({"answer": "It was opened by King Charles with great festivities."}, "answer_not_in_source", id="invented answer"),
    pytest.param({"answer": "The harbour was opened in 1999"}, "answer_not_in_source", id="invented year"),
    pytest.param({"question": "What does the passage say about the harbour?"}, "points_at_passage", id="speaks of the passage"),
    pytest.param({"question": "The harbour was opened in 1800."}, "no_question", id="no question"),
    pytest.param({"question": "What colour do ravens have?"}, "question_not_from_source", id="another subject"),
    pytest.param({"question": "Why?"}, "too_short", id="too short"),
    pytest.param({"question": "Wann wurde der alte Hafen des Bezirks eröffnet und von welcher Gesellschaft?"}, "language", id="other language"),
    pytest.param({"answer": "I'm sorry, but as an AI I cannot say."}, "refusal", id="refusal"),
    pytest.param({"answer": "The old harbour (of district number0 was opened,"}, "incomplete", id="breaks off"),
    pytest.param({"answer": "the old harbour was " * 8}, "repetition", id="repeats itself"),
    pytest.param({"answer": "The old harb\ufffdur"}, "broken_encoding", id="broken characters"),
    pytest.param({"more": 1}, "bad_shape", id="not in its shape"),
    pytest.param({"cut": '{"question": "Wh'}, "cut_off", id="cut off"),
])
def test_a_bad_row_from_a_document_is_dropped_and_counted_by_reason(bench: Bench, change: dict[str, Any], reason: str) -> None:
    made, report = bench.start([document(0)]).make(lambda body: {**from_sentence(body), **change}, 2)
    assert not made
    assert set(report["dropped"]) == {reason}
    assert reason in REASONS
    assert report["candidates"] == report["dropped"][reason] > 0
    assert bench.ctx.said("Dropped: ")
    assert bench.ctx.said("fewer than wanted")


@pytest.mark.parametrize(("again", "kept"), [("the old harbour of district number0 was opened in 1800 by the harbour society", 2), ("in 1805", 0)])
def test_an_answer_that_the_model_would_not_give_again_is_dropped(bench: Bench, again: str, kept: int) -> None:
    def answer(body: Body) -> Any:
        return {"answer": again} if "Answer from the context" in body["messages"][-1]["content"] else from_sentence(body)

    made, report = bench.start([document(0)]).make(answer, 2, checks={"ask_back": True})
    assert len(made) == kept
    assert report["dropped"] == ({} if kept else {"asked_back": report["candidates"]})
    assert report["asked"]["questions"] == 2 * report["candidates"]


@pytest.mark.parametrize(("method", "prompt"), [("vary", "another case"), ("evolve", "harder"), ("invert", "exactly the right answer")])
def test_each_method_makes_rows_from_rows(bench: Bench, method: str, prompt: str) -> None:
    prompts: list[str] = []

    def answer(body: Body) -> Any:
        prompts.append(body["messages"][-1]["content"])
        return another(body)

    made, _ = bench.start([seed(number) for number in range(6)]).make(answer, 4, methods=[method])
    assert len(made) == 4
    assert {row.meta["origin_method"] for row in made} == {method}
    assert all(prompt in one for one in prompts)
    if method == "invert":
        assert {row.answer for row in made} <= {seed(number).answer for number in range(6)}


@pytest.mark.parametrize(("answer", "reason"), [
    pytest.param({"question": "Machine 9 says broken pipe again.", "answer": "broken pipe"}, "answer_form", id="JSON became text"),
    pytest.param({"question": "Machine 9 says broken pipe again.", "answer": '{"quote": "broken pipe"}'}, "answer_form", id="field missing"),
    pytest.param({"question": "Machine 9 says broken pipe again.", "answer": '{"quote": "broken tube", "code": "E9"}'}, "answer_quote",
                 id="quote not in the question"),
    pytest.param({"question": "Machine 9 says broken pipe again.", "answer": '{"quote": "broken pipe", "code": "E9"}'}, "", id="good"),
])
def test_a_row_from_a_row_keeps_the_form_and_the_quotes_of_its_answer(bench: Bench, answer: dict[str, Any], reason: str) -> None:
    made, report = bench.start([coded(number) for number in range(3)]).make(lambda body: answer, 1, methods=["vary"], per_source=1)
    assert set(report["dropped"]) - {"near_duplicate", "not_needed"} == ({reason} if reason else set())
    assert len(made) == (0 if reason else 1)


def test_another_question_to_a_kept_answer_must_hold_what_the_answer_quotes(bench: Bench) -> None:
    made, report = bench.start([coded(1)]).make(lambda body: {"question": "What does the machine report since noon today?"}, 1,
                                                methods=["invert"])
    assert not made
    assert set(report["dropped"]) == {"lost_words"}


def test_a_question_that_exists_or_was_just_made_is_not_made_again(bench: Bench) -> None:
    rows = [seed(number) for number in range(4)]
    made, report = bench.start(rows).make(lambda body: {"question": rows[3].prompt[0]["content"], "answer": "In 1803."}, 3, methods=["vary"])
    assert not made
    assert set(report["dropped"]) == {"near_duplicate"}
    made, report = bench.make(lambda body: {"question": "Who was the very first visitor of all?", "answer": "A sailor."}, 3, methods=["vary"])
    assert len(made) == 1
    assert set(report["dropped"]) == {"near_duplicate"}


class LetterEncoder:
    """Stands in for the sentence encoder, which takes seconds to load: texts of the same letters are alike."""

    def __init__(self, store: Store) -> None:
        pass

    def encode(self, texts: list[str]) -> Any:
        counts = np.array([[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.mark.parametrize("checks", [pytest.param({}, id="in words"), pytest.param({"test_words": 1.0, "test_meaning": 0.98}, id="in meaning")])
def test_a_row_close_to_a_held_out_row_is_dropped(bench: Bench, checks: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.data.embedding.Encoder", LetterEncoder)

    def answer(body: Body) -> Any:
        far = "Which bird built its nest below the roof?" if body["seed"] % 2 else "When was the palace of district number30 first opened?"
        return {"question": far, "answer": "That is not known."}

    held_out = Row("chat", split="test", messages=[{"role": "user", "content": "When was the palace of district number30 opened?"},
                                                    {"role": "assistant", "content": "In 1830."}])
    made, report = bench.start([seed(1), seed(2), seed(3), seed(4), held_out]).make(answer, 3, methods=["vary"], checks=checks)
    assert [row.prompt[0]["content"] for row in made] == ["Which bird built its nest below the roof?"]
    assert report["dropped"]["test_leak"] > 0


def test_words_that_every_row_shares_do_not_make_two_rows_alike(bench: Bench) -> None:
    order = "Read the following report of the harbour master carefully and answer with one short sentence in plain words: "
    rows = [Row("chat", split="test" if number == 11 else "train",
                messages=[{"role": "user", "content": order + fact(number)}, {"role": "assistant", "content": f"Number {number}."}])
            for number in range(12)]

    def answer(body: Body) -> Any:
        return {"question": f"{order}The crane of pier{body['seed']} broke down at night and nobody was hurt there.", "answer": "Number 5."}

    made, report = bench.start(rows).make(answer, 4, methods=["vary"])
    assert len(made) == 4
    assert "test_leak" not in report["dropped"]


def test_half_of_the_candidates_dropped_means_that_more_are_asked_for(bench: Bench) -> None:
    def answer(body: Body) -> Any:
        return another(body) if body["seed"] % 2 else Refuse(400, "engine_refused")

    made, report = bench.start([seed(number) for number in range(80)]).make(answer, 30)
    assert len(made) == 30
    assert report["candidates"] == report["made"] + sum(report["dropped"].values()) >= 45
    assert 0.3 < report["passed"] < 0.7
    assert Counter(row.meta["origin_method"] for row in made) == Counter({name: one["made"] for name, one in report["methods"].items()})


@pytest.mark.parametrize("rows", [pytest.param([seed(number) for number in range(40)], id="many rows"),
                                  pytest.param([Row("text", text="\n\n".join(fact(number) for number in range(80)), split="train")],
                                               id="one long document")])
def test_a_stopped_step_keeps_what_it_made_and_goes_on_there(bench: Bench, rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.data.synthesise.KEEP_SECONDS", 0.0)
    answer = from_sentence if rows[0].shape == "text" else another
    asked: list[str] = []

    def counted(body: Body) -> Any:
        asked.append(json.dumps(body["messages"]))
        return answer(body)

    def stop() -> str | None:
        return "save" if len(asked) >= 24 else None

    bench.start(rows)
    bench.ctx = FakeContext(bench.store, bench.folder, inputs={"rows": bench.source})
    bench.ctx.cancel = stop
    params = {"passages": {"size": 300, "overlap": 0}}
    given = SynthesiseParams.model_validate({"rows": 30, "model": "teacher", "checks": {"test_meaning": 0}, **params})
    with serving(bench.store, counted), pytest.raises(Cancelled):
        Synthesise(given).run(bench.ctx)
    state = bench.store.row("SELECT state FROM dataset_versions WHERE version = 2")
    assert state == {"state": "paused"}
    with open_dataset(bench.store, bench.source.dataset) as db:
        kept = len(list(db.iter_rows(2, after=bench.source.rows)))
    assert kept >= 5
    asked.clear()
    made, report = bench.make(counted, 30, **params)
    assert len(made) == report["made"] == 30
    assert len(asked) <= 45 - kept
    assert len({row.prompt[0]["content"] for row in made}) == 30
    assert report["candidates"] == report["made"] + sum(report["dropped"].values())
    assert bench.ctx.said("Going on")


def test_a_model_that_stops_answering_leaves_the_step_paused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.data.asking.PATIENCE_SECONDS", 0.05)
    asked: list[int] = []

    def answer(body: Body) -> Any:
        asked.append(1)
        return another(body) if len(asked) < 20 else Refuse(503, "engine.resting", "It rests.")

    with pytest.raises(NeuroWeaverError, match="It rests"):
        bench.start([seed(number) for number in range(40)]).make(answer, 30)
    made, _ = bench.make(another, 30)
    assert len(made) == 30
    assert bench.ctx.said("Going on")


@pytest.mark.parametrize("row", [
    pytest.param(Row("chat", split="train", messages=[*seed(1).messages, *seed(2).messages]), id="several turns"),
    pytest.param(Row("preference", split="train", messages=seed(1).prompt, chosen="a", rejected="b"), id="two answers"),
    pytest.param(Row("text", split="train", text="Contents"), id="no fact in it"),
])
def test_rows_that_are_no_source_are_passed_over(bench: Bench, row: Row) -> None:
    made, report = bench.start([row]).make(another)
    assert (made, report["candidates"]) == ([], 0)


def test_without_rows_for_training_nothing_is_asked(bench: Bench) -> None:
    with pytest.raises(UsageError, match="no row to make others from"):
        bench.start([seed(1, "test")]).make(another)


def test_rows_without_splits_are_used_with_a_warning(bench: Bench) -> None:
    made, _ = bench.start([seed(number, "") for number in range(8)]).make(another, 2)
    assert [row.split for row in made] == ["", ""]
    assert bench.ctx.said("Split them before")


def test_tokens_and_the_share_that_passed_are_told(bench: Bench) -> None:
    _, report = bench.start([seed(number) for number in range(30)]).make(another, 12)
    assert report["asked"]["tokens_out"] == 5 * report["candidates"]
    assert bench.ctx.said("12 rows made from")
    assert bench.ctx.series("synthesis.rows")
    assert 0 < bench.ctx.series("synthesis.passed")[-1] <= 1
