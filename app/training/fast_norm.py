"""One autograd function for a frozen RMSNorm: y = x / rms(x) * w.

transformers computes it in eight operations and keeps two 32-bit copies of x.  This keeps x and one number a token, and takes
about half the time forward and backward (650 x 576, 16 bits, one core).  The rms is taken in 32 bits; the gradient's two
numbers a token are rounded to the gradient's own dtype.  Equal to transformers' to rounding (tests/training/test_kernels.py).
"""

from __future__ import annotations

import types
from typing import Any

import torch


class FrozenNorm(torch.autograd.Function):
    """x: (..., width); weight: (width,), frozen; eps: float."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).to(x.dtype).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        x, weight, scale = ctx.saved_tensors
        weighted = grads[0] * weight
        along = (weighted * x).sum(-1, keepdim=True, dtype=torch.float32).mul_(scale.pow(3)).div_(-x.shape[-1])
        return weighted.mul_(scale.to(x.dtype)).addcmul_(x, along.to(x.dtype)), None, None


def speed_up_norms(model: Any) -> int:
    """Give each frozen RMSNorm that computes just this the function above; returns how many."""
    count = 0
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm") and _is_plain(module):
            module.forward = types.MethodType(_forward, module)
            count += 1
    return count


def _is_plain(norm: Any) -> bool:
    """Whether a trial gives what the module gives (some families add one to the weight, or norm without one)."""
    weight, eps = getattr(norm, "weight", None), getattr(norm, "variance_epsilon", None)
    if weight is None or weight.dim() != 1 or weight.requires_grad or not isinstance(eps, float):
        return False
    trial = torch.linspace(-1, 2, len(weight), dtype=weight.dtype, device=weight.device)[None]
    with torch.no_grad():
        return bool(torch.allclose(norm(trial), FrozenNorm.apply(trial, weight, eps), rtol=0.02, atol=1e-3))


def _forward(self: Any, hidden_states: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = FrozenNorm.apply(hidden_states, self.weight, self.variance_epsilon)
    return found
