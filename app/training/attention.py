"""Causal attention for short documents on a CPU: plain matrix products instead of torch's flash kernel.

torch's flash attention on the CPU spends 32 % of a training step in its backward pass at 128 tokens (16-bit, one
core, SmolLM2-135M).  Here scores are made and kept, in 16 bits, which is cheap while documents are short; longer
ones (over LONGEST tokens) go to torch's kernel.  Equal to it to rounding (tests/training/test_kernels.py).
"""

from __future__ import annotations

from typing import Any

import torch

from app.training.shared_start import SHARES, Layout

NAME = "neuroweaver_causal"
LONGEST = 512
CLOSE = 0.05
"""Relative difference of hidden states in bfloat16 that rounding explains; another layout differs by far more."""


def _shares(scores: torch.Tensor, tokens: int, scale: float, dtype: torch.dtype) -> torch.Tensor:
    """Softmax of fp32 scores (groups, queries x tokens, keys), the last ``tokens`` keys seen causally; spoils ``scores``."""
    future = torch.ones(tokens, tokens, dtype=torch.bool, device=scores.device).triu_(1)
    scores.mul_(scale).view(-1, tokens, scores.shape[-1])[..., -tokens:].masked_fill_(future, float("-inf"))
    return scores.softmax(-1).to(dtype)


def _slope(grad: torch.Tensor, value: torch.Tensor, shares: torch.Tensor, inner: torch.Tensor, scale: float) -> torch.Tensor:
    """Gradient of the scores.  inner: :func:`_inner` of the same queries."""
    slope = torch.bmm(grad, value.transpose(1, 2)).float()
    return slope.sub_(inner).mul_(shares).mul_(scale).to(shares.dtype)


