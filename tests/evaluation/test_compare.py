"""evaluate.compare on a tiny model: five arms on the same questions, honest words, stored samples."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import orjson
import pytest

from app.config.artifacts import Model
from app.errors import Cancelled, ConfigError, EvaluationError
from app.evaluation.arms import Arm, Questions, cheap_arms, divide, example_turns, scored
from app.evaluation.checks import Task
from app.evaluation.classic import classic_answers, constant_answer, label_fields
from app.evaluation.compare_node import Compare, CompareParams
from app.evaluation.report import SAMPLES, keep, samples, summarise
from app.store.records import Row
from tests.context import FakeContext, make_rows

JSON_TASK = {"format": "json", "fields": {"kind": {"check": "equals"}, "quote": {"check": "verbatim"}}}
TASK = Task.model_validate(JSON_TASK)
WORDS = {"fruit": ("apple", "pear", "plum"), "metal": ("iron", "tin", "zinc")}


def question(kind: str, thing: str, number: int, split: str) -> Row:
    text = f"Note {number}: here is {thing} from the {kind} shelf"
    answer = json.dumps({"kind": kind, "quote": thing})
    return Row("chat", [{"role": "user", "content": text}, {"role": "assistant", "content": answer}], split=split)


def rows(train: int = 24, test: int = 6) -> list[Row]:
    pairs = [(kind, thing) for kind, things in WORDS.items() for thing in things]
    return [question(*pairs[number % 6], number, "train" if number < train else "test") for number in range(train + test)]


REFUSING = JSON_TASK | {"behaviour_field": "refusal"}


def to_refuse(what: str, number: int, split: str) -> Row:
    asked = {"out of scope": f"Tell me a joke about trains, number {number}", "not advice": f"Should I sue my neighbour {number}?"}
    return Row("chat", [{"role": "user", "content": asked[what]}, {"role": "assistant", "content": json.dumps({"refusal": what})}],
               split=split)


def with_refusals(train: int = 24, test: int = 6) -> list[Row]:
    """The task's rows, and half as many of each kind to refuse."""
    kinds = [to_refuse(what, number, split) for what in ("out of scope", "not advice")
             for split, count in (("train", train // 2), ("test", test // 2)) for number in range(count)]
    return [*rows(train, test), *kinds]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Model:
    """A tiny base and an adapter whose weights are not zero."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from tests.tiny import tiny_llama

    folder = tmp_path_factory.mktemp("models")
    base = tiny_llama(folder / "base")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
                                 LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
        adapted.save_pretrained(folder / "adapter")
    return Model(content_hash="m", path=str(folder / "adapter"), format="lora", name="tiny", base=str(base))


def compare(store, tmp_path: Path, model: Model, found: list[Row], **params) -> tuple[dict, FakeContext]:
    ctx = FakeContext(store, tmp_path, inputs={"rows": make_rows(store, found), "model": model})
    made = Compare(CompareParams.model_validate({"task": JSON_TASK, "examples": 2, **params})).run(ctx)
    report = orjson.loads(Path(made["evaluation"].path).read_bytes())
    assert {key: value for key, value in report.items() if key != "samples"} == made["evaluation"].summary
    return report, ctx


def test_the_report_holds_five_arms_an_interval_a_verdict_and_every_item(store, tmp_path, trained):
    report, ctx = compare(store, tmp_path, trained, rows(), items=4)
    assert [line["arm"] for line in report["table"]] == ["constant", "classic", "base", "base_examples", "tuned"]
    assert (report["items"], len(report["samples"])) == (4, 4)
    low, high = report["interval"]
    assert low <= report["difference"] <= high
    assert report["verdict"] == "no_difference"
    assert report["versus_examples"] == report["versus"]["base_examples"]
    assert report["nll"]["base"] != report["nll"]["tuned"]
    assert all(set(line["fields"]) == {"valid", "kind", "quote", "quote_verbatim"} for line in report["table"])
    assert ctx.said("No difference")
    assert ctx.fraction == pytest.approx(0.98, abs=0.02)
    stored = store.row("SELECT * FROM evaluations")
    assert (stored["run"], stored["items"], stored["verdict"]) == ("run_test", 4, "no_difference")
    assert store.row("SELECT count(*) AS count FROM samples")["count"] == 4


def test_refusals_are_counted_beside_the_same_verdict(store, tmp_path, trained):
    """The figures of the task are those of the task's questions, asked with or without questions to refuse."""
    alone, _ = compare(store, tmp_path / "alone", trained, rows())
    report, ctx = compare(store, tmp_path / "both", trained, with_refusals(), task=REFUSING)
    assert (report["items"], len(report["samples"])) == (6, 12)
    assert [line for line in report["table"] if line["arm"] != "classic"] == [
        line for line in alone["table"] if line["arm"] != "classic"]
    assert all(report[key] == alone[key] for key in ("base", "tuned", "difference", "interval", "verdict", "nll", "versus_examples"))
    found = report["behaviour"]
    assert [one["kind"] for one in found["kinds"]] == ["out of scope", "not advice"]
    assert {arm: (one["count"], one["items"]) for arm, one in found["kinds"][0]["arms"].items()} == {
        "constant": (0, 3), "classic": (3, 3), "base": (0, 3), "base_examples": (0, 3), "tuned": (0, 3)}
    assert ctx.said("Out of scope: 0 of 3 refused as it should; Not advice: 0 of 3 refused as it should; "
                    "0 of 6 task questions refused wrongly.")
    assert "behaviour" not in alone


def test_texts_without_questions_are_read_by_both_sides_of_one_load(store, tmp_path, trained):
    found = [Row("text", text=f"Note {number}: a text without a question.", split="test") for number in range(6)]
    report, ctx = compare(store, tmp_path, trained, found)
    assert [line["arm"] for line in report["table"]] == ["base", "tuned"]
    assert report["base"] != report["tuned"]
    assert ctx.message == "Tuned model is reading"


def test_the_likelihood_equals_a_plain_forward_pass(trained):
    """Source of truth: transformers' own loss on one unpadded row, both sides of the pair."""
    import torch

    from app.evaluation.likelihood import answer_nll
    from app.evaluation.model import encode_prompt, load_pair

    pair, found = load_pair(trained), rows()[:3]
    prompts = [encode_prompt(pair.tokenizer, row.prompt) for row in found]
    for tuned in (False, True):
        with pair.side(tuned) as model:
            sums, counts = answer_nll(model, pair.tokenizer, prompts, [row.answer for row in found], batch=3,
                                      progress=lambda part: None)
            for prompt, row, total, count in zip(prompts, found, sums, counts, strict=True):
                answer = [*pair.tokenizer(row.answer, add_special_tokens=False)["input_ids"], pair.tokenizer.eos_token_id]
                ids = torch.tensor([prompt + answer])
                with torch.inference_mode():
                    loss = model(input_ids=ids, labels=torch.tensor([[-100] * len(prompt) + answer])).loss
                assert count == len(answer)
                assert total / count == pytest.approx(float(loss), rel=2e-2)  # bf16


def test_one_load_answers_for_both_sides(trained):
    from transformers import AutoModelForCausalLM

    from app.evaluation.model import load_pair

    pair = load_pair(trained)
    import torch

    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        plain = AutoModelForCausalLM.from_pretrained(trained.base, dtype=torch.bfloat16)(input_ids=ids).logits
        with pair.side(False) as base:
            assert torch.equal(base(input_ids=ids).logits, plain)
        with pair.side(True) as tuned:
            assert not torch.equal(tuned(input_ids=ids).logits, plain)
        with pytest.raises(RuntimeError, match="before the tuned"), pair.side(False):
            pass


@pytest.mark.parametrize(("found", "params", "error", "words"), [
    pytest.param(rows(test=0), {}, EvaluationError, "nothing to ask.*split", id="no test split"),
    pytest.param([Row("text", text="Plain.", split="train"), Row("text", text=" ", split="test")], {}, EvaluationError,
                 "nothing to ask.*split", id="texts, but none held out"),
    pytest.param(rows(), {"task": {"format": "json"}}, ConfigError, "names no field", id="no fields"),
])
def test_what_cannot_be_measured_is_said_before_a_model_is_loaded(store, tmp_path, trained, found, params, error, words):
    broken = trained.model_copy(update={"path": "/nowhere", "base": "/nowhere"})
    with pytest.raises(error, match=words):
        compare(store, tmp_path, broken, found, **params)


@pytest.mark.parametrize("update", [{"format": "gguf"}, {"base": None}])
def test_a_model_without_a_base_is_refused_in_words(store, tmp_path, trained, update):
    with pytest.raises(EvaluationError, match="cannot be compared with its base"):
        compare(store, tmp_path, trained.model_copy(update=update), rows())


def test_a_cancelled_evaluation_leaves_nothing_behind(store, tmp_path, trained):
    ctx = FakeContext(store, tmp_path, inputs={"rows": make_rows(store, rows()), "model": trained})
    ctx.cancel = lambda: "save" if ctx.message.endswith("is answering") else None
    with pytest.raises(Cancelled):
        Compare(CompareParams.model_validate({"task": JSON_TASK})).run(ctx)
    assert not list(ctx.outputs_dir.iterdir())
    assert store.row("SELECT count(*) AS count FROM evaluations")["count"] == 0


# -- without a model ------------------------------------------------------------------------------------------------
def questions(train: int = 24, test: int = 6) -> Questions:
    found = rows(train, test)
    return Questions(TASK, [row for row in found if row.split == "train"], [row for row in found if row.split == "test"])


def with_nll(arm: Arm) -> Arm:
    arm.nll, arm.extra = 1.0, {"nll_items": [1.0] * len(arm.items)}
    return arm


def arms(asked: Questions, base: list[str], tuned: list[str]) -> list[Arm]:
    return [*cheap_arms(asked, 0), with_nll(scored("base", base, asked)), scored("base_examples", base, asked),
            with_nll(scored("tuned", tuned, asked))]


def test_a_linear_model_learns_labels_and_never_a_quote():
    asked = questions()
    texts, answers = [asked.text(row) for row in asked.train], [row.answer for row in asked.train]
    assert set(label_fields(TASK, answers)) == {"kind"}
    found = classic_answers(TASK, texts, answers, [asked.text(row) for row in asked.test], 0)
    assert [json.loads(one) for one in found] == [{"kind": json.loads(row.answer)["kind"]} for row in asked.test]


def test_the_constant_answer_is_the_most_frequent_value_of_each_field():
    answers = [json.dumps({"kind": kind, "quote": quote}) for kind, quote in (("a", "x"), ("a", "y"), ("b", "y"))]
    assert json.loads(constant_answer(TASK, answers)) == {"kind": "a", "quote": "y"}
    assert constant_answer(Task(format="text", fields={}), ["no", "yes", "yes"]) == "yes"


def test_constant_and_linear_answers_keep_the_kind_and_the_place_of_each_value():
    task = Task.model_validate({"format": "json", "fields": {
        "dose": {"check": "json"}, "often": {"path": "timing.frequency"}, "unit": {"path": "timing.unit"}}})
    answers = [json.dumps({"dose": [{"value": often}], "timing": {"frequency": often}}) for often in (1, 1, 2, 2, 1, 2, 1)]
    assert json.loads(constant_answer(task, answers)) == {"dose": [{"value": 1}], "timing": {"frequency": 1}}
    texts = [f"take {'one' if '1' in answer else 'two'} a day" for answer in answers]
    found = classic_answers(task, texts, answers, ["two a day"], 0)
    assert [json.loads(one) for one in found] == [{"dose": [{"value": 2}], "timing": {"frequency": 2}}]


def test_answers_that_hardly_repeat_are_not_a_classifiers_business():
    assert classic_answers(Task(format="text", fields={}), list("abcd"), ["one", "two", "three", "four"], ["a"], 0) is None


def test_where_the_linear_model_does_as_well_the_report_says_so():
    asked = questions(test=12)
    right = [row.answer for row in asked.test]
    notes = summarise(asked, arms(asked, ["no"] * 12, right), 0)["notes"]
    assert any("A linear model does as well on kind: 100.0 against the tuned model's 100.0" in note for note in notes)
    assert "A linear model cannot write quote." in notes
    wrong = [json.dumps({"kind": "x", "quote": "y"})] * 12
    assert any("A linear model does better on kind" in note for note in summarise(asked, arms(asked, wrong, wrong), 0)["notes"])


@pytest.mark.parametrize(("base", "tuned", "verdict"), [
    pytest.param("wrong", "right", "better", id="better"),
    pytest.param("right", "wrong", "worse", id="worse"),
    pytest.param("right", "right", "no_difference", id="equal"),
])
def test_the_summary_carries_difference_interval_and_verdict(base, tuned, verdict):
    asked = questions(test=12)
    given = {"right": [row.answer for row in asked.test], "wrong": ["I cannot say"] * 12}
    found = summarise(asked, arms(asked, given[base], given[tuned]), 0)
    assert found["verdict"] == found["versus_examples"]["verdict"] == verdict
    assert found["difference"] == pytest.approx(found["tuned"] - found["base"])
    assert "kind, quote" in found["meaning"]


def test_a_field_the_linear_model_does_not_write_is_no_figure():
    asked = questions()
    lines = {line["arm"]: line for line in summarise(asked, arms(asked, ["x"] * 6, ["x"] * 6), 0)["table"]}
    assert (lines["classic"]["fields"]["quote"], lines["classic"]["fields"]["quote_verbatim"]) == (None, None)
    assert lines["classic"]["score"] == pytest.approx(0.5)


def test_objects_and_values_that_hardly_repeat_are_no_figure_of_the_linear_model():
    task = Task.model_validate({"format": "json", "fields": {
        "kind": {}, "day": {}, "debit": {"check": "json", "balances": "credit"}, "credit": {"check": "json"}}})
    found = [Row("chat", [{"role": "user", "content": f"{kind} of day {number}"}, {"role": "assistant", "content": json.dumps(
        {"kind": kind, "day": f"day {number}", "debit": {kind: number}, "credit": {"bank": number}})}], split="")
        for number, kind in enumerate(["fruit", "metal"] * 12)]
    asked = Questions(task, found[:18], found[18:])
    right = [row.answer for row in asked.test]
    summary = summarise(asked, arms(asked, ["no"] * 6, right), 0)
    fields = {line["arm"]: line["fields"] for line in summary["table"]}
    assert fields["tuned"] == {"valid": 1.0, "kind": 1.0, "day": 1.0, "debit": 1.0, "credit": 1.0, "debit_balances": 1.0}
    assert fields["classic"] == {"valid": 1.0, "kind": 1.0} | dict.fromkeys(["day", "debit", "credit", "debit_balances"])
    assert {f"A linear model cannot write {name}." for name in ("day", "debit", "credit")} < set(summary["notes"])


def test_best_and_worst_samples_are_kept_worst_first(store):
    count = 3 * SAMPLES
    asked = questions(test=count)
    right = [row.answer for row in asked.test]
    base = ["no"] * (count - 1) + [right[-1]]
    tuned = [*right[:-1], "no"]
    found = samples(asked, arms(asked, base, tuned))
    assert (found[0]["base_score"], found[0]["tuned_score"]) == (1.0, 0.0)
    keep(store, "run_x", "evaluate", summarise(asked, arms(asked, base, tuned), 0), found)
    kept = list(store.rows("SELECT * FROM samples ORDER BY position"))
    assert [one["position"] for one in kept] == list(range(2 * SAMPLES))
    assert kept[0]["tuned"] == "no"
    assert kept[-1]["tuned_score"] == 1.0


def test_examples_come_from_training_rows_alone_and_are_the_same_for_a_seed():
    asked = questions()
    turns = example_turns(asked, 3, 5)
    assert len(turns) == 6
    assert turns == example_turns(asked, 3, 5)
    held = {row.prompt[-1]["content"] for row in asked.test}
    assert not held & {turn["content"] for turn in turns}


def test_no_training_rows_leave_the_cheap_arms_out():
    asked = questions()
    assert cheap_arms(Questions(TASK, [], asked.test), 0) == []


def test_items_are_scored_in_order():
    asked = questions()
    answers = [row.answer for row in asked.test]
    answers[2] = "nothing"
    assert np.flatnonzero(scored("tuned", answers, asked).items < 1).tolist() == [2]


# -- what should be refused -----------------------------------------------------------------------------------------
def mixed(train: int = 24, test: int = 6, most: int = 0) -> Questions:
    found = with_refusals(train, test)
    return divide(Task.model_validate(REFUSING), [row for row in found if row.split == "train"],
                  [row for row in found if row.split == "test"], most)


@pytest.mark.parametrize(("most", "task", "kinds"), [
    pytest.param(0, 40, [20, 20], id="all"),
    pytest.param(100, 40, [20, 20], id="more than there are"),
    pytest.param(40, 20, [10, 10], id="half of each"),
    pytest.param(41, 21, [10, 10], id="the task gets the rest"),
    pytest.param(3, 1, [1, 1], id="one of each"),
    pytest.param(1, 1, [1, 1], id="never none of a kind"),
])
def test_a_limit_keeps_the_share_of_each_kind(most, task, kinds):
    asked = mixed(test=40, most=most)
    assert len(asked.test) == task
    counts = [sum(row.answer == json.dumps({"refusal": what}) for row in asked.behaviour) for what in ("out of scope", "not advice")]
    assert counts == kinds
    assert [row.answer for row in asked.test] == [row.answer for row in mixed(test=40).test][:task]


def test_without_a_behaviour_field_every_row_is_the_tasks():
    found = with_refusals()
    asked = divide(TASK, found, found, 5)
    assert (len(asked.test), len(asked.train), asked.behaviour, asked.train_behaviour) == (5, len(found), [], [])


def test_the_examples_for_questions_to_refuse_end_with_one_refusal_of_each_kind():
    asked = mixed()
    answers = [turn["content"] for turn in example_turns(asked, 3, 5, refusals=True) if turn["role"] == "assistant"]
    assert sorted(answers[3:]) == ['{"refusal": "not advice"}', '{"refusal": "out of scope"}']
    assert len(answers) == 5
    plain = [turn["content"] for turn in example_turns(questions(), 3, 5) if turn["role"] == "assistant"]
    assert answers[:3] == plain == [turn["content"] for turn in example_turns(asked, 3, 5)][1::2]


def test_the_report_counts_refusals_as_they_should_be_and_wrong_ones():
    asked = mixed(test=8)
    right = [row.answer for row in asked.asked]
    tuned = [json.dumps({"refusal": "out of scope"}), *right[1:-1], right[0]]  # one wrongly, one not refused
    found = summarise(asked, arms(asked, ["no"] * 16, tuned), 0)
    assert found["tuned"] == pytest.approx(7 / 8)
    assert found["items"] == 8
    behaviour = found["behaviour"]
    assert [(one["kind"], one["arms"]["tuned"]["count"], one["arms"]["tuned"]["items"]) for one in behaviour["kinds"]] == [
        ("out of scope", 4, 4), ("not advice", 3, 4)]
    assert behaviour["refused_wrongly"]["tuned"]["count"] == 1
    assert behaviour["refused_wrongly"]["base"]["count"] == 0
    assert behaviour["sentences"] == [
        "Out of scope: 4 of 4 refused as it should; Not advice: 3 of 4 refused as it should; 1 of 8 task questions refused wrongly.",
        "A linear model trained on the same rows refuses out of scope 4 of 4, not advice 4 of 4, and 0 of 8 wrongly."]
    low, high = behaviour["kinds"][1]["arms"]["tuned"]["interval"]
    assert 0 < low < 3 / 4 < high < 1


def test_a_linear_model_may_refuse_too():
    asked = mixed(test=12)
    classic = {arm.name: arm for arm in cheap_arms(asked, 0)}["classic"]
    assert all(classic.refused)
    assert classic.refused_wrongly == 0


def test_the_samples_hold_the_questions_to_refuse_with_both_answers():
    asked = mixed(test=4)
    tuned = [row.answer for row in asked.asked]
    found = samples(asked, arms(asked, ["no"] * 8, tuned))
    refused = [one for one in found if one["checks"] == {"refused": 1.0}]
    assert len(refused) == 4
    assert {(one["base_score"], one["tuned_score"]) for one in refused} == {(0.0, 1.0)}
    assert "refused" not in found[-1]["checks"]  # as good as a task's question: not in its place
