"""The cache of what all questions begin with, for a batch of them.  Heavy: imported inside functions only."""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):
    """One layer's keys and values for ``rows`` rows that begin alike, (rows, heads, tokens, width) each, with room for more.

    A word piece is written where there is room for it, and a row that leaves is overwritten by one that stays; transformers'
    own layer copies all it holds for either.  What the model reads is the same.
    """

    def __init__(self, start: DynamicLayer, rows: int, room: int) -> None:
        super().__init__()
        self.lazy_initialization(start.keys, start.values)
        self._held = [_spread(part, rows, room) for part in (start.keys, start.values)]
        self._show(rows, start.get_seq_length())

    def _show(self, rows: int, tokens: int) -> None:
        self.keys, self.values = (part[:rows, :, :tokens] for part in self._held)

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Note what the next tokens are; returns everything so far.  Raises RuntimeError where there is no room left."""
        (rows, _, before, _), tokens = self.keys.shape, key_states.shape[-2]
        for held, new in zip(self._held, (key_states, value_states), strict=True):
            held[:rows].narrow(2, before, tokens).copy_(new)
        self._show(rows, before + tokens)
        return self.keys, self.values

    def batch_select_indices(self, indices: Any) -> None:
        """Keep these rows in this order; only those whose place changes are copied."""
        rows, tokens = len(indices), self.get_seq_length()
        moved = (indices != torch.arange(rows, device=indices.device)).nonzero()[:, 0]
        for shown in (self.keys, self.values):
            shown[moved] = shown[indices[moved]]
        self._show(rows, tokens)


def _spread(start: Any, rows: int, room: int) -> Any:
    """(1, heads, tokens, width) as (rows, heads, tokens + room, width), the room not yet written."""
    _, heads, tokens, width = start.shape
    held = start.new_empty(rows, heads, tokens + room, width)
    held[:, :, :tokens] = start
    return held


def copies(cache: Any, rows: int, room: int) -> Any:
    """The cache of the shared start, once for each row of a batch, with room for so many more tokens; the original stays as it is.

    Layers of another kind than plain attention over everything are copied as they are, and grow as they do.
    """
    if cache is None:
        return None
    several = copy.copy(cache)
    several.layers = [_copies(layer, rows, room) for layer in cache.layers]
    return several


def _copies(layer: Any, rows: int, room: int) -> Any:
    if type(layer) is DynamicLayer and layer.is_initialized:
        return RoomyLayer(layer, rows, room)
    one = copy.deepcopy(layer)
    one.batch_repeat_interleave(rows)
    return one
