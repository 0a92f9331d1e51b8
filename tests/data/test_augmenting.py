"""Questions in other words: answers stay, what they quote stays, only training rows get company, nothing is replaced."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.config.artifacts import Rows
from app.data import preserving
from app.data.augment_node import Augment, AugmentParams
from app.data.rewording import RULES, reword, synonyms
from app.errors import Cancelled, NeuroWeaverError, UsageError
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.context import FakeContext, make_rows
from tests.data.served import Body, serving

QUOTE = "Order 4711 for 12,500 litres of diesel"
TEXT = ("The company needs help with a big error in the delivery of 2024-03-05. It said: Order 4711 for 12,500 litres of diesel. "
        "Several customers usually buy 10,000 litres quickly, see https://example.org/a_b and file report_v2.txt.")


def row(number: int = 1, split: str = "train", text: str = TEXT, answer: Any = None) -> Row:
    given = {"quote": QUOTE, "number": 4711} if answer is None else answer
    return Row("chat", split=split, meta={"licence": "CC0", "n": number}, position=number,
               messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"{text} Case {number}."},
                         {"role": "assistant", "content": given if isinstance(given, str) else json.dumps(given)}])


class Bench:
    """Puts rows into the store and rewords them."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.ctx = FakeContext(store, folder)
        self.source: Any = None

    def start(self, rows: list[Row]) -> Bench:
        self.source = make_rows(self.store, rows)
        self.store.db["dataset_versions"].insert({"dataset": self.source.dataset, "version": 1, "state": "ready", "rows": len(rows),
                                                  "shape": rows[0].shape, "created": 0.0})
        return self

    def reword(self, **params: Any) -> tuple[list[Row], dict[str, Any]]:
        self.ctx = FakeContext(self.store, self.folder, inputs={"rows": self.source})
        given = AugmentParams.model_validate({"share": 1.0, **params})
        made: dict[str, Any] = Augment(given).run(self.ctx)
        return self.added(made["rows"]), made["report"].summary

    def added(self, version: Rows) -> list[Row]:
        with open_dataset(self.store, version.dataset) as db:
            return list(db.iter_rows(version.version, after=self.source.rows))


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, tmp_path)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(5))
def test_a_rule_changes_the_text_and_leaves_quotes_codes_and_addresses(rule: str, seed: int) -> None:
    kept = list(preserving.places(QUOTE, TEXT))
    changed = reword(TEXT, rule, random.Random(seed), kept, 0.3)
    assert changed != TEXT
    assert QUOTE in changed
    for code in ("https://example.org/a_b", "report_v2.txt"):
        assert code in changed
    assert re.sub(r"\s", "", changed).lower() == re.sub(r"\s", "", TEXT).lower() or rule in ("synonym", "typos", "numbers")
    assert changed == reword(TEXT, rule, random.Random(seed), kept, 0.3)


@pytest.mark.parametrize(("before", "after"), [
    ("It cost 1,234,567.50 in all", "It cost 1234567.50 in all"), ("due 2024-03-05.", "due 5 March 2024."), ("on 5 March 2024", "on 2024-03-05"),
    ("Zip 90210", "Zip 90210"), ("1.234,5 kg", "1.234,5 kg"), ("05/03/2024", "05/03/2024"), ("v1,000b", "v1,000b"), ("2024-13-05", "2024-13-05")])
def test_numbers_and_dates_change_their_form_only_where_it_is_certain(before: str, after: str) -> None:
    assert reword(before, "numbers", random.Random(0), [], 1.0) == after


def test_synonyms_come_in_groups_and_never_stand_for_themselves() -> None:
    groups = synonyms()
    assert len(groups) > 150
    assert all(others and word not in others for word, others in groups.items())
    assert all(word in groups[other] for word in ("big", "errors", "usually") for other in groups[word])


