"""The roomy cache holds what transformers' own holds, whatever is written and whoever leaves."""

from __future__ import annotations

import pytest
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from app.evaluation.cache import RoomyLayer, copies
from app.evaluation.decode import closed_up

HEADS, WIDTH, START = 3, 4, 5


def states(rows: int, tokens: int) -> torch.Tensor:
    return torch.randn(rows, HEADS, tokens, WIDTH)


def start_of(layer: DynamicLayer | None = None) -> DynamicCache:
    """A cache of one layer that has read the shared start."""
    cache = DynamicCache()
    cache.layers = [layer or DynamicLayer()]
    cache.update(states(1, START), states(1, START), 0)
    return cache


@pytest.mark.parametrize("leaving", [
    pytest.param([[0, 1, 2, 3, 4, 5]], id="none"),
    pytest.param([[0, 5, 2, 3]], id="the last one takes a free place"),
    pytest.param([[1, 2, 3]], id="all move up"),
    pytest.param([[5, 4, 3, 2, 1, 0]], id="turned round"),
    pytest.param([[0, 5, 2, 3, 4], [4, 1, 2], [1], [0]], id="one after the other"),
])
def test_the_roomy_cache_reads_as_transformers_own(leaving):
    torch.manual_seed(0)
    cache, rows = start_of(), 6
    theirs = DynamicLayer()
    theirs.update(*(part.repeat_interleave(rows, 0) for part in (cache.layers[0].keys, cache.layers[0].values)))
    ours = copies(cache, rows, 3 + 2 * len(leaving)).layers[0]
    assert type(ours) is RoomyLayer
    for tokens, kept in zip([3, *[2] * len(leaving)], [range(rows), *leaving], strict=True):
        for layer in (theirs, ours):
            layer.batch_select_indices(torch.tensor(kept))
        new = states(len(kept), tokens), states(len(kept), tokens)
        for own, their in zip(ours.update(*new), theirs.update(*new), strict=True):
            assert torch.equal(own, their)
        assert ours.get_seq_length() == theirs.get_seq_length()
    assert cache.get_seq_length() == START


def test_more_than_there_is_room_for_is_an_error_not_a_wrong_answer():
    cache = copies(start_of(), 2, 1)
    cache.update(states(2, 1), states(2, 1), 0)
    with pytest.raises(RuntimeError):
        cache.update(states(2, 1), states(2, 1), 0)


def test_other_kinds_of_layer_are_copied_and_grow_in_their_own_way():
    cache = start_of(DynamicSlidingWindowLayer(sliding_window=4))
    several = copies(cache, 2, 8)
    several.update(states(2, 3), states(2, 3), 0)
    assert type(several.layers[0]) is DynamicSlidingWindowLayer
    assert (several.get_seq_length(), cache.get_seq_length()) == (START + 3, START)


def test_no_shared_start_has_no_copies():
    assert copies(None, 3, 5) is None


@pytest.mark.parametrize(("going", "order"), [
    pytest.param([0, 1, 2], [0, 1, 2], id="all"),
    pytest.param([0, 2, 4, 5], [0, 5, 2, 4], id="free places are filled from the end"),
    pytest.param([3, 4], [4, 3], id="both move"),
    pytest.param([], [], id="none"),
])
def test_rows_that_stay_close_up_with_few_moves(going, order):
    assert closed_up(going) == order
