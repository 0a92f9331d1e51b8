"""Batched greedy answers: equal to plain generation, ended by one rule for every arm."""

from __future__ import annotations

import pytest

from app.errors import Cancelled
from app.evaluation.decode import HOPELESS, Writer, end_of_object, ended, shared_start

PROMPTS = ["One licence", "One licence that is a good deal longer than the others are", "One two three", "One licence, MIT"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A random float32 model: no ties between logits, so that equal means equal."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tests.tiny import tiny_llama

    folder = tiny_llama(tmp_path_factory.mktemp("tiny"), dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(folder).eval(), tokenizer


def prompts_of(tokenizer):
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in PROMPTS]


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_answers_equal_plain_generation_one_by_one(tiny, batch):
    import torch

    model, tokenizer = tiny
    prompts = prompts_of(tokenizer)
    expected = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        whole = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=9, do_sample=False)[0]
        expected.append(tokenizer.decode(whole[len(prompt):], skip_special_tokens=True, clean_up_tokenization_spaces=False))
    assert shared_start(prompts) > 0
    assert Writer(model, tokenizer, 9, batch).answers(prompts, lambda part: None) == expected
    assert len(set(expected)) > 1


def test_rows_that_end_early_leave_the_others_unchanged(tiny):
    model, tokenizer = tiny
    prompts = prompts_of(tokenizer)
    free = Writer(model, tokenizer, 9, 4).answers(prompts, lambda part: None)
    stop = tokenizer(free[0], add_special_tokens=False)["input_ids"][2]
    kept = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = [kept, stop]
    try:
        cut = Writer(model, tokenizer, 9, 4).answers(prompts, lambda part: None)
    finally:
        model.generation_config.eos_token_id = kept
    assert len(cut[0]) < len(free[0])
    for short, long in zip(cut, free, strict=True):
        assert long.startswith(short)


def test_json_that_cannot_begin_is_given_up(tiny):
    model, tokenizer = tiny
    shown: list[float] = []
    answers = Writer(model, tokenizer, 3 * HOPELESS, 4, "json").answers(prompts_of(tokenizer), shown.append)
    assert len(shown) == HOPELESS + 1
    assert shown[-1] == 1.0
    assert all(answers)


def test_a_stop_is_heard_at_the_next_word_piece(tiny):
    model, tokenizer = tiny
    heard = 0

    def stop(part: float) -> None:
        nonlocal heard
        heard += 1
        if heard == 3:
            raise Cancelled(save=False)

    with pytest.raises(Cancelled):
        Writer(model, tokenizer, 50, 4).answers(prompts_of(tokenizer), stop)
    assert heard == 3


def test_no_questions_give_no_answers():
    assert Writer(None, None, 5, 4).answers([], lambda part: None) == []


@pytest.mark.parametrize(("prompts", "shared"), [
    pytest.param([[1, 2, 3], [1, 2, 4]], 2, id="differ at the end"),
    pytest.param([[1, 2], [1, 2, 3]], 1, id="one id of each prompt is left"),
    pytest.param([[5, 6, 7]], 2, id="one prompt"),
    pytest.param([[1, 2], [3, 2]], 0, id="nothing shared"),
    pytest.param([[7, 1, 9], [7, 2, 1], [7, 1, 1]], 1, id="the middle one differs"),
])
def test_shared_start(prompts, shared):
    assert shared_start(prompts) == shared


@pytest.mark.parametrize(("text", "end"), [
    pytest.param('{"a": 1} and more', 8, id="text after it is not read"),
    pytest.param('{"a": "}"', None, id="a brace inside a string"),
    pytest.param('{"a": {"b": 1}', None, id="the outer one is open"),
    pytest.param('{"a": {"b": 1}}', 15, id="nested"),
    pytest.param('  {"a": 1}', 10, id="white space before it"),
    pytest.param('Sure: {"a": 1}', None, id="text before it"),
    pytest.param("{" * 5000 + "}", None, id="deep nesting"),
    pytest.param("", None, id="empty"),
])
def test_end_of_object(text, end):
    assert end_of_object(text) == end


def test_only_json_answers_are_cut():
    assert ended('{"a": 1} x', 3, "text") is None
    assert ended("Sure!", HOPELESS, "json") == 5
    assert ended("Sure!", HOPELESS - 1, "json") is None
    assert ended(' {"a": ', HOPELESS, "json") is None