@pytest.mark.parametrize(("answer", "kept"), [
    pytest.param('{"quote": "two words", "code": "E11.9"}', ["two words", "E11.9"], id="fields of JSON"),
    pytest.param("It was E11.9 in Berlin, not in Rome.", ["Berlin", "E11.9"], id="codes and names of a sentence"),
    pytest.param("two words", ["two words"], id="an answer that is a quote"),
    pytest.param("Yes", [], id="nothing of it"),
    pytest.param('{"list": [{"n": 11}], "b": true}', [], id="part of a number is no number"),
])
def test_what_an_answer_needs_of_its_question_is_found(answer: str, kept: list[str]) -> None:
    assert preserving.kept_words("She wrote two words about E11.9 in Berlin; 2011.", answer) == kept


@pytest.mark.parametrize(("changed", "lost"), [
    pytest.param("What says clause 112?", "12", id="part of another number"), pytest.param("What says clause 12?", None, id="still there"),
    pytest.param("What says clause XII?", "12", id="gone")])
def test_what_an_answer_needs_must_stand_by_itself(changed: str, lost: str | None) -> None:
    assert preserving.lost("What does clause 12 say?", "Clause 12 says that rent falls due monthly.", changed) == lost


@pytest.mark.parametrize(("answer", "same"), [('{"b": 2, "a": "x"}', True), ('{"a": "x"}', False), ('{"a": 1, "b": 2}', False), ("text", False),
                                             ('{"a": "x", "b": 2', False), ('[1]', False)])
def test_the_form_of_a_json_answer_is_its_keys_and_kinds(answer: str, same: bool) -> None:
    assert preserving.same_form(answer, '{"a": "y", "b": 1.5}') is same


@pytest.mark.parametrize("text", ["a" * 20_000, "1" * 20_000, "A." * 10_000, "A-a" * 6_000, "{" * 20_000, " " * 20_000, "\u200b\u202e" * 9_000,
                                  "Straße İstanbul ﬁn " * 900])
def test_hostile_texts_take_no_longer_than_others(text: str) -> None:
    assert isinstance(preserving.kept_words(text, text[::-1]), list)
    for rule in RULES:
        assert isinstance(reword(text, rule, random.Random(0), [], 1.0), str)


def test_rows_are_added_and_none_is_changed(bench: Bench) -> None:
    rows = [row(number, "test" if number % 4 == 0 else "train") for number in range(1, 8)]  # of fewer than eight none counts as form
    added, report = bench.start(rows).reword(copies=3, test_words=1.0)
    with open_dataset(bench.store, bench.source.dataset) as db:
        assert [one.payload() for one in db.iter_rows(2)][:7] == [one.payload() for one in rows]
    assert report["made"] == len(added) == 18
    assert {one.split for one in added} == {"train"}
    for one in added:
        source = next(known for known in rows if known.meta["n"] == one.meta["n"])
        question = one.messages[1]["content"]
        assert question != source.messages[1]["content"]
        assert (one.messages[0], one.messages[2]) == (source.messages[0], source.messages[2])
        assert QUOTE in question
        assert (one.meta["origin"], one.meta["licence"], one.meta["origin_prompt"]) == ("augmented", "CC0", f"{one.meta['origin_method']}/1")
        assert one.meta["n"] % 4
    assert len({json.dumps(one.messages) for one in added}) == 18
    assert len(Counter(one.meta["origin_method"] for one in added)) >= 4


def test_a_share_of_the_rows_is_reworded_and_the_same_ones_each_time(bench: Bench) -> None:
    rows = [row(number) for number in range(1, 101)]
    first, _ = bench.start(rows).reword(share=0.3)
    again, _ = bench.reword(share=0.3)
    assert 15 < len(first) < 45
    assert [one.messages for one in first] == [one.messages for one in again]


def test_a_row_that_would_come_close_to_a_held_out_one_is_dropped(bench: Bench) -> None:
    _, report = bench.start([row(1), row(2, "test")]).reword(methods=["spacing"])
    assert report["dropped"] == {"test_leak": 1}
    assert bench.ctx.said("too close to a held-out row")


