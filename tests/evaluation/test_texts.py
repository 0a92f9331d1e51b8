"""evaluate.compare without questions: texts by their likelihood, preference rows by their chosen answer."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import orjson
import pytest

from app.config.artifacts import Model
from app.errors import EvaluationError, RegistryError
from app.evaluation.compare_node import Compare, CompareParams
from app.evaluation.statistics import Paired
from app.evaluation.texts import NOT_ASKED, Surprise, _require_numbers, encode_texts, surprise
from app.registry.deploy_node import Gate
from app.registry.gate import check_gain
from app.store.records import Row
from app.training.examples import encode_rows
from app.workflow.follow import summary_lines
from tests.context import FakeContext, make_rows

TEXTS = [f"The {thing} of the harbour is painted {colour} in spring." for thing in ("gate", "wall", "boat", "crane")
         for colour in ("white", "green")]


def text_rows(texts: list[str] = TEXTS, split: str = "test") -> list[Row]:
    return [Row("text", text=text, split=split) for text in texts]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Model]:
    """A tiny base, and the same after a few steps on texts like those held out."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tests.tiny import TOKENIZER_FILES, tiny_llama

    folder = tmp_path_factory.mktemp("models")
    base = tiny_llama(folder / "base", dtype="float32")
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
    taught = encode_rows([Row("text", text=text.replace("spring", "May")) for text in TEXTS], tokenizer, 64).examples
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(4):
        for example in taught:
            ids = torch.tensor([example.input_ids])
            model(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder / "tuned")
    for name in TOKENIZER_FILES:
        (folder / "tuned" / name).write_bytes((base / name).read_bytes())

    def of(path: Path, origin: Path) -> Model:
        return Model(content_hash=path.name, path=str(path), format="hf", name="tiny", base=str(origin))

    return {"better": of(folder / "tuned", base), "worse": of(base, folder / "tuned"), "same": of(base, base)}


def compare(store, tmp_path: Path, model: Model, found: list[Row], **params) -> tuple[dict, FakeContext]:
    ctx = FakeContext(store, tmp_path, inputs={"rows": make_rows(store, found), "model": model})
    made = Compare(CompareParams.model_validate({"examples": 2, **params})).run(ctx)
    return orjson.loads(Path(made["evaluation"].path).read_bytes()), ctx


# -- texts ----------------------------------------------------------------------------------------------------------
def test_texts_like_those_it_learnt_surprise_the_tuned_model_less(store, tmp_path, models):
    report, ctx = compare(store, tmp_path, models["better"], [*text_rows(split="train"), *text_rows()])
    assert (report["metric"], report["verdict"], report["items"]) == ("nll", "better", 8)
    assert report["interval"][0] <= report["difference"] <= report["interval"][1] < 0
    assert report["difference"] == pytest.approx(report["tuned"] - report["base"])
    assert report["gain"] == pytest.approx(1 - report["tuned"] / report["base"])
    assert [(line["arm"], line["score"]) for line in report["table"]] == [("base", report["base"]), ("tuned", report["tuned"])]
    assert report["nll"]["verdict"] == "better"
    assert report["notes"] == [
        f"Perplexity over all word pieces: base {math.exp(report['nll']['base']):,.2f}, tuned {math.exp(report['nll']['tuned']):,.2f}.",
        NOT_ASKED]
    gained = [one["base_score"] - one["tuned_score"] for one in report["samples"]]
    assert gained == sorted(gained)  # the worst for the tuned model first
    assert {one["expected"] for one in report["samples"]} == set(TEXTS)
    assert report["samples"][0]["base"] == f"{report['samples'][0]['base_score']:.3f} nats a word piece"
    assert ctx.said("Better: -")
    assert ctx.said("nats a word piece")
    assert ctx.said("on 8 texts.")
    assert ctx.fraction == pytest.approx(0.98, abs=0.02)
    stored = store.row("SELECT * FROM evaluations")
    assert (stored["metric"], stored["verdict"], stored["base"]) == ("nll", "better", report["base"])
    assert store.row("SELECT count(*) AS count FROM samples")["count"] == 8
    result = {"run": "run_test", "state": "done", "seconds": 60.0, "evaluation": report}
    lines = summary_lines(store, result)
    assert lines[1].endswith(f"tuned {report['tuned']:.3f}, base {report['base']:.3f}")
    assert lines[2].split() == ["Base", "model", f"{report['base']:.3f}"]


@pytest.mark.parametrize(("model", "gate", "verdict", "refused"), [
    pytest.param("better", {"min_gain": 0.0, "require_better": True}, "better", "", id="better"),
    pytest.param("better", {"min_gain": 0.99}, "better", "-[0-9.]+ nats a word piece .* asks for 99.0 % less than the base", id="too little"),
    pytest.param("worse", {}, "worse", r"worse than its base: \+[0-9.]+ nats a word piece", id="worse"),
    pytest.param("same", {"min_gain": 0.0}, "no_difference", "", id="the same"),
    pytest.param("same", {"require_better": True}, "no_difference", "not certain.*0.000 nats", id="the same, asked to be better"),
])
def test_the_gate_takes_a_lower_likelihood_loss_as_the_gain(store, tmp_path, models, model, gate, verdict, refused):
    report, _ = compare(store, tmp_path, models[model], text_rows())
    assert report["verdict"] == verdict
    if not refused:
        check_gain(Gate.model_validate(gate), report)
        return
    with pytest.raises(RegistryError, match=refused):
        check_gain(Gate.model_validate(gate), report)


def with_start_mark(tokenizer):
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{tokenizer.bos_token} $A", special_tokens=[(tokenizer.bos_token, tokenizer.bos_token_id)])
    return tokenizer


