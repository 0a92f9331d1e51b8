"""Causal attention for short documents on a CPU: plain matrix products instead of torch's flash kernel.

torch's flash attention on the CPU spends 32 % of a training step in its backward pass at 128 tokens (16-bit, one
core, SmolLM2-135M).  Here scores are made and kept, in 16 bits, which is cheap while documents are short; longer
ones (over LONGEST tokens) go to torch's kernel.  Equal to it to rounding (tests/training/test_attention.py).
"""

from __future__ import annotations

from typing import Any

import torch

NAME = "neuroweaver_causal"
LONGEST = 512


class CausalProducts(torch.autograd.Function):
    """query: (groups, heads x tokens, width), key and value: (groups, tokens, width); groups = rows x key heads."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        tokens = key.shape[1]
        scores = torch.bmm(query, key.transpose(1, 2)).float().mul_(scale)
        future = torch.ones(tokens, tokens, dtype=torch.bool, device=query.device).triu_(1)
        scores.view(len(key), -1, tokens, tokens).masked_fill_(future, float("-inf"))
        shares = scores.softmax(-1).to(query.dtype)
        out = torch.bmm(shares, value)
        ctx.save_for_backward(query, key, value, shares, out)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        query, key, value, shares, out = ctx.saved_tensors
        grad = grads[0].contiguous()
        inner = (grad.float() * out.float()).sum(-1, keepdim=True)
        slope = torch.bmm(grad, value.transpose(1, 2)).float().sub_(inner).mul_(shares).mul_(ctx.scale).to(query.dtype)
        return (torch.bmm(slope, key), torch.bmm(slope.transpose(1, 2), query),
                torch.bmm(shares.transpose(1, 2), grad), None)


def causal_attention(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
                     attention_mask: torch.Tensor | None, scaling: float | None = None, dropout: float = 0.0,
                     **kwargs: Any) -> tuple[torch.Tensor, None]:
    """transformers' attention interface.  query: (rows, heads, tokens, width); returns (rows, tokens, heads, width)."""
    rows, heads, tokens, width = query.shape
    if attention_mask is not None or key.shape[2] != tokens or tokens > LONGEST or dropout or query.is_cuda:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs)
        return found
    groups = rows * key.shape[1]
    out = CausalProducts.apply(
        query.reshape(groups, -1, width), key.reshape(groups, tokens, width), value.reshape(groups, tokens, width),
        scaling if scaling is not None else width**-0.5)
    return out.view(rows, heads, tokens, width).transpose(1, 2).contiguous(), None


def use_causal_attention(model: Any) -> bool:
    """Let a model use it; False (and nothing changed) for models that attend in windows or otherwise unusually."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"} or getattr(config, "attn_logit_softcapping", None) or config._attn_implementation != "sdpa":
        return False
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return False
    AttentionInterface.register(NAME, causal_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    return True
