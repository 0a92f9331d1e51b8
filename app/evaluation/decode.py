"""Greedy answers to many questions at once.

What the questions share at their start (system words, instruction, examples) is read once; a row leaves its batch as
soon as its answer has ended, so that one long answer does not hold up the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Progress = Callable[[float], None]
HOPELESS = 24
"""Word pieces after which an answer that must be JSON and does not begin with a brace is given up: it scores 0 anyway."""
MOST_TOKENS = 8192
"""Most padded tokens read at once; long questions are answered fewer at a time."""
_DECODER = json.JSONDecoder()


def shared_start(prompts: Sequence[list[int]]) -> int:
    """How many ids all prompts begin with; at least one id of each prompt is left over."""
    first, last = min(prompts), max(prompts)
    most = min(map(len, prompts)) - 1
    return next((at for at in range(most) if first[at] != last[at]), most)


def end_of_object(text: str) -> int | None:
    """Where the JSON object that the text begins with ends, or None while it has not."""
    start = len(text) - len(text.lstrip())
    if not text.startswith("{", start) or "}" not in text:
        return None
    try:
        return _DECODER.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return None


def ended(text: str, pieces: int, form: Literal["text", "json"]) -> int | None:
    """The length to which a finished answer is cut, or None while it goes on.  Every arm is stopped by the same rule."""
    if form == "text":
        return None
    end = end_of_object(text)
    if end is None and pieces >= HOPELESS and not text.lstrip().startswith("{"):
        return len(text)
    return end


def stop_ids(model: Any, tokenizer: Any) -> set[int]:
    """Ids that end an answer: the tokenizer's and those of the model's own settings."""
    own = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    listed = own if isinstance(own, list) else [own]
    return {one for one in [tokenizer.eos_token_id, *listed] if one is not None}


@dataclass
class _Batch:
    """The rows of a batch that still write."""

    numbers: list[int]
    """Which question each row answers."""
    written: dict[int, list[int]] = field(default_factory=dict)
    answers: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Writer:
    """How answers are written: greedily, at most ``new_tokens`` word pieces, ``batch`` questions at once."""

    model: Any
    tokenizer: Any
    new_tokens: int
    batch: int
    form: Literal["text", "json"] = "text"

    def answers(self, prompts: Sequence[list[int]], progress: Progress) -> list[str]:
        """Answers in the order of ``prompts``.  progress: called for each word piece with the finished share, 0..1."""
        import torch

        if not prompts:
            return []
        shared = shared_start(prompts)
        found: dict[int, str] = {}
        with torch.inference_mode():
            start = read_start(self.model, prompts[0][:shared])
            for numbers in batches([len(prompt) - shared for prompt in prompts], self.batch, MOST_TOKENS):

                def tell(done: int, before: int = len(found)) -> None:
                    progress((before + done) / len(prompts))

                found |= self._batch(numbers, prompts, shared, start, tell)
        progress(1.0)
        return [found[number] for number in range(len(prompts))]

    def _batch(
        self, numbers: list[int], prompts: Sequence[list[int]], shared: int, start: Any, tell: Callable[[int], None]
    ) -> dict[int, str]:
        import torch

        from app.evaluation.cache import copies

        batch = _Batch(numbers, {number: [] for number in numbers})
        ids, mask = padded(self.model, self.tokenizer, [prompts[number][shared:] for number in numbers], shared)
        cache = copies(start, len(numbers), ids.shape[1] + self.new_tokens)
        for _ in range(self.new_tokens):
            tell(len(batch.answers))
            places = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            out = self.model(
                input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True, logits_to_keep=1
            )
            cache, following = out.past_key_values, out.logits[:, -1].max(-1).indices  # argmax: the same, in four times the time
            going = self._take(batch, following.tolist())
            if not going:
                return batch.answers
            if len(going) < len(mask):
                kept = torch.tensor(going, device=mask.device)
                cache.batch_select_indices(kept)
                mask, following = mask[kept], following[kept]
            ids, mask = following[:, None], torch.cat([mask, mask.new_ones((len(mask), 1))], 1)
        return batch.answers | {number: self._text(batch.written[number]) for number in batch.numbers}

    def _take(self, batch: _Batch, following: list[int]) -> list[int]:
        """Note the new word pieces; returns the places of the rows that go on, in their new order, and leaves only those in the batch."""
        going, stops = [], stop_ids(self.model, self.tokenizer)
        for place, (number, piece) in enumerate(zip(batch.numbers, following, strict=True)):
            written = batch.written[number]
            if piece in stops:
                batch.answers[number] = self._text(written)
                continue
            written.append(piece)
            text = self._text(written)
            cut = ended(text, len(written), self.form)
            if cut is None:
                going.append(place)
            else:
                batch.answers[number] = text[:cut]
        going = closed_up(going)
        batch.numbers = [batch.numbers[place] for place in going]
        return going

    def _text(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def closed_up(going: list[int]) -> list[int]:
    """The same places in an order that moves few rows: the last ones take the places that are free, all others stay."""
    stay, last = set(going), [place for place in going if place >= len(going)]
    return [place if place in stay else last.pop() for place in range(len(going))]


def batches(lengths: Sequence[int], rows: int, tokens: int) -> list[list[int]]:
    """Numbers of the rows in batches, short ones first: at most ``rows`` rows and, but for a single row, ``tokens`` padded tokens."""
    found: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lambda number: lengths[number]):
        fits = found and len(found[-1]) < rows and (len(found[-1]) + 1) * lengths[number] <= tokens
        if fits:
            found[-1].append(number)
        else:
            found.append([number])
    return found


def read_start(model: Any, ids: list[int]) -> Any:
    """The cache of what all prompts begin with; None if there is no such start."""
    import torch

    if not ids:
        return None
    one = torch.tensor([ids], device=model.device)
    return model(input_ids=one, use_cache=True, logits_to_keep=1).past_key_values


def padded(model: Any, tokenizer: Any, rows: list[list[int]], shared: int) -> tuple[Any, Any]:
    """(rows, widest) ids padded on the left, and the mask over the shared start and them."""
    import torch

    width, device = max(map(len, rows)), model.device
    ids = [[tokenizer.pad_token_id] * (width - len(row)) + row for row in rows]
    mask = [[1] * shared + [0] * (width - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
