"""Rows to tokens, batches, and the sampler."""

import pytest

from app.store.records import Row
from app.training.examples import IGNORED, Buckets, collate, encode_rows
from app.training.qlora_node import QloraParams
from app.training.session import total_steps
from tests.tiny import STARTER


@pytest.fixture(scope="module")
def tokenizer():
    from app.training.base import load_tokenizer

    return load_tokenizer(STARTER)


def chat(question: str, answer: str) -> Row:
    return Row("chat", [{"role": "user", "content": question}, {"role": "assistant", "content": answer}])


def test_loss_is_on_the_answer_and_its_end_mark_only(tokenizer):
    example = encode_rows([chat("Which licence?", "MIT")], tokenizer, 100).examples[0]
    labelled = [label for label in example.labels if label != IGNORED]
    assert tokenizer.decode(labelled) == "MIT<|im_end|>"
    assert tokenizer.decode(example.input_ids).count("Which licence?") == 1


def test_prompt_tokens_are_those_of_inference(tokenizer):
    row = chat("Which licence?", "MIT")
    example = encode_rows([row], tokenizer, 100).examples[0]
    prompt = tokenizer.apply_chat_template(row.prompt, add_generation_prompt=True, tokenize=True, return_dict=False)
    assert example.input_ids[: len(prompt)] == list(prompt)


@pytest.mark.parametrize(("row", "too_long", "empty"), [
    pytest.param(chat("word " * 200, "yes"), 1, 0, id="too long"),
    pytest.param(chat("Why?", "  "), 0, 1, id="no answer"),
    pytest.param(Row("text", text=""), 0, 1, id="empty text"),
])
def test_unusable_rows_are_left_out_and_counted(tokenizer, row, too_long, empty):
    encoded = encode_rows([row, chat("a", "b")], tokenizer, 100)
    assert (len(encoded.examples), encoded.too_long, encoded.empty) == (1, too_long, empty)


def test_every_row_comes_once_an_epoch_within_the_budget():
    lengths = [7, 3, 50, 20, 20, 20, 9, 120, 4]
    buckets = Buckets(lengths, 60, seed=1)
    for epoch in range(3):
        buckets.set_epoch(epoch)
        batches = list(buckets)
        assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
        assert len(batches) == len(buckets)
        assert all(len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= 60 for batch in batches)
        assert batches[0] == [7]  # the largest first: memory that does not suffice shows at once


def test_epochs_differ_and_a_seed_repeats_them():
    first, again = Buckets([5] * 40, 20, seed=3), Buckets([5] * 40, 20, seed=3)
    one = list(first)
    first.set_epoch(1)
    assert one == list(again)
    assert one != list(first)


def test_a_curriculum_gives_part_after_part_in_every_epoch():
    lengths = [5 + number % 7 for number in range(40)]
    buckets = Buckets(lengths, 24, seed=3, stages=4)
    for epoch in range(2):
        buckets.set_epoch(epoch)
        seen = [index for batch in buckets for index in batch]
        assert [sorted(seen[start:start + 10]) for start in range(0, 40, 10)] == [list(range(start, start + 10)) for start in range(0, 40, 10)]
        assert len(list(buckets)) == len(buckets)


def test_a_batch_is_padded_on_the_right_and_has_no_mask():
    batch = collate([{"input_ids": [5, 6, 7], "labels": [IGNORED, 6, 7]}, {"input_ids": [8], "labels": [8]}])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 7], [8, IGNORED, IGNORED]]
    assert set(batch) == {"input_ids", "labels", "lengths"}


@pytest.mark.parametrize(("limits", "steps"), [
    pytest.param({"epochs": 3}, 30, id="epochs"),
    pytest.param({"epochs": 0.5}, 5, id="half an epoch"),
    pytest.param({"epochs": 3, "max_steps": 7}, 7, id="steps"),
    pytest.param({"epochs": 3, "max_tokens": 200}, 10, id="tokens"),
    pytest.param({"epochs": 3, "accumulate": 4}, 9, id="accumulated"),
])
def test_the_first_limit_counts(limits, steps):
    assert total_steps([10] * 20, QloraParams(batch_tokens=20, **limits), seed=0) == steps
