"""Rows become token ids with the loss on the answer only; batches of like length, padded on the right.

A batch carries no attention mask.  Attention is causal and padding comes after the text, so no real token ever sees
a padding token, and each document has its own row, so no document sees another (tests/training/test_kernels.py).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import TrainingError
from app.store.records import Row

IGNORED = -100
"""Label of a token that carries no loss (torch's default ignore_index)."""


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids and, for each, the label or IGNORED."""

    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """What :func:`encode_rows` made.  ``too_long`` counts rows over the limit, ``empty`` rows with no answer."""

    examples: list[Example]
    too_long: int
    empty: int

    @property
    def tokens(self) -> int:
        return sum(len(example.input_ids) for example in self.examples)


def encode_rows(rows: Iterable[Row], tokenizer: Any, max_length: int) -> Encoded:
    """Tokenise rows.  Prompt and answer are tokenised apart, as at inference, where the prompt stands alone.

    A row longer than ``max_length`` tokens is left out whole: cut, it would teach half an answer or hide its question.
    """
    pairs = [prompt_and_answer(row, tokenizer) for row in rows]
    prompts = _ids(tokenizer, [prompt for prompt, _ in pairs])
    answers = _ids(tokenizer, [answer for _, answer in pairs])
    examples, too_long, empty = [], 0, 0
    for prompt, answer in zip(prompts, answers, strict=True):
        if len(answer) < 2:  # the end mark alone, or nothing
            empty += 1
        elif len(prompt) + len(answer) > max_length:
            too_long += 1
        else:
            examples.append(Example(prompt + answer, [IGNORED] * len(prompt) + answer))
    return Encoded(examples, too_long, empty)


def prompt_and_answer(row: Row, tokenizer: Any) -> tuple[str, str]:
    """The two texts of a row, the answer with the model's end mark."""
    end = tokenizer.eos_token or ""
    if row.shape == "text":
        return tokenizer.bos_token if _wants_bos(tokenizer) else "", row.text + end if row.text.strip() else ""
    if not row.answer.strip():
        return "", ""
    if not tokenizer.chat_template:
        return "\n".join(message["content"] for message in row.prompt) + "\n", row.answer + end
    return _templated(row, tokenizer, end)


def _templated(row: Row, tokenizer: Any, end: str) -> tuple[str, str]:
    answer = {"role": "assistant", "content": row.answer}
    prompt = tokenizer.apply_chat_template(row.prompt, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*row.prompt, answer], tokenize=False)
    if not whole.startswith(prompt):
        raise TrainingError(
            "training.template", "The model's chat template does not continue a prompt with its answer.",
            why="The text of a whole conversation does not begin with the text of its prompt.",
            remedy="Use a base model whose chat template does, for example the starter model.")
    tail = whole[len(prompt):]
    closed = tail.rstrip()
    return prompt, closed if end and closed.endswith(end) else tail


def _wants_bos(tokenizer: Any) -> bool:
    return bool(tokenizer.bos_token) and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]


def _ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return list(tokenizer(texts, add_special_tokens=False).input_ids) if texts else []


class Buckets:
    """A batch sampler: rows of like length together, at most ``batch_tokens`` padded tokens a batch.

    The division into batch sizes depends on the lengths alone, so every epoch has the same number of batches; rows of
    equal length and the order of batches are shuffled by seed and epoch.  The largest batch comes first, so that
    memory that does not suffice shows at once.  A row longer than ``batch_tokens`` is a batch of its own.

    stages: the rows come in so many equal parts one after the other (a curriculum); each part is shuffled for itself, and
    the largest batch of the first part comes first.
    """

    def __init__(self, lengths: Sequence[int], batch_tokens: int, seed: int, *, shuffle: bool = True, stages: int = 1) -> None:
        self._lengths, self._seed, self._shuffle = list(lengths), seed, shuffle
        self._epoch = 0
        size = max(1, -(-len(self._lengths) // stages))
        self._parts = [range(start, min(start + size, len(self._lengths))) for start in range(0, len(self._lengths), size)]
        self._cuts = [_cuts(sorted((self._lengths[row] for row in part), reverse=True), batch_tokens) for part in self._parts]

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch (counts from 0)."""
        self._epoch = epoch

    def __len__(self) -> int:
        return sum(map(len, self._cuts))

    def __iter__(self) -> Iterator[list[int]]:
        chance = random.Random(f"{self._seed}:{self._epoch}")
        noise = [chance.random() for _ in self._lengths]
        for number, (part, cuts) in enumerate(zip(self._parts, self._cuts, strict=True)):
            order = sorted(part, key=lambda index: (-self._lengths[index], noise[index]))
            batches = [order[start:stop] for start, stop in cuts]
            yield from self._mixed(batches, chance, first=number == 0) if self._shuffle else batches

    def _mixed(self, batches: list[list[int]], chance: random.Random, *, first: bool) -> list[list[int]]:
        batches.sort(key=lambda batch: -len(batch) * self._lengths[batch[0]])
        kept, rest = (batches[:1], batches[1:]) if first else ([], batches)
        chance.shuffle(rest)
        return kept + rest


def _cuts(lengths: list[int], budget: int) -> list[tuple[int, int]]:
    """Half-open ranges over lengths in falling order; the first of each range is its longest."""
    cuts, start = [], 0
    for index in range(1, len(lengths) + 1):
        if index == len(lengths) or (index - start + 1) * lengths[start] > budget:
            cuts.append((start, index))
            start = index
    return cuts


def collate(features: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
    """Pad on the right.  input_ids, labels: (rows, longest) int64; lengths: (rows,) int64.  No attention mask."""
    import torch

    longest = max(len(feature["input_ids"]) for feature in features)

    def padded(name: str, filler: int) -> Any:
        return torch.tensor([feature[name] + [filler] * (longest - len(feature[name])) for feature in features])

    return {"input_ids": padded("input_ids", 0), "labels": padded("labels", IGNORED),
            "lengths": torch.tensor([len(feature["input_ids"]) for feature in features])}
