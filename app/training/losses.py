"""The loss on answer tokens only, without ever holding the logits of a whole batch."""

from __future__ import annotations

from typing import Any

import torch

from app.training.attention import LONGEST
from app.training.examples import IGNORED
from app.training.shared_start import SHARES, Layout

CHUNK = 256
"""Positions whose logits exist at one time: 256 x 49,152 x 4 bytes = 50 MB for the starter model."""


class FrozenHeadLoss(torch.autograd.Function):
    """Summed cross-entropy of a frozen LM head.

    hidden: (positions, width); weight: (vocabulary, width); target: (positions,) int64.  Returns a scalar fp32, nats.
    The gradient of ``hidden`` is made in the forward pass, chunk by chunk, so each chunk's logits are used twice and
    freed; the head's own gradient is never made (it is frozen).  Equals F.cross_entropy (tests/training/test_kernels.py).
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        total = hidden.new_zeros((), dtype=torch.float32)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(target), CHUNK):
            part, wanted = hidden[start:start + CHUNK], target[start:start + CHUNK]
            logits = (part @ weight.t()).float()
            scale = logits.logsumexp(dim=-1)
            total += (scale - logits.gather(1, wanted[:, None])[:, 0]).sum()
            if gradient is not None:
                logits.sub_(scale[:, None]).exp_()
                logits.scatter_add_(1, wanted[:, None], logits.new_full((len(wanted), 1), -1.0))
                gradient[start:start + CHUNK] = logits.to(weight.dtype) @ weight
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        (gradient,) = ctx.saved_tensors
        return (gradient * grads[0].to(gradient.dtype) if gradient is not None else None), None, None


def answer_loss(causal: Any, input_ids: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
    """(summed loss in nats, labelled positions) of a causal LM whose head is frozen.

    input_ids, labels: (rows, tokens) int64.  No attention mask is given: see examples.py.  A start that all rows share
    is read once where our attention is in use: see shared_start.py.
    """
    decoder = getattr(causal, causal.base_model_prefix)
    layout = Layout.of(input_ids, labels) if _can_share(causal, input_ids) else None
    if layout is None:
        hidden, later = decoder(input_ids=input_ids, attention_mask=None, use_cache=False)[0], labels
    else:
        hidden = layout.rests(decoder(**layout.inputs(input_ids), use_cache=False)[0])
        later = labels[:, layout.start:]
    target = later[:, 1:]
    chosen = target != IGNORED
    positions = hidden[:, :-1][chosen]
    head = causal.get_output_embeddings()
    return FrozenHeadLoss.apply(positions, head.weight, target[chosen]), int(chosen.sum())


def _can_share(causal: Any, input_ids: torch.Tensor) -> bool:
    return bool(getattr(causal, SHARES, False)) and input_ids.shape[1] <= LONGEST


def has_plain_head(causal: Any) -> bool:
    """Whether logits are the head's product alone: no bias, scale or soft cap, head not trained."""
    config = causal.config.get_text_config()
    special = ("final_logit_softcapping", "logits_scaling", "logit_scale", "mup_width_scale")
    head = causal.get_output_embeddings()
    plain = isinstance(head, torch.nn.Linear) and head.bias is None and not head.weight.requires_grad
    return plain and head.weight.is_floating_point() and not any(getattr(config, name, None) for name in special)