@pytest.mark.parametrize(("text", "methods", "reason"), [
    pytest.param("Wie teuer ist das große Auto in der Stadt wirklich gewesen, und wer hat es gekauft?", ["synonym", "numbers"],
                 "nothing_to_change", id="English rules on German"),
    pytest.param(QUOTE, ["casing"], "", id="case of the few words that are free"),
])
def test_rules_that_do_not_fit_change_nothing(bench: Bench, text: str, methods: list[str], reason: str) -> None:
    _, report = bench.start([row(1, text=text)]).reword(methods=methods)
    assert set(report["dropped"]) == ({reason} if reason else set())


@pytest.mark.parametrize(("text", "reason"), [
    pytest.param(f"In the delivery of 2024-03-05 there is a mistake: {QUOTE}. Clients take 10,000 litres, see https://example.org/a_b and "
                 "report_v2.txt (case 1).", "", id="good"),
    pytest.param(TEXT.replace(QUOTE, "an order for 12,500 litres, number 4711") + " Case 1.", "lost_words", id="quote lost"),
    pytest.param(TEXT.replace("10,000", "20,000") + " Case 1.", "changed_number", id="another number"),
    pytest.param("Short.", "too_short", id="too short"),
    pytest.param(TEXT + " Case 1.", "copy", id="the same again"),
    pytest.param("I'm sorry, I cannot say it in other words. " + TEXT + " Case 1.", "refusal", id="refusal"),
    pytest.param("Die Firma braucht Hilfe wegen eines Fehlers in der Lieferung vom 2024-03-05, es ging um Order 4711 for 12,500 litres of diesel. "
                 "Kunden kaufen 10,000 Liter, siehe https://example.org/a_b und report_v2.txt, Fall 1.", "language", id="other language"),
])
def test_a_paraphrase_must_keep_what_matters(bench: Bench, text: str, reason: str) -> None:
    prompts: list[str] = []

    def answer(body: Body) -> Any:
        prompts.append(body["messages"][0]["content"])
        return {"text": text}

    with serving(bench.store, answer):
        added, report = bench.start([row(1)]).reword(methods=["paraphrase"], model="teacher")
    assert set(report["dropped"]) == ({reason} if reason else set())
    assert len(added) == (0 if reason else 1)
    assert f"stay exactly as they are: {QUOTE}" in prompts[0]
    if not reason:
        assert (added[0].meta["origin_method"], added[0].meta["origin_model"]) == ("paraphrase", "teacher@1")
        assert report["asked"]["tokens_out"] == 5


def test_rules_need_no_service_and_a_paraphrase_says_that_it_does(bench: Bench) -> None:
    added, _ = bench.start([row(1)]).reword(methods=["typos"])
    assert len(added) == 1
    with pytest.raises(NeuroWeaverError, match="the service does not run"):
        bench.reword(methods=["paraphrase"], model="teacher")


def test_a_stopped_step_goes_on_where_it_was(bench: Bench) -> None:
    asked: list[int] = []

    def answer(body: Body) -> Any:
        asked.append(1)
        return {"text": body["messages"][0]["content"].split("\n\n", 1)[1].replace("needs help", "asks for help")}

    bench.start([row(number) for number in range(1, 31)])
    bench.ctx = FakeContext(bench.store, bench.folder, inputs={"rows": bench.source})
    bench.ctx.cancel = lambda: "save" if len(asked) >= 20 else None
    with serving(bench.store, answer):
        with pytest.raises(Cancelled):
            Augment(AugmentParams(methods=("paraphrase",), model="teacher", share=1.0)).run(bench.ctx)
        asked.clear()
        added, report = bench.reword(methods=["paraphrase"], model="teacher")
    assert len(added) == report["made"] == 30
    assert len(asked) < 25
    assert len({one.meta["n"] for one in added}) == 30


def test_rows_without_a_question_are_left_alone(bench: Bench) -> None:
    added, report = bench.start([Row("text", text=TEXT, split="train", position=1)]).reword()
    assert not added
    assert report["candidates"] == 0


def test_without_training_rows_nothing_is_done(bench: Bench) -> None:
    with pytest.raises(UsageError, match="no row to make others from"):
        bench.start([row(1, "test")]).reword()
