"""How likely a model holds the expected answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.evaluation.decode import Progress, batches, padded, read_start, shared_start

MOST_TOKENS = 2048
"""Most padded tokens of a batch: the scores of all words of the vocabulary are held for each answer's token."""
PIECE = 512
"""Tokens whose scores are made float32 at once: of 2,048 that is 1.2 GB for a vocabulary of 150,000, and twice more to work with."""


def answer_nll(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], answers: Sequence[str], *, batch: int, progress: Progress
) -> tuple[list[float], list[int]]:
    """(sum of negative log-likelihood in nats, counted tokens) of each answer given its prompt, end token included.

    What the prompts share at their start is read once.  ``batch``: most rows at once.
    """
    targets = [[*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for answer in answers]
    return target_nll(model, tokenizer, prompts, targets, batch=batch, progress=progress), [len(target) for target in targets]


def target_nll(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], targets: Sequence[list[int]], *, batch: int, progress: Progress
) -> list[float]:
    """The sum of negative log-likelihood of each target behind its prompt, nats; both are token ids, no prompt is empty."""
    import torch

    shared = shared_start(prompts)
    rests = [prompt[shared:] + target for prompt, target in zip(prompts, targets, strict=True)]
    sums, done = [0.0] * len(prompts), 0
    with torch.inference_mode():
        start = read_start(model, prompts[0][:shared])
        for numbers in batches([len(rest) for rest in rests], batch, MOST_TOKENS):
            values = _batch(model, tokenizer, [rests[n] for n in numbers], [targets[n] for n in numbers], shared, start)
            for number, value in zip(numbers, values, strict=True):
                sums[number] = value
            done += len(numbers)
            progress(done / len(prompts))
    return sums


def _batch(model: Any, tokenizer: Any, rows: list[list[int]], targets: list[list[int]], shared: int, start: Any) -> list[float]:
    import torch

    from app.evaluation.cache import copies

    ids, mask = padded(model, tokenizer, rows, shared)
    places = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    keep = max(map(len, targets)) + 1
    cache = copies(start, len(rows), ids.shape[1])
    logits = model(input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, logits_to_keep=keep).logits
    values = []
    for number, target in enumerate(targets):
        wanted = torch.tensor(target, device=logits.device, dtype=torch.long).split(PIECE)
        predicted = logits[number, -len(target) - 1 : -1].split(PIECE)
        parts = zip(predicted, wanted, strict=True)
        values.append(sum(float(torch.nn.functional.cross_entropy(one.float(), next_ids, reduction="sum")) for one, next_ids in parts))
    return values
