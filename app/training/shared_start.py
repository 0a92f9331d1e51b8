"""Rows of a batch that begin with the same tokens: those tokens go through the model once.

Rows of one task share their start (system prompt, instruction), often half of every row.  The batch becomes one
sequence: the start, then each row's own rest, padded to the longest rest.  A rest attends to the start and to itself,
its positions go on from the start, and no row sees another.  Loss and gradients are those of whole rows to rounding
(tests/training/test_shared_start.py): what reaches the start is the sum over its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from app.training.examples import IGNORED, Buckets, Example, collate

WORTH = 8
"""A shorter shared start saves less than it costs (assumed)."""


SHARES = "neuroweaver_shares_start"
"""Attribute of a causal LM whose attention can read a :class:`Layout`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One sequence of ``start`` shared tokens, then ``rows`` rests of ``rest`` tokens each."""

    start: int
    rows: int
    rest: int

    @classmethod
    def of(cls, ids: torch.Tensor, labels: torch.Tensor) -> Layout | None:
        """The layout of a batch, (rows, tokens) each; None if its rows share too little."""
        start = shared_start(ids, labels)
        return cls(start, len(ids), ids.shape[1] - start) if len(ids) > 1 and start >= WORTH else None

    @classmethod
    def from_mask(cls, mask: torch.Tensor | None) -> Layout | None:
        """The layout that :meth:`inputs` put in place of an attention mask; None for any other mask."""
        if mask is None or mask.shape != (1, 1, 1, 3) or mask.dtype != torch.int64:
            return None
        return cls(*mask.flatten().tolist())

    def inputs(self, ids: torch.Tensor) -> dict[str, Any]:
        """What the decoder gets for (rows, tokens) ids.  transformers hands a 4-D mask to every layer's attention as it
        is, so the layout travels as one; only our attention can read it."""
        tokens = torch.cat([ids[0, :self.start], ids[:, self.start:].reshape(-1)])
        places = torch.cat([torch.arange(self.start), torch.arange(self.start, self.start + self.rest).repeat(self.rows)])
        mask = torch.tensor([self.start, self.rows, self.rest]).view(1, 1, 1, 3)
        return {"input_ids": tokens[None], "position_ids": places.to(ids.device)[None], "attention_mask": mask}

    def rests(self, hidden: torch.Tensor) -> torch.Tensor:
        """(rows, rest, width) of the decoder's output (1, tokens, width)."""
        return hidden[0, self.start:].view(self.rows, self.rest, -1)

    def split(self, states: torch.Tensor, groups: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(1, heads, tokens, width) as (groups, heads/group x start, width) and (groups, rows x heads/group x rest, width)."""
        _, heads, _, width = states.shape
        each = heads // groups
        first = states[0, :, :self.start].reshape(groups, each * self.start, width)
        later = states[0, :, self.start:].reshape(groups, each, self.rows, self.rest, width)
        return first.contiguous(), later.transpose(1, 2).reshape(groups, -1, width).contiguous()

    def join(self, first: torch.Tensor, later: torch.Tensor) -> torch.Tensor:
        """The inverse of :meth:`split`, laid out as (1, tokens, heads, width)."""
        groups, _, width = first.shape
        each = first.shape[1] // self.start
        joined = first.new_empty(self.start + self.rows * self.rest, groups, each, width)
        joined[:self.start] = first.view(groups, each, self.start, width).permute(2, 0, 1, 3)
        rests = later.view(groups, self.rows, each, self.rest, width).permute(1, 3, 0, 2, 4)
        joined[self.start:].view(self.rows, self.rest, groups, each, width).copy_(rests)
        return joined.view(1, -1, groups * each, width)


def shared_start(ids: torch.Tensor, labels: torch.Tensor) -> int:
    """How many first tokens all rows have in common before the first that predicts a label.  ids, labels: (rows, tokens)."""
    differs = (ids != ids[:1]).any(0)
    counted = (labels[:, 1:] != IGNORED).any(0)
    return min((int(flags.int().argmax()) for flags in (differs, counted) if bool(flags.any())), default=0)


@dataclass(frozen=True, slots=True)
class Load:
    """What goes through the model.  largest: tokens (padding counted) of the largest batch.  share: tokens for each token of data."""

    largest: int
    share: float


def measure_load(examples: list[Example], buckets: Buckets, *, shared: bool, most: int = 200) -> Load:
    """The load of an epoch, from at most ``most`` batches spread over it, the largest among them."""
    batches = list(buckets)
    largest, through, tokens = 0, 0, 0
    for batch in batches[::max(1, len(batches) // most)]:
        chosen = collate([{"input_ids": examples[index].input_ids, "labels": examples[index].labels} for index in batch])
        layout = Layout.of(chosen["input_ids"], chosen["labels"]) if shared else None
        size = layout.start + layout.rows * layout.rest if layout else chosen["input_ids"].numel()
        largest, through, tokens = max(largest, size), through + size, tokens + int(chosen["lengths"].sum())
    return Load(largest, through / tokens)