def _inner(grad: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """What each query's shares have in common in their gradient, fp32 (groups, queries, 1)."""
    return (grad.float() * out.float()).sum(-1, keepdim=True)


class CausalProducts(torch.autograd.Function):
    """query: (groups, heads x tokens, width), key and value: (groups, tokens, width); groups = rows x key heads."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        shares = _shares(torch.bmm(query, key.transpose(1, 2)).float(), key.shape[1], scale, query.dtype)
        out = torch.bmm(shares, value)
        ctx.save_for_backward(query, key, value, shares, out)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        query, key, value, shares, out = ctx.saved_tensors
        grad = grads[0].contiguous()
        slope = _slope(grad, value, shares, _inner(grad, out), ctx.scale)
        return (torch.bmm(slope, key), torch.bmm(slope.transpose(1, 2), query),
                torch.bmm(shares.transpose(1, 2), grad), None)


class SharedProducts(torch.autograd.Function):
    """Attention of a batch whose rows share their start.

    query: (1, heads, tokens, width); key, value: (1, key heads, tokens, width).  Returns (1, tokens, heads, width).
    Below, 0 marks the start and 1 the rests; ``own`` views the rests as one group for each row.
    """

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout,
                scale: float) -> torch.Tensor:
        groups, start, rest = key.shape[1], layout.start, layout.rest
        (query0, query1), (key0, key1), (value0, value1) = (layout.split(part, groups) for part in (query, key, value))
        shares0 = _shares(torch.bmm(query0, key0.transpose(1, 2)).float(), start, scale, query.dtype)
        out0 = torch.bmm(shares0, value0)
        scores = query.new_empty(*query1.shape[:2], start + rest, dtype=torch.float32)
        scores[..., :start] = torch.bmm(query1, key0.transpose(1, 2))
        _own(scores, layout)[..., start:] = torch.bmm(_own(query1, layout), _own(key1, layout).transpose(1, 2))
        shares1 = _shares(scores, rest, scale, query.dtype)
        seen, own = shares1[..., :start].contiguous(), _own(shares1, layout)[..., start:].contiguous()
        out1 = torch.bmm(seen, value0)
        _own(out1, layout).baddbmm_(own, _own(value1, layout))
        ctx.save_for_backward(query0, query1, key0, key1, value0, value1, shares0, seen, own, out0, out1)
        ctx.layout, ctx.scale = layout, scale
        return layout.join(out0, out1)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[Any, ...]:
        query0, query1, key0, key1, value0, value1, shares0, seen, own, out0, out1 = ctx.saved_tensors
        layout, scale, groups = ctx.layout, ctx.scale, len(key0)
        grad0, grad1 = layout.split(grads[0].transpose(1, 2), groups)
        own_grad, own_query, own_key, own_value = (_own(part, layout) for part in (grad1, query1, key1, value1))
        inner = _inner(grad1, out1)
        slope0 = _slope(grad0, value0, shares0, _inner(grad0, out0), scale)
        slope1, slope2 = _slope(grad1, value0, seen, inner, scale), _slope(own_grad, own_value, own, _own(inner, layout), scale)
        to_query1 = torch.bmm(slope1, key0)
        _own(to_query1, layout).baddbmm_(slope2, own_key)
        to_key0 = torch.bmm(slope0.transpose(1, 2), query0).baddbmm_(slope1.transpose(1, 2), query1)
        to_value0 = torch.bmm(shares0.transpose(1, 2), grad0).baddbmm_(seen.transpose(1, 2), grad1)
        to_key1, to_value1 = torch.bmm(slope2.transpose(1, 2), own_query), torch.bmm(own.transpose(1, 2), own_grad)
        joined = (layout.join(torch.bmm(slope0, key0), to_query1), layout.join(to_key0, to_key1.view_as(key1)),
                  layout.join(to_value0, to_value1.view_as(value1)))
        return *(part.transpose(1, 2) for part in joined), None, None


def _own(states: torch.Tensor, layout: Layout) -> torch.Tensor:
    """(groups, rows x n, m) as (groups x rows, n, m)."""
    return states.view(states.shape[0] * layout.rows, -1, states.shape[-1])


def causal_attention(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
                     attention_mask: torch.Tensor | None, scaling: float | None = None, dropout: float = 0.0,
                     **kwargs: Any) -> tuple[torch.Tensor, None]:
    """transformers' attention interface.  query: (rows, heads, tokens, width); returns (rows, tokens, heads, width)."""
    rows, heads, tokens, width = query.shape
    scale = scaling if scaling is not None else width**-0.5
    layout = Layout.from_mask(attention_mask)
    if layout is not None:
        return SharedProducts.apply(query, key, value, layout, scale), None
    if attention_mask is not None or key.shape[2] != tokens or tokens > LONGEST or dropout or query.is_cuda:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs)
        return found
    groups = rows * key.shape[1]
    out = CausalProducts.apply(
        query.reshape(groups, -1, width), key.reshape(groups, tokens, width), value.reshape(groups, tokens, width), scale)
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


def share_starts(causal: Any) -> bool:
    """Let batches of a model that uses our attention read a shared start once (shared_start.py), if a trial on made-up
    rows shows that it gives this model's own hidden states; False, and nothing changed, if it does not."""
    config = causal.config.get_text_config()
    if config._attn_implementation != NAME or getattr(config, "attention_dropout", 0.0):
        return False
    ids = torch.arange(48).view(2, 24) % config.vocab_size
    ids[:, :12] = torch.arange(60, 72) % config.vocab_size
    layout, decoder = Layout(12, 2, 12), getattr(causal, causal.base_model_prefix)
    with torch.no_grad():
        whole = decoder(input_ids=ids, attention_mask=None, use_cache=False)[0][:, 12:].float()
        try:
            once = layout.rests(decoder(**layout.inputs(ids), use_cache=False)[0]).float()
        except (RuntimeError, ValueError, TypeError, IndexError):  # a model that reads the mask itself
            return False
    alike = bool((once - whole).norm() < CLOSE * whole.norm())
    setattr(causal, SHARES, alike)
    return alike