@pytest.mark.parametrize("marked", [False, True], ids=["no start mark", "start mark"])
def test_a_text_is_read_as_training_reads_it(models, marked):
    """Source of truth: training's own token ids, and transformers' loss on one unpadded row."""
    import torch

    from app.evaluation.model import load_pair

    pair = load_pair(models["better"])
    tokenizer = with_start_mark(pair.tokenizer) if marked else pair.tokenizer
    texts = [TEXTS[0], "Ää 日本 <|im_end|> x", TEXTS[3] * 3]
    examples = encode_rows(text_rows(texts), tokenizer, 2048).examples
    assert encode_texts(tokenizer, texts) == [example.input_ids for example in examples]
    assert (examples[0].input_ids[0] == tokenizer.bos_token_id) == marked
    with pair.side(True) as model:
        found = surprise(model, tokenizer, texts, 3, lambda _part: None)
        for example, nats, count in zip(examples, found.items, found.counts, strict=True):
            with torch.inference_mode():
                loss = model(input_ids=torch.tensor([example.input_ids]), labels=torch.tensor([example.input_ids])).loss
            assert count == len(example.input_ids) - 1
            assert nats == pytest.approx(float(loss), rel=2e-2)  # bf16


def test_a_long_text_is_read_from_its_start_and_the_report_says_so(store, tmp_path, models, monkeypatch):
    monkeypatch.setattr("app.evaluation.texts.LONGEST", 24)
    found = [*text_rows(), *text_rows([TEXTS[0] * 9])]
    report, _ = compare(store, tmp_path, models["better"], found)
    assert "Texts longer than 24 word pieces, of which only the start was read: 1." in report["notes"]
    assert report["items"] == 9


def test_no_more_is_read_than_the_model_has_places_for(models, monkeypatch):
    from app.evaluation.model import load_pair

    pair = load_pair(models["same"])
    with pair.side(True) as model:
        monkeypatch.setattr(model.config, "max_position_embeddings", 10)
        found = surprise(model, pair.tokenizer, [TEXTS[0] * 3, "Short."], 3, lambda _part: None)
    assert (found.limit, found.cut, found.counts[0]) == (10, 1, 9)


def test_texts_read_a_few_at_once_give_the_same(models, monkeypatch):
    from app.evaluation.model import load_pair

    pair, told = load_pair(models["better"]), []
    with pair.side(True) as model:
        whole = surprise(model, pair.tokenizer, TEXTS, 40, lambda _part: None)
        monkeypatch.setattr("app.evaluation.texts.AT_ONCE", 3)
        monkeypatch.setattr("app.evaluation.likelihood.PIECE", 4)
        parts = surprise(model, pair.tokenizer, TEXTS, 2, told.append)
    assert parts.counts == whole.counts
    assert parts.items == pytest.approx(whole.items, rel=1e-2)  # bf16
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize(("items", "read"), [(0, 8), (3, 3), (100, 8)])
def test_a_limit_holds_for_texts_and_few_of_them_show_nothing(store, tmp_path, models, items, read):
    report, _ = compare(store, tmp_path, models["better"], [*text_rows([" \n"]), *text_rows()], items=items)
    assert report["items"] == read
    assert (report["verdict"] == "no_difference") == (read < 6)
    assert any("Too few held-out texts" in note for note in report["notes"]) == (read < 6)


def test_figures_that_are_no_numbers_are_no_verdict():
    nothing = math.nan
    pair = Paired(nothing, nothing, nothing, nothing, nothing)
    assert {pair.verdict(), pair.verdict(lower_is_better=True)} == {"no_difference"}
    with pytest.raises(EvaluationError, match="cannot be compared") as refused:
        _require_numbers("Tuned model", Surprise([1.0, nothing], [2, 2], 2048, 0))
    assert "Tuned model" in refused.value.why


def test_an_empty_text_of_the_end_mark_alone_surprises_nobody():
    assert Surprise([0.0, 3.0], [0, 2], 2048, 0).items == pytest.approx(np.array([0.0, 1.5]))


# -- rows with questions --------------------------------------------------------------------------------------------
def preference(number: int, split: str) -> Row:
    return Row("preference", [{"role": "user", "content": f"Which colour has gate {number}?"}], chosen="White.", rejected="No.", split=split)


def test_preference_rows_are_asked_and_the_chosen_answer_is_expected(store, tmp_path, models):
    found = [preference(number, "train" if number < 6 else "test") for number in range(12)]
    report, _ = compare(store, tmp_path, models["same"], found)
    assert (report["metric"], report["items"]) == ("f1", 6)
    lines = {line["arm"]: line["score"] for line in report["table"]}
    assert list(lines) == ["constant", "base", "base_examples", "tuned"]  # one answer alone is nothing to learn for a linear model
    assert lines["constant"] == 1.0
    assert {one["expected"] for one in report["samples"]} == {"White."}


def test_examples_in_a_prompt_are_answered_with_the_chosen_answer():
    from app.evaluation.arms import Questions, example_turns
    from app.evaluation.checks import Task

    asked = Questions(Task(format="text", fields={}), [preference(1, "train")], [preference(2, "test")])
    assert example_turns(asked, 1, 0) == [{"role": "user", "content": "Which colour has gate 1?"}, {"role": "assistant", "content": "White."}]


def test_beside_questions_texts_are_left_out_and_counted(store, tmp_path, models):
    report, ctx = compare(store, tmp_path, models["same"], [*text_rows(), preference(1, "test"), *text_rows(["One more."])])
    assert (report["metric"], report["items"]) == ("f1", 1)
    assert ctx.said("Texts without a question that were left out of the comparison: 9.")
