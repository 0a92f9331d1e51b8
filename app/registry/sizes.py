"""How large an exported file will be, from the model folder alone: light, so that the window can say it before a run."""

from __future__ import annotations

from typing import Literal

from app.config.model_files import ModelFolder

Quantization = Literal["f16", "q8_0", "q5_k_m", "q4_k_m", "q4_0"]
QUANTIZATIONS: tuple[Quantization, ...] = ("f16", "q8_0", "q5_k_m", "q4_k_m", "q4_0")
WITHOUT_COMPILER: tuple[Quantization, ...] = ("f16", "q8_0")
"""What llama.cpp's converter writes by itself; the others need llama-cpp-python, which is compiled."""

_BITS = {"f16": 16.0, "q8_0": 8.5, "q6_k": 6.5625, "q5_k": 5.5, "q4_k": 4.5, "q5_1": 6.0, "q5_0": 5.5, "q4_0": 4.5}
# Block of 256 numbers does not fit into a row: llama.cpp then takes a type with blocks of 32 (llama-quant.cpp).
_FALLBACK = {"q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0"}
# (most layers, the half of attn_v and ffn_down that the _m mixes keep finer, embedding that is also the output)
_MIX = {"f16": ("f16", "f16", "f16"), "q8_0": ("q8_0", "q8_0", "q8_0"), "q5_k_m": ("q5_k", "q6_k", "q6_k"),
        "q4_k_m": ("q4_k", "q6_k", "q6_k"), "q4_0": ("q4_0", "q4_0", "q6_k")}
_BYTES_A_TOKEN = 36
"""Vocabulary and merges in the file's header, per token (measured: SmolLM2 35.7)."""


def estimate_size(model: ModelFolder, quantization: Quantization) -> int:
    """Bytes of the exported file; within 3 % of the real size on the starter model (tests/registry/test_sizes.py)."""
    most, finer, output = _MIX[quantization]
    width, inner = model.hidden, model.intermediate or 4 * model.hidden
    embedding = model.vocabulary * width
    value = width * width * model.kv_heads // max(model.heads, 1)
    linear = max(model.parameters - embedding * (1 if model.tied else 2), 0)
    fine_value, fine_down = model.layers * value // 2, model.layers * width * inner // 2
    down_rest = model.layers * width * inner - fine_down
    rest = max(linear - fine_value - fine_down - down_rest, 0)
    bits = (fine_value * _bits(finer, width) + fine_down * _bits(finer, inner) + down_rest * _bits(most, inner)
            + rest * _bits(most, width) + embedding * _bits(output, width))
    if not model.tied:
        bits += embedding * _bits(most, width)
    return int(bits / 8) + model.vocabulary * _BYTES_A_TOKEN


def _bits(kind: str, row: int) -> float:
    """Bits a number of a tensor with rows of this length."""
    return _BITS[_FALLBACK[kind] if kind in _FALLBACK and row % 256 else kind]
