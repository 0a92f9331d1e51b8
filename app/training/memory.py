"""Memory of a fine-tuning, from a model's shape alone: the one formula behind plans, Home and Kits.  Light: no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

RUNTIME_BYTES = 920e6
"""A step worker with torch, transformers, trl and peft loaded (measured: 604 MB) and its working space (measured: 310 MB)."""
KEPT_HIDDEN, KEPT_INTERMEDIATE = 14, 4
"""Tensors of either width that each layer keeps for the backward pass, in 16 bits.  Fitted: SmolLM2-135M in 16 bits grew by
840 kB for each token of a batch between 908 and 2,043 tokens (peak resident memory)."""
QUANTISED_BYTES = 200e6
"""What a 4-bit base takes besides its weights: bitsandbytes, and weights unpacked for a product (measured: 190 MB)."""
ADAPTER_BYTES = 16
"""Each adapter number: weight and gradient in 16 bits, master and AdamW's two moments in 32 (measured: 15.3 from rank 16 to 64)."""


class Shape(Protocol):
    """What the formula reads of a model; :class:`app.config.model_files.ModelFolder` has it."""

    @property
    def parameters(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def intermediate(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def kv_heads(self) -> int: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def tied(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Typical:
    """A usual shape for a model known by its size only."""

    parameters: int
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool


_TYPICAL = (  # SmolLM2 135M, Qwen2.5 0.5B and 1.5B, Llama 3 8B, Qwen2.5 14B
    Typical(134_515_008, 30, 576, 1536, 9, 3, 49_152, True), Typical(494_032_768, 24, 896, 4864, 14, 2, 151_936, True),
    Typical(1_543_714_304, 28, 1536, 8960, 12, 2, 151_936, True), Typical(8_030_261_248, 32, 4096, 14_336, 32, 8, 128_256, False),
    Typical(14_770_033_664, 48, 5120, 13_824, 40, 8, 152_064, False))


def typical(parameters: float) -> Shape:
    """The known model nearest in size; beyond the largest, its depth and widths grow with the cube root."""
    near = min(_TYPICAL, key=lambda shape: abs(math.log(parameters / shape.parameters)))
    grown = max(1.0, (parameters / _TYPICAL[-1].parameters) ** (1 / 3))
    return Typical(int(parameters), round(near.layers * grown), round(near.hidden * grown), round(near.intermediate * grown),
                   near.heads, near.kv_heads, near.vocabulary, near.tied)


def adapter_parameters(model: Shape, r: int, target: str = "all-linear") -> int:
    """Numbers in LoRA matrices of rank ``r`` on a Llama-like model: each linear layer takes r x (inputs + outputs)."""
    hidden = model.hidden
    keys = hidden // max(model.heads, 1) * model.kv_heads
    attention = 2 * (hidden + hidden) + 2 * (hidden + keys)
    feed_forward = 3 * (hidden + model.intermediate) if target == "all-linear" else 0
    return r * model.layers * (attention + feed_forward)


def training_bytes(model: Shape, *, batch_tokens: int, quantised: bool, r: int = 16, target: str = "all-linear",
                   recompute: bool = False) -> float:
    """Peak bytes of a step worker.  batch_tokens: tokens of the largest batch that go through the model."""
    return (RUNTIME_BYTES + _weights(model, quantised) + ADAPTER_BYTES * adapter_parameters(model, r, target)
            + _activations(model, batch_tokens, recompute))


def _weights(model: Shape, quantised: bool) -> float:
    if not quantised:
        return 2.0 * model.parameters
    embedding = model.vocabulary * model.hidden * (1 if model.tied else 2)
    return QUANTISED_BYTES + 2.0 * embedding + 0.53 * max(model.parameters - embedding, 0)


def _activations(model: Shape, batch_tokens: int, recompute: bool) -> float:
    layer = 2.0 * (KEPT_HIDDEN * model.hidden + KEPT_INTERMEDIATE * model.intermediate)
    kept = model.layers * 2.0 * model.hidden + layer if recompute else model.layers * layer  # recomputed: inputs, and one layer
    logits = 256 * model.vocabulary * 12.0
    return batch_tokens * kept + logits
