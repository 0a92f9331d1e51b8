"""Weights laid out for the processor once, for as long as a model only answers.  Heavy: imported inside functions only.

On a CPU torch lays a 16-bit weight out anew at every product; with few rows that takes longer than the product itself (48 rows of
576 by 1,536: 295 us instead of 156).  The products are the same to the last bit: a trial of each shape must say so, else its
layers stay as they are.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import psutil
import torch

SHARE = 0.25
"""Share of the free memory that the second layout may take."""
FEW = 64
"""With more rows the weights are used as they are: less is to be saved, and from 96 rows on two threads may add up in another order."""
TRIED = (1, 4, 16, 32, 48, FEW)
"""Rows of the trials: a processor multiplies few and many in different ways."""


@contextlib.contextmanager
def packed(model: Any) -> Iterator[None]:
    """Inside, plain 16-bit linear layers use packed weights; weights must not change meanwhile, nor gradients be asked for."""
    layers = _packable(model)
    for layer in layers:
        layer.forward = functools.partial(_forward, layer, _pack(layer.weight))
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _packable(model: Any) -> list[Any]:
    layers = [module for module in model.modules() if _is_plain(module)]
    if not layers or 2 * sum(layer.weight.numel() for layer in layers) > SHARE * psutil.virtual_memory().available:
        return []
    kinds = {_kind(layer): layer for layer in layers}
    equal = {kind for kind, layer in kinds.items() if _is_equal(layer)}
    return [layer for layer in layers if _kind(layer) in equal]


def _is_plain(module: Any) -> bool:
    if type(module) is not torch.nn.Linear or "forward" in vars(module):
        return False
    return bool(module.weight.device.type == "cpu" and module.weight.dtype == torch.bfloat16)


def _kind(layer: Any) -> tuple[Any, ...]:
    return (*layer.weight.shape, layer.bias is None)


def _is_equal(layer: Any) -> bool:
    with torch.no_grad():
        try:
            weight = _pack(layer.weight)
            trials = [torch.linspace(-1, 1, rows * layer.in_features).bfloat16().view(1, rows, -1) for rows in TRIED]
            return all(torch.equal(layer(trial), _forward(layer, weight, trial)) for trial in trials)
        except (RuntimeError, AttributeError):  # a torch or a processor without it
            return False


def _pack(weight: Any) -> Any:
    with torch.no_grad():
        return torch.ops.mkldnn._reorder_linear_weight(weight.detach())


def _forward(layer: Any, weight: Any, x: Any) -> Any:
    if x.numel() > FEW * x.shape[-1]:
        return torch.nn.functional.linear(x, layer.weight, layer.bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, layer.bias, "none", [], "")
